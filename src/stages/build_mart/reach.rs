//! How far a changed day reaches: which later rows it may have changed.
//!
//! Windows and deltas look back 90 days. What lies further back reaches a row through the product's past alone, so a day
//! reaches no further than 90 days behind the first end of a month at which every past is what it was. Rollups look at
//! less of a past than deltas, which also count known days and remember sellers: they settle sooner.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use rayon::prelude::*;

use super::core_files::CoreFiles;
use super::days::{AvailabilityCodes, Days};
use super::plan::month_ends;
use super::products::{Pass, Product};
use super::write::{Limits, REACH_DAYS};
use crate::lake::{Lake, LakeError, Span, Table, Words, files_of, merge};
use crate::model::Marketplace;
use crate::rollup::{NO_PAST, Past, pasts};
use crate::store::lake::LakeFile;

/// How far behind a changed day the ends of months are looked at: first where a product seen daily has forgotten a price
/// that is none of its extremes, then where one seen weekly has. A past that is another even then mostly stays so.
const HORIZONS_DAYS: [i32; 2] = [120, 300];

/// Days whose rows may have changed, sorted, without overlap.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Dirty {
    pub(super) deltas: Vec<Span>,
    /// Of rollups and their sellers; among those of the deltas.
    pub(super) rollups: Vec<Span>,
}

impl Dirty {
    /// Adds days whose rows of every table may have changed.
    pub(super) fn add(&mut self, span: Span) {
        for spans in [&mut self.deltas, &mut self.rollups] {
            spans.push(span);
            *spans = merge(std::mem::take(spans));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.deltas.is_empty()
    }
}

/// What is compared: core as it is now with the pasts of before.
pub(super) struct Reach<'a> {
    pub(super) lake: &'a Lake,
    /// The listed files: core as it is now, pasts as the last build wrote them.
    pub(super) files: &'a [LakeFile],
    pub(super) marketplace: Marketplace,
    /// The last day that core or the mart holds.
    pub(super) last: i32,
    pub(super) limits: Limits,
}

/// The first end of a month at which every past is what it was.
#[derive(Clone, Copy, Default)]
struct Settled {
    wholly: Option<i32>,
    /// In what rollups look at; never later than wholly.
    for_rollups: Option<i32>,
}

impl Reach<'_> {
    /// Which rows the changed days, which are sorted, may have changed.
    pub(super) fn of(&self, changed: &[i32]) -> Result<Dirty, LakeError> {
        let mut dirty = Dirty::default();
        let mut changed = changed;
        while let Some(&first) = changed.first() {
            let settled = self.settled(first)?;
            let until = |end: Option<i32>| end.map_or(self.last, |end| self.last.min(end + REACH_DAYS));
            dirty.deltas.push(Span { first, last: until(settled.wholly) });
            dirty.rollups.push(Span { first, last: until(settled.for_rollups) });
            let Some(end) = settled.for_rollups else { break };
            // Days up to there were compared with this one. A later one begins anew, from a past that is right for
            // rollups. Of deltas that past may say too little, but only up to where this day's own settle: until there the
            // later day was compared as well.
            changed = &changed[changed.partition_point(|day| *day <= end)..];
        }
        Ok(Dirty { deltas: merge(dirty.deltas), rollups: merge(dirty.rollups) })
    }

    fn settled(&self, first: i32) -> Result<Settled, LakeError> {
        for horizon in HORIZONS_DAYS {
            let settled =
                self.settled_within(Span { first, last: (self.last - REACH_DAYS).min(first + horizon) })?;
            if settled.for_rollups.is_some() {
                return Ok(settled);
            }
        }
        Ok(Settled::default())
    }

    fn settled_within(&self, days: Span) -> Result<Settled, LakeError> {
        let first = days.first;
        // Where no past is known nothing can be the same.
        let known = files_of(self.files, Table::Pasts, self.marketplace);
        let mut ends = month_ends(days);
        ends.retain(|end| known.iter().any(|file| file.last_day_no == *end));
        let Some(&last) = ends.last() else { return Ok(Settled::default()) };
        let mut now = CoreFiles::up_to(self.lake, self.marketplace, self.files, first, last);
        let mut before: Vec<CoreFiles> = ends
            .iter()
            .map(|end| CoreFiles::pasts_at(self.lake, self.marketplace, self.files, *end))
            .collect();
        let passes = now.passes(self.limits.pass_rows)?;
        if passes.len() > 1 {
            before.iter_mut().try_for_each(CoreFiles::locate_buckets)?;
        }
        let mut same = vec![(true, true); ends.len()];
        for buckets in &passes {
            let found = compare(&now, &before, &ends, buckets)?;
            same = same.iter().zip(found).map(|(all, part)| (all.0 && part.0, all.1 && part.1)).collect();
        }
        let first_end = |is_same: fn(&(bool, bool)) -> bool| same.iter().position(is_same).map(|at| ends[at]);
        Ok(Settled { wholly: first_end(|same| same.0), for_rollups: first_end(|same| same.1) })
    }
}

/// Whether the pasts of some buckets' products at each end are those of before: wholly, and for rollups.
fn compare(
    now: &CoreFiles,
    before: &[CoreFiles],
    ends: &[i32],
    buckets: &Range<usize>,
) -> Result<Vec<(bool, bool)>, LakeError> {
    let mut words = Words::default();
    let availability = AvailabilityCodes::new(&mut words);
    let pass = now.load(buckets, &mut words)?;
    let products: HashSet<i32> = pass.products.iter().map(|product| product.asin).collect();
    let mut known: Vec<HashMap<i32, Past>> = Vec::new();
    let mut same = Vec::new();
    for before in before {
        let pasts = before.load(buckets, &mut words)?.products.into_iter().map(|product| {
            let mut past = product.past;
            past.sellers.sort_unstable();
            (product.asin, past)
        });
        let pasts: HashMap<i32, Past> = pasts.collect();
        let none_is_gone = pasts.keys().all(|asin| products.contains(asin));
        same.push((none_is_gone, none_is_gone));
        known.push(pasts);
    }
    let compared = pass.products.par_iter().map(|product| {
        let pasts = pasts_of(&pass, product, ends, &words, &availability);
        let old = known.iter().map(|known| known.get(&product.asin).unwrap_or(&NO_PAST));
        pasts.iter().zip(old).map(|(past, old)| (past == old, past.is_same_for_rollups(old))).collect()
    });
    let all = |a: Vec<(bool, bool)>, b: Vec<(bool, bool)>| -> Vec<(bool, bool)> {
        a.iter().zip(b).map(|(a, b)| (a.0 && b.0, a.1 && b.1)).collect()
    };
    Ok(compared.reduce(|| same.clone(), all))
}

/// A product's pasts, their sellers as codes of words.
fn pasts_of(
    pass: &Pass,
    product: &Product,
    ends: &[i32],
    words: &Words,
    availability: &AvailabilityCodes,
) -> Vec<Past> {
    let days = Days::gather(pass, product, words, availability);
    let mut pasts = pasts(&days.as_kernel_input(), ends);
    for past in &mut pasts {
        for seller in &mut past.sellers {
            *seller = days.sellers[*seller as usize];
        }
        past.sellers.sort_unstable();
    }
    pasts
}
