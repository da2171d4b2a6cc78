//! The near miss: what somebody probably meant who wrote something else. Pure.

/// The name that `written` is likely a slip of, if there is one.
///
/// A slip is at most a third of the letters changed, lost, doubled or swapped.
pub fn find_near<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = written.to_lowercase().replace('_', "-");
    let changes = |name: &&str| strsim::damerau_levenshtein(&lower, name);
    let nearest = names.into_iter().min_by_key(changes)?;
    let allowed = lower.len().max(nearest.len()).div_ceil(3);
    (changes(&nearest) <= allowed).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::find_near;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let names = ["newest", "newest-by", "min-age", "overwrite-blobs"];
        assert_eq!(find_near("newst", names), Some("newest"));
        assert_eq!(find_near("min_age", names), Some("min-age"));
        assert_eq!(find_near("overwriteBlobs", names), Some("overwrite-blobs"));
        assert_eq!(find_near("colour", names), None);
        assert_eq!(find_near("x", []), None);
    }
}
