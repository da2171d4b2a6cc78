//! Transfers from and to clouds: where the service copies, nothing passes through this process.

use tempfile::tempdir;

use super::{Stock, contents};
use crate::support::clouds::{Azurite, Moto, account_key, account_sas};
use crate::support::command::{Airlift, Output};
use crate::support::relay::{Relay, Verdict};
use crate::support::wait;

fn run(from: &str, to: &str, more: &[&str]) -> Output {
    transfer(from, to, &[&["--output", "json"], more].concat()).run()
}

fn transfer(from: &str, to: &str, more: &[&str]) -> Airlift {
    let arguments = [&["transfer", from, to], more].concat();
    let mut airlift = Airlift::new(&arguments).env("S3", "some-id:some-secret");
    for account in ["near", "far"] {
        airlift = airlift
            .env(
                &format!("{account}_KEY").to_uppercase(),
                &account_key(account),
            )
            .env(
                &format!("{account}_SAS").to_uppercase(),
                &account_sas(account),
            );
    }
    airlift
}

/// A bucket of moto, and the secret that opens it.
fn bucket(moto: &Moto, name: &str) -> String {
    format!("{}&credential=env:S3", moto.bucket(name))
}

#[test]
fn the_service_copies_between_accounts_past_this_process() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let (stock, back) = (Stock::new(), tempdir().unwrap());
    let path = stock.path().to_str().unwrap();
    let near = azurite.container("near", "out");
    let total: usize = contents(stock.path()).values().map(Vec::len).sum();
    let up = run(path, &format!("{near}/ship?credential=env:NEAR_KEY"), &[]);
    assert_eq!(up.assert_success().json()["streamedBytes"], total);
    for secret in ["KEY", "SAS"] {
        let far = azurite.container("far", &secret.to_lowercase());
        let source = format!("{near}/ship?credential=env:NEAR_{secret}");
        // Azurite 3.37.0 answers 500 to Put Block From URL under an account's signature; the key does not meet that.
        let target = format!("{far}?credential=env:FAR_KEY");
        let copied = run(&source, &target, &["--verify"]);
        let document = copied.assert_success().assert_nowhere("sig=").json();
        assert_eq!(document["streamedBytes"], 0);
        assert_eq!(document["copiedBytes"], total);
        assert_eq!(document["safeToRemove"], false);
        let again = run(&source, &target, &[]).assert_success().json();
        assert_eq!(
            (&again["copiedBytes"], &again["unchangedBytes"]),
            (&0.into(), &total.into())
        );
    }
    let source = format!("{}?credential=env:FAR_KEY", azurite.container("far", "key"));
    let down = run(&source, back.path().to_str().unwrap(), &["--delete-source"]);
    assert_eq!(down.assert_success().json()["safeToRemove"], true);
    assert!(contents(back.path()) == contents(stock.path()));
    let empty = run(&source, back.path().to_str().unwrap(), &[])
        .assert_success()
        .json();
    assert_eq!(empty["bundles"], serde_json::json!([]));
}

#[test]
fn bundles_travel_to_a_bucket_within_the_service_and_back() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let (stock, back) = (Stock::new(), tempdir().unwrap());
    let total: usize = contents(stock.path()).values().map(Vec::len).sum();
    let (near, far) = (bucket(&moto, "near"), bucket(&moto, "far"));
    let up = run(stock.path().to_str().unwrap(), &near, &["--verify"]);
    let document = up.assert_success().json();
    assert_eq!(document["streamedBytes"], total);
    assert_eq!(document["verifiedObjects"], contents(stock.path()).len());
    let across = run(&near, &far, &["--verify", "--delete-source"]);
    let document = across.assert_success().assert_nowhere("some-secret").json();
    assert_eq!(
        (&document["streamedBytes"], &document["copiedBytes"]),
        (&0.into(), &total.into())
    );
    assert_eq!(
        run(&near, &far, &[]).json()["bundles"],
        serde_json::json!([])
    );
    let again = run(&far, &near, &[]).assert_success().json();
    assert_eq!(again["copiedBytes"], total);
    let down = run(
        &far,
        back.path().to_str().unwrap(),
        &["--delete-source", "--verify"],
    );
    assert_eq!(down.assert_success().json()["safeToRemove"], true);
    assert!(contents(back.path()) == contents(stock.path()));
    let emptied = run(&far, &near, &[]).assert_success().json();
    assert_eq!(emptied["bundles"], serde_json::json!([]));
}

#[test]
fn bundles_travel_from_azure_to_a_bucket_and_back() {
    let (Some(azurite), Some(moto)) = (Azurite::start_or_skip(), Moto::start_or_skip()) else {
        return;
    };
    let (stock, back) = (Stock::new(), tempdir().unwrap());
    let total: usize = contents(stock.path()).values().map(Vec::len).sum();
    let azure = format!(
        "{}?credential=env:NEAR_KEY",
        azurite.container("near", "out")
    );
    let bucket = bucket(&moto, "drop");
    run(stock.path().to_str().unwrap(), &azure, &[]).assert_success();
    for (from, to) in [(&azure, &bucket), (&bucket, &azure)] {
        let moved = run(from, to, &["--verify", "--delete-source"]);
        assert_eq!(moved.assert_success().json()["streamedBytes"], total);
    }
    run(&azure, back.path().to_str().unwrap(), &[]).assert_success();
    assert!(contents(back.path()) == contents(stock.path()));
}

#[test]
fn a_refused_copy_is_told_once_and_carried() {
    let (Some(azurite), Some(moto)) = (Azurite::start_or_skip(), Moto::start_or_skip()) else {
        return;
    };
    let stock = Stock::new();
    let total: usize = contents(stock.path()).values().map(Vec::len).sum();
    let near = format!(
        "{}?credential=env:NEAR_KEY",
        azurite.container("near", "out")
    );
    let far = format!(
        "{}?credential=env:FAR_KEY",
        azurite.container("far", "inbox")
    );
    let s3_relay = Relay::before(moto.address);
    let roads = [
        (Relay::before(azurite.blobs), near, far),
        (s3_relay, bucket(&moto, "near"), bucket(&moto, "far")),
    ];
    for (relay, from, to) in roads {
        run(stock.path().to_str().unwrap(), &from, &[]).assert_success();
        relay.judge(|seen| match seen.is_copy {
            true => Verdict::Answer(404),
            false => Verdict::Pass,
        });
        // A bucket's service is its endpoint: both sides are asked through the relay.
        let from = match from.starts_with("s3:") {
            true => relay.through(&from),
            false => from,
        };
        let carried = run(&from, &relay.through(&to), &["--verify"]);
        assert_eq!(carried.assert_success().json()["streamedBytes"], total);
        let told = carried
            .stderr
            .matches("the service does not copy by itself")
            .count();
        assert_eq!(told, 1, "{}", carried.stderr);
        carried.assert_nowhere("sig=");
    }
}

#[test]
fn a_watch_carries_what_comes_into_a_bucket() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let bucket = bucket(&moto, "drop");
    let path = target.path().to_str().unwrap();
    let watch = [
        "--watch",
        "--interval",
        "500ms",
        "--verify",
        "--delete-source",
    ];
    let running = transfer(&bucket, path, &watch).spawn();
    run(stock.path().to_str().unwrap(), &bucket, &[]).assert_success();
    wait::until("all of it has come", || {
        contents(target.path()) == contents(stock.path())
    });
    running.signal("TERM");
    running.output().assert_success();
}

/// Azurite 3.37.0 answers 500 to Put Block From URL where the target is opened by an account's signature.
#[test]
fn what_the_service_does_not_copy_is_carried() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let (stock, back) = (Stock::new(), tempdir().unwrap());
    let path = stock.path().to_str().unwrap();
    let total: usize = contents(stock.path()).values().map(Vec::len).sum();
    let near = format!(
        "{}?credential=env:NEAR_KEY",
        azurite.container("near", "out")
    );
    let far = format!(
        "{}?credential=env:FAR_SAS",
        azurite.container("far", "come")
    );
    run(path, &near, &[]).assert_success();
    let carried = run(&near, &far, &["--log", "trace"]);
    let document = carried.assert_success().json();
    assert_eq!(document["streamedBytes"], total);
    assert_eq!(document["copiedBytes"], total);
    assert_no_signature(&carried);
    run(&far, back.path().to_str().unwrap(), &[]).assert_success();
    assert!(contents(back.path()) == contents(stock.path()));
}

#[test]
fn no_log_of_a_copy_shows_a_signature() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let stock = Stock::new();
    let path = stock.path().to_str().unwrap();
    let near = azurite.container("near", "out");
    run(path, &format!("{near}?credential=env:NEAR_KEY"), &[]).assert_success();
    for secret in ["SAS", "KEY"] {
        let source = format!("{near}?credential=env:NEAR_{secret}");
        let far = azurite.container("far", &secret.to_lowercase());
        let target = format!("{far}?credential=env:FAR_KEY");
        let copied = run(&source, &target, &["--log", "trace"]);
        assert_eq!(copied.assert_success().json()["streamedBytes"], 0);
        copied.assert_stderr("x-ms-copy-source");
        assert_no_signature(&copied);
    }
    let source = format!("{near}?credential=env:NEAR_SAS");
    let nowhere = format!("http://{}/far/absent?credential=env:FAR_KEY", azurite.blobs);
    let failed = run(&source, &nowhere, &["--log", "trace"]);
    failed.assert_code(1);
    assert_no_signature(&failed);
}

/// Neither as it stands in a URL nor decoded, of any of the accounts.
#[track_caller]
fn assert_no_signature(output: &Output) {
    output.assert_nowhere("sig=").assert_nowhere("sig%3D");
    for account in ["near", "far"] {
        let sas = account_sas(account);
        let signature = sas.split("sig=").nth(1).unwrap();
        let decoded = percent_encoding::percent_decode_str(signature);
        let decoded = decoded.decode_utf8_lossy();
        output
            .assert_nowhere(signature)
            .assert_nowhere(&decoded)
            .assert_nowhere(&account_key(account));
    }
}
