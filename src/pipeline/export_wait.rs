//! Waits for another export that does the same, and tells of it before somebody wonders.

use std::pin::pin;
use std::time::Duration;

use crate::content::{Event, Events, Result};
use crate::history::Hold;

/// A wait that is shorter is nobody's business.
const TOLD_AFTER: Duration = Duration::from_secs(3);

/// Waits for the right to do what `what` names, as in "is exporting the pipeline `plant`".
pub(super) async fn wait_for(
    hold: impl Future<Output = Result<Hold>>,
    what: &str,
    events: &Events,
) -> Result<Hold> {
    let mut hold = pin!(hold);
    if let Ok(held) = tokio::time::timeout(TOLD_AFTER, hold.as_mut()).await {
        return held;
    }
    events(Event::Warning(format!(
        "another run with this state directory {what}, waiting for its end"
    )));
    hold.await
}
