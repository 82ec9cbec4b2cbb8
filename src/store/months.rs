//! The months of a server's large tables: which there are, those to come, and the order of those that are over.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::to_json;
use super::db::{Database, Monthly, query, query_scalar};
use super::{Result, Store, StoreError};

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

/// The months before `$1` of tables with an index in whose order they are to lie (`$2`, a JSON array) that do not yet.
const UNORDERED: &str = "SELECT p.relname AS parent, replace(right(c.relname, 7), '_', '-') AS month
    FROM pg_class b JOIN pg_namespace n ON n.oid = b.relnamespace JOIN pg_inherits g ON g.inhparent = b.oid
      JOIN pg_index x ON x.indexrelid = g.inhrelid JOIN pg_class c ON c.oid = x.indrelid
      JOIN pg_inherits h ON h.inhrelid = c.oid JOIN pg_class p ON p.oid = h.inhparent
    WHERE n.nspname IN ('staging_raw', 'core', 'mart', 'ops') AND b.relkind = 'I'
      AND b.relname IN (SELECT value FROM json_array_elements_text(CAST($2 AS json)))
      AND replace(right(c.relname, 7), '_', '-') < $1 AND NOT x.indisclustered AND pg_relation_size(c.oid) > 0
    ORDER BY month, p.relname";

/// Whoever uses a month is waited for so long, and whoever comes then waits as well.
const ORDER_WAIT: &str = "2s";

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

    /// The months before this one whose rows still lie as they came, a day's together, by table; none of an embedded
    /// database.
    pub async fn unordered_months(&self, before: &str) -> Result<Vec<(&'static str, String)>> {
        let Database::Postgres(_) = self.reader() else { return Ok(Vec::new()) };
        let orders: Vec<&str> = Monthly::ALL.into_iter().filter_map(Monthly::order).collect();
        let rows = query(UNORDERED).bind(before).bind(to_json(&orders)).fetch_all(self.reader()).await?;
        let month = |row: &super::db::Row| {
            let table: String = row.try_get("parent")?;
            let Some(monthly) = Monthly::of(&table) else { return Ok(None) };
            Ok(Some((monthly.table(), row.try_get("month")?)))
        };
        rows.iter().filter_map(|row| month(row).transpose()).collect()
    }

    /// Puts the rows of a month into the order of products: a product's days lie side by side then, and are read with few
    /// pages. Others wait for the month meanwhile. False where it is in order already, or somebody used it all the time.
    pub async fn order_month(&self, table: &str, month: &str) -> Result<bool> {
        let (Database::Postgres(server), Some(order)) =
            (self.reader(), Monthly::of(table).and_then(Monthly::order))
        else {
            return Ok(false);
        };
        let ordered = async {
            let mut tx = server.begin_beside().await?;
            tx.run_script(format!(
                "SET LOCAL lock_timeout = '{ORDER_WAIT}'; SET LOCAL statement_timeout = 0"
            ))
            .await?;
            let ordered: bool = query_scalar("SELECT order_month($1, $2, $3)")
                .bind(table)
                .bind(order)
                .bind(month)
                .fetch_one(&mut tx)
                .await?;
            tx.commit().await?;
            Ok(ordered)
        };
        match ordered.await {
            Err(StoreError::Busy(_)) => Ok(false),
            ordered => ordered,
        }
    }
}
