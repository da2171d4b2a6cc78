//! The wire: one HTTP client per registry, the rules for the places it may be sent to, and the silence
//! after which a peer is given up.
//!
//! Redirects are not followed here, bodies are not decoded, and nothing is tried twice.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, Url};

use super::addresses::{AddressGuard, GuardedResolver, is_loopback};
use super::error::{Answer, RegistryError, Result};
use super::options::{RegistryOptions, Transport};
use super::retry::is_retried;
use crate::http::{self, Patience};

/// How much of an error body is read.
const REFUSAL_SIZE_MAX_BYTES: usize = 64 << 10;

/// Connections to one registry and to where it sends us.
pub(super) struct Wire {
    http: Client,
    guard: Arc<AddressGuard>,
    patience: Patience,
    /// The registry as the user wrote it.
    pub(super) host: String,
    /// The root of the registry.
    pub(super) base: Url,
    pub(super) options: RegistryOptions,
}

impl Wire {
    pub(super) fn new(host: &str, options: RegistryOptions) -> Result<Self> {
        let base = base(host, &options)?;
        let guard = Arc::new(AddressGuard::new(&base, options.private_addresses));
        let authorities = authorities(host, &options)?;
        Ok(Self {
            http: client(host, &options, &guard, &authorities)?,
            guard,
            patience: Patience::default(),
            host: host.to_owned(),
            base,
            options,
        })
    }

    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// What people call the place behind `url`.
    pub(super) fn name_of(&self, url: &Url) -> String {
        if self.is_own(url) {
            return self.host.clone();
        }
        let host = url.host_str().unwrap_or_default();
        url.port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Judges `to`, to which an answer of `from` sends us.
    pub(super) fn admit(&self, from: &Url, mut to: Url, does_what: &str) -> Result<Url> {
        let refused = |reason: &str| {
            let place = self.name_of(&to);
            RegistryError::refused(&self.host, format!("{does_what} `{place}` {reason}"))
        };
        match (from.scheme(), to.scheme()) {
            (_, "https") | ("http", "http") => {}
            ("https", "http") => return Err(refused("without TLS")),
            _ => return Err(refused("by something else than HTTP")),
        }
        self.guard
            .admit(&to)
            .map_err(|_| refused("on a loopback, link-local or private address"))?;
        // Whoever gives us a login for another place does not get it used.
        if !to.username().is_empty() || to.password().is_some() {
            let _ = to.set_username("");
            let _ = to.set_password(None);
        }
        to.set_fragment(None);
        Ok(to)
    }

    /// Credentials travel encrypted or not at all; to this machine they do not travel.
    pub(super) fn require_confidential(&self, to: &Url) -> Result<()> {
        if to.scheme() == "https" || (is_loopback(to) && is_loopback(&self.base)) {
            return Ok(());
        }
        Err(RegistryError::Login {
            host: self.host.clone(),
            reason: format!(
                "credentials would travel to `{}` without TLS",
                self.name_of(to)
            ),
        })
    }

    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// The finished request, and the name of the place that it goes to.
    pub(super) fn prepared(&self, request: RequestBuilder) -> Result<(reqwest::Request, String)> {
        let request = request
            .build()
            .map_err(|cause| RegistryError::connection(&self.host, cause))?;
        let name = self.name_of(request.url());
        Ok((request, name))
    }

    /// Sends, and waits for the head of the answer, whatever its status.
    pub(super) async fn execute(&self, request: reqwest::Request) -> Result<Response> {
        let name = self.name_of(request.url());
        let method = request.method().clone();
        let path = request.url().path().to_owned();
        let answer = self.in_time(&name, self.http.execute(request));
        // What is only read is there or not, and takes no long work to answer.
        let answered = match method.is_safe() {
            true => self.patience.wait(&name, answer).await,
            false => answer.await,
        };
        let response = self.notice(&name, answered.and_then(|it| to_answer(&name, it)))?;
        let status = response.status().as_u16();
        tracing::debug!(host = name, %method, path, status, "answered");
        Ok(response)
    }

    /// As `execute`, for a request whose body takes as long as it takes; the caller watches over it.
    pub(super) async fn execute_unhurried(&self, request: reqwest::Request) -> Result<Response> {
        let name = self.name_of(request.url());
        let answer = self.http.execute(request).await;
        self.notice(&name, to_answer(&name, answer))
    }

    /// Tells people of trouble that lasts. What is permanent is told by its error.
    fn notice(&self, name: &str, answered: Result<Response>) -> Result<Response> {
        match &answered {
            Ok(response) if is_retried(response.status()) => {
                let why = format!("it answered {}", response.status().as_u16());
                self.patience.failed(name, &why);
            }
            Err(error) if error.is_temporary() => match error {
                RegistryError::Connection { cause, .. } => self.patience.failed(name, cause),
                other => self.patience.failed(name, other),
            },
            _ => self.patience.answered(),
        }
        answered
    }

    async fn in_time<T>(&self, name: &str, work: impl Future<Output = T>) -> Result<T> {
        let after = self.options.timeouts.idle;
        tokio::time::timeout(after, work)
            .await
            .map_err(|_| RegistryError::Silent {
                host: name.to_owned(),
                after,
            })
    }

    /// The next piece of a body.
    pub(super) async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>> {
        let name = self.name_of(response.url());
        self.in_time(&name, response.chunk())
            .await?
            .map_err(|cause| RegistryError::connection(&name, cause))
    }

    /// The whole body, which must not be longer than `size_max`.
    pub(super) async fn read(&self, mut response: Response, size_max: u64) -> Result<Bytes> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = self.piece(&mut response).await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > size_max {
                return Err(RegistryError::refused(
                    &self.name_of(response.url()),
                    format!("sends more than {size_max} bytes"),
                ));
            }
        }
        Ok(bytes.freeze())
    }

    /// The error that an answer stands for, with as much of its body as can be had.
    pub(super) async fn refusal(&self, mut response: Response) -> RegistryError {
        let mut body = Vec::new();
        while let Ok(Some(piece)) = self.piece(&mut response).await {
            let room = REFUSAL_SIZE_MAX_BYTES - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if body.len() == REFUSAL_SIZE_MAX_BYTES {
                break;
            }
        }
        let name = self.name_of(response.url());
        RegistryError::Answer(Answer::new(
            &name,
            response.status(),
            response.headers(),
            &body,
        ))
    }
}

fn to_answer(name: &str, answer: reqwest::Result<Response>) -> Result<Response> {
    answer.map_err(|cause| RegistryError::connection(name, cause))
}

/// The root of `host`, by TLS unless `Transport` says otherwise.
pub(super) fn base(host: &str, options: &RegistryOptions) -> Result<Url> {
    let invalid = || RegistryError::InvalidHost(crate::content::escape_control(host));
    let is_host_byte = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(is_host_byte) {
        return Err(invalid());
    }
    // Docker Hub answers under another name than the one in its references.
    let address = match host {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        other => other,
    };
    let parse = |scheme: &str| Url::parse(&format!("{scheme}://{address}/")).map_err(|_| invalid());
    let secure = parse("https")?;
    let is_plain = match options.transport {
        Transport::PlainHttpAllowed => true,
        Transport::HttpsOnly => is_loopback(&secure) && options.certificate_authorities.is_empty(),
    };
    if is_plain { parse("http") } else { Ok(secure) }
}

fn authorities(host: &str, options: &RegistryOptions) -> Result<Vec<Certificate>> {
    let mut found = Vec::new();
    for bundle in &options.certificate_authorities {
        let invalid = |cause: Option<reqwest::Error>| RegistryError::InvalidAuthority {
            host: host.to_owned(),
            cause: cause.map(Arc::new),
        };
        let certificates =
            Certificate::from_pem_bundle(bundle).map_err(|cause| invalid(Some(cause)))?;
        if certificates.is_empty() {
            return Err(invalid(None));
        }
        found.extend(certificates);
    }
    Ok(found)
}

/// A machine without certificates of its own is no obstacle to plain HTTP, or to a given authority.
fn client(
    host: &str,
    options: &RegistryOptions,
    guard: &Arc<AddressGuard>,
    authorities: &[Certificate],
) -> Result<Client> {
    let with_system = builder(options, guard).tls_certs_merge(authorities.to_vec());
    with_system.build().or_else(|error| {
        tracing::debug!(%error, "the system has no certificate authorities");
        let given_only = builder(options, guard).tls_certs_only(authorities.to_vec());
        given_only.build().map_err(|cause| RegistryError::Setup {
            host: host.to_owned(),
            cause: Arc::new(cause),
        })
    })
}

fn builder(options: &RegistryOptions, guard: &Arc<AddressGuard>) -> ClientBuilder {
    http::builder()
        .connect_timeout(options.timeouts.connect)
        .dns_resolver(GuardedResolver::new(Arc::clone(guard)))
}
