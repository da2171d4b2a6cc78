//! References: what they name, and what is told when it cannot be had.

use std::fs;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::program::{run_within, split_words};
use super::*;

fn parse(text: &str) -> SecretReference {
    text.parse().unwrap()
}

async fn fail(reference: &str) -> String {
    resolve_secret(reference).await.unwrap_err().to_string()
}

async fn value(reference: &str) -> String {
    let secret = resolve_secret(reference).await.unwrap();
    secret.expose_secret().to_owned()
}

#[test]
fn references_are_shown_as_they_were_typed() {
    for text in [
        "env:DROP_SAS",
        "file:/etc/airlift/drop.sas",
        "exec:pass",
        "azure-key-vault:https://ops.vault.azure.net/secrets/drop-sas",
        "azure-key-vault:https://ops.vault.azure.net/secrets/drop-sas/0a1b",
    ] {
        assert_eq!(parse(text).to_string(), text);
    }
    assert_eq!(parse("exec:pass show SECRET").to_string(), "exec:pass");
}

#[test]
fn a_secret_that_was_typed_in_place_of_its_name_is_not_repeated() {
    for text in [
        "SECRET==",
        "sv=2024&sig=SECRET",
        "",
        "https://h/c?sig=SECRET",
    ] {
        let error = text.parse::<SecretReference>().unwrap_err();
        assert_eq!(error, InvalidSecretReference::Kind);
        assert!(!error.to_string().contains("SECRET"));
    }
    for text in [
        "env:",
        "env:A=SECRET",
        "file:",
        "exec:",
        "exec: ''",
        "exec:a 'SECRET",
    ] {
        let error = text.parse::<SecretReference>().unwrap_err();
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }
}

#[test]
fn key_vaults_are_named_by_https_and_at_their_own_hosts() {
    for wrong in [
        "http://ops.vault.azure.net/secrets/drop",
        "https://ops.vault.azure.net/keys/drop",
        "https://ops.vault.azure.net/secrets/",
        "https://ops.vault.azure.net/secrets/a/b/c",
        "https://ops.vault.azure.net/secrets/a_b",
        "https://ops.vault.azure.net/secrets/drop?x=1",
        "https://u:p@ops.vault.azure.net/secrets/drop",
        "ops/secrets/drop",
    ] {
        let text = format!("azure-key-vault:{wrong}");
        let error = text.parse::<SecretReference>().unwrap_err();
        assert_eq!(error, InvalidSecretReference::KeyVault, "{wrong}");
    }
    let is_vault = |url: &str, own: Option<&str>| {
        let secret = VaultSecret::parse(&format!("{url}/secrets/drop")).unwrap();
        secret.is_at_vault(own)
    };
    assert!(is_vault("https://ops.vault.azure.net", None));
    assert!(is_vault("https://ops.vault.usgovcloudapi.net", None));
    for other in [
        "https://vault.azure.net.evil.example",
        "https://.vault.azure.net",
        "https://ops-vault.azure.net",
        "https://ops.vault.azure.net:8443",
    ] {
        assert!(!is_vault(other, None), "{other}");
    }
    assert!(is_vault(
        "https://vault.stack:8443",
        Some("vault.stack:8443")
    ));
    assert!(!is_vault("https://vault.stack", Some("vault.stack:8443")));
}

#[tokio::test]
async fn line_ends_are_no_part_of_a_secret_but_spaces_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let reference = format!("file:{}", path.display());
    fs::write(&path, " a b \r\n").unwrap();
    assert_eq!(value(&reference).await, " a b ");
    fs::write(&path, "\n\n").unwrap();
    assert!(fail(&reference).await.ends_with("is empty"));
    fs::write(&path, vec![b'S'; 70_000]).unwrap();
    assert!(
        fail(&reference)
            .await
            .ends_with("more than a secret can have")
    );
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(fail(&reference).await.ends_with("holds no text"));
    fs::remove_file(&path).unwrap();
    assert!(
        fail(&reference)
            .await
            .starts_with("cannot read the secret in ")
    );
    let unset = fail("env:AIRLIFT_TEST_IS_NOT_SET").await;
    assert!(unset.ends_with("is not set"));
}

#[test]
fn programs_are_split_at_spaces_outside_of_quotes() {
    let split = |text: &str| split_words(text).unwrap().join("|");
    assert_eq!(split("pass show drop"), "pass|show|drop");
    assert_eq!(split("  pass   show  "), "pass|show");
    assert_eq!(split(r#"pass 'a b' "c'd" e"f g""#), "pass|a b|c'd|ef g");
    assert_eq!(split("pass ''"), "pass|");
    assert_eq!(split("echo $HOME;ls"), "echo|$HOME;ls");
}

#[tokio::test]
async fn programs_give_what_they_print() {
    assert_eq!(value("exec:echo  'a  b' $HOME").await, "a  b $HOME");
    let missing = fail("exec:/no/such/program x").await;
    assert_eq!(missing, "cannot run `/no/such/program` for a secret");
    assert!(fail("exec:true").await.ends_with("is empty"));
    let failed = fail(r#"exec:sh -c "echo SECRET; printf '\033[1mno\nmore' >&2; exit 3""#).await;
    assert_eq!(failed, "`sh` gave no secret (exit status: 3): \\u{1b}[1mno");
}

#[tokio::test]
async fn programs_that_do_not_end_are_ended() {
    let words = ["sleep".to_owned(), "600".to_owned()];
    let error = run_within(&words, Duration::from_millis(50)).await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("gave no secret within")
    );
    let endless = ["yes".to_owned()];
    let error = run_within(&endless, Duration::from_millis(50)).await;
    assert!(error.is_err());
}

#[test]
fn a_program_is_written_as_it_was_read() {
    for text in [
        "exec:pass show x",
        "exec:pass 'a b' \"it's\"",
        "exec:p ''",
        "exec:p \"'\"",
    ] {
        let reference: SecretReference = text.parse().expect("a reference");
        assert_eq!(reference.write().parse(), Ok(reference), "{text}");
    }
}
