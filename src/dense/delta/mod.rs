//! Differences between decompressed layers: copies out of older ones, and literals that are compressed beside them.
