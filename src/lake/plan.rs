//! Which files of a month to write anew, from which days changed. Pure.
//!
//! Files of a month never share a day. A changed day takes the file it lies in with it; days that nothing
//! holds yet become a new file; a month that is closed, or lies in too many files, becomes one file.

use std::collections::BTreeMap;

use super::schema::Table;
use crate::model::{Day, DayRange, Marketplace};
use crate::store::lake::LakeFile;

/// A month in more files than this is compacted.
const MOST_FILES: usize = 31;

/// Consecutive days, both ends inclusive, as day numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Span {
    pub(crate) first: i32,
    pub(crate) last: i32,
}

impl Span {
    pub(crate) fn of(file: &LakeFile) -> Span {
        Span { first: file.first_day_no, last: file.last_day_no }
    }

    pub(crate) fn contains(self, day_no: i32) -> bool {
        self.first <= day_no && day_no <= self.last
    }

    pub(crate) fn days(self) -> DayRange {
        DayRange { first: Day::from_no(self.first), last: Day::from_no(self.last) }
    }

    pub(crate) fn overlaps(self, other: Span) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// One file to write: from which days, with which rows carried over, in place of which files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FilePlan {
    pub(crate) table: Table,
    pub(crate) marketplace: Marketplace,
    pub(crate) month: String,
    /// Days taken from the source: the database for core, the kernels for the mart.
    pub(crate) fresh: Vec<Span>,
    /// Files whose rows are taken over as they are.
    pub(crate) carried: Vec<LakeFile>,
    /// Files that this one stands for from then on; those carried among them.
    pub(crate) replaced: Vec<LakeFile>,
    pub(crate) compacted: bool,
}

impl FilePlan {
    /// Its days as one listed file, for looking at what would follow.
    pub(crate) fn as_if_written(&self) -> Option<LakeFile> {
        let carried = self.carried.iter().map(Span::of);
        let days: Vec<Span> = self.fresh.iter().copied().chain(carried).collect();
        Some(LakeFile {
            table: self.table.name().to_owned(),
            marketplace: self.marketplace,
            month: self.month.clone(),
            path: String::new(),
            generation: 0,
            first_day_no: days.iter().map(|span| span.first).min()?,
            last_day_no: days.iter().map(|span| span.last).max()?,
            compacted: self.compacted,
            rows: 0,
            size_bytes: 0,
            sha256: String::new(),
        })
    }
}

/// Sorted spans without overlap; neighbours become one.
pub(crate) fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.first <= last.last.saturating_add(1) => last.last = last.last.max(span.last),
            _ => merged.push(span),
        }
    }
    merged
}

/// Cuts spans at the ends of months.
pub(crate) fn by_month(spans: &[Span]) -> BTreeMap<String, Vec<Span>> {
    let mut months: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for span in spans {
        let mut first = span.first;
        while first <= span.last {
            let end = Day::from_no(first).month_end().no().min(span.last);
            months.entry(Day::from_no(first).month()).or_default().push(Span { first, last: end });
            first = end + 1;
        }
    }
    months
}

/// What to write of one table and marketplace.
///
/// `files` are the current files, `damaged` those among them that cannot be read; `changed` are the days to take
/// anew; every month before that of `newest` is closed; `compact` makes one file of open months too.
pub(crate) fn plan_table(
    table: Table,
    marketplace: Marketplace,
    files: &[&LakeFile],
    damaged: &[LakeFile],
    changed: &[Span],
    newest: Option<Day>,
    compact: bool,
) -> Vec<FilePlan> {
    let open_month = newest.map(Day::month);
    let mut changed = by_month(changed);
    let mut months: BTreeMap<String, Vec<&LakeFile>> = BTreeMap::new();
    for file in files {
        months.entry(file.month.clone()).or_default().push(file);
        if damaged.contains(file) {
            changed.entry(file.month.clone()).or_default().push(Span::of(file));
        }
    }
    for month in changed.keys() {
        months.entry(month.clone()).or_default();
    }
    let mut plans = Vec::new();
    for (month, files) in months {
        let is_closed = open_month.as_deref().is_none_or(|open| month.as_str() < open);
        let changed = changed.remove(&month).unwrap_or_default();
        for (fresh, carried, replaced, compacted) in plan_month(&files, changed, is_closed || compact) {
            let month = month.clone();
            plans.push(FilePlan { table, marketplace, month, fresh, carried, replaced, compacted });
        }
    }
    plans
}

type Parts = (Vec<Span>, Vec<LakeFile>, Vec<LakeFile>, bool);

fn plan_month(files: &[&LakeFile], changed: Vec<Span>, whole: bool) -> Vec<Parts> {
    let (spans, affected, rest) = absorb(files, changed);
    let whole = whole || rest.len() + spans.len() > MOST_FILES;
    let owned = |files: &[&LakeFile]| files.iter().map(|file| (*file).clone()).collect::<Vec<_>>();
    if whole && rest.len() + spans.len() > 1 {
        let mut replaced = owned(&affected);
        replaced.extend(owned(&rest));
        return vec![(spans, owned(&rest), replaced, true)];
    }
    spans
        .into_iter()
        .map(|span| {
            let replaced: Vec<_> =
                affected.iter().copied().filter(|file| Span::of(file).overlaps(span)).collect();
            (vec![span], Vec::new(), owned(&replaced), whole)
        })
        .collect()
}

/// Grows the changed spans by every file that they touch, until they touch no other.
fn absorb<'a>(
    files: &[&'a LakeFile],
    changed: Vec<Span>,
) -> (Vec<Span>, Vec<&'a LakeFile>, Vec<&'a LakeFile>) {
    let mut spans = merge(changed);
    loop {
        let (affected, rest): (Vec<&LakeFile>, Vec<&LakeFile>) =
            files.iter().partition(|file| spans.iter().any(|span| span.overlaps(Span::of(file))));
        let mut grown = spans.clone();
        grown.extend(affected.iter().map(|file| Span::of(file)));
        let grown = merge(grown);
        if grown == spans {
            return (spans, affected, rest);
        }
        spans = grown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> i32 {
        text.parse::<Day>().unwrap().no()
    }

    fn span(first: &str, last: &str) -> Span {
        Span { first: day(first), last: day(last) }
    }

    fn file(first: &str, last: &str) -> LakeFile {
        LakeFile {
            table: Table::Daily.name().to_owned(),
            marketplace: Marketplace::Us,
            month: first[..7].to_owned(),
            path: format!("{first}..{last}"),
            generation: 1,
            first_day_no: day(first),
            last_day_no: day(last),
            compacted: false,
            rows: 1,
            size_bytes: 1,
            sha256: String::new(),
        }
    }

    /// `fresh days; carried files; replaced files; compacted`, one line per file to write.
    fn show(files: &[LakeFile], changed: &[Span], newest: &str, compact: bool) -> Vec<String> {
        let files: Vec<&LakeFile> = files.iter().collect();
        let newest = Some(newest.parse().unwrap());
        let paths =
            |files: &[LakeFile]| files.iter().map(|file| file.path[8..10].to_owned()).collect::<Vec<_>>();
        plan_table(Table::Daily, Marketplace::Us, &files, &[], changed, newest, compact)
            .iter()
            .map(|plan| {
                let fresh: Vec<String> = plan
                    .fresh
                    .iter()
                    .map(|span| {
                        format!("{}..{}", Day::from_no(span.first), &Day::from_no(span.last).to_string()[8..])
                    })
                    .collect();
                format!(
                    "{} carry {} replace {} {}",
                    fresh.join(","),
                    paths(&plan.carried).join(","),
                    paths(&plan.replaced).join(","),
                    if plan.compacted { "whole" } else { "part" }
                )
            })
            .collect()
    }

    #[test]
    fn a_new_day_appends_a_file_and_a_changed_day_replaces_its_own() {
        let files = [file("2026-02-01", "2026-02-01"), file("2026-02-02", "2026-02-02")];
        let new = span("2026-02-03", "2026-02-03");
        assert_eq!(show(&files, &[new], "2026-02-03", false), ["2026-02-03..03 carry  replace  part"]);
        let changed = span("2026-02-02", "2026-02-02");
        assert_eq!(show(&files, &[changed], "2026-02-02", false), ["2026-02-02..02 carry  replace 02 part"]);
    }

    #[test]
    fn a_month_is_compacted_when_a_later_month_has_data() {
        let files = [file("2026-02-01", "2026-02-27"), file("2026-02-28", "2026-02-28")];
        let next = span("2026-03-01", "2026-03-01");
        assert_eq!(
            show(&files, &[next], "2026-03-01", false),
            [" carry 01,28 replace 01,28 whole", "2026-03-01..01 carry  replace  part"]
        );
        // A late day of the closing month is taken anew, the others are carried.
        let late = span("2026-02-28", "2026-02-28");
        assert_eq!(
            show(&files, &[late, next], "2026-03-01", false),
            ["2026-02-28..28 carry 01 replace 28,01 whole", "2026-03-01..01 carry  replace  part"]
        );
    }

    #[test]
    fn a_changed_day_of_a_compacted_month_takes_the_whole_month_anew() {
        let files = [file("2026-01-01", "2026-01-31")];
        let changed = span("2026-01-09", "2026-01-09");
        assert_eq!(show(&files, &[changed], "2026-02-03", false), ["2026-01-01..31 carry  replace 01 whole"]);
        assert!(show(&files, &[], "2026-02-03", true).is_empty(), "one file is compact already");
    }

    #[test]
    fn spans_are_cut_at_the_ends_of_months_and_grow_by_what_they_touch() {
        let changed = [span("2026-01-30", "2026-02-02")];
        let files = [
            file("2026-01-29", "2026-01-30"),
            file("2026-02-02", "2026-02-05"),
            file("2026-02-07", "2026-02-07"),
        ];
        assert_eq!(
            show(&files, &changed, "2026-02-07", false),
            ["2026-01-29..31 carry  replace 29 whole", "2026-02-01..05 carry  replace 02 part"]
        );
    }
}
