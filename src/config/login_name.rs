//! Who uses this machine, by the operating system's own tables of users and groups: the environment may claim any
//! name.
//!
//! `/etc/passwd` and `/etc/group` are read as the files that they are, so that a static program needs no part of a C
//! library; who is kept elsewhere, such as in a directory service, is asked for with `getent`. A user without a name
//! has none. Source: `passwd(5)`, `group(5)`, `getent(1)`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::content::escape_control;

/// A table of the operating system, and what `getent` calls it. Both begin `name:password:id:`.
#[derive(Clone, Copy)]
struct Table<'p> {
    file: &'p str,
    word: &'static str,
}

const USERS: Table<'_> = Table {
    file: "/etc/passwd",
    word: "passwd",
};
const GROUPS: Table<'_> = Table {
    file: "/etc/group",
    word: "group",
};
const GETENT: &str = "/usr/bin/getent";
/// A directory service that does not answer must not keep anybody waiting.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// More than all local users of any machine take.
const TABLE_SIZE_MAX_BYTES: u64 = 16 << 20;

/// The login name of a user id.
pub async fn login_name(id: u32) -> Option<String> {
    find_name(id, USERS, Path::new(GETENT), TIME_LIMIT).await
}

/// The names of these groups, in the order of the ids. All of them together wait for no longer than one.
pub async fn group_names(ids: &[u32]) -> Vec<Option<String>> {
    let getent = Path::new(GETENT);
    join_all(
        ids.iter()
            .map(|id| find_name(*id, GROUPS, getent, TIME_LIMIT)),
    )
    .await
}

/// Which of these users there are.
pub async fn find_users(names: &[&str]) -> Vec<bool> {
    let getent = Path::new(GETENT);
    let found = names
        .iter()
        .map(|name| has_name(name, USERS, getent, TIME_LIMIT));
    join_all(found).await
}

/// Which of these groups there are.
pub async fn find_groups(names: &[&str]) -> Vec<bool> {
    let getent = Path::new(GETENT);
    let found = names
        .iter()
        .map(|name| has_name(name, GROUPS, getent, TIME_LIMIT));
    join_all(found).await
}

async fn has_name(name: &str, table: Table<'_>, getent: &Path, limit: Duration) -> bool {
    let is_name = |text: String| {
        text.lines()
            .any(|line| line.split(':').next() == Some(name))
    };
    let local = match tokio::fs::File::open(table.file).await {
        Ok(file) => read_table(file).await.is_some_and(is_name),
        Err(_) => false,
    };
    // A name that `getent` would take for a flag is nobody's.
    if local || name.starts_with('-') {
        return local;
    }
    let asked = tokio::time::timeout(limit, ask(name, table.word, getent)).await;
    asked.ok().flatten().is_some_and(is_name)
}

async fn find_name(id: u32, table: Table<'_>, getent: &Path, limit: Duration) -> Option<String> {
    let local = match tokio::fs::File::open(table.file).await {
        Ok(file) => read_table(file).await.and_then(|text| name_in(&text, id)),
        Err(_) => None,
    };
    if local.is_some() {
        return local;
    }
    let key = id.to_string();
    let asked = tokio::time::timeout(limit, ask(&key, table.word, getent)).await;
    name_in(&asked.ok()??, id)
}

/// What the switch of the C library says. It hears nothing of our environment.
async fn ask(key: &str, table: &str, getent: &Path) -> Option<String> {
    let mut child = Command::new(getent)
        .args([table, key])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    read_table(child.stdout.take()?).await
}

async fn read_table(table: impl tokio::io::AsyncRead + Unpin) -> Option<String> {
    let mut bytes = Vec::new();
    let mut bounded = table.take(TABLE_SIZE_MAX_BYTES);
    bounded.read_to_end(&mut bytes).await.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `name:password:id:…`, one a line; the first line with the id counts.
fn name_in(table: &str, id: u32) -> Option<String> {
    let name_of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let found = fields.nth(1)?.parse::<u32>().ok()?;
        (found == id).then(|| escape_control(name))
    };
    table.lines().find_map(name_of)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TABLE: &str = "\
root:x:0:0:root:/root:/bin/sh
# 7:x:7:7::/:/bin/sh
:x:8:8::/:/bin/sh
ops:x:1000:1000:,,,:/home/ops:/bin/sh
alias:x:1000:1000:,,,:/home/ops:/bin/sh
broken
";

    #[test]
    fn a_name_is_that_of_the_first_line_with_the_id() {
        assert_eq!(name_in(TABLE, 0).as_deref(), Some("root"));
        assert_eq!(name_in(TABLE, 1000).as_deref(), Some("ops"));
        assert_eq!(name_in(TABLE, 8), None);
        assert_eq!(name_in(TABLE, 100), None);
    }

    /// A script in place of `getent`.
    fn script(directory: &Path, text: &str) -> std::path::PathBuf {
        let path = directory.join("getent");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    #[tokio::test]
    async fn who_is_not_in_the_file_is_asked_for_within_a_limit() {
        let directory = tempfile::tempdir().unwrap();
        let users = directory.path().join("passwd");
        fs::write(&users, TABLE).unwrap();
        let getent = script(
            directory.path(),
            r#"[ "$1" = passwd ] && echo "anna:*:$2:100::/:$LOGNAME""#,
        );
        let table = Table {
            file: users.to_str().unwrap(),
            word: "passwd",
        };
        let find = async |id, limit| find_name(id, table, &getent, limit).await;
        let long = Duration::from_secs(30);
        assert_eq!(find(1000, long).await.as_deref(), Some("ops"));
        assert_eq!(find(4711, long).await.as_deref(), Some("anna"));
        script(directory.path(), "while :; do :; done");
        assert_eq!(find(4711, Duration::from_millis(50)).await, None);
        fs::remove_file(&getent).unwrap();
        assert_eq!(find(4711, long).await, None);
    }

    #[tokio::test]
    async fn groups_are_kept_in_a_table_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let groups = directory.path().join("group");
        fs::write(&groups, "wheel:x:10:root,ops\nops:x:1000:\n").unwrap();
        let getent = script(
            directory.path(),
            r#"[ "$1" = group ] && echo "remote:*:$2:ops""#,
        );
        let table = Table {
            file: groups.to_str().unwrap(),
            word: "group",
        };
        let find = async |id| find_name(id, table, &getent, Duration::from_secs(30)).await;
        assert_eq!(find(10).await.as_deref(), Some("wheel"));
        assert_eq!(find(5000).await.as_deref(), Some("remote"));
        assert_eq!(group_names(&[0]).await, [Some("root".to_owned())]);
    }

    #[tokio::test]
    async fn a_name_that_neither_the_file_nor_getent_has_is_nobodys() {
        let directory = tempfile::tempdir().unwrap();
        let users = directory.path().join("passwd");
        fs::write(&users, TABLE).unwrap();
        let getent = script(
            directory.path(),
            r#"[ "$2" = anna ] && echo "anna:*:7:100::/:""#,
        );
        let table = Table {
            file: users.to_str().unwrap(),
            word: "passwd",
        };
        let limit = Duration::from_secs(30);
        for (name, is_there) in [("ops", true), ("anna", true), ("op", false), ("-s", false)] {
            assert_eq!(
                has_name(name, table, &getent, limit).await,
                is_there,
                "{name}"
            );
        }
        assert_eq!(find_users(&["root"]).await, [true]);
        assert_eq!(find_groups(&["root", "no-such-group"]).await, [true, false]);
    }
}
