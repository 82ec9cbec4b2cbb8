//! The rules of the selling-partner API's answers, on small ones made for them.

use serde_json::{Value, json};

use super::golden::{offer_line, parse_value};
use crate::normalize::golden::line;
use crate::normalize::{Parsed, Shape};

macro_rules! fixture {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/sp-api/",
            $name
        )))
        .unwrap()
    };
}

/// The fixture with the value at a JSON pointer replaced; a null takes it out.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[key] = value;
    body
}

fn lines(parsed: &Parsed) -> Vec<String> {
    parsed.observations.iter().map(offer_line).collect()
}

fn verdict(parsed: &Parsed) -> String {
    let all = parsed.rejects.iter();
    all.map(|reject| format!("{} {} {}: {}", reject.item, reject.reason, reject.field, reject.detail))
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn each_marketplace_of_a_catalogue_item_is_an_observation_in_its_own_language() {
    let (recognised, mut parsed) = parse_value(&fixture!("catalog-item.two-marketplaces.json"));
    assert_eq!((recognised.shape, recognised.marketplace), (Shape::SpCatalog, None));
    assert_eq!(parsed.rejects, []);
    let seen: Vec<_> = parsed.take_observations().collect();
    assert_eq!(seen.iter().map(|(place, _)| place.item).collect::<Vec<_>>(), [0, 1]);
    let (german, belgian) = (&seen[0].1, &seen[1].1);
    assert_eq!(
        line(german),
        "B0FDKB341G | - | 2999 | unknown | - | - | - | - | - | - | - | Acme | 77 Elektronik & Foto | 5 In-Ear"
    );
    assert_eq!(german.key().to_string(), "DE:B0FDKB341G");
    assert_eq!(german.listing.title.as_deref(), Some("Ohrhörer & Etui"));
    assert_eq!(german.listing.bullets, ["Laut", "Klein"]);
    assert_eq!(german.listing.category_path, ["Elektronik & Foto", "Kopfhörer", "In-Ear"]);
    assert_eq!(german.listing.image_url.as_deref(), Some("https://m.media-amazon.com/images/I/large.jpg"));
    assert_eq!(german.listing.images.len(), 2);
    assert_eq!(german.listing.parent_asin.map(|asin| asin.to_string()).as_deref(), Some("B0FDKPARNT"));
    assert_eq!(german.listing.variants.len(), 1);
    let ids: Vec<_> =
        german.rank.ranks.iter().map(|rank| (rank.category_id.as_deref(), rank.is_main)).collect();
    assert_eq!(ids, [(None, true), (Some("12097479011"), false), (Some("99"), false)]);
    assert_eq!(belgian.key().to_string(), "BE:B0FDKB341G");
    assert_eq!(belgian.listing.brand.as_deref(), Some("Acme SA"));
    assert_eq!(belgian.listing.bullets, ["Luid"], "what there is, where the own language is missing");
    assert_eq!((belgian.offer.list_price_minor, belgian.rank.ranks.len()), (Some(3100), 0));
    assert!(!german.offer.tells_more_than_list_price());
}

#[test]
fn the_items_of_a_search_are_counted_through() {
    let item = fixture!("catalog-item.two-marketplaces.json");
    let other = with(item.clone(), "/asin", json!("B0FDK67PQR"));
    let search = json!({"numberOfResults": 2, "items": [item, other], "pagination": {"nextToken": "x"}});
    let (recognised, mut parsed) = parse_value(&search);
    assert_eq!((recognised.shape, recognised.asin_returned), (Shape::SpCatalog, None));
    let seen: Vec<String> =
        parsed.take_observations().map(|(place, seen)| format!("{} {}", place.item, seen.key())).collect();
    assert_eq!(seen, ["0 DE:B0FDKB341G", "1 BE:B0FDKB341G", "2 DE:B0FDK67PQR", "3 BE:B0FDK67PQR"]);
    let (recognised, parsed) = parse_value(
        &json!({"numberOfResults": 0, "items": [], "summaries": null, "pagination": {}, "responses": null, "payload": null}),
    );
    assert_eq!(recognised.shape, Shape::SpCatalog);
    assert_eq!(verdict(&parsed), "0 not_a_product items: the answer has no items");
}

#[test]
fn of_two_winners_the_one_with_the_buy_boxs_price_is_told() {
    let (recognised, mut parsed) = parse_value(&fixture!("offers.batch.json"));
    assert_eq!(recognised.shape, Shape::SpOffers);
    assert_eq!(recognised.observed_at, "2025-09-10T13:20:01Z".parse().ok());
    assert_eq!(
        lines(&parsed)[0],
        "DE:B0FDKB341G | 2599 | 499 | 2995 | in_stock | 3 | A2WINNER00002 | fbm | 5 12097479011, *77 ce_display_on_website"
    );
    assert_eq!(parsed.observations[0].offer.is_prime, Some(false));
    assert_eq!(
        verdict(&parsed),
        "1 not_a_product status: 400 InvalidInput: B0FDK67PQR is an invalid ASIN for marketplace A1PA6795UKMFR9"
    );
    let gone: Vec<_> = parsed.take_observations().skip(1).collect();
    assert_eq!(
        (gone.len(), gone[0].0.item, gone[0].1.found),
        (1, 2, false),
        "a 404 says that it does not exist"
    );
    assert_eq!((gone[0].1.key().to_string().as_str(), gone[0].0.observed_at), ("DE:B0FDK6TTSG", None));
}

#[test]
fn an_offer_is_told_as_far_as_the_answer_tells_it() {
    let payload = fixture!("offers.batch.json")["responses"][0]["body"]["payload"].take();
    let told = |pointer: &str, value: Value| {
        let reply = json!({"payload": with(payload.clone(), pointer, value)});
        let (_, parsed) = parse_value(&reply);
        if parsed.rejects.is_empty() { lines(&parsed)[0].clone() } else { verdict(&parsed) }
    };
    let ranks = "5 12097479011, *77 ce_display_on_website";
    for (pointer, value, expected) in [
        (
            "/status",
            json!("NoBuyableOffers"),
            "DE:B0FDKB341G | - | - | 2995 | no_featured_offer | 3 | - | - | ",
        ),
        (
            "/Summary/BuyBoxPrices",
            json!([]),
            "DE:B0FDKB341G | - | - | 2995 | no_featured_offer | 3 | - | - | ",
        ),
        (
            "/Summary/ListPrice",
            json!({"CurrencyCode": "EUR", "Amount": 0}),
            "DE:B0FDKB341G | 2599 | 499 | - | in_stock | 3 | A2WINNER00002 | fbm | ",
        ),
        ("/Offers", json!([]), "DE:B0FDKB341G | 2599 | 499 | 2995 | in_stock | 3 | - | - | "),
        (
            "/Offers/1/ShippingTime",
            json!({"availabilityType": "FUTURE_WITH_DATE"}),
            "DE:B0FDKB341G | 2599 | 499 | 2995 | ships_later | 3 | A2WINNER00002 | fbm | ",
        ),
        // Neither winner has the price: it is not said whose it is.
        (
            "/Offers/1/ListingPrice",
            json!({"CurrencyCode": "EUR", "Amount": 26}),
            "DE:B0FDKB341G | 2599 | 499 | 2995 | in_stock | 3 | - | - | ",
        ),
    ] {
        assert_eq!(told(pointer, value), format!("{expected}{ranks}"), "{pointer}");
    }
    for (pointer, value, expected) in [
        ("/ItemCondition", json!("Used"), "0 not_a_product ItemCondition: Used offers are not told"),
        ("/status", json!("ServerError"), "0 not_a_product status: ServerError"),
        ("/marketplaceId", json!("A1XXXX"), "0 marketplace_unknown marketplaceId: A1XXXX"),
        (
            "/Summary/ListPrice",
            json!({"CurrencyCode": "USD", "Amount": 5}),
            "0 currency_mismatch ListPrice: USD is not EUR, the currency of DE",
        ),
        (
            "/Summary/BuyBoxPrices/2/ListingPrice",
            json!({"CurrencyCode": "EUR", "Amount": 25.999}),
            "0 invalid_value BuyBoxPrices.ListingPrice: 25.999",
        ),
    ] {
        assert_eq!(told(pointer, value), expected, "{pointer}");
    }
}

#[test]
fn an_answer_about_another_product_than_the_one_asked_for_is_refused() {
    let answer = fixture!("offers.batch.json")["responses"][0].take();
    let (_, parsed) = parse_value(&with(answer, "/request/Asin", json!("B0FDK67PQR")));
    assert_eq!(verdict(&parsed), "0 variant_redirect asin: asked for B0FDK67PQR, answered with B0FDKB341G");
}

#[test]
fn the_featured_price_goes_by_its_number() {
    let (recognised, parsed) = parse_value(&fixture!("competitive-price.featured-and-used.json"));
    assert_eq!(recognised.shape, Shape::SpCompetitivePrice);
    assert_eq!(
        lines(&parsed),
        [
            "JP:B0FDKB341G | 2980 | 0 | - | in_stock | 6 | - | - | *77 electronics_display_on_website, 5 12097479011"
        ]
    );
    let failed =
        with(fixture!("competitive-price.featured-and-used.json"), "/payload/0/status", json!("ClientError"));
    assert_eq!(verdict(&parse_value(&failed).1), "0 not_a_product status: ClientError");
}

#[test]
fn the_featured_offer_that_is_shown_most_is_told() {
    let fixture = || fixture!("competitive-summary.segments.json");
    let (recognised, parsed) = parse_value(&fixture());
    assert_eq!(recognised.shape, Shape::SpCompetitiveSummary);
    assert_eq!(lines(&parsed), ["UK:B0FDKB341G | 1999 | 250 | - | in_stock | - | A2WINNER00002 | fbm | "]);
    let body = fixture()["responses"][0]["body"].take();
    assert_eq!(lines(&parse_value(&body).1), lines(&parsed), "the body alone is read alike");
    let nobody = with(fixture(), "/responses/0/body/featuredBuyingOptions", json!([]));
    assert_eq!(
        lines(&parse_value(&nobody).1),
        ["UK:B0FDKB341G | - | - | - | no_featured_offer | - | - | - | "]
    );
    let unasked = with(fixture(), "/responses/0/body/featuredBuyingOptions", Value::Null);
    assert_eq!(lines(&parse_value(&unasked).1), ["UK:B0FDKB341G | - | - | - | unknown | - | - | - | "]);
}
