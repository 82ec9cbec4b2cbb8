//! A row group's columns as compressed Parquet pages.
//!
//! Integers are written as packed differences, texts as places in a dictionary, doubles plain. Left to choose,
//! polars builds a dictionary of every column, which took half of a build's time and made no smaller files.

use polars::prelude::*;
use polars_arrow::array::{Array, DictionaryArray, PrimitiveArray, Utf8ViewArray};
use polars_arrow::datatypes::{ArrowDataType, IntegerType};
use polars_parquet::parquet::schema::types::ParquetType;
use polars_parquet::write::{
    CompressedPage, CompressionOptions, Encoding, Version, WriteOptions, ZstdLevel, array_to_columns,
    compress,
};
use rayon::prelude::*;

use super::block::{Block, Values, Words, mask_of};
use super::schema::Table;
use crate::rollup::NO_CODE;

/// Most of the bytes are doubles, of which higher levels save nothing.
const ZSTD_LEVEL: i32 = 1;
/// Of a page's values, before they are encoded: who wants one product unpacks some thousand rows, not a row group. Pages of
/// a quarter cost a build a tenth of its time.
const PAGE_BYTES: usize = 128 << 10;

/// Encodes and compresses rows, all columns at the same time: first the constants of the file's partition, then
/// the block's. `types` are those of the file's columns.
pub(super) fn pages(
    rows: &Block,
    constants: [&str; 2],
    types: &[ParquetType],
    words: &Words,
) -> PolarsResult<Vec<Vec<CompressedPage>>> {
    let count = rows.rows();
    let (leading, own) = types.split_at(constants.len());
    let mut encoded = Vec::with_capacity(types.len());
    for (value, parquet_type) in constants.into_iter().zip(leading) {
        encoded.push(column(constant(value, count), parquet_type.clone(), Encoding::RleDictionary, true)?);
    }
    let own: PolarsResult<Vec<Vec<CompressedPage>>> = rows
        .columns
        .par_iter()
        .zip(own)
        .enumerate()
        .map(|(place, (values, parquet_type))| {
            let is_key = place <= Table::DAY_NO;
            let encode = |array, encoding| column(array, parquet_type.clone(), encoding, is_key);
            values
                .with_numbers(|numbers| encode(numbers, encoding_of(values)))
                .unwrap_or_else(|codes| encode(dictionary(codes, words), encoding_of(values)))
        })
        .collect();
    encoded.extend(own?);
    Ok(encoded)
}

/// Only of key columns are the extremes written down: of the others they say nothing, because rows lie by product.
fn column(
    array: Box<dyn Array>,
    parquet_type: ParquetType,
    encoding: Encoding,
    is_key: bool,
) -> PolarsResult<Vec<CompressedPage>> {
    let options = WriteOptions {
        statistics: StatisticsOptions {
            min_value: is_key,
            max_value: is_key,
            ..StatisticsOptions::default()
        },
        compression: CompressionOptions::Zstd(ZstdLevel::try_new(ZSTD_LEVEL).ok()),
        version: Version::V1,
        data_page_size: Some(PAGE_BYTES),
    };
    let columns = array_to_columns(array, parquet_type, options, &[encoding])?;
    let pages = columns.into_iter().flatten();
    pages.map(|page| Ok(compress(page?, Vec::new(), options.compression)?)).collect()
}

fn encoding_of(values: &Values) -> Encoding {
    match values {
        Values::I32(_) | Values::I64(_) => Encoding::DeltaBinaryPacked,
        Values::F64(_) => Encoding::Plain,
        Values::Text(_) => Encoding::RleDictionary,
    }
}

/// The words in the order of their first use, and each row's place among them.
fn dictionary(codes: &[i32], words: &Words) -> Box<dyn Array> {
    let mut places: PlHashMap<i32, u32> = PlHashMap::default();
    let mut used: Vec<&str> = Vec::new();
    let mut last = (NO_CODE, 0);
    let keys = codes.iter().map(|&code| {
        if code == NO_CODE {
            return 0;
        }
        // Neighbours mostly hold the same word, because files are sorted by product.
        if code != last.0 {
            let place = *places.entry(code).or_insert_with(|| {
                used.push(words.get(code).unwrap_or_default());
                used.len() as u32 - 1
            });
            last = (code, place);
        }
        last.1
    });
    let keys: Vec<u32> = keys.collect();
    let mask = mask_of(codes.iter().map(|code| *code != NO_CODE));
    of_words(&used, PrimitiveArray::new(ArrowDataType::UInt32, keys.into(), mask))
}

fn constant(value: &str, rows: usize) -> Box<dyn Array> {
    of_words(&[value], PrimitiveArray::new(ArrowDataType::UInt32, vec![0; rows].into(), None))
}

fn of_words(words: &[&str], keys: PrimitiveArray<u32>) -> Box<dyn Array> {
    let words = Utf8ViewArray::from_slice_values(words).boxed();
    let dtype = ArrowDataType::Dictionary(IntegerType::UInt32, Box::new(words.dtype().clone()), false);
    DictionaryArray::try_new(dtype, keys, words).expect("every key is a place among the words").boxed()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::schema::Kind;
    use super::*;
    use crate::rollup::{NO_DAY, NULL};

    fn written(rows: &Block, table: Table, words: &Words) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = ParquetWriter::new(&mut bytes).batched(&table.schema()).unwrap();
        let types = writer.parquet_schema().fields().to_vec();
        let pages = pages(rows, ["US", "2024-10"], &types, words).unwrap();
        writer.write_row_group(rows.rows() as u64, &pages).unwrap();
        writer.finish().unwrap();
        drop(writer);
        bytes
    }

    /// Rows of `mart/rollup_sellers`, whose last columns are a text and two integers.
    fn rows(words: &mut Words, sellers: &[Option<&str>], days: &[i64]) -> Block {
        let (count, asin) = (days.len(), words.intern("B000000001"));
        let sellers = sellers.iter().map(|seller| seller.map_or(NO_CODE, |seller| words.intern(seller)));
        Block {
            columns: vec![
                Values::I32(vec![7; count]),
                Values::Text(vec![asin; count]),
                Values::I32(
                    (0..count as i32).map(|day| if day == 1 { NO_DAY } else { i32::MAX - day }).collect(),
                ),
                Values::I32(vec![30; count]),
                Values::Text(sellers.collect()),
                Values::I64(days.to_vec()),
                Values::I64(vec![NULL; count]),
            ],
        }
    }

    #[test]
    fn every_value_comes_back_extremes_and_unknown_ones_too() {
        let table = Table::RollupSellers;
        let mut words = Words::default();
        let sellers = [Some("S2"), None, Some("S1"), Some(""), Some("S2"), Some("品")];
        let days = [i64::MAX, NULL, i64::MIN + 1, 0, i64::MAX, -1];
        for sellers in [sellers, [None; 6]] {
            let rows = rows(&mut words, &sellers, &days);
            let bytes = written(&rows, table, &words);
            let frame = ParquetReader::new(Cursor::new(&bytes)).finish().unwrap();
            assert_eq!(*frame.schema().as_ref(), table.schema());
            assert_eq!(frame.column("marketplace").unwrap().str().unwrap().get(5), Some("US"));
            assert_eq!(frame.column("month").unwrap().str().unwrap().get(0), Some("2024-10"));
            assert_eq!(Block::from_frame(&frame, table.columns(), &mut words).unwrap().columns, rows.columns);
        }
    }

    #[test]
    fn doubles_come_back_bit_by_bit() {
        let values = [1.5, f64::NAN, -0.0, f64::MAX, f64::MIN_POSITIVE / 2.0];
        let rows = Block {
            columns: Table::Rollups
                .columns()
                .iter()
                .map(|column| match column.kind {
                    Kind::I32 => Values::I32(vec![1; values.len()]),
                    Kind::I64 => Values::I64(vec![1; values.len()]),
                    Kind::F64 => Values::F64(values.to_vec()),
                    Kind::Text => Values::Text(vec![NO_CODE; values.len()]),
                })
                .collect(),
        };
        let bytes = written(&rows, Table::Rollups, &Words::default());
        let frame = ParquetReader::new(Cursor::new(&bytes)).finish().unwrap();
        let read = frame.column("price_avg").unwrap().f64().unwrap();
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        let expected = values.map(|value| bits(Some(value).filter(|value| !value.is_nan())));
        assert_eq!(read.iter().map(bits).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_words_codes() {
        let (mut words, mut others) = (Words::default(), Words::default());
        others.intern("S1");
        let sellers = [Some("S2"), Some("S1"), None, Some("S2")];
        let (a, b) = (rows(&mut words, &sellers, &[1; 4]), rows(&mut others, &sellers, &[1; 4]));
        assert_ne!(a.columns, b.columns);
        assert_eq!(written(&a, Table::RollupSellers, &words), written(&b, Table::RollupSellers, &others));
    }
}
