//! What the real answers and Amazon's own examples must become: worked out from the payloads with other tools.

use serde_json::Value;

use crate::model::{Marketplace, Observation};
use crate::normalize::golden::{context, line, read};
use crate::normalize::{Parsed, Recognised, RecordFormat, Shape, parse, recognise};

pub(super) fn parse_value(body: &Value) -> (Recognised, Parsed) {
    let body = body.to_string();
    let recognised = recognise(RecordFormat::Json, body.as_bytes());
    let parsed = parse(&context(&recognised, None), body.as_bytes());
    (recognised, parsed)
}

/// Key, price, shipping, list price, availability, offers, seller, fulfilment, ranks (`*` is the main one).
pub(super) fn offer_line(seen: &Observation) -> String {
    let shown = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    let offer = &seen.offer;
    assert_eq!(offer.buy_box_price_minor, offer.price_minor);
    assert_eq!(offer.price_basis.map(|basis| basis.as_str()), offer.price_minor.map(|_| "buy_box"));
    let ranks = seen.rank.ranks.iter().map(|rank| {
        let is_node = rank.category.bytes().all(|byte| byte.is_ascii_digit());
        assert_eq!(rank.category_id.as_deref(), is_node.then_some(rank.category.as_str()));
        format!("{}{} {}", if rank.is_main { "*" } else { "" }, rank.rank, rank.category)
    });
    [
        seen.key().to_string(),
        shown(offer.price_minor),
        shown(offer.shipping_minor),
        shown(offer.list_price_minor),
        offer.availability.to_string(),
        shown(offer.offer_count),
        offer.seller_id.clone().unwrap_or("-".to_owned()),
        offer.fulfilment.map_or("-", |fulfilment| fulfilment.as_str()).to_owned(),
        ranks.collect::<Vec<_>>().join(", "),
    ]
    .join(" | ")
}

/// The examples of an operation that a file has: the bodies of its good answers.
fn examples(path: &str, operation: &str) -> Option<Vec<Value>> {
    let all: Vec<Value> = serde_json::from_slice(&read(path)?).unwrap();
    let good = all.into_iter().filter(|example| {
        example["operationId"] == operation && (200..300).contains(&example["status"].as_u64().unwrap())
    });
    Some(good.map(|mut example| example["response"].take()).collect())
}

const OFFERS: &[&str] = &[
    "CA:B08VY6GW8Q | - | - | - | no_featured_offer | 0 | - | - | ",
    "US:B08VY6GW8Q | 6000 | 0 | 3274 | in_stock | 3 | A3L0D1A73IIGAK | fbm | *236598 toy_display_on_website, 1110 23478735011",
    "DE:B08VY6GW8Q | 2541 | 0 | - | in_stock | 15 | A27UBY0SF576T6 | fbm | *1517 toy_display_on_website, 5 26208002031",
    "ES:B08VY6GW8Q | 3270 | 0 | - | in_stock | 9 | A1AT7YVPFBWXBL | amazon | *741 toy_display_on_website, 2 26207996031",
    "PL:B08VY6GW8Q | 19400 | 0 | - | in_stock | 4 | A2R2221NX79QZP | fba | *34158 toy_display_on_website, 184 26207986031",
    "UK:B08VY6GW8Q | 2140 | 0 | - | in_stock | 12 | A3P5ROKL5A1OLE | fba | *2159 toy_display_on_website, 9 26208008031",
];

#[test]
fn the_offers_of_seven_marketplaces_are_read_as_a_batch_and_one_by_one() {
    let Some(body) = read("sp-api/getItemOffersBatch.7-marketplaces.json") else { return };
    let batch: Value = serde_json::from_slice(&body).unwrap();
    let (recognised, mut parsed) = parse_value(&batch);
    assert_eq!((recognised.shape, recognised.source), (Shape::SpOffers, "sp-api"));
    assert_eq!((recognised.marketplace, recognised.asin_requested.is_some()), (None, true));
    let given_at = "2024-04-03T00:03:36Z".parse().ok();
    assert_eq!(recognised.observed_at, given_at);
    let reject = &parsed.rejects[0];
    assert_eq!((parsed.rejects.len(), reject.item, reject.reason.as_str()), (1, 2, "not_a_product"));
    assert_eq!(
        reject.detail,
        "400 InvalidInput: B08VY6GW8Q is an invalid ASIN for marketplace A2Q3Y263D00KWC"
    );
    let seen: Vec<_> = parsed.take_observations().collect();
    let lines: Vec<String> = seen.iter().map(|(_, seen)| offer_line(seen)).collect();
    assert_eq!(lines, OFFERS);
    assert!(seen.iter().all(|(place, _)| place.observed_at == given_at));
    assert_eq!(seen.iter().map(|(place, _)| place.item).collect::<Vec<_>>(), [0, 1, 3, 4, 5, 6]);

    for (number, answer) in batch["responses"].as_array().unwrap().iter().enumerate() {
        let (recognised, parsed) = parse_value(answer);
        assert_eq!((recognised.shape, recognised.observed_at), (Shape::SpOffers, given_at));
        assert!(recognised.marketplace.is_some());
        assert_eq!(recognised.asin_requested.map(|asin| asin.to_string()).as_deref(), Some("B08VY6GW8Q"));
        assert_eq!(
            (parsed.rejects.len(), parsed.observations.len()),
            if number == 2 { (1, 0) } else { (0, 1) }
        );
        assert!(parsed.observations.iter().all(|seen| OFFERS.contains(&offer_line(seen).as_str())));
        // And the body alone, as the call for one item gives it.
        if number != 2 {
            let (recognised, bare) = parse_value(&answer["body"]);
            assert_eq!((recognised.shape, recognised.observed_at), (Shape::SpOffers, None));
            assert_eq!((bare.observations, recognised.asin_requested), (parsed.observations, None));
        }
    }
}

#[test]
fn the_examples_of_offers_are_read() {
    const FILE: &str = "sp-api/sandbox.productPricingV0.json.gz";
    let Some(batches) = examples(FILE, "getItemOffersBatch") else { return };
    let (recognised, parsed) = parse_value(&batches[0]);
    assert_eq!((recognised.shape, recognised.marketplace), (Shape::SpOffers, Some(Marketplace::Us)));
    assert_eq!(parsed.rejects, []);
    assert_eq!(
        parsed.observations.iter().map(offer_line).collect::<Vec<_>>(),
        [
            "US:B000P6Q7MY | 2100 | 0 | 2600 | in_stock | 1 | A2SNBFWOFW4SWG | fbm | *48602 toy_display_on_website, 1168 166064011, 1304 251920011",
            "US:B001Q3KU9Q | 2499 | 0 | 2799 | in_stock | 1 | A1OHOT6VONX3KA | fba | *6674 toy_display_on_website, 33 251947011, 41 23627232011, 88 251913011",
            "US:B007Z07UK6 | 501 | 499 | 1000 | in_stock | 11 | AEMQJEQHIGU8X | fbm | *34481 fashion_display_on_website, 24 3421050011",
            "US:B000OQA3N4 | - | - | 2500 | no_featured_offer | 3 | - | - | *232244 sports_display_on_website, 242 3395921, 1579 19574752011",
            "US:B07PTMKYS7 | - | - | 39900 | no_featured_offer | 2 | - | - | *2597 video_games_display_on_website, 33 19497044011, 45 14670126011",
            "US:B001PYUTII | 1000 | 0 | 1799 | in_stock | 15 | A1EZPZGQPCQEQR | fbm | *30959 toy_display_on_website, 94 196604011, 13863 251910011",
            "US:B00505DW2I | 1000 | 499 | 3600 | in_stock | 3 | A5LI4TEX5CN80 | fbm | *6581 toy_display_on_website, 11 14194715011, 15 251975011",
            "US:B00CGZQU42 | 5000 | 0 | 1899 | in_stock | 3 | A2SNBFWOFW4SWG | fbm | *1093666 fashion_display_on_website, 2179 1045012",
            "US:B01LY2ZYRF | 2200 | 0 | 5950 | in_stock | 1 | A2SNBFWOFW4SWG | fbm | ",
            "US:B00KFRNZY6 | - | - | - | no_featured_offer | 0 | - | - | ",
        ]
    );
    let single = examples(FILE, "getItemOffers").unwrap();
    let lines = single.iter().flat_map(|reply| parse_value(reply).1.observations);
    assert_eq!(
        lines.map(|seen| offer_line(&seen)).collect::<Vec<_>>(),
        [
            "US:B00V5DG6IQ | - | - | - | no_featured_offer | 1 | - | - | ",
            // Its buy box prices are for businesses only.
            "US:B00V5DG6IQ | - | - | - | no_featured_offer | 4 | - | - | ",
        ]
    );
    // Offers of one's own listings name no product.
    let own =
        ["getListingOffers", "getListingOffersBatch"].map(|name| examples(FILE, name).unwrap()).concat();
    let (mut refused, mut answers) = (0, 0);
    for reply in &own {
        let (recognised, parsed) = parse_value(reply);
        assert_eq!(recognised.shape, Shape::SpOffers);
        assert_eq!(parsed.observations, []);
        refused += parsed.rejects.iter().filter(|reject| reject.reason.as_str() == "no_asin").count();
        answers += reply["responses"].as_array().map_or(1, Vec::len);
    }
    assert_eq!(refused, answers);
}

#[test]
fn the_examples_of_competitive_prices_are_read() {
    const FILE: &str = "sp-api/sandbox.productPricingV0.json.gz";
    let Some(replies) = examples(FILE, "getCompetitivePricing") else { return };
    let mut lines = Vec::new();
    for reply in &replies {
        let (recognised, parsed) = parse_value(reply);
        assert_eq!(
            (recognised.shape, recognised.marketplace),
            (Shape::SpCompetitivePrice, Some(Marketplace::Us))
        );
        assert_eq!(parsed.rejects, []);
        lines.extend(parsed.observations.iter().map(offer_line));
        let entry = &reply["payload"][0];
        assert_eq!(parse_value(entry).1.observations, parsed.observations[..1]);
    }
    // The first two replies have placeholders for the numbers of the prices, none of which is the featured one's.
    assert_eq!(
        lines,
        [
            "US:B00V5DG6IQ | - | - | - | no_featured_offer | 20 | - | - | 1 325345",
            "US:B00551Q3CS | - | - | - | no_featured_offer | 1 | - | - | 1 54564",
            "US:B00V5DG6IQ | - | - | - | no_featured_offer | 402 | - | - | 1 676554",
            "US:B00551Q3CS | - | - | - | no_featured_offer | 402 | - | - | 1 35345",
            "US:B00V5DG6IQ | 13000 | 1000 | - | in_stock | 3 | AXXXXXXXXXXXXX | - | 1 325345",
            "US:B00551Q3CS | - | - | - | no_featured_offer | 1 | - | - | 1 54564",
        ]
    );
    let own = examples(FILE, "getPricing").unwrap();
    assert_eq!(own.len(), 3);
    for reply in &own {
        let (recognised, parsed) = parse_value(reply);
        assert_eq!(recognised.shape, Shape::SpCompetitivePrice);
        assert!(parsed.kept && parsed.observations.is_empty() && parsed.rejects.is_empty());
    }
}

#[test]
fn the_examples_of_competitive_summaries_are_read() {
    const FILE: &str = "sp-api/sandbox.productPricing_2022-05-01.json";
    let Some(replies) = examples(FILE, "getCompetitiveSummary") else { return };
    let (mut lines, mut refused) = (Vec::new(), Vec::new());
    for reply in &replies {
        let (recognised, parsed) = parse_value(reply);
        assert_eq!(
            (recognised.shape, recognised.marketplace),
            (Shape::SpCompetitiveSummary, Some(Marketplace::Us))
        );
        lines.extend(parsed.observations.iter().map(offer_line));
        refused.extend(parsed.rejects.iter().map(|reject| reject.detail.clone()));
    }
    let line = "US:B00ZIAODGE | 1811 | 250 | - | in_stock | - | A3DJR8M9Y3OUPG | fbm | ";
    assert_eq!(lines, [line, line]);
    assert_eq!(refused, ["400 INVALID_ASIN: 11_AABB_123 is not a valid ASIN"]);
    for reply in examples(FILE, "getFeaturedOfferExpectedPriceBatch").unwrap() {
        let (recognised, parsed) = parse_value(&reply);
        assert_eq!(
            (recognised.shape, parsed.rejects[0].reason.as_str()),
            (Shape::LaterJson, "later_data_set")
        );
    }
}

#[test]
fn a_real_catalogue_item_is_read() {
    let Some(body) = read("sp-api/catalog-item.jp.B08LGN5VQZ.json") else { return };
    let (recognised, parsed) = parse_value(&serde_json::from_slice(&body).unwrap());
    assert_eq!((recognised.shape, recognised.marketplace), (Shape::SpCatalog, Some(Marketplace::Jp)));
    assert_eq!((recognised.asin_requested, recognised.observed_at), (None, None));
    assert_eq!((parsed.rejects.len(), parsed.notes.len(), parsed.observations.len()), (0, 0, 1));
    let seen = &parsed.observations[0];
    assert_eq!(line(seen), "B08LGN5VQZ | - | 5400 | unknown | - | - | - | - | - | - | - | JBL | - | -");
    let listing = &seen.listing;
    assert_eq!(
        listing.category_path,
        [
            "家電＆カメラ",
            "カテゴリー別",
            "ポータブルオーディオ",
            "ポータブルスピーカー・ドック",
            "ポータブルスピーカー"
        ]
    );
    assert_eq!(listing.image_url.as_deref(), Some("https://m.media-amazon.com/images/I/71qzKRckO9L.jpg"));
    assert_eq!((listing.bullets.len(), listing.images.len()), (9, 4));
    assert_eq!(listing.bullets[0], "国内正規品 新品のみメーカー保証1年");
    assert_eq!(listing.parent_asin.map(|asin| asin.to_string()).as_deref(), Some("B08LLXR4VQ"));
    assert!(listing.title.as_deref().unwrap().starts_with("JBL GO3 Bluetoothスピーカー"));
}

#[test]
fn the_examples_of_catalogue_items_are_read() {
    const FILE: &str = "sp-api/sandbox.catalogItems_2022-04-01.json";
    let Some(searches) = examples(FILE, "searchCatalogItems") else { return };
    let items = examples(FILE, "getCatalogItem").unwrap();
    assert_eq!((searches.len(), items.len()), (2, 2));
    let mut lines = Vec::new();
    for reply in searches.iter().chain(&items) {
        let (recognised, parsed) = parse_value(reply);
        assert_eq!((recognised.shape, recognised.marketplace), (Shape::SpCatalog, Some(Marketplace::Us)));
        assert_eq!(parsed.rejects, []);
        for seen in &parsed.observations {
            let listing = &seen.listing;
            assert_eq!(
                listing.category_path,
                ["Electronics", "Television & Video", "Televisions", "QLED TVs"]
            );
            assert_eq!(
                listing.image_url.as_deref(),
                Some("https://m.media-amazon.com/images/I/91uohwV+k3L.jpg")
            );
            assert_eq!(listing.images.len(), 9);
            assert_eq!(listing.parent_asin.map(|asin| asin.to_string()).as_deref(), Some("B08J7TQ9FL"));
            lines.push(format!("{} bullets {}", line(seen), listing.bullets.len()));
        }
    }
    let with = |list: &str, bullets: usize| {
        format!(
            "B07N4M94X4 | - | {list} | unknown | - | - | - | - | - | - | - | SAMSUNG | 72855 Electronics \
             | 113 QLED TVs bullets {bullets}"
        )
    };
    // The attributes were not asked for everywhere.
    assert_eq!(lines, [with("-", 0), with("379999", 6), with("-", 0), with("379999", 6)]);
}

#[test]
fn ones_own_stock_is_kept() {
    let Some(body) = read("sp-api/constructed.fba-inventory.json") else { return };
    let pages: Value = serde_json::from_slice(&body).unwrap();
    for page in ["page1", "page2"] {
        let (recognised, parsed) = parse_value(&pages[page]);
        assert_eq!((recognised.shape, recognised.kind), (Shape::SpInventory, "inventory"));
        assert_eq!(recognised.marketplace, Some(Marketplace::Us));
        assert!(parsed.kept && parsed.rejects.is_empty() && parsed.observations.is_empty());
    }
}

#[test]
fn data_sets_of_later_are_named_and_never_unknown() {
    let Some(body) = read("sp-api/report.sellerSalesAndTrafficReport.example.json") else { return };
    let named = |body: &Value| {
        let (recognised, parsed) = parse_value(body);
        assert_eq!((recognised.shape, recognised.kind), (Shape::LaterJson, "report"), "{body}");
        let [reject] = &parsed.rejects[..] else { unreachable!("one reject says it") };
        assert_eq!(reject.reason.as_str(), "later_data_set");
        reject.detail.split(": ").next().unwrap().to_owned()
    };
    assert_eq!(named(&serde_json::from_slice(&body).unwrap()), "the report GET_SALES_AND_TRAFFIC_REPORT");
    for (file, kind) in [
        ("MarketBasketAnalysis", "MARKET_BASKET"),
        ("RepeatPurchase", "REPEAT_PURCHASE"),
        ("SearchCatalogPerformance", "SEARCH_CATALOG_PERFORMANCE"),
        ("SearchQueryPerformance", "SEARCH_QUERY_PERFORMANCE"),
        ("SearchTerms", "SEARCH_TERMS"),
    ] {
        let body = read(&format!("sp-api/report.sellingPartner{file}Report.example.json")).unwrap();
        let expected = format!("the report GET_BRAND_ANALYTICS_{kind}_REPORT");
        assert_eq!(named(&serde_json::from_slice(&body).unwrap()), expected);
    }
    let mut counted = Vec::new();
    for file in ["sandbox.ordersV0.json", "sandbox.orders_2026-01-01.json", "sandbox.sales.json"] {
        let all: Vec<Value> = serde_json::from_slice(&read(&format!("sp-api/{file}")).unwrap()).unwrap();
        // An answer without content (204) is no record.
        let bodies = all.iter().filter(|one| matches!(one["status"].as_u64(), Some(200..=203)));
        let names: Vec<String> = bodies.map(|one| named(&one["response"])).collect();
        counted.push((names.len(), names[0].clone()));
        assert!(names.iter().all(|name| *name == names[0]));
    }
    let counted: Vec<_> = counted.iter().map(|(count, name)| (*count, name.as_str())).collect();
    assert_eq!(counted, [(20, "orders"), (8, "orders"), (5, "order metrics")]);
}

#[test]
fn tables_of_later_data_sets_are_named() {
    let Some(orders) = read("files/all-orders.de.synthetic.tsv") else { return };
    let business = read("files/business-report.us.by-child.csv").unwrap();
    for (format, bytes, expected) in [
        (RecordFormat::Tsv, orders, "the report of all orders"),
        (RecordFormat::Csv, business, "the business report by ASIN"),
    ] {
        let text = String::from_utf8(bytes).unwrap();
        let (header, rows) = text.split_once('\n').unwrap();
        for row in rows.lines() {
            let body = format!("{header}\n{row}");
            let recognised = recognise(format, body.as_bytes());
            assert_eq!((recognised.shape, recognised.kind), (Shape::LaterTable, "report"));
            let parsed = parse(&context(&recognised, None), body.as_bytes());
            assert_eq!(parsed.rejects[0].reason.as_str(), "later_data_set");
            assert!(parsed.rejects[0].detail.starts_with(expected), "{}", parsed.rejects[0].detail);
        }
    }
}
