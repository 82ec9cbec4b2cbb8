//! Real payloads of the providers through the whole program: what goes in as files comes out as exports.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use crate::sandbox::{Sandbox, answers};

const AXESSO: &str = "apify/axesso-amazon-product-details.25.json.gz";
const REVIEWS: &str = "apify/axesso-amazon-reviews.20.json";
const JUNGLEE: &str = "apify/junglee-free-amazon-product-scraper.50.json.gz";
const JUNGLEE_SHORT: &str = "apify/junglee-amazon-crawler.50.json";

/// The samples' folder; null when it is absent, which is said.
fn samples() -> Option<PathBuf> {
    let root = std::env::var_os("AMZCTL_SAMPLES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples"), PathBuf::from);
    if !root.is_dir() {
        println!("skipped: samples not found");
        return None;
    }
    Some(root.canonicalize().unwrap())
}

/// A database with these samples in it, captured on 2025-09-11; null when they are absent.
fn with_samples(names: &[&str]) -> Option<Sandbox> {
    let root = samples()?;
    let sandbox = Sandbox::initialised();
    let files: Vec<String> = names.iter().map(|name| root.join(name).display().to_string()).collect();
    for stage in
        [&format!("ingest -q {} --captured-at 2025-09-11", files.join(" ")), "normalize -q", "build-mart -q"]
    {
        sandbox.succeed(stage);
    }
    Some(sandbox)
}

/// The text of a compressed sample.
fn plain(name: &str) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(samples().unwrap().join(name)).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

/// The rows of an export by column name; nothing for an empty cell.
type Row = BTreeMap<String, String>;

fn export(sandbox: &Sandbox, table: &str) -> Vec<Row> {
    let text = sandbox.succeed(&format!("export {table} --format csv --raw"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let row = |record: csv::StringRecord| {
        let cells = names.iter().cloned().zip(record.iter().map(str::to_owned));
        cells.filter(|(_, value)| !value.is_empty()).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

fn find<'r>(rows: &'r [Row], asin: &str) -> &'r Row {
    rows.iter().find(|row| row["asin"] == asin).unwrap_or_else(|| panic!("{asin} is missing"))
}

/// A day's figures in the notation of the table written by hand.
fn line(day: &Row, product: &Row) -> String {
    let or_dash = |row: &Row, name: &str| row.get(name).cloned().unwrap_or_else(|| "-".to_owned());
    let of_day = |name| or_dash(day, name);
    let rank = |rank: &str, category: &str| match day.get(rank) {
        Some(number) => format!("{number} {}", day[category]),
        None => "-".to_owned(),
    };
    [
        of_day("asin"),
        of_day("price_minor"),
        of_day("list_price_minor"),
        of_day("availability"),
        of_day("stock_quantity"),
        of_day("seller_name"),
        of_day("seller_id"),
        of_day("fulfilment"),
        of_day("rating_centi"),
        of_day("ratings_count"),
        of_day("monthly_sold_min"),
        or_dash(product, "brand"),
        rank("bsr", "bsr_category"),
        rank("bsr_leaf", "bsr_leaf_category"),
    ]
    .join(" | ")
}

#[test]
fn the_axesso_sample_comes_out_as_the_table_written_by_hand() {
    let Some(sandbox) = with_samples(&[AXESSO]) else { return };
    let (daily, products) = (export(&sandbox, "daily"), export(&sandbox, "products"));
    let table = include_str!("../fixtures/apify/axesso-sample.expected.txt");
    let mut expected: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    expected.sort_unstable();
    let lines: Vec<String> = daily.iter().map(|day| line(day, find(&products, &day["asin"]))).collect();
    assert_eq!(lines, expected);
    assert_eq!((lines.len(), products.len()), (25, 25));
    for day in &daily {
        assert_eq!(
            (day["day"].as_str(), day["currency"].as_str(), day["source"].as_str()),
            ("2025-09-11", "USD", "apify")
        );
        assert!(!day.contains_key("buy_box_price_minor"), "the page price is no buy-box price: {day:?}");
        assert_eq!(day.get("price_basis").map(String::as_str), day.get("price_minor").map(|_| "page"));
    }

    let ranked: Vec<&Row> = daily.iter().filter(|day| day.contains_key("bsr")).collect();
    let in_english = ranked.iter().filter(|day| day["bsr_category"] == "Electronics").count();
    let in_chinese = ranked.iter().filter(|day| day["bsr_category"] == "電子").count();
    assert_eq!((ranked.len(), in_english, in_chinese), (22, 21, 1));
    let ranks = export(&sandbox, "ranks");
    assert_eq!(ranks.iter().filter(|rank| rank["is_main"] == "true").count(), 22);
    let brands: std::collections::BTreeSet<&str> = products.iter().map(|row| row["brand"].as_str()).collect();
    for word in ["Visit", "Store", "Brand", "品牌"] {
        assert!(brands.iter().all(|brand| !brand.contains(word)), "{brands:?}");
    }
}

#[test]
fn reviews_are_kept_and_never_averaged_into_a_rating() {
    let Some(alone) = with_samples(&[REVIEWS]) else { return };
    let reviews = export(&alone, "reviews");
    assert_eq!(reviews.len(), 20);
    assert!(
        reviews.iter().all(|review| review["rating_centi"] == "100" && review["list_filter"] == "one_star")
    );
    for table in ["daily", "observations", "products", "latest"] {
        assert_eq!(export(&alone, table), Vec::<Row>::new(), "{table}");
    }
    let text = alone.succeed("export reviews --format json --raw");
    assert!(!text.contains("reviewer-"), "authors are not kept");

    // Beside the products the rating stays the page's: 20 reviews of one star change nothing.
    let Some(both) = with_samples(&[AXESSO, REVIEWS]) else { return };
    let reviewed = find(&export(&both, "daily"), "B09JVCL7JR").clone();
    assert_eq!((reviewed["rating_centi"].as_str(), reviewed["ratings_count"].as_str()), ("380", "12604"));
}

#[test]
fn the_junglee_samples_keep_an_unknown_price_unknown() {
    let Some(sandbox) = with_samples(&[JUNGLEE]) else { return };
    let daily = export(&sandbox, "daily");
    let with = |name: &str| daily.iter().filter(|day| day.contains_key(name)).count();
    let sum = |name: &str| daily.iter().filter_map(|day| day.get(name)?.parse::<i64>().ok()).sum::<i64>();
    assert_eq!((daily.len(), with("price_minor"), sum("price_minor")), (50, 12, 139_879));
    assert_eq!((with("rating_centi"), sum("rating_centi"), sum("ratings_count")), (48, 21_150, 500_791));
    assert_eq!((with("buy_box_price_minor"), with("bsr")), (0, 0));
    assert!(daily.iter().all(|day| day["currency"] == "USD"), "the dollar of amazon.com");
    let mut availability: BTreeMap<&str, usize> = BTreeMap::new();
    for day in &daily {
        *availability.entry(&day["availability"]).or_default() += 1;
    }
    // `inStock` says false of 38; what the page's own text says wins.
    let expected =
        [("in_stock", 41), ("low_stock", 6), ("ships_later", 1), ("unavailable", 1), ("unknown", 1)];
    assert_eq!(availability, BTreeMap::from(expected));

    let Some(short) = with_samples(&[JUNGLEE_SHORT]) else { return };
    let daily = export(&short, "daily");
    let sum: i64 = daily.iter().map(|day| day["price_minor"].parse::<i64>().unwrap()).sum();
    assert_eq!((daily.len(), sum), (50, 128_903));
}

#[test]
fn the_same_samples_again_land_nothing_and_change_nothing() {
    let all = [AXESSO, REVIEWS, JUNGLEE_SHORT, JUNGLEE];
    let Some(sandbox) = with_samples(&all) else { return };
    let before = sandbox.succeed("verify --hash --tables");
    let root = samples().unwrap();
    let files: Vec<String> = all.iter().map(|name| root.join(name).display().to_string()).collect();
    let again = sandbox.run(&format!("run {} --captured-at 2025-09-11", files.join(" ")));
    assert!(again.starts_with("exit 0\n"), "{again}");
    for said in
        ["4 files (4 already read), 0 records, 0 landed", "normalize: nothing new", "build-mart: nothing new"]
    {
        assert!(again.contains(said), "{again}");
    }
    assert_eq!(sandbox.succeed("verify --hash --tables"), before);

    // The same records in another order, in another file, are the same receipts.
    let plain = plain(AXESSO);
    let mut items: Vec<&RawValue> = serde_json::from_str(&plain).unwrap();
    items.reverse();
    sandbox.write("reversed.json", serde_json::to_string(&items).unwrap());
    answers!(sandbox.run("ingest reversed.json --captured-at 2025-09-11"), @r#"
    exit 0
    --- stderr
    ingest: 1 file, 25 records, 0 landed, 25 already there
    "#);
    assert_eq!(sandbox.exit_code("run"), 0);
    assert_eq!(sandbox.succeed("verify --hash --tables"), before);
    // Everything read again gives the same facts; a mart built anew the same rows.
    sandbox.succeed("normalize -q --replay");
    sandbox.succeed("build-mart -q --full");
    assert_eq!(sandbox.succeed("verify --hash --tables"), before);
    assert_eq!(sandbox.exit_code("verify"), 0);
}

#[test]
fn a_figure_is_explained_down_to_the_bytes_it_was_read_from() {
    let Some(sandbox) = with_samples(&[AXESSO]) else { return };
    let told = sandbox.succeed("explain US:B0FM2YDLHP --field bsr");
    assert!(told.contains("304 in Electronics") && told.contains("raw       sha256 "), "{told}");
    assert!(told.contains("axesso-amazon-product-details.25.json.gz, line "), "{told}");

    let plain = plain(AXESSO);
    let items: Vec<&RawValue> = serde_json::from_str(&plain).unwrap();
    let is_it = |item: &&&RawValue| {
        serde_json::from_str::<serde_json::Value>(item.get()).unwrap()["asin"] == "B0FM2YDLHP"
    };
    let item = items.iter().find(is_it).unwrap();
    let output = sandbox.command("explain US:B0FM2YDLHP --raw").output().unwrap();
    assert!(output.stdout == item.get().as_bytes(), "the payload's own bytes");

    let document: serde_json::Value =
        serde_json::from_str(&sandbox.succeed("explain US:B0FM2YDLHP --json")).unwrap();
    let evidence = &document["days"][0]["evidence"][0];
    assert_eq!(evidence["body_bytes"], item.get().len());
    let offset = evidence["file_offset"].as_u64().unwrap() as usize;
    assert!(plain[offset..].starts_with(item.get()), "the place in the file is the record's");
    // The figure that the payload says and the figure that comes out.
    assert!(item.get().contains("#304 in Electronics"));
    assert_eq!(document["days"][0]["row"]["rank"]["ranks"][0]["rank"], 304);
}
