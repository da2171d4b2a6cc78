//! Clouds on this machine: Azurite for Azure Blob Storage, moto for S3. Stopped when dropped.
//!
//! Where one is missing the test prints why it skips, and fails where `AIRLIFT_TEST_REAL=required`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tempfile::TempDir;

use super::real::{free_address, tool_or_skip};
use super::tls::Authority;
use super::wait;

const REPLY: Duration = Duration::from_secs(30);
const STARTS: usize = 5;

/// A server with a directory of its own.
struct Server {
    child: Child,
    _directory: TempDir,
}

impl Server {
    /// `None` when it ended before it answered at all of `peers`.
    fn start(
        program: &Path,
        environment: &[(&str, &str)],
        arguments: &[&str],
        directory: TempDir,
        peers: &[Peer],
    ) -> Option<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server can be run");
        let mut has_ended = false;
        wait::within(4 * wait::PATIENCE, || {
            has_ended = child.try_wait().is_ok_and(|status| status.is_some());
            has_ended || peers.iter().all(|peer| peer.request("GET", "/").is_ok())
        });
        let server = Self {
            child,
            _directory: directory,
        };
        (!has_ended).then_some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a server answers; over TLS where there is a configuration for it.
struct Peer {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Peer {
    fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// One request without a body; the status line of the answer.
    fn request(&self, method: &str, path: &str) -> std::io::Result<String> {
        let reply = self.exchange(method, path, "")?;
        let line = reply.lines().next().map(str::to_owned);
        line.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    /// One request; the whole answer.
    fn exchange(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let connection = TcpStream::connect_timeout(&self.address, REPLY)?;
        connection.set_read_timeout(Some(REPLY))?;
        let (address, length) = (self.address, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Length: {length}\r\nx-ms-version: 2024-11-04\r\n\r\n{body}"
        );
        match &self.tls {
            None => converse(connection, &request),
            Some(config) => {
                let name = self.address.ip().into();
                let tls = ClientConnection::new(Arc::clone(config), name);
                let tls = tls.map_err(std::io::Error::other)?;
                converse(StreamOwned::new(tls, connection), &request)
            }
        }
    }
}

fn converse(mut connection: impl Read + Write, request: &str) -> std::io::Result<String> {
    connection.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    match connection.read_to_end(&mut reply) {
        Ok(_) => {}
        // Servers hang up without taking leave of TLS.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(error),
    }
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// Azurite with the accounts `near` and `far`; blobs and queues.
pub(crate) struct Azurite {
    _server: Server,
    pub(crate) blobs: SocketAddr,
    pub(crate) queues: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Azurite {
    /// `None`: it is not installed, and the test should return.
    pub(crate) fn start_or_skip() -> Option<Self> {
        Self::start_with_or_skip(None)
    }

    /// The same over TLS, where it takes tokens of Entra too: by what they say, whoever has signed them.
    pub(crate) fn start_secure_or_skip(authority: &Authority) -> Option<Self> {
        Self::start_with_or_skip(Some(authority))
    }

    fn start_with_or_skip(authority: Option<&Authority>) -> Option<Self> {
        let program = tool_or_skip("azurite")?;
        let started = (0..STARTS).find_map(|_| Self::start(&program, authority));
        Some(started.expect("Azurite starts"))
    }

    fn start(program: &Path, authority: Option<&Authority>) -> Option<Self> {
        let accounts = ["near", "far"].map(|account| format!("{account}:{}", account_key(account)));
        let accounts = accounts.join(";");
        let (blobs, queues, tables) = (free_address(), free_address(), free_address());
        let ports = [blobs, queues, tables].map(|address| address.port().to_string());
        let mut arguments = vec!["--blobPort", &ports[0], "--queuePort", &ports[1]];
        arguments.extend(["--tablePort", &ports[2], "--skipApiVersionCheck"]);
        arguments.extend(["--inMemoryPersistence", "--disableTelemetry", "--silent"]);
        let directory = tempfile::tempdir().expect("a temporary directory");
        if let Some(authority) = authority {
            authority.issue(&[]).write_to(directory.path());
            arguments.extend(["--oauth", "basic"]);
            arguments.extend(["--cert", "server.crt", "--key", "server.key"]);
        }
        let environment = [("AZURITE_ACCOUNTS", accounts.as_str())];
        let tls = authority.map(Authority::client_config);
        let peers = [blobs, queues].map(|address| {
            let tls = tls.clone();
            Peer { address, tls }
        });
        let server = Server::start(program, &environment, &arguments, directory, &peers)?;
        Some(Self {
            _server: server,
            blobs,
            queues,
            tls,
        })
    }

    fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    fn peer(&self, address: SocketAddr) -> Peer {
        let tls = self.tls.clone();
        Peer { address, tls }
    }

    /// The URL of a container, made where it is missing.
    pub(crate) fn container(&self, account: &str, name: &str) -> String {
        let path = format!(
            "/{account}/{name}?restype=container&{}",
            account_sas(account)
        );
        let status = self.peer(self.blobs).request("PUT", &path);
        let status = status.expect("Azurite answers");
        assert!(status.contains("201") || status.contains("409"), "{status}");
        format!("{}://{}/{account}/{name}", self.scheme(), self.blobs)
    }

    /// The URL of a queue, made where it is missing.
    pub(crate) fn queue(&self, account: &str, name: &str) -> String {
        let path = format!("/{account}/{name}?{}", account_sas(account));
        let status = self.peer(self.queues).request("PUT", &path);
        let status = status.expect("Azurite answers");
        assert!(status.contains("201") || status.contains("204"), "{status}");
        self.queue_url(account, name)
    }

    /// The URL of a queue that may not be there.
    pub(crate) fn queue_url(&self, account: &str, name: &str) -> String {
        format!("{}://{}/{account}/{name}", self.scheme(), self.queues)
    }

    /// Puts a message into a queue.
    pub(crate) fn send(&self, account: &str, queue: &str, message: &str) {
        let text = message.replace('&', "&amp;").replace('<', "&lt;");
        let body = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
        let path = format!("/{account}/{queue}/messages?{}", account_sas(account));
        let reply = self.peer(self.queues).exchange("POST", &path, &body);
        let reply = reply.expect("Azurite answers");
        assert!(reply.starts_with("HTTP/1.1 201"), "{reply}");
    }

    /// How many messages a queue has, those that are invisible included.
    pub(crate) fn message_count(&self, account: &str, queue: &str) -> usize {
        let path = format!("/{account}/{queue}?comp=metadata&{}", account_sas(account));
        let reply = self.peer(self.queues).exchange("GET", &path, "");
        let reply = reply.expect("Azurite answers").to_ascii_lowercase();
        let header = "x-ms-approximate-messages-count:";
        let mut lines = reply.lines();
        let count = lines.find_map(|line| line.strip_prefix(header)?.trim().parse().ok());
        count.unwrap_or_else(|| panic!("no count: {reply}"))
    }
}

/// The key of an account of ours.
pub(crate) fn account_key(account: &str) -> String {
    STANDARD.encode(format!("the key of {account}"))
}

/// A signature for everything in an account.
pub(crate) fn account_sas(account: &str) -> String {
    let fields = [
        account,
        "rwdlacup",
        "bq",
        "sco",
        "",
        "2100-01-01T00:00:00Z",
        "",
        "",
        "2024-11-04",
        "",
        "",
    ];
    let key = STANDARD.decode(account_key(account)).expect("our own key");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = STANDARD.encode(hmac::sign(&key, fields.join("\n").as_bytes()));
    let signature = utf8_percent_encode(&tag, NON_ALPHANUMERIC);
    format!("sv=2024-11-04&ss=bq&srt=sco&sp=rwdlacup&se=2100-01-01T00%3A00%3A00Z&sig={signature}")
}

/// moto's server as S3.
pub(crate) struct Moto {
    _server: Server,
    pub(crate) address: SocketAddr,
}

impl Moto {
    /// `None`: it is not installed, and the test should return.
    pub(crate) fn start_or_skip() -> Option<Self> {
        let program = tool_or_skip("moto_server")?;
        let started = (0..STARTS).find_map(|_| {
            let address = free_address();
            let port = address.port().to_string();
            let arguments = ["-H", "127.0.0.1", "-p", &port];
            let directory = tempfile::tempdir().expect("a temporary directory");
            let peers = [Peer::plain(address)];
            let server = Server::start(&program, &[], &arguments, directory, &peers)?;
            Some(Self {
                _server: server,
                address,
            })
        });
        Some(started.expect("moto starts"))
    }

    /// The URL of a bucket, made where it is missing, with its settings; more can follow after a `&`.
    pub(crate) fn bucket(&self, name: &str) -> String {
        let status = Peer::plain(self.address).request("PUT", &format!("/{name}"));
        let status = status.expect("moto answers");
        assert!(status.contains("200"), "{status}");
        format!("s3://{name}?endpoint=http://{}&style=path", self.address)
    }
}
