//! Azure's identity services and a key vault in the test process, under their own names.
//!
//! It is the proxy of the program under test: what is said to `login.microsoftonline.com`, to a vault or to the
//! metadata service of a machine comes here, over TLS where the real ones speak it. It follows Microsoft's REST
//! documentation; its tokens are JSON Web Tokens that nobody has signed.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use tempfile::TempDir;

use super::command::Airlift;
use super::tls::Authority;

pub(crate) const TENANT: &str = "ab1f708d-50f6-404c-a006-d71b2ac7a606";
pub(crate) const VAULT: &str = "ship.vault.azure.net";
const LOGIN: &str = "login.microsoftonline.com";
const METADATA: &str = "169.254.169.254";
const VAULT_AUDIENCE: &str = "https://vault.azure.net";
/// The end of every token.
pub(crate) const TOKEN_MARK: &str = "c25ha2VvaWw";
const SILENCE: Duration = Duration::from_secs(30);

/// Listens as long as the test process runs.
pub(crate) struct Entra {
    pub(crate) authority: Authority,
    address: SocketAddr,
    directory: TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    tls: Arc<ServerConfig>,
    /// What the vault says that its tokens are for.
    audience: Mutex<String>,
    secrets: Mutex<HashMap<String, String>>,
    log: Mutex<Vec<String>>,
}

/// What was asked of which host.
struct Ask {
    host: String,
    method: String,
    path: String,
    headers: HashMap<String, String>,
    body: String,
}

impl Entra {
    pub(crate) fn start() -> Self {
        let authority = Authority::new();
        let certificate = authority.issue(&[LOGIN, VAULT]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("authority.pem"), authority.pem())
            .expect("the directory is ours");
        let entra = Self {
            address: listener.local_addr().expect("a bound listener"),
            directory,
            shared: Arc::new(Shared {
                tls: certificate.server_config(&[]),
                audience: Mutex::new(VAULT_AUDIENCE.to_owned()),
                secrets: Mutex::default(),
                log: Mutex::default(),
            }),
            authority,
        };
        let shared = Arc::clone(&entra.shared);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that breaks is the client's business.
                thread::spawn(move || serve(connection, &shared).ok());
            }
        });
        entra
    }

    pub(crate) fn put_secret(&self, name: &str, value: &str) {
        lock(&self.shared.secrets).insert(name.to_owned(), value.to_owned());
    }

    /// The vault asks for tokens for somebody else from now on.
    pub(crate) fn claim_audience(&self, audience: &str) {
        audience.clone_into(&mut lock(&self.shared.audience));
    }

    /// `METHOD HOST/PATH` of every request, queries left out, and of refused ones the status.
    pub(crate) fn log(&self) -> Vec<String> {
        lock(&self.shared.log).clone()
    }

    /// Where App Service has its identities: on the machine itself.
    pub(crate) fn app_service(&self) -> String {
        format!("http://{}/msi/token", self.address)
    }

    pub(crate) fn authority_file(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// The program in a world where Azure is here.
    pub(crate) fn around(&self, airlift: Airlift) -> Airlift {
        let proxy = format!("http://{}", self.address);
        airlift
            .env("HTTPS_PROXY", &proxy)
            .env("HTTP_PROXY", &proxy)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env(
                "SSL_CERT_FILE",
                self.authority_file().to_str().expect("a plain path"),
            )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request, in a tunnel to a host or in plain words.
fn serve(mut connection: TcpStream, shared: &Shared) -> std::io::Result<()> {
    connection.set_read_timeout(Some(SILENCE))?;
    let ask = read(&mut connection, METADATA)?;
    if ask.method != "CONNECT" {
        return connection.write_all(answer(shared, &ask).as_bytes());
    }
    connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let tls = ServerConnection::new(Arc::clone(&shared.tls)).map_err(std::io::Error::other)?;
    let mut tunnel = StreamOwned::new(tls, connection);
    let host = ask.path.split(':').next().unwrap_or_default();
    let ask = read(&mut tunnel, host)?;
    tunnel.write_all(answer(shared, &ask).as_bytes())?;
    tunnel.conn.send_close_notify();
    tunnel.flush()
}

fn read(connection: &mut impl Read, host: &str) -> std::io::Result<Ask> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let mut next = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (next(), next());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|it| it.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let (host, path) = match target.strip_prefix("http://") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => (host, target.as_str()),
    };
    Ok(Ask {
        host: host.to_owned(),
        path: path.to_owned(),
        method,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn answer(shared: &Shared, ask: &Ask) -> String {
    let path = ask.path.split('?').next().unwrap_or_default();
    let reply = match ask.host.as_str() {
        LOGIN => login(ask),
        VAULT => secret(shared, ask, path),
        _ => machine_token(ask),
    };
    let (status, challenge, body) = reply;
    let refused = match status {
        200 => String::new(),
        _ => format!(" {status}"),
    };
    let entry = format!("{} {}{path}{refused}", ask.method, ask.host);
    lock(&shared.log).push(entry);
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\n{challenge}\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Status, one more header, and body.
type Reply = (u16, String, String);

fn refusal(status: u16, code: &str) -> Reply {
    let error = json!({ "error": { "code": code, "message": "not here" } });
    (status, String::new(), error.to_string())
}

/// Microsoft identity platform, client credentials: a secret, or an assertion of somebody else's.
fn login(ask: &Ask) -> Reply {
    let fields = url::form_urlencoded::parse(ask.body.as_bytes()).into_owned();
    let fields: HashMap<String, String> = fields.collect();
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let is_known = ask.path == format!("/{TENANT}/oauth2/v2.0/token")
        && field("client_id") == "ship"
        && (field("client_secret") == "the secret of ship"
            || field("client_assertion") == "the cluster says so");
    if !is_known {
        let error = json!({ "error": "invalid_client", "error_description": "AADSTS7000215" });
        return (401, String::new(), error.to_string());
    }
    let audience = field("scope").trim_end_matches("/.default");
    let body = json!({
        "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token(audience),
    });
    (200, String::new(), body.to_string())
}

/// The metadata service of a virtual machine, and what App Service has in its place.
fn machine_token(ask: &Ask) -> Reply {
    let header = |name: &str| {
        ask.headers
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    };
    let is_machine =
        ask.path.starts_with("/metadata/identity/oauth2/token?") && header("metadata") == "true";
    let is_service =
        ask.path.starts_with("/msi/token?") && header("x-identity-header") == "of the app";
    if !is_machine && !is_service {
        return refusal(400, "invalid_request");
    }
    let query = ask.path.split_once('?').map_or("", |(_, query)| query);
    let resource = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "resource");
    let resource = resource
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let body = json!({
        "access_token": token(&resource),
        "expires_on": (seconds() + 3600).to_string(),
        "resource": resource,
        "token_type": "Bearer",
    });
    (200, String::new(), body.to_string())
}

/// Key Vault's Get Secret, with its challenge.
fn secret(shared: &Shared, ask: &Ask, path: &str) -> Reply {
    let Some(authorization) = ask.headers.get("authorization") else {
        let audience = lock(&shared.audience).clone();
        let challenge = format!(
            "WWW-Authenticate: Bearer authorization=\"https://{LOGIN}/{TENANT}\", resource=\"{audience}\"\r\n"
        );
        let (status, _, body) = refusal(401, "Unauthorized");
        return (status, challenge, body);
    };
    if audience_of(authorization).as_deref() != Some(VAULT_AUDIENCE) {
        return refusal(401, "Unauthorized");
    }
    let name = path.trim_start_matches("/secrets/").split('/').next();
    let name = name.unwrap_or_default();
    if name == "closed" {
        return refusal(403, "Forbidden");
    }
    match lock(&shared.secrets).get(name) {
        None => refusal(404, "SecretNotFound"),
        Some(value) => {
            let id = format!("https://{VAULT}/secrets/{name}/4387e9f3d6e14c459867679a90fd0f79");
            let body = json!({ "value": value, "id": id, "attributes": { "enabled": true } });
            (200, String::new(), body.to_string())
        }
    }
}

/// Whom a token is for.
fn audience_of(authorization: &str) -> Option<String> {
    let claims = authorization.strip_prefix("Bearer ")?.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims["aud"].as_str().map(str::to_owned)
}

fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("the clock is right").as_secs()
}

/// A token of this hour for `audience`, as Azurite takes it too.
fn token(audience: &str) -> String {
    let begun = seconds() - 60;
    let claims = json!({
        "aud": audience,
        "iss": format!("https://sts.windows.net/{TENANT}/"),
        "iat": begun, "nbf": begun, "exp": begun + 3600,
        "oid": "11059fcc-5514-4800-b5f8-49808b9cfab6",
        "tid": TENANT,
    });
    let parts = [json!({ "alg": "RS256", "typ": "JWT" }), claims];
    let parts = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{}.{}.{TOKEN_MARK}", parts[0], parts[1])
}
