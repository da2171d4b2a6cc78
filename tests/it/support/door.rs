//! A door in front of a server, which counts what goes in, and which stops a request where a test wants to look.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::wait;

/// Forwards connections until it is dropped; those that are open then end by themselves.
pub(crate) struct Door {
    address: SocketAddr,
    entered_bytes: Arc<AtomicU64>,
    inside: Arc<AtomicUsize>,
    is_closed: Arc<AtomicBool>,
    commits: Arc<Commits>,
}

/// Requests that make a blob of its blocks, stopped on their way in.
#[derive(Default)]
struct Commits {
    rule: Mutex<Rule>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Rule {
    #[default]
    Pass,
    /// So many more pass, and then none.
    Stop { passing: usize, stopped: usize },
    /// Those that were stopped are lost.
    Lose,
}

impl Commits {
    /// Whether what was stopped may go on, once that is decided; at once where nothing is stopped.
    fn admit(&self, commits: usize) -> bool {
        let mut rule = self.rule.lock().expect("no panic");
        if let Rule::Stop { passing, stopped } = &mut *rule {
            if *passing >= commits {
                *passing -= commits;
                return true;
            }
            *stopped += 1;
            let is_stopping = |rule: &mut Rule| matches!(rule, Rule::Stop { .. });
            rule = self
                .changed
                .wait_while(rule, is_stopping)
                .expect("no panic");
            return *rule == Rule::Pass;
        }
        true
    }

    fn set(&self, rule: Rule) {
        *self.rule.lock().expect("no panic") = rule;
        self.changed.notify_all();
    }

    fn is_watching(&self) -> bool {
        matches!(*self.rule.lock().expect("no panic"), Rule::Stop { .. })
    }
}

impl Door {
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let door = Self {
            address: listener.local_addr().expect("it listens"),
            entered_bytes: Arc::default(),
            inside: Arc::default(),
            is_closed: Arc::default(),
            commits: Arc::default(),
        };
        let counts = (Arc::clone(&door.entered_bytes), Arc::clone(&door.inside));
        let commits = Arc::clone(&door.commits);
        let is_closed = Arc::clone(&door.is_closed);
        thread::spawn(move || {
            for visitor in listener.incoming().flatten() {
                if is_closed.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(host) = TcpStream::connect(server) {
                    forward(&visitor, &host, &counts, &commits);
                }
            }
        });
        door
    }

    /// The same URL, through this door.
    pub(crate) fn before_url(&self, url: &str, server: SocketAddr) -> String {
        url.replace(&server.to_string(), &self.address.to_string())
    }

    /// Waits until everything of those who have left is through.
    pub(crate) fn wait_until_quiet(&self) {
        wait::until("everybody has left", || {
            self.inside.load(Ordering::Relaxed) == 0
        });
    }

    /// Lets so many blobs be made of their blocks, and stops the request for the next one.
    pub(crate) fn stop_commits_after(&self, passing: usize) {
        let stopped = 0;
        self.commits.set(Rule::Stop { passing, stopped });
    }

    pub(crate) fn has_stopped_a_commit(&self) -> bool {
        let rule = *self.commits.rule.lock().expect("no panic");
        matches!(rule, Rule::Stop { stopped: 1.., .. })
    }

    /// What was stopped goes on.
    pub(crate) fn let_commits_pass(&self) {
        self.commits.set(Rule::Pass);
    }

    /// What was stopped never arrives; what comes later does.
    pub(crate) fn lose_commits(&self) {
        self.commits.set(Rule::Lose);
    }

    /// Bytes that went in, with the heads of requests.
    pub(crate) fn entered_bytes(&self) -> u64 {
        self.entered_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.commits.set(Rule::Lose);
        // Wakes the thread that waits for visitors.
        let _ = TcpStream::connect(self.address);
    }
}

type Counts = (Arc<AtomicU64>, Arc<AtomicUsize>);

fn forward(
    visitor: &TcpStream,
    host: &TcpStream,
    (entered, inside): &Counts,
    commits: &Arc<Commits>,
) {
    let twice = |stream: &TcpStream| stream.try_clone().expect("a socket");
    let (mut from, mut to) = (twice(visitor), twice(host));
    let (entered, inside) = (Arc::clone(entered), Arc::clone(inside));
    let commits = Arc::clone(commits);
    inside.fetch_add(1, Ordering::Relaxed);
    thread::spawn(move || {
        let mut seen = Vec::new();
        carry(&mut from, &mut to, |bytes| {
            entered.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            !commits.is_watching() || commits.admit(count_commits(&mut seen, bytes))
        });
        inside.fetch_sub(1, Ordering::Relaxed);
    });
    let (mut from, mut to) = (twice(host), twice(visitor));
    thread::spawn(move || carry(&mut from, &mut to, |_| true));
}

/// How many requests for a commit end in `bytes`; `seen` is what came before, as far as a request's line may reach.
fn count_commits(seen: &mut Vec<u8>, bytes: &[u8]) -> usize {
    const WANTED: &[u8] = b"comp=blocklist";
    let before = seen.len();
    seen.extend_from_slice(bytes);
    let is_commit = |at: &usize| {
        let line = seen[..*at].rsplit(|byte| *byte == b'\n').next();
        at + WANTED.len() > before && line.is_some_and(|line| contains(line, b"PUT /"))
    };
    let found = seen.windows(WANTED.len()).enumerate();
    let found = found.filter(|(_, window)| *window == WANTED);
    let commits = found.map(|(at, _)| at).filter(is_commit).count();
    seen.drain(..seen.len().saturating_sub(2048));
    commits
}

/// A request's line may follow the body of the request before without a break.
fn contains(line: &[u8], wanted: &[u8]) -> bool {
    line.windows(wanted.len()).any(|window| window == wanted)
}

fn carry(from: &mut TcpStream, to: &mut TcpStream, mut admit: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !admit(&buffer[..length]) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
