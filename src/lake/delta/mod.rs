//! The Delta log: the lake's tables for every other engine, over the same Parquet files.
//!
//! The list in the database stays the one commit point; the log is told afterwards. What it says is read back each
//! time and compared with the list: a difference is one commit, none is no commit. A log that cannot be read, is not of
//! this database and epoch, or says something that cannot have come of the list, is written anew and never trusted.

mod action;
mod checkpoint;
mod log;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use self::action::{Action, Add, Ours, PROTOCOL, commit_info};
use self::log::{Found, Log, Snapshot};
use super::schema::Table;
use super::vacuum::retire_path;
use super::verify::LakeFinding;
use super::{Lake, LakeError};
use crate::model::Timestamp;
use crate::store::lake::{LakeFile, LakeState};
use crate::store::ops::Identity;

/// What was told to one table's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeltaCommit {
    pub table: String,
    /// The version that was committed; in a dry run of a log that is written anew, not known.
    pub version: Option<u64>,
    pub added: usize,
    pub removed: usize,
    /// Why the log that was there is not trusted and written anew.
    pub distrusted: Option<String>,
}

/// What a publication asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publishing {
    pub(crate) now: Timestamp,
    /// How long commits that a checkpoint stands for are kept for readers at work.
    pub(crate) grace: Duration,
    pub(crate) dry_run: bool,
}

/// What is to be done about one table's log.
enum Step {
    Nothing(Snapshot),
    /// The actions, and the state after them.
    Commit(Vec<Action>, Snapshot),
    Anew(String),
    First,
}

/// Brings the log of every published table up to the list; one entry per commit, in the order of the tables.
///
/// Errors: a file of a log that cannot be written.
pub(crate) fn publish(
    lake: &Lake,
    identity: &Identity,
    state: &LakeState,
    asked: Publishing,
) -> Result<Vec<DeltaCommit>, LakeError> {
    // Most of the time is waiting for the disk, which takes several files as fast as one.
    std::thread::scope(|scope| {
        let publishing = Table::PUBLISHED.map(|table| {
            scope.spawn(move || TableLog::new(lake, table, identity, state, asked.now).publish(asked))
        });
        let mut commits = Vec::new();
        for table in publishing {
            commits.extend(table.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(commits)
    })
}

/// What is wrong with the logs, or behind the list.
pub(super) fn check(
    lake: &Lake,
    identity: &Identity,
    state: &LakeState,
) -> Result<Vec<LakeFinding>, LakeError> {
    let mut findings = Vec::new();
    for table in Table::PUBLISHED {
        // When a file was added is not compared.
        let log = TableLog::new(lake, table, identity, state, Timestamp::UNIX_EPOCH);
        let table = table.name().to_owned();
        match log.step()? {
            Step::Nothing(_) => {}
            Step::Commit(..) => findings.push(LakeFinding::DeltaBehind { table }),
            Step::First if log.expected.is_empty() => {}
            Step::First => findings.push(LakeFinding::DeltaBehind { table }),
            Step::Anew(reason) => findings.push(LakeFinding::DeltaWrong { table, reason }),
        }
    }
    Ok(findings)
}

/// A table's log, and what it should say.
struct TableLog {
    table: Table,
    folder: PathBuf,
    log: Log,
    ours: Ours,
    generation: i64,
    now: Timestamp,
    /// The list's files by path, as they would be added now.
    expected: BTreeMap<String, Add>,
}

impl TableLog {
    fn new(lake: &Lake, table: Table, identity: &Identity, state: &LakeState, now: Timestamp) -> TableLog {
        let is_own = |file: &&LakeFile| file.table == table.name();
        let listed = state.files.iter().filter(is_own).map(|file| Add::of(table, file, now));
        let folder = lake.root().join(table.name());
        TableLog {
            table,
            log: Log::new(folder.clone()),
            folder,
            ours: Ours::new(table, identity, now),
            generation: state.generation,
            now,
            expected: listed.map(|add| (add.path.clone(), add)).collect(),
        }
    }

    fn step(&self) -> Result<Step, LakeError> {
        Ok(match self.log.read()? {
            Found::Absent => Step::First,
            Found::Wrong(reason) => Step::Anew(reason),
            Found::Sound(snapshot) => self.step_from(*snapshot).unwrap_or_else(Step::Anew),
        })
    }

    /// What leads from the log's files to the list's; the reason why nothing can, if it is not our log.
    fn step_from(&self, before: Snapshot) -> Result<Step, String> {
        if !before.meta.as_ref().is_some_and(|meta| self.ours.owns(meta)) {
            return Err("it is of another database, epoch or layout".to_owned());
        }
        if before.protocol.as_ref() != Some(&PROTOCOL) {
            return Err("it asks for another protocol".to_owned());
        }
        let held = before.txns.get(&self.ours.app_id).map(|txn| txn.version);
        let Some(held) = held.filter(|_| before.txns.len() == 1) else {
            return Err("others have written to it".to_owned());
        };
        let mut actions = Vec::new();
        for (path, add) in &before.files {
            match self.expected.get(path) {
                None => actions.push(Action::Remove(add.removed(self.now))),
                Some(listed) if listed.is_same(add) => {}
                Some(_) => return Err(format!("it holds another {path} than the list")),
            }
        }
        let added = self.expected.values().filter(|add| !before.files.contains_key(&add.path));
        actions.extend(added.cloned().map(Action::Add));
        if actions.is_empty() {
            return Ok(Step::Nothing(before));
        }
        if held >= self.generation {
            return Err(format!("it says to hold generation {held} of the list, and does not"));
        }
        actions.insert(0, commit_info(self.now));
        actions.insert(1, Action::Txn(self.ours.txn(self.generation, self.now)));
        let mut after = Snapshot { version: before.version + 1, ..before };
        for action in &actions {
            after.apply(action.clone())?;
        }
        // Nothing more was removed than what was meant, and nothing less.
        if !after.files.keys().eq(self.expected.keys()) {
            return Err("a commit would not lead to the list".to_owned());
        }
        Ok(Step::Commit(actions, after))
    }

    fn publish(&self, asked: Publishing) -> Result<Option<DeltaCommit>, LakeError> {
        let step = self.step()?;
        if asked.dry_run {
            return Ok(self.described(&step));
        }
        let described = self.described(&step);
        match step {
            Step::First if self.expected.is_empty() => {}
            Step::First => return self.write_anew(described),
            Step::Anew(reason) => return self.distrust(reason),
            Step::Nothing(snapshot) => self.tidy(&snapshot, asked)?,
            Step::Commit(actions, after) => {
                self.retire_removed(&actions);
                if !self.log.commit(after.version, &actions)? {
                    return self.distrust("another has committed to it".to_owned());
                }
                self.tidy(&after, asked)?;
            }
        }
        Ok(described)
    }

    /// What a step commits.
    fn described(&self, step: &Step) -> Option<DeltaCommit> {
        let commit = DeltaCommit { table: self.table.name().to_owned(), ..DeltaCommit::default() };
        let count = |actions: &[Action], is_one: fn(&Action) -> bool| {
            actions.iter().filter(|action| is_one(action)).count()
        };
        match step {
            Step::Nothing(_) => None,
            Step::Commit(actions, after) => Some(DeltaCommit {
                version: Some(after.version),
                added: count(actions, |action| matches!(action, Action::Add(_))),
                removed: count(actions, |action| matches!(action, Action::Remove(_))),
                ..commit
            }),
            Step::First if self.expected.is_empty() => None,
            Step::First => Some(DeltaCommit { added: self.expected.len(), ..commit }),
            Step::Anew(reason) => {
                Some(DeltaCommit { added: self.expected.len(), distrusted: Some(reason.clone()), ..commit })
            }
        }
    }

    fn distrust(&self, reason: String) -> Result<Option<DeltaCommit>, LakeError> {
        let table = self.table.name();
        tracing::warn!(table, reason, "the Delta log is not to be trusted and is written anew");
        self.write_anew(self.described(&Step::Anew(reason)))
    }

    fn write_anew(&self, described: Option<DeltaCommit>) -> Result<Option<DeltaCommit>, LakeError> {
        let mut actions = vec![
            commit_info(self.now),
            Action::Protocol(PROTOCOL),
            Action::MetaData(self.ours.meta.clone()),
            Action::Txn(self.ours.txn(self.generation, self.now)),
        ];
        actions.extend(self.expected.values().cloned().map(Action::Add));
        let version = self.log.replace(&actions, self.now)?;
        Ok(described.map(|commit| DeltaCommit { version: Some(version), ..commit }))
    }

    /// Whoever has read the log until now may still open these files: their grace begins now, even where the list was
    /// swapped long ago and the log was not told.
    fn retire_removed(&self, actions: &[Action]) {
        for action in actions {
            if let Action::Remove(remove) = action {
                retire_path(&self.folder.join(&remove.path), self.now.into());
            }
        }
    }

    fn tidy(&self, snapshot: &Snapshot, asked: Publishing) -> Result<(), LakeError> {
        self.log.clear_leftovers()?;
        if snapshot.is_checkpoint_due() {
            return self.log.write_checkpoint(snapshot, self.now, asked.grace);
        }
        self.log.mend_pointer(snapshot)
    }
}

#[cfg(test)]
mod tests;
