//! Reading what product pages say, in every supported language: amounts, counts, stars, ranks, stock, brands.
//!
//! Pure text to value; null where the text says nothing that is recognised.

mod amount;
mod brand;
mod category;
mod clean;
mod count;
mod date;
mod number;
mod rank;
mod stock;

pub use amount::{Coupon, currency_fits, foreign_currency, parse_amount, parse_coupon};
pub use brand::{clean_brand, is_brand_label};
pub use category::{canonical_category, is_root_category};
pub use clean::{clean_text, fold_notation};
pub use count::{parse_count, parse_rating_centi};
pub use date::parse_date;
pub use rank::{is_rank_label, parse_ranks};
pub use stock::parse_availability;
