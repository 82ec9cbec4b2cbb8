//! Deltas, window measures and guarded extremes of one product's days: integers in, columns out.
//!
//! Everything here is a pure function of one product's daily rows. It knows no database, no lake, no clock
//! and no text: words are carried as codes that the caller maps back.
//!
//! **No overflow.** A value is used only where it lies in `0..=`[`MAX_VALUE`]. A window holds at most 90
//! values, so a sum is at most 2.7e10, a sum of squares at most 8.1e18 < 2^63, and every numerator except that
//! of the standard deviation below 2^53; that one is computed in `i128`.

pub mod aggregate;
mod columns;
pub mod compare;
mod delta;
mod extremes;
mod past;
mod ratio;
pub mod rules;
mod series;
mod window;

pub use columns::{
    Change, ColumnValues, DeltaColumns, Level, NO_CODE, NO_DAY, NULL, PastColumns, PastPriceColumns,
    PastSellerColumns, RollupColumns, SellerColumns, Spread,
};
pub use delta::deltas;
pub use past::{NO_PAST, Past, PastRows, pasts};
pub use series::{MAX_VALUE, ProductDays};
pub use window::{WINDOWS, roll_windows};

#[cfg(test)]
mod tests;
