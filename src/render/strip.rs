//! Small drawings: the stock strip, score bars, and sparklines for tables.

use std::fmt::Write;

use html_escape::encode_text;

use super::chart::Size;
use super::spark::Up;
use crate::model::{Availability, Day, DayRange, Language};

/// What the stock strip tells apart: by height and fill as well as by colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stock {
    In,
    Low,
    /// On offer, but not for immediate delivery, or not by a featured offer.
    Limited,
    Out,
    Unknown,
}

impl Stock {
    pub(super) const ALL: [Stock; 5] = [Stock::In, Stock::Low, Stock::Limited, Stock::Out, Stock::Unknown];

    pub(super) fn of(availability: Availability) -> Stock {
        match availability {
            Availability::LowStock => Stock::Low,
            other if other.is_in_stock() => Stock::In,
            other if other.is_out() => Stock::Out,
            other if other.is_known() => Stock::Limited,
            _ => Stock::Unknown,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Stock::In => "in stock",
            Stock::Low => "low stock",
            Stock::Limited => "limited (ships later, no featured offer, …)",
            Stock::Out => "out of stock",
            Stock::Unknown => "stock unknown",
        }
    }

    /// Class in the stylesheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Stock::In => "in",
            Stock::Low => "low",
            Stock::Limited => "limited",
            Stock::Out => "out",
            Stock::Unknown => "what",
        }
    }

    /// Top and height inside a strip of 28 units.
    fn extent(self) -> (f64, f64) {
        match self {
            Stock::In => (0.0, 28.0),
            Stock::Low => (9.0, 19.0),
            Stock::Limited => (16.0, 12.0),
            Stock::Out => (22.0, 6.0),
            Stock::Unknown => (13.0, 2.0),
        }
    }
}

/// The availability of each day of a range; null where the day was not seen.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct StockStrip {
    pub id: String,
    pub title: String,
    pub range: DayRange,
    pub days: Vec<Option<Availability>>,
    pub language: Language,
}

impl StockStrip {
    /// How many days were spent in each state, as a sentence.
    pub(super) fn summary(&self) -> String {
        let (language, words) = (self.language, self.language.words());
        let mut said: Vec<String> = Stock::ALL
            .into_iter()
            .filter_map(|stock| {
                let count = self.days.iter().flatten().filter(|day| Stock::of(**day) == stock).count();
                (count > 0).then(|| language.on_days(language.stock(stock), count as i64))
            })
            .collect();
        if said.is_empty() {
            said.push(words.no_data.to_owned());
        }
        let unseen = self.days.iter().filter(|day| day.is_none()).count();
        let period = language.long_period(self.range.first, self.range.last);
        match language {
            Language::English => {
                let unseen = if unseen == 0 { String::new() } else { format!("; {unseen} not observed") };
                format!("{period}: {}{unseen}.", said.join(", "))
            }
            Language::TraditionalChinese => {
                if unseen > 0 {
                    said.push(language.on_days(words.not_observed, unseen as i64));
                }
                format!("{period}：{}。", said.join("、"))
            }
        }
    }

    /// The states that occur, in the order of the legend.
    pub(super) fn states(&self) -> Vec<Stock> {
        let occurs = |stock: &Stock| self.days.iter().flatten().any(|day| Stock::of(*day) == *stock);
        Stock::ALL.into_iter().filter(occurs).collect()
    }
}

/// Draws the strip: one block per run of days in the same state.
pub(super) fn stock_strip(strip: &StockStrip, size: Size, variant: &str) -> String {
    let total = size.width;
    let width = total / strip.days.len().max(1) as f64;
    let mut svg = format!(
        "<svg class=\"chart strip\" viewBox=\"0 0 {total} 52\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
        encode_text(&strip.title),
        encode_text(&strip.summary()),
        id = format_args!("{}-{variant}", strip.id),
    );
    let mut first = 0;
    while first < strip.days.len() {
        let state = strip.days[first];
        let last =
            (first..strip.days.len()).take_while(|index| strip.days[*index] == state).last().unwrap_or(first);
        let on = |index: usize| strip.range.first.plus(i32::try_from(index).unwrap_or(0));
        let (class, (top, height), words) = match state {
            Some(availability) => {
                let stock = Stock::of(availability);
                (stock.class(), stock.extent(), strip.language.availability(availability))
            }
            None => ("gap", (0.0, 28.0), strip.language.words().not_observed.to_owned()),
        };
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height}\"><title>{}</title></rect>",
            first as f64 * width,
            top + 2.0,
            (last - first + 1) as f64 * width,
            encode_text(&format!("{}: {words}", period(on(first), on(last)))),
        );
        first = last + 1;
    }
    let _ = write!(
        svg,
        "<line class=\"base\" x1=\"0\" x2=\"{total}\" y1=\"30\" y2=\"30\"/>\
         <text class=\"label\" x=\"0\" y=\"47\">{}</text><text class=\"label\" x=\"{total}\" y=\"47\" \
         text-anchor=\"end\">{}</text></svg>",
        strip.language.short_day(strip.range.first),
        strip.language.short_day(strip.range.last),
    );
    svg
}

/// One day, or the first and the last of several.
fn period(first: Day, last: Day) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// A swatch of the stock legend.
pub(super) fn stock_swatch(stock: Stock) -> String {
    let (top, height) = stock.extent();
    format!(
        "<svg class=\"swatch strip\" viewBox=\"0 0 14 28\" aria-hidden=\"true\">\
         <rect class=\"{}\" x=\"0\" y=\"{top}\" width=\"14\" height=\"{height}\"/></svg>",
        stock.class()
    )
}

/// A bar from 0 to 100 with a mark in the middle; null draws only the track.
pub(super) fn score_bar(score: Option<f64>) -> String {
    let fill = score.map_or_else(String::new, |score| {
        format!("<rect class=\"fill\" width=\"{:.1}\" height=\"6\" rx=\"3\"/>", score.clamp(0.0, 100.0))
    });
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"100\" height=\"6\" rx=\"3\"/>{fill}<path class=\"half\" d=\"M50 0V6\"/></svg>"
    )
}

/// Sparkline in a table's cell.
pub(super) const CELL: Size = Size { width: 96.0, height: 22.0 };
/// Sparkline in a card.
pub(super) const CARD: Size = Size { width: 230.0, height: 36.0 };

/// A line without axes for a table's cell; gaps stay gaps, a lonely day is a dot.
pub(super) fn spark_svg(values: &[Option<i64>], up: Up, label: &str, size: Size) -> String {
    let known = || values.iter().flatten().copied();
    let (Some(min), Some(max)) = (known().min(), known().max()) else {
        return "<span class=\"none\">no data</span>".to_owned();
    };
    let x = |index: usize| 2.0 + (size.width - 4.0) * (index as f64 + 0.5) / values.len() as f64;
    let y = |value: i64| {
        let share = if min == max { 0.5 } else { (value as f64 - min as f64) / (max as f64 - min as f64) };
        let high = if up == Up::Large { 1.0 - share } else { share };
        3.0 + (size.height - 6.0) * high
    };
    let (mut path, mut dots) = (String::new(), String::new());
    for (index, value) in values.iter().enumerate().filter_map(|(index, value)| Some((index, (*value)?))) {
        let before = index > 0 && values[index - 1].is_some();
        let after = values.get(index + 1).is_some_and(Option::is_some);
        if before || after {
            let _ = write!(path, "{}{:.1} {:.1}", if before { 'L' } else { 'M' }, x(index), y(value));
        }
        let is_last = values[index + 1..].iter().all(Option::is_none);
        if is_last || !(before || after) {
            let _ = write!(dots, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"/>", x(index), y(value));
        }
    }
    format!(
        "<svg class=\"spark\" viewBox=\"0 0 {} {}\" role=\"img\"><title>{}</title>\
         <path d=\"{path}\"/>{dots}</svg>",
        size.width,
        size.height,
        encode_text(label)
    )
}
