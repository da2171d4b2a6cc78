//! The road: export, import and what is told about them.
//!
//! This module puts places, bundles and containers together. It decides nothing about bytes, prints
//! nothing and reads no environment; whoever calls it has turned flags into options.
//!
//! **Invariant.** Nothing is published before everything that it needs has been verified: an export's
//! volumes become visible after the last byte of the last one, an import's tags move in phase 2.

mod admission;
mod answer;
mod assumed;
mod broken_off;
mod byte_channel;
mod containers;
mod content_reader;
mod creation;
mod deliver;
mod deliver_events;
mod deliver_outcome;
mod delivered;
mod describe;
mod due;
mod early;
mod encoder_threads;
mod encoders;
mod export;
mod export_bases;
mod export_carriage;
mod export_dense;
mod export_finish;
mod export_finished;
mod export_inventory;
mod export_known;
mod export_left;
mod export_memory;
mod export_name;
mod export_past;
mod export_plan;
mod export_publish;
mod export_reading;
mod export_resume;
mod export_room;
mod export_sizes;
mod export_stock;
mod export_thin;
mod export_uploads;
mod export_volume;
mod export_wait;
mod export_writing;
mod exporter;
mod facts;
mod holdings;
mod import;
mod import_plan;
mod import_rule;
mod judge_tags;
mod kept_facts;
mod layer;
mod leftovers;
mod list;
mod missing;
mod name_template;
mod open_bundles;
mod overwrite;
mod part;
mod payload;
mod place;
mod promote;
mod promotion_edge;
mod promotion_memory;
mod rebuild;
mod receive;
mod reconstruct;
mod repair;
mod rollback;
mod schedule;
mod scheduler;
mod select;
mod select_layout;
mod select_named;
mod select_tags;
mod sign;
mod spool;
mod spooling;
mod supply;
mod survey;
mod target_names;
mod transfer;
mod watch;

pub use admission::{AdmissionRules, CannotAdmit};
pub use answer::{Receipts, name_receipt};
pub use assumed::{AssumedWithin, check_assumed};
pub use containers::{connect_container, connect_queue, locate_bundles, upload_place};
pub use creation::RepositoryCreation;
pub use deliver::Remembrance;
pub use delivered::Delivered;
pub use encoders::{Carried, EncodedLayer, LayerEncoding, VerbatimReason, find_encoders};
pub use export::{ExportReport, ExportedVolume, run_export};
pub use export_carriage::Carriage;
pub use export_known::CannotNumber;
pub use export_memory::ExportMemory;
pub use export_plan::{
    Created, ExportOptions, ExportPlan, PipelineRequest, plan_exports, plan_selected,
};
pub use export_thin::{Assumes, Dense, References, Thinning};
pub use exporter::{Exporter, preview_exports};
pub use holdings::{Holdings, list_holdings};
pub use import::{ImportOptions, ImportReport, ImportedArtifact, Replays, Tailoring, run_import};
pub use import_plan::{ImportPlan, plan_import};
pub use leftovers::{
    Cleaning, ContainerListing, JudgedUpload, ObjectRole, RememberedUploads, UploadOutcome,
    list_container,
};
pub use list::{FoundTag, ListTarget, ListedTag, list_repositories, list_tags};
pub use missing::{MISSING_MEDIA_TYPE, MissingContent, MissingContents};
pub use name_template::{InvalidName, NameTemplate};
pub use open_bundles::{
    BundlePlace, OpenedBundle, RefusedObject, is_signature_name, is_volume_name, open_bundles,
    open_volumes, sets_of,
};
pub use overwrite::{MovesBack, TagPast, TagRules};
pub use part::{LeftArtifact, PartSelection};
pub use place::{Connections, InvalidSource, Place, SourceReference, TargetReference};
pub use promote::{
    PromotionOptions, PromotionPlan, PromotionReport, plan_promotion, run_promotion,
    survey_promotion,
};
pub use promotion_edge::{InvalidEdge, OutsideEdge, PromotionEdge};
pub use promotion_memory::{PromotionMemory, describe_promotion};
pub use rebuild::PlatformIndex;
pub use receive::{FoundReceipt, VerifiedReceipt, find_receipts, record_receipt};
pub use repair::{CannotRepair, note_repair, plan_repair};
pub use rollback::{
    RollbackAuthor, RollbackPlan, RollbackRequest, describe_rollback, plan_rollback, run_rollback,
};
pub use schedule::{DEFAULT_ZONE, InvalidSchedule, Schedule};
pub use scheduler::{Clock, Occasion, RunEnd, Runner, ScheduleEvent, Scheduled, SystemClock};
pub use select::{Selected, select};
pub use select_layout::{NamedEntries, NamedEntry};
pub use select_named::{NamedReference, NamedReferences};
pub use select_tags::{
    Considered, JudgedRepository, JudgedTag, Selecting, SelectionTotals, TagSelection,
};
pub use sign::{CountersignOptions, Countersigned, countersign};
pub use survey::{Survey, survey_import};
pub use target_names::NameCollision;
pub use transfer::{
    CannotTransfer, ContainerSurvey, Demand, Extent, IgnoredObject, ObjectOutcome, PlannedAction,
    PlannedBundle, PlannedObject, ReadBackPolicy, Selection, SourcePolicy, TransferFailure,
    TransferMemory, TransferOptions, TransferPlan, TransferReport, TransferredBundle,
    plan_transfer, run_transfer, watch_source,
};
pub use watch::{
    DeliveredSource, OneOff, Opener, PolicyReader, SETTLE_TIME, Until, WatchEvent, WatchEvents,
    WatchOptions, WatchReport, WorkKey, run_watch,
};
