//! Publish-delta: the lake's tables for other engines.
//!
//! Reads the list of current files and the Delta logs beside them. Writes, for each table whose log says something else
//! than the list, one commit. A second run finds no difference and writes nothing.

use anyhow::Context as _;

use crate::clock::{Clock, Stopwatch};
use crate::lake::{self, DeltaCommit, Lake, Owner, Publishing};
use crate::store::Store;
use crate::store::lake::LakeState;

/// Tells the Delta logs what the list says; in a dry run, finds out what they would be told.
///
/// Errors: a lake that is not this database's; a log that cannot be written.
pub async fn run(
    store: &Store,
    lake: &Lake,
    clock: Clock,
    dry_run: bool,
) -> anyhow::Result<Vec<DeltaCommit>> {
    let state = store.lake_state().await?;
    if state.files.is_empty() && lake.owner_for(store).await? == Owner::Nobody {
        return Ok(Vec::new());
    }
    lake.check_owner(store).await?;
    publish(store, lake, &state, Publishing { now: clock.now(), grace: lake::GRACE, dry_run }).await
}

/// The same for a list at hand and a lake known to be ours.
pub(super) async fn publish(
    store: &Store,
    lake: &Lake,
    state: &LakeState,
    asked: Publishing,
) -> anyhow::Result<Vec<DeltaCommit>> {
    let Some(identity) = store.identity().await? else { return Ok(Vec::new()) };
    let (lake, state) = (lake.clone(), state.clone());
    let watch = Stopwatch::start();
    let published = tokio::task::spawn_blocking(move || lake::publish_delta(&lake, &identity, &state, asked));
    let commits = published.await?.context("failed to publish the lake's Delta logs")?;
    for DeltaCommit { table, version, added, removed, .. } in commits.iter().filter(|_| !asked.dry_run) {
        tracing::debug!(table, version, added, removed, "Delta log told");
    }
    let (count, duration_ms) = (commits.len(), watch.elapsed_ms());
    tracing::debug!(commits = count, duration_ms, "Delta logs compared with the list");
    Ok(commits)
}
