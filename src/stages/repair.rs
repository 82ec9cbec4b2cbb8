//! Repair: brings the lake to what `verify --lake` asks for.
//!
//! Reads what [`verify`] finds. Writes the files that it names, by way of `build-mart`: core from the database, the mart
//! from core; the days whose rows differ, with what of the mart follows from them; and the Delta logs. A second run finds
//! nothing and writes nothing.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde::Serialize;

use super::{build_mart, compare, delta};
use crate::cancel::CancelToken;
use crate::clock::Clock;
use crate::lake::{DeltaCommit, Lake, LakeFinding, Table, verify};
use crate::model::{Day, DayRange, Marketplace};
use crate::store::Store;
use crate::store::lake::LakeFile;

/// Files first, then the content that can only be compared when every file is sound, and a look at what came of it.
const ROUNDS: usize = 3;

/// What was mended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Listed files that were missing or damaged.
    pub files: usize,
    /// Days of core whose rows in the lake were not the database's.
    pub days: usize,
    pub files_written: usize,
    pub delta_commits: Vec<DeltaCommit>,
}

/// Mends the lake until nothing is found any more; `options` are those of an ordinary build.
///
/// Errors: those of `build-mart`, such as a folder that belongs to another database.
pub async fn run(
    store: &Store,
    lake: &Lake,
    clock: Clock,
    cancel: &CancelToken,
    progress: &(dyn Fn(u64) + Send + Sync),
    options: &build_mart::Options,
) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    for _ in 0..ROUNDS {
        let findings = verify(store, lake).await.context("failed to check the lake")?;
        if findings.is_empty() {
            break;
        }
        let damaged = named_files(store, &findings).await?;
        let mut days = differing_days(&findings);
        summary.files += damaged.len();
        summary.days += days.len();
        days.extend(misread_days(&findings, &damaged));
        let range = misread_pasts(&findings, &damaged);
        store.mark_days_changed(&days).await?;
        let options = build_mart::Options { damaged, range, ..options.clone() };
        let built = build_mart::run(store, lake, clock, cancel, progress, &options).await?;
        summary.files_written += built.sync.files_written + built.mart_files_written;
        summary.delta_commits.extend(built.delta_commits);
    }
    // As after any build: what the days taken again say is compared too.
    compare::publish(store).await?;
    if options.delta {
        summary.delta_commits.extend(delta::run(store, lake, clock, false).await?);
    }
    let Summary { files, days, files_written, .. } = summary;
    tracing::info!(files, days, files_written, "lake mended");
    Ok(summary)
}

async fn named_files(store: &Store, findings: &[LakeFinding]) -> anyhow::Result<Vec<LakeFile>> {
    let paths: BTreeSet<&str> = findings.iter().filter_map(LakeFinding::path).collect();
    let listed = store.lake_state().await?.files.into_iter();
    Ok(listed.filter(|file| paths.contains(file.path.as_str())).collect())
}

/// Files with other content than was written may have been read, and what was computed from them is then wrong as well.
fn misread<'a>(findings: &'a [LakeFinding], damaged: &'a [LakeFile]) -> impl Iterator<Item = &'a LakeFile> {
    let is_other = |finding: &&LakeFinding| {
        matches!(finding, LakeFinding::HashDiffers { .. } | LakeFinding::RowsDiffer { .. })
    };
    let paths: BTreeSet<&str> = findings.iter().filter(is_other).filter_map(LakeFinding::path).collect();
    damaged.iter().filter(move |file| paths.contains(file.path.as_str()))
}

/// Days of core that may have been misread.
fn misread_days(findings: &[LakeFinding], damaged: &[LakeFile]) -> Vec<(Marketplace, Day)> {
    let core = misread(findings, damaged).filter(|file| Table::any_has(&Table::CORE, file));
    let days = core.flat_map(|file| {
        (file.first_day_no..=file.last_day_no).map(|day| (file.marketplace, Day::from_no(day)))
    });
    days.collect::<BTreeSet<_>>().into_iter().collect()
}

/// All days behind the first past that may have been misread.
fn misread_pasts(findings: &[LakeFinding], damaged: &[LakeFile]) -> Option<DayRange> {
    let pasts = misread(findings, damaged).filter(|file| Table::any_has(&Table::PAST, file));
    let first = pasts.map(|file| Day::from_no(file.last_day_no).plus(1)).min()?;
    Some(DayRange { first, last: first.plus(36_525) })
}

fn differing_days(findings: &[LakeFinding]) -> Vec<(Marketplace, Day)> {
    let mut differing = BTreeSet::new();
    for finding in findings {
        if let LakeFinding::ContentDiffers { marketplace, days, .. } = finding {
            differing.extend(days.iter().map(|day| (*marketplace, *day)));
        }
    }
    differing.into_iter().collect()
}
