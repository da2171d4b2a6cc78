//! Whose signatures count, kept as the key files are now.
//!
//! The files are read anew before every listing and every bundle: they are few and small, and a revocation must
//! not wait. What cannot be read leaves in force what was read before, and is told.

use std::sync::Arc;

use crate::bundle::SignaturePolicy;
use crate::content::{Result, describe};

/// Reads the keys that were named.
pub type PolicyReader = Arc<dyn Fn() -> Result<SignaturePolicy> + Send + Sync>;

pub(super) struct Trust {
    read: PolicyReader,
    pub(super) policy: SignaturePolicy,
    /// Why they cannot be read, once that was told.
    trouble: Option<String>,
}

/// What another reading of the keys has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrustChange {
    Same,
    Changed,
    /// Not told before: the keys cannot be read.
    Unreadable(String),
}

impl Trust {
    pub(super) fn read(read: &PolicyReader) -> Result<Self> {
        Ok(Self {
            policy: read()?,
            read: Arc::clone(read),
            trouble: None,
        })
    }

    pub(super) fn read_again(&mut self) -> TrustChange {
        match (self.read)() {
            Ok(policy) => {
                self.trouble = None;
                if policy == self.policy {
                    return TrustChange::Same;
                }
                self.policy = policy;
                TrustChange::Changed
            }
            Err(error) => {
                let reason = describe(&error);
                if self.trouble.as_ref() == Some(&reason) {
                    return TrustChange::Same;
                }
                self.trouble = Some(reason.clone());
                TrustChange::Unreadable(reason)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::bundle::TrustedKeys;
    use crate::content::{Error, ErrorKind};

    #[test]
    fn what_cannot_be_read_leaves_the_old_keys_and_is_told_once() {
        let readable = Arc::new(Mutex::new(Some(1)));
        let source = Arc::clone(&readable);
        let read: PolicyReader = Arc::new(move || {
            let threshold = *source.lock().unwrap();
            let threshold = threshold.ok_or_else(|| Error::new(ErrorKind::Failed, "no"))?;
            let keys = TrustedKeys::default();
            Ok(SignaturePolicy::Require { keys, threshold })
        });
        let mut trust = Trust::read(&read).unwrap();
        let before = trust.policy.clone();
        assert_eq!(trust.read_again(), TrustChange::Same);
        *readable.lock().unwrap() = None;
        assert_eq!(trust.read_again(), TrustChange::Unreadable("no".into()));
        assert_eq!(trust.read_again(), TrustChange::Same);
        assert_eq!(trust.policy, before);
        *readable.lock().unwrap() = Some(2);
        assert_eq!(trust.read_again(), TrustChange::Changed);
        assert_ne!(trust.policy, before);
    }
}
