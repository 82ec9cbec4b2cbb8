//! The items of a record that holds several: products of one answer, or days of one history.

use super::record::Record;
use super::{FUTURE_TOLERANCE, Parsed, RecordContext, RejectReason};
use crate::model::{Observation, Timestamp};

/// Where an observation stands in its record, and when it was true.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Unlike any other observation's of the record, and the same whenever the record is read.
    pub item: u32,
    /// Null: when the receipt says.
    pub observed_at: Option<Timestamp>,
}

impl Parsed {
    /// The observations with their places, taken out.
    pub fn take_observations(&mut self) -> impl Iterator<Item = (Place, Observation)> + use<> {
        let observations = std::mem::take(&mut self.observations);
        let places = std::mem::take(&mut self.places);
        let counted = (0..).map(|item| Place { item, observed_at: None });
        places
            .into_iter()
            .map(Some)
            .chain(std::iter::repeat(None))
            .zip(counted)
            .zip(observations)
            .map(|((place, counted), observation)| (place.unwrap_or(counted), observation))
    }

    /// What the items of one record gave, put together; each keeps its place.
    pub(super) fn join(parts: impl IntoIterator<Item = Parsed>) -> Parsed {
        parts.into_iter().fold(Parsed::default(), |mut whole, part| {
            whole.append(part);
            whole
        })
    }

    /// Adds what was read with its places already.
    pub(super) fn append(&mut self, mut other: Parsed) {
        self.places.append(&mut other.places);
        self.observations.append(&mut other.observations);
        self.rejects.append(&mut other.rejects);
        self.notes.append(&mut other.notes);
        self.kept |= other.kept;
    }

    /// Adds what one item gave; `observed_at` is the item's own time, where it has one.
    pub(super) fn add_item(
        &mut self,
        context: &RecordContext,
        item: u32,
        observed_at: Option<Timestamp>,
        mut one: Parsed,
    ) {
        let is_future = |at: &Timestamp| *at > context.now + FUTURE_TOLERANCE;
        if let Some(at) = observed_at.filter(|at| is_future(at) && !one.observations.is_empty()) {
            let mut record = Record::new(context, item);
            let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            record.reject(RejectReason::ObservedInFuture, "observed_at", at);
            one = record.rejected();
        }
        one.places = one.observations.iter().map(|_| Place { item, observed_at }).collect();
        self.append(one);
    }
}
