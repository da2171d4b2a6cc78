//! The pair of pipelines with a storage container of Azure: its secret is named in the file and never told.

use std::fs;

use super::acr::read_pipelines;
use super::{Works, stock, tags_of};
use crate::support::clouds::{Azurite, account_sas};

#[test]
fn the_container_is_opened_with_the_sas_that_the_file_names() {
    let Some(works) = Works::start_or_skip() else {
        return;
    };
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let container = azurite.container("near", "transfer");
    let file = read_pipelines(&works, "", "DeleteSourceBlobOnSuccess", "Disabled");
    for end in ["near", "far"] {
        let vault = format!("azure-key-vault:https://acme.vault.azure.net/secrets/{end}");
        assert!(file.contains(&vault), "{file}");
    }
    let file = file
        .replace("https://acme.blob.core.windows.net/transfer", &container)
        .replace(
            "azure-key-vault:https://acme.vault.azure.net/secrets/near",
            "file:DESK/sas",
        )
        .replace(
            "azure-key-vault:https://acme.vault.azure.net/secrets/far",
            "file:DESK/sas",
        );
    let sas = account_sas("near");
    fs::write(works.path("sas"), &sas).unwrap();
    works.configure(&file);
    stock(&works.near, &[("apps/web", "1.4", 4)]);
    let signature = sas.rsplit("sig=").next().unwrap();
    let run = |line: &str| {
        let told = works.run(&format!("{line} --log debug"));
        told.assert_success().assert_nowhere(signature);
        told
    };
    run("config show");
    run("run export out apps/web:1.4");
    let list = format!(
        "container list {container}?credential=file:{} --output json",
        works.text("sas")
    );
    let objects = || run(&list).json()["objects"].as_array().unwrap().len();
    assert_eq!(objects(), 1);
    run("run import in");
    assert_eq!(objects(), 0, "it is deleted when it was delivered");
    assert_eq!(
        tags_of(&works.far, "apps/web"),
        tags_of(&works.near, "apps/web")
    );
}
