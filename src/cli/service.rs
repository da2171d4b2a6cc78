//! What supervisors ask of a daemon: readiness, liveness, and a stop that waits for what is under way.
//!
//! systemd is told by its notification socket (`sd_notify(3)`); others ask `GET /ready` and `GET /health` over HTTP.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

/// A watch that has not finished a step for longer than this many intervals is not healthy.
const SILENT_INTERVALS_MAX: u32 = 10;
/// A step may take this long whatever the interval is.
const SILENCE_MAX: Duration = Duration::from_mins(10);

/// While it is not ready, the supervisor is asked for this much more time: longer than any pause between tries.
const START_EXTENSION: Duration = Duration::from_mins(10);

/// The supervisor is told of life at most this often.
const SIGN_INTERVAL_MS: u64 = 1000;

/// What the daemon knows about itself.
#[derive(Clone)]
pub(super) struct Liveness {
    is_ready: Arc<AtomicBool>,
    last_sign_ms: Arc<AtomicU64>,
    started: Instant,
    silence_max: Duration,
    scope: Scope,
}

/// Whether the supervisor is told of what one part of the daemon has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Daemon,
    Part,
}

impl Liveness {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            is_ready: Arc::new(AtomicBool::new(false)),
            last_sign_ms: Arc::new(AtomicU64::new(0)),
            started: Instant::now(),
            silence_max: SILENCE_MAX.max(interval * SILENT_INTERVALS_MAX),
            scope: Scope::Daemon,
        }
    }

    /// Of a part of the daemon: its signs are the daemon's, and its readiness and status are its own.
    pub(super) fn part(&self) -> Self {
        Self {
            is_ready: Arc::new(AtomicBool::new(false)),
            scope: Scope::Part,
            ..self.clone()
        }
    }

    /// The first listing is complete: supervisors may start what depends on the watch.
    pub(super) fn become_ready(&self) {
        if !self.is_ready.swap(true, Ordering::Relaxed) && self.scope == Scope::Daemon {
            notify_supervisor("READY=1");
        }
    }

    /// It is not ready, for a reason that may pass: that is no reason to be ended.
    pub(super) fn ask_for_time(&self) {
        if !self.is_ready() && self.scope == Scope::Daemon {
            let micros = START_EXTENSION.as_micros();
            notify_supervisor(&format!("EXTEND_TIMEOUT_USEC={micros}"));
        }
    }

    /// What a supervisor shows beside the name of the service; one line.
    pub(super) fn tell_status(&self, status: &str) {
        if self.scope == Scope::Daemon {
            notify_supervisor(&format!("STATUS={status}"));
        }
    }

    /// A sign of life: something has moved, or was tried.
    pub(super) fn sign(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.last_sign_ms.swap(now, Ordering::Relaxed);
        // Every piece of content that moves is a sign; the supervisor need not hear of each.
        if now / SIGN_INTERVAL_MS != last / SIGN_INTERVAL_MS {
            notify_supervisor("WATCHDOG=1");
        }
    }

    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    fn is_healthy(&self) -> bool {
        let last = Duration::from_millis(self.last_sign_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last) <= self.silence_max
    }
}

/// Tells systemd, where it listens. Nobody else does, and then nothing happens.
pub(super) fn notify_supervisor(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let Ok(socket) = UnixDatagram::unbound() else {
        return;
    };
    let sent = match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            std::os::unix::net::SocketAddr::from_abstract_name(name)
                .and_then(|address| socket.send_to_addr(state.as_bytes(), &address))
        }
        None => socket.send_to(state.as_bytes(), &path),
    };
    if let Err(error) = sent {
        tracing::warn!(%error, "the supervisor cannot be told");
    }
}

/// Answers `/ready` and `/health` until the program ends.
pub(super) async fn serve_health(
    address: SocketAddr,
    liveness: Liveness,
) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on `{address}`"))?;
    let bound = listener.local_addr().context("cannot listen")?;
    let ready = liveness.clone();
    let answer = |is_right: bool, yes: &'static str, no: &'static str| match is_right {
        true => (StatusCode::OK, yes),
        false => (StatusCode::SERVICE_UNAVAILABLE, no),
    };
    let routes = Router::new()
        .route(
            "/ready",
            get(move || async move { answer(ready.is_ready(), "ready\n", "not ready yet\n") }),
        )
        .route(
            "/health",
            get(move || async move {
                answer(
                    liveness.is_healthy(),
                    "healthy\n",
                    "nothing was tried for too long\n",
                )
            }),
        );
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "health can no longer be asked for");
        }
    });
    Ok(bound)
}

/// Cancelled by the first SIGTERM or SIGINT.
pub(super) fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let signals = super::Signals::listen();
    tokio::spawn(async move {
        let _name = signals.wait().await;
        notify_supervisor("STOPPING=1");
        stopping.cancel();
    });
    stop
}
