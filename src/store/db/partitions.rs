//! PostgreSQL keeps the tables that grow with time by month: a range of days reads the months it touches, and retention
//! drops whole ones. A month is made by the transaction that first writes to it, or ahead of its time.

use std::collections::BTreeSet;

use super::{Tx, query};
use crate::store::Result;
use crate::store::columns::to_json;

/// The tables that are kept by month: receipts by the instant of their observation in UTC, the others by their day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Monthly {
    RawReceipts,
    Observations,
    DailyRows,
    Ranks,
    Deltas,
}

impl Monthly {
    pub(crate) const ALL: [Monthly; 5] =
        [Monthly::RawReceipts, Monthly::Observations, Monthly::DailyRows, Monthly::Ranks, Monthly::Deltas];

    pub(crate) fn table(self) -> &'static str {
        match self {
            Monthly::RawReceipts => "raw_receipts",
            Monthly::Observations => "observations",
            Monthly::DailyRows => "product_metrics_daily",
            Monthly::Ranks => "ranks",
            Monthly::Deltas => "deltas",
        }
    }

    /// How a table is kept; null: as one.
    pub(crate) fn of(table: &str) -> Option<Monthly> {
        Monthly::ALL.into_iter().find(|monthly| monthly.table() == table)
    }

    /// The column that says to which month a row belongs.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Monthly::RawReceipts => "observed_at",
            Monthly::Observations | Monthly::DailyRows | Monthly::Ranks | Monthly::Deltas => "day",
        }
    }

    /// The index in whose order a month that is over lies: of tables of which the days of one product are read.
    pub(crate) fn order(self) -> Option<&'static str> {
        match self {
            Monthly::DailyRows => Some("product_metrics_daily_by_product"),
            Monthly::Ranks => Some("ranks_by_product"),
            Monthly::RawReceipts | Monthly::Observations | Monthly::Deltas => None,
        }
    }

    /// Makes the partitions of these months (`YYYY-MM`), as far as they are not there. The embedded engine has none.
    pub(crate) async fn make(self, tx: &mut Tx, months: impl IntoIterator<Item = String>) -> Result<()> {
        if let Tx::Sqlite(_) = tx {
            return Ok(());
        }
        let months: BTreeSet<String> = months.into_iter().collect();
        if !months.is_empty() {
            query("SELECT make_months($1, $2)").bind(self.table()).bind(to_json(&months)).execute(tx).await?;
        }
        Ok(())
    }
}
