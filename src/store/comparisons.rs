//! The newest comparison of each cohort, as the document that `compare --cohort` prints.

use super::columns::to_json;
use super::db::{bulk, query};
use super::{Result, Store};
use crate::model::{Day, Workspace};

impl Store {
    /// Replaces the stored comparisons of a workspace; answers how many rows changed.
    pub async fn publish_comparisons(
        &self,
        workspace: &Workspace,
        records: &[(String, Day, String)],
    ) -> Result<u64> {
        let mut tx = self.begin().await?;
        let kept: Vec<&str> = records.iter().map(|(cohort, _, _)| cohort.as_str()).collect();
        let removed = query(
            "DELETE FROM comparisons WHERE workspace = $1 AND cohort NOT IN (SELECT value FROM json_each($2))",
        )
        .bind(workspace.as_str())
        .bind(to_json(&kept))
        .execute(&mut tx)
        .await?
        .rows_affected();
        let written = bulk::insert(
            &mut tx,
            "comparisons (workspace, cohort, as_of, record)",
            " ON CONFLICT (workspace, cohort) DO UPDATE SET as_of = excluded.as_of, record = excluded.record
              WHERE comparisons.record <> excluded.record OR comparisons.as_of <> excluded.as_of",
            records,
            |values, (cohort, as_of, record)| {
                values
                    .push_bind(workspace.as_str())
                    .push_bind(cohort.as_str())
                    .push_bind(as_of.to_string())
                    .push_bind(record.as_str());
            },
        )
        .await?;
        tx.commit().await?;
        Ok(removed + written)
    }
}
