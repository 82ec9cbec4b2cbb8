//! Verify: is the stored state whole, and what is its hash.
//!
//! Reads everything, writes nothing. The hash covers the database's state tables and the rows of the lake: equal
//! hashes mean equal facts, whatever way led to them.

use anyhow::Context as _;
use serde::Serialize;

use crate::lake::{Lake, LakeError, LakeFinding, Table, hash_table, verify as verify_lake, verify_delta};
use crate::store::{Store, TableHash, combined};

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub struct What {
    pub hash: bool,
    pub lake: bool,
    /// With the lake, its Delta logs.
    pub delta: bool,
    pub raw: bool,
    pub database: bool,
}

/// What was looked at and what is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Report {
    pub hash: Option<String>,
    pub tables: Vec<TableHash>,
    pub checked: Vec<String>,
    pub problems: Vec<String>,
    /// What to do about the problems, each said once.
    #[serde(skip)]
    pub hints: Vec<String>,
}

/// What is to be done about problems that have no hint of their own.
const REBUILD: &str = "`amzctl verify --lake --repair` mends the lake; a backup restores the database";

pub async fn run(store: &Store, lake: &Lake, what: What) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut is_sound = true;
    let mut with_own_hints = 0;
    if what.database {
        let problems = store.check_integrity().await.context("failed to check the database")?;
        report.checked.push("database: integrity and references checked".to_owned());
        report.problems.extend(problems);
    }
    if what.raw {
        let (bodies, damaged) = store.check_bodies().await.context("failed to check the raw bodies")?;
        let bodies = if bodies == 1 { "1 body".to_owned() } else { format!("{bodies} bodies") };
        report.checked.push(format!("raw: {bodies} hashed again"));
        report
            .problems
            .extend(damaged.iter().map(|sha256| format!("raw body {sha256} does not have its hash")));
    }
    if what.lake {
        let mut findings = verify_lake(store, lake).await.context("failed to check the lake")?;
        if !findings.iter().any(|finding| matches!(finding, LakeFinding::OfAnother { .. })) {
            let compared = if what.delta { "files and Delta logs" } else { "files" };
            report.checked.push(format!("lake: {compared} compared with their list, core with the database"));
        }
        is_sound = !findings.iter().any(LakeFinding::is_damage);
        if what.delta {
            findings.extend(verify_delta(store, lake).await.context("failed to check the Delta logs")?);
        }
        for finding in findings {
            let hints = finding.hints();
            with_own_hints += usize::from(!hints.is_empty());
            report.hints.extend(hints);
            let told = if finding.is_damage() { &mut report.problems } else { &mut report.checked };
            told.push(format!("lake: {finding}"));
        }
    }
    if what.hash && is_sound {
        match hash(store, lake).await {
            Ok(tables) => {
                report.hash = Some(combined(&tables));
                report.tables = tables;
            }
            Err(error) if is_damage(&error) => report.problems.push(format!("lake: {error:#}")),
            Err(error) => return Err(error.context("failed to hash the state")),
        }
    } else if what.hash {
        report.checked.push("hash: left out, the lake is damaged".to_owned());
    }
    if report.problems.len() > with_own_hints {
        report.hints.push(REBUILD.to_owned());
    }
    Ok(report)
}

async fn hash(store: &Store, lake: &Lake) -> anyhow::Result<Vec<TableHash>> {
    let mut tables = store.hash_state().await?;
    for table in Table::ALL {
        tables.push(hash_table(store, lake, table).await?);
    }
    Ok(tables)
}

/// True for a file that is not there or cannot be read; a lake that is not ours is no damage to report.
fn is_damage(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref();
    matches!(error, Some(LakeError::Missing(_) | LakeError::Io { .. } | LakeError::Parquet { .. }))
}
