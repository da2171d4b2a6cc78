//! Names of the configuration file: which registry and which container a word means. Pure.
//!
//! A name has no `.`, `:` or `/`, so that it is no host, no URL and no path. Paths are absolute: who runs a pipeline
//! from where must not decide what it does.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::find_near;
use crate::storage::ContainerReference;

/// What sections are called, and what they stand for.
#[derive(Default)]
pub(super) struct Names {
    /// The URL of each container, with the name of its credential.
    pub(super) containers: BTreeMap<String, String>,
    /// The address of each registry.
    pub(super) registries: BTreeMap<String, String>,
}

/// What is wrong with a word, and what was perhaps meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownName {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

const LAYOUT_SCHEME: &str = "oci:";
/// Of storage containers that are no directories.
const SCHEMES: [&str; 4] = ["https", "http", "s3", "gs"];

impl Names {
    /// A container's section by its name, or a path or URL as it is.
    pub(super) fn container(&self, text: &str) -> Result<String, UnknownName> {
        if text.contains("://") {
            return refuse_signature(text).map(|()| text.to_owned());
        }
        if let Some(path) = text.strip_prefix("file:") {
            return absolute(path).map(|_| text.to_owned());
        }
        if let Some(near) = find_near_url(text) {
            return Err(UnknownName {
                message: "this is no URL".to_owned(),
                hint: Some(format!("did you mean `{near}`?")),
            });
        }
        if text.contains('/') {
            return absolute(text);
        }
        find(&self.containers, text, "container")
    }

    /// `NAME[/…]` with the address of the registry in its place; a host or an `oci:` path as it is.
    pub(super) fn registry(&self, text: &str) -> Result<String, UnknownName> {
        refuse_login(text)?;
        if let Some(path) = text.strip_prefix(LAYOUT_SCHEME) {
            return absolute(path).map(|_| text.to_owned());
        }
        let (first, rest) = match text.find('/') {
            Some(slash) => text.split_at(slash),
            None => (text, ""),
        };
        if is_host(first) {
            return Ok(text.to_owned());
        }
        let address = find(&self.registries, first, "registry")?;
        Ok(format!("{address}{rest}"))
    }

    /// `NAME/…` and `HOST/…` as ever, and everything else below `source`. What has no `/` is no registry.
    pub(super) fn below_source(&self, source: &str, text: &str) -> Result<String, UnknownName> {
        let is_named = text
            .split_once('/')
            .is_some_and(|(first, _)| is_host(first) || self.registries.contains_key(first));
        match is_named || text.starts_with(LAYOUT_SCHEME) {
            true => self.registry(text),
            false => Ok(format!("{}/{text}", source.trim_end_matches('/'))),
        }
    }

    /// What is meant below the registry of this name.
    pub(super) fn below(&self, registry: &str, text: &str) -> Result<String, UnknownName> {
        refuse_login(text)?;
        let address = find(&self.registries, registry, "registry")?;
        Ok(format!("{address}/{text}"))
    }
}

/// The URL that was meant, where a scheme is not followed by `://`. What may be a secret in it is left away.
pub(super) fn find_near_url(text: &str) -> Option<String> {
    let place = text.split('?').next().unwrap_or_default();
    let (scheme, rest) = place.split_once(':').filter(|_| !place.contains('@'))?;
    let is_url = rest.starts_with("//") || !SCHEMES.contains(&scheme);
    (!is_url).then(|| format!("{scheme}://{}", rest.trim_start_matches('/')))
}

fn is_host(word: &str) -> bool {
    word.contains(['.', ':']) || word == "localhost"
}

/// A name or password before the host is not repeated.
pub(super) fn refuse_login(text: &str) -> Result<(), UnknownName> {
    let (scheme, rest) = text
        .split_once("://")
        .map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    let before = rest.split_once('/').map_or("", |(first, _)| first);
    if before.contains('@') || (scheme.is_some() && rest.contains('@')) {
        return Err(UnknownName {
            message: "this holds a user name or a password".to_owned(),
            hint: Some(
                "a `[registry.NAME]` has `username`, and `password` names the secret".to_owned(),
            ),
        });
    }
    match scheme {
        None => Ok(()),
        Some(scheme) => Err(UnknownName {
            message: "this is a URL, and a registry is named by its host".to_owned(),
            hint: Some(format!("leave `{scheme}://` away")),
        }),
    }
}

fn refuse_signature(url: &str) -> Result<(), UnknownName> {
    let parsed = url.parse::<ContainerReference>();
    if !parsed.is_ok_and(|reference| reference.holds_secret()) {
        return Ok(());
    }
    Err(UnknownName {
        message: "this holds a signature, which everybody can read".to_owned(),
        hint: Some("make it a `[container.NAME]`, whose `credential` names the secret".to_owned()),
    })
}

pub(super) fn absolute(path: &str) -> Result<String, UnknownName> {
    if Path::new(path).is_absolute() {
        return Ok(path.to_owned());
    }
    Err(UnknownName {
        message: format!("`{path}` is a relative path"),
        hint: Some("paths in the configuration file are absolute".to_owned()),
    })
}

fn find(named: &BTreeMap<String, String>, name: &str, kind: &str) -> Result<String, UnknownName> {
    if let Some(found) = named.get(name) {
        return Ok(found.clone());
    }
    let near = find_near(name, named.keys().map(String::as_str));
    Err(UnknownName {
        message: format!("there is no `[{kind}.{name}]`"),
        hint: near.map(|near| format!("did you mean `{near}`?")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Names {
            containers: [pair("usb", "/mnt/usb")].into(),
            registries: [pair("dev", "dev.example:5000/team")].into(),
        }
    }

    #[test]
    fn a_name_stands_for_its_section_and_all_else_for_itself() {
        let names = names();
        assert_eq!(names.container("usb"), Ok("/mnt/usb".to_owned()));
        assert_eq!(names.container("/srv/out"), Ok("/srv/out".to_owned()));
        assert_eq!(names.container("s3://b/p"), Ok("s3://b/p".to_owned()));
        let expanded = "dev.example:5000/team/apps/web:1".to_owned();
        assert_eq!(names.registry("dev/apps/web:1"), Ok(expanded.clone()));
        assert_eq!(names.below("dev", "apps/web:1"), Ok(expanded));
        assert_eq!(
            names.registry("dev"),
            Ok("dev.example:5000/team".to_owned())
        );
        for literal in [
            "localhost/x",
            "r.example/x",
            "r:5000/x",
            "oci:/srv/layout:x",
        ] {
            assert_eq!(names.registry(literal), Ok(literal.to_owned()));
        }
    }

    #[test]
    fn what_is_promoted_is_named_by_registry_by_host_or_below_the_source() {
        let names = names();
        let named = |text| names.below_source("rc.example/team", text);
        let below = |text| Ok(format!("rc.example/team/{text}"));
        for relative in ["web:1.4", "apps/web:1.4", "web@sha256:00", "**/web"] {
            assert_eq!(named(relative), below(relative));
        }
        assert_eq!(
            named("dev/apps/web:1"),
            Ok("dev.example:5000/team/apps/web:1".to_owned())
        );
        for host in ["r.example/web:1", "r:5000/web", "localhost/web"] {
            assert_eq!(named(host), Ok(host.to_owned()));
        }
    }

    #[test]
    fn an_unknown_name_says_what_was_perhaps_meant() {
        let unknown = names().registry("dve/apps").expect_err("no such registry");
        assert_eq!(unknown.message, "there is no `[registry.dve]`");
        assert_eq!(unknown.hint.as_deref(), Some("did you mean `dev`?"));
        assert!(names().container("usb2stick").is_err());
        assert!(names().container("./out").is_err(), "relative");
        assert!(names().registry("oci:layout").is_err(), "relative");
    }
}
