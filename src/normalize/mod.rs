//! Raw payload to facts: one record in, observations, reviews or rejects out.
//!
//! Pure: knows no database, no clock and no file. Chosen by the record's shape, not by the name of its source.
//! The same body read with the same [`NORMALIZER_VERSION`] always gives the same facts.

mod absence;
mod axesso;
mod daily;
mod firecrawl;
mod flat;
#[cfg(test)]
mod golden;
mod items;
mod junglee;
mod keepa;
mod keepa_export;
mod later;
mod page;
mod rainforest;
mod record;
mod retail;
#[cfg(test)]
mod rules;
mod shape;
mod sp_api;
mod table;
#[cfg(test)]
mod torn;
mod value;
mod versions;

use serde::{Deserialize, Serialize};

use crate::model::{Asin, DayRange, Marketplace, Observation, ReportingZone, Review, Timestamp, words};

pub use daily::{DayObservation, choose_daily_row};
pub use flat::COLUMNS as FLAT_COLUMNS;
pub use items::Place;
pub(crate) use page::declared_charset;
pub use page::{PageKind, page_kind};
pub(crate) use record::quoted;
pub use shape::{HISTORY_KIND, Recognised, RecordFormat, Shape, recognise};
pub use versions::{ListingVersion, SourceListing, adds_nothing, content_hash, listing_versions};

/// Grows with every change of meaning: a replay then writes new observations where the facts differ.
pub const NORMALIZER_VERSION: i64 = 1;

/// What the receipt knows of the record that is about to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordContext {
    pub shape: Shape,
    /// The receipt's marketplace. A record that names another is rejected.
    pub marketplace: Option<Marketplace>,
    pub asin_requested: Option<Asin>,
    pub observed_at: Timestamp,
    pub now: Timestamp,
    /// The days that a record of history is read for; null for a record of the present.
    pub history: Option<AskedDays>,
}

/// The days that a history is to give, as the reporting zone counts them. Ranges may overlap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedDays {
    pub ranges: Vec<DayRange>,
    pub zone: ReportingZone,
}

/// Everything one record said. An empty value is never returned: a record without facts has a reject or is kept.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Parsed {
    pub observations: Vec<Observation>,
    /// Of each observation in the same order, where the record has several items; empty for a record that is one.
    pub places: Vec<Place>,
    pub reviews: Vec<Review>,
    pub rejects: Vec<Reject>,
    /// Readings that went on although something about them deserves a look.
    pub notes: Vec<Note>,
    /// The record is known and sound, and nothing of it has a place in core: its raw bytes are what is kept.
    pub kept: bool,
}

/// Something that was read, but looked odd: a number with text behind it, for example.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    pub item: u32,
    pub field: String,
    pub detail: String,
}

/// A record, or one item of it, that broke a rule and goes to quarantine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reject {
    pub item: u32,
    pub reason: RejectReason,
    /// The payload's own name of the field; empty when the whole record is meant.
    pub field: String,
    pub detail: String,
    pub asin: Option<Asin>,
    pub marketplace: Option<Marketplace>,
}

/// Why a record was rejected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    NoAsin,
    InvalidAsin,
    MarketplaceUnknown,
    MarketplaceMismatch,
    CurrencyMismatch,
    OutOfRange,
    InvalidValue,
    VariantRedirect,
    ObservedInFuture,
    InvalidJson,
    InvalidCsv,
    TooDeep,
    UnknownShape,
    NotAProduct,
    /// A robot check or a page of apology was answered instead of the product: nothing is known of it.
    BlockedPage,
    /// The source itself failed to fetch what was asked for.
    SourceFailure,
    /// A page in another encoding than UTF-8.
    Encoding,
    /// A record of a data set that this amzctl does not load: orders, traffic, brand analytics.
    LaterDataSet,
}

words!(RejectReason {
    NoAsin = "no_asin",
    InvalidAsin = "invalid_asin",
    MarketplaceUnknown = "marketplace_unknown",
    MarketplaceMismatch = "marketplace_mismatch",
    CurrencyMismatch = "currency_mismatch",
    OutOfRange = "out_of_range",
    InvalidValue = "invalid_value",
    VariantRedirect = "variant_redirect",
    ObservedInFuture = "observed_in_future",
    InvalidJson = "invalid_json",
    InvalidCsv = "invalid_csv",
    TooDeep = "too_deep",
    UnknownShape = "unknown_shape",
    NotAProduct = "not_a_product",
    BlockedPage = "blocked_page",
    SourceFailure = "source_failure",
    Encoding = "encoding",
    LaterDataSet = "later_data_set",
});

/// How far ahead of the clock an observation may lie.
const FUTURE_TOLERANCE: chrono::Duration = chrono::Duration::hours(24);

/// Reads one record of a known shape. Never panics, whatever the bytes.
pub fn parse(context: &RecordContext, body: &[u8]) -> Parsed {
    if context.observed_at > context.now + FUTURE_TOLERANCE {
        let at = context.observed_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        return refuse(context, RejectReason::ObservedInFuture, "observed_at", &at);
    }
    let text = match shape::read_utf8(body) {
        Ok(text) => text,
        Err(offset) => {
            let detail = format!("byte {offset} is not valid UTF-8");
            return refuse(context, context.shape.unreadable(), "", &detail);
        }
    };
    let is_table = matches!(
        context.shape,
        Shape::ApifyCsv
            | Shape::FlatCsv
            | Shape::FlatTsv
            | Shape::KeepaExportCsv
            | Shape::LaterTable
            | Shape::UnknownCsv
            | Shape::UnknownTsv
    );
    match context.shape {
        Shape::AmazonPage => page::parse(context, text),
        _ if is_table => parse_table(context, text),
        _ => parse_json(context, text),
    }
}

fn parse_json(context: &RecordContext, text: &str) -> Parsed {
    if let Some(detail) = too_deep(text) {
        return refuse(context, RejectReason::TooDeep, "", &detail);
    }
    let parsed = match context.shape {
        Shape::AxessoProduct => serde_json::from_str(text).map(|item| axesso::parse_product(context, &item)),
        Shape::AxessoReview => serde_json::from_str(text).map(|item| axesso::parse_review(context, &item)),
        Shape::JungleeProduct => {
            serde_json::from_str(text).map(|item| junglee::parse_product(context, &item))
        }
        Shape::FlatJson => serde_json::from_str(text).map(|facts| flat::parse(context, &facts)),
        Shape::FirecrawlPage => firecrawl::parse(context, text),
        Shape::RainforestProduct => rainforest::parse_product(context, text),
        Shape::RainforestSearch => rainforest::parse_search(context, text),
        Shape::KeepaProduct | Shape::KeepaHistory => {
            serde_json::from_str(text).map(|answer| keepa::parse(context, &answer))
        }
        shape if shape.is_sp_api() => sp_api::parse(context, text),
        Shape::LaterJson => later::parse_json(context, text),
        Shape::Absence => serde_json::from_str(text).map(|said| absence::parse(context, &said)),
        _ => serde_json::from_str(text).map(|serde::de::IgnoredAny| {
            refuse(context, RejectReason::UnknownShape, "", "no parser knows a record with these keys")
        }),
    };
    parsed.unwrap_or_else(|error| refuse(context, RejectReason::InvalidJson, "", &json_fault(&error)))
}

fn parse_table(context: &RecordContext, text: &str) -> Parsed {
    let row = match table::Row::read(text) {
        Ok(row) => row,
        Err(detail) => return refuse(context, RejectReason::InvalidCsv, "", &detail),
    };
    match context.shape {
        Shape::ApifyCsv => parse_apify_row(context, &row),
        Shape::FlatCsv | Shape::FlatTsv => flat::parse(context, &flat::Facts::of_row(&row)),
        Shape::KeepaExportCsv => keepa_export::parse(context, &row),
        Shape::LaterTable => later::parse_table(context, &row),
        _ => refuse(context, RejectReason::UnknownShape, "", "no parser knows a table with these columns"),
    }
}

/// Says that a JSON text nests deeper than any record is read; null where it does not.
pub(crate) fn too_deep(text: &str) -> Option<String> {
    shape::is_too_deep(text).then(|| format!("nested deeper than {} levels", record::MAX_DEPTH))
}

/// Says what is wrong with a table's row and its header as such; null where each cell has its column.
pub(crate) fn torn_row(text: &str) -> Option<String> {
    table::Row::read(text).err()
}

/// What is wrong with a JSON text, without serde's place: it counts from the record and not from the file.
pub(crate) fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or(text.clone(), str::to_owned)
}

/// A row of Apify's CSV is the JSON it was flattened from.
fn parse_apify_row(context: &RecordContext, row: &table::Row) -> Parsed {
    let Some(item) = junglee::unflatten(row) else {
        return refuse(context, RejectReason::TooDeep, "", "a column path is too deep");
    };
    let keys = row.cells().map(|(name, _)| name.split('/').next().unwrap_or_default());
    let parsed = match shape::json_shape(keys) {
        Some(Shape::AxessoReview) => {
            axesso::ReviewItem::deserialize(&item).map(|item| axesso::parse_review(context, &item))
        }
        Some(Shape::AxessoProduct) => {
            axesso::Product::deserialize(&item).map(|item| axesso::parse_product(context, &item))
        }
        _ => junglee::Product::deserialize(&item).map(|item| junglee::parse_product(context, &item)),
    };
    parsed.unwrap_or_else(|error| refuse(context, RejectReason::InvalidCsv, "", &json_fault(&error)))
}

/// A whole record that cannot be read.
fn refuse(context: &RecordContext, reason: RejectReason, field: &str, detail: &str) -> Parsed {
    let mut record = record::Record::new(context, 0);
    record.reject(reason, field, detail);
    record.rejected()
}
