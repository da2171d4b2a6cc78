//! `airlift audit`: the log of everything that happened to artifacts, proven and exported.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::moment::{Moment, parse_moment};
use crate::cli::output::{Output, print_bytes};
use crate::cli::state_args::open_ledger;
use crate::content::Error;
use crate::history::{AuditHead, ChainBreak, CheckedChain, check_export};

/// Prove that the history was not tampered with, and export it
///
/// Every export, transfer, import, promotion, rollback and refusal leaves a record for each artifact, with the hash of
/// the record before it. Records are never changed or forgotten.
///
/// Example: airlift audit verify --state /var/lib/airlift
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(in crate::cli) struct AuditArguments {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Find any record that was changed, left out, moved or put in, and print the head to note
    ///
    /// A tail that was cut off is missed by the head that lies beside the ledger. Whoever can change the whole state
    /// directory can change that too: note what is printed elsewhere, and give it with `--head`.
    ///
    /// Example: airlift audit verify --state /var/lib/airlift --head 1204:sha256:…
    Verify(VerifyArguments),
    /// Print the records as JSON lines, the oldest first
    ///
    /// Example: airlift audit export --state /var/lib/airlift --since 30d > audit.jsonl
    Export(ExportArguments),
}

#[derive(Args)]
struct VerifyArguments {
    /// A file that `airlift audit export` has written, instead of a state directory
    #[arg(value_name = "FILE", required_unless_present = "state")]
    file: Option<PathBuf>,

    /// The state directory whose history is verified
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: Option<PathBuf>,

    /// A head that was printed before; several may be given
    #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_head)]
    head: Vec<AuditHead>,
}

#[derive(Args)]
struct ExportArguments {
    /// The state directory whose history is exported
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,

    /// Only records from this time on: `30d`, `8h`, or `2027-01-31T00:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = parse_moment, conflicts_with = "after")]
    since: Option<Moment>,

    /// Only records after this number, such as the last one of the export before
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
}

fn parse_head(text: &str) -> Result<AuditHead, String> {
    text.parse()
        .map_err(|error: crate::history::InvalidHead| error.to_string())
}

pub(in crate::cli) async fn run(arguments: AuditArguments, output: Output) -> anyhow::Result<Exit> {
    match arguments.command {
        AuditCommand::Verify(verify) => verify.run(output).await,
        AuditCommand::Export(export) => export.run().await,
    }
}

impl VerifyArguments {
    async fn run(self, output: Output) -> anyhow::Result<Exit> {
        let checked = match (&self.file, &self.state) {
            (Some(file), _) => check_file(file, self.head)?,
            (None, Some(state)) => check_state(state, self.head).await?,
            (None, None) => return Err(UsageError::new("nothing to verify").into()),
        };
        let head = checked.head.as_ref();
        let document = json!({
            "records": checked.records,
            "first": checked.first,
            "head": head.map(ToString::to_string),
        });
        output.print(&show(&checked), &document)?;
        Ok(Exit::Done)
    }
}

async fn check_state(state: &Path, noted: Vec<AuditHead>) -> anyhow::Result<CheckedChain> {
    let ledger = open_ledger(state).await?;
    let is_noted = ledger.read_audit_head()?.is_some() || !noted.is_empty();
    let checked = ledger.check_audit(noted).await?;
    if checked.records > 0 && !is_noted {
        Output::warn("`audit.head` is missing: newer records may have been cut off");
    }
    Ok(checked)
}

fn check_file(path: &Path, noted: Vec<AuditHead>) -> anyhow::Result<CheckedChain> {
    let shown = path.display().to_string();
    let file =
        File::open(path).map_err(|cause| Error::io(format!("cannot open `{shown}`"), cause))?;
    Ok(check_export(BufReader::new(file), &shown, noted)?)
}

fn show(checked: &CheckedChain) -> String {
    let Some(head) = &checked.head else {
        return "no records".to_owned();
    };
    let mut text = match checked.records {
        1 => "1 record, and it is right\n".to_owned(),
        records => format!("{records} records, and all are right\n"),
    };
    if let Some(first) = checked.first.filter(|first| *first > 1) {
        text.push_str(&format!(
            "a part: it begins with record {first}, and says nothing of those before\n"
        ));
    }
    text.push_str(&format!("head {head}\n"));
    text
}

impl ExportArguments {
    async fn run(self) -> anyhow::Result<Exit> {
        let ledger = open_ledger(&self.state).await?;
        let after = match (self.after, self.since) {
            (Some(after), _) => after,
            (None, Some(since)) => ledger.find_record_before(since.looking_back()?).await?,
            (None, None) => 0,
        };
        let mut records = std::pin::pin!(ledger.read_audit(after));
        let mut last = after;
        while let Some(record) = records.try_next().await? {
            let Some(record) = record else {
                let shown = ledger.shown();
                let message =
                    format!("the history in the state directory `{shown}` was tampered with");
                let broken = ChainBreak::Unreadable(last + 1);
                return Err(Error::unverified(message).with_cause(broken).into());
            };
            last = record.number;
            print_bytes(&serde_json::to_vec(&record)?)?;
        }
        Ok(Exit::Done)
    }
}

impl Moment {
    /// The time that is meant, where a while ends now.
    fn looking_back(self) -> anyhow::Result<Timestamp> {
        let time = match self {
            Self::At(time) => Some(time),
            Self::After(span) => Timestamp::now().checked_sub(span).ok(),
        };
        let too_long = || UsageError::new("no calendar goes back so far");
        Ok(time.ok_or_else(too_long)?)
    }
}
