//! Reads files of the lake: whole, some columns, or the rows of some buckets.

use std::fs::File;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use polars::prelude::*;
use polars_parquet::parquet::metadata::RowGroupMetadata;
use polars_parquet::parquet::statistics::Statistics;
use polars_parquet::read::{FileMetadata, read_metadata};
use rayon::prelude::*;

use super::block::{Block, Words};
use super::plan::Span;
use super::schema::{BUCKETS, LakeColumn, Table, bucket_of};
use super::{Lake, LakeError};
use crate::model::{DayRange, Marketplace, ProductKey};
use crate::store::Store;
use crate::store::lake::LakeFile;

/// One file, opened for each read; its footer is parsed once.
#[derive(Clone, Debug)]
pub(crate) struct FileReader {
    path: PathBuf,
    metadata: Arc<OnceLock<FileMetadata>>,
}

impl FileReader {
    pub(crate) fn new(lake: &Lake, file: &LakeFile) -> FileReader {
        FileReader { path: lake.path_of(file), metadata: Arc::default() }
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
        let mut reader = ParquetReader::new(file)
            .read_parallel(strategy)
            .with_columns(Some(columns.iter().map(|&name| name.to_owned()).collect()));
        if let Some(rows) = rows {
            let (metadata, rows) = picked_groups(self.metadata()?, rows);
            reader.set_metadata(Arc::new(metadata));
            reader = reader.with_slice(Some((rows.start, rows.len())));
        }
        reader.finish().map_err(LakeError::parquet(&self.path))
    }

    fn metadata(&self) -> Result<&FileMetadata, LakeError> {
        if let Some(known) = self.metadata.get() {
            return Ok(known);
        }
        let mut file = File::open(&self.path).map_err(LakeError::open(&self.path))?;
        let metadata = read_metadata(&mut file).map_err(LakeError::parquet(&self.path))?;
        Ok(self.metadata.get_or_init(|| metadata))
    }

    fn groups(&self) -> Result<Vec<RowGroup>, LakeError> {
        let metadata = self.metadata()?;
        let mut end = 0;
        let groups = metadata.row_groups.iter().map(|group| {
            end += group.num_rows();
            let statistics = group
                .columns_under_root_iter("bucket")
                .and_then(|mut columns| columns.next()?.statistics(&metadata.footer_buf)?.ok());
            let buckets = match statistics {
                Some(Statistics::Int32(buckets)) => buckets.min_value.zip(buckets.max_value),
                _ => None,
            };
            let (first, last) = buckets.unwrap_or((0, BUCKETS as i32 - 1));
            RowGroup { rows: end - group.num_rows()..end, buckets: first..=last }
        });
        Ok(groups.collect())
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

    /// Where the product's rows lie: side by side. Of the row groups that can hold them only the names are looked at.
    fn rows_of(&self, key: ProductKey) -> Result<Range<usize>, LakeError> {
        let bucket = bucket_of(key.marketplace.code(), key.asin.as_str());
        let groups = self.groups()?;
        let mut groups = groups.iter().filter(|group| group.buckets.contains(&bucket));
        let Some(first) = groups.next() else { return Ok(0..0) };
        let rows = first.rows.start..groups.next_back().unwrap_or(first).rows.end;
        let names = self.read_with(ParallelStrategy::None, &["asin"], Some(rows.clone()))?;
        let names = names.column("asin").and_then(|names| names.str().cloned());
        let names = names.map_err(LakeError::parquet(&self.path))?;
        let mut own = names.iter().map(|name| name == Some(key.asin.as_str()));
        let Some(before) = own.position(|is_own| is_own) else { return Ok(0..0) };
        let first = rows.start + before;
        Ok(first..first + 1 + own.take_while(|is_own| *is_own).count())
    }
}

struct RowGroup {
    rows: Range<usize>,
    /// The buckets that it can hold.
    buckets: RangeInclusive<i32>,
}

/// What a file says of the row groups that hold some of its rows, and where the rows lie among those. Given all of them
/// polars would look into every page, to skip it.
fn picked_groups(metadata: &FileMetadata, rows: Range<usize>) -> (FileMetadata, Range<usize>) {
    let mut metadata = metadata.clone();
    let (mut end, mut before) = (0, 0);
    metadata.row_groups.retain(|group| {
        let start = end;
        end += group.num_rows();
        if end <= rows.start {
            before = end;
        }
        start < rows.end && rows.start < end
    });
    metadata.num_rows = metadata.row_groups.iter().map(RowGroupMetadata::num_rows).sum();
    let start = rows.start.saturating_sub(before);
    (metadata, start..start + rows.len())
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
        groups.extend(reader.groups()?.into_iter().map(|group| (reader.clone(), group.rows)));
    }
    let read = groups.into_par_iter().map(|(reader, rows)| {
        let mut words = Words::default();
        let block = reader.read_block(table.columns(), Some(rows), &mut words)?;
        Ok((block.of_days(table, days), words))
    });
    let read = read.collect::<Result<Vec<(Block, Words)>, LakeError>>()?;
    let mut whole = Block::empty(table);
    for block in Block::with_common_words(read, words) {
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
    if !columns.contains(&"day_no") {
        columns.push("day_no");
    }
    let read = |file: &LakeFile| {
        let reader = FileReader::new(lake, file);
        let frame = match request.asin {
            Some(key) => reader.read_with(ParallelStrategy::None, &columns, Some(reader.rows_of(key)?))?,
            None => reader.read(&columns, None)?,
        };
        pick(frame, file, request).map_err(LakeError::parquet(&reader.path))
    };
    // Whole files are read one after the other, each on all cores; a product's few rows of each side by side.
    let frames: Vec<DataFrame> = match request.asin {
        Some(_) => files.par_iter().map(read).collect::<Result<_, _>>()?,
        None => files.iter().map(read).collect::<Result<_, _>>()?,
    };
    let mut whole = empty_frame(request.table, &columns).map_err(LakeError::parquet(lake.root()))?;
    for frame in frames {
        whole.vstack_mut_owned(frame).map_err(LakeError::parquet(lake.root()))?;
    }
    whole.select(request.columns.iter().map(String::as_str)).map_err(LakeError::parquet(lake.root()))
}

/// Keeps the days asked for.
fn pick(frame: DataFrame, file: &LakeFile, request: &Request) -> PolarsResult<DataFrame> {
    let (first, last) = (request.range.first.no(), request.range.last.no());
    if first <= file.first_day_no && file.last_day_no <= last {
        return Ok(frame);
    }
    let days = frame.column("day_no")?.i32()?;
    let is_asked = days.iter().map(|day| day.is_some_and(|day| first <= day && day <= last));
    frame.filter(&is_asked.collect::<BooleanChunked>())
}

fn empty_frame(table: Table, columns: &[&str]) -> PolarsResult<DataFrame> {
    DataFrame::empty_with_schema(&table.schema()).select(columns.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};

    use super::*;
    use crate::lake::{FilePlan, LakeWriter, Span, Values};

    /// 400 products with 300 seller rows each.
    fn write(lake: &Lake) -> (LakeFile, Vec<String>) {
        let mut asins: Vec<(i32, String)> = (0..400)
            .map(|number| format!("B{number:09}"))
            .map(|asin| (bucket_of("US", &asin), asin))
            .collect();
        asins.sort();
        let mut words = Words::default();
        let seller = words.intern("S1");
        let codes: Vec<i32> = asins.iter().map(|(_, asin)| words.intern(asin)).collect();
        let of_product = |row: usize| row / 300;
        let count = 300 * asins.len();
        let rows = Block {
            columns: vec![
                Values::I32((0..count).map(|row| asins[of_product(row)].0).collect()),
                Values::Text((0..count).map(|row| codes[of_product(row)]).collect()),
                Values::I32((0..count).map(|row| 20_000 + (row % 300) as i32).collect()),
                Values::I32(vec![7; count]),
                Values::Text(vec![seller; count]),
                Values::I64((0..count).map(|row| of_product(row) as i64).collect()),
                Values::I64(vec![7; count]),
            ],
        };
        let plan = FilePlan {
            table: Table::RollupSellers,
            marketplace: Marketplace::Us,
            month: "2024-10".to_owned(),
            fresh: vec![Span { first: 20_000, last: 20_299 }],
            carried: Vec::new(),
            replaced: Vec::new(),
            compacted: true,
        };
        let mut writer = LakeWriter::create(lake, &plan, 1, 0).unwrap();
        writer.append(&rows, 0..count, &words).unwrap();
        let file = writer.finish(&words).unwrap().unwrap();
        (file, asins.into_iter().map(|(_, asin)| asin).collect())
    }

    fn read(lake: &Lake, file: &LakeFile, asin: Option<&str>) -> Result<DataFrame, LakeError> {
        let asin = asin.map(|asin| ProductKey { marketplace: Marketplace::Us, asin: asin.parse().unwrap() });
        let range = Span { first: 20_010, last: 20_299 }.days();
        let columns = ["days", "day_no"].map(str::to_owned).to_vec();
        let request = Request { table: Table::RollupSellers, columns, range, asin };
        read_files(lake, std::slice::from_ref(file), &request)
    }

    #[test]
    fn a_product_is_read_without_the_row_groups_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(folder.path());
        let (file, asins) = write(&lake);
        for place in [0, 1, 199, 398, 399] {
            let frame = read(&lake, &file, Some(&asins[place])).unwrap();
            let days: Vec<_> = frame.column("day_no").unwrap().i32().unwrap().iter().flatten().collect();
            assert_eq!(days, Vec::from_iter(20_010..20_300));
            let numbers = frame.column("days").unwrap().i64().unwrap();
            assert!(numbers.iter().all(|number| number == Some(place as i64)));
        }
        assert_eq!(read(&lake, &file, Some("B999999999")).unwrap().height(), 0, "not in the file");

        // The pages of the first row group are lost.
        let path = lake.path_of(&file);
        let mut reader = ParquetReader::new(File::open(&path).unwrap());
        let groups = &reader.get_metadata().unwrap().row_groups;
        assert_eq!(groups.len(), 3);
        let bytes = groups[0].full_byte_range();
        let mut damaged = File::options().write(true).open(&path).unwrap();
        damaged.seek(SeekFrom::Start(bytes.start)).unwrap();
        damaged.write_all(&vec![0xff; (bytes.end - bytes.start) as usize]).unwrap();
        assert!(read(&lake, &file, None).is_err() && read(&lake, &file, Some(&asins[0])).is_err());
        assert_eq!(read(&lake, &file, Some(&asins[399])).unwrap().height(), 290);
    }
}
