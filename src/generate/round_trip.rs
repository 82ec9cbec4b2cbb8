//! Generated files read by the normalizer: every record must give exactly what its facts say.

use serde_json::value::RawValue;

use super::{Expected, FileShape, GeneratedFile, Options, ShapeChoice, files, scenario};
use crate::model::{Marketplace, Observation};
use crate::normalize::{Parsed, RecordContext, RecordFormat, parse, recognise};

/// The records of a file as ingest cuts them.
fn records(file: &GeneratedFile) -> (RecordFormat, Vec<String>) {
    let text = String::from_utf8(file.contents().unwrap()).unwrap();
    match file.shape {
        FileShape::Axesso => {
            let items: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
            (RecordFormat::Json, items.iter().map(|item| item.get().to_owned()).collect())
        }
        FileShape::Junglee | FileShape::FlatNdjson => {
            (RecordFormat::Json, text.lines().map(str::to_owned).collect())
        }
        FileShape::FlatCsv => {
            let (header, rows) = text.split_once('\n').unwrap();
            (RecordFormat::Csv, rows.lines().map(|row| format!("{header}\n{row}")).collect())
        }
    }
}

fn read(file: &GeneratedFile, format: RecordFormat, record: &str) -> Parsed {
    let recognised = recognise(format, record.as_bytes());
    assert_eq!(recognised.marketplace, Some(file.marketplace), "{}: {record}", file.path);
    let context = RecordContext {
        shape: recognised.shape,
        marketplace: recognised.marketplace,
        asin_requested: recognised.asin_requested,
        observed_at: recognised.observed_at.unwrap_or(file.observed_at),
        now: file.observed_at,
        history: None,
    };
    if matches!(file.shape, FileShape::FlatCsv | FileShape::FlatNdjson) {
        assert_eq!(recognised.observed_at, Some(file.observed_at), "{}: {record}", file.path);
    }
    parse(&context, record.as_bytes())
}

/// What the normalizer made of a record, in the words of [`Expected`].
fn as_expected(mut parsed: Parsed) -> Option<Expected> {
    if let Some(reject) = parsed.rejects.first() {
        let field =
            ["productRating", "stars", "rating_centi"].into_iter().find(|name| *name == reject.field)?;
        return Some(Expected::Rejected { reason: reject.reason.as_str(), field });
    }
    let observation: Observation = parsed.observations.pop()?;
    Some(Expected::Observed(Box::new(observation)))
}

fn assert_reads_back(files: impl Iterator<Item = GeneratedFile>) -> usize {
    let mut read_records = 0;
    for file in files {
        let (format, records) = records(&file);
        let expected = file.expected();
        assert_eq!(records.len(), expected.len(), "{}", file.path);
        for (record, expected) in records.iter().zip(expected) {
            let parsed = as_expected(read(&file, format, record));
            assert_eq!(parsed, Some(expected.expected), "{} {}\n{record}", file.path, expected.key);
        }
        read_records += records.len();
    }
    read_records
}

fn market(shape: ShapeChoice, seed: u64) -> Options {
    let marketplaces = vec![Marketplace::Us, Marketplace::De, Marketplace::Jp, Marketplace::Uk];
    Options {
        seed,
        products: 48,
        days: 30,
        marketplaces,
        shape,
        corrections: true,
        late: true,
        garbage_days: 2,
        ..Options::default()
    }
}

#[test]
fn every_axesso_item_is_read_as_its_facts_say() {
    assert!(assert_reads_back(files(&market(ShapeChoice::Axesso, 3))) > 1_000);
}

#[test]
fn every_junglee_item_is_read_as_its_facts_say() {
    assert!(assert_reads_back(files(&market(ShapeChoice::Junglee, 4))) > 1_000);
}

#[test]
fn every_flat_row_is_read_as_its_facts_say() {
    assert!(assert_reads_back(files(&market(ShapeChoice::Flat, 5))) > 1_000);
    assert!(assert_reads_back(files(&market(ShapeChoice::FlatNdjson, 6))) > 1_000);
}

#[test]
fn a_market_of_every_marketplace_is_read_in_its_own_currency() {
    let options = Options {
        marketplaces: Marketplace::ALL.to_vec(),
        products: 92,
        days: 6,
        ..market(ShapeChoice::Mixed, 7)
    };
    assert!(assert_reads_back(files(&options)) > 500);
}

#[test]
fn the_demo_s_story_is_read_as_it_is_told() {
    assert!(assert_reads_back(scenario::files().into_iter()) > 600);
}
