//! The stage on a real database: what lands, what does not, and that being stopped changes nothing.

use std::io::Write;

use tempfile::TempDir;

use super::*;
use crate::error::Outcome;

const CAPTURED: &str = "2025-09-11T12:00:00Z";

struct House {
    folder: TempDir,
    store: Store,
}

impl House {
    async fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::testing::fresh_store(folder.path()).await;
        House { folder, store }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Found {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        Found::File(path)
    }

    fn options(&self, inputs: &[Found]) -> Options {
        Options {
            captured_at: Some(CAPTURED.parse().unwrap()),
            ..Options::new("run".to_owned(), inputs.to_vec(), ReportingZone(chrono_tz::UTC))
        }
    }

    async fn run(&self, options: &Options) -> Summary {
        self.try_run(options, &CancelToken::default()).await.unwrap()
    }

    async fn try_run(&self, options: &Options, cancel: &CancelToken) -> anyhow::Result<Summary> {
        let clock = Clock::Fixed("2025-09-12T00:00:00Z".parse().unwrap());
        run(&self.store, clock, cancel, &|_| {}, options).await
    }

    async fn ingest(&self, name: &str, content: impl AsRef<[u8]>) -> Summary {
        let file = self.file(name, content);
        self.run(&self.options(&[file])).await
    }

    /// The rows of a query, their values joined by spaces.
    async fn rows(&self, sql: &str) -> Vec<String> {
        self.store.lines(sql).await
    }

    /// Every stored body, as it was received, in the order of its first receipt.
    async fn bodies(&self) -> Vec<String> {
        let mut bodies = Vec::new();
        for sha256 in self.rows("SELECT body_sha256 FROM raw_receipts ORDER BY receipt_id").await {
            let body = self.store.load_body(&sha256).await.unwrap().unwrap();
            assert_eq!(crate::ids::sha256_hex(&body), sha256);
            bodies.push(String::from_utf8(body).unwrap());
        }
        bodies
    }

    async fn problems(&self) -> Vec<String> {
        self.rows(
            "SELECT reason, file_line, file_offset, body_sha256 IS NOT NULL FROM quarantine
             WHERE stage = 'ingest' ORDER BY file_offset, reason",
        )
        .await
    }

    /// The state that must not depend on how often an ingest was stopped.
    async fn state(&self) -> Vec<String> {
        let hashes = self.store.hash_state().await.unwrap();
        hashes.into_iter().map(|hash| format!("{} {} {}", hash.table, hash.rows, hash.sha256)).collect()
    }
}

/// "landed/already there/repeats/rejected/new problems".
fn counts(summary: &Summary) -> String {
    let Summary { landed, already_there, repeats, rejected, new_problems, records, .. } = summary;
    assert_eq!(*records, landed + already_there + repeats + rejected, "every record is counted once");
    format!("{landed}/{already_there}/{repeats}/{rejected}/{new_problems}")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn numbered_lines(count: usize) -> String {
    (0..count).map(|n| format!("{{\"n\":{n},\"x\":\"{:x}\"}}\n", n * 7919)).collect()
}

#[tokio::test]
async fn records_land_byte_exact_with_their_place_whatever_the_wrapping() {
    let text = "[\n {\"a\": 1.50},\n {\"é\":\"\\u00e9\"}\n]";
    for (name, content) in [
        ("plain.json", text.as_bytes().to_vec()),
        ("named-wrong.csv", gzip(text.as_bytes())),
        ("x", zstd::encode_all(text.as_bytes(), 3).unwrap()),
    ] {
        let house = House::new().await;
        let summary = house.ingest(name, content).await;
        assert_eq!((counts(&summary).as_str(), summary.outcome()), ("2/0/0/0/0", Outcome::Done));
        assert_eq!(house.bodies().await, ["{\"a\": 1.50}", "{\"é\":\"\\u00e9\"}"]);
        assert_eq!(
            house
                .rows("SELECT source, kind, marketplace, copies, file_line, file_offset, item_index FROM raw_receipts")
                .await,
            ["file product  1 2 3 0", "file product  1 3 17 1"]
        );
    }
}

#[tokio::test]
async fn a_body_is_compressed_only_where_that_is_smaller() {
    let house = House::new().await;
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1000));
    house.ingest("x.json", format!("[{long},1]")).await;
    assert_eq!(
        house.rows("SELECT codec, size_bytes, length(bytes) < 100 FROM raw_bodies ORDER BY size_bytes").await,
        ["plain 1 1", "zstd 1008 1"]
    );
    assert_eq!(house.bodies().await, [long.as_str(), "1"]);
}

#[tokio::test]
async fn a_table_row_is_stored_with_its_header() {
    let house = House::new().await;
    let summary = house.ingest("x.csv", "\u{feff}asin,title\r\nB000000001,\"two\r\nlines\"\r\n,\r\n").await;
    assert_eq!(counts(&summary), "1/0/0/0/0");
    assert_eq!(house.bodies().await, ["asin,title\nB000000001,\"two\r\nlines\""]);
}

#[tokio::test]
async fn the_same_file_with_the_same_time_lands_nothing_and_says_so() {
    let house = House::new().await;
    house.ingest("x.json", "[1,2]").await;
    let before = house.state().await;
    let again = house.ingest("copy-of-x.json", "[1,2]").await;
    assert_eq!((again.already_read, again.files[0].status), (1, FileStatus::AlreadyRead));
    assert_eq!((counts(&again).as_str(), again.outcome()), ("0/0/0/0/0", Outcome::Done));
    // Other bytes on disk, the same records: each of them is there.
    let compressed = house.ingest("x.json.gz", gzip(b"[1,2]")).await;
    assert_eq!(counts(&compressed), "0/2/0/0/0");
    assert_eq!(house.state().await, before);
}

#[tokio::test]
async fn the_same_content_at_a_later_time_is_a_new_receipt_of_one_body() {
    let house = House::new().await;
    let file = house.file("x.json", "[1]");
    house.run(&house.options(std::slice::from_ref(&file))).await;
    let later = Options {
        captured_at: Some("2025-09-12T12:00:00Z".parse().unwrap()),
        ..house.options(std::slice::from_ref(&file))
    };
    assert_eq!(counts(&house.run(&later).await), "1/0/0/0/0");
    assert_eq!(house.rows("SELECT COUNT(*) FROM raw_bodies").await, ["1"]);
    assert_eq!(
        house.rows("SELECT observed_at, fetched_at FROM raw_receipts ORDER BY observed_at").await,
        ["1757592000000000 1757592000000000", "1757678400000000 1757678400000000"]
    );
}

#[tokio::test]
async fn a_record_repeated_in_a_file_is_one_receipt_across_batches_and_stops() {
    let text = "{\"a\":1}\n".repeat(1000);
    let house = House::new().await;
    let whole = house.ingest("x.ndjson", &text).await;
    assert_eq!(counts(&whole), "1/0/999/0/0");
    assert_eq!(house.rows("SELECT copies FROM raw_receipts").await, ["1000"]);

    let stopped = House::new().await;
    let file = stopped.file("x.ndjson", &text);
    let options = Options { batch: BatchSize { records: 300, bytes: 1 << 20 }, ..stopped.options(&[file]) };
    let cancelled = CancelToken::default();
    let on_first_batch = {
        let token = cancelled.clone();
        move |_| token.cancel(Outcome::Interrupted)
    };
    let clock = Clock::Fixed(CAPTURED.parse().unwrap());
    let first = run(&stopped.store, clock, &cancelled, &on_first_batch, &options).await.unwrap();
    assert!(first.cancelled);
    assert_eq!((first.files[0].status, counts(&first).as_str()), (FileStatus::Interrupted, "1/0/299/0/0"));
    assert_eq!(stopped.rows("SELECT state, records_read FROM ingest_files").await, ["reading 300"]);
    let second = stopped.run(&options).await;
    assert_eq!((second.files[0].resumed_at, counts(&second).as_str()), (300, "0/0/700/0/0"));
    assert_eq!(stopped.state().await, house.state().await);
    assert_eq!(
        stopped.rows("SELECT state, records_read, receipts_landed, repeats FROM ingest_files").await,
        ["done 1000 1 999"]
    );
}

#[tokio::test]
async fn repeats_are_not_counted_again_when_a_file_is_read_with_other_options() {
    let house = House::new().await;
    let file = house.file("x.ndjson", "{\"a\":1}\n{\"a\":1}\n");
    house.run(&house.options(std::slice::from_ref(&file))).await;
    // The kind that is recognised anyway, now given: the same receipts by another reading.
    let given = Options { kind: Some("product".to_owned()), ..house.options(std::slice::from_ref(&file)) };
    assert_eq!(counts(&house.run(&given).await), "0/2/0/0/0");
    assert_eq!(house.rows("SELECT copies FROM raw_receipts").await, ["2"]);
}

#[tokio::test]
async fn the_operator_overrides_source_kind_and_stands_in_for_the_marketplace() {
    let house = House::new().await;
    let file = house.file("x.json", "[1]");
    let options = Options {
        source: Some("keepa".to_owned()),
        kind: Some("reviews".to_owned()),
        marketplace: Some(Marketplace::De),
        ..house.options(&[file])
    };
    house.run(&options).await;
    assert_eq!(house.rows("SELECT source, kind, marketplace FROM raw_receipts").await, ["keepa reviews DE"]);
}

#[tokio::test]
async fn a_date_in_the_path_stands_in_for_the_time_and_without_any_the_file_is_refused() {
    let house = House::new().await;
    let dated = house.file("2025-09-10/x.json", "[1]");
    let undated = house.file("y.json", "[2]");
    let two_days = house.file("2025-09-01_2025-09-30.json", "[3]");
    let without = |inputs: &[Found]| Options { captured_at: None, ..house.options(inputs) };

    let summary = house.run(&without(&[dated.clone(), undated.clone(), two_days])).await;
    assert_eq!((summary.outcome(), summary.refused, summary.landed), (Outcome::PartlyFailed, 2, 1));
    assert_eq!(house.rows("SELECT observed_at FROM raw_receipts").await, ["1757505600000000"]);
    assert!(summary.files[1].hint.as_deref().unwrap().contains("--captured-at"));
    assert!(summary.files[2].hint.as_deref().unwrap().contains("2025-09-01 and 2025-09-30"));
    assert!(house.problems().await.is_empty());

    let alone = house.run(&without(&[undated])).await;
    assert_eq!(alone.outcome(), Outcome::Usage);
}

#[tokio::test]
async fn records_that_say_when_they_were_true_need_no_time_and_keep_theirs() {
    let house = House::new().await;
    let table = "marketplace,asin,day,price_minor\nDE,B000000001,2025-09-01,100\nDE,B000000002,,200\n\
                 DE,B000000003,2025-09-03,300\n";
    let file = house.file("flat.csv", table);
    let without = Options { captured_at: None, ..house.options(std::slice::from_ref(&file)) };
    let summary = house.run(&without).await;
    assert_eq!((counts(&summary).as_str(), summary.outcome()), ("2/0/0/1/1", Outcome::PartlyFailed));
    assert_eq!(house.problems().await, ["time_missing 3 62 1"]);
    // Told the time, the row without one lands; the others are what they were.
    assert_eq!(counts(&house.run(&house.options(&[file])).await), "1/2/0/0/0");
    assert_eq!(
        house.rows("SELECT asin_requested, marketplace, observed_at FROM raw_receipts ORDER BY 1").await,
        [
            "B000000001 DE 1756728000000000",
            "B000000002 DE 1757592000000000",
            "B000000003 DE 1756900800000000"
        ]
    );
}

#[tokio::test]
async fn the_samples_land_as_what_they_are() {
    let samples = std::env::var_os("AMZCTL_SAMPLES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples"), PathBuf::from);
    if !samples.is_dir() {
        let _ = std::io::stderr().write_all(b"skipped: samples not found\n");
        return;
    }
    for (name, expected) in [
        ("apify/axesso-amazon-product-details.25.json.gz", "apify product axesso_product US 25"),
        ("apify/axesso-amazon-reviews.20.json", "apify reviews axesso_review US 20"),
        ("apify/junglee-free-amazon-product-scraper.50.json.gz", "apify product junglee_product US 50"),
        ("files/apify-amazon-crawler.50.ndjson", "apify product junglee_product US 50"),
        ("files/keepa-export.de.processors.627.csv.gz", "keepa product keepa_export_csv DE 627"),
        ("files/keepa-export.de.processors.parquet", "keepa product keepa_export_csv DE 627"),
        ("files/keepa-export.de.bluray.32.csv", "keepa product keepa_export_csv DE 32"),
    ] {
        let house = House::new().await;
        let options = Options {
            marketplace: Some(if name.contains(".de.") { Marketplace::De } else { Marketplace::Us }),
            ..house.options(&[Found::File(samples.join(name))])
        };
        let summary = house.run(&options).await;
        assert_eq!((summary.outcome(), summary.rejected), (Outcome::Done, 0), "{name}");
        let landed = house
            .rows("SELECT source, kind, shape, marketplace, COUNT(*) FROM raw_receipts GROUP BY 1, 2, 3, 4")
            .await;
        assert_eq!(landed, [expected], "{name}");
    }
}

#[tokio::test]
async fn a_record_whose_time_cannot_be_read_is_told_apart_from_one_that_names_none() {
    let house = House::new().await;
    let table = "marketplace,asin,observed_at,price_minor\nDE,B000000001,2025-11-06T08:00:00Z,100\n\
                 DE,B000000002,2025-11-06T08:00:00Z,100,7\nDE,B000000003,2025-11-06 08:00:00,100\n\
                 DE,B000000004,yesterday,100\nDE,B000000005,,100\n";
    let file = house.file("flat.csv", table);
    let summary = house.run(&Options { captured_at: None, ..house.options(&[file]) }).await;
    let told: Vec<String> = summary.files[0]
        .problems
        .iter()
        .map(|one| format!("{} {}: {}", one.line, one.reason, one.detail))
        .collect();
    assert_eq!(
        told,
        [
            "3 invalid_csv: 5 cells for 4 columns",
            "4 invalid_time: observed_at 2025-11-06 08:00:00 has no time zone; it is read as in 2026-05-01T12:00:00Z",
            "5 invalid_time: observed_at yesterday is no instant; it is read as in 2026-05-01T12:00:00Z",
            "6 time_missing: neither the record nor its file says when it was true",
        ]
    );
}

#[tokio::test]
async fn a_bad_record_is_rejected_alone_named_and_kept() {
    let house = House::new().await;
    let text = b"{\"a\":1}\n{\"a\":}\n{\"a\":\"\xff\"}\n\n{\"a\":2}\n";
    let summary = house.ingest("x.ndjson", text).await;
    assert_eq!((counts(&summary).as_str(), summary.outcome()), ("2/0/0/2/2", Outcome::PartlyFailed));
    assert_eq!(house.problems().await, ["invalid_json 2 8 1", "invalid_utf8 3 15 1"]);
    let bad = house.rows("SELECT body_sha256 FROM quarantine WHERE reason = 'invalid_utf8'").await;
    assert_eq!(house.store.load_body(&bad[0]).await.unwrap().unwrap(), b"{\"a\":\"\xff\"}");
    let named = &summary.files[0].problems[0];
    assert_eq!((named.line, named.offset, named.reason), (2, 8, "invalid_json"));
    assert_eq!(named.detail, "expected value", "the place is the file's");

    // Once said is enough: a second run has no new failure.
    let again = house.ingest("x.ndjson", text).await;
    assert_eq!((counts(&again).as_str(), again.outcome()), ("0/0/0/0/0", Outcome::Done));
}

#[tokio::test]
async fn a_share_of_rejected_records_can_be_tolerated() {
    let house = House::new().await;
    let file = house.file("x.ndjson", format!("nonsense\n{}", numbered_lines(99)));
    let options = Options { tolerate_failed_pct: 1.0, ..house.options(std::slice::from_ref(&file)) };
    assert_eq!(house.run(&options).await.outcome(), Outcome::Done);
}

#[tokio::test]
async fn a_cut_file_lands_what_is_whole_and_names_the_rest() {
    let house = House::new().await;
    let lines = numbered_lines(2000);
    let compressed = gzip(lines.as_bytes());
    let cut = house.ingest("x.ndjson.gz", &compressed[..compressed.len() / 2]).await;
    assert_eq!((cut.outcome(), cut.files[0].status), (Outcome::PartlyFailed, FileStatus::Broken));
    assert_eq!((cut.rejected, cut.files[0].problems[0].reason), (1, "truncated"));
    assert!(cut.landed > 100 && cut.landed < 2000);
    let bodies = house.bodies().await;
    assert!(bodies.iter().zip(lines.lines()).all(|(body, line)| body == line));
    let offset: u64 = bodies.iter().map(|body| body.len() as u64 + 1).sum();
    assert_eq!((cut.files[0].problems[0].line, cut.files[0].problems[0].offset), (cut.landed + 1, offset));

    // The same broken file again is no new failure; the whole file lands the rest.
    let again = house.ingest("x.ndjson.gz", &compressed[..compressed.len() / 2]).await;
    assert_eq!((again.outcome(), again.landed, again.new_problems), (Outcome::Done, 0, 0));
    let whole = house.ingest("x.ndjson.gz", &compressed).await;
    assert_eq!((whole.landed, whole.already_there), (2000 - cut.landed, cut.landed));
}

#[tokio::test]
async fn an_array_without_end_and_a_cut_last_line_are_told_apart_from_bad_records() {
    for (name, text, expected) in [
        ("x.json", "[1,\n{\"a\":", "truncated 2 4 1"),
        ("x.json", "[1, 2", "truncated 1 4 1"),
        ("x.json", "[1,{\"a\":2}", "truncated 1 10 0"),
        ("x.ndjson", "{\"a\":1}\n{\"a\":2", "truncated 2 8 1"),
        ("x.csv", "a,b\n1,2\n3", "truncated 3 8 1"),
        ("x.csv", "a,b\n1,2\n\"3,4\n5,6\n", "unclosed_quote 3 8 1"),
    ] {
        let house = House::new().await;
        let summary = house.ingest(name, text).await;
        assert_eq!(house.problems().await, [expected], "{text:?}");
        assert_eq!((summary.outcome(), summary.rejected), (Outcome::PartlyFailed, 1));
        assert!(summary.landed >= 1);
    }
}

#[tokio::test]
async fn a_record_over_the_limit_is_named_not_kept_and_the_file_goes_on() {
    let house = House::new().await;
    let text = format!("{{\"a\":1}}\n{{\"a\":\"{}\"}}\n{{\"a\":2}}\n", "x".repeat(5000));
    let file = house.file("x.ndjson", text);
    let limits = Limits { record_bytes: 1000, read_size: 64 };
    let summary = house.run(&Options { limits, ..house.options(&[file]) }).await;
    assert_eq!((counts(&summary).as_str(), summary.outcome()), ("2/0/0/1/1", Outcome::PartlyFailed));
    assert_eq!(house.problems().await, ["record_too_large 2 8 0"]);
}

#[tokio::test]
async fn a_bomb_stops_at_the_cap_and_goes_on_under_a_higher_one() {
    let house = House::new().await;
    let bomb = gzip(numbered_lines(2000).as_bytes());
    let file = house.file("x.ndjson.gz", &bomb);
    let batch = BatchSize { records: 100, bytes: 1 << 20 };
    let capped = Options { output_cap: 10_000, batch, ..house.options(&[file]) };
    let summary = house.run(&capped).await;
    let problem = &summary.files[0].problems[0];
    assert_eq!((summary.outcome(), problem.reason), (Outcome::PartlyFailed, "output_too_large"));
    assert!(problem.detail.contains("more than 10000 bytes"), "{}", problem.detail);

    let raised = Options { output_cap: 1 << 20, ..capped };
    let rest = house.run(&raised).await;
    assert_eq!((rest.outcome(), rest.files[0].resumed_at), (Outcome::Done, summary.landed));
    assert_eq!(rest.landed + summary.landed, 2000);
}

#[tokio::test]
async fn ten_thousand_levels_are_a_record() {
    let house = House::new().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let summary = house.ingest("x.json", format!("[{{\"a\":{deep}}}]")).await;
    assert_eq!(counts(&summary), "1/0/0/0/0");
}

#[tokio::test]
async fn files_that_give_no_records_are_refused_by_name() {
    for (content, reason, message) in [
        (&b""[..], "empty_file", "it is empty"),
        (b"\x89PNG\r\n\x1a\n", "binary_file", "it is a PNG image"),
        (b"\xff\xfe[\x001\x00]\x00", "encoding", "it is UTF-16LE; only UTF-8 is read"),
        (b"asin,tit\xfcl\nB0,x\n", "encoding", "the header is not UTF-8"),
        (b"\x1f\x8b\x08\0\0", "truncated", "the compressed stream ends early"),
    ] {
        let house = House::new().await;
        let summary = house.ingest("x.json", content).await;
        let report = &summary.files[0];
        assert_eq!((report.refusal, report.message.as_deref()), (Some(reason), Some(message)));
        assert_eq!((summary.outcome(), counts(&summary).as_str()), (Outcome::Failed, "0/0/0/0/1"));
        assert_eq!(house.problems().await, [format!("{reason} 1 0 0")]);

        // Beside a good file it is one of several, and the second time no news.
        let good = house.file("good.json", "[1]");
        let both = house.options(&[house.file("x.json", content), good]);
        assert_eq!(house.run(&both).await.outcome(), Outcome::Done);
        let fresh = House::new().await;
        let both = fresh.options(&[fresh.file("x.json", content), fresh.file("good.json", "[1]")]);
        let summary = fresh.run(&both).await;
        assert_eq!((summary.outcome(), summary.landed), (Outcome::PartlyFailed, 1));
    }
}

#[tokio::test]
async fn a_file_without_records_is_nothing_to_do() {
    for text in ["[]", "asin,price_minor\n", "\u{feff}[\n]\n"] {
        let house = House::new().await;
        let summary = house.ingest("x", text).await;
        assert_eq!((summary.outcome(), summary.records), (Outcome::Done, 0));
        assert_eq!(house.rows("SELECT state FROM ingest_files").await, ["done"]);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_does_not_stop_the_others() {
    let house = House::new().await;
    let gone = Found::File(house.folder.path().join("gone.json"));
    let good = house.file("good.json", "[1]");
    let summary = house.run(&house.options(&[gone, good])).await;
    assert_eq!((summary.outcome(), summary.refused, summary.landed), (Outcome::PartlyFailed, 1, 1));
    assert!(summary.files[0].message.as_deref().unwrap().starts_with("cannot be read: "));
}

#[tokio::test]
async fn a_dry_run_counts_what_would_land_and_writes_nothing() {
    let house = House::new().await;
    house.ingest("old.json", "[1]").await;
    let before = house.state().await;
    let inputs = [
        house.file("a.ndjson", "{\"a\":1}\n".repeat(3) + "bad\n{\"a\":2}\n"),
        house.file("b.ndjson", "{\"a\":1}\n{\"a\":1}\n{\"a\":3}\n"),
        house.file("c.json", "[1]\n"),
    ];
    let batch = BatchSize { records: 2, bytes: 1 << 20 };
    let dry = Options { dry_run: true, batch, ..house.options(&inputs) };
    let preview = house.run(&dry).await;
    assert_eq!(house.state().await, before);
    assert_eq!(house.rows("SELECT COUNT(*) FROM ingest_files").await, ["1"]);
    let real = house.run(&Options { dry_run: false, ..dry }).await;
    assert_eq!(counts(&preview), counts(&real));
    assert_eq!(counts(&real), "3/3/2/1/1");
}

#[tokio::test]
async fn stopping_after_any_batch_leads_to_the_same_state() {
    let text: String = (0..40)
        .map(|n| if n % 9 == 4 { "bad\n".to_owned() } else { format!("{{\"n\":{}}}\n", n % 7) })
        .collect();
    let whole = House::new().await;
    whole.ingest("x.ndjson", &text).await;
    let wanted = whole.state().await;
    for batch_records in [1, 7, 16] {
        let house = House::new().await;
        let file = house.file("x.ndjson", &text);
        let batch = BatchSize { records: batch_records, bytes: 1 << 20 };
        let options = Options { batch, ..house.options(&[file]) };
        let mut runs = 0;
        loop {
            let cancel = CancelToken::default();
            let token = cancel.clone();
            let clock = Clock::Fixed(CAPTURED.parse().unwrap());
            let stop = move |_| token.cancel(Outcome::Terminated);
            runs += 1;
            if !run(&house.store, clock, &cancel, &stop, &options).await.unwrap().cancelled {
                break;
            }
            assert!(runs < 100, "every run gets one batch further");
        }
        assert!(runs > 40 / batch_records);
        assert_eq!(house.state().await, wanted);
    }
}

#[tokio::test]
async fn a_pipe_is_read_like_a_file_and_its_copy_removed() {
    let house = House::new().await;
    let pipe = house.folder.path().join("2025-09-10.pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::write(pipe, "[1,2]").unwrap())
    };
    let options = Options { captured_at: None, ..house.options(&[Found::File(pipe)]) };
    let summary = house.run(&options).await;
    writer.join().unwrap();
    assert_eq!(counts(&summary), "2/0/0/0/0");
    assert_eq!(house.rows("SELECT DISTINCT observed_at FROM raw_receipts").await, ["1757505600000000"]);
    assert!(!house.folder.path().join("amzctl.db.spool").exists());
}

#[tokio::test]
async fn a_full_disk_stops_at_a_checkpoint_and_the_rest_lands_when_there_is_room() {
    let house = House::new().await;
    if house.store.location().file().is_none() {
        return;
    }
    let file = house.file("x.ndjson", numbered_lines(2000));
    let options = Options { batch: BatchSize { records: 100, bytes: 1 << 20 }, ..house.options(&[file]) };
    // The engine's own limit: to it, a file that may not grow is a full disk.
    let allow_pages = async |more: i64| {
        let pages = house.store.number("PRAGMA page_count").await;
        house.store.run_script(format!("PRAGMA max_page_count = {}", pages + more)).await.unwrap();
    };
    allow_pages(60).await;
    let error = house.try_run(&options, &CancelToken::default()).await.unwrap_err();
    assert!(error.to_string().starts_with("failed to save records up to "), "{error:#}");
    let (outcome, hints) = crate::error::classify(&error);
    assert_eq!(outcome, Outcome::Failed);
    assert!(hints[0].contains("free some disk space"), "{hints:?}");
    let landed: u64 = house.rows("SELECT COUNT(*) FROM raw_receipts").await[0].parse().unwrap();
    assert!(landed > 0 && landed < 2000 && landed.is_multiple_of(100));
    assert_eq!(
        house.rows("SELECT state, records_read FROM ingest_files").await,
        [format!("reading {landed}")]
    );

    allow_pages(100_000).await;
    let rest = house.run(&options).await;
    assert_eq!((rest.landed, rest.files[0].resumed_at), (2000 - landed, landed));
}

#[tokio::test]
async fn a_file_that_changes_under_the_reader_is_not_marked_as_read() {
    let house = House::new().await;
    let file = house.file("x.ndjson", numbered_lines(200));
    let Found::File(path) = file.clone() else { panic!("it is a file") };
    let grow = move |_| {
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"late\":1}\n").unwrap();
    };
    let options = Options { batch: BatchSize { records: 100, bytes: 1 << 20 }, ..house.options(&[file]) };
    let clock = Clock::Fixed(CAPTURED.parse().unwrap());
    let summary = run(&house.store, clock, &CancelToken::default(), &grow, &options).await.unwrap();
    assert_eq!((summary.outcome(), summary.files[0].status), (Outcome::PartlyFailed, FileStatus::Changed));
    assert_eq!(house.rows("SELECT state FROM ingest_files").await, ["reading"]);
    // The file as it is now is another file: what it shares with the first reading is there.
    let now = house.run(&options).await;
    assert_eq!((now.outcome(), now.files[0].status), (Outcome::Done, FileStatus::Read));
    assert!(now.already_there >= 200);
}

#[tokio::test]
async fn receipts_cannot_be_changed_or_deleted() {
    let house = House::new().await;
    house.ingest("x.json", "[1]").await;
    for sql in [
        "UPDATE raw_receipts SET copies = copies - 1",
        "UPDATE raw_receipts SET observed_at = 0, copies = copies + 1",
        "DELETE FROM raw_receipts",
        "UPDATE raw_bodies SET size_bytes = 0",
        "DELETE FROM raw_bodies",
    ] {
        assert!(house.store.run_script(sql).await.is_err(), "{sql}");
    }
}

/// A page with its product's name in it.
fn page(title: &str) -> String {
    format!(
        "<!-- saved -->\n<!DOCTYPE html>\n<html><script>ue_mid='A1PA6795UKMFR9'</script><span id=productTitle>{title}</span>
         <link rel=canonical href=https://www.amazon.de/dp/B000000002><input id=ASIN value=B000000001></html>\n"
    )
}

#[tokio::test]
async fn a_page_is_one_record_whatever_its_wrapping_and_name() {
    for (name, content) in [
        ("x.html", page("Lampe").into_bytes()),
        ("x.json", [b"\xef\xbb\xbf", page("Lampe").as_bytes()].concat()),
        ("x.htm.gz", gzip(page("Lampe").as_bytes())),
        ("x.zst", zstd::encode_all(page("Lampe").as_bytes(), 3).unwrap()),
    ] {
        let house = House::new().await;
        let summary = house.ingest(name, content).await;
        assert_eq!((counts(&summary).as_str(), summary.outcome()), ("1/0/0/0/0", Outcome::Done), "{name}");
        assert_eq!(house.bodies().await, [page("Lampe")]);
        assert_eq!(
            house
                .rows("SELECT source, kind, marketplace, asin_requested, asin_returned, shape, file_line FROM raw_receipts")
                .await,
            ["html product DE B000000001 B000000002 amazon_page 1"]
        );
    }
}

#[tokio::test]
async fn a_folder_of_pages_is_read_page_by_page() {
    let house = House::new().await;
    for (name, title) in [("pages/a.html", "one"), ("pages/b.htm", "two"), ("pages/c.html.gz", "three")] {
        let text = page(title).into_bytes();
        house.file(name, if name.ends_with("gz") { gzip(&text) } else { text });
    }
    let inputs = ingest::discover(&[house.folder.path().join("pages")]).unwrap();
    let summary = house.run(&house.options(&inputs)).await;
    assert_eq!((inputs.len(), counts(&summary).as_str()), (3, "3/0/0/0/0"));
}

#[tokio::test]
async fn a_page_that_cannot_be_kept_whole_says_why() {
    let text = page("Lampe");
    let foreign = [b"<html><meta charset=Shift_JIS>".as_slice(), b"\x93\xfa</html>"].concat();
    let compressed = gzip(text.repeat(200).as_bytes());
    for (name, content, reason) in [
        ("x.html", foreign, "invalid_utf8 1 0 1"),
        ("x.html.gz", compressed[..compressed.len() - 9].to_vec(), "truncated 1 0 1"),
    ] {
        let house = House::new().await;
        let summary = house.ingest(name, content).await;
        assert_eq!(counts(&summary), "0/0/0/1/1");
        assert_eq!(house.problems().await, [reason]);
    }
    let house = House::new().await;
    house.ingest("x.html", [b"<html><meta charset=Shift_JIS>".as_slice(), b"\x93\xfa</html>"].concat()).await;
    assert_eq!(
        house.rows("SELECT detail FROM quarantine").await,
        ["byte 30 of the record is not UTF-8; the page declares Shift_JIS"]
    );
    let file = house.file("y.html", text.repeat(3));
    let limits = Limits { record_bytes: text.len(), ..Limits::default() };
    let summary = house.run(&Options { limits, ..house.options(&[file]) }).await;
    assert_eq!(summary.files[0].problems[0].reason, "record_too_large");
}
