//! What the ledger calls the work of a watch: a bundle, or an object that could not be used, for a target.

use std::fmt;

use crate::oci::Digest;

/// Lines that no name can contain: subject, its digest or version, container, target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkKey {
    /// The bundle's signed name, or the object's.
    pub subject: String,
    /// The inventory's digest, or the object's version.
    pub identity: String,
    pub container: String,
    pub target: String,
}

impl WorkKey {
    /// Reads what the ledger has; `None` for work of another kind.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n').map(str::to_owned);
        let key = Self {
            subject: lines.next()?,
            identity: lines.next()?,
            container: lines.next()?,
            target: lines.next()?,
        };
        lines.next().is_none().then_some(key)
    }

    /// Whether it is an object that could not be opened, and no bundle: those are known by a digest.
    pub(super) fn is_of_object(&self) -> bool {
        self.identity.parse::<Digest>().is_err()
    }
}

impl fmt::Display for WorkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [&self.subject, &self.identity, &self.container, &self.target];
        let clean = lines.map(|line| line.replace('\n', " "));
        f.write_str(&clean.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_was() {
        let key = WorkKey {
            subject: "web-1".into(),
            identity: "sha256:00".into(),
            container: "/mnt/a b".into(),
            target: "r.example/x".into(),
        };
        assert_eq!(WorkKey::parse(&key.to_string()), Some(key));
        assert_eq!(WorkKey::parse("one line"), None);
    }
}
