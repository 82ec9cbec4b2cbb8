//! Reads files of the lake: whole, some columns, or the rows of some buckets.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

use polars::prelude::*;
use rayon::prelude::*;

use super::block::{Block, Words};
use super::plan::Span;
use super::schema::{BUCKETS, LakeColumn, Table, bucket_of};
use super::write::ROW_GROUP_ROWS;
use super::{Lake, LakeError};
use crate::model::{DayRange, Marketplace, ProductKey};
use crate::store::Store;
use crate::store::lake::LakeFile;

/// One file, opened for each read.
#[derive(Clone, Debug)]
pub(crate) struct FileReader {
    path: PathBuf,
    rows: usize,
}

impl FileReader {
    pub(crate) fn new(lake: &Lake, file: &LakeFile) -> FileReader {
        FileReader { path: lake.path_of(file), rows: usize::try_from(file.rows).unwrap_or_default() }
    }

    /// Reads the columns of all rows, or of those in `rows`; row groups outside are skipped.
    pub(crate) fn read(&self, columns: &[&str], rows: Option<Range<usize>>) -> Result<DataFrame, LakeError> {
        self.read_with(ParallelStrategy::Auto, columns, rows)
    }

    fn read_with(
        &self,
        strategy: ParallelStrategy,
        columns: &[&str],
        rows: Option<Range<usize>>,
    ) -> Result<DataFrame, LakeError> {
        let file = File::open(&self.path).map_err(LakeError::open(&self.path))?;
        ParquetReader::new(file)
            .read_parallel(strategy)
            .with_columns(Some(columns.iter().map(|&name| name.to_owned()).collect()))
            .with_slice(rows.map(|rows| (rows.start, rows.len())))
            .finish()
            .map_err(LakeError::parquet(&self.path))
    }

    /// The rows of each row group.
    fn groups(&self) -> Result<Vec<Range<usize>>, LakeError> {
        let file = File::open(&self.path).map_err(LakeError::open(&self.path))?;
        let mut reader = ParquetReader::new(file);
        let metadata = reader.get_metadata().map_err(LakeError::parquet(&self.path))?;
        let mut end = 0;
        let rows = metadata.row_groups.iter().map(|group| {
            end += group.num_rows();
            end - group.num_rows()..end
        });
        Ok(rows.collect())
    }

    /// Where each bucket's rows begin, and behind them the number of rows.
    pub(crate) fn bucket_offsets(&self) -> Result<Vec<usize>, LakeError> {
        let frame = self.read(&["bucket"], None)?;
        let buckets = frame.column("bucket").and_then(|column| column.i32().cloned());
        let buckets = buckets.map_err(LakeError::parquet(&self.path))?;
        let mut counts = vec![0_usize; BUCKETS as usize];
        for bucket in buckets.iter().flatten() {
            if let Some(count) = usize::try_from(bucket).ok().and_then(|bucket| counts.get_mut(bucket)) {
                *count += 1;
            }
        }
        let mut offsets = vec![0];
        for count in counts {
            offsets.push(offsets[offsets.len() - 1] + count);
        }
        Ok(offsets)
    }

    /// Reads the columns as a block, on this thread alone: whoever wants blocks reads many files side by side.
    pub(crate) fn read_block(
        &self,
        columns: &[LakeColumn],
        rows: Option<Range<usize>>,
        words: &mut Words,
    ) -> Result<Block, LakeError> {
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        let frame = self.read_with(ParallelStrategy::None, &names, rows)?;
        Block::from_frame(&frame, columns, words).map_err(LakeError::parquet(&self.path))
    }

    /// Reads the columns of the rows of some buckets.
    pub(crate) fn read_buckets(
        &self,
        columns: &[LakeColumn],
        buckets: &Range<usize>,
        words: &mut Words,
    ) -> Result<Block, LakeError> {
        if buckets.len() == BUCKETS as usize {
            return self.read_block(columns, None, words);
        }
        let offsets = self.bucket_offsets()?;
        self.read_block(columns, Some(offsets[buckets.start]..offsets[buckets.end]), words)
    }

    /// The rows that can belong to the product: its bucket's, where the file is cut by buckets.
    fn rows_of(&self, key: ProductKey) -> Result<Option<Range<usize>>, LakeError> {
        if self.rows < ROW_GROUP_ROWS {
            return Ok(None);
        }
        let offsets = self.bucket_offsets()?;
        let bucket = bucket_of(key.marketplace.code(), key.asin.as_str()) as usize;
        Ok(Some(offsets[bucket]..offsets[bucket + 1]))
    }
}

/// Reads the rows of one marketplace's days: the named columns, or all of the table's for none named.
///
/// Rows come file by file in time order; inside a file sorted by (bucket, asin, day_no). Days without rows are
/// absent. Errors: a lake that is not this database's; a listed file that is missing or unreadable.
pub async fn read_days(
    store: &Store,
    lake: &Lake,
    table: Table,
    marketplace: Marketplace,
    range: DayRange,
    columns: &[&str],
) -> anyhow::Result<DataFrame> {
    let files = store.lake_files(table.name(), marketplace, range).await?;
    let request = Request { table, columns: named(table, columns), range, asin: None };
    read_in_background(store, lake, files, request).await
}

/// Reads the rows of one product's days, sorted by `day_no`; columns as in [`read_days`].
pub async fn read_product(
    store: &Store,
    lake: &Lake,
    table: Table,
    key: ProductKey,
    range: DayRange,
    columns: &[&str],
) -> anyhow::Result<DataFrame> {
    let files = store.lake_files(table.name(), key.marketplace, range).await?;
    let request = Request { table, columns: named(table, columns), range, asin: Some(key) };
    read_in_background(store, lake, files, request).await
}

/// The named columns of some days' rows, as [`read_days`] answers them, from files that the caller has listed.
pub(crate) fn read_columns_of_days(
    lake: &Lake,
    files: &[LakeFile],
    table: Table,
    range: DayRange,
    columns: &[&str],
) -> Result<DataFrame, LakeError> {
    read_files(lake, files, &Request { table, columns: named(table, columns), range, asin: None })
}

/// All columns of some days' rows, in the order of the files. Row groups are read side by side, and of each only the rows
/// of these days stay in memory.
pub(crate) fn read_rows_of_days(
    lake: &Lake,
    files: &[LakeFile],
    table: Table,
    days: Span,
    words: &mut Words,
) -> Result<Block, LakeError> {
    let mut groups: Vec<(FileReader, Range<usize>)> = Vec::new();
    for file in files {
        let reader = FileReader::new(lake, file);
        groups.extend(reader.groups()?.into_iter().map(|rows| (reader.clone(), rows)));
    }
    let read = groups.into_par_iter().map(|(reader, rows)| {
        let mut words = Words::default();
        let block = reader.read_block(table.columns(), Some(rows), &mut words)?;
        Ok((block.of_days(table, days), words))
    });
    let mut whole = Block::empty(table);
    for (mut block, own) in read.collect::<Result<Vec<_>, LakeError>>()? {
        block.recode(&words.absorb(&own));
        whole.append(&block);
    }
    Ok(whole)
}

struct Request {
    table: Table,
    columns: Vec<String>,
    range: DayRange,
    asin: Option<ProductKey>,
}

fn named(table: Table, columns: &[&str]) -> Vec<String> {
    if !columns.is_empty() {
        return columns.iter().map(|&name| name.to_owned()).collect();
    }
    table.schema().iter_names().map(|name| name.to_string()).collect()
}

async fn read_in_background(
    store: &Store,
    lake: &Lake,
    files: Vec<LakeFile>,
    request: Request,
) -> anyhow::Result<DataFrame> {
    if !files.is_empty() {
        lake.check_owner(store).await?;
    }
    let lake = lake.clone();
    Ok(tokio::task::spawn_blocking(move || read_files(&lake, &files, &request)).await??)
}

fn read_files(lake: &Lake, files: &[LakeFile], request: &Request) -> Result<DataFrame, LakeError> {
    let mut columns: Vec<&str> = request.columns.iter().map(String::as_str).collect();
    for needed in ["day_no", "asin"] {
        if !columns.contains(&needed) {
            columns.push(needed);
        }
    }
    let mut whole = empty_frame(request.table, &columns).map_err(LakeError::parquet(lake.root()))?;
    for file in files {
        let reader = FileReader::new(lake, file);
        let rows = request.asin.map(|key| reader.rows_of(key)).transpose()?.flatten();
        let frame = reader.read(&columns, rows)?;
        let picked = pick(frame, file, request).map_err(LakeError::parquet(&reader.path))?;
        whole.vstack_mut_owned(picked).map_err(LakeError::parquet(&reader.path))?;
    }
    whole.select(request.columns.iter().map(String::as_str)).map_err(LakeError::parquet(lake.root()))
}

/// Keeps the rows asked for.
fn pick(frame: DataFrame, file: &LakeFile, request: &Request) -> PolarsResult<DataFrame> {
    let (first, last) = (request.range.first.no(), request.range.last.no());
    let all_days = first <= file.first_day_no && file.last_day_no <= last;
    if all_days && request.asin.is_none() {
        return Ok(frame);
    }
    let wanted = request.asin.map(|key| key.asin.to_string());
    let days = frame.column("day_no")?.i32()?;
    let asins = frame.column("asin")?.str()?;
    let mask: BooleanChunked = days
        .iter()
        .zip(asins.iter())
        .map(|(day, asin)| {
            day.is_some_and(|day| first <= day && day <= last)
                && wanted.as_deref().is_none_or(|wanted| asin == Some(wanted))
        })
        .collect();
    frame.filter(&mask)
}

fn empty_frame(table: Table, columns: &[&str]) -> PolarsResult<DataFrame> {
    DataFrame::empty_with_schema(&table.schema()).select(columns.iter().copied())
}
