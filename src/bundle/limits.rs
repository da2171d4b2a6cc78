//! The limits of the bundle format, by name. FORMAT.md, "Limits", says what each one prevents.

/// The uncompressed bytes of one frame.
pub(super) const FRAME_SIZE_MAX_BYTES: usize = 4 << 20;
/// The stored bytes of one frame: the raw form of a full one is the longest that a writer makes.
pub(super) const FRAME_STORED_SIZE_MAX_BYTES: usize = FRAME_SIZE_MAX_BYTES + 4096;
/// The bytes of an inventory.
pub(super) const INVENTORY_SIZE_MAX_BYTES: u64 = 64 << 20;
/// The rows (contents and voids) of an inventory.
pub(super) const INVENTORY_ROWS_MAX: usize = 1_000_000;
/// The signatures inside a volume.
pub const SIGNATURES_MAX: usize = 16;
/// The bytes of one signature.
pub const SIGNATURE_SIZE_MAX_BYTES: u64 = 1024;
/// The frames of one volume.
pub(super) const FRAMES_MAX: u32 = 8 << 20;
/// The volumes of one bundle.
pub const VOLUMES_MAX: u32 = 9_999;
/// The parts of one blob.
pub(super) const PARTS_MAX: u32 = 9_999;
/// The events that an inventory tells of one artifact's past.
pub(super) const PAST_EVENTS_OF_ARTIFACT_MAX: usize = 32;
/// The bytes of one text of the past.
pub(super) const PAST_TEXT_LENGTH_MAX_BYTES: usize = 1024;
/// The bytes of all that an inventory tells of the past.
pub(super) const PAST_SIZE_MAX_BYTES: u64 = 1 << 20;
/// The characters of a bundle's name, with volume number and suffix.
pub const NAME_LENGTH_MAX: usize = 60;
