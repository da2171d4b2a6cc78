//! Registries and containers of the configuration file, as the commands reach them.

use std::path::Path;

use url::form_urlencoded::byte_serialize;

use super::kinds::{ContainerSection, RegistrySection};
use super::names::find_near_url;
use super::overlap::find_writers;
use super::{Configuration, NamedRegistry, Pipeline};
use crate::config::{Fault, InvalidConfiguration, SecretReference};
use crate::pipeline::{Connections, TargetReference};
use crate::registry::{Credentials, RegistryOptions, is_below};

impl ContainerSection {
    /// The container as one would type it: its settings are the query of its URL.
    pub(super) fn write_url(&self) -> Result<String, String> {
        let credential = self.credential.as_ref().map(SecretReference::write);
        let settings = [
            ("endpoint", self.endpoint.as_ref()),
            ("style", self.style.as_ref()),
            ("region", self.region.as_ref()),
            ("credential", credential.as_ref()),
        ];
        let pairs: Vec<String> = settings
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .map(|(key, value)| {
                let encoded: String = byte_serialize(value.as_bytes()).collect();
                // A query decodes `%20` everywhere, and `+` only where it is a form.
                format!("{key}={}", encoded.replace('+', "%20"))
            })
            .collect();
        let is_directory = !self.url.contains("://");
        if let Some(near) = find_near_url(&self.url) {
            return Err(format!("is no URL: did you mean `{near}`?"));
        }
        if is_directory && !pairs.is_empty() {
            return Err("is a directory, which has no other settings".to_owned());
        }
        let path = self.url.strip_prefix("file:").unwrap_or(&self.url);
        if is_directory && !Path::new(path).is_absolute() {
            return Err("is neither an absolute path nor a URL".to_owned());
        }
        Ok(match (pairs.is_empty(), self.url.contains('?')) {
            (true, _) => self.url.clone(),
            (false, true) => format!("{}&{}", self.url, pairs.join("&")),
            (false, false) => format!("{}?{}", self.url, pairs.join("&")),
        })
    }
}

impl RegistrySection {
    /// Whether the host is reached as the other section says.
    pub(super) fn is_reached_like(&self, other: &Self) -> bool {
        self.connection == other.connection
            && self.username == other.username
            && self.password == other.password
    }

    async fn options(&self) -> anyhow::Result<RegistryOptions> {
        let mut options = self.connection.options()?;
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            options.credentials = Credentials::Basic {
                username: username.clone(),
                password: password.resolve().await?,
            };
        }
        Ok(options)
    }
}

impl NamedRegistry {
    pub(in crate::cli) fn host(&self) -> &str {
        match &self.address {
            TargetReference::Registry { host, .. } => host,
            TargetReference::Layout { .. } => "",
        }
    }

    /// Whether what is at `target` is in this registry, below its prefix.
    pub(in crate::cli) fn holds(&self, target: &TargetReference) -> bool {
        is_below(&target.to_string(), &self.address.to_string())
    }

    /// Whether a part of what `target` means is this registry.
    fn is_within(&self, target: &TargetReference) -> bool {
        is_below(&self.address.to_string(), &target.to_string())
    }
}

impl Configuration {
    /// The validated registry that `target` is in.
    pub(in crate::cli) fn find_validated(
        &self,
        target: &TargetReference,
    ) -> Option<&NamedRegistry> {
        let mut validated = self.registries.iter().filter(|it| it.section.validated);
        validated.find(|registry| registry.holds(target) || registry.is_within(target))
    }

    /// Pipelines of the file that may write to the repository, `HOST/REPOSITORY`.
    pub(in crate::cli) fn find_writers(&self, repository: &str) -> impl Iterator<Item = &Pipeline> {
        find_writers(&self.pipelines, repository)
    }

    /// Whether the file says that the host of `target` speaks plain HTTP.
    pub(in crate::cli) fn speaks_plain_http(&self, target: &TargetReference) -> bool {
        let TargetReference::Registry { host, .. } = target else {
            return false;
        };
        let mut registries = self
            .registries
            .iter()
            .filter(|it| is_below(it.host(), host));
        registries.any(|it| it.section.connection.is_plain_http())
    }

    /// Says for each host of the file how it is reached. Logins are read now.
    pub(in crate::cli) async fn connect(
        &self,
        mut connections: Connections,
    ) -> Result<Connections, InvalidConfiguration> {
        for registry in &self.registries {
            match registry.section.options().await {
                Ok(options) => connections.set_options(registry.host(), options),
                Err(error) => {
                    let name = &registry.name;
                    let message = format!("[registry.{name}] cannot be used: {error:#}");
                    let fault = Fault::at(registry.line, message);
                    return Err(InvalidConfiguration::new(&self.path, vec![fault]));
                }
            }
        }
        Ok(connections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(url: &str, credential: Option<&str>) -> ContainerSection {
        ContainerSection {
            url: url.to_owned(),
            credential: credential.map(|text| text.parse().expect("a reference")),
            endpoint: None,
            style: None,
            region: Some("eu-west-1".to_owned()).filter(|_| url.starts_with("s3:")),
        }
    }

    #[test]
    fn settings_become_the_query_of_the_url() {
        let azure = section(
            "https://a.blob.core.windows.net/c",
            Some("exec:pass show 'a b'"),
        );
        let written = azure.write_url().expect("a URL");
        let url: url::Url = written.parse().expect("a URL");
        let pairs: Vec<_> = url.query_pairs().collect();
        assert_eq!(pairs[0].0, "credential");
        let read: SecretReference = pairs[0].1.parse().expect("the reference again");
        assert_eq!(Some(read), azure.credential);
        let s3 = section("s3://bucket/p", None).write_url();
        assert_eq!(s3, Ok("s3://bucket/p?region=eu-west-1".to_owned()));
        assert_eq!(
            section("/srv/out", None).write_url(),
            Ok("/srv/out".to_owned())
        );
        assert!(section("/srv/out", Some("env:X")).write_url().is_err());
        assert!(section("srv/out", None).write_url().is_err(), "relative");
        for url in ["s3:bucket/x", "s3:/bucket/x"] {
            let told = section(url, Some("env:X")).write_url().expect_err(url);
            assert!(told.ends_with("did you mean `s3://bucket/x`?"), "{told}");
        }
        assert_eq!(find_near_url("/srv/s3:bucket"), None);
        assert_eq!(find_near_url("s3://bucket"), None);
    }
}
