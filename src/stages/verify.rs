//! Verify: is the stored state whole, and what is its hash.
//!
//! Reads everything, writes nothing. The hash covers the database's state tables and the rows of the lake: equal
//! hashes mean equal facts, whatever way led to them.

use anyhow::Context as _;
use serde::Serialize;

use crate::lake::{Lake, Table, hash_table, verify as verify_lake};
use crate::store::{Store, TableHash, combined};

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub struct What {
    pub hash: bool,
    pub lake: bool,
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
}

pub async fn run(store: &Store, lake: &Lake, what: What) -> anyhow::Result<Report> {
    let mut report = Report::default();
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
        let findings = verify_lake(store, lake).await.context("failed to check the lake")?;
        report.checked.push("lake: files compared with their list, core with the database".to_owned());
        for finding in findings {
            let told = if finding.is_damage() { &mut report.problems } else { &mut report.checked };
            told.push(format!("lake: {finding}"));
        }
    }
    if what.hash {
        report.tables = store.hash_state().await.context("failed to hash the state")?;
        for table in Table::ALL {
            report.tables.push(hash_table(store, lake, table).await.context("failed to hash the lake")?);
        }
        report.hash = Some(combined(&report.tables));
    }
    Ok(report)
}
