//! Files that are no data at all, and files of which a part is none.

use std::io::Write as _;

use super::{prices, sound};
use crate::sandbox::{Sandbox, answers};

const ONE_PRICE: &str = "asin,day,price_minor\nB0FDKB341G,2026-02-28,2599\n";

fn is_full() -> bool {
    std::env::var("AMZCTL_SWEEP").is_ok_and(|size| size == "full")
}

fn gzip(write: impl FnOnce(&mut dyn std::io::Write)) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    write(&mut encoder);
    encoder.finish().unwrap()
}

/// `mibs` mebibytes of one letter.
fn letters(to: &mut dyn std::io::Write, mibs: usize) {
    let mebibyte = vec![b'x'; 1 << 20];
    for _ in 0..mibs {
        to.write_all(&mebibyte).unwrap();
    }
}

/// A folder with the bad file and a sound one: the sound one lands, the bad one is told once and is no news later.
fn beside_a_sound_one(bad: &[u8]) {
    let sandbox = Sandbox::initialised();
    sandbox.write("in/bad.json", bad);
    sandbox.write("in/sound.json", sound("B0FDKB341G"));
    let first = sandbox.run("ingest in");
    assert!(first.starts_with("exit 3\n") && first.contains("in/bad.json: refused: "), "{first}");
    assert!(first.contains("ingest: 2 files (1 refused), 1 record, 1 landed"), "{first}");
    assert_eq!(sandbox.exit_code("ingest in"), 0);
    assert_eq!(sandbox.exit_code("run in"), 0);
    assert_eq!(prices(&sandbox), ONE_PRICE);
}

#[test]
fn an_empty_file() {
    let sandbox = Sandbox::initialised();
    sandbox.write("2026-02-28.json", "");
    answers!(sandbox.run("ingest 2026-02-28.json"), @r#"
    exit 1
    --- stderr
    error: 2026-02-28.json: it is empty
    hint: an export that failed often leaves an empty file: fetch it again
    "#);
    answers!(sandbox.run("quarantine list --fields stage,reason,detail"), @r#"
    exit 0
    --- stdout
    STAGE   REASON      DETAIL
    ingest  empty_file  it is empty
    "#);
    beside_a_sound_one(b"");
    beside_a_sound_one(b"\xef\xbb\xbf \r\n\n");
}

#[test]
fn a_binary_file() {
    let sandbox = Sandbox::initialised();
    let noise: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    sandbox.write("noise.json", &noise);
    answers!(sandbox.run("ingest noise.json --captured-at 2026-02-28"), @r#"
    exit 1
    --- stderr
    error: noise.json: it is not text (control characters in its first bytes)
    hint: hand in JSON, NDJSON, CSV, TSV or HTML pages, plain or compressed with gzip or zstd, or Parquet or XLSX
    "#);
    // Without a zero byte it is the number of control characters that tells.
    let controls: Vec<u8> = noise.iter().map(|byte| if *byte == 0 { 1 } else { *byte }).collect();
    sandbox.write("controls.json", &controls);
    assert_eq!(sandbox.exit_code("ingest controls.json --captured-at 2026-02-28"), 1);
    let found = sandbox.succeed("quarantine list --format csv --fields file_path,reason");
    assert!(found.contains("controls.json,binary_file\n"), "{found}");
    sandbox.write("book.csv", b"PK\x03\x04\x14\0\x06\0rest of a workbook");
    answers!(sandbox.run("ingest book.csv --captured-at 2026-02-28"), @r#"
    exit 1
    --- stderr
    error: book.csv: it looks like a workbook, and cannot be read: Zip error: invalid Zip archive: Could not find EOCD
    hint: save it again, or hand in its table as CSV
    "#);
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("exports/one.json", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(sound("B0FDKB341G").as_bytes()).unwrap();
    sandbox.write("exports.zip", archive.finish().unwrap().into_inner());
    answers!(sandbox.run("ingest exports.zip --captured-at 2026-02-28"), @r#"
    exit 1
    --- stderr
    error: exports.zip: it is an archive (ZIP), not a workbook
    hint: unpack it and hand in its files
    "#);
    answers!(sandbox.run("ingest amzctl.db --captured-at 2026-02-28"), @r#"
    exit 1
    --- stderr
    error: amzctl.db: it is a SQLite database
    hint: hand in JSON, NDJSON, CSV, TSV or HTML pages, plain or compressed with gzip or zstd, or Parquet or XLSX
    "#);
    beside_a_sound_one(&noise);
}

#[test]
fn a_file_in_utf16() {
    let sandbox = Sandbox::initialised();
    let marked = |text: &str| {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    sandbox.write("notepad.json", marked(&sound("B0FDKB341G")));
    answers!(sandbox.run("ingest notepad.json"), @r#"
    exit 1
    --- stderr
    error: notepad.json: it is UTF-16LE; only UTF-8 is read
    hint: convert it: iconv -f UTF-16LE -t UTF-8 FILE > FILE.utf8
    "#);
    let unmarked: Vec<u8> = sound("B0FDKB341G").encode_utf16().flat_map(u16::to_be_bytes).collect();
    sandbox.write("unmarked.json", &unmarked);
    answers!(sandbox.run("ingest unmarked.json"), @r#"
    exit 1
    --- stderr
    error: unmarked.json: it is UTF-16BE; only UTF-8 is read
    hint: convert it: iconv -f UTF-16BE -t UTF-8 FILE > FILE.utf8
    "#);
    beside_a_sound_one(&marked("asin,price_minor\nB0FDKB341G,1"));
}

#[test]
fn a_record_that_is_not_utf8_leaves_its_neighbours_alone() {
    let sandbox = Sandbox::initialised();
    let line = sound("B0FDKB341H").replace("2599}", "2599,\"title\":\"caf?\"}");
    let mut latin1 = format!("{}\n{line}\n{}\n", sound("B0FDKB341G"), sound("B0FDKB341J")).into_bytes();
    let question = latin1.iter().position(|&byte| byte == b'?').unwrap();
    latin1[question] = 0xe9;
    sandbox.write("latin1.ndjson", &latin1);
    answers!(sandbox.run("ingest latin1.ndjson"), @r#"
    exit 3
    --- stderr
    latin1.ndjson: line 2, byte 79: invalid_utf8: byte 90 of the record is not UTF-8
    ingest: 1 file, 3 records, 2 landed, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
    answers!(sandbox.run("quarantine list --fields stage,reason,detail"), @r#"
    exit 0
    --- stdout
    STAGE   REASON        DETAIL
    ingest  invalid_utf8  byte 90 of the record is not UTF-8
    "#);
    // The bytes are kept as they came.
    let id = sandbox.succeed("quarantine list --format csv --fields quarantine_id");
    let payload = sandbox.succeed(&format!("quarantine show {}", id.lines().nth(1).unwrap()));
    assert!(payload.contains("B0FDKB341H") && payload.contains("caf\u{fffd}"), "{payload}");
    assert_eq!(sandbox.exit_code("run"), 0);
    assert_eq!(prices(&sandbox).lines().count(), 3);
}

#[test]
fn a_record_beyond_the_cap_is_refused_with_its_place_and_the_rest_goes_on() {
    let sandbox = Sandbox::initialised();
    // 200 MB, as a whole only in memory of nobody: gzip makes it small.
    let compressed = gzip(|file| {
        write!(file, "{}\n{{\"asin\":\"", sound("B0FDKB341G")).unwrap();
        letters(file, 200);
        write!(file, "\"}}\n{}\n", sound("B0FDKB341J")).unwrap();
    });
    sandbox.write("lines.ndjson.gz", compressed);
    answers!(sandbox.run("ingest lines.ndjson.gz"), @r#"
    exit 3
    --- stderr
    lines.ndjson.gz: line 2, byte 79: record_too_large: a record of 209715212 bytes; the limit is 64 MiB
    ingest: 1 file, 3 records, 2 landed, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
    answers!(sandbox.run("quarantine list --fields stage,reason,detail"), @r#"
    exit 0
    --- stdout
    STAGE   REASON            DETAIL
    ingest  record_too_large  a record of 209715212 bytes; the limit is 64 MiB
    "#);

    let mut array = format!("[{},\n{{\"asin\":\"", sound("B0FDKB341K")).into_bytes();
    letters(&mut array, 65);
    write!(array, "\"}},{}]", sound("B0FDKB341L")).unwrap();
    sandbox.write("array.json", &array);
    answers!(sandbox.run("ingest array.json"), @r#"
    exit 3
    --- stderr
    array.json: line 2, byte 81: record_too_large: a record of 68157451 bytes; the limit is 64 MiB
    ingest: 1 file, 3 records, 2 landed, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
    drop(array);

    let mut table =
        b"marketplace,asin,day,price_minor,title\nUS,B0FDKB341M,2026-02-28,1,a\nUS,B0,,,\"".to_vec();
    letters(&mut table, 65);
    table.extend(b"\"\nUS,B0FDKB341N,2026-02-28,1,b\n");
    sandbox.write("table.csv", &table);
    answers!(sandbox.run("ingest table.csv"), @r#"
    exit 3
    --- stderr
    table.csv: line 3, byte 68: record_too_large: a record of 68157451 bytes; the limit is 64 MiB
    ingest: 1 file, 3 records, 2 landed, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);

    assert_eq!(sandbox.exit_code("run"), 0);
    assert_eq!(prices(&sandbox).lines().count(), 1 + 6, "the neighbours of all three landed");
}

#[test]
fn json_nested_ten_thousand_deep_is_quarantined_as_that() {
    let sandbox = Sandbox::initialised();
    let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
    let deep = sound("B0FDKB341H").replace("2599}", &format!("2599,\"x\":{open}1{close}}}"));
    sandbox.write("deep.ndjson", format!("{}\n{deep}\n{}\n", sound("B0FDKB341G"), sound("B0FDKB341J")));
    sandbox.write("2026-02-28/only.json", format!("{open}{close}"));
    sandbox.write("2026-02-28/objects.json", "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000));
    answers!(sandbox.run("ingest deep.ndjson"), @r#"
    exit 3
    --- stderr
    deep.ndjson: line 2, byte 79: too_deep: nested deeper than 100 levels
    ingest: 1 file, 3 records, 2 landed, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
    // It is JSON: where the file says when it was true, it lands.
    answers!(sandbox.run("ingest 2026-02-28"), @r#"
    exit 0
    --- stderr
    ingest: 2 files, 2 records, 2 landed
    next: `amzctl normalize`
    "#);
    answers!(sandbox.run("normalize"), @r#"
    exit 3
    --- stderr
    normalize: 4 receipts read, 2 observations written, 2 daily rows changed
    normalize: 2 new rows in quarantine
    next: `amzctl quarantine list`, then `amzctl build-mart`
    "#);
    answers!(sandbox.run("quarantine list --format csv --fields reason,asin,detail"), @r#"
    exit 0
    --- stdout
    reason,asin,detail
    too_deep,,nested deeper than 100 levels
    too_deep,,nested deeper than 100 levels
    too_deep,,nested deeper than 100 levels
    "#);
    assert_eq!(sandbox.exit_code("run"), 0);
    assert_eq!(prices(&sandbox).lines().count(), 3);
}

#[test]
fn a_gzip_bomb_stops_at_the_cap_and_says_how_to_trust_it() {
    let sandbox = Sandbox::initialised();
    let bomb = gzip(|file| {
        write!(file, "{}\n{{\"asin\":\"", sound("B0FDKB341G")).unwrap();
        letters(file, 80);
        write!(file, "\"}}\n{}\n", sound("B0FDKB341J")).unwrap();
    });
    sandbox.write("bomb.ndjson.gz", bomb);
    answers!(sandbox.run("ingest bomb.ndjson.gz --max-decompressed 1MiB"), @r#"
    exit 3
    --- stderr
    bomb.ndjson.gz: line 2, byte 79: output_too_large: it expands to more than 1 MiB, the cap on one compressed file
    bomb.ndjson.gz: raise the cap with --max-decompressed if the file can be trusted
    ingest: 1 file, 2 records, 1 landed, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
    answers!(sandbox.run("quarantine list --fields stage,reason,detail"), @r#"
    exit 0
    --- stdout
    STAGE   REASON            DETAIL
    ingest  output_too_large  it expands to more than 1 MiB, the cap on one compressed file
    "#);
    assert_eq!(sandbox.exit_code("run"), 0);
    assert_eq!(prices(&sandbox), ONE_PRICE);
    assert!(sandbox.succeed("ingest --help").contains("[default: 8GiB]"));
    if is_full() {
        let bomb = gzip(|file| {
            write!(file, "{{\"asin\":\"").unwrap();
            letters(file, (8 << 10) + 1);
        });
        sandbox.write("2026-02-28.ndjson.gz", bomb);
        let answer = sandbox.run("ingest 2026-02-28.ndjson.gz");
        assert!(answer.contains("it expands to more than 8 GiB, the cap on one compressed file"), "{answer}");
    }
}

#[test]
fn a_comma_too_many_or_too_few_in_an_array_is_named_and_every_whole_record_lands() {
    let sandbox = Sandbox::initialised();
    let [one, two, three] = ["B0FDKB341G", "B0FDKB341H", "B0FDKB341J"].map(sound);
    sandbox.write("trailing.json", format!("[{one},\n{two},\n]\n"));
    answers!(sandbox.run("ingest trailing.json"), @r#"
    exit 3
    --- stderr
    trailing.json: line 2, byte 159: broken_array: no value stands behind this comma: the array ends
    ingest: 1 file, 3 records, 2 landed, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
    sandbox.write("missing.json", format!("[{one},\n{two}\n{three}]\n"));
    answers!(sandbox.run("ingest missing.json"), @r#"
    exit 3
    --- stderr
    missing.json: line 3, byte 160: broken_array: no comma stands before this value of the array; more may be missing
    ingest: 1 file, 4 records, 1 landed, 2 already there, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
    answers!(sandbox.run("quarantine list --fields stage,reason,detail"), @r#"
    exit 0
    --- stdout
    STAGE   REASON        DETAIL
    ingest  broken_array  no value stands behind this comma: the array ends
    ingest  broken_array  no comma stands before this value of the array; more may be missing
    "#);
    assert_eq!(sandbox.exit_code("run"), 0);
    assert_eq!(prices(&sandbox).lines().count(), 1 + 3);
    // The same file has nothing new to tell.
    assert_eq!(sandbox.exit_code("ingest missing.json"), 0);
}

#[test]
fn bytes_behind_a_compressed_stream_are_told_with_their_number_and_place() {
    let sandbox = Sandbox::initialised();
    let (one, two) = (sound("B0FDKB341G"), sound("B0FDKB341H"));
    let parts = |compress: &dyn Fn(&str) -> Vec<u8>| {
        let whole = [compress(&format!("{one}\n")), compress(&format!("{two}\n"))].concat();
        (whole.len(), [whole.as_slice(), b"-- end --\n"].concat())
    };
    let (at, zstd) = parts(&|text| zstd::encode_all(text.as_bytes(), 3).unwrap());
    sandbox.write("a.ndjson.zst", &zstd);
    let told = |answer: String, at: usize| answer.replace(&format!("byte {at} of"), "byte [AT] of");
    answers!(told(sandbox.run("ingest a.ndjson.zst"), at), @r#"
    exit 3
    --- stderr
    a.ndjson.zst: line 3, byte 158: corrupt_stream: the compressed stream is whole, but what follows it (10 bytes, from byte [AT] of the file on) is not a zstd frame
    ingest: 1 file, 3 records, 2 landed, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
    let (at, gzip) = parts(&|text| gzip(|to| to.write_all(text.as_bytes()).unwrap()));
    sandbox.write("b.ndjson.gz", &gzip);
    answers!(told(sandbox.run("ingest b.ndjson.gz --captured-at 2026-02-28"), at), @r#"
    exit 3
    --- stderr
    b.ndjson.gz: line 3, byte 158: corrupt_stream: the compressed stream is whole, but what follows it (10 bytes, from byte [AT] of the file on) is not a gzip member
    ingest: 1 file, 3 records, 0 landed, 2 already there, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
    // A row without a line end is whole all the same.
    let table = "marketplace,asin,day,price_minor\nUS,B0FDKB341M,2026-02-28,1\nUS,B0FDKB341N,2026-02-28,2";
    sandbox.write("c.csv.zst", [zstd::encode_all(table.as_bytes(), 3).unwrap(), b"x".to_vec()].concat());
    answers!(sandbox.run("ingest c.csv.zst"), @r#"
    exit 3
    --- stderr
    c.csv.zst: line 3, byte 86: corrupt_stream: the compressed stream is whole, but what follows it (1 byte, from byte 80 of the file on) is not a zstd frame
    ingest: 1 file, 3 records, 2 landed, 1 rejected
    next: `amzctl quarantine list`, then `amzctl normalize`
    "#);
}
