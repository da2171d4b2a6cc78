//! Why a transfer does not go on: the refusals that somebody can do something about.

/// What stands against a transfer, or against one bundle of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotTransfer {
    #[error("`{object}` exists already with other content: {difference}")]
    OtherContent { object: String, difference: String },
    #[error("`{object}` has {size} bytes, and a file on this FAT file system at most {limit}")]
    TooLarge {
        object: String,
        size: u64,
        limit: u64,
    },
    #[error("{needed} bytes are needed, and {free} are free")]
    NoRoom { needed: u64, free: u64 },
    #[error("`{object}` is from another export than the volumes beside it")]
    Foreign { object: String },
    #[error("the trusted keys do not admit it: {reason}")]
    NotAdmitted { reason: String },
    #[error("no bundle there has this name; there are {}", list(.known))]
    UnknownBundle { known: Vec<String> },
    #[error("it selects {0} bundles, and a volume number means something in one")]
    ManyForVolume(usize),
    #[error("the bundle has the volumes {}", list(.present))]
    UnknownVolume { present: Vec<String> },
}

const NAMES_SHOWN_MAX: usize = 8;

fn list(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(NAMES_SHOWN_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 if names.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
