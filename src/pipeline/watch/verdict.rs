//! What to do about an object or a set that cannot be imported now. Pure.
//!
//! **Incomplete is not corrupt.** Copies may write an object's end before its middle, and stop for a while. So
//! nothing is condemned by the first reading: what fails is read again after it has been left alone for the settle
//! time, and an object that only lacks its end is waited for as long as it takes.

use crate::bundle::{BundleError, NotTrusted};
use crate::content::{Error, ErrorKind};
use crate::history::RunCancelled;
use crate::pipeline::admission::CannotAdmit;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may still be changing: look again when it has settled.
    Settle,
    /// Something around it failed: try again after a pause.
    Retry,
    /// It lacks something that only a change of the container can bring.
    Wait,
    /// It will never be right.
    SetAside,
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
        _ if is_settled => Verdict::SetAside,
        _ => Verdict::Settle,
    }
}

/// Judges why a set whose volumes were opened could not be delivered.
pub(super) fn judge_delivery(error: &Error, is_settled: bool) -> Verdict {
    if is_rule(error) {
        return Verdict::SetAside;
    }
    judge_kind(error.kind(), is_settled)
}

/// Whether a rule or a person refuses the bundle; its bytes have nothing to do with that.
fn is_rule(error: &Error) -> bool {
    let first: &(dyn std::error::Error + 'static) = error;
    RunCancelled::is_cause_of(first)
        || std::iter::successors(Some(first), |error| error.source())
            .any(<dyn std::error::Error>::is::<CannotAdmit>)
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
        | ErrorKind::AlreadyExists => Verdict::SetAside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_condemned_by_its_first_reading() {
        let judged = |is_settled| judge_volume(&BundleError::NotABundle, is_settled);
        assert_eq!(judged(false), Verdict::Settle);
        assert_eq!(judged(true), Verdict::SetAside);
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
        assert_eq!(judge_delivery(&error, false), Verdict::SetAside);
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
        assert_eq!(judge_delivery(&refused, false), Verdict::SetAside);
    }
}
