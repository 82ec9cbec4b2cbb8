//! Rows in memory on their way into or out of a file: columns of integers, with words interned.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use polars::prelude::*;
use polars_arrow::array::{Array, PrimitiveArray, View};
use polars_arrow::bitmap::Bitmap;
use polars_arrow::trusted_len::TrustedLen;
use polars_arrow::types::NativeType;
use polars_buffer::Buffer;
use rayon::prelude::*;

use super::plan::Span;
use super::schema::{Kind, LakeColumn, Table};
use crate::rollup::{NO_CODE, NO_DAY, NULL};

/// Words and their codes; a code is a place in the list, [`NO_CODE`] is no word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// Hashed fast: every text of every file read is looked up here.
    codes: PlHashMap<Arc<str>, i32>,
    words: Vec<Arc<str>>,
}

impl Words {
    pub(crate) fn intern(&mut self, word: &str) -> i32 {
        if let Some(code) = self.codes.get(word) {
            return *code;
        }
        let code = self.words.len() as i32;
        let word: Arc<str> = word.into();
        self.words.push(Arc::clone(&word));
        self.codes.insert(word, code);
        code
    }

    /// Takes over the words of another list; answers the code that each has here, at the place of its code there.
    fn absorb(&mut self, other: &Words) -> Vec<i32> {
        other.words.iter().map(|word| self.intern(word)).collect()
    }

    /// The word of a code; null for [`NO_CODE`].
    pub(crate) fn get(&self, code: i32) -> Option<&str> {
        self.shared(code).map(AsRef::as_ref)
    }

    /// As [`Words::get`], for those who keep the word.
    pub(crate) fn shared(&self, code: i32) -> Option<&Arc<str>> {
        usize::try_from(code).ok().and_then(|index| self.words.get(index))
    }

    /// Words compare by their bytes, no word first.
    pub(crate) fn compare(&self, a: i32, b: i32) -> Ordering {
        if a == b { Ordering::Equal } else { self.get(a).cmp(&self.get(b)) }
    }
}

/// One column: unknown is [`NO_DAY`], [`NULL`], NaN, [`NO_CODE`].
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Values {
    I32(Vec<i32>),
    I64(Vec<i64>),
    F64(Vec<f64>),
    Text(Vec<i32>),
}

impl Values {
    fn with_capacity(kind: Kind, rows: usize) -> Values {
        match kind {
            Kind::I32 => Values::I32(Vec::with_capacity(rows)),
            Kind::I64 => Values::I64(Vec::with_capacity(rows)),
            Kind::F64 => Values::F64(Vec::with_capacity(rows)),
            Kind::Text => Values::Text(Vec::with_capacity(rows)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Values::I32(values) | Values::Text(values) => values.len(),
            Values::I64(values) => values.len(),
            Values::F64(values) => values.len(),
        }
    }

    /// The integers of an `I32` or `Text` column; empty for the others.
    pub(crate) fn codes(&self) -> &[i32] {
        match self {
            Values::I32(values) | Values::Text(values) => values,
            _ => &[],
        }
    }

    /// As [`Values::codes`], to be changed in place.
    pub(crate) fn codes_mut(&mut self) -> &mut [i32] {
        match self {
            Values::I32(values) | Values::Text(values) => values,
            _ => &mut [],
        }
    }

    /// The integers of an `I64` column; empty for the others.
    pub(crate) fn integers(&self) -> &[i64] {
        match self {
            Values::I64(values) => values,
            _ => &[],
        }
    }

    fn append_rows(&mut self, other: &Values, rows: Range<usize>) {
        match (self, other) {
            (Values::I32(to), Values::I32(from)) | (Values::Text(to), Values::Text(from)) => {
                to.extend_from_slice(&from[rows]);
            }
            (Values::I64(to), Values::I64(from)) => to.extend_from_slice(&from[rows]),
            (Values::F64(to), Values::F64(from)) => to.extend_from_slice(&from[rows]),
            _ => unreachable!("blocks of one table have columns of the same kinds"),
        }
    }

    fn gather(&self, order: &[usize]) -> Values {
        match self {
            Values::I32(values) => Values::I32(order.iter().map(|row| values[*row]).collect()),
            Values::Text(values) => Values::Text(order.iter().map(|row| values[*row]).collect()),
            Values::I64(values) => Values::I64(order.iter().map(|row| values[*row]).collect()),
            Values::F64(values) => Values::F64(order.iter().map(|row| values[*row]).collect()),
        }
    }

    fn compare(&self, a: usize, b: usize, words: &Words) -> Ordering {
        match self {
            Values::I32(values) => values[a].cmp(&values[b]),
            Values::Text(values) => words.compare(values[a], values[b]),
            Values::I64(values) => values[a].cmp(&values[b]),
            Values::F64(values) => values[a].total_cmp(&values[b]),
        }
    }

    /// Lends the numbers as arrow holds them, unknown ones masked: none of them may outlive `look`. Of a text column
    /// the codes come back.
    pub(super) fn with_numbers<R>(&self, look: impl FnOnce(Box<dyn Array>) -> R) -> Result<R, &[i32]> {
        match self {
            Values::I32(values) => Ok(lend(values, is_day, look)),
            Values::I64(values) => Ok(lend(values, is_integer, look)),
            Values::F64(values) => Ok(lend(values, is_number, look)),
            Values::Text(codes) => Err(codes),
        }
    }

    /// The column as polars holds it.
    fn to_column(&self, name: &'static str, words: &Words) -> Column {
        let name = PlSmallStr::from_static(name);
        match self {
            Values::I32(values) => Int32Chunked::from_iter_options(name, known(values, is_day)).into_column(),
            Values::I64(values) => {
                Int64Chunked::from_iter_options(name, known(values, is_integer)).into_column()
            }
            Values::F64(values) => {
                Float64Chunked::from_iter_options(name, known(values, is_number)).into_column()
            }
            Values::Text(codes) => {
                let texts = codes.iter().map(|code| words.get(*code));
                StringChunked::from_iter_options(name, texts).into_column()
            }
        }
    }

    /// Reads a column of a frame; its type is checked.
    fn from_column(column: &Column, kind: Kind, words: &mut Words) -> PolarsResult<Values> {
        Ok(match kind {
            Kind::I32 => Values::I32(numbers(column.i32()?.downcast_iter(), NO_DAY)),
            Kind::I64 => Values::I64(numbers(column.i64()?.downcast_iter(), NULL)),
            Kind::F64 => Values::F64(numbers(column.f64()?.downcast_iter(), f64::NAN)),
            Kind::Text => Values::Text(intern_column(column.str()?, words)),
        })
    }
}

fn is_day(value: &i32) -> bool {
    *value != NO_DAY
}

fn is_integer(value: &i64) -> bool {
    *value != NULL
}

fn is_number(value: &f64) -> bool {
    !value.is_nan()
}

/// Without a mask where nothing is unknown.
fn lend<T: NativeType, R>(
    values: &[T],
    is_known: impl Fn(&T) -> bool,
    look: impl FnOnce(Box<dyn Array>) -> R,
) -> R {
    let mask = mask_of(values.iter().map(is_known));
    Buffer::with_slice(values, |values| look(PrimitiveArray::new(T::PRIMITIVE.into(), values, mask).boxed()))
}

fn known<T: Copy>(values: &[T], is_known: impl Fn(&T) -> bool) -> impl Iterator<Item = Option<T>> {
    values.iter().map(move |value| is_known(value).then_some(*value))
}

/// Known or not, per value; null where all are known.
pub(super) fn mask_of(known: impl TrustedLen<Item = bool>) -> Option<Bitmap> {
    let mask = Bitmap::from_trusted_len_iter(known);
    (mask.unset_bits() > 0).then_some(mask)
}

fn intern_column(texts: &StringChunked, words: &mut Words) -> Vec<i32> {
    let mut codes = Vec::with_capacity(texts.len());
    for part in texts.downcast_iter() {
        // Neighbours mostly hold the same word, and few words make a column: mostly as the same view of one place in
        // memory, which is found sooner than the text behind it.
        let mut known: PlHashMap<u128, i32> = PlHashMap::default();
        let mut recent = (View::default(), words.intern(""));
        let mut code = |row: usize, view: View| {
            if view != recent.0 {
                let code = *known.entry(view.as_u128()).or_insert_with(|| words.intern(part.value(row)));
                recent = (view, code);
            }
            recent.1
        };
        let views = part.views().iter().copied().enumerate();
        match part.validity().filter(|known| known.unset_bits() > 0) {
            None => codes.extend(views.map(|(row, view)| code(row, view))),
            Some(is_known) => {
                codes.extend(views.zip(is_known).map(
                    |((row, view), is_known)| {
                        if is_known { code(row, view) } else { NO_CODE }
                    },
                ))
            }
        }
    }
    codes
}

/// Numbers in one list, `unknown` for those that are not known.
fn numbers<'a, T: NativeType>(parts: impl Iterator<Item = &'a PrimitiveArray<T>>, unknown: T) -> Vec<T> {
    let mut values: Vec<T> = Vec::new();
    for part in parts {
        let first = values.len();
        values.extend_from_slice(part.values());
        if let Some(is_known) = part.validity().filter(|known| known.unset_bits() > 0) {
            for (value, is_known) in values[first..].iter_mut().zip(is_known) {
                *value = if is_known { *value } else { unknown };
            }
        }
    }
    values
}

/// Rows of one table: its columns in order, or some of them.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) columns: Vec<Values>,
}

impl Block {
    pub(crate) fn empty(table: Table) -> Block {
        Block::with_capacity(table, 0)
    }

    /// Forgets the rows and keeps the room for as many.
    pub(crate) fn clear(&mut self) {
        for values in &mut self.columns {
            match values {
                Values::I32(values) | Values::Text(values) => values.clear(),
                Values::I64(values) => values.clear(),
                Values::F64(values) => values.clear(),
            }
        }
    }

    /// No rows, and room for some.
    pub(crate) fn with_capacity(table: Table, rows: usize) -> Block {
        let columns = table.columns().iter().map(|column| Values::with_capacity(column.kind, rows));
        Block { columns: columns.collect() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.columns.first().map_or(0, Values::len)
    }

    /// Adds some of another block's rows behind these.
    pub(crate) fn append_rows(&mut self, other: &Block, rows: Range<usize>) {
        for (to, from) in self.columns.iter_mut().zip(&other.columns) {
            to.append_rows(from, rows.clone());
        }
    }

    /// Some of the rows of a table's block.
    pub(crate) fn some_rows(&self, table: Table, rows: &[Range<usize>]) -> Block {
        let mut some = Block::with_capacity(table, rows.iter().map(Range::len).sum());
        rows.iter().for_each(|rows| some.append_rows(self, rows.clone()));
        some
    }

    /// The rows of some days.
    pub(crate) fn of_days(self, table: Table, days: Span) -> Block {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (row, _) in self.day_nos().iter().enumerate().filter(|(_, day_no)| days.contains(**day_no)) {
            match ranges.last_mut() {
                Some(last) if last.end == row => last.end += 1,
                _ => ranges.push(row..row + 1),
            }
        }
        match ranges[..] {
            [ref all] if all.len() == self.rows() => self,
            _ => self.some_rows(table, &ranges),
        }
    }

    /// Brings blocks that were read side by side, each with words of its own, to the same words.
    pub(crate) fn with_common_words(read: Vec<(Block, Words)>, words: &mut Words) -> Vec<Block> {
        let coded = read.into_iter().map(|(block, own)| (block, words.absorb(&own)));
        let coded: Vec<(Block, Vec<i32>)> = coded.collect();
        let common = coded.into_par_iter().map(|(mut block, codes)| {
            block.recode(&codes);
            block
        });
        common.collect()
    }

    /// Gives the words of all text columns the codes that stand at the places of their own.
    fn recode(&mut self, codes: &[i32]) {
        for values in &mut self.columns {
            if let Values::Text(words) = values {
                words
                    .iter_mut()
                    .filter(|code| **code != NO_CODE)
                    .for_each(|code| *code = codes[*code as usize]);
            }
        }
    }

    pub(crate) fn append(&mut self, other: &Block) {
        self.append_rows(other, 0..other.rows());
    }

    pub(crate) fn day_nos(&self) -> &[i32] {
        self.columns[Table::DAY_NO].codes()
    }

    /// Keeps the rows that lie in the given order.
    pub(crate) fn gather(&self, order: &[usize]) -> Block {
        Block { columns: self.columns.iter().map(|values| values.gather(order)).collect() }
    }

    /// The rows in the table's order.
    pub(crate) fn sorted(self, table: Table, words: &Words) -> Block {
        let mut key = vec![Table::BUCKET, Table::ASIN, Table::DAY_NO];
        key.extend(table.places_within_day());
        self.sorted_by(&key, words)
    }

    /// The rows in the order of some columns. Each column goes as soon as its values lie in order.
    pub(crate) fn sorted_by(self, key: &[usize], words: &Words) -> Block {
        if self.is_in_order(key, words) {
            return self;
        }
        let mut order: Vec<usize> = (0..self.rows()).collect();
        order.par_sort_by(|a, b| self.compare(*a, *b, key, words));
        Block { columns: self.columns.into_par_iter().map(|values| values.gather(&order)).collect() }
    }

    fn is_in_order(&self, key: &[usize], words: &Words) -> bool {
        (1..self.rows()).all(|row| self.compare(row - 1, row, key, words).is_le())
    }

    fn compare(&self, a: usize, b: usize, key: &[usize], words: &Words) -> Ordering {
        let orders = key.iter().map(|index| self.columns[*index].compare(a, b, words));
        orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// The named ones of the table's columns as a frame.
    pub(crate) fn to_frame(&self, table: Table, names: &[&str], words: &Words) -> PolarsResult<DataFrame> {
        let columns = table.columns().iter().zip(&self.columns);
        let named = columns.filter(|(column, _)| names.contains(&column.name));
        DataFrame::new(
            self.rows(),
            named.map(|(column, values)| values.to_column(column.name, words)).collect(),
        )
    }

    /// Reads the named columns out of a frame, in the order of `columns`.
    pub(crate) fn from_frame(
        frame: &DataFrame,
        columns: &[LakeColumn],
        words: &mut Words,
    ) -> PolarsResult<Block> {
        let columns: PolarsResult<Vec<Values>> = columns
            .iter()
            .map(|column| Values::from_column(frame.column(column.name)?, column.kind, words))
            .collect();
        Ok(Block { columns: columns? })
    }
}
