//! Base64 with padding, for `data` fields and basic authentication.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.chunks(3).flat_map(encode_group).collect()
}

fn encode_group(group: &[u8]) -> [char; 4] {
    let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
    let bits = at(0) << 16 | at(1) << 8 | at(2);
    std::array::from_fn(|index| {
        if index > group.len() {
            return '=';
        }
        let sextet = bits >> (18 - 6 * index) & 63;
        char::from(ALPHABET[sextet as usize])
    })
}

#[test]
fn groups_are_padded() {
    let encoded = ["", "f", "fo", "foo", "foobar"].map(|text| encode(text.as_bytes()));
    assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYmFy"]);
}
