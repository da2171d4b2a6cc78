//! The built binary as a black box: arguments in; exit code, stdout and stderr out.
//!
//! It runs in a home directory of its own and sees nothing of the environment of the tests.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use airlift::dense::gzip::Corrector;
use tempfile::TempDir;

use super::artifacts::Dice;
use super::wait;

/// The built binary as what works corrections of layers out.
pub(crate) fn corrector() -> Corrector {
    Corrector::new(env!("CARGO_BIN_EXE_airlift"), ["work-out-corrections"])
}

/// Runs `airlift` to its end.
pub(crate) fn airlift(arguments: &[&str]) -> Output {
    Airlift::new(arguments).run()
}

/// One call of `airlift` that is being prepared.
pub(crate) struct Airlift {
    command: Command,
    home: TempDir,
}

impl Airlift {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        Self::binary(Path::new(env!("CARGO_BIN_EXE_airlift")), arguments)
    }

    /// The same for another build of the program, such as the static one.
    pub(crate) fn binary(path: &Path, arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(path);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", "/usr/bin:/bin")
            .env("NO_COLOR", "1")
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null());
        Self { command, home }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Has it read this file as its standard input.
    pub(crate) fn input(mut self, path: &Path) -> Self {
        self.command
            .stdin(File::open(path).expect("the input is there"));
        self
    }

    /// Puts a file into the home directory, such as `.docker/config.json`.
    pub(crate) fn home_file(self, name: &str, text: &str) -> Self {
        let path = self.home.path().join(name);
        let parent = path.parent().expect("the home directory is above it");
        fs::create_dir_all(parent).expect("the home directory is ours");
        fs::write(path, text).expect("the home directory is ours");
        self
    }

    pub(crate) fn run(self) -> Output {
        self.spawn().output()
    }

    /// Starts it. Its output goes to files, so that it never waits for a reader.
    pub(crate) fn spawn(mut self) -> Running {
        let file = |name| File::create(self.home.path().join(name)).expect("the home is ours");
        self.command.stdout(file("stdout")).stderr(file("stderr"));
        let child = self.command.spawn().expect("the binary starts");
        Running {
            child,
            home: self.home,
            status: None,
        }
    }
}

/// A call of `airlift` under way. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    home: TempDir,
    status: Option<ExitStatus>,
}

impl Running {
    pub(crate) fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("the child is ours");
        }
        self.status.is_some()
    }

    /// SIGKILL, now.
    pub(crate) fn kill(mut self) -> Output {
        // It may have ended by itself meanwhile; then there is nobody to kill.
        let _ = self.child.kill();
        self.output()
    }

    /// SIGKILL as soon as `condition` is true, unless it ends before.
    pub(crate) fn kill_when(mut self, mut condition: impl FnMut() -> bool) -> Output {
        wait::until("the moment to kill it", || condition() || self.has_ended());
        self.kill()
    }

    /// SIGKILL after a time below `bound` that `seed` decides, unless it ends before.
    pub(crate) fn kill_by_seed(mut self, seed: u64, bound: Duration) -> Output {
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX).max(1);
        let delay = Duration::from_micros(Dice::new(seed).below(micros));
        wait::within(delay, || self.has_ended());
        self.kill()
    }

    /// Waits for the end, within a bound.
    pub(crate) fn output(mut self) -> Output {
        let ended = wait::within(4 * wait::PATIENCE, || self.has_ended());
        let read = |name| fs::read(self.home.path().join(name)).expect("the output is ours");
        let text = |name| String::from_utf8_lossy(&read(name)).into_owned();
        let (stdout, stderr) = (text("stdout"), text("stderr"));
        assert!(ended, "airlift does not end; it said:\n{stderr}");
        Output {
            code: self.status.and_then(|status| status.code()),
            stdout,
            stderr,
        }
    }

    /// What it has said so far.
    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// What it has printed so far.
    pub(crate) fn stdout(&self) -> String {
        self.read("stdout")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join(name)).expect("the output is ours")
    }

    /// The most memory that it has had so far; `None` once it has ended.
    pub(crate) fn memory_peak_bytes(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.process_id());
        let status = fs::read_to_string(path).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kibibytes * 1024)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.process_id());
        let status = Command::new("sh").args(["-c", &script]).status();
        assert!(status.expect("a shell").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a call came to. `code` is `None` when a signal ended it.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    #[track_caller]
    pub(crate) fn assert_success(&self) -> &Self {
        self.assert_code(0)
    }

    #[track_caller]
    pub(crate) fn assert_stdout(&self, part: &str) -> &Self {
        assert!(self.stdout.contains(part), "stdout:\n{}", self.stdout);
        self
    }

    #[track_caller]
    pub(crate) fn assert_stderr(&self, part: &str) -> &Self {
        assert!(self.stderr.contains(part), "stderr:\n{}", self.stderr);
        self
    }

    /// What must never be printed, such as a password.
    #[track_caller]
    pub(crate) fn assert_nowhere(&self, secret: &str) -> &Self {
        let all = [self.stdout.as_str(), &self.stderr].concat();
        assert!(!all.contains(secret), "the output holds what it must not");
        self
    }

    pub(crate) fn was_killed(&self) -> bool {
        self.code.is_none()
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{}", self.stdout))
    }
}

fn shell(script: &str) -> Airlift {
    Airlift::binary(Path::new("/bin/sh"), &["-c", script])
}

#[test]
fn a_call_is_seen_from_outside_only() {
    let script = "cat $HOME/given; echo $SET-$CARGO_MANIFEST_DIR >&2; exit 3";
    let output = shell(script)
        .env("SET", "yes")
        .home_file("given", "{}")
        .run();
    output
        .assert_code(3)
        .assert_stdout("{}")
        .assert_stderr("yes-\n");
    assert_eq!(output.json(), serde_json::json!({}));
}

#[test]
fn a_call_can_be_killed() {
    let endless = || shell("echo begun; while :; do :; done").spawn();
    let running = endless();
    let stdout = running.home.path().join("stdout");
    let has_begun = || fs::read(&stdout).is_ok_and(|bytes| !bytes.is_empty());
    assert!(running.kill_when(has_begun).was_killed());
    let output = endless().kill_by_seed(7, Duration::from_millis(20));
    assert!(output.was_killed());
    let ended = shell("exit 0").spawn();
    ended.output().assert_success();
}
