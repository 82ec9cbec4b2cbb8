//! The first page: how fresh the data is, what is firing, what moved, what it costs.

use minijinja::context;
use serde_json::{Value, json};

use super::alerts::add_names;
use super::visit::{Answer, Visit};
use crate::model::{DayRange, Permission};
use crate::render::document::{Body, WatchedProduct, WatchlistReport};
use crate::render::format::product_name;
use crate::render::page::sparkline;
use crate::serve::problem::Problem;
use crate::stages::report::Subject;

/// Days of the lines beside products.
const DAYS: i32 = 30;
/// Products that moved most, and products that were not seen.
const MOVERS: usize = 6;
const LATE: usize = 6;
/// Alerts on this page.
const ALERTS: &str = "8";

pub(super) async fn show(visit: Visit) -> Result<Answer, Problem> {
    let mut alerts = visit.ask("list_alerts", &[("state", "open"), ("limit", ALERTS)]).await?;
    add_names(&visit, &mut alerts.data).await?;
    let open = visit.app.store.load_open(&visit.caller()?.workspace).await?;
    let newest = visit.app.store.newest_day(None).await?;
    let market = match newest {
        Some(as_of) => {
            visit
                .report_part(Subject::Watchlist, as_of, DAYS, |report, _| match report.body {
                    Body::Watchlist(body) => summary(&body),
                    _ => Value::Null,
                })
                .await?
        }
        None => Value::Null,
    };
    let spent = match visit.may(Permission::Operate) {
        true => Some(visit.ask("list_costs", &[("by", "source")]).await?.data),
        false => None,
    };
    let now = visit.app.options.clock.now();
    let today = visit.app.options.zone.day_of(now);
    let age_days = newest.map(|newest| today.no() - newest.no());
    let month = DayRange { first: today.month_start(), last: today };
    let context = context! {
        alerts => alerts.data,
        open_alerts => open.alerts,
        critical_alerts => open.alerts_critical,
        held_back => open.held_findings,
        as_of => newest.map(|day| day.to_string()),
        age_days,
        market,
        spent,
        month_first => month.first.to_string(),
        month_last => month.last.to_string(),
        done => visit.done(),
    };
    Ok(Answer::page("overview.html", context))
}

/// Of the digest what fits on one page.
fn summary(report: &WatchlistReport) -> Value {
    let by = |moved: fn(&WatchedProduct) -> Option<f64>| {
        let mut movers: Vec<(&WatchedProduct, f64)> = report
            .products
            .iter()
            .filter(|product| !product.paused)
            .filter_map(|product| Some((product, moved(product)?)))
            .filter(|(_, pct)| pct.abs() >= 0.05)
            .collect();
        movers.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()));
        movers.into_iter().take(MOVERS).map(|(product, _)| line(product)).collect::<Vec<Value>>()
    };
    let mut late: Vec<&WatchedProduct> = report
        .products
        .iter()
        .filter(|product| !product.paused && product.day != report.summary.lake_until)
        .collect();
    late.sort_by_key(|product| product.day);
    json!({
        "summary": report.summary,
        "prices": by(|product| product.price_pct),
        "ranks": by(|product| product.bsr_pct),
        "late": late.iter().take(LATE).map(|product| line(product)).collect::<Vec<Value>>(),
        "late_count": late.len(),
    })
}

fn line(product: &WatchedProduct) -> Value {
    let name = product_name(&product.label, product.title.as_deref(), &product.asin);
    json!({
        "key": format!("{}:{}", product.marketplace, product.asin),
        "price_line": sparkline(&product.price_series, false, &name),
        "rank_line": sparkline(&product.bsr_series, true, &name),
        "name": name,
        "relation": product.relation,
        "day": product.day.map(|day| day.to_string()),
        "currency": product.currency.to_string(),
        "price_minor": product.price_minor,
        "price_pct": product.price_pct,
        "price_7d_pct": product.price_7d_pct,
        "bsr": product.bsr,
        "bsr_pct": product.bsr_pct,
        "bsr_7d_pct": product.bsr_7d_pct,
        "availability": product.availability.map(|availability| availability.as_str()),
    })
}
