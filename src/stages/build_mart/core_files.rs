//! The core files of a build: which of their columns and rows are read, a bucket range at a time.

use std::ops::{Range, RangeInclusive};

use rayon::prelude::*;

use super::products::{Pass, PastBlocks};
use crate::lake::{BUCKETS, Block, FileReader, Lake, LakeColumn, LakeError, Table, Words, files_of};
use crate::model::Marketplace;
use crate::model::text::canonical_category;
use crate::rollup::NO_CODE;
use crate::store::lake::LakeFile;

/// What is read of days before any window, back to the end of a month whose past is kept: the kernels look at all prices
/// and sellers of a product.
const HISTORY_COLUMNS: [&str; 4] = ["asin", "day_no", "price_minor", "seller_id"];
/// What is read of the others, behind [`HISTORY_COLUMNS`].
const RECENT_COLUMNS: [&str; 14] = [
    "list_price_minor",
    "buy_box_price_minor",
    "landed_price_minor",
    "bsr",
    "bsr_leaf",
    "rating_centi",
    "ratings_count",
    "currency",
    "price_basis",
    "availability",
    "bsr_category_id",
    "bsr_category",
    "bsr_leaf_category_id",
    "bsr_leaf_category",
];
/// What is read of the pasts that stand for the files before.
const PAST_COLUMNS: [&str; 7] =
    ["asin", "last_day", "price_days", "price_low", "price_high", "is_price_waiting", "seller_days"];
const PAST_PRICE_COLUMNS: [&str; 2] = ["asin", "price"];
const PAST_SELLER_COLUMNS: [&str; 2] = ["asin", "seller_id"];
const RANK_COLUMNS: [&str; 6] = ["asin", "day_no", "category_id", "category", "rank", "is_main"];

/// Places in a daily block.
pub(super) mod at {
    pub(crate) const ASIN: usize = 0;
    pub(crate) const DAY: usize = 1;
    pub(crate) const PRICE: usize = 2;
    pub(crate) const SELLER: usize = 3;
    pub(crate) const LIST_PRICE: usize = 4;
    pub(crate) const BUY_BOX: usize = 5;
    pub(crate) const LANDED: usize = 6;
    pub(crate) const BSR: usize = 7;
    pub(crate) const BSR_LEAF: usize = 8;
    pub(crate) const RATING: usize = 9;
    pub(crate) const RATINGS_COUNT: usize = 10;
    pub(crate) const CURRENCY: usize = 11;
    pub(crate) const BASIS: usize = 12;
    pub(crate) const AVAILABILITY: usize = 13;
    pub(crate) const BSR_ID: usize = 14;
    pub(crate) const BSR_NAME: usize = 15;
    pub(crate) const LEAF_ID: usize = 16;
    pub(crate) const LEAF_NAME: usize = 17;
    pub(crate) const RANK_ID: usize = 2;
    pub(crate) const RANK_NAME: usize = 3;
    pub(crate) const RANK: usize = 4;
    pub(crate) const IS_MAIN: usize = 5;
    pub(crate) const LAST_DAY: usize = 1;
    pub(crate) const PRICE_DAYS: usize = 2;
    pub(crate) const PRICE_LOW: usize = 3;
    pub(crate) const PRICE_HIGH: usize = 4;
    pub(crate) const IS_PRICE_WAITING: usize = 5;
    pub(crate) const SELLER_DAYS: usize = 6;
    pub(crate) const PAST_PRICE: usize = 1;
    pub(crate) const PAST_SELLER: usize = 1;
}

/// The core files of one marketplace that a build reads, in time order.
pub(super) struct CoreFiles {
    marketplace: Marketplace,
    daily: Vec<CoreFile>,
    ranks: Vec<CoreFile>,
    /// What stands for all days before the first daily file, by table.
    pasts: Vec<(Table, CoreFile)>,
}

struct CoreFile {
    reader: FileReader,
    rows: usize,
    /// All columns are read, not only the history's.
    is_recent: bool,
    /// Where each bucket begins; null when all buckets are read at once.
    offsets: Option<Vec<usize>>,
}

impl CoreFiles {
    /// Chooses what is read for days up to `last`: everything of a file that holds a day from `recent_from` on,
    /// only prices and sellers of older ones, as far as no past stands for them.
    pub(super) fn new(
        lake: &Lake,
        marketplace: Marketplace,
        files: &[LakeFile],
        recent_from: i32,
        last: i32,
    ) -> CoreFiles {
        let past_end = past_end_before(marketplace, files, recent_from);
        let is_recent = |file: &LakeFile| file.last_day_no >= recent_from;
        let from = past_end.map_or(i32::MIN, |end| end + 1);
        CoreFiles {
            marketplace,
            daily: opened(lake, marketplace, files, Table::Daily, from..=last, is_recent),
            ranks: opened(lake, marketplace, files, Table::Ranks, recent_from..=last, is_recent),
            pasts: pasts_at(lake, marketplace, files, past_end),
        }
    }

    /// Prices and sellers of the days that no past before `first` stands for, up to `last`.
    pub(super) fn up_to(
        lake: &Lake,
        marketplace: Marketplace,
        files: &[LakeFile],
        first: i32,
        last: i32,
    ) -> CoreFiles {
        let past_end = past_end_before(marketplace, files, first);
        let from = past_end.map_or(i32::MIN, |end| end + 1);
        CoreFiles {
            marketplace,
            daily: opened(lake, marketplace, files, Table::Daily, from..=last, |_| false),
            ranks: Vec::new(),
            pasts: pasts_at(lake, marketplace, files, past_end),
        }
    }

    /// The pasts of one month's end and nothing else.
    pub(super) fn pasts_at(lake: &Lake, marketplace: Marketplace, files: &[LakeFile], end: i32) -> CoreFiles {
        let pasts = pasts_at(lake, marketplace, files, Some(end));
        CoreFiles { marketplace, daily: Vec::new(), ranks: Vec::new(), pasts }
    }

    /// Bucket ranges that hold at most `most` daily rows each (one bucket at least); a row of which only the
    /// history is read counts a quarter.
    pub(super) fn passes(&mut self, most: usize) -> Result<Vec<Range<usize>>, LakeError> {
        let weight = |file: &CoreFile, rows: usize| if file.is_recent { rows } else { rows / 4 };
        let total: usize = self.daily.iter().map(|file| weight(file, file.rows)).sum();
        if total <= most {
            return Ok(std::iter::once(0..BUCKETS as usize).collect());
        }
        self.locate_buckets()?;
        let rows_of = |bucket: usize| -> usize {
            let rows = |offsets: &Vec<usize>| offsets[bucket + 1] - offsets[bucket];
            self.daily.iter().map(|file| weight(file, file.offsets.as_ref().map_or(0, rows))).sum()
        };
        let mut passes: Vec<Range<usize>> = Vec::new();
        let mut rows_in_pass = 0;
        for bucket in 0..BUCKETS as usize {
            let rows = rows_of(bucket);
            match passes.last_mut() {
                Some(pass) if rows_in_pass + rows <= most => pass.end = bucket + 1,
                _ => {
                    passes.push(bucket..bucket + 1);
                    rows_in_pass = 0;
                }
            }
            rows_in_pass += rows;
        }
        Ok(passes)
    }

    /// Finds out where in each file the buckets lie, so that a range of them can be loaded.
    pub(super) fn locate_buckets(&mut self) -> Result<(), LakeError> {
        let pasts = self.pasts.par_iter_mut().map(|(_, file)| file);
        self.daily.par_iter_mut().chain(&mut self.ranks).chain(pasts).try_for_each(|file| {
            file.offsets = Some(file.reader.bucket_offsets()?);
            Ok(())
        })
    }

    /// Loads the rows of a bucket range and groups them by product, sorted by (bucket, asin). All files are read at the
    /// same time, each with words of its own, which are brought together then.
    pub(super) fn load(&self, buckets: &Range<usize>, words: &mut Words) -> Result<Pass, LakeError> {
        let daily = self.daily.iter().map(|file| (Table::Daily, file));
        let ranks = self.ranks.iter().map(|file| (Table::Ranks, file));
        let pasts = self.pasts.iter().map(|(table, file)| (*table, file));
        let files: Vec<(Table, &CoreFile)> = daily.chain(ranks).chain(pasts).collect();
        let read: Vec<(Block, Words)> = files
            .par_iter()
            .with_max_len(1)
            .map(|(table, file)| file.read(*table, self.marketplace, buckets))
            .collect::<Result<_, _>>()?;
        let mut blocks = Block::with_common_words(read, words);
        let past_blocks = blocks.split_off(self.daily.len() + self.ranks.len());
        let ranks = blocks.split_off(self.daily.len());
        let mut pasts = PastBlocks::default();
        for ((table, _), block) in self.pasts.iter().zip(past_blocks) {
            match table {
                Table::Pasts => pasts.pasts = Some(block),
                Table::PastPrices => pasts.prices = Some(block),
                _ => pasts.sellers = Some(block),
            }
        }
        Ok(Pass::new(self.marketplace, blocks, ranks, &pasts, words))
    }
}

/// The newest end of a month before a day whose pasts are listed.
fn past_end_before(marketplace: Marketplace, files: &[LakeFile], day: i32) -> Option<i32> {
    let pasts = files_of(files, Table::Pasts, marketplace).into_iter();
    pasts.map(|file| file.last_day_no).filter(|end| *end < day).max()
}

/// The files of a table that hold one of the days, in time order.
fn opened(
    lake: &Lake,
    marketplace: Marketplace,
    files: &[LakeFile],
    table: Table,
    days: RangeInclusive<i32>,
    is_recent: impl Fn(&LakeFile) -> bool,
) -> Vec<CoreFile> {
    let mut files = files_of(files, table, marketplace);
    files.retain(|file| file.last_day_no >= *days.start() && file.first_day_no <= *days.end());
    files.sort_by_key(|file| file.first_day_no);
    let open = |file: &LakeFile| CoreFile { is_recent: is_recent(file), ..CoreFile::new(lake, file) };
    files.into_iter().map(open).collect()
}

fn pasts_at(
    lake: &Lake,
    marketplace: Marketplace,
    files: &[LakeFile],
    end: Option<i32>,
) -> Vec<(Table, CoreFile)> {
    let of = |table: Table| {
        let own = files_of(files, table, marketplace).into_iter();
        own.filter(|file| Some(file.last_day_no) == end).map(move |file| (table, CoreFile::new(lake, file)))
    };
    Table::PAST.into_iter().flat_map(of).collect()
}

impl CoreFile {
    fn new(lake: &Lake, file: &LakeFile) -> CoreFile {
        CoreFile {
            reader: FileReader::new(lake, file),
            rows: usize::try_from(file.rows).unwrap_or_default(),
            is_recent: false,
            offsets: None,
        }
    }

    /// The rows of a bucket range; categories under their canonical names.
    fn read(
        &self,
        table: Table,
        marketplace: Marketplace,
        buckets: &Range<usize>,
    ) -> Result<(Block, Words), LakeError> {
        let names: &[&[&str]] = match table {
            Table::Ranks => &[&RANK_COLUMNS],
            Table::Pasts => &[&PAST_COLUMNS],
            Table::PastPrices => &[&PAST_PRICE_COLUMNS],
            Table::PastSellers => &[&PAST_SELLER_COLUMNS],
            _ if self.is_recent => &[&HISTORY_COLUMNS, &RECENT_COLUMNS],
            _ => &[&HISTORY_COLUMNS],
        };
        let column = |name: &&str| table.columns().iter().find(|column| column.name == *name).copied();
        let columns: Vec<LakeColumn> = names.iter().copied().flatten().filter_map(column).collect();
        let rows = self.offsets.as_ref().map(|offsets| offsets[buckets.start]..offsets[buckets.end]);
        let mut words = Words::default();
        let mut block = self.reader.read_block(&columns, rows, &mut words)?;
        let mut canonical = CanonicalNames::new(marketplace);
        match table {
            Table::Daily if self.is_recent => {
                canonical.replace(&mut block, at::BSR_NAME, |_| true, &mut words);
                canonical.replace(&mut block, at::LEAF_NAME, |_| false, &mut words);
            }
            Table::Ranks => {
                let is_main: Vec<bool> =
                    block.columns[at::IS_MAIN].integers().iter().map(|is_main| *is_main == 1).collect();
                canonical.replace(&mut block, at::RANK_NAME, |row| is_main[row], &mut words);
            }
            _ => {}
        }
        Ok((block, words))
    }
}

/// The names that category names are compared by: for each code of a word the code of its canonical name, as the
/// main category and as another.
struct CanonicalNames {
    marketplace: Marketplace,
    main: Vec<Option<i32>>,
    other: Vec<Option<i32>>,
}

impl CanonicalNames {
    fn new(marketplace: Marketplace) -> CanonicalNames {
        CanonicalNames { marketplace, main: Vec::new(), other: Vec::new() }
    }

    fn replace(
        &mut self,
        block: &mut Block,
        column: usize,
        is_main: impl Fn(usize) -> bool,
        words: &mut Words,
    ) {
        for (row, code) in block.columns[column].codes_mut().iter_mut().enumerate() {
            if *code != NO_CODE {
                *code = self.of(*code, is_main(row), words);
            }
        }
    }

    fn of(&mut self, code: i32, is_main: bool, words: &mut Words) -> i32 {
        let names = if is_main { &mut self.main } else { &mut self.other };
        let place = code as usize;
        if names.len() <= place {
            names.resize(place + 1, None);
        }
        *names[place].get_or_insert_with(|| {
            let name = words.get(code).unwrap_or_default().to_owned();
            words.intern(&canonical_category(self.marketplace, &name, is_main))
        })
    }
}
