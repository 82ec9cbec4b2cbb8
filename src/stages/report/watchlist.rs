//! The document of the watchlist digest, out of the lake: it must not get slower than its files are long.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context as _;

use super::mart::Values;
use super::{Scope, alert_line};
use crate::lake::{Table, read_days};
use crate::model::{Availability, Day, DayRange, Marketplace, Money};
use crate::render::document::{self, AlertLine, Counted, WatchedProduct, WatchlistReport, WatchlistSummary};
use crate::store::alerts::{AlertFilter, AlertRecord};
use crate::store::watch::Watched;

/// A product without a row in this many days is stale; also the window of the changes shown.
const FRESH_DAYS: i32 = 7;
const DAILY: [&str; 8] =
    ["asin", "day_no", "price_minor", "bsr", "bsr_category", "rating_centi", "ratings_count", "availability"];
const DELTAS: [&str; 5] = ["asin", "day_no", "price_pct", "bsr_pct", "rating_delta"];
const ROLLUPS: [&str; 5] = ["asin", "day_no", "window_days", "price_change_pct", "bsr_change_pct"];

/// The digest of everything that is watched.
pub(super) async fn watchlist_report(scope: &Scope<'_>) -> anyhow::Result<WatchlistReport> {
    let watched =
        scope.store.load_watchlist(scope.workspace).await.context("failed to load the watchlist")?;
    let alerts = alerts(scope, &watched).await?;
    let open = open_alerts(&alerts);
    let mut products = Vec::with_capacity(watched.len());
    let mut lake_until = None;
    let marketplaces: BTreeMap<&str, Marketplace> =
        watched.iter().map(|item| (item.item.key.marketplace.code(), item.item.key.marketplace)).collect();
    for marketplace in marketplaces.into_values() {
        let facts = MarketplaceFacts::load(scope, marketplace).await?;
        lake_until = lake_until.max(facts.newest_day());
        let here = watched.iter().filter(|item| item.item.key.marketplace == marketplace);
        products.extend(here.map(|item| watched_product(scope, item, &facts, &open)));
    }
    let quarantined =
        scope.store.count_quarantined(None).await.context("failed to count quarantined records")?;
    let summary = WatchlistSummary {
        quarantined: quarantined.iter().map(|(_, count)| count).sum(),
        lake_until,
        ..summary(scope, &products, &alerts)
    };
    Ok(WatchlistReport { summary, products, alerts })
}

/// Alerts of the window up to the day about what is watched, or about a source; newest first.
async fn alerts(scope: &Scope<'_>, watched: &[Watched]) -> anyhow::Result<Vec<AlertLine>> {
    let filter = AlertFilter { since: Some(scope.window.first), ..AlertFilter::default() };
    let alerts = scope.store.list_alerts(scope.workspace, &filter).await.context("failed to load alerts")?;
    let keys: HashSet<(String, String)> = watched
        .iter()
        .map(|one| (one.item.key.marketplace.to_string(), one.item.key.asin.to_string()))
        .collect();
    let is_ours = |alert: &AlertRecord| {
        alert.asin.is_empty() || keys.contains(&(alert.marketplace.clone(), alert.asin.clone()))
    };
    let mut lines: Vec<AlertLine> = alerts
        .into_iter()
        .filter(|alert| alert.day <= scope.as_of && is_ours(alert))
        .map(alert_line)
        .collect();
    document::sort_alerts(&mut lines);
    Ok(lines)
}

/// How many alerts are open, by marketplace and ASIN.
fn open_alerts(alerts: &[AlertLine]) -> HashMap<(&str, &str), i64> {
    let mut open = HashMap::new();
    for alert in alerts.iter().filter(|alert| alert.state == "open") {
        *open.entry((alert.marketplace.as_str(), alert.asin.as_str())).or_insert(0) += 1;
    }
    open
}

/// What the lake says of one marketplace's products.
struct MarketplaceFacts {
    daily: Values,
    deltas: Values,
    rollups: Values,
    /// Rows of each product in `daily`, in day order.
    days_of: HashMap<String, Vec<usize>>,
    delta_of: HashMap<(String, i32), usize>,
    /// Of the seven-day window.
    rollup_of: HashMap<(String, i32), usize>,
}

impl MarketplaceFacts {
    async fn load(scope: &Scope<'_>, marketplace: Marketplace) -> anyhow::Result<MarketplaceFacts> {
        let read = async |table: Table, range: DayRange, columns: &[&str]| {
            let frame = read_days(scope.store, scope.lake, table, marketplace, range, columns).await;
            frame.map(Values).with_context(|| format!("failed to read {} of {marketplace}", table.name()))
        };
        let fresh = DayRange::window(scope.as_of, FRESH_DAYS);
        let daily = read(Table::Daily, scope.window, &DAILY).await?;
        let deltas = read(Table::Deltas, fresh, &DELTAS).await?;
        let rollups = read(Table::Rollups, fresh, &ROLLUPS).await?;

        let mut days_of: HashMap<String, Vec<usize>> = HashMap::new();
        for row in 0..daily.rows() {
            if let Some(asin) = daily.text("asin", row) {
                days_of.entry(asin).or_default().push(row);
            }
        }
        for rows in days_of.values_mut() {
            rows.sort_by_key(|row| daily.small("day_no", *row));
        }
        let by_key = |values: &Values, wanted: &dyn Fn(usize) -> bool| {
            (0..values.rows())
                .filter(|row| wanted(*row))
                .filter_map(|row| Some(((values.text("asin", row)?, values.small("day_no", row)?), row)))
                .collect()
        };
        let delta_of = by_key(&deltas, &|_| true);
        let rollup_of = by_key(&rollups, &|row| rollups.small("window_days", row) == Some(FRESH_DAYS));
        Ok(MarketplaceFacts { daily, deltas, rollups, days_of, delta_of, rollup_of })
    }

    fn newest_day(&self) -> Option<Day> {
        (0..self.daily.rows()).filter_map(|row| self.daily.day("day_no", row)).max()
    }

    fn series(&self, scope: &Scope<'_>, rows: &[usize], column: &str) -> Vec<Option<i64>> {
        let mut values = vec![None; usize::try_from(scope.window_days()).unwrap_or_default()];
        for row in rows {
            let place = self.daily.small("day_no", *row).map(|day_no| day_no - scope.window.first.no());
            if let Some(value) = place.and_then(|place| values.get_mut(usize::try_from(place).ok()?)) {
                *value = self.daily.int(column, *row);
            }
        }
        values
    }
}

fn watched_product(
    scope: &Scope<'_>,
    watched: &Watched,
    facts: &MarketplaceFacts,
    open_alerts: &HashMap<(&str, &str), i64>,
) -> WatchedProduct {
    let item = &watched.item;
    let asin = item.key.asin.to_string();
    let currency = item.key.marketplace.currency();
    let rows = facts.days_of.get(&asin).map_or(&[][..], Vec::as_slice);
    let latest = rows.last().copied();
    let day = latest.and_then(|row| facts.daily.day("day_no", row));
    let int = |column: &str| latest.and_then(|row| facts.daily.int(column, row));
    let key = day.map(|day| (asin.clone(), day.no()));
    let delta = key.as_ref().and_then(|key| facts.delta_of.get(key)).copied();
    let rollup = key.as_ref().and_then(|key| facts.rollup_of.get(key)).copied();
    let price_minor = int("price_minor");
    let open_alerts = open_alerts.get(&(item.key.marketplace.code(), asin.as_str())).copied();
    WatchedProduct {
        marketplace: item.key.marketplace.to_string(),
        title: watched.title.clone(),
        label: item.label.clone(),
        relation: item.relation.to_string(),
        paused: item.paused,
        currency,
        day,
        price_minor,
        price: price_minor.map(|minor| Money { minor, currency }),
        price_pct: delta.and_then(|row| facts.deltas.real("price_pct", row)),
        price_7d_pct: rollup.and_then(|row| facts.rollups.real("price_change_pct", row)),
        bsr: int("bsr"),
        bsr_category: latest.and_then(|row| facts.daily.text("bsr_category", row)),
        bsr_pct: delta.and_then(|row| facts.deltas.real("bsr_pct", row)),
        bsr_7d_pct: rollup.and_then(|row| facts.rollups.real("bsr_change_pct", row)),
        rating_centi: int("rating_centi"),
        rating_delta_centi: delta.and_then(|row| facts.deltas.int("rating_delta", row)),
        ratings_count: int("ratings_count"),
        availability: latest
            .and_then(|row| facts.daily.text("availability", row))
            .and_then(|word| Availability::from_word(&word)),
        open_alerts: open_alerts.unwrap_or(0),
        price_series: facts.series(scope, rows, "price_minor"),
        bsr_series: facts.series(scope, rows, "bsr"),
        asin,
    }
}

fn summary(scope: &Scope<'_>, products: &[WatchedProduct], alerts: &[AlertLine]) -> WatchlistSummary {
    let fresh_from: Day = DayRange::window(scope.as_of, FRESH_DAYS).first;
    let count =
        |holds: &dyn Fn(&WatchedProduct) -> bool| products.iter().filter(|one| holds(one)).count() as i64;
    let open = |severity: &str| {
        alerts.iter().filter(|alert| alert.state == "open" && alert.severity == severity).count() as i64
    };
    WatchlistSummary {
        watched: products.len() as i64,
        paused: count(&|one| one.paused),
        seen_today: count(&|one| one.day == Some(scope.as_of)),
        stale: count(&|one| !one.paused && one.day.is_none_or(|day| day < fresh_from)),
        not_seen: count(&|one| one.day.is_none()),
        out_of_stock: count(&|one| one.availability.is_some_and(Availability::is_out)),
        open_alerts: ["critical", "high", "medium", "low"]
            .map(|severity| Counted { name: severity.to_owned(), count: open(severity) })
            .into_iter()
            .filter(|counted| counted.count > 0)
            .collect(),
        quarantined: 0,
        lake_until: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_alerts_are_counted_by_product_and_marketplace() {
        let alert = |marketplace: &str, asin: &str, state: &str| AlertLine {
            alert_id: "a".into(),
            day: "2026-01-10".parse().unwrap(),
            rule: "price_drop".into(),
            severity: "high".into(),
            state: state.into(),
            marketplace: marketplace.into(),
            asin: asin.into(),
            message: String::new(),
            historical: false,
        };
        let alerts = [
            alert("US", "B1", "open"),
            alert("US", "B1", "open"),
            alert("US", "B1", "resolved"),
            alert("DE", "B1", "open"),
            alert("US", "", "open"),
        ];
        let open = open_alerts(&alerts);
        assert_eq!((open.get(&("US", "B1")), open.get(&("DE", "B1"))), (Some(&2), Some(&1)));
        assert_eq!(open.get(&("US", "B2")), None);
    }
}
