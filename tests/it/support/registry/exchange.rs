//! One request being answered: faults first, then authentication, then the part of the API it is for.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use bytes::Bytes;
use futures_util::StreamExt;

use super::answer::Answer;
use super::behaviour::Behaviour;
use super::fault::{Fault, RetryAfter};
use super::route::{Query, Route};
use super::{Shared, auth, blobs, body, harbor, lists, manifests, uploads};

/// The connection ends here, without a reply.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
pub(super) struct Cut;

pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) row: usize,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) behaviour: Behaviour,
    pub(super) fault: Option<Fault>,
    body: BodyDataStream,
}

pub(super) async fn serve(
    shared: Arc<Shared>,
    request: Request<Body>,
) -> Result<Response<Body>, Cut> {
    let mut exchange = Exchange::new(shared, request);
    let answer = exchange.answer().await;
    exchange.shared.log.note(exchange.row, |request| {
        request.status = answer.as_ref().ok().map(|answer| answer.status);
        request.ended = answer.is_err().then(Instant::now);
    });
    answer.map(|answer| exchange.send(answer))
}

impl Exchange {
    fn new(shared: Arc<Shared>, request: Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let row = shared.log.begin(&head.method, &head.uri, &head.headers);
        let path_and_query = head.uri.path_and_query().map_or("", |path| path.as_str());
        let fault = shared.rules().take(head.method.as_str(), path_and_query);
        let behaviour = shared.behaviour().clone();
        Self {
            behaviour,
            shared,
            row,
            method: head.method,
            path: head.uri.path().to_owned(),
            query: Query::of(head.uri.query().unwrap_or_default()),
            headers: head.headers,
            fault,
            body: body.into_data_stream(),
        }
    }

    async fn answer(&mut self) -> Result<Answer, Cut> {
        if let Some(fault) = self.fault.clone().filter(Fault::comes_first) {
            return self.answer_first(fault).await;
        }
        let route = Route::of(&self.path);
        let checked = auth::check(self, &route);
        let checked = checked.and_then(|()| harbor::check(self, &route));
        let mut answer = match checked {
            Ok(()) => self.answer_route(route).await?,
            Err(challenge) => {
                self.drain().await?;
                challenge
            }
        };
        self.distort(&mut answer)?;
        Ok(answer)
    }

    async fn answer_first(&mut self, fault: Fault) -> Result<Answer, Cut> {
        match fault {
            Fault::Cut => return Err(Cut),
            Fault::Hang => std::future::pending().await,
            _ => self.drain().await?,
        }
        Ok(match fault {
            Fault::Status(status) => Answer::refusal(status),
            Fault::Busy(status, retry_after) => busy(status, retry_after),
            Fault::Redirect(url) => Answer::new(307).header("location", &url),
            _ => Answer::new(500),
        })
    }

    async fn answer_route(&mut self, route: Route) -> Result<Answer, Cut> {
        if let (&Method::HEAD, Some(status)) = (&self.method, self.behaviour.head) {
            return Ok(Answer::refusal(status));
        }
        Ok(match route {
            Route::Base => Answer::new(200).json(&serde_json::json!({})),
            Route::Token => auth::token(self).await?,
            Route::Projects => harbor::projects(self).await?,
            Route::Catalog => lists::catalog(self),
            Route::Tags(repository) => lists::tags(self, &repository),
            Route::Referrers(repository, digest) => lists::referrers(self, &repository, &digest),
            Route::Manifest(repository, reference) => {
                manifests::answer(self, &repository, &reference).await?
            }
            Route::Blob(repository, digest) => blobs::answer(self, &repository, &digest),
            Route::Uploads(repository) => uploads::open(self, &repository).await?,
            Route::Session(repository, id) => uploads::answer(self, &repository, &id).await?,
            Route::Unknown => Answer::error(404, "UNSUPPORTED", "no such path"),
            Route::InvalidName => Answer::error(400, "NAME_INVALID", "invalid repository name"),
        })
    }

    /// What the fault changes in an answer that was right.
    fn distort(&self, answer: &mut Answer) -> Result<(), Cut> {
        match &self.fault {
            Some(Fault::CutReply) => return Err(Cut),
            Some(Fault::Header(name, value)) => {
                let value = HeaderValue::try_from(value).expect("a valid header value");
                answer.headers.insert(HeaderName::from_static(name), value);
            }
            Some(Fault::WithoutHeader(name)) => {
                answer.headers.remove(*name);
            }
            Some(fault) => answer.body = body::distorted(answer.body.clone(), fault),
            None => {}
        }
        Ok(())
    }

    fn send(&self, answer: Answer) -> Response<Body> {
        let bytes = if self.method == Method::HEAD {
            Bytes::new()
        } else {
            answer.body.clone()
        };
        let body = body::outgoing(&self.shared, self.row, bytes, self.fault.as_ref());
        answer.into_response(body)
    }

    /// The next piece of the request's body; `Cut` when the client has gone.
    pub(super) async fn next_piece(&mut self) -> Result<Option<Bytes>, Cut> {
        let Some(piece) = self.body.next().await else {
            return Ok(None);
        };
        let piece = piece.map_err(|_| Cut)?;
        let length = piece.len() as u64;
        self.shared
            .log
            .note(self.row, |request| request.received_bytes += length);
        Ok(Some(piece))
    }

    /// Reads the rest of the request, as servers do that want their reply to be read.
    pub(super) async fn drain(&mut self) -> Result<(), Cut> {
        while self.next_piece().await?.is_some() {}
        Ok(())
    }

    pub(super) async fn whole_body(&mut self) -> Result<Bytes, Cut> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next_piece().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn busy(status: u16, retry_after: RetryAfter) -> Answer {
    let mut answer = Answer::refusal(status);
    if let Some(value) = retry_after.header() {
        answer.headers.insert("retry-after", value);
    }
    answer
}
