//! What a build would take, for a dry run: from the plan's days, the rows that core has on them, and what rows of its
//! kind take in the lake at hand.

use std::collections::BTreeMap;

use serde::Serialize;

use super::plan::MarketPlan;
use super::write::{Limits, REACH_DAYS};
use crate::lake::{BYTES_PER_SYNCED_ROW, FilePlan, ROW_GROUP_ROWS, Span, Table};
use crate::model::Day;
use crate::store::lake::LakeFile;

/// Seconds of a process that does nothing, of a row brought from the database to the lake, and of a daily row's deltas
/// and rollups; measured on two cores of an AMD EPYC, with groups of six months.
const SECONDS: f64 = 0.2;
const SECONDS_PER_SYNCED_ROW: f64 = 5.8e-6;
const SECONDS_PER_BUILT_ROW: f64 = 5.6e-6;
/// Memory of the program, and of a daily row with its ranks while the kernels look at it.
const MEMORY: u64 = 80 << 20;
const MEMORY_PER_READ_ROW: u64 = 300;

/// What a build would read, write and take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Daily rows.
    pub rows_read: u64,
    pub bytes_read: u64,
    /// Rows of all tables of the lake.
    pub rows_written: u64,
    pub bytes_written: u64,
    /// On two cores.
    pub seconds: f64,
    pub memory_bytes: u64,
}

/// How many daily rows a marketplace has on each day.
pub(super) type DayCounts = BTreeMap<i32, u64>;

/// Rows and bytes of a table's row, where a daily row brings so many.
struct Sizes {
    rows_per_day: f64,
    bytes: f64,
}

impl Estimate {
    /// Adds what one marketplace's part takes: its files of core, and the plan of its mart.
    pub(super) fn add(
        &mut self,
        listed: &[LakeFile],
        core: &[&FilePlan],
        market: Option<&MarketPlan>,
        counts: &DayCounts,
        (limits, sync_rows): (Limits, usize),
    ) {
        let rows_of = |spans: &[Span]| -> u64 {
            spans.iter().flat_map(|span| counts.range(span.first..=span.last)).map(|(_, rows)| rows).sum()
        };
        let mut written = |plan: &FilePlan| {
            let sizes = sizes(listed, plan.table);
            let carried: i64 = plan.carried.iter().map(|file| file.rows).sum();
            let rows = (rows_of(&plan.fresh) as f64 * sizes.rows_per_day) as u64 + carried.unsigned_abs();
            self.rows_written += rows;
            self.bytes_written += (rows as f64 * sizes.bytes) as u64;
            rows
        };
        let mut most_synced = 0;
        for plan in core {
            let rows = written(plan);
            most_synced = most_synced.max(rows.min(sync_rows as u64));
            self.seconds += rows as f64 * SECONDS_PER_SYNCED_ROW;
        }
        self.memory_bytes = self.memory_bytes.max(MEMORY + most_synced * BYTES_PER_SYNCED_ROW);
        let Some(market) = market else { return };
        let mut built: BTreeMap<&str, u64> = BTreeMap::new();
        for plan in &market.files {
            written(plan);
            if plan.table == Table::Deltas {
                *built.entry(&plan.month).or_default() += rows_of(&plan.fresh);
            }
        }
        let fresh = || market.files.iter().flat_map(|plan| &plan.fresh);
        let first = fresh().map(|span| span.first - REACH_DAYS).min();
        let read = first.zip(fresh().map(|span| span.last).max()).map_or(0, |(first, last)| {
            // Files of core are read whole, and they end with their months.
            rows_of(&[Span { first: Day::from_no(first).month_start().no(), last }])
        });
        self.rows_read += read;
        self.bytes_read += (read as f64 * sizes(listed, Table::Daily).bytes) as u64;
        let months = limits.months as f64;
        let again = (months + 3.0) / months / 1.5;
        self.seconds += built.values().sum::<u64>() as f64 * SECONDS_PER_BUILT_ROW * again;
        let mut open: Vec<u64> = built.into_values().map(|rows| rows.min(ROW_GROUP_ROWS as u64)).collect();
        open.sort_unstable_by(|a, b| b.cmp(a));
        let open: u64 = open.iter().take(limits.months).sum();
        let held = read.min(limits.pass_rows as u64) * MEMORY_PER_READ_ROW
            + open * Limits::PER_MONTH / ROW_GROUP_ROWS as u64;
        self.memory_bytes = self.memory_bytes.max(MEMORY + held);
    }

    pub(super) fn finished(self) -> Estimate {
        Estimate { seconds: self.seconds + SECONDS, ..self }
    }
}

/// As the listed files have it; what generated data gave where there are none.
fn sizes(listed: &[LakeFile], table: Table) -> Sizes {
    let sum = |table: Table, of: fn(&LakeFile) -> i64| -> f64 {
        listed.iter().filter(|file| file.table == table.name()).map(of).sum::<i64>() as f64
    };
    let (rows, bytes) = (sum(table, |file| file.rows), sum(table, |file| file.size_bytes));
    let days = sum(Table::Daily, |file| file.rows);
    let usual = match table {
        Table::Daily => (1.0, 14.5),
        Table::Ranks => (2.0, 3.0),
        Table::Deltas => (1.0, 57.0),
        Table::Rollups => (3.0, 113.0),
        Table::RollupSellers => (3.6, 1.8),
        Table::Pasts => (0.04, 13.6),
        Table::PastPrices => (1.0, 1.4),
        Table::PastSellers => (0.05, 16.4),
    };
    match rows > 0.0 && days > 0.0 {
        true => Sizes { rows_per_day: rows / days, bytes: bytes / rows },
        false => Sizes { rows_per_day: usual.0, bytes: usual.1 },
    }
}
