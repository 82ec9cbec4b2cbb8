//! Rainforest: one product a request.

use serde_json::{Value, json};

use super::call::{Call, Planned, Refused, Reply};
use super::catalogue::{Catalogue, Fact, Stock, read_url};
use super::config::Config;
use super::marketplaces::Marketplace;
use super::server::Wait;
use super::{Sim, iso, lock};

/// The account's balance.
#[derive(Debug)]
pub(crate) struct Credits {
    used: i64,
    left: i64,
}

impl Credits {
    pub(crate) fn new(config: &Config) -> Credits {
        Credits { used: 0, left: config.rainforest_credits }
    }
}

fn refusal(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"request_info": {"success": false, "message": message}}))
}

pub(crate) fn failure(sim: &Sim, status: u16, wait: Wait) -> Reply {
    match status {
        429 => wait.retry_after(sim, refusal(429, "Too many requests, please slow down.")),
        502 | 504 => Reply::html(status, "<html><body>Bad gateway</body></html>"),
        _ => refusal(status, "An internal error occurred. You have not been charged for this request."),
    }
}

pub(crate) fn plan(sim: &Sim, call: &Call) -> Result<Planned, Refused> {
    let operation = "product";
    let refused = |status: u16, message: &str| Err(Refused::new(operation, refusal(status, message)));
    if (call.method.as_str(), call.segments().as_slice()) != ("GET", ["request"].as_slice()) {
        return Err(Refused::new("unknown", refusal(404, "Not found.")));
    }
    if call.query("api_key") != Some(sim.config.keys.rainforest.as_str()) {
        return refused(401, "The api_key supplied is not valid.");
    }
    if call.query("type") != Some("product") {
        return refused(400, "The type parameter must be product here.");
    }
    let (marketplace, asin) = match call.query("url") {
        Some(url) => match read_url(url) {
            Some(found) => found,
            None => return refused(400, "The url parameter is not a product page."),
        },
        None => {
            // The domain is given without "www.".
            let domain = call.query("amazon_domain").unwrap_or("").to_owned();
            let Some(marketplace) = Marketplace::by_domain(&domain).filter(|market| market.domain == domain)
            else {
                return refused(400, "The amazon_domain parameter is not a supported domain.");
            };
            match call.query("asin").filter(|asin| Catalogue::is_well_formed(asin)) {
                Some(asin) => (marketplace, asin.to_owned()),
                None => return refused(400, "The asin parameter is missing or not valid."),
            }
        }
    };
    if lock(&sim.state).rainforest.left <= 0 {
        return refused(402, "You have used all of your credits.");
    }
    let item = sim.item(marketplace, &asin);
    let mut planned = Planned::new(operation, asin.clone(), move |sim| product(sim, marketplace, &asin));
    planned.single = Some(item);
    Ok(planned)
}

fn product(sim: &Sim, marketplace: &'static Marketplace, asin: &str) -> Reply {
    let Some(fact) = sim.fact(marketplace, asin) else {
        // Both ways of saying it occur; neither is charged.
        let status = if sim.random(&["rainforest unknown", asin]).chance(0.5) { 404 } else { 200 };
        return refusal(status, &format!("Product {asin} not found on {}.", marketplace.domain));
    };
    let (used, left) = {
        let mut state = lock(&sim.state);
        let credits = &mut state.rainforest;
        credits.used += 1;
        credits.left -= 1;
        (credits.used, credits.left)
    };
    let now = sim.now();
    let body = json!({
        "request_info": {
            "success": true, "credits_used": used, "credits_used_this_request": 1, "credits_remaining": left,
            "credits_reset_at": iso(now + chrono::Duration::days(20)),
        },
        "request_metadata": {
            "created_at": iso(now - chrono::Duration::seconds(4)), "processed_at": iso(now),
            "total_time_taken": 4.0, "amazon_url": format!("{}?th=1&psc=1", fact.url()),
        },
        "request_parameters": {"type": "product", "amazon_domain": marketplace.domain, "asin": asin},
        "product": document(&fact),
    });
    Reply::json(200, &body).paid(vec![sim.item(marketplace, asin)])
}

fn document(fact: &Fact) -> Value {
    let market = fact.marketplace;
    let money = |minor: i64| {
        json!({
            "symbol": market.symbol, "value": market.number(minor), "currency": market.currency,
            "raw": market.price_text(minor),
        })
    };
    let categories: Vec<Value> = std::iter::once(json!({"name": "All Departments"}))
        .chain(fact.categories.iter().map(|(name, node)| json!({"name": name, "id": node.to_string()})))
        .collect();
    let ranks: Vec<Value> = [(fact.rank, fact.root()), (fact.leaf_rank, fact.leaf())]
        .iter()
        .map(|(rank, (name, node))| {
            let link = format!("https://www.{}/gp/bestsellers/{node}", market.domain);
            json!({"category": name, "rank": rank, "link": link})
        })
        .collect();
    let images: Vec<Value> = (0..fact.images.len())
        .map(|index| json!({"link": fact.image_url(index, "SL1500"), "variant": (["MAIN", "PT01", "PT02"][index])}))
        .collect();
    let mut product = json!({
        "asin": fact.asin,
        "title": fact.title,
        "link": fact.url(),
        "brand": fact.brand,
        "categories": categories,
        "main_image": {"link": fact.image_url(0, "SL1500")},
        "images": images,
        "images_count": fact.images.len(),
        "feature_bullets": fact.bullets,
        "feature_bullets_count": fact.bullets.len(),
        "attributes": [{"name": "Brand", "value": fact.brand}],
        "specifications": [{"name": "ASIN", "value": fact.asin}],
        "bestsellers_rank": ranks,
        "more_buying_choices": [],
    });
    // A product without ratings lacks the keys.
    if let Some(tenths) = fact.rating {
        product["rating"] = if tenths % 10 == 0 { json!(tenths / 10) } else { json!(tenths as f64 / 10.0) };
        product["ratings_total"] = json!(fact.ratings);
    }
    if let (Some(price), Some(seller)) = (fact.price, &fact.seller) {
        let mut fulfillment = json!({
            "type": match (seller.amazon, seller.fba) { (true, _) => "1p", (_, true) => "2p", _ => "3p" },
            "is_sold_by_amazon": seller.amazon, "is_fulfilled_by_amazon": seller.fba,
            "is_fulfilled_by_third_party": !seller.fba, "is_sold_by_third_party": !seller.amazon,
        });
        if !seller.amazon {
            let link =
                format!("https://www.{}/gp/help/seller/at-a-glance.html?seller={}", market.domain, seller.id);
            fulfillment["third_party_seller"] = json!({"name": seller.name, "link": link});
        }
        let kind = match fact.stock {
            Stock::Plenty => "in_stock",
            Stock::Low(_) => "in_stock_low",
            Stock::Unavailable => "out_of_stock",
        };
        product["buybox_winner"] = json!({
            "is_prime": seller.fba, "is_amazon_fresh": false, "condition": {"is_new": true},
            "availability": {"type": kind, "raw": fact.stock_text(), "dispatch_days": 1},
            "fulfillment": fulfillment, "price": money(price),
            "shipping": {"raw": "FREE Shipping", "value": 0},
        });
        if let Some(list) = fact.list_price {
            product["buybox_winner"]["rrp"] = money(list);
        }
    }
    product
}
