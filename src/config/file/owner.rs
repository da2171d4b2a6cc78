//! Who may have written a configuration file: it decides what programs are run and whom airlift trusts.
//!
//! A file that names programs (`exec:`) or gates must belong to root or to the user, and be writable by nobody else.
//! Specification: design.md, section 5.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Why a file that names programs is not used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Distrusted {
    /// It belongs to this user id.
    Owner(u32),
    WritableByOthers,
}

/// Judges by owner and mode.
pub(super) fn judge_owner(metadata: &Metadata, user: u32) -> Result<(), Distrusted> {
    judge(metadata.uid(), metadata.mode(), user)
}

fn judge(owner: u32, mode: u32, user: u32) -> Result<(), Distrusted> {
    if owner != 0 && owner != user {
        return Err(Distrusted::Owner(owner));
    }
    if mode & 0o022 != 0 {
        return Err(Distrusted::WritableByOthers);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Distrusted, judge};

    #[test]
    fn only_root_and_the_user_may_have_written_it() {
        assert_eq!(judge(0, 0o100_644, 1000), Ok(()));
        assert_eq!(judge(1000, 0o100_600, 1000), Ok(()));
        assert_eq!(judge(1001, 0o100_644, 1000), Err(Distrusted::Owner(1001)));
        assert_eq!(judge(1001, 0o100_644, 0), Err(Distrusted::Owner(1001)));
        let others = Err(Distrusted::WritableByOthers);
        assert_eq!(judge(1000, 0o100_664, 1000), others);
        assert_eq!(judge(0, 0o100_646, 1000), others);
    }
}
