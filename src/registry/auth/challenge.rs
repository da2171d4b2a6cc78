//! What a registry wants to be shown: the `WWW-Authenticate` headers of a 401.
//!
//! A header may hold several challenges, and several headers may come; quoted strings hold commas. What
//! does not follow the grammar is left out, and the rest is still understood.
//!
//! Specification: RFC 9110, section 11.6.1; RFC 6750, section 3.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A scheme in lower case, with its parameters by lower-case name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::registry) struct Challenge {
    pub(in crate::registry) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(in crate::registry) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// All challenges of an answer, in the order in which they stand.
pub(in crate::registry) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found = Vec::new();
    for header in headers.get_all(WWW_AUTHENTICATE) {
        read_header(&String::from_utf8_lossy(header.as_bytes()), &mut found);
    }
    found
}

fn read_header(text: &str, found: &mut Vec<Challenge>) {
    let mut rest = Rest(text);
    loop {
        rest.skip(|c| c == ',' || c.is_whitespace());
        let word = rest.token();
        if word.is_empty() {
            return;
        }
        rest.skip(char::is_whitespace);
        if !rest.take('=') {
            found.push(Challenge {
                scheme: word.to_ascii_lowercase(),
                parameters: Vec::new(),
            });
            continue;
        }
        rest.skip(char::is_whitespace);
        let Some(value) = rest.value() else { return };
        if let Some(challenge) = found.last_mut() {
            challenge
                .parameters
                .push((word.to_ascii_lowercase(), value));
        }
    }
}

/// What is left to read of a header.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(is_skipped);
    }

    fn take(&mut self, wanted: char) -> bool {
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> &'a str {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(c);
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        token
    }

    /// A token, or a quoted string without its quotes and escapes; `None` where the quote never closes.
    fn value(&mut self) -> Option<String> {
        if !self.take('"') {
            return Some(self.token().to_owned());
        }
        let mut value = String::new();
        let mut characters = self.0.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(value);
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                _ => value.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[&str]) -> Vec<Challenge> {
        let mut found = Vec::new();
        for header in headers {
            read_header(header, &mut found);
        }
        found
    }

    #[test]
    fn a_bearer_challenge_keeps_its_quoted_commas() {
        let found = read(&[
            r#"Bearer realm="https://auth.example/token",service="r.example", scope="repository:a/b:pull,push""#,
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].scheme, "bearer");
        assert_eq!(
            found[0].parameter("realm"),
            Some("https://auth.example/token")
        );
        assert_eq!(
            found[0].parameter("scope"),
            Some("repository:a/b:pull,push")
        );
    }

    #[test]
    fn several_challenges_are_told_apart() {
        let found = read(&[
            r#"Negotiate, BASIC realm = "a \"quoted\" realm", Bearer Realm=x"#,
            "Digest",
        ]);
        let schemes: Vec<_> = found
            .iter()
            .map(|challenge| challenge.scheme.as_str())
            .collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer", "digest"]);
        assert_eq!(found[1].parameter("realm"), Some(r#"a "quoted" realm"#));
        assert_eq!(found[2].parameter("realm"), Some("x"));
    }

    #[test]
    fn broken_headers_end_and_are_no_reason_to_fail() {
        assert_eq!(read(&["", ",,", "=", "\u{fffd}"]), []);
        assert_eq!(read(&[r#"Bearer realm="never closed"#])[0].parameters, []);
        assert_eq!(read(&["Basic ", "a=b"])[0].parameter("a"), Some("b"));
    }
}
