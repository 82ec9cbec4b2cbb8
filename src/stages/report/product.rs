//! The document of a product or cohort report, out of core, mart and alerts.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::mart::MartDay;
use super::{Scope, alert_line};
use crate::model::{Cohort, DailyRow, Day, DayRange, Money, ProductKey, Rank, same_category};
use crate::narrate::structured;
use crate::render::document::{
    self, Counted, DataQuality, DayPoint, Figure, Latest, Measure, OverlayMember, Product, ProductReport,
    RankLine, Trend, WindowFigure, WindowSummary,
};
use crate::render::format::product_name;
use crate::rollup::compare::Comparison;
use crate::stages::compare;
use crate::store::ProductRecord;
use crate::store::alerts::AlertFilter;

/// Days over which data quality counts observed days.
const QUALITY_DAYS: i32 = 30;

/// The report of `key`, compared within `cohort`; `overlay` adds the series of all members.
pub(super) async fn product_report(
    scope: &Scope<'_>,
    key: ProductKey,
    cohort: Option<&Cohort>,
    overlay: bool,
) -> anyhow::Result<ProductReport> {
    let product = product(scope, key).await?;
    let comparison = match cohort {
        Some(cohort) => {
            let subject = compare::Subject::of_cohort(cohort);
            Some(compare::run(scope.store, &subject, scope.as_of, scope.window_days()).await?)
        }
        None => None,
    };
    let members = match cohort {
        Some(cohort) if overlay => cohort.competitors.iter().map(|member| member.key).collect(),
        _ => Vec::new(),
    };
    let overlay = match &comparison {
        Some(comparison) if overlay => overlay_members(scope, key, &members, comparison).await?,
        _ => Vec::new(),
    };
    let mut alerts = Vec::new();
    for member in std::iter::once(key).chain(members) {
        alerts.extend(alerts_of(scope, member).await?);
    }
    document::sort_alerts(&mut alerts);
    Ok(ProductReport {
        product,
        cohort: cohort
            .map(|cohort| document::Cohort { name: cohort.name.clone(), label: cohort.label.clone() }),
        narrative: comparison.as_ref().map(structured),
        comparison,
        overlay,
        alerts,
    })
}

async fn alerts_of(scope: &Scope<'_>, key: ProductKey) -> anyhow::Result<Vec<document::AlertLine>> {
    let filter = AlertFilter {
        marketplace: Some(key.marketplace),
        asin: Some(key.asin),
        since: Some(scope.window.first),
        ..AlertFilter::default()
    };
    let alerts = scope
        .store
        .list_alerts(scope.workspace, &filter)
        .await
        .with_context(|| format!("failed to load the alerts of {key}"))?;
    Ok(alerts.into_iter().filter(|alert| alert.day <= scope.as_of).map(alert_line).collect())
}

async fn product(scope: &Scope<'_>, key: ProductKey) -> anyhow::Result<Product> {
    let store = scope.store;
    let record = store
        .load_product(key)
        .await
        .with_context(|| format!("failed to load {key}"))?
        .ok_or_else(|| super::never_seen(key))?;
    let range = DayRange::window(scope.as_of, scope.window_days().max(QUALITY_DAYS));
    let rows =
        store.load_daily(&[key], range).await.with_context(|| format!("failed to load the days of {key}"))?;
    let in_window = &rows[rows.partition_point(|row| row.day < scope.window.first)..];
    let latest = in_window.last();
    let mart = match latest {
        Some(row) => Some(
            MartDay::load(store, scope.lake, key, row.day)
                .await
                .with_context(|| format!("failed to read the mart of {key}"))?,
        ),
        None => None,
    };
    let quarantined = store
        .count_quarantined(Some(key))
        .await
        .with_context(|| format!("failed to count the quarantined records of {key}"))?;
    let quality = data_quality(scope, &record, &rows, in_window, mart.as_ref(), quarantined);
    Ok(Product {
        marketplace: key.marketplace.to_string(),
        asin: key.asin.to_string(),
        title: record.title,
        brand: record.brand,
        category: record.category,
        status: record.status,
        first_day: record.first_day,
        currency: key.marketplace.currency(),
        latest: latest.map(|row| latest_of(scope, row)),
        figures: figures(latest, mart.as_ref()),
        windows: mart.as_ref().map(window_summaries).unwrap_or_default(),
        ranks: latest.map(rank_lines).unwrap_or_default(),
        days: in_window.iter().map(|row| day_point(row, latest)).collect(),
        quality,
    })
}

fn latest_of(scope: &Scope<'_>, row: &DailyRow) -> Latest {
    let offer = &row.offer;
    let main = row.rank.main();
    Latest {
        day: row.day,
        observed_at: row.observed_at,
        age_hours: (scope.zone.end_of(scope.as_of) - row.observed_at).num_hours(),
        price_minor: offer.price_minor,
        price: offer.price_minor.map(|minor| Money { minor, currency: row.currency }),
        price_basis: offer.price_basis.map(|basis| basis.to_string()),
        availability: offer.availability,
        stock_quantity: offer.stock_quantity,
        seller_id: offer.seller_id.clone(),
        seller_name: offer.seller_name.clone(),
        fulfilment: offer.fulfilment.map(|fulfilment| fulfilment.to_string()),
        offer_count: offer.offer_count,
        monthly_sold_min: row.monthly_sold_min,
        bsr: main.map(|rank| rank.rank),
        bsr_category: main.map(|rank| rank.category.clone()),
        rating_centi: row.rating.rating_centi,
        ratings_count: row.rating.ratings_count,
        source: row.source.clone(),
        sources: row.sources.clone(),
    }
}

/// The measures in the order of display, with their columns in the mart.
const MEASURES: [(Measure, &str); 8] = [
    (Measure::Price, "price"),
    (Measure::ListPrice, "list_price"),
    (Measure::BuyBoxPrice, "buy_box_price"),
    (Measure::LandedPrice, "landed_price"),
    (Measure::Bsr, "bsr"),
    (Measure::BsrLeaf, "bsr_leaf"),
    (Measure::Rating, "rating"),
    (Measure::RatingsCount, "ratings_count"),
];

fn figures(latest: Option<&DailyRow>, mart: Option<&MartDay>) -> Vec<Figure> {
    MEASURES.into_iter().map(|(measure, column)| figure(measure, column, latest, mart)).collect()
}

fn figure(name: Measure, column: &str, latest: Option<&DailyRow>, mart: Option<&MartDay>) -> Figure {
    let value = latest.and_then(|row| value_of(name, row));
    let rank = latest.and_then(|row| match name {
        Measure::Bsr => row.rank.main(),
        Measure::BsrLeaf => row.rank.leaf(),
        _ => None,
    });
    let money = latest.filter(|_| name.is_money()).zip(value);
    let int = |suffix: &str| mart.filter(|mart| mart.is_built())?.delta.int(&format!("{column}_{suffix}"), 0);
    let previous_day =
        mart.filter(|mart| mart.is_built()).and_then(|mart| mart.delta.day(&format!("{column}_prev_day"), 0));
    Figure {
        name,
        value,
        money: money.map(|(row, minor)| Money { minor, currency: row.currency }),
        category: rank.map(|rank| rank.category.clone()),
        previous: int("prev"),
        previous_day,
        delta: int("delta"),
        pct: mart
            .filter(|mart| mart.is_built())
            .and_then(|mart| mart.delta.real(&format!("{column}_pct"), 0)),
        windows: match (name.has_windows(), mart) {
            (true, Some(mart)) => window_figures(column, mart),
            _ => Vec::new(),
        },
    }
}

fn value_of(name: Measure, row: &DailyRow) -> Option<i64> {
    match name {
        Measure::Price => row.offer.price_minor,
        Measure::ListPrice => row.offer.list_price_minor,
        Measure::BuyBoxPrice => row.offer.buy_box_price_minor,
        Measure::LandedPrice => row.offer.landed_price_minor(),
        Measure::Bsr => row.rank.main().map(|rank| rank.rank),
        Measure::BsrLeaf => row.rank.leaf().map(|rank| rank.rank),
        Measure::Rating => row.rating.rating_centi,
        Measure::RatingsCount => row.rating.ratings_count,
    }
}

fn window_figures(column: &str, mart: &MartDay) -> Vec<WindowFigure> {
    let rollups = &mart.rollups;
    let name = |suffix: &str| format!("{column}_{suffix}");
    mart.windows()
        .into_iter()
        .map(|(window_days, row)| WindowFigure {
            window_days,
            n: rollups.int(&name("n"), row).unwrap_or(0),
            avg: rollups.real(&name("avg"), row),
            median_x2: rollups.int(&name("median_x2"), row),
            min: rollups.int(&name("min"), row),
            max: rollups.int(&name("max"), row),
            change_pct: rollups.real(&name("change_pct"), row),
            volatility: rollups.real(&name("volatility"), row),
            trend: rollups.int(&name("trend"), row).and_then(Trend::of_sign),
        })
        .collect()
}

fn window_summaries(mart: &MartDay) -> Vec<WindowSummary> {
    let rollups = &mart.rollups;
    mart.windows()
        .into_iter()
        .map(|(window_days, row)| WindowSummary {
            window_days,
            observed_days: rollups.int("observed_days", row).unwrap_or(0),
            in_stock_days: rollups.int("in_stock_days", row).unwrap_or(0),
            known_days: rollups.int("known_days", row).unwrap_or(0),
            in_stock_share: rollups.real("in_stock_share", row),
            ratings_growth: rollups.int("ratings_growth", row),
            price_low: rollups.int("price_low", row),
            price_high: rollups.int("price_high", row),
            price_low_all: rollups.int("price_low_all", row),
            price_high_all: rollups.int("price_high_all", row),
        })
        .collect()
}

fn rank_lines(row: &DailyRow) -> Vec<RankLine> {
    let leaf = row.rank.leaf();
    let line = |rank: &Rank| RankLine {
        category: rank.category.clone(),
        category_id: rank.category_id.clone(),
        rank: rank.rank,
        is_main: rank.is_main,
        is_leaf: leaf == Some(rank),
    };
    row.rank.ranks.iter().map(line).collect()
}

fn day_point(row: &DailyRow, latest: Option<&DailyRow>) -> DayPoint {
    DayPoint {
        day: row.day,
        price_minor: row.offer.price_minor,
        list_price_minor: row.offer.list_price_minor,
        low_price_minor: row.low_price_minor,
        high_price_minor: row.high_price_minor,
        bsr: latest.and_then(|latest| rank_beside(row, latest)),
        rating_centi: row.rating.rating_centi,
        ratings_count: row.rating.ratings_count,
        availability: row.offer.availability,
    }
}

/// The row's rank in the category of the other row's main rank; ranks of two marketplaces never compare.
fn rank_beside(row: &DailyRow, reference: &DailyRow) -> Option<i64> {
    let category = reference.rank.main()?.category_ref();
    let same = |rank: &&Rank| same_category(row.marketplace, rank.category_ref(), category);
    let mut ranks = row.rank.ranks.iter().filter(|_| row.marketplace == reference.marketplace);
    ranks.find(same).map(|rank| rank.rank)
}

fn data_quality(
    scope: &Scope<'_>,
    record: &ProductRecord,
    rows: &[DailyRow],
    in_window: &[DailyRow],
    mart: Option<&MartDay>,
    quarantined: Vec<(String, i64)>,
) -> DataQuality {
    let month = DayRange::window(scope.as_of, QUALITY_DAYS);
    let observed_30d = rows.iter().filter(|row| month.contains(row.day)).count() as i64;
    let (mut sources, mut bases) = (BTreeMap::new(), BTreeMap::new());
    for row in in_window {
        for source in row.sources.split(',') {
            *sources.entry(source.to_owned()).or_insert(0) += 1;
        }
        if let Some(basis) = row.offer.price_basis {
            *bases.entry(basis.to_string()).or_insert(0) += 1;
        }
    }
    DataQuality {
        observed_days: in_window.len() as i64,
        observed_30d,
        quality: (observed_30d as f64 / f64::from(QUALITY_DAYS)).min(1.0),
        gaps: gaps(
            in_window,
            DayRange { first: record.first_day.max(scope.window.first), last: scope.as_of },
        ),
        sources: counted(sources),
        price_bases: counted(bases),
        quarantined: quarantined.into_iter().map(|(name, count)| Counted { name, count }).collect(),
        unknown: in_window.last().map(unknown_fields).unwrap_or_default(),
        mart_is_current: mart.is_some_and(MartDay::is_built),
    }
}

/// Most first, ties by name.
fn counted(counts: BTreeMap<String, i64>) -> Vec<Counted> {
    let mut list: Vec<Counted> = counts.into_iter().map(|(name, count)| Counted { name, count }).collect();
    list.sort_by_key(|counted| -counted.count);
    list
}

/// Runs of days of the range without a row.
fn gaps(rows: &[DailyRow], range: DayRange) -> Vec<DayRange> {
    let mut gaps = Vec::new();
    let mut next = range.first;
    for day in rows.iter().map(|row| row.day).chain([range.last.plus(1)]) {
        if next < day {
            gaps.push(DayRange { first: next, last: day.plus(-1) });
        }
        next = next.max(day.plus(1));
    }
    gaps
}

fn unknown_fields(row: &DailyRow) -> Vec<String> {
    let offer = &row.offer;
    [
        ("price", offer.price_minor.is_some()),
        ("list price", offer.list_price_minor.is_some()),
        ("buy box price", offer.buy_box_price_minor.is_some()),
        ("shipping", offer.shipping_minor.is_some()),
        ("seller", offer.seller_id.is_some() || offer.seller_name.is_some()),
        ("availability", offer.availability.is_known()),
        ("offer count", offer.offer_count.is_some()),
        ("main rank", row.rank.main().is_some()),
        ("leaf rank", row.rank.leaf().is_some()),
        ("rating", row.rating.rating_centi.is_some()),
        ("ratings count", row.rating.ratings_count.is_some()),
        ("sold in a month", row.monthly_sold_min.is_some()),
    ]
    .into_iter()
    .filter(|(_, is_known)| !is_known)
    .map(|(name, _)| name.to_owned())
    .collect()
}

/// Main first, then the competitors as the cohort has them.
async fn overlay_members(
    scope: &Scope<'_>,
    main: ProductKey,
    competitors: &[ProductKey],
    comparison: &Comparison,
) -> anyhow::Result<Vec<OverlayMember>> {
    let mut members = Vec::with_capacity(1 + competitors.len());
    let mut reference: Option<DailyRow> = None;
    let values =
        std::iter::once(&comparison.main).chain(comparison.competitors.iter().map(|pair| &pair.value));
    for (key, value) in std::iter::once(main).chain(competitors.iter().copied()).zip(values) {
        let rows = scope
            .store
            .load_daily(&[key], scope.window)
            .await
            .with_context(|| format!("failed to load the days of {key}"))?;
        if key == main {
            reference = rows.last().cloned();
        }
        let series = |of: &dyn Fn(&DailyRow) -> Option<i64>| -> Vec<Option<i64>> {
            let on = |day: Day| rows.binary_search_by_key(&day, |row| row.day).ok().map(|index| &rows[index]);
            scope.window.days().map(|day| on(day).and_then(of)).collect()
        };
        let currency = main.marketplace.currency();
        members.push(OverlayMember {
            marketplace: key.marketplace.to_string(),
            asin: key.asin.to_string(),
            name: product_name(&value.label, value.title.as_deref(), &value.asin),
            is_main: key == main,
            price_minor: series(&|row| row.offer.price_minor.filter(|_| row.currency == currency)),
            bsr: series(&|row| reference.as_ref().and_then(|reference| rank_beside(row, reference))),
            rating_centi: series(&|row| row.rating.rating_centi),
        });
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_the_runs_of_days_without_a_row() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let row = |text: &str| DailyRow {
            marketplace: crate::model::Marketplace::Us,
            asin: "B0FDKB341G".parse().unwrap(),
            day: day(text),
            observed_at: "2026-01-10T12:00:00Z".parse().unwrap(),
            currency: "USD".parse().unwrap(),
            offer: Default::default(),
            rank: Default::default(),
            rating: Default::default(),
            monthly_sold_min: None,
            low_price_minor: None,
            high_price_minor: None,
            observations: 1,
            source: "file".into(),
            sources: "file".into(),
        };
        let range = DayRange { first: day("2026-01-01"), last: day("2026-01-10") };
        let found = |days: &[&str]| -> Vec<String> {
            let rows: Vec<DailyRow> = days.iter().map(|text| row(text)).collect();
            gaps(&rows, range).iter().map(|gap| format!("{}..{}", gap.first, gap.last)).collect()
        };
        assert_eq!(
            found(&["2026-01-03", "2026-01-04", "2026-01-09"]),
            ["2026-01-01..2026-01-02", "2026-01-05..2026-01-08", "2026-01-10..2026-01-10"]
        );
        assert_eq!(found(&[]), ["2026-01-01..2026-01-10"]);
    }
}
