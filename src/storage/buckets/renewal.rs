//! Keys for S3 that run out: asked for again before they do, as often as the work goes on.
//!
//! Who hands them out is not known here. Keys that still hold are used when no others can be had, and that is told
//! in the log; keys that have run out are an error, whoever handed them out.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use crate::content::{Error, ErrorKind, Result, describe};
use crate::storage::credential::{LoginSource, TemporaryLogin};

/// Keys are asked for again this long before they run out, or in the last quarter of a short life.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// `ID:SECRET[:TOKEN]`.
pub(super) fn parse_keys(login: &str) -> Option<AwsCredential> {
    let mut fields = login.trim().splitn(3, ':').map(str::to_owned);
    Some(AwsCredential {
        key_id: fields.next()?,
        secret_key: fields.next()?,
        token: fields.next(),
    })
}

pub(super) struct RenewedKeys {
    source: Arc<dyn LoginSource>,
    held: Mutex<Option<Held>>,
    clock: fn() -> Timestamp,
}

#[derive(Clone)]
struct Held {
    keys: Arc<AwsCredential>,
    expires: Option<Timestamp>,
    /// From when on others are asked for.
    renewed_from: Option<Timestamp>,
}

impl RenewedKeys {
    pub(super) fn new(source: Arc<dyn LoginSource>, clock: fn() -> Timestamp) -> Self {
        Self {
            source,
            held: Mutex::new(None),
            clock,
        }
    }

    async fn fetch(&self, now: Timestamp) -> Result<Held> {
        let TemporaryLogin { secret, expires } = self.source.login().await?;
        let denied = |why: &str| {
            let message = format!("cannot use what {} hands out", self.source.name());
            Error::new(ErrorKind::Denied, message).with_cause(why.to_owned())
        };
        let keys = parse_keys(secret.expose_secret());
        let keys = keys.ok_or_else(|| denied("it is not `ID:SECRET` or `ID:SECRET:TOKEN`"))?;
        if expires.is_some_and(|expires| expires <= now) {
            return Err(denied("its keys have run out already"));
        }
        Ok(Held {
            keys: Arc::new(keys),
            expires,
            renewed_from: expires.map(|expires| renewal_time(now, expires)),
        })
    }

    async fn find_keys(&self) -> Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().await;
        let now = (self.clock)();
        let is_before = |time: Option<Timestamp>| time.is_none_or(|time| now < time);
        let known = held.clone();
        if let Some(known) = &known
            && is_before(known.renewed_from)
        {
            return Ok(Arc::clone(&known.keys));
        }
        match (self.fetch(now).await, known) {
            (Ok(fetched), _) => {
                let keys = Arc::clone(&fetched.keys);
                *held = Some(fetched);
                Ok(keys)
            }
            (Err(error), Some(known)) if is_before(known.expires) => {
                tracing::warn!(
                    error = describe(&error),
                    "keys that end soon are still used"
                );
                Ok(known.keys)
            }
            (Err(error), _) => Err(error),
        }
    }
}

impl fmt::Debug for RenewedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RenewedKeys of {}", self.source.name())
    }
}

#[async_trait]
impl CredentialProvider for RenewedKeys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let found = self.find_keys().await;
        found.map_err(|error| object_store::Error::Unauthenticated {
            path: String::new(),
            source: Box::new(error),
        })
    }
}

/// Between three quarters of a life and its end.
fn renewal_time(fetched: Timestamp, expires: Timestamp) -> Timestamp {
    let quarter = expires.duration_since(fetched) / 4;
    expires - quarter.min(MARGIN)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicI64, Ordering};

    use secrecy::SecretString;

    use super::*;

    static NOW: AtomicI64 = AtomicI64::new(0);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn clock() -> Timestamp {
        at(NOW.load(Ordering::SeqCst))
    }

    /// Hands out what it has, and then nothing.
    struct Purse(Mutex<Vec<TemporaryLogin>>);

    #[async_trait]
    impl LoginSource for Purse {
        fn name(&self) -> &'static str {
            "the purse"
        }

        async fn login(&self) -> Result<TemporaryLogin> {
            let next = self.0.lock().unwrap().pop();
            next.ok_or_else(|| Error::new(ErrorKind::Failed, "it is empty"))
        }
    }

    fn login(keys: &str, expires: Option<i64>) -> TemporaryLogin {
        TemporaryLogin {
            secret: SecretString::from(keys.to_owned()),
            expires: expires.map(at),
        }
    }

    #[tokio::test]
    async fn keys_are_asked_for_again_before_they_run_out_and_not_sooner() {
        let logins = vec![
            login("C:z", Some(7_200)),
            login("B:y:T", Some(7_200)),
            login("A:x", Some(3_600)),
        ];
        let keys = RenewedKeys::new(Arc::new(Purse(Mutex::new(logins))), clock);
        let mut used = Vec::new();
        for now in [0, 3_299, 3_300, 6_899, 6_900, 7_190] {
            NOW.store(now, Ordering::SeqCst);
            used.push(keys.find_keys().await.unwrap().key_id.clone());
        }
        // The last ones are used until their end, though no others can be had.
        assert_eq!(used, ["A", "A", "B", "B", "C", "C"]);
        NOW.store(7_200, Ordering::SeqCst);
        assert!(keys.get_credential().await.is_err());
        let shown = format!("{keys:?}");
        assert!(!shown.contains('z'), "{shown}");
    }

    #[tokio::test]
    async fn keys_that_have_run_out_are_not_used() {
        let logins = vec![login("A:x", Some(i64::from(i32::MIN))), login("AB", None)];
        let keys = RenewedKeys::new(Arc::new(Purse(Mutex::new(logins))), clock);
        for told in ["is not `ID:SECRET`", "have run out already"] {
            let error = keys.find_keys().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied);
            assert!(describe(&error).contains(told), "{}", describe(&error));
        }
    }

    #[test]
    fn a_short_life_is_used_for_three_quarters() {
        assert_eq!(renewal_time(at(0), at(3_600)), at(3_300));
        assert_eq!(renewal_time(at(0), at(120)), at(90));
    }
}
