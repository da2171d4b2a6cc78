//! Faults of the configuration file: each is told with its line, and nothing is done.

use super::config::Plant;
use super::json::assert_documented;

/// Each is one change to the whole file, the line that is told, and words of the message.
const FAULTS: [(&str, &str, usize, &str); 34] = [
    ("tags =", "tag =", 19, "did you mean `tags`?"),
    (
        "[export.nightly]",
        "[exports.nightly]",
        16,
        "did you mean `[export.nightly]`?",
    ),
    ("\"1\\\\..*\"", "\"1(\"", 19, "`tags` cannot be `1(`"),
    (
        "container = \"usb\"\nsign",
        "container = \"usp\"\nsign",
        20,
        "did you mean `usb`?",
    ),
    (
        "registry = \"near\"",
        "registry = \"naer\"",
        17,
        "there is no `[registry.naer]`",
    ),
    (
        "target = \"far\"",
        "target = \"fra\"",
        27,
        "there is no `[registry.fra]`",
    ),
    ("\"30 3 * * *\"", "\"61 3 * * *\"", 22, "`schedule`"),
    ("\"30 3 * * *\"", "\"30 3 * *\"", 22, "five fields"),
    ("Europe/Berlin", "Europe/Berln", 23, "no time zone"),
    (
        "source-trigger = false",
        "source-trigger = \"no\"",
        29,
        "`true` or `false`",
    ),
    ("validated = true", "validated = 1", 11, "`true` or `false`"),
    (
        "references = [\"web\"]",
        "references = [\"web\", 3]",
        18,
        "a list of something other",
    ),
    (
        "sign-key = \"DESK/ops.key\"",
        "sign-key = \"ops.key\"",
        21,
        "a relative path",
    ),
    (
        "sign-key = \"DESK/ops.key\"\n",
        "sign-key = \"DESK/ops.key\"\nunsigned = true\n",
        21,
        "exclude each other",
    ),
    (
        "url = \"DESK/usb\"",
        "url = \"https://a.blob.core.windows.net/c?sv=1&sig=S3CRET\"",
        14,
        "holds a signature",
    ),
    (
        "\"file:DESK/login\"",
        "\"hunter2-S3CRET\"",
        7,
        "`password` cannot be this",
    ),
    (
        "state = \"DESK/state\"",
        "state = \"here\"",
        2,
        "absolute path",
    ),
    (
        "address = \"FAR/mirror\"",
        "address = \"https://FAR\"",
        10,
        "without `https://`",
    ),
    ("[import.mirror]", "[import.Mirror]", 25, "cannot be a name"),
    (
        "time-zone =",
        "newest = 1001\ntime-zone =",
        23,
        "`newest` cannot be `1001`",
    ),
    (
        "target = \"far\"",
        "target = \"bob:S3CRET@h.example/x\"",
        27,
        "holds a user name or a password",
    ),
    (
        "target = \"far\"",
        "target = \"https://h.example/x\"",
        27,
        "leave `https://` away",
    ),
    ("target = \"far\"", "target = \"far/UPPER\"", 27, "`target`"),
    (
        "address = \"FAR/mirror\"",
        "address = \"bob:S3CRET@h.example\"",
        10,
        "holds a user name or a password",
    ),
    (
        "references = [\"web\"]",
        "references = [\"UPPER/x\"]",
        18,
        "`references`",
    ),
    (
        "container = \"usb\"\nsign",
        "container = \"https://a.blob.core.windows.net/c?sv=1&sig=S3CRET\"\nsign",
        20,
        "holds a signature",
    ),
    (
        "sign-key = \"DESK/ops.key\"\n",
        "",
        16,
        "neither `sign-key` nor `unsigned`",
    ),
    (
        "schedule =",
        "may-run = []\nschedule =",
        22,
        "`may-run` is an empty list",
    ),
    (
        "validated = true",
        "may-view = []",
        11,
        "without `may-view` everybody may",
    ),
    (
        "references = [\"web\"]",
        "references = []",
        18,
        "`references` is an empty list",
    ),
    (
        "url = \"DESK/usb\"",
        "url = \"s3:bucket/x\"\ncredential = \"env:X\"",
        14,
        "did you mean `s3://bucket/x`?",
    ),
    (
        "container = \"usb\"\nsign",
        "container = \"s3:bucket/x?sig=S3CRET\"\nsign",
        20,
        "did you mean `s3://bucket/x`?",
    ),
    (
        "[container.usb]",
        "[registry.again]\naddress = \"H.example:443\"\n[registry.other]\naddress = \"h.example\"\nplain-http = true\n[container.usb]",
        15,
        "says otherwise than `[registry.again]`",
    ),
    (
        "trust = [\"nightly=DESK/ops.key.pub\"]\n",
        "",
        25,
        "neither `trust` nor `insecure-accept-unsigned`",
    ),
];

#[test]
fn a_fault_is_told_with_its_line_and_nothing_is_done() {
    let plant = Plant::new();
    for (from, to, line, message) in FAULTS {
        let whole = plant.whole();
        let from = plant.fill(from);
        assert!(whole.contains(&from), "{from}");
        plant.configure(&whole.replacen(&from, to, 1));
        for command in ["config check", "run export nightly"] {
            let told = plant.run(command);
            told.assert_code(2)
                .assert_stderr(&format!("airlift.toml:{line}: "))
                .assert_stderr(message)
                .assert_nowhere("S3CRET");
        }
        assert!(!plant.desk.path("usb").exists(), "{from}");
    }
}

/// It was found by the first run, at night.
#[test]
fn a_transfer_into_its_own_source_is_a_fault() {
    let plant = Plant::new();
    let drop = "[container.drop]\nurl = \"https://a.blob.core.windows.net/drop\"\n";
    for (source, target, told) in [
        ("usb", "DESK/usb/", "are the same place"),
        ("drop", "drop", "are the same place"),
        (
            "drop",
            "https://a.blob.core.windows.net/drop/below",
            "lies within",
        ),
    ] {
        plant.configure(&format!(
            "{}{drop}[transfer.stick]\nsource = \"{source}\"\ntarget = \"{target}\"\n",
            plant.whole()
        ));
        plant
            .run("config check")
            .assert_code(2)
            .assert_stderr("airlift.toml:34: [transfer.stick] `target`: ")
            .assert_stderr(told);
    }
}

#[test]
fn a_missing_state_is_told_once() {
    let plant = Plant::new();
    let without = plant.whole().replacen("state = ", "# ", 1);
    let second = "[import.second]\ncontainer = \"usb\"\ntarget = \"h.example/x\"\ntrust = \"DESK/ops.key.pub\"\n";
    let promotion = "[promotion.rc]\nsource = \"near\"\ntarget = \"h.example/rc\"\n";
    plant.configure(&format!("{without}{second}{promotion}"));
    let told = plant.run("config check");
    told.assert_code(2);
    let count = told.stderr.matches("`state` is missing").count();
    assert_eq!(count, 1, "{}", told.stderr);
}

/// The file may be for another machine.
#[test]
fn people_whom_this_machine_does_not_know_are_a_warning() {
    let plant = Plant::new();
    let people =
        "may-run = [\"root\", \"@root\", \"nobody-here\", \"@no-group\", \"4711\"]\nschedule =";
    plant.configure(&plant.whole().replace("schedule =", people));
    let told = plant.run("config check");
    told.assert_success()
        .assert_stderr(
            "airlift.toml:22: [export.nightly] `may-run`: this machine has no user `nobody-here`",
        )
        .assert_stderr("this machine has no group `@no-group`");
    assert_eq!(told.stderr.matches("this machine has no").count(), 2);
    let document = plant.run("config check --output json").json();
    assert_eq!(document["warnings"].as_array().unwrap().len(), 2);
    assert_documented("config check", &[document]);
}
