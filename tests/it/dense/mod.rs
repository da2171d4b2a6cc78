//! Version 2 of the bundle.
