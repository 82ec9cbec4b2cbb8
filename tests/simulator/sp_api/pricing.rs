//! Product Pricing: competitive prices and item offers (v0), competitive summary (2022-05-01).

use serde_json::{Map, Value, json};

use super::super::Sim;
use super::super::call::{Call, Planned, Reply};
use super::super::catalogue::{Catalogue, Fact};
use super::super::http_date;
use super::super::marketplaces::Marketplace;
use super::{inner_failure, invalid, reason};

/// `{CurrencyCode, Amount}` of v0.
fn money(fact: &Fact, minor: i64) -> Value {
    json!({"CurrencyCode": fact.marketplace.currency, "Amount": fact.marketplace.number(minor)})
}

/// `{currencyCode, amount}` of 2022-05-01.
fn small_money(fact: &Fact, minor: i64) -> Value {
    json!({"currencyCode": fact.marketplace.currency, "amount": fact.marketplace.number(minor)})
}

fn rankings(fact: &Fact) -> Value {
    json!([
        {"ProductCategoryId": fact.display_group, "Rank": fact.rank},
        {"ProductCategoryId": fact.leaf().1.to_string(), "Rank": fact.leaf_rank},
    ])
}

pub(super) fn competitive_price(_: &Sim, call: &Call) -> Result<Planned, Reply> {
    let market = call.query("MarketplaceId").and_then(Marketplace::by_amazon_id);
    let market = market.ok_or_else(|| invalid("Invalid MarketplaceId."))?;
    if call.query("ItemType") != Some("Asin") {
        return Err(invalid("ItemType must be Asin here."));
    }
    let asins = call.list("Asins");
    if asins.is_empty() || asins.len() > 20 {
        return Err(invalid("Between 1 and 20 Asins are required."));
    }
    Ok(Planned::new("getCompetitivePricing", asins[0].clone(), move |sim| {
        let payload: Vec<Value> = asins.iter().map(|asin| price(sim, market, asin)).collect();
        Reply::json(200, &json!({"payload": payload}))
    }))
}

fn price(sim: &Sim, market: &'static Marketplace, asin: &str) -> Value {
    let failed = inner_failure(sim, "getCompetitivePricing/inner", market, asin);
    let (None, Some(fact)) = (&failed, sim.fact(market, asin)) else {
        let status = match failed {
            Some((400, _)) | None => "ClientError",
            Some(_) => "ServerError",
        };
        return json!({"status": status, "ASIN": asin});
    };
    let mut prices = Vec::new();
    if let Some(price) = fact.price {
        prices.push(json!({
            "CompetitivePriceId": "1", "condition": "New", "subcondition": "New", "belongsToRequester": false,
            "Price": {
                "LandedPrice": money(&fact, price), "ListingPrice": money(&fact, price), "Shipping": money(&fact, 0),
            },
        }));
    }
    json!({
        "status": "Success",
        "ASIN": asin,
        "Product": {
            "Identifiers": {"MarketplaceASIN": {"MarketplaceId": market.amazon_id, "ASIN": asin}},
            "CompetitivePricing": {
                "CompetitivePrices": prices,
                "NumberOfOfferListings": [
                    {"condition": "New", "Count": fact.offers}, {"condition": "Any", "Count": fact.offers},
                ],
            },
            "SalesRankings": rankings(&fact),
        },
    })
}

/// An element of a batch request, checked.
struct Asked {
    marketplace: &'static Marketplace,
    asin: String,
    /// Item offers: the condition; summary: the data asked for and the wanted lowest offers.
    condition: String,
    data: Vec<String>,
    lowest: Vec<Value>,
}

/// The elements of a batch, 1 to 20 of them.
fn batch(body: &Option<Value>) -> Result<&[Value], Reply> {
    let requests = body.as_ref().and_then(|body| body.get("requests")).and_then(Value::as_array);
    match requests {
        Some(requests) if (1..=20).contains(&requests.len()) => Ok(requests),
        Some(_) => Err(invalid("A batch holds between 1 and 20 requests.")),
        None => Err(invalid("The body must be {\"requests\": […]}.")),
    }
}

fn text<'a>(request: &'a Value, name: &str) -> Result<&'a str, Reply> {
    let found = request.get(name).and_then(Value::as_str);
    found.ok_or_else(|| invalid(&format!("Missing required field {name}.")))
}

fn market_of(id: &str) -> Result<&'static Marketplace, Reply> {
    Marketplace::by_amazon_id(id).ok_or_else(|| invalid(&format!("Invalid marketplace {id}.")))
}

fn only_get(request: &Value) -> Result<(), Reply> {
    if text(request, "method")? == "GET" { Ok(()) } else { Err(invalid("method must be GET.")) }
}

const CONDITIONS: [&str; 5] = ["New", "Used", "Collectible", "Refurbished", "Club"];

pub(super) fn item_offers(_: &Sim, call: &Call) -> Result<Planned, Reply> {
    let body = call.json();
    let asked = batch(&body)?
        .iter()
        .map(|request| {
            only_get(request)?;
            let uri = text(request, "uri")?;
            let asin =
                uri.strip_prefix("/products/pricing/v0/items/").and_then(|rest| rest.strip_suffix("/offers"));
            let asin = asin.filter(|asin| Catalogue::is_well_formed(asin));
            let condition = text(request, "ItemCondition")?;
            if !CONDITIONS.contains(&condition) {
                return Err(invalid("Invalid ItemCondition."));
            }
            Ok(Asked {
                marketplace: market_of(text(request, "MarketplaceId")?)?,
                asin: asin.ok_or_else(|| invalid(&format!("Invalid uri {uri}.")))?.to_owned(),
                condition: condition.to_owned(),
                data: Vec::new(),
                lowest: Vec::new(),
            })
        })
        .collect::<Result<Vec<Asked>, Reply>>()?;
    let key = asked[0].asin.clone();
    Ok(Planned::new("getItemOffersBatch", key.clone(), move |sim| {
        let mut responses: Vec<Value> = asked.iter().map(|asked| offers(sim, asked)).collect();
        sim.random(&["offers order", &key]).shuffle(&mut responses);
        Reply::json(200, &json!({"responses": responses}))
    }))
}

fn offers(sim: &Sim, asked: &Asked) -> Value {
    let market = asked.marketplace;
    let failed = inner_failure(sim, "getItemOffersBatch/inner", market, &asked.asin);
    let (status, body) = match (failed, sim.fact(market, &asked.asin)) {
        (Some((status, body)), _) => (status, body),
        (None, Some(fact)) => (200, json!({"payload": offers_payload(&fact, &asked.condition)})),
        (None, None) => (500, json!({"errors": []})),
    };
    json!({
        "headers": {
            "x-amzn-RequestId": sim.random(&["inner", &asked.asin]).uuid(), "Date": http_date(sim.now()),
        },
        "status": {"statusCode": status, "reasonPhrase": reason(status)},
        "body": body,
        "request": {"MarketplaceId": market.amazon_id, "ItemCondition": asked.condition, "Asin": asked.asin},
    })
}

fn offers_payload(fact: &Fact, condition: &str) -> Value {
    let market = fact.marketplace;
    let identifier =
        json!({"ASIN": fact.asin, "MarketplaceId": market.amazon_id, "ItemCondition": condition});
    let (Some(price), Some(seller), "New") = (fact.price, &fact.seller, condition) else {
        return json!({
            "marketplaceId": market.amazon_id, "ASIN": fact.asin, "ItemCondition": condition,
            "status": "NoBuyableOffers", "Identifier": identifier, "Summary": {"TotalOfferCount": 0}, "Offers": [],
        });
    };
    let channel = if seller.fba { "Amazon" } else { "Merchant" };
    let offer = |id: &str, price: i64, winner: bool, fba: bool| {
        json!({
            "SellerId": id, "SubCondition": "new", "ListingPrice": money(fact, price), "Shipping": money(fact, 0),
            "IsBuyBoxWinner": winner, "IsFulfilledByAmazon": fba, "IsFeaturedMerchant": winner,
            "ShippingTime": {"minimumHours": 0, "maximumHours": 24, "availabilityType": "NOW"},
            "SellerFeedbackRating": {"FeedbackCount": 2737, "SellerPositiveFeedbackRating": 97},
            "PrimeInformation": {"IsPrime": fba, "IsNationalPrime": fba},
        })
    };
    let mut offers = vec![offer(&seller.id, price, true, seller.fba)];
    for other in 1..fact.offers.min(3) {
        offers.push(offer(&format!("A1OTHERSELLER{other}"), price + 50 * other, false, false));
    }
    json!({
        "marketplaceId": market.amazon_id,
        "ASIN": fact.asin,
        "ItemCondition": condition,
        "status": "Success",
        "Identifier": identifier,
        "Summary": {
            "TotalOfferCount": fact.offers,
            "NumberOfOffers": [{"condition": "new", "fulfillmentChannel": channel, "OfferCount": fact.offers}],
            "BuyBoxEligibleOffers": [{"condition": "new", "fulfillmentChannel": channel, "OfferCount": 1}],
            "LowestPrices": [{
                "condition": "new", "fulfillmentChannel": channel, "LandedPrice": money(fact, price),
                "ListingPrice": money(fact, price), "Shipping": money(fact, 0),
            }],
            "BuyBoxPrices": [{
                "condition": "New", "LandedPrice": money(fact, price), "ListingPrice": money(fact, price),
                "Shipping": money(fact, 0), "sellerId": seller.id,
            }],
            // Zero stands for none.
            "ListPrice": money(fact, fact.list_price.unwrap_or(0)),
            "SalesRankings": rankings(fact),
        },
        "Offers": offers,
    })
}

const SUMMARY_URI: &str = "/products/pricing/2022-05-01/items/competitiveSummary";

pub(super) fn competitive_summary(_: &Sim, call: &Call) -> Result<Planned, Reply> {
    let body = call.json();
    let asked = batch(&body)?
        .iter()
        .map(|request| {
            only_get(request)?;
            if text(request, "uri")? != SUMMARY_URI {
                return Err(invalid("Invalid uri."));
            }
            let data =
                request.get("includedData").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let data: Vec<String> = data.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
            let known = ["featuredBuyingOptions", "referencePrices", "lowestPricedOffers", "similarItems"];
            if data.is_empty() || data.iter().any(|name| !known.contains(&name.as_str())) {
                return Err(invalid("Invalid includedData."));
            }
            let lowest = request.get("lowestPricedOffersInputs").and_then(Value::as_array).cloned();
            let lowest = lowest.unwrap_or_default();
            if lowest.len() > 5 {
                return Err(invalid("At most 5 lowestPricedOffersInputs."));
            }
            let asin = text(request, "asin")?;
            if !Catalogue::is_well_formed(asin) {
                return Err(invalid("Invalid asin."));
            }
            Ok(Asked {
                marketplace: market_of(text(request, "marketplaceId")?)?,
                asin: asin.to_owned(),
                condition: "New".into(),
                data,
                lowest,
            })
        })
        .collect::<Result<Vec<Asked>, Reply>>()?;
    let key = asked[0].asin.clone();
    Ok(Planned::new("getCompetitiveSummary", key.clone(), move |sim| {
        let mut responses: Vec<Value> = asked.iter().map(|asked| summary(sim, asked)).collect();
        sim.random(&["summary order", &key]).shuffle(&mut responses);
        Reply::json(200, &json!({"responses": responses}))
    }))
}

fn summary(sim: &Sim, asked: &Asked) -> Value {
    let market = asked.marketplace;
    let mut body = Map::new();
    body.insert("asin".into(), json!(asked.asin));
    body.insert("marketplaceId".into(), json!(market.amazon_id));
    let failed = inner_failure(sim, "getCompetitiveSummary/inner", market, &asked.asin);
    let status = match (failed, sim.fact(market, &asked.asin)) {
        (Some((status, errors)), _) => {
            body.insert("errors".into(), errors["errors"].clone());
            status
        }
        (None, Some(fact)) => {
            for name in &asked.data {
                body.insert(name.clone(), summary_part(&fact, asked, name));
            }
            200
        }
        (None, None) => 500,
    };
    json!({"status": {"statusCode": status, "reasonPhrase": reason(status)}, "body": body})
}

fn summary_part(fact: &Fact, asked: &Asked, name: &str) -> Value {
    let offer = fact.price.zip(fact.seller.as_ref()).map(|(price, seller)| {
        json!({
            "sellerId": seller.id, "condition": "New", "subCondition": "New",
            "fulfillmentType": if seller.fba { "AFN" } else { "MFN" }, "listingPrice": small_money(fact, price),
            "shippingOptions": [{"shippingOptionType": "DEFAULT", "price": small_money(fact, 0)}],
            "primeDetails": {"eligibility": if seller.fba { "NATIONAL" } else { "NONE" }},
        })
    });
    match name {
        "featuredBuyingOptions" => match offer {
            Some(mut offer) => {
                offer["featuredOfferSegments"] = json!([{
                    "customerMembership": "PRIME", "segmentDetails": {"glanceViewWeightPercentage": 72.4},
                }]);
                json!([{"buyingOptionType": "New", "segmentedFeaturedOffers": [offer]}])
            }
            None => json!([]),
        },
        "lowestPricedOffers" => {
            let default = [json!({"itemCondition": "New", "offerType": "Consumer"})];
            let inputs = if asked.lowest.is_empty() { &default[..] } else { &asked.lowest };
            // An input without offers is left out: the model wants at least one.
            let parts = inputs.iter().filter_map(|input| {
                let new = input.get("itemCondition").and_then(Value::as_str) == Some("New");
                let offers: Vec<&Value> = offer.iter().filter(|_| new).collect();
                (!offers.is_empty()).then(|| json!({"lowestPricedOffersInput": input, "offers": offers}))
            });
            Value::Array(parts.collect())
        }
        "referencePrices" => {
            let price = fact
                .price
                .map(|price| json!({"name": "CompetitivePrice", "price": small_money(fact, price)}));
            Value::Array(price.into_iter().collect())
        }
        _ => json!([]),
    }
}
