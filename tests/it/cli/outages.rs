//! Peers that do not answer: people are told within seconds, long before the last attempt has failed.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Desk;
use crate::support::command::{Airlift, Running};
use crate::support::real::free_address;
use crate::support::registry::Registry;
use crate::support::wait;

const SAS: &str = "sv=2024-11-04&sr=c&sp=rl&se=2100-01-01T00:00:00Z&sig=c2VjcmV0";
/// What the attempts last at least; a loaded machine needs some of it.
const SOON: Duration = Duration::from_secs(15);

fn azure(scheme: &str, address: &str) -> Vec<String> {
    let place = format!("{scheme}://{address}/near/drop?{SAS}");
    ["container", "list", &place].map(str::to_owned).to_vec()
}

fn bucket(address: &str) -> Vec<String> {
    let place = format!("s3://drop?endpoint=http://{address}&style=path&credential=env:S3_KEY");
    ["container", "list", &place].map(str::to_owned).to_vec()
}

fn registry(address: &str) -> Vec<String> {
    ["list", address].map(str::to_owned).to_vec()
}

fn start(arguments: &[String]) -> Running {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Airlift::new(&arguments)
        .env("S3_KEY", "key:secret")
        .env("AWS_REGION", "eu")
        .spawn()
}

#[test]
fn a_peer_that_keeps_silent_or_refuses_is_told_within_seconds() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let closed = free_address().to_string();
    let begun = Instant::now();
    let waiting = format!("`{silent}` has not answered for 3 s, still waiting");
    let refused = format!("`{closed}` cannot be used just now, trying again: ");
    let running = [
        (azure("http", &silent), &waiting),
        (bucket(&silent), &waiting),
        (registry(&silent), &waiting),
        (azure("http", &closed), &refused),
        (registry(&closed), &refused),
    ]
    .map(|(arguments, told)| (start(&arguments), arguments, told));
    for (running, arguments, told) in running {
        wait::until(&format!("{arguments:?} tells"), || {
            running.stderr().contains(told)
        });
        let as_warning = format!("warning: {told}");
        assert!(has_line(&running, &as_warning), "{}", running.stderr());
        let output = running.kill();
        output.assert_nowhere("c2VjcmV0");
        let count = output.stderr.matches(told.as_str()).count();
        assert_eq!(count, 1, "{}", output.stderr);
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

fn has_line(running: &Running, beginning: &str) -> bool {
    let told = running.stderr();
    told.lines().any(|line| line.starts_with(beginning))
}

/// Lines of the log stood among lines with the time.
#[test]
fn a_watch_warns_of_silence_in_a_line_with_the_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let desk = Desk::new();
    let place = format!("http://{silent}/near/drop?{SAS}");
    let line = format!("watch {place} --target oci:far --trust ops.key.pub --state state");
    let warning = format!(" warning: `{silent}` has not answered for 3 s, still waiting");
    let running = desk.command(&line).spawn();
    wait::until("it tells", || running.stderr().contains(&warning));
    let output = running.kill();
    let timed = output.stderr.lines().find(|line| line.ends_with(&warning));
    let time = timed.and_then(|line| line.strip_suffix(&warning));
    assert!(time.unwrap().parse::<Timestamp>().is_ok(), "{time:?}");
    let log = desk.command(&format!("{line} --output json")).spawn();
    wait::until("it logs", || log.stderr().contains(" WARN "));
    log.kill();
}

#[test]
fn a_certificate_that_nobody_trusts_is_not_waited_for() {
    let server = Registry::start_tls();
    let begun = Instant::now();
    let output = start(&azure("https", &server.address())).output();
    output.assert_code(1).assert_stderr("certificate");
    assert!(!output.stderr.contains("trying again"), "{}", output.stderr);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}
