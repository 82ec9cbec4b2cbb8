//! Ingest: files -> staging_raw.
//!
//! Reads files and standard input. Writes raw bodies, receipts and the quarantine rows of what is no record. One
//! unit of work is a batch of a file's records together with the file's checkpoint. A second run with the same
//! file and time lands nothing; one that was killed goes on at the checkpoint.

mod batch;
mod reader;
mod summary;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use crate::cancel::CancelToken;
use crate::clock::{Clock, Stopwatch};
use crate::failpoint;
use crate::ids::stable_id;
use crate::ingest::{
    self, DEFAULT_OUTPUT_CAP, FileIdentity, Found, Limits, PathDay, Refusal, Spool, Spooled, day_in_path,
};
use crate::model::{Marketplace, ReportingZone, Timestamp};
use crate::store::Store;
use crate::store::raw::{Checkpoint, FileRead, RawBatch, RawEffect, ReadState};
use batch::{Given, Prepared, problem_row};
use reader::{Message, ReadPlan};

pub use summary::{FileReport, FileStatus, ProblemReport, Summary};

/// Refused because nobody says when its records were true: the operator's mistake, not the file's.
const NO_TIME: &str = "no_time";
/// Refused because the system does not let it be read.
const UNREADABLE: &str = "unreadable";

#[derive(Clone, Debug)]
pub struct Options {
    pub run_id: String,
    pub inputs: Vec<Found>,
    /// When the files' content was true; null: a date in the path, or the records' own time.
    pub captured_at: Option<Timestamp>,
    /// Of records that name none.
    pub marketplace: Option<Marketplace>,
    /// Instead of what is recognised.
    pub source: Option<String>,
    pub kind: Option<String>,
    pub zone: ReportingZone,
    /// Bytes that one compressed file may expand to.
    pub output_cap: u64,
    pub limits: Limits,
    pub batch: BatchSize,
    /// Percent of the records that may be rejected before the run counts as partly failed.
    pub tolerate_failed_pct: f64,
    /// Read everything, write nothing.
    pub dry_run: bool,
}

impl Options {
    /// The usual limits, nothing overridden.
    pub fn new(run_id: String, inputs: Vec<Found>, zone: ReportingZone) -> Options {
        Options {
            run_id,
            inputs,
            captured_at: None,
            marketplace: None,
            source: None,
            kind: None,
            zone,
            output_cap: DEFAULT_OUTPUT_CAP,
            limits: Limits::default(),
            batch: BatchSize::default(),
            tolerate_failed_pct: 0.0,
            dry_run: false,
        }
    }
}

/// What one transaction holds at most; whichever is reached first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchSize {
    pub records: usize,
    pub bytes: usize,
}

impl Default for BatchSize {
    fn default() -> BatchSize {
        BatchSize { records: 500, bytes: 8 << 20 }
    }
}

/// Reads the inputs one after the other; `progress` is told how many more bytes were taken from the disk.
///
/// A file that cannot be read is reported and the others go on. Errors: the database, the spool's disk.
#[tracing::instrument(name = "stage", level = "error", skip_all, fields(operation = "ingest"))]
pub async fn run(
    store: &Store,
    clock: Clock,
    cancel: &CancelToken,
    progress: &(dyn Fn(u64) + Send + Sync),
    options: &Options,
) -> anyhow::Result<Summary> {
    let mut ingest = Ingest { store, clock, cancel, progress, options, previewed: HashMap::new() };
    let mut summary = Summary { dry_run: options.dry_run, ..Summary::default() };
    summary.tolerate_failed_pct = options.tolerate_failed_pct;
    let whole = Stopwatch::start();
    for (index, input) in options.inputs.iter().enumerate() {
        if cancel.is_cancelled() {
            summary.cancelled = true;
            break;
        }
        let watch = Stopwatch::start();
        let report = ingest.input(index, input).await?;
        log_file(&report, watch);
        summary.cancelled |= report.status == FileStatus::Interrupted;
        summary.add(report);
    }
    let Summary { inputs: files, records, landed, rejected, refused, .. } = summary;
    let duration_ms = whole.elapsed_ms();
    tracing::info!(files, records, landed, rejected, refused, duration_ms, "files ingested");
    Ok(summary)
}

fn log_file(report: &FileReport, watch: Stopwatch) {
    let &FileReport { records, landed, rejected, refusal, .. } = report;
    let (path, status, duration_ms) = (report.path.as_str(), report.status.as_str(), watch.elapsed_ms());
    match report.status {
        FileStatus::Refused => {
            tracing::warn!(path, reason = refusal, duration_ms, "file refused");
        }
        FileStatus::Broken | FileStatus::Changed => {
            tracing::warn!(
                path,
                status,
                records,
                landed,
                rejected,
                duration_ms,
                "file read as far as possible"
            );
        }
        _ => tracing::info!(path, status, records, landed, rejected, duration_ms, "file done"),
    }
    if report.new_problems > 0 {
        tracing::warn!(path, quarantined = report.new_problems, "records new in quarantine");
    }
}

struct Ingest<'a> {
    store: &'a Store,
    clock: Clock,
    cancel: &'a CancelToken,
    progress: &'a (dyn Fn(u64) + Send + Sync),
    options: &'a Options,
    /// Dry run only: the receipts that would have landed, and from which input.
    previewed: HashMap<u64, usize>,
}

/// A file that is being read.
struct Reading {
    index: usize,
    path: PathBuf,
    identity: FileIdentity,
    given: Given,
    read: FileRead,
    checkpoint: Checkpoint,
    report: FileReport,
}

impl Ingest<'_> {
    /// Reads one input to its end, or to a request to stop; standard input and pipes become a file first.
    async fn input(&mut self, index: usize, input: &Found) -> anyhow::Result<FileReport> {
        let spool = Spool::beside(self.store.location().beside());
        let (path, shown, spooled) = match input {
            Found::File(path) if path.is_file() => {
                // Left by a run that did not end: it is done with when it has been read.
                let leftover = spool.holds(path).then(|| Spooled { path: path.clone() });
                (path.clone(), path.display().to_string(), leftover)
            }
            Found::File(path) => match spool_stream(spool, Some(path.clone())).await {
                Ok(spooled) => (spooled.path.clone(), path.display().to_string(), Some(spooled)),
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                    return Err(error).context(format!("failed to keep {}", path.display()));
                }
                Err(error) => return Ok(FileReport::refused(path.display().to_string(), unreadable(&error))),
            },
            Found::Stdin => {
                let spooled = spool_stream(spool, None).await.context("failed to keep standard input")?;
                (spooled.path.clone(), "-".to_owned(), Some(spooled))
            }
        };
        failpoint!("ingest.before_file");
        let report = self.file(index, path, shown).await?;
        failpoint!("ingest.after_file");
        if let Some(spooled) = spooled {
            if report.status == FileStatus::Interrupted && !self.options.dry_run {
                return Ok(report.kept_at(&spooled.path));
            }
            spooled.remove().context("failed to remove the copy of standard input")?;
        }
        Ok(report)
    }

    async fn file(&mut self, index: usize, path: PathBuf, shown: String) -> anyhow::Result<FileReport> {
        let to_hash = path.clone();
        let identity = match spawn_blocking(move || ingest::identify(&to_hash)).await? {
            Ok(identity) => identity,
            Err(error) => return Ok(FileReport::refused(shown, unreadable(&error.source))),
        };
        let captured = self.captured_at(&shown);
        let given = Given {
            captured_at: captured.at,
            marketplace: self.options.marketplace,
            source: self.options.source.clone(),
            kind: self.options.kind.clone(),
            zone: self.options.zone,
        };
        let options_key = given.options_key();
        let read = FileRead {
            read_id: stable_id(&["file", &identity.sha256, &options_key]),
            file_sha256: identity.sha256.clone(),
            options_key,
            path: shown.clone(),
            run_id: self.options.run_id.clone(),
            recorded_at: self.clock.now(),
        };
        let stored = self
            .store
            .load_checkpoint(&read.file_sha256, &read.options_key)
            .await
            .with_context(|| format!("failed to look up {shown}"))?;
        let checkpoint = stored.unwrap_or_default();
        let mut report = FileReport::new(shown, captured.at, checkpoint.records_read);
        if checkpoint.state == ReadState::Done {
            report.status = FileStatus::AlreadyRead;
            (self.progress)(identity.size_bytes);
            return Ok(report);
        }
        let reading = Reading { index, path, identity, given, read, checkpoint, report };
        self.batches(reading, captured.hint).await
    }

    /// The operator's time, else noon of the day that the path names.
    fn captured_at(&self, shown: &str) -> CapturedAt {
        if let Some(at) = self.options.captured_at {
            return CapturedAt { at: Some(at), hint: None };
        }
        match day_in_path(Path::new(shown)) {
            PathDay::One(day) => CapturedAt { at: Some(self.options.zone.noon(day)), hint: None },
            PathDay::None => CapturedAt { at: None, hint: None },
            PathDay::Ambiguous(first, last) => CapturedAt {
                at: None,
                hint: Some(format!("its path names {first} and {last}: say which with --captured-at")),
            },
        }
    }

    /// Commits batch by batch what the reading side prepares.
    async fn batches(&mut self, mut reading: Reading, hint: Option<String>) -> anyhow::Result<FileReport> {
        let position = Arc::new(AtomicU64::new(0));
        let mut told = 0;
        let mut messages = reader::start(ReadPlan {
            path: reading.path.clone(),
            given: reading.given.clone(),
            read: reading.read.clone(),
            first_record: reading.checkpoint.records_read,
            output_cap: self.options.output_cap,
            limits: self.options.limits,
            batch: self.options.batch,
            position: position.clone(),
        });
        while let Some(message) = messages.recv().await {
            let (prepared, records_read, state) = match message {
                Message::Batch { prepared, records_read, state } => (prepared, records_read, state),
                Message::Refused(refusal) => return self.refuse(reading, refusal).await,
                Message::Unreadable(error) => {
                    let refusal = unreadable(&error);
                    reading.report.refuse(refusal);
                    return Ok(reading.report);
                }
            };
            if reading.checkpoint.records_read == 0
                && prepared.rows.receipts.is_empty()
                && prepared.times_missing > 0
            {
                reading.report.refuse(no_time(hint));
                return Ok(reading.report);
            }
            self.commit(&mut reading, prepared, records_read, state).await?;
            let now_at = position.load(Ordering::Relaxed);
            (self.progress)(now_at - std::mem::replace(&mut told, now_at));
            if state == ReadState::Reading && self.cancel.is_cancelled() {
                reading.report.status = FileStatus::Interrupted;
                return Ok(reading.report);
            }
        }
        if reading.report.status == FileStatus::Unfinished {
            anyhow::bail!("the reader of {} stopped before the end of the file", reading.report.path);
        }
        Ok(reading.report)
    }

    async fn commit(
        &mut self,
        reading: &mut Reading,
        prepared: Prepared,
        records_read: u64,
        state: ReadState,
    ) -> anyhow::Result<()> {
        // A file that changed under the reader is not the file that was hashed: it is never marked as read.
        let changed = state != ReadState::Reading && !reading.identity.still_holds(&reading.path);
        let state = if changed { ReadState::Reading } else { state };
        let Reading { read, checkpoint, report, index, .. } = reading;
        let doing = || format!("failed to save records up to {records_read} of {}", report.path);
        let watch = Stopwatch::start();
        failpoint!("ingest.before_commit");
        let effect = if self.options.dry_run {
            let effect = self.store.preview_raw_batch(read, &prepared.rows).await.with_context(doing)?;
            self.without_previewed(*index, &prepared.rows, effect)
        } else {
            let (effect, after) = self
                .store
                .commit_raw_batch(read, &prepared.rows, *checkpoint, records_read, state)
                .await
                .with_context(doing)?;
            *checkpoint = after;
            effect
        };
        failpoint!("ingest.after_commit");
        log_batch(&report.path, &prepared, &effect, records_read, watch);
        checkpoint.records_read = records_read;
        report.count(&prepared, &effect);
        report.status = match state {
            _ if changed => FileStatus::Changed,
            ReadState::Reading => FileStatus::Unfinished,
            ReadState::Done => FileStatus::Read,
            ReadState::Broken => FileStatus::Broken,
        };
        Ok(())
    }

    /// Takes out of a preview what an earlier batch of the same dry run would have landed already.
    fn without_previewed(&mut self, index: usize, rows: &RawBatch, effect: RawEffect) -> RawEffect {
        let mut kept = RawEffect { landed: Vec::new(), ..effect };
        for place in effect.landed {
            let Some(receipt) = rows.receipts.get(place) else { continue };
            let mut hasher = DefaultHasher::new();
            receipt.key.hash(&mut hasher);
            match self.previewed.insert(hasher.finish(), index) {
                None => kept.landed.push(place),
                Some(before) if before == index => kept.repeats += 1,
                Some(_) => {
                    kept.repeats -= receipt.copies - 1;
                    kept.already_there += receipt.copies;
                }
            }
        }
        kept
    }

    /// Reports a file that gives no records at all, and keeps that as a problem at its beginning.
    async fn refuse(&mut self, mut reading: Reading, refusal: Refusal) -> anyhow::Result<FileReport> {
        let problem =
            problem_row(1, 0, refusal.reason, refusal.message.clone(), &reading.given, &reading.read);
        let rows = RawBatch { problems: vec![problem], ..RawBatch::default() };
        reading.report.refuse(refusal);
        let doing = || format!("failed to note the refusal of {}", reading.report.path);
        let effect = if self.options.dry_run {
            self.store.preview_raw_batch(&reading.read, &rows).await.with_context(doing)?
        } else {
            let before = Checkpoint::default();
            self.store
                .commit_raw_batch(&reading.read, &rows, before, 0, ReadState::Broken)
                .await
                .with_context(doing)?
                .0
        };
        reading.report.new_problems = effect.new_problems;
        reading.report.is_new_refusal = effect.new_problems > 0;
        (self.progress)(reading.identity.size_bytes);
        Ok(reading.report)
    }
}

fn log_batch(path: &str, prepared: &Prepared, effect: &RawEffect, records_read: u64, watch: Stopwatch) {
    let sources: BTreeSet<&str> =
        prepared.rows.receipts.iter().map(|receipt| receipt.key.source.as_str()).collect();
    tracing::debug!(
        path,
        source = Vec::from_iter(sources).join(","),
        records = prepared.records,
        landed = effect.landed.len(),
        rejected = prepared.rows.problems.len(),
        records_read,
        duration_ms = watch.elapsed_ms(),
        "batch of records committed"
    );
}

/// The time of a file, or what to say about its absence.
struct CapturedAt {
    at: Option<Timestamp>,
    hint: Option<String>,
}

async fn spool_stream(spool: Spool, path: Option<PathBuf>) -> std::io::Result<Spooled> {
    let copy = move || match path {
        Some(path) => spool.take(&mut std::fs::File::open(path)?),
        None => spool.take(&mut std::io::stdin().lock()),
    };
    spawn_blocking(copy).await.map_err(std::io::Error::other)?
}

fn unreadable(error: &std::io::Error) -> Refusal {
    Refusal::new(UNREADABLE, format!("cannot be read: {error}"))
}

fn no_time(hint: Option<String>) -> Refusal {
    Refusal::new(NO_TIME, "nothing says when its records were true").hint(hint.unwrap_or_else(|| {
        "add --captured-at 2025-09-11 (noon of that day) or an instant, or put the date into the path"
            .to_owned()
    }))
}

#[cfg(test)]
mod tests;
