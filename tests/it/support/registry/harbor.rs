//! The part of Harbor's own API that knows projects. Outside of a project nothing can be asked or pushed, and Harbor
//! says that with 401, whoever asks. Specification: Harbor API 2.0, `/projects`.

use axum::http::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::auth::has_basic;
use super::behaviour::Harbor;
use super::exchange::{Cut, Exchange};
use super::route::Route;

/// Refuses what is asked of a project that is not there.
pub(super) fn check(exchange: &Exchange, route: &Route) -> Result<(), Answer> {
    let (Some(harbor), Some(repository)) = (&exchange.behaviour.harbor, route.repository()) else {
        return Ok(());
    };
    let project = repository.as_str().split('/').next().unwrap_or_default();
    if harbor.projects.contains_key(project) {
        return Ok(());
    }
    let text = format!("project {project} not found: project {project} not found");
    Err(Answer::error(401, "UNAUTHORIZED", &text))
}

pub(super) async fn projects(exchange: &mut Exchange) -> Result<Answer, Cut> {
    let body = exchange.whole_body().await?;
    let Some(harbor) = exchange.behaviour.harbor.clone() else {
        return Ok(Answer::refusal(404));
    };
    if !has_basic(exchange, &harbor.login) {
        return Ok(Answer::error(401, "UNAUTHORIZED", "unauthorized"));
    }
    Ok(match exchange.method {
        Method::HEAD => find(exchange, &harbor),
        Method::POST => create(
            exchange,
            &harbor,
            &serde_json::from_slice(&body).unwrap_or_default(),
        ),
        _ => Answer::refusal(405),
    })
}

fn find(exchange: &Exchange, harbor: &Harbor) -> Answer {
    let name = exchange.query.get("project_name").unwrap_or_default();
    match (harbor.may_ask, harbor.projects.contains_key(name)) {
        (false, _) => Answer::refusal(403),
        (true, true) => Answer::new(200),
        (true, false) => Answer::refusal(404),
    }
}

fn create(exchange: &Exchange, harbor: &Harbor, wanted: &Value) -> Answer {
    let name = wanted["project_name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if harbor.projects.contains_key(&name) {
        return Answer::error(409, "CONFLICT", "The project named exists already");
    }
    if !harbor.may_create {
        return Answer::error(403, "FORBIDDEN", "forbidden");
    }
    let is_public = wanted["metadata"]["public"] != json!("false");
    if let Some(harbor) = &mut exchange.shared.behaviour().harbor {
        harbor.projects.insert(name, is_public);
    }
    Answer::new(201)
}
