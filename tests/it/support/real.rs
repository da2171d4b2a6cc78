//! Real servers and tools: Debian's `docker-registry` on a free port, and programs that may be missing.
//!
//! Where a tool is missing the test prints why it skips, and fails where `AIRLIFT_TEST_REAL=required`.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::wait;

/// Somebody else may take the free port before the server does; so often we try again.
const ATTEMPTS: usize = 5;
const REPLY: Duration = Duration::from_secs(5);

/// The path of the program `name`. `None`: the reason was printed, and the test should return.
pub(crate) fn tool_or_skip(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        let required = std::env::var("AIRLIFT_TEST_REAL").is_ok_and(|value| value == "required");
        assert!(!required, "`{name}` is not installed, and is required here");
        eprintln!("skipped: `{name}` is not installed");
    }
    found
}

/// Runs `program` to its end and fails with what it said if it fails.
#[track_caller]
pub(crate) fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("`{}`: {error}", program.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let line = arguments.join(" ");
    assert!(
        output.status.success(),
        "`{} {line}`: {}\n{stdout}{stderr}",
        program.display(),
        output.status
    );
    stdout
}

/// A running `docker-registry` with its own storage. Stopped when dropped.
pub(crate) struct DockerRegistry {
    program: PathBuf,
    directory: TempDir,
    address: SocketAddr,
    /// More lines of its configuration: the rest of `http`, and sections of their own.
    configuration: String,
    server: Option<Child>,
}

impl DockerRegistry {
    /// `None`: it is not installed, and the test should return.
    pub(crate) fn start_or_skip() -> Option<Self> {
        Self::start_with_or_skip("")
    }

    /// The same with more lines of configuration, which go on in the section `http`.
    pub(crate) fn start_with_or_skip(configuration: &str) -> Option<Self> {
        let program = tool_or_skip("docker-registry")?;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut registry = Self {
            program,
            directory,
            address: free_address(),
            configuration: configuration.to_owned(),
            server: None,
        };
        let started = (0..ATTEMPTS).any(|_| {
            registry.address = free_address();
            registry.serve()
        });
        assert!(
            started,
            "docker-registry does not start:\n{}",
            registry.said()
        );
        Some(registry)
    }

    /// `127.0.0.1:PORT`, as it stands in a reference.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn process_id(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Where its storage is.
    pub(crate) fn storage(&self) -> PathBuf {
        self.directory.path().join("storage")
    }

    /// Stops it: clients see an unreachable registry.
    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Stops it and starts it again with the same storage on the same port.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.stop();
        let started = (0..ATTEMPTS).any(|_| self.serve());
        assert!(
            started,
            "docker-registry does not start again:\n{}",
            self.said()
        );
    }

    /// Starts the server; `false` when it ended before it was ready.
    fn serve(&mut self) -> bool {
        self.stop();
        let configuration = self.directory.path().join("config.yml");
        fs::write(&configuration, self.configuration()).expect("the directory is ours");
        let log = fs::File::create(self.log()).expect("the directory is ours");
        let mut server = Command::new(&self.program)
            .arg("serve")
            .arg(&configuration)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("docker-registry can be run");
        let address = self.address;
        let mut has_ended = false;
        let answered = wait::within(wait::PATIENCE, || {
            has_ended = server.try_wait().is_ok_and(|status| status.is_some());
            has_ended || is_ready(address)
        });
        self.server = Some(server);
        answered && !has_ended
    }

    fn configuration(&self) -> String {
        format!(
            "version: 0.1\n\
             log:\n  level: warn\n\
             storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
             validation:\n  manifests:\n    urls:\n      allow:\n        - ^https?://\n\
             http:\n  addr: {}\n{}",
            self.storage().display(),
            self.address,
            self.configuration
        )
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// What the server wrote to its log.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An address at which nobody listens just now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener")
}

/// Whether it answers; one with TLS or a login says here that it wants something else.
fn is_ready(address: SocketAddr) -> bool {
    status_line(address).is_ok_and(|line| line.starts_with("HTTP/1."))
}

/// The first line that the server says to `GET /v2/`.
fn status_line(address: SocketAddr) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, REPLY)?;
    connection.set_read_timeout(Some(REPLY))?;
    connection.write_all(b"GET /v2/ HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut reply = String::new();
    connection.read_to_string(&mut reply)?;
    let line = reply.lines().next().map(str::to_owned);
    line.ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

#[test]
fn a_real_registry_starts_stops_and_starts_again() {
    let Some(mut registry) = DockerRegistry::start_or_skip() else {
        return;
    };
    let address = registry.address();
    registry.restart();
    assert_eq!(registry.address(), address);
    assert!(is_ready(registry.address), "{}", registry.said());
    registry.stop();
    assert!(!is_ready(registry.address));
}
