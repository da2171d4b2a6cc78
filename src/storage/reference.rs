//! Containers by the words a person types for them. Pure: nothing is opened here.
//!
//! ```text
//! PATH, file:PATH                                                     a directory
//! https://ACCOUNT.blob.core.windows.net/CONTAINER[/PREFIX][?SAS]      Azure Blob Storage
//! https://HOST[:PORT]/ACCOUNT/CONTAINER[/PREFIX][?SAS]                the same on another host (Azurite, Stack)
//! s3://BUCKET[/PREFIX][?endpoint=URL&style=path|virtual&region=NAME]  S3, and what speaks its protocol
//! gs://BUCKET[/PREFIX][?endpoint=URL]                                 Google Cloud Storage
//! ```
//!
//! Each URL may end with `credential=REFERENCE`, which names a secret and is not one. An object is its container's
//! URL with a `/` and its name. What is printed never holds a query.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;
use url::Url;

use super::invalid_container::InvalidContainer;

/// A container that was named. Two of them are equal when they are the same place.
#[derive(Clone, Debug)]
pub enum ContainerReference {
    Directory(PathBuf),
    Azure(AzureReference),
    S3(S3Reference),
    Gcs(GcsReference),
}

/// A container of a storage account, or a part of one.
#[derive(Clone, Debug)]
pub struct AzureReference {
    /// The account's URL, such as `https://acme.blob.core.windows.net/` or `http://127.0.0.1:10000/acme/`.
    pub endpoint: Url,
    pub account: String,
    pub container: String,
    pub prefix: String,
    /// A shared access signature that was typed as the URL's query.
    pub sas: Option<SecretString>,
    pub credential: Option<String>,
}

/// A bucket, or a part of one.
#[derive(Clone, Debug)]
pub struct S3Reference {
    pub bucket: String,
    pub prefix: String,
    pub endpoint: Option<Url>,
    pub region: Option<String>,
    pub style: S3Style,
    pub credential: Option<String>,
}

/// Where the bucket's name stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Style {
    VirtualHost,
    Path,
}

#[derive(Clone, Debug)]
pub struct GcsReference {
    pub bucket: String,
    pub prefix: String,
    pub endpoint: Option<Url>,
    pub credential: Option<String>,
}

impl FromStr for ContainerReference {
    type Err = InvalidContainer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((scheme, rest)) = split_scheme(text) else {
            return Ok(Self::Directory(PathBuf::from(text)));
        };
        let shown = text.split(['?', '#']).next().unwrap_or_default().to_owned();
        if scheme == "file" {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return Ok(Self::Directory(PathBuf::from(path)));
        }
        let url = Url::parse(text).map_err(|_| InvalidContainer::Scheme(shown.clone()))?;
        if !url.username().is_empty() || url.password().is_some() {
            let (before, after) = shown.split_once('@').unwrap_or_default();
            let scheme = before.split_once("//").map_or("", |(scheme, _)| scheme);
            return Err(InvalidContainer::Password(format!("{scheme}//…@{after}")));
        }
        match scheme {
            "http" | "https" => AzureReference::parse(&url, shown).map(Self::Azure),
            "s3" => S3Reference::parse(&url, &shown).map(Self::S3),
            "gs" => GcsReference::parse(&url, &shown).map(Self::Gcs),
            _ => Err(InvalidContainer::Scheme(shown)),
        }
    }
}

/// `SCHEME:REST`, where the scheme is one of ours or is followed by `//`; all else is a path.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = !scheme.is_empty()
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (is_scheme && (scheme == "file" || rest.starts_with("//"))).then_some((scheme, rest))
}

impl AzureReference {
    fn parse(url: &Url, shown: String) -> Result<Self, InvalidContainer> {
        let host = url.host_str().unwrap_or_default();
        let mut segments: Vec<String> = url
            .path_segments()
            .into_iter()
            .flatten()
            .map(decode)
            .filter(|segment| !segment.is_empty())
            .collect();
        let mut endpoint = url.clone();
        endpoint.set_query(None);
        endpoint.set_fragment(None);
        let account = match host.split_once(".blob.") {
            Some((account, _)) => {
                endpoint.set_path("/");
                account.to_owned()
            }
            None if segments.is_empty() => return Err(InvalidContainer::NoContainer(shown)),
            None => {
                let account = segments.remove(0);
                endpoint.set_path(&format!("/{account}/"));
                account
            }
        };
        if segments.is_empty() {
            return Err(InvalidContainer::NoContainer(shown));
        }
        let container = segments.remove(0);
        let (credential, sas) = split_credential(url);
        if credential.is_some() && !sas.is_empty() {
            return Err(InvalidContainer::TwoCredentials(shown));
        }
        Ok(Self {
            endpoint,
            account,
            container,
            prefix: segments.join("/"),
            sas: (!sas.is_empty()).then(|| SecretString::from(sas)),
            credential,
        })
    }
}

/// The secret's name, and everything else of the query as it was typed.
pub(super) fn split_credential(url: &Url) -> (Option<String>, String) {
    let mut credential = None;
    let mut others = Vec::new();
    for pair in url.query().unwrap_or_default().split('&') {
        match pair.strip_prefix("credential=") {
            Some(reference) => credential = Some(decode(reference)),
            None if !pair.is_empty() => others.push(pair),
            None => {}
        }
    }
    (credential, others.join("&"))
}

pub(super) fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// Bucket and prefix.
fn parse_bucket(
    url: &Url,
    shown: &str,
    scheme: &'static str,
) -> Result<(String, String), InvalidContainer> {
    let no_bucket = || InvalidContainer::NoBucket(shown.to_owned(), scheme);
    let bucket = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(no_bucket)?;
    let segments = url.path_segments().into_iter().flatten().map(decode);
    let prefix: Vec<String> = segments.filter(|segment| !segment.is_empty()).collect();
    Ok((bucket.to_owned(), prefix.join("/")))
}

fn parse_endpoint(value: &str, shown: &str) -> Result<Url, InvalidContainer> {
    let parsed = Url::parse(value).ok().filter(|url| {
        let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
        is_http && url.username().is_empty() && url.password().is_none()
    });
    parsed.ok_or_else(|| InvalidContainer::of_value(shown, "endpoint", value))
}

impl S3Reference {
    fn parse(url: &Url, shown: &str) -> Result<Self, InvalidContainer> {
        let (bucket, prefix) = parse_bucket(url, shown, "s3")?;
        let mut reference = Self {
            bucket,
            prefix,
            endpoint: None,
            region: None,
            style: S3Style::VirtualHost,
            credential: None,
        };
        for (key, value) in url.query_pairs() {
            match (&*key, &*value) {
                ("endpoint", value) => reference.endpoint = Some(parse_endpoint(value, shown)?),
                ("region", value) => reference.region = Some(value.to_owned()),
                ("style", "path") => reference.style = S3Style::Path,
                ("style", "virtual") => reference.style = S3Style::VirtualHost,
                ("credential", value) => reference.credential = Some(value.to_owned()),
                ("style", value) => {
                    return Err(InvalidContainer::of_value(shown, "style", value));
                }
                _ => {
                    return Err(InvalidContainer::Setting(
                        shown.to_owned(),
                        key.into_owned(),
                        "endpoint`, `region`, `style`, `credential",
                    ));
                }
            }
        }
        Ok(reference)
    }
}

impl GcsReference {
    fn parse(url: &Url, shown: &str) -> Result<Self, InvalidContainer> {
        let (bucket, prefix) = parse_bucket(url, shown, "gs")?;
        let mut reference = Self {
            bucket,
            prefix,
            endpoint: None,
            credential: None,
        };
        for (key, value) in url.query_pairs() {
            match &*key {
                "endpoint" => reference.endpoint = Some(parse_endpoint(&value, shown)?),
                "credential" => reference.credential = Some(value.into_owned()),
                _ => {
                    return Err(InvalidContainer::Setting(
                        shown.to_owned(),
                        key.into_owned(),
                        "endpoint`, `credential",
                    ));
                }
            }
        }
        Ok(reference)
    }
}

impl ContainerReference {
    /// The secret that the URL names, such as `env:DROP_SAS`.
    pub fn credential(&self) -> Option<&str> {
        match self {
            Self::Directory(_) => None,
            Self::Azure(azure) => azure.credential.as_deref(),
            Self::S3(s3) => s3.credential.as_deref(),
            Self::Gcs(gcs) => gcs.credential.as_deref(),
        }
    }

    /// Whether a signature was typed on the command line, where others can see it.
    pub fn holds_secret(&self) -> bool {
        matches!(self, Self::Azure(azure) if azure.sas.is_some())
    }

    /// Takes the last component for an object's name, where it ends like a bundle or a receipt.
    pub fn split_object(&self) -> (Self, Option<String>) {
        let mut container = self.clone();
        let prefix = match &mut container {
            Self::Directory(_) => return (container, None),
            Self::Azure(azure) => &mut azure.prefix,
            Self::S3(s3) => &mut s3.prefix,
            Self::Gcs(gcs) => &mut gcs.prefix,
        };
        let (folder, last) = match prefix.rsplit_once('/') {
            Some((folder, last)) => (folder.to_owned(), last.to_owned()),
            None => (String::new(), prefix.clone()),
        };
        let suffixes = [".tar.zst", ".tar", ".receipt"];
        if suffixes.iter().any(|it| last.ends_with(it)) {
            *prefix = folder;
            return (container, Some(last));
        }
        (container, None)
    }
}

fn join(base: &str, parts: &[&str]) -> String {
    let mut joined = base.trim_end_matches('/').to_owned();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        joined.push('/');
        joined.push_str(part);
    }
    joined
}

impl fmt::Display for ContainerReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Directory(path) => path.display().to_string(),
            Self::Azure(azure) => join(azure.endpoint.as_str(), &[&azure.container, &azure.prefix]),
            Self::S3(s3) => join(&format!("s3://{}", s3.bucket), &[&s3.prefix]),
            Self::Gcs(gcs) => join(&format!("gs://{}", gcs.bucket), &[&gcs.prefix]),
        };
        f.write_str(&text)
    }
}

impl From<&Path> for ContainerReference {
    fn from(path: &Path) -> Self {
        Self::Directory(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn parse(text: &str) -> ContainerReference {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_is_a_directory_whatever_it_looks_like() {
        for path in [
            "/mnt/usb",
            "drop",
            "./s3",
            "C:bundles",
            "file:/mnt/usb",
            "file:///mnt/usb",
        ] {
            assert!(
                matches!(parse(path), ContainerReference::Directory(_)),
                "{path}"
            );
        }
        assert_eq!(parse("file:///mnt/usb").to_string(), "/mnt/usb");
    }

    #[test]
    fn an_azure_url_is_account_container_and_prefix() {
        let ContainerReference::Azure(azure) =
            parse("https://acme.blob.core.windows.net/drop/ship/7?sv=2024&sig=a%2Bb&sp=rl")
        else {
            panic!("not Azure");
        };
        assert_eq!(
            azure.endpoint.as_str(),
            "https://acme.blob.core.windows.net/"
        );
        assert_eq!(
            (&*azure.account, &*azure.container, &*azure.prefix),
            ("acme", "drop", "ship/7")
        );
        assert_eq!(
            azure.sas.unwrap().expose_secret(),
            "sv=2024&sig=a%2Bb&sp=rl"
        );
        let ContainerReference::Azure(local) =
            parse("http://127.0.0.1:10000/acme/drop?credential=env:DROP_SAS")
        else {
            panic!("not Azure");
        };
        assert_eq!(local.endpoint.as_str(), "http://127.0.0.1:10000/acme/");
        assert_eq!((&*local.account, &*local.container), ("acme", "drop"));
        assert_eq!(local.credential.as_deref(), Some("env:DROP_SAS"));
        assert!(local.sas.is_none());
    }

    #[test]
    fn what_is_shown_holds_no_signature() {
        let reference = parse("https://acme.blob.core.windows.net/drop?sv=2024&sig=SECRET");
        assert_eq!(
            reference.to_string(),
            "https://acme.blob.core.windows.net/drop"
        );
        assert!(!format!("{reference:?}").contains("SECRET"));
        for wrong in [
            "https://acme.blob.core.windows.net/?sig=SECRET",
            "ftp://h/c?sig=SECRET",
            "s3://bucket?sig=SECRET&x=SECRET",
            "https://user:SECRET@h/a/c",
        ] {
            let error = wrong.parse::<ContainerReference>().unwrap_err();
            assert!(!error.to_string().contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn an_s3_url_has_its_settings() {
        let ContainerReference::S3(s3) =
            parse("s3://drop/ship?endpoint=http://127.0.0.1:9000&style=path&region=eu")
        else {
            panic!("not S3");
        };
        assert_eq!(
            (&*s3.bucket, &*s3.prefix, s3.style),
            ("drop", "ship", S3Style::Path)
        );
        assert_eq!(s3.endpoint.unwrap().as_str(), "http://127.0.0.1:9000/");
        assert!(
            "s3://drop?style=other"
                .parse::<ContainerReference>()
                .is_err()
        );
        assert!("s3://?style=path".parse::<ContainerReference>().is_err());
    }

    #[test]
    fn settings_that_cannot_be_used_are_told_with_what_is_expected() {
        let said = |text: &str| text.parse::<ContainerReference>().unwrap_err().to_string();
        let style = said("s3://drop?endpoint=http://127.0.0.1:9000&style=path/");
        assert!(style.contains("`style=path/`"), "{style}");
        assert!(style.contains("expected `path` or `virtual`"), "{style}");
        let endpoint = said("s3://drop?endpoint=127.0.0.1:9000");
        assert!(endpoint.contains("`endpoint=127.0.0.1:9000`"), "{endpoint}");
        for secret in ["http://user:SECRET@h:9000", "user:SECRET@h", "x?sig=SECRET"] {
            let error = said(&format!("gs://drop?endpoint={secret}"));
            assert!(error.contains("`endpoint"), "{error}");
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn a_signature_and_the_name_of_another_are_refused_together() {
        let text = "https://acme.blob.core.windows.net/drop?sig=SECRET&credential=env:SAS";
        let error = text.parse::<ContainerReference>().unwrap_err();
        assert!(matches!(error, InvalidContainer::TwoCredentials(_)));
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }

    #[test]
    fn an_object_is_split_from_its_container() {
        let (container, object) = parse("gs://drop/ship/web-1.tar.zst").split_object();
        assert_eq!(
            (container.to_string().as_str(), object.as_deref()),
            ("gs://drop/ship", Some("web-1.tar.zst"))
        );
        assert_eq!(parse("gs://drop/ship").split_object().1, None);
    }
}
