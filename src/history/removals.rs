//! Countersignatures that go with their object: noted before the object is removed, forgotten when they are gone.
//!
//! What a killed process has left of them names nothing that is there any more, and only these rows tell that it was
//! delivered. Of a signature only the version that was listed then may go.

use super::ledger::Ledger;
use crate::content::{Result, Version};

const DOING: &str = "cannot record what is being removed";

impl Ledger {
    /// Notes objects of a container that are about to go, with the versions that may.
    pub async fn note_removals(
        &self,
        container: &str,
        objects: &[(String, Version)],
    ) -> Result<()> {
        let noted = async {
            let mut transaction = self.begin().await?;
            for (object, version) in objects {
                sqlx::query(
                    "INSERT INTO removal (container, object, version) VALUES ($1, $2, $3)
                     ON CONFLICT (container, object) DO UPDATE SET version = excluded.version",
                )
                .bind(container)
                .bind(object)
                .bind(version.as_str())
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await
        };
        noted.await.map_err(self.failed(DOING))
    }

    /// What was to go from a container, and is not known to have gone.
    pub async fn list_removals(&self, container: &str) -> Result<Vec<(String, Version)>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT object, version FROM removal WHERE container = $1 ORDER BY object",
        )
        .bind(container)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read what was being removed"))?;
        let removal = |(object, version): (String, String)| (object, Version::new(version));
        Ok(rows.into_iter().map(removal).collect())
    }

    /// The object is gone, or another one has its name.
    pub async fn forget_removal(&self, container: &str, object: &str) -> Result<()> {
        sqlx::query("DELETE FROM removal WHERE container = $1 AND object = $2")
            .bind(container)
            .bind(object)
            .execute(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        Ok(())
    }
}
