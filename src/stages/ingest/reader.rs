//! The reading side of an ingest: a blocking thread that splits a file and prepares its batches, while the other
//! side commits the one before.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::mpsc;

use super::BatchSize;
use super::batch::{Given, Layout, Prepared, prepare};
use crate::ingest::{self, Content, Limits, OpenError, Piece, Refusal, Splitter};
use crate::normalize::RecordFormat;
use crate::store::raw::{FileRead, ReadState};

/// Batches that wait for their commit; each one more is memory.
const WAITING_BATCHES: usize = 1;

/// What is read, and from where on.
pub(super) struct ReadPlan {
    pub(super) path: PathBuf,
    pub(super) given: Given,
    pub(super) read: FileRead,
    /// Records before this ordinal are committed already.
    pub(super) first_record: u64,
    pub(super) output_cap: u64,
    pub(super) limits: Limits,
    pub(super) batch: BatchSize,
    /// Follows the bytes taken from the disk.
    pub(super) position: Arc<AtomicU64>,
}

/// What the reading side says.
pub(super) enum Message {
    /// Records up to `records_read`; `state` is not `Reading` in the last one.
    Batch {
        prepared: Prepared,
        records_read: u64,
        state: ReadState,
    },
    Refused(Refusal),
    Unreadable(io::Error),
}

/// Starts the reading side. It stops when the receiver is dropped.
pub(super) fn start(plan: ReadPlan) -> mpsc::Receiver<Message> {
    let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
    tokio::task::spawn_blocking(move || {
        if let Err(message) = read(&plan, &sender) {
            // Nobody waits for the end of a file that was given up.
            let _ = sender.blocking_send(message);
        }
    });
    receiver
}

fn read(plan: &ReadPlan, sender: &mpsc::Sender<Message>) -> Result<(), Message> {
    let stream = ingest::open(&plan.path, plan.output_cap, plan.position.clone()).map_err(|error| {
        error.refusal().map_or_else(|| Message::Unreadable(error.source), Message::Refused)
    })?;
    let mut splitter = Splitter::open(stream, plan.limits).map_err(|error| match error {
        OpenError::Refused(refusal) => Message::Refused(refusal),
        OpenError::Disk(error) => Message::Unreadable(error),
    })?;
    let layout = layout_of(&splitter);
    let mut pieces = Vec::new();
    let (mut bytes, mut records_read, mut state) = (0, plan.first_record, ReadState::Reading);
    while state == ReadState::Reading {
        match splitter.next_piece().map_err(Message::Unreadable)? {
            None => state = ReadState::Done,
            Some(piece) if piece.place.ordinal < plan.first_record => continue,
            Some(piece) => {
                // What stands for a damaged end is not passed: a better copy of the file may go on there.
                let ends_file = ends_file(&piece);
                records_read = piece.place.ordinal + u64::from(!ends_file);
                if ends_file {
                    state = ReadState::Broken;
                }
                bytes += size_of(&piece);
                pieces.push(piece);
            }
        }
        let is_full = pieces.len() >= plan.batch.records || bytes >= plan.batch.bytes;
        if is_full || state != ReadState::Reading {
            let prepared = prepare(std::mem::take(&mut pieces), &layout, &plan.given, &plan.read);
            bytes = 0;
            if sender.blocking_send(Message::Batch { prepared, records_read, state }).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn layout_of<R: io::Read>(splitter: &Splitter<R>) -> Layout {
    match splitter.table() {
        None if splitter.is_page() => Layout { format: RecordFormat::Html, header: Vec::new() },
        None => Layout { format: RecordFormat::Json, header: Vec::new() },
        Some((b'\t', header)) => Layout { format: RecordFormat::Tsv, header: header.to_vec() },
        Some((_, header)) => Layout { format: RecordFormat::Csv, header: header.to_vec() },
    }
}

fn ends_file(piece: &Piece) -> bool {
    matches!(&piece.content, Content::Problem(problem) if problem.ends_file)
}

fn size_of(piece: &Piece) -> usize {
    match &piece.content {
        Content::Record(bytes) => bytes.len(),
        Content::Problem(problem) => problem.bytes.as_ref().map_or(0, Vec::len),
    }
}
