//! Lists that come in pages: tags, repositories, referrers.
//!
//! Pages follow `Link`; where a full page has none, the list is continued behind its last name. A registry
//! may be hostile: pages, names and bytes are bounded, a link to another host or to a page that was read
//! already is refused, and names that are none are left out with a warning.
//!
//! Specification: distribution-spec, "Listing Tags"; RFC 8288; distribution, "Listing Repositories".

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;
use std::str::FromStr;

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;

use super::auth::Scope;
use super::client::{Ask, Client};
use super::error::{RegistryError, Result};
use crate::content::escape_control;
use crate::oci::{Repository, Tag};

const PAGE_SIZE_WANTED: usize = 1000;
const PAGE_SIZE_MAX_BYTES: u64 = 32 << 20;
const PAGES_MAX: usize = 10_000;
const NAMES_MAX: usize = 1_000_000;

#[derive(Deserialize)]
struct TagsPage {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct CatalogPage {
    repositories: Option<Vec<String>>,
}

pub(super) async fn tags(client: &Client, repository: &Repository) -> Result<Vec<Tag>> {
    let url = client.url(repository, &format!("tags/list?n={PAGE_SIZE_WANTED}"));
    let scope = Scope::Pull(repository.clone());
    let read = |page: TagsPage| page.tags.unwrap_or_default();
    names(client, url, scope, read).await
}

pub(super) async fn repositories(client: &Client) -> Result<Vec<Repository>> {
    let url = client.root_url(&format!("_catalog?n={PAGE_SIZE_WANTED}"));
    let read = |page: CatalogPage| page.repositories.unwrap_or_default();
    names(client, url, Scope::Catalog, read)
        .await
        .map_err(|error| {
            let status = error.answer().map(|answer| answer.status.as_u16());
            if !matches!(status, Some(404 | 405 | 501)) {
                return error;
            }
            RegistryError::Unsupported {
                host: client.host().to_owned(),
                what: "has no catalog of its repositories".to_owned(),
            }
        })
}

async fn names<P, N>(
    client: &Client,
    first: Url,
    scope: Scope,
    read: impl Fn(P) -> Vec<String>,
) -> Result<Vec<N>>
where
    P: for<'de> Deserialize<'de>,
    N: FromStr + Clone + Eq + Hash,
    N::Err: Display,
{
    let mut pages = Pages::new(client, first.clone(), scope);
    let mut found = Vec::new();
    let mut known = HashSet::new();
    while let Some(page) = pages.next().await? {
        let page: P = serde_json::from_slice(&page).map_err(|_| {
            RegistryError::malformed(client.host(), "its list is not the JSON of one")
        })?;
        let names = read(page);
        let known_before = known.len();
        for name in &names {
            match name.parse::<N>() {
                Ok(name) if known.insert(name.clone()) => found.push(name),
                Ok(_) => {}
                Err(_) => {
                    let shown: String = escape_control(name).chars().take(200).collect();
                    tracing::warn!(host = client.host(), name = shown, "left out: not a name");
                }
            }
        }
        if found.len() > NAMES_MAX {
            let what = format!("lists more than {NAMES_MAX} names");
            return Err(RegistryError::refused(client.host(), what));
        }
        // A full page without a link may still not be the last one.
        if names.len() >= PAGE_SIZE_WANTED && !pages.has_next() && known.len() > known_before {
            pages.continue_at(names.last().map(|last| behind(&first, last)));
        }
    }
    Ok(found)
}

fn behind(first: &Url, last: &str) -> Url {
    let mut url = first.clone();
    url.query_pairs_mut().append_pair("last", last);
    url
}

/// The pages of one list, each fetched at most once.
pub(super) struct Pages<'a> {
    client: &'a Client,
    ask: Ask,
    next: Option<Url>,
    seen: HashSet<Url>,
    headers: HeaderMap,
}

impl<'a> Pages<'a> {
    pub(super) fn new(client: &'a Client, first: Url, scope: Scope) -> Self {
        Self {
            client,
            ask: Ask::get(first.clone(), scope),
            next: Some(first),
            seen: HashSet::new(),
            headers: HeaderMap::new(),
        }
    }

    /// What the last page came with.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn has_next(&self) -> bool {
        self.next.is_some()
    }

    fn continue_at(&mut self, next: Option<Url>) {
        self.next = next;
    }

    pub(super) async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        let Some(url) = self.next.take() else {
            return Ok(None);
        };
        let refused = |what: &str| RegistryError::refused(self.client.host(), what.to_owned());
        if !self.seen.insert(url.clone()) {
            return Err(refused("links the pages of a list in a circle"));
        }
        if self.seen.len() > PAGES_MAX {
            return Err(refused("gives a list in more pages than it can need"));
        }
        self.ask.url = url;
        let (headers, page) = self.client.fetch(&self.ask, PAGE_SIZE_MAX_BYTES).await?;
        if let Some(link) = next_link(&headers) {
            let next = self.ask.url.join(&link);
            let next = next.map_err(|_| refused("links to a page that is not a URL"))?;
            if !self.client.wire.is_own(&next) {
                return Err(refused("links a list to another host"));
            }
            self.next = Some(next);
        }
        self.headers = headers;
        Ok(Some(page))
    }
}

/// The target of the link whose relation is `next`.
fn next_link(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(next_target)
}

/// `<target>; rel="next"`, among others. Targets hold commas and semicolons, so they are cut out first.
pub(super) fn next_target(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, behind)) = rest.split_once('<') {
        let (target, behind) = behind.split_once('>')?;
        let end = behind.find('<').unwrap_or(behind.len());
        let is_next = behind[..end].split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let mut relations = value.trim().trim_matches('"').split_whitespace();
            name.trim().eq_ignore_ascii_case("rel")
                && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.to_owned());
        }
        rest = behind;
    }
    None
}
