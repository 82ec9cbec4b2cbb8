//! What charts say, in the languages that they are drawn in. Reports are written in English; the pages of serve-lite also in
//! Chinese.

use super::chart::Unit;
use super::format;
use super::strip::Stock;
use crate::model::{Availability, Day, Language};

/// The words of charts.
pub(super) struct Words {
    pub(super) price: &'static str,
    pub(super) prices: &'static str,
    pub(super) rank: &'static str,
    pub(super) ranks: &'static str,
    pub(super) rank_axis: &'static str,
    pub(super) rating: &'static str,
    pub(super) ratings: &'static str,
    pub(super) ratings_count: &'static str,
    pub(super) stock: &'static str,
    pub(super) stars: &'static str,
    /// Of lines and legends.
    pub(super) price_line: &'static str,
    pub(super) list_price_line: &'static str,
    pub(super) rank_line: &'static str,
    pub(super) rating_line: &'static str,
    pub(super) ratings_line: &'static str,
    pub(super) band: &'static str,
    pub(super) alert: &'static str,
    pub(super) not_observed: &'static str,
    pub(super) no_data: &'static str,
    pub(super) unknown: &'static str,
    pub(super) of_all_members: &'static str,
}

const ENGLISH: Words = Words {
    price: "Price",
    prices: "Prices",
    rank: "Best-seller rank",
    ranks: "Ranks",
    rank_axis: "rank, best at the top, log scale",
    rating: "Rating",
    ratings: "Ratings",
    ratings_count: "Number of ratings",
    stock: "Stock",
    stars: "stars",
    price_line: "price",
    list_price_line: "list price",
    rank_line: "rank",
    rating_line: "rating",
    ratings_line: "ratings",
    band: "low to high of the day",
    alert: "alert",
    not_observed: "not observed",
    no_data: "no data",
    unknown: format::UNKNOWN,
    of_all_members: "of all members",
};

const TRADITIONAL_CHINESE: Words = Words {
    price: "價格",
    prices: "價格",
    rank: "暢銷排名",
    ranks: "排名",
    rank_axis: "排名，愈上愈好，對數刻度",
    rating: "評分",
    ratings: "評分",
    ratings_count: "評分數",
    stock: "庫存",
    stars: "顆星",
    price_line: "價格",
    list_price_line: "定價",
    rank_line: "排名",
    rating_line: "評分",
    ratings_line: "評分數",
    band: "當日最低至最高",
    alert: "警示",
    not_observed: "未觀測",
    no_data: "無資料",
    unknown: "不明",
    of_all_members: "（全部成員）",
};

impl Language {
    pub(super) fn words(self) -> &'static Words {
        match self {
            Language::English => &ENGLISH,
            Language::TraditionalChinese => &TRADITIONAL_CHINESE,
        }
    }

    /// A day on an axis.
    pub(super) fn short_day(self, day: Day) -> String {
        match self {
            Language::English => format::short_day(day),
            Language::TraditionalChinese => day.date().format("%-m/%-d").to_string(),
        }
    }

    pub(super) fn long_day(self, day: Day) -> String {
        match self {
            Language::English => format::long_day(day),
            Language::TraditionalChinese => day.date().format("%Y年%-m月%-d日").to_string(),
        }
    }

    pub(super) fn long_period(self, first: Day, last: Day) -> String {
        match self {
            Language::English => format::long_period(first, last),
            Language::TraditionalChinese if first == last => self.long_day(first),
            Language::TraditionalChinese => format!("{}至{}", self.long_day(first), self.long_day(last)),
        }
    }

    /// A heading with the category that it is about, where one is known.
    pub(super) fn in_category(self, heading: &str, category: Option<&str>) -> String {
        match (self, category) {
            (_, None) => heading.to_owned(),
            (Language::English, Some(category)) => format!("{heading} in {category}"),
            (Language::TraditionalChinese, Some(category)) => format!("{heading}（{category}）"),
        }
    }

    /// What a chart's axis measures.
    pub(super) fn axis_title(self, unit: Unit) -> String {
        match unit {
            Unit::Money(currency) => currency.to_string(),
            Unit::Rank => self.words().rank_axis.to_owned(),
            Unit::Stars => self.words().stars.to_owned(),
            Unit::Count if self == Language::English => "number of ratings".to_owned(),
            Unit::Count => self.words().ratings_count.to_owned(),
        }
    }

    pub(super) fn value(self, unit: Unit, value: i64) -> String {
        match unit {
            Unit::Stars => format!("{} {}", format::stars(value), self.words().stars),
            unit => unit.text(value),
        }
    }

    pub(super) fn stock(self, stock: Stock) -> &'static str {
        match (self, stock) {
            (Language::English, stock) => stock.words(),
            (_, Stock::In) => "有貨",
            (_, Stock::Low) => "庫存偏低",
            (_, Stock::Limited) => "受限（延後出貨、無主要報價等）",
            (_, Stock::Out) => "缺貨",
            (_, Stock::Unknown) => "庫存不明",
        }
    }

    pub(super) fn availability(self, availability: Availability) -> String {
        match self {
            Language::English => format::spoken(availability.as_str()),
            Language::TraditionalChinese => self.stock(Stock::of(availability)).to_owned(),
        }
    }

    /// The sentence that tells a chart to those who do not see it.
    pub(super) fn known_on(self, facts: &Known<'_>) -> String {
        let Known { period, known, days, is_rank, lowest, highest, latest } = facts;
        match self {
            Language::English => {
                let (low, high) = if *is_rank { ("best", "worst") } else { ("lowest", "highest") };
                let days = format::count_of(*days, "day");
                format!(
                    "{period}: known on {known} of {days}; {low} {} on {}, {high} {} on {}, latest {} on {}.",
                    lowest.1, lowest.0, highest.1, highest.0, latest.1, latest.0
                )
            }
            Language::TraditionalChinese => {
                let (low, high) = if *is_rank { ("最佳", "最差") } else { ("最低", "最高") };
                format!(
                    "{period}：{days} 天中有 {known} 天已知；{low} {}（{}），{high} {}（{}），最新 {}（{}）。",
                    lowest.1, lowest.0, highest.1, highest.0, latest.1, latest.0
                )
            }
        }
    }

    pub(super) fn nothing_known(self, period: &str, days: i64) -> String {
        match self {
            Language::English => {
                format!("{period}: no data, no value is known on any of {}.", format::count_of(days, "day"))
            }
            Language::TraditionalChinese => format!("{period}：{days} 天中沒有任何已知數值。"),
        }
    }

    /// Days spent in a state of stock.
    pub(super) fn on_days(self, what: &str, days: i64) -> String {
        match self {
            Language::English => format!("{what} on {}", format::count_of(days, "day")),
            Language::TraditionalChinese => format!("{what} {days} 天"),
        }
    }

    pub(super) fn drawn_in_grey(self, count: i64) -> String {
        match self {
            Language::English => {
                format!("{} more drawn in grey.", format::count_of(count, "competitor"))
            }
            Language::TraditionalChinese => format!("另有 {count} 個競品以灰色繪出。"),
        }
    }

    pub(super) fn not_comparable(self, names: &str) -> String {
        match self {
            Language::English => format!("No comparable values: {names}."),
            Language::TraditionalChinese => format!("無可比較的數值：{names}。"),
        }
    }
}

/// What is known of a series: texts of days and values.
pub(super) struct Known<'a> {
    pub(super) period: &'a str,
    pub(super) known: usize,
    pub(super) days: i64,
    pub(super) is_rank: bool,
    pub(super) lowest: (String, String),
    pub(super) highest: (String, String),
    pub(super) latest: (String, String),
}
