//! Projects of Harbor, with the login that content is pushed with.
//!
//! Harbor's API takes user names and passwords, those of robot accounts among them, and no tokens of the registry.
//! Specification: Harbor API 2.0, `/projects`.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::json;

use crate::registry::client::Client;
use crate::registry::error::{RegistryError, Result};

const PROJECTS: &str = "/api/v2.0/projects";

pub(super) async fn has_project(client: &Client, name: &str) -> Result<bool> {
    let mut url = projects_url(client);
    url.query_pairs_mut().append_pair("project_name", name);
    match send(client, &Method::HEAD, url, None).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A project that nobody sees who was not let in.
pub(super) async fn create_project(client: &Client, name: &str) -> Result<bool> {
    let wanted = json!({ "project_name": name, "metadata": { "public": "false" } });
    let sent = send(
        client,
        &Method::POST,
        projects_url(client),
        Some(wanted.to_string()),
    );
    match sent.await {
        Ok(_) => Ok(true),
        Err(RegistryError::Answer(answer)) if answer.status == StatusCode::CONFLICT => Ok(false),
        Err(error) => Err(error),
    }
}

fn projects_url(client: &Client) -> Url {
    let base = &client.wire.base;
    base.join(PROJECTS).expect("the path is one")
}

async fn send(
    client: &Client,
    method: &Method,
    url: Url,
    body: Option<String>,
) -> Result<Response> {
    let login = client.basic_login().await?;
    let login = login.ok_or_else(|| RegistryError::Login {
        host: client.host().to_owned(),
        reason: "Harbor's API takes a user name and a password, and none are configured".to_owned(),
    })?;
    let mut attempts = client.attempts();
    loop {
        client.pace.keep().await;
        let mut request = login.sign(client.wire.request(method.clone(), url.clone()));
        if let Some(body) = &body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let (request, _) = client.wire.prepared(request)?;
        let answered = match client.wire.execute(request).await {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => client.wire.refusal(response).await,
            Err(error) => error,
        };
        attempts.again(answered).await?;
    }
}
