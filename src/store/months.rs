//! The months of a server's large tables: which there are, and those to come.

use std::collections::{BTreeMap, BTreeSet};

use super::db::{Database, Monthly, query};
use super::{Result, Store};

/// One month of a table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Month {
    pub table: String,
    /// `YYYY-MM`.
    pub month: String,
    pub size_bytes: i64,
    /// As the server guesses; null where it never looked.
    pub rows: Option<i64>,
}

/// The partitions of the tables by month: `deltas_2026_03` is that of 2026-03.
const PARTITIONS: &str = "SELECT p.relname AS parent, replace(right(c.relname, 7), '_', '-') AS month,
      CAST(pg_total_relation_size(c.oid) AS BIGINT) AS size_bytes,
      CASE WHEN c.reltuples >= 0 THEN CAST(c.reltuples AS BIGINT) END AS estimate
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
      JOIN pg_namespace n ON n.oid = p.relnamespace
    WHERE n.nspname IN ('staging_raw', 'core', 'mart', 'ops') AND p.relkind = 'p'
    ORDER BY p.relname, month";

impl Store {
    /// The months of every table that is kept by month, in time order; null of an embedded database, which keeps none so.
    pub async fn load_months(&self) -> Result<Option<Vec<Month>>> {
        let Database::Postgres(_) = self.reader() else { return Ok(None) };
        let rows = query(PARTITIONS).fetch_all(self.reader()).await?;
        let month = |row: &super::db::Row| {
            Ok(Month {
                table: row.try_get("parent")?,
                month: row.try_get("month")?,
                size_bytes: row.try_get("size_bytes")?,
                rows: row.try_get("estimate")?,
            })
        };
        Ok(Some(rows.iter().map(month).collect::<Result<_>>()?))
    }

    /// Of each table by month, those of `months` that it does not have yet; none of an embedded database.
    pub async fn missing_months(&self, months: &[String]) -> Result<BTreeMap<&'static str, Vec<String>>> {
        let Some(known) = self.load_months().await? else { return Ok(BTreeMap::new()) };
        let known: BTreeSet<(&str, &str)> =
            known.iter().map(|known| (known.table.as_str(), known.month.as_str())).collect();
        let missing_of = |table: &'static str| {
            let is_missing = |month: &&String| !known.contains(&(table, month.as_str()));
            (table, months.iter().filter(is_missing).cloned().collect::<Vec<_>>())
        };
        let missing = Monthly::ALL.map(Monthly::table).map(missing_of).into_iter();
        Ok(missing.filter(|(_, months)| !months.is_empty()).collect())
    }

    /// Makes these months of every table that is kept by month; answers what was missing.
    pub async fn make_months(&self, months: &[String]) -> Result<BTreeMap<&'static str, Vec<String>>> {
        let missing = self.missing_months(months).await?;
        if !missing.is_empty() {
            let mut tx = self.begin_briefly().await?;
            for table in Monthly::ALL {
                table.make(&mut tx, missing.get(table.table()).into_iter().flatten().cloned()).await?;
            }
            tx.commit().await?;
        }
        Ok(missing)
    }
}
