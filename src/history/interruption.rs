//! Why the process is being ended, for the runs that go on in it: what is dropped then ends as interrupted, and says so.
//!
//! It listens to no signal; whoever does so announces the reason before it drops what is under way, and waits for
//! the records afterwards. Without a reason nothing is recorded: a run that was dropped is found by whoever looks next.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Cheap to clone; clones are about the same process.
#[derive(Clone, Debug, Default)]
pub struct Interruption(Arc<Ending>);

#[derive(Debug, Default)]
struct Ending {
    reason: OnceLock<String>,
    records: TaskTracker,
}

impl Interruption {
    /// What is dropped from now on was interrupted for this reason. The first one stays.
    pub fn announce(&self, reason: impl Into<String>) {
        let _ = self.0.reason.set(reason.into());
    }

    /// Until every run that was dropped has its end recorded.
    pub async fn finish_records(&self) {
        self.0.records.close();
        self.0.records.wait().await;
    }

    pub(super) fn reason(&self) -> Option<&str> {
        self.0.reason.get().map(String::as_str)
    }

    /// Records in the background. Outside of a runtime nothing can be, and the run is found as a dead one.
    pub(super) fn record(&self, record: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.0.records.spawn_on(record, &runtime);
        }
    }
}
