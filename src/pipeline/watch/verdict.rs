//! What to do about an object or a set that cannot be imported now. Pure.
//!
//! **Incomplete is not corrupt.** Copies may write an object's end before its middle, and stop for a while. So
//! nothing is condemned by the first reading: what fails is read again after it has been left alone for the settle
//! time, and an object that only lacks its end is waited for as long as it takes.

use std::error::Error as StdError;

use crate::bundle::{BundleError, NotTrusted};
use crate::content::{Error, ErrorKind};
use crate::history::RunCancelled;
use crate::pipeline::admission::CannotAdmit;
use crate::pipeline::missing::MissingContents;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may still be changing: look again when it has settled.
    Settle,
    /// Something around it failed: try again after a pause.
    Retry,
    /// It lacks something that only a change of the container can bring.
    Wait,
    /// It will not become right by itself.
    SetAside(Fault),
}

/// What is wrong with what was given up, and so what may bring it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A rule refuses it: a person.
    Rule,
    /// Its signatures do not count: other trusted keys.
    Trust,
    /// Its bytes are not right: another version of one of its objects.
    Content,
}

/// Judges why a volume could not be opened; `is_settled` says that it failed before and was left alone since.
pub(super) fn judge_volume(error: &BundleError, is_settled: bool) -> Verdict {
    match error {
        BundleError::Content(error) => judge_kind(error.kind(), is_settled),
        // A signature may come later, and brings the object back by itself.
        BundleError::NotTrusted(NotTrusted::BelowThreshold { .. } | NotTrusted::Unsigned) => {
            Verdict::Wait
        }
        BundleError::Incomplete if is_settled => Verdict::Wait,
        BundleError::NotTrusted(_) if is_settled => Verdict::SetAside(Fault::Trust),
        _ if is_settled => Verdict::SetAside(Fault::Content),
        _ => Verdict::Settle,
    }
}

/// Judges why a set whose volumes were opened could not be delivered.
pub(super) fn judge_delivery(error: &Error, is_settled: bool) -> Verdict {
    // A rule refuses the bundle, or a person has stopped it; its bytes have nothing to do with that.
    if has_cause(error, |cause| {
        cause.is::<CannotAdmit>() || cause.is::<RunCancelled>()
    }) {
        return Verdict::SetAside(Fault::Rule);
    }
    if has_cause(error, <dyn StdError>::is::<MissingContents>) {
        // Another bundle may bring it, or a person.
        return Verdict::Retry;
    }
    match judge_kind(error.kind(), is_settled) {
        Verdict::SetAside(_) if has_cause(error, <dyn StdError>::is::<NotTrusted>) => {
            Verdict::SetAside(Fault::Trust)
        }
        verdict => verdict,
    }
}

/// Whether another copy of a volume could make the difference.
pub(super) fn may_be_damage(error: &Error) -> bool {
    let is_about_bytes = matches!(
        error.kind(),
        ErrorKind::Unverified | ErrorKind::Incomplete | ErrorKind::Failed | ErrorKind::NotFound
    );
    is_about_bytes
        && !has_cause(error, |cause| {
            cause.is::<CannotAdmit>()
                || cause.is::<NotTrusted>()
                || cause.is::<RunCancelled>()
                || cause.is::<MissingContents>()
        })
}

/// Whether an end that could not be opened at the start may be there later, with nobody doing anything about the
/// watch. A directory may be mounted, a device made writable, and whoever writes to a layout may end; a registry or a
/// cloud may answer.
pub(super) fn may_come(error: &Error, is_directory: bool) -> bool {
    use std::io::ErrorKind as Io;
    match error.kind() {
        ErrorKind::Temporary { .. } | ErrorKind::NoSpace => true,
        ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Failed if is_directory => {
            has_cause(error, |cause| {
                let io = cause.downcast_ref::<std::io::Error>();
                io.is_some_and(|io| {
                    let stays = [Io::PermissionDenied, Io::NotADirectory];
                    !stays.contains(&io.kind())
                })
            })
        }
        _ => false,
    }
}

fn has_cause(error: &Error, is_it: impl Fn(&(dyn StdError + 'static)) -> bool) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        if is_it(cause) {
            return true;
        }
        next = cause.source();
    }
    false
}

fn judge_kind(kind: ErrorKind, is_settled: bool) -> Verdict {
    match kind {
        // The container or the target may be away, full or closed for a while; the bundle is not to blame.
        ErrorKind::Temporary { .. }
        | ErrorKind::NoSpace
        | ErrorKind::Denied
        | ErrorKind::NotFound
        | ErrorKind::Changed
        | ErrorKind::Failed => Verdict::Retry,
        ErrorKind::Incomplete if is_settled => Verdict::Wait,
        ErrorKind::Incomplete => Verdict::Settle,
        ErrorKind::Unverified if !is_settled => Verdict::Settle,
        ErrorKind::Unverified
        | ErrorKind::Refused
        | ErrorKind::Unsupported
        | ErrorKind::AlreadyExists => Verdict::SetAside(fault_of(kind)),
    }
}

/// What the target refuses for good it refuses whatever copy the bytes come from.
fn fault_of(kind: ErrorKind) -> Fault {
    match kind {
        ErrorKind::Unverified => Fault::Content,
        _ => Fault::Rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_condemned_by_its_first_reading() {
        let judged = |is_settled| judge_volume(&BundleError::NotABundle, is_settled);
        assert_eq!(judged(false), Verdict::Settle);
        assert_eq!(judged(true), Verdict::SetAside(Fault::Content));
    }

    #[test]
    fn what_lacks_its_end_is_never_condemned() {
        assert_eq!(judge_volume(&BundleError::Incomplete, true), Verdict::Wait);
        let unsigned = BundleError::NotTrusted(NotTrusted::Unsigned);
        assert_eq!(judge_volume(&unsigned, true), Verdict::Wait);
    }

    #[test]
    fn what_a_person_has_stopped_waits_for_a_person() {
        let cancelled = RunCancelled {
            who: "ops (1000)".to_owned(),
        };
        let error = Error::new(ErrorKind::Failed, "stopped").with_cause(cancelled);
        assert!(!may_be_damage(&error));
        assert_eq!(
            judge_delivery(&error, false),
            Verdict::SetAside(Fault::Rule)
        );
    }

    #[test]
    fn a_daemon_waits_for_what_may_come_and_for_nothing_else() {
        use std::io::ErrorKind as Io;

        let io = |kind: Io| Error::io("x", kind.into());
        assert!(may_come(&io(Io::NotFound), true));
        assert!(may_come(&io(Io::ReadOnlyFilesystem), true));
        assert!(!may_come(&io(Io::PermissionDenied), true));
        assert!(!may_come(&io(Io::NotFound), false), "a secret's file");
        let away = Error::new(ErrorKind::Temporary { retry_after: None }, "x");
        assert!(may_come(&away, false));
        assert!(!may_come(&Error::new(ErrorKind::Denied, "x"), false));
    }

    #[test]
    fn trouble_around_a_bundle_is_tried_again() {
        for kind in [
            ErrorKind::Denied,
            ErrorKind::NoSpace,
            ErrorKind::Temporary { retry_after: None },
        ] {
            assert_eq!(judge_delivery(&Error::new(kind, "x"), true), Verdict::Retry);
        }
        let refused = Error::new(ErrorKind::Refused, "x");
        let verdict = judge_delivery(&refused, false);
        assert_eq!(verdict, Verdict::SetAside(Fault::Rule));
    }
}
