//! Answers of both kinds: the captured ones, with figures taken from them by other tools, and small ones of our own.

use serde_json::{Value, json};

use super::super::golden::{context, line, read};
use super::*;
use crate::normalize::{RecordFormat, parse, recognise};

const PRODUCT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rainforest/product.third-party.json"));

fn parse_answer(answer: &str) -> (Recognised, Parsed) {
    let recognised = recognise(RecordFormat::Json, answer.as_bytes());
    let parsed = parse(&context(&recognised, None), answer.as_bytes());
    (recognised, parsed)
}

fn verdict(parsed: &Parsed) -> String {
    let one = |reject: &super::super::Reject| {
        format!("{} {} {}: {}", reject.item, reject.reason, reject.field, reject.detail)
    };
    match parsed.rejects.is_empty() {
        true => "accepted".to_owned(),
        false => parsed.rejects.iter().map(one).collect::<Vec<_>>().join("; "),
    }
}

/// The fixture's answer with the winner of its buy box changed.
fn with_winner(changes: Value) -> String {
    let mut answer: Value = serde_json::from_str(PRODUCT).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        answer["product"]["buybox_winner"][key] = value.clone();
    }
    answer.to_string()
}

fn search(results: Value) -> String {
    json!({
        "request_info": {"success": true},
        "request_metadata": {"processed_at": "2026-01-05T08:00:00.000Z"},
        "request_parameters": {"type": "search", "amazon_domain": "amazon.com", "search_term": "lamp"},
        "search_results": results,
    })
    .to_string()
}

#[test]
fn the_captured_product_is_read_as_it_stands_there() {
    let Some(answer) = read("rainforest/product.us.B073JYC4XM.excerpt.json") else { return };
    let (recognised, parsed) = parse_answer(&String::from_utf8(answer).unwrap());
    assert_eq!((recognised.shape, recognised.source), (Shape::RainforestProduct, "rainforest"));
    assert_eq!(recognised.observed_at, parse_instant("2021-04-16T23:32:36.425Z"));
    assert_eq!(recognised.asin_requested, recognised.asin_returned);
    let observation = &parsed.observations[0];
    // Read by eye. The only rank is of a sub-category, so none is the main one.
    assert_eq!(
        line(observation),
        "B073JYC4XM | 2176 | 2291 | in_stock | - | Amazon | - | amazon | - | - | - | SanDisk | - \
         | 12 Micro SD Memory Cards"
    );
    let offer = &observation.offer;
    assert_eq!((offer.price_basis, offer.buy_box_price_minor), (Some(PriceBasis::BuyBox), Some(2176)));
    assert_eq!((offer.shipping_minor, offer.is_prime), (None, Some(true)));
    let listing = &observation.listing;
    assert_eq!((listing.bullets.len(), listing.images.len(), listing.variants.len()), (3, 2, 1));
    assert_eq!(listing.parent_asin, "B08CLNX58K".parse().ok());
    assert_eq!(observation.rank.ranks[0].category_id.as_deref(), Some("3015433011"));
}

/// Observations, and count and sum of their prices, list prices, stars and ratings.
fn totals(parsed: &Parsed) -> String {
    let of = |value: fn(&crate::model::Observation) -> Option<i64>| {
        let values: Vec<i64> = parsed.observations.iter().filter_map(value).collect();
        format!("{}/{}", values.len(), values.iter().sum::<i64>())
    };
    format!(
        "{} price {} list {} rating {} ratings {}",
        parsed.observations.len(),
        of(|o| o.offer.price_minor),
        of(|o| o.offer.list_price_minor),
        of(|o| o.rating.rating_centi),
        of(|o| o.rating.ratings_count),
    )
}

#[test]
fn the_captured_searches_give_each_product_once() {
    let Some(answer) = read("rainforest/search.us.keyboard.2020.json") else { return };
    let (recognised, parsed) = parse_answer(&String::from_utf8(answer).unwrap());
    assert_eq!((recognised.shape, recognised.kind), (Shape::RainforestSearch, "search"));
    assert_eq!((recognised.asin_requested, recognised.marketplace), (None, Some(Marketplace::Us)));
    // Three results come a second time, at the places 2, 8 and 11.
    assert_eq!(totals(&parsed), "19 price 19/77493 list 11/67391 rating 19/8320 ratings 19/89300");
    let missing = (0..22).filter(|item| !parsed.places.iter().any(|place| place.item == *item));
    assert_eq!(missing.collect::<Vec<u32>>(), [2, 8, 11]);
    let fourth = parsed.observations.iter().find(|o| o.asin.as_str() == "B079JLY5M5").unwrap();
    assert_eq!(
        line(fourth),
        "B079JLY5M5 | 2499 | 2999 | unknown | - | - | - | - | 420 | 22212 | - | - | - | -"
    );
    assert_eq!(fourth.offer.price_basis, Some(PriceBasis::Page));

    let coffee = read("rainforest/search.us.coffee.2021.json.gz").unwrap();
    let (recognised, parsed) = parse_answer(&String::from_utf8(coffee).unwrap());
    assert_eq!(recognised.observed_at, parse_instant("2021-05-03T21:07:25.575Z"));
    assert_eq!(totals(&parsed), "72 price 70/177007 list 0/0 rating 70/32340 ratings 70/682590");
    assert_eq!(parsed.rejects, []);
}

#[test]
fn a_third_party_offer_names_its_seller_and_its_ranks() {
    let (recognised, parsed) = parse_answer(PRODUCT);
    assert_eq!(recognised.marketplace, Some(Marketplace::De));
    let observation = &parsed.observations[0];
    assert_eq!(
        line(observation),
        "B000000001 | 1299 | 1999 | low_stock | 3 | Müller | A0SELLERDE | fba | 450 | 1234 | - | Beispiel \
         | 1234 Küche, Haushalt & Wohnen | 12 Tischlampen"
    );
    assert_eq!(observation.offer.shipping_minor, Some(490));
    assert_eq!(observation.listing.category_path, ["Beleuchtung", "Tischlampen"]);
    assert_eq!(observation.listing.bullets, ["Warm", "Dimmbar"]);
    let variants: Vec<_> = observation.listing.variants.iter().map(Asin::as_str).collect();
    assert_eq!(variants, ["B000000002", "B000000003"]);
}

#[test]
fn what_the_buy_box_says_is_held_to_the_rules() {
    for (changes, expected) in [
        (json!({}), "1299 low_stock"),
        (json!({"availability": {"type": "out_of_stock", "raw": "x"}}), "1299 out_of_stock"),
        (json!({"availability": {"type": "some_new_word", "raw": "Auf Lager"}}), "1299 in_stock"),
        (json!({"availability": null}), "1299 unknown"),
        (json!({"price": {"raw": "1.299,00 €"}}), "129900 low_stock"),
        // Of a used offer neither the price nor the stock is the product's.
        (json!({"condition": {"is_new": false}}), "- used_only"),
        (
            json!({"price": {"value": 12.99, "currency": "USD"}}),
            "0 currency_mismatch buybox_winner.price: USD is not EUR, the currency of DE",
        ),
        (json!({"price": {"value": "soon"}}), "0 invalid_value buybox_winner.price: soon"),
    ] {
        let parsed = parse_answer(&with_winner(changes.clone())).1;
        let said = parsed.observations.first().map(|o| {
            let price = o.offer.price_minor.map_or_else(|| "-".to_owned(), |price| price.to_string());
            format!("{price} {}", o.offer.availability)
        });
        assert_eq!(said.unwrap_or_else(|| verdict(&parsed)), expected, "{changes}");
    }
    let mut answer: Value = serde_json::from_str(PRODUCT).unwrap();
    answer["product"].as_object_mut().unwrap().remove("buybox_winner");
    assert!(
        !parse_answer(&answer.to_string()).1.observations[0].offer.is_known(),
        "nobody says what that means"
    );
    answer["product"]["asin"] = json!("B000000009");
    assert_eq!(
        verdict(&parse_answer(&answer.to_string()).1),
        "0 variant_redirect asin: asked for B000000001, answered with B000000009"
    );
}

#[test]
fn an_answer_without_facts_is_the_sources_failure() {
    let failed = r#"{"request_info": {"success": false, "message": "credits used up"}}"#;
    let (recognised, parsed) = parse_answer(failed);
    assert_eq!(recognised.shape, Shape::RainforestProduct);
    assert_eq!(verdict(&parsed), "0 source_failure request_info: credits used up");
    let (_, parsed) = parse_answer(&search(json!([])));
    assert_eq!(verdict(&parsed), "0 source_failure request_info: the answer holds no results");
    let no_product = r#"{"request_info": {"success": true}, "request_parameters": {"type": "product"}}"#;
    let (_, parsed) = parse_answer(no_product);
    assert_eq!(verdict(&parsed), "0 source_failure request_info: the answer holds no product");
    let offers =
        r#"{"request_info": {"success": true}, "request_parameters": {"type": "offers"}, "offers": []}"#;
    assert_eq!(parse_answer(offers).0.shape, Shape::UnknownJson);
}

#[test]
fn a_result_that_breaks_a_rule_leaves_the_others_and_their_places() {
    let results = json!([
        {"asin": "B000000001", "price": {"value": 5}},
        {"asin": "B000000002", "rating": 9},
        {"title": "an advertisement without a product"},
        "nonsense",
        {"asin": "b000000001", "price": {"value": 6}, "sponsored": true},
        {"asin": "B000000003", "prices": [{"value": 9, "name": "original"}, {"value": 7, "name": "primary"}]},
    ]);
    let parsed = parse_answer(&search(results)).1;
    let seen: Vec<_> = parsed.observations.iter().map(|o| (o.asin.as_str(), o.offer.price_minor)).collect();
    assert_eq!(seen, [("B000000001", Some(500)), ("B000000003", Some(700))]);
    assert_eq!(parsed.places.iter().map(|place| place.item).collect::<Vec<_>>(), [0, 5]);
    assert_eq!(
        verdict(&parsed),
        "1 out_of_range rating: 9; 2 no_asin asin: the record names no product; \
         3 invalid_value search_results: the result is no object"
    );
}

#[test]
fn an_answer_that_names_no_time_says_so_where_it_names_a_wrong_one() {
    let wrong = search(json!([])).replace("2026-01-05T08:00:00.000Z", "yesterday");
    let recognised = recognise(RecordFormat::Json, wrong.as_bytes());
    assert_eq!(recognised.time_fault.as_deref(), Some("processed_at yesterday is no instant"));
}
