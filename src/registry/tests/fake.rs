//! A server that answers as a test says, and writes down what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;

use crate::oci::Repository;
use crate::registry::{Credentials, Registry, RegistryOptions};

/// One request as it came in.
#[derive(Clone, Debug)]
pub(in crate::registry) struct Seen {
    pub(in crate::registry) method: String,
    /// Path and query.
    pub(in crate::registry) target: String,
    pub(in crate::registry) authorization: Option<String>,
    pub(in crate::registry) range: Option<String>,
    pub(in crate::registry) body: Bytes,
}

impl Seen {
    pub(in crate::registry) fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.target.contains(part)
    }
}

pub(in crate::registry) struct Fake {
    pub(in crate::registry) host: String,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    pub(in crate::registry) async fn start(
        answer: impl Fn(&Seen) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let log: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answer, kept) = (Arc::new(answer), Arc::clone(&log));
        let app = Router::new().fallback(move |request: Request| {
            let (answer, log) = (Arc::clone(&answer), Arc::clone(&kept));
            async move {
                let seen = read(request).await;
                let response = answer(&seen);
                log.lock().unwrap().push(seen);
                response
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { host, log }
    }

    pub(in crate::registry) fn registry(&self, options: RegistryOptions) -> Registry {
        Registry::new(&self.host, options).unwrap()
    }

    pub(in crate::registry) fn count(&self, method: &str, part: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|seen| seen.is(method, part)).count()
    }

    pub(in crate::registry) fn log(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }
}

async fn read(request: Request) -> Seen {
    let (head, body) = request.into_parts();
    let header = |name: &str| {
        let value = head.headers.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    Seen {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        authorization: header("authorization"),
        range: header("range").or_else(|| header("content-range")),
        body: axum::body::to_bytes(body, usize::MAX)
            .await
            .unwrap_or_default(),
    }
}

/// Nobody, in a hurry.
pub(in crate::registry) fn options() -> RegistryOptions {
    RegistryOptions {
        credentials: Credentials::Anonymous,
        retry_delay_min: Duration::from_millis(1),
        ..RegistryOptions::default()
    }
}

pub(in crate::registry) fn basic() -> RegistryOptions {
    RegistryOptions {
        credentials: Credentials::Basic {
            username: "alice".to_owned(),
            password: "s3cret".into(),
        },
        ..options()
    }
}

pub(in crate::registry) fn repository() -> Repository {
    "a/b".parse().unwrap()
}

pub(in crate::registry) fn reply(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// Bytes, and then a broken connection instead of the rest.
pub(in crate::registry) fn cut(bytes: Bytes) -> Body {
    let end = futures_util::stream::once(async {
        // What stands in the server's buffer goes out when it has nothing else to do.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut"))
    });
    Body::from_stream(futures_util::stream::iter([Ok(bytes)]).chain(end))
}
