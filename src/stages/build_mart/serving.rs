//! Computed rows as the database takes them, and the aggregates made of them.

use std::collections::{HashMap, HashSet};

use polars::prelude::*;

use crate::lake::{Block, Table, Values, Words};
use crate::model::{Day, ReportingZone};
use crate::rollup::aggregate::{
    Aggregate, DELTA_COLUMNS, OBSERVED_COLUMNS, category_metrics, daily_aggregates,
};
use crate::rollup::{NO_DAY, NULL};
use crate::store::mart::{DayRecord, ServingRows, ServingValue};

/// Rows of a lake table under the names of its SQL table: days as dates, no buckets.
pub(super) struct Served<'a> {
    columns: Vec<(&'static str, &'a Values)>,
    rows: usize,
    words: &'a Words,
    dates: HashMap<i32, String>,
}

impl<'a> Served<'a> {
    pub(super) fn new(table: Table, block: &'a Block, words: &'a Words) -> Served<'a> {
        let day = if table == Table::Deltas { "day" } else { "as_of" };
        let columns: Vec<(&'static str, &Values)> = table
            .columns()
            .iter()
            .zip(&block.columns)
            .filter(|(column, _)| column.name != "bucket")
            .map(|(column, values)| (if column.name == "day_no" { day } else { column.name }, values))
            .collect();
        let days: HashSet<i32> = columns
            .iter()
            .filter(|(name, _)| is_day(name))
            .flat_map(|(_, values)| values.codes())
            .copied()
            .collect();
        let dates = days.into_iter().map(|day_no| (day_no, Day::from_no(day_no).to_string())).collect();
        Served { columns, rows: block.rows(), words, dates }
    }
}

fn is_day(column: &str) -> bool {
    column == "day" || column == "as_of" || column.ends_with("_prev_day")
}

impl ServingRows for Served<'_> {
    fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn value(&self, row: usize, column: usize) -> ServingValue<'_> {
        let (name, values) = self.columns[column];
        match values {
            Values::I32(days) if is_day(name) => match days[row] {
                NO_DAY => ServingValue::Null,
                day => self.dates.get(&day).map_or(ServingValue::Null, |date| ServingValue::Text(date)),
            },
            Values::I32(values) => ServingValue::Int(values[row].into()),
            Values::I64(values) if values[row] == NULL => ServingValue::Null,
            Values::I64(values) => ServingValue::Int(values[row]),
            Values::F64(values) if values[row].is_nan() => ServingValue::Null,
            Values::F64(values) => ServingValue::Real(values[row]),
            Values::Text(codes) => self.words.get(codes[row]).map_or(ServingValue::Null, ServingValue::Text),
        }
    }
}

/// The newest rows of each product: of blocks in time order, the last one that knows the product.
pub(super) fn newest_of_each(blocks: Vec<Block>, table: Table, words: &Words) -> Block {
    let asin = table.index_of("asin").unwrap_or_default();
    let mut newest: HashMap<i32, usize> = HashMap::new();
    for (place, block) in blocks.iter().enumerate() {
        newest.extend(block.columns[asin].codes().iter().map(|asin| (*asin, place)));
    }
    let mut whole = Block::empty(table);
    for (place, block) in blocks.iter().enumerate() {
        let asins = block.columns[asin].codes();
        append_where(&mut whole, block, |row| newest.get(&asins[row]) == Some(&place));
    }
    whole.sorted(table, words)
}

/// Adds the rows that are kept, run by run: mostly a block is kept as a whole.
fn append_where(whole: &mut Block, block: &Block, is_kept: impl Fn(usize) -> bool) {
    let mut row = 0;
    while row < block.rows() {
        let end = (row..block.rows()).find(|row| !is_kept(*row)).unwrap_or(block.rows());
        whole.append_rows(block, row..end);
        row = end + 1;
    }
}

/// Seller rows that belong to served rollups: same product, same day.
pub(super) fn sellers_of(rollups: &Block, sellers: Vec<Block>, words: &Words) -> Block {
    let key = |block: &Block, row: usize| {
        let of = |index: usize| block.columns[index].codes()[row];
        (of(Table::ASIN), of(Table::DAY_NO))
    };
    let served: HashSet<(i32, i32)> = (0..rollups.rows()).map(|row| key(rollups, row)).collect();
    let mut whole = Block::empty(Table::RollupSellers);
    for block in &sellers {
        append_where(&mut whole, block, |row| served.contains(&key(block, row)));
    }
    whole.sorted(Table::RollupSellers, words)
}

/// The day and category records of the served deltas' days.
pub(super) fn records(
    deltas: &Block,
    observed: &DataFrame,
    zone: ReportingZone,
    words: &Words,
) -> PolarsResult<(Vec<DayRecord>, Vec<DayRecord>)> {
    let frame = deltas.to_frame(Table::Deltas, &DELTA_COLUMNS, words)?;
    let end_of_day = |day_no: i32| zone.end_of(Day::from_no(day_no)).timestamp_micros();
    let observed = observed.select(OBSERVED_COLUMNS)?;
    let days = daily_aggregates(&frame, &observed, end_of_day)?;
    let categories = category_metrics(&frame)?;
    let record = |aggregate: Aggregate| DayRecord {
        day: Day::from_no(aggregate.day_no),
        category: aggregate.category.unwrap_or_default(),
        record: aggregate.record.to_string(),
    };
    Ok((days.into_iter().map(record).collect(), categories.into_iter().map(record).collect()))
}
