//! A relay before a cloud: it counts what passes, and refuses or holds requests when a test says so.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::Response;
use tokio::runtime::{Builder, Runtime};

/// A request as a test judges it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// It asks for a range of an object.
    pub(crate) is_ranged: bool,
    /// It is to be done only where nothing has the name.
    pub(crate) is_conditional: bool,
    /// It asks the service to copy.
    pub(crate) is_copy: bool,
    /// Of the object that Azure is to copy, as a header has it.
    pub(crate) copied_range: String,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Answer(u16),
    /// The same with a body.
    Say(u16, &'static str),
    /// It is done, and its answer does not arrive.
    Lose,
    /// No answer, ever.
    Hold,
}

type Judge = Box<dyn FnMut(&Seen) -> Verdict + Send>;

struct Shared {
    upstream: SocketAddr,
    client: reqwest::Client,
    judge: Mutex<Judge>,
    seen: Mutex<Vec<Seen>>,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
}

/// Stopped when dropped.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Relay {
    /// Passes everything on to `upstream`.
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        let client = reqwest::Client::builder()
            .http1_only()
            .no_gzip()
            .no_deflate()
            .redirect(reqwest::redirect::Policy::none());
        let shared = Arc::new(Shared {
            upstream,
            client: client.build().expect("a client"),
            judge: Mutex::new(Box::new(|_| Verdict::Pass)),
            seen: Mutex::default(),
            up_bytes: AtomicU64::new(0),
            down_bytes: AtomicU64::new(0),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        listener.set_nonblocking(true).expect("a fresh listener");
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            shared,
            runtime: Some(runtime),
        }
    }

    /// The URL with the relay's address in the place of what is behind it.
    pub(crate) fn through(&self, url: &str) -> String {
        url.replace(&self.shared.upstream.to_string(), &self.address.to_string())
    }

    /// From now on.
    pub(crate) fn judge(&self, judge: impl FnMut(&Seen) -> Verdict + Send + 'static) {
        *lock(&self.shared.judge) = Box::new(judge);
    }

    pub(crate) fn count(&self, matches: impl Fn(&Seen) -> bool) -> usize {
        lock(&self.shared.seen)
            .iter()
            .filter(|it| matches(it))
            .count()
    }

    /// Bytes of bodies that went to the service, and of ranges that came from it, since the last call.
    pub(crate) fn take_bytes(&self) -> (u64, u64) {
        (
            self.shared.up_bytes.swap(0, Ordering::Relaxed),
            self.shared.down_bytes.swap(0, Ordering::Relaxed),
        )
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A test that is asynchronous itself must not wait for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let has = |name: &str| parts.headers.contains_key(name);
    let seen = Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        is_ranged: parts.method == "GET" && (has("range") || has("x-ms-range")),
        is_conditional: parts
            .headers
            .get("if-none-match")
            .is_some_and(|it| it == "*"),
        is_copy: has("x-amz-copy-source") || has("x-ms-copy-source"),
        copied_range: match parts.headers.get("x-ms-source-range") {
            Some(range) => String::from_utf8_lossy(range.as_bytes()).into_owned(),
            None => String::new(),
        },
    };
    let verdict = lock(&shared.judge)(&seen);
    let is_ranged = seen.is_ranged;
    lock(&shared.seen).push(seen);
    match verdict {
        Verdict::Pass | Verdict::Lose => {}
        Verdict::Say(status, body) => return answer(status, HeaderMap::new(), body.into()),
        Verdict::Answer(status) => return answer(status, HeaderMap::new(), Bytes::new()),
        Verdict::Hold => std::future::pending().await,
    }
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    shared
        .up_bytes
        .fetch_add(body.len() as u64, Ordering::Relaxed);
    let url = format!("http://{}{}", shared.upstream, parts.uri);
    let request = shared.client.request(parts.method, url);
    let headers = without(parts.headers, &[header::HOST, header::TRANSFER_ENCODING]);
    let Ok(reply) = request.headers(headers).body(body).send().await else {
        return answer(502, HeaderMap::new(), Bytes::new());
    };
    let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
    let body = reply.bytes().await.unwrap_or_default();
    if verdict == Verdict::Lose {
        return answer(504, HeaderMap::new(), Bytes::new());
    }
    if is_ranged {
        shared
            .down_bytes
            .fetch_add(body.len() as u64, Ordering::Relaxed);
    }
    answer(status, headers, body)
}

fn without(mut headers: HeaderMap, names: &[HeaderName]) -> HeaderMap {
    for name in names {
        headers.remove(name);
    }
    headers
}

fn answer(status: u16, headers: HeaderMap, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status.try_into().expect("a status");
    *response.headers_mut() = without(headers, &[header::TRANSFER_ENCODING, header::CONNECTION]);
    response
}
