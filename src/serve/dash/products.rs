//! Products: the list that is searched, and one of them with its charts.

use std::collections::{BTreeMap, HashMap};

use minijinja::context;
use serde_json::{Value, json};

use super::visit::{Answer, Asked, Visit};
use crate::model::{Day, DayRange, Marketplace, ProductKey, ProductRef};
use crate::render::document::{Body, Report};
use crate::render::page::{product_charts, sparkline};
use crate::serve::problem::{Kind, Problem};
use crate::stages::report::Subject;
use crate::store::served::ServedDay;

/// Products of a page.
const PAGE: &str = "25";
/// Alerts of a product's page.
const ALERTS: &str = "15";
/// Days of the lines in the list.
const LINE_DAYS: i32 = 30;
/// Ranges that a product can be looked at over, in days; the first where none is said.
const RANGES: [i32; 4] = [90, 30, 180, 365];

pub(super) async fn list(visit: Visit) -> Result<Answer, Problem> {
    let found = match named(&visit).await? {
        Some(found) => found,
        None => {
            let names = ["marketplace", "brand", "status", "relation", "sort", "cursor"];
            let mut query: Vec<(&str, &str)> =
                names.into_iter().filter_map(|name| Some((name, visit.text(name)?))).collect();
            query.extend(visit.text("q").map(|text| ("title", text)));
            query.push(("limit", PAGE));
            visit.ask("list_products", &query).await?
        }
    };
    let mut products = found.data;
    add_lines(&visit, &mut products).await?;
    let asked = |name: &str| visit.text(name).unwrap_or_default().to_owned();
    let context = context! {
        products,
        next_cursor => found.next_cursor,
        q => asked("q"),
        marketplace => asked("marketplace"),
        brand => asked("brand"),
        status => asked("status"),
        relation => asked("relation"),
        sort => asked("sort"),
        marketplaces => Marketplace::ALL.iter().map(|one| one.code()).collect::<Vec<&str>>(),
        sorts => ["key", "title", "brand", "-last_day", "-first_day"],
        is_later => visit.text("cursor").is_some(),
        without_cursor => visit.url_with(&[("cursor", None), ("part", None)]),
        next_url => visit.url_with(&[("cursor", found.next_cursor.as_deref()), ("part", None)]),
    };
    Ok(Answer::page("products.html", context))
}

/// The product whose ASIN was searched for.
async fn named(visit: &Visit) -> Result<Option<Asked>, Problem> {
    let Some(name) = visit.text("q").filter(|text| text.len() <= 13) else { return Ok(None) };
    if name.parse::<ProductRef>().is_err() {
        return Ok(None);
    }
    match visit.ask_one("get_product", "product", name, &[]).await {
        Ok(Asked { data, .. }) => Ok(Some(Asked { data: json!([data]), next_cursor: None })),
        // A word of ten letters may be one of a title.
        Err(problem) if matches!(problem.kind, Kind::NotFound | Kind::Ambiguous) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Draws beside each product how its price and its rank went.
async fn add_lines(visit: &Visit, products: &mut Value) -> Result<(), Problem> {
    let Some(rows) = products.as_array_mut() else { return Ok(()) };
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let newest = rows.iter().filter_map(|row| text(row, "day").parse::<Day>().ok()).max();
    let Some(newest) = newest else { return Ok(()) };
    let range = DayRange::window(newest, LINE_DAYS);
    let mut asins: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows.iter() {
        asins.entry(text(row, "marketplace")).or_default().push(text(row, "asin"));
    }
    let mut days: HashMap<(String, String), Vec<ServedDay>> = HashMap::new();
    for (code, asins) in asins {
        let Ok(marketplace) = code.parse::<Marketplace>() else { continue };
        let asins: Vec<&str> = asins.iter().map(String::as_str).collect();
        for day in visit.app.store.load_served_days(marketplace, &asins, range).await? {
            days.entry((code.clone(), day.asin.clone())).or_default().push(day);
        }
    }
    for row in rows {
        let seen = days.remove(&(text(row, "marketplace"), text(row, "asin"))).unwrap_or_default();
        let line = |value: fn(&ServedDay) -> Option<i64>, is_rank: bool| {
            let value = |day: Day| seen.iter().find(|seen| seen.day == day).and_then(value);
            let values: Vec<Option<i64>> = range.days().map(value).collect();
            sparkline(&values, is_rank, &text(row, "asin"))
        };
        let lines = (line(|day| day.price_minor, false), line(|day| day.bsr, true));
        (row["price_line"], row["rank_line"]) = (json!(lines.0), json!(lines.1));
    }
    Ok(())
}

pub(super) async fn show(visit: Visit) -> Result<Answer, Problem> {
    let product = visit.ask("get_product", &[]).await?.data;
    let name = format!(
        "{}:{}",
        product["marketplace"].as_str().unwrap_or_default(),
        product["asin"].as_str().unwrap_or_default()
    );
    let key: ProductKey = name
        .parse::<ProductRef>()
        .ok()
        .and_then(|product| Some(ProductKey { marketplace: product.marketplace?, asin: product.asin }))
        .ok_or_else(|| Problem::not_found(format!("product `{name}`")))?;
    let days = visit.text("days").and_then(|days| days.parse().ok()).filter(|days| RANGES.contains(days));
    let days = days.unwrap_or(RANGES[0]);
    let newest = visit.app.store.newest_day(Some(key.marketplace)).await?;
    let as_of = newest.ok_or_else(|| Problem::not_found("day that was seen"))?;
    let part = visit.report_part(Subject::Product(key), as_of, days, |report, language| {
        parts(&report, product_charts(&report, language))
    });
    let part = part.await?;
    // What people do with alerts is seen at once, which what is kept of a report is not.
    let (marketplace, asin) = (key.marketplace.code(), key.asin.as_str());
    let query = [("marketplace", marketplace), ("asin", asin), ("limit", ALERTS)];
    let alerts = visit.ask("list_alerts", &query).await?.data;
    let mut ranges = RANGES;
    ranges.sort_unstable();
    let context = context! {
        product,
        key => name,
        days,
        ranges,
        report => part,
        alerts,
        link => format!("https://www.{}/dp/{}", key.marketplace.domain(), key.asin),
    };
    Ok(Answer::page("product.html", context))
}

/// A product's report as values, beside its charts.
pub(super) fn parts(report: &Report, charts: Vec<crate::render::Drawing>) -> Value {
    let (Body::Product(body) | Body::Cohort(body)) = &report.body else { return Value::Null };
    json!({
        "as_of": report.as_of,
        "window": report.window,
        "product": body.product,
        "cohort": body.cohort,
        "scores": body.comparison.as_ref().map(|comparison| &comparison.scores),
        "charts": charts,
    })
}
