//! How the fake registry behaves until told otherwise. The default is a registry that does everything
//! right; each field takes one thing away. Faults that pass by themselves are in `fault`.

use std::collections::BTreeMap;
use std::time::Duration;

use airlift::oci::Tag;

#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "every field is one switch of its own, thrown by name"
)]
pub(crate) struct Behaviour {
    pub(crate) auth: Auth,
    /// `false`: the catalog is 404.
    pub(crate) catalog: bool,
    /// The most entries that a page of a list holds, whatever the client asks for.
    pub(crate) page_size_max: usize,
    pub(crate) paging: Paging,
    /// Listed among the tags of every repository as they stand here, valid or not.
    pub(crate) strange_tags: Vec<String>,
    pub(crate) referrers: Referrers,
    /// `false`: every blob is sent whole with 200.
    pub(crate) ranges: bool,
    /// `false`: a mount is answered with 202 and an upload session.
    pub(crate) mounts: bool,
    /// The status of every HEAD, where it is not the right one.
    pub(crate) head: Option<u16>,
    pub(crate) uploads: Uploads,
    /// `false`: the reply to a manifest has no `Location`.
    pub(crate) manifest_location: bool,
    /// Whether a manifest is refused when a blob of it is missing.
    pub(crate) checks_blobs: bool,
    /// Whether an index is refused when a child of it is missing.
    pub(crate) checks_children: bool,
    /// Whether a tag on incomplete content is a violation. Off only for indexes that are sparse on purpose.
    pub(crate) watches_completeness: bool,
    pub(crate) sha512_blobs: bool,
    pub(crate) sha512_manifests: bool,
    pub(crate) deletes: bool,
    /// Tags that cannot be written, and the status that says so.
    pub(crate) refused_tags: BTreeMap<Tag, u16>,
    pub(crate) blob_redirect: Option<Redirect>,
    /// It is one of Harbor.
    pub(crate) harbor: Option<Harbor>,
}

/// What Harbor has beside the specification.
#[derive(Clone, Debug)]
pub(crate) struct Harbor {
    pub(crate) login: Login,
    /// Whether the login may ask which projects there are.
    pub(crate) may_ask: bool,
    pub(crate) may_create: bool,
    /// By name, and whether everybody sees them.
    pub(crate) projects: BTreeMap<String, bool>,
}

/// Who may come in, and how they show it.
#[derive(Clone, Debug)]
pub(crate) enum Auth {
    Open,
    Basic(Login),
    Bearer(Bearer),
}

#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Login {
    pub(crate) fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }
}

/// Tokens from `/token` of the same fake. `Bearer::open()` gives everybody what they ask for.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "every field is one switch of its own, thrown by name"
)]
pub(crate) struct Bearer {
    /// Who gets tokens; `None` is everybody.
    pub(crate) login: Option<Login>,
    /// With a login: whether the others get tokens to pull.
    pub(crate) anonymous_pull: bool,
    /// What a POST to the token endpoint exchanges for a token; handed out too where a client asks for it.
    pub(crate) refresh_token: Option<String>,
    /// `false`: a POST to the token endpoint is 405.
    pub(crate) post: bool,
    /// The whole URL that the challenge names instead of this fake's own `/token`.
    pub(crate) realm: Option<String>,
    /// Seconds that the reply announces.
    pub(crate) expires_in: Option<u64>,
    /// How long a token really works.
    pub(crate) valid_for: Option<Duration>,
    /// How many requests a token really works for.
    pub(crate) uses: Option<usize>,
    /// `true`: the token stands in `access_token` alone.
    pub(crate) only_access_token: bool,
    /// `true`: mounting without `pull` on the other repository is a refusal, not a miss.
    pub(crate) strict_mounts: bool,
}

impl Bearer {
    pub(crate) fn open() -> Self {
        Self {
            login: None,
            anonymous_pull: false,
            refresh_token: None,
            post: true,
            realm: None,
            expires_in: Some(300),
            valid_for: None,
            uses: None,
            only_access_token: false,
            strict_mounts: false,
        }
    }

    pub(crate) fn of(login: Login) -> Self {
        Self {
            login: Some(login),
            ..Self::open()
        }
    }
}

/// How a list tells that it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Paging {
    /// `Link` with a path.
    Relative,
    /// `Link` with a URL of this fake.
    Absolute,
    /// `Link` to the page that is being read.
    Loop,
    /// `Link` to the same path at this URL, such as `http://10.0.0.1`.
    Elsewhere(String),
    /// No `Link`; whoever asks with `last` is answered.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Referrers {
    Served,
    /// Before version 1.1 of the specification: 404, and a subject is not noticed.
    Unsupported,
    /// The API is there and answers this.
    Status(u16),
}

#[derive(Clone, Debug)]
pub(crate) struct Uploads {
    /// The status of a PUT that brings the whole blob.
    pub(crate) monolithic: Option<u16>,
    /// Requests with a larger body are 413, as behind some proxies.
    pub(crate) request_bytes_max: Option<u64>,
    /// Announced as `OCI-Chunk-Min-Length`; only the last chunk may be shorter.
    pub(crate) chunk_bytes_min: Option<u64>,
    pub(crate) location: Location,
    /// `false`: a POST with `digest` opens a session and ignores the body.
    pub(crate) single_post: bool,
}

/// How an upload session is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Absolute,
    Relative,
    /// A query that must come back.
    Query,
    /// As Docker's registry: a query that holds the offset; with an old one the session is lost.
    State,
    Missing,
}

/// Where a GET of a blob is sent, with 307.
#[derive(Clone, Debug)]
pub(crate) enum Redirect {
    /// The same path at this URL.
    To(String),
    /// To itself, for ever.
    Loop,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            auth: Auth::Open,
            catalog: true,
            page_size_max: 1000,
            paging: Paging::Relative,
            strange_tags: Vec::new(),
            referrers: Referrers::Served,
            ranges: true,
            mounts: true,
            head: None,
            uploads: Uploads::default(),
            manifest_location: true,
            checks_blobs: true,
            checks_children: true,
            watches_completeness: true,
            sha512_blobs: true,
            sha512_manifests: true,
            deletes: true,
            refused_tags: BTreeMap::new(),
            blob_redirect: None,
            harbor: None,
        }
    }
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            monolithic: None,
            request_bytes_max: None,
            chunk_bytes_min: None,
            location: Location::Absolute,
            single_post: true,
        }
    }
}
