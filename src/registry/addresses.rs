//! Which addresses a registry may send us to.
//!
//! A registry on a public address is not allowed to make us talk to loopback, link-local or private
//! addresses, be it by a redirect, an upload location or a token realm. Names are judged where it counts:
//! in the resolver that makes the connections, so that a name cannot change its address between check and
//! use. A registry that is private itself may point wherever it likes.
//!
//! Behind an HTTP proxy names are resolved by the proxy, which is then the one to refuse.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::PrivateAddresses;

/// More places than this no registry needs to send us to.
const WATCHED_NAMES_MAX: usize = 1000;

#[derive(Debug, thiserror::Error)]
#[error(
    "`{host}` is on a loopback, link-local or private address, to which a public registry may not send us"
)]
pub(super) struct AddressRefused {
    host: String,
}

/// Whether the address is reachable from here but not from everywhere.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => embedded_v4(address).map_or_else(
            || {
                address.is_loopback()
                    || address.is_unspecified()
                    || address.is_unique_local()
                    || address.is_unicast_link_local()
                    || address.is_multicast()
            },
            is_private_v4,
        ),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && second & 0xc0 == 64;
    first == 0
        || is_shared
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
}

/// The IPv4 address inside a mapped, NAT64 or 6to4 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => address.to_ipv4_mapped(),
    }
}

/// Whether the URL names this machine, by a literal address or by `localhost`.
pub(super) fn is_loopback(url: &Url) -> bool {
    literal(url).map_or_else(|| is_localhost(host(url)), |address| address.is_loopback())
}

fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host == "localhost" || host.ends_with(".localhost")
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

fn literal(url: &Url) -> Option<IpAddr> {
    let host = host(url);
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.parse().ok()
}

/// Decides for one registry which addresses are in order.
pub(super) struct AddressGuard {
    policy: PrivateAddresses,
    own: String,
    /// Whether the registry itself is private: by its literal address, or by its first resolution.
    own_is_private: OnceLock<bool>,
    /// Names that the registry sent us to. Other names, such as that of a proxy, are the operator's choice.
    watched: RwLock<HashSet<String>>,
}

impl AddressGuard {
    pub(super) fn new(registry: &Url, policy: PrivateAddresses) -> Self {
        let own_is_private = OnceLock::new();
        let judged = literal(registry)
            .map(is_private)
            .or_else(|| is_localhost(host(registry)).then_some(true));
        if let Some(judged) = judged {
            let _ = own_is_private.set(judged);
        }
        Self {
            policy,
            own: host(registry).to_owned(),
            own_is_private,
            watched: RwLock::default(),
        }
    }

    /// Judges a URL that the registry gave us, and sees to it that its name is judged when it is resolved.
    pub(super) fn admit(&self, url: &Url) -> Result<(), AddressRefused> {
        if self.is_open() || host(url) == self.own {
            return Ok(());
        }
        let refused = || AddressRefused {
            host: host(url).to_owned(),
        };
        match literal(url) {
            Some(address) if is_private(address) => return Err(refused()),
            Some(_) => return Ok(()),
            None if is_localhost(host(url)) => return Err(refused()),
            None => {}
        }
        let mut watched = self.watched.write().unwrap_or_else(PoisonError::into_inner);
        if watched.len() >= WATCHED_NAMES_MAX && !watched.contains(host(url)) {
            return Err(refused());
        }
        watched.insert(host(url).to_owned());
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.policy == PrivateAddresses::Allow || self.own_is_private.get() == Some(&true)
    }

    /// The addresses of `name` that may be connected to.
    pub(super) fn permitted(
        &self,
        name: &str,
        found: Vec<IpAddr>,
    ) -> Result<Vec<IpAddr>, AddressRefused> {
        if name == self.own {
            let is_private = found.iter().copied().all(is_private);
            let _ = self.own_is_private.set(is_private);
        }
        let watched = self.watched.read().unwrap_or_else(PoisonError::into_inner);
        if self.is_open() || (name != self.own && !watched.contains(name)) {
            return Ok(found);
        }
        let public: Vec<IpAddr> = found.into_iter().filter(|ip| !is_private(*ip)).collect();
        if public.is_empty() {
            return Err(AddressRefused {
                host: name.to_owned(),
            });
        }
        Ok(public)
    }
}

/// The resolver behind every connection: `/etc/hosts`, then the name servers of the system, without the
/// system's library, which a static binary does not have.
pub(super) struct GuardedResolver {
    guard: Arc<AddressGuard>,
    resolver: Arc<OnceLock<TokioResolver>>,
}

impl GuardedResolver {
    pub(super) fn new(guard: Arc<AddressGuard>) -> Self {
        Self {
            guard,
            resolver: Arc::default(),
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.guard);
        let resolver = Arc::clone(&self.resolver);
        Box::pin(async move {
            let resolver = if let Some(resolver) = resolver.get() {
                resolver
            } else {
                let built = system_resolver()?;
                resolver.get_or_init(|| built)
            };
            let found = resolver.lookup_ip(name.as_str()).await?.iter().collect();
            let permitted = guard.permitted(name.as_str(), found)?;
            let addresses = permitted.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// Without a `resolv.conf` only `/etc/hosts` is left: names are not sent to servers nobody chose.
fn system_resolver() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
        TokioResolver::builder_with_config(
            ResolverConfig::default(),
            TokioRuntimeProvider::default(),
        )
    });
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    builder.build()
}
