//! Store methods of the lake: the list of current files, the marks, and core's rows on their way out.

use futures_util::TryStreamExt;
use serde::de::DeserializeOwned;

use super::columns::{unreadable, word};
use super::db::{Row, query, query_of};
use super::ops::{bump_mark, set_mark};
use super::{Result, Store, StoreError, Tx};
use crate::model::{Day, DayRange, Marketplace};

/// The highest `changed_seq` that the lake's core tables hold.
const EXPORTED: &str = "lake_exported_seq";
/// The highest `changed_seq` that the mart holds.
const BUILT: &str = "mart_built_seq";
/// Counts publications; in the names of their files.
const GENERATION: &str = "lake_generation";

/// A current file of the lake, as `lake_files` lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LakeFile {
    /// `core/product_metrics_daily`, `mart/rollups`, …
    pub table: String,
    pub marketplace: Marketplace,
    /// `YYYY-MM`.
    pub month: String,
    /// Relative to the lake's root.
    pub path: String,
    pub generation: i64,
    pub first_day_no: i32,
    pub last_day_no: i32,
    /// The whole month in one file.
    pub compacted: bool,
    pub rows: i64,
    pub size_bytes: i64,
    pub sha256: String,
}

/// Where the lake stands: its current files and how far it has come.
#[derive(Clone, Debug, Default)]
pub struct LakeState {
    /// Sorted by table, marketplace, day.
    pub files: Vec<LakeFile>,
    pub changed_seq: i64,
    pub exported_seq: i64,
    pub built_seq: i64,
    pub generation: i64,
}

/// What one publication changes in the list of files.
#[derive(Clone, Debug, Default)]
pub struct FileSwap {
    pub generation: i64,
    pub removed: Vec<LakeFile>,
    pub added: Vec<LakeFile>,
}

/// What a column of core holds in the lake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExportKind {
    Int,
    Text,
}

/// A core table as it goes into the lake: its columns besides marketplace, asin and day.
#[derive(Debug)]
pub struct ExportTable {
    name: &'static str,
    /// Its key, in the order of the lake.
    order: &'static str,
    pub columns: &'static [(&'static str, ExportKind)],
}

use ExportKind::{Int, Text};

pub const DAILY_EXPORT: ExportTable = ExportTable {
    name: "product_metrics_daily",
    order: "day, asin",
    columns: &[
        ("observed_at", Int),
        ("currency", Text),
        ("price_minor", Int),
        ("list_price_minor", Int),
        ("buy_box_price_minor", Int),
        ("shipping_minor", Int),
        ("landed_price_minor", Int),
        ("price_basis", Text),
        ("coupon_minor", Int),
        ("coupon_pct", Int),
        ("is_deal", Int),
        ("is_prime", Int),
        ("seller_id", Text),
        ("seller_name", Text),
        ("fulfilment", Text),
        ("condition", Text),
        ("offer_count", Int),
        ("availability", Text),
        ("stock_quantity", Int),
        ("bsr", Int),
        ("bsr_category", Text),
        ("bsr_category_id", Text),
        ("bsr_leaf", Int),
        ("bsr_leaf_category", Text),
        ("bsr_leaf_category_id", Text),
        ("rating_centi", Int),
        ("ratings_count", Int),
        ("monthly_sold_min", Int),
        ("low_price_minor", Int),
        ("high_price_minor", Int),
        ("observations", Int),
        ("source", Text),
        ("sources", Text),
    ],
};

pub const RANK_EXPORT: ExportTable = ExportTable {
    name: "ranks",
    order: "day, asin, ordinal",
    columns: &[
        ("ordinal", Int),
        ("category_id", Text),
        ("category", Text),
        ("rank", Int),
        ("is_main", Int),
        ("is_leaf", Int),
    ],
};

/// One exported column: unknown is `i64::MIN`, or -1 for the code of a word.
#[derive(Debug)]
pub enum ExportColumn {
    Ints(Vec<i64>),
    Codes(Vec<i32>),
}

/// Exported rows, in no particular order: the key, then the table's columns.
#[derive(Debug, Default)]
pub struct ExportRows {
    /// Code of the asin's word.
    pub asin: Vec<i32>,
    pub day_no: Vec<i32>,
    pub columns: Vec<ExportColumn>,
}

impl Store {
    /// Where the lake stands.
    pub async fn lake_state(&self) -> Result<LakeState> {
        let files = query("SELECT * FROM lake_files ORDER BY table_name, marketplace, first_day_no, path")
            .fetch_all(self.reader())
            .await?;
        Ok(LakeState {
            files: files.iter().map(lake_file).collect::<Result<_>>()?,
            changed_seq: self.mark("changed_seq").await?,
            exported_seq: self.mark(EXPORTED).await?,
            built_seq: self.mark(BUILT).await?,
            generation: self.mark(GENERATION).await?,
        })
    }

    /// The current files of one table and marketplace that hold days of the range, in time order.
    pub async fn lake_files(
        &self,
        table: &str,
        marketplace: Marketplace,
        range: DayRange,
    ) -> Result<Vec<LakeFile>> {
        let rows = query(
            "SELECT * FROM lake_files
             WHERE table_name = $1 AND marketplace = $2 AND last_day_no >= $3 AND first_day_no <= $4
             ORDER BY first_day_no, path",
        )
        .bind(table)
        .bind(marketplace.code())
        .bind(range.first.no())
        .bind(range.last.no())
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(lake_file).collect()
    }

    /// Days whose rows changed after the mark `after` and up to `until`, sorted.
    pub async fn changed_days(&self, after: i64, until: i64) -> Result<Vec<(Marketplace, Day)>> {
        let rows = query(
            "SELECT marketplace, day FROM changed_days WHERE changed_seq > $1 AND changed_seq <= $2
             ORDER BY marketplace, day",
        )
        .bind(after)
        .bind(until)
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| Ok((word(row, "changed_days", "marketplace")?, word(row, "changed_days", "day")?)))
            .collect()
    }

    /// Days on which the marketplace has daily rows, with their number, in time order.
    pub async fn count_days(&self, marketplace: Marketplace) -> Result<Vec<(Day, i64)>> {
        let rows = query(
            "SELECT day, COUNT(*) AS products FROM product_metrics_daily WHERE marketplace = $1
             GROUP BY day ORDER BY day",
        )
        .bind(marketplace.code())
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| Ok((word(row, "product_metrics_daily", "day")?, row.try_get("products")?)))
            .collect()
    }

    /// Daily rows of a marketplace on one day.
    pub async fn count_rows(&self, marketplace: Marketplace, day: Day) -> Result<usize> {
        let row = query(
            "SELECT COUNT(*) AS products FROM product_metrics_daily WHERE marketplace = $1 AND day = $2",
        )
        .bind(marketplace.code())
        .bind(day.to_string())
        .fetch_one(self.reader())
        .await?;
        Ok(row.try_get::<i64, _>("products")?.try_into().unwrap_or_default())
    }

    /// The rows of a core table on the given days; words become codes through `intern`.
    pub async fn load_export(
        &self,
        table: &ExportTable,
        marketplace: Marketplace,
        range: DayRange,
        intern: &mut (dyn FnMut(&str) -> i32 + Send),
    ) -> Result<ExportRows> {
        // One row a day, with a JSON array per column: handing single values from SQLite to here would cost more than
        // reading and writing them.
        let arrays: Vec<String> =
            table.columns.iter().map(|(name, _)| self.reader().json_array_of(name)).collect();
        // In the order in which SQLite's rows lie anyway.
        let sql = format!(
            "SELECT day, {}, {} FROM (SELECT * FROM {} WHERE marketplace = $1 AND day BETWEEN $2 AND $3 ORDER BY {}) AS t
             GROUP BY day ORDER BY day",
            self.reader().json_array_of("asin"),
            arrays.join(", "),
            table.name,
            table.order
        );
        let mut days = query_of(sql)
            .bind(marketplace.code())
            .bind(range.first.to_string())
            .bind(range.last.to_string())
            .fetch(self.reader());
        let mut export = ExportRows {
            columns: table.columns.iter().map(|(_, kind)| ExportColumn::empty(*kind)).collect(),
            ..ExportRows::default()
        };
        while let Some(day) = days.try_next().await? {
            let asins: Vec<String> = array(&day, 1, table.name, "asin")?;
            export.asin.extend(asins.iter().map(|asin| intern(asin)));
            let day_no = word::<Day>(&day, table.name, "day")?.no();
            export.day_no.resize(export.asin.len(), day_no);
            for (index, (column, (name, _))) in export.columns.iter_mut().zip(table.columns).enumerate() {
                match column {
                    ExportColumn::Ints(ints) => {
                        let values: Vec<Option<i64>> = array(&day, index + 2, table.name, name)?;
                        ints.extend(values.iter().map(|value| value.unwrap_or(i64::MIN)));
                    }
                    ExportColumn::Codes(codes) => {
                        let words: Vec<Option<String>> = array(&day, index + 2, table.name, name)?;
                        codes.extend(words.iter().map(|word| word.as_deref().map_or(-1, &mut *intern)));
                    }
                }
            }
        }
        Ok(export)
    }

    /// Makes newly written core files current: the one transaction of a sync.
    pub async fn publish_core(&self, swap: &FileSwap, exported_seq: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        swap_files(&mut tx, swap).await?;
        set_mark(&mut tx, EXPORTED, exported_seq).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Marks days changed whose rows the lake does not hold as they are: the next sync writes them again, and what of
    /// the mart follows from them is built anew.
    pub async fn mark_days_changed(&self, days: &[(Marketplace, Day)]) -> Result<()> {
        if days.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        let seq = bump_mark(&mut tx, "changed_seq").await?;
        for (marketplace, day) in days {
            query(
                "INSERT INTO changed_days (marketplace, day, changed_seq) VALUES ($1, $2, $3)
                 ON CONFLICT (marketplace, day) DO UPDATE SET changed_seq = excluded.changed_seq",
            )
            .bind(marketplace.code())
            .bind(day.to_string())
            .bind(seq)
            .execute(&mut tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Forgets every file: the lake at hand is not this database's.
    pub async fn forget_lake(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        query("DELETE FROM lake_files").execute(&mut tx).await?;
        set_mark(&mut tx, EXPORTED, 0).await?;
        set_mark(&mut tx, BUILT, 0).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The JSON array in a column, which holds the values of the table's `column`.
fn array<T: DeserializeOwned>(
    row: &Row,
    index: usize,
    table: &'static str,
    column: &'static str,
) -> Result<Vec<T>> {
    let text: &str = row.try_get(index)?;
    serde_json::from_str(text).map_err(|error| unreadable(table, column, error.to_string()))
}

/// Swaps the list of files inside the transaction that publishes their effect.
pub(super) async fn swap_files(tx: &mut Tx, swap: &FileSwap) -> Result<()> {
    for file in &swap.removed {
        query("DELETE FROM lake_files WHERE table_name = $1 AND path = $2")
            .bind(&file.table)
            .bind(&file.path)
            .execute(tx)
            .await?;
    }
    for file in &swap.added {
        query(
            "INSERT INTO lake_files (table_name, marketplace, month, path, generation, first_day_no,
                 last_day_no, compacted, rows, size_bytes, sha256)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(&file.table)
        .bind(file.marketplace.code())
        .bind(&file.month)
        .bind(&file.path)
        .bind(file.generation)
        .bind(file.first_day_no)
        .bind(file.last_day_no)
        .bind(file.compacted)
        .bind(file.rows)
        .bind(file.size_bytes)
        .bind(&file.sha256)
        .execute(tx)
        .await?;
    }
    set_mark(tx, GENERATION, swap.generation).await
}

/// Records how far the mart has come, inside the transaction that publishes it.
pub(super) async fn set_built(tx: &mut Tx, built_seq: i64) -> Result<()> {
    set_mark(tx, BUILT, built_seq).await
}

impl ExportColumn {
    fn empty(kind: ExportKind) -> ExportColumn {
        match kind {
            Int => ExportColumn::Ints(Vec::new()),
            Text => ExportColumn::Codes(Vec::new()),
        }
    }
}

fn lake_file(row: &Row) -> Result<LakeFile> {
    let day_no = |column: &'static str| -> Result<i32> {
        let value: i64 = row.try_get(column)?;
        i32::try_from(value).map_err(|_| StoreError::Value {
            table: "lake_files",
            column,
            value: value.to_string(),
        })
    };
    Ok(LakeFile {
        table: row.try_get("table_name")?,
        marketplace: word(row, "lake_files", "marketplace")?,
        month: row.try_get("month")?,
        path: row.try_get("path")?,
        generation: row.try_get("generation")?,
        first_day_no: day_no("first_day_no")?,
        last_day_no: day_no("last_day_no")?,
        compacted: row.try_get("compacted")?,
        rows: row.try_get("rows")?,
        size_bytes: row.try_get("size_bytes")?,
        sha256: row.try_get("sha256")?,
    })
}
