//! Core into the lake: reads the days of the database that changed since the last sync, writes their files, and
//! publishes the new list with the mark in one transaction. A second sync finds nothing to do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use serde::Serialize;

use super::block::{Block, Values, Words};
use super::plan::{FilePlan, Span, merge, plan_table};
use super::read::FileReader;
use super::schema::{BUCKETS, Table, bucket_of, bucket_shares};
use super::vacuum::retire;
use super::verify::check_file;
use super::write::LakeWriter;
use super::{Lake, LakeError};
use crate::clock::Stopwatch;
use crate::failpoint;
use crate::model::{Day, DayRange, Marketplace};
use crate::store::lake::{
    DAILY_EXPORT, ExportColumn, ExportRows, FileSwap, LakeFile, LakeState, RANK_EXPORT,
};
use crate::store::{self, Store};

/// What a sync will write.
#[derive(Clone, Debug)]
pub struct SyncPlan {
    pub(crate) files: Vec<FilePlan>,
    /// Days that changed in the database.
    pub changed_days: usize,
    /// Listed files that are missing or cut off; their days are written again.
    pub damaged: Vec<LakeFile>,
    generation: i64,
    until: i64,
    exported_seq: i64,
}

/// What a sync wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncSummary {
    pub changed_days: usize,
    pub files_written: usize,
    pub rows_written: i64,
}

/// Finds out what changed since the last sync; `compact` makes one file of every month, `thorough` also reads every
/// core file to see that it has the content that was written, `known` are listed files that have not.
pub(crate) async fn plan_sync(
    store: &Store,
    lake: &Lake,
    state: &LakeState,
    compact: bool,
    thorough: bool,
    known: &[LakeFile],
) -> anyhow::Result<SyncPlan> {
    let until = state.changed_seq;
    let changed = store.changed_days(state.exported_seq, until).await?;
    let damaged = damaged_files(lake, &state.files, thorough, known).await?;

    let mut spans: BTreeMap<Marketplace, Vec<Span>> = BTreeMap::new();
    for (marketplace, day) in &changed {
        spans.entry(*marketplace).or_default().push(Span { first: day.no(), last: day.no() });
    }
    let listed = state.files.iter().map(|file| file.marketplace);
    let marketplaces: BTreeSet<Marketplace> = spans.keys().copied().chain(listed).collect();

    let mut files = Vec::new();
    for marketplace in marketplaces {
        let last = store.newest_day(Some(marketplace)).await?;
        let spans = merge(spans.remove(&marketplace).unwrap_or_default());
        for table in Table::CORE {
            let current = files_of(&state.files, table, marketplace);
            files.extend(plan_table(table, marketplace, &current, &damaged, &spans, last, compact));
        }
    }
    Ok(SyncPlan {
        files,
        changed_days: changed.len(),
        damaged,
        generation: state.generation + 1,
        until,
        exported_seq: state.exported_seq,
    })
}

async fn damaged_files(
    lake: &Lake,
    files: &[LakeFile],
    thorough: bool,
    known: &[LakeFile],
) -> anyhow::Result<Vec<LakeFile>> {
    let (lake, files, known) = (lake.clone(), files.to_vec(), known.to_vec());
    let is_damaged = move |file: &LakeFile| {
        !lake.is_whole(file)
            || known.contains(file)
            || thorough && Table::any_has(&Table::CORE, file) && check_file(&lake, file).is_some()
    };
    Ok(tokio::task::spawn_blocking(move || files.into_iter().filter(is_damaged).collect()).await?)
}

/// The files of one table and marketplace.
pub(crate) fn files_of(files: &[LakeFile], table: Table, marketplace: Marketplace) -> Vec<&LakeFile> {
    files.iter().filter(|file| file.table == table.name() && file.marketplace == marketplace).collect()
}

/// What a row of core takes in memory while its file is written: as it was loaded, sorted, and as pages.
pub(crate) const BYTES_PER_SYNCED_ROW: u64 = 700;

/// Writes what was planned and publishes it. A file of more than `rows_at_once` rows is written in several passes over
/// its days, each with some of the buckets.
pub(crate) async fn sync(
    store: &Store,
    lake: &Lake,
    plan: &SyncPlan,
    rows_at_once: usize,
    now: SystemTime,
) -> anyhow::Result<SyncSummary> {
    let mut summary = SyncSummary { changed_days: plan.changed_days, ..SyncSummary::default() };
    if plan.files.is_empty() && plan.until == plan.exported_seq {
        return Ok(summary);
    }
    let watch = Stopwatch::start();
    let mut swap = FileSwap { generation: plan.generation, ..FileSwap::default() };
    let mut writing = None;
    for (file, number) in plan.files.iter().zip(numbers_in_folder(&plan.files)) {
        swap.removed.extend(file.replaced.iter().cloned());
        let passes = bucket_passes(store, file, rows_at_once).await?;
        if passes > 1 {
            finish_writing(writing.take(), &mut swap).await?;
            let writer = LakeWriter::create(lake, file, plan.generation, number)?;
            swap.added.extend(write_in_passes(store, lake, file, writer, passes).await?);
            continue;
        }
        // The database is read for the next file while the last one is written.
        let rows = load_fresh(store, file).await?;
        finish_writing(writing.take(), &mut swap).await?;
        let (lake, file, generation) = (lake.clone(), file.clone(), plan.generation);
        writing =
            Some(tokio::task::spawn_blocking(move || write_file(&lake, &file, generation, number, rows)));
    }
    finish_writing(writing, &mut swap).await?;
    lake.sync_folders(&swap.added)?;
    failpoint!("lake.after_write");

    summary.files_written = swap.added.len();
    summary.rows_written = swap.added.iter().map(|file| file.rows).sum();
    failpoint!("lake.before_publish");
    store.publish_core(&swap, plan.until).await?;
    retire(lake, &swap.removed, now);
    failpoint!("lake.after_publish");
    for LakeFile { table, path, rows, size_bytes, .. } in &swap.added {
        tracing::debug!(table, path, rows, size_bytes, "lake file written");
    }
    let SyncSummary { changed_days, files_written: files, rows_written: rows } = summary;
    tracing::info!(
        changed_days,
        files,
        rows,
        duration_ms = watch.elapsed_ms(),
        "changed days moved to the lake"
    );
    Ok(summary)
}

/// The place of each file among those of its folder.
pub(crate) fn numbers_in_folder(plans: &[FilePlan]) -> Vec<usize> {
    let mut taken: HashMap<(Table, Marketplace, &str), usize> = HashMap::new();
    plans
        .iter()
        .map(|plan| {
            let next = taken.entry((plan.table, plan.marketplace, &plan.month)).or_default();
            *next += 1;
            *next - 1
        })
        .collect()
}

type Writing = tokio::task::JoinHandle<Result<Option<LakeFile>, LakeError>>;

async fn finish_writing(writing: Option<Writing>, swap: &mut FileSwap) -> anyhow::Result<()> {
    if let Some(writing) = writing {
        swap.added.extend(writing.await??);
    }
    Ok(())
}

async fn load_fresh(store: &Store, plan: &FilePlan) -> anyhow::Result<(Block, Words)> {
    let mut words = Words::default();
    let mut fresh = Block::empty(plan.table);
    for span in &plan.fresh {
        let rows = load_block(store, plan.table, plan.marketplace, *span, &mut words).await?;
        fresh.append(&rows);
    }
    Ok((fresh, words))
}

/// The database's rows of a core table as the lake holds them, in no particular order.
pub(super) async fn load_block(
    store: &Store,
    table: Table,
    marketplace: Marketplace,
    span: Span,
    words: &mut Words,
) -> store::Result<Block> {
    let export = if table == Table::Ranks { &RANK_EXPORT } else { &DAILY_EXPORT };
    let range = DayRange { first: Day::from_no(span.first), last: Day::from_no(span.last) };
    let rows = store.load_export(export, marketplace, range, &mut |word| words.intern(word)).await?;
    Ok(block_of(marketplace, rows, words))
}

/// Into how many parts a file's rows must be divided so that each has `rows_at_once` rows at most, going by the rows of
/// some of its days.
async fn bucket_passes(store: &Store, plan: &FilePlan, rows_at_once: usize) -> store::Result<usize> {
    let days: Vec<i32> = plan.fresh.iter().flat_map(|span| span.first..=span.last).collect();
    let mut most = 0;
    let some: BTreeSet<&i32> =
        [days.first(), days.get(days.len() / 2), days.last()].into_iter().flatten().collect();
    for day in some {
        most = most.max(store.count_rows(plan.marketplace, Day::from_no(*day)).await?);
    }
    let carried: i64 = plan.carried.iter().map(|file| file.rows).sum();
    // A day's two ranks take less than its one daily row.
    let rows = most * days.len() + usize::try_from(carried).unwrap_or_default();
    Ok(rows.div_ceil(rows_at_once.max(1)).clamp(1, BUCKETS as usize))
}

/// Writes a file's rows bucket range by bucket range, reading its days again for each.
async fn write_in_passes(
    store: &Store,
    lake: &Lake,
    plan: &FilePlan,
    mut writer: LakeWriter,
    passes: usize,
) -> anyhow::Result<Option<LakeFile>> {
    let mut words = Words::default();
    for buckets in bucket_shares(passes) {
        let mut rows = Block::empty(plan.table);
        for day in plan.fresh.iter().flat_map(|span| span.first..=span.last) {
            let span = Span { first: day, last: day };
            let of_day = load_block(store, plan.table, plan.marketplace, span, &mut words).await?;
            for (row, bucket) in of_day.columns[Table::BUCKET].codes().iter().enumerate() {
                if buckets.contains(&(*bucket as usize)) {
                    rows.append_rows(&of_day, row..row + 1);
                }
            }
        }
        let (carried, lake, table) = (plan.carried.clone(), lake.clone(), plan.table);
        let written = tokio::task::spawn_blocking(move || {
            for file in &carried {
                let reader = FileReader::new(&lake, file);
                rows.append(&reader.read_buckets(table.columns(), &buckets, &mut words)?);
            }
            let rows = rows.sorted(table, &words);
            writer.append(&rows, 0..rows.rows(), &words)?;
            Ok::<_, LakeError>((writer, words))
        });
        (writer, words) = written.await??;
    }
    Ok(tokio::task::spawn_blocking(move || writer.finish(&words)).await??)
}

fn block_of(marketplace: Marketplace, rows: ExportRows, words: &Words) -> Block {
    let mut buckets: HashMap<i32, i32> = HashMap::new();
    let bucket = rows
        .asin
        .iter()
        .map(|asin| {
            *buckets
                .entry(*asin)
                .or_insert_with(|| bucket_of(marketplace.code(), words.get(*asin).unwrap_or_default()))
        })
        .collect();
    let mut columns = vec![Values::I32(bucket), Values::Text(rows.asin), Values::I32(rows.day_no)];
    columns.extend(rows.columns.into_iter().map(|column| match column {
        ExportColumn::Ints(values) => Values::I64(values),
        ExportColumn::Codes(codes) => Values::Text(codes),
    }));
    Block { columns }
}

fn write_file(
    lake: &Lake,
    plan: &FilePlan,
    generation: i64,
    number: usize,
    (mut rows, mut words): (Block, Words),
) -> Result<Option<LakeFile>, LakeError> {
    for carried in &plan.carried {
        let carried = FileReader::new(lake, carried).read_block(plan.table.columns(), None, &mut words)?;
        rows.append(&carried);
    }
    let rows = rows.sorted(plan.table, &words);
    let mut writer = LakeWriter::create(lake, plan, generation, number)?;
    writer.append(&rows, 0..rows.rows(), &words)?;
    writer.finish(&words)
}
