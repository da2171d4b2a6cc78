//! Pipelines that would write the same tags: whoever ran last would decide what a tag is. Pure.
//!
//! What a pipeline can reach is told by its target and the repositories that it takes. Two that can reach one name
//! are refused, unless one of them says that it is meant so.

use std::path::{Path, PathBuf};

use super::Pipeline;
use super::Settings;
use super::words::Words;
use crate::config::{Fault, find_near};
use crate::registry::canonical;

/// Pipelines that may write to the repository `name`, `HOST/REPOSITORY`.
pub(super) fn find_writers<'p>(
    pipelines: &'p [Pipeline],
    name: &str,
) -> impl Iterator<Item = &'p Pipeline> {
    let repository = Reach {
        text: canonical(name),
        is_exact: true,
    };
    let writes = move |pipeline: &&Pipeline| {
        let reaches = reaches_of(pipeline);
        reaches.iter().any(|reach| reach.meets(&repository))
    };
    pipelines.iter().filter(writes)
}

/// What a pipeline may write: names that begin so, or one name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reach {
    text: String,
    is_exact: bool,
}

impl Reach {
    fn meets(&self, other: &Self) -> bool {
        match (self.is_exact, other.is_exact) {
            (true, true) => self.text == other.text,
            (true, false) => self.text.starts_with(&other.text),
            (false, true) => other.text.starts_with(&self.text),
            (false, false) => {
                self.text.starts_with(&other.text) || other.text.starts_with(&self.text)
            }
        }
    }
}

/// One fault for each pair that could write the same tag, at the later one.
pub(super) fn find_overlaps(pipelines: &[Pipeline]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (position, later) in pipelines.iter().enumerate() {
        for earlier in &pipelines[..position] {
            let meets = reaches_of(later)
                .iter()
                .any(|reach| reaches_of(earlier).iter().any(|it| it.meets(reach)));
            if meets && !shares(later, earlier) && !shares(earlier, later) {
                faults.push(explain(later, earlier));
            }
        }
    }
    faults
}

/// One fault for each name in `shares-tags-with` that is nobody's.
pub(super) fn find_unknown_sharers(pipelines: &[Pipeline]) -> Vec<Fault> {
    let writes = |pipeline: &&Pipeline| !reaches_of(pipeline).is_empty();
    let mut faults = Vec::new();
    for pipeline in pipelines {
        let others = pipelines.iter().filter(writes);
        let names: Vec<&str> = others
            .filter(|other| other.line != pipeline.line)
            .map(|other| other.name.as_str())
            .collect();
        for listed in sharers_of(pipeline) {
            if names.contains(&listed.as_str()) {
                continue;
            }
            let title = pipeline.title();
            let message = format!("[{title}] `shares-tags-with`: no other pipeline is `{listed}`");
            let fault = Fault::at(pipeline.line, message);
            faults.push(match find_near(listed, names.iter().copied()) {
                Some(near) => fault.with_hint(format!("did you mean `{near}`?")),
                None => fault,
            });
        }
    }
    faults
}

fn explain(later: &Pipeline, earlier: &Pipeline) -> Fault {
    let message = format!(
        "[{}] can write the same tags as `[{}]` in line {}: whichever runs last decides",
        later.title(),
        earlier.title(),
        earlier.line
    );
    Fault::at(later.line, message).with_hint(format!(
        "give them other targets or other `repositories`; if it is meant so: `shares-tags-with = [\"{}\"]`",
        earlier.name
    ))
}

fn shares(one: &Pipeline, other: &Pipeline) -> bool {
    sharers_of(one).contains(&other.name)
}

fn sharers_of(pipeline: &Pipeline) -> &[String] {
    match &pipeline.settings {
        Settings::Import(section) => &section.shares_tags_with,
        Settings::Promotion(section) => &section.shares_tags_with,
        Settings::Export(_) | Settings::Transfer(_) => &[],
    }
}

/// Everything that the pipeline may write to a registry or a layout.
fn reaches_of(pipeline: &Pipeline) -> Vec<Reach> {
    match &pipeline.settings {
        Settings::Import(_) | Settings::Promotion(_) => reaches_in(&pipeline.words),
        Settings::Export(_) | Settings::Transfer(_) => Vec::new(),
    }
}

fn reaches_in(words: &Words) -> Vec<Reach> {
    let Some(target) = words.values_of("target").next() else {
        return Vec::new();
    };
    let target = match target.strip_prefix("oci:") {
        // Without what changes nothing: `//`, `.` and a slash at the end.
        Some(path) => Path::new(path)
            .components()
            .collect::<PathBuf>()
            .display()
            .to_string(),
        None => canonical(target.trim_end_matches('/')),
    };
    let renames = words.flags.iter().any(|flag| flag.starts_with("--rename"));
    let globs: Vec<&str> = words.values_of("repositories").collect();
    if renames || globs.is_empty() {
        let text = format!("{target}/");
        return vec![Reach {
            text,
            is_exact: false,
        }];
    }
    let reach = |glob: &str| {
        let fixed = glob.find(['*', '?', '[', '{']).unwrap_or(glob.len());
        Reach {
            text: format!("{target}/{}", &glob[..fixed]),
            is_exact: fixed == glob.len(),
        }
    };
    globs.into_iter().map(reach).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(flags: &[&str]) -> Vec<Reach> {
        reaches_in(&Words {
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            plain: Vec::new(),
        })
    }

    fn meet(one: &[&str], other: &[&str]) -> bool {
        let other = reaches(other);
        reaches(one)
            .iter()
            .any(|it| other.iter().any(|reach| it.meets(reach)))
    }

    #[test]
    fn targets_meet_where_one_is_below_the_other() {
        assert!(meet(&["--target=r.example/a"], &["--target=r.example/a"]));
        assert!(meet(&["--target=r.example"], &["--target=r.example/a/b"]));
        assert!(!meet(&["--target=r.example/a"], &["--target=r.example/ab"]));
        assert!(!meet(&["--target=r.example/a"], &["--target=s.example/a"]));
        for same in ["oci:/l", "oci:/l/", "oci://l", "oci:/./l/."] {
            let same = format!("--target={same}");
            assert!(meet(&["--target=oci:/l"], &[&same]), "{same}");
        }
        assert!(!meet(&["--target=oci:/l"], &["--target=oci:/m"]));
    }

    #[test]
    fn repositories_keep_pipelines_apart_and_renaming_does_not() {
        let apps = ["--target=r.example", "--repositories=apps/**"];
        let tools = ["--target=r.example", "--repositories=tools/scan"];
        let scan = ["--target=r.example", "--repositories=tools/**"];
        assert!(!meet(&apps, &tools));
        assert!(meet(&tools, &scan));
        assert!(!meet(
            &tools,
            &["--target=r.example", "--repositories=tools/scanner"]
        ));
        let renamed = [
            "--target=r.example",
            "--repositories=apps/**",
            "--rename=apps/=tools/",
        ];
        assert!(meet(&renamed, &scan));
    }
}
