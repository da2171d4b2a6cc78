//! One spelling for the addresses of registries, so that a rule about a host cannot be walked around. Pure.
//!
//! Letters, a final dot, zeros before a port, the port of https and the names of loopback are spelled alike. Names of
//! DNS that stand for one machine are not seen through.

use std::net::Ipv4Addr;

/// The address `HOST[:PORT][/PATH]` in its one spelling.
pub(in crate::cli) fn canonical(address: &str) -> String {
    let (host, path) = match address.find('/') {
        Some(slash) => address.split_at(slash),
        None => (address, ""),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => (name, port.trim_start_matches('0')),
        _ => (host, ""),
    };
    let lower = name.to_lowercase();
    let name = match lower.trim_end_matches('.') {
        name if is_loopback(name) => "localhost",
        name => name,
    };
    match port {
        "" | "443" => format!("{name}{path}"),
        port => format!("{name}:{port}{path}"),
    }
}

fn is_loopback(name: &str) -> bool {
    let address = name.parse::<Ipv4Addr>();
    ["localhost", "[::1]"].contains(&name) || address.is_ok_and(|address| address.is_loopback())
}

/// Whether `inner` is `outer` or below it, however they are spelled.
pub(in crate::cli) fn is_below(inner: &str, outer: &str) -> bool {
    let (inner, outer) = (canonical(inner), canonical(outer));
    let rest = inner.strip_prefix(&outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_spelling_of_a_host_is_the_same_host() {
        for other in [
            "R.example/a",
            "r.example./a",
            "r.example:443/a",
            "r.example:0443/a",
        ] {
            assert_eq!(canonical(other), "r.example/a", "{other}");
        }
        for other in [
            "127.0.0.1:5000/a",
            "127.1.2.3:05000/a",
            "[::1]:5000/a",
            "LOCALHOST:5000/a",
        ] {
            assert_eq!(canonical(other), "localhost:5000/a", "{other}");
        }
        assert_eq!(canonical("[::1]"), "localhost");
        assert_eq!(canonical("10.0.0.1:5000"), "10.0.0.1:5000");
        assert!(is_below("R.example:443/a/b", "r.example/a"));
        assert!(!is_below("r.example/ab", "r.example/a"));
        assert!(
            !is_below("r.example:80/a", "r.example/a"),
            "another port is another registry"
        );
    }
}
