//! What kind of record is this, and whose is it? Read from the record alone, without parsing all of it.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::record::{MAX_DEPTH, quoted, url_asin, url_marketplace};
use super::table::{self, Row};
use super::value::Scalar;
use super::{
    RejectReason, absence, axesso, firecrawl, flat, keepa, keepa_export, later, page, rainforest, sp_api,
};
use crate::model::{Asin, Day, HISTORY_SOURCE, Marketplace, Timestamp, words};

/// The kind of a receipt whose body is read for days of the past.
pub const HISTORY_KIND: &str = "history";

/// How a record's bytes are laid out. The body of a CSV or TSV record is the header line, a line feed, and the
/// record's own bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecordFormat {
    Json,
    Csv,
    Tsv,
    /// A whole page.
    Html,
}

/// A payload shape that has a parser, or the unknown of each format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Shape {
    AxessoProduct,
    AxessoReview,
    JungleeProduct,
    /// Apify's flattened CSV: nested keys as slash paths. Un-flattened, it is one of the three above.
    ApifyCsv,
    FlatJson,
    FlatCsv,
    FlatTsv,
    KeepaExportCsv,
    AmazonPage,
    FirecrawlPage,
    RainforestProduct,
    RainforestSearch,
    /// Keepa's answer with products, or one product of it: what is true at its last update.
    KeepaProduct,
    /// The same, read for the days of its past that were asked for.
    KeepaHistory,
    SpCatalog,
    SpOffers,
    SpCompetitivePrice,
    SpCompetitiveSummary,
    SpInventory,
    /// Data sets that are recognised so that they are not mistaken, and that are not loaded yet.
    LaterJson,
    LaterTable,
    /// Our own statement that a provider's answer had no entry for a product.
    Absence,
    UnknownJson,
    UnknownCsv,
    UnknownTsv,
}

words!(Shape {
    AxessoProduct = "axesso_product",
    AxessoReview = "axesso_review",
    JungleeProduct = "junglee_product",
    ApifyCsv = "apify_csv",
    FlatJson = "flat_json",
    FlatCsv = "flat_csv",
    FlatTsv = "flat_tsv",
    KeepaExportCsv = "keepa_export_csv",
    AmazonPage = "amazon_page",
    FirecrawlPage = "firecrawl_page",
    RainforestProduct = "rainforest_product",
    RainforestSearch = "rainforest_search",
    KeepaProduct = "keepa_product",
    KeepaHistory = "keepa_history",
    SpCatalog = "sp_catalog",
    SpOffers = "sp_offers",
    SpCompetitivePrice = "sp_competitive_price",
    SpCompetitiveSummary = "sp_competitive_summary",
    SpInventory = "sp_inventory",
    LaterJson = "later_json",
    LaterTable = "later_table",
    Absence = "absence",
    UnknownJson = "unknown_json",
    UnknownCsv = "unknown_csv",
    UnknownTsv = "unknown_tsv",
});

/// A record's shape and identity, as far as the record itself names them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recognised {
    pub shape: Shape,
    /// `product`, `reviews`, `search`, `inventory` or `report`.
    pub kind: &'static str,
    /// One of [`crate::model::KNOWN_SOURCES`].
    pub source: &'static str,
    pub marketplace: Option<Marketplace>,
    pub asin_requested: Option<Asin>,
    pub asin_returned: Option<Asin>,
    /// When the record itself says to the instant when it was true.
    pub observed_at: Option<Timestamp>,
    /// When the record only names the day: noon of it in the reporting zone is meant.
    pub observed_day: Option<Day>,
    /// What is wrong with the time that the record names, where neither of the two can be read from it.
    pub time_fault: Option<String>,
}

impl Recognised {
    /// A record of which only the shape is known.
    pub(super) fn bare(shape: Shape, kind: &'static str) -> Recognised {
        Recognised {
            shape,
            kind,
            source: shape.source(),
            marketplace: None,
            asin_requested: None,
            asin_returned: None,
            observed_at: None,
            observed_day: None,
            time_fault: None,
        }
    }
}

/// True when one of the texts stands anywhere in a record: a quick look, before its keys are read.
pub(super) fn mentions(text: &str, keys: &[&str]) -> bool {
    keys.iter().any(|key| memchr::memmem::find(text.as_bytes(), key.as_bytes()).is_some())
}

impl Shape {
    /// The shape of a record in this format that no parser knows.
    pub fn unknown(format: RecordFormat) -> Shape {
        match format {
            RecordFormat::Json => Shape::UnknownJson,
            RecordFormat::Csv => Shape::UnknownCsv,
            RecordFormat::Tsv => Shape::UnknownTsv,
            // Every page has the one parser, which says what it is instead of a product.
            RecordFormat::Html => Shape::AmazonPage,
        }
    }

    /// The source that gives records of this shape, unless the operator names another.
    fn source(self) -> &'static str {
        match self {
            Shape::AxessoProduct | Shape::AxessoReview | Shape::JungleeProduct | Shape::ApifyCsv => "apify",
            Shape::KeepaExportCsv | Shape::KeepaProduct | Shape::KeepaHistory => "keepa",
            Shape::AmazonPage => "html",
            Shape::FirecrawlPage => "firecrawl",
            Shape::RainforestProduct | Shape::RainforestSearch => "rainforest",
            shape if shape.is_sp_api() => "sp-api",
            _ => "file",
        }
    }

    /// The shape of a receipt's body: what was landed as history is read as one.
    pub fn of_kind(self, kind: &str) -> Shape {
        match self {
            Shape::KeepaProduct if kind == HISTORY_KIND => Shape::KeepaHistory,
            shape => shape,
        }
    }

    /// The source of the observations of a receipt from `source`: days told in hindsight have one of their own.
    pub fn observed_source(self, source: &str) -> &str {
        if self == Shape::KeepaHistory { HISTORY_SOURCE } else { source }
    }

    pub(super) fn is_sp_api(self) -> bool {
        matches!(
            self,
            Shape::SpCatalog
                | Shape::SpOffers
                | Shape::SpCompetitivePrice
                | Shape::SpCompetitiveSummary
                | Shape::SpInventory
        )
    }

    /// Why a body of this shape that is not even text is refused.
    pub(super) fn unreadable(self) -> RejectReason {
        match self {
            Shape::AxessoProduct
            | Shape::AxessoReview
            | Shape::JungleeProduct
            | Shape::FlatJson
            | Shape::FirecrawlPage
            | Shape::RainforestProduct
            | Shape::RainforestSearch
            | Shape::KeepaProduct
            | Shape::KeepaHistory
            | Shape::LaterJson
            | Shape::Absence
            | Shape::UnknownJson => RejectReason::InvalidJson,
            Shape::AmazonPage => RejectReason::Encoding,
            shape if shape.is_sp_api() => RejectReason::InvalidJson,
            _ => RejectReason::InvalidCsv,
        }
    }

    /// False when no parser knows the shape.
    pub fn is_known(self) -> bool {
        !matches!(self, Shape::UnknownJson | Shape::UnknownCsv | Shape::UnknownTsv)
    }
}

/// What the names of a record's keys, or of its columns, point to.
#[derive(Clone, Copy, Default, Debug)]
struct Hints {
    review: usize,
    axesso: usize,
    junglee: usize,
    flat: usize,
    /// The flat table's columns that say something about the product.
    facts: usize,
    names_product: bool,
}

impl Hints {
    fn add(&mut self, name: &str) {
        self.facts += usize::from(flat::is_fact(name));
        match name {
            "asin" | "url" => self.names_product = true,
            "reviewId" | "sortStrategy" | "domainCode" => self.review += 1,
            "statusCode"
            | "warehouseAvailability"
            | "countReview"
            | "productRating"
            | "retailPrice"
            | "soldBy"
            | "fulfilledBy" => self.axesso += 1,
            "stars"
            | "reviewsCount"
            | "breadCrumbs"
            | "bestsellerPageData"
            | "bestsellerRanks"
            | "inStockText"
            | "inStock"
            | "thumbnailImage"
            | "highResolutionImages"
            | "originalAsin"
            | "unNormalizedProductUrl"
            | "error" => self.junglee += 1,
            _ if flat::is_column(name) => self.flat += 1,
            _ => {}
        }
    }

    /// The shape of the JSON record that has these keys.
    fn json_shape(self) -> Option<Shape> {
        let enough = |hints: usize| hints >= 2 || (hints == 1 && self.names_product);
        if self.review >= 1 && enough(self.review + self.axesso) {
            Some(Shape::AxessoReview)
        } else if enough(self.axesso) {
            Some(Shape::AxessoProduct)
        } else if enough(self.junglee) {
            Some(Shape::JungleeProduct)
        } else if self.facts >= 1 && enough(self.flat) {
            Some(Shape::FlatJson)
        } else {
            None
        }
    }
}

/// The keys of a record that say what it is and whose; everything else is skipped without being built.
#[derive(Default)]
struct Keys<'a> {
    hints: Hints,
    asin: Scalar<'a>,
    original_asin: Scalar<'a>,
    url: Scalar<'a>,
    original_url: Scalar<'a>,
    domain_code: Scalar<'a>,
    marketplace: Scalar<'a>,
    /// Only of a Keepa export: elsewhere the word means a language.
    locale: Scalar<'a>,
    observed_at: Scalar<'a>,
    day: Scalar<'a>,
}

impl<'a> Keys<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Scalar<'a>> {
        match name {
            "asin" => Some(&mut self.asin),
            "originalAsin" => Some(&mut self.original_asin),
            "url" => Some(&mut self.url),
            "unNormalizedProductUrl" => Some(&mut self.original_url),
            "domainCode" => Some(&mut self.domain_code),
            "marketplace" => Some(&mut self.marketplace),
            "observed_at" => Some(&mut self.observed_at),
            "day" => Some(&mut self.day),
            _ => None,
        }
    }

    fn recognised(&self, shape: Shape) -> Recognised {
        let is_review = self.hints.json_shape() == Some(Shape::AxessoReview);
        let asin = |value: &Scalar<'_>| value.text().and_then(|text| text.parse::<Asin>().ok());
        let of_url = |value: &Scalar<'_>| value.text().and_then(url_asin);
        let asin_returned = asin(&self.asin);
        let observed_at = self.observed_at.text().and_then(parse_instant);
        let observed_day = self.day.text().and_then(|text| text.trim().parse().ok());
        let has_time = observed_at.is_some() || observed_day.is_some();
        let marketplace = self.marketplace.text().and_then(|text| text.parse().ok());
        let marketplace =
            marketplace.or_else(|| self.locale.text().and_then(keepa_export::locale_marketplace));
        let marketplace = marketplace
            .or_else(|| self.url.text().and_then(url_marketplace)?.ok())
            .or_else(|| self.domain_code.text().and_then(axesso::domain_marketplace));
        Recognised {
            shape,
            kind: if is_review { "reviews" } else { "product" },
            source: shape.source(),
            marketplace,
            asin_requested: asin(&self.original_asin)
                .or_else(|| of_url(&self.original_url))
                .or_else(|| of_url(&self.url))
                .or(asin_returned),
            asin_returned,
            observed_at,
            observed_day,
            time_fault: if has_time { None } else { self.time_fault() },
        }
    }

    fn time_fault(&self) -> Option<String> {
        if let Some(written) = self.observed_at.shown() {
            let fault = if is_local_time(written.trim()) { "has no time zone" } else { "is no instant" };
            let written = quoted(&written);
            return Some(format!("observed_at {written} {fault}; it is read as in 2026-05-01T12:00:00Z"));
        }
        let written = self.day.shown()?;
        Some(format!("day {} is no day; it is read as in 2026-05-01", quoted(&written)))
    }
}

struct KeysVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for KeysVisitor<'a> {
    type Value = Keys<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys<'a>, A::Error> {
        let mut keys = Keys::default();
        while let Some(name) = map.next_key::<Scalar<'de>>()? {
            let name = name.text().unwrap_or_default();
            keys.hints.add(name);
            if name == "price" {
                // An object is how junglee writes a price.
                keys.hints.junglee += usize::from(map.next_value::<Scalar<'de>>()? == Scalar::Nested);
            } else if let Some(slot) = keys.slot(name) {
                *slot = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(keys)
    }
}

/// The shape of a record whose slash paths were folded back into JSON.
pub(super) fn json_shape<'a>(names: impl Iterator<Item = &'a str>) -> Option<Shape> {
    let mut hints = Hints::default();
    names.for_each(|name| hints.add(name));
    hints.json_shape()
}

/// True for a date and time that could be any time zone's.
fn is_local_time(text: &str) -> bool {
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .any(|form| chrono::NaiveDateTime::parse_from_str(text, form).is_ok())
}

/// An instant with its offset, such as `2026-05-01T12:00:00Z`.
pub(super) fn parse_instant(text: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc3339(text.trim()).ok().map(|at| at.to_utc())
}

/// Recognises a record by its keys or its header. Cheap, and never fails: what no rule knows is unknown.
pub fn recognise(format: RecordFormat, body: &[u8]) -> Recognised {
    let text = read_utf8(body).ok();
    let recognised = text.and_then(|text| match format {
        RecordFormat::Json => recognise_json(text),
        RecordFormat::Html => Some(page::recognise(text)),
        RecordFormat::Csv | RecordFormat::Tsv => recognise_table(format, text),
    });
    recognised.unwrap_or_else(|| Keys::default().recognised(Shape::unknown(format)))
}

fn recognise_json(text: &str) -> Option<Recognised> {
    if is_too_deep(text) {
        return None;
    }
    let recognisers = [
        absence::recognise,
        keepa::recognise,
        sp_api::recognise,
        firecrawl::recognise,
        rainforest::recognise,
    ];
    if let Some(recognised) = recognisers.iter().find_map(|recognise| recognise(text)) {
        return Some(recognised);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let keys = deserializer.deserialize_map(KeysVisitor(PhantomData)).ok()?;
    Some(keys.recognised(keys.hints.json_shape().unwrap_or(Shape::UnknownJson)))
}

fn recognise_table(format: RecordFormat, text: &str) -> Option<Recognised> {
    let row = Row::read(text).ok()?;
    let names: Vec<String> = row.names().collect();
    if later::table(&names).is_some() {
        return Some(Recognised::bare(Shape::LaterTable, later::KIND));
    }
    let is_keepa =
        names.iter().any(|name| keepa_export::is_current(name)) && names.iter().any(|n| n == "asin");
    let mut keys = Keys::default();
    for (name, cell) in row.cells() {
        // Of a slash path the first key counts; only a bare column can hold the identity.
        let first = name.split('/').next().unwrap_or_default();
        keys.hints.add(first);
        keys.hints.junglee += usize::from(name == "price/value");
        let mut folded = table::folded(name);
        if is_keepa && folded == "locale" {
            keys.locale = Scalar::of_cell(cell);
        }
        if !is_keepa && !flat::is_column(&folded) {
            folded = name.to_owned();
        }
        if folded != first {
            keys.hints.add(&folded);
        }
        if let Some(slot) = keys.slot(&folded) {
            *slot = Scalar::of_cell(cell);
        }
    }
    let shape = match keys.hints.json_shape() {
        _ if is_keepa => Shape::KeepaExportCsv,
        Some(Shape::FlatJson) if format == RecordFormat::Tsv => Shape::FlatTsv,
        Some(Shape::FlatJson) => Shape::FlatCsv,
        Some(_) => Shape::ApifyCsv,
        None => Shape::unknown(format),
    };
    Some(keys.recognised(shape))
}

/// The body as text, without a byte-order mark; an error is the offset of the first byte that is not UTF-8.
pub(super) fn read_utf8(body: &[u8]) -> Result<&str, usize> {
    let text = std::str::from_utf8(body).map_err(|error| error.valid_up_to())?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// True when brackets nest deeper than [`MAX_DEPTH`]. Looks at every byte once and builds nothing.
pub(super) fn is_too_deep(json: &str) -> bool {
    let bytes = json.as_bytes();
    let mut depth = 0_usize;
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        position += 1;
        match byte {
            b'"' => position = end_of_string(bytes, position),
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The position after the quote that ends the string whose first byte is at `position`.
fn end_of_string(bytes: &[u8], mut position: usize) -> usize {
    while let Some(found) = bytes.get(position..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        position += found + 1;
        if bytes[position - 1] == b'"' {
            return position;
        }
        position += 1;
    }
    bytes.len()
}
