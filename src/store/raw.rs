//! staging_raw: bodies once, a receipt for each time a source told us something, and how far each file was read.

use std::cell::RefCell;
use std::collections::HashSet;

use zstd::bulk::{Compressor, Decompressor};

use super::columns::{listed, unreadable};
use super::db::{Monthly, Row, Statement, Values, bulk, query};
use super::retention::were_dropped;
use super::{Result, Store, Tx};
use crate::failpoint;
use crate::model::{Asin, Day, Timestamp, words};

/// Bodies are compressed at this level: what SQLite's cost leaves little to gain from.
const ZSTD_LEVEL: i32 = 3;
/// Receipts looked up in one statement; seven parameters each.
const LOOKUP_ROWS: usize = 1_000;

/// One read of one file: the same bytes read with the same options. A second one finds everything there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileRead {
    /// Of the file as it lies on disk.
    pub file_sha256: String,
    /// Source, kind, marketplace and time it is read with.
    pub options_key: String,
    /// Stored as the receipts' job: tells a repeat within this read from what another read left.
    pub read_id: String,
    pub path: String,
    pub run_id: String,
    pub recorded_at: Timestamp,
}

thread_local! {
    // To make one costs more than a small body does.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(ZSTD_LEVEL).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::new().ok());
}

/// A body ready to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawBody {
    pub sha256: String,
    codec: &'static str,
    size_bytes: i64,
    bytes: Vec<u8>,
}

impl RawBody {
    /// Compresses `body`, unless that makes it larger.
    pub fn encode(sha256: String, body: Vec<u8>) -> RawBody {
        let size_bytes = body.len() as i64;
        // A compression that fails is a body that is stored plain.
        match COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(&body).ok()) {
            Some(bytes) if bytes.len() < body.len() => RawBody { sha256, codec: "zstd", size_bytes, bytes },
            _ => RawBody { sha256, codec: "plain", size_bytes, bytes: body },
        }
    }

    /// Its values in the order of the columns sha256, codec, size_bytes, bytes.
    pub(super) fn bind(&self, values: &mut Values<'_>) {
        values
            .push_bind(self.sha256.as_str())
            .push_bind(self.codec)
            .push_bind(self.size_bytes)
            .push_bind(self.bytes.as_slice());
    }
}

/// A stored body as it was received.
pub(super) fn decode_body(codec: String, size_bytes: u64, bytes: Vec<u8>, sha256: String) -> Result<Vec<u8>> {
    let unreadable = || unreadable("raw_bodies", "bytes", sha256.clone());
    match codec.as_str() {
        "plain" => Ok(bytes),
        "zstd" => DECOMPRESSOR
            .with_borrow_mut(|decompressor| {
                decompressor.as_mut()?.decompress(&bytes, size_bytes as usize).ok()
            })
            .ok_or_else(unreadable),
        _ => Err(unreadable()),
    }
}

/// What makes two receipts the same one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReceiptKey {
    pub source: String,
    pub kind: String,
    /// Empty when neither the record nor the operator names one.
    pub marketplace: String,
    /// Empty when the record names none.
    pub asin_requested: String,
    pub observed_at: Timestamp,
    pub body_sha256: String,
}

/// A record of a file that is to be a receipt, with all its copies in the batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawReceipt {
    pub key: ReceiptKey,
    pub asin_returned: Option<Asin>,
    pub fetched_at: Timestamp,
    pub shape: &'static str,
    pub copies: u64,
    /// Of the first copy: its number in the file, line from 1, byte offset.
    pub ordinal: u64,
    pub line: u64,
    pub offset: u64,
}

/// Bytes of a file that are no record, for the quarantine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawProblem {
    /// Derived from the read, the place and the reason, so that the same failure is one row.
    pub quarantine_id: String,
    pub reason: &'static str,
    pub detail: String,
    pub source: String,
    pub marketplace: String,
    /// Null where the bytes were not kept.
    pub body_sha256: Option<String>,
    pub line: u64,
    pub offset: u64,
}

/// What one transaction lands: receipts with different keys, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RawBatch {
    pub bodies: Vec<RawBody>,
    pub receipts: Vec<RawReceipt>,
    pub problems: Vec<RawProblem>,
}

/// How the reading of a file stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadState {
    Reading,
    Done,
    /// Read as far as its bytes allow.
    Broken,
}

words!(ReadState { Reading = "reading", Done = "done", Broken = "broken" });

/// How far a file has been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Records before this ordinal are committed.
    pub records_read: u64,
    pub receipts_landed: u64,
    pub repeats: u64,
    pub problems: u64,
    pub state: ReadState,
}

impl Default for Checkpoint {
    fn default() -> Checkpoint {
        Checkpoint { records_read: 0, receipts_landed: 0, repeats: 0, problems: 0, state: ReadState::Reading }
    }
}

/// What a batch was to what is stored.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RawEffect {
    /// New receipts, by their place in the batch.
    pub landed: Vec<usize>,
    /// Copies beyond the first of receipts of this read.
    pub repeats: u64,
    /// Records whose receipt another read left.
    pub already_there: u64,
    pub new_problems: u64,
}

/// What the store knows of a receipt of the batch.
struct Known {
    /// 0 of one that retention dropped.
    receipt_id: i64,
    of_this_read: bool,
}

impl Store {
    /// How far this file was read with these options; null when it never was.
    pub async fn load_checkpoint(&self, file_sha256: &str, options_key: &str) -> Result<Option<Checkpoint>> {
        let row = query(
            "SELECT records_read, receipts_landed, repeats, problems, state FROM ingest_files
             WHERE file_sha256 = $1 AND options_key = $2",
        )
        .bind(file_sha256)
        .bind(options_key)
        .fetch_optional(self.reader())
        .await?;
        row.as_ref().map(checkpoint).transpose()
    }

    /// What `commit_raw_batch` would do with a batch of which nothing is stored yet, without doing it.
    pub async fn preview_raw_batch(&self, read: &FileRead, batch: &RawBatch) -> Result<RawEffect> {
        let mut tx = self.reader().begin_reading().await?;
        let known = find_known(&mut tx, read, &batch.receipts).await?;
        let mut effect = weigh(batch, &known);
        for problem in &batch.problems {
            let row = query("SELECT 1 FROM quarantine WHERE quarantine_id = $1")
                .bind(&problem.quarantine_id)
                .fetch_optional(&mut tx)
                .await?;
            effect.new_problems += u64::from(row.is_none());
        }
        Ok(effect)
    }

    /// Lands a batch and the checkpoint behind it: bodies and receipts that are new, more copies of those this
    /// read already landed, problems that are not in quarantine yet. Answers what was new.
    ///
    /// `before` is the checkpoint the batch continues; its counts grow by the effect.
    pub async fn commit_raw_batch(
        &self,
        read: &FileRead,
        batch: &RawBatch,
        before: Checkpoint,
        records_read: u64,
        state: ReadState,
    ) -> Result<(RawEffect, Checkpoint)> {
        let mut tx = self.begin().await?;
        let known = find_known(&mut tx, read, &batch.receipts).await?;
        let mut effect = weigh(batch, &known);
        insert_bodies(&mut tx, batch, &known).await?;
        insert_receipts(&mut tx, read, batch, &effect.landed).await?;
        for (receipt, known) in batch.receipts.iter().zip(&known) {
            if let Some(Known { receipt_id, of_this_read: true }) = known {
                add_copies(&mut tx, *receipt_id, receipt.copies).await?;
            }
        }
        effect.new_problems = insert_problems(&mut tx, read, &batch.problems).await?;
        failpoint!("ingest.inside_commit");
        let after = Checkpoint {
            records_read,
            receipts_landed: before.receipts_landed + effect.landed.len() as u64,
            repeats: before.repeats + effect.repeats,
            problems: before.problems + effect.new_problems,
            state,
        };
        write_checkpoint(&mut tx, read, after).await?;
        tx.commit().await?;
        Ok((effect, after))
    }
}

fn checkpoint(row: &Row) -> Result<Checkpoint> {
    let count = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    Ok(Checkpoint {
        records_read: count("records_read")?,
        receipts_landed: count("receipts_landed")?,
        repeats: count("repeats")?,
        problems: count("problems")?,
        state: listed(row, "ingest_files", "state", ReadState::from_word)?,
    })
}

/// For each receipt, the stored one with the same key, or the one that retention dropped.
async fn find_known(tx: &mut Tx, read: &FileRead, receipts: &[RawReceipt]) -> Result<Vec<Option<Known>>> {
    let mut known: Vec<Option<Known>> = receipts.iter().map(|_| None).collect();
    for (chunk_index, chunk) in receipts.chunks(LOOKUP_ROWS).enumerate() {
        let mut query =
            Statement::new("WITH wanted (place, source, kind, marketplace, asin, observed_at, body) AS (");
        query.push_rows(chunk.iter().enumerate(), |values, (place, receipt)| {
            values.push_bind((chunk_index * LOOKUP_ROWS + place) as i64);
            bind_key(values, &receipt.key);
        });
        // CROSS JOIN keeps the order: each wanted key is one look into the index.
        query.push(
            ") SELECT w.place, r.receipt_id, r.job_id FROM wanted w CROSS JOIN raw_receipts r
             ON r.source = w.source AND r.kind = w.kind AND r.marketplace = w.marketplace
             AND r.asin_requested = w.asin AND r.observed_at = w.observed_at AND r.body_sha256 = w.body",
        );
        for row in query.build().fetch_all(&mut *tx).await? {
            let job: Option<String> = row.try_get("job_id")?;
            let found = Known {
                receipt_id: row.try_get("receipt_id")?,
                of_this_read: job.as_deref() == Some(&read.read_id),
            };
            let place: i64 = row.try_get("place")?;
            if let Some(slot) = known.get_mut(place as usize) {
                *slot = Some(found);
            }
        }
    }
    let keys: Vec<&ReceiptKey> = receipts.iter().map(|receipt| &receipt.key).collect();
    for (slot, was_dropped) in known.iter_mut().zip(were_dropped(tx, &keys).await?) {
        if was_dropped && slot.is_none() {
            *slot = Some(Known { receipt_id: 0, of_this_read: false });
        }
    }
    Ok(known)
}

/// The month in UTC by which receipts are kept.
pub(super) fn month_of(observed_at: Timestamp) -> String {
    Day::from(observed_at.date_naive()).month()
}

fn bind_key(values: &mut Values<'_>, key: &ReceiptKey) {
    values
        .push_bind(key.source.clone())
        .push_bind(key.kind.clone())
        .push_bind(key.marketplace.clone())
        .push_bind(key.asin_requested.clone())
        .push_bind(key.observed_at.timestamp_micros())
        .push_bind(key.body_sha256.clone());
}

fn weigh(batch: &RawBatch, known: &[Option<Known>]) -> RawEffect {
    let mut effect = RawEffect::default();
    for (index, (receipt, known)) in batch.receipts.iter().zip(known).enumerate() {
        match known {
            None => {
                effect.landed.push(index);
                effect.repeats += receipt.copies - 1;
            }
            Some(Known { of_this_read: true, .. }) => effect.repeats += receipt.copies,
            Some(Known { of_this_read: false, .. }) => effect.already_there += receipt.copies,
        }
    }
    effect
}

/// All but those that only receipts name which retention dropped.
async fn insert_bodies(tx: &mut Tx, batch: &RawBatch, known: &[Option<Known>]) -> Result<()> {
    let is_dropped = |known: &Option<Known>| matches!(known, Some(Known { receipt_id: 0, .. }));
    let mut bodies: Vec<&RawBody> = batch.bodies.iter().collect();
    if known.iter().any(is_dropped) {
        let receipts = batch.receipts.iter().zip(known).filter(|(_, known)| !is_dropped(known));
        let named = receipts.map(|(receipt, _)| receipt.key.body_sha256.as_str());
        let named: HashSet<&str> =
            named.chain(batch.problems.iter().filter_map(|problem| problem.body_sha256.as_deref())).collect();
        bodies.retain(|body| named.contains(body.sha256.as_str()));
    }
    bulk::insert(
        tx,
        "raw_bodies (sha256, codec, size_bytes, bytes)",
        " ON CONFLICT (sha256) DO NOTHING",
        &bodies,
        |values, body| body.bind(values),
    )
    .await?;
    Ok(())
}

async fn insert_receipts(tx: &mut Tx, read: &FileRead, batch: &RawBatch, landed: &[usize]) -> Result<()> {
    let new: Vec<&RawReceipt> = landed.iter().filter_map(|&index| batch.receipts.get(index)).collect();
    Monthly::RawReceipts.make(tx, new.iter().map(|receipt| month_of(receipt.key.observed_at))).await?;
    bulk::insert(
        tx,
        "raw_receipts (source, kind, marketplace, asin_requested, observed_at, body_sha256, asin_returned,
         fetched_at, recorded_at, shape, copies, run_id, file_sha256, file_path, file_line, file_offset, job_id,
         item_index)",
        "",
        &new,
        |values, receipt| {
            bind_key(values, &receipt.key);
            values
                .push_bind(receipt.asin_returned.map(|asin| asin.to_string()))
                .push_bind(receipt.fetched_at.timestamp_micros())
                .push_bind(read.recorded_at.timestamp_micros())
                .push_bind(receipt.shape)
                .push_bind(receipt.copies as i64)
                .push_bind(read.run_id.clone())
                .push_bind(read.file_sha256.clone())
                .push_bind(read.path.clone())
                .push_bind(receipt.line as i64)
                .push_bind(receipt.offset as i64)
                .push_bind(read.read_id.clone())
                .push_bind(receipt.ordinal as i64);
        },
    )
    .await?;
    Ok(())
}

async fn add_copies(tx: &mut Tx, receipt_id: i64, copies: u64) -> Result<()> {
    query("UPDATE raw_receipts SET copies = copies + $2 WHERE receipt_id = $1")
        .bind(receipt_id)
        .bind(copies as i64)
        .execute(tx)
        .await?;
    Ok(())
}

async fn insert_problems(tx: &mut Tx, read: &FileRead, problems: &[RawProblem]) -> Result<u64> {
    bulk::insert(
        tx,
        "quarantine (quarantine_id, stage, reason, detail, source, marketplace, body_sha256, file_path,
         file_line, file_offset, state, run_id, recorded_at)",
        " ON CONFLICT (quarantine_id) DO NOTHING",
        problems,
        |values, problem| {
            values
                .push_bind(problem.quarantine_id.as_str())
                .push_bind("ingest")
                .push_bind(problem.reason)
                .push_bind(problem.detail.as_str())
                .push_bind(problem.source.as_str())
                .push_bind(problem.marketplace.as_str())
                .push_bind(problem.body_sha256.as_deref())
                .push_bind(read.path.clone())
                .push_bind(problem.line as i64)
                .push_bind(problem.offset as i64)
                .push_bind("open")
                .push_bind(read.run_id.clone())
                .push_bind(read.recorded_at.timestamp_micros());
        },
    )
    .await
}

async fn write_checkpoint(tx: &mut Tx, read: &FileRead, checkpoint: Checkpoint) -> Result<()> {
    query(
        "INSERT INTO ingest_files (file_sha256, options_key, path, records_read, receipts_landed, repeats, problems,
           state, run_id, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (file_sha256, options_key) DO UPDATE SET path = excluded.path,
           records_read = excluded.records_read, receipts_landed = excluded.receipts_landed,
           repeats = excluded.repeats, problems = excluded.problems, state = excluded.state,
           run_id = excluded.run_id, updated_at = excluded.updated_at",
    )
    .bind(&read.file_sha256)
    .bind(&read.options_key)
    .bind(&read.path)
    .bind(checkpoint.records_read as i64)
    .bind(checkpoint.receipts_landed as i64)
    .bind(checkpoint.repeats as i64)
    .bind(checkpoint.problems as i64)
    .bind(checkpoint.state.as_str())
    .bind(&read.run_id)
    .bind(read.recorded_at.timestamp_micros())
    .execute(tx)
    .await?;
    Ok(())
}
