//! The files of a build: buckets stream through the open files of some months at a time, so that neither all
//! days nor all products lie in memory at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::thread::ScopedJoinHandle;

use rayon::prelude::*;

use super::compute::{Batch, Job, Target, Vocabulary, compute};
use super::core_files::CoreFiles;
use super::plan::{MarketPlan, MartPlan, month_ends};
use super::products::{Pass, Product};
use super::{serving, stop_if_asked};
use crate::cancel::CancelToken;
use crate::clock::Stopwatch;
use crate::lake::{
    Block, FilePlan, FileReader, Lake, LakeError, LakeWriter, Sealed, Span, Table, Words, bucket_shares,
    files_of, merge, numbers_in_folder,
};
use crate::store::lake::{LakeFile, LakeState};

/// How much lies in memory at once. What is written does not depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Months written together. Every open file holds up to a row group of rows.
    pub(super) months: usize,
    /// Daily rows loaded together.
    pub(super) pass_rows: usize,
    /// Days computed, over all products of a batch, before the files take what came of them.
    pub(super) batch_days: usize,
    /// Rows that a compaction carries over at a time.
    pub(super) carried_rows: i64,
    /// Rows of deltas read back together for the database, of days taken to be alike; about four times as many lie in
    /// memory.
    pub(super) served_rows: usize,
}

impl Default for Limits {
    /// About a gigabyte for 5,000 products; a daily build of theirs with a year behind them is one pass. The first days
    /// of a group look back over 90 days that the group before has computed: few months together would read, and slide
    /// windows over, most days twice.
    fn default() -> Self {
        Limits {
            months: 6,
            pass_rows: 1_000_000,
            batch_days: 20_000,
            carried_rows: 400_000,
            served_rows: 400_000,
        }
    }
}

impl Limits {
    /// What lies in memory whatever the limits: the program, words, and what is served in the end; of 50,000 products.
    const FIXED: u64 = 400 << 20;
    /// Row groups of a month's open files, and what their pages take on the way to the disk.
    pub(super) const PER_MONTH: u64 = 75 << 20;

    /// What a build takes that is as fast as it gets.
    const FASTEST: u64 = 1_400 << 20;

    /// Limits under which a build holds about `memory` bytes, never more than by default.
    pub(super) fn within(memory: u64) -> Limits {
        let most = Limits::default();
        if memory >= Limits::FASTEST {
            return most;
        }
        let months = memory.saturating_sub(Limits::FIXED) / Limits::PER_MONTH;
        let share = |most: usize, least: usize| {
            let part = most as u64 * memory / (1 << 30);
            usize::try_from(part).unwrap_or(most).clamp(least, most)
        };
        Limits {
            months: usize::try_from(months).unwrap_or(most.months).clamp(1, most.months),
            pass_rows: share(most.pass_rows / 4, 20_000),
            batch_days: share(most.batch_days / 4, 1_000),
            carried_rows: share(200_000, 20_000) as i64,
            served_rows: share(100_000, 20_000),
        }
    }
}

/// Months further apart than this share no group: each looks back over 90 days.
const FAR_MONTHS: i32 = 4;
/// Products of one task: enough to make its columns worth allocating.
const TASK_PRODUCTS: usize = 8;
/// Days before a computed one of which everything is read: the longest window, and the furthest previous value.
pub(super) const REACH_DAYS: i32 = 90;

/// What a build wrote; nothing of it is current before it is published.
pub(super) struct Built {
    pub(super) files: Vec<LakeFile>,
    /// In the order of the plan's.
    pub(super) markets: Vec<BuiltMarket>,
    pub(super) words: Words,
}

/// What of one marketplace may be served, in the order of the serving tables' keys.
pub(super) struct BuiltMarket {
    /// Each product's newest rollups among those computed, and their sellers.
    pub(super) rollups: Block,
    pub(super) sellers: Block,
    /// Dirty days that have rows.
    pub(super) days: BTreeSet<i32>,
    /// Rows of these days.
    pub(super) delta_rows: usize,
    pub(super) rollup_rows: usize,
}

/// Computes and writes every file of the plan.
pub(super) fn write(
    lake: &Lake,
    state: &LakeState,
    plan: &MartPlan,
    limits: Limits,
    cancel: &CancelToken,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> anyhow::Result<Built> {
    let mut words = Words::default();
    let vocabulary = Vocabulary::new(&mut words);
    let mut built = Built { files: Vec::new(), markets: Vec::new(), words: Words::default() };
    // While the disk takes the files of some months, the next ones are computed.
    built.files = std::thread::scope(|scope| {
        let mut done = Vec::new();
        let mut settling: Option<Settling<'_>> = None;
        for market in &plan.markets {
            let mut gathered = Gathered::default();
            let mut months: BTreeMap<&str, Vec<(&FilePlan, usize)>> = BTreeMap::new();
            for (file, number) in market.files.iter().zip(numbers_in_folder(&market.files)) {
                months.entry(&file.month).or_default().push((file, number));
            }
            let replaced: Vec<&LakeFile> = market.files.iter().flat_map(|file| &file.replaced).collect();
            let standing = state.files.iter().filter(|file| !replaced.contains(file));
            let standing: Vec<LakeFile> = standing.cloned().collect();
            let groups = groups(months, limits.months);
            let recent = match &groups[..] {
                [] | [_] => Recent::default(),
                _ => Recent::read(lake, market, &standing, &mut words)?,
            };
            for files in groups {
                let watch = Stopwatch::start();
                // Pasts that this build has written stand for the days before them too.
                let source: Vec<LakeFile> = standing.iter().chain(&done).cloned().collect();
                let superseded = recent.asins_of_later(&files);
                let generation = plan.generation;
                let group = Group { lake, source, market, files, generation, limits, superseded };
                let sealed = group.write(&mut words, &vocabulary, &mut gathered, cancel, progress)?;
                gathered.keep_newest();
                done.extend(settled(settling.take())?);
                let durable = scope.spawn(move || sealed.into_iter().map(Sealed::make_durable).collect());
                settling = Some((watch, durable));
            }
            built.markets.push(gathered.into_market(&words));
        }
        done.extend(settled(settling)?);
        anyhow::Ok(done)
    })?;
    built.words = words;
    Ok(built)
}

/// Products that surely have rollups in the newest months: those of earlier months need not wait in memory for what is
/// served in the end.
#[derive(Default)]
struct Recent {
    /// The first of these months.
    since: String,
    /// Codes of their words.
    asins: HashSet<i32>,
}

impl Recent {
    /// Looks at the two newest months of core whose rollups are all computed. Two days of one month are in one window.
    fn read(
        lake: &Lake,
        market: &MarketPlan,
        files: &[LakeFile],
        words: &mut Words,
    ) -> Result<Recent, LakeError> {
        let computed = |file: &&LakeFile| {
            let dirty = |span: &Span| span.contains(file.first_day_no) && span.contains(file.last_day_no);
            market.dirty.rollups.iter().any(dirty)
        };
        let mut months: BTreeMap<&str, Vec<&LakeFile>> = BTreeMap::new();
        for file in files_of(files, Table::Daily, market.marketplace).into_iter().filter(computed) {
            months.entry(&file.month).or_default().push(file);
        }
        let mut recent = Recent::default();
        for (month, files) in months.into_iter().rev().take(2) {
            let mut days: HashMap<i32, usize> = HashMap::new();
            for file in files {
                let asin = Table::Daily.columns()[Table::ASIN];
                let block = FileReader::new(lake, file).read_block(&[asin], None, words)?;
                block.columns[0].codes().iter().for_each(|asin| *days.entry(*asin).or_default() += 1);
            }
            recent.asins.extend(days.into_iter().filter(|(_, days)| *days >= 2).map(|(asin, _)| asin));
            month.clone_into(&mut recent.since);
        }
        Ok(recent)
    }

    /// The products that have rollups in later months than those of the files; null where not all are earlier.
    fn asins_of_later(&self, files: &[(&FilePlan, usize)]) -> Option<&HashSet<i32>> {
        files.iter().all(|(file, _)| file.month < self.since).then_some(&self.asins)
    }
}

/// Neighbouring months together, `most` at a time. Months far apart are not: whatever lies between the first and the last
/// day of a group is read.
fn groups<T>(months: BTreeMap<&str, Vec<T>>, most: usize) -> Vec<Vec<T>> {
    let mut groups: Vec<(Vec<T>, usize, i32)> = Vec::new();
    for (month, files) in months {
        let number = month_number(month);
        match groups.last_mut() {
            Some((group, months, last)) if *months < most && number - *last <= FAR_MONTHS => {
                group.extend(files);
                (*months, *last) = (*months + 1, number);
            }
            _ => groups.push((files, 1, number)),
        }
    }
    groups.into_iter().map(|(files, ..)| files).collect()
}

/// Months since the year 0 of a `YYYY-MM`.
fn month_number(month: &str) -> i32 {
    let (year, month) = month.split_once('-').unwrap_or_default();
    let number = |text: &str| text.parse::<i32>().unwrap_or_default();
    number(year) * 12 + number(month)
}

/// Files on their way to the disk, and since when they were in work.
type Settling<'scope> = (Stopwatch, ScopedJoinHandle<'scope, Result<Vec<LakeFile>, LakeError>>);

/// Waits for the disk.
fn settled(settling: Option<Settling<'_>>) -> anyhow::Result<Vec<LakeFile>> {
    let Some((watch, durable)) = settling else { return Ok(Vec::new()) };
    let files = durable.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    log_files(&files, watch);
    Ok(files)
}

/// One record per month of a marketplace, one per file where every step is logged.
fn log_files(files: &[LakeFile], watch: Stopwatch) {
    let duration_ms = watch.elapsed_ms();
    let mut months: BTreeMap<(&str, &str), (usize, i64)> = BTreeMap::new();
    for file in files {
        let LakeFile { table, rows, size_bytes, path, .. } = file;
        tracing::debug!(table, path, rows, size_bytes, "lake file written");
        let (files, sum) = months.entry((file.marketplace.code(), &file.month)).or_default();
        *files += 1;
        *sum += rows;
    }
    for ((marketplace, month), (files, rows)) in months {
        tracing::info!(marketplace, month, files, rows, duration_ms, "month built");
    }
}

/// What batches gave besides rows of files.
#[derive(Default)]
struct Gathered {
    rollups: Vec<Block>,
    sellers: Vec<Block>,
    days: BTreeSet<i32>,
    delta_rows: usize,
    rollup_rows: usize,
}

impl Gathered {
    fn add(&mut self, batch: Batch) {
        self.rollups.push(batch.served_rollups);
        self.sellers.push(batch.served_sellers);
        self.days.extend(batch.days);
        self.delta_rows += batch.delta_rows;
        self.rollup_rows += batch.rollup_rows;
    }

    /// Forgets rollups of which a later group of months has computed newer ones. One block is left.
    fn keep_newest(&mut self) {
        if self.rollups.len() == 1 {
            return;
        }
        let rollups = serving::newest_of_each(std::mem::take(&mut self.rollups), Table::Rollups);
        self.sellers = vec![serving::sellers_of(&rollups, std::mem::take(&mut self.sellers))];
        self.rollups = vec![rollups];
    }

    fn into_market(mut self, words: &Words) -> BuiltMarket {
        self.keep_newest();
        let in_order = |mut blocks: Vec<Block>, table: Table| {
            let rows = blocks.pop().unwrap_or_else(|| Block::empty(table));
            serving::in_key_order(rows, table, words)
        };
        BuiltMarket {
            rollups: in_order(self.rollups, Table::Rollups),
            sellers: in_order(self.sellers, Table::RollupSellers),
            days: self.days,
            delta_rows: self.delta_rows,
            rollup_rows: self.rollup_rows,
        }
    }
}

/// Some months' files of one marketplace.
struct Group<'a> {
    lake: &'a Lake,
    /// What may be read: files that stay, and those that this build has finished.
    source: Vec<LakeFile>,
    market: &'a MarketPlan,
    files: Vec<(&'a FilePlan, usize)>,
    generation: i64,
    limits: Limits,
    /// Products whose rollups of these months are not served.
    superseded: Option<&'a HashSet<i32>>,
}

impl<'a> Group<'a> {
    fn write(
        &self,
        words: &mut Words,
        vocabulary: &Vocabulary,
        gathered: &mut Gathered,
        cancel: &CancelToken,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> anyhow::Result<Vec<Sealed>> {
        let opened = self
            .files
            .iter()
            .map(|(plan, number)| OpenFile::create(self.lake, plan, self.generation, *number));
        let mut files: Vec<OpenFile> = opened.collect::<Result<_, _>>()?;
        let job = self.job();
        let mut core = job.span().map(|days| {
            let recent_from = days.first - REACH_DAYS;
            CoreFiles::new(self.lake, self.market.marketplace, &self.source, recent_from, days.last)
        });
        let passes = match &mut core {
            Some(core) => core.passes(self.limits.pass_rows)?,
            None => self.passes_of_carried(),
        };
        for buckets in passes {
            stop_if_asked(cancel)?;
            if let Some(core) = &core {
                let pass = core.load(&buckets, words)?;
                for products in pass.products.chunks(self.products_at_once(&job)) {
                    let batches = compute_batches(&pass, products, &job, words, vocabulary);
                    take_batches(&mut files, &batches, words)?;
                    progress(batches.iter().map(|batch| batch.computed_rows as u64).sum());
                    batches.into_iter().for_each(|batch| gathered.add(batch));
                }
            }
            for file in &mut files {
                file.carry(&buckets, words)?;
            }
        }
        let words = &*words;
        let sealed: Vec<Option<Sealed>> =
            files.into_par_iter().map(|file| file.writer.seal(words)).collect::<Result<_, LakeError>>()?;
        Ok(sealed.into_iter().flatten().collect())
    }

    fn job(&self) -> Job<'a> {
        let targets: Vec<Target> = self
            .files
            .iter()
            .map(|(plan, _)| Target { table: plan.table, spans: plan.fresh.clone() })
            .collect();
        let days_of = |tables: &[Table]| {
            let targets = targets.iter().filter(|target| tables.contains(&target.table));
            merge(targets.flat_map(|target| target.spans.clone()).collect())
        };
        let past = days_of(&Table::PAST).into_iter();
        let over = |span: Span| Span { first: span.first, last: span.last.min(self.market.newest) };
        Job {
            deltas: days_of(&[Table::Deltas]),
            rollups: days_of(&[Table::Rollups, Table::RollupSellers]),
            past_ends: past.flat_map(|span| month_ends(over(span))).collect(),
            dirty: self.market.dirty.clone(),
            targets,
            superseded: self.superseded,
        }
    }

    fn products_at_once(&self, job: &Job<'_>) -> usize {
        (self.limits.batch_days / job.days().max(1)).max(TASK_PRODUCTS)
    }

    /// Equal shares of the buckets, few enough rows in each.
    fn passes_of_carried(&self) -> Vec<Range<usize>> {
        let rows: i64 = self.files.iter().flat_map(|(plan, _)| &plan.carried).map(|file| file.rows).sum();
        bucket_shares(usize::try_from(rows / self.limits.carried_rows).unwrap_or_default() + 1).collect()
    }
}

fn compute_batches(
    pass: &Pass,
    products: &[Product],
    job: &Job<'_>,
    words: &Words,
    vocabulary: &Vocabulary,
) -> Vec<Batch> {
    products
        .par_chunks(TASK_PRODUCTS)
        .map(|products| compute(pass, products, job, words, vocabulary))
        .collect()
}

/// Every file takes its rows of all batches, in order; files are independent of each other.
fn take_batches(files: &mut [OpenFile], batches: &[Batch], words: &Words) -> Result<(), LakeError> {
    files.par_iter_mut().enumerate().try_for_each(|(index, file)| {
        batches.iter().try_for_each(|batch| {
            let (block, rows) = batch.rows_of(index);
            rows.iter().try_for_each(|rows| file.take(block, rows.clone(), words))
        })
    })
}

/// A file being written, and what it takes over from older ones.
struct OpenFile {
    table: Table,
    writer: LakeWriter,
    carried: Vec<FileReader>,
    /// Computed rows that wait for carried rows of the same buckets; unused where nothing is carried.
    waiting: Block,
}

impl OpenFile {
    fn create(lake: &Lake, plan: &FilePlan, generation: i64, number: usize) -> Result<OpenFile, LakeError> {
        Ok(OpenFile {
            table: plan.table,
            writer: LakeWriter::create(lake, plan, generation, number)?,
            carried: plan.carried.iter().map(|file| FileReader::new(lake, file)).collect(),
            waiting: Block::empty(plan.table),
        })
    }

    fn take(&mut self, block: &Block, rows: Range<usize>, words: &Words) -> Result<(), LakeError> {
        if self.carried.is_empty() {
            return self.writer.append(block, rows, words);
        }
        self.waiting.append_rows(block, rows);
        Ok(())
    }

    /// Adds the carried rows of a bucket range to the computed ones.
    fn carry(&mut self, buckets: &Range<usize>, words: &mut Words) -> Result<(), LakeError> {
        if self.carried.is_empty() {
            return Ok(());
        }
        let mut rows = std::mem::replace(&mut self.waiting, Block::empty(self.table));
        for file in &self.carried {
            rows.append(&file.read_buckets(self.table.columns(), buckets, words)?);
        }
        let rows = rows.sorted(self.table, words);
        self.writer.append(&rows, 0..rows.rows(), words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_far_apart_are_not_read_over() {
        let months = ["2016-01", "2016-02", "2016-04", "2025-12", "2026-03", "2026-04"];
        let planned = || months.iter().map(|month| (*month, vec![*month])).collect();
        assert_eq!(groups(planned(), 6), [&months[..3], &months[3..]]);
        assert_eq!(groups(planned(), 2), [&months[..2], &months[2..3], &months[3..5], &months[5..]]);
    }

    #[test]
    fn less_memory_never_means_more_and_much_means_what_is_fastest() {
        let of = |memory: u64| {
            let Limits { months, pass_rows, batch_days, carried_rows, served_rows } =
                Limits::within(memory << 20);
            [months, pass_rows, batch_days, carried_rows as usize, served_rows]
        };
        let steps: Vec<[usize; 5]> = [1, 256, 512, 1_024, 1_400, 64_000].map(of).to_vec();
        assert!(steps.windows(2).all(|pair| pair[0].iter().zip(&pair[1]).all(|(less, more)| less <= more)));
        assert_eq!((steps[0][0], steps[4]), (1, [6, 1_000_000, 20_000, 400_000, 400_000]));
    }
}
