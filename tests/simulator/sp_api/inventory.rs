//! FBA Inventory: the seller's own products.

use serde_json::{Map, Value, json};

use super::super::call::{Call, Planned, Reply};
use super::super::marketplaces::Marketplace;
use super::super::{Sim, iso};
use super::{invalid, marketplace};

/// Summaries of one reply.
const PAGE: usize = 50;

/// How long a page token lives.
const TOKEN_MS: u64 = 30_000;

pub(super) fn summaries(sim: &Sim, call: &Call) -> Result<Planned, Reply> {
    let market = marketplace(&call.list("marketplaceIds"))?;
    if call.query("granularityType") != Some("Marketplace") {
        return Err(invalid("granularityType must be Marketplace."));
    }
    if call.query("granularityId") != Some(market.amazon_id) {
        return Err(invalid("granularityId must be the marketplace."));
    }
    let skus = call.list("sellerSkus");
    if skus.len() > 50 {
        return Err(invalid("At most 50 sellerSkus."));
    }
    let details = call.query("details") == Some("true");
    let offset = match call.query("nextToken") {
        None => 0,
        Some(token) => read_token(sim, token).ok_or_else(|| invalid("nextToken is invalid or expired."))?,
    };
    let key = format!("{}+{offset}", market.code);
    Ok(Planned::new("getInventorySummaries", key, move |sim| page(sim, market, details, &skus, offset)))
}

/// `inv-OFFSET-ISSUED`
fn read_token(sim: &Sim, token: &str) -> Option<usize> {
    let (offset, issued) = token.strip_prefix("inv-")?.split_once('-')?;
    let issued: u64 = issued.parse().ok()?;
    let age = (sim.elapsed().as_millis() as u64).checked_sub(issued)?;
    (age <= TOKEN_MS).then(|| offset.parse().ok())?
}

fn page(sim: &Sim, market: &'static Marketplace, details: bool, skus: &[String], offset: usize) -> Reply {
    let asins = sim.catalogue.existing_asins(market, sim.config.inventory);
    let wanted: Vec<&String> =
        asins.iter().filter(|asin| skus.is_empty() || skus.contains(&sku(asin))).collect();
    let page: Vec<Value> =
        wanted.iter().skip(offset).take(PAGE).map(|asin| summary(sim, market, asin, details)).collect();
    let mut body = json!({
        "payload": {
            "granularity": {"granularityType": "Marketplace", "granularityId": market.amazon_id},
            "inventorySummaries": page,
        },
    });
    if offset + PAGE < wanted.len() {
        let token = format!("inv-{}-{}", offset + PAGE, sim.elapsed().as_millis());
        body["pagination"] = json!({"nextToken": token});
    }
    Reply::json(200, &body)
}

fn sku(asin: &str) -> String {
    format!("SKU-{asin}")
}

fn summary(sim: &Sim, market: &'static Marketplace, asin: &str, details: bool) -> Value {
    let mut random = sim.random(&["inventory", market.code, asin]).of(sim.day());
    let fulfillable = random.between(0, 200);
    let (inbound, reserved, unfulfillable) =
        (random.between(0, 40), random.between(0, 9), random.between(0, 3));
    let title = sim.fact(market, asin).map(|fact| fact.title);
    let mut summary = Map::new();
    let mut put = |name: &str, value: Value| summary.insert(name.to_owned(), value);
    put("asin", json!(asin));
    put("fnSku", json!(format!("X00{}", &asin[3..])));
    put("sellerSku", json!(sku(asin)));
    put("condition", json!("NewItem"));
    put("lastUpdatedTime", json!(iso(sim.now())));
    put("productName", json!(title.unwrap_or_default()));
    put("totalQuantity", json!(fulfillable + inbound + reserved + unfulfillable));
    put("stores", json!([]));
    if details {
        put(
            "inventoryDetails",
            json!({
                "fulfillableQuantity": fulfillable,
                "inboundWorkingQuantity": 0,
                "inboundShippedQuantity": inbound,
                "inboundReceivingQuantity": 0,
                "reservedQuantity": {
                    "totalReservedQuantity": reserved, "pendingCustomerOrderQuantity": reserved,
                    "pendingTransshipmentQuantity": 0, "fcProcessingQuantity": 0,
                },
                "researchingQuantity": {"totalResearchingQuantity": 0, "researchingQuantityBreakdown": []},
                "unfulfillableQuantity": {
                    "totalUnfulfillableQuantity": unfulfillable, "customerDamagedQuantity": unfulfillable,
                    "warehouseDamagedQuantity": 0, "distributorDamagedQuantity": 0, "carrierDamagedQuantity": 0,
                    "defectiveQuantity": 0, "expiredQuantity": 0,
                },
            }),
        );
    }
    Value::Object(summary)
}
