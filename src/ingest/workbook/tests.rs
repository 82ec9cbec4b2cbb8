//! Workbooks come back as the text of their cells; what would be lost is said.

use std::io::{Seek, SeekFrom, Write};

use rust_xlsxwriter::{Format, Formula, Workbook as Written};

use super::*;

fn text_of_file(bytes: &[u8]) -> io::Result<String> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    let mut text = String::new();
    WorkbookText::open(file, Arc::default())?.read_to_string(&mut text)?;
    Ok(text)
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
    let mut workbook = Written::new();
    let sheet = workbook.add_worksheet();
    (0..2_000_u32).for_each(|row| {
        sheet.write(row, 0, format!("B{row:09}")).unwrap();
    });
    let bytes = workbook.save_to_buffer().unwrap();
    for size in [4, 30, bytes.len() / 2, bytes.len() - 1] {
        let said = text_of_file(&bytes[..size]).unwrap_err().to_string();
        assert!(said.starts_with("workbook: "), "{size}: {said}");
    }
    // One damaged byte gives an error, or the text of the rest, and never a panic.
    for at in (0..bytes.len()).step_by(bytes.len() / 200) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        let _ = text_of_file(&damaged);
    }
}
