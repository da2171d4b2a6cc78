//! Referrers: what points to a subject, complete or an error.
//!
//! The referrers API is asked first; a 404 leads to the index under the fallback tag. Only where that is
//! not there either is the list empty. A repository that has no such API is asked once.
//!
//! Specification: distribution-spec, "Listing Referrers".

use serde::Deserialize;
use std::collections::HashSet;

use super::auth::Scope;
use super::client::Client;
use super::error::{RegistryError, Result};
use super::listing::Pages;
use super::manifests;
use super::referrers_api::ReferrersApi;
use crate::content::Referrer;
use crate::oci::{Descriptor, Digest, Pin, Repository, Tag, media_type};

/// More are not taken for one subject. Source: design, limits.
pub(super) const REFERRERS_MAX: usize = 1000;

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: u64,
    artifact_type: Option<String>,
}

impl From<Entry> for Referrer {
    fn from(entry: Entry) -> Self {
        Self {
            descriptor: Descriptor::new(&entry.media_type, entry.digest, entry.size),
            artifact_type: entry.artifact_type.filter(|text| !text.is_empty()),
        }
    }
}

pub(super) async fn list(
    client: &Client,
    repository: &Repository,
    subject: &Digest,
) -> Result<Vec<Referrer>> {
    if let Some(found) = ask(client, repository, subject).await? {
        return Ok(found);
    }
    by_tag(client, repository, subject).await
}

/// Whether the repository finds referrers by itself, asked for if that is not known yet.
pub(super) async fn has_api(
    client: &Client,
    repository: &Repository,
    subject: &Digest,
) -> Result<bool> {
    let apis = &client.habits.referrers;
    if apis.of(repository) == ReferrersApi::Unknown {
        ask(client, repository, subject).await?;
    }
    Ok(apis.of(repository) == ReferrersApi::Present)
}

/// `None` where the API is not there, which is asked once.
async fn ask(
    client: &Client,
    repository: &Repository,
    subject: &Digest,
) -> Result<Option<Vec<Referrer>>> {
    let apis = &client.habits.referrers;
    let _turn = apis.first_question(repository).await;
    if apis.of(repository) == ReferrersApi::Missing {
        return Ok(None);
    }
    let found = by_api(client, repository, subject).await;
    apis.note_asked(repository);
    found
}

/// `None` where the API is not there.
async fn by_api(
    client: &Client,
    repository: &Repository,
    subject: &Digest,
) -> Result<Option<Vec<Referrer>>> {
    let url = client.url(repository, &format!("referrers/{subject}"));
    let mut pages = Pages::new(client, url, Scope::Pull(repository.clone()));
    let mut found = Found::default();
    loop {
        let page = match pages.next().await {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(Some(found.referrers)),
            Err(error) if error.is_not_found() && found.is_first_page() => {
                note_missing(client, repository, &error);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let media_type = manifests::content_type(pages.headers());
        if media_type != media_type::OCI_INDEX {
            return Err(RegistryError::malformed(
                client.host(),
                format!("its list of referrers has the media type `{media_type}`"),
            ));
        }
        let apis = &client.habits.referrers;
        apis.set(repository, ReferrersApi::Present);
        found.add(client, &page)?;
    }
}

/// A 404 for an unknown repository or subject says nothing about the API.
fn note_missing(client: &Client, repository: &Repository, error: &RegistryError) {
    let is_about_the_name = error
        .answer()
        .is_some_and(|answer| answer.has_code(&["NAME_UNKNOWN", "MANIFEST_UNKNOWN"]));
    let apis = &client.habits.referrers;
    if !is_about_the_name && apis.of(repository) == ReferrersApi::Unknown {
        tracing::debug!(host = client.host(), %repository, "there is no referrers API");
        apis.set(repository, ReferrersApi::Missing);
    }
}

async fn by_tag(
    client: &Client,
    repository: &Repository,
    subject: &Digest,
) -> Result<Vec<Referrer>> {
    let pin = Pin::Tag(Tag::of_referrers(subject));
    let document = match manifests::fetch(client, repository, &pin).await {
        Ok(document) => document,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    if !media_type::is_index(&document.media_type) {
        return Err(RegistryError::malformed(
            client.host(),
            format!("what is tagged `{pin}` is not an index"),
        ));
    }
    let mut found = Found::default();
    found.add(client, &document.bytes)?;
    Ok(found.referrers)
}

#[derive(Default)]
struct Found {
    pages: usize,
    referrers: Vec<Referrer>,
    digests: HashSet<Digest>,
}

impl Found {
    fn is_first_page(&self) -> bool {
        self.pages == 0
    }

    fn add(&mut self, client: &Client, page: &[u8]) -> Result<()> {
        self.pages += 1;
        let index: Index = serde_json::from_slice(page).map_err(|_| {
            RegistryError::malformed(client.host(), "its list of referrers is not an index")
        })?;
        let entries = index.manifests.unwrap_or_default().into_iter();
        let digests = &mut self.digests;
        self.referrers.extend(
            entries
                .map(Referrer::from)
                .filter(|referrer| digests.insert(referrer.descriptor.digest.clone())),
        );
        if self.referrers.len() > REFERRERS_MAX || self.pages > REFERRERS_MAX {
            let what = format!("lists more than {REFERRERS_MAX} referrers of one subject");
            return Err(RegistryError::refused(client.host(), what));
        }
        Ok(())
    }
}
