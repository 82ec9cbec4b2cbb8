//! The stage on a real database: files in, facts out; late, wrong and vanished things; twice the same.

use tempfile::TempDir;

use super::*;
use crate::ingest::Found;
use crate::model::DayRange;
use crate::stages::ingest;

struct House {
    folder: TempDir,
    store: Store,
}

const HEADER: &str =
    "marketplace,asin,observed_at,title,price_minor,availability,bsr,bsr_category,rating_centi\n";

impl House {
    async fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::testing::fresh_store(folder.path()).await;
        House { folder, store }
    }

    /// Lands a file and normalizes it.
    async fn take(&self, name: &str, content: &str, captured_at: &str) -> Summary {
        self.land(name, content, captured_at).await;
        self.normalize(None).await
    }

    /// Lands rows of the flat table and normalizes them.
    async fn table(&self, name: &str, rows: &str) -> Summary {
        self.take(name, &format!("{HEADER}{rows}"), "2026-01-31T00:00:00Z").await
    }

    async fn land(&self, name: &str, content: &str, captured_at: &str) {
        self.land_as(None, name, content, Some(captured_at)).await;
    }

    /// Lands a file of records of a kind; without a time they name their own.
    async fn land_as(&self, kind: Option<&str>, name: &str, content: &str, captured_at: Option<&str>) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let options = ingest::Options {
            captured_at: captured_at.map(|at| at.parse().unwrap()),
            kind: kind.map(str::to_owned),
            ..ingest::Options::new("run".into(), vec![Found::File(path)], ReportingZone(chrono_tz::UTC))
        };
        ingest::run(&self.store, clock(), &CancelToken::default(), &|_| {}, &options).await.unwrap();
    }

    async fn normalize(&self, replay_since: Option<Timestamp>) -> Summary {
        let options = Options { replay_since, ..options() };
        run(&self.store, clock(), &CancelToken::default(), &|_| {}, &options).await.unwrap()
    }

    async fn hash(&self) -> String {
        crate::store::combined(&self.store.hash_state().await.unwrap())
    }

    /// The rows of a query, their values joined by spaces.
    async fn rows(&self, sql: &str) -> Vec<String> {
        self.store.lines(sql).await
    }
}

fn options() -> Options {
    Options {
        run_id: "run".into(),
        replay_since: None,
        zone: ReportingZone(chrono_tz::UTC),
        precedence: vec!["keepa".into(), "apify".into(), "file".into()],
        tolerate_failed_pct: 0.0,
        audience: Audience::default(),
    }
}

fn clock() -> Clock {
    Clock::Fixed("2026-02-01T00:00:00Z".parse().unwrap())
}

#[tokio::test]
async fn one_row_a_product_and_day_comes_of_the_days_observations() {
    let house = House::new().await;
    let summary = house
        .table(
            "a.csv",
            "US,B000000001,2026-01-05T08:00:00Z,Lamp,2000,in_stock,10,Electronics,450\n\
             US,B000000001,2026-01-05T20:00:00Z,Lamp,1800,in_stock,,,\n\
             US,B000000001,2026-01-06T08:00:00Z,Lamp,,unavailable,12,Electronics,\n",
        )
        .await;
    assert_eq!(
        (summary.receipts, summary.observations, summary.days_changed, summary.quarantined),
        (3, 3, 2, 0)
    );
    // The latest known block of the day wins: the price of the evening, the rank and rating of the morning.
    assert_eq!(
        house
            .rows(
                "SELECT day, price_minor, low_price_minor, high_price_minor, bsr, rating_centi, availability,
                 observations FROM product_metrics_daily ORDER BY day"
            )
            .await,
        ["2026-01-05 1800 1800 2000 10 450 in_stock 2", "2026-01-06 - - - 12 - unavailable 1"]
    );
}

#[tokio::test]
async fn normalizing_again_or_replaying_everything_changes_nothing() {
    let house = House::new().await;
    house.table("a.csv", "US,B000000001,2026-01-05T08:00:00Z,Lamp,2000,in_stock,10,Electronics,450\n").await;
    let before = house.hash().await;
    let again = house.normalize(None).await;
    assert_eq!((again.receipts, again.observations, again.days_changed), (0, 0, 0));
    let replayed = house.normalize(Some(Timestamp::UNIX_EPOCH)).await;
    assert_eq!((replayed.receipts, replayed.observations, replayed.days_changed), (1, 0, 0));
    assert_eq!(house.hash().await, before);
}

/// Titles come and go, brands and categories are shown now and then, two observations share an instant.
#[tokio::test]
async fn listing_versions_do_not_depend_on_the_order_of_arrival() {
    for seed in 1..=4_u64 {
        let mut state = seed;
        let mut pick = |from: &[&'static str]| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            from[(state >> 33) as usize % from.len()]
        };
        let rows: Vec<String> = (0..20)
            .map(|number| {
                let (title, brand) =
                    (pick(&["Lamp", "Lamp", "Lamp two", ""]), pick(&["", "", "Lumo", "Lumo AG"]));
                let category = pick(&["", "Home", "Home > Lamps"]);
                let day = 1 + number / 2;
                format!(
                    "US,B000000001,2026-01-{day:02}T08:00:00Z,{title},{brand},{category},{}\n",
                    2000 + number
                )
            })
            .collect();
        let mut answers = Vec::new();
        let forwards: Vec<usize> = (0..rows.len()).collect();
        let backwards: Vec<usize> = (0..rows.len()).rev().collect();
        let mixed: Vec<usize> = (0..rows.len()).map(|index| index * 7 % rows.len()).collect();
        for (order, size) in [(&forwards, rows.len()), (&forwards, 1), (&backwards, 1), (&mixed, 3)] {
            let house = House::new().await;
            for (number, part) in order.chunks(size).enumerate() {
                let rows: String = part.iter().map(|index| rows[*index].as_str()).collect();
                let table = format!("marketplace,asin,observed_at,title,brand,category,price_minor\n{rows}");
                house.take(&format!("{number}.csv"), &table, "2026-01-31T00:00:00Z").await;
            }
            let versions = house
                .rows(
                    "SELECT valid_from, valid_until, content_hash, title, brand, category FROM listing_versions
                     ORDER BY valid_from",
                )
                .await;
            assert!(versions.len() > 2, "{versions:?}");
            answers.push(versions);
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "seed {seed}: {answers:#?}");
    }
}

#[tokio::test]
async fn the_order_in_which_files_arrive_does_not_matter() {
    let days = [
        "US,B000000001,2026-01-05T08:00:00Z,Lamp,2000,in_stock,10,Electronics,450\n",
        "US,B000000001,2026-01-06T08:00:00Z,Lamp two,2100,in_stock,11,Electronics,450\n",
        "US,B000000001,2026-01-07T08:00:00Z,Lamp,2200,in_stock,12,Electronics,440\n",
    ];
    let mut hashes = Vec::new();
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let house = House::new().await;
        for index in order {
            house.table(&format!("{index}.csv"), days[index]).await;
        }
        hashes.push(house.hash().await);
        // The title changed and changed back: late data splits the versions where they belong.
        assert_eq!(
            house.rows("SELECT title, valid_until IS NULL FROM listing_versions ORDER BY valid_from").await,
            ["Lamp 0", "Lamp two 0", "Lamp 1"]
        );
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(hashes[0], hashes[2]);
}

#[tokio::test]
async fn a_record_that_breaks_a_rule_does_not_stop_the_others() {
    let house = House::new().await;
    let summary = house
        .table(
            "a.csv",
            "US,B000000001,2026-01-05T08:00:00Z,Lamp,2000,in_stock,10,Electronics,450\n\
             US,B000000002,2026-01-05T08:00:00Z,Lamp,-5,in_stock,10,Electronics,450\n\
             US,B000000003,2026-01-05T08:00:00Z,Lamp,2000,in_stock,10,Electronics,700\n",
        )
        .await;
    assert_eq!((summary.observations, summary.quarantined), (1, 2));
    assert_eq!(summary.outcome(), Outcome::PartlyFailed);
    assert_eq!(
        house.rows("SELECT reason, field, asin, file_line, state FROM quarantine ORDER BY asin").await,
        ["out_of_range price_minor B000000002 3 open", "out_of_range rating_centi B000000003 4 open"]
    );
    let again = house.normalize(Some(Timestamp::UNIX_EPOCH)).await;
    assert_eq!((again.quarantined, again.outcome()), (0, Outcome::Done), "only new failures count");
}

#[tokio::test]
async fn a_retried_receipt_is_read_again() {
    let house = House::new().await;
    house.table("a.csv", "US,B000000002,2026-01-05T08:00:00Z,Lamp,-5,in_stock,10,Electronics,450\n").await;
    let receipts: Vec<i64> =
        house.rows("SELECT receipt_id FROM quarantine").await.iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(retry(&house.store, &receipts).await.unwrap(), 1);
    let summary = house.normalize(None).await;
    assert_eq!((summary.receipts, summary.quarantined), (1, 0));
}

#[tokio::test]
async fn a_replay_of_newer_receipts_leaves_the_older_ones_to_be_read() {
    let house = House::new().await;
    for (name, day) in [("a.csv", "05"), ("b.csv", "07")] {
        let row = format!("{HEADER}US,B000000001,2026-01-{day}T08:00:00Z,Lamp,2000,in_stock,,,\n");
        house.land(name, &row, "2026-01-31T00:00:00Z").await;
    }
    let replayed = house.normalize(Some("2026-01-06T00:00:00Z".parse().unwrap())).await;
    assert_eq!(replayed.receipts, 1);
    assert_eq!(house.normalize(None).await.receipts, 1, "the one before the replay's time");
    house.store.forget_normalized(&[1]).await.unwrap();
    assert_eq!(house.normalize(None).await.receipts, 1, "the forgotten one, though a later one was read");
    assert_eq!(house.normalize(None).await.receipts, 0);
}

#[tokio::test]
async fn two_not_found_answers_on_different_days_make_a_product_gone_until_it_is_seen_again() {
    let house = House::new().await;
    let lost =
        r#"[{"statusCode":404,"statusMessage":"NOT_FOUND","url":"https://www.amazon.com/dp/B000000001"}]"#;
    let status = || house.rows("SELECT status, first_day, last_day FROM products");
    house.table("a.csv", "US,B000000001,2026-01-05T08:00:00Z,Lamp,2000,in_stock,10,Electronics,450\n").await;
    house.take("b.json", lost, "2026-01-06T08:00:00Z").await;
    house.take("c.json", lost, "2026-01-06T20:00:00Z").await;
    assert_eq!(status().await, ["active 2026-01-05 2026-01-05"], "one day is not enough");
    house.take("d.json", lost, "2026-01-07T08:00:00Z").await;
    assert_eq!(status().await, ["gone 2026-01-05 2026-01-05"]);
    assert_eq!(
        house.rows("SELECT COUNT(*) FROM product_metrics_daily").await,
        ["1"],
        "a 404 is not a seen day"
    );
    house.table("e.csv", "US,B000000001,2026-01-08T08:00:00Z,Lamp,2000,in_stock,10,Electronics,450\n").await;
    assert_eq!(status().await, ["active 2026-01-05 2026-01-08"]);
}

#[tokio::test]
async fn many_failures_on_one_field_are_one_incident() {
    let house = House::new().await;
    let row = |n: u32, price: i64| {
        format!("US,B0000{n:05},2026-01-05T08:00:00Z,Lamp,{price},in_stock,10,Electronics,450\n")
    };
    let rows: String = (0..100).map(|n| row(n, if n < 20 { -1 } else { 2000 })).collect();
    let summary = house.table("a.csv", &rows).await;
    assert_eq!(summary.incidents, ["20 of 100 records of a.csv fail on price_minor: out_of_range"]);
    assert_eq!(house.normalize(None).await.incidents, [] as [String; 0], "told once");

    // 19 are below the number, and below the share of the larger delivery.
    let house = House::new().await;
    let rows: String = (0..100).map(|n| row(n, if n < 19 { -1 } else { 2000 })).collect();
    assert_eq!(house.table("a.csv", &rows).await.incidents, [] as [String; 0]);
}

#[tokio::test]
async fn two_deliveries_of_the_same_name_are_two_incidents() {
    let house = House::new().await;
    let rows = |day: &str| -> String {
        (0..20)
            .map(|n| format!("US,B0000{n:05},{day}T08:00:00Z,Lamp,-1,in_stock,10,Electronics,450\n"))
            .collect()
    };
    assert_eq!(house.table("export.csv", &rows("2026-01-05")).await.incidents.len(), 1);
    assert_eq!(house.table("export.csv", &rows("2026-01-06")).await.incidents.len(), 1);
    assert_eq!(
        house.table("export.csv", &rows("2026-01-06")).await.incidents,
        [] as [String; 0],
        "told once"
    );
}

/// 20 records as JSON lines, without a time of their own.
fn json_lines(price: i64) -> String {
    (0..20)
        .map(|n| format!("{{\"marketplace\":\"US\",\"asin\":\"B0000{n:05}\",\"price_minor\":{price}}}\n"))
        .collect()
}

#[tokio::test]
async fn what_fails_between_two_reads_of_a_file_is_not_that_files_failure() {
    let house = House::new().await;
    house.land("f.ndjson", &json_lines(2000), "2026-01-01T00:00:00Z").await;
    house.land("g.ndjson", &json_lines(-1), "2026-01-01T00:00:00Z").await;
    house.land("f.ndjson", &json_lines(2000), "2026-01-02T00:00:00Z").await;
    assert_eq!(
        house.normalize(None).await.incidents,
        ["20 of 20 records of g.ndjson fail on price_minor: out_of_range"]
    );
}

#[tokio::test]
async fn the_same_file_that_fails_again_with_another_time_is_another_incident() {
    let house = House::new().await;
    let told = ["20 of 20 records of g.ndjson fail on price_minor: out_of_range"];
    assert_eq!(house.take("g.ndjson", &json_lines(-1), "2026-01-01T00:00:00Z").await.incidents, told);
    assert_eq!(house.take("g.ndjson", &json_lines(-1), "2026-01-03T00:00:00Z").await.incidents, told);
    assert_eq!(
        house.rows("SELECT day, detail FROM incidents ORDER BY day").await,
        [format!("2026-01-01 {}", told[0]), format!("2026-01-03 {}", told[0])]
    );
}

#[tokio::test]
async fn fields_are_compared_between_deliveries_of_one_shape() {
    let house = House::new().await;
    // Two shapes of one source in one file: those that never know a rating are not the others' loss.
    let lines = |rated: bool| -> String {
        let rating = if rated { r#","stars":4.5"# } else { "" };
        (0..20)
            .map(|n| {
                let url = format!("https://www.amazon.com/dp/B0000{n:05}");
                let other = format!("https://www.amazon.com/dp/B0001{n:05}");
                format!(
                    "{{\"asin\":\"B0000{n:05}\",\"url\":\"{url}\",\"inStock\":true,\"reviewsCount\":5{rating}}}\n\
                     {{\"statusCode\":200,\"asin\":\"B0001{n:05}\",\"url\":\"{other}\",\"price\":25.99,\"countReview\":5}}\n"
                )
            })
            .collect()
    };
    house.take("a.ndjson", &lines(true), "2026-01-01T00:00:00Z").await;
    assert_eq!(
        house.take("b.ndjson", &lines(false), "2026-01-02T00:00:00Z").await.incidents,
        ["rating is known in 0 of 20 records of b.ndjson, in the delivery before in 20 of 20"]
    );
}

#[tokio::test]
async fn a_share_of_rejected_records_can_be_tolerated() {
    let rows = "US,B000000001,2026-01-05T08:00:00Z,Lamp,2000,in_stock,10,Electronics,450\n\
                US,B000000002,2026-01-05T08:00:00Z,Lamp,-5,in_stock,10,Electronics,700\n";
    for (tolerate_failed_pct, expected) in [(49.9, Outcome::PartlyFailed), (50.0, Outcome::Done)] {
        let house = House::new().await;
        house.land("a.csv", &format!("{HEADER}{rows}"), "2026-01-31T00:00:00Z").await;
        let options = Options { tolerate_failed_pct, ..options() };
        let summary = run(&house.store, clock(), &CancelToken::default(), &|_| {}, &options).await.unwrap();
        assert_eq!((summary.quarantined, summary.outcome()), (2, expected), "one record, two rules");
    }
}

#[tokio::test]
async fn a_field_that_vanishes_from_a_delivery_is_one_incident() {
    let house = House::new().await;
    let rows = |day: &str, rated: u32| -> String {
        (0..20)
            .map(|n| {
                let rating = if n < rated { "450" } else { "" };
                format!("US,B0000{n:05},{day}T08:00:00Z,Lamp,2000,in_stock,10,Electronics,{rating}\n")
            })
            .collect()
    };
    assert_eq!(house.table("a.csv", &rows("2026-01-05", 16)).await.incidents, [] as [String; 0]);
    // 4 of 20 is a fifth: not below it.
    assert_eq!(house.table("b.csv", &rows("2026-01-06", 4)).await.incidents, [] as [String; 0]);
    let house = House::new().await;
    house.table("a.csv", &rows("2026-01-05", 16)).await;
    assert_eq!(
        house.table("b.csv", &rows("2026-01-06", 3)).await.incidents,
        ["rating is known in 3 of 20 records of b.csv, in the delivery before in 16 of 20"]
    );
}

#[tokio::test]
async fn an_incident_of_a_source_ends_when_it_is_well_again_on_a_later_day() {
    let house = House::new().await;
    let rows = |day: &str, price: &str, rating: &str| -> String {
        (0..20)
            .map(|n| {
                format!("US,B0000{n:05},{day}T08:00:00Z,Lamp,{price},in_stock,10,Electronics,{rating}\n")
            })
            .collect()
    };
    let open = || house.rows("SELECT reason, day, state, note FROM incidents ORDER BY reason, day");
    house.table("a.csv", &rows("2026-01-05", "2000", "450")).await;
    house.table("b.csv", &rows("2026-01-06", "2000", "")).await;
    house.table("c.csv", &rows("2026-01-06", "-1", "")).await;
    let both = ["field_vanished 2026-01-06 open ", "out_of_range 2026-01-06 open "];
    assert_eq!(open().await, both);
    // Later on the same day says nothing, nor does one that lacks the field as the one before did.
    house.table("d.csv", &rows("2026-01-06", "2000", "450")).await;
    assert_eq!(open().await, both);
    house.table("e.csv", &rows("2026-01-07", "2000", "")).await;
    let again = [
        "field_vanished 2026-01-06 open ",
        "field_vanished 2026-01-07 open ",
        "out_of_range 2026-01-06 closed well again on 2026-01-07",
    ];
    assert_eq!(open().await, again);
    house.table("f.csv", &rows("2026-01-08", "2000", "450")).await;
    let vanished = house
        .rows("SELECT day, state, closed_by FROM incidents WHERE reason = 'field_vanished' ORDER BY day");
    assert_eq!(vanished.await, ["2026-01-06 closed amzctl", "2026-01-07 closed amzctl"]);
}

#[tokio::test]
async fn two_variants_that_take_turns_lose_no_field_to_each_other() {
    let house = House::new().await;
    // One of two actors of one shape never knows a rating.
    let lines = |rated: bool| -> String {
        let rating = if rated { r#","stars":4.5"# } else { "" };
        let line = |n| {
            let url = format!("https://www.amazon.com/dp/B0000{n:05}");
            format!(
                "{{\"asin\":\"B0000{n:05}\",\"url\":\"{url}\",\"inStock\":true,\"reviewsCount\":5{rating}}}\n"
            )
        };
        (0..20).map(line).collect()
    };
    let mut told = Vec::new();
    let turns = [true, true, false, true, false, true, true, true, false];
    for (number, rated) in (10..).zip(turns.into_iter().chain([true; DELIVERIES_OF_TURNS]).chain([false])) {
        let time = format!("2026-01-{number}T00:00:00Z");
        told.extend(house.take(&format!("{number}.ndjson"), &lines(rated), &time).await.incidents);
    }
    let vanished = |name: &str| {
        format!("rating is known in 0 of 20 records of {name}.ndjson, in the delivery before in 20 of 20")
    };
    // Twice it cannot be told from a loss and a relapse; and so after a long time without the poorer variant.
    assert_eq!(told, [vanished("12"), vanished("14"), vanished("29")]);
}

#[tokio::test]
async fn reviews_are_kept_apart_and_never_make_a_rating() {
    let house = House::new().await;
    let review = r#"[{"statusCode":200,"statusMessage":"FOUND","asin":"B000000001","domainCode":"com","reviewId":"R1","text":"Fine","date":"Reviewed in the United States on January 3, 2026","rating":"1.0 out of 5 stars","title":"So so","userName":"someone","numberOfHelpful":2,"verified":true,"filters":{"filterByStar":"one_star"}}]"#;
    let summary = house.take("a.json", review, "2026-01-05T08:00:00Z").await;
    assert_eq!((summary.reviews, summary.observations), (1, 0));
    assert_eq!(
        house.rows("SELECT review_id, rating_centi, reviewed_on, list_filter FROM reviews").await,
        ["R1 100 2026-01-03 one_star"]
    );
    assert_eq!(house.rows("SELECT COUNT(*) FROM product_metrics_daily").await, ["0"]);
}

#[tokio::test]
async fn a_cancelled_run_keeps_what_it_committed_and_goes_on_later() {
    let house = House::new().await;
    house
        .land(
            "a.csv",
            &format!("{HEADER}US,B000000001,2026-01-05T08:00:00Z,Lamp,2000,in_stock,10,Electronics,450\n"),
            "2026-01-31T00:00:00Z",
        )
        .await;
    let cancel = CancelToken::default();
    cancel.cancel(Outcome::Interrupted);
    let summary = run(&house.store, clock(), &cancel, &|_| {}, &options()).await.unwrap();
    assert!(summary.cancelled);
    assert_eq!(house.normalize(None).await.receipts, 1);
}

#[tokio::test]
async fn a_delivery_that_fails_on_one_field_has_not_lost_the_others() {
    let house = House::new().await;
    let rows = |day: &str, price: i64| -> String {
        (0..25)
            .map(|n| format!("US,B0000{n:05},{day}T08:00:00Z,Lamp,{price},in_stock,10,Electronics,450\n"))
            .collect()
    };
    house.table("a.csv", &rows("2026-01-05", 2000)).await;
    assert_eq!(
        house.table("b.csv", &rows("2026-01-06", -1)).await.incidents,
        ["25 of 25 records of b.csv fail on price_minor: out_of_range"]
    );
}

/// A page of amazon.com, small enough for a test.
fn page(asin: &str, price: &str) -> String {
    format!(
        "<!doctype html><html><head><title>Lamp</title><script>ue_mid = 'ATVPDKIKX0DER'</script></head><body>
         <span id=productTitle>Lamp {asin}</span><span id=price_inside_buybox>{price}</span>
         <div id=availability>In Stock</div><input id=ASIN value={asin}></body></html>"
    )
}

#[tokio::test]
async fn the_pages_of_one_answer_are_facts_of_their_own_products() {
    let house = House::new().await;
    let batch =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/firecrawl/batch.mixed.json"));
    let summary = house.take("batch.json", batch, "2026-01-03T12:00:00Z").await;
    assert_eq!((summary.receipts, summary.observations, summary.quarantined), (1, 4, 2));
    assert_eq!((summary.not_found, summary.outcome()), (1, Outcome::PartlyFailed));
    assert_eq!(
        house.rows("SELECT source, kind, marketplace, asin_requested, shape FROM raw_receipts").await,
        ["firecrawl product US  firecrawl_page"]
    );
    // An item keeps its place in the answer, whatever became of those before it.
    assert_eq!(
        house.rows("SELECT item, asin, found FROM observations ORDER BY item").await,
        ["0 B000000001 1", "2 B000000003 1", "4 B000000005 0", "5 B000000006 1"]
    );
    assert_eq!(
        house.rows("SELECT item, asin, reason FROM quarantine ORDER BY item").await,
        ["1 B000000002 blocked_page", "3 B000000004 source_failure"]
    );
    assert_eq!(
        house
            .rows("SELECT asin, day, price_minor, availability FROM product_metrics_daily ORDER BY asin")
            .await,
        [
            "B000000001 2026-01-03 2000 in_stock",
            "B000000003 2026-01-03 3000 unknown",
            "B000000006 2026-01-03 129900 low_stock"
        ]
    );
    assert_eq!(
        house.rows("SELECT asin, title FROM listing_versions ORDER BY asin").await,
        ["B000000001 Lamp one", "B000000003 Lamp three", "B000000006 Lamp six"]
    );
    let before = house.hash().await;
    let replayed = house.normalize(Some(Timestamp::UNIX_EPOCH)).await;
    assert_eq!((replayed.observations, replayed.quarantined, replayed.refused_again), (0, 0, 2));
    assert_eq!(house.hash().await, before);
}

#[tokio::test]
async fn the_results_of_a_search_are_facts_of_their_own_products() {
    let house = House::new().await;
    let answer = r#"{"request_info":{"success":true},"request_metadata":{"processed_at":"2026-01-05T08:00:00.000Z"},
        "request_parameters":{"type":"search","amazon_domain":"amazon.com"},"search_results":[
        {"asin":"B000000001","title":"Lamp","price":{"value":20.00,"currency":"USD"},"rating":4.5},
        {"asin":"B000000001","title":"Lamp","price":{"value":19.00,"currency":"USD"},"sponsored":true},
        {"asin":"B000000002","title":"Shade","rating":4.0}]}"#;
    house.take("search.json", answer, "2026-01-31T00:00:00Z").await;
    assert_eq!(
        house
            .rows("SELECT asin, day, price_minor, availability, rating_centi, source FROM product_metrics_daily ORDER BY asin")
            .await,
        [
            "B000000001 2026-01-05 2000 unknown 450 rainforest",
            "B000000002 2026-01-05 - unknown 400 rainforest"
        ]
    );
    assert_eq!(
        house.rows("SELECT item FROM observations ORDER BY item").await,
        ["0", "2"],
        "the advertised repeat is left out"
    );
}

#[tokio::test]
async fn a_saved_page_is_a_days_row_and_a_robot_check_is_quarantined() {
    let house = House::new().await;
    house.take("a.html", &page("B000000001", "$20.00"), "2026-01-05T08:00:00Z").await;
    let check = "<!doctype html><html><title>Amazon.com</title><script>ue_mid='ATVPDKIKX0DER'</script>
        <form action=/errors/validateCaptcha></form></html>";
    let summary = house.take("b.html", check, "2026-01-06T08:00:00Z").await;
    assert_eq!((summary.observations, summary.quarantined), (0, 1));
    assert_eq!(
        house.rows("SELECT reason, detail, marketplace, asin FROM quarantine").await,
        ["blocked_page captcha: Amazon.com US "]
    );
    assert_eq!(
        house.rows("SELECT asin, day, price_minor, price_basis, source FROM product_metrics_daily").await,
        ["B000000001 2026-01-05 2000 page html"]
    );
}

#[tokio::test]
async fn the_blocked_pages_of_one_answer_are_one_incident() {
    let house = House::new().await;
    let check = "<html><title>Amazon.com</title><form action=/errors/validateCaptcha></form></html>";
    let item = |number: usize| {
        let asin = format!("B0000{number:05}");
        let html = if number.is_multiple_of(5) { page(&asin, "$20.00") } else { check.to_owned() };
        let url = format!("https://www.amazon.com/dp/{asin}");
        serde_json::json!({"rawHtml": html, "metadata": {"statusCode": 200, "sourceURL": url}})
    };
    let batch = |items: usize| {
        let data: Vec<serde_json::Value> = (0..items).map(item).collect();
        serde_json::json!({"success": true, "status": "completed", "data": data}).to_string()
    };
    let summary = house.take("batch.json", &batch(25), "2026-01-03T12:00:00Z").await;
    assert_eq!((summary.receipts, summary.observations, summary.quarantined), (1, 5, 20));
    assert_eq!(summary.incidents, ["20 of 25 records of batch.json fail on the record: blocked_page"]);
    let summary = house.take("small.json", &batch(20), "2026-01-04T12:00:00Z").await;
    assert_eq!(summary.incidents, [] as [String; 0], "16 are too few");
}

/// Keepa minute of an hour UTC.
fn keepa_minute(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().timestamp() / 60 - 21_564_000
}

/// A product whose price fell on 2026-01-10 and that nobody sells since 2026-01-12, as of 2026-01-14.
fn keepa_product(asin: &str) -> String {
    let minute = |hour: &str| keepa_minute(&format!("2026-01-{hour}:00:00Z"));
    let (first, fell, gone) = (minute("08T06"), minute("10T06"), minute("12T06"));
    serde_json::json!({
        "asin": asin, "domainId": 1, "productType": 0, "title": "Lamp", "lastUpdate": minute("14T06"),
        "categoryTree": [{"catId": 172282, "name": "Electronics"}], "salesRankReference": 172282,
        "salesRankReferenceHistory": [first, 172282],
        "csv": [
            [first, -1], [first, 2100, fell, 1900, gone, -1], null, [first, 50, fell, 40], null, null, null, null, null, null,
            null, [first, 2, gone, -1], null, null, null, null, null, null, [first, 2000, 100, fell, 1800, 0, gone, -1, -1],
        ],
    })
    .to_string()
}

fn days(first: &str, last: &str) -> DayRange {
    DayRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
}

/// The seconds of its day at which each row was observed, and what it tells.
fn told(store: &Store) -> String {
    let day_began = store.epoch_of("day");
    format!(
        "SELECT day, observed_at / 1000000 - {day_began}, price_minor, price_basis, shipping_minor,
           availability, bsr, source, sources FROM product_metrics_daily ORDER BY asin, day"
    )
}

#[tokio::test]
async fn a_history_gives_the_days_it_is_asked_for() {
    let house = House::new().await;
    let body = keepa_product("B000000001");
    house.land_as(Some("history"), "history.json", &body, None).await;
    let unasked = house.normalize(None).await;
    assert_eq!((unasked.receipts, unasked.observations, unasked.quarantined), (1, 0, 0));
    assert_eq!(house.rows("SELECT outcome FROM normalized_receipts").await, ["kept"]);

    assert!(house.store.request_history(1, days("2026-01-09", "2026-01-10")).await.unwrap());
    assert!(!house.store.request_history(1, days("2026-01-09", "2026-01-10")).await.unwrap(), "asked before");
    let first = house.normalize(None).await;
    assert_eq!((first.receipts, first.observations, first.days_changed, first.quarantined), (1, 2, 2, 0));
    let two = [
        "2026-01-09 86399 2000 buy_box 100 in_stock 50 keepa-history keepa-history",
        "2026-01-10 86399 1800 buy_box 0 in_stock 40 keepa-history keepa-history",
    ];
    assert_eq!(house.rows(&told(&house.store)).await, two);

    // More days: what there was stays as it was, and neither the days before the first point nor the one that had
    // not ended are told.
    assert!(house.store.request_history(1, days("2026-01-01", "2026-01-31")).await.unwrap());
    let wider = house.normalize(None).await;
    assert_eq!((wider.receipts, wider.observations, wider.days_changed), (1, 4, 4));
    assert_eq!(
        house.rows(&told(&house.store)).await,
        [
            "2026-01-08 86399 2000 buy_box 100 in_stock 50 keepa-history keepa-history",
            two[0],
            two[1],
            "2026-01-11 86399 1800 buy_box 0 in_stock 40 keepa-history keepa-history",
            "2026-01-12 86399 - - - out_of_stock 40 keepa-history keepa-history",
            "2026-01-13 86399 - - - out_of_stock 40 keepa-history keepa-history",
        ]
    );
    let before = house.hash().await;
    let replayed = house.normalize(Some(Timestamp::UNIX_EPOCH)).await;
    assert_eq!((replayed.receipts, replayed.observations, replayed.days_changed), (1, 0, 0));
    assert_eq!(house.hash().await, before);
}

#[tokio::test]
async fn what_was_seen_live_stands_before_what_is_told_in_hindsight() {
    let house = House::new().await;
    house.land_as(Some("history"), "history.json", &keepa_product("B000000001"), None).await;
    house.store.request_history(1, days("2026-01-09", "2026-01-10")).await.unwrap();
    house.table("live.csv", "US,B000000001,2026-01-10T08:00:00Z,Lamp,2500,in_stock,,,450\n").await;
    assert_eq!(
        house.rows(&told(&house.store)).await,
        [
            "2026-01-09 86399 2000 buy_box 100 in_stock 50 keepa-history keepa-history",
            "2026-01-10 28800 2500 page - in_stock 40 file file,keepa-history",
        ],
        "the rank is known from hindsight alone"
    );
    // No listing is told in hindsight.
    assert_eq!(house.rows("SELECT DISTINCT source FROM listing_versions").await, ["file"]);
}

#[tokio::test]
async fn each_product_of_an_answer_is_seen_at_its_own_time_and_a_bad_one_is_refused_alone() {
    let house = House::new().await;
    let other = keepa_product("B000000002").replace("\"Lamp\"", "\"Other\"");
    let bad = keepa_product("bad");
    let answer = format!(
        r#"{{"timestamp":1768370400000,"tokensLeft":9,"refillRate":5,"products":[{},{bad},{other}]}}"#,
        keepa_product("B000000001").replace(
            &format!("\"lastUpdate\":{}", keepa_minute("2026-01-14T06:00:00Z")),
            &format!("\"lastUpdate\":{}", keepa_minute("2026-01-13T06:00:00Z")),
        )
    );
    house.land_as(None, "answer.json", &answer, None).await;
    let summary = house.normalize(None).await;
    assert_eq!((summary.receipts, summary.observations, summary.quarantined), (1, 2, 1));
    assert_eq!(
        house.rows("SELECT asin, day, item, source FROM observations ORDER BY item").await,
        ["B000000001 2026-01-13 0 keepa", "B000000002 2026-01-14 2 keepa"]
    );
    assert_eq!(house.rows("SELECT item, reason FROM quarantine").await, ["1 invalid_asin"]);
}

#[tokio::test]
async fn a_file_of_a_later_data_set_is_refused_by_name_and_is_no_drift() {
    let house = House::new().await;
    let header = "amazon-order-id\tpurchase-date\torder-status\tasin\tquantity\n";
    let rows: String =
        (0..30).map(|n| format!("1-{n}\t2026-01-05T00:00:00Z\tshipped\tB000000001\t1\n")).collect();
    let summary = house.take("orders.tsv", &format!("{header}{rows}"), "2026-01-31T00:00:00Z").await;
    assert_eq!((summary.receipts, summary.quarantined, summary.incidents.len()), (30, 30, 0));
    assert_eq!(house.rows("SELECT DISTINCT reason FROM quarantine").await, ["later_data_set"]);
}
