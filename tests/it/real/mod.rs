//! The binary between real servers: Debian's `docker-registry` at both ends, content that other tools made,
//! and `skopeo` as the reader who knows nothing of us.
//!
//! Where a tool is missing the test prints so and passes; with `AIRLIFT_TEST_REAL=required` it fails.

mod bare_root;
mod dense;
mod encoders;
mod foreign;
mod holdings;
mod layouts;
mod limits;
mod logins;
mod mirrors;
mod promotion;
mod rules;
mod selecting;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::command::{Airlift, Output};
use crate::support::real::{DockerRegistry, tool_or_skip};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn fixture(name: &str) -> PathBuf {
    Path::new(ROOT).join("fixtures").join(name)
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Two empty registries, and a container between them.
struct Ends {
    source: DockerRegistry,
    target: DockerRegistry,
    container: TempDir,
    skopeo: PathBuf,
}

impl Ends {
    fn start_or_skip() -> Option<Self> {
        Some(Self {
            source: DockerRegistry::start_or_skip()?,
            target: DockerRegistry::start_or_skip()?,
            container: tempfile::tempdir().expect("a temporary directory"),
            skopeo: tool_or_skip("skopeo")?,
        })
    }

    /// `skopeo copy --all`, without TLS and without a policy.
    #[track_caller]
    fn skopeo_copy(&self, from: &str, to: &str) {
        let arguments = [
            "--insecure-policy",
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            from,
            to,
        ];
        crate::support::real::run(&self.skopeo, &arguments);
    }

    fn export(&self, references: &[&str]) -> Output {
        export(references, self.container.path()).run()
    }

    fn import(&self, target: &str) -> Output {
        import(self.container.path(), target).run()
    }

    /// Exports `references` of the source and imports them into the target.
    #[track_caller]
    fn travel(&self, references: &[String]) {
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        self.export(&references).assert_success();
        self.import(&self.target.address()).assert_success();
    }
}

fn export(references: &[&str], container: &Path) -> Airlift {
    let (container, key) = (text(container), text(&fixture("keys/snakeoil-p256")));
    let mut arguments = vec!["export"];
    arguments.extend(references);
    arguments.extend(["--container", &container, "--sign-key", &key]);
    Airlift::new(&arguments)
}

fn import(container: &Path, target: &str) -> Airlift {
    let (container, key) = (text(container), text(&fixture("keys/snakeoil-p256.pub")));
    let arguments = ["import", &container, "--target", target, "--trust", &key];
    Airlift::new(&[&arguments[..], &["--check"]].concat())
}
