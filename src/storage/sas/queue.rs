//! Shared access signatures of queues: made from an account key, and judged before the first request.
//!
//! Pure. Queues have letters of their own: `p` allows to process messages, which is to receive and to delete them.
//! The recipe is that of service version 2024-11-04.

use jiff::Timestamp;
use percent_encoding::{percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::sign::{CannotSign, RESERVED, SERVICE_VERSION, sign_text};
use super::terms::{Protocols, format_time, parse_time};

/// To process messages: all that a watch does with a queue.
const PROCESS: &str = "p";

/// A signature that lets messages of one queue be processed.
pub(in crate::storage) struct QueueSas<'a> {
    pub(in crate::storage) account: &'a str,
    pub(in crate::storage) queue: &'a str,
    pub(in crate::storage) expires: Timestamp,
    pub(in crate::storage) protocols: Protocols,
}

impl QueueSas<'_> {
    /// Signs with the account's key. The result is a URL's query, without `?`.
    pub(in crate::storage) fn sign(
        &self,
        account_key: &SecretString,
    ) -> Result<SecretString, CannotSign> {
        let expires = format_time(self.expires);
        let protocols = self.protocols.parameter();
        // Eight fields, one a line: sp, st, se, resource, si, ip, spr, sv.
        let resource = format!("/queue/{}/{}", self.account, self.queue);
        let fields = [
            PROCESS,
            "",
            &expires,
            &resource,
            "",
            "",
            protocols,
            SERVICE_VERSION,
        ];
        let signature = sign_text(&fields.join("\n"), account_key)?;
        let pairs = [
            ("sv", SERVICE_VERSION),
            ("sp", PROCESS),
            ("se", &expires),
            ("spr", protocols),
            ("sig", &signature),
        ];
        let encoded = pairs.map(|(key, value)| {
            let value = utf8_percent_encode(value, RESERVED);
            format!("{key}={value}")
        });
        Ok(SecretString::from(encoded.join("&")))
    }
}

/// What a signature lacks for processing messages at `now`, each as what follows "it"; nothing where it is enough.
/// What only a stored policy says is not held against it.
pub(in crate::storage) fn missing_for_queue(
    sas: &SecretString,
    endpoint: &Url,
    now: Timestamp,
) -> Vec<String> {
    let query = sas.expose_secret();
    let get = |key: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(known, _)| *known == key)?.1;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    let has_policy = get("si").is_some();
    let lacks = |key: &str, letter: char| get(key).is_some_and(|it| !it.contains(letter));
    let allowed = get("sp").unwrap_or_default();
    let mut gaps = Vec::new();
    if get("sr").is_some() {
        gaps.push("is for objects, and not for a queue (it has `sr`)".to_owned());
    }
    if lacks("ss", 'q') {
        gaps.push("is not for queues (`ss` without q)".to_owned());
    }
    if lacks("srt", 'o') {
        gaps.push("is not for messages (`srt` without o)".to_owned());
    }
    if !allowed.contains(PROCESS) && !has_policy {
        gaps.push("does not allow to process messages (`sp` without p)".to_owned());
    }
    match get("se").and_then(|end| parse_time(&end)) {
        Some(end) if end <= now => gaps.push(format!("expired at {end}")),
        None if !has_policy => gaps.push("says no end (`se`)".to_owned()),
        _ => {}
    }
    if endpoint.scheme() == "http" && get("spr").as_deref() == Some("https") {
        gaps.push("is for https only, and the URL says http".to_owned());
    }
    gaps
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn missing(sas: &str) -> Vec<String> {
        let endpoint = Url::parse("http://127.0.0.1:1/acme/").unwrap();
        missing_for_queue(&SecretString::from(sas), &endpoint, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_signature_of_ours_is_enough() {
        let sas = QueueSas {
            account: "acme",
            queue: "bundles",
            expires: Timestamp::from_second(60).unwrap(),
            protocols: Protocols::HttpToo,
        };
        let key = SecretString::from(STANDARD.encode("key"));
        let signed = sas.sign(&key).unwrap();
        assert_eq!(missing(signed.expose_secret()), [""; 0]);
        assert!(sas.sign(&SecretString::from("no key!")).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let gaps = missing("ss=b&srt=c&sp=rl&se=1960-01-01T00%3A00%3A00Z&spr=https&sig=x");
        assert_eq!(gaps.len(), 5, "{gaps:?}");
        assert!(gaps.iter().any(|gap| gap.contains("`sp` without p")));
        assert_eq!(missing("si=policy&sig=x"), [""; 0]);
        assert_eq!(missing("sr=c&sp=rp&se=2100-01-01T00:00:00Z&sig=x").len(), 1);
    }
}
