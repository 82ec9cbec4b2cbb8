//! The rules of normalizing, on small records made for them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::golden::{context, line};
use super::*;
use crate::model::Day;

macro_rules! fixture {
    ($path:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $path)).as_slice()
    };
}

fn parse_with(format: RecordFormat, body: &[u8], operator: Option<Marketplace>) -> (Recognised, Parsed) {
    let recognised = recognise(format, body);
    let parsed = parse(&context(&recognised, operator), body);
    (recognised, parsed)
}

fn only(parsed: Parsed) -> Observation {
    assert_eq!(parsed.rejects, []);
    assert_eq!(parsed.observations.len(), 1);
    parsed.observations.into_iter().next().unwrap()
}

/// Each reject as `reason field: detail`; "accepted" without one.
fn verdict(parsed: &Parsed) -> String {
    if parsed.rejects.is_empty() {
        return "accepted".to_owned();
    }
    assert!(parsed.observations.is_empty() && parsed.reviews.is_empty(), "a rejected record leaves nothing");
    let one = |reject: &Reject| format!("{} {}: {}", reject.reason, reject.field, reject.detail);
    parsed.rejects.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn judged(record: &Value) -> String {
    verdict(&parse_with(RecordFormat::Json, record.to_string().as_bytes(), None).1)
}

/// A small axesso record with some keys replaced.
fn axesso(changes: Value) -> Value {
    let mut record = json!({
        "statusCode": 200, "url": "https://www.amazon.com/dp/B0FDKB341G", "asin": "B0FDKB341G",
        "price": 25.99, "countReview": 75, "productRating": "4.5 out of 5 stars",
    });
    merge(&mut record, changes);
    record
}

/// A small flat record with some keys replaced.
fn flat_record(changes: Value) -> Value {
    let mut record =
        json!({"marketplace": "US", "asin": "B0FDKB341G", "price_minor": 2599, "rating_centi": 450});
    merge(&mut record, changes);
    record
}

fn merge(record: &mut Value, changes: Value) {
    if let (Value::Object(record), Value::Object(changes)) = (record, changes) {
        record.extend(changes);
    }
}

#[test]
fn a_rank_array_is_read_with_its_category_ids() {
    let (recognised, parsed) =
        parse_with(RecordFormat::Json, fixture!("apify/axesso-product.rank-array.json"), None);
    assert_eq!(recognised.shape, Shape::AxessoProduct);
    let observation = only(parsed);
    assert_eq!(
        line(&observation),
        "B0FDKB341G | 102599 | 115900 | low_stock | 3 | AOSRAU | A1N4GN1GFEVU4P | fbm | 440 | 1234 | 5000 | AOSRAU \
         | 2607 Electronics | 260 Earbud Headphones"
    );
    let ids: Vec<_> = observation.rank.ranks.iter().map(|rank| rank.category_id.as_deref()).collect();
    assert_eq!(ids, [Some("12097479011"), None, Some("12097478011")]);
    assert_eq!(observation.listing.title.as_deref(), Some("Wireless Earbuds & Case now"));
    assert_eq!(observation.listing.bullets, ["one", "two"]);
    let variants: Vec<_> = observation.listing.variants.iter().map(Asin::as_str).collect();
    assert_eq!(variants, ["B0FDK67PQR", "B0FDK6TTSG"]);
}

#[test]
fn a_404_row_is_a_product_that_was_not_found() {
    let (recognised, parsed) =
        parse_with(RecordFormat::Json, fixture!("apify/axesso-product.not-found.json"), None);
    assert_eq!((recognised.marketplace, recognised.asin_returned), (Some(Marketplace::De), None));
    let observation = only(parsed);
    assert_eq!(observation.key().to_string(), "DE:B0FDKB341G");
    assert!(!observation.found && !observation.offer.is_known());
}

#[test]
fn a_page_without_offer_is_unavailable_and_says_nothing_else_of_the_offer() {
    let observation =
        only(parse_with(RecordFormat::Json, fixture!("apify/axesso-product.no-offer.json"), None).1);
    assert_eq!(
        line(&observation),
        "B0FCL55CFF | - | - | unavailable | - | - | - | - | 490 | 782 | - | wyness | 975 電子 | 150 耳塞式與耳道式耳機"
    );
    assert_eq!((observation.offer.is_deal, observation.offer.condition), (None, None));
}

#[test]
fn a_used_offer_in_the_box_is_not_the_price() {
    let used = axesso(json!({"used": true, "soldBy": "Shop", "warehouseAvailability": "In Stock"}));
    let observation = only(parse_with(RecordFormat::Json, used.to_string().as_bytes(), None).1);
    assert_eq!(observation.offer.price_minor, None);
    assert_eq!(observation.offer.availability.as_str(), "used_only");
}

#[test]
fn a_review_keeps_its_list_filter_and_loses_its_author() {
    let body = fixture!("apify/axesso-review.one-star-list.json");
    let (recognised, parsed) = parse_with(RecordFormat::Json, body, None);
    assert_eq!((recognised.kind, recognised.marketplace), ("reviews", Some(Marketplace::Uk)));
    assert_eq!(verdict(&parsed), "accepted");
    assert_eq!(parsed.observations, []);
    let review = &parsed.reviews[0];
    assert_eq!((review.rating_centi, review.helpful_count), (Some(100), Some(1234)));
    assert_eq!(review.list_filter.as_deref(), Some("one_star"));
    assert_eq!(
        (review.title.as_deref(), review.body.as_deref()),
        (Some("Not good"), Some("It broke. Twice."))
    );
    assert!(!format!("{review:?}").contains("somebody"));
}

#[test]
fn a_dollar_is_the_domains_dollar() {
    let body = fixture!("apify/junglee-product.canadian-dollar.json");
    let observation = only(parse_with(RecordFormat::Json, body, None).1);
    assert_eq!(observation.marketplace, Marketplace::Ca);
    assert_eq!(
        line(&observation),
        "B095T14D4S | 8990 | 10000 | in_stock | - | Raycon Inc. | A1EIFQX5RJTGSD | fba | 370 | 21 | 3000 | Raycon \
         | 35 Electronics | 2 Headphones"
    );
    assert_eq!(observation.offer.coupon_pct, Some(15));
    assert_eq!(observation.listing.variants.len(), 2);
}

#[test]
fn slash_columns_are_folded_back_into_lists_in_numeric_order() {
    let body = fixture!("apify/junglee-product.slash-columns.csv");
    let (recognised, parsed) = parse_with(RecordFormat::Csv, body, None);
    assert_eq!((recognised.shape, recognised.source), (Shape::ApifyCsv, "apify"));
    let observation = only(parsed);
    assert_eq!(
        line(&observation),
        "B095T14D4S | 1250 | - | in_stock | - | - | - | - | 440 | - | - | - | - | -"
    );
    assert_eq!(observation.listing.bullets, ["first", "second", "third"]);
}

#[test]
fn every_flat_column_is_read_from_csv_tsv_and_json() {
    let body = fixture!("flat/flat.every-column.csv");
    let (recognised, parsed) = parse_with(RecordFormat::Csv, body, None);
    assert_eq!((recognised.shape, recognised.source), (Shape::FlatCsv, "file"));
    assert_eq!(
        recognised.observed_at.map(|at| at.to_rfc3339()).as_deref(),
        Some("2026-04-30T18:00:00+00:00")
    );
    assert_eq!(recognised.observed_day.map(|day| day.to_string()).as_deref(), Some("2026-05-01"));
    let observation = only(parsed);
    assert_eq!(observation.key().to_string(), "JP:B0FDKB341G");
    assert_eq!(
        line(&observation),
        "B0FDKB341G | 2980 | 3500 | low_stock | 3 | Amazon.co.jp | AN1VRQENFRJN5 | amazon | 445 | 1234 | 500 | Acme \
         | 1234 家電＆カメラ | 7 イヤホン"
    );
    let offer = &observation.offer;
    assert_eq!(
        (offer.buy_box_price_minor, offer.shipping_minor, offer.coupon_pct),
        (Some(2980), Some(0), Some(10))
    );
    assert_eq!((offer.is_deal, offer.is_prime, offer.offer_count), (Some(true), Some(false), Some(4)));
    assert_eq!(offer.price_basis.map(|basis| basis.as_str()), Some("buy_box"));
    assert_eq!(observation.listing.category_path, ["Electronics", "Headphones"]);
    assert_eq!(observation.listing.bullets, ["one", "two"]);

    let row = table::Row::read(std::str::from_utf8(body).unwrap()).unwrap();
    let (names, cells): (Vec<_>, Vec<_>) = row.cells().unzip();
    let tsv = format!("{}\n{}", names.join("\t"), cells.join("\t").replace('"', ""));
    let (recognised, parsed) =
        parse_with(RecordFormat::Tsv, tsv.replace("[one,two]", "one").as_bytes(), None);
    assert_eq!(recognised.shape, Shape::FlatTsv);
    assert_eq!(only(parsed).offer, observation.offer);

    let object: Value =
        row.cells().map(|(name, cell)| (name, json!(cell))).collect::<BTreeMapOfJson>().into();
    let (recognised, parsed) = parse_with(RecordFormat::Json, object.to_string().as_bytes(), None);
    assert_eq!(recognised.shape, Shape::FlatJson);
    let from_json = only(parsed);
    assert_eq!((&from_json.offer, &from_json.rank), (&observation.offer, &observation.rank));
}

/// Collects pairs into a JSON object.
struct BTreeMapOfJson(serde_json::Map<String, Value>);

impl<'a> FromIterator<(&'a str, Value)> for BTreeMapOfJson {
    fn from_iter<I: IntoIterator<Item = (&'a str, Value)>>(pairs: I) -> Self {
        BTreeMapOfJson(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl From<BTreeMapOfJson> for Value {
    fn from(map: BTreeMapOfJson) -> Value {
        Value::Object(map.0)
    }
}

#[test]
fn a_keepa_row_says_which_price_it_has_and_what_trailed_the_number() {
    let (recognised, parsed) =
        parse_with(RecordFormat::Csv, fixture!("keepa/export.respelled-header.csv"), None);
    assert_eq!((recognised.shape, recognised.source), (Shape::KeepaExportCsv, "keepa"));
    assert_eq!(recognised.marketplace, Some(Marketplace::De));
    assert_eq!(parsed.notes.len(), 1);
    assert_eq!(parsed.notes[0].field, "buy box: current");
    let observation = only(parsed);
    assert_eq!(observation.key().to_string(), "DE:B0F255TB93");
    assert_eq!(
        line(&observation),
        "B0F255TB93 | 101861 | - | in_stock | 3 | Amazon | - | amazon | 450 | 2345 | - | Sony | 1712 CE | -"
    );
    assert_eq!(observation.offer.buy_box_price_minor, Some(101_861));
    assert_eq!(observation.listing.variants.len(), 1);
}

#[test]
fn a_keepa_locale_is_a_domain_or_a_code_and_no_language() {
    let recognised = |locale: &str| {
        let body = format!("Locale,ASIN,New: Current\n{locale},B0F255TB93,10.00");
        let (recognised, parsed) = parse_with(RecordFormat::Csv, body.as_bytes(), None);
        (recognised.marketplace, verdict(&parsed))
    };
    assert_eq!(recognised("com"), (Some(Marketplace::Us), "accepted".to_owned()));
    assert_eq!(recognised(".co.uk"), (Some(Marketplace::Uk), "accepted".to_owned()));
    assert_eq!(recognised("us"), (Some(Marketplace::Us), "accepted".to_owned()));
    assert_eq!(recognised("cn"), (None, "marketplace_unknown locale: cn".to_owned()));
    let review = json!({"reviewId": "R1", "asin": "B0FDKB341G", "locale": "de", "domainCode": "com"});
    let (recognised, _) = parse_with(RecordFormat::Json, review.to_string().as_bytes(), None);
    assert_eq!(recognised.marketplace, Some(Marketplace::Us));
}

#[test]
fn a_list_of_orders_is_no_table_of_products() {
    let shape = |columns: &str, cells: &str| {
        parse_with(RecordFormat::Csv, format!("{columns}\n{cells}").as_bytes(), None).0.shape
    };
    let orders = "order-id,purchase-date,asin,quantity,currency,item-price";
    assert_eq!(shape(orders, "1,2026-05-01,B0FDKB341G,1,USD,25.99"), Shape::UnknownCsv);
    let context = "marketplace,asin,day,observed_at,currency,condition";
    assert_eq!(shape(context, "US,B0FDKB341G,2026-05-01,,USD,new"), Shape::UnknownCsv);
    assert_eq!(shape("marketplace,asin,price_minor", "US,B0FDKB341G,2599"), Shape::FlatCsv);
    assert_eq!(shape("marketplace,asin,title", "US,B0FDKB341G,Lamp"), Shape::FlatCsv);
    let order = json!({"asin": "B0FDKB341G", "currency": "USD", "marketplace": "US", "quantity": 1});
    let recognised = parse_with(RecordFormat::Json, order.to_string().as_bytes(), None).0;
    assert_eq!(recognised.shape, Shape::UnknownJson);
}

#[test]
fn what_breaks_a_rule_is_rejected_with_field_and_detail() {
    for (changes, expected) in [
        (json!({}), "accepted"),
        (json!({"asin": "b0fdkb341g"}), "accepted"),
        (json!({"price": 0, "soldBy": null}), "accepted"),
        (json!({"price": -5}), "out_of_range price: -5"),
        (json!({"price": "-$5.00"}), "out_of_range price: -$5.00"),
        (json!({"price": 3_000_001}), "out_of_range price: 3000001"),
        (json!({"price": 1e30}), "out_of_range price: 1000000000000000000000000000000"),
        (json!({"price": 9_223_372_036_854_775_807_i64}), "out_of_range price: 9223372036854775807"),
        (json!({"price": 25.995}), "invalid_value price: 25.995"),
        (json!({"price": "see cart"}), "invalid_value price: see cart"),
        (json!({"price": [25.99]}), "invalid_value price: Nested"),
        (json!({"productRating": "7 out of 5 stars"}), "out_of_range productRating: 7 out of 5 stars"),
        (json!({"productRating": 0.5}), "out_of_range productRating: 0.5"),
        (json!({"productRating": 0}), "accepted"),
        (json!({"productRating": 7}), "out_of_range productRating: 7"),
        (json!({"productRating": -1}), "out_of_range productRating: -1"),
        (json!({"countReview": -1}), "out_of_range countReview: -1"),
        (json!({"countReview": 300_000_001}), "out_of_range countReview: 300000001"),
        (json!({"asin": "B0FDKB341"}), "invalid_asin asin: B0FDKB341"),
        (
            json!({"asin": null, "url": "https://www.amazon.com/s?k=x"}),
            "no_asin asin: https://www.amazon.com/s?k=x",
        ),
        (json!({"url": "https://www.amazon.cn/dp/B0FDKB341G"}), "marketplace_unknown url: www.amazon.cn"),
        (
            json!({"url": null}),
            "marketplace_unknown marketplace: neither the record nor the operator names the marketplace",
        ),
        (
            json!({"asin": "B0FDK67PQR"}),
            "variant_redirect asin: asked for B0FDKB341G, answered with B0FDK67PQR",
        ),
        (json!({"statusCode": 503, "statusMessage": "BUSY"}), "not_a_product statusCode: 503 BUSY"),
        (
            json!({"bestSellersRank": [{"rank": 0, "categoryName": "Books"}]}),
            "out_of_range bestSellersRank: 0",
        ),
        (json!({"price": -5, "productRating": "7"}), "out_of_range price: -5; out_of_range productRating: 7"),
    ] {
        assert_eq!(judged(&axesso(changes.clone())), expected, "{changes}");
    }
}

#[test]
fn flat_records_are_held_to_the_same_rules() {
    for (changes, expected) in [
        (json!({}), "accepted"),
        (json!({"price_minor": 0}), "accepted"),
        (json!({"shipping_minor": 0, "currency": "usd", "bsr": 5, "bsr_category": "Books"}), "accepted"),
        (json!({"asin": null, "bsr": 5}), "no_asin asin: the record names no product"),
        (json!({"marketplace": "XX"}), "marketplace_unknown marketplace: XX"),
        (json!({"currency": "EUR"}), "currency_mismatch currency: EUR is not USD, the currency of US"),
        (json!({"rating_centi": 700}), "out_of_range rating_centi: 700"),
        (json!({"price_minor": -1}), "out_of_range price_minor: -1"),
        (json!({"price_minor": 25.99}), "invalid_value price_minor: 25.99"),
        (json!({"bsr": 0, "bsr_category": "Books"}), "out_of_range bsr: 0"),
        (json!({"coupon_pct": 101}), "out_of_range coupon_pct: 101"),
        (json!({"price_basis": "guess"}), "invalid_value price_basis: guess"),
        (json!({"observed_at": "yesterday"}), "invalid_value observed_at: yesterday"),
        (json!({"is_deal": "perhaps"}), "invalid_value is_deal: perhaps"),
    ] {
        assert_eq!(judged(&flat_record(changes.clone())), expected, "{changes}");
    }
}

#[test]
fn a_foreign_symbol_is_a_currency_mismatch() {
    let record = json!({
        "asin": "B0FDKB341G", "url": "https://www.amazon.com/dp/B0FDKB341G", "stars": 4,
        "price": {"value": 5, "currency": "€"},
    });
    assert_eq!(judged(&record), "currency_mismatch price: € is not USD, the currency of US");
    for changes in [json!({"price": "25,99 €"}), json!({"retailPrice": "€25.99"})] {
        let verdict = judged(&axesso(changes.clone()));
        assert!(verdict.starts_with("currency_mismatch") && verdict.contains("€ is not USD"), "{verdict}");
    }
    assert_eq!(
        judged(&axesso(json!({"currency": "EUR"}))),
        "currency_mismatch currency: EUR is not USD, the currency of US"
    );
}

#[test]
fn a_record_that_contradicts_its_receipt_is_rejected() {
    let body = axesso(json!({})).to_string();
    let (recognised, _) = parse_with(RecordFormat::Json, body.as_bytes(), None);
    let mut context = context(&recognised, None);
    context.marketplace = Some(Marketplace::De);
    let parsed = parse(&context, body.as_bytes());
    assert_eq!(verdict(&parsed), "marketplace_mismatch url: the record says US, expected DE");
    context.marketplace = Some(Marketplace::Us);
    context.asin_requested = Some("B0FDK67PQR".parse().unwrap());
    let parsed = parse(&context, body.as_bytes());
    assert_eq!(verdict(&parsed), "variant_redirect asin: asked for B0FDK67PQR, answered with B0FDKB341G");
    assert_eq!(parsed.rejects[0].asin, context.asin_requested);
}

#[test]
fn the_future_begins_a_day_from_now() {
    let body = axesso(json!({})).to_string();
    let (recognised, _) = parse_with(RecordFormat::Json, body.as_bytes(), None);
    let mut context = context(&recognised, None);
    context.observed_at = context.now + chrono::Duration::hours(24);
    assert_eq!(verdict(&parse(&context, body.as_bytes())), "accepted");
    context.observed_at += chrono::Duration::seconds(1);
    let expected = "observed_in_future observed_at: 2025-09-12T12:00:01Z";
    assert_eq!(verdict(&parse(&context, body.as_bytes())), expected);
}

#[test]
fn bodies_that_cannot_be_read_are_refused_with_the_reason() {
    let deep =
        format!(r#"{{"statusCode": 200, "url": "u", "x": {}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let deep_path = format!("asin,{}stars\nB0FDKB341G,4", "a/".repeat(10_000));
    let deep_path = deep_path.replace("\nB", ",stars\nB").replace(",4", ",4,4");
    for (format, body, expected) in [
        (RecordFormat::Json, deep.as_bytes(), "too_deep : nested deeper than 100 levels"),
        (RecordFormat::Csv, deep_path.as_bytes(), "too_deep : a column path is too deep"),
        (RecordFormat::Json, b"", "invalid_json : EOF while parsing a value"),
        (RecordFormat::Json, b"{\"asin\": \"B0", "invalid_json : EOF while parsing a string"),
        (RecordFormat::Json, b"{\"asin\": \"\xff\"}", "invalid_json : byte 10 is not valid UTF-8"),
        (RecordFormat::Json, b"[1, 2]", "unknown_shape : no parser knows a record with these keys"),
        (RecordFormat::Json, b"{\"a\": 1}", "unknown_shape : no parser knows a record with these keys"),
        (RecordFormat::Csv, b"asin,price_minor\nB0FDKB341G", "invalid_csv : 1 cells for 2 columns"),
        (RecordFormat::Csv, b"a,b\n1,2", "unknown_shape : no parser knows a table with these columns"),
        (RecordFormat::Tsv, b"a\tb\n\xff\t2", "invalid_csv : byte 4 is not valid UTF-8"),
    ] {
        assert_eq!(verdict(&parse_with(format, body, None).1), expected);
    }
}

#[test]
fn a_scalar_where_an_object_was_is_still_read() {
    let record = json!({
        "asin": "B0FDKB341G", "url": "https://www.amazon.com/dp/B0FDKB341G", "stars": null,
        "price": "$12.50", "seller": "none", "features": "none", "bestsellerRanks": {"rank": 1}, "listPrice": {},
    });
    let observation = only(parse_with(RecordFormat::Json, record.to_string().as_bytes(), None).1);
    assert_eq!(observation.offer.price_minor, Some(1250));
    assert_eq!(observation.offer.list_price_minor, None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[$€#0-9.,() A-Za-z\u{202e}\u{1b}在位%-]{0,24}".prop_map(Value::from),
        Just(json!("https://www.amazon.com/dp/B0FDKB341G")),
        Just(json!("B0FDKB341G")),
        Just(json!(200)),
    ];
    let key = prop::sample::select(vec![
        "asin",
        "url",
        "price",
        "value",
        "currency",
        "statusCode",
        "stars",
        "productRating",
        "countReview",
        "bestSellersRank",
        "rank",
        "categoryName",
        "link",
        "productDetails",
        "name",
        "variations",
        "values",
        "features",
        "price_minor",
        "marketplace",
        "bsr",
        "bsr_category",
        "reviewId",
        "rating",
        "inStockText",
        "warehouseAvailability",
        "bullets",
        "observed_at",
        "products",
        "domainId",
        "csv",
        "stats",
        "current",
        "tokensLeft",
        "payload",
        "responses",
        "body",
        "Product",
        "Summary",
        "Offers",
        "summaries",
        "marketplaceId",
        "items",
        "absent",
        "filters",
        "domainCode",
        "data",
        "metadata",
        "sourceURL",
        "rawHtml",
        "extract",
        "request_info",
        "product",
        "search_results",
        "buybox_winner",
    ]);
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..10)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Reads a body as every shape: recognition may have been another version's.
fn parse_as_everything(body: &[u8]) {
    for format in [RecordFormat::Json, RecordFormat::Csv, RecordFormat::Tsv, RecordFormat::Html] {
        let _ = recognise(format, body);
    }
    for &shape in Shape::ALL {
        let recognised = Recognised { shape, ..recognise(RecordFormat::Json, body) };
        let days = DayRange { first: Day::from_no(20_000), last: Day::from_no(20_600) };
        let asked = AskedDays { ranges: vec![days], zone: ReportingZone(chrono_tz::UTC) };
        let context = RecordContext { history: Some(asked), ..context(&recognised, Some(Marketplace::Us)) };
        let parsed = parse(&context, body);
        let facts = parsed.observations.len() + parsed.reviews.len();
        let is_said = facts > 0 || parsed.kept || !parsed.rejects.is_empty();
        assert!(is_said, "{shape}: facts, a record that is kept, or the reason why not");
        // A record of several items may have both.
        if parsed.places.is_empty() && !parsed.kept {
            assert_eq!(facts == 1, parsed.rejects.is_empty(), "{shape}: one fact or the reason why not");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_bytes_make_a_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        parse_as_everything(&body);
    }

    #[test]
    fn no_json_makes_a_parser_panic(record in any_json()) {
        parse_as_everything(record.to_string().as_bytes());
    }

    #[test]
    fn no_table_makes_a_parser_panic(text in "(asin|price/value|features/1|stars|price_minor|x: current|[,;\t\"\n/ 0-9B])*{0,30}") {
        parse_as_everything(text.as_bytes());
    }

    #[test]
    fn a_flat_record_that_was_rendered_is_read_back(
        price in 1_i64..300_000_000, rating in 100_i64..=500, count in 0_i64..300_000_000, rank in 1_i64..300_000_000,
        market in 0_usize..23,
    ) {
        let marketplace = Marketplace::ALL[market];
        let record = json!({
            "marketplace": marketplace, "asin": "B0FDKB341G", "currency": marketplace.currency(),
            "price_minor": price, "rating_centi": rating, "ratings_count": count, "bsr": rank, "bsr_category": "Books",
        });
        let observation = only(parse_with(RecordFormat::Json, record.to_string().as_bytes(), None).1);
        prop_assert_eq!(observation.offer.price_minor, Some(price));
        prop_assert_eq!(observation.rating.rating_centi, Some(rating));
        prop_assert_eq!(observation.rating.ratings_count, Some(count));
        prop_assert_eq!(observation.rank.main().map(|main| main.rank), Some(rank));
    }

    #[test]
    fn prices_in_major_units_are_read_exactly(minor in 1_i64..300_000_000) {
        // The shortest text of the float is what a provider writes.
        let text = format!("{}.{:02}", minor / 100, minor % 100);
        let record = axesso(json!({"price": text.parse::<f64>().unwrap()}));
        let observation = only(parse_with(RecordFormat::Json, record.to_string().as_bytes(), None).1);
        prop_assert_eq!(observation.offer.price_minor, Some(minor));
    }
}

#[test]
fn a_keepa_export_that_a_program_rewrote_is_read_by_its_own_names() {
    let body = "asin,title,marketplace,buy_box_current,list_price_current,sales_rank_current,rating,categories\n\
                B0F255TB93,Player,DE,129.9,149.5,758,4.6,Elektronik & Foto › Player";
    let (recognised, parsed) = parse_with(RecordFormat::Csv, body.as_bytes(), None);
    assert_eq!((recognised.shape, recognised.marketplace), (Shape::KeepaExportCsv, Some(Marketplace::De)));
    assert_eq!(
        line(&only(parsed)),
        "B0F255TB93 | 12990 | 14950 | in_stock | - | - | - | - | 460 | - | - | - | 758 Elektronik & Foto | -"
    );
}
