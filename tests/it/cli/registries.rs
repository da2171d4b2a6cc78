//! Registries that are not there, not ours, or do not have what was asked for.

use insta::assert_snapshot;

use super::{Desk, registry_with_layers, tell};
use crate::support::registry::{Auth, Fault, Login, Registry, When};

#[test]
fn what_a_registry_does_not_have_is_named() {
    let desk = Desk::new();
    let registry = registry_with_layers();
    let host = registry.address();
    assert_snapshot!(desk.transcript(&[
        &format!("export {host}/apps/web:9.9 --container usb --unsigned"),
        &format!("export {host}/apps/none --container usb --unsigned"),
        "export oci:near/helm-chart:9.9 --container usb --unsigned",
        "export oci:nowhere --container usb --unsigned",
        "export oci:near/buildah-multiarch:1.0 --container usb --unsigned --platform linux/s390x",
    ]));
    assert!(!desk.path("usb").exists());
}

#[test]
fn a_refused_login_says_how_to_log_in() {
    let desk = Desk::with_bundle();
    let registry = registry_with_layers();
    registry.behave(|it| it.auth = Auth::Basic(Login::new("ops", "right")));
    let host = registry.address();
    let mut text = desk.transcript(&[
        &format!("export {host}/apps/web:1.4 --container out --unsigned"),
        &format!("import usb --target {host} --trust ops.key.pub"),
        &format!("list {host}"),
    ]);
    registry.behave(|it| it.auth = Auth::Open);
    registry.fault(When::any("/v2/apps/web/").always(), Fault::Status(403));
    let line = format!("export {host}/apps/web:1.4 --container out --unsigned");
    text.push_str(&tell(&line, &desk.run(&line)));
    assert_snapshot!(text);
}

/// All at once: each is tried several times before it is given up.
#[test]
fn an_unreachable_registry_is_named_with_its_side() {
    let desk = Desk::with_bundle();
    let gone = Registry::start().address();
    let lines = [
        format!("export {gone}/apps/web:1.4 --container out --unsigned"),
        format!("import usb --target {gone} --trust ops.key.pub"),
        format!("list {gone}"),
    ];
    let running = lines
        .each_ref()
        .map(|line| (line, desk.command(line).spawn()));
    let text: String = running
        .into_iter()
        .map(|(line, running)| tell(line, &running.output()))
        .collect();
    assert_snapshot!(text);
}

#[test]
fn a_certificate_that_does_not_convince_hints_at_authorities() {
    let desk = Desk::new();
    let registry = Registry::start_tls();
    let stranger = Registry::start_tls();
    desk.write("ca.pem", stranger.authority_pem());
    desk.write("right.pem", registry.authority_pem());
    let list = format!("list {} --ca-file", registry.address());
    desk.run(&format!("{list} ca.pem"))
        .assert_code(1)
        .assert_stderr("the certificate or the TLS handshake is refused")
        .assert_stderr(
            "hint: a registry with its own certificate authority needs `--ca-file FILE`",
        );
    desk.run(&format!("{list} right.pem")).assert_success();
}

#[test]
fn a_docker_login_is_used() {
    let desk = Desk::new();
    let registry = registry_with_layers();
    registry.behave(|it| it.auth = Auth::Basic(Login::new("ops", "right")));
    let host = registry.address();
    let auth = crate::support::base64::encode(b"ops:right");
    let config = format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#);
    let listed = desk
        .command(&format!("list {host}"))
        .home_file(".docker/config.json", &config)
        .run();
    assert_eq!(listed.assert_success().stdout, "apps/web\n");
    let anonymous = desk
        .command(&format!("list {host} --credentials anonymous"))
        .home_file(".docker/config.json", &config)
        .run();
    anonymous.assert_code(5);
}
