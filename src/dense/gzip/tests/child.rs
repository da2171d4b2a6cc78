//! This test program as the process that works corrections out, within bounds that are soon reached.

use std::env;

use super::super::corrections::{Bounds, serve_within};
use super::Corrector;

/// What the child is told beside the name of the test: it is the name of none.
const MARK: &str = "as-a-child";
/// The same for one that never answers.
const ENDLESS: &str = "as-an-endless-child";

const BOUNDS: Bounds = Bounds {
    memory_bytes: 128 << 20,
    start_seconds: 2,
};

/// Runs the one test that makes this program a child.
pub(super) fn corrector() -> Corrector {
    marked(MARK)
}

/// A child that works on its first request without end.
pub(super) fn endless() -> Corrector {
    marked(ENDLESS)
}

fn marked(mark: &str) -> Corrector {
    let (_, module) = module_path!().split_once("::").expect("it has a crate");
    let test = format!("{module}::works_corrections_out_where_it_is_a_child");
    let program = env::current_exe().expect("the program is known");
    Corrector::new(program, ["--exact", &test, mark])
}

#[test]
fn works_corrections_out_where_it_is_a_child() {
    let is_marked = |mark: &str| env::args().any(|argument| argument == mark);
    if is_marked(MARK) {
        serve_within(BOUNDS).expect("a parent is there");
    }
    if is_marked(ENDLESS) {
        BOUNDS.apply().expect("this process can be bounded");
        while is_marked(ENDLESS) {}
    }
}
