//! Listening: a runtime of its own, so that tests without one can use the fake, over TCP or TLS.

use std::net::TcpListener;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::exchange::serve;

/// Answers every connection to `listener` until the runtime ends.
pub(super) fn run(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("fake-registry")
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.spawn(async move {
        listener
            .set_nonblocking(true)
            .expect("a fresh listener can be configured");
        let listener =
            tokio::net::TcpListener::from_std(listener).expect("the runtime takes a listener");
        loop {
            let Ok((connection, _)) = listener.accept().await else {
                continue;
            };
            let _ = connection.set_nodelay(true);
            tokio::spawn(connect(connection, Arc::clone(&shared), tls.clone()));
        }
    });
    runtime
}

async fn connect(connection: tokio::net::TcpStream, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    let Some(tls) = tls else {
        return speak(connection, shared, false).await;
    };
    if let Ok(connection) = tls.accept(connection).await {
        let is_http2 = connection.get_ref().1.alpn_protocol() == Some(b"h2");
        speak(connection, shared, is_http2).await;
    }
}

/// Serves one connection. Its errors are the client's business, and the cuts that tests ask for.
async fn speak(
    connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
    is_http2: bool,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        serve(Arc::clone(&shared), request.map(Body::new))
    });
    let connection = TokioIo::new(connection);
    if is_http2 {
        let _ = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .serve_connection(connection, service)
            .await;
    } else {
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(connection, service)
            .await;
    }
}
