//! A thousand lanes on which bundles, answers and wishes are lost, late, repeated and out of order: what the exporter's
//! ledger makes of it never leads to where no repair leads out.
//!
//! The ledger is the real one; bundles are sets of numbers, and so is what the target has.

use std::collections::{BTreeMap, BTreeSet};

use airlift::history::{
    ActiveRun, Basis, Confirmation, ConfirmedPart, ContentKind, ExportPosition, ExportedBundle,
    Ledger, NewRun, Payload, PayloadContent, PipelineId, ReceiptBasis, Recorded, RunId, RunKind,
    RunLink, Trigger,
};
use airlift::oci::Digest;
use jiff::Timestamp;

use super::world::{LANE, quick_directory};
use crate::support::artifacts::Dice;

const LANES: u64 = 1000;
const STEPS: u64 = 14;
/// Contents that there are.
const CONTENTS: u64 = 8;
const REPOSITORY: &str = "apps/web";

type Contents = BTreeSet<u64>;

fn digest(content: u64) -> Digest {
    Digest::sha256(&content.to_le_bytes())
}

#[derive(Clone, Debug)]
struct Bundle {
    sequence: u64,
    /// What its artifacts consist of.
    contents: Contents,
    /// What has to be there.
    assumed: Contents,
}

/// Where the contents of all lanes are remembered.
struct Near<'a> {
    ledger: &'a Ledger,
    run: &'a RunId,
}

/// A lane, its two ends, and what is between them.
struct Lane<'a> {
    near: &'a Near<'a>,
    seed: u64,
    pipeline: PipelineId,
    dice: Dice,
    basis: Basis,
    /// Everything that was ever sent, by sequence; the carrier loses some.
    sent: Vec<Bundle>,
    lost: BTreeSet<u64>,
    accepted: BTreeSet<u64>,
    target: Contents,
    receipts: Vec<Confirmation>,
    /// Bundles whose receipts have come home.
    confirmed: BTreeSet<u64>,
    wishes: Vec<Contents>,
    /// What was reported missing, and the newest bundle then.
    reported: BTreeMap<u64, u64>,
}

impl<'a> Lane<'a> {
    fn new(near: &'a Near<'a>, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        Self {
            near,
            seed,
            pipeline: PipelineId::generate().unwrap(),
            basis: match dice.once_in(2) {
                true => Basis::AssumeDelivered,
                false => Basis::Confirmed,
            },
            dice,
            sent: Vec::new(),
            lost: BTreeSet::new(),
            accepted: BTreeSet::new(),
            target: Contents::new(),
            receipts: Vec::new(),
            confirmed: BTreeSet::new(),
            wishes: Vec::new(),
            reported: BTreeMap::new(),
        }
    }

    fn newest(&self) -> u64 {
        self.sent.len() as u64
    }

    fn some_contents(&mut self) -> Contents {
        (0..3).map(|_| self.dice.below(CONTENTS)).collect()
    }

    async fn known(&self) -> Contents {
        let lanes = [LANE.to_owned()];
        let known = self
            .near
            .ledger
            .list_known(&self.pipeline, &lanes, self.basis);
        let known = known.await.unwrap();
        let known: Contents = (0..CONTENTS)
            .filter(|it| known.contains_key(&digest(*it)))
            .collect();
        self.check_reported(&known);
        known
    }

    /// What was reported missing is thought to be there only by a bundle that was made since.
    fn check_reported(&self, known: &Contents) {
        let reported = self.reported.iter().filter(|(it, _)| known.contains(it));
        for (content, after) in reported {
            let mut since = self.sent[usize::try_from(*after).unwrap()..].iter();
            let is_proven = since.any(|bundle| {
                bundle.contents.contains(content)
                    && (self.basis == Basis::AssumeDelivered
                        || self.confirmed.contains(&bundle.sequence))
            });
            assert!(is_proven, "seed {}: {content} is believed in", self.seed);
        }
    }

    /// Sends a bundle; what is known is left out, and some of it serves as a base.
    async fn export(&mut self, contents: Contents) {
        let known = self.known().await;
        let mut assumed: Contents = contents.intersection(&known).copied().collect();
        assumed.extend(known.into_iter().filter(|_| self.dice.once_in(3)));
        self.send(contents, assumed).await;
    }

    async fn send(&mut self, contents: Contents, assumed: Contents) {
        let sequence = self.newest() + 1;
        let position = ExportPosition {
            pipeline: self.pipeline.clone(),
            name: format!("plant-{}", self.seed),
            sequence,
            previous: None,
        };
        let bundle = ExportedBundle {
            sequence,
            set: String::new(),
            inventory: self.inventory(sequence),
            bundle: format!("web-{sequence}"),
            container: None,
            may_replace: false,
            is_published: false,
        };
        let content = |it: &u64| PayloadContent {
            digest: digest(*it),
            size_bytes: 10,
            kind: ContentKind::Blob,
            repositories: BTreeSet::from([REPOSITORY.to_owned()]),
        };
        let payload = Payload {
            audience: vec![LANE.to_owned()],
            contents: contents.iter().map(content).collect(),
            saved_bytes: 0,
        };
        let (ledger, now) = (self.near.ledger, Timestamp::now());
        ledger
            .reserve_sequence(&position, (&bundle, &payload), self.near.run, now)
            .await
            .unwrap();
        ledger
            .confirm_sequence(&self.pipeline, sequence, now)
            .await
            .unwrap();
        self.sent.push(Bundle {
            sequence,
            contents,
            assumed,
        });
    }

    fn inventory(&self, sequence: u64) -> Digest {
        Digest::sha256(format!("{} {sequence}", self.seed).as_bytes())
    }

    /// Whether it is in; else what is missing is wished for. What was taken before is not taken again.
    fn deliver(&mut self, sequence: u64) -> Result<(), Contents> {
        let bundle = &self.sent[usize::try_from(sequence - 1).unwrap()];
        if self.accepted.contains(&sequence) {
            return Ok(());
        }
        let missing: Contents = bundle.assumed.difference(&self.target).copied().collect();
        if !missing.is_empty() {
            self.wishes.push(missing.clone());
            return Err(missing);
        }
        self.target.extend(&bundle.contents);
        self.accepted.insert(sequence);
        let second = i64::try_from(self.receipts.len()).unwrap() + 1;
        let confirmation = Confirmation {
            pipeline: self.pipeline.clone(),
            pipeline_name: format!("plant-{}", self.seed),
            lane: LANE.to_owned(),
            basis: ReceiptBasis::Receipt,
            sequence,
            inventory: Some(self.inventory(sequence)),
            part: ConfirmedPart::All,
            created: Timestamp::from_second(second).unwrap(),
            digest: Some(Digest::sha256(format!("receipt {second}").as_bytes())),
            previous: None,
            source: "/mnt/usb/a.receipt".to_owned(),
            who: "a test".to_owned(),
        };
        self.receipts.push(confirmation);
        Ok(())
    }

    async fn bring(&mut self, receipt: usize) {
        let confirmation = self.receipts[receipt].clone();
        let recorded = self
            .near
            .ledger
            .record_confirmation(&confirmation, Timestamp::now())
            .await
            .unwrap();
        if matches!(recorded, Recorded::New { .. }) {
            self.confirmed.insert(confirmation.sequence);
        }
    }

    /// Brings what was wished for; everything that is ever missing was sent before.
    async fn repair(&mut self, wish: &Contents) {
        let digests: Vec<Digest> = wish.iter().map(|it| digest(*it)).collect();
        let to = (&self.pipeline, LANE);
        for digest in &digests {
            let sent = self.near.ledger.find_sent(to, digest).await.unwrap();
            assert!(sent.is_some(), "seed {}: a repair is refused", self.seed);
        }
        let marked = self
            .near
            .ledger
            .mark_missing(to, &digests, Timestamp::now());
        marked.await.unwrap();
        for content in wish {
            self.reported.insert(*content, self.newest());
        }
        self.known().await;
        self.send(wish.clone(), Contents::new()).await;
    }

    async fn step(&mut self) {
        let newest = self.newest();
        match self.dice.below(12) {
            0..=2 => {
                let contents = self.some_contents();
                self.export(contents).await;
            }
            3..=6 if newest > 0 => {
                // Any of them, also one that was delivered, and in any order.
                let sequence = 1 + self.dice.below(newest);
                if !self.lost.contains(&sequence) {
                    let _ = self.deliver(sequence);
                }
            }
            7 if newest > 0 => drop(self.lost.insert(1 + self.dice.below(newest))),
            8 | 9 if !self.receipts.is_empty() => {
                let receipt = self.dice.index(self.receipts.len());
                self.bring(receipt).await;
            }
            10 if !self.wishes.is_empty() => {
                // Also an old one again.
                let wish = self.dice.pick(&self.wishes).clone();
                self.repair(&wish).await;
            }
            11 => {
                let gone = self.dice.below(CONTENTS);
                self.target.remove(&gone);
            }
            _ => {}
        }
    }

    /// The carrier has lost what it has lost; from now on nothing is lost any more.
    async fn finish(&mut self) {
        let wanted = self.some_contents();
        self.export(wanted.clone()).await;
        let last = self.newest();
        if let Err(missing) = self.deliver(last) {
            self.repair(&missing).await;
            let repair = self.newest();
            assert_eq!(self.deliver(repair), Ok(()), "seed {}", self.seed);
            assert_eq!(self.deliver(last), Ok(()), "seed {}", self.seed);
        }
        assert!(self.target.is_superset(&wanted), "seed {}", self.seed);
        // What has come home since is right, so that the next bundle needs no repair.
        self.bring(self.receipts.len() - 1).await;
        if self.basis == Basis::Confirmed && self.accepted.contains(&self.newest()) {
            assert!(self.known().await.is_superset(&wanted) || !self.reported.is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_loss_no_repetition_and_no_order_wedges_a_lane() {
    let directory = quick_directory();
    let ledger = Ledger::open(directory.path()).await.unwrap();
    let run = NewRun {
        kind: RunKind::Export,
        pipeline: None,
        trigger: Trigger::Manual,
        who: "a test".to_owned(),
        comment: None,
        container: None,
        target: None,
        bundle: None,
        set: None,
        inventory: None,
        sequence: None,
        link: RunLink::default(),
    };
    let run = ActiveRun::begin(&ledger, &run, Timestamp::now)
        .await
        .unwrap();
    let near = Near {
        ledger: &ledger,
        run: run.id(),
    };
    let mut wishes = 0;
    let mut lost = 0;
    for seed in 0..LANES {
        let mut lane = Lane::new(&near, seed);
        for _ in 0..STEPS {
            lane.step().await;
        }
        lane.finish().await;
        wishes += lane.wishes.len();
        lost += lane.lost.len();
    }
    eprintln!("{wishes} wishes, {lost} lost");
    assert!(wishes > 200 && lost > 200, "{wishes}, {lost}");
}
