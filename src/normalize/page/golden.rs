//! Every saved page against the answers that were written down for it by hand.

use serde_json::Value;

use super::super::golden::{context, read, samples};
use super::*;
use crate::model::{Observation, Rank};
use crate::normalize::{RecordFormat, parse, recognise};

fn expected() -> Option<serde_json::Map<String, Value>> {
    Some(serde_json::from_slice(&read("html/expected.json")?).unwrap())
}

fn page(name: &str) -> String {
    String::from_utf8(read(&format!("html/{name}")).unwrap()).unwrap()
}

/// An observation's facts under the names of the answers, for those that are judged.
fn facts(o: &Observation) -> Value {
    let rank = |rank: &Rank| serde_json::json!({"rank": rank.rank, "category": rank.category});
    let offer = &o.offer;
    serde_json::json!({
        "asin": o.asin, "marketplace_id": o.marketplace.amazon_id(), "domain": o.marketplace.domain(),
        "price_minor": offer.price_minor, "currency": offer.price_minor.map(|_| o.marketplace.currency()),
        "list_price_minor": offer.list_price_minor, "seller": offer.seller_name, "seller_id": offer.seller_id,
        "availability": offer.availability, "rating": o.rating.rating_centi, "reviews": o.rating.ratings_count,
        "brand": o.listing.brand, "bsr_main": o.rank.main().map(rank),
        "bsr_sub": o.rank.ranks.iter().filter(|rank| !rank.is_main).map(rank).collect::<Vec<_>>(),
        "title": o.listing.title, "breadcrumbs": o.listing.category_path, "bullets": o.listing.bullets.len(),
        "image_id": o.listing.image_url,
    })
}

/// True when the fact is what the answer says.
fn agrees(key: &str, fact: &Value, answer: &Value) -> bool {
    match key {
        "rating" => fact.as_i64() == answer.as_f64().map(|stars| (stars * 100.0).round() as i64),
        // The answer is the id inside the address.
        "image_id" => {
            fact.as_str().is_some_and(|url| url.contains(&format!("/I/{}.", answer.as_str().unwrap())))
        }
        _ => fact == answer,
    }
}

#[test]
fn every_judged_field_of_every_saved_page_is_read() {
    let Some(expected) = expected() else { return };
    assert_eq!(expected.len(), 14);
    let (mut wrong, mut judged) = (Vec::new(), 0);
    for (name, answers) in &expected {
        let html = page(name);
        let kind = page_kind(&html);
        assert_eq!(kind.as_str(), answers["page"], "{name}");
        let recognised = recognise(RecordFormat::Html, html.as_bytes());
        let parsed = parse(&context(&recognised, None), html.as_bytes());
        if kind != PageKind::Product {
            assert!(parsed.observations.is_empty() && parsed.rejects.len() == 1, "{name}");
            continue;
        }
        assert_eq!(parsed.rejects, [], "{name}");
        let observation = &parsed.observations[0];
        let facts = facts(observation);
        for (key, answer) in answers.as_object().unwrap() {
            if matches!(key.as_str(), "page" | "note" | "availability_text") {
                continue;
            }
            judged += 1;
            if !agrees(key, &facts[key], answer) {
                wrong.push(format!("{name} {key}: {} instead of {answer}", facts[key]));
            }
        }
        // The identity that an ingest finds without building the page is the page's.
        assert_eq!(recognised.asin_requested, Some(observation.asin), "{name}");
        assert_eq!(recognised.marketplace, Some(observation.marketplace), "{name}");
        let parsed = dom::parse(&html).unwrap();
        let text = answers["availability_text"].as_str().unwrap();
        let page = Page::new(&parsed);
        let shown = page.new_ones("availability").chain(page.new_ones("outOfStock")).find_map(dom::text);
        assert!(shown.unwrap().contains(text), "{name}");
    }
    assert_eq!(wrong, [] as [String; 0]);
    assert_eq!(judged, 192, "every answer is held against a fact");
}

#[test]
fn what_is_no_product_says_what_it_is() {
    if samples().is_none() {
        return;
    }
    let verdict = |name: &str| {
        let html = page(name);
        let recognised = recognise(RecordFormat::Html, html.as_bytes());
        let parsed = parse(&context(&recognised, Some(Marketplace::Us)), html.as_bytes());
        format!("{} {}", parsed.rejects[0].reason, parsed.rejects[0].detail)
    };
    assert_eq!(verdict("us_captcha.html"), "blocked_page captcha: Amazon.com");
    assert_eq!(verdict("us_dog_page.html"), "blocked_page error: Sorry! Something went wrong!");
    assert!(verdict("de_bestsellers_electronics.html.gz").starts_with("not_a_product other: "));
}

/// Fulfilment, what was sold lately, coupons and the ranks' nodes are not among the answers: read by eye.
#[test]
fn what_the_answers_leave_out_is_read_too() {
    if samples().is_none() {
        return;
    }
    let line = |name: &str| {
        let html = page(name);
        let recognised = recognise(RecordFormat::Html, html.as_bytes());
        let parsed = parse(&context(&recognised, None), html.as_bytes());
        let o = &parsed.observations[0];
        let word = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let nodes: Vec<String> = o.rank.ranks.iter().map(|rank| word(rank.category_id.clone())).collect();
        [
            o.asin.to_string(),
            word(o.offer.fulfilment.map(|by| by.to_string())),
            word(o.offer.condition.map(|condition| condition.to_string())),
            word(o.monthly_sold_min.map(|sold| sold.to_string())),
            word(o.offer.coupon_pct.or(o.offer.coupon_minor).map(|off| off.to_string())),
            nodes.join(","),
        ]
        .join(" | ")
    };
    for (name, expected) in [
        ("es_B07JH148DF_5241.html.gz", "B07JH148DF | amazon | new | 100 | - | -,52470403031"),
        ("us_B0D99N68V8.html.gz", "B0D99N68V8 | fba | - | 50 | - | -,12557637011"),
        ("us_B0CMDMSZB4_list_price.html.gz", "B0CMDMSZB4 | amazon | - | 100 | - | "),
        ("us_B00N150YS4_old_layout.html.gz", "B00N150YS4 | amazon | - | - | - | -,256160011"),
        ("br_B0D6NN6TM7.html.gz", "B0D6NN6TM7 | amazon | - | 200 | - | -,16364803011"),
        ("ae_B08CZDYNF7.html.gz", "B08CZDYNF7 | fba | - | 1000 | - | -,49981174031"),
        ("ae_B00LAYVPOU_ships_in_days.html.gz", "B00LAYVPOU | fbm | - | - | - | -,12134503031"),
        ("ae_B00008XVAE_unavailable.html.gz", "B00008XVAE | - | - | - | - | -,12134230031"),
    ] {
        assert_eq!(line(name), expected);
    }
}

/// Not a limit that a test holds: run it with `--nocapture` to see what a page costs.
#[test]
#[ignore = "shows times, asserts nothing"]
fn how_long_a_page_takes() {
    let Some(expected) = expected() else { return };
    for name in expected.keys() {
        let html = page(name);
        let watch = std::time::Instant::now();
        let recognised = recognise(RecordFormat::Html, html.as_bytes());
        let identity_took = watch.elapsed();
        let _ = parse(&context(&recognised, None), html.as_bytes());
        let took = watch.elapsed() - identity_took;
        let line =
            format!("{name}: {} KB, identity {identity_took:.1?}, facts {took:.1?}\n", html.len() / 1000);
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
    }
}
