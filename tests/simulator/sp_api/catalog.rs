//! Catalog Items 2022-04-01.

use serde_json::{Map, Value, json};

use super::super::Sim;
use super::super::call::{Call, Planned, Reply, Source};
use super::super::catalogue::{Catalogue, Fact};
use super::super::marketplaces::Marketplace;
use super::{errors, invalid, marketplace};

const SECTIONS: [&str; 10] = [
    "attributes",
    "classifications",
    "dimensions",
    "identifiers",
    "images",
    "productTypes",
    "relationships",
    "salesRanks",
    "summaries",
    "vendorDetails",
];

/// The sections asked for; `summaries` when none is named.
fn sections(call: &Call) -> Result<Vec<String>, Reply> {
    let asked = call.list("includedData");
    if let Some(unknown) = asked.iter().find(|name| !SECTIONS.contains(&name.as_str())) {
        return Err(invalid(&format!("Invalid includedData {unknown}.")));
    }
    Ok(if asked.is_empty() { vec!["summaries".to_owned()] } else { asked })
}

pub(super) fn item(_: &Sim, call: &Call) -> Result<Planned, Reply> {
    let market = marketplace(&call.list("marketplaceIds"))?;
    let sections = sections(call)?;
    let asin = call.path.last().cloned().unwrap_or_default();
    if !Catalogue::is_well_formed(&asin) {
        return Err(invalid(&format!("Invalid ASIN {asin}.")));
    }
    Ok(Planned::new("getCatalogItem", asin.clone(), move |sim| {
        if sim.never(Source::SpApi, market.code, &asin) {
            return super::failure(500);
        }
        match sim.fact(market, &asin) {
            Some(fact) => Reply::json(200, &document(&fact, &sections)),
            None => {
                let message =
                    format!("Requested item '{asin}' not found in marketplace(s) {}.", market.amazon_id);
                errors(404, "NOT_FOUND", &message)
            }
        }
    }))
}

pub(super) fn search(_: &Sim, call: &Call) -> Result<Planned, Reply> {
    let market = marketplace(&call.list("marketplaceIds"))?;
    let sections = sections(call)?;
    let identifiers = call.list("identifiers");
    if identifiers.is_empty() {
        return Err(invalid("The simulator searches by identifiers only."));
    }
    if identifiers.len() > 20 {
        return Err(invalid("At most 20 identifiers are allowed."));
    }
    if call.query("identifiersType") != Some("ASIN") {
        return Err(invalid("identifiersType must be ASIN here."));
    }
    if !call.list("keywords").is_empty() {
        return Err(invalid("keywords and identifiers exclude each other."));
    }
    let size = match call.query("pageSize").map(str::parse::<usize>) {
        None => 10,
        Some(Ok(size)) if (1..=20).contains(&size) => size,
        Some(_) => return Err(invalid("pageSize must be between 1 and 20.")),
    };
    let offset = match call.query("pageToken") {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|text| text.parse::<usize>().ok())
            .ok_or_else(|| invalid("Invalid pageToken."))?,
    };
    // Pages of one search are different requests.
    let key = format!("{}{}", identifiers[0], if offset == 0 { String::new() } else { format!("+{offset}") });
    Ok(Planned::new("searchCatalogItems", key, move |sim| {
        let mut found: Vec<Fact> = identifiers
            .iter()
            .filter(|asin| !sim.never(Source::SpApi, market.code, asin))
            .filter_map(|asin| sim.fact(market, asin))
            .collect();
        sim.random(&["search order", &identifiers[0]]).shuffle(&mut found);
        let page: Vec<Value> =
            found.iter().skip(offset).take(size).map(|fact| document(fact, &sections)).collect();
        let mut pagination = Map::new();
        if offset + size < found.len() {
            pagination.insert("nextToken".into(), json!(format!("page-{}", offset + size)));
        }
        if offset > 0 {
            pagination.insert("previousToken".into(), json!(format!("page-{}", offset.saturating_sub(size))));
        }
        Reply::json(
            200,
            &json!({
                "numberOfResults": found.len(), "pagination": pagination,
                "refinements": {"brands": [], "classifications": []}, "items": page,
            }),
        )
    }))
}

fn document(fact: &Fact, sections: &[String]) -> Value {
    let mut item = Map::new();
    item.insert("asin".into(), json!(fact.asin));
    for name in sections {
        item.insert(name.clone(), section(fact, name));
    }
    Value::Object(item)
}

fn section(fact: &Fact, name: &str) -> Value {
    let market: &Marketplace = fact.marketplace;
    let id = market.amazon_id;
    match name {
        "summaries" => json!([{
            "marketplaceId": id,
            "adultProduct": false,
            "brand": fact.brand,
            "browseClassification": {
                "displayName": fact.leaf().0, "classificationId": fact.leaf().1.to_string(),
            },
            "itemClassification": "BASE_PRODUCT",
            "itemName": fact.title,
            "manufacturer": fact.brand,
            "packageQuantity": 1,
            "websiteDisplayGroup": fact.display_group,
            "websiteDisplayGroupName": fact.root().0,
        }]),
        "salesRanks" => json!([{
            "marketplaceId": id,
            "classificationRanks": [{
                "classificationId": fact.leaf().1.to_string(), "title": fact.leaf().0,
                "link": format!("https://www.{}/gp/bestsellers/{}", market.domain, fact.leaf().1),
                "rank": fact.leaf_rank,
            }],
            "displayGroupRanks": [{
                "websiteDisplayGroup": fact.display_group, "title": fact.root().0,
                "link": format!("https://www.{}/gp/bestsellers/{}", market.domain, fact.root().1),
                "rank": fact.rank,
            }],
        }]),
        "images" => {
            let images: Vec<Value> = fact
                .images
                .iter()
                .zip(["MAIN", "PT01", "PT02"])
                .flat_map(|(image, variant)| {
                    [75, 500, 1_500].map(|size| {
                        json!({
                            "variant": variant, "height": size, "width": size,
                            "link": format!("https://m.media-amazon.com/images/I/{image}._SL{size}_.jpg"),
                        })
                    })
                })
                .collect();
            json!([{"marketplaceId": id, "images": images}])
        }
        "classifications" => {
            // Leaf first, each with its parent.
            let mut chain = Value::Null;
            for (name, node) in &fact.categories {
                let mut next = json!({"displayName": name, "classificationId": node.to_string()});
                if !chain.is_null() {
                    next["parent"] = chain;
                }
                chain = next;
            }
            json!([{"marketplaceId": id, "classifications": [chain]}])
        }
        "identifiers" => json!([{
            "marketplaceId": id, "identifiers": [{"identifierType": "EAN", "identifier": fact.ean}],
        }]),
        "productTypes" => json!([{"marketplaceId": id, "productType": "SIMULATED_PRODUCT"}]),
        "dimensions" => json!([{
            "marketplaceId": id, "item": {"weight": {"unit": "kilograms", "value": 0.14}},
        }]),
        "attributes" => {
            let bullets: Vec<Value> = fact
                .bullets
                .iter()
                .map(|text| json!({"value": text, "language_tag": "en_US", "marketplace_id": id}))
                .collect();
            let mut attributes = json!({
                "item_name": [{"value": fact.title, "language_tag": "en_US", "marketplace_id": id}],
                "brand": [{"value": fact.brand, "language_tag": "en_US", "marketplace_id": id}],
                "bullet_point": bullets,
            });
            if let Some(list) = fact.list_price {
                attributes["list_price"] = json!([{"currency": market.currency, "value": market.number(list), "marketplace_id": id}]);
            }
            attributes
        }
        "relationships" => json!([{"marketplaceId": id, "relationships": []}]),
        _ => json!([{"marketplaceId": id}]),
    }
}
