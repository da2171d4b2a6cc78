//! Targets on devices that are full or read-only: told, tried again, and gone on with.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Station, registry_with_layers};

/// A small file system of our own, taken away when dropped. Only root can have one.
struct Device {
    path: PathBuf,
}

impl Device {
    fn mount(path: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={size}");
        if run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs"], path) {
            let path = path.to_owned();
            return Some(Self { path });
        }
        eprintln!("skipped: this user cannot mount a file system");
        None
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(run("mount", &["-o", &options], &self.path), "{options}");
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let status = Command::new(program).args(arguments).arg(path).status();
    status.is_ok_and(|status| status.success())
}

impl Drop for Device {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.path);
    }
}

#[test]
fn a_full_disk_at_the_target_is_waited_for() {
    let station = Station::new();
    let Some(device) = Device::mount(&station.path("far"), "128k") else {
        return;
    };
    let source = registry_with_layers();
    station.export(&format!("{}/apps/web:1.4", source.address()), "web", &[]);
    let watch = station.watch();
    station.bring("web.tar.zst");
    watch.await_line("web.tar.zst: will be tried again: ");
    watch.await_line("No space left on device");
    assert!(station.tags().is_empty());
    device.remount("size=16m");
    watch.await_line("web.tar.zst: imported:");
    assert_eq!(watch.count("set aside"), 0, "{:#?}", watch.lines());
    assert_eq!(station.tags(), ["apps/web:1.4"]);
}

#[test]
fn a_target_directory_that_becomes_read_only_is_waited_for() {
    let station = Station::new();
    let Some(device) = Device::mount(&station.path("far"), "16m") else {
        return;
    };
    station.export_chart("chart");
    let watch = station.watch();
    watch.await_line("watching");
    device.remount("ro");
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: will be tried again: ");
    watch.await_line("Read-only file system");
    device.remount("rw");
    watch.await_line("chart.tar.zst: imported:");
    assert_eq!(watch.count("set aside"), 0, "{:#?}", watch.lines());
}

#[test]
fn a_target_directory_that_is_read_only_at_the_start_is_waited_for() {
    let station = Station::new();
    let Some(device) = Device::mount(&station.path("far"), "16m") else {
        return;
    };
    station.export_chart("chart");
    station.bring("chart.tar.zst");
    device.remount("ro");
    let watch = station.watch();
    watch.await_line("the target cannot be used: ");
    device.remount("rw");
    watch.await_line("chart.tar.zst: imported:");
}
