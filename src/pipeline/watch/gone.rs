//! Objects that were removed after they were listed, such as by another watch that has delivered them.
//!
//! That is no failure: the next listing shows what there is to do.

use super::Watching;
use crate::content::ErrorKind;

impl Watching<'_> {
    /// Whether a failure of this kind came of one of these objects not being there any more. Where the container
    /// does not say so, the failure is one.
    pub(super) async fn has_gone(&self, objects: &[String], kind: ErrorKind) -> bool {
        if !matches!(kind, ErrorKind::NotFound | ErrorKind::Changed) {
            return false;
        }
        for object in objects {
            if matches!(self.watched.container.find(object).await, Ok(None)) {
                return true;
            }
        }
        false
    }
}
