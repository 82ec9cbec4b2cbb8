//! The report documents: every fact a report states, in plain values. The JSON form is these structs; HTML,
//! Markdown and terminal text are drawn from them. Nothing here depends on the time of rendering, so the same
//! evidence is the same document.

use serde::Serialize;

use crate::model::{Availability, Currency, Day, DayRange, Money, Timestamp};
use crate::narrate::StructuredReport;
use crate::rollup::compare::Comparison;

/// Schema of the JSON form.
pub const SCHEMA: &str = "amzctl.report/1";

/// One report.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    pub schema: &'static str,
    /// `US:B0…`, `cohort:NAME` or `watchlist`.
    pub subject: String,
    pub as_of: Day,
    /// Days the series, alerts and data-quality notes cover, both inclusive.
    pub window: DayRange,
    /// IANA name of the reporting zone, in which days are counted.
    pub zone: String,
    #[serde(flatten)]
    pub body: Body,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    Product(Box<ProductReport>),
    Cohort(Box<ProductReport>),
    Watchlist(WatchlistReport),
}

impl Report {
    /// Days of the window.
    pub fn window_days(&self) -> i64 {
        i64::from(self.window.last.no() - self.window.first.no() + 1)
    }
}

/// One product in depth; for a cohort its main product, with its competitors beside it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ProductReport {
    pub product: Product,
    /// The cohort the comparison comes from; null when the product is the main of none.
    pub cohort: Option<Cohort>,
    pub comparison: Option<Comparison>,
    pub narrative: Option<StructuredReport>,
    /// Series of all members for the overlay charts, main first; only in cohort reports.
    pub overlay: Vec<OverlayMember>,
    pub alerts: Vec<AlertLine>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Cohort {
    pub name: String,
    pub label: String,
}

/// What is known of one product on and up to `as_of`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Product {
    pub marketplace: String,
    pub asin: String,
    pub title: Option<String>,
    pub brand: Option<String>,
    /// Path joined by ` > `.
    pub category: Option<String>,
    /// `active` or `gone`.
    pub status: String,
    pub first_day: Day,
    pub currency: Currency,
    /// Null when no day of the window was seen.
    pub latest: Option<Latest>,
    /// Value, change and windows of each measure.
    pub figures: Vec<Figure>,
    pub windows: Vec<WindowSummary>,
    /// Of the latest daily row, in the source's order.
    pub ranks: Vec<RankLine>,
    /// Observed days of the window, sorted; a day that was not seen is absent.
    pub days: Vec<DayPoint>,
    pub quality: DataQuality,
}

/// The newest daily row of the window.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Latest {
    pub day: Day,
    pub observed_at: Timestamp,
    /// Hours from `observed_at` to the end of `as_of` in the reporting zone.
    pub age_hours: i64,
    pub price_minor: Option<i64>,
    pub price: Option<Money>,
    pub price_basis: Option<String>,
    pub availability: Availability,
    pub stock_quantity: Option<i64>,
    pub seller_id: Option<String>,
    pub seller_name: Option<String>,
    pub fulfilment: Option<String>,
    pub offer_count: Option<i64>,
    pub monthly_sold_min: Option<i64>,
    pub bsr: Option<i64>,
    pub bsr_category: Option<String>,
    pub rating_centi: Option<i64>,
    pub ratings_count: Option<i64>,
    pub source: String,
    pub sources: String,
}

/// One measure: its value on the latest row's day, its change against the previous known day of that field, and
/// its windows.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Figure {
    pub name: Measure,
    /// In the measure's own unit: minor units, rank, hundredths of a star, count.
    pub value: Option<i64>,
    pub money: Option<Money>,
    /// Category of a rank.
    pub category: Option<String>,
    pub previous: Option<i64>,
    pub previous_day: Option<Day>,
    pub delta: Option<i64>,
    pub pct: Option<f64>,
    /// 7, 30 and 90 days; empty for measures without windows.
    pub windows: Vec<WindowFigure>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    Price,
    ListPrice,
    BuyBoxPrice,
    LandedPrice,
    Bsr,
    BsrLeaf,
    Rating,
    RatingsCount,
}

impl Measure {
    /// True where the value is an amount in minor units.
    pub fn is_money(self) -> bool {
        matches!(self, Measure::Price | Measure::ListPrice | Measure::BuyBoxPrice | Measure::LandedPrice)
    }

    /// True where the mart rolls the measure up over windows.
    pub fn has_windows(self) -> bool {
        matches!(self, Measure::Price | Measure::Bsr | Measure::BsrLeaf | Measure::Rating)
    }
}

/// One measure over one window.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WindowFigure {
    pub window_days: i64,
    /// Days with a known value.
    pub n: i64,
    pub avg: Option<f64>,
    /// Twice the median, so that it stays an integer.
    pub median_x2: Option<i64>,
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub change_pct: Option<f64>,
    pub volatility: Option<f64>,
    pub trend: Option<Trend>,
}

/// Of the number itself, also for ranks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    Increasing,
    Stable,
    Decreasing,
}

impl Trend {
    /// The mart's 1, 0 and -1.
    pub fn of_sign(sign: i64) -> Option<Trend> {
        match sign {
            1 => Some(Trend::Increasing),
            0 => Some(Trend::Stable),
            -1 => Some(Trend::Decreasing),
            _ => None,
        }
    }
}

/// What one window says besides single measures.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WindowSummary {
    pub window_days: i64,
    pub observed_days: i64,
    pub in_stock_days: i64,
    /// Days on which stock was known.
    pub known_days: i64,
    pub in_stock_share: Option<f64>,
    pub ratings_growth: Option<i64>,
    /// Guarded against outliers.
    pub price_low: Option<i64>,
    pub price_high: Option<i64>,
    pub price_low_all: Option<i64>,
    pub price_high_all: Option<i64>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RankLine {
    pub category: String,
    pub category_id: Option<String>,
    pub rank: i64,
    pub is_main: bool,
    pub is_leaf: bool,
}

/// One observed day.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DayPoint {
    pub day: Day,
    pub price_minor: Option<i64>,
    pub list_price_minor: Option<i64>,
    pub low_price_minor: Option<i64>,
    pub high_price_minor: Option<i64>,
    /// In the category of the latest row's main rank; null where that day has no rank in it.
    pub bsr: Option<i64>,
    pub rating_centi: Option<i64>,
    pub ratings_count: Option<i64>,
    pub availability: Availability,
}

/// Series of one cohort member, one value per day of the window.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OverlayMember {
    pub marketplace: String,
    pub asin: String,
    /// Label, else brand or title cut short, else ASIN.
    pub name: String,
    pub is_main: bool,
    /// All null where the currency is not the main's.
    pub price_minor: Vec<Option<i64>>,
    /// In the main product's main category of `as_of`.
    pub bsr: Vec<Option<i64>>,
    pub rating_centi: Vec<Option<i64>>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AlertLine {
    pub alert_id: String,
    pub day: Day,
    pub rule: String,
    pub severity: String,
    pub state: String,
    pub marketplace: String,
    pub asin: String,
    pub message: String,
    /// Found late: listed, never delivered.
    pub historical: bool,
}

/// Newest first; on a day the gravest first.
pub fn sort_alerts(alerts: &mut [AlertLine]) {
    let grave =
        |severity: &str| ["critical", "high", "medium", "low"].iter().position(|word| *word == severity);
    alerts.sort_by(|a, b| {
        let key = |alert: &AlertLine| (grave(&alert.severity), alert.rule.clone(), alert.alert_id.clone());
        b.day.cmp(&a.day).then_with(|| key(a).cmp(&key(b)))
    });
}

/// How much was seen, and what was not.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DataQuality {
    /// Days of the report's window with a daily row.
    pub observed_days: i64,
    pub observed_30d: i64,
    /// min(1, observed days of the last 30 / 30).
    pub quality: f64,
    /// Runs of unseen days between the product's first day and `as_of`, inside the window.
    pub gaps: Vec<DayRange>,
    /// Days each source contributed to, most first.
    pub sources: Vec<Counted>,
    /// What the price was, by days.
    pub price_bases: Vec<Counted>,
    /// Open quarantined records of the product, by reason.
    pub quarantined: Vec<Counted>,
    /// Fields the latest row does not know.
    pub unknown: Vec<String>,
    /// False when the mart was not built for the latest day: changes and windows are unknown then.
    pub mart_is_current: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Counted {
    pub name: String,
    pub count: i64,
}

/// The whole watchlist at a glance.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WatchlistReport {
    pub summary: WatchlistSummary,
    /// Sorted by marketplace and ASIN.
    pub products: Vec<WatchedProduct>,
    /// Newest first.
    pub alerts: Vec<AlertLine>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WatchlistSummary {
    pub watched: i64,
    pub paused: i64,
    /// Products with a row on `as_of`.
    pub seen_today: i64,
    /// Products without a row in the last seven days.
    pub stale: i64,
    /// Products without a row in the window.
    pub not_seen: i64,
    pub out_of_stock: i64,
    pub open_alerts: Vec<Counted>,
    pub quarantined: i64,
    /// Newest day of the window that the lake holds; null when it holds none.
    pub lake_until: Option<Day>,
}

/// One line of the digest: the newest row up to `as_of`, its delta, and the measures of its seven-day window.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WatchedProduct {
    pub marketplace: String,
    pub asin: String,
    pub title: Option<String>,
    pub label: String,
    pub relation: String,
    pub paused: bool,
    pub currency: Currency,
    /// Newest day up to `as_of` with a row; null when never seen in the window.
    pub day: Option<Day>,
    pub price_minor: Option<i64>,
    pub price: Option<Money>,
    /// Against the previous known day.
    pub price_pct: Option<f64>,
    pub price_7d_pct: Option<f64>,
    pub bsr: Option<i64>,
    pub bsr_category: Option<String>,
    pub bsr_pct: Option<f64>,
    pub bsr_7d_pct: Option<f64>,
    pub rating_centi: Option<i64>,
    pub rating_delta_centi: Option<i64>,
    pub ratings_count: Option<i64>,
    pub availability: Option<Availability>,
    pub open_alerts: i64,
    /// One value per day of the window.
    pub price_series: Vec<Option<i64>>,
    pub bsr_series: Vec<Option<i64>>,
}
