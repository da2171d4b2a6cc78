//! Transfers between two accounts of Azure: the service copies, and nothing passes through this process.

use tempfile::tempdir;

use super::{Stock, contents};
use crate::support::clouds::{Azurite, account_key, account_sas};
use crate::support::command::{Airlift, Output};

fn run(from: &str, to: &str, more: &[&str]) -> Output {
    let arguments = [&["transfer", from, to, "--output", "json"], more].concat();
    let mut airlift = Airlift::new(&arguments);
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
    airlift.run()
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
