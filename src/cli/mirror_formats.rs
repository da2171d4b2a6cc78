//! What makes a container runtime look for old names at the target: containerd, podman and CRI-O, `OpenShift`. Pure.
//!
//! Containerd knows one path for a whole registry; what goes elsewhere is named and left out. The others know prefixes.
//! Specification: containerd `docs/hosts.md`; containers-registries.conf(5); `config.openshift.io/v1`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::oci::Repository;
use crate::selection::{Mirrored, MirroredName, Scope};

/// The host that images of Docker Hub are named by, and the one that has them.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_SERVER: &str = "registry-1.docker.io";

/// How the target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Tls,
    Plain,
}

/// What is to be told to a runtime.
pub(super) struct Mirroring {
    /// Hosts of the source registries.
    pub(super) sources: Vec<String>,
    pub(super) host: String,
    pub(super) prefix: Option<Repository>,
    pub(super) wire: Wire,
    pub(super) mirrored: Mirrored,
}

/// A file for a runtime.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MirrorFile {
    pub(super) path: String,
    pub(super) text: String,
}

/// The files, and what they do not say.
#[derive(Debug, Default)]
pub(super) struct MirrorFiles {
    pub(super) files: Vec<MirrorFile>,
    pub(super) left_out: Vec<String>,
}

#[derive(Serialize)]
struct Hosts {
    server: String,
    host: BTreeMap<String, Host>,
}

#[derive(Serialize)]
struct Host {
    capabilities: [&'static str; 2],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    override_path: bool,
}

#[derive(Serialize)]
struct Registries {
    registry: Vec<RegistryEntry>,
}

#[derive(Serialize)]
struct RegistryEntry {
    prefix: String,
    location: String,
    mirror: Vec<MirrorEntry>,
}

#[derive(Serialize)]
struct MirrorEntry {
    location: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    insecure: bool,
}

impl Mirroring {
    /// A name below the target's prefix.
    fn at_target(&self, name: &str) -> String {
        let prefix = self.prefix.as_ref().map_or("", Repository::as_str);
        join(prefix, name)
    }

    fn location(&self, name: &str) -> String {
        join(&self.host, &self.at_target(name))
    }

    /// What no format can say.
    fn left_out(&self) -> Vec<String> {
        let rules = self.mirrored.left_out.iter();
        let rules = rules.map(|rule| {
            format!("the rule `{rule}` is a regular expression: what it renames is not found by its old name")
        });
        let ones = self.mirrored.names.iter();
        let ones = ones.filter(|name| name.scope == Scope::One).map(|name| {
            let from = &name.from;
            format!("repositories below `{from}` are looked for below it too, where the target has them elsewhere")
        });
        rules.chain(ones).collect()
    }

    /// `hosts.toml` of containerd, one for each source.
    pub(super) fn for_containerd(&self) -> Result<MirrorFiles, toml::ser::Error> {
        let whole = self.mirrored.names.iter().find(|name| name.from.is_empty());
        let path = self.at_target(whole.map_or("", |name| &name.to));
        let scheme = match self.wire {
            Wire::Tls => "https",
            Wire::Plain => "http",
        };
        let url = match path.is_empty() {
            true => format!("{scheme}://{}", self.host),
            false => format!("{scheme}://{}/v2/{path}", self.host),
        };
        let mut files = Vec::new();
        for source in &self.sources {
            let server = match source.as_str() {
                DOCKER_HUB => DOCKER_HUB_SERVER,
                source => source,
            };
            let host = Host {
                capabilities: ["pull", "resolve"],
                override_path: !path.is_empty(),
            };
            let hosts = Hosts {
                server: format!("https://{server}"),
                host: BTreeMap::from([(url.clone(), host)]),
            };
            files.push(MirrorFile {
                path: format!("/etc/containerd/certs.d/{source}/hosts.toml"),
                text: toml::to_string(&hosts)?,
            });
        }
        let strays = self.mirrored.names.iter();
        let strays = strays.filter(|name| self.at_target(&name.to) != join(&path, &name.from));
        let strays = strays.map(|name| {
            let to = self.at_target(&name.to);
            format!("{} is at `{to}`, and containerd knows one path for a registry: it is not found by its old name", show(name))
        });
        let rules = self.left_out();
        let rules = rules.into_iter().take(self.mirrored.left_out.len());
        Ok(MirrorFiles {
            files,
            left_out: rules.chain(strays).collect(),
        })
    }

    /// `registries.conf` of podman, skopeo, buildah and CRI-O.
    pub(super) fn for_podman(&self) -> Result<MirrorFiles, toml::ser::Error> {
        let registry = self.pairs().map(|(prefix, location)| RegistryEntry {
            location: prefix.clone(),
            prefix,
            mirror: vec![MirrorEntry {
                location,
                insecure: self.wire == Wire::Plain,
            }],
        });
        let registries = Registries {
            registry: registry.collect(),
        };
        Ok(MirrorFiles {
            files: vec![MirrorFile {
                path: "/etc/containers/registries.conf.d/50-airlift.conf".to_owned(),
                text: toml::to_string(&registries)?,
            }],
            left_out: self.left_out(),
        })
    }

    /// Mirror sets of `OpenShift`, for digests and for tags.
    pub(super) fn for_openshift(&self, name: &str) -> MirrorFiles {
        let set = |kind: &str, key: &str| {
            let mut text = format!(
                "apiVersion: config.openshift.io/v1\nkind: {kind}\nmetadata:\n  name: {}\nspec:\n  {key}:\n",
                quote(name)
            );
            for (source, mirror) in self.pairs() {
                let (source, mirror) = (quote(&source), quote(&mirror));
                text.push_str(&format!(
                    "    - source: {source}\n      mirrors:\n        - {mirror}\n"
                ));
            }
            text
        };
        let digests = set("ImageDigestMirrorSet", "imageDigestMirrors");
        let tags = set("ImageTagMirrorSet", "imageTagMirrors");
        let mut left_out = self.left_out();
        if self.wire == Wire::Plain {
            left_out.push(format!(
                "`{}` speaks plain HTTP: name it in `spec.registrySources.insecureRegistries` of `image.config.openshift.io/cluster`",
                self.host
            ));
        }
        MirrorFiles {
            files: vec![MirrorFile {
                path: format!("{name}.yaml"),
                text: format!("{digests}---\n{tags}"),
            }],
            left_out,
        }
    }

    /// Old names of each source, and where they are.
    fn pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.sources.iter().flat_map(move |source| {
            let names = self.mirrored.names.iter();
            names.map(move |name| (join(source, &name.from), self.location(&name.to)))
        })
    }
}

fn show(name: &MirroredName) -> String {
    match name.scope {
        Scope::Below => format!("what was below `{}`", name.from),
        Scope::One => format!("`{}`", name.from),
    }
}

fn join(first: &str, second: &str) -> String {
    match (first.is_empty(), second.is_empty()) {
        (true, _) => second.to_owned(),
        (_, true) => first.to_owned(),
        _ => format!("{first}/{second}"),
    }
}

/// A text of JSON is one of YAML.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::RenameRules;

    fn mirroring(rules: &[&str], prefix: Option<&str>) -> Mirroring {
        let rules = rules.iter().map(|rule| rule.parse().expect("a rule"));
        Mirroring {
            sources: vec!["docker.io".to_owned(), "quay.io".to_owned()],
            host: "registry.local:5000".to_owned(),
            prefix: prefix.map(|prefix| prefix.parse().expect("a repository")),
            wire: Wire::Tls,
            mirrored: RenameRules::new(rules.collect()).mirrored(),
        }
    }

    fn parse(text: &str) -> toml::Table {
        text.parse().expect("TOML")
    }

    #[test]
    fn containerd_gets_a_file_for_each_source_with_the_path_of_all() {
        let made = mirroring(&[], Some("mirror"))
            .for_containerd()
            .expect("files");
        assert_eq!(made.files.len(), 2);
        assert_eq!(
            made.files[0].path,
            "/etc/containerd/certs.d/docker.io/hosts.toml"
        );
        let hosts = parse(&made.files[0].text);
        assert_eq!(
            hosts["server"].as_str(),
            Some("https://registry-1.docker.io")
        );
        let host = &hosts["host"]["https://registry.local:5000/v2/mirror"];
        assert_eq!(host["override_path"].as_bool(), Some(true));
        let capabilities = host["capabilities"].as_array().expect("a list");
        assert_eq!(capabilities.len(), 2);
        assert!(made.left_out.is_empty());
        let bare = mirroring(&[], None).for_containerd().expect("files");
        let hosts = parse(&bare.files[1].text);
        assert_eq!(hosts["server"].as_str(), Some("https://quay.io"));
        let host = &hosts["host"]["https://registry.local:5000"];
        assert!(host.get("override_path").is_none());
    }

    #[test]
    fn what_containerd_cannot_say_is_named() {
        let rules = [
            "~(.*)-x=$1",
            "apps/=apps/",
            "library/=hub/",
            "one=other",
            "=all/",
        ];
        let made = mirroring(&rules, Some("mirror"))
            .for_containerd()
            .expect("files");
        let told = made.left_out.join("\n");
        assert!(
            parse(&made.files[0].text)["host"]
                .get("https://registry.local:5000/v2/mirror/all")
                .is_some()
        );
        assert_eq!(made.left_out.len(), 4, "{told}");
        for part in [
            "~(.*)-x=$1",
            "below `apps` is at `mirror/apps`",
            "mirror/hub",
            "`one` is at `mirror/other`",
        ] {
            assert!(told.contains(part), "{told}");
        }
        // What keeps its name below the path is said by the path.
        let same = ["apps/=all/apps/", "=all/"];
        let made = mirroring(&same, None).for_containerd().expect("files");
        assert!(made.left_out.is_empty());
    }

    #[test]
    fn podman_gets_every_prefix() {
        let rules = ["library/=hub/", "library/nginx=never", "one=other"];
        let made = mirroring(&rules, Some("mirror"))
            .for_podman()
            .expect("files");
        let registries = parse(&made.files[0].text);
        let entries = registries["registry"].as_array().expect("tables");
        let pairs: Vec<(&str, &str)> = entries
            .iter()
            .map(|entry| {
                let mirror = entry["mirror"][0]["location"].as_str();
                (
                    entry["prefix"].as_str().expect("a text"),
                    mirror.expect("a text"),
                )
            })
            .collect();
        assert_eq!(
            pairs[..3],
            [
                ("docker.io/library", "registry.local:5000/mirror/hub"),
                ("docker.io/one", "registry.local:5000/mirror/other"),
                ("docker.io", "registry.local:5000/mirror"),
            ]
        );
        assert_eq!(pairs.len(), 6);
        assert_eq!(made.left_out.len(), 1, "below `one`");
    }

    #[test]
    fn openshift_gets_sets_for_digests_and_tags() {
        let mut mirroring = mirroring(&["library/=hub/"], None);
        mirroring.sources.truncate(1);
        let made = mirroring.for_openshift("airlift-mirror");
        let expected = r#"apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata:
  name: "airlift-mirror"
spec:
  imageDigestMirrors:
    - source: "docker.io/library"
      mirrors:
        - "registry.local:5000/hub"
    - source: "docker.io"
      mirrors:
        - "registry.local:5000"
---
"#;
        let (digests, tags) = made.files[0].text.split_at(expected.len());
        assert_eq!(digests, expected);
        assert!(tags.contains("kind: ImageTagMirrorSet") && tags.contains("  imageTagMirrors:\n"));
        mirroring.wire = Wire::Plain;
        assert_eq!(mirroring.for_openshift("x").left_out.len(), 1);
    }
}
