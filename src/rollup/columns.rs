//! The columns that the kernels write, with the names of the SQL tables `deltas`, `rollups`, `rollup_sellers`.

/// Unknown, in `i64` columns. In `f64` columns it is NaN.
pub const NULL: i64 = i64::MIN;

/// No day, in day columns.
pub const NO_DAY: i32 = i32::MIN;

/// No seller, no category, in `i32` code columns. In [`SellerColumns::seller_id`] it means that nobody had the
/// buy box.
pub const NO_CODE: i32 = -1;

/// The values of one column.
#[derive(Clone, PartialEq, Debug)]
pub enum ColumnValues {
    I32(Vec<i32>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

/// A column, or a group of columns of equal length.
pub(super) trait Columns {
    /// Adds `rows` rows that hold nothing.
    fn grow(&mut self, rows: usize);
    /// Makes room for `rows` more rows.
    fn reserve(&mut self, rows: usize);
    fn push_values(self, values: &mut Vec<ColumnValues>);
    /// The names that the fields spell, to hold the tables of names against.
    #[cfg(test)]
    fn push_paths(&self, path: &str, paths: &mut Vec<String>);
}

macro_rules! column {
    ($type:ty, $nothing:expr, $variant:ident) => {
        impl Columns for Vec<$type> {
            fn grow(&mut self, rows: usize) {
                self.resize(self.len() + rows, $nothing);
            }

            fn reserve(&mut self, rows: usize) {
                Vec::reserve(self, rows);
            }

            fn push_values(self, values: &mut Vec<ColumnValues>) {
                values.push(ColumnValues::$variant(self));
            }

            #[cfg(test)]
            fn push_paths(&self, path: &str, paths: &mut Vec<String>) {
                paths.push(path.to_owned());
            }
        }
    };
}

column!(i32, NO_DAY, I32);
column!(i64, NULL, I64);
column!(f64, f64::NAN, F64);

/// Declares a struct of columns and groups; the order of the fields is the order of the columns.
macro_rules! columns {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)+ }

        impl Columns for $name {
            fn grow(&mut self, rows: usize) {
                $(self.$field.grow(rows);)+
            }

            fn reserve(&mut self, rows: usize) {
                $(self.$field.reserve(rows);)+
            }

            fn push_values(self, values: &mut Vec<ColumnValues>) {
                $(self.$field.push_values(values);)+
            }

            #[cfg(test)]
            fn push_paths(&self, path: &str, paths: &mut Vec<String>) {
                let dotted = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
                $(self.$field.push_paths(&dotted(stringify!($field)), paths);)+
            }
        }
    };
}

/// What a table of columns offers to the outside.
macro_rules! table {
    ($name:ident, $names:ident) => {
        impl $name {
            /// No rows, and room for some.
            pub fn with_capacity(rows: usize) -> $name {
                let mut empty = $name::default();
                empty.reserve(rows);
                empty
            }

            /// The number of rows.
            pub fn len(&self) -> usize {
                self.day_no.len()
            }

            pub fn is_empty(&self) -> bool {
                self.day_no.is_empty()
            }

            /// Every column with its name, `row` first, in the order of the SQL table.
            pub fn into_columns(self) -> Vec<(&'static str, ColumnValues)> {
                let mut values = Vec::with_capacity($names.len());
                self.push_values(&mut values);
                $names.iter().copied().zip(values).collect()
            }
        }
    };
}

columns! {
    /// Count, sum, extremes, ends, middle and mean of a window's known values.
    pub struct Level {
        n: Vec<i64>,
        sum: Vec<i64>,
        min: Vec<i64>,
        max: Vec<i64>,
        first: Vec<i64>,
        last: Vec<i64>,
        /// The sum of the two middle values (of the middle value with itself).
        median_x2: Vec<i64>,
        avg: Vec<f64>,
        change_pct: Vec<f64>,
    }
}

columns! {
    /// How widely a window's known values lie, and how they lean.
    pub struct Spread {
        sumsq: Vec<i64>,
        sd: Vec<f64>,
        volatility: Vec<f64>,
        /// Per day.
        slope: Vec<f64>,
    }
}

columns! {
    /// Window measures: one row per (daily row, window) with at least two daily rows in the window, sorted by
    /// `day_no`, then `window_days`. Trends: 1 increasing, 0 stable, -1 decreasing, of the number itself.
    pub struct RollupColumns {
        /// Index of the as-of row in the product's days.
        row: Vec<i32>,
        day_no: Vec<i32>,
        window_days: Vec<i32>,
        observed_days: Vec<i64>,
        price: Level,
        price_spread: Spread,
        price_trend: Vec<i64>,
        bsr: Level,
        bsr_spread: Spread,
        bsr_trend: Vec<i64>,
        /// Ranks in the leaf category of the as-of day.
        bsr_leaf: Level,
        rating: Level,
        rating_trend: Vec<i64>,
        ratings_growth: Vec<i64>,
        in_stock_days: Vec<i64>,
        known_days: Vec<i64>,
        in_stock_share: Vec<f64>,
        /// Guarded extremes of the window's days.
        price_low: Vec<i64>,
        price_high: Vec<i64>,
        /// Guarded extremes of all days up to the as-of day.
        price_low_all: Vec<i64>,
        price_high_all: Vec<i64>,
        observed_30d: Vec<i64>,
        quality: Vec<f64>,
    }
}

const ROLLUP_NAMES: &[&str] = &[
    "row",
    "day_no",
    "window_days",
    "observed_days",
    "price_n",
    "price_sum",
    "price_min",
    "price_max",
    "price_first",
    "price_last",
    "price_median_x2",
    "price_avg",
    "price_change_pct",
    "price_sumsq",
    "price_sd",
    "price_volatility",
    "price_slope",
    "price_trend",
    "bsr_n",
    "bsr_sum",
    "bsr_min",
    "bsr_max",
    "bsr_first",
    "bsr_last",
    "bsr_median_x2",
    "bsr_avg",
    "bsr_change_pct",
    "bsr_sumsq",
    "bsr_sd",
    "bsr_volatility",
    "bsr_slope",
    "bsr_trend",
    "bsr_leaf_n",
    "bsr_leaf_sum",
    "bsr_leaf_min",
    "bsr_leaf_max",
    "bsr_leaf_first",
    "bsr_leaf_last",
    "bsr_leaf_median_x2",
    "bsr_leaf_avg",
    "bsr_leaf_change_pct",
    "rating_n",
    "rating_sum",
    "rating_min",
    "rating_max",
    "rating_first",
    "rating_last",
    "rating_median_x2",
    "rating_avg",
    "rating_change_pct",
    "rating_trend",
    "ratings_growth",
    "in_stock_days",
    "known_days",
    "in_stock_share",
    "price_low",
    "price_high",
    "price_low_all",
    "price_high_all",
    "observed_30d",
    "quality",
];
table!(RollupColumns, ROLLUP_NAMES);

columns! {
    /// Buy box share: one row per (rollup row, seller with at least one day), sorted by `day_no`,
    /// `window_days`, `seller_id`. A share is `days / known_days`.
    pub struct SellerColumns {
        /// Index of the as-of row in the product's days.
        row: Vec<i32>,
        day_no: Vec<i32>,
        window_days: Vec<i32>,
        seller_id: Vec<i32>,
        days: Vec<i64>,
        known_days: Vec<i64>,
    }
}

const SELLER_NAMES: &[&str] = &["row", "day_no", "window_days", "seller_id", "days", "known_days"];
table!(SellerColumns, SELLER_NAMES);

columns! {
    /// [`Past`](super::Past)s, as far as they are numbers: one row per product and end of a month, sorted by `day_no`.
    pub struct PastColumns {
        /// How many of the product's given rows it covers.
        row: Vec<i32>,
        day_no: Vec<i32>,
        last_day: Vec<i32>,
        price_days: Vec<i64>,
        price_low: Vec<i64>,
        price_high: Vec<i64>,
        /// 1 if the latest price counts only once the next one is near it.
        is_price_waiting: Vec<i64>,
        seller_days: Vec<i64>,
    }
}

const PAST_NAMES: &[&str] = &[
    "row",
    "day_no",
    "last_day",
    "price_days",
    "price_low",
    "price_high",
    "is_price_waiting",
    "seller_days",
];
table!(PastColumns, PAST_NAMES);

columns! {
    /// The latest known prices of a past, in day order.
    pub struct PastPriceColumns {
        row: Vec<i32>,
        day_no: Vec<i32>,
        ordinal: Vec<i64>,
        price: Vec<i64>,
    }
}

const PAST_PRICE_NAMES: &[&str] = &["row", "day_no", "ordinal", "price"];
table!(PastPriceColumns, PAST_PRICE_NAMES);

columns! {
    /// The sellers of a past, sorted.
    pub struct PastSellerColumns {
        row: Vec<i32>,
        day_no: Vec<i32>,
        seller_id: Vec<i32>,
    }
}

const PAST_SELLER_NAMES: &[&str] = &["row", "day_no", "seller_id"];
table!(PastSellerColumns, PAST_SELLER_NAMES);

columns! {
    /// A field's value, the previous known one, its day, and the difference.
    ///
    /// All but `value` are null where no earlier value can be compared with today's; `delta` and `pct` also
    /// where today's value is unknown.
    pub struct Change {
        value: Vec<i64>,
        prev: Vec<i64>,
        prev_day: Vec<i32>,
        delta: Vec<i64>,
        pct: Vec<f64>,
    }
}

columns! {
    /// Day-over-day changes and what the alert rules look at: one row per daily row, sorted by `day_no`.
    pub struct DeltaColumns {
        /// Index of the row in the product's days.
        row: Vec<i32>,
        day_no: Vec<i32>,
        currency: Vec<i64>,
        price_basis: Vec<i64>,
        /// Days since the previous daily row.
        gap_days: Vec<i64>,
        price: Change,
        list_price: Change,
        buy_box_price: Change,
        landed_price: Change,
        /// `prev` is the rank in today's main category.
        bsr: Change,
        /// `prev` is the rank in today's leaf category.
        bsr_leaf: Change,
        rating: Change,
        ratings_count: Change,
        bsr_category: Vec<i32>,
        bsr_leaf_category: Vec<i32>,
        availability: Vec<i64>,
        /// The previous word that says something about stock.
        availability_prev: Vec<i64>,
        availability_prev_day: Vec<i32>,
        seller_id: Vec<i32>,
        seller_prev: Vec<i32>,
        seller_prev_day: Vec<i32>,
        /// 1 if the product never had today's seller before, 0 if it had, null if it is unknown.
        seller_is_new: Vec<i64>,
        /// Earlier days with a known seller.
        seller_known_days: Vec<i64>,
        /// Earlier days with a known price.
        price_known_days: Vec<i64>,
        /// Guarded extremes of all days up to the previous daily row.
        price_low_all_prev: Vec<i64>,
        price_high_all_prev: Vec<i64>,
        /// How many of the 14 latest known prices before today lie within 60 days.
        price_outlier_n: Vec<i64>,
        price_outlier_median_x2: Vec<i64>,
        /// Four times their median absolute deviation.
        price_outlier_mad_x4: Vec<i64>,
    }
}

const DELTA_NAMES: &[&str] = &[
    "row",
    "day_no",
    "currency",
    "price_basis",
    "gap_days",
    "price",
    "price_prev",
    "price_prev_day",
    "price_delta",
    "price_pct",
    "list_price",
    "list_price_prev",
    "list_price_prev_day",
    "list_price_delta",
    "list_price_pct",
    "buy_box_price",
    "buy_box_price_prev",
    "buy_box_price_prev_day",
    "buy_box_price_delta",
    "buy_box_price_pct",
    "landed_price",
    "landed_price_prev",
    "landed_price_prev_day",
    "landed_price_delta",
    "landed_price_pct",
    "bsr",
    "bsr_prev",
    "bsr_prev_day",
    "bsr_delta",
    "bsr_pct",
    "bsr_leaf",
    "bsr_leaf_prev",
    "bsr_leaf_prev_day",
    "bsr_leaf_delta",
    "bsr_leaf_pct",
    "rating",
    "rating_prev",
    "rating_prev_day",
    "rating_delta",
    "rating_pct",
    "ratings_count",
    "ratings_count_prev",
    "ratings_count_prev_day",
    "ratings_count_delta",
    "ratings_count_pct",
    "bsr_category",
    "bsr_leaf_category",
    "availability",
    "availability_prev",
    "availability_prev_day",
    "seller_id",
    "seller_prev",
    "seller_prev_day",
    "seller_is_new",
    "seller_known_days",
    "price_known_days",
    "price_low_all_prev",
    "price_high_all_prev",
    "price_outlier_n",
    "price_outlier_median_x2",
    "price_outlier_mad_x4",
];
table!(DeltaColumns, DELTA_NAMES);

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = include_str!("../../sql/migrations/sqlite/0001_initial.sql");

    /// The column names of a table of the schema, without its keys.
    fn sql_columns(table: &str, keys: &[&str]) -> Vec<&'static str> {
        let body = SCHEMA.split(&format!("CREATE TABLE {table} (\n")).nth(1).unwrap();
        body.lines()
            .map_while(|line| line.split_whitespace().next())
            .take_while(|word| *word != "PRIMARY")
            .filter(|word| !keys.contains(word))
            .collect()
    }

    fn spelled(table: &impl Columns) -> Vec<String> {
        let mut paths = Vec::new();
        table.push_paths("", &mut paths);
        paths
            .iter()
            .map(|path| path.replace(".value", "").replace("_spread.", ".").replace('.', "_"))
            .collect()
    }

    #[test]
    fn the_names_are_those_of_the_sql_tables() {
        let rollups = sql_columns("rollups", &["marketplace", "asin", "as_of", "window_days"]);
        assert_eq!(&ROLLUP_NAMES[3..], rollups);
        let deltas = sql_columns("deltas", &["marketplace", "asin", "day"]);
        assert_eq!(&DELTA_NAMES[2..], deltas);
        let sellers = sql_columns("rollup_sellers", &["marketplace", "asin", "as_of", "window_days"]);
        assert_eq!(&SELLER_NAMES[3..], sellers);
    }

    #[test]
    fn every_name_stands_at_the_field_it_names() {
        assert_eq!(spelled(&RollupColumns::default()), ROLLUP_NAMES);
        assert_eq!(spelled(&DeltaColumns::default()), DELTA_NAMES);
        assert_eq!(spelled(&SellerColumns::default()), SELLER_NAMES);
        assert_eq!(spelled(&PastColumns::default()), PAST_NAMES);
        assert_eq!(spelled(&PastPriceColumns::default()), PAST_PRICE_NAMES);
        assert_eq!(spelled(&PastSellerColumns::default()), PAST_SELLER_NAMES);
    }
}
