//! Receipts as normalize reads them, with their bodies.

use futures_util::TryStreamExt;

use super::super::columns::instant;
use super::super::db::{Row, query, query_scalar};
use super::super::raw::decode_body;
use super::super::{Result, Store};
use super::history::{asked_days, asked_of};
use crate::model::{DayRange, Timestamp};
use crate::normalize::NORMALIZER_VERSION;

/// A receipt with its body, as normalize reads it.
#[derive(Clone, Debug)]
pub struct RawRecord {
    pub receipt_id: i64,
    pub source: String,
    pub kind: String,
    pub marketplace: String,
    pub asin_requested: String,
    pub observed_at: Timestamp,
    pub fetched_at: Timestamp,
    pub body_sha256: String,
    pub shape: String,
    pub file_path: Option<String>,
    pub file_line: Option<i64>,
    pub file_offset: Option<i64>,
    pub body: Vec<u8>,
    /// The days that a receipt of history was asked for; none for any other.
    pub asked_days: Vec<DayRange>,
}

/// A receipt whose body is still as it is stored: it takes time to unpack, which many threads may share.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Its body is empty.
    record: RawRecord,
    codec: String,
    size_bytes: u64,
    bytes: Vec<u8>,
}

impl StoredRecord {
    pub fn receipt_id(&self) -> i64 {
        self.record.receipt_id
    }

    /// Errors: a body that cannot be unpacked.
    pub fn unpack(self) -> Result<RawRecord> {
        let StoredRecord { record, codec, size_bytes, bytes } = self;
        let body = decode_body(codec, size_bytes, bytes, record.body_sha256.clone())?;
        Ok(RawRecord { body, ..record })
    }
}

/// Which receipts to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unread {
    /// Those the current normalizer has not read.
    New,
    /// All that were observed at or after this instant.
    Since(Timestamp),
}

/// Which receipts `r` behind `$1` the normalizer of version `$2` has not read; `$joined` stands behind that join.
macro_rules! unread {
    () => {
        unread!("")
    };
    ($joined:literal) => {
        concat!(
            "LEFT JOIN normalized_receipts n ON n.receipt_id = r.receipt_id ",
            $joined,
            " WHERE r.receipt_id > $1 AND (n.receipt_id IS NULL OR n.normalizer_version < $2)"
        )
    };
}

impl Store {
    /// The next receipts after `after` to normalize, oldest first: at most `limit` of them, and no more once their bodies
    /// are `most_bytes` together, unpacked.
    pub async fn load_unread(
        &self,
        unread: Unread,
        after: i64,
        limit: i64,
        most_bytes: usize,
    ) -> Result<Vec<StoredRecord>> {
        let query = match unread {
            Unread::New => {
                let after = after.max(self.mark(&normalized_until_mark()).await?);
                query(LOAD_NEW_RECEIPTS).bind(after).bind(NORMALIZER_VERSION).bind(limit)
            }
            Unread::Since(at) => {
                query(LOAD_RECEIPTS_SINCE).bind(after).bind(at.timestamp_micros()).bind(limit)
            }
        };
        let mut rows = query.fetch(self.reader());
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < most_bytes
            && let Some(row) = rows.try_next().await?
        {
            let record = stored_record(&row)?;
            bytes += usize::try_from(record.size_bytes).unwrap_or(usize::MAX);
            records.push(record);
        }
        Ok(records)
    }

    /// True when the current normalizer has receipts to read; found without counting them.
    pub async fn has_unread(&self) -> Result<bool> {
        let found = query_scalar(concat!("SELECT EXISTS (SELECT 1 FROM raw_receipts r ", unread!(), ")"))
            .bind(self.mark(&normalized_until_mark()).await?)
            .bind(NORMALIZER_VERSION)
            .fetch_one(self.reader())
            .await?;
        Ok(found)
    }

    /// How many receipts are still to be read.
    pub async fn count_unread(&self, unread: Unread) -> Result<u64> {
        let count: i64 = match unread {
            Unread::New => {
                query_scalar(concat!("SELECT COUNT(*) FROM raw_receipts r ", unread!()))
                    .bind(self.mark(&normalized_until_mark()).await?)
                    .bind(NORMALIZER_VERSION)
                    .fetch_one(self.reader())
                    .await?
            }
            Unread::Since(at) => {
                query_scalar("SELECT COUNT(*) FROM raw_receipts WHERE observed_at >= $1")
                    .bind(at.timestamp_micros())
                    .fetch_one(self.reader())
                    .await?
            }
        };
        Ok(count.unsigned_abs())
    }
}

/// The mark up to which this normalizer has read every receipt: a nightly run looks at what came since, not at all
/// there ever was. Another version of the normalizer has a mark of its own, and so begins with the first receipt.
pub(super) fn normalized_until_mark() -> String {
    format!("normalized_until_v{NORMALIZER_VERSION}")
}

/// The receipts that `$picked` names, with their bodies. The order of the joins is fixed: rows come in the order of
/// receipts without being sorted, and no body is looked up for a receipt that was read long ago.
macro_rules! with_bodies {
    ($picked:expr) => {
        concat!(
            "SELECT r.receipt_id, r.source, r.kind, r.marketplace, r.asin_requested, r.observed_at, r.fetched_at,
                r.body_sha256, r.shape, r.file_path, r.file_line, r.file_offset, b.codec, b.size_bytes, b.bytes, ",
            asked_days!(),
            " FROM raw_receipts r ",
            $picked,
            " ORDER BY r.receipt_id LIMIT $3"
        )
    };
}

const LOAD_NEW_RECEIPTS: &str = with_bodies!(unread!("CROSS JOIN raw_bodies b ON b.sha256 = r.body_sha256"));

const LOAD_RECEIPTS_SINCE: &str = with_bodies!(
    "CROSS JOIN raw_bodies b ON b.sha256 = r.body_sha256 WHERE r.receipt_id > $1 AND r.observed_at >= $2"
);

fn stored_record(row: &Row) -> Result<StoredRecord> {
    let record = RawRecord {
        receipt_id: row.try_get("receipt_id")?,
        source: row.try_get("source")?,
        kind: row.try_get("kind")?,
        marketplace: row.try_get("marketplace")?,
        asin_requested: row.try_get("asin_requested")?,
        observed_at: instant(row, "raw_receipts", "observed_at")?,
        fetched_at: instant(row, "raw_receipts", "fetched_at")?,
        body_sha256: row.try_get("body_sha256")?,
        shape: row.try_get("shape")?,
        file_path: row.try_get("file_path")?,
        file_line: row.try_get("file_line")?,
        file_offset: row.try_get("file_offset")?,
        body: Vec::new(),
        asked_days: asked_of(row)?,
    };
    Ok(StoredRecord {
        record,
        codec: row.try_get("codec")?,
        size_bytes: row.try_get::<i64, _>("size_bytes")?.unsigned_abs(),
        bytes: row.try_get("bytes")?,
    })
}
