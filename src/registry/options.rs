//! How one registry is reached: what a caller may choose, with defaults that are safe.
//!
//! Nothing here reads the environment or a file; whoever builds the options has done so.

use std::time::Duration;

use secrecy::SecretString;

/// Whether bytes may travel unencrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TLS, except to a loopback host (`localhost`, `127.0.0.0/8`, `::1`) for which no certificate authority
    /// was given: that one is spoken to over plain HTTP, which never leaves the machine.
    #[default]
    HttpsOnly,
    /// Plain HTTP, because somebody asked for it.
    PlainHttpAllowed,
}

/// Whether a registry on a public address may send us to loopback, link-local or private addresses,
/// by a redirect, an upload location or a token realm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrivateAddresses {
    #[default]
    Refuse,
    Allow,
}

/// Who we are to the registry.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// What `docker login` or `podman login` left behind, credential helpers included; else nobody.
    #[default]
    DockerConfig,
    Anonymous,
    Basic {
        username: String,
        password: SecretString,
    },
    /// A token for the registry itself; no token service is asked.
    Bearer(SecretString),
}

/// How long silence lasts before it is an error. No whole transfer has a limit, however large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_mins(1),
        }
    }
}

#[derive(Clone, Debug)]
pub struct RegistryOptions {
    pub transport: Transport,
    /// PEM bundles, added to the roots of the system.
    pub certificate_authorities: Vec<Vec<u8>>,
    pub private_addresses: PrivateAddresses,
    pub credentials: Credentials,
    /// At most this many blob downloads, as many uploads, and as many short requests at a time. They are
    /// counted apart, because an upload that waits for its own download must not wait for itself.
    pub concurrent_requests_max: usize,
    /// How often one thing is tried before its temporary failure is reported. Progress starts the count anew.
    pub attempts_max: usize,
    /// The first pause between attempts; each further one is twice as long.
    pub retry_delay_min: Duration,
    pub timeouts: Timeouts,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            certificate_authorities: Vec::new(),
            private_addresses: PrivateAddresses::default(),
            credentials: Credentials::default(),
            concurrent_requests_max: 8,
            attempts_max: 5,
            retry_delay_min: Duration::from_millis(500),
            timeouts: Timeouts::default(),
        }
    }
}
