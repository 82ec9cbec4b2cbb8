//! What a chart shows: series over days in one unit. `plot` draws it.

use super::format;
use super::language::Known;
use super::scale::Axis;
use crate::model::{Currency, Day, DayRange, Language};

/// What the values of a chart are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Money(Currency),
    Rank,
    /// Hundredths of a star.
    Stars,
    Count,
}

impl Unit {
    /// The value with its unit: `25.99 USD`, `#304`, `4.5 stars`, `1,204`.
    pub(super) fn text(self, value: i64) -> String {
        match self {
            Unit::Money(currency) => format::money(value, currency),
            Unit::Rank => format::rank(value),
            Unit::Stars => format!("{} stars", format::stars(value)),
            Unit::Count => format::integer(value),
        }
    }

    pub(super) fn tick(self, value: i64) -> String {
        match self {
            Unit::Money(currency) => format::amount(value, currency),
            Unit::Rank => format::rank(value),
            Unit::Stars => format::stars(value),
            Unit::Count => format::integer(value),
        }
    }

    /// The finest distance of two ticks that is worth a label.
    pub(super) fn finest_step(self) -> i64 {
        match self {
            // A tenth of the currency's unit, a tenth of a star.
            Unit::Money(currency) => 10_i64.pow(currency.exponent()) / 10,
            Unit::Stars => 10,
            Unit::Rank | Unit::Count => 1,
        }
    }

    pub(super) fn axis(self) -> Axis {
        if self == Unit::Rank { Axis::RankLog } else { Axis::Linear }
    }
}

/// How the days of a series are joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// A value holds for its day and jumps.
    Step,
    Line,
}

/// What a series is to the reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// The subject of the chart.
    Main,
    /// One of the few others that are told apart, numbered from 0.
    Other(usize),
    /// One of many others, drawn alike.
    Background,
    /// Not a measurement of its own: the list price.
    Reference,
}

/// Columns of a name at a line's end.
pub(super) const NAME_COLUMNS: usize = 20;
/// How many others get a colour, a dash pattern and a symbol of their own.
pub(super) const TOLD_APART: usize = 6;

/// One value per day of the chart's range.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Series {
    pub name: String,
    pub role: Role,
    pub values: Vec<Option<i64>>,
}

/// Something that happened on a day.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Mark {
    pub day: Day,
    pub text: String,
}

/// A chart of one or more series over days.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct LineChart {
    /// Unique in the page; letters, digits and hyphens.
    pub id: String,
    pub title: String,
    pub range: DayRange,
    pub unit: Unit,
    pub shape: Shape,
    pub series: Vec<Series>,
    /// Lowest and highest value of each day.
    pub band: Vec<Option<(i64, i64)>>,
    /// Whether each day was seen at all; days that were not are shaded.
    pub seen: Vec<bool>,
    pub marks: Vec<Mark>,
    /// Name the series at their ends.
    pub direct_labels: bool,
    pub language: Language,
}

/// Outer size in user units; the page scales it to the column's width.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// For half a page's width, and for phones.
pub(super) const HALF: Size = Size { width: 460.0, height: 232.0 };
/// For a page's full width.
pub(super) const WIDE: Size = Size { width: 960.0, height: 340.0 };
/// The full-width chart on a phone.
pub(super) const TALL: Size = Size { width: 460.0, height: 360.0 };

impl LineChart {
    pub(super) fn values(&self) -> impl Iterator<Item = i64> + '_ {
        let in_band = self.band.iter().flatten().flat_map(|(low, high)| [*low, *high]);
        self.series.iter().flat_map(|series| series.values.iter().flatten().copied()).chain(in_band)
    }

    pub(super) fn main(&self) -> Option<&Series> {
        self.series.iter().find(|series| series.role == Role::Main)
    }

    /// The chart in a sentence: how much is known, extremes and latest value of the main series.
    pub(super) fn summary(&self) -> String {
        let language = self.language;
        let days = self.range.days().count() as i64;
        let period = language.long_period(self.range.first, self.range.last);
        let Some(main) = self.main() else { return language.nothing_known(&period, days) };
        // Among several measured series the sentence says which one it is about.
        let measured = self.series.iter().filter(|series| series.role != Role::Reference).count();
        let period = if measured > 1 { format!("{}, {period}", main.name) } else { period };
        let known: Vec<(Day, i64)> =
            self.range.days().zip(&main.values).filter_map(|(day, value)| Some((day, (*value)?))).collect();
        let (Some(lowest), Some(highest), Some(latest)) = (
            known.iter().min_by_key(|(_, value)| *value),
            known.iter().rev().max_by_key(|(_, value)| *value),
            known.last(),
        ) else {
            return language.nothing_known(&period, days);
        };
        let on = |(day, value): &(Day, i64)| (language.long_day(*day), language.value(self.unit, *value));
        language.known_on(&Known {
            period: &period,
            known: known.len(),
            days,
            is_rank: self.unit == Unit::Rank,
            lowest: on(lowest),
            highest: on(highest),
            latest: on(latest),
        })
    }
}
