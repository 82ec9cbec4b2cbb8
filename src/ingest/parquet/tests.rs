//! Tables that were written as Parquet come back as the text of their values.

use std::io::Write;

use polars::prelude::*;
use polars_arrow::array::PrimitiveArray;
use proptest::prelude::*;

use super::*;

/// A frame as a file of row groups of this many rows.
fn written(mut frame: DataFrame, group_rows: usize, compression: ParquetCompression) -> Vec<u8> {
    let mut bytes = Vec::new();
    let writer = ParquetWriter::new(&mut bytes).with_row_group_size(Some(group_rows));
    writer.with_compression(compression).finish(&mut frame).unwrap();
    bytes
}

fn text_of(bytes: &[u8]) -> io::Result<String> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    let mut text = String::new();
    ParquetText::open(file, Arc::default())?.read_to_string(&mut text)?;
    Ok(text)
}

fn columns() -> Vec<Column> {
    let instants = Series::new("at".into(), [Some(1_767_600_000_000_i64), None, Some(0)]);
    let local = instants.cast(&DataType::Datetime(polars::prelude::TimeUnit::Milliseconds, None)).unwrap();
    let days = Series::new("day".into(), [Some(20_458_i32), Some(-1), None]).cast(&DataType::Date).unwrap();
    vec![
        Column::new("asin".into(), [Some("B000000001"), Some("B000000002"), None]),
        Column::new("title".into(), [Some("Lamp, \"big\""), Some("two\nlines"), Some("")]),
        Column::new("price_current".into(), [Some(1299.5), None, Some(f64::NAN)]),
        Column::new("rank".into(), [Some(i64::MAX), Some(-5), None]),
        Column::new("deal".into(), [Some(true), Some(false), None]),
        days.into_column(),
        local.with_name("at".into()).into_column(),
    ]
}

#[test]
fn a_table_is_its_header_and_rows_whatever_its_groups_and_compression() {
    let expected = "asin,title,price_current,rank,deal,day,at\n\
        B000000001,\"Lamp, \"\"big\"\"\",1299.5,9223372036854775807,true,2026-01-05,2026-01-05T08:00:00\n\
        B000000002,\"two\nlines\",,-5,false,1969-12-31,\n\
        ,,,,,,1970-01-01T00:00:00\n";
    let frame = DataFrame::new_infer_height(columns()).unwrap();
    for compression in
        [ParquetCompression::Uncompressed, ParquetCompression::Snappy, ParquetCompression::default()]
    {
        for group_rows in [1, 2, 100] {
            assert_eq!(text_of(&written(frame.clone(), group_rows, compression)).unwrap(), expected);
        }
    }
}

#[test]
fn amounts_and_instants_are_written_plainly() {
    for (value, scale, expected) in [(129_950, 2, "1299.50"), (-5, 2, "-0.05"), (7, 0, "7"), (0, 3, "0.000")]
    {
        assert_eq!(decimal(value, scale), expected);
        let array = PrimitiveArray::<i128>::from([Some(value), None]).to(ArrowDataType::Decimal(20, scale));
        assert_eq!(cell(&array, &ArrowDataType::Decimal(20, scale), 0).unwrap(), expected);
        assert_eq!(cell(&array, &ArrowDataType::Decimal(20, scale), 1), None);
    }
    use polars_arrow::datatypes::TimeUnit as Unit;
    assert_eq!(instant(1_767_600_000, Unit::Second, true).unwrap(), "2026-01-05T08:00:00Z");
    assert_eq!(
        instant(1_767_600_000_250_000_000, Unit::Nanosecond, true).unwrap(),
        "2026-01-05T08:00:00.250Z"
    );
    assert_eq!(instant(i64::MAX, Unit::Second, true), None);
}

#[test]
fn columns_of_lists_and_structures_are_left_out() {
    let list =
        Series::new("list".into(), [Series::new("".into(), [1_i64, 2]), Series::new("".into(), [3_i64])]);
    let frame =
        DataFrame::new_infer_height(vec![Column::new("a".into(), [1_i64, 2]), list.into_column()]).unwrap();
    assert_eq!(text_of(&written(frame, 10, ParquetCompression::default())).unwrap(), "a\n1\n2\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_damaged_file_is_an_error_or_a_table_and_never_a_panic(
        place in 0.0_f64..1.0, byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let frame = DataFrame::new_infer_height(columns()).unwrap();
        let mut bytes = written(frame, 2, ParquetCompression::default());
        let at = ((bytes.len() as f64 * place) as usize).max(4);
        if cut {
            bytes.truncate(at);
        } else if let Some(damaged) = bytes.get_mut(at) {
            *damaged = byte;
        }
        let _ = text_of(&bytes);
    }
}

/// A count of values that became negative or huge would be believed, and memory set aside for it that there is not.
#[test]
fn a_page_that_claims_more_values_than_there_are_rows_is_refused() {
    let frame = DataFrame::new_infer_height(columns()[2..4].to_vec()).unwrap();
    let sound = written(frame, 2, ParquetCompression::Uncompressed);
    let damaged = (4..sound.len()).flat_map(|place| [0x01, 0x3b, 0x7b, 0xff].map(|flipped| (place, flipped)));
    let refused = damaged.filter(|(place, flipped)| {
        let mut bytes = sound.clone();
        bytes[*place] ^= flipped;
        text_of(&bytes).is_err_and(|error| error.to_string().contains("claim more values"))
    });
    assert!(refused.count() >= 4);
}

/// The sample was made from a CSV export: the figures were taken from that, with another tool.
#[test]
fn the_sample_holds_what_its_table_held() {
    let samples = std::env::var_os("AMZCTL_SAMPLES").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples"),
        std::path::PathBuf::from,
    );
    let Ok(bytes) = std::fs::read(samples.join("files/keepa-export.de.processors.parquet")) else {
        let _ = std::io::stderr().write_all(b"skipped: samples not found\n");
        return;
    };
    let text = text_of(&bytes).unwrap();
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let names = table.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let numbers = |name: &str| {
        let place = names.iter().position(|own| own == name).unwrap();
        let cells = rows.iter().map(|row| &row[place]).filter(|cell| !cell.is_empty());
        let hundredths: Vec<i64> =
            cells.map(|cell| (cell.parse::<f64>().unwrap() * 100.0).round() as i64).collect();
        (hundredths.len(), hundredths.iter().sum::<i64>())
    };
    assert_eq!(rows.len(), 627);
    assert_eq!(numbers("buy_box_current"), (442, 14_363_951));
    assert_eq!(numbers("list_price_current"), (471, 13_397_499));
    assert_eq!(numbers("sales_rank_current"), (449, 8_584_295_400));
    assert_eq!(numbers("rating"), (627, 283_850));
    let title = names.iter().position(|own| own == "title").unwrap();
    assert_eq!(rows.iter().map(|row| row[title].chars().count()).sum::<usize>(), 48_366);
}
