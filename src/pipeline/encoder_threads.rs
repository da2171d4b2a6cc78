//! How many threads write the gzip of one layer again.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// Each takes about 20 MiB of memory, and has 60 MB/s.
const THREADS_MAX: NonZeroUsize = NonZeroUsize::new(6).unwrap();

/// All cores of the machine, as far as memory stays within its bounds.
pub(super) fn count_encoder_threads() -> NonZeroUsize {
    available_parallelism()
        .unwrap_or(NonZeroUsize::MIN)
        .min(THREADS_MAX)
}
