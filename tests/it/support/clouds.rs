//! Clouds on this machine: Azurite for Azure Blob Storage, moto for S3. Stopped when dropped.
//!
//! Where one is missing the test prints why it skips, and fails where `AIRLIFT_TEST_REAL=required`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tempfile::TempDir;

use super::real::{free_address, tool_or_skip};
use super::wait;

const REPLY: Duration = Duration::from_secs(30);
const STARTS: usize = 5;

/// A server with a directory of its own.
struct Server {
    child: Child,
    _directory: TempDir,
}

impl Server {
    /// `None` when it ended before it answered at `address`.
    fn start(
        program: &Path,
        environment: &[(&str, &str)],
        arguments: &[&str],
        address: SocketAddr,
    ) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
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
            has_ended || request(address, "GET", "/").is_ok()
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

/// One request without a body; the status line of the answer.
fn request(address: SocketAddr, method: &str, path: &str) -> std::io::Result<String> {
    let reply = exchange(address, method, path, "")?;
    Ok(reply.lines().next().unwrap_or_default().to_owned())
}

/// One request; the whole answer.
fn exchange(address: SocketAddr, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, REPLY)?;
    connection.set_read_timeout(Some(REPLY))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {length}\r\nx-ms-version: 2024-11-04\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes())?;
    let mut reply = String::new();
    connection.read_to_string(&mut reply)?;
    Ok(reply)
}

/// Azurite with the accounts `near` and `far`; blobs and queues.
pub(crate) struct Azurite {
    _server: Server,
    pub(crate) blobs: SocketAddr,
    pub(crate) queues: SocketAddr,
}

impl Azurite {
    /// `None`: it is not installed, and the test should return.
    pub(crate) fn start_or_skip() -> Option<Self> {
        let program = tool_or_skip("azurite")?;
        let accounts = ["near", "far"].map(|account| format!("{account}:{}", account_key(account)));
        let accounts = accounts.join(";");
        let started = (0..STARTS).find_map(|_| {
            let (blobs, queues, tables) = (free_address(), free_address(), free_address());
            let ports = [blobs, queues, tables].map(|address| address.port().to_string());
            let arguments = [
                "--blobPort",
                &ports[0],
                "--queuePort",
                &ports[1],
                "--tablePort",
                &ports[2],
                "--skipApiVersionCheck",
                "--inMemoryPersistence",
                "--disableTelemetry",
                "--silent",
            ];
            let environment = [("AZURITE_ACCOUNTS", accounts.as_str())];
            let server = Server::start(&program, &environment, &arguments, blobs)?;
            Some(Self {
                _server: server,
                blobs,
                queues,
            })
        });
        Some(started.expect("Azurite starts"))
    }

    /// The URL of a container, made where it is missing.
    pub(crate) fn container(&self, account: &str, name: &str) -> String {
        let path = format!(
            "/{account}/{name}?restype=container&{}",
            account_sas(account)
        );
        let status = request(self.blobs, "PUT", &path).expect("Azurite answers");
        assert!(status.contains("201") || status.contains("409"), "{status}");
        format!("http://{}/{account}/{name}", self.blobs)
    }

    /// The URL of a queue, made where it is missing.
    pub(crate) fn queue(&self, account: &str, name: &str) -> String {
        let path = format!("/{account}/{name}?{}", account_sas(account));
        let status = request(self.queues, "PUT", &path).expect("Azurite answers");
        assert!(status.contains("201") || status.contains("204"), "{status}");
        self.queue_url(account, name)
    }

    /// The URL of a queue that may not be there.
    pub(crate) fn queue_url(&self, account: &str, name: &str) -> String {
        format!("http://{}/{account}/{name}", self.queues)
    }

    /// Puts a message into a queue.
    pub(crate) fn send(&self, account: &str, queue: &str, message: &str) {
        let text = message.replace('&', "&amp;").replace('<', "&lt;");
        let body = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
        let path = format!("/{account}/{queue}/messages?{}", account_sas(account));
        let reply = exchange(self.queues, "POST", &path, &body).expect("Azurite answers");
        assert!(reply.starts_with("HTTP/1.1 201"), "{reply}");
    }

    /// How many messages a queue has, those that are invisible included.
    pub(crate) fn message_count(&self, account: &str, queue: &str) -> usize {
        let path = format!("/{account}/{queue}?comp=metadata&{}", account_sas(account));
        let reply = exchange(self.queues, "GET", &path, "").expect("Azurite answers");
        let header = "x-ms-approximate-messages-count:";
        let line = reply.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix(header)?
                .trim()
                .parse()
                .ok()
        });
        line.unwrap_or_else(|| panic!("no count: {reply}"))
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
            let server = Server::start(&program, &[], &["-H", "127.0.0.1", "-p", &port], address)?;
            Some(Self {
                _server: server,
                address,
            })
        });
        Some(started.expect("moto starts"))
    }

    /// The URL of a bucket, made where it is missing, with its settings; more can follow after a `&`.
    pub(crate) fn bucket(&self, name: &str) -> String {
        let status = request(self.address, "PUT", &format!("/{name}")).expect("moto answers");
        assert!(status.contains("200"), "{status}");
        format!("s3://{name}?endpoint=http://{}&style=path", self.address)
    }
}
