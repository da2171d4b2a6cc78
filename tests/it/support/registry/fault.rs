//! Faults that strike the next requests of a kind, and pass.
//!
//! Rules are asked in the order in which they were added; the first that matches a request is the only one
//! that strikes it.

use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::http::HeaderValue;

/// Which requests a fault strikes.
#[derive(Clone, Debug)]
pub(crate) struct When {
    method: Option<&'static str>,
    path: String,
    skip: usize,
    times: Option<usize>,
}

impl When {
    /// The next request of any method whose path, with its query, contains `path`.
    pub(crate) fn any(path: &str) -> Self {
        Self {
            method: None,
            path: path.to_owned(),
            skip: 0,
            times: Some(1),
        }
    }

    fn with(method: &'static str, path: &str) -> Self {
        Self {
            method: Some(method),
            ..Self::any(path)
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::with("GET", path)
    }

    pub(crate) fn head(path: &str) -> Self {
        Self::with("HEAD", path)
    }

    pub(crate) fn put(path: &str) -> Self {
        Self::with("PUT", path)
    }

    pub(crate) fn patch(path: &str) -> Self {
        Self::with("PATCH", path)
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::with("POST", path)
    }

    pub(crate) fn delete(path: &str) -> Self {
        Self::with("DELETE", path)
    }

    /// The next `times` requests instead of the next one.
    pub(crate) fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    pub(crate) fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Lets the first `skip` matching requests pass.
    pub(crate) fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }

    fn strikes(&mut self, method: &str, path: &str) -> bool {
        let matches =
            self.method.is_none_or(|wanted| wanted == method) && path.contains(&self.path);
        if !matches || self.times == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Some(times) = &mut self.times {
            *times -= 1;
        }
        true
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum RetryAfter {
    Seconds(u64),
    /// An HTTP date that many seconds from now.
    Date(u64),
    Nothing,
}

/// What happens to a request that is struck.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Refused with this status, and nothing done.
    Status(u16),
    /// 429 or 503, and when to come back.
    Busy(u16, RetryAfter),
    /// 307 to this URL.
    Redirect(String),
    /// The connection is closed before anything is done.
    Cut,
    /// The request is carried out, and the connection closed without a reply.
    CutReply,
    /// No reply, ever.
    Hang,
    /// The connection is closed after this many bytes of the reply's body.
    CutDownload(u64),
    /// Nothing more comes after this many bytes of the reply's body.
    StallDownload(u64),
    /// The connection is closed after this many bytes of the request's body were stored.
    CutUpload(u64),
    /// One bit of this byte of the reply's body is wrong.
    FlipByte(usize),
    /// The reply's body has these bytes more than it should, and says so.
    Longer(usize),
    /// The reply's body has these bytes less than it should, and says so.
    Shorter(usize),
    /// The reply's body is another one.
    Body(Bytes),
    /// The reply says this in the header of this name, such as `docker-content-digest`.
    Header(&'static str, String),
    WithoutHeader(&'static str),
}

impl Fault {
    /// Whether the request is answered by the fault alone.
    pub(super) fn comes_first(&self) -> bool {
        matches!(
            self,
            Self::Status(_) | Self::Busy(..) | Self::Redirect(_) | Self::Cut | Self::Hang
        )
    }
}

impl RetryAfter {
    pub(super) fn header(self) -> Option<HeaderValue> {
        let text = match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Date(seconds) => {
                httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))
            }
            Self::Nothing => return None,
        };
        HeaderValue::try_from(text).ok()
    }
}

/// All faults that are still to strike.
#[derive(Default)]
pub(super) struct Rules(Vec<(When, Fault)>);

impl Rules {
    pub(super) fn add(&mut self, when: When, fault: Fault) {
        self.0.push((when, fault));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn take(&mut self, method: &str, path: &str) -> Option<Fault> {
        self.0
            .iter_mut()
            .find_map(|(when, fault)| when.strikes(method, path).then(|| fault.clone()))
    }
}
