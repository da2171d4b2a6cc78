//! Every number that bounds a recompression, on the side that makes one and on the side that reads one.

/// The longest header of a member, with its extra field, name and comment, in bytes.
pub(super) const HEADER_BYTES_MAX: usize = 64 * 1024;

/// The most bytes behind the last member that are kept as they are (padding of tapes, mostly zeros).
pub(super) const TRAILING_BYTES_MAX: usize = 64 * 1024;

/// The most members of one stream. Estargz writes one for each file of a layer, so that they are many; they share a
/// header and an encoder, and take some three bytes each.
pub(super) const MEMBERS_MAX: u64 = 1 << 18;

/// The most bytes of headers of all members together.
pub(super) const HEADERS_BYTES_MAX: u64 = 4 << 20;

/// The most bytes of corrections of all members together.
pub(super) const CORRECTIONS_BYTES_MAX: u64 = 16 << 20;

/// The most bytes of corrections of one chunk: a twentieth of the compressed bytes of the longest that is common.
pub(super) const CHUNK_CORRECTIONS_BYTES_MAX: usize = 64 * 1024;

/// The longest chain of equal hashes that a prediction may follow: what zlib does at level 9.
pub(super) const CHAIN_LENGTH_MAX: u32 = 4096;

/// The most plain bytes of one corrected chunk, which is held in memory.
pub(super) const CHUNK_PLAIN_BYTES_MAX: usize = 16 << 20;

/// The most plain bytes of one corrected member: the corrector counts its position in 32 bits with a sign.
pub(super) const CORRECTED_PLAIN_BYTES_MAX: u64 = (1 << 31) - (64 << 20);

/// The most compressed bytes of one corrected chunk, which is held in memory.
pub(super) const CHUNK_COMPRESSED_BYTES_MAX: usize = 4 << 20;

/// The most memory of the process that works corrections out, in bytes.
pub(super) const CHILD_MEMORY_BYTES_MAX: u64 = 256 << 20;

/// Processor time that corrections of one stream may take whatever its size, in seconds.
pub(super) const START_SECONDS_MAX: u64 = 20;

/// How slowly corrections may be worked out on import, in bytes of plain text a second: a twentieth of what is usual.
pub(super) const IMPORT_BYTES_PER_SECOND_MIN: u64 = 256 << 10;

/// How slowly they may be worked out on export: what takes longer goes verbatim, so that a slower importer can follow.
pub(super) const EXPORT_BYTES_PER_SECOND_MIN: u64 = 1 << 20;

/// The longest name of a method, in bytes.
pub(super) const METHOD_NAME_BYTES_MAX: usize = 64;

/// How many compressed bytes pay for one byte of corrections: with more corrections than that the blob goes verbatim.
pub(super) const COMPRESSED_BYTES_PER_CORRECTION: u64 = 20;

/// Corrections that are always allowed, in bytes, since the parameters of a short stream cost some.
pub(super) const CORRECTIONS_ALLOWANCE_BYTES: u64 = 256;
