//! The stage on a real database and a real lake.

use std::collections::BTreeMap;
use std::fs;

use polars::prelude::*;

use super::*;
use crate::lake::{LakeFinding, Table, read_days, read_product, verify};
use crate::model::{Asin, Marketplace, ProductKey};
use crate::store::mart::ServedDays as _;
use crate::store::ops::Identity;

/// A database with an identity, a lake beside it, and the days it was given.
struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
    lake: Lake,
}

/// One daily row: what a test does not name is unknown.
#[derive(Clone, Debug)]
struct Seen {
    marketplace: &'static str,
    asin: String,
    day: Day,
    price: Option<i64>,
    seller: Option<String>,
    availability: &'static str,
    /// (id, name, rank), the main one first.
    ranks: Vec<(Option<&'static str>, &'static str, i64)>,
    rating: Option<i64>,
    ratings_count: Option<i64>,
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn seen(asin: &str, on: &str, price: i64) -> Seen {
    Seen {
        marketplace: "US",
        asin: asin.to_owned(),
        day: day(on),
        price: Some(price),
        seller: None,
        availability: "in_stock",
        ranks: Vec::new(),
        rating: None,
        ratings_count: None,
    }
}

fn options() -> Options {
    Options {
        range: None,
        full: false,
        compact: false,
        vacuum_now: false,
        delta: true,
        damaged: Vec::new(),
        dry_run: false,
        publish_days: 35,
        memory: None,
        zone: ReportingZone(chrono_tz::UTC),
    }
}

impl Fixture {
    async fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::testing::fresh_store(folder.path()).await;
        let identity = Identity {
            database_uuid: "d1".into(),
            lake_epoch: "e1".into(),
            zone: "UTC".into(),
            created_at: crate::model::Timestamp::UNIX_EPOCH,
        };
        store.identify(&identity).await.unwrap();
        let lake = Lake::new(folder.path().join("lake"));
        Fixture { folder, store, lake }
    }

    /// Writes daily rows with their ranks, as one change.
    async fn put(&self, rows: &[Seen]) {
        let mut tx = self.store.begin().await.unwrap();
        let seq = self.store.mark("changed_seq").await.unwrap() + 1;
        crate::store::ops::set_mark(&mut tx, "changed_seq", seq).await.unwrap();
        for row in rows {
            let main = row.ranks.first();
            let leaf = row.ranks.get(1);
            let (marketplace, asin, day) = (row.marketplace, &row.asin, row.day);
            let text = |value: Option<&str>| value.map_or("NULL".to_owned(), |value| format!("'{value}'"));
            let number = |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
            tx.run_script(format!(
                "DELETE FROM product_metrics_daily WHERE marketplace = '{marketplace}' AND asin = '{asin}' AND day = '{day}';
                 DELETE FROM ranks WHERE marketplace = '{marketplace}' AND asin = '{asin}' AND day = '{day}';
                 INSERT INTO product_metrics_daily (marketplace, asin, day, observed_at, currency,
                     price_minor, price_basis, seller_id, availability, bsr, bsr_category, bsr_category_id, bsr_leaf,
                     bsr_leaf_category, bsr_leaf_category_id, rating_centi, ratings_count, observations, source,
                     sources)
                 VALUES ('{marketplace}', '{asin}', '{day}', {}, 'USD', {}, {}, {}, '{}', {}, {}, {}, {}, {}, {}, {}, {},
                     1, 'file', 'file')",
                i64::from(row.day.no()) * 86_400_000_000,
                number(row.price),
                text(row.price.map(|_| "page")),
                text(row.seller.as_deref()),
                row.availability,
                number(main.map(|rank| rank.2)),
                text(main.map(|rank| rank.1)),
                text(main.and_then(|rank| rank.0)),
                number(leaf.map(|rank| rank.2)),
                text(leaf.map(|rank| rank.1)),
                text(leaf.and_then(|rank| rank.0)),
                number(row.rating),
                number(row.ratings_count),
            ))
            .await
            .unwrap();
            for (ordinal, (id, name, rank)) in row.ranks.iter().enumerate() {
                let (is_main, is_leaf) = (i32::from(ordinal == 0), i32::from(ordinal == 1));
                let id = text(*id);
                tx.run_script(format!(
                    "INSERT INTO ranks VALUES ('{marketplace}', '{asin}', '{day}', {ordinal}, {id}, '{name}', {rank},
                         {is_main}, {is_leaf})"
                ))
                .await
                .unwrap();
            }
            mark_changed(&mut tx, row.marketplace, row.day, seq).await;
        }
        tx.commit().await.unwrap();
    }

    /// Takes a daily row back.
    async fn remove(&self, asin: &str, on: &str) {
        let mut tx = self.store.begin().await.unwrap();
        let seq = self.store.mark("changed_seq").await.unwrap() + 1;
        crate::store::ops::set_mark(&mut tx, "changed_seq", seq).await.unwrap();
        tx.run_script(format!("DELETE FROM product_metrics_daily WHERE asin = '{asin}' AND day = '{on}'"))
            .await
            .unwrap();
        mark_changed(&mut tx, "US", day(on), seq).await;
        tx.commit().await.unwrap();
    }

    async fn build(&self, options: &Options) -> Summary {
        run(&self.store, &self.lake, Clock::System, &CancelToken::default(), &|_| {}, options).await.unwrap()
    }

    /// Marks the lake as another's.
    fn mark_lake(&self, database: &str, epoch: &str) {
        let marker = format!(r#"{{"database_uuid":"{database}","lake_epoch":"{epoch}"}}"#);
        fs::write(self.lake.root().join("amzctl-lake.json"), marker).unwrap();
    }

    /// Why the deltas cannot be read.
    async fn refusal(&self) -> String {
        let range = DayRange { first: day("2000-01-01"), last: day("2100-01-01") };
        let read = read_days(&self.store, &self.lake, Table::Deltas, Marketplace::Us, range, &[]).await;
        read.unwrap_err().to_string().replace(&self.lake.root().display().to_string(), "[LAKE]")
    }

    /// All rows of a table, sorted, one line each.
    async fn rows(&self, table: Table, marketplace: Marketplace) -> Vec<String> {
        let range = DayRange { first: day("2000-01-01"), last: day("2100-01-01") };
        let frame = read_days(&self.store, &self.lake, table, marketplace, range, &[]).await.unwrap();
        let mut rows = lines(&frame);
        rows.sort();
        rows
    }

    async fn everything(&self) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::new();
        for table in Table::ALL {
            for marketplace in [Marketplace::Us, Marketplace::De] {
                all.insert(format!("{} {marketplace}", table.name()), self.rows(table, marketplace).await);
            }
        }
        all
    }

    /// Hashes of the tables that are served from the database.
    async fn served(&self) -> Vec<(String, u64, String)> {
        let tables = ["deltas", "rollups", "rollup_sellers", "daily_aggregates", "category_metrics"];
        let hashes = self.store.hash_state().await.unwrap();
        hashes
            .into_iter()
            .filter(|hash| tables.contains(&hash.table.as_str()))
            .map(|hash| (hash.table, hash.rows, hash.sha256))
            .collect()
    }

    /// Hash of the only file of each month that is closed.
    async fn closed_months(&self) -> BTreeMap<String, Vec<String>> {
        let state = self.store.lake_state().await.unwrap();
        let mut months: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in state.files {
            let newest = self.store.newest_day(Some(file.marketplace)).await.unwrap().unwrap();
            if file.month < newest.month() {
                let key = format!("{} {} {}", file.table, file.marketplace, file.month);
                months.entry(key).or_default().push(file.sha256);
            }
        }
        months
    }
}

async fn mark_changed(tx: &mut crate::store::Tx, marketplace: &str, day: Day, seq: i64) {
    tx.run_script(format!(
        "INSERT INTO changed_days VALUES ('{marketplace}', '{day}', {seq})
         ON CONFLICT (marketplace, day) DO UPDATE SET changed_seq = excluded.changed_seq"
    ))
    .await
    .unwrap();
}

/// `column=value` of every known value, row by row; floats by their bits.
fn lines(frame: &DataFrame) -> Vec<String> {
    let names = frame.get_column_names();
    let cell = |column: &Column, row: usize| match column.get(row).unwrap() {
        AnyValue::Null => None,
        AnyValue::Float64(value) => Some(format!("{:016x}", value.to_bits())),
        other => Some(other.to_string()),
    };
    (0..frame.height())
        .map(|row| {
            let cells = names.iter().zip(frame.columns());
            cells
                .filter_map(|(name, column)| cell(column, row).map(|value| format!("{name}={value}")))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

/// A reproducible sequence of numbers.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Products of two marketplaces with gaps, missing values, changing sellers, categories and languages.
fn market(seed: u64, products: usize, first: &str, days: i32) -> BTreeMap<Day, Vec<Seen>> {
    let mut lcg = Lcg(seed);
    let mut all: BTreeMap<Day, Vec<Seen>> = BTreeMap::new();
    for product in 0..products {
        let marketplace = if product % 3 == 0 { "DE" } else { "US" };
        let asin = format!("B{:09}", (product as u64 * 7919 + seed) % 1_000_000_000);
        let mut price = 1000 + lcg.below(5000) as i64;
        for on in 0..days {
            if lcg.below(10) < 2 {
                continue;
            }
            price = (price + lcg.below(200) as i64 - 100).max(1);
            if lcg.below(50) == 0 {
                price *= 4;
            }
            let mut row = seen(&asin, first, price);
            row.marketplace = marketplace;
            row.day = day(first).plus(on);
            row.price = Some(price).filter(|_| lcg.below(8) > 0);
            row.seller = (lcg.below(5) > 0).then(|| format!("S{}", lcg.below(3)));
            row.availability = ["in_stock", "low_stock", "unavailable", "no_featured_offer", "unknown"]
                [lcg.below(5) as usize];
            if lcg.below(6) > 0 {
                let leaf = [(Some("77"), "Earbuds"), (None, "Earbuds"), (Some("78"), "Headphones")]
                    [lcg.below(3) as usize];
                row.ranks = vec![
                    (None, "Electronics", 1 + lcg.below(9000) as i64),
                    (leaf.0, leaf.1, 1 + lcg.below(90) as i64),
                ];
            }
            row.rating = (lcg.below(4) > 0).then(|| 380 + lcg.below(100) as i64);
            row.ratings_count = (lcg.below(4) > 0).then(|| 100 + i64::from(on));
            all.entry(row.day).or_default().push(row);
        }
    }
    all
}

#[tokio::test]
async fn a_second_run_writes_nothing() {
    let fixture = Fixture::new().await;
    fixture.put(&[seen("B000000001", "2026-02-01", 1000), seen("B000000001", "2026-02-02", 1100)]).await;
    let first = fixture.build(&options()).await;
    assert_eq!((first.days_built, first.delta_rows, first.rollup_rows), (2, 2, 3));
    let before = fixture.store.lake_state().await.unwrap();
    let second = fixture.build(&options()).await;
    assert!(second.is_nothing(), "{second:?}");
    let after = fixture.store.lake_state().await.unwrap();
    assert_eq!((after.files, after.generation), (before.files, before.generation));
    assert_eq!(verify(&fixture.store, &fixture.lake).await.unwrap(), []);
}

#[tokio::test]
async fn day_by_day_in_chunks_and_at_once_give_the_same_mart() {
    let days = market(7, 9, "2026-01-12", 40);
    let all: Vec<Vec<Seen>> = days.into_values().collect();
    let at_once = Fixture::new().await;
    at_once.put(&all.concat()).await;
    at_once.build(&Options { compact: true, ..options() }).await;

    let daily = Fixture::new().await;
    for rows in &all {
        daily.put(rows).await;
        daily.build(&options()).await;
    }
    daily.build(&Options { compact: true, ..options() }).await;

    // Chunks out of order: the middle comes last, as late data.
    let chunks = Fixture::new().await;
    for chunk in [&all[..10], &all[25..32], &all[10..25], &all[32..]] {
        chunks.put(&chunk.concat()).await;
        chunks.build(&options()).await;
    }
    chunks.build(&Options { compact: true, ..options() }).await;

    let expected = at_once.everything().await;
    assert!(expected["mart/rollups US"].len() > 400);
    let months = at_once.closed_months().await;
    assert!(months.len() == 2 * Table::ALL.len() && months.values().all(|files| files.len() == 1));
    for (name, other) in [("day by day", &daily), ("in chunks", &chunks)] {
        for (table, rows) in other.everything().await {
            assert_eq!(rows, expected[&table], "{table}, {name}");
        }
        assert_eq!(other.closed_months().await, months, "{name}");
        assert_eq!(other.served().await, at_once.served().await, "{name}");
        assert_eq!(verify(&other.store, &other.lake).await.unwrap(), []);
    }
}

#[tokio::test]
async fn sums_and_extremes_agree_with_sql_over_the_daily_rows() {
    let fixture = Fixture::new().await;
    let days = market(3, 6, "2025-11-20", 60);
    fixture.put(&days.into_values().collect::<Vec<_>>().concat()).await;
    fixture.build(&options()).await;
    for marketplace in [Marketplace::Us, Marketplace::De] {
        let range = DayRange { first: day("2025-01-01"), last: day("2026-12-31") };
        let columns = [
            "asin",
            "day_no",
            "window_days",
            "observed_days",
            "price_n",
            "price_sum",
            "price_min",
            "price_max",
            "bsr_sum",
        ];
        let frame = read_days(&fixture.store, &fixture.lake, Table::Rollups, marketplace, range, &columns)
            .await
            .unwrap();
        let mut computed = lines(&frame);
        computed.sort();
        // Numbered here: either engine has functions of its own for it.
        let numbered: Vec<String> =
            (0..60).map(|on| day("2025-11-20").plus(on)).map(|on| format!("('{on}', {})", on.no())).collect();
        let rows = fixture
            .store
            .lines(format!(
                "WITH w (n) AS (VALUES (7), (30), (90)), no (day, no) AS (VALUES {}),
                 d AS (SELECT asin, no.no AS day_no, price_minor AS p, bsr
                       FROM product_metrics_daily JOIN no ON no.day = product_metrics_daily.day
                       WHERE marketplace = '{marketplace}')
                 SELECT a.asin, a.day_no, w.n, COUNT(*), COUNT(b.p), CAST(SUM(b.p) AS BIGINT), MIN(b.p), MAX(b.p),
                   CAST(SUM(b.bsr) AS BIGINT)
                 FROM d a JOIN w ON 1 = 1 JOIN d b ON b.asin = a.asin AND b.day_no BETWEEN a.day_no - w.n + 1 AND a.day_no
                 GROUP BY a.asin, a.day_no, w.n HAVING COUNT(*) >= 2",
                numbered.join(", ")
            ))
            .await;
        let mut expected: Vec<String> = rows
            .iter()
            .map(|row| {
                let values = row.split(' ').zip(columns).filter(|(value, _)| *value != "-");
                let cell = |(value, name): (&str, &str)| match name {
                    "asin" => format!("asin=\"{value}\""),
                    _ => format!("{name}={value}"),
                };
                values.map(cell).collect::<Vec<_>>().join(" ")
            })
            .collect();
        expected.sort();
        assert!(!expected.is_empty());
        assert_eq!(computed, expected);
    }
}

#[tokio::test]
async fn a_window_of_unknown_prices_is_null_and_not_zero() {
    let fixture = Fixture::new().await;
    let mut rows = [seen("B000000001", "2026-02-01", 0), seen("B000000001", "2026-02-02", 0)];
    for row in &mut rows {
        row.price = None;
    }
    fixture.put(&rows).await;
    fixture.build(&options()).await;
    let served = "SELECT price_n, price_sum, price_avg, price_low, bsr_n, in_stock_days FROM rollups WHERE window_days = 7";
    assert_eq!(fixture.store.lines(served).await, ["0 - - - 0 2"]);
    let range = DayRange { first: day("2026-02-01"), last: day("2026-02-28") };
    let frame =
        read_days(&fixture.store, &fixture.lake, Table::Rollups, Marketplace::Us, range, &["price_sum"])
            .await
            .unwrap();
    assert_eq!(frame.column("price_sum").unwrap().null_count(), frame.height());
}

#[tokio::test]
async fn a_correction_in_a_compacted_month_rewrites_it_from_the_database() {
    let corrected = Fixture::new().await;
    let rows: Vec<Seen> = market(5, 4, "2026-01-20", 20).into_values().collect::<Vec<_>>().concat();
    corrected.put(&rows).await;
    corrected.build(&options()).await;
    let old = corrected.store.lake_state().await.unwrap().files;
    let mut late =
        rows.iter().find(|row| row.day == day("2026-01-25") && row.marketplace == "US").unwrap().clone();
    late.price = Some(77);
    corrected.put(std::slice::from_ref(&late)).await;
    let summary = corrected.build(&options()).await;
    assert_eq!(summary.sync.changed_days, 1);
    assert_eq!(summary.first_day, Some(day("2026-01-25")));
    let state = corrected.store.lake_state().await.unwrap();
    let kept = |table: Table, marketplace: Marketplace| {
        old.iter().any(|file| {
            file.table == table.name() && file.marketplace == marketplace && state.files.contains(file)
        })
    };
    assert!(kept(Table::Daily, Marketplace::De), "the other marketplace is not touched");

    let fresh = Fixture::new().await;
    let mut rows = rows;
    for row in &mut rows {
        if (row.asin.as_str(), row.day) == (late.asin.as_str(), late.day) {
            row.price = late.price;
        }
    }
    fresh.put(&rows).await;
    fresh.build(&options()).await;
    assert_eq!(corrected.everything().await, fresh.everything().await);
    assert_eq!(corrected.closed_months().await, fresh.closed_months().await);
    assert_eq!(corrected.served().await, fresh.served().await);
}

/// Paths of a table's files from a day on.
async fn files_from(fixture: &Fixture, table: Table, from: &str) -> Vec<String> {
    let files = fixture.store.lake_state().await.unwrap().files.into_iter();
    let files = files.filter(|file| file.table == table.name() && file.first_day_no >= day(from).no());
    files.map(|file| file.path).collect()
}

/// One product on most days of 13 months.
fn long_history() -> Vec<Seen> {
    let days = (0..400).filter(|on| on % 9 != 4).map(|on| day("2025-01-01").plus(on));
    let row = |on: Day| {
        let price = 1000 + i64::from(on.no() % 7);
        Seen { seller: Some("S1".to_owned()), ..seen("B000000001", &on.to_string(), price) }
    };
    days.map(row).collect()
}

#[tokio::test]
async fn a_changed_day_reaches_as_far_as_its_windows_and_the_pasts_that_it_changes() {
    let corrected =
        |price: i64| vec![Seen { seller: Some("S1".to_owned()), ..seen("B000000001", "2025-03-10", price) }];
    let late = vec![Seen { seller: Some("S1".to_owned()), ..seen("B000000001", "2025-03-09", 1003) }];
    let new_seller = vec![Seen { seller: Some("S2".to_owned()), ..seen("B000000001", "2025-03-10", 1003) }];
    let last = "2026-02-04";
    // (change, last day of changed deltas, later files of deltas written anew, later files of rollups)
    for (change, until, deltas_too, rollups_too) in [
        // Ninety days behind the end of March, at which the last 30 prices no longer are those of early March ...
        (corrected(1001), "2025-07-29", false, false),
        // ... and at which only a new extreme is remembered for good.
        (corrected(700), last, true, true),
        // Known days are counted for good, sellers remembered: deltas say so, rollups do not.
        (late, last, true, false),
        (new_seller, last, true, false),
    ] {
        let fixture = Fixture::new().await;
        fixture.put(&long_history()).await;
        fixture.build(&options()).await;
        let later = async |table: Table| files_from(&fixture, table, "2025-08-01").await;
        let (deltas, rollups) = (later(Table::Deltas).await, later(Table::Rollups).await);
        fixture.put(&change).await;
        let summary = fixture.build(&options()).await;
        assert_eq!(
            (summary.first_day, summary.last_day),
            (Some(change[0].day), Some(day(until))),
            "{change:?}"
        );
        assert_eq!(later(Table::Deltas).await != deltas, deltas_too, "{change:?}");
        assert_eq!(later(Table::Rollups).await != rollups, rollups_too, "{change:?}");
        let built = (fixture.everything().await, fixture.served().await);
        fixture.build(&Options { full: true, ..options() }).await;
        assert_eq!(built, (fixture.everything().await, fixture.served().await), "{change:?}");
    }
}

#[tokio::test]
async fn corrections_late_days_and_days_taken_back_give_the_mart_of_a_full_build() {
    for seed in 0..2 {
        let mut lcg = Lcg(seed + 100);
        let mut rows: Vec<Seen> = market(seed, 4, "2024-12-10", 260).into_values().flatten().collect();
        // Products that nobody sees any more keep the rollups of their last days.
        rows.retain(|row| !row.asin.ends_with('7') || row.day < day("2025-02-10"));
        let held_back: Vec<Seen> =
            (0..rows.len() / 12).map(|_| rows.swap_remove(lcg.below(rows.len() as u64) as usize)).collect();
        let (steps, whole) = (Fixture::new().await, Fixture::new().await);
        for fixture in [&steps, &whole] {
            fixture.put(&rows).await;
            fixture.build(&options()).await;
        }
        for (round, late) in held_back.chunks(held_back.len() / 2).enumerate() {
            let own: Vec<&Seen> = rows.iter().filter(|row| row.marketplace == "US").collect();
            // First what settles after some weeks, then what never does as well.
            let mut change: Vec<Seen> = (0..2)
                .map(|_| {
                    let early = own.iter().filter(|row| row.day < day("2025-02-20") && row.price.is_some());
                    let early: Vec<_> = early.collect();
                    let row = early[lcg.below(early.len() as u64) as usize];
                    Seen { price: row.price.map(|price| price + 1), ..(*row).clone() }
                })
                .collect();
            let taken_back =
                own[if round == 0 { own.len() - 1 } else { lcg.below(own.len() as u64) as usize }];
            if round > 0 {
                change.extend_from_slice(&late[..1 + lcg.below(late.len() as u64) as usize]);
                let mut row = rows[lcg.below(rows.len() as u64) as usize].clone();
                row.price = Some(1 + lcg.below(30_000) as i64).filter(|_| lcg.below(5) > 0);
                row.seller = Some(format!("S{}", lcg.below(4)));
                change.push(row);
            }
            for fixture in [&steps, &whole] {
                fixture.put(&change).await;
                fixture.remove(&taken_back.asin, &taken_back.day.to_string()).await;
            }
            steps.build(&options()).await;
            whole.build(&Options { full: true, ..options() }).await;
            let expected = whole.everything().await;
            for (table, rows) in steps.everything().await {
                assert_eq!(rows, expected[&table], "{table}, seed {seed}, round {round}");
            }
            assert_eq!(steps.served().await, whole.served().await, "seed {seed}, round {round}");
        }
    }
}

#[tokio::test]
async fn a_month_that_is_not_over_any_more_has_no_past() {
    let fixture = Fixture::new().await;
    fixture.put(&["2026-01-10", "2026-01-20", "2026-02-01"].map(|on| seen("B000000001", on, 1000))).await;
    fixture.build(&options()).await;
    assert_eq!(fixture.rows(Table::Pasts, Marketplace::Us).await.len(), 1);
    fixture.remove("B000000001", "2026-02-01").await;
    fixture.build(&options()).await;
    assert_eq!(fixture.rows(Table::Pasts, Marketplace::Us).await, Vec::<String>::new());
    let built = fixture.everything().await;
    fixture.build(&Options { full: true, ..options() }).await;
    assert_eq!(built, fixture.everything().await);
}

#[tokio::test]
async fn what_was_computed_from_another_past_than_was_written_is_computed_again_by_a_repair() {
    let (fixture, other) = (Fixture::new().await, Fixture::new().await);
    let rows = long_history();
    let (newest, earlier) = rows.split_last().unwrap();
    fixture.put(earlier).await;
    fixture.build(&options()).await;
    let mut cheaper = earlier.to_vec();
    cheaper[0].price = Some(500);
    other.put(&cheaper).await;
    other.build(&options()).await;
    for file in fixture.store.lake_state().await.unwrap().files {
        if file.table == Table::Pasts.name() {
            let bytes = fs::read(other.lake.path_of(&file)).unwrap();
            let listed =
                format!("UPDATE lake_files SET size_bytes = {} WHERE path = '{}'", bytes.len(), file.path);
            fixture.store.run_script(listed).await.unwrap();
            fs::write(fixture.lake.path_of(&file), bytes).unwrap();
        }
    }
    fixture.put(std::slice::from_ref(newest)).await;
    fixture.build(&options()).await;
    let (store, lake) = (&fixture.store, &fixture.lake);
    let low = async || {
        let columns = ["price_low_all"];
        let range = DayRange { first: newest.day, last: newest.day };
        let frame = read_days(store, lake, Table::Rollups, Marketplace::Us, range, &columns).await.unwrap();
        frame.column("price_low_all").unwrap().i64().unwrap().min()
    };
    assert_eq!(low().await, Some(500), "the past was misread");
    let cancel = CancelToken::default();
    crate::stages::repair::run(store, lake, Clock::System, &cancel, &|_| {}, &options()).await.unwrap();
    assert_eq!(low().await, Some(1000));
    let repaired = (fixture.everything().await, fixture.served().await);
    fixture.build(&Options { full: true, ..options() }).await;
    assert_eq!(repaired, (fixture.everything().await, fixture.served().await));
}

#[tokio::test]
async fn a_row_taken_back_gives_the_older_rollups_again() {
    let fixture = Fixture::new().await;
    fixture
        .put(&[
            seen("B000000001", "2026-02-01", 1000),
            seen("B000000001", "2026-02-02", 1100),
            seen("B000000002", "2026-02-05", 500),
            seen("B000000001", "2026-02-06", 1200),
            seen("B000000002", "2026-02-06", 500),
        ])
        .await;
    fixture.build(&options()).await;
    let newest = "SELECT DISTINCT as_of FROM rollups WHERE asin = 'B000000001'";
    assert_eq!(fixture.store.lines(newest).await, ["2026-02-06"]);
    fixture.remove("B000000001", "2026-02-06").await;
    fixture.build(&options()).await;
    assert_eq!(fixture.store.lines(newest).await, ["2026-02-02"]);
    assert_eq!(fixture.store.lines("SELECT 1 FROM deltas").await.len(), 4);
    assert_eq!(verify(&fixture.store, &fixture.lake).await.unwrap(), []);
}

#[tokio::test]
async fn a_deleted_or_cut_file_is_noticed_and_written_again() {
    let fixture = Fixture::new().await;
    let rows = market(11, 4, "2026-01-20", 20);
    fixture.put(&rows.into_values().collect::<Vec<_>>().concat()).await;
    fixture.build(&options()).await;
    let expected = fixture.everything().await;
    let files = fixture.store.lake_state().await.unwrap().files;
    for table in [Table::Daily, Table::Rollups] {
        let file = files.iter().find(|file| file.table == table.name()).unwrap();
        fs::remove_file(fixture.lake.path_of(file)).unwrap();
    }
    let cut = files.iter().find(|file| file.table == Table::Deltas.name()).unwrap();
    fs::write(fixture.lake.path_of(cut), b"PAR1").unwrap();
    assert_eq!(verify(&fixture.store, &fixture.lake).await.unwrap().len(), 3);

    let summary = fixture.build(&options()).await;
    assert_eq!(summary.files_repaired, 3);
    assert_eq!(fixture.everything().await, expected);
    assert_eq!(verify(&fixture.store, &fixture.lake).await.unwrap(), []);
    // Nothing changed, so there is nothing for alerts to judge anew.
    assert_eq!(summary.days_built, 0);
}

#[tokio::test]
async fn a_flipped_byte_is_found_by_verify() {
    let fixture = Fixture::new().await;
    fixture.put(&[seen("B000000001", "2026-02-01", 1000)]).await;
    fixture.build(&options()).await;
    let file = fixture.store.lake_state().await.unwrap().files.remove(0);
    let path = fixture.lake.path_of(&file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let findings = verify(&fixture.store, &fixture.lake).await.unwrap();
    assert_eq!(findings, [LakeFinding::HashDiffers { path: file.path }]);
}

#[tokio::test]
async fn the_lake_of_before_a_restore_is_not_read_and_written_anew() {
    let fixture = Fixture::new().await;
    fixture.put(&[seen("B000000001", "2026-02-01", 1000), seen("B000000001", "2026-02-02", 1000)]).await;
    fixture.build(&options()).await;
    let expected = fixture.everything().await;
    fixture.mark_lake("d1", "e0");
    assert_eq!(fixture.refusal().await, "the lake in [LAKE] was not written by this database as it is now");
    let summary = fixture.build(&options()).await;
    assert!(summary.lake_rebuilt.unwrap().contains("not this database's"));
    assert_eq!(fixture.everything().await, expected);
    assert_eq!(fixture.build(&options()).await.lake_rebuilt, None);
}

#[tokio::test]
async fn the_lake_of_another_database_is_neither_read_nor_taken_over() {
    let fixture = Fixture::new().await;
    fixture.put(&[seen("B000000001", "2026-02-01", 1000), seen("B000000001", "2026-02-02", 1000)]).await;
    fixture.build(&options()).await;
    let expected = fixture.everything().await;
    fixture.mark_lake("other", "e1");
    assert_eq!(fixture.refusal().await, "the lake in [LAKE] belongs to another database");
    let refused =
        run(&fixture.store, &fixture.lake, Clock::System, &CancelToken::default(), &|_| {}, &options()).await;
    assert!(matches!(refused.unwrap_err().downcast_ref(), Some(LakeError::OfAnother(_))));
    assert!(!fixture.store.lake_state().await.unwrap().files.is_empty(), "a refusal forgets nothing");

    for folder in ["core", "mart"] {
        fs::remove_dir_all(fixture.lake.root().join(folder)).unwrap();
    }
    assert!(fixture.build(&options()).await.lake_rebuilt.is_some(), "an emptied folder may be taken");
    assert_eq!(fixture.everything().await, expected);
}

#[tokio::test]
async fn files_written_but_not_published_change_nothing_and_are_vacuumed() {
    let fixture = Fixture::new().await;
    fixture.put(&[seen("B000000001", "2026-02-01", 1000), seen("B000000001", "2026-02-02", 1000)]).await;
    fixture.build(&options()).await;
    let expected = fixture.everything().await;
    // As a build that was killed between writing and publishing leaves it.
    let state = fixture.store.lake_state().await.unwrap();
    let all = Options { full: true, ..options() };
    let plan = plan::plan(&fixture.store, &fixture.lake, &state, &[], &all).await.unwrap();
    let built =
        write::write(&fixture.lake, &state, &plan, Limits::default(), &CancelToken::default(), &|_| {})
            .unwrap();
    assert!(!built.files.is_empty());
    assert_eq!(fixture.everything().await, expected, "readers take the list");

    let mine = fixture.lake.root().join("core/product_metrics_daily/notes.txt");
    fs::write(&mine, "mine").unwrap();
    let kept = fixture.build(&options()).await;
    assert_eq!(kept.files_vacuumed, 0, "a reader may still use them");
    let vacuumed = fixture.build(&Options { vacuum_now: true, ..options() }).await;
    assert_eq!(vacuumed.files_vacuumed, built.files.len());
    assert_eq!(fixture.everything().await, expected);
    assert!(mine.exists() && fixture.folder.path().join("lake/amzctl-lake.json").exists());
}

#[tokio::test]
async fn files_taken_off_the_list_stay_for_whoever_still_reads_them() {
    let fixture = Fixture::new().await;
    fixture.put(&[seen("B000000001", "2026-02-01", 1000)]).await;
    fixture.build(&options()).await;
    let first = fixture.store.lake_state().await.unwrap().files;
    for file in &first {
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        fs::File::open(fixture.lake.path_of(file)).unwrap().set_modified(long_ago).unwrap();
    }
    let summary = fixture.build(&Options { full: true, ..options() }).await;
    assert_eq!(summary.files_vacuumed, 0);
    assert!(first.iter().all(|file| fixture.lake.is_whole(file)), "a reader may have taken the list before");
    let summary = fixture.build(&Options { vacuum_now: true, ..options() }).await;
    assert!(summary.files_vacuumed > 0);
}

#[tokio::test]
async fn a_month_lies_in_day_files_until_it_closes() {
    let fixture = Fixture::new().await;
    let files = |month: &'static str| {
        let store = &fixture.store;
        async move {
            let state = store.lake_state().await.unwrap();
            let daily = state
                .files
                .into_iter()
                .filter(|file| file.table == Table::Deltas.name() && file.month == month);
            daily.map(|file| file.compacted).collect::<Vec<_>>()
        }
    };
    for on in ["2026-02-26", "2026-02-27", "2026-02-28"] {
        fixture.put(&[seen("B000000001", on, 1000)]).await;
        fixture.build(&options()).await;
    }
    assert_eq!(files("2026-02").await, [false, false, false]);
    fixture.put(&[seen("B000000001", "2026-03-01", 1000)]).await;
    let summary = fixture.build(&options()).await;
    assert_eq!((files("2026-02").await, files("2026-03").await), (vec![true], vec![false]));
    assert_eq!(summary.days_built, 1, "compaction is no change");
    let marked = fixture.store.lines("SELECT day FROM mart_days WHERE built_seq = 4").await;
    assert_eq!(marked.len(), 1);
}

#[tokio::test]
async fn only_the_last_days_are_served_and_the_lake_has_all() {
    let fixture = Fixture::new().await;
    for on in 0..10 {
        let mut row = seen("B000000001", "2026-02-01", 1000 + i64::from(on));
        row.day = row.day.plus(on);
        fixture.put(&[row]).await;
        fixture.build(&Options { publish_days: 3, ..options() }).await;
    }
    let days = "SELECT day FROM deltas ORDER BY day";
    assert_eq!(fixture.store.lines(days).await, ["2026-02-08", "2026-02-09", "2026-02-10"]);
    assert_eq!(fixture.store.lines("SELECT 1 FROM daily_aggregates").await.len(), 3);
    assert_eq!(fixture.rows(Table::Deltas, Marketplace::Us).await.len(), 10);
    // A longer window is filled from the lake, without a change in core.
    fixture.build(&Options { publish_days: 5, ..options() }).await;
    assert_eq!(fixture.store.lines(days).await.len(), 5);
    assert_eq!(fixture.store.lines("SELECT 1 FROM daily_aggregates").await.len(), 5);
}

#[tokio::test]
async fn one_product_is_read_in_day_order() {
    let fixture = Fixture::new().await;
    for on in ["2026-01-31", "2026-02-02", "2026-02-01"] {
        fixture.put(&[seen("B000000001", on, 1000), seen("B000000002", on, 2000)]).await;
        fixture.build(&options()).await;
    }
    let key = ProductKey { marketplace: Marketplace::Us, asin: "B000000002".parse::<Asin>().unwrap() };
    let range = DayRange { first: day("2026-01-31"), last: day("2026-02-01") };
    let columns = ["day_no", "price", "price_prev_day"];
    let frame =
        read_product(&fixture.store, &fixture.lake, Table::Deltas, key, range, &columns).await.unwrap();
    let (first, second) = (day("2026-01-31").no(), day("2026-02-01").no());
    assert_eq!(
        lines(&frame),
        [format!("day_no={first} price=2000"), format!("day_no={second} price=2000 price_prev_day={first}")]
    );
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let fixture = Fixture::new().await;
    fixture.put(&[seen("B000000001", "2026-02-01", 1000), seen("B000000001", "2026-02-02", 1000)]).await;
    let summary = fixture.build(&Options { dry_run: true, ..options() }).await;
    assert_eq!((summary.sync.changed_days, summary.days_built, summary.delta_rows), (2, 2, 2));
    assert!(!fixture.lake.root().exists());
    assert_eq!(fixture.store.lake_state().await.unwrap().exported_seq, 0);
}

#[tokio::test]
async fn a_build_in_little_memory_writes_the_same_files() {
    let rows: Vec<Seen> = market(3, 12, "2026-01-20", 50).into_values().flatten().collect();
    let mut written = Vec::new();
    for memory in [None, Some(1)] {
        let fixture = Fixture::new().await;
        fixture.put(&rows[..rows.len() / 2]).await;
        fixture.build(&Options { memory, ..options() }).await;
        fixture.put(&rows[rows.len() / 2..]).await;
        fixture.build(&Options { memory, ..options() }).await;
        // Core files that lie in several are made one.
        fixture.build(&Options { memory, compact: true, ..options() }).await;
        let files = fixture.store.lake_state().await.unwrap().files.into_iter();
        let files: Vec<_> = files.map(|file| (file.path, file.sha256)).collect();
        written.push((files, fixture.served().await));
        assert_eq!(verify(&fixture.store, &fixture.lake).await.unwrap(), []);
    }
    assert_eq!(written[0], written[1]);
}

#[tokio::test]
async fn what_is_served_does_not_depend_on_how_many_months_are_built_together() {
    let mut rows: Vec<Seen> = market(5, 12, "2026-01-10", 150).into_values().flatten().collect();
    // The newest rollups of these two are of January: a lone day more than 90 later has none.
    for on in ["2026-01-10", "2026-01-11"] {
        rows.extend([seen("B0GONE0001", on, 1000), seen("B0RARE0001", on, 2000)]);
    }
    rows.push(seen("B0RARE0001", "2026-06-01", 3000));
    let correction = [seen("B0GONE0001", "2026-02-03", 1500), seen(&rows[0].asin, "2026-02-04", 9)];
    let (mut at_first, mut corrected) = (Vec::new(), Vec::new());
    for memory in [None, Some(1)] {
        let fixture = Fixture::new().await;
        fixture.put(&rows).await;
        fixture.build(&Options { memory, ..options() }).await;
        let newest =
            "SELECT asin, MAX(as_of) FROM rollups WHERE asin IN ('B0GONE0001', 'B0RARE0001') GROUP BY asin
                      ORDER BY asin";
        assert_eq!(fixture.store.lines(newest).await, ["B0GONE0001 2026-01-11", "B0RARE0001 2026-01-11"]);
        at_first.push(fixture.served().await);
        fixture.put(&correction).await;
        fixture.build(&Options { memory, ..options() }).await;
        corrected.push(fixture.served().await);
    }
    assert_eq!(at_first[0], at_first[1]);
    assert_eq!(corrected[0], corrected[1]);
    assert_ne!(at_first[0], corrected[0]);
}

#[tokio::test]
async fn how_many_days_are_read_back_together_does_not_show_in_what_is_served() {
    let fixture = Fixture::new().await;
    let days: Vec<Vec<Seen>> = market(17, 12, "2026-01-20", 40).into_values().collect();
    for part in days.chunks(15) {
        fixture.put(&part.concat()).await;
        fixture.build(&options()).await;
    }
    let state = fixture.store.lake_state().await.unwrap();
    let all = Options { full: true, ..options() };
    let plan = plan::plan(&fixture.store, &fixture.lake, &state, &[], &all).await.unwrap();
    let market = plan.markets.iter().find(|market| market.marketplace == Marketplace::Us).unwrap();
    let mut served = Vec::new();
    for most in [1, 30, 1_000_000] {
        let (zone, cancel) = (options().zone, CancelToken::default());
        let mut days =
            DaysFromFiles::new(&fixture.lake, market, &state.files, &state.files, zone, most, &cancel);
        let (mut rows, mut records, mut parts) = (Vec::new(), Vec::new(), 0);
        while let Some(part) = days.next().await.unwrap() {
            let deltas = part.deltas;
            let columns = deltas.columns().len();
            let row = |row| (0..columns).map(|column| deltas.value(row, column)).collect::<Vec<_>>();
            rows.extend((0..deltas.rows()).map(row));
            records.extend(part.daily_aggregates.into_iter().chain(part.category_metrics));
            parts += 1;
        }
        records.sort_by(|a, b| (a.day, &a.category).cmp(&(b.day, &b.category)));
        served.push((parts, (rows, records)));
    }
    let [daily, some, monthly] = &served[..] else { panic!("three ways to read") };
    assert_eq!((daily.0, monthly.0), (7 + 10, 2), "7 days of January, 28 of February");
    assert!(monthly.0 < some.0 && some.0 < daily.0, "{}", some.0);
    assert!(daily.1 == some.1 && some.1 == monthly.1);
    let stored =
        fixture.store.lines("SELECT asin, day FROM deltas WHERE marketplace = 'US' ORDER BY day, asin").await;
    assert_eq!(stored.len(), monthly.1.0.len());
}

#[tokio::test]
async fn a_stop_leaves_the_old_mart() {
    let fixture = Fixture::new().await;
    fixture.put(&[seen("B000000001", "2026-02-01", 1000)]).await;
    let cancel = CancelToken::default();
    cancel.cancel(Outcome::Interrupted);
    let error =
        run(&fixture.store, &fixture.lake, Clock::System, &cancel, &|_| {}, &options()).await.unwrap_err();
    assert_eq!(crate::error::classify(&error).0, Outcome::Interrupted);
    assert!(fixture.store.lines("SELECT 1 FROM deltas").await.is_empty());
    fixture.build(&options()).await;
    assert_eq!(fixture.store.lines("SELECT 1 FROM deltas").await.len(), 1);
}

#[tokio::test]
async fn how_much_lies_in_memory_does_not_show_in_the_files() {
    let fixture = Fixture::new().await;
    let days: Vec<Vec<Seen>> = market(13, 24, "2026-01-12", 18).into_values().collect();
    for part in days.chunks(6) {
        fixture.put(&part.concat()).await;
        fixture.build(&options()).await;
    }
    let state = fixture.store.lake_state().await.unwrap();
    let one_day = Some(DayRange { first: day("2026-01-20"), last: day("2026-01-20") });
    for all in [
        Options { full: true, ..options() },
        Options { compact: true, ..options() },
        // Carried and computed rows meet in one file.
        Options { compact: true, range: one_day, ..options() },
    ] {
        let plan = plan::plan(&fixture.store, &fixture.lake, &state, &[], &all).await.unwrap();
        let mut hashes = Vec::new();
        let tiny = Limits { months: 1, pass_rows: 40, batch_days: 1, carried_rows: 20, ..Limits::default() };
        for limits in [Limits::default(), tiny] {
            let built =
                write::write(&fixture.lake, &state, &plan, limits, &CancelToken::default(), &|_| {}).unwrap();
            let mut files: Vec<_> =
                built.files.into_iter().map(|file| (file.path, file.rows, file.sha256)).collect();
            files.sort();
            hashes.push((files, built.markets.iter().map(|market| market.rollups.rows()).sum::<usize>()));
        }
        assert!(!hashes[0].0.is_empty());
        assert_eq!(hashes[0], hashes[1]);
    }
}

#[tokio::test]
async fn a_day_is_built_on_what_the_past_comes_to_without_reading_it_again() {
    let days: Vec<Vec<Seen>> = market(17, 5, "2025-06-20", 250).into_values().collect();
    let at_once = Fixture::new().await;
    at_once.put(&days.concat()).await;
    at_once.build(&Options { compact: true, ..options() }).await;
    let expected = at_once.everything().await;
    assert!(expected["mart/pasts US"].len() > 20 && expected["mart/past_sellers US"].len() > 20);

    let nightly = Fixture::new().await;
    let (before, last) = days.split_at(days.len() - 4);
    for part in before.chunks(45) {
        nightly.put(&part.concat()).await;
        nightly.build(&options()).await;
    }
    // As long as they were, and unreadable.
    for file in nightly.store.lake_state().await.unwrap().files {
        if file.table == Table::Daily.name() && file.month.as_str() < "2025-10" {
            fs::write(nightly.lake.path_of(&file), vec![0; file.size_bytes as usize]).unwrap();
        }
    }
    for day in last {
        nightly.put(day).await;
        nightly.build(&options()).await;
    }
    let standing = nightly.store.lake_state().await.unwrap().files;
    for file in at_once.store.lake_state().await.unwrap().files {
        if let Some(same) = standing.iter().find(|other| other.sha256 == file.sha256) {
            fs::copy(at_once.lake.path_of(&file), nightly.lake.path_of(same)).unwrap();
        }
    }
    nightly.build(&Options { compact: true, ..options() }).await;
    let built = nightly.everything().await;
    for (table, rows) in &expected {
        assert_eq!(&built[table], rows, "{table}");
    }
    assert_eq!(nightly.served().await, at_once.served().await);

    // A correction of long ago changes what the later pasts come to.
    let mut late = days[40].clone();
    late.iter_mut().for_each(|seen| seen.price = Some(3));
    for fixture in [&nightly, &at_once] {
        fixture.put(&late).await;
    }
    nightly.build(&options()).await;
    at_once.build(&Options { full: true, compact: true, ..options() }).await;
    nightly.build(&Options { compact: true, ..options() }).await;
    let (one, other) = (nightly.everything().await, at_once.everything().await);
    for (table, rows) in &other {
        assert_eq!(&one[table], rows, "{table} after a correction");
    }
    assert_ne!(other["mart/pasts US"], expected["mart/pasts US"]);
}
