//! The mart's rows that a report states: deltas and rollups of one product's day, out of the lake.

use polars::prelude::DataFrame;

use crate::lake::{Lake, Table, read_product};
use crate::model::{Day, DayRange, ProductKey};
use crate::store::Store;

/// A frame whose values are asked for by column and row; what is absent, null or not a number is null.
pub(super) struct Values(pub(super) DataFrame);

impl Values {
    pub(super) fn rows(&self) -> usize {
        self.0.height()
    }

    pub(super) fn int(&self, column: &str, row: usize) -> Option<i64> {
        self.0.column(column).ok()?.i64().ok()?.get(row)
    }

    pub(super) fn real(&self, column: &str, row: usize) -> Option<f64> {
        self.0.column(column).ok()?.f64().ok()?.get(row).filter(|value| value.is_finite())
    }

    /// A 32-bit number: days and lengths of windows.
    pub(super) fn small(&self, column: &str, row: usize) -> Option<i32> {
        self.0.column(column).ok()?.i32().ok()?.get(row)
    }

    pub(super) fn day(&self, column: &str, row: usize) -> Option<Day> {
        self.small(column, row).map(Day::from_no)
    }

    pub(super) fn text(&self, column: &str, row: usize) -> Option<String> {
        self.0.column(column).ok()?.str().ok()?.get(row).map(str::to_owned)
    }
}

/// What the mart holds of one product's day: at most one delta, and one rollup per window.
pub(super) struct MartDay {
    pub(super) delta: Values,
    pub(super) rollups: Values,
}

impl MartDay {
    /// Both are empty when the mart was not built for the day.
    pub(super) async fn load(
        store: &Store,
        lake: &Lake,
        key: ProductKey,
        day: Day,
    ) -> anyhow::Result<MartDay> {
        let range = DayRange { first: day, last: day };
        let delta = read_product(store, lake, Table::Deltas, key, range, &[]).await?;
        let rollups = read_product(store, lake, Table::Rollups, key, range, &[]).await?;
        Ok(MartDay { delta: Values(delta), rollups: Values(rollups) })
    }

    pub(super) fn is_built(&self) -> bool {
        self.delta.rows() > 0
    }

    /// The row of `rollups` of each window, shortest first.
    pub(super) fn windows(&self) -> Vec<(i64, usize)> {
        let mut windows: Vec<(i64, usize)> = (0..self.rollups.rows())
            .filter_map(|row| Some((i64::from(self.rollups.small("window_days", row)?), row)))
            .collect();
        windows.sort_unstable();
        windows
    }
}
