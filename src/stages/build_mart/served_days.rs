//! The days whose deltas and aggregates are served anew, read back from the files of a build some days at a time: the
//! months of a large market do not lie in memory, and while the database takes some days the next ones are read.

use std::borrow::Cow;
use std::sync::Arc;
use std::vec::IntoIter;

use anyhow::Context as _;
use async_trait::async_trait;
use polars::prelude::*;
use tokio::task::JoinHandle;

use super::plan::MarketPlan;
use super::serving::{Served, in_key_order};
use super::stop_if_asked;
use crate::cancel::CancelToken;
use crate::lake::{
    Block, Lake, Span, Table, Words, by_month, files_of, read_columns_of_days, read_rows_of_days,
};
use crate::model::{Day, ReportingZone};
use crate::rollup::aggregate::{
    Aggregate, DELTA_COLUMNS, OBSERVED_COLUMNS, category_metrics, daily_aggregates,
};
use crate::store::lake::LakeFile;
use crate::store::mart::{DayRecord, DaysPart, ServedDays};

/// Reads one part ahead of whoever takes them.
pub(super) struct DaysFromFiles {
    source: Arc<Source>,
    parts: IntoIter<Span>,
    following: Option<JoinHandle<anyhow::Result<DaysPart>>>,
    cancel: CancelToken,
}

struct Source {
    lake: Lake,
    /// As the build wrote them.
    deltas: Vec<LakeFile>,
    core: Vec<LakeFile>,
    zone: ReportingZone,
}

impl DaysFromFiles {
    /// `built` are the files that the build wrote, `listed` those of its core; a part has about `most` rows, one day at
    /// least.
    pub(super) fn new(
        lake: &Lake,
        market: &MarketPlan,
        built: &[LakeFile],
        listed: &[LakeFile],
        zone: ReportingZone,
        most: usize,
        cancel: &CancelToken,
    ) -> DaysFromFiles {
        let of = |files, table| -> Vec<LakeFile> {
            files_of(files, table, market.marketplace).into_iter().cloned().collect()
        };
        let (deltas, core) = (of(built, Table::Deltas), of(listed, Table::Daily));
        let parts = parts(&market.served(), &deltas, most).into_iter();
        let source = Arc::new(Source { lake: lake.clone(), deltas, core, zone });
        DaysFromFiles { source, parts, following: None, cancel: cancel.clone() }
    }

    /// Begins to read the next part.
    pub(super) fn read_ahead(&mut self) {
        if self.following.is_none() {
            self.following = self.parts.next().map(|days| {
                let source = Arc::clone(&self.source);
                tokio::task::spawn_blocking(move || source.read(days))
            });
        }
    }
}

#[async_trait]
impl ServedDays for DaysFromFiles {
    async fn next(&mut self) -> anyhow::Result<Option<DaysPart>> {
        stop_if_asked(&self.cancel)?;
        self.read_ahead();
        let Some(reading) = self.following.take() else { return Ok(None) };
        let part = reading.await?.context("failed to read the days that are served")?;
        self.read_ahead();
        Ok(Some(part))
    }
}

impl Source {
    fn read(&self, days: Span) -> anyhow::Result<DaysPart> {
        let of = |files: &[LakeFile]| -> Vec<LakeFile> {
            files.iter().filter(|file| Span::of(file).overlaps(days)).cloned().collect()
        };
        let mut words = Words::default();
        let (deltas, core) = (of(&self.deltas), of(&self.core));
        let deltas = read_rows_of_days(&self.lake, &deltas, Table::Deltas, days, &mut words)?;
        let observed = read_columns_of_days(&self.lake, &core, Table::Daily, days.days(), &OBSERVED_COLUMNS)?;
        let deltas = in_key_order(deltas, Table::Deltas, &words);
        let (daily_aggregates, category_metrics) = records(&deltas, &observed, self.zone, &words)?;
        let deltas = Served::new(Table::Deltas, Cow::Owned(deltas), None, Cow::Owned(words));
        Ok(DaysPart { deltas: Box::new(deltas), daily_aggregates, category_metrics })
    }
}

/// A part reads whole row groups, which hold all days of their month: so many parts read each of them so often.
const PARTS_OF_MONTH: usize = 10;

/// The served days of which there are files, cut at the ends of months and so that a part has about `most` rows.
fn parts(served: &[Span], files: &[LakeFile], most: usize) -> Vec<Span> {
    let mut parts = Vec::new();
    for month in by_month(served).into_values().flatten() {
        let own = files.iter().filter(|file| Span::of(file).overlaps(month));
        let Some((rows, first, last)) = own
            .map(|file| (file.rows, file.first_day_no, file.last_day_no))
            .reduce(|a, b| (a.0 + b.0, a.1.min(b.1), a.2.max(b.2)))
        else {
            continue;
        };
        let rows_of_day = usize::try_from(rows).unwrap_or_default() / (last - first + 1) as usize + 1;
        let least = ((month.last - month.first + 1) as usize).div_ceil(PARTS_OF_MONTH);
        let days = (most / rows_of_day).max(least);
        let starts = (month.first..=month.last).step_by(days);
        parts.extend(starts.map(|first| Span { first, last: month.last.min(first + days as i32 - 1) }));
    }
    parts
}

/// The day and category records of the served deltas' days.
fn records(
    deltas: &Block,
    observed: &DataFrame,
    zone: ReportingZone,
    words: &Words,
) -> PolarsResult<(Vec<DayRecord>, Vec<DayRecord>)> {
    let frame = deltas.to_frame(Table::Deltas, &DELTA_COLUMNS, words)?;
    let end_of_day = |day_no: i32| zone.end_of(Day::from_no(day_no)).timestamp_micros();
    let days = daily_aggregates(&frame, observed, end_of_day)?;
    let categories = category_metrics(&frame)?;
    let record = |aggregate: Aggregate| DayRecord {
        day: Day::from_no(aggregate.day_no),
        category: aggregate.category.unwrap_or_default(),
        record: aggregate.record.to_string(),
    };
    Ok((days.into_iter().map(record).collect(), categories.into_iter().map(record).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Marketplace;

    fn file(first: &str, last: &str, rows: i64) -> LakeFile {
        let day = |text: &str| text.parse::<Day>().unwrap().no();
        LakeFile {
            table: Table::Deltas.name().to_owned(),
            marketplace: Marketplace::Us,
            month: first[..7].to_owned(),
            path: String::new(),
            generation: 1,
            first_day_no: day(first),
            last_day_no: day(last),
            compacted: false,
            rows,
            size_bytes: 0,
            sha256: String::new(),
        }
    }

    fn parts_of(served: &[(&str, &str)], files: &[LakeFile], most: usize) -> Vec<String> {
        let day = |text: &str| text.parse::<Day>().unwrap().no();
        let served: Vec<Span> =
            served.iter().map(|(first, last)| Span { first: day(first), last: day(last) }).collect();
        let parts = parts(&served, files, most);
        parts.iter().map(|part| format!("{}..{}", part.days().first, part.days().last)).collect()
    }

    #[test]
    fn parts_end_with_months_and_hold_about_so_many_rows() {
        let files = [file("2024-01-01", "2024-01-31", 310 - 31), file("2024-02-01", "2024-02-10", 20)];
        let served = [("2024-01-20", "2024-02-10")];
        let all = parts_of(&served, &files, 1_000);
        assert_eq!(all, ["2024-01-20..2024-01-31", "2024-02-01..2024-02-10"]);
        let some = parts_of(&served, &files, 50);
        assert_eq!(some[..3], ["2024-01-20..2024-01-24", "2024-01-25..2024-01-29", "2024-01-30..2024-01-31"]);
        assert_eq!(some[3..], ["2024-02-01..2024-02-10"]);
        let least = parts_of(&served, &files, 1);
        assert_eq!(
            (least.len(), &*least[0], &*least[6]),
            (16, "2024-01-20..2024-01-21", "2024-02-01..2024-02-01")
        );
    }

    #[test]
    fn days_of_two_files_that_lie_among_each_other_are_in_one_part_and_days_of_none_in_none() {
        let files = [file("2024-01-01", "2024-01-10", 90), file("2024-01-05", "2024-01-05", 10)];
        assert_eq!(parts_of(&[("2024-01-01", "2024-01-10")], &files, 1_000), ["2024-01-01..2024-01-10"]);
        assert!(
            parts_of(&[("2024-03-01", "2024-03-10")], &files, 1_000).is_empty(),
            "no file has rows of them"
        );
    }
}
