//! Secrets of a key vault, and logins with Entra: from the command line to the services, which are played by
//! `support::entra` under their own names, and by Azurite over TLS, which takes tokens by what they say.

use std::fs;

use serde_json::Value;

use crate::support::clouds::{Azurite, account_key, account_sas};
use crate::support::command::{Airlift, Output};
use crate::support::entra::{Entra, TENANT, TOKEN_MARK, VAULT};
use crate::support::wait;

const PLACE: &str = "https://near.blob.core.windows.net/drop";
const CLIENT_SECRET: &str = "the secret of ship";
const METADATA: &str = "GET 169.254.169.254/metadata/identity/oauth2/token";

fn make_sas(secret: &str) -> Airlift {
    let key = format!("azure-key-vault:https://{VAULT}/secrets/{secret}");
    let mut arguments = vec!["sas", "make", PLACE, "--account-key", &key];
    arguments.extend(["--permissions", "rl", "--expires", "1h"]);
    arguments.extend(["--output", "json", "--log", "trace"]);
    Airlift::new(&arguments)
}

/// Nothing that opens a door is told, however much is logged.
#[track_caller]
fn assert_silent(output: &Output) {
    let key = account_key("near");
    for secret in [
        TOKEN_MARK,
        &key,
        CLIENT_SECRET,
        "the cluster says so",
        "of the app",
    ] {
        output.assert_nowhere(secret);
    }
}

#[test]
fn a_vault_gives_its_secret_to_every_kind_of_identity() {
    let entra = Entra::start();
    entra.put_secret("acme", &account_key("near"));
    let directory = tempfile::tempdir().unwrap();
    let federated = directory.path().join("token");
    fs::write(&federated, "the cluster says so").unwrap();
    let app_service = entra.app_service();
    let login = format!("POST login.microsoftonline.com/{TENANT}/oauth2/v2.0/token");
    let client = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", "ship")];
    let by_secret = [&client[..], &[("AZURE_CLIENT_SECRET", CLIENT_SECRET)]].concat();
    let file = federated.to_str().unwrap();
    let by_workload = [&client[..], &[("AZURE_FEDERATED_TOKEN_FILE", file)]].concat();
    let by_service = vec![
        ("IDENTITY_ENDPOINT", app_service.as_str()),
        ("IDENTITY_HEADER", "of the app"),
    ];
    for (identity, asked) in [
        (vec![], METADATA),
        (by_service, "/msi/token"),
        (by_secret, login.as_str()),
        (by_workload, login.as_str()),
    ] {
        let before = entra.log().len();
        let mut airlift = entra.around(make_sas("acme"));
        for (name, value) in identity {
            airlift = airlift.env(name, value);
        }
        let output = airlift.run();
        assert!(output.assert_success().json()["sas"].is_string());
        assert_silent(&output);
        let log = entra.log()[before..].to_vec();
        let secret = format!("GET {VAULT}/secrets/acme");
        // The challenge first, then a token, then the secret.
        assert!(
            log[0].starts_with(&secret) && log[0].ends_with(" 401"),
            "{log:?}"
        );
        assert!(
            log[1].contains(asked) && !log[1].ends_with("400"),
            "{log:?}"
        );
        assert!(log[2].starts_with(&secret) && log.len() == 3, "{log:?}");
    }
}

#[test]
fn a_vault_that_refuses_is_told_with_its_kind() {
    let entra = Entra::start();
    for (secret, code) in [("absent", 1), ("closed", 5)] {
        let output = entra.around(make_sas(secret)).run();
        let named = format!("cannot read the secret `https://{VAULT}/secrets/{secret}`");
        output.assert_code(code).assert_stderr(&named);
        assert_silent(&output);
    }
    let stranger = entra
        .around(make_sas("acme"))
        .env("AZURE_TENANT_ID", TENANT)
        .env("AZURE_CLIENT_ID", "ship")
        .env("AZURE_CLIENT_SECRET", "WRONG-SECRET")
        .run();
    stranger.assert_code(5).assert_nowhere("WRONG-SECRET");
}

#[test]
fn a_vault_gets_no_token_that_is_for_somebody_else() {
    let entra = Entra::start();
    entra.put_secret("acme", &account_key("near"));
    entra.claim_audience("https://management.azure.com");
    let output = entra.around(make_sas("acme")).run();
    output
        .assert_code(1)
        .assert_stderr("doesn't match the requested domain");
    assert_silent(&output);
    let log = entra.log();
    assert_eq!(log.len(), 1, "no token was asked for: {log:?}");
}

#[test]
fn a_container_is_opened_with_the_secret_of_a_vault() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let entra = Entra::start();
    let container = azurite.container("near", "drop");
    for (name, secret) in [("key", account_key("near")), ("sas", account_sas("near"))] {
        entra.put_secret(name, &secret);
        let place =
            format!("{container}?credential=azure-key-vault:https://{VAULT}/secrets/{name}");
        let arguments = [
            "container",
            "list",
            &place,
            "--output",
            "json",
            "--log",
            "trace",
        ];
        let output = entra.around(Airlift::new(&arguments)).run();
        assert_eq!(
            output.assert_success().json()["objects"],
            Value::Array(vec![])
        );
        assert_silent(&output);
        output.assert_nowhere("sig=");
    }
}

#[test]
fn a_user_delegation_signature_opens_what_it_names_and_no_more() {
    let entra = Entra::start();
    let Some(azurite) = Azurite::start_secure_or_skip(&entra.authority) else {
        return;
    };
    let container = azurite.container("near", "drop");
    let other = azurite.container("near", "other");
    let list = |place: &str| {
        let arguments = ["container", "list", place, "--log", "trace"];
        entra.around(Airlift::new(&arguments)).run()
    };
    let mut arguments = vec!["sas", "make", &container, "--user-delegation"];
    arguments.extend(["--permissions", "rl", "--expires", "2h"]);
    arguments.extend(["--output", "json", "--log", "trace"]);
    let made = entra.around(Airlift::new(&arguments)).run();
    let document = made.assert_success().json();
    made.assert_nowhere(TOKEN_MARK);
    assert_eq!(entra.log(), [METADATA]);
    let sas = document["sas"].as_str().unwrap();
    assert!(sas.contains("skoid=11059fcc"), "{sas}");
    list(&format!("{container}?{sas}")).assert_success();
    list(&format!("{other}?{sas}")).assert_code(5);
    let forged = sas.replace("sp=rl", "sp=rwdl");
    assert_ne!(forged, sas);
    let refused = list(&format!("{container}?{forged}"));
    refused.assert_code(5).assert_nowhere("sig=");
}

#[test]
fn a_container_and_its_queue_are_used_as_somebody_of_entra() {
    let entra = Entra::start();
    let Some(azurite) = Azurite::start_secure_or_skip(&entra.authority) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let text = |name: &str| directory.path().join(name).display().to_string();
    let root = env!("CARGO_MANIFEST_DIR");
    let (container, queue) = (
        azurite.container("near", "drop"),
        azurite.queue("near", "bundles"),
    );
    let (trusted, signer) = (
        format!("{root}/fixtures/keys/snakeoil-p256.pub"),
        format!("{root}/fixtures/keys/snakeoil-p256"),
    );
    let (target, state) = (format!("oci:{}", text("far")), text("state"));
    let mut arguments = vec![
        "watch", &container, "--target", &target, "--trust", &trusted,
    ];
    arguments.extend(["--state", &state, "--interval", "1h", "--accept-one-off"]);
    arguments.extend(["--queue", &queue, "--log", "trace"]);
    let watch = entra.around(Airlift::new(&arguments)).spawn();
    let chart = format!("oci:{root}/fixtures/foreign/helm-chart");
    let mut arguments = vec![
        "export",
        &chart,
        "--container",
        &container,
        "--name",
        "chart",
    ];
    arguments.extend(["--sign-key", &signer, "--log", "trace"]);
    let export = entra
        .around(Airlift::new(&arguments))
        .env("AZURE_TENANT_ID", TENANT)
        .env("AZURE_CLIENT_ID", "ship")
        .env("AZURE_CLIENT_SECRET", CLIENT_SECRET)
        .run();
    assert_silent(export.assert_success());
    azurite.send(
        "near",
        "bundles",
        &created(&format!("{container}/chart.tar.zst")),
    );
    wait::until("the bundle is imported", || {
        directory.path().join("far/index.json").exists()
    });
    assert_silent(&watch.kill());
}

fn created(url: &str) -> String {
    let event = serde_json::json!({
        "eventType": "Microsoft.Storage.BlobCreated",
        "data": { "url": url },
    });
    event.to_string()
}
