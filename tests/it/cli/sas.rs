//! Shared access signatures: made, explained, checked before use, and never shown.

use super::Desk;

const ACCOUNT_KEY: &str =
    "bm90IGEgcmVhbCBrZXksIG9ubHkgZm9yIHRoZSB0ZXN0cyBvZiBzaWduYXR1cmVzLCA2NCBieXRlcyBsb25nWFg=";
const URL: &str = "https://acme.blob.core.windows.net/drop";

fn desk_with_key() -> Desk {
    let desk = Desk::new();
    desk.write("acme.key", format!("{ACCOUNT_KEY}\n"));
    desk
}

/// The URL that was made, and its signature proper.
fn make(desk: &Desk, rest: &str) -> (String, String) {
    let line = format!("sas make {URL} --account-key file:acme.key {rest}");
    let output = desk.run(&line);
    output.assert_success().assert_nowhere(ACCOUNT_KEY);
    let url = output.stdout.trim().to_owned();
    let (_, signature) = url.split_once("sig=").expect("it is signed");
    let signature = signature.to_owned();
    (url, signature)
}

#[test]
fn what_was_made_is_explained_without_its_signature() {
    let desk = desk_with_key();
    let (url, signature) = make(&desk, "--permissions read,list --expires 8h --ip 192.0.2.1");
    let (_, query) = url.split_once('?').unwrap();
    desk.write("url", &url);
    desk.write("bare", format!("?{query}\n"));
    let typed = format!("sas show {url}");
    for line in ["sas show file:url", "sas show file:bare", &typed] {
        let output = desk.run(&format!("{line} --log trace"));
        output
            .assert_success()
            .assert_nowhere(&signature)
            .assert_stdout("read, list (rl)")
            .assert_stdout("192.0.2.1")
            .assert_stdout("https only")
            .assert_stdout("import         yes")
            .assert_stdout("transfer from  yes")
            .assert_stdout("no: it does not allow `write` (w)")
            .assert_stdout("no: it does not allow `delete` (d)");
    }
    desk.run(&typed).assert_stderr("can be seen by everybody");
    let document = desk.run("sas show file:url --output json");
    document.assert_nowhere(&signature);
    assert_eq!(document.json()["permissions"], "rl");
    assert_eq!(document.json()["url"], URL);
}

#[test]
fn the_hint_for_a_url_without_tls_makes_a_signature_that_does() {
    let desk = Desk::new();
    let place = "http://127.0.0.1:1/acme/drop";
    let sas = "sv=2024-11-04&sr=c&sp=rl&spr=https&se=2100-01-01T00:00:00Z&sig=c2VjcmV0";
    desk.run(&format!("inspect {place}?{sas}"))
        .assert_code(5)
        .assert_stderr("is for https only, and the URL says http")
        .assert_stderr("--permissions rl --expires 7d --allow-http`")
        .assert_nowhere("c2VjcmV0");
    let expired = sas.replace("spr=https&", "").replace("2100", "2020");
    desk.run(&format!("inspect {place}?{expired}"))
        .assert_code(5)
        .assert_stderr("--permissions rl --expires 7d --allow-http`");
    let line = format!("inspect {URL}?{expired}");
    desk.run(&line)
        .assert_code(5)
        .assert_stderr("--permissions rl --expires 7d`");
}

/// Every command refused what was made, and nothing had said so.
#[test]
fn a_signature_for_https_alone_was_made_for_http_without_a_word() {
    let desk = desk_with_key();
    let place = "http://127.0.0.1:1/acme/drop";
    let rest = "--account-key file:acme.key --permissions rl --expires 8h";
    let warning = format!("warning: `{place}` is without TLS");
    desk.run(&format!("sas make {place} {rest}"))
        .assert_success()
        .assert_stderr(&warning)
        .assert_stderr("`--allow-http`");
    for line in [
        format!("sas make {place} {rest} --allow-http"),
        format!("sas make {URL} {rest}"),
    ] {
        let made = desk.run(&line);
        let told = &made.assert_success().stderr;
        assert!(!told.contains("is without TLS"), "{told}");
    }
}

#[test]
fn the_account_key_is_never_typed_and_mistakes_are_named() {
    let desk = desk_with_key();
    let run = |rest: &str| desk.run(&format!("sas make {rest}"));
    let rest = "--permissions rl --expires 8h";
    run(&format!("{URL} --account-key {ACCOUNT_KEY} {rest}"))
        .assert_code(2)
        .assert_nowhere(ACCOUNT_KEY)
        .assert_stderr("this names no secret");
    let key = "--account-key file:acme.key";
    for (line, told) in [
        (format!("{URL} {rest}"), "--account-key"),
        (
            format!("{URL} {key} --user-delegation {rest}"),
            "cannot be used with",
        ),
        (
            format!("{URL} {key} --permissions rz --expires 8h"),
            "`rz` is no permission",
        ),
        (
            format!("{URL} {key} --permissions rl --expires soon"),
            "expected `30m`",
        ),
        (
            format!("{URL} {key} --permissions rl --expires 2020-01-01T00:00:00Z"),
            "is over",
        ),
        (format!("{URL}?x=HIDDEN {key} {rest}"), "has a query"),
        (
            format!("{URL}/march.tar.zst {key} {rest}"),
            "one object cannot allow `list` (l)",
        ),
        (format!("usb {key} {rest}"), "is no Azure container"),
        (
            format!("{URL} --user-delegation --permissions rl --expires 8d"),
            "7 days at most",
        ),
    ] {
        run(&line)
            .assert_code(2)
            .assert_stderr(told)
            .assert_nowhere("HIDDEN");
    }
    run(&format!("{URL} --account-key env:UNSET_KEY {rest}"))
        .assert_code(1)
        .assert_stderr("`UNSET_KEY` is not set");
    desk.write("bad.key", "HIDDEN is no key");
    run(&format!("{URL} --account-key file:bad.key {rest}"))
        .assert_code(1)
        .assert_stderr("not base64")
        .assert_nowhere("HIDDEN");
    desk.run("sas show nothing").assert_code(2);
}

#[test]
fn commands_say_what_is_missing_before_any_request() {
    let desk = desk_with_key();
    let (_, signature) = make(&desk, "--permissions r --expires 8h");
    let (url, _) = make(&desk, "--permissions r --expires 8h");
    desk.write("drop.sas", url.split_once('?').unwrap().1);
    let place = format!("{URL}?credential=file:drop.sas");
    let export = format!("export oci:near/helm-chart --container {place} --sign-key ops.key");
    for (line, told) in [
        (
            format!("import {place} --target oci:far --trust ops.key.pub"),
            "enough for import",
        ),
        (
            format!("verify {place} --trust ops.key.pub"),
            "enough for import",
        ),
        (
            format!(
                "sign {URL}/a.tar.zst?credential=file:drop.sas --sign-key ops.key --trust ops.key.pub"
            ),
            "enough for sign",
        ),
        (format!("{export} --dry-run"), "enough for export"),
        (
            export,
            "does not allow `write` (w); it does not allow `list` (l)",
        ),
    ] {
        let output = desk.run(&line);
        output
            .assert_code(5)
            .assert_stderr(told)
            .assert_nowhere(&signature);
        output.assert_stderr("does not allow `list` (l)");
        output.assert_stderr("hint: ask for another one");
    }
}

#[test]
fn an_unreachable_vault_is_an_error() {
    let desk = desk_with_key();
    let rest = "--permissions rl --expires 8h";
    let line = |vault: &str| {
        format!("sas make {URL} --account-key azure-key-vault:https://{vault}/secrets/acme {rest}")
    };
    desk.run(&line("127.0.0.1:1"))
        .assert_code(1)
        .assert_stderr("is no host of Azure key vaults");
    desk.command(&line("127.0.0.1:1"))
        .env("AIRLIFT_KEY_VAULT_HOST", "127.0.0.1:1")
        .run()
        .assert_code(1)
        .assert_stderr("cannot read the secret `https://127.0.0.1:1/secrets/acme`");
}
