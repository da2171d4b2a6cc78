//! Names of bundles and of their objects.
//!
//! **Invariants.** An object's name fits 60 characters. Bundles of a pipeline have their sequence in their
//! names, so that a bundle with the content of an older one never takes the older one's name.
//! Specification: FORMAT.md, "Names".

use super::export_plan::ExportPlan;
use crate::bundle::{NAME_LENGTH_MAX, Profile, is_bundle_name};
use crate::content::{Error, ErrorKind, Result};
use crate::history::ExportPosition;

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

impl ExportPlan {
    /// The object's name of each volume.
    pub fn object_names(&self) -> Vec<String> {
        name_objects(&self.name, self.profile, self.volumes.len())
    }

    /// Gives the bundle its place in a pipeline, and the name that goes with it.
    pub(super) fn place(&mut self, position: ExportPosition, asked: Option<&str>) -> Result<()> {
        self.name = match asked {
            Some(name) => format!("{name}-{}", position.sequence),
            None => self.default_name(Some(position.sequence)),
        };
        self.position = Some(position);
        self.check_names()
    }

    /// `<first repository>[-<sequence>]-<12 hex of the plan's digest>`, cut so that the object's name fits.
    pub(super) fn default_name(&self, sequence: Option<u64>) -> String {
        let first = self.plan.artifacts.first().map_or("bundle", |artifact| {
            self.plan.repositories[artifact.repository].as_str()
        });
        let sequence = sequence.map_or(String::new(), |number| format!("-{number}"));
        let end = format!("{sequence}-{}", &self.set[..12]);
        let volumes = self.volumes.len();
        let numbers = match volumes {
            1 => 0,
            _ => 2 * volumes.to_string().len() + 4,
        };
        let room = NAME_LENGTH_MAX - self.profile.suffix().len() - numbers - end.len();
        let mut stem = first.replace('/', "-");
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
