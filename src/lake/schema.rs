//! The lake's tables: names, columns, sort order. The columns are fixed for the life of a table.
//!
//! Every file holds `marketplace` and `month` (its partition), then `bucket`, `asin`, `day_no`, then the
//! columns below. Those of core are the columns of the SQL table; those of the mart are what the kernels write.

use std::ops::Range;
use std::sync::LazyLock;

use polars::prelude::*;
use sha2::{Digest, Sha256};

use crate::rollup::{
    ColumnValues, DeltaColumns, PastColumns, PastPriceColumns, PastSellerColumns, RollupColumns,
    SellerColumns,
};
use crate::store::lake::{DAILY_EXPORT, ExportKind, LakeFile, RANK_EXPORT};

/// Buckets of every table: products spread over them by hash.
pub(crate) const BUCKETS: u32 = 64;

/// What all rows of a file have in common.
pub(super) const PARTITION: [&str; 2] = ["marketplace", "month"];

/// A table of the lake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// `core/product_metrics_daily`: one row per product and day.
    Daily,
    /// `core/ranks`: one row per product, day and rank, in the source's order.
    Ranks,
    /// `mart/deltas`: one row per product and day.
    Deltas,
    /// `mart/rollups`: one row per product, as-of day and window.
    Rollups,
    /// `mart/rollup_sellers`: one row per product, as-of day, window and seller.
    RollupSellers,
    /// `mart/pasts`: what all days of a product up to the end of a month come to, so that no build reads them again.
    Pasts,
    /// `mart/past_prices`: the latest prices of a past.
    PastPrices,
    /// `mart/past_sellers`: the sellers of a past.
    PastSellers,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    I32,
    I64,
    F64,
    Text,
}

impl Kind {
    pub(crate) fn dtype(self) -> DataType {
        match self {
            Kind::I32 => DataType::Int32,
            Kind::I64 => DataType::Int64,
            Kind::F64 => DataType::Float64,
            Kind::Text => DataType::String,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LakeColumn {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// Columns of `mart/deltas` that the kernels carry as codes and the lake as words.
const DELTA_WORDS: [&str; 8] = [
    "currency",
    "price_basis",
    "bsr_category",
    "bsr_leaf_category",
    "availability",
    "availability_prev",
    "seller_id",
    "seller_prev",
];

impl Table {
    /// Places in [`Table::columns`], the same in every table.
    pub(crate) const BUCKET: usize = 0;
    pub(crate) const ASIN: usize = 1;
    pub(crate) const DAY_NO: usize = 2;

    pub const ALL: [Table; 8] = [
        Table::Daily,
        Table::Ranks,
        Table::Deltas,
        Table::Rollups,
        Table::RollupSellers,
        Table::Pasts,
        Table::PastPrices,
        Table::PastSellers,
    ];
    pub(crate) const CORE: [Table; 2] = [Table::Daily, Table::Ranks];
    pub(crate) const MART: [Table; 6] = [
        Table::Deltas,
        Table::Rollups,
        Table::RollupSellers,
        Table::Pasts,
        Table::PastPrices,
        Table::PastSellers,
    ];
    /// Those that other engines read: the others are amzctl's own notes.
    pub(crate) const PUBLISHED: [Table; 5] =
        [Table::Daily, Table::Ranks, Table::Deltas, Table::Rollups, Table::RollupSellers];
    pub(crate) const PAST: [Table; 3] = [Table::Pasts, Table::PastPrices, Table::PastSellers];

    /// The folder below the lake's root, and the name in `lake_files`.
    pub fn name(self) -> &'static str {
        match self {
            Table::Daily => "core/product_metrics_daily",
            Table::Ranks => "core/ranks",
            Table::Deltas => "mart/deltas",
            Table::Rollups => "mart/rollups",
            Table::RollupSellers => "mart/rollup_sellers",
            Table::Pasts => "mart/pasts",
            Table::PastPrices => "mart/past_prices",
            Table::PastSellers => "mart/past_sellers",
        }
    }

    /// True for a file of one of the tables.
    pub(crate) fn any_has(tables: &[Table], file: &LakeFile) -> bool {
        tables.iter().any(|table| table.name() == file.table)
    }

    /// Columns of a file after `marketplace` and `month`.
    pub(crate) fn columns(self) -> &'static [LakeColumn] {
        static COLUMNS: LazyLock<[Vec<LakeColumn>; Table::ALL.len()]> =
            LazyLock::new(|| Table::ALL.map(columns_of));
        &COLUMNS[self as usize]
    }

    /// All columns of a file: those of its partition, then the table's.
    pub(crate) fn schema(self) -> Schema {
        let own = self.columns().iter().map(|column| (column.name, column.kind));
        PARTITION
            .iter()
            .map(|name| (*name, Kind::Text))
            .chain(own)
            .map(|(name, kind)| Field::new(name.into(), kind.dtype()))
            .collect()
    }

    /// Where a column stands in [`Table::columns`].
    pub(crate) fn index_of(self, name: &str) -> Option<usize> {
        self.columns().iter().position(|column| column.name == name)
    }

    /// Places of [`Table::order_within_day`].
    pub(crate) fn places_within_day(self) -> impl Iterator<Item = usize> {
        self.order_within_day().iter().filter_map(move |name| self.index_of(name))
    }

    /// Columns that order rows of one product and day.
    pub(crate) fn order_within_day(self) -> &'static [&'static str] {
        match self {
            Table::Daily | Table::Deltas | Table::Pasts => &[],
            Table::Ranks | Table::PastPrices => &["ordinal"],
            Table::Rollups => &["window_days"],
            Table::RollupSellers => &["window_days", "seller_id"],
            Table::PastSellers => &["seller_id"],
        }
    }
}

fn columns_of(table: Table) -> Vec<LakeColumn> {
    let column = |name, kind| LakeColumn { name, kind };
    let mut columns =
        vec![column("bucket", Kind::I32), column("asin", Kind::Text), column("day_no", Kind::I32)];
    let exported = |(name, kind): &(&'static str, ExportKind)| {
        column(name, if *kind == ExportKind::Int { Kind::I64 } else { Kind::Text })
    };
    let computed = |(name, values): &(&'static str, ColumnValues)| {
        let kind = match values {
            ColumnValues::I32(_) => Kind::I32,
            ColumnValues::I64(_) => Kind::I64,
            ColumnValues::F64(_) => Kind::F64,
        };
        column(name, kind)
    };
    match table {
        Table::Daily => columns.extend(DAILY_EXPORT.columns.iter().map(exported)),
        Table::Ranks => columns.extend(RANK_EXPORT.columns.iter().map(exported)),
        Table::Deltas => columns.extend(DeltaColumns::default().into_columns()[2..].iter().map(computed)),
        Table::Rollups => columns.extend(RollupColumns::default().into_columns()[2..].iter().map(computed)),
        Table::RollupSellers => {
            columns.extend(SellerColumns::default().into_columns()[2..].iter().map(computed))
        }
        Table::Pasts => columns.extend(PastColumns::default().into_columns()[2..].iter().map(computed)),
        Table::PastPrices => {
            columns.extend(PastPriceColumns::default().into_columns()[2..].iter().map(computed))
        }
        Table::PastSellers => {
            columns.extend(PastSellerColumns::default().into_columns()[2..].iter().map(computed))
        }
    }
    for column in &mut columns {
        let is_word = match table {
            Table::Deltas => DELTA_WORDS.contains(&column.name),
            Table::RollupSellers | Table::PastSellers => column.name == "seller_id",
            _ => false,
        };
        if is_word {
            column.kind = Kind::Text;
        }
    }
    columns
}

/// Equal shares of the buckets, in order: so many at most.
pub(crate) fn bucket_shares(most: usize) -> impl Iterator<Item = Range<usize>> {
    let buckets = BUCKETS as usize;
    let share = buckets.div_ceil(most.clamp(1, buckets));
    (0..buckets).step_by(share).map(move |first| first..(first + share).min(buckets))
}

/// The bucket of a product: the first four bytes of SHA-256(`MARKETPLACE:ASIN`), big-endian, modulo 64.
pub(crate) fn bucket_of(marketplace: &str, asin: &str) -> i32 {
    let mut hasher = Sha256::new();
    hasher.update(marketplace.as_bytes());
    hasher.update(b":");
    hasher.update(asin.as_bytes());
    let digest = hasher.finalize();
    let head = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    (head % BUCKETS) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_of_a_product_never_changes() {
        // `printf 'US:B0FDKB341G' | sha256sum` begins with the bytes that are taken modulo 64 here.
        let digest = crate::ids::sha256_hex(b"US:B0FDKB341G");
        let head = u32::from_str_radix(&digest[..8], 16).unwrap();
        assert_eq!(bucket_of("US", "B0FDKB341G"), (head % 64) as i32);
        assert_ne!(crate::ids::sha256_hex(b"UK:B0FDKB341G"), digest);
    }

    #[test]
    fn core_holds_no_floats_and_every_table_begins_with_its_key() {
        for table in Table::ALL {
            let names: Vec<_> = table.columns().iter().map(|column| column.name).collect();
            assert_eq!(names[..3], ["bucket", "asin", "day_no"], "{}", table.name());
            assert!(table.order_within_day().iter().all(|name| names.contains(name)));
        }
        for table in Table::CORE {
            assert!(table.columns().iter().all(|column| column.kind != Kind::F64));
        }
        let blocks = ["_n", "_sum", "_sumsq", "_min", "_max", "_first", "_last", "_median_x2"];
        for column in Table::Rollups.columns() {
            let is_block = blocks.iter().any(|end| column.name.ends_with(end));
            assert!(!is_block || column.kind == Kind::I64, "{}", column.name);
        }
    }
}
