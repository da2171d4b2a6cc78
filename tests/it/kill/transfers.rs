//! Transfers that are killed: the target holds whole objects, `.partial` files and what was noted of them, and after
//! the next run exactly what the source has.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{KILLS, World, files, kill_at_random_times};
use crate::support::command::{Airlift, Running};
use crate::transfer::{Stock, large_stock};

/// Of objects that are too large to be begun anew.
const LARGE_KILLS: usize = 40;

/// Of everything in a directory.
struct Transfer(PathBuf);

impl World for Transfer {
    type Fresh = TempDir;

    fn make(&self) -> TempDir {
        tempfile::tempdir().unwrap()
    }

    fn start(&self, target: &TempDir) -> Running {
        let path = |path: &std::path::Path| path.to_str().expect("a path in UTF-8").to_owned();
        let (source, target) = (path(&self.0), path(target.path()));
        Airlift::new(&["transfer", &source, &target, "--verify"]).spawn()
    }

    fn check_interrupted(&self, target: &TempDir) {
        let source = files(&self.0);
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
        assert!(found == files(&self.0), "{names:?}");
    }
}

#[test]
fn a_transfer_that_is_killed_at_any_time_is_repeated_safely() {
    let stock = Stock::new();
    kill_at_random_times(&Transfer(stock.path().to_owned()), KILLS);
}

#[test]
fn a_transfer_goes_on_however_often_it_is_killed() {
    let stock = large_stock();
    kill_at_random_times(&Transfer(stock.path().to_owned()), LARGE_KILLS);
}
