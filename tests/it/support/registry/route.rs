//! Paths and queries of the distribution specification.

use airlift::oci::Repository;
use reqwest::Url;

/// What a path asks for. References and digests are still text: a hostile client may send anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Token,
    /// Of Harbor.
    Projects,
    Catalog,
    Tags(Repository),
    Manifest(Repository, String),
    Blob(Repository, String),
    Uploads(Repository),
    Session(Repository, String),
    Referrers(Repository, String),
    Unknown,
    InvalidName,
}

impl Route {
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/v2" | "/v2/" => return Self::Base,
            "/token" => return Self::Token,
            "/api/v2.0/projects" => return Self::Projects,
            "/v2/_catalog" => return Self::Catalog,
            _ => {}
        }
        let path = path.replace("%3A", ":").replace("%3a", ":");
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Self::Unknown;
        };
        Self::below_a_repository(rest)
    }

    fn below_a_repository(path: &str) -> Self {
        if let Some(name) = path.strip_suffix("/tags/list") {
            return named(name, Self::Tags);
        }
        let Some((rest, last)) = path.rsplit_once('/') else {
            return Self::Unknown;
        };
        let last = last.to_owned();
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            return named(name, |name| match last.as_str() {
                "" => Self::Uploads(name),
                _ => Self::Session(name, last.clone()),
            });
        }
        match rest.rsplit_once('/') {
            Some((name, "blobs")) if last == "uploads" => named(name, Self::Uploads),
            Some((name, "blobs")) => named(name, |name| Self::Blob(name, last)),
            Some((name, "manifests")) => named(name, |name| Self::Manifest(name, last)),
            Some((name, "referrers")) => named(name, |name| Self::Referrers(name, last)),
            _ => Self::Unknown,
        }
    }

    pub(super) fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Tags(name)
            | Self::Uploads(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Session(name, _)
            | Self::Referrers(name, _) => Some(name),
            Self::Base
            | Self::Token
            | Self::Projects
            | Self::Catalog
            | Self::Unknown
            | Self::InvalidName => None,
        }
    }
}

fn named(name: &str, route: impl FnOnce(Repository) -> Route) -> Route {
    name.parse().map_or(Route::InvalidName, route)
}

/// The decoded pairs of a query or of a form.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(text: &str) -> Self {
        let Ok(url) = Url::parse(&format!("http://query/?{text}")) else {
            return Self::default();
        };
        let pairs = url.query_pairs();
        Self(
            pairs
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

#[test]
fn repositories_may_be_called_like_parts_of_the_api() {
    let name: Repository = "a/blobs/manifests".parse().unwrap();
    let blob = Route::of("/v2/a/blobs/manifests/blobs/sha256%3Aab");
    assert_eq!(blob, Route::Blob(name.clone(), "sha256:ab".to_owned()));
    let uploads = Route::of("/v2/a/blobs/manifests/blobs/uploads/");
    assert_eq!(uploads, Route::Uploads(name.clone()));
    assert_eq!(
        Route::of("/v2/a/blobs/manifests/tags/list"),
        Route::Tags(name)
    );
    assert_eq!(Route::of("/v2/A/tags/list"), Route::InvalidName);
}
