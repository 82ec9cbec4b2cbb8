//! What real payloads must become: tables written by hand, and counts taken with other tools.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::*;
use crate::model::{Availability, PriceBasis};

/// The samples' folder; null when it is absent, which is said.
pub(super) fn samples() -> Option<PathBuf> {
    let root = std::env::var_os("AMZCTL_SAMPLES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples"), PathBuf::from);
    let found = root.is_dir().then_some(root);
    if found.is_none() {
        let mut stderr = std::io::stderr();
        let _ = std::io::Write::write_all(&mut stderr, b"skipped: samples not found\n");
    }
    found
}

pub(super) fn read(path: &str) -> Option<Vec<u8>> {
    let bytes = std::fs::read(samples()?.join(path)).unwrap();
    let mut plain = Vec::new();
    if path.ends_with(".gz") {
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
        return Some(plain);
    }
    Some(bytes)
}

fn json_items(path: &str) -> Option<Vec<Vec<u8>>> {
    let items: Vec<Box<serde_json::value::RawValue>> = serde_json::from_slice(&read(path)?).unwrap();
    Some(items.into_iter().map(|item| item.get().as_bytes().to_vec()).collect())
}

/// The bodies of a table as ingest keeps them: header, line feed, record. The samples have no line feed in a cell.
fn table_rows(path: &str) -> Option<Vec<Vec<u8>>> {
    let bytes = read(path)?;
    let text = String::from_utf8(bytes).unwrap();
    let (header, records) = text.split_once('\n').unwrap();
    Some(records.lines().map(|record| format!("{header}\n{record}").into_bytes()).collect())
}

/// The context that ingest would record for this body.
pub(super) fn context(recognised: &Recognised, operator: Option<Marketplace>) -> RecordContext {
    let at: Timestamp = "2025-09-11T12:00:00Z".parse().unwrap();
    RecordContext {
        shape: recognised.shape,
        marketplace: recognised.marketplace.or(operator),
        asin_requested: recognised.asin_requested,
        observed_at: at,
        now: at,
        history: None,
    }
}

/// Recognises and parses every body, which must all be of one shape and break no rule.
fn parse_all(
    bodies: &[Vec<u8>],
    format: RecordFormat,
    shape: Shape,
    operator: Option<Marketplace>,
) -> Vec<Parsed> {
    let parse_one = |body: &Vec<u8>| {
        let recognised = recognise(format, body);
        assert_eq!(recognised.shape, shape);
        assert_eq!(recognised.asin_returned.or(recognised.asin_requested), recognised.asin_requested);
        let parsed = parse(&context(&recognised, operator), body);
        assert_eq!(parsed.rejects, []);
        assert_eq!(parsed.notes, []);
        parsed
    };
    bodies.iter().map(parse_one).collect()
}

fn observations(parsed: Vec<Parsed>) -> Vec<Observation> {
    parsed.into_iter().flat_map(|parsed| parsed.observations).collect()
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// One line per product: everything the golden table lists.
pub(super) fn line(o: &Observation) -> String {
    let offer = &o.offer;
    let rank = |rank: Option<&crate::model::Rank>| {
        or_dash(rank.map(|rank| format!("{} {}", rank.rank, rank.category)))
    };
    let fields = [
        o.asin.to_string(),
        or_dash(offer.price_minor),
        or_dash(offer.list_price_minor),
        offer.availability.to_string(),
        or_dash(offer.stock_quantity),
        or_dash(offer.seller_name.as_deref()),
        or_dash(offer.seller_id.as_deref()),
        or_dash(offer.fulfilment),
        or_dash(o.rating.rating_centi),
        or_dash(o.rating.ratings_count),
        or_dash(o.monthly_sold_min),
        or_dash(o.listing.brand.as_deref()),
        rank(o.rank.main()),
        rank(o.rank.leaf()),
    ];
    fields.join(" | ")
}

/// The table written by hand, without its heading.
fn expected_axesso() -> Vec<&'static str> {
    let table =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/apify/axesso-sample.expected.txt"));
    table.lines().filter(|line| !line.starts_with('#')).collect()
}

const AXESSO_SAMPLE: &str = "apify/axesso-amazon-product-details.25.json.gz";

#[test]
fn the_axesso_sample_becomes_the_table_written_by_hand() {
    let Some(items) = json_items(AXESSO_SAMPLE) else { return };
    let observations = observations(parse_all(&items, RecordFormat::Json, Shape::AxessoProduct, None));
    let lines: Vec<String> = observations.iter().map(line).collect();
    assert_eq!(lines, expected_axesso());
    assert_eq!(lines.len(), 25);
    for observation in &observations {
        assert_eq!(observation.marketplace, Marketplace::Us);
        assert!(observation.found);
        let offer = &observation.offer;
        assert_eq!(offer.buy_box_price_minor, None, "the page price is no buy-box price");
        assert_eq!(offer.shipping_minor, None, "the constant 0 is not free shipping");
        assert_eq!(offer.price_basis, offer.price_minor.map(|_| PriceBasis::Page));
        assert!(observation.listing.title.is_some() && observation.listing.image_url.is_some());
    }
    let ranked: Vec<_> = observations.iter().filter_map(|o| o.rank.main()).collect();
    let english = ranked.iter().filter(|rank| rank.category == "Electronics").count();
    assert_eq!((ranked.len(), english), (22, 21));
    let same = |rank: &&&crate::model::Rank| {
        crate::model::text::canonical_category(Marketplace::Us, &rank.category, rank.is_main) == "Electronics"
    };
    assert_eq!(ranked.iter().filter(same).count(), 22);
}

#[test]
fn every_axesso_listing_is_whole() {
    let Some(items) = json_items(AXESSO_SAMPLE) else { return };
    for (item, observation) in
        items.iter().zip(observations(parse_all(&items, RecordFormat::Json, Shape::AxessoProduct, None)))
    {
        let raw: serde_json::Value = serde_json::from_slice(item).unwrap();
        let count = |key: &str| raw[key].as_array().map_or(0, Vec::len);
        let listing = &observation.listing;
        assert_eq!(listing.bullets.len(), count("features"));
        assert_eq!(listing.images.len(), count("imageUrlList"));
        assert_eq!(listing.category_path.len(), count("categoriesExtended"));
        let in_variations = |asin: &Asin| raw["variations"].to_string().contains(asin.as_str());
        assert!(listing.variants.iter().all(in_variations));
        assert!(!listing.variants.contains(&observation.asin));
        assert_eq!(listing.variants.is_empty(), count("variations") == 0, "{}", observation.asin);
    }
}

#[test]
fn the_reviews_sample_gives_twenty_reviews_and_no_rating() {
    let Some(items) = json_items("apify/axesso-amazon-reviews.20.json") else { return };
    for item in &items {
        assert_eq!(recognise(RecordFormat::Json, item).kind, "reviews");
    }
    let parsed = parse_all(&items, RecordFormat::Json, Shape::AxessoReview, None);
    assert!(parsed.iter().all(|parsed| parsed.observations.is_empty()));
    let reviews: Vec<Review> = parsed.into_iter().flat_map(|parsed| parsed.reviews).collect();
    assert_eq!(reviews.len(), 20);
    for review in &reviews {
        assert_eq!(review.list_filter.as_deref(), Some("one_star"));
        assert_eq!((review.rating_centi, review.verified), (Some(100), Some(true)));
        assert!(review.title.is_some() && review.body.is_some());
    }
    let first = &reviews[0];
    assert_eq!((first.review_id.as_str(), first.asin.as_str()), ("RTWF9WBI6UMQG", "B09JVCL7JR"));
    assert_eq!(first.reviewed_on.map(|day| day.to_string()).as_deref(), Some("2025-09-03"));
    let most_helpful = reviews.iter().max_by_key(|review| review.helpful_count).unwrap();
    assert_eq!((most_helpful.review_id.as_str(), most_helpful.helpful_count), ("R1IB0SCNMHJ51O", Some(449)));
    let dated: Vec<String> =
        reviews.iter().filter_map(|review| review.reviewed_on).map(|day| day.to_string()).collect();
    assert_eq!((dated.len(), dated.iter().min().unwrap().as_str()), (20, "2023-06-29"));
    let kept = format!("{reviews:?}");
    assert!(!kept.contains("reviewer-0"), "authors are not kept");
}

/// How many observations have each availability, and sums that another tool computed from the payload.
fn totals(observations: &[Observation]) -> String {
    let mut availability: BTreeMap<&str, usize> = BTreeMap::new();
    for observation in observations {
        *availability.entry(observation.offer.availability.as_str()).or_default() += 1;
    }
    let family = |value: fn(&Observation) -> Option<i64>| {
        let values: Vec<i64> = observations.iter().filter_map(value).collect();
        format!("{}/{}", values.len(), values.iter().sum::<i64>())
    };
    format!(
        "price {} list {} rating {} ratings {} stock {} bsr {} brands {} {availability:?}",
        family(|o| o.offer.price_minor),
        family(|o| o.offer.list_price_minor).split('/').next().unwrap_or_default(),
        family(|o| o.rating.rating_centi),
        family(|o| o.rating.ratings_count),
        family(|o| o.offer.stock_quantity),
        family(|o| o.rank.main().map(|rank| rank.rank)),
        observations.iter().filter(|o| o.listing.brand.is_some()).count(),
    )
}

#[test]
fn the_free_junglee_sample_prefers_the_text_over_the_flag() {
    let Some(items) = json_items("apify/junglee-free-amazon-product-scraper.50.json.gz") else { return };
    let observations = observations(parse_all(&items, RecordFormat::Json, Shape::JungleeProduct, None));
    assert_eq!(
        totals(&observations),
        "price 12/139879 list 3 rating 48/21150 ratings 48/500791 stock 6/35 bsr 0/0 brands 50 \
         {\"in_stock\": 41, \"low_stock\": 6, \"ships_later\": 1, \"unavailable\": 1, \"unknown\": 1}"
    );
    let coupons = observations.iter().filter(|o| o.offer.coupon_pct.is_some()).count();
    let amounts: Vec<i64> = observations.iter().filter_map(|o| o.offer.coupon_minor).collect();
    assert_eq!((coupons, amounts), (10, vec![2000]));
    let variants: usize = observations.iter().map(|o| o.listing.variants.len()).sum();
    let bullets: usize = observations.iter().map(|o| o.listing.bullets.len()).sum();
    assert_eq!((variants, bullets), (99, 287));
}

#[test]
fn the_short_junglee_sample_is_read_from_json_and_lines_alike() {
    let Some(items) = json_items("apify/junglee-amazon-crawler.50.json") else { return };
    let from_json = observations(parse_all(&items, RecordFormat::Json, Shape::JungleeProduct, None));
    assert_eq!(
        totals(&from_json),
        "price 50/128903 list 0 rating 49/21390 ratings 49/591812 stock 0/0 bsr 0/0 brands 50 {\"unknown\": 50}"
    );
    assert!(from_json.iter().all(|o| o.marketplace == Marketplace::Us && o.listing.category_path.len() > 1));
    let lines = String::from_utf8(read("files/apify-amazon-crawler.50.ndjson").unwrap()).unwrap();
    let lines: Vec<Vec<u8>> = lines.lines().map(|line| line.as_bytes().to_vec()).collect();
    assert_eq!(observations(parse_all(&lines, RecordFormat::Json, Shape::JungleeProduct, None)), from_json);
}

#[test]
fn the_slash_columns_of_the_bestsellers_sample_are_folded_back() {
    let Some(rows) = table_rows("files/apify-bestsellers.slash-columns.100.csv.gz") else { return };
    let observations =
        observations(parse_all(&rows, RecordFormat::Csv, Shape::ApifyCsv, Some(Marketplace::Us)));
    assert_eq!(
        totals(&observations),
        "price 70/450195 list 0 rating 0/0 ratings 0/0 stock 0/0 bsr 0/0 brands 69 {\"unknown\": 100}"
    );
    assert_eq!(observations.iter().map(|o| o.listing.bullets.len()).sum::<usize>(), 664);
    assert_eq!(observations[0].listing.brand.as_deref(), Some("Apple"));
    let bullets = &observations[0].listing.bullets;
    assert_eq!(bullets[9], "Make AirTag yours with a range of colorful accessories, sold separately");
}

#[test]
fn the_keepa_exports_are_read_with_the_operators_marketplace() {
    let keepa = |path: &str| {
        let rows = table_rows(path)?;
        let parsed = parse_all(&rows, RecordFormat::Csv, Shape::KeepaExportCsv, Some(Marketplace::De));
        Some(observations(parsed))
    };
    let Some(bluray) = keepa("files/keepa-export.de.bluray.32.csv") else { return };
    assert_eq!(
        totals(&bluray),
        "price 32/1203418 list 26 rating 31/13610 ratings 0/0 stock 26/7454 bsr 31/3402964 brands 32 \
         {\"in_stock\": 32}"
    );
    let buy_boxes = |observations: &[Observation]| {
        observations.iter().filter(|o| o.offer.price_basis == Some(PriceBasis::BuyBox)).count()
    };
    let by_amazon = |observations: &[Observation]| {
        observations.iter().filter(|o| o.offer.seller_name.as_deref() == Some("Amazon")).count()
    };
    assert_eq!((buy_boxes(&bluray), by_amazon(&bluray)), (28, 17));
    let first = bluray[0].rank.main().unwrap();
    assert_eq!((first.rank, first.category.as_str()), (712, "CE"));
    assert_eq!(bluray[0].rank.path_leaf.as_deref(), Some("Blu-ray-Player"));
    let roots = bluray.iter().filter_map(|o| o.rank.main());
    let roots = roots
        .map(|rank| crate::model::text::canonical_category(Marketplace::De, &rank.category, rank.is_main));
    assert_eq!(roots.filter(|root| root == "Electronics").count(), 29);

    let processors = keepa("files/keepa-export.de.processors.627.csv.gz").unwrap();
    assert_eq!(
        totals(&processors),
        "price 625/21647187 list 456 rating 627/283850 ratings 0/0 stock 281/3615 bsr 449/85842954 brands 627 \
         {\"in_stock\": 625, \"unknown\": 2}"
    );
    assert_eq!((buy_boxes(&processors), by_amazon(&processors)), (442, 40));
    assert_eq!(processors.iter().filter(|o| o.offer.availability == Availability::Unknown).count(), 2);
}
