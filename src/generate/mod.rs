//! A synthetic market: what providers would have said of made-up products, day by day, as files in their shapes.
//!
//! Deterministic: the same seed and options give the same bytes on every machine. Writes only into the folder it is
//! given; knows no database and no clock. [`GeneratedFile::expected`] says what normalizing a file must give.

mod axesso;
mod catalog;
mod character;
mod expected;
mod fact;
mod files;
mod flat;
mod junglee;
mod lists;
mod market;
mod prose;
pub mod random;
#[cfg(test)]
mod round_trip;
pub mod scenario;
mod text;

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::model::{Day, Marketplace};

pub use expected::Expected;
pub use files::{Delivery, ExpectedRecord, Files, GeneratedFile};
pub use lists::{ListFile, lists};

/// The shape of the generated files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum ShapeChoice {
    /// JSON array of the axesso product details actor
    Axesso,
    /// NDJSON of the junglee product scraper
    Junglee,
    /// The flat table as CSV
    Flat,
    /// The flat table as NDJSON
    FlatNdjson,
    /// Another shape for each marketplace, and a second source for some products
    Mixed,
}

impl ShapeChoice {
    /// The shape of the marketplace that stands at `index` in the options.
    fn of_marketplace(self, index: usize) -> FileShape {
        const MIXED: [FileShape; 4] =
            [FileShape::Axesso, FileShape::Junglee, FileShape::FlatCsv, FileShape::FlatNdjson];
        match self {
            ShapeChoice::Axesso => FileShape::Axesso,
            ShapeChoice::Junglee => FileShape::Junglee,
            ShapeChoice::Flat => FileShape::FlatCsv,
            ShapeChoice::FlatNdjson => FileShape::FlatNdjson,
            ShapeChoice::Mixed => MIXED[index % MIXED.len()],
        }
    }

    fn is_mixed(self) -> bool {
        self == ShapeChoice::Mixed
    }
}

/// The shape of one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileShape {
    Axesso,
    Junglee,
    FlatCsv,
    FlatNdjson,
}

impl FileShape {
    fn is_flat(self) -> bool {
        matches!(self, FileShape::FlatCsv | FileShape::FlatNdjson)
    }

    /// First part and extension of the file's name.
    fn file_name(self) -> (&'static str, &'static str) {
        match self {
            FileShape::Axesso => ("apify-axesso", "json"),
            FileShape::Junglee => ("apify-junglee", "ndjson"),
            FileShape::FlatCsv => ("flat", "csv"),
            FileShape::FlatNdjson => ("flat", "ndjson"),
        }
    }
}

/// Which market is generated.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    /// Over all marketplaces together.
    pub products: u64,
    pub days: i32,
    pub start: Day,
    /// Not empty, each once.
    pub marketplaces: Vec<Marketplace>,
    pub shape: ShapeChoice,
    /// Some days get a second file, observed later, that differs.
    pub corrections: bool,
    /// Some days lack products, which come in a file of their own.
    pub late: bool,
    /// Days on which one source returns garbage.
    pub garbage_days: u32,
    /// Axesso and junglee items are padded with description and reviews to about this size; 0 leaves them as they are.
    pub payload_bytes: usize,
    pub gzip: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 1,
            products: 100,
            days: 90,
            // 2025-01-01
            start: Day::from_no(20_089),
            marketplaces: vec![Marketplace::Us],
            shape: ShapeChoice::Axesso,
            corrections: false,
            late: false,
            garbage_days: 0,
            payload_bytes: 0,
            gzip: false,
        }
    }
}

impl Options {
    /// How many products the marketplace at `index` has: they are dealt out in turn.
    fn products_of(&self, index: usize) -> u64 {
        let (index, shelves) = (index as u64, self.marketplaces.len().max(1) as u64);
        self.products / shelves + u64::from(index < self.products % shelves)
    }

    /// True when the source of the marketplace at `number` returns garbage that day.
    fn is_garbage_day(&self, number: usize, day_index: i32) -> bool {
        (0..u64::from(self.garbage_days)).any(|which| {
            let mut random = random::Random::stream(self.seed, &[20, which]);
            let marketplace = random.below(self.marketplaces.len() as u64) as usize;
            (marketplace, random.between(0, i64::from(self.days) - 1) as i32) == (number, day_index)
        })
    }
}

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Summary {
    pub files: u64,
    pub records: u64,
    pub bytes: u64,
    pub corrections: u64,
    pub late: u64,
}

/// Every file of the market, in the order of days.
pub fn files(options: &Options) -> Files {
    Files::new(options)
}

/// Writes files below `folder`, in folders by day; files that are there already are replaced.
///
/// `progress` is told after each file how many have been written.
pub fn write(
    files: impl Iterator<Item = GeneratedFile>,
    folder: &Path,
    progress: impl FnMut(&Summary),
) -> anyhow::Result<Summary> {
    generate(files, |path, contents| write_file(&folder.join(path), contents), progress)
}

/// What [`write()`] would write, generated and let go.
pub fn measure(
    files: impl Iterator<Item = GeneratedFile>,
    progress: impl FnMut(&Summary),
) -> anyhow::Result<Summary> {
    generate(files, |_, _| Ok(()), progress)
}

/// Gives `take` every file's path and contents.
fn generate(
    files: impl Iterator<Item = GeneratedFile>,
    take: impl Fn(&str, &[u8]) -> anyhow::Result<()>,
    mut progress: impl FnMut(&Summary),
) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    for file in files {
        let contents = file.contents().with_context(|| format!("failed to generate {}", file.path))?;
        take(&file.path, &contents)?;
        summary.files += 1;
        summary.records += file.record_count();
        summary.bytes += contents.len() as u64;
        summary.corrections += u64::from(file.delivery == Delivery::Correction);
        summary.late += u64::from(file.delivery == Delivery::Late);
        progress(&summary);
    }
    Ok(summary)
}

/// Writes one file and the folders above it.
pub fn write_file(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    // Not synchronised: what a crash takes, the same seed brings back.
    let write = || {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, contents)
    };
    write().with_context(|| format!("failed to write {}", path.display()))
}
