//! What the real answers must become: read by hand and with other tools from the payloads.

use crate::model::{Marketplace, Observation, Timestamp};
use crate::normalize::golden::{context, line, read};
use crate::normalize::{Place, Recognised, RecordFormat, Shape, parse, recognise};

/// The one observation of a sample, with what was recognised of it; null without the samples.
fn sample(name: &str) -> Option<(Recognised, Observation)> {
    let body = read(&format!("keepa/{name}"))?;
    let recognised = recognise(RecordFormat::Json, &body);
    let parsed = parse(&context(&recognised, None), &body);
    assert_eq!((&parsed.rejects, &parsed.notes), (&vec![], &vec![]));
    assert_eq!(parsed.places, [Place::default()], "one product, at the receipt's time");
    assert_eq!(recognised.shape, Shape::KeepaProduct);
    assert_eq!((recognised.kind, recognised.source), ("product", "keepa"));
    assert_eq!(recognised.asin_requested, None, "an answer does not say what was asked for");
    assert_eq!(recognised.asin_returned, Some(parsed.observations[0].asin));
    // The bare product inside is the same record.
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let bare = answer["products"][0].to_string();
    assert_eq!(recognise(RecordFormat::Json, bare.as_bytes()), recognised);
    assert_eq!(parse(&context(&recognised, None), bare.as_bytes()), parsed);
    parsed.observations.into_iter().next().map(|observation| (recognised, observation))
}

fn instant(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

#[test]
fn a_product_with_its_buy_box_is_read() {
    let Some((recognised, seen)) = sample("product.us.B0D8W1YVBX.buybox.json.gz") else { return };
    assert_eq!(recognised.observed_at, instant("2026-05-10T04:02:00Z"));
    assert_eq!(recognised.marketplace, Some(Marketplace::Us));
    assert_eq!(
        line(&seen),
        "B0D8W1YVBX | 1499 | 2499 | in_stock | - | - | AFZNN5H6MIT2Z | fba | 430 | 11598 | 100000 | EQQUALBERRY \
         | 23 Beauty & Personal Care | 1 Serums"
    );
    let offer = &seen.offer;
    assert_eq!(
        (offer.buy_box_price_minor, offer.shipping_minor, offer.offer_count),
        (Some(1499), Some(0), Some(5))
    );
    assert_eq!(offer.price_basis.map(|basis| basis.as_str()), Some("buy_box"));
    assert_eq!((offer.coupon_minor, offer.coupon_pct), (None, None));
    let ids: Vec<_> =
        seen.rank.ranks.iter().map(|rank| (rank.category_id.as_deref(), rank.is_main)).collect();
    assert_eq!(ids, [(Some("3760911"), true), (Some("7792528011"), false)]);
    let listing = &seen.listing;
    assert_eq!(
        listing.category_path,
        ["Beauty & Personal Care", "Skin Care", "Face", "Treatments & Masks", "Serums"]
    );
    assert_eq!((listing.bullets.len(), listing.images.len(), listing.variants.len()), (6, 9, 0));
    assert_eq!(listing.image_url.as_deref(), Some("https://m.media-amazon.com/images/I/614vlOIc8YL.jpg"));
    assert!(
        listing
            .title
            .as_deref()
            .unwrap()
            .starts_with("EQQUALBERRY Vitamin Illuminating Serum | Niacinamide 4%")
    );
}

#[test]
fn a_product_whose_buy_box_was_not_asked_for_has_its_lowest_new_price_and_no_rank() {
    let Some((recognised, seen)) = sample("product.us.B0F7XPYCSJ.no-buybox.json") else { return };
    assert_eq!(recognised.observed_at, instant("2026-05-10T04:16:00Z"));
    assert_eq!(
        line(&seen),
        "B0F7XPYCSJ | 2599 | 3599 | in_stock | - | - | - | - | - | - | 300 | POWTHX | - | -"
    );
    let offer = &seen.offer;
    assert_eq!((offer.buy_box_price_minor, offer.shipping_minor, offer.offer_count), (None, None, Some(1)));
    assert_eq!(offer.price_basis.map(|basis| basis.as_str()), Some("new_lowest"));
    assert_eq!(seen.rank.ranks, [], "the last ranks are -1, and the reference is none");
    let listing = &seen.listing;
    assert_eq!((listing.bullets.len(), listing.images.len(), listing.category_path.len()), (5, 5, 5));
    assert_eq!(
        listing.image_url.as_deref(),
        Some("https://m.media-amazon.com/images/I/51AbyoYJunL.jpg"),
        "the first picture has no large size"
    );
}

#[test]
fn yen_are_whole_yen() {
    let Some((recognised, seen)) = sample("product.jp.B0D4M48BM2.json.gz") else { return };
    assert_eq!(recognised.observed_at, instant("2025-11-11T01:24:00Z"));
    assert_eq!(
        line(&seen),
        "B0D4M48BM2 | 2530 | - | in_stock | - | - | AN1VRQENFRJN5 | amazon | - | - | 400 | 山善(YAMAZEN) \
         | 328 ホーム＆キッチン | 4 電気ケトル"
    );
    assert_eq!((seen.offer.shipping_minor, seen.offer.offer_count), (Some(0), Some(2)));
    assert_eq!(seen.listing.parent_asin.map(|asin| asin.to_string()).as_deref(), Some("B0D5LYCLQZ"));
    let variants: Vec<String> = seen.listing.variants.iter().map(ToString::to_string).collect();
    assert_eq!(variants, ["B07MRFTM4L", "B08YRBD7JY", "B0D66JP567", "B0D8RT6JTF"]);
    assert_eq!((seen.listing.bullets.len(), seen.listing.images.len()), (5, 7));
}

#[test]
fn answers_without_products_are_refused_as_such() {
    let Some(errors) = read("keepa/error-envelopes.json") else { return };
    let errors: serde_json::Value = serde_json::from_slice(&errors).unwrap();
    let status = read("keepa/token-status.json").unwrap();
    let refused = errors["400_invalid_parameter"].to_string();
    let exhausted = errors["429_constructed"].to_string();
    for (body, expected) in [
        (refused.as_bytes(), "invalidParameter: You used an invalid parameter for this API call."),
        (exhausted.as_bytes(), "the answer has no products"),
        (status.as_slice(), "the answer has no products"),
    ] {
        let recognised = recognise(RecordFormat::Json, body);
        assert_eq!(recognised.shape, Shape::KeepaProduct);
        let parsed = parse(&context(&recognised, None), body);
        assert_eq!(parsed.observations, []);
        let reject = &parsed.rejects[0];
        assert_eq!((reject.reason.as_str(), reject.detail.as_str()), ("not_a_product", expected));
    }
}
