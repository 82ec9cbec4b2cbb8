//! The rules of Keepa's product, on small answers made for them.

use serde_json::{Value, json};

use crate::model::{Marketplace, Observation, OfferBlock};
use crate::normalize::golden::{context, line};
use crate::normalize::{Parsed, RecordFormat, Shape, parse, recognise};

/// A product as it is at Keepa minute 8,000,000, 2026-03-18T13:20Z; some keys replaced.
pub(super) fn product(changes: Value) -> Value {
    let fixture =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keepa/product.every-field.json"));
    let mut product: Value = serde_json::from_str(fixture).unwrap();
    if let (Value::Object(product), Value::Object(changes)) = (&mut product, changes) {
        for (key, value) in changes {
            match (product.get_mut(&key), value) {
                // Within stats single keys are replaced.
                (Some(Value::Object(old)), Value::Object(new)) if key == "stats" => old.extend(new),
                (_, value) => drop(product.insert(key, value)),
            }
        }
    }
    product
}

fn read(body: &Value) -> Parsed {
    let body = body.to_string();
    let recognised = recognise(RecordFormat::Json, body.as_bytes());
    assert_eq!(recognised.shape, Shape::KeepaProduct);
    let mut context = context(&recognised, None);
    context.now = "2026-04-01T00:00:00Z".parse().unwrap();
    context.observed_at = recognised.observed_at.unwrap_or(context.now);
    parse(&context, body.as_bytes())
}

fn only(changes: Value) -> Observation {
    let parsed = read(&product(changes));
    assert_eq!(parsed.rejects, []);
    assert_eq!(parsed.observations.len(), 1);
    parsed.observations.into_iter().next().unwrap()
}

/// Price, basis, shipping, availability, seller.
fn offer(changes: Value) -> String {
    let OfferBlock { price_minor, price_basis, shipping_minor, availability, seller_id, .. } =
        only(changes).offer;
    let basis = price_basis.map_or("-", |basis| basis.as_str());
    let number = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    let seller = seller_id.unwrap_or("-".to_owned());
    format!("{} {basis} {} {availability} {seller}", number(price_minor), number(shipping_minor))
}

fn csv(series: &[(usize, Value)]) -> Value {
    let mut all = vec![Value::Null; 36];
    for (number, points) in series {
        all[*number] = points.clone();
    }
    Value::Array(all)
}

#[test]
fn every_field_of_a_product_is_read() {
    let seen = only(json!({}));
    assert_eq!(
        line(&seen),
        "B0FDKB341G | 2599 | 2999 | in_stock | 7 | - | A1SELLER00001 | fbm | 450 | 1234 | 500 | Acme | 77 Electronics \
         | 5 Earbud Headphones"
    );
    let offer = &seen.offer;
    assert_eq!((offer.shipping_minor, offer.coupon_pct, offer.offer_count), (Some(499), Some(10), Some(4)));
    let listing = &seen.listing;
    assert_eq!(listing.title.as_deref(), Some("Earbuds & Case"));
    assert_eq!(listing.bullets, ["Loud", "Small"]);
    assert_eq!(
        listing.images,
        ["https://m.media-amazon.com/images/I/large.jpg", "https://m.media-amazon.com/images/I/medium.jpg"]
    );
    assert_eq!((listing.parent_asin.is_some(), listing.variants.len()), (true, 1));
    assert_eq!(listing.category_path, ["Electronics", "Headphones", "Earbud Headphones"]);
}

#[test]
fn a_price_comes_from_the_buy_box_then_its_series_then_the_lowest_new_one() {
    for (changes, expected) in [
        (json!({}), "2599 buy_box 499 in_stock A1SELLER00001"),
        (
            json!({"stats": {"buyBoxPrice": -2, "buyBoxShipping": -2}}),
            "2500 buy_box 100 in_stock A1SELLER00001",
        ),
        (json!({"stats": null}), "2500 buy_box 100 in_stock A2SELLER00002"),
        (
            json!({"stats": null, "csv": csv(&[(1, json!([1, 2400]))])}),
            "2400 new_lowest - in_stock A2SELLER00002",
        ),
        (json!({"stats": {"buyBoxPrice": 0}}), "- - 499 in_stock A1SELLER00001"),
        (json!({"stats": {"buyBoxShipping": -1}}), "2599 buy_box - in_stock A1SELLER00001"),
        (json!({"stats": {"buyBoxShipping": 0}}), "2599 buy_box 0 in_stock A1SELLER00001"),
        // Told: nobody has it. The series is not asked any more.
        (
            json!({"stats": {"buyBoxPrice": -1, "buyBoxSellerId": null}, "buyBoxSellerIdHistory": ["1", "-1"]}),
            "2450 new_lowest - no_featured_offer -",
        ),
        (
            json!({"stats": {"buyBoxIsUnqualified": true, "buyBoxSellerId": "-2"}, "buyBoxSellerIdHistory": null}),
            "2450 new_lowest - no_featured_offer -",
        ),
        (json!({"stats": {"buyBoxIsUsed": true}}), "2450 new_lowest - no_featured_offer -"),
    ] {
        assert_eq!(offer(changes.clone()), expected, "{changes}");
    }
}

#[test]
fn availability_says_what_is_known_and_no_more() {
    let none = json!([-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1]);
    let word = |changes: Value| only(changes).offer.availability.to_string();
    let gone = json!({"current": none, "buyBoxPrice": -1, "buyBoxShipping": -1, "buyBoxSellerId": null});
    assert_eq!(word(json!({"stats": gone})), "out_of_stock", "all of them are -1");
    let gone =
        csv(&[(0, json!([1, -1])), (1, json!([1, 2000, 9, -1])), (18, json!([1, 2000, 0, 9, -1, -1]))]);
    assert_eq!(word(json!({"stats": null, "csv": gone})), "out_of_stock");
    assert_eq!(word(json!({"stats": null, "csv": null})), "unknown");
    assert_eq!(
        word(json!({"stats": null, "csv": csv(&[(0, json!([1, -1]))])})),
        "unknown",
        "others may sell"
    );
    assert_eq!(word(json!({"stats": {"current": [], "buyBoxIsUsed": true}, "csv": null})), "used_only");
    for (stats, expected) in [
        (json!({"buyBoxIsPreorder": true}), "pre_order"),
        (json!({"buyBoxIsBackorder": true}), "back_order"),
        (json!({"buyBoxAvailabilityMessage": "Only 3 left in stock - order soon."}), "low_stock"),
        (json!({"buyBoxAvailabilityMessage": "Usually ships within 2 to 3 weeks"}), "ships_later"),
        (json!({"buyBoxAvailabilityMessage": "IN_STOCK"}), "in_stock"),
        (json!({"buyBoxAvailabilityMessage": "?"}), "in_stock"),
    ] {
        assert_eq!(word(json!({"stats": stats})), expected, "{stats}");
    }
    let amazons = |number: i64| json!({"availabilityAmazon": number, "stats": {"buyBoxIsAmazon": true}});
    let words: Vec<String> = [0, 1, 2, 3, 4].map(|number| word(amazons(number))).to_vec();
    assert_eq!(words, ["in_stock", "pre_order", "in_stock", "back_order", "ships_later"]);
    assert_eq!(word(json!({"availabilityAmazon": 3})), "in_stock", "the offer is not Amazon's");
}

#[test]
fn a_rank_is_kept_while_it_is_alive_and_has_a_category() {
    let ranks = |changes: Value| {
        let ranks = only(changes).rank.ranks;
        let shown = ranks
            .iter()
            .map(|rank| format!("{} {}{}", rank.rank, rank.category, if rank.is_main { "*" } else { "" }));
        shown.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(ranks(json!({})), "77 Electronics*, 5 Earbud Headphones");
    assert_eq!(ranks(json!({"salesRankReference": -1, "salesRanks": null})), "");
    let last = |minute: i64, rank: i64| json!({"salesRanks": {"12097479011": [1, 9, minute, rank]}});
    assert_eq!(ranks(last(7_956_800, 5)), "77 Electronics*, 5 Earbud Headphones", "thirty days old");
    assert_eq!(ranks(last(7_956_799, 5)), "77 Electronics*", "older");
    assert_eq!(ranks(last(8_000_000, -1)), "77 Electronics*");
    let unnamed = json!({"salesRanks": {"99": [8_000_000, 3]}});
    assert_eq!(ranks(unnamed), "77 Electronics*, 3 99", "a category outside the tree goes by its number");
}

#[test]
fn what_keepa_does_not_have_is_a_product_that_was_not_found() {
    for kind in [3, 4] {
        let seen = only(json!({"productType": kind, "title": null}));
        assert!(!seen.found && !seen.offer.is_known() && seen.listing == Default::default());
        assert!(only(json!({"productType": kind})).found, "it has a title");
    }
    assert!(
        only(json!({"productType": 5, "csv": null, "stats": null})).found,
        "a parent has no price of its own"
    );
}

#[test]
fn each_product_of_an_answer_is_an_item_with_its_own_time() {
    let second = product(json!({"asin": "B0FDK67PQR", "lastUpdate": 7_999_990}));
    let broken = product(json!({"asin": "short"}));
    let missing =
        json!({"asin": "B0FDK6TTSG", "domainId": 1, "productType": 3, "title": null, "lastUpdate": 0});
    let answer = json!({
        "timestamp": 1_773_840_060_000_i64, "tokensLeft": 5, "refillRate": 5,
        "products": [product(json!({})), broken, second, null, missing],
    });
    let recognised = recognise(RecordFormat::Json, answer.to_string().as_bytes());
    assert_eq!((recognised.asin_returned, recognised.marketplace), (None, Some(Marketplace::Us)));
    let mut parsed = read(&answer);
    let rejects: Vec<_> = parsed.rejects.iter().map(|reject| (reject.item, reject.reason.as_str())).collect();
    assert_eq!(rejects, [(1, "invalid_asin"), (3, "not_a_product")]);
    let seen: Vec<String> = parsed
        .take_observations()
        .map(|(place, seen)| {
            format!("{} {} {} {}", place.item, seen.asin, place.observed_at.unwrap().to_rfc3339(), seen.found)
        })
        .collect();
    assert_eq!(
        seen,
        [
            "0 B0FDKB341G 2026-03-18T13:20:00+00:00 true",
            "2 B0FDK67PQR 2026-03-18T13:10:00+00:00 true",
            "4 B0FDK6TTSG 2026-03-18T13:21:00+00:00 false",
        ]
    );
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_field() {
    for (changes, expected) in [
        (json!({"asin": null}), "no_asin asin: the record names no product"),
        (json!({"domainId": 7}), "marketplace_unknown domainId: 7"),
        (json!({"stats": {"buyBoxPrice": -5}}), "out_of_range stats.buyBoxPrice: -5"),
        (json!({"stats": {"buyBoxPrice": 300_000_001}}), "out_of_range stats.buyBoxPrice: 300000001"),
        (json!({"stats": {"buyBoxPrice": "free"}}), "invalid_value stats.buyBoxPrice: free"),
        (json!({"monthlySold": "many"}), "invalid_value monthlySold: many"),
        (json!({"coupon": [-500, 0]}), "out_of_range coupon: -500"),
        (json!({"stats": {"current": [0, 0, 0, 0]}}), "out_of_range salesRanks: 0"),
        (
            json!({"stats": {"current": [0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 51]}}),
            "out_of_range csv.16: 51",
        ),
    ] {
        let parsed = read(&product(changes.clone()));
        assert_eq!(parsed.observations, []);
        let reject = &parsed.rejects[0];
        assert_eq!(format!("{} {}: {}", reject.reason, reject.field, reject.detail), expected, "{changes}");
    }
}

#[test]
fn a_number_with_another_type_is_read_or_left_out_but_never_misread() {
    let seen = only(json!({
        "domainId": "1", "lastUpdate": "8000000", "csv": "none", "categoryTree": {"catId": 1}, "salesRanks": [1, 2],
        "images": null, "imagesCSV": "a.jpg,b.jpg", "variations": "x", "buyBoxSellerIdHistory": {"a": 1},
        "salesRankReferenceHistory": 5, "coupon": null, "features": {"0": "x"}, "parentAsin": 5,
    }));
    assert_eq!(seen.offer.price_minor, Some(2599));
    assert_eq!(seen.listing.images.len(), 2);
    assert_eq!(seen.rank.ranks[0].category, "172282", "without a tree the category has no name");
    let cut = only(
        json!({"stats": null, "csv": csv(&[(1, json!([1, 2400, 9])), (18, json!([1, 2500, 0, 9, 5]))])}),
    );
    assert_eq!(cut.offer.price_minor, Some(2500), "a cut-off point is none");
    let torn = only(json!({"stats": null, "csv": csv(&[(1, json!([1, 2400])), (18, json!([1, null, 0]))])}));
    assert_eq!(torn.offer.price_minor, Some(2400), "a series with a hole is none");
}
