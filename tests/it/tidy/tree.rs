//! Every Rust file is a module of something: one that nothing declares is compiled by nobody, and goes on saying
//! what is no longer so.

use super::source::SourceFile;

/// Where a crate begins.
const ROOTS: [&str; 3] = ["src/lib.rs", "src/main.rs", "tests/it/main.rs"];

/// The files that no other file declares as its module.
pub(super) fn undeclared(files: &[SourceFile]) -> Vec<String> {
    let is_declared = |file: &&SourceFile| {
        ROOTS.contains(&file.path.as_str())
            || files
                .iter()
                .any(|parent| declares(parent, &file.path).unwrap_or_default())
    };
    let undeclared = files.iter().filter(|file| !is_declared(file));
    undeclared
        .map(|file| format!("{}:1: no file declares it as its module", file.path))
        .collect()
}

/// Whether `parent` is the file in which the module at `path` is to be declared, and does it.
fn declares(parent: &SourceFile, path: &str) -> Option<bool> {
    let module = path.strip_suffix("/mod.rs").or(path.strip_suffix(".rs"))?;
    let (folder, name) = module.rsplit_once('/')?;
    let (home, stem) = parent.path.strip_suffix(".rs")?.rsplit_once('/')?;
    let is_parent = match stem {
        "mod" | "lib" | "main" => home == folder,
        stem => format!("{home}/{stem}") == folder,
    };
    let end = format!("mod {name};");
    Some(
        is_parent
            && parent
                .text
                .lines()
                .any(|line| line.trim_end().ends_with(&end)),
    )
}

#[test]
fn a_file_that_nobody_declares_is_named() {
    let file = |path, text| SourceFile::new(path, text);
    let files = [
        file("src/lib.rs", "pub mod a;\n"),
        file("src/a/mod.rs", "mod b;\n#[cfg(test)]\nmod tests;\n"),
        file("src/a/b.rs", "mod c;\n"),
        file("src/a/b/c.rs", ""),
        file("src/a/tests.rs", ""),
        file("src/a/left.rs", ""),
        file("src/c.rs", ""),
    ];
    assert_eq!(
        undeclared(&files),
        ["src/a/left.rs", "src/c.rs"]
            .map(|path| format!("{path}:1: no file declares it as its module"))
    );
}
