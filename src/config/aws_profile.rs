//! Keys for S3 from the profiles that the AWS tools keep in `~/.aws`, where the environment names none.
//!
//! A profile gives keys or the program that prints them (`credential_process`). It is told, and not passed over,
//! when a profile logs in otherwise: by a role, or by single sign-on.
//! Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files" and "Process credential provider".

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::secret::{run_program, split_words};
use crate::content::{Error, ErrorKind, Result};

/// Settings by name, in lower case.
type Settings = HashMap<String, String>;

/// What a profile logs in with.
pub struct AwsProfile {
    pub login: AwsLogin,
    /// Where the environment names none.
    pub region: Option<String>,
}

pub enum AwsLogin {
    /// `ID:SECRET` or `ID:SECRET:TOKEN`.
    Keys(SecretString),
    /// Its keys may run out.
    Program(AwsProgram),
}

/// The program of a profile, to be run for keys as often as they are needed.
pub struct AwsProgram {
    profile: String,
    line: String,
}

/// Keys as a program has printed them.
pub struct ProgramKeys {
    /// `ID:SECRET` or `ID:SECRET:TOKEN`.
    pub secret: SecretString,
    pub expires: Option<Timestamp>,
}

/// How a profile logs in.
#[derive(Debug, PartialEq, Eq)]
enum Login {
    Keys(String),
    Program(String),
    /// By the setting of this name.
    Unsupported(&'static str),
    None,
}

/// What `credential_process` prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessKeys {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<Timestamp>,
}

/// The profile that `AWS_PROFILE` names, or the one called `default`. `None` where the environment or the machine
/// says who asks.
pub async fn find_aws_profile() -> Result<Option<AwsProfile>> {
    let asked = variable("AWS_PROFILE");
    let has_identity = asked.is_none() && variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some();
    if variable("AWS_ACCESS_KEY_ID").is_some() || has_identity {
        return Ok(None);
    }
    let name = asked.as_deref().unwrap_or("default");
    let settings = read_settings(name).await?;
    if settings.is_empty() && asked.is_some() {
        return Err(unusable(name, "there is no such profile"));
    }
    let login = match find_login(&settings) {
        Login::None if asked.is_none() => return Ok(None),
        Login::None => return Err(unusable(name, "it has no keys")),
        Login::Keys(keys) => AwsLogin::Keys(SecretString::from(keys)),
        Login::Program(line) => AwsLogin::Program(AwsProgram {
            profile: name.to_owned(),
            line,
        }),
        Login::Unsupported(setting) => {
            let reason = format!(
                "it logs in by `{setting}`; give a profile with `credential_process = aws configure export-credentials --profile {name}`"
            );
            return Err(unusable(name, &reason));
        }
    };
    let is_told = ["AWS_REGION", "AWS_DEFAULT_REGION"].map(variable);
    let region = settings.get("region").cloned();
    Ok(Some(AwsProfile {
        login,
        region: region.filter(|_| is_told.iter().all(Option::is_none)),
    }))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn unusable(name: &str, reason: &str) -> Error {
    let message = format!("cannot use the AWS profile `{name}`");
    Error::new(ErrorKind::Denied, message).with_cause(reason.to_owned())
}

/// What both files say of the profile; the file of credentials has the last word.
async fn read_settings(name: &str) -> Result<Settings> {
    let mut settings = Settings::new();
    // In the first file a profile has a prefix, which only `default` may lack.
    let prefixed = format!("profile {name}");
    let bare = if name == "default" { name } else { &prefixed };
    for (environment, file, section) in [
        ("AWS_CONFIG_FILE", "config", bare),
        ("AWS_CONFIG_FILE", "config", &prefixed),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name),
    ] {
        let path = variable(environment).map(PathBuf::from);
        let home = || Some(Path::new(&variable("HOME")?).join(".aws").join(file));
        let Some(path) = path.or_else(home) else {
            continue;
        };
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => settings.extend(parse_section(&text, section)),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => {
                return Err(Error::io(
                    format!("cannot read `{}`", path.display()),
                    cause,
                ));
            }
        }
    }
    Ok(settings)
}

/// The settings of one section. Indented lines belong to a setting of a kind that is not read here.
fn parse_section(text: &str, section: &str) -> Settings {
    let mut settings = Settings::new();
    let mut is_inside = false;
    for line in text.lines() {
        if let Some(name) = line.trim().strip_prefix('[') {
            let name = name.split(']').next().unwrap_or_default();
            is_inside = name.split_whitespace().eq(section.split_whitespace());
        } else if is_inside
            && !line.starts_with([' ', '\t', '#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            let value = value.split(" #").next().unwrap_or_default();
            settings.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    settings
}

fn find_login(settings: &Settings) -> Login {
    let get = |key: &str| settings.get(key).filter(|value| !value.is_empty());
    if let (Some(id), Some(secret)) = (get("aws_access_key_id"), get("aws_secret_access_key")) {
        let token = get("aws_session_token").map_or_else(String::new, |token| format!(":{token}"));
        // With a role these are only the keys that may take it on.
        if get("role_arn").is_none() {
            return Login::Keys(format!("{id}:{secret}{token}"));
        }
    }
    let others = ["role_arn", "sso_session", "sso_start_url", "login_session"];
    match others.into_iter().find(|key| get(key).is_some()) {
        Some(setting) => Login::Unsupported(setting),
        None => get("credential_process").map_or(Login::None, |line| Login::Program(line.clone())),
    }
}

impl AwsProgram {
    /// For messages.
    pub fn name(&self) -> String {
        format!("the AWS profile `{}`", self.profile)
    }

    pub async fn run(&self) -> Result<ProgramKeys> {
        let name = &self.profile;
        let told = |cause: Error| {
            let message = format!("cannot use the AWS profile `{name}`");
            Error::new(cause.kind(), message).with_cause(cause)
        };
        let words = split_words(&self.line).map_err(|cause| unusable(name, &cause.to_string()))?;
        let printed = run_program(&words).await.map_err(told)?;
        parse_keys(&printed).ok_or_else(|| {
            unusable(
                name,
                "its program printed something else than keys of version 1",
            )
        })
    }
}

fn parse_keys(printed: &str) -> Option<ProgramKeys> {
    let keys: ProcessKeys = serde_json::from_str(printed).ok()?;
    let token = keys
        .session_token
        .map_or_else(String::new, |token| format!(":{token}"));
    let (id, secret) = (keys.access_key_id, keys.secret_access_key);
    (keys.version == 1).then(|| ProgramKeys {
        secret: SecretString::from(format!("{id}:{secret}{token}")),
        expires: keys.expiration,
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const CONFIG: &str = "\
# ships
[default]
region = eu-central-1
[profile fleet]
role_arn = arn:aws:iam::1:role/fleet
source_profile = default
[profile  yard ]
credential_process = /opt/keys --for \"the yard\"
s3 =
  max_concurrent_requests = 20
region=us-east-1 # the old one
";

    fn login(text: &str, section: &str) -> Login {
        find_login(&parse_section(text, section))
    }

    #[test]
    fn profiles_say_how_they_log_in() {
        let credentials = "[default]\naws_access_key_id = ID\naws_secret_access_key=S=E/T\n[x]\n";
        assert_eq!(
            login(credentials, "default"),
            Login::Keys("ID:S=E/T".to_owned())
        );
        let with_token = credentials.replace("[x]", "aws_session_token = T");
        assert_eq!(
            login(&with_token, "default"),
            Login::Keys("ID:S=E/T:T".to_owned())
        );
        assert_eq!(login(credentials, "x"), Login::None);
        assert_eq!(login(CONFIG, "default"), Login::None);
        assert_eq!(
            login(CONFIG, "profile fleet"),
            Login::Unsupported("role_arn")
        );
        let line = "/opt/keys --for \"the yard\"".to_owned();
        assert_eq!(login(CONFIG, "profile yard"), Login::Program(line));
        let settings = parse_section(CONFIG, "profile yard");
        assert_eq!(settings["region"], "us-east-1");
        assert!(!settings.contains_key("max_concurrent_requests"));
    }

    #[test]
    fn keys_of_a_program_have_a_version() {
        let keys = |version: u32, more: &str| {
            let text = format!(
                r#"{{"Version":{version},"AccessKeyId":"ID","SecretAccessKey":"S"{more}}}"#
            );
            let keys = parse_keys(&text)?;
            Some((keys.secret.expose_secret().to_owned(), keys.expires))
        };
        assert_eq!(keys(1, ""), Some(("ID:S".to_owned(), None)));
        let more = r#","SessionToken":"T","Expiration":"2027-01-01T00:00:00Z""#;
        let expires = "2027-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(keys(1, more), Some(("ID:S:T".to_owned(), Some(expires))));
        assert_eq!(keys(1, r#","Expiration":"soon""#), None);
        assert_eq!(keys(2, ""), None);
        assert!(parse_keys("ID:S").is_none());
    }
}
