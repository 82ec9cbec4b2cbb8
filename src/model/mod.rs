//! Values of the domain: constructing one validates it. No IO, no clock, no SQL.

mod access;
mod asin;
mod availability;
mod day;
mod fetch;
mod language;
mod marketplace;
mod money;
mod observation;
mod ranks;
mod source;
pub mod text;
mod watch;
mod workspace;

pub use access::{KeyKind, KeyTier, Permission, Permissions};
pub use asin::{Asin, AsinError, ProductKey, ProductRef};
pub use availability::Availability;
pub use day::{Day, DayError, DayRange, ReportingZone};
pub use fetch::{
    BreakerPosition, Cost, FaultKind, Rate, SourceState, SpendingLimit, SpendingLimits, Spent,
    micros_of_dollars,
};
pub use language::Language;
pub use marketplace::{DecimalStyle, Marketplace, UnknownMarketplace};
pub use money::{Currency, MAX_MINOR, Money, UnknownCurrency};
pub(crate) use observation::words;
pub use observation::{
    Condition, DailyRow, Fulfilment, Listing, Observation, OfferBlock, PriceBasis, RankBlock, RatingBlock,
    Review,
};
pub use ranks::{CategoryRef, Rank, leaf_rank, main_rank, same_category};
pub use source::{
    HISTORY_SOURCE, KNOWN_SOURCES, LIVE_SOURCES, SP_API_OPERATIONS, check_live_source, check_source_name,
    similar_source,
};
pub use watch::{Cohort, Competitor, Relation, Tier, WatchItem};
pub use workspace::{Workspace, WorkspaceError};

/// An instant, UTC. Stored as microseconds since 1970.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
