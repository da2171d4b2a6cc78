//! Who may look at what: registries to read from, and runs of pipelines. Pure.
//!
//! A rule for honest people on one host: whoever can write the state directory or the configuration file can do
//! anything.

use super::{Configuration, NamedRegistry, Pipeline, Settings};
use crate::cli::permissions::{Somebody, is_allowed};
use crate::history::{AuditKind, Run, RunKind, TimelineEvent};
use crate::pipeline::SourceReference;
use crate::registry::{canonical, is_below};
use crate::storage::ContainerReference;

/// What is known of a run, or of an event, of which it is asked who may look at it.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Trace<'a> {
    /// `None` where it may have been of any kind.
    kind: Option<RunKind>,
    pipeline: Option<&'a str>,
    target: Option<&'a str>,
}

impl<'a> Trace<'a> {
    pub(in crate::cli) fn of_run(run: &'a Run) -> Self {
        Self {
            kind: Some(run.start.kind),
            pipeline: run.start.pipeline.as_deref(),
            target: run.start.target.as_deref(),
        }
    }

    pub(in crate::cli) fn of_event(event: &'a TimelineEvent) -> Self {
        Self {
            kind: match event.kind {
                AuditKind::Exported | AuditKind::Confirmed => Some(RunKind::Export),
                AuditKind::Transferred => Some(RunKind::Transfer),
                AuditKind::Imported => Some(RunKind::Import),
                AuditKind::Promoted => Some(RunKind::Promotion),
                AuditKind::RolledBack => Some(RunKind::Rollback),
                AuditKind::Refused => None,
            },
            pipeline: event.pipeline.as_deref(),
            target: event.target.as_deref(),
        }
    }

    /// What an export pipeline's lanes are.
    pub(in crate::cli) fn of_export(pipeline: &'a str) -> Self {
        Self {
            kind: Some(RunKind::Export),
            pipeline: Some(pipeline),
            target: None,
        }
    }

    fn is_of(&self, kinds: &[RunKind]) -> bool {
        self.kind.is_none_or(|kind| kinds.contains(&kind))
    }

    fn is_by_name(&self, kind: RunKind, name: &str) -> bool {
        self.is_of(&[kind]) && self.pipeline == Some(name)
    }

    fn goes_below(&self, target: &str) -> bool {
        let below = self.target.and_then(|text| text.strip_prefix(target));
        let separator = match target.starts_with("oci:") {
            true => ':',
            false => '/',
        };
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
    }
}

impl Pipeline {
    /// Whether it may have been this pipeline. An import is known by its target: its record has the name that the
    /// bundle's pipeline has on the other side.
    fn has_left(&self, trace: Trace<'_>) -> bool {
        let below_target = || {
            let mut targets = self.words.values_of("target");
            targets.any(|target| trace.goes_below(target.trim_end_matches('/')))
        };
        match &self.settings {
            Settings::Export(_) => trace.is_by_name(RunKind::Export, &self.name),
            Settings::Import(_) => {
                trace.is_of(&[RunKind::Import, RunKind::Watch, RunKind::Rollback]) && below_target()
            }
            Settings::Promotion(_) => {
                trace.is_by_name(RunKind::Promotion, &self.name)
                    || (trace.is_of(&[RunKind::Rollback]) && below_target())
            }
            Settings::Transfer(_) => {
                let target = self.words.plain.get(1).and_then(|text| text.parse().ok());
                let target = target.map(|target: ContainerReference| target.to_string());
                trace.is_of(&[RunKind::Transfer])
                    && target.is_some_and(|target| trace.target == Some(target.as_str()))
            }
        }
    }
}

impl Configuration {
    /// Whether every pipeline that this may come from lets them look at its runs.
    pub(in crate::cli) fn may_see(&self, somebody: &Somebody, trace: Trace<'_>) -> bool {
        let mut hidden = self
            .pipelines
            .iter()
            .filter(|it| !is_allowed(somebody, &it.settings.keys().may_view));
        !hidden.any(|pipeline| pipeline.has_left(trace))
    }

    /// A registry of the file that the reference is in, or may be in, and that they may not look at.
    pub(in crate::cli) fn find_unseen(
        &self,
        reference: &SourceReference,
        somebody: &Somebody,
    ) -> Option<&NamedRegistry> {
        let mut registries = self
            .registries
            .iter()
            .filter(|it| !is_allowed(somebody, &it.section.may_view));
        registries.find(|registry| may_hold(&registry.address.to_string(), reference))
    }
}

/// Whether some of what the reference stands for is below the address.
fn may_hold(address: &str, reference: &SourceReference) -> bool {
    match reference {
        SourceReference::Registry(reference) => {
            let name = format!("{}/{}", reference.registry, reference.repository);
            is_below(&name, address)
        }
        SourceReference::Glob { registry, pattern } => {
            let text = pattern.to_string();
            let fixed = text.find(['*', '?', '[', '{']).unwrap_or(text.len());
            let start = canonical(&format!("{registry}/{}", &text[..fixed]));
            let inside = format!("{}/", canonical(address));
            start.starts_with(&inside) || inside.starts_with(&start)
        }
        SourceReference::Layout { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(address: &str, reference: &str) -> bool {
        may_hold(address, &reference.parse().expect("a reference"))
    }

    #[test]
    fn a_registry_holds_what_is_below_its_address_and_what_may_be() {
        assert!(holds("r.example/apps", "r.example/apps/web:1"));
        assert!(!holds("r.example/apps", "r.example/apps2/web:1"));
        assert!(!holds("r.example/apps", "s.example/apps/web:1"));
        assert!(holds("r.example", "r.example/apps/web:1"));
        assert!(holds("r.example/apps", "r.example/**"));
        assert!(holds("r.example/apps", "r.example/apps/*"));
        assert!(holds("r.example/apps", "r.example/a*/web"));
        assert!(!holds("r.example/apps", "r.example/tools/*"));
        assert!(!holds("r.example:5000", "r.example/**"));
    }

    fn trace(kind: Option<RunKind>, target: &str) -> Trace<'_> {
        Trace {
            kind,
            pipeline: Some("rc"),
            target: Some(target),
        }
    }

    #[test]
    fn a_run_is_known_by_its_name_or_its_target() {
        let promotion = trace(Some(RunKind::Promotion), "rc.example/apps");
        assert!(promotion.is_by_name(RunKind::Promotion, "rc"));
        assert!(!promotion.is_by_name(RunKind::Promotion, "prod"));
        assert!(!promotion.is_by_name(RunKind::Export, "rc"));
        let refused = trace(None, "rc.example/apps/web:1");
        assert!(refused.is_by_name(RunKind::Export, "rc"), "of any kind");
        assert!(refused.goes_below("rc.example/apps"));
        assert!(!refused.goes_below("rc.example/app"));
        assert!(trace(None, "oci:/srv/far:web:1").goes_below("oci:/srv/far"));
        assert!(!trace(None, "localhost:5000/web").goes_below("localhost"));
    }
}
