//! Transfers that are killed: the target holds whole objects and `.partial` files, and after the next run
//! exactly what the source has.

use tempfile::TempDir;

use super::{KILLS, World, files, kill_at_random_times};
use crate::support::command::{Airlift, Running};
use crate::transfer::Stock;

struct Transfer(Stock);

impl World for Transfer {
    type Fresh = TempDir;

    fn make(&self) -> TempDir {
        tempfile::tempdir().unwrap()
    }

    fn start(&self, target: &TempDir) -> Running {
        let path = |path: &std::path::Path| path.to_str().expect("a path in UTF-8").to_owned();
        let (source, target) = (path(self.0.path()), path(target.path()));
        Airlift::new(&["transfer", &source, &target, "--verify"]).spawn()
    }

    fn check_interrupted(&self, target: &TempDir) {
        let source = files(self.0.path());
        for (name, bytes) in files(target.path()) {
            let is_whole = source.get(&name) == Some(&bytes);
            assert!(
                is_whole || name.ends_with(".partial") || name.ends_with(".record"),
                "`{name}` is not whole"
            );
        }
    }

    fn check_finished(&self, target: &TempDir) {
        let found = files(target.path());
        let names: Vec<_> = found.keys().collect();
        assert!(found == files(self.0.path()), "{names:?}");
    }
}

#[test]
fn a_transfer_that_is_killed_at_any_time_is_repeated_safely() {
    kill_at_random_times(&Transfer(Stock::new()), KILLS);
}
