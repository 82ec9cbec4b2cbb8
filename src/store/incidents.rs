//! Incidents as people see them: those of sources, which are everybody's, and a workspace's own of the
//! quality gate.

use super::columns::{instant, known_instant, to_json, word};
use super::db::{Row, query};
use super::gate::GATE;
use super::{Result, Store};
use crate::model::{Day, Timestamp, Workspace};

/// An incident with what it holds back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncidentRecord {
    pub incident_id: String,
    /// `gate`, or of a source: `schema_drift`, `source_failure`.
    pub kind: String,
    pub reason: String,
    /// '' where it is the gate's.
    pub source: String,
    pub field: String,
    /// '' where it is a source's, or about several.
    pub marketplace: String,
    pub detail: String,
    pub day: Day,
    pub is_open: bool,
    /// Findings that wait.
    pub held: i64,
    pub released: i64,
    pub dropped: i64,
    pub run_id: String,
    pub recorded_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    /// '' while it is open.
    pub closed_by: String,
    pub note: String,
}

impl IncidentRecord {
    /// It is the quality gate's: its findings can be released and dropped.
    pub fn is_of_the_gate(&self) -> bool {
        self.kind == GATE
    }
}

/// Which incidents to list; an empty list means all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IncidentFilter {
    /// Null: open and closed ones.
    pub is_open: Option<bool>,
    pub kinds: Vec<String>,
    /// The first day.
    pub since: Option<Day>,
}

/// Incidents of sources, and those of a workspace's gate, with their findings counted.
macro_rules! incidents {
    () => {
        "SELECT i.*,
           (SELECT COUNT(*) FROM held_findings h
            WHERE h.workspace = $1 AND h.incident_id = i.incident_id AND h.state = 'held') AS held,
           (SELECT COUNT(*) FROM held_findings h
            WHERE h.workspace = $1 AND h.incident_id = i.incident_id AND h.state = 'released') AS released,
           (SELECT COUNT(*) FROM held_findings h
            WHERE h.workspace = $1 AND h.incident_id = i.incident_id AND h.state = 'dropped') AS dropped
         FROM incidents i WHERE (i.workspace = $1 OR i.workspace = '')"
    };
}

impl Store {
    /// Incidents that pass the filter, newest day first.
    pub async fn list_incidents(
        &self,
        workspace: &Workspace,
        filter: &IncidentFilter,
    ) -> Result<Vec<IncidentRecord>> {
        let rows = query(concat!(
            incidents!(),
            " AND ($2 IS NULL OR i.state = $2) AND ($3 = '[]' OR i.kind IN (SELECT value FROM json_each($3)))
              AND ($4 IS NULL OR i.day >= $4)
             ORDER BY i.day DESC, i.recorded_at DESC, i.incident_id"
        ))
        .bind(workspace.as_str())
        .bind(filter.is_open.map(|is_open| if is_open { "open" } else { "closed" }))
        .bind(to_json(&filter.kinds))
        .bind(filter.since.map(|day| day.to_string()))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(incident_record).collect()
    }

    /// Incidents whose id begins with `prefix`, at most ten, sorted.
    pub async fn find_incidents(&self, workspace: &Workspace, prefix: &str) -> Result<Vec<IncidentRecord>> {
        let rows = query(concat!(
            incidents!(),
            " AND i.incident_id >= $2 AND i.incident_id < $3 ORDER BY i.incident_id LIMIT 10"
        ))
        .bind(workspace.as_str())
        .bind(prefix)
        // Ids are hexadecimal: every one that begins with the prefix sorts before this.
        .bind(format!("{prefix}g"))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(incident_record).collect()
    }
}

fn incident_record(row: &Row) -> Result<IncidentRecord> {
    let state: &str = row.try_get("state")?;
    Ok(IncidentRecord {
        incident_id: row.try_get("incident_id")?,
        kind: row.try_get("kind")?,
        reason: row.try_get("reason")?,
        source: row.try_get("source")?,
        field: row.try_get("field")?,
        marketplace: row.try_get("marketplace")?,
        detail: row.try_get("detail")?,
        day: word(row, "incidents", "day")?,
        is_open: state == "open",
        held: row.try_get("held")?,
        released: row.try_get("released")?,
        dropped: row.try_get("dropped")?,
        run_id: row.try_get("run_id")?,
        recorded_at: instant(row, "incidents", "recorded_at")?,
        closed_at: known_instant(row, "incidents", "closed_at")?,
        closed_by: row.try_get("closed_by")?,
        note: row.try_get("note")?,
    })
}
