//! When two spellings of a host are one registry. Pure.
//!
//! There are two answers. A *rule* about a host must not be walked around, so [`canonical`] is wide: letters, a final
//! dot, zeros before a port, the port of https and all names of loopback are spelled alike. A *login* must not go
//! astray, so [`is_same_place`] is narrow: the requests would go to the same URL, by name, port and protocol; only
//! where TLS proves the name a final dot does not count. Names of DNS that stand for one machine are not seen through.

use std::net::Ipv4Addr;

use reqwest::Url;

use super::options::RegistryOptions;
use super::transport::base;

/// The address `HOST[:PORT][/PATH]` in its one spelling.
pub fn canonical(address: &str) -> String {
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
    // The parser that requests go through knows more spellings of an address: `127.1`, octal, one number.
    let parsed = Url::parse(&format!("https://{lower}/")).ok();
    let host = parsed.as_ref().and_then(Url::host_str).unwrap_or(&lower);
    let name = match host.trim_end_matches('.') {
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
pub fn is_below(inner: &str, outer: &str) -> bool {
    let (inner, outer) = (canonical(inner), canonical(outer));
    let rest = inner.strip_prefix(&outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a registry that is reached by `options` is the same one under both names.
pub fn is_same_place(one: &str, other: &str, options: &RegistryOptions) -> bool {
    let place = |host| {
        let base = base(host, options).ok()?;
        Some((base.scheme().to_owned(), spell(&base)))
    };
    place(one).is_some_and(|one| place(other) == Some(one))
}

/// The plain spelling of a registry's root, without a port that goes without saying.
pub(super) fn spell(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    let host = match base.scheme() {
        "https" => host.trim_end_matches('.'),
        _ => host,
    };
    base.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Transport;

    #[test]
    fn a_login_is_for_one_url_however_it_is_spelled() {
        let secure = RegistryOptions::default();
        for same in ["R.Example:443", "r.example.", "r.example:0443", "r.example"] {
            assert!(is_same_place("r.example", same, &secure), "{same}");
        }
        for other in [
            "r.example:80",
            "r.example:5000",
            "r.example.org",
            "xr.example",
            "r.example:443:443",
            "r.example@evil.example",
            "r.example/../evil.example",
            "",
        ] {
            assert!(!is_same_place("r.example", other, &secure), "{other}");
            assert!(!is_same_place(other, "r.example", &secure), "{other}");
        }
        assert!(is_same_place("docker.io", "registry-1.docker.io", &secure));
        // Each of these may be another program on this machine.
        for other in [
            "127.0.0.1:5000",
            "[::1]:5000",
            "127.0.0.2:5000",
            "localhost",
        ] {
            assert!(!is_same_place("localhost:5000", other, &secure), "{other}");
        }
        let plain = RegistryOptions {
            transport: Transport::PlainHttpAllowed,
            ..RegistryOptions::default()
        };
        assert!(is_same_place("r.example:80", "R.example", &plain));
        for other in ["r.example:443", "r.example."] {
            assert!(!is_same_place("r.example", other, &plain), "{other}");
        }
    }

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
            "127.1:5000/a",
            "0177.0.0.1:5000/a",
            "2130706433:5000/a",
            "0x7f.1:5000/a",
        ] {
            assert_eq!(canonical(other), "localhost:5000/a", "{other}");
        }
        assert_eq!(canonical("[::1]"), "localhost");
        assert_eq!(canonical("10.0.0.1:5000"), "10.0.0.1:5000");
        assert_eq!(canonical("10.1:5000/a"), "10.0.0.1:5000/a");
        assert!(is_below("R.example:443/a/b", "r.example/a"));
        assert!(!is_below("r.example/ab", "r.example/a"));
        assert!(
            !is_below("r.example:80/a", "r.example/a"),
            "another port is another registry"
        );
    }
}
