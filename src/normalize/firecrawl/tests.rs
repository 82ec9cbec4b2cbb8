//! Replies of both versions: pages, extracted values, batches, and what stands in the place of a page.

use proptest::prelude::*;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::super::golden::{context, line, read};
use super::*;
use crate::normalize::{RecordFormat, parse, recognise};

const BATCH: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/firecrawl/batch.mixed.json"));

fn parse_reply(reply: &str) -> (Recognised, Parsed) {
    let recognised = recognise(RecordFormat::Json, reply.as_bytes());
    let parsed = parse(&context(&recognised, None), reply.as_bytes());
    (recognised, parsed)
}

/// Each observation and reject with its item's number: `0 B0… 2000 in_stock`, `1 blocked_page …`.
fn verdicts(parsed: &Parsed) -> Vec<String> {
    let observed = parsed.observations.iter().zip(&parsed.places).map(|(o, place)| {
        let item = &place.item;
        let price = o.offer.price_minor.map_or_else(|| "-".to_owned(), |price| price.to_string());
        let found = if o.found { "" } else { " gone" };
        (*item, format!("{item} {} {price} {}{found}", o.asin, o.offer.availability))
    });
    let refused = parsed.rejects.iter().map(|reject| {
        let asin = reject.asin.map_or_else(|| "-".to_owned(), |asin| asin.to_string());
        let said = format!("{} {asin} {} {}: {}", reject.item, reject.reason, reject.field, reject.detail);
        (reject.item, said)
    });
    let mut all: Vec<(u32, String)> = observed.chain(refused).collect();
    all.sort();
    all.into_iter().map(|(_, said)| said).collect()
}

fn judged(reply: Value) -> String {
    verdicts(&parse_reply(&reply.to_string()).1).join("; ")
}

/// A reply with this content and metadata on top of a usual one.
fn reply(content: Value, metadata: Value) -> Value {
    let mut data = content;
    let mut whole = json!({"statusCode": 200, "sourceURL": "https://www.amazon.com/dp/B000000001"});
    if let (Value::Object(whole), Value::Object(more)) = (&mut whole, metadata) {
        whole.extend(more);
    }
    data["metadata"] = whole;
    json!({"success": true, "data": data})
}

const PAGE: &str = "<html><script>ue_mid='ATVPDKIKX0DER'</script><span id=productTitle>Lamp</span>
    <input id=ASIN value=B000000001><span id=price_inside_buybox>$12.48</span></html>";

#[test]
fn the_samples_give_what_their_pages_say() {
    let Some(page) = read("firecrawl/scrape.v2.rawHtml.es_B07JH148DF.json.gz") else { return };
    let (recognised, parsed) = parse_reply(&String::from_utf8(page).unwrap());
    assert_eq!((recognised.shape, recognised.source), (Shape::FirecrawlPage, "firecrawl"));
    assert_eq!((recognised.marketplace, recognised.observed_at), (Some(Marketplace::Es), None));
    assert_eq!(recognised.asin_requested.unwrap().as_str(), "B07JH148DF");
    // The page is html/es_B07JH148DF_5241: its answers are in html/expected.json.
    assert_eq!(
        line(&parsed.observations[0]),
        "B07JH148DF | 5241 | 6611 | in_stock | - | Amazon | A1AT7YVPFBWXBL | amazon | 430 | 972 | 100 | Hercules \
         | 227 Instrumentos musicales | 1 Cajas de altavoces eléctricas"
    );
    let sample = |name: &str| String::from_utf8(read(&format!("firecrawl/{name}")).unwrap()).unwrap();
    let (recognised, parsed) = parse_reply(&sample("scrape.v2.rawHtml.us_captcha.json"));
    assert_eq!(recognised.asin_requested.unwrap().as_str(), "B0D99N68V8");
    assert_eq!(verdicts(&parsed), ["0 B0D99N68V8 blocked_page : captcha: Amazon.com"]);

    // Read by eye: name, price 212 as a number, currency, an image; no stock, no rating.
    let (_, parsed) = parse_reply(&sample("scrape.v1.extract-output.json"));
    let observation = &parsed.observations[0];
    assert_eq!(line(observation), "B002U21ZZK | 21200 | - | unknown | - | - | - | - | - | - | - | - | - | -");
    assert_eq!(observation.listing.title.as_deref(), Some("MOVA Globe Earth with Clouds 4.5\""));
    assert_eq!(
        observation.listing.image_url.as_deref(),
        Some("https://m.media-amazon.com/images/I/41bQ3Y58y3L._AC_.jpg")
    );
    assert_eq!(observation.offer.price_basis, Some(PriceBasis::Page));
}

#[test]
fn the_samples_of_batches_and_errors_are_recognised_as_what_they_are() {
    let Some(batch) = read("firecrawl/batch.v2.json") else { return };
    let batch: Value = serde_json::from_slice(&batch).unwrap();
    let markdown = "not_a_product rawHtml: the item holds only markdown: ask for the format rawHtml";
    let first = format!("0 B0D99N68V8 {markdown}");
    assert_eq!(judged(batch["scraping"].clone()), first);
    assert_eq!(
        judged(batch["completed"].clone()),
        format!("{first}; 1 B000000000 source_failure statusCode: 404 Not Found")
    );
    assert_eq!(parse_reply(&batch["start"].to_string()).0.shape, Shape::UnknownJson);
    let errors: Value = serde_json::from_slice(&read("firecrawl/errors.json").unwrap()).unwrap();
    for (name, error) in errors.as_object().unwrap() {
        let (recognised, parsed) = parse_reply(&error.to_string());
        assert_eq!(recognised.shape, Shape::FirecrawlPage, "{name}");
        assert_eq!(parsed.rejects[0].reason, RejectReason::SourceFailure, "{name}");
    }
    assert_eq!(
        judged(errors["408_code"].clone()),
        "0 - source_failure error: SCRAPE_TIMEOUT Scrape timed out"
    );
}

#[test]
fn the_pages_of_a_batch_keep_their_places() {
    let (recognised, parsed) = parse_reply(BATCH);
    assert_eq!((recognised.asin_requested, recognised.marketplace), (None, Some(Marketplace::Us)));
    assert_eq!(
        verdicts(&parsed),
        [
            "0 B000000001 2000 in_stock",
            "1 B000000002 blocked_page : captcha: Amazon.com",
            "2 B000000003 3000 unknown",
            "3 B000000004 source_failure statusCode: 503 Service Unavailable",
            "4 B000000005 - unknown gone",
            "5 B000000006 129900 low_stock",
        ]
    );
    // The same batch read two days later: the copy is not of that day.
    let mut late = context(&recognised, None);
    late.observed_at = "2026-01-05T08:00:00Z".parse().unwrap();
    late.now = late.observed_at;
    let verdicts = verdicts(&parse(&late, BATCH.as_bytes()));
    assert_eq!(
        verdicts[5],
        "5 B000000006 source_failure cachedAt: a copy of 2026-01-03T08:00:00Z in a later batch"
    );
}

#[test]
fn one_item_of_a_batch_stands_alone_too() {
    let whole: Value = serde_json::from_str(BATCH).unwrap();
    assert_eq!(judged(whole["data"][2].clone()), "0 B000000003 3000 unknown");
    let (recognised, _) = parse_reply(&whole["data"][5].to_string());
    assert_eq!(recognised.observed_at, parse_instant("2026-01-03T08:00:00Z"));
    assert_eq!(recognised.asin_requested.unwrap().as_str(), "B000000006");
}

#[test]
fn the_status_is_judged_before_the_page() {
    let with_status = |status: u16| judged(reply(json!({"rawHtml": PAGE}), json!({"statusCode": status})));
    assert_eq!(with_status(200), "0 B000000001 1248 unknown");
    assert_eq!(with_status(503), "0 B000000001 source_failure statusCode: 503");
    // A 404 is judged with its page: gone, unless the page answers robots.
    assert_eq!(
        judged(reply(
            json!({"rawHtml": "<html><title>Amazon.com</title></html>"}),
            json!({"statusCode": 404})
        )),
        "0 B000000001 - unknown gone"
    );
    let robots = "<html><!-- api-services-support@amazon.com --><title>Page Not Found</title></html>";
    assert_eq!(
        judged(reply(json!({"rawHtml": robots}), json!({"statusCode": 404}))),
        "0 B000000001 blocked_page : error: Page Not Found"
    );
    assert_eq!(
        judged(reply(json!({"markdown": "x"}), json!({"statusCode": 404}))),
        "0 B000000001 source_failure statusCode: 404"
    );
}

#[test]
fn the_address_that_was_asked_for_must_be_the_pages() {
    let asked = |url: &str| judged(reply(json!({"rawHtml": PAGE}), json!({"sourceURL": url})));
    assert_eq!(
        asked("https://www.amazon.com/dp/B000000009"),
        "0 B000000009 variant_redirect asin: asked for B000000009, answered with B000000001"
    );
    assert_eq!(
        asked("https://www.amazon.de/dp/B000000001"),
        "0 B000000001 marketplace_mismatch ue_mid: the record says US, expected DE"
    );
    assert_eq!(asked("https://www.example.com/x"), "0 B000000001 marketplace_unknown url: www.example.com");
}

#[test]
fn extracted_values_are_validated_like_any_input() {
    let extracted = |facts: Value| judged(reply(json!({"json": facts}), json!({})));
    assert_eq!(extracted(json!({"title": "Lamp", "price": "$25.99"})), "0 B000000001 2599 unknown");
    assert_eq!(
        extracted(json!({"name": "Lamp", "price": 25.99, "availability": "in_stock"})),
        "0 B000000001 2599 in_stock"
    );
    assert_eq!(extracted(json!({"title": "Lamp", "price": 0})), "0 B000000001 - unknown");
    for (facts, expected) in [
        (json!({"price": "see cart"}), "invalid_value price: see cart"),
        (json!({"price": -5}), "out_of_range price: -5"),
        (
            json!({"price": 5, "currency": "EUR"}),
            "currency_mismatch currency: EUR is not USD, the currency of US",
        ),
        (json!({"price": "€5"}), "currency_mismatch price: € is not USD, the currency of US"),
        (json!({"title": "x", "rating": 7}), "out_of_range rating: 7"),
        (
            json!({"title": null, "price": null}),
            "not_a_product json: nothing of a product was read from the page",
        ),
        (
            json!({"asin": "B000000002", "price": 5}),
            "variant_redirect asin: asked for B000000001, answered with B000000002",
        ),
        (json!({"asin": "none", "price": 5}), "invalid_asin asin: none"),
    ] {
        assert_eq!(extracted(facts.clone()), format!("0 B000000001 {expected}"), "{facts}");
    }
    let facts =
        json!({"title": "Lamp", "bsr": 12, "bsr_category": "Electronics", "list_price": 30, "price": "20"});
    let parsed = parse_reply(&reply(json!({"extract": facts}), json!({})).to_string()).1;
    assert_eq!(parsed.observations[0].rank.main().map(|rank| rank.rank), Some(12));
    assert_eq!(parsed.observations[0].offer.list_price_minor, Some(3000));
    // Where there is a page, it counts, and not what a model made of it.
    let both = reply(json!({"rawHtml": PAGE, "json": {"price": 99}}), json!({}));
    assert_eq!(judged(both), "0 B000000001 1248 unknown");
}

#[test]
fn a_copy_from_the_cache_tells_when_it_was_made() {
    let recognised = |metadata: Value| parse_reply(&reply(json!({"rawHtml": PAGE}), metadata).to_string()).0;
    let hit = |at: &str| recognised(json!({"cacheState": "hit", "cachedAt": at}));
    assert_eq!(hit("2026-01-03T08:00:00.000Z").observed_at, parse_instant("2026-01-03T08:00:00Z"));
    assert_eq!(hit("yesterday").time_fault.as_deref(), Some("cachedAt yesterday is no instant"));
    let miss = recognised(json!({"cacheState": "miss", "cachedAt": "2026-01-03T08:00:00.000Z"}));
    assert_eq!((miss.observed_at, miss.time_fault), (None, None));
}

#[test]
fn a_reply_whose_page_is_cut_off_anywhere_does_no_harm() {
    let page = PAGE.repeat(2);
    for end in (0..page.len()).filter(|&end| page.is_char_boundary(end)) {
        let parsed = parse_reply(&reply(json!({"rawHtml": &page[..end]}), json!({})).to_string()).1;
        assert!(parsed.observations.len() + parsed.rejects.len() > 0, "cut at {end}");
    }
    let Some(sample) = read("html/us_captcha.html") else { return };
    let sample = String::from_utf8(sample).unwrap();
    (0..200_usize).into_par_iter().for_each(|part| {
        let end = (sample.len() * part / 200..).find(|&end| sample.is_char_boundary(end)).unwrap();
        let parsed = parse_reply(&reply(json!({"rawHtml": &sample[..end]}), json!({})).to_string()).1;
        assert_eq!(parsed.rejects.len(), 1, "cut at {end}");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_reply_that_is_cut_off_is_refused(end in 0_usize..BATCH.len() - 2) {
        let end = (0..=end).rev().find(|&end| BATCH.is_char_boundary(end)).unwrap();
        let recognised = recognise(RecordFormat::Json, &BATCH.as_bytes()[..end]);
        let forced = Recognised { shape: Shape::FirecrawlPage, ..recognised };
        let parsed = parse(&context(&forced, None), &BATCH.as_bytes()[..end]);
        prop_assert!(parsed.observations.is_empty() && parsed.rejects.len() == 1);
        prop_assert_eq!(parsed.rejects[0].reason, RejectReason::InvalidJson);
    }
}
