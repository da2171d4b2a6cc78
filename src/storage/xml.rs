//! The few elements that are read out of the XML answers of services.
//!
//! Pure. These documents are flat and written by machines: an element is found by its name, and nothing else of XML
//! is understood. What is broken or unknown reads as missing.

/// The text of the first element of this name.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).next().map(unescape)
}

/// What is in the elements of this name, one after another, as it stands there.
pub(super) fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, behind) = rest.split_once(&open)?;
        let (inner, behind) = behind.split_once(&close)?;
        rest = behind;
        Some(inner)
    })
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        plain.push_str(before);
        rest = behind;
        match behind
            .split_once(';')
            .and_then(|(entity, behind)| Some((character(entity)?, behind)))
        {
            Some((character, behind)) => {
                plain.push(character);
                rest = behind;
            }
            None => plain.push('&'),
        }
    }
    plain + rest
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let number = match number.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_with_their_quotes() {
        let xml = "<CopyPartResult><ETag>&quot;a-1&#34;</ETag><Size>3</Size></CopyPartResult>";
        assert_eq!(element(xml, "ETag").as_deref(), Some("\"a-1\""));
        assert_eq!(element(xml, "Code"), None);
        let key = "<Key>a&amp;quot;&#x62;&lt;&unknown; & c</Key>";
        assert_eq!(
            element(key, "Key").as_deref(),
            Some("a&quot;b<&unknown; & c")
        );
        let several = "<Part><N>1</N></Part> <Part><N>2</N></Part><Part><N>3</N>";
        let parts: Vec<&str> = elements(several, "Part").collect();
        assert_eq!(parts, ["<N>1</N>", "<N>2</N>"]);
    }
}
