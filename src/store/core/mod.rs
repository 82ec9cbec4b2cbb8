//! Core: observations and what is derived from them: the daily row, ranks, listing versions, products.
//!
//! [`Store::commit_normalized`] is the one way in: what a batch of receipts says is written, then everything that
//! depends on a touched product or day is derived anew, all in one transaction.

mod days;
pub(super) mod history;
mod observations;
mod products;
mod receipts;
mod reviews;

use std::collections::BTreeSet;

#[cfg(test)]
pub(super) use days::{LOAD_DAILY, LOAD_RANKS, LOAD_RANKS_OF_SERVER};
pub(super) use observations::{facts_of, listing_content};
pub use products::ProductRecord;
pub use receipts::{RawRecord, StoredRecord, Unread};

use super::db::bulk;
use super::ops::set_mark;
use super::quarantine::{NewQuarantine, write_quarantine};
use super::{Result, Store};
use crate::model::{DailyRow, Day, Listing, Observation, ProductKey, Review, Timestamp};
use crate::normalize::{DayObservation, ListingVersion, NORMALIZER_VERSION};

/// What came of one receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReceiptOutcome {
    Observed,
    Reviewed,
    NotFound,
    /// Known and sound, and nothing of it has a place in core.
    Kept,
    Quarantined,
}

impl ReceiptOutcome {
    fn as_str(self) -> &'static str {
        match self {
            ReceiptOutcome::Observed => "observed",
            ReceiptOutcome::Reviewed => "reviewed",
            ReceiptOutcome::NotFound => "not_found",
            ReceiptOutcome::Kept => "kept",
            ReceiptOutcome::Quarantined => "quarantined",
        }
    }
}

/// One observation with the receipt it comes from.
#[derive(Clone, Debug)]
pub struct NewObservation {
    pub receipt_id: i64,
    pub item: i64,
    pub day: Day,
    pub observed_at: Timestamp,
    pub fetched_at: Timestamp,
    pub source: String,
    pub body_sha256: String,
    pub observation: Observation,
    /// Of the folded listing content.
    pub content_hash: String,
}

/// Everything one batch of receipts gave.
#[derive(Clone, Debug, Default)]
pub struct NormalizedBatch {
    pub receipts: Vec<(i64, ReceiptOutcome)>,
    /// The receipt up to which, with this batch, all are read; null where receipts in between may be left.
    pub normalized_until: Option<i64>,
    pub observations: Vec<NewObservation>,
    pub reviews: Vec<(Review, String, Timestamp)>,
    pub quarantine: Vec<NewQuarantine>,
}

/// What a committed batch changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BatchEffect {
    pub observations_written: u64,
    pub days_changed: u64,
    /// Rows that are new in quarantine.
    pub quarantined: u64,
    /// Rows that were open in quarantine already, and still are.
    pub refused_again: u64,
}

/// A day's row out of its observations; null when none knows anything.
type ChooseDay<'a> = dyn Fn(Day, &[DayObservation]) -> Option<DailyRow> + Send + Sync + 'a;
/// The listing versions of one source out of what it showed, oldest first, behind the version that was in force before,
/// which comes first in the answer.
type CutVersions<'a> =
    dyn Fn(&str, Option<ListingVersion>, &[(Timestamp, Listing)]) -> Vec<ListingVersion> + Send + Sync + 'a;
/// True when the second listing says nothing that the first, a version in force, does not.
type AddsNothing<'a> = dyn Fn(&Listing, &Listing) -> bool + Send + Sync + 'a;

/// How the rows derived from observations are chosen; given by the stage so that the store decides nothing.
pub struct Derive<'a> {
    pub daily: &'a ChooseDay<'a>,
    pub versions: &'a CutVersions<'a>,
    pub adds_nothing: &'a AddsNothing<'a>,
    /// Sources, most trusted first: whose listing names the product.
    pub precedence: &'a [String],
}

impl Store {
    /// Writes what a batch of receipts gave and derives everything that depends on it anew, in one transaction.
    /// Writing the same batch again changes nothing.
    pub async fn commit_normalized(
        &self,
        run_id: &str,
        now: Timestamp,
        batch: &NormalizedBatch,
        derive: &Derive<'_>,
    ) -> Result<BatchEffect> {
        let mut tx = self.begin().await?;
        let written = observations::write(&mut tx, batch).await?;
        reviews::write(&mut tx, &batch.reviews).await?;
        let (quarantined, refused_again) = write_quarantine(&mut tx, run_id, now, batch).await?;
        bulk::insert(
            &mut tx,
            "normalized_receipts (receipt_id, normalizer_version, outcome)",
            " ON CONFLICT (receipt_id) DO UPDATE SET normalizer_version = excluded.normalizer_version, outcome = excluded.outcome
              WHERE normalized_receipts.normalizer_version <> excluded.normalizer_version
                 OR normalized_receipts.outcome <> excluded.outcome",
            &batch.receipts,
            |values, (receipt_id, outcome)| {
                values.push_bind(*receipt_id).push_bind(NORMALIZER_VERSION).push_bind(outcome.as_str());
            },
        )
        .await?;
        if let Some(receipt_id) = batch.normalized_until {
            set_mark(&mut tx, &receipts::normalized_until_mark(), receipt_id).await?;
        }
        let touched: BTreeSet<(ProductKey, Day)> = (batch.observations.iter())
            .map(|new| (new.observation.key(), new.day))
            .chain(written.superseded.iter().map(|old| (old.key, old.day)))
            .collect();
        let days_changed = days::rebuild(&mut tx, &touched, derive).await?;
        products::rebuild(&mut tx, batch, &written.superseded, derive).await?;
        tx.commit().await?;
        Ok(BatchEffect { observations_written: written.rows, days_changed, quarantined, refused_again })
    }
}
