//! What travels and what does not: foreign layers, old manifests, sparse indexes.
