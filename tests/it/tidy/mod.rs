//! The shape of the tree, held by tests that read it: who imports whom, who
//! prints, how long things are, what they are called, and whether documents
//! and scripts tell the truth. Every message names the file, the line and the
//! rule. There are no lists of exceptions: a rule that is wrong is changed here.

mod documents;
mod imports;
mod shape;
mod source;
mod tree;

use source::{SourceFile, rust_files};

/// Fails with one line for each offence.
#[track_caller]
fn hold(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

/// The program's own files, without those that only test it.
fn program() -> Vec<SourceFile> {
    let mut files = rust_files("src");
    files.retain(|file| !file.is_test());
    files
}

fn each<R: IntoIterator<Item = String>>(
    files: &[SourceFile],
    rule: impl Fn(&SourceFile) -> R,
) -> Vec<String> {
    files.iter().flat_map(rule).collect()
}

#[test]
fn rooms_import_only_what_lies_below_them() {
    hold(
        "the import table in tests/it/tidy/imports.rs",
        &each(&program(), imports::offences),
    );
}

#[test]
fn only_the_command_line_prints_and_exits() {
    hold("printing and exiting", &each(&program(), shape::printing));
}

#[test]
fn only_configuration_reads_the_environment() {
    hold("the environment", &each(&program(), shape::environment));
}

#[test]
fn every_file_says_what_it_is() {
    hold(
        "module documentation",
        &each(&program(), shape::missing_preamble),
    );
}

#[test]
fn every_file_is_compiled() {
    let files: Vec<SourceFile> = ["src", "tests"].into_iter().flat_map(rust_files).collect();
    hold("modules", &tree::undeclared(&files));
}

#[test]
fn files_are_one_idea_long() {
    hold("file sizes", &each(&program(), shape::too_long));
}

#[test]
fn nine_functions_in_ten_are_short() {
    let functions: Vec<shape::Function> = program().iter().flat_map(shape::functions).collect();
    let total = functions.len();
    let long: Vec<String> = functions
        .into_iter()
        .filter(|function| function.lines > shape::FUNCTION_LINES)
        .map(|function| {
            let shape::Function { place, name, lines } = function;
            format!("{place}: `{name}` has {lines} lines")
        })
        .collect();
    assert!(
        long.len() * 10 <= total,
        "{} of {total} functions have more than {} lines:\n  {}",
        long.len(),
        shape::FUNCTION_LINES,
        long.join("\n  ")
    );
}

#[test]
fn nothing_is_left_unfinished() {
    let files = ["src", "tests", "scripts"].map(source::files_below);
    let offences: Vec<String> = files
        .concat()
        .iter()
        .flat_map(|path| shape::markers(path, &source::read(path)))
        .collect();
    hold("markers", &offences);
}

#[test]
fn names_say_something() {
    hold("the glossary", &each(&program(), shape::empty_names));
}

#[test]
fn the_readme_shows_every_command() {
    hold("commands", &documents::undocumented_commands());
}

#[test]
fn documents_name_paths_that_exist() {
    hold("paths in documents", &documents::missing_paths());
}

#[test]
fn what_is_compared_with_the_models_is_tested() {
    hold("the comparison", &documents::unproven_rows());
}

#[test]
fn scripts_start_and_stop_properly() {
    hold("scripts", &documents::careless_scripts());
}
