//! A door in front of a server, which counts what goes in.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::wait;

/// Forwards connections until it is dropped; those that are open then end by themselves.
pub(crate) struct Door {
    address: SocketAddr,
    entered_bytes: Arc<AtomicU64>,
    inside: Arc<AtomicUsize>,
    is_closed: Arc<AtomicBool>,
}

impl Door {
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let door = Self {
            address: listener.local_addr().expect("it listens"),
            entered_bytes: Arc::default(),
            inside: Arc::default(),
            is_closed: Arc::default(),
        };
        let counts = (Arc::clone(&door.entered_bytes), Arc::clone(&door.inside));
        let is_closed = Arc::clone(&door.is_closed);
        thread::spawn(move || {
            for visitor in listener.incoming().flatten() {
                if is_closed.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(host) = TcpStream::connect(server) {
                    forward(&visitor, &host, &counts);
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

    /// Bytes that went in, with the heads of requests.
    pub(crate) fn entered_bytes(&self) -> u64 {
        self.entered_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for visitors.
        let _ = TcpStream::connect(self.address);
    }
}

type Counts = (Arc<AtomicU64>, Arc<AtomicUsize>);

fn forward(visitor: &TcpStream, host: &TcpStream, (entered, inside): &Counts) {
    let twice = |stream: &TcpStream| stream.try_clone().expect("a socket");
    let (mut from, mut to) = (twice(visitor), twice(host));
    let (entered, inside) = (Arc::clone(entered), Arc::clone(inside));
    inside.fetch_add(1, Ordering::Relaxed);
    thread::spawn(move || {
        carry(&mut from, &mut to, &entered);
        inside.fetch_sub(1, Ordering::Relaxed);
    });
    let (mut from, mut to) = (twice(host), twice(visitor));
    thread::spawn(move || carry(&mut from, &mut to, &AtomicU64::new(0)));
}

fn carry(from: &mut TcpStream, to: &mut TcpStream, carried: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        carried.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
