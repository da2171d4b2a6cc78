//! Who may do what: basic authentication, and bearer tokens with scopes from the fake's own `/token`.
//! Specification: distribution, "Token Authentication" and "`OAuth2` token authentication".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use airlift::oci::Repository;
use axum::http::Method;
use serde_json::json;

use super::answer::Answer;
use super::behaviour::{Auth, Bearer, Login};
use super::exchange::{Cut, Exchange};
use super::route::{Query, Route};
use crate::support::base64;

/// `repository:apps/web` and the action `pull`.
type Access = (String, String);

struct Grant {
    accesses: BTreeSet<Access>,
    uses_left: Option<usize>,
    expires: Option<Instant>,
}

/// The tokens that were handed out.
#[derive(Default)]
pub(super) struct Tokens {
    grants: BTreeMap<String, Grant>,
}

/// Lets the request pass, or challenges it.
pub(super) fn check(exchange: &Exchange, route: &Route) -> Result<(), Answer> {
    if matches!(route, Route::Token | Route::Projects) {
        return Ok(());
    }
    match &exchange.behaviour.auth {
        Auth::Open => Ok(()),
        Auth::Basic(login) if has_basic(exchange, login) => Ok(()),
        Auth::Basic(_) => {
            Err(Answer::refusal(401).header("www-authenticate", &"Basic realm=\"fake\""))
        }
        Auth::Bearer(bearer) => check_token(exchange, route, bearer),
    }
}

pub(super) fn has_basic(exchange: &Exchange, login: &Login) -> bool {
    let expected = base64::encode(format!("{}:{}", login.user, login.password).as_bytes());
    credentials(exchange, "basic") == Some(&expected)
}

/// What stands behind the scheme in the `Authorization` header.
fn credentials<'a>(exchange: &'a Exchange, scheme: &str) -> Option<&'a str> {
    let (found, value) = exchange.header("authorization")?.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then_some(value)
}

fn check_token(exchange: &Exchange, route: &Route, bearer: &Bearer) -> Result<(), Answer> {
    let needed = needed(exchange, route, bearer);
    let Some(token) = credentials(exchange, "bearer") else {
        return Err(challenge(exchange, bearer, &needed, None));
    };
    let mut tokens = exchange.shared.tokens();
    let Some(grant) = tokens
        .grants
        .get_mut(token)
        .filter(|grant| grant.is_valid())
    else {
        return Err(challenge(exchange, bearer, &needed, Some("invalid_token")));
    };
    if let Some(uses) = &mut grant.uses_left {
        *uses -= 1;
    }
    if needed.iter().all(|access| grant.accesses.contains(access)) {
        Ok(())
    } else {
        let error = Some("insufficient_scope");
        Err(challenge(exchange, bearer, &needed, error))
    }
}

impl Grant {
    fn is_valid(&self) -> bool {
        self.uses_left != Some(0) && self.expires.is_none_or(|end| Instant::now() < end)
    }
}

fn needed(exchange: &Exchange, route: &Route, bearer: &Bearer) -> Vec<Access> {
    if *route == Route::Catalog {
        return vec![("registry:catalog".to_owned(), "*".to_owned())];
    }
    let Some(repository) = route.repository() else {
        return Vec::new();
    };
    let actions: &[&str] = match exchange.method {
        Method::GET | Method::HEAD => &["pull"],
        Method::DELETE if !matches!(route, Route::Session(..)) => &["delete"],
        _ => &["pull", "push"],
    };
    let access = |name: &str, action: &str| (format!("repository:{name}"), action.to_owned());
    let own = actions
        .iter()
        .map(|action| access(repository.as_str(), action));
    let mounted = exchange.query.get("from").filter(|_| bearer.strict_mounts);
    own.chain(mounted.map(|from| access(from, "pull")))
        .collect()
}

fn challenge(
    exchange: &Exchange,
    bearer: &Bearer,
    needed: &[Access],
    error: Option<&str>,
) -> Answer {
    let own_realm = format!("{}/token", exchange.shared.url());
    let realm = bearer.realm.as_ref().unwrap_or(&own_realm);
    let mut parts = vec![format!("realm=\"{realm}\",service=\"fake\"")];
    if !needed.is_empty() {
        parts.push(format!("scope=\"{}\"", scopes(needed)));
    }
    parts.extend(error.map(|error| format!("error=\"{error}\"")));
    let text = format!("Bearer {}", parts.join(","));
    Answer::refusal(401).header("www-authenticate", &text)
}

/// `repository:a:pull,push repository:b:pull`
fn scopes(accesses: &[Access]) -> String {
    let mut actions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (resource, action) in accesses {
        actions.entry(resource).or_default().push(action);
    }
    let scopes = actions
        .iter()
        .map(|(resource, actions)| format!("{resource}:{}", actions.join(",")));
    scopes.collect::<Vec<_>>().join(" ")
}

/// Whether the request may read `repository`, for mounts.
pub(super) fn may_pull(exchange: &Exchange, repository: &Repository) -> bool {
    if !matches!(exchange.behaviour.auth, Auth::Bearer(_)) {
        return true;
    }
    let access = (format!("repository:{repository}"), "pull".to_owned());
    let tokens = exchange.shared.tokens();
    let grant = credentials(exchange, "bearer").and_then(|token| tokens.grants.get(token));
    grant.is_some_and(|grant| grant.accesses.contains(&access))
}

/// The token endpoint: GET with basic authentication, POST with a form.
pub(super) async fn token(exchange: &mut Exchange) -> Result<Answer, Cut> {
    let body = exchange.whole_body().await?;
    let Auth::Bearer(bearer) = &exchange.behaviour.auth else {
        return Ok(Answer::refusal(404));
    };
    let answer = match exchange.method {
        Method::GET => by_get(exchange, bearer),
        Method::POST if bearer.post => {
            let form = Query::of(&String::from_utf8_lossy(&body));
            by_post(exchange, bearer, &form)
        }
        _ => Answer::refusal(405),
    };
    Ok(answer)
}

fn by_get(exchange: &Exchange, bearer: &Bearer) -> Answer {
    let is_known = bearer
        .login
        .as_ref()
        .is_none_or(|login| has_basic(exchange, login));
    let is_anonymous = exchange.header("authorization").is_none();
    let may_pull = is_anonymous && bearer.anonymous_pull;
    if !is_known && !may_pull {
        return Answer::refusal(401);
    }
    let mut accesses = parse_scopes(exchange.query.all("scope"));
    if !is_known {
        accesses.retain(|(_, action)| action == "pull");
    }
    let offline = exchange.query.get("offline_token") == Some("true");
    issue(exchange, bearer, accesses, offline)
}

fn by_post(exchange: &Exchange, bearer: &Bearer, form: &Query) -> Answer {
    let is_known = match form.get("grant_type") {
        Some("refresh_token") => {
            bearer.refresh_token.is_some()
                && form.get("refresh_token") == bearer.refresh_token.as_deref()
        }
        Some("password") => bearer.login.as_ref().is_some_and(|login| {
            form.get("username") == Some(&login.user)
                && form.get("password") == Some(&login.password)
        }),
        _ => false,
    };
    if !is_known {
        return Answer::new(401).json(&json!({"error": "invalid_grant"}));
    }
    let offline = form.get("access_type") == Some("offline");
    issue(exchange, bearer, parse_scopes(form.all("scope")), offline)
}

fn parse_scopes<'a>(scopes: impl Iterator<Item = &'a str>) -> BTreeSet<Access> {
    let split = |scope: &'a str| {
        let (resource, actions) = scope.rsplit_once(':')?;
        let access = move |action: &str| (resource.to_owned(), action.to_owned());
        Some(actions.split(',').map(access))
    };
    scopes
        .flat_map(str::split_whitespace)
        .filter_map(split)
        .flatten()
        .collect()
}

fn issue(
    exchange: &Exchange,
    bearer: &Bearer,
    accesses: BTreeSet<Access>,
    offline: bool,
) -> Answer {
    let mut tokens = exchange.shared.tokens();
    let token = format!("token-{}", tokens.grants.len() + 1);
    let grant = Grant {
        accesses,
        uses_left: bearer.uses,
        expires: bearer.valid_for.map(|time| Instant::now() + time),
    };
    tokens.grants.insert(token.clone(), grant);
    let mut reply = json!({"access_token": token});
    if !bearer.only_access_token {
        reply["token"] = token.into();
    }
    if let Some(seconds) = bearer.expires_in {
        reply["expires_in"] = seconds.into();
    }
    if let (true, Some(refresh)) = (offline, &bearer.refresh_token) {
        reply["refresh_token"] = refresh.clone().into();
    }
    Answer::new(200).json(&reply)
}
