//! The charts of a report: the product's own history, and the cohort's members over one another.

use super::chart::{LineChart, Mark, NAME_COLUMNS, Role, Series, Shape, TOLD_APART, Unit};
use super::document::{DayPoint, Measure, OverlayMember, Product, ProductReport, Report};
use super::figures_view::measure_unit;
use super::format::{self, plain_line};
use super::strip::StockStrip;
use super::view::{Block, Chart, Figure, Section};
use crate::model::{Currency, Day, DayRange, Language};
use crate::rollup::compare::{Comparison, MemberValue, Reason};

/// Values of one field for every day of the window, null where unknown or not seen.
pub(super) fn day_values(
    report: &Report,
    days: &[DayPoint],
    value: fn(&DayPoint) -> Option<i64>,
) -> Vec<Option<i64>> {
    report.window.days().map(|day| point(days, day).and_then(value)).collect()
}

fn point(days: &[DayPoint], day: Day) -> Option<&DayPoint> {
    days.binary_search_by_key(&day, |point| point.day).ok().map(|index| &days[index])
}

/// The members of a cohort over one another, and what the values beside each other are.
struct Overlay<'a> {
    range: DayRange,
    members: &'a [OverlayMember],
    language: Language,
}

/// Charts of price, rank and rating of all members.
pub(super) fn overlay_section(report: &Report, body: &ProductReport, language: Language) -> Section {
    let words = language.words();
    let main = body.comparison.as_ref().map(|comparison| &comparison.main);
    let members = named_apart(&body.overlay);
    let overlay = Overlay { range: report.window, members: &members, language };
    let charts = vec![
        overlay_chart(
            &overlay,
            "overlay-price",
            words.prices.to_owned(),
            Unit::Money(body.product.currency),
            |member| &member.price_minor,
        ),
        overlay_chart(&overlay, "overlay-rank", ranks_heading(main, language), Unit::Rank, |member| {
            &member.bsr
        }),
        overlay_chart(&overlay, "overlay-rating", words.ratings.to_owned(), Unit::Stars, |member| {
            &member.rating_centi
        }),
    ];
    Section {
        id: "cohort",
        heading: "The cohort over time",
        blocks: vec![Block::Charts(charts)],
        detail: true,
    }
}

/// Charts of price and rank out of the series that a comparison carries.
pub(super) fn members_section(comparison: &Comparison, currency: Currency) -> Section {
    let member =
        |value: &MemberValue, is_main: bool, same_currency: bool, same_category: bool| OverlayMember {
            marketplace: value.marketplace.clone(),
            asin: value.asin.clone(),
            name: format::product_name(&value.label, value.title.as_deref(), &value.asin),
            is_main,
            price_minor: if same_currency { value.price_series.clone() } else { Vec::new() },
            bsr: if same_category { value.bsr_series.clone() } else { Vec::new() },
            rating_centi: Vec::new(),
        };
    let members: Vec<OverlayMember> = std::iter::once(member(&comparison.main, true, true, true))
        .chain(comparison.competitors.iter().map(|pair| {
            let same_currency = pair.price.reason != Some(Reason::CurrencyDiffers);
            member(&pair.value, false, same_currency, pair.bsr.gap.is_some())
        }))
        .collect();
    let range = DayRange::window(comparison.as_of, comparison.window_days);
    let members = named_apart(&members);
    let language = Language::English;
    let words = language.words();
    let overlay = Overlay { range, members: &members, language };
    let charts = vec![
        overlay_chart(&overlay, "overlay-price", words.prices.to_owned(), Unit::Money(currency), |member| {
            &member.price_minor
        }),
        overlay_chart(
            &overlay,
            "overlay-rank",
            ranks_heading(Some(&comparison.main), language),
            Unit::Rank,
            |member| &member.bsr,
        ),
    ];
    Section { id: "members", heading: "Over time", blocks: vec![Block::Charts(charts)], detail: true }
}

/// Members whose names look alike where there is little room go by their ASINs.
fn named_apart(members: &[OverlayMember]) -> Vec<OverlayMember> {
    let short = |member: &OverlayMember| format::truncated(&plain_line(&member.name), NAME_COLUMNS);
    let alike = |one: &OverlayMember| members.iter().filter(|other| short(other) == short(one)).count() > 1;
    let name = |member: &OverlayMember| if alike(member) { member.asin.clone() } else { member.name.clone() };
    members.iter().map(|member| OverlayMember { name: name(member), ..member.clone() }).collect()
}

/// The range without the days before anything was seen; all of it where nothing ever was.
fn from_first_seen(range: DayRange, is_seen: impl Fn(usize) -> bool) -> (usize, DayRange) {
    let skipped = range.days().enumerate().position(|(index, _)| is_seen(index)).unwrap_or(0);
    (skipped, DayRange { first: range.first.plus(i32::try_from(skipped).unwrap_or(0)), last: range.last })
}

fn ranks_heading(main: Option<&MemberValue>, language: Language) -> String {
    let category = main.and_then(|main| main.bsr_category.as_deref()).map(plain_line);
    language.in_category(language.words().ranks, category.as_deref())
}

fn overlay_chart(
    overlay: &Overlay<'_>,
    id: &str,
    heading: String,
    unit: Unit,
    values: fn(&OverlayMember) -> &Vec<Option<i64>>,
) -> Chart {
    let mut others = 0;
    let mut series = Vec::new();
    let mut absent = Vec::new();
    for member in overlay.members {
        let role = match (member.is_main, others) {
            (true, _) => Role::Main,
            (false, number @ ..TOLD_APART) => Role::Other(number),
            _ => Role::Background,
        };
        // Numbers are given whether or not there is data, so that a member looks the same in every chart.
        others += usize::from(!member.is_main);
        if values(member).iter().any(Option::is_some) {
            series.push(Series { name: plain_line(&member.name), role, values: values(member).clone() });
        } else {
            absent.push(plain_line(&member.name));
        }
    }
    let many = series.iter().filter(|series| series.role == Role::Background).count();
    let mut note = Vec::new();
    if many > 0 {
        note.push(overlay.language.drawn_in_grey(many as i64));
    }
    if !absent.is_empty() {
        note.push(overlay.language.not_comparable(&absent.join(", ")));
    }
    let is_seen = |index: usize| {
        overlay.members.iter().any(|member| {
            [&member.price_minor, &member.bsr, &member.rating_centi]
                .into_iter()
                .any(|values| values.get(index).copied().flatten().is_some())
        })
    };
    let (skipped, range) = from_first_seen(overlay.range, is_seen);
    for series in &mut series {
        series.values.drain(..skipped.min(series.values.len()));
    }
    let seen = (skipped..overlay.range.days().count()).map(is_seen);
    Chart {
        heading: heading.clone(),
        latest: String::new(),
        wide: true,
        note: note.join(" "),
        figure: Figure::Lines(LineChart {
            id: id.to_owned(),
            title: format!("{heading} {}", overlay.language.words().of_all_members),
            range,
            unit,
            shape: if unit == Unit::Rank { Shape::Line } else { Shape::Step },
            series,
            band: Vec::new(),
            seen: seen.collect(),
            marks: Vec::new(),
            direct_labels: true,
            language: overlay.language,
        }),
    }
}

/// The window, from the day on which the product was first seen.
fn shown_range(report: &Report, product: &Product) -> DayRange {
    let first = report.window.first.max(product.first_day).min(report.window.last);
    DayRange { first, last: report.window.last }
}

/// The main product's own charts.
pub(super) fn history_section(report: &Report, body: &ProductReport, language: Language) -> Section {
    let words = language.words();
    let product = &body.product;
    let range = shown_range(report, product);
    let marks: Vec<Mark> = body
        .alerts
        .iter()
        .filter(|alert| alert.asin == product.asin && alert.marketplace == product.marketplace)
        .map(|alert| Mark {
            day: alert.day,
            text: format!("{}: {}", alert.severity, plain_line(&alert.message)),
        })
        .collect();
    let latest = |measure: Measure| {
        let figure = product.figures.iter().find(|figure| figure.name == measure);
        let known = figure.and_then(|figure| figure.value);
        known.map_or_else(
            || words.unknown.to_owned(),
            |value| language.value(measure_unit(measure, product.currency), value),
        )
    };
    let chart = |id: &str, heading: String, measure: Measure, shape: Shape, series: Vec<Series>| Chart {
        latest: latest(measure),
        wide: false,
        note: String::new(),
        figure: Figure::Lines(LineChart {
            id: id.to_owned(),
            title: heading.clone(),
            range,
            unit: measure_unit(measure, product.currency),
            shape,
            series,
            band: Vec::new(),
            seen: range.days().map(|day| point(&product.days, day).is_some()).collect(),
            marks: Vec::new(),
            direct_labels: false,
            language,
        }),
        heading,
    };
    let series = |name: &str, role: Role, value: fn(&DayPoint) -> Option<i64>| Series {
        name: name.to_owned(),
        role,
        values: range.days().map(|day| point(&product.days, day).and_then(value)).collect(),
    };
    let mut price_series = vec![series(words.price_line, Role::Main, |day| day.price_minor)];
    if product.days.iter().any(|day| day.list_price_minor.is_some()) {
        price_series.push(series(words.list_price_line, Role::Reference, |day| day.list_price_minor));
    }
    let mut price = chart("price", words.price.to_owned(), Measure::Price, Shape::Step, price_series);
    if let Figure::Lines(lines) = &mut price.figure {
        lines.band = range
            .days()
            .map(|day| {
                point(&product.days, day).and_then(|point| point.low_price_minor.zip(point.high_price_minor))
            })
            .collect();
        lines.marks = marks;
    }
    let category = product.ranks.iter().find(|rank| rank.is_main).map(|rank| plain_line(&rank.category));
    let rank_heading = language.in_category(words.rank, category.as_deref());
    let rank = series(words.rank_line, Role::Main, |day| day.bsr);
    let rating = series(words.rating_line, Role::Main, |day| day.rating_centi);
    let count = series(words.ratings_line, Role::Main, |day| day.ratings_count);
    let charts = vec![
        price,
        chart("rank", rank_heading, Measure::Bsr, Shape::Line, vec![rank]),
        chart("rating", words.rating.to_owned(), Measure::Rating, Shape::Step, vec![rating]),
        chart(
            "ratings-count",
            words.ratings_count.to_owned(),
            Measure::RatingsCount,
            Shape::Line,
            vec![count],
        ),
        stock_chart(range, product, language),
    ];
    Section { id: "history", heading: "History", blocks: vec![Block::Charts(charts)], detail: true }
}

fn stock_chart(range: DayRange, product: &Product, language: Language) -> Chart {
    let title = language.words().stock.to_owned();
    let days = range.days().map(|day| point(&product.days, day).map(|point| point.availability)).collect();
    Chart {
        heading: title.clone(),
        latest: product.latest.as_ref().map_or_else(
            || language.words().unknown.to_owned(),
            |latest| language.availability(latest.availability),
        ),
        wide: true,
        note: String::new(),
        figure: Figure::Stock(StockStrip { id: "stock".to_owned(), title, range, days, language }),
    }
}
