//! Gzip streams that are taken apart reversibly: who wrote each member, and the proof that it can be made again.
