//! The view of the watchlist digest: what moved, what fires, what is stale, and every product with its sparkline.

use super::alert_view;
use super::document::{Report, WatchedProduct, WatchlistReport};
use super::format::{
    self, UNKNOWN, count_of, integer, long_day, long_period, or_unknown, plain_line, signed_percent, spoken,
};
use super::spark::Up;
use super::view::{Block, Card, CardExtra, Cell, Fact, Row, Section, Table, Tone, View, figures, words};
use crate::model::Availability;

/// Lines of each table of movers.
const MOVERS: usize = 10;
/// Products listed in full; the JSON form has all of them.
const LISTED: usize = 200;
/// Products listed that were not seen on the day.
const LATE: usize = 50;

/// Builds the view of the digest.
pub(super) fn watchlist_view(report: &Report, body: &WatchlistReport) -> View {
    View {
        kind: "Watchlist digest",
        title: format!("Watchlist on {}", long_day(report.as_of)),
        facts: header_facts(report, body),
        sections: vec![
            summary_section(body),
            movers_section(body),
            alert_view::alerts_section(&body.alerts, report, true),
            products_section(report, body),
            freshness_section(report, body),
        ],
        colophon: vec![
            format!(
                "Days are calendar days in {}; sparklines cover {}.",
                report.zone,
                long_period(report.window.first, report.window.last)
            ),
            "Unknown means that no source said so; it is never counted as zero, as in stock or as unchanged."
                .to_owned(),
        ],
    }
}

fn header_facts(report: &Report, body: &WatchlistReport) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("As of", long_day(report.as_of)),
        Fact::new("Marketplaces", marketplaces(body)),
        Fact::new("Freshness", freshness(body)),
    ];
    if body.summary.lake_until.is_none_or(|day| day < report.as_of) && !body.products.is_empty() {
        let until = body.summary.lake_until.map_or_else(
            || "holds no day of this window".to_owned(),
            |day| format!("built up to {}", long_day(day)),
        );
        facts.push(Fact::new("Mart", format!("{until}: run `amzctl build-mart`")));
    }
    facts
}

fn marketplaces(body: &WatchlistReport) -> String {
    let mut codes: Vec<&str> = body.products.iter().map(|product| product.marketplace.as_str()).collect();
    codes.dedup();
    if codes.is_empty() { "none".to_owned() } else { codes.join(", ") }
}

fn freshness(body: &WatchlistReport) -> String {
    let summary = &body.summary;
    format!(
        "{} of {} seen on the day",
        integer(summary.seen_today),
        integer(summary.watched - summary.paused)
    )
}

fn summary_section(body: &WatchlistReport) -> Section {
    let summary = &body.summary;
    let card = |label, value: i64, detail: String, tone| Card {
        label,
        value: integer(value),
        unit: String::new(),
        detail,
        tone,
        extra: CardExtra::None,
    };
    let bad_if = |bad: bool| if bad { Tone::Bad } else { Tone::Neutral };
    let open: i64 = summary.open_alerts.iter().map(|counted| counted.count).sum();
    let by_severity: Vec<String> =
        summary.open_alerts.iter().map(|counted| format!("{} {}", counted.count, counted.name)).collect();
    let cards = vec![
        card("Products", summary.watched, format!("{} paused", integer(summary.paused)), Tone::Neutral),
        card(
            "Seen on the day",
            summary.seen_today,
            format!("{} not seen in the window", integer(summary.not_seen)),
            Tone::Neutral,
        ),
        card("Open alerts", open, by_severity.join(", "), bad_if(open > 0)),
        card(
            "Out of stock",
            summary.out_of_stock,
            "when last seen".to_owned(),
            bad_if(summary.out_of_stock > 0),
        ),
        card("Stale", summary.stale, "not seen in the last seven days".to_owned(), bad_if(summary.stale > 0)),
        card(
            "Quarantined",
            summary.quarantined,
            "records set aside, not yet settled".to_owned(),
            bad_if(summary.quarantined > 0),
        ),
    ];
    Section { id: "now", heading: "At a glance", blocks: vec![Block::Cards(cards)], detail: false }
}

fn movers_section(body: &WatchlistReport) -> Section {
    let prices =
        movers("Largest price moves over seven days", body, |product| product.price_7d_pct, price_row);
    let ranks = movers("Largest rank moves over seven days", body, |product| product.bsr_7d_pct, rank_row);
    Section {
        id: "movers",
        heading: "Movers",
        blocks: vec![Block::Table(prices), Block::Table(ranks)],
        detail: false,
    }
}

fn movers(
    caption: &str,
    body: &WatchlistReport,
    change: fn(&WatchedProduct) -> Option<f64>,
    row: fn(&WatchedProduct) -> Row,
) -> Table {
    let mut moved: Vec<&WatchedProduct> =
        body.products.iter().filter(|product| change(product).is_some_and(|pct| pct != 0.0)).collect();
    // A stable sort: equal moves stay in the order of marketplace and ASIN.
    let size = |product: &WatchedProduct| change(product).map_or(0.0, f64::abs);
    moved.sort_by(|a, b| size(b).total_cmp(&size(a)));
    Table {
        caption: caption.to_owned(),
        columns: vec![
            words("Product"),
            figures("Latest"),
            figures("Over 7 days"),
            figures("Latest change"),
            words("Trend"),
        ],
        rows: moved.into_iter().take(MOVERS).map(row).collect(),
        empty: "Nothing moved.",
    }
}

fn name_cell(product: &WatchedProduct) -> Cell {
    let key = format!("{}:{}", product.marketplace, product.asin);
    let name = format::product_name(&product.label, product.title.as_deref(), &product.asin);
    let paused = if product.paused { ", paused" } else { "" };
    Cell::new(name).sub(format!("{key}, {}{paused}", product.relation))
}

fn percent_cell(pct: Option<f64>, up: &str, down: &str) -> Cell {
    let Some(pct) = pct else { return Cell::new(UNKNOWN) };
    let word = match pct {
        pct if pct > 0.0 => up,
        pct if pct < 0.0 => down,
        _ => "unchanged",
    };
    Cell::new(signed_percent(pct)).sub(word)
}

fn price_text(product: &WatchedProduct) -> String {
    or_unknown(product.price_minor.map(|minor| format::money(minor, product.currency)))
}

fn price_row(product: &WatchedProduct) -> Row {
    let cells = vec![
        name_cell(product),
        Cell::new(price_text(product)),
        percent_cell(product.price_7d_pct, "dearer", "cheaper"),
        percent_cell(product.price_pct, "dearer", "cheaper"),
        price_spark(product),
    ];
    Row { cells, emphasis: false }
}

fn rank_row(product: &WatchedProduct) -> Row {
    let cells = vec![
        name_cell(product),
        Cell::new(or_unknown(product.bsr.map(format::rank)))
            .sub(product.bsr_category.as_deref().map(plain_line).unwrap_or_default()),
        percent_cell(product.bsr_7d_pct, "worse", "better"),
        percent_cell(product.bsr_pct, "worse", "better"),
        Cell::spark(&product.bsr_series, Up::Small, format!("Rank over {} days", product.bsr_series.len())),
    ];
    Row { cells, emphasis: false }
}

fn price_spark(product: &WatchedProduct) -> Cell {
    Cell::spark(&product.price_series, Up::Large, format!("Price over {} days", product.price_series.len()))
}

fn products_section(report: &Report, body: &WatchlistReport) -> Section {
    let rows = body.products.iter().take(LISTED).map(|product| {
        let stock = product.availability.map(Availability::as_str).map(spoken);
        let is_out = product.availability.is_some_and(Availability::is_out);
        let seen = match product.day {
            Some(day) if day == report.as_of => String::new(),
            Some(day) => format!("on {day}"),
            None => "not seen in the window".to_owned(),
        };
        let rating = or_unknown(product.rating_centi.map(format::stars));
        let count = product.ratings_count.map(|count| format!("{} ratings", integer(count)));
        Row {
            cells: vec![
                name_cell(product),
                Cell::new(price_text(product)).sub(seen),
                price_spark(product),
                Cell::new(or_unknown(product.bsr.map(format::rank)))
                    .sub(product.bsr_category.as_deref().map(plain_line).unwrap_or_default()),
                Cell::spark(
                    &product.bsr_series,
                    Up::Small,
                    format!("Rank over {} days", product.bsr_series.len()),
                ),
                Cell::new(rating).sub(count.unwrap_or_default()),
                Cell::new(or_unknown(stock)).tone(if is_out { Tone::Bad } else { Tone::Neutral }),
                Cell::new(integer(product.open_alerts)),
            ],
            emphasis: false,
        }
    });
    let table = Table {
        caption: "Watched products".to_owned(),
        columns: vec![
            words("Product"),
            figures("Price"),
            words("Price trend"),
            figures("Main rank"),
            words("Rank trend"),
            figures("Rating"),
            words("Stock"),
            figures("Open alerts"),
        ],
        rows: rows.collect(),
        empty: "Nothing is watched.",
    };
    let mut blocks = vec![Block::Table(table)];
    if body.products.len() > LISTED {
        let more = count_of((body.products.len() - LISTED) as i64, "more product");
        blocks.push(Block::Text(vec![format!("{more} not listed here; the JSON form has all of them.")]));
    }
    Section { id: "products", heading: "Products", blocks, detail: false }
}

/// Products whose newest row is older than the day, oldest first.
fn freshness_section(report: &Report, body: &WatchlistReport) -> Section {
    let mut late: Vec<&WatchedProduct> =
        body.products.iter().filter(|product| !product.paused && product.day != Some(report.as_of)).collect();
    late.sort_by_key(|product| product.day);
    let lines: Vec<String> = late
        .iter()
        .take(LATE)
        .map(|product| {
            let name = format::product_name(&product.label, product.title.as_deref(), &product.asin);
            let seen = match product.day {
                Some(day) => format!("last seen on {}", long_day(day)),
                None => format!("not seen since {} or earlier", long_day(report.window.first)),
            };
            format!("{}:{} {name}: {seen}", product.marketplace, product.asin)
        })
        .collect();
    let block = if lines.is_empty() {
        Block::Text(vec!["Every product that is not paused was seen on the day.".to_owned()])
    } else {
        Block::List(lines)
    };
    let mut blocks = vec![block];
    if late.len() > LATE {
        let more = count_of((late.len() - LATE) as i64, "more product");
        blocks.push(Block::Text(vec![format!("{more} not seen on the day.")]));
    }
    Section { id: "freshness", heading: "Freshness", blocks, detail: true }
}
