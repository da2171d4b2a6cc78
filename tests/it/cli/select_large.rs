//! A registry with 2,000 repositories and 100,000 tags: what is asked of it, how much at once, in how much memory.

use airlift::content::Memory;
use airlift::oci::{Repository, Tag};

use super::Desk;
use crate::support::artifacts::dated_image;
use crate::support::command::Output;
use crate::support::registry::{Fault, Registry, When};
use crate::support::wait;

const REPOSITORIES: usize = 2000;
const TAGS: usize = 50;
const PAGE: usize = 40;
/// Repositories, and manifests, under way at once.
const CONCURRENT: usize = 8;
const MEMORY_MAX_BYTES: u64 = 200 << 20;

/// `team-7/app-3:1.4.1` and so on; equal tags have equal images, each older than the next.
fn registry_of(repositories: usize) -> Registry {
    let memory = Memory::new();
    let any: Repository = "any".parse().unwrap();
    let images: Vec<_> = (0..TAGS)
        .map(|number| {
            let day = format!(
                "2020-{:02}-{:02}T00:00:00Z",
                1 + number / 25,
                1 + number % 25
            );
            let tag: Tag = format!("1.{}.{}", number / 2, number % 2).parse().unwrap();
            (tag, dated_image(&memory, &any, "amd64", &day))
        })
        .collect();
    let (_, blobs) = memory.snapshot();
    let registry = Registry::with(|it| it.page_size_max = PAGE);
    for number in 0..repositories {
        let name = format!("team-{}/app-{}", number / 100, number % 100);
        let name: Repository = name.parse().unwrap();
        for (tag, image) in &images {
            registry.put_manifest(&name, image.clone(), Some(tag));
        }
        // Layers and configs; what is a manifest is there already, and harmless.
        for bytes in blobs.values() {
            registry.put_blob(&name, "application/octet-stream", bytes.clone());
        }
    }
    registry
}

/// Runs it, and says how much memory it took at most.
fn measure(desk: &Desk, line: &str) -> (Output, u64) {
    let mut running = desk.command(line).spawn();
    let mut peak = 0;
    let ended = wait::within(10 * wait::PATIENCE, || {
        peak = peak.max(running.memory_peak_bytes().unwrap_or(0));
        running.has_ended()
    });
    assert!(ended, "{line}");
    (running.output(), peak)
}

#[test]
fn a_large_registry_is_looked_through_in_little_memory() {
    let (desk, registry) = (Desk::new(), registry_of(REPOSITORIES));
    let host = registry.address();
    let log = registry.log();
    let pages = REPOSITORIES * TAGS.div_ceil(PAGE);

    // The bounds are ours, not those of the connection.
    let select = format!("select {host}/** --concurrent-requests 64");
    let line = format!("{select} --newest 3 --newest-by version");
    let (listed, peak) = measure(&desk, &line);
    assert_eq!(
        listed.assert_success().stdout.lines().count(),
        3 * REPOSITORIES
    );
    assert!(peak > 0 && peak < MEMORY_MAX_BYTES, "{peak} bytes");
    assert_eq!(log.count("GET", "/_catalog"), REPOSITORIES / PAGE);
    assert_eq!(log.count("GET", "/tags/list"), pages);
    assert_eq!(log.count("*", "/manifests/") + log.count("*", "/blobs/"), 0);
    let concurrent = log.concurrency_max("GET", "/tags/list");
    assert!(concurrent <= CONCURRENT, "{concurrent}");
    log.clear();

    // One manifest for each repository is enough, and they all are one image.
    let rules = "--newest 1 --newest-by version --min-age 72h --explain";
    let (explained, peak) = measure(&desk, &format!("{select} {rules}"));
    explained.assert_stderr("2000 of 100000 tags in 2000 repositories selected");
    let lines = explained.assert_success().stdout.lines().count();
    assert_eq!(lines, 1 + REPOSITORIES * TAGS);
    assert!(peak > 0 && peak < MEMORY_MAX_BYTES, "{peak} bytes");
    assert_eq!(log.count("GET", "/manifests/1.24.1"), REPOSITORIES);
    assert_eq!(log.count("*", "/manifests/"), REPOSITORIES);
    assert_eq!(log.count("*", "/blobs/"), 1);
    let concurrent = log.concurrency_max("GET", "/manifests/");
    assert!(concurrent <= CONCURRENT, "{concurrent}");
    eprintln!("the most memory: {peak} bytes");
}

/// Requests that are never answered show how many there are at once.
#[test]
fn so_many_are_under_way_at_once_and_no_more() {
    let (desk, registry) = (Desk::new(), registry_of(2 * CONCURRENT));
    let host = registry.address();
    let line = format!("select {host}/** --newest 3 --concurrent-requests 64");
    for path in ["/tags/list", "/manifests/"] {
        registry.fault(When::get(path).always(), Fault::Hang);
        let asked = || registry.log().count("GET", path);
        let running = desk.command(&line).spawn();
        let output = running.kill_when(|| asked() >= CONCURRENT);
        assert!(output.was_killed(), "{}", output.stderr);
        assert_eq!(asked(), CONCURRENT, "{path}");
        registry.heal();
        registry.log().clear();
    }
}
