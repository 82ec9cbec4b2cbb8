//! Writes one file of the lake: rows in the table's order, row groups cut at bucket edges, durable, then renamed.
//!
//! The bytes depend on the rows alone: not on how many calls brought them, nor on what lay in memory before.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use polars::io::parquet::write::BatchedWriter;
use polars::prelude::*;
use sha2::{Digest, Sha256};

use super::block::{Block, Words};
use super::encode;
use super::plan::FilePlan;
use super::schema::Table;
use super::{Lake, LakeError};
use crate::failpoint;
use crate::ids::hex;
use crate::store::lake::LakeFile;

/// A row group ends at the first bucket edge after this many rows, so smaller files have one.
pub(crate) const ROW_GROUP_ROWS: usize = 50_000;

/// What is written is hashed on its way.
struct Sink {
    file: BufWriter<File>,
    hasher: Sha256,
    bytes: u64,
    /// What the system said when a write failed: the parquet writer keeps only its words.
    failure: Option<io::Error>,
}

impl Sink {
    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.failure = Some(io::Error::new(error.kind(), error.to_string()));
        }
        result
    }
}

/// The parquet writer owns its output; this end stays with us.
#[derive(Clone)]
struct SharedSink(Arc<Mutex<Sink>>);

impl Write for SharedSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = sink.file.write(bytes);
        let written = sink.noted(written)?;
        sink.hasher.update(&bytes[..written]);
        sink.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = sink.file.flush();
        sink.noted(flushed)
    }
}

/// The name of a file that is not whole yet; the file goes away with it, unless it was given its own name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What was renamed is not there any more; a leftover is only untidy, and vacuum finds it.
        let _ = fs::remove_file(&self.0);
    }
}

/// A file being written under a temporary name. Rows come in the table's order, in any portions.
pub(crate) struct LakeWriter {
    file: LakeFile,
    path: PathBuf,
    temporary: Temporary,
    sink: SharedSink,
    writer: BatchedWriter<SharedSink>,
    pending: Block,
}

impl LakeWriter {
    /// Begins the file `number` of its folder in the generation.
    pub(crate) fn create(
        lake: &Lake,
        plan: &FilePlan,
        generation: i64,
        number: usize,
    ) -> Result<LakeWriter, LakeError> {
        let name = format!("g{generation:08}-{number:05}.parquet");
        let folder =
            format!("{}/marketplace={}/month={}", plan.table.name(), plan.marketplace.code(), plan.month);
        let path = lake.root().join(&folder).join(&name);
        let temporary = Temporary(path.with_file_name(format!(".{name}.tmp")));
        let opened = fs::create_dir_all(lake.root().join(&folder)).and_then(|()| File::create(&temporary.0));
        let file = opened.map_err(LakeError::io(&temporary.0))?;
        let sink = SharedSink(Arc::new(Mutex::new(Sink {
            file: BufWriter::with_capacity(1 << 16, file),
            hasher: Sha256::new(),
            bytes: 0,
            failure: None,
        })));
        let writer = ParquetWriter::new(sink.clone())
            .batched(&plan.table.schema())
            .map_err(LakeError::parquet(&path))?;
        let file = LakeFile {
            table: plan.table.name().to_owned(),
            marketplace: plan.marketplace,
            month: plan.month.clone(),
            path: format!("{folder}/{name}"),
            generation,
            first_day_no: i32::MAX,
            last_day_no: i32::MIN,
            compacted: plan.compacted,
            rows: 0,
            size_bytes: 0,
            sha256: String::new(),
        };
        Ok(LakeWriter { file, path, temporary, sink, writer, pending: Block::empty(plan.table) })
    }

    /// Adds some of a block's rows behind those added before.
    pub(crate) fn append(
        &mut self,
        block: &Block,
        rows: Range<usize>,
        words: &Words,
    ) -> Result<(), LakeError> {
        for day_no in &block.day_nos()[rows.clone()] {
            self.file.first_day_no = self.file.first_day_no.min(*day_no);
            self.file.last_day_no = self.file.last_day_no.max(*day_no);
        }
        let mut start = rows.start;
        for run in block.columns[Table::BUCKET].codes()[rows].chunk_by(|a, b| a == b) {
            let last = self.pending.columns[Table::BUCKET].codes().last().copied();
            if self.pending.rows() >= ROW_GROUP_ROWS && last != run.first().copied() {
                self.write_pending(words)?;
            }
            self.pending.append_rows(block, start..start + run.len());
            start += run.len();
        }
        Ok(())
    }

    /// Ends a row group. Its room is that of the next one, which is about as large.
    fn write_pending(&mut self, words: &Words) -> Result<(), LakeError> {
        let rows = self.pending.rows();
        self.file.rows += rows as i64;
        let partition = [self.file.marketplace.code(), &self.file.month];
        let types = self.writer.parquet_schema().fields().to_vec();
        let pages = encode::pages(&self.pending, partition, &types, words);
        let pages = pages.map_err(LakeError::parquet(&self.path))?;
        self.pending.clear();
        self.writer.write_row_group(rows as u64, &pages).map_err(|error| self.failed(error))
    }

    /// Why the parquet writer gave up.
    fn failed(&self, error: PolarsError) -> LakeError {
        let failure = self.sink.0.lock().unwrap_or_else(PoisonError::into_inner).failure.take();
        match failure {
            Some(source) => LakeError::io(&self.temporary.0)(source),
            None => LakeError::parquet(&self.path)(error),
        }
    }

    /// Ends the file. Null, and no file, when there were no rows.
    pub(crate) fn seal(mut self, words: &Words) -> Result<Option<Sealed>, LakeError> {
        if self.pending.rows() > 0 {
            self.write_pending(words)?;
        }
        if self.file.rows == 0 {
            return Ok(None);
        }
        self.writer.finish().map_err(|error| self.failed(error))?;
        let LakeWriter { file, path, temporary, sink, .. } = self;
        Ok(Some(Sealed { file, path, temporary, sink }))
    }

    /// Ends the file, makes it durable and gives it its name. Null, and no file, when there were no rows.
    pub(crate) fn finish(self, words: &Words) -> Result<Option<LakeFile>, LakeError> {
        self.seal(words)?.map(Sealed::make_durable).transpose()
    }
}

/// A file that is whole, but not yet safe from a loss of power, nor under its name.
pub(crate) struct Sealed {
    file: LakeFile,
    path: PathBuf,
    temporary: Temporary,
    sink: SharedSink,
}

impl Sealed {
    /// Waits until the disk holds the file, and gives it its name.
    pub(crate) fn make_durable(mut self) -> Result<LakeFile, LakeError> {
        {
            let mut sink = self.sink.0.lock().unwrap_or_else(PoisonError::into_inner);
            let durable = sink.file.flush().and_then(|()| sink.file.get_ref().sync_all());
            durable.map_err(LakeError::io(&self.temporary.0))?;
            self.file.size_bytes = sink.bytes as i64;
            self.file.sha256 = hex(&std::mem::take(&mut sink.hasher).finalize());
        }
        failpoint!("lake.before_rename");
        fs::rename(&self.temporary.0, &self.path).map_err(LakeError::io(&self.path))?;
        failpoint!("lake.after_rename");
        Ok(self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::Values;
    use crate::lake::plan::Span;
    use crate::lake::read::FileReader;
    use crate::model::Marketplace;

    /// Seller rows of 40 buckets with 3,000 rows each.
    fn rows(words: &mut Words) -> Block {
        let count = 120_000;
        let asins: Vec<i32> = (0..40).map(|bucket| words.intern(&format!("B{bucket:09}"))).collect();
        let seller = words.intern("S1");
        let bucket = |row: usize| row / 3_000;
        Block {
            columns: vec![
                Values::I32((0..count).map(|row| bucket(row) as i32).collect()),
                Values::Text((0..count).map(|row| asins[bucket(row)]).collect()),
                Values::I32((0..count).map(|row| 20_000 + (row % 3_000 / 100) as i32).collect()),
                Values::I32(vec![7; count]),
                Values::Text(vec![seller; count]),
                Values::I64((0..count).map(|row| row as i64 % 7).collect()),
                Values::I64(vec![7; count]),
            ],
        }
    }

    fn write(lake: &Lake, portion: usize) -> LakeFile {
        let mut words = Words::default();
        // What lies in memory before must not show.
        words.intern(&"x".repeat(portion));
        let rows = rows(&mut words);
        let plan = FilePlan {
            table: Table::RollupSellers,
            marketplace: Marketplace::Us,
            month: "2024-10".to_owned(),
            fresh: vec![Span { first: 20_000, last: 20_029 }],
            carried: Vec::new(),
            replaced: Vec::new(),
            compacted: true,
        };
        let mut writer = LakeWriter::create(lake, &plan, 1, portion).unwrap();
        for start in (0..rows.rows()).step_by(portion) {
            writer.append(&rows, start..(start + portion).min(rows.rows()), &words).unwrap();
        }
        writer.finish(&words).unwrap().unwrap()
    }

    #[test]
    fn a_large_file_is_cut_at_bucket_edges_whatever_portions_its_rows_came_in() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(folder.path());
        let (at_once, in_portions) = (write(&lake, 200_000), write(&lake, 777));
        assert_eq!(at_once.sha256, in_portions.sha256);
        assert_eq!((at_once.rows, at_once.first_day_no, at_once.last_day_no), (120_000, 20_000, 20_029));
        assert!(
            at_once.path.ends_with("rollup_sellers/marketplace=US/month=2024-10/g00000001-200000.parquet")
        );

        let mut reader = ParquetReader::new(File::open(lake.path_of(&at_once)).unwrap());
        let groups: Vec<usize> =
            reader.get_metadata().unwrap().row_groups.iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [51_000, 51_000, 18_000], "whole buckets, at least 50,000 rows but in the last");

        let reader = FileReader::new(&lake, &at_once);
        let frame = reader.read(&["bucket", "asin"], Some(51_000..54_000)).unwrap();
        let buckets = frame.column("bucket").unwrap().i32().unwrap();
        assert!(frame.height() == 3_000 && buckets.iter().all(|bucket| bucket == Some(17)));
        assert_eq!(reader.bucket_offsets().unwrap()[17], 51_000);
    }
}
