//! Projects and repositories that a target's own API has to create before anything is pushed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use airlift::content::Memory;
use serde_json::{Value, json};

use super::Desk;
use crate::support::artifacts::image;
use crate::support::base64;
use crate::support::clouds::Moto;
use crate::support::command::Airlift;
use crate::support::registry::{Auth, Harbor, Location, Login, Registry};

/// `team/web:1`, `team/api:1` and `tools/cc:1` in `usb`.
fn desk_with_three() -> Desk {
    let memory = Memory::new();
    for name in ["team/web", "team/api", "tools/cc"] {
        let repository = name.parse().unwrap();
        let document = image(&memory, &repository, "amd64", &[name.as_bytes()]);
        memory.put_manifest(&repository, document, Some(&"1".parse().unwrap()));
    }
    let registry = Registry::start();
    registry.seed(&memory);
    let desk = Desk::new();
    let host = registry.address();
    desk.run(&format!(
        "export {host}/** --container usb --sign-key ops.key --name all"
    ))
    .assert_success();
    desk
}

fn harbor(projects: &[&str]) -> Registry {
    let login = Login::new("robot$ship", "s3cret");
    Registry::with(|it| {
        it.auth = Auth::Basic(login.clone());
        it.harbor = Some(Harbor {
            login,
            may_ask: true,
            may_create: true,
            projects: projects.iter().map(|it| ((*it).to_owned(), true)).collect(),
        });
    })
}

fn logged_in(desk: &Desk, registry: &Registry, line: &str) -> Airlift {
    let auth = base64::encode(b"robot$ship:s3cret");
    let config = json!({ "auths": { registry.address(): { "auth": auth } } });
    desk.command(line)
        .home_file(".docker/config.json", &config.to_string())
}

fn import(registry: &Registry, more: &str) -> String {
    let host = registry.address();
    format!("import usb --target {host} --trust ops.key.pub --create-repositories harbor {more}")
}

/// What a dry run prints that would create a project.
pub(super) fn planned_creation() -> Value {
    let (desk, target) = (desk_with_three(), harbor(&[]));
    let line = import(&target, "--dry-run --output json");
    logged_in(&desk, &target, &line).run().json()
}

#[test]
fn projects_of_harbor_are_created_before_the_first_push() {
    let (desk, target) = (desk_with_three(), harbor(&["tools"]));
    let line = import(&target, "--state memory");
    let refused = logged_in(&desk, &target, &line.replace("harbor", "none")).run();
    refused.assert_code(5).assert_stderr("answered 401");
    target.log().clear();

    let dry = logged_in(&desk, &target, &format!("{line} --dry-run")).run();
    dry.assert_success()
        .assert_stdout("  creates the project `team`\n");
    assert!(!dry.stdout.contains("`tools`"), "{}", dry.stdout);
    let dry = logged_in(&desk, &target, &format!("{line} --dry-run --output json")).run();
    let wanted = json!([{ "kind": "project", "name": "team", "isCertain": true }]);
    assert_eq!(
        dry.assert_success().json()["bundles"][0]["toCreate"],
        wanted
    );
    assert_eq!(target.log().count("POST", ""), 0);

    let done = logged_in(&desk, &target, &line).run();
    done.assert_success()
        .assert_stderr("note: created the project `team`")
        .assert_nowhere("s3cret");
    let log = target.log();
    assert_eq!(log.count("POST", "/api/v2.0/projects"), 1);
    // Nobody is let in by us, and what was there is as it was.
    let projects = target.harbor_projects();
    assert_eq!(
        projects,
        [("team".to_owned(), false), ("tools".to_owned(), true)]
    );
    let first = |path: &str| log.all().iter().position(|it| it.path.contains(path));
    assert!(first("/api/v2.0/projects") < first("/blobs/uploads/"));
    desk.run("runs log --state memory")
        .assert_stdout("created    project team");

    // All is there, so nothing is created.
    log.clear();
    let again = format!("{line} --replays deliver");
    logged_in(&desk, &target, &again).run().assert_success();
    assert_eq!(log.count("POST", "/api/v2.0/projects"), 0);
}

#[test]
fn what_a_policy_refuses_creates_nothing() {
    let (desk, target) = (desk_with_three(), harbor(&["tools"]));
    let memory = Memory::new();
    let repository = "tools/cc".parse().unwrap();
    let other = image(&memory, &repository, "amd64", &[b"other"]);
    memory.put_manifest(&repository, other, Some(&"1".parse().unwrap()));
    target.seed(&memory);
    let failed = logged_in(&desk, &target, &import(&target, "--existing fail")).run();
    failed.assert_code(1).assert_stderr("tools/cc");
    assert_eq!(target.log().count("POST", "/api/v2.0/projects"), 0);
}

#[test]
fn whoever_may_not_create_is_told_which_right_is_missing() {
    let (desk, target) = (desk_with_three(), harbor(&[]));
    target.behave(|it| {
        let harbor = it.harbor.as_mut().unwrap();
        (harbor.may_ask, harbor.may_create) = (false, false);
    });
    let line = import(&target, "");
    logged_in(&desk, &target, &format!("{line} --dry-run"))
        .run()
        .assert_code(5);
    let denied = logged_in(&desk, &target, &line).run();
    denied
        .assert_code(5)
        .assert_stderr("target: cannot create the project `team`")
        .assert_stderr("the login may not create projects in Harbor")
        .assert_stderr("right to create projects")
        .assert_nowhere("s3cret");
    assert_eq!(target.log().count("*", "/blobs/uploads/"), 0);

    // A target outside of every project, and one that has no API.
    target.behave(|it| it.harbor.as_mut().unwrap().may_create = true);
    desk.run("import usb --target oci:far --trust ops.key.pub --create-repositories harbor")
        .assert_code(2)
        .assert_stderr("`oci:far` is a layout");
    let host = target.address();
    let line = format!(
        "import usb --target {host} --trust ops.key.pub --rename ~.*/(.*)=$1 --create-repositories harbor"
    );
    logged_in(&desk, &target, &line)
        .run()
        .assert_code(1)
        .assert_stderr("has to be");
}

#[test]
fn a_watch_creates_projects_by_the_key_of_its_pipeline() {
    let (desk, target) = (desk_with_three(), harbor(&[]));
    let host = target.address();
    let place = desk.path(".").canonicalize().unwrap();
    let place = place.display();
    let text = format!(
        "state = \"{place}/memory\"\n[container.usb]\nurl = \"{place}/usb\"\n[import.ship]\ncontainer = \"usb\"\ntarget = \"{host}\"\ntrust = [\"{place}/ops.key.pub\"]\naccept-one-off = true\ncreate-repositories = \"harbor\"\n"
    );
    desk.write("airlift.toml", text);
    logged_in(&desk, &target, "run import ship --config airlift.toml")
        .run()
        .assert_success();
    let names: Vec<String> = target
        .harbor_projects()
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(names, ["team", "tools"]);
}

/// `team/web:1` in a registry, and Harbor without a project.
fn promotion() -> (Registry, Registry) {
    let memory = Memory::new();
    let repository = "team/web".parse().unwrap();
    let document = image(&memory, &repository, "amd64", &[b"promoted"]);
    memory.put_manifest(&repository, document, Some(&"1".parse().unwrap()));
    let source = Registry::start();
    source.seed(&memory);
    (source, harbor(&[]))
}

fn promote(source: &Registry, target: &Registry, more: &str) -> String {
    let (from, to) = (source.address(), target.address());
    format!(
        "promote {from}/team/web:1 --source {from} --target {to} --comment tested --create-repositories harbor {more}"
    )
}

/// What a dry run of a promotion prints that would create a project.
pub(super) fn planned_creation_of_promotion() -> Value {
    let (desk, (source, target)) = (Desk::new(), promotion());
    let line = promote(&source, &target, "--dry-run --output json");
    logged_in(&desk, &target, &line).run().json()
}

#[test]
fn a_promotion_creates_projects_of_harbor_before_the_first_push() {
    let (desk, (source, target)) = (Desk::new(), promotion());
    let line = promote(&source, &target, "--state memory");
    let refused = logged_in(&desk, &target, &line.replace("harbor", "none")).run();
    refused.assert_code(5).assert_stderr("answered 401");
    target.log().clear();

    logged_in(&desk, &target, &format!("{line} --dry-run"))
        .run()
        .assert_success()
        .assert_stdout("  creates the project `team`\n");
    let wanted = json!([{ "kind": "project", "name": "team", "isCertain": true }]);
    assert_eq!(planned_creation_of_promotion()["toCreate"], wanted);
    assert_eq!(target.log().count("POST", ""), 0);

    let done = logged_in(&desk, &target, &line).run();
    done.assert_success()
        .assert_stderr("created the project `team`")
        .assert_nowhere("s3cret");
    assert_eq!(target.harbor_projects(), [("team".to_owned(), false)]);
    let log = target.log();
    let first = |path: &str| log.all().iter().position(|it| it.path.contains(path));
    assert!(first("/api/v2.0/projects") < first("/blobs/uploads/"));
    desk.run("runs log --state memory")
        .assert_stdout("created    project team");
    log.clear();
    logged_in(&desk, &target, &line).run().assert_success();
    assert_eq!(log.count("POST", "/api/v2.0/projects"), 0);
}

#[test]
fn a_promotion_pipeline_creates_projects_by_its_key() {
    let (desk, (source, target)) = (Desk::new(), promotion());
    let (from, to) = (source.address(), target.address());
    let state = desk.path("memory").display().to_string();
    let text = format!(
        "state = \"{state}\"\n[promotion.rc]\nsource = \"{from}\"\ntarget = \"{to}\"\ncreate-repositories = \"harbor\"\n"
    );
    desk.write("airlift.toml", text);
    let line = "promote team/web:1 --to rc --comment tested --config airlift.toml";
    logged_in(
        &desk,
        &target,
        &format!("{line} --create-repositories none"),
    )
    .run()
    .assert_code(2)
    .assert_stderr("cannot be used with");
    logged_in(&desk, &target, line).run().assert_success();
    assert_eq!(target.harbor_projects(), [("team".to_owned(), false)]);
}

const ECR: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

/// One request to ECR as moto plays it, which checks no signature.
fn ask_ecr(address: SocketAddr, action: &str) -> Value {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 2\r\n\
         Content-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.{action}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=ID/20260101/eu-central-1/ecr/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{{}}"
    )
    .unwrap();
    let mut reply = String::new();
    connection.read_to_string(&mut reply).unwrap();
    let (_, body) = reply.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{reply}"))
}

#[test]
fn repositories_of_ecr_are_created_by_its_api() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let desk = desk_with_three();
    let target = Registry::with(|it| it.uploads.location = Location::Relative);
    let with_keys = |line: &str| {
        desk.command(line)
            .env("AWS_ACCESS_KEY_ID", "ID")
            .env("AWS_SECRET_ACCESS_KEY", "s3cret")
            .env("AWS_ENDPOINT_URL_ECR", &format!("http://{}", moto.address))
            .env("HTTP_PROXY", &target.url())
            .env("NO_PROXY", "127.0.0.1")
    };
    let line = format!(
        "import usb --target {ECR}/mirror --trust ops.key.pub --plain-http --create-repositories ecr"
    );
    let dry = with_keys(&format!("{line} --dry-run")).run();
    dry.assert_success()
        .assert_stdout("creates the repository `mirror/team/web`");
    let repositories = || {
        let found = ask_ecr(moto.address, "DescribeRepositories");
        let found = found["repositories"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let name = |it: &Value| it["repositoryName"].as_str().unwrap().to_owned();
        let mut names: Vec<String> = found.iter().map(name).collect();
        names.sort();
        names
    };
    assert!(repositories().is_empty());
    let all = ["mirror/team/api", "mirror/team/web", "mirror/tools/cc"];
    let done = with_keys(&line).run();
    done.assert_success()
        .assert_stderr("created the repository `mirror/team/web`")
        .assert_nowhere("s3cret");
    assert_eq!(repositories(), all);
    // They are there now.
    let again = with_keys(&line).run();
    assert!(!again.assert_success().stderr.contains("created"));
    let elsewhere = line.replace(ECR, "127.0.0.1:5000");
    let elsewhere = elsewhere.replace("127.0.0.1:5000", &target.address());
    with_keys(&elsewhere)
        .run()
        .assert_code(1)
        .assert_stderr("is no registry of ECR");
}
