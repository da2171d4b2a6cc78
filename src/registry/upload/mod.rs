//! Pushing a blob: an upload session, a body, and the way back in when it breaks.
//!
//! The whole blob goes in one streaming PUT; in pieces of 16 MiB where the registry wants it so, which is
//! remembered. After a break the registry is asked how much it has, and the content is read on from there.
//! Nothing is kept but the piece that is on its way.
//!
//! **Invariants.** The body comes from a verified stream, which withholds its last piece until the hash
//! agrees: no registry ever receives the end of something wrong. A session that will not be finished is
//! cancelled.
//!
//! Specification: distribution-spec, "Pushing blobs".

mod body;
mod session;

use std::sync::atomic::Ordering;

use self::session::{Session, Whereabouts};
use super::client::Client;
use super::error::{RegistryError, Result};
use crate::content::{BlobOutcome, Content};
use crate::oci::Repository;

/// Broken connections without any progress, after which a body in one piece is taken to be the reason.
const BREAKS_AS_A_WHOLE_MAX: usize = 2;

pub(super) async fn push(
    client: &Client,
    repository: &Repository,
    content: &Content,
    mount_from: Option<&Repository>,
) -> Result<BlobOutcome> {
    let _place = client.upload_place().await;
    let descriptor = content.descriptor();
    let mut first = None;
    if let Some(from) = mount_from.filter(|from| *from != repository) {
        first = session::mount(client, repository, from, &descriptor.digest).await?;
        if first.is_none() {
            return Ok(BlobOutcome::Mounted);
        }
    }
    let upload = Upload {
        client,
        repository,
        content,
    };
    upload.run(first).await?;
    Ok(BlobOutcome::Pushed)
}

struct Upload<'a> {
    client: &'a Client,
    repository: &'a Repository,
    content: &'a Content,
}

impl Upload<'_> {
    async fn run(&self, first: Option<Session>) -> Result<()> {
        let mut attempts = self.client.attempts();
        let mut session = first;
        let mut furthest = 0;
        let mut breaks = 0;
        loop {
            let in_pieces = self.goes_in_pieces(session.as_ref());
            let error = match self.go_on(&mut session, in_pieces).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let offset = session.as_ref().map_or(0, |session| session.offset);
            breaks += usize::from(error.answer().is_none());
            let is_too_big = wants_pieces(&error) || breaks >= BREAKS_AS_A_WHOLE_MAX;
            if is_too_big && offset == 0 && !in_pieces {
                self.turn_to_pieces();
                self.cancel(session.take()).await;
                continue;
            }
            if is_spoilt(&error, session.as_ref()) {
                self.cancel(session.take()).await;
                continue;
            }
            if let Err(error) = attempts.again(error).await {
                self.cancel(session).await;
                return Err(error);
            }
            session = match session {
                None => None,
                Some(broken) => match self.whereabouts(&broken).await? {
                    Whereabouts::Done => return Ok(()),
                    Whereabouts::Lost => None,
                    Whereabouts::At(found) => Some(found),
                },
            };
            let reached = session.as_ref().map_or(0, |session| session.offset);
            if reached > furthest {
                furthest = reached;
                breaks = 0;
                attempts.reset();
            }
        }
    }

    /// Takes the session, or a new one, to its end.
    async fn go_on(&self, session: &mut Option<Session>, in_pieces: bool) -> Result<()> {
        let session = match session {
            Some(session) => session,
            None => session.insert(session::start(self.client, self.repository).await?),
        };
        let size = self.content.descriptor().size;
        let in_pieces = in_pieces || session.wants_pieces();
        if size == 0 {
            // The hash of nothing is checked like any other.
            let nothing = self.content.open(0).await.map_err(body::of_content)?;
            nothing.into_bytes().await.map_err(body::of_content)?;
        } else if session.offset == 0 && !in_pieces {
            return session.put_whole(self.client, self.content).await;
        } else if session.offset < size && in_pieces {
            session.patch_pieces(self.client, self.content).await?;
        } else if session.offset < size {
            session.patch_rest(self.client, self.content).await?;
        }
        session.finish(self.client, self.content).await
    }

    fn goes_in_pieces(&self, session: Option<&Session>) -> bool {
        session.is_some_and(Session::wants_pieces)
            || self.client.habits.wants_pieces.load(Ordering::Relaxed)
    }

    fn turn_to_pieces(&self) {
        let known = &self.client.habits.wants_pieces;
        if !known.swap(true, Ordering::Relaxed) {
            let host = self.client.host();
            tracing::debug!(host, "uploads go in pieces from here on");
        }
    }

    async fn whereabouts(&self, session: &Session) -> Result<Whereabouts> {
        let descriptor = self.content.descriptor();
        session
            .whereabouts(self.client, self.repository, descriptor)
            .await
    }

    async fn cancel(&self, session: Option<Session>) {
        if let Some(session) = session {
            session.cancel(self.client).await;
        }
    }
}

/// Statuses with which registries and the proxies before them refuse a body in one piece. An answer that
/// names another reason is taken at its word.
fn wants_pieces(error: &RegistryError) -> bool {
    let Some(answer) = error.answer() else {
        return false;
    };
    let named = [
        "DIGEST_INVALID",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "DENIED",
        "UNAUTHORIZED",
    ];
    matches!(answer.status.as_u16(), 400 | 405 | 411 | 413 | 416) && !answer.has_code(&named)
}

/// A digest that does not fit although every byte was checked: the pieces of a resumed upload were put
/// together wrongly over there. It is worth one upload from the beginning.
fn is_spoilt(error: &RegistryError, session: Option<&Session>) -> bool {
    let is_resumed = session.is_some_and(|session| session.is_resumed);
    let is_refused = error.answer().is_some_and(|answer| {
        answer.has_code(&["DIGEST_INVALID"]) || answer.status.as_u16() == 416
    });
    is_resumed && is_refused
}
