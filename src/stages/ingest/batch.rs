//! Pieces of a file to rows: each record is checked, recognised and hashed, repeats are counted, bodies compressed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rayon::prelude::*;

use crate::ids::{sha256_hex, stable_id};
use crate::ingest::{Content, Piece, Place, Reason};
use crate::model::{Marketplace, ReportingZone, Timestamp};
use crate::normalize::{RecordFormat, declared_charset, json_fault, quoted, recognise, too_deep, torn_row};
use crate::store::raw::{FileRead, RawBatch, RawBody, RawProblem, RawReceipt, ReceiptKey};

/// Where neither the record nor the operator names a source.
const DEFAULT_SOURCE: &str = "file";

/// What the operator and the file's path say of every record of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Given {
    /// When what the file says was true; null when nobody says so.
    pub(super) captured_at: Option<Timestamp>,
    /// Of records that name none.
    pub(super) marketplace: Option<Marketplace>,
    /// Instead of what is recognised.
    pub(super) source: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) zone: ReportingZone,
}

impl Given {
    /// What makes two reads of the same bytes the same read.
    pub(super) fn options_key(&self) -> String {
        let captured_at = self.captured_at.map(|at| at.timestamp_micros().to_string());
        let parts = [
            ("source", self.source.clone()),
            ("kind", self.kind.clone()),
            ("marketplace", self.marketplace.map(|marketplace| marketplace.code().to_owned())),
            ("captured_at", captured_at),
        ];
        parts.map(|(name, value)| format!("{name}={}", value.unwrap_or_default())).join(" ")
    }
}

/// The layout of a file's records, found when it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    pub(super) format: RecordFormat,
    /// The header line of a table; empty for JSON and pages.
    pub(super) header: Vec<u8>,
}

/// One batch ready for its transaction.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) rows: RawBatch,
    /// Records in it, rejected ones too.
    pub(super) records: u64,
    /// Records without a time of their own in a file without one.
    pub(super) times_missing: u64,
}

/// What a piece turned out to be, with the body to keep.
enum Judged {
    Receipt(RawReceipt, Vec<u8>),
    Problem(RawProblem, Reason, Option<Vec<u8>>),
}

/// Turns pieces into rows, on all cores; the order of the file is kept.
pub(super) fn prepare(pieces: Vec<Piece>, layout: &Layout, given: &Given, read: &FileRead) -> Prepared {
    let mut prepared = Prepared { records: pieces.len() as u64, ..Prepared::default() };
    let judged: Vec<Judged> = pieces.into_par_iter().map(|piece| judge(piece, layout, given, read)).collect();
    let mut places: HashMap<ReceiptKey, usize> = HashMap::new();
    let mut bodies: HashMap<String, Vec<u8>> = HashMap::new();
    let rows = &mut prepared.rows;
    for judged in judged {
        match judged {
            Judged::Receipt(receipt, body) => {
                bodies.entry(receipt.key.body_sha256.clone()).or_insert(body);
                match places.entry(receipt.key.clone()) {
                    Entry::Occupied(place) => {
                        if let Some(first) = rows.receipts.get_mut(*place.get()) {
                            first.copies += receipt.copies;
                        }
                    }
                    Entry::Vacant(place) => {
                        place.insert(rows.receipts.len());
                        rows.receipts.push(receipt);
                    }
                }
            }
            Judged::Problem(problem, reason, body) => {
                prepared.times_missing += u64::from(reason == Reason::TimeMissing);
                if let (Some(sha256), Some(body)) = (&problem.body_sha256, body) {
                    bodies.entry(sha256.clone()).or_insert(body);
                }
                rows.problems.push(problem);
            }
        }
    }
    rows.bodies = bodies.into_par_iter().map(|(sha256, body)| RawBody::encode(sha256, body)).collect();
    // Neighbours in key order make the insert into the bodies' tree cheaper, and the same in every run.
    rows.bodies.sort_by(|a, b| a.sha256.cmp(&b.sha256));
    prepared
}

fn judge(piece: Piece, layout: &Layout, given: &Given, read: &FileRead) -> Judged {
    let place = piece.place;
    let (reason, detail, bytes) = match piece.content {
        Content::Problem(problem) => (problem.reason, problem.detail, problem.bytes),
        Content::Record(bytes) => match check(&bytes, layout.format) {
            Err((reason, detail)) => (reason, detail, Some(bytes)),
            Ok(()) => match receipt(place, bytes, layout, given) {
                Ok((receipt, body)) => return Judged::Receipt(receipt, body),
                Err(Timeless { body, time_fault }) => {
                    let (reason, detail) = without_time(&body, layout.format, time_fault);
                    return rejected(place, reason, detail, Some(body), given, read);
                }
            },
        },
    };
    rejected(place, reason, detail, bytes.map(|bytes| body_of(bytes, layout)), given, read)
}

/// A record's text is UTF-8, and of JSON one valid value, however deep.
fn check(bytes: &[u8], format: RecordFormat) -> Result<(), (Reason, String)> {
    if let Err(error) = std::str::from_utf8(bytes) {
        let mut detail = format!("byte {} of the record is not UTF-8", error.valid_up_to());
        let head = String::from_utf8_lossy(bytes);
        if let Some(charset) = declared_charset(&head).filter(|_| format == RecordFormat::Html) {
            detail.push_str(&format!("; the page declares {}", quoted(charset)));
        }
        return Err((Reason::InvalidUtf8, detail));
    }
    if format != RecordFormat::Json {
        return Ok(());
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err((Reason::InvalidJson, json_fault(&error))),
    }
}

/// Why a record has no time: it is not looked into, cannot be cut into cells, says one that is not read, or none.
fn without_time(body: &[u8], format: RecordFormat, time_fault: Option<String>) -> (Reason, String) {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let (reason, fault) = match format {
        RecordFormat::Json => (Reason::TooDeep, too_deep(text)),
        RecordFormat::Csv | RecordFormat::Tsv => (Reason::InvalidCsv, torn_row(text)),
        RecordFormat::Html => (Reason::TimeMissing, None),
    };
    match (fault, time_fault) {
        (Some(detail), _) => (reason, detail),
        (None, Some(detail)) => (Reason::InvalidTime, detail),
        (None, None) => {
            (Reason::TimeMissing, "neither the record nor its file says when it was true".to_owned())
        }
    }
}

/// A record of which nobody says when it was true.
struct Timeless {
    body: Vec<u8>,
    time_fault: Option<String>,
}

/// The receipt of a sound record and its body, when anybody says when it was true.
fn receipt(
    place: Place,
    bytes: Vec<u8>,
    layout: &Layout,
    given: &Given,
) -> Result<(RawReceipt, Vec<u8>), Timeless> {
    let body = body_of(bytes, layout);
    let recognised = recognise(layout.format, &body);
    let own_time = recognised.observed_at.or_else(|| recognised.observed_day.map(|day| given.zone.noon(day)));
    let Some(observed_at) = own_time.or(given.captured_at) else {
        return Err(Timeless { body, time_fault: recognised.time_fault });
    };
    let marketplace = recognised.marketplace.or(given.marketplace);
    let key = ReceiptKey {
        source: given.source.clone().unwrap_or_else(|| recognised.source.to_owned()),
        kind: given.kind.clone().unwrap_or_else(|| recognised.kind.to_owned()),
        marketplace: marketplace.map_or(String::new(), |marketplace| marketplace.code().to_owned()),
        asin_requested: recognised.asin_requested.map_or(String::new(), |asin| asin.to_string()),
        observed_at,
        body_sha256: sha256_hex(&body),
    };
    let receipt = RawReceipt {
        key,
        asin_returned: recognised.asin_returned,
        fetched_at: given.captured_at.unwrap_or(observed_at),
        shape: recognised.shape.as_str(),
        copies: 1,
        ordinal: place.ordinal,
        line: place.line,
        offset: place.offset,
    };
    Ok((receipt, body))
}

/// What is stored of a record: a table's row needs its header to be read again.
fn body_of(bytes: Vec<u8>, layout: &Layout) -> Vec<u8> {
    if layout.header.is_empty() {
        return bytes;
    }
    [layout.header.as_slice(), b"\n", &bytes].concat()
}

fn rejected(
    place: Place,
    reason: Reason,
    detail: String,
    body: Option<Vec<u8>>,
    given: &Given,
    read: &FileRead,
) -> Judged {
    let problem = problem_row(place.line, place.offset, reason.as_str(), detail, given, read);
    Judged::Problem(RawProblem { body_sha256: body.as_deref().map(sha256_hex), ..problem }, reason, body)
}

/// The quarantine row of a place in a file, without a body.
pub(super) fn problem_row(
    line: u64,
    offset: u64,
    reason: &'static str,
    detail: String,
    given: &Given,
    read: &FileRead,
) -> RawProblem {
    RawProblem {
        quarantine_id: stable_id(&["ingest", &read.read_id, &offset.to_string(), reason]),
        reason,
        detail,
        source: given.source.clone().unwrap_or_else(|| DEFAULT_SOURCE.to_owned()),
        marketplace: given.marketplace.map_or(String::new(), |marketplace| marketplace.code().to_owned()),
        body_sha256: None,
        line,
        offset,
    }
}
