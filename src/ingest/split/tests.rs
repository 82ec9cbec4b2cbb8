//! Splitting: what was rendered comes back byte for byte, and every kind of damage is named with its place.

use std::io::{Read, Write};

use proptest::prelude::*;

use super::*;

const SMALL: usize = 1 << 10;

fn pieces_of(bytes: &[u8], read_size: usize, record_bytes: usize) -> Vec<Piece> {
    read_all(bytes, Limits { record_bytes, read_size })
}

fn read_all(source: impl Read, limits: Limits) -> Vec<Piece> {
    let mut splitter = Splitter::open(source, limits).unwrap();
    std::iter::from_fn(|| splitter.next_piece().unwrap()).collect()
}

/// One line per piece: line, offset, and the record or the problem.
fn shown(pieces: &[Piece]) -> Vec<String> {
    pieces
        .iter()
        .map(|Piece { place, content }| {
            let what = match content {
                Content::Record(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Content::Problem(problem) => {
                    let kept = problem.bytes.as_deref().map(String::from_utf8_lossy);
                    let end = if problem.ends_file { " end" } else { "" };
                    format!("!{}{end} {}", problem.reason, kept.unwrap_or("-".into()))
                }
            };
            format!("{}@{} {what}", place.line, place.offset)
        })
        .collect()
}

/// The pieces of `text`, which must not depend on how it is read.
fn split(text: &str) -> Vec<String> {
    let pieces = pieces_of(text.as_bytes(), 1, SMALL);
    for read_size in [2, 3, 7, 4096] {
        assert_eq!(pieces_of(text.as_bytes(), read_size, SMALL), pieces, "read size {read_size}");
    }
    for (index, piece) in pieces.iter().enumerate() {
        assert_eq!(piece.place.ordinal, index as u64);
        if let Content::Record(bytes) = &piece.content {
            let start = piece.place.offset as usize;
            assert_eq!(&text.as_bytes()[start..start + bytes.len()], bytes, "the offset leads to the record");
        }
    }
    shown(&pieces)
}

#[test]
fn json_in_every_layout_gives_its_records_with_line_and_offset() {
    assert_eq!(split(r#"[{"a":1},{"b":[2,"]"]}]"#), [r#"1@1 {"a":1}"#, r#"1@9 {"b":[2,"]"]}"#]);
    assert_eq!(
        split("[\n  {\"a\":1},\n  2, \"x,\\\"]\",\nnull\n]\n[3]"),
        ["2@4 {\"a\":1}", "3@15 2", "3@18 \"x,\\\"]\"", "4@27 null", "6@35 3"]
    );
    assert_eq!(split("{\r\n \"a\": {}\r\n}\r\n"), ["1@0 {\r\n \"a\": {}\r\n}"]);
    assert_eq!(split("{\"a\":1}{\"a\":2} {\"a\":3}"), ["1@0 {\"a\":1}", "1@7 {\"a\":2}", "1@15 {\"a\":3}"]);
    assert_eq!(
        split("\n{\"a\":1}\r\n\r\n  {\"a\":2}  \n{\"a\":3}"),
        ["2@1 {\"a\":1}", "4@14 {\"a\":2}", "5@24 {\"a\":3}"]
    );
    assert_eq!(split("[]"), [""; 0]);
    assert_eq!(split("\u{feff}[1]"), ["1@4 1"]);
}

#[test]
fn a_bad_record_in_json_is_rejected_alone() {
    // A quote that never closes ends with its line; what is not JSON is told by the validation behind.
    assert_eq!(
        split("{\"a\":1}\n{\"a\":\"x\nnonsense\n{\"a\":2}\n"),
        ["1@0 {\"a\":1}", "2@8 {\"a\":\"x", "3@16 nonsense", "4@25 {\"a\":2}"]
    );
    assert_eq!(
        split("[{\"a\":1},\n{\"a\":\"x\n},\nnonsense [, {\"a\":2}}, {\"a\":3}]"),
        [
            "1@1 {\"a\":1}",
            "2@10 {\"a\":\"x\n}",
            "4@21 nonsense [",
            "4@33 {\"a\":2}",
            "4@40 }",
            "4@43 {\"a\":3}"
        ]
    );
}

#[test]
fn an_empty_place_in_an_array_is_named() {
    let empty = "!broken_array -";
    assert_eq!(split("[1,,2]"), ["1@1 1".to_owned(), format!("1@3 {empty}"), "1@4 2".to_owned()]);
    assert_eq!(split("[,\n{}]"), [format!("1@1 {empty}"), "2@3 {}".to_owned()]);
    assert_eq!(
        split("[1, , ,2]"),
        ["1@1 1".to_owned(), format!("1@4 {empty}"), format!("1@6 {empty}"), "1@7 2".to_owned()]
    );
    // Each comma is named once.
    assert_eq!(split("[,]"), [format!("1@1 {empty}")]);
    assert_eq!(split("[1,,]"), ["1@1 1".to_owned(), format!("1@3 {empty}")]);
}

#[test]
fn a_comma_behind_the_last_value_of_an_array_is_named_and_the_rest_goes_on() {
    assert_eq!(split("[1,2 ,\n ]\n[3]"), ["1@1 1", "1@3 2", "1@5 !broken_array -", "3@11 3"]);
    assert_eq!(split("[{\"a\":[]},]"), ["1@1 {\"a\":[]}", "1@9 !broken_array -"]);
}

#[test]
fn a_comma_that_is_missing_between_two_values_is_named_before_the_second() {
    // Once for an array: a file without commas is one fault, not one for each record.
    assert_eq!(
        split("[{\"a\":1}\n {\"b\":2},[3][4]]\n[\"x\" 5\n-2\ntrue]"),
        [
            "1@1 {\"a\":1}",
            "2@10 !broken_array -",
            "2@10 {\"b\":2}",
            "2@18 [3]",
            "2@21 [4]",
            "3@27 \"x\"",
            "3@31 !broken_array -",
            "3@31 5",
            "4@33 -2",
            "5@36 true"
        ]
    );
    // What is no value is told as that, and once.
    assert_eq!(split("[1, {} } , 2]"), ["1@1 1", "1@4 {}", "1@7 }", "1@11 2"]);
    // Two numbers on a line are one text that is no JSON.
    assert_eq!(split("[1 2]"), ["1@1 1 2"]);
    // Outside of an array nothing stands between values.
    assert_eq!(split("[1]\n[2]{}\n[]"), ["1@1 1", "2@5 2", "2@7 {}"]);
}

#[test]
fn what_is_cut_off_is_named_and_kept() {
    assert_eq!(split("[{\"a\":1},\n {\"b\":"), ["1@1 {\"a\":1}", "2@11 !truncated end {\"b\":"]);
    assert_eq!(split("[{\"a\":1}"), ["1@1 {\"a\":1}", "1@8 !truncated end -"]);
    assert_eq!(split("[{\"a\":1}, 12"), ["1@1 {\"a\":1}", "1@10 !truncated end 12"]);
    assert_eq!(split("{\"a\":1}\n{\"a\":tr"), ["1@0 {\"a\":1}", "2@8 !truncated end {\"a\":tr"]);
    assert_eq!(split("{\n\"a\": [\n1"), ["1@0 !truncated end {\n\"a\": [\n1"]);
    assert_eq!(split("a,b\n1,2\n3"), ["2@4 1,2", "3@8 !truncated end 3"]);
    assert_eq!(split("a,b\n1,2\n3,\"x"), ["2@4 1,2", "3@8 !truncated end 3,\"x"]);
}

#[test]
fn a_table_gives_its_rows() {
    assert_eq!(
        split("\u{feff}\"a\",b\r\n1,\"x\r\n\"\"y\"\"\"\r\n2,z 5\"\r\n3,last"),
        ["2@10 1,\"x\r\n\"\"y\"\"\"", "4@24 2,z 5\"", "5@32 3,last"]
    );
    // Blank and empty rows, and the header once more (two exports in one file), hold nothing.
    assert_eq!(split("a,b,\n1,2,\n\n,,\n\"\",,\na,b,\n3,4\n , ,\n"), ["2@5 1,2,", "7@24 3,4"]);
    // A quote in TSV is a character.
    assert_eq!(split("a\tb\n\"1\t2\n3\t4\"\n"), ["2@4 \"1\t2", "3@9 3\t4\""]);
    assert_eq!(split("a;b\n1;\"x;\ny\"\n"), ["2@4 1;\"x;\ny\""]);
    assert_eq!(split("a,b\r1,2\r3,4"), ["2@4 1,2", "3@8 3,4"]);
    assert_eq!(split("a,b\n"), [""; 0]);
}

#[test]
fn a_quote_that_never_closes_spoils_one_row() {
    assert_eq!(
        split("a,b\n1,2\n\"3,4\n5,6\n7,8\n"),
        ["2@4 1,2", "3@8 !unclosed_quote \"3,4\n", "4@13 5,6", "5@17 7,8"]
    );
}

#[test]
fn a_record_over_the_limit_is_named_and_the_next_one_read() {
    let large = "x".repeat(SMALL);
    let text = format!("{{\"a\":1}}\n{{\"a\":\"{large}\"}}\n{{\"a\":2}}\n");
    assert_eq!(split(&text), ["1@0 {\"a\":1}", "2@8 !record_too_large -", "3@1041 {\"a\":2}"]);
    let text = format!("[{{\"a\":\"{large}\"}}, {{\"a\":2}},\n\"{large}\", 3]");
    assert_eq!(
        split(&text),
        ["1@1 !record_too_large -", "1@1035 {\"a\":2}", "2@1044 !record_too_large -", "2@2072 3"]
    );
    let text = format!("a,b\n1,\"{large}\n\"\n3,4\n");
    assert_eq!(split(&text), ["2@4 !record_too_large -", "4@1034 3,4"]);
    let exactly = format!("{{\"a\":\"{}\"}}", "x".repeat(SMALL - 8));
    assert_eq!(split(&format!("{exactly}\r\n")), [format!("1@0 {exactly}")]);
}

#[test]
fn ten_thousand_levels_are_a_record_like_any_other() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let text = format!("[{{\"a\":{deep}}},{{\"b\":1}}]");
    let pieces = read_all(text.as_bytes(), Limits::default());
    assert_eq!(pieces.len(), 2);
    assert_eq!(pieces[0].content, Content::Record(format!("{{\"a\":{deep}}}").into_bytes()));
}

#[test]
fn a_stream_that_breaks_gives_what_is_whole() {
    let rows: String = (0..2000).map(|n| format!("{{\"n\":{n},\"x\":\"{:x}\"}}\n", n * 7919)).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(rows.as_bytes()).unwrap();
    let gzip = encoder.finish().unwrap();

    let cut = flate2::read::MultiGzDecoder::new(&gzip[..gzip.len() / 2]);
    let pieces = read_all(cut, Limits::default());
    let (last, whole) = pieces.split_last().unwrap();
    let Content::Problem(problem) = &last.content else { panic!("the cut is a problem") };
    assert_eq!(problem.reason, Reason::Truncated);
    assert!(problem.ends_file && whole.len() > 100);
    assert_eq!(last.place.line as usize, whole.len() + 1);
    for (n, piece) in whole.iter().enumerate() {
        let expected = format!("{{\"n\":{n},\"x\":\"{:x}\"}}", n * 7919);
        assert_eq!(piece.content, Content::Record(expected.into_bytes()));
    }

    let mut flipped = gzip.clone();
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 1;
    let pieces = read_all(flate2::read::MultiGzDecoder::new(flipped.as_slice()), Limits::default());
    assert_eq!(pieces.len(), 2001);
    assert!(shown(&pieces[2000..])[0].starts_with("2001@"), "{:?}", shown(&pieces[2000..]));
    assert!(shown(&pieces[2000..])[0].contains("!corrupt_stream end"));
}

/// A JSON value with the white space, quotes and brackets that mislead a splitter.
fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i32>().prop_map(|n| n.to_string()),
        "[ -~é\\n\\t]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\\\"]},{""#.to_owned()),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(" , "))),
            proptest::collection::vec(inner, 0..4).prop_map(|items| {
                let members: Vec<String> = items.iter().map(|item| format!("\"k\\\"\": {item}")).collect();
                format!("{{ {} }}", members.join(","))
            }),
        ]
    });
    proptest::collection::vec(value, 0..4).prop_map(|items| format!("{{\"r\":[{}]}}", items.join(",")))
}

fn records(pieces: Vec<Piece>) -> Vec<String> {
    pieces
        .into_iter()
        .map(|piece| match piece.content {
            Content::Record(bytes) => String::from_utf8(bytes).unwrap(),
            Content::Problem(problem) => panic!("{problem:?}"),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rendered_json_splits_into_its_exact_records(
        values in proptest::collection::vec(json_value(), 1..8),
        separator in prop_oneof![Just(","), Just(" ,\n"), Just("\r\n,")],
        read_size in 1_usize..40,
    ) {
        let array = format!("[ {} ]", values.join(separator));
        prop_assert_eq!(&records(pieces_of(array.as_bytes(), read_size, 1 << 20)), &values);
        let lines = format!("{}\r\n", values.join("\n\n"));
        prop_assert_eq!(&records(pieces_of(lines.as_bytes(), read_size, 1 << 20)), &values);
    }

    #[test]
    fn rendered_csv_splits_into_its_exact_rows(
        cells in proptest::collection::vec("[a-z\",\\n\\r é]{0,8}", 1..20),
        crlf in any::<bool>(),
        last_newline in any::<bool>(),
        read_size in 1_usize..40,
    ) {
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let rows: Vec<String> = cells.iter().map(|cell| format!("x,{}", quoted(cell))).collect();
        let end = if crlf { "\r\n" } else { "\n" };
        let text = format!("a,b{end}{}{}", rows.join(end), if last_newline { end } else { "" });
        prop_assert_eq!(&records(pieces_of(text.as_bytes(), read_size, 1 << 20)), &rows);
    }

    #[test]
    fn any_bytes_at_all_end_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), read_size in 1_usize..20) {
        for prefix in ["[", "{\"a\":1}\n", "a,b\n"] {
            let text = [prefix.as_bytes(), &bytes].concat();
            let limits = Limits { record_bytes: 64, read_size };
            if let Ok(mut splitter) = Splitter::open(text.as_slice(), limits) {
                let mut last = None;
                while let Some(piece) = splitter.next_piece().unwrap() {
                    // A missing comma and the value that it is missing before have one place.
                    let place = (piece.place.offset, piece.place.ordinal);
                    prop_assert!(last < Some(place));
                    last = Some(place);
                }
            }
        }
    }
}
