use std::io::Write as _;

use crate::sandbox::{Sandbox, answers};

const TABLE: &str =
    "marketplace,asin,day,price_minor\nUS,B000000001,2026-02-28,2599\nUS,B000000002,2026-02-28,999\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_file_lands_once_and_the_second_run_says_so() {
    let sandbox = Sandbox::initialised();
    sandbox.write("flat.csv", TABLE);
    answers!(sandbox.run("ingest flat.csv --dry-run"), @r#"
    exit 0
    --- stderr
    ingest: 1 file, 2 records, 2 would land
    "#);
    answers!(sandbox.run("ingest flat.csv"), @r#"
    exit 0
    --- stderr
    ingest: 1 file, 2 records, 2 landed
    next: `amzctl normalize`
    "#);
    let before = sandbox.succeed("verify --hash");
    answers!(sandbox.run("ingest flat.csv"), @r#"
    exit 0
    --- stderr
    flat.csv: already read with this time, nothing landed
    ingest: 1 file (1 already read), 0 records, 0 landed
    next: `amzctl normalize`
    "#);
    answers!(sandbox.run("ingest -q flat.csv"), @"exit 0");
    assert_eq!(sandbox.succeed("verify --hash"), before);
}

#[test]
fn standard_input_is_read_like_a_file_and_leaves_nothing_behind() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run_stdin("{\"a\":1}\n\n{\"a\":1}\n{\"a\":2}\n", "ingest - --captured-at 2026-02-28"), @r#"
    exit 0
    --- stderr
    ingest: 1 file, 3 records, 2 landed, 1 repeats
    next: `amzctl normalize`
    "#);
    answers!(sandbox.run_stdin("", "ingest - --captured-at 2026-02-28"), @r#"
    exit 1
    --- stderr
    error: standard input: it is empty
    hint: an export that failed often leaves an empty file: fetch it again
    "#);
    assert!(!sandbox.path("amzctl.db.spool").exists());
}

#[test]
fn a_folder_that_was_read_before_is_said_in_one_line() {
    let sandbox = Sandbox::initialised();
    for day in 1..=3 {
        let row = format!("US,B000000001,2026-02-0{day}T08:00:00Z,1999\n");
        sandbox.write(&format!("days/{day}.csv"), format!("marketplace,asin,observed_at,price_minor\n{row}"));
    }
    sandbox.succeed("ingest -q days");
    answers!(sandbox.run("ingest days"), @r#"
    exit 0
    --- stderr
    ingest: 3 files (3 already read), 0 records, 0 landed
    next: `amzctl normalize`
    "#);
}

#[test]
fn what_cannot_be_read_is_named_with_line_and_byte() {
    let sandbox = Sandbox::initialised();
    sandbox.write("2026-02-28/bad.ndjson", "{\"a\":1}\n{\"a\":}\n{\"a\":2}\n{\"a\":");
    answers!(sandbox.run("ingest 2026-02-28"), @r#"
    exit 3
    --- stderr
    2026-02-28/bad.ndjson: line 2, byte 8: invalid_json: expected value
    2026-02-28/bad.ndjson: line 4, byte 23: truncated: the file ends inside a record
    ingest: 1 file, 4 records, 2 landed, 2 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
    let kept = sandbox.run("quarantine list --fields stage,reason,detail");
    assert!(kept.contains("\ningest  invalid_json  expected value\n"), "{kept}");
    assert!(kept.contains("\ningest  truncated     the file ends inside a record\n"), "{kept}");
    // Known failures are not new ones.
    assert_eq!(sandbox.exit_code("ingest 2026-02-28"), 0);

    let rows: String = (0..3000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let whole = gzip(&rows);
    sandbox.write("cut.ndjson.gz", &whole[..whole.len() / 2]);
    let answer = sandbox.run("ingest cut.ndjson.gz --captured-at 2026-02-28");
    assert!(answer.starts_with("exit 3\n--- stderr\ncut.ndjson.gz: line "), "{answer}");
    assert!(answer.contains(": truncated: the compressed stream ends early\n"), "{answer}");

    sandbox.write("bomb.json.gz", gzip(&format!("[{}1]", " ".repeat(100_000))));
    answers!(sandbox.run("ingest bomb.json.gz --captured-at 2026-02-28 --max-decompressed 64KiB"), @r#"
    exit 3
    --- stderr
    bomb.json.gz: line 1, byte 65536: output_too_large: it expands to more than 64 KiB, the cap on one compressed file
    bomb.json.gz: raise the cap with --max-decompressed if the file can be trusted
    ingest: 1 file, 1 record, 0 landed, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
}

#[test]
fn what_gives_no_records_is_refused_with_what_to_do() {
    let sandbox = Sandbox::initialised();
    sandbox.write("a.json", [0xff, 0xfe, b'[', 0, b']', 0]);
    answers!(sandbox.run("ingest a.json --captured-at 2026-02-28"), @r#"
    exit 1
    --- stderr
    error: a.json: it is UTF-16LE; only UTF-8 is read
    hint: convert it: iconv -f UTF-16LE -t UTF-8 FILE > FILE.utf8
    "#);
    sandbox.write("b.json", b"\x89PNG\r\n");
    answers!(sandbox.run("ingest a.json b.json --captured-at 2026-02-28"), @r#"
    exit 1
    --- stderr
    a.json: refused: it is UTF-16LE; only UTF-8 is read
    a.json: hint: convert it: iconv -f UTF-16LE -t UTF-8 FILE > FILE.utf8
    b.json: refused: it is a PNG image
    b.json: hint: hand in JSON, NDJSON, CSV, TSV or HTML pages, plain or compressed with gzip or zstd, or Parquet or XLSX
    ingest: 2 files (2 refused), 0 records, 0 landed
    error: none of 2 files could be read
    "#);
    sandbox.write("c.json", "[]");
    answers!(sandbox.run("ingest c.json b.json --captured-at 2026-02-27"), @r#"
    exit 3
    --- stderr
    b.json: refused: it is a PNG image
    b.json: hint: hand in JSON, NDJSON, CSV, TSV or HTML pages, plain or compressed with gzip or zstd, or Parquet or XLSX
    ingest: 2 files (1 refused), 0 records, 0 landed
    next: `amzctl quarantine list`
    "#);
}

#[test]
fn wrong_usage_is_told_before_anything_is_read() {
    let sandbox = Sandbox::initialised();
    sandbox.write("undated.json", "[1]");
    answers!(sandbox.run("ingest undated.json"), @r#"
    exit 2
    --- stderr
    error: undated.json: nothing says when its records were true
    hint: add --captured-at 2025-09-11 (noon of that day) or an instant, or put the date into the path
    "#);
    answers!(sandbox.run("ingest *.ndjson"), @r#"
    exit 2
    --- stderr
    error: nothing matches `*.ndjson`
    hint: name files, folders, patterns such as 'exports/*.json', or - for standard input
    "#);
    answers!(sandbox.run("ingest lake"), @r#"
    exit 2
    --- stderr
    error: no file to read in folder lake
    hint: a folder is searched for .json .jsonl .ndjson .csv .tsv .txt .html .htm .parquet .xlsx; name other files themselves
    "#);
    answers!(sandbox.run("ingest undated.json --captured-at 11.9.2025"), @r#"
    exit 2
    --- stderr
    error: invalid value '11.9.2025' for '--captured-at <TIME>': `11.9.2025` is neither an instant such as 2025-09-11T18:00:00Z nor a day such as 2025-09-11

    For more information, try '--help'.
    "#);
}

#[test]
fn a_killed_ingest_goes_on_and_ends_as_if_it_had_not_been() {
    let rows: String = (0..4000).map(|n| format!("{{\"n\":{}}}\n", n % 1500)).collect();
    let whole = Sandbox::initialised();
    whole.write("2026-02-28.ndjson", &rows);
    whole.succeed("ingest 2026-02-28.ndjson");

    let killed = Sandbox::initialised();
    killed.write("2026-02-28.ndjson", &rows);
    let mut kills = 0;
    for pause_ms in (20..).step_by(15) {
        let mut child = killed.command("ingest -q 2026-02-28.ndjson --batch-records 10").spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 2, "{kills} kills");
    assert_eq!(killed.succeed("verify --hash"), whole.succeed("verify --hash"));
}

#[test]
fn saved_pages_are_read_and_what_is_no_product_is_named() {
    let sandbox = Sandbox::initialised();
    let page = include_str!("../fixtures/html/product.de.html");
    // Pages are rarely sound HTML: nobody is told.
    let page = page.replace("</body>", "<table><div>x</div><tr><td>y</table></body>");
    sandbox.write("pages/2026-02-27/lamp.html", gzip(&page));
    sandbox.write("pages/2026-02-27/check.htm", include_str!("../fixtures/html/captcha.uk.html"));
    answers!(sandbox.run("ingest pages"), @r#"
    exit 0
    --- stderr
    ingest: 2 files, 2 records, 2 landed
    next: `amzctl normalize`
    "#);
    answers!(sandbox.run("normalize"), @r#"
    exit 3
    --- stderr
    normalize: 2 receipts read, 1 observation written, 1 daily row changed
    normalize: 1 new row in quarantine
    next: `amzctl quarantine list`, then `amzctl build-mart`
    "#);
    answers!(sandbox.run("quarantine list --fields reason,source,marketplace,detail"), @r#"
    exit 0
    --- stdout
    REASON        SOURCE  MARKETPLACE  DETAIL
    blocked_page  html    UK           captcha: Amazon.co.uk
    "#);
    let daily = sandbox.succeed("export daily --format csv --fields marketplace,asin,day,price_minor,source");
    assert_eq!(daily.lines().nth(1), Some("DE,B000000001,2026-02-27,129900,html"), "{daily}");
}

#[test]
fn a_workbook_says_what_its_table_says() {
    let table = include_str!("../../examples/market.csv");
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let sheet = workbook.add_worksheet();
    for (row, line) in
        csv::ReaderBuilder::new().has_headers(false).from_reader(table.as_bytes()).records().enumerate()
    {
        for (column, cell) in line.unwrap().iter().enumerate() {
            let (row, column) = (row as u32, column as u16);
            match cell.parse::<u32>() {
                Ok(number) => sheet.write(row, column, number).unwrap(),
                Err(_) => sheet.write(row, column, cell).unwrap(),
            };
        }
    }
    let daily = |name: &str, bytes: &[u8]| {
        let sandbox = Sandbox::initialised();
        sandbox.write(name, bytes);
        sandbox.succeed(&format!("ingest -q {name}"));
        sandbox.succeed("normalize -q");
        sandbox.succeed("export daily --format csv")
    };
    let expected = daily("market.csv", table.as_bytes());
    assert!(expected.lines().count() > 100);
    assert_eq!(daily("market.xlsx", &workbook.save_to_buffer().unwrap()), expected);
}
