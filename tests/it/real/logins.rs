//! TLS by an authority that openssl made, and a login that `docker login` would have left behind.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{export, fixture, import, text};
use crate::support::artifacts::five_nodes;
use crate::support::base64;
use crate::support::command::Airlift;
use crate::support::real::{DockerRegistry, run, tool_or_skip};
use crate::support::registry::Registry;

const USER: &str = "ship";
const PASSWORD: &str = "ship-secret";
/// The password as `htpasswd -B` writes it.
const HTPASSWD: &str = "ship:$2b$05$mNoVnyExS.gENXDvwesdguVLj9.1DIl0ErGxEKvdZc78MpgtKQmAO\n";

/// A registry with TLS and a login, and the certificate of its authority.
struct Guarded {
    registry: DockerRegistry,
    directory: TempDir,
}

impl Guarded {
    fn start_or_skip() -> Option<Self> {
        let openssl = tool_or_skip("openssl")?;
        let directory = tempfile::tempdir().unwrap();
        make_certificates(&openssl, directory.path());
        let path = |name: &str| text(&directory.path().join(name));
        fs::write(path("htpasswd"), HTPASSWD).unwrap();
        let configuration = format!(
            "  tls:\n    certificate: {}\n    key: {}\n\
             auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            path("server.pem"),
            path("server.key"),
            path("htpasswd"),
        );
        Some(Self {
            registry: DockerRegistry::start_with_or_skip(&configuration)?,
            directory,
        })
    }

    fn authority(&self) -> String {
        text(&self.directory.path().join("ca.pem"))
    }

    /// What `docker login` leaves in `config.json`.
    fn docker_config(&self, password: &str) -> String {
        let auth = base64::encode(format!("{USER}:{password}").as_bytes());
        let address = self.registry.address();
        format!(r#"{{"auths":{{"{address}":{{"auth":"{auth}"}}}}}}"#)
    }
}

fn make_certificates(openssl: &Path, directory: &Path) {
    let path = |name: &str| text(&directory.join(name));
    let names = "subjectAltName=IP:127.0.0.1,DNS:localhost\n";
    fs::write(path("names"), names).unwrap();
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    let (ca_key, ca) = (path("ca.key"), path("ca.pem"));
    let authority = [
        "-subj",
        "/CN=test authority",
        "-days",
        "2",
        "-keyout",
        &ca_key,
        "-out",
        &ca,
    ];
    run(openssl, &[&["req", "-x509"], &key[..], &authority].concat());
    let (server_key, request) = (path("server.key"), path("server.csr"));
    let server = [
        "-subj",
        "/CN=localhost",
        "-keyout",
        &server_key,
        "-out",
        &request,
    ];
    run(openssl, &[&["req"], &key[..], &server].concat());
    let (certificate, names) = (path("server.pem"), path("names"));
    let signed = [
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-CAcreateserial",
    ];
    let written = ["-days", "2", "-extfile", &names, "-out", &certificate];
    run(openssl, &[&signed[..], &written].concat());
}

/// A container with the example of the documents.
fn exported() -> TempDir {
    let source = Registry::start();
    source.seed(&five_nodes().memory);
    let container = tempfile::tempdir().unwrap();
    let reference = format!("{}/apps/web:1.4", source.address());
    export(&[&reference], container.path())
        .run()
        .assert_success();
    container
}

fn import_into(guarded: &Guarded, container: &TempDir) -> Airlift {
    let key = text(&fixture("keys/snakeoil-p256.pub"));
    let (path, target) = (text(container.path()), guarded.registry.address());
    let arguments = ["import", &path, "--target", &target, "--trust", &key];
    Airlift::new(&[&arguments[..], &["--ca-file", &guarded.authority()]].concat())
}

fn export_from(guarded: &Guarded, container: &TempDir) -> Airlift {
    let key = text(&fixture("keys/snakeoil-p256"));
    let (path, address) = (text(container.path()), guarded.registry.address());
    let reference = format!("{address}/apps/web:1.4");
    let arguments = [
        "export",
        &reference,
        "--container",
        &path,
        "--sign-key",
        &key,
    ];
    Airlift::new(&[&arguments[..], &["--ca-file", &guarded.authority()]].concat())
}

#[test]
fn a_login_of_docker_opens_a_registry_with_an_authority_of_its_own() {
    let Some(guarded) = Guarded::start_or_skip() else {
        return;
    };
    let container = exported();
    let config = guarded.docker_config(PASSWORD);
    let output = import_into(&guarded, &container)
        .home_file(".docker/config.json", &config)
        .run();
    output.assert_success().assert_nowhere(PASSWORD);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("config.json"), &config).unwrap();
    let again = tempfile::tempdir().unwrap();
    let export = export_from(&guarded, &again).env("DOCKER_CONFIG", &text(elsewhere.path()));
    export.run().assert_success();
}

#[test]
fn a_wrong_password_and_no_login_exit_with_5() {
    let Some(guarded) = Guarded::start_or_skip() else {
        return;
    };
    let container = exported();
    let config = guarded.docker_config("wr0ng-secret");
    let output = import_into(&guarded, &container)
        .home_file(".docker/config.json", &config)
        .run();
    output
        .assert_code(5)
        .assert_stderr("target: ")
        .assert_nowhere("wr0ng-secret");
    output.assert_stderr(&guarded.registry.address());
    import_into(&guarded, &container)
        .run()
        .assert_code(5)
        .assert_stderr("target: ");
    let empty = tempfile::tempdir().unwrap();
    let output = export_from(&guarded, &empty).run();
    output.assert_code(5).assert_stderr("source: ");
}

/// Of another authority, the same names are not believed.
#[test]
fn a_certificate_of_another_authority_is_refused() {
    let Some(guarded) = Guarded::start_or_skip() else {
        return;
    };
    let other = tempfile::tempdir().unwrap();
    let openssl = tool_or_skip("openssl").expect("it was there before");
    make_certificates(&openssl, other.path());
    let container = exported();
    let key = text(&fixture("keys/snakeoil-p256.pub"));
    let (path, target) = (text(container.path()), guarded.registry.address());
    let authority = text(&other.path().join("ca.pem"));
    let arguments = [
        "import",
        &path,
        "--target",
        &target,
        "--trust",
        &key,
        "--ca-file",
        &authority,
    ];
    let output = Airlift::new(&arguments).run();
    output
        .assert_code(1)
        .assert_stderr("target: ")
        .assert_stderr("certificate");
    // Without an authority, this machine is spoken to without TLS, and says that it wants it.
    let output = import(container.path(), &target).run();
    output.assert_code(1).assert_stderr("target: ");
}
