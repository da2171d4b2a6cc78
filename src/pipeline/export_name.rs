//! Names of bundles and of their objects.
//!
//! **Invariants.** An object's name fits 60 characters. Bundles of a pipeline have their sequence in their
//! names, so that a bundle with the content of an older one never takes the older one's name.
//! Specification: FORMAT.md, "Names".

use jiff::Timestamp;

use super::export_plan::ExportPlan;
use super::name_template::{NameTemplate, Named};
use crate::bundle::{NAME_LENGTH_MAX, Profile, VOLUMES_MAX, is_bundle_name};
use crate::content::{Error, ErrorKind, Result};
use crate::history::ExportPosition;

/// How much of the plan's digest is in a name.
const DIGEST_DIGITS: usize = 12;

/// The objects' names of a bundle of so many volumes.
pub(super) fn name_objects(bundle: &str, profile: Profile, of: usize) -> Vec<String> {
    let suffix = profile.suffix();
    if of == 1 {
        return vec![format!("{bundle}{suffix}")];
    }
    let width = of.to_string().len();
    (1..=of)
        .map(|number| format!("{bundle}.v{number:0width$}of{of}{suffix}"))
        .collect()
}

/// How many volumes the bundle has whose name this object has; `None` for an object that is none of them.
pub(super) fn count_volumes(bundle: &str, profile: Profile, object: &str) -> Option<usize> {
    let rest = object
        .strip_prefix(bundle)?
        .strip_suffix(profile.suffix())?;
    let (number, of) = match rest.strip_prefix(".v") {
        Some(numbers) => numbers.split_once("of")?,
        None if rest.is_empty() => return Some(1),
        None => return None,
    };
    let (number, volumes): (u32, u32) = (number.parse().ok()?, of.parse().ok()?);
    let is_one = (1..=volumes).contains(&number) && (2..=VOLUMES_MAX).contains(&volumes);
    let written = format!("{number:0width$}of{volumes}", width = of.len());
    (is_one && rest[2..] == written).then_some(volumes as usize)
}

impl ExportPlan {
    /// The object's name of each volume.
    pub fn object_names(&self) -> Vec<String> {
        name_objects(&self.name, self.profile, self.volumes.len())
    }

    /// Gives the bundle its place in a pipeline, and the name that goes with it.
    pub(super) fn place(
        &mut self,
        position: ExportPosition,
        (asked, created): (Option<&NameTemplate>, Timestamp),
    ) -> Result<()> {
        let sequence = position.sequence;
        self.position = Some(position);
        self.name = match asked {
            Some(template) => self.render(template, None, created),
            None => self.default_name(Some(sequence)),
        };
        self.check_names()
    }

    /// The name that was asked for; `number` says which of several one-off bundles it is.
    pub(super) fn render(
        &self,
        template: &NameTemplate,
        number: Option<usize>,
        created: Timestamp,
    ) -> String {
        let position = self.position.as_ref();
        template.render(Named {
            repository: &self.first_repository(),
            digest: &self.set[..DIGEST_DIGITS],
            pipeline: position.map(|position| position.name.as_str()),
            sequence: position.map(|position| position.sequence),
            number,
            created,
        })
    }

    fn first_repository(&self) -> String {
        let first = self.plan.artifacts.first().map_or("repair", |artifact| {
            self.plan.repositories[artifact.repository].as_str()
        });
        first.replace('/', "-")
    }

    /// `<first repository>[-<sequence>]-<12 hex of the plan's digest>`, cut so that the object's name fits.
    pub(super) fn default_name(&self, sequence: Option<u64>) -> String {
        let sequence = sequence.map_or(String::new(), |number| format!("-{number}"));
        let end = format!("{sequence}-{}", &self.set[..DIGEST_DIGITS]);
        let volumes = self.volumes.len();
        let numbers = match volumes {
            1 => 0,
            _ => 2 * volumes.to_string().len() + 4,
        };
        let room = NAME_LENGTH_MAX - self.profile.suffix().len() - numbers - end.len();
        let mut stem = self.first_repository();
        stem.truncate(room);
        stem + &end
    }

    pub(super) fn check_names(&self) -> Result<()> {
        let names = self.object_names();
        match names.iter().find(|name| !is_bundle_name(name)) {
            None => Ok(()),
            Some(name) => Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "`{name}` cannot be an object's name: at most {NAME_LENGTH_MAX} of `a-z`, `0-9`, `.`, `_`, `-`"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_tells_of_how_many_volumes_it_is_one() {
        for of in [1, 2, 9, 10, 123, 9999] {
            for name in name_objects("web-3", Profile::Dense, of) {
                assert_eq!(
                    count_volumes("web-3", Profile::Dense, &name),
                    Some(of),
                    "{name}"
                );
            }
        }
        for other in [
            "web-3.v1of2.tar",
            "web-3.v3of2.tar.zst",
            "web-3.v01of2.tar.zst",
            "web-3.v1of02.tar.zst",
            "web-3.v0of2.tar.zst",
            "web-3.v1of1.tar.zst",
            "web-3.v1of10.tar.zst",
            "web-3.v00001of10000.tar.zst",
            "web-33.tar.zst",
            "web-3.tar.zst.sig",
        ] {
            assert_eq!(
                count_volumes("web-3", Profile::Dense, other),
                None,
                "{other}"
            );
        }
    }
}
