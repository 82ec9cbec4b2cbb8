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
use crate::lake::{DeltaCommit, Lake, LakeFinding, verify};
use crate::model::{Day, Marketplace};
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
        let days = differing_days(&findings);
        summary.files += damaged.len();
        summary.days += days.len();
        store.mark_days_changed(&days).await?;
        let options = build_mart::Options { damaged, ..options.clone() };
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

fn differing_days(findings: &[LakeFinding]) -> Vec<(Marketplace, Day)> {
    let mut differing = BTreeSet::new();
    for finding in findings {
        if let LakeFinding::ContentDiffers { marketplace, days, .. } = finding {
            differing.extend(days.iter().map(|day| (*marketplace, *day)));
        }
    }
    differing.into_iter().collect()
}
