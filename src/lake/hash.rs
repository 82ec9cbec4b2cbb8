//! Hashes what the lake holds, however its rows are spread over files: part of the state hash.

use polars::prelude::*;
use sha2::{Digest, Sha256};

use super::{Lake, Table, read_days};
use crate::ids::hex;
use crate::model::{Day, DayRange, Marketplace};
use crate::store::{Store, TableHash};

/// Rows and hash of one table of the lake: month by month, rows in key order, column after column.
pub async fn hash_table(store: &Store, lake: &Lake, table: Table) -> anyhow::Result<TableHash> {
    let mut hasher = Sha256::new();
    let mut rows = 0;
    for &marketplace in Marketplace::ALL {
        for month in months(store, table, marketplace).await? {
            let frame = read_days(store, lake, table, marketplace, month, &[]).await?;
            rows += frame.height() as u64;
            hasher.update(marketplace.code());
            let key: Vec<&str> = ["asin", "day_no"].iter().chain(table.order_within_day()).copied().collect();
            let sorted = tokio::task::spawn_blocking({
                let key: Vec<PlSmallStr> = key.into_iter().map(PlSmallStr::from_str).collect();
                move || frame.sort(key, SortMultipleOptions::default())
            })
            .await??;
            hash_frame(&sorted, &mut hasher)?;
        }
    }
    Ok(TableHash { table: format!("lake {}", table.name()), rows, sha256: hex(&hasher.finalize()) })
}

/// The months that have files, oldest first.
async fn months(store: &Store, table: Table, marketplace: Marketplace) -> anyhow::Result<Vec<DayRange>> {
    let all = DayRange { first: Day::from_no(i32::MIN / 2), last: Day::from_no(i32::MAX / 2) };
    let mut months: Vec<Day> = store
        .lake_files(table.name(), marketplace, all)
        .await?
        .iter()
        .map(|file| Day::from_no(file.first_day_no).month_start())
        .collect();
    months.sort();
    months.dedup();
    Ok(months.into_iter().map(|first| DayRange { first, last: first.month_end() }).collect())
}

/// Column by column: every value as fixed bytes, null told from every value.
fn hash_frame(frame: &DataFrame, hasher: &mut Sha256) -> PolarsResult<()> {
    for column in frame.columns() {
        hasher.update(column.name().as_bytes());
        let series = column.as_materialized_series();
        match series.dtype() {
            DataType::Int32 => {
                series.i32()?.iter().for_each(|value| hash_value(hasher, value.map(i32::to_le_bytes)))
            }
            DataType::Int64 => {
                series.i64()?.iter().for_each(|value| hash_value(hasher, value.map(i64::to_le_bytes)))
            }
            DataType::Float64 => {
                series
                    .f64()?
                    .iter()
                    .for_each(|value| hash_value(hasher, value.map(|v| v.to_bits().to_le_bytes())));
            }
            _ => series.str()?.iter().for_each(|value| {
                hash_value(hasher, value.map(|text| (text.len() as u64).to_le_bytes()));
                hasher.update(value.unwrap_or_default());
            }),
        }
    }
    Ok(())
}

fn hash_value<const N: usize>(hasher: &mut Sha256, value: Option<[u8; N]>) {
    match value {
        Some(bytes) => {
            hasher.update([1]);
            hasher.update(bytes);
        }
        None => hasher.update([0]),
    }
}
