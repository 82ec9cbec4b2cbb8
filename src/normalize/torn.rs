//! Answers that were torn or twisted on their way: whatever is left of them gives facts, or the reason why not.

use serde_json::{Value, json};

use super::golden::context;
use super::*;
use crate::model::Day;

macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $path))
    };
}

const FIXTURES: &[(&str, Shape)] = &[
    (fixture!("keepa/product.every-field.json"), Shape::KeepaProduct),
    (fixture!("keepa/product.every-field.json"), Shape::KeepaHistory),
    (fixture!("sp-api/catalog-item.two-marketplaces.json"), Shape::SpCatalog),
    (fixture!("sp-api/offers.batch.json"), Shape::SpOffers),
    (fixture!("sp-api/competitive-price.featured-and-used.json"), Shape::SpCompetitivePrice),
    (fixture!("sp-api/competitive-summary.segments.json"), Shape::SpCompetitiveSummary),
    (
        r#"{"absent":{"source":"keepa","marketplace":"DE","asin":"B0FDKB341G","reason":"not in the answer"}}"#,
        Shape::Absence,
    ),
];

/// Reads a body as the shape, and as what it is recognised as.
fn read(body: &[u8], shape: Shape) -> Parsed {
    let mut recognised = recognise(RecordFormat::Json, body);
    let days = DayRange { first: Day::from_no(20_500), last: Day::from_no(20_530) };
    let asked = AskedDays { ranges: vec![days], zone: ReportingZone(chrono_tz::UTC) };
    let read_as = |recognised: &Recognised| {
        let now = "2026-04-01T00:00:00Z".parse().unwrap();
        let context = RecordContext { history: Some(asked.clone()), now, ..context(recognised, None) };
        let parsed = parse(&context, body);
        let facts = parsed.observations.len() + parsed.reviews.len();
        assert!(
            facts > 0 || parsed.kept || !parsed.rejects.is_empty(),
            "{shape}: facts, or the reason why not"
        );
        assert!(parsed.places.is_empty() || parsed.places.len() == parsed.observations.len());
        parsed
    };
    read_as(&recognised);
    recognised.shape = shape;
    read_as(&recognised)
}

#[test]
fn an_answer_cut_at_any_byte_is_refused() {
    for (text, shape) in FIXTURES {
        assert!(!read(text.as_bytes(), *shape).observations.is_empty(), "{shape}: the whole is read");
        for end in 0..text.trim_end().len() {
            let parsed = read(&text.as_bytes()[..end], *shape);
            assert_eq!(parsed.observations.len(), 0, "{shape} cut at {end}");
            assert_eq!(parsed.rejects[0].reason, RejectReason::InvalidJson, "{shape} cut at {end}");
        }
    }
}

/// The places of all values, as JSON pointers.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), all));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, item)| places(item, &format!("{at}/{}", key.replace('/', "~1")), all));
        }
        _ => {}
    }
}

#[test]
fn a_value_of_any_other_type_never_breaks_a_reader() {
    let others = [
        Value::Null,
        json!(true),
        json!(-7),
        json!(9_223_372_036_854_775_807_i64),
        json!(-9_223_372_036_854_775_808_i64),
        json!(0.1),
        json!(1e300),
        json!("x"),
        json!("-1"),
        json!([]),
        json!([[null, "1", {}], 5]),
        json!({}),
        json!({"asin": {"asin": 1}}),
    ];
    for (text, shape) in FIXTURES {
        let whole: Value = serde_json::from_str(text).unwrap();
        let mut all = Vec::new();
        places(&whole, "", &mut all);
        for place in &all {
            for other in &others {
                let mut body = whole.clone();
                *body.pointer_mut(place).unwrap() = other.clone();
                read(body.to_string().as_bytes(), *shape);
            }
        }
    }
}

#[test]
fn the_statement_that_a_product_is_absent_is_one_that_was_not_found() {
    let body = br#"{"absent":{"source":"sp-api","marketplace":"DE","asin":"B0FDKB341G","reason":"not in the answer"}}"#;
    let recognised = recognise(RecordFormat::Json, body);
    assert_eq!((recognised.shape, recognised.source), (Shape::Absence, "sp-api"));
    assert_eq!(recognised.marketplace, Some(Marketplace::De));
    let parsed = parse(&context(&recognised, None), body);
    assert_eq!((parsed.rejects.len(), parsed.observations.len()), (0, 1));
    assert!(!parsed.observations[0].found);
    assert_eq!(parsed.observations[0].key().to_string(), "DE:B0FDKB341G");
    let nobody = br#"{"absent":{"source":"keepa","marketplace":"DE"}}"#;
    let recognised = recognise(RecordFormat::Json, nobody);
    assert_eq!(parse(&context(&recognised, None), nobody).rejects[0].reason, RejectReason::NoAsin);
}
