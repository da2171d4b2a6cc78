//! Why what was typed names no container. No message holds a secret, nor a query that may be one.

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidContainer {
    #[error(
        "`{0}` is not a container: expected a path, or a URL with `https:`, `s3:`, `gs:` or `file:`"
    )]
    Scheme(String),
    #[error("`{0}` names no container: expected `https://ACCOUNT.blob.core.windows.net/CONTAINER`")]
    NoContainer(String),
    #[error("`{0}` names no bucket: expected `{1}://BUCKET[/PREFIX]`")]
    NoBucket(String, &'static str),
    #[error("`{0}` has the unknown setting `{1}`; known are `{2}`")]
    Setting(String, String, &'static str),
    #[error("`{place}` has the setting `{setting}={value}`: expected {expected}")]
    Value {
        place: String,
        setting: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("`{0}` holds a user name or password; name a secret with `?credential=env:NAME`")]
    Password(String),
    #[error(
        "`{0}` holds a user name or password in its setting `{1}`; name a secret with `credential=env:NAME`"
    )]
    PasswordInSetting(String, &'static str),
    #[error("`{0}` holds a signature, and `credential=` names another one: give one of the two")]
    TwoCredentials(String),
}

impl InvalidContainer {
    /// About a known setting whose value cannot be used.
    pub(super) fn of_value(place: &str, setting: &'static str, value: &str) -> Self {
        let place = place.to_owned();
        if value.contains('@') {
            return Self::PasswordInSetting(place, setting);
        }
        let value = value.split(['?', '#']).next().unwrap_or_default();
        Self::Value {
            place,
            setting,
            value: value.escape_debug().to_string(),
            expected: match setting {
                "style" => "`path` or `virtual`",
                _ => "a URL such as `http://HOST:PORT`",
            },
        }
    }
}
