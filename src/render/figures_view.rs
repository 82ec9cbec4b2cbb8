//! The figures of a report: cards to read from afar, and the tables of values, changes and windows.

use super::chart::Unit;
use super::document::{
    DayPoint, Figure as Figures, Measure, Product, Report, Trend, WindowFigure, WindowSummary,
};
use super::format::{self, UNKNOWN, one_decimal, or_unknown, plain_line, spoken};
use super::history_view::day_values;
use super::spark::Up;
use super::strip::Stock;
use super::view::{Block, Card, CardExtra, Cell, Row, Section, Spark, Table, Tone, figures, words};
use crate::model::{Currency, Day};

pub(super) fn measure_unit(measure: Measure, currency: Currency) -> Unit {
    match measure {
        Measure::Price | Measure::ListPrice | Measure::BuyBoxPrice | Measure::LandedPrice => {
            Unit::Money(currency)
        }
        Measure::Bsr | Measure::BsrLeaf => Unit::Rank,
        Measure::Rating => Unit::Stars,
        Measure::RatingsCount => Unit::Count,
    }
}

fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::Price => "Price",
        Measure::ListPrice => "List price",
        Measure::BuyBoxPrice => "Buy box price",
        Measure::LandedPrice => "Landed price",
        Measure::Bsr => "Main rank",
        Measure::BsrLeaf => "Leaf rank",
        Measure::Rating => "Rating",
        Measure::RatingsCount => "Ratings",
    }
}

/// The change in its unit and percent, with a word for its direction; and whether that is good.
fn change(figure: &Figures, currency: Currency) -> (String, Tone) {
    let Some(delta) = figure.delta else { return (UNKNOWN.to_owned(), Tone::Neutral) };
    if delta == 0 {
        return ("unchanged".to_owned(), Tone::Neutral);
    }
    let (amount, up, down, tone) = match measure_unit(figure.name, currency) {
        Unit::Money(currency) => (format::signed_amount(delta, currency), "dearer", "cheaper", Tone::Neutral),
        Unit::Rank if delta > 0 => (format::signed_integer(delta), "worse", "", Tone::Bad),
        Unit::Rank => (format::signed_integer(delta), "", "better", Tone::Good),
        Unit::Stars if delta > 0 => (format::signed_stars(delta), "better", "", Tone::Good),
        Unit::Stars => (format::signed_stars(delta), "", "worse", Tone::Bad),
        Unit::Count => (format::signed_integer(delta), "more", "fewer", Tone::Neutral),
    };
    let pct = figure.pct.map_or_else(String::new, |pct| format!(" ({})", format::signed_percent(pct)));
    (format!("{amount}{pct} {}", if delta > 0 { up } else { down }), tone)
}

/// `shown` writes the day as it is written around it.
fn since(product: &Product, figure: &Figures, shown: fn(Day) -> String) -> String {
    match (figure.value, figure.previous_day) {
        (Some(_), None) if !product.quality.mart_is_current => "the mart is not built".to_owned(),
        (Some(_), Some(day)) => format!("since {}", shown(day)),
        (Some(_), None) => "no earlier value to compare with".to_owned(),
        (None, _) => String::new(),
    }
}

fn in_table(day: Day) -> String {
    day.to_string()
}

pub(super) fn value_text(figure: &Figures, currency: Currency) -> String {
    figure.value.map_or_else(|| UNKNOWN.to_owned(), |value| measure_unit(figure.name, currency).text(value))
}

/// The product today: price, rank, rating, stock.
pub(super) fn now_section(report: &Report, product: &Product) -> Section {
    let mut cards: Vec<Card> = [Measure::Price, Measure::Bsr, Measure::Rating]
        .map(|measure| measure_card(report, product, measure))
        .into();
    cards.push(stock_card(product));
    Section { id: "now", heading: "Latest figures", blocks: vec![Block::Cards(cards)], detail: false }
}

fn measure_card(report: &Report, product: &Product, measure: Measure) -> Card {
    let currency = product.currency;
    let (value, up): (fn(&DayPoint) -> Option<i64>, Up) = match measure {
        Measure::Bsr => (|day| day.bsr, Up::Small),
        Measure::Rating => (|day| day.rating_centi, Up::Large),
        _ => (|day| day.price_minor, Up::Large),
    };
    let spark = Spark {
        values: day_values(report, &product.days, value),
        up,
        label: format!("{} over {} days", measure_name(measure), report.window_days()),
    };
    let figure = product.figures.iter().find(|figure| figure.name == measure);
    let known = figure.and_then(|figure| figure.value);
    let (value, unit) = match (known, measure) {
        (None, _) => (UNKNOWN.to_owned(), String::new()),
        (Some(minor), Measure::Price) => (format::amount(minor, currency), currency.to_string()),
        (Some(centi), Measure::Rating) => (format::stars(centi), "of 5 stars".to_owned()),
        (Some(rank), _) => (
            format::rank(rank),
            figure.and_then(|figure| figure.category.as_deref()).map_or_else(String::new, |category| {
                format!("in {}", format::truncated(&plain_line(category), 26))
            }),
        ),
    };
    let (detail, tone) = match figure {
        Some(figure) if known.is_some() => {
            let (change, tone) = change(figure, currency);
            let change = if figure.delta.is_none() { String::new() } else { format!("{change} ") };
            (format!("{change}{}", since(product, figure, format::long_day)), tone)
        }
        _ => (String::new(), Tone::Neutral),
    };
    Card { label: measure_name(measure), value, unit, detail, tone, extra: CardExtra::Spark(spark) }
}

fn stock_card(product: &Product) -> Card {
    let latest = product.latest.as_ref();
    let availability = latest.map(|latest| latest.availability);
    let month = product.windows.iter().find(|window| window.window_days == 30);
    let share = month.and_then(|window| Some((window, window.in_stock_share?))).map(|(window, share)| {
        format!(
            "in stock on {} of {} known days of 30 ({})",
            window.in_stock_days,
            window.known_days,
            format::share(share)
        )
    });
    let left =
        latest.and_then(|latest| latest.stock_quantity).map(|left| format!("{} left", format::integer(left)));
    Card {
        label: "Stock",
        value: availability.map_or(UNKNOWN.to_owned(), |availability| spoken(availability.as_str())),
        unit: left.unwrap_or_default(),
        detail: share.unwrap_or_else(|| "days in stock unknown".to_owned()),
        tone: match availability.map(Stock::of) {
            Some(Stock::Out) => Tone::Bad,
            _ => Tone::Neutral,
        },
        extra: CardExtra::None,
    }
}

pub(super) fn figures_section(product: &Product) -> Section {
    let blocks = vec![Block::Table(key_figures(product))];
    Section { id: "figures", heading: "Key figures", blocks, detail: false }
}

/// Windows, offer and ranks of the latest row.
pub(super) fn details_section(product: &Product) -> Section {
    let tables = [windows_table(product), offer_table(product), ranks_table(product)];
    let blocks = tables.into_iter().map(Block::Table).collect();
    Section { id: "details", heading: "Windows, offer and ranks", blocks, detail: true }
}

/// The measures with windows: value, change, and the mean of 7, 30 and 90 days.
fn key_figures(product: &Product) -> Table {
    let measures = [Measure::Price, Measure::Bsr, Measure::BsrLeaf, Measure::Rating, Measure::RatingsCount];
    let rows = product.figures.iter().filter(|figure| measures.contains(&figure.name)).map(|figure| {
        let category = figure.category.as_deref().map(plain_line).unwrap_or_default();
        let (change, tone) = change(figure, product.currency);
        let mut cells = vec![
            Cell::new(measure_name(figure.name)).sub(category),
            Cell::new(value_text(figure, product.currency)),
            Cell::new(change).sub(since(product, figure, in_table)).tone(tone),
        ];
        cells.extend([7, 30, 90].map(|days| window_cell(product, figure, days)));
        Row { cells, emphasis: false }
    });
    Table {
        caption: "Latest value, change, and means over 7, 30 and 90 days".to_owned(),
        columns: vec![
            words("Measure"),
            figures("Latest"),
            figures("Change"),
            figures("7 days"),
            figures("30 days"),
            figures("90 days"),
        ],
        rows: rows.collect(),
        empty: "No day was seen.",
    }
}

fn window_cell(product: &Product, figure: &Figures, days: i64) -> Cell {
    if figure.name == Measure::RatingsCount {
        let growth =
            product.windows.iter().find(|window| window.window_days == days).and_then(|w| w.ratings_growth);
        return Cell::new(or_unknown(growth.map(format::signed_integer))).sub("growth");
    }
    let Some(window) = figure.windows.iter().find(|window| window.window_days == days) else {
        return Cell::new(UNKNOWN);
    };
    let mean = window.avg.map(|avg| mean_text(measure_unit(figure.name, product.currency), avg));
    Cell::new(or_unknown(mean)).sub(window_note(figure.name, window))
}

fn mean_text(unit: Unit, avg: f64) -> String {
    match unit {
        Unit::Rank => format!("#{}", one_decimal(avg)),
        _ => unit.text(format::round_half_away(avg)),
    }
}

/// Change over the window and its trend in words.
fn window_note(measure: Measure, window: &WindowFigure) -> String {
    let is_rank = matches!(measure, Measure::Bsr | Measure::BsrLeaf);
    let trend = window.trend.map(|trend| match (trend, is_rank) {
        (Trend::Increasing, true) => "worsening",
        (Trend::Decreasing, true) => "improving",
        (Trend::Increasing, false) => "increasing",
        (Trend::Decreasing, false) => "decreasing",
        (Trend::Stable, _) => "stable",
    });
    let change = window.change_pct.map(format::signed_percent);
    let parts: Vec<String> = change.into_iter().chain(trend.map(str::to_owned)).collect();
    parts.join(", ")
}

/// What the windows say besides means.
fn windows_table(product: &Product) -> Table {
    let currency = product.currency;
    let row = |name: &str, text: &dyn Fn(&WindowSummary) -> String| Row {
        cells: std::iter::once(Cell::new(name))
            .chain([7, 30, 90].map(|days| {
                let window = product.windows.iter().find(|window| window.window_days == days);
                Cell::new(window.map_or_else(|| UNKNOWN.to_owned(), text))
            }))
            .collect(),
        emphasis: false,
    };
    let of_price = |days: i64| {
        let price = product.figures.iter().find(|figure| figure.name == Measure::Price);
        price.and_then(|figure| figure.windows.iter().find(|window| window.window_days == days))
    };
    Table {
        caption: "The last 7, 30 and 90 days".to_owned(),
        columns: vec![words("Window"), figures("7 days"), figures("30 days"), figures("90 days")],
        rows: vec![
            row("Days observed", &|window| format!("{} of {}", window.observed_days, window.window_days)),
            row("Days in stock", &|window| match window.in_stock_share {
                Some(share) => {
                    format!("{} of {} ({})", window.in_stock_days, window.known_days, format::share(share))
                }
                None => UNKNOWN.to_owned(),
            }),
            row("Price range", &|window| {
                let range = window.price_low.zip(window.price_high);
                or_unknown(range.map(|range| range_text(range, currency)))
            }),
            row("Price volatility", &|window| {
                or_unknown(of_price(window.window_days).and_then(|price| price.volatility).map(format::share))
            }),
        ],
        empty: "",
    }
}

fn range_text((low, high): (i64, i64), currency: Currency) -> String {
    let highest = format::money(high, currency);
    if low == high { highest } else { format!("{} to {highest}", format::amount(low, currency)) }
}

fn offer_table(product: &Product) -> Table {
    let row = |name: &str, value: String, note: String| Row {
        cells: vec![Cell::new(name), Cell::new(value), Cell::new(note)],
        emphasis: false,
    };
    let mut rows: Vec<Row> = product
        .figures
        .iter()
        .filter(|figure| {
            matches!(figure.name, Measure::ListPrice | Measure::BuyBoxPrice | Measure::LandedPrice)
        })
        .map(|figure| {
            let (change, _) = change(figure, product.currency);
            let note = if figure.delta.is_some() {
                format!("{change} {}", since(product, figure, in_table))
            } else {
                since(product, figure, in_table)
            };
            row(measure_name(figure.name), value_text(figure, product.currency), note)
        })
        .collect();
    let all_time = product.windows.first().and_then(|window| window.price_low_all.zip(window.price_high_all));
    rows.push(row(
        "Price range, all time",
        or_unknown(all_time.map(|range| range_text(range, product.currency))),
        "without outliers".to_owned(),
    ));
    if let Some(latest) = &product.latest {
        let basis = latest.price_basis.as_deref().map(spoken);
        let seller = latest.seller_name.as_deref().or(latest.seller_id.as_deref()).map(plain_line);
        let shipped =
            latest.fulfilment.as_deref().map(|word| format!("fulfilled by {}", word.to_uppercase()));
        rows.push(row("Price basis", or_unknown(basis), String::new()));
        rows.push(row("Buy box seller", or_unknown(seller), shipped.unwrap_or_default()));
        rows.push(row("Offers", or_unknown(latest.offer_count.map(format::integer)), String::new()));
        let sold = latest.monthly_sold_min.map(|floor| format!("{} or more", format::integer(floor)));
        rows.push(row("Sold in a month", or_unknown(sold), String::new()));
    }
    Table {
        caption: "The offer".to_owned(),
        columns: vec![words("Offer"), figures("Latest"), words("Note")],
        rows,
        empty: "No offer was seen.",
    }
}

fn ranks_table(product: &Product) -> Table {
    let rows = product.ranks.iter().map(|rank| {
        let role = match (rank.is_main, rank.is_leaf) {
            (true, _) => "main",
            (_, true) => "most specific",
            _ => "",
        };
        Row {
            cells: vec![
                Cell::new(plain_line(&rank.category)),
                Cell::new(format::rank(rank.rank)),
                Cell::new(role),
            ],
            emphasis: false,
        }
    });
    Table {
        caption: "Best-seller ranks".to_owned(),
        columns: vec![words("Category"), figures("Rank"), words("Role")],
        rows: rows.collect(),
        empty: "No rank is known.",
    }
}
