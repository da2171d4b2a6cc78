//! The released binary in an empty root directory: no library, no certificate, no resolver configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{Ends, fixture, text};
use crate::support::command::{Airlift, Output};
use crate::support::real::tool_or_skip;

/// The static binary. `None`: the reason was printed.
fn release_or_skip() -> Option<PathBuf> {
    let binary = std::env::var_os("AIRLIFT_RELEASE_BINARY").map(PathBuf::from);
    if binary.is_none() {
        let required = std::env::var("AIRLIFT_TEST_REAL").is_ok_and(|value| value == "required");
        assert!(
            !required,
            "AIRLIFT_RELEASE_BINARY is not set, and is required here"
        );
        eprintln!("skipped: AIRLIFT_RELEASE_BINARY is not set");
    }
    binary
}

/// A root directory with the binary and two keys, and nothing else.
struct BareRoot {
    directory: tempfile::TempDir,
    chroot: PathBuf,
}

impl BareRoot {
    fn make_or_skip() -> Option<Self> {
        let binary = release_or_skip()?;
        let chroot = tool_or_skip("chroot").or_else(|| tool_or_skip("unshare"))?;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::copy(binary, path("airlift")).unwrap();
        fs::set_permissions(path("airlift"), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["snakeoil-p256", "snakeoil-p256.pub"] {
            fs::copy(fixture("keys").join(name), path(name)).unwrap();
        }
        Some(Self { directory, chroot })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let root = text(self.directory.path());
        let command = [&[root.as_str(), "/airlift"], arguments].concat();
        Airlift::binary(&self.chroot, &command).run()
    }
}

/// Names and not addresses, so that the binary's own resolver is asked.
fn by_name(address: &str) -> String {
    address.replace("127.0.0.1", "localhost")
}

#[test]
fn the_released_binary_needs_nothing_around_it() {
    let (Some(root), Some(ends)) = (BareRoot::make_or_skip(), Ends::start_or_skip()) else {
        return;
    };
    let layout = format!("oci:{}:1.1", text(&fixture("foreign/skopeo-oci")));
    let address = ends.source.address();
    ends.skopeo_copy(&layout, &format!("docker://{address}/apps/web:1.1"));
    let reference = format!("{}/apps/web:1.1", by_name(&address));
    let key = ["--sign-key", "/snakeoil-p256"];
    let export = ["export", &reference, "--container", "/container"];
    root.run(&[&export[..], &key].concat()).assert_success();
    let target = by_name(&ends.target.address());
    let import = ["import", "/container", "--target", &target];
    let trust = ["--trust", "/snakeoil-p256.pub", "--check"];
    root.run(&[&import[..], &trust].concat()).assert_success();
}
