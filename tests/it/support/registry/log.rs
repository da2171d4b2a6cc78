//! What the fake registry was asked, and what it answered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, Uri, header};

/// How a request showed who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authorization {
    None,
    Basic,
    Bearer,
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) host: String,
    pub(crate) range: Option<String>,
    pub(crate) content_range: Option<String>,
    pub(crate) authorization: Authorization,
    /// Bytes of the request's body that arrived.
    pub(crate) received_bytes: u64,
    /// Bytes of the reply's body that were sent.
    pub(crate) sent_bytes: u64,
    /// `None` while there is no reply, and when the connection was cut instead.
    pub(crate) status: Option<u16>,
    pub(crate) started: Instant,
    pub(crate) ended: Option<Instant>,
}

impl Request {
    fn new(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let text = |name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let host = text(header::HOST).or_else(|| Some(uri.authority()?.to_string()));
        Self {
            method: method.clone(),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            host: host.unwrap_or_default(),
            range: text(header::RANGE),
            content_range: text(header::CONTENT_RANGE),
            authorization: authorization(text(header::AUTHORIZATION).as_deref()),
            received_bytes: 0,
            sent_bytes: 0,
            status: None,
            started: Instant::now(),
            ended: None,
        }
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        (method == "*" || self.method.as_str() == method)
            && format!("{}?{}", self.path, self.query).contains(path)
    }
}

fn authorization(value: Option<&str>) -> Authorization {
    match value.map(|value| value.split(' ').next().unwrap_or_default()) {
        None => Authorization::None,
        Some(scheme) if scheme.eq_ignore_ascii_case("basic") => Authorization::Basic,
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer") => Authorization::Bearer,
        Some(_) => Authorization::Other,
    }
}

/// All requests in the order in which they began. A method of `*` means all methods; a path is matched as
/// a part of path and query.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<Request>>);

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> usize {
        let mut requests = self.lock();
        requests.push(Request::new(method, uri, headers));
        requests.len() - 1
    }

    /// Changes the request `row`, if the log was not cleared meanwhile.
    pub(super) fn note(&self, row: usize, change: impl FnOnce(&mut Request)) {
        if let Some(request) = self.lock().get_mut(row) {
            change(request);
        }
    }

    pub(crate) fn all(&self) -> Vec<Request> {
        self.lock().clone()
    }

    pub(crate) fn matching(&self, method: &str, path: &str) -> Vec<Request> {
        let mut requests = self.all();
        requests.retain(|request| request.matches(method, path));
        requests
    }

    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.matching(method, path).len()
    }

    /// The `Range` headers of matching requests, in order.
    pub(crate) fn ranges(&self, path: &str) -> Vec<String> {
        let requests = self.matching("GET", path).into_iter();
        requests.filter_map(|request| request.range).collect()
    }

    /// Bytes of blobs that arrived here.
    pub(crate) fn bytes_uploaded(&self) -> u64 {
        let requests = self.matching("*", "/blobs/uploads/").into_iter();
        requests.map(|request| request.received_bytes).sum()
    }

    /// Bytes of blobs that left here.
    pub(crate) fn bytes_downloaded(&self) -> u64 {
        let requests = self.matching("GET", "/blobs/").into_iter();
        requests.map(|request| request.sent_bytes).sum()
    }

    /// How many matching requests were under way at the same time, at most.
    pub(crate) fn concurrency_max(&self, method: &str, path: &str) -> usize {
        let requests = self.matching(method, path);
        let under_way = |at: Instant| {
            let spans = requests.iter();
            spans
                .filter(|other| other.started <= at && other.ended.is_none_or(|end| end > at))
                .count()
        };
        let peaks = requests.iter().map(|request| under_way(request.started));
        peaks.max().unwrap_or(0)
    }

    /// The time between the beginnings of each matching request and the next.
    pub(crate) fn gaps(&self, method: &str, path: &str) -> Vec<Duration> {
        let requests = self.matching(method, path);
        let pairs = requests.iter().zip(requests.iter().skip(1));
        pairs
            .map(|(first, second)| second.started - first.started)
            .collect()
    }

    /// One line a request, for a failing test to show.
    pub(crate) fn lines(&self) -> String {
        let line = |request: &Request| {
            let Request {
                method,
                path,
                query,
                status,
                range,
                ..
            } = request;
            format!("{method} {path}?{query} {range:?} -> {status:?}\n")
        };
        self.lock().iter().map(line).collect()
    }

    /// Forgets everything so far. Only while no request is under way.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }
}
