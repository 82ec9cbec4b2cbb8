//! Rows as the database takes them, and which products' rollups are served anew.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::plan::MarketPlan;
use super::write::BuiltMarket;
use crate::lake::{Block, LakeColumn, Table, Values, Words};
use crate::model::Day;
use crate::rollup::{NO_DAY, NULL};
use crate::store::mart::{ServingRows, ServingValue};

/// A lake table's rows in the order of its SQL table's key.
pub(super) fn in_key_order(rows: Block, table: Table, words: &Words) -> Block {
    let mut key = if table == Table::Deltas { vec![Table::DAY_NO] } else { Vec::new() };
    key.push(Table::ASIN);
    key.extend(table.places_within_day());
    rows.sorted_by(&key, words)
}

/// Rows of a lake table, as [`in_key_order`] has them, under the names of its SQL table: days as dates, no buckets.
pub(super) struct Served<'a> {
    table: Table,
    rows: Cow<'a, Block>,
    words: Cow<'a, Words>,
    /// Places of the served rows.
    places: Vec<usize>,
    /// Of each column, whether it holds days.
    is_day: Vec<bool>,
    dates: HashMap<i32, Arc<str>>,
}

impl<'a> Served<'a> {
    /// `asins` are the codes of the products that are served; null for all.
    pub(super) fn new(
        table: Table,
        rows: Cow<'a, Block>,
        asins: Option<&HashSet<i32>>,
        words: Cow<'a, Words>,
    ) -> Served<'a> {
        let columns = table.columns().iter().zip(&rows.columns);
        let days: HashSet<i32> = columns
            .filter(|(column, _)| is_day(column.name))
            .flat_map(|(_, values)| values.codes())
            .copied()
            .collect();
        let dates =
            days.into_iter().map(|day_no| (day_no, Day::from_no(day_no).to_string().into())).collect();
        let asin_of = rows.columns[Table::ASIN].codes();
        let is_served = |row: &usize| asins.is_none_or(|asins| asins.contains(&asin_of[*row]));
        let is_day = table.columns()[Table::ASIN..].iter().map(|column| is_day(column.name)).collect();
        let places = (0..rows.rows()).filter(is_served).collect();
        Served { table, rows, words, places, is_day, dates }
    }
}

fn is_day(column: &str) -> bool {
    column == "day_no" || column.ends_with("_prev_day")
}

impl ServingRows for Served<'_> {
    fn columns(&self) -> Vec<&'static str> {
        let own_day = if self.table == Table::Deltas { "day" } else { "as_of" };
        let name = |column: &LakeColumn| if column.name == "day_no" { own_day } else { column.name };
        self.table.columns()[Table::ASIN..].iter().map(name).collect()
    }

    fn rows(&self) -> usize {
        self.places.len()
    }

    fn value(&self, row: usize, column: usize) -> ServingValue {
        let row = self.places[row];
        match &self.rows.columns[Table::ASIN + column] {
            Values::I32(days) if self.is_day[column] => match days[row] {
                NO_DAY => ServingValue::Null,
                day => text(self.dates.get(&day)),
            },
            Values::I32(values) => ServingValue::Int(values[row].into()),
            Values::I64(values) if values[row] == NULL => ServingValue::Null,
            Values::I64(values) => ServingValue::Int(values[row]),
            Values::F64(values) if values[row].is_nan() => ServingValue::Null,
            Values::F64(values) => ServingValue::Real(values[row]),
            Values::Text(codes) => text(self.words.shared(codes[row])),
        }
    }
}

fn text(word: Option<&Arc<str>>) -> ServingValue {
    word.map_or(ServingValue::Null, |word| ServingValue::Text(Arc::clone(word)))
}

/// The newest rows of each product: of blocks in time order, the last one that knows the product.
pub(super) fn newest_of_each(blocks: Vec<Block>, table: Table) -> Block {
    let mut newest: HashMap<i32, usize> = HashMap::new();
    for (place, block) in blocks.iter().enumerate() {
        newest.extend(block.columns[Table::ASIN].codes().iter().map(|asin| (*asin, place)));
    }
    rows_where(blocks, table, |place, block, row| {
        newest.get(&block.columns[Table::ASIN].codes()[row]) == Some(&place)
    })
}

/// What a build does to the served rollups.
pub(super) struct Renewal {
    /// Asins whose served rollups are taken away, in favour of new ones or for good.
    pub(super) asins: Vec<String>,
    /// Codes of the products that get those of the build: all but those of which later ones are served.
    pub(super) renewed: HashSet<i32>,
    /// A product lost its served rollups; older ones may be its newest now.
    pub(super) falls_back: bool,
}

impl Renewal {
    /// `served` are the products with rollups in the database, and the days of these.
    pub(super) fn new(
        market: &MarketPlan,
        built: &BuiltMarket,
        served: &[(String, Day)],
        words: &Words,
    ) -> Renewal {
        let (asins, days) = (built.rollups.columns[Table::ASIN].codes(), built.rollups.day_nos());
        let computed = asins.iter().zip(days).filter_map(|(asin, day)| Some((words.get(*asin)?, *day)));
        let mut newest: BTreeMap<&str, i32> = computed.collect();
        let (mut gone, mut falls_back) = (Vec::new(), false);
        for (asin, day) in served {
            let found = newest.get(asin.as_str()).copied();
            match market.dirty.rollups.iter().find(|span| span.contains(day.no())) {
                Some(span) if found.is_some_and(|found| found >= span.first) => {}
                Some(span) => {
                    falls_back |= span.first > market.first;
                    gone.push(asin.clone());
                    newest.remove(asin.as_str());
                }
                None if found.is_some_and(|found| found > day.no()) => {}
                None => {
                    newest.remove(asin.as_str());
                }
            }
        }
        let is_renewed = |asin: &&i32| words.get(**asin).is_some_and(|asin| newest.contains_key(asin));
        Renewal {
            renewed: asins.iter().filter(is_renewed).copied().collect(),
            asins: newest.keys().map(|asin| (*asin).to_owned()).chain(gone).collect(),
            falls_back,
        }
    }
}

/// The rows that are kept, of a block at its place. Each block goes as soon as its rows are taken over.
fn rows_where(blocks: Vec<Block>, table: Table, is_kept: impl Fn(usize, &Block, usize) -> bool) -> Block {
    let runs_of = |place: usize, block: &Block| -> Vec<Range<usize>> {
        let kept: Vec<bool> = (0..block.rows()).map(|row| is_kept(place, block, row)).collect();
        let mut end = 0;
        let runs = kept.chunk_by(|a, b| a == b).map(|run| {
            end += run.len();
            (run[0], end - run.len()..end)
        });
        runs.filter(|(is_kept, _)| *is_kept).map(|(_, rows)| rows).collect()
    };
    let runs: Vec<Vec<Range<usize>>> =
        blocks.iter().enumerate().map(|(place, block)| runs_of(place, block)).collect();
    let mut whole = Block::with_capacity(table, runs.iter().flatten().map(Range::len).sum());
    for (block, runs) in blocks.into_iter().zip(runs) {
        runs.into_iter().for_each(|rows| whole.append_rows(&block, rows));
    }
    whole
}

/// Seller rows that belong to served rollups: same product, same day.
pub(super) fn sellers_of(rollups: &Block, sellers: Vec<Block>) -> Block {
    let key = |block: &Block, row: usize| {
        let of = |index: usize| block.columns[index].codes()[row];
        (of(Table::ASIN), of(Table::DAY_NO))
    };
    let served: HashSet<(i32, i32)> = (0..rollups.rows()).map(|row| key(rollups, row)).collect();
    rows_where(sellers, Table::RollupSellers, |_, block, row| served.contains(&key(block, row)))
}
