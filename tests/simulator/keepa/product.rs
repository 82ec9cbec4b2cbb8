//! The parameters of `/product` and a product in Keepa's shape.

use serde_json::{Map, Value, json};

use super::super::Sim;
use super::super::call::Call;
use super::super::catalogue::{Fact, Stock, Today};
use super::super::marketplaces::Marketplace;
use super::{domain, well_formed};

/// Keepa's clock counts minutes from 2011-01-01.
const EPOCH_MINUTES: i64 = 21_564_000;

/// The entries of `csv` in replies of 2026.
const SERIES: usize = 36;

/// The request, checked.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) marketplace: &'static Marketplace,
    pub(super) asins: Vec<String>,
    stats: bool,
    history: bool,
    days: Option<i64>,
    rating: bool,
    buybox: bool,
    offers: Option<i64>,
}

impl Query {
    pub(super) fn read(call: &Call) -> Result<Query, String> {
        let flag = |name: &str, default: bool| match call.query(name) {
            None => Ok(default),
            Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(format!("{name} must be 0 or 1")),
        };
        let number = |name: &str| match call.query(name) {
            None => Ok(None),
            Some(text) => text.parse::<i64>().map(Some).map_err(|_| format!("{name} must be a number")),
        };
        let marketplace = call.query("domain").and_then(domain).ok_or("domain")?;
        let asins = call.list("asin");
        if asins.is_empty() {
            return Err("asin or code is required".into());
        }
        if let Some(bad) = asins.iter().find(|asin| !well_formed(asin)) {
            return Err(format!("invalid asin {bad}"));
        }
        let offers = number("offers")?;
        if offers.is_some_and(|count| !(20..=100).contains(&count)) {
            return Err("offers must be between 20 and 100".into());
        }
        let most = if offers.is_some() { 20 } else { 100 };
        if asins.len() > most {
            return Err(format!("at most {most} asins"));
        }
        let days = number("days")?;
        if days.is_some_and(|days| days < 1) {
            return Err("days must be positive".into());
        }
        let stats = call.query("stats");
        let dates = |text: &str| text.split(',').all(|part| !part.is_empty()) && text.split(',').count() <= 2;
        if stats.is_some_and(|text| !dates(text)) {
            return Err("stats".into());
        }
        number("update")?;
        Ok(Query {
            marketplace,
            asins,
            stats: stats.is_some(),
            history: flag("history", true)?,
            days,
            rating: flag("rating", false)?,
            buybox: flag("buybox", false)?,
            offers,
        })
    }

    /// Tokens for each product.
    pub(super) fn cost(&self) -> i64 {
        1 + if self.buybox { 2 } else { 0 } + self.offers.map_or(0, |count| (count + 9) / 10 * 6)
    }
}

fn minutes(day: i64) -> i64 {
    day * 1_440 - EPOCH_MINUTES
}

/// An entry without data, such as for a string that is no product.
pub(super) fn empty(query: &Query, asin: &str, product_type: i64) -> Value {
    json!({
        "asin": asin, "domainId": query.marketplace.keepa, "productType": product_type, "title": null, "csv": null,
        "lastUpdate": 0, "categoryTree": null,
    })
}

/// One day's value of each series, in the numbering of `csv`; -1 is "none".
fn values(query: &Query, fact: &Today) -> [(usize, Option<i64>); 9] {
    let price = fact.price.unwrap_or(-1);
    let amazon = fact.seller.as_ref().is_some_and(|seller| seller.amazon);
    let asked = query.rating || query.offers.is_some();
    [
        (0, Some(if amazon { price } else { -1 })),
        (1, Some(price)),
        (3, Some(fact.rank)),
        (4, Some(fact.list_price.unwrap_or(-1))),
        (11, Some(if fact.price.is_some() { fact.offers } else { 0 })),
        (16, fact.rating.filter(|_| asked)),
        (17, fact.rating.filter(|_| asked).map(|_| fact.ratings)),
        // With shipping, which is free.
        (18, (query.buybox || query.offers.is_some()).then_some(price)),
        (34, Some(fact.offers / 2)),
    ]
}

/// The history: a point where a value changes, and one at the start.
fn csv(query: &Query, facts: &[(i64, Today)]) -> Vec<Value> {
    let mut series: Vec<Option<Vec<i64>>> = vec![None; SERIES];
    let mut last = [None; SERIES];
    for (day, fact) in facts {
        for (index, value) in values(query, fact) {
            let Some(value) = value else { continue };
            if last[index] == Some(value) {
                continue;
            }
            last[index] = Some(value);
            let points = series[index].get_or_insert_default();
            points.extend([minutes(*day), value]);
            if index == 18 {
                points.push(if value < 0 { -1 } else { 0 });
            }
        }
    }
    series.into_iter().map(|points| json!(points)).collect()
}

fn stats(query: &Query, fact: &Fact) -> Value {
    let mut current = vec![json!(-1); SERIES];
    for (index, value) in values(query, fact) {
        current[index] = json!(value.unwrap_or(-1));
    }
    let asked = query.buybox || query.offers.is_some();
    let mut stats = json!({
        "current": current,
        "buyBoxPrice": -2,
        "buyBoxShipping": -2,
        "buyBoxSellerId": null,
        "buyBoxIsAmazon": null,
        "buyBoxIsFBA": null,
        "buyBoxIsUnqualified": null,
        "totalOfferCount": fact.offers,
        "retrievedOfferCount": -2,
        "lastOffersUpdate": -1,
        "stockAmazon": null,
        "stockBuyBox": null,
    });
    if asked {
        let seller = fact.seller.as_ref();
        let basis = fact.list_price;
        let box_fields = json!({
            "buyBoxPrice": fact.price.unwrap_or(-1),
            "buyBoxShipping": if fact.price.is_some() { 0 } else { -1 },
            "buyBoxSellerId": seller.map_or("-1", |seller| seller.id.as_str()),
            "buyBoxIsAmazon": seller.is_some_and(|seller| seller.amazon),
            "buyBoxIsFBA": seller.is_some_and(|seller| seller.fba),
            "buyBoxIsUnqualified": false,
            "buyBoxIsMAP": false,
            "buyBoxIsPreorder": false,
            "buyBoxIsBackorder": false,
            "buyBoxIsUsed": false,
            "buyBoxAvailabilityMessage": match fact.stock {
                Stock::Plenty => Some("IN_STOCK".to_owned()),
                Stock::Low(_) => Some(fact.stock_text()),
                Stock::Unavailable => None,
            },
            "buyBoxSavingBasis": basis,
            "buyBoxSavingBasisType": basis.map(|_| "LIST_PRICE"),
        });
        if let (Some(fields), Value::Object(more)) = (stats.as_object_mut(), box_fields) {
            fields.extend(more);
        }
    }
    stats
}

/// A product that exists.
pub(super) fn document(sim: &Sim, query: &Query, asin: &str, day: i64) -> Option<Value> {
    let fact = sim.catalogue.fact(query.marketplace, asin, day)?;
    let first = day - query.days.unwrap_or(sim.config.history_days).min(sim.config.history_days) + 1;
    let update = sim.now().timestamp() / 60 - EPOCH_MINUTES;
    let categories: Vec<Value> =
        fact.categories.iter().map(|(name, node)| json!({"catId": node, "name": name})).collect();
    let images: Vec<Value> = fact
        .images
        .iter()
        .map(|id| {
            json!({"l": format!("{id}.jpg"), "lH": 1500, "lW": 1500, "m": format!("{id}m.jpg"), "mH": 500, "mW": 500})
        })
        .collect();
    let amazon = fact.seller.as_ref().is_some_and(|seller| seller.amazon);
    let mut product = json!({
        "asin": asin,
        "domainId": query.marketplace.keepa,
        "productType": 0,
        "parentAsin": null,
        "title": fact.title,
        "brand": fact.brand,
        "manufacturer": fact.brand,
        "features": fact.bullets,
        "description": null,
        "categories": [fact.leaf().1],
        "categoryTree": categories,
        "rootCategory": fact.root().1,
        "salesRankReference": fact.root().1,
        "salesRankReferenceHistory": [minutes(first), fact.root().1],
        "websiteDisplayGroup": fact.display_group,
        "salesRankDisplayGroup": fact.display_group,
        "images": images,
        "availabilityAmazon": if amazon { 0 } else { -1 },
        "monthlySold": fact.monthly_sold,
        "coupon": null,
        "hasReviews": fact.rating.is_some(),
        "lastUpdate": update,
        "lastPriceChange": minutes(day),
        "lastRatingUpdate": update,
        "listedSince": minutes(first) - 100_000,
        "trackingSince": minutes(first) - 90_000,
        "eanList": [fact.ean],
        "upcList": null,
        "variations": null,
        "isAdultProduct": false,
        "packageWeight": 141,
        "offersSuccessful": false,
        "type": "SIMULATED_PRODUCT",
        "buyBoxSellerIdHistory": null,
        "csv": null,
    });
    if query.history {
        let course = sim.catalogue.course(query.marketplace, asin);
        let facts: Vec<(i64, Today)> = (first..=day).map(|day| (day, course.on(day))).collect();
        product["csv"] = Value::Array(csv(query, &facts));
        let rank = |pick: fn(&Today) -> i64| {
            facts.iter().flat_map(|(day, fact)| [minutes(*day), pick(fact)]).collect::<Vec<i64>>()
        };
        let mut ranks = Map::new();
        ranks.insert(fact.root().1.to_string(), json!(rank(|fact| fact.rank)));
        ranks.insert(fact.leaf().1.to_string(), json!(rank(|fact| fact.leaf_rank)));
        product["salesRanks"] = Value::Object(ranks);
        if query.buybox || query.offers.is_some() {
            product["buyBoxSellerIdHistory"] = json!(sellers(&facts));
        }
    }
    if query.stats {
        product["stats"] = stats(query, &fact);
    }
    Some(product)
}

/// Minutes and seller ids in turn, all as strings.
fn sellers(facts: &[(i64, Today)]) -> Vec<String> {
    let mut history = Vec::new();
    let mut last: Option<&str> = None;
    for (day, fact) in facts {
        let id = fact.seller.as_ref().map_or("-1", |seller| seller.id.as_str());
        if last != Some(id) {
            history.extend([minutes(*day).to_string(), id.to_owned()]);
            last = Some(id);
        }
    }
    history
}
