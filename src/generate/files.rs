//! Which files a synthetic market consists of, day by day, and their bytes.
//!
//! A file holds what one source said of one marketplace on one day. Beside the day's own file there may be a
//! correction (the same day again, observed later) and a late part (products that were withheld from the file).

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use chrono::{TimeDelta, TimeZone, Utc};

use super::expected::Expected;
use super::fact::{Fact, Garbage, Profile, Showing};
use super::market::Product;
use super::random::Random;
use super::{FileShape, Options, axesso, flat, junglee};
use crate::model::{Day, MAX_MINOR, Marketplace, ProductKey, Timestamp};

/// How a file reaches whoever collects the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    OnTime,
    /// A second look at an old day; it wins over the first, whenever it is read.
    Correction,
    /// The part of a day that arrives after later days have been read.
    Late,
}

/// Below the output folder: what is to be read after the days themselves, each part by day again.
const CORRECTIONS_FOLDER: &str = "corrections/";
const LATE_FOLDER: &str = "late/";

/// One generated file.
#[derive(Clone)]
pub struct GeneratedFile {
    /// Relative to the output folder: `2025-01-01/apify-axesso-US.json`, `late/2025-01-01/…`,
    /// `corrections/2025-01-01/…`.
    pub path: String,
    pub marketplace: Marketplace,
    pub day: Day,
    /// When its records were true: noon of the day (UTC), for corrections six hours later.
    pub observed_at: Timestamp,
    pub delivery: Delivery,
    pub shape: FileShape,
    pub(super) entries: Vec<Entry>,
    pub(super) payload_bytes: usize,
    pub(super) gzip: bool,
}

/// One product's fact as the file tells it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) profile: Arc<Profile>,
    pub(super) fact: Fact,
}

/// One record of a file and what normalizing it must give.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpectedRecord {
    pub key: ProductKey,
    pub expected: Expected,
}

impl GeneratedFile {
    /// The records in the file's order, as normalizing must read them.
    pub fn expected(&self) -> Vec<ExpectedRecord> {
        let of = |entry: &Entry| {
            let expected = match self.shape {
                FileShape::Axesso => Some(axesso::expected(&entry.profile, &entry.fact)),
                FileShape::Junglee => junglee::expected(&entry.profile, &entry.fact),
                FileShape::FlatCsv | FileShape::FlatNdjson => flat::expected(&entry.profile, &entry.fact),
            };
            expected.map(|expected| ExpectedRecord { key: entry.profile.key, expected })
        };
        self.entries.iter().filter_map(of).collect()
    }

    /// How many records the file has.
    pub fn record_count(&self) -> u64 {
        let told =
            |entry: &&Entry| entry.fact.showing != Showing::NotFound || self.shape == FileShape::Axesso;
        self.entries.iter().filter(told).count() as u64
    }

    /// The file's bytes, compressed where the options say so.
    pub fn contents(&self) -> anyhow::Result<Vec<u8>> {
        let plain = match self.shape {
            FileShape::Axesso => self.json_array()?,
            FileShape::Junglee => {
                self.lines(|entry| Ok(junglee::render(&entry.profile, &entry.fact, self.payload_bytes)?))?
            }
            FileShape::FlatNdjson => {
                self.lines(|entry| Ok(flat::render_json(&entry.profile, &entry.fact, self.observed_at)))?
            }
            FileShape::FlatCsv => self.csv()?,
        };
        if !self.gzip {
            return Ok(plain);
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&plain)?;
        Ok(encoder.finish()?)
    }

    fn json_array(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![b'['];
        for (index, entry) in self.entries.iter().enumerate() {
            bytes.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
            bytes.extend(axesso::render(&entry.profile, &entry.fact, self.payload_bytes)?.into_bytes());
        }
        bytes.extend_from_slice(b"\n]\n");
        Ok(bytes)
    }

    fn lines(&self, render: impl Fn(&Entry) -> anyhow::Result<Option<String>>) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for entry in &self.entries {
            if let Some(line) = render(entry)? {
                bytes.extend(line.into_bytes());
                bytes.push(b'\n');
            }
        }
        Ok(bytes)
    }

    fn csv(&self) -> anyhow::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(flat::COLUMNS)?;
        for entry in &self.entries {
            if let Some(row) = flat::render_csv(&entry.profile, &entry.fact, self.observed_at) {
                writer.write_record(row)?;
            }
        }
        Ok(writer.into_inner()?)
    }
}

/// The products of one marketplace and the shape they are reported in.
struct Shelf {
    marketplace: Marketplace,
    shape: FileShape,
    /// In mixed markets a second source also reports every fourth product, as a flat table.
    second_opinion: bool,
    products: Vec<(Arc<Profile>, Product)>,
}

/// Streams of decisions that belong to a day rather than to a product.
const OUTAGE: u64 = 10;
const CORRECTION: u64 = 11;
const LATE: u64 = 12;
const GARBAGE: u64 = 13;

/// Every file of the market, in the order of days; nothing is kept but the products' present state.
pub struct Files {
    options: Options,
    shelves: Vec<Shelf>,
    day_index: i32,
    pending: VecDeque<GeneratedFile>,
}

impl Files {
    pub(super) fn new(options: &Options) -> Files {
        let shelf = |(index, &marketplace): (usize, &Marketplace)| {
            let products = (0..options.products_of(index))
                .filter_map(|place| Product::new(options.seed, marketplace, place, options.days))
                .map(|product| (Arc::new(product.profile.clone()), product))
                .collect();
            let shape = options.shape.of_marketplace(index);
            let second_opinion = options.shape.is_mixed() && !shape.is_flat();
            Shelf { marketplace, shape, second_opinion, products }
        };
        let shelves = options.marketplaces.iter().enumerate().map(shelf).collect();
        Files { options: options.clone(), shelves, day_index: 0, pending: VecDeque::new() }
    }

    fn build_day(&mut self) {
        let (options, day_index) = (&self.options, self.day_index);
        for (number, shelf) in self.shelves.iter_mut().enumerate() {
            let name = |topic: u64| [topic, number as u64, day_index as u64];
            let mut entries: Vec<Entry> = shelf
                .products
                .iter_mut()
                .filter_map(|(profile, product)| {
                    product.step(day_index).map(|fact| Entry { profile: Arc::clone(profile), fact })
                })
                .collect();
            // The source was down: nobody saw the marketplace that day.
            if day_index > 0 && Random::stream(options.seed, &name(OUTAGE)).chance(8_000) {
                continue;
            }
            if options.is_garbage_day(number, day_index) {
                spoil(&mut entries, &mut Random::stream(options.seed, &name(GARBAGE)));
            }
            let on_day = |every: i32, topic: u64| {
                let offset = Random::stream(options.seed, &[topic, number as u64])
                    .below(every.min(options.days) as u64);
                day_index % every == offset as i32
            };
            let corrected = (options.corrections && on_day(10, CORRECTION))
                .then(|| corrections(&entries, &mut Random::stream(options.seed, &name(CORRECTION))));
            let second = shelf.second_opinion.then(|| second_opinion(&entries));
            let late = (options.late && on_day(7, LATE))
                .then(|| withhold(&mut entries, &mut Random::stream(options.seed, &name(LATE))));

            let flat = FileShape::FlatCsv;
            let parts = [
                (Some(entries), Delivery::OnTime, shelf.shape),
                (second, Delivery::OnTime, flat),
                (corrected, Delivery::Correction, shelf.shape),
                (late, Delivery::Late, shelf.shape),
            ];
            for (entries, delivery, shape) in parts {
                let entries = entries.unwrap_or_default();
                if !entries.is_empty() {
                    let day = options.start.plus(day_index);
                    self.pending.push_back(file(options, shelf.marketplace, day, delivery, shape, entries));
                }
            }
        }
    }
}

impl Iterator for Files {
    type Item = GeneratedFile;

    fn next(&mut self) -> Option<GeneratedFile> {
        while self.pending.is_empty() && self.day_index < self.options.days {
            self.build_day();
            self.day_index += 1;
        }
        self.pending.pop_front()
    }
}

pub(super) fn file(
    options: &Options,
    marketplace: Marketplace,
    day: Day,
    delivery: Delivery,
    shape: FileShape,
    entries: Vec<Entry>,
) -> GeneratedFile {
    let folder = match delivery {
        Delivery::OnTime => "",
        Delivery::Correction => CORRECTIONS_FOLDER,
        Delivery::Late => LATE_FOLDER,
    };
    let (stem, extension) = shape.file_name();
    let compressed = if options.gzip { ".gz" } else { "" };
    let noon = Utc.from_utc_datetime(&day.date().and_hms_opt(12, 0, 0).unwrap_or_default());
    let later = if delivery == Delivery::Correction { TimeDelta::hours(6) } else { TimeDelta::zero() };
    GeneratedFile {
        path: format!("{folder}{day}/{stem}-{marketplace}.{extension}{compressed}"),
        marketplace,
        day,
        observed_at: noon + later,
        delivery,
        shape,
        entries,
        payload_bytes: options.payload_bytes,
        gzip: options.gzip,
    }
}

/// A broken source: every fifth item loses its decimal point, every fifth claims seven stars.
fn spoil(entries: &mut [Entry], random: &mut Random) {
    for Entry { fact, .. } in entries {
        fact.garbage = match random.below(5) {
            0 if fact.price_minor.is_some_and(|price| price <= MAX_MINOR / 100) => {
                Some(Garbage::PriceTimesHundred)
            }
            1 => Some(Garbage::SevenStars),
            _ => None,
        };
    }
}

/// A later look at every fifth product: another price and other ranks.
fn corrections(entries: &[Entry], random: &mut Random) -> Vec<Entry> {
    let chosen = entries.iter().filter(|_| random.chance(200_000)).cloned().collect::<Vec<Entry>>();
    let mut changed = chosen;
    changed.retain(|entry| entry.fact.showing != Showing::NotFound);
    for Entry { fact, .. } in &mut changed {
        fact.showing = Showing::Full;
        fact.garbage = None;
        let percent = random.between(90, 110);
        fact.price_minor = fact.price_minor.map(|price| (price * percent / 100).max(1));
        fact.list_price_minor = fact.list_price_minor.filter(|list| Some(*list) > fact.price_minor);
        let percent = random.between(70, 140);
        for rank in fact.main_rank.iter_mut().chain(&mut fact.other_ranks) {
            rank.rank = (rank.rank * percent / 100).max(1);
        }
    }
    changed
}

/// What the second source says of every fourth product; it also sees those of which the first shows nothing.
fn second_opinion(entries: &[Entry]) -> Vec<Entry> {
    let seen =
        |entry: &&Entry| entry.fact.showing != Showing::NotFound && entry.profile.prose.is_multiple_of(4);
    let mut entries: Vec<Entry> = entries.iter().filter(seen).cloned().collect();
    for Entry { fact, .. } in &mut entries {
        fact.showing = Showing::Full;
        fact.garbage = None;
    }
    entries
}

/// Takes about a quarter of the entries out of the day's file.
fn withhold(entries: &mut Vec<Entry>, random: &mut Random) -> Vec<Entry> {
    entries.extract_if(.., |_| random.chance(250_000)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sha2::{Digest, Sha256};

    use super::super::{ShapeChoice, files};
    use super::*;

    fn market() -> Options {
        Options {
            seed: 7,
            products: 120,
            days: 40,
            marketplaces: vec![Marketplace::Us, Marketplace::De, Marketplace::Jp, Marketplace::Uk],
            shape: ShapeChoice::Mixed,
            corrections: true,
            late: true,
            garbage_days: 2,
            ..Options::default()
        }
    }

    fn digest(options: &Options) -> String {
        let mut hash = Sha256::new();
        for file in files(options) {
            hash.update(&file.path);
            hash.update(file.contents().unwrap());
        }
        format!("{:x}", hash.finalize())
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
        let one = digest(&market());
        assert_eq!(one, digest(&market()));
        assert_ne!(one, digest(&Options { seed: 8, ..market() }));
        // The same on every machine, and in every version until the market itself is changed on purpose.
        assert_eq!(one, "88ad4cd01e9ef9d9af485c64b1eb1ef009622aeabde805d1473879b9132160d2");
    }

    #[test]
    fn files_are_named_by_delivery_day_source_and_marketplace() {
        let names: BTreeSet<String> = files(&market())
            .map(|file| file.path.replace(&file.day.to_string(), "DAY"))
            .filter(|name| name.contains("US") || name.contains("DE"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "DAY/apify-axesso-US.json",
                "DAY/apify-junglee-DE.ndjson",
                "DAY/flat-DE.csv",
                "DAY/flat-US.csv",
                "corrections/DAY/apify-axesso-US.json",
                "corrections/DAY/apify-junglee-DE.ndjson",
                "late/DAY/apify-axesso-US.json",
                "late/DAY/apify-junglee-DE.ndjson",
            ]
        );
    }

    #[test]
    fn a_file_expects_as_many_records_as_it_has_and_gzip_changes_only_the_wrapping() {
        let plain = market();
        let zipped = Options { gzip: true, ..market() };
        for (file, packed) in files(&plain).zip(files(&zipped)).take(60) {
            assert_eq!(file.expected().len() as u64, file.record_count(), "{}", file.path);
            assert_eq!(packed.path, format!("{}.gz", file.path));
            let mut bytes = Vec::new();
            let packed = packed.contents().unwrap();
            let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
            std::io::copy(&mut decoder, &mut bytes).unwrap();
            assert_eq!(bytes, file.contents().unwrap());
        }
    }

    #[test]
    fn every_kind_of_trouble_happens() {
        let (mut rejected, mut missing, mut unknown, mut out, mut not_found) = (0, 0, 0, 0, 0);
        for file in files(&market()) {
            if file.delivery == Delivery::OnTime && !file.shape.is_flat() {
                missing += 30_u64.saturating_sub(file.record_count());
            }
            for record in file.expected() {
                match record.expected {
                    Expected::Rejected { .. } => rejected += 1,
                    Expected::Observed(seen) if !seen.found => not_found += 1,
                    Expected::Observed(seen) if !seen.offer.is_known() => unknown += 1,
                    Expected::Observed(seen) => out += i32::from(seen.offer.availability.is_out()),
                }
            }
        }
        assert!(rejected > 3 && missing > 20 && unknown > 5 && out > 20 && not_found > 3);
    }

    #[test]
    fn padding_makes_an_item_about_as_large_as_asked() {
        let options = Options { products: 5, days: 2, payload_bytes: 20_000, ..Options::default() };
        for file in files(&options) {
            let item = file.contents().unwrap().len() as u64 / file.record_count();
            assert!((18_500..21_500).contains(&item), "{item}");
        }
    }
}
