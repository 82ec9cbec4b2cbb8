//! Workbooks come back as the text of their cells; what would be lost is said.

use std::io::{Cursor, Seek, SeekFrom};

use rust_xlsxwriter::{Format, Formula, Workbook as Written};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::ingest::input::refusal;
use crate::ingest::{Limits, OpenError, Splitter};

fn opened(bytes: &[u8], cap: u64) -> io::Result<WorkbookText> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    WorkbookText::open(file, cap, Arc::default())
}

fn text_of_file(bytes: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    opened(bytes, u64::MAX)?.read_to_string(&mut text)?;
    Ok(text)
}

/// A workbook of one column with so many rows, each a text of its own.
fn book(rows: u32) -> Vec<u8> {
    let mut workbook = Written::new();
    let sheet = workbook.add_worksheet();
    for row in 0..rows {
        sheet.write(row, 0, line(row)).unwrap();
    }
    workbook.save_to_buffer().unwrap()
}

fn line(row: u32) -> String {
    format!("B{row:09} {}", "x".repeat(150))
}

/// The archive with the name and the text of each entry changed.
fn rewritten(bytes: &[u8], change: impl Fn(&mut String, &mut String)) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut target = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let (mut name, mut text) = (entry.name().unwrap().into_owned(), String::new());
        entry.read_to_string(&mut text).unwrap();
        change(&mut name, &mut text);
        target.start_file(name, SimpleFileOptions::default()).unwrap();
        target.write_all(text.as_bytes()).unwrap();
    }
    target.finish().unwrap().into_inner()
}

/// The workbook with its sheet cut off where this row (from 1) begins.
fn cut_at_row(bytes: &[u8], row: u32) -> Vec<u8> {
    rewritten(bytes, |name, text| {
        if name.as_str() == "xl/worksheets/sheet1.xml" {
            let at = text.find(&format!("<row r=\"{row}\"")).unwrap();
            text.truncate(at);
        }
    })
}

fn written(mut workbook: Written) -> io::Result<String> {
    text_of_file(&workbook.save_to_buffer().unwrap())
}

fn refused(workbook: Written) -> String {
    written(workbook).unwrap_err().to_string()
}

#[test]
fn a_sheet_is_its_rows_and_every_value_is_written_plainly() {
    let mut workbook = Written::new();
    let day = Format::new().set_num_format("yyyy-mm-dd");
    let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
    let sheet = workbook.add_worksheet();
    for (column, name) in ["asin", "title", "price", "rank", "deal", "day", "at"].iter().enumerate() {
        sheet.write(2, column as u16, *name).unwrap();
    }
    sheet.write(3, 0, "B000000001").unwrap();
    sheet.write(3, 1, "Lamp, \"big\"").unwrap();
    sheet.write(3, 2, 1299.5).unwrap();
    sheet.write(3, 3, 250_000_000).unwrap();
    sheet.write(3, 4, true).unwrap();
    sheet.write_with_format(3, 5, 46_027.0, &day).unwrap();
    sheet.write_with_format(3, 6, 46_027.25, &time).unwrap();
    // A row of nothing, and one with a gap, a formula and an error.
    sheet.write(5, 0, "B000000002").unwrap();
    sheet.write_formula(5, 2, Formula::new("=1+1").set_result("2")).unwrap();
    sheet.write_formula(5, 3, Formula::new("=NA()").set_result("#N/A")).unwrap();
    sheet.write(5, 4, false).unwrap();
    workbook.add_worksheet();
    let expected = "asin,title,price,rank,deal,day,at\n\
        B000000001,\"Lamp, \"\"big\"\"\",1299.5,250000000,true,2026-01-05,2026-01-05T06:00:00\n\
        B000000002,,2,,false\n";
    assert_eq!(written(workbook).unwrap(), expected);
}

#[test]
fn many_rows_come_whole_and_in_order() {
    let mut workbook = Written::new();
    let sheet = workbook.add_worksheet();
    for row in 0..40_000_u32 {
        sheet.write(row, 0, format!("row {row}")).unwrap();
        sheet.write(row, 1, row).unwrap();
    }
    let text = written(workbook).unwrap();
    assert!(text.len() > 2 * TEXT_BYTES);
    assert!(text.lines().enumerate().all(|(row, line)| line == format!("row {row},{row}")));
    assert_eq!(text.lines().count(), 40_000);
}

#[test]
fn data_on_several_sheets_is_not_read_in_part() {
    let mut workbook = Written::new();
    workbook.add_worksheet().set_name("May").unwrap().write(0, 0, "asin").unwrap();
    workbook.add_worksheet().set_name("June").unwrap().write(0, 0, "asin").unwrap();
    let said = refused(workbook);
    assert!(said.contains("several sheets of it have data (May, June)"), "{said}");
    let mut hidden = Written::new();
    hidden.add_worksheet().write(0, 0, "asin").unwrap();
    hidden.add_worksheet().set_hidden(true).write(0, 0, "lists of the form").unwrap();
    assert_eq!(written(hidden).unwrap(), "asin\n");
}

#[test]
fn what_is_no_workbook_or_a_damaged_one_is_said() {
    let mut empty = Written::new();
    empty.add_worksheet();
    assert!(refused(empty).contains("no sheet of it has any cell"));
    let bytes = book(2_000);
    assert!(text_of_file(&bytes).unwrap().len() > TEXT_BYTES);
    for size in [4, 30, bytes.len() / 2, bytes.len() - 1] {
        let said = text_of_file(&bytes[..size]).unwrap_err().to_string();
        assert!(said.starts_with("workbook: "), "{size}: {said}");
    }
    // One damaged byte gives an error, or the text of the rest, and never a panic.
    for at in (0..bytes.len()).step_by(bytes.len() / 100) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        let _ = text_of_file(&damaged);
    }
}

#[test]
fn a_table_of_texts_that_claims_more_than_it_holds_is_refused_before_it_is_believed() {
    let bytes = book(3);
    let claiming = |claim: &str, change: fn(&mut String)| {
        rewritten(&bytes, |name, text| {
            if name.as_str() == "xl/sharedStrings.xml" {
                assert!(text.contains("count=\"3\" uniqueCount=\"3\""), "{text}");
                *text = text.replace("count=\"3\" uniqueCount=\"3\"", claim);
                change(name);
            }
        })
    };
    for claim in [
        "uniqueCount=\"100000000000\"",
        "uniqueCount=\"18446744073709551615\"",
        "uniqueCount = '99999999999999999999999'",
        "x=\">\" x:uniqueCount=\"3\" uniqueCount=\"0000100000000000\"",
    ] {
        let names: [fn(&mut String); 2] = [|_| {}, |name| *name = name.to_uppercase()];
        for change in names {
            let said = text_of_file(&claiming(claim, change)).unwrap_err().to_string();
            assert_eq!(said, "workbook: its table of texts says a number of texts that it cannot hold");
        }
    }
    // A text that stands in a million cells is counted a million times.
    let honest = claiming("count=\"1000000\" uniqueCount=\"3\"", |_| {});
    assert_eq!(text_of_file(&honest).unwrap().lines().count(), 3);
}

#[test]
fn the_table_of_texts_is_known_by_its_first_tag() {
    for (head, tag) in [
        ("<sst a='>'><si/>", Some("sst a='>'")),
        ("\u{feff} <?xml version=\"1.0\"?>\n<!--><sst>--><!-- --> <x:sst/>", Some("x:sst/")),
        ("<?xml version=\"1.0\"?>", None),
        ("text<sst>", None),
        ("<!-- <sst>", None),
        ("<sst a='>", None),
    ] {
        assert_eq!(root_tag(head.as_bytes()), tag.map(str::as_bytes), "{head}");
    }
    for (tag, name) in
        [("sst", "sst"), ("x:sst/", "sst"), ("sst\na='b'", "sst"), ("a:b:sst", "b:sst"), ("", "")]
    {
        assert_eq!(local_name(tag.as_bytes()), name.as_bytes(), "{tag}");
    }
}

#[test]
fn a_workbook_may_expand_to_the_cap_and_no_further() {
    let bytes = book(2_000);
    let mut archive = ZipArchive::new(Cursor::new(&bytes)).unwrap();
    let size: u64 = (0..archive.len()).map(|index| archive.by_index(index).unwrap().size()).sum();
    assert!(size > 2 * bytes.len() as u64);
    assert!(opened(&bytes, size).is_ok());
    for cap in [0, size / 2, size - 1] {
        let refusal = opened(&bytes, cap).err().and_then(|error| refusal(&error)).unwrap();
        assert_eq!(refusal.reason, "output_too_large", "{refusal}");
        assert!(refusal.hint.unwrap().contains("--max-decompressed"));
    }
}

#[test]
fn an_archive_of_something_else_is_called_that() {
    let renamed = rewritten(&book(1), |name, _| *name = format!("exports/{name}"));
    let refusal = opened(&renamed, u64::MAX).err().and_then(|error| refusal(&error)).unwrap();
    assert_eq!(refusal.message, "it is an archive (ZIP), not a workbook");
    assert_eq!(
        (refusal.reason, refusal.hint.as_deref()),
        ("binary_file", Some("unpack it and hand in its files"))
    );
}

#[test]
fn the_rows_before_a_damage_come_and_then_the_error() {
    let mut bytes = Vec::new();
    let damaged = cut_at_row(&book(4_000), 3_500);
    let error = opened(&damaged, u64::MAX).unwrap().read_to_end(&mut bytes).unwrap_err();
    assert!(error.to_string().starts_with("workbook: "), "{error}");
    // Of the row before the damage nobody knows whether it was whole.
    let expected: String = (0..3_498).map(|row| line(row) + "\n").collect();
    assert!(expected.len() > 2 * TEXT_BYTES);
    assert!(bytes == expected.as_bytes(), "{} bytes of {}", bytes.len(), expected.len());
}

#[test]
fn a_damage_before_the_first_row_is_refused_like_one_that_is_found_at_once() {
    let stream = opened(&cut_at_row(&book(3), 2), u64::MAX).unwrap();
    let Err(OpenError::Refused(refusal)) = Splitter::open(stream, Limits::default()) else {
        panic!("it is read");
    };
    assert!(refusal.message.starts_with("it looks like a workbook, and cannot be read: "), "{refusal}");
    assert_eq!(refusal.hint.as_deref(), Some("save it again, or hand in its table as CSV"));
}

#[test]
fn a_reader_that_gives_up_is_no_end_of_the_file() {
    let said = guarded::<()>(|| panic!("as a reader does")).unwrap_err().to_string();
    assert_eq!(said, "workbook: its parts contradict each other");
    let (sender, messages) = sync_channel(1);
    sender.send(Ok(Some(b"asin\n".to_vec()))).unwrap();
    drop(sender);
    let mut stream = WorkbookText { messages, text: Vec::new(), taken: 0, has_ended: false };
    let mut bytes = Vec::new();
    let said = stream.read_to_end(&mut bytes).unwrap_err().to_string();
    assert_eq!((said.as_str(), bytes.as_slice()), ("workbook: its reading ended early", &b"asin\n"[..]));
}
