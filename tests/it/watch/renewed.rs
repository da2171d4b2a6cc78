//! Keys, credentials and logins that change while the watch runs.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airlift::bundle::PublicKey;
use airlift::content::{Error, ErrorKind, Result};

use super::hooked::checked_opener;
use super::process::terminate;
use super::{Station, key, names};
use crate::support::base64;
use crate::support::clouds::{Azurite, account_key};
use crate::support::command::{Airlift, Running};
use crate::support::registry::{Auth, Login, Registry};
use crate::support::wait;

fn await_told(running: &Running, part: &str) {
    let told = wait::within(wait::PATIENCE, || running.stdout().contains(part));
    assert!(
        told,
        "`{part}` is not in\n{}{}",
        running.stdout(),
        running.stderr()
    );
}

/// A watch of the program itself, with the trust directory `trust`.
fn watch(station: &Station, target: &str) -> Airlift {
    let (drop, state, trusted) = (
        station.text("drop"),
        station.text("state"),
        station.text("trust"),
    );
    let mut line = vec!["watch", &drop, "--target", target, "--trust", &trusted];
    line.extend(["--state", &state, "--interval", "1s", "--accept-one-off"]);
    Airlift::new(&line)
}

/// Puts a fixture's key into the trust directory at once.
fn trust(station: &Station, name: &str) -> PathBuf {
    let path = station.path("trust").join(format!("{name}.pub"));
    let new = path.with_extension("new");
    fs::copy(key(&format!("{name}.pub")), &new).unwrap();
    fs::rename(&new, &path).unwrap();
    path
}

#[test]
fn keys_that_change_on_the_disk_are_in_force_for_the_next_bundle() {
    let station = Station::new();
    fs::create_dir(station.path("trust")).unwrap();
    let first = trust(&station, "snakeoil-p256");
    let other = key("snakeoil-p256-other");
    station.export("helm-chart", "chart", &["--sign-key", &other]);
    station.export("oras", "oras", &[]);
    station.bring("chart.tar.zst");
    let target = format!("oci:{}", station.text("far"));
    let running = watch(&station, &target).spawn();
    await_told(
        &running,
        "chart.tar.zst: waiting: the signatures are refused",
    );
    trust(&station, "snakeoil-p256-other");
    await_told(&running, "the trusted keys have changed");
    await_told(&running, "chart.tar.zst: imported");
    let text = fs::read_to_string(&first).unwrap();
    let id = PublicKey::parse(&text).unwrap().id().to_string();
    fs::write(station.path("trust").join(format!("{id}.revoked")), "").unwrap();
    station.bring("oras.tar.zst");
    await_told(
        &running,
        &format!("oras.tar.zst: waiting: the signatures are refused: the key {id} is revoked"),
    );
    assert_eq!(station.tags(), ["helm-chart:0.1.0"]);
    terminate(&running);
    running.output().assert_success();
}

#[test]
fn a_broken_key_file_leaves_the_old_keys_in_force_and_is_told() {
    let station = Station::new();
    fs::create_dir(station.path("trust")).unwrap();
    trust(&station, "snakeoil-p256");
    station.export_chart("chart");
    let target = format!("oci:{}", station.text("far"));
    let running = watch(&station, &target).spawn();
    await_told(&running, "watching");
    fs::write(station.path("trust/new.pub"), "half a ke").unwrap();
    await_told(&running, "so those of before stay in force: ");
    station.bring("chart.tar.zst");
    await_told(&running, "chart.tar.zst: imported");
    assert_eq!(running.stdout().matches("stay in force").count(), 1);
    terminate(&running);
    running.output().assert_success();
}

#[test]
fn a_credential_that_is_refused_is_read_again() {
    let station = Station::new();
    station.export_chart("chart");
    let is_expired = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_expired);
    let make = move || {
        // The credential of the first opening expires; what is read later does not.
        let is_first = !shared.load(Ordering::SeqCst);
        let shared = Arc::clone(&shared);
        let check = move || match is_first && shared.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Denied, "the signature has expired")),
            false => Ok(()),
        };
        Arc::new(check) as Arc<dyn Fn() -> Result<()> + Send + Sync>
    };
    let opener = checked_opener(&station.path("drop"), Arc::new(make));
    let watch = station.watch_with(|options| {
        options.open_container = opener;
        options.directory = None;
    });
    watch.await_line("watching");
    is_expired.store(true, Ordering::SeqCst);
    watch.await_line("the container's credential was read again");
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: imported");
    assert_eq!(watch.count("cannot be listed"), 0, "{:#?}", watch.lines());
}

/// A signature that reads, lists and creates in the container, for so long.
fn sign(container: &str, time: &str) -> String {
    let made = Airlift::new(&[
        "sas",
        "make",
        container,
        "--account-key",
        "env:KEY",
        "--permissions",
        "rlcw",
        "--expires",
        time,
        "--allow-http",
    ]);
    let made = made.env("KEY", &account_key("far")).run();
    let url = made.assert_success().stdout.trim().to_owned();
    url.split_once('?').unwrap().1.to_owned()
}

#[test]
fn a_signature_that_has_expired_is_read_again_from_its_file() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let station = Station::new();
    station.export_chart("chart");
    let container = azurite.container("far", "drop");
    let file = station.path("drop.sas");
    let write = |time: &str| fs::write(&file, sign(&container, time)).unwrap();
    write("8s");
    let (named, far) = (
        format!("{container}?credential=file:{}", file.display()),
        format!("oci:{}", station.text("far")),
    );
    let (trusted, state) = (key("snakeoil-p256.pub"), station.text("state"));
    let line = [
        "watch", &named, "--target", &far, "--trust", &trusted, "--state", &state,
    ];
    let more = ["--interval", "1s", "--accept-one-off"];
    let running = Airlift::new(&[&line[..], &more].concat()).spawn();
    await_told(&running, "watching");
    write("1h");
    await_told(&running, "the container's credential was read again");
    let usb = station.text("usb");
    let sent = Airlift::new(&["transfer", &usb, &named, "--trust", &trusted]).run();
    sent.assert_success();
    await_told(&running, "chart.tar.zst: imported");
    terminate(&running);
    let output = running.output();
    output.assert_success().assert_nowhere("sig=");
    assert!(
        !output.stdout.contains("cannot be listed"),
        "{}",
        output.stdout
    );
}

/// What `docker login` leaves behind.
fn docker_config(registry: &Registry, password: &str) -> String {
    let auth = base64::encode(format!("ops:{password}").as_bytes());
    let host = registry.address();
    serde_json::json!({ "auths": { host: { "auth": auth } } }).to_string()
}

#[test]
fn a_login_that_is_refused_is_looked_up_again() {
    let station = Station::new();
    fs::create_dir(station.path("trust")).unwrap();
    trust(&station, "snakeoil-p256");
    station.export_chart("chart");
    let registry = Registry::start();
    let ask = |password: &str| {
        registry.behave(|behaviour| {
            behaviour.auth = Auth::Basic(Login {
                user: "ops".into(),
                password: password.into(),
            });
        });
    };
    ask("first");
    fs::create_dir(station.path("docker")).unwrap();
    let config = station.path("docker/config.json");
    fs::write(&config, docker_config(&registry, "first")).unwrap();
    let running = watch(&station, &registry.address())
        .env("DOCKER_CONFIG", &station.text("docker"))
        .spawn();
    await_told(&running, "watching");
    ask("second");
    station.bring("chart.tar.zst");
    await_told(&running, "chart.tar.zst: will be tried again: ");
    fs::write(&config, docker_config(&registry, "second")).unwrap();
    await_told(&running, "chart.tar.zst: imported");
    terminate(&running);
    running.output().assert_success().assert_nowhere("second");
    assert_eq!(names(&station.path("drop")), ["chart.tar.zst"]);
}
