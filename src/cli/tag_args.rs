//! What an import does about tags and bundles that were there before: flags of commands that remember, named as the
//! keys of the configuration file.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};

use crate::pipeline::{AssumedWithin, MovesBack, Replays, TagRules};
use crate::selection::{RepositoryPattern, RollbackTag};

#[derive(Args)]
pub(super) struct TagArguments {
    /// Give what an overwritten tag stood for this tag first, of `{tag}`, `{run}`, `{digest}` and `{date}`
    ///
    /// Example: --rollback-tag '{tag}-{run}'
    #[arg(long, value_name = "TEMPLATE", hide_short_help = true)]
    rollback_tag: Option<RollbackTag>,

    /// What to do with a tag that would go back to what it was before, or to what was created earlier
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "allow",
        hide_short_help = true
    )]
    tag_moves_back: MovesBackArgument,

    /// What to do with a bundle that was delivered before; `deliver` brings what another rule has left
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "skip",
        requires = "state",
        hide_short_help = true
    )]
    replays: ReplaysArgument,

    /// Count on content in these repositories of the target too where a bundle leaves it out
    ///
    /// Those that this lane has filled, by the ledger of `--state`, count by themselves. `**` is all below the target's
    /// prefix.
    #[arg(long, value_name = "PATTERN", hide_short_help = true)]
    assumed_repositories: Vec<RepositoryPattern>,
}

/// What is done about what was there, and was delivered, before.
#[derive(Default)]
pub(super) struct Before {
    pub(super) tags: TagRules,
    pub(super) replays: Replays,
    pub(super) assumed: AssumedWithin,
}

#[derive(Clone, Copy, ValueEnum)]
enum MovesBackArgument {
    /// It is told, and the tag moves
    Allow,
    /// It is told, and the tag stays
    Refuse,
}

#[derive(Clone, Copy, ValueEnum)]
enum ReplaysArgument {
    Skip,
    Deliver,
}

impl TagArguments {
    pub(super) fn before(&self) -> Before {
        Before {
            tags: TagRules {
                moves_back: match self.tag_moves_back {
                    MovesBackArgument::Allow => MovesBack::Allow,
                    MovesBackArgument::Refuse => MovesBack::Refuse,
                },
                rollback: self.rollback_tag.clone(),
            },
            replays: match self.replays {
                ReplaysArgument::Skip => Replays::Skip,
                ReplaysArgument::Deliver => Replays::Deliver,
            },
            assumed: AssumedWithin {
                filled: BTreeSet::new(),
                listed: self.assumed_repositories.clone(),
            },
        }
    }
}
