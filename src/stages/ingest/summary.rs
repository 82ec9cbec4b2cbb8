//! What an ingest did, in counts and by file.

use std::path::Path;

use serde::Serialize;

use super::NO_TIME;
use super::batch::Prepared;
use crate::error::Outcome;
use crate::ingest::Refusal;
use crate::model::{Timestamp, words};
use crate::stages::exceeds_tolerance;
use crate::store::raw::RawEffect;

/// Problems of one file that are named; the rest is counted, and all are in quarantine.
const NAMED_PROBLEMS: usize = 5;
/// From this many files on, only those with something to say are kept in the summary.
const NAMED_FILES: usize = 50;

/// How the reading of one input ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    Read,
    /// Cut off or damaged: read as far as its bytes allow.
    Broken,
    /// The same bytes were read before with the same time.
    AlreadyRead,
    /// Gives no records at all.
    Refused,
    /// Changed while it was read.
    Changed,
    /// Stopped on request; the next run goes on at the checkpoint.
    Interrupted,
    Unfinished,
}

words!(FileStatus {
    Read = "read",
    Broken = "broken",
    AlreadyRead = "already_read",
    Refused = "refused",
    Changed = "changed",
    Interrupted = "interrupted",
    Unfinished = "unfinished",
});

/// A place in a file that is no record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProblemReport {
    pub line: u64,
    pub offset: u64,
    pub reason: &'static str,
    pub detail: String,
}

/// One input.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FileReport {
    pub path: String,
    pub status: FileStatus,
    /// The time its records take that have none of their own.
    pub captured_at: Option<Timestamp>,
    /// Records that an earlier run had committed.
    pub resumed_at: u64,
    pub records: u64,
    pub landed: u64,
    pub already_there: u64,
    pub repeats: u64,
    pub rejected: u64,
    pub new_problems: u64,
    /// The first few of the rejected.
    pub problems: Vec<ProblemReport>,
    /// Why it was refused: a word, a sentence, and what to do.
    pub refusal: Option<&'static str>,
    pub message: Option<String>,
    pub hint: Option<String>,
    #[serde(skip)]
    pub(super) is_new_refusal: bool,
}

impl FileReport {
    pub(super) fn new(path: String, captured_at: Option<Timestamp>, resumed_at: u64) -> FileReport {
        FileReport {
            path,
            status: FileStatus::Unfinished,
            captured_at,
            resumed_at,
            records: 0,
            landed: 0,
            already_there: 0,
            repeats: 0,
            rejected: 0,
            new_problems: 0,
            problems: Vec::new(),
            refusal: None,
            message: None,
            hint: None,
            is_new_refusal: false,
        }
    }

    pub(super) fn refused(path: String, refusal: Refusal) -> FileReport {
        let mut report = FileReport::new(path, None, 0);
        report.refuse(refusal);
        report
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.status = FileStatus::Refused;
        self.refusal = Some(refusal.reason);
        self.message = Some(refusal.message);
        self.hint = refusal.hint;
        self.is_new_refusal = true;
    }

    /// Says where the copy of an interrupted stream lies.
    pub(super) fn kept_at(mut self, path: &Path) -> FileReport {
        let path = path.display();
        self.hint =
            Some(format!("what came in is kept: go on with `amzctl ingest {path}` and the same options"));
        self
    }

    pub(super) fn count(&mut self, prepared: &Prepared, effect: &RawEffect) {
        self.records += prepared.records;
        self.landed += effect.landed.len() as u64;
        self.already_there += effect.already_there;
        self.repeats += effect.repeats;
        self.rejected += prepared.rows.problems.len() as u64;
        self.new_problems += effect.new_problems;
        let room = NAMED_PROBLEMS.saturating_sub(self.problems.len());
        self.problems.extend(prepared.rows.problems.iter().take(room).map(|problem| ProblemReport {
            line: problem.line,
            offset: problem.offset,
            reason: problem.reason,
            detail: problem.detail.clone(),
        }));
    }

    /// Records of the file that are committed by now.
    pub fn reached(&self) -> u64 {
        self.resumed_at + self.records
    }

    /// True when somebody should look at it.
    pub fn is_noteworthy(&self) -> bool {
        self.status != FileStatus::Read || self.rejected > 0 || self.resumed_at > 0
    }
}

/// What an ingest did. Records = landed + already there + repeats + rejected.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Summary {
    /// Inputs looked at.
    pub inputs: u64,
    pub already_read: u64,
    pub refused: u64,
    pub records: u64,
    /// New receipts.
    pub landed: u64,
    /// Records whose receipt another file, or another reading of this one, had left.
    pub already_there: u64,
    /// Copies of a record beyond its first in the same file.
    pub repeats: u64,
    /// Bytes that are no record; all are in quarantine.
    pub rejected: u64,
    /// Those of them, and of the refused files, that were not in quarantine before.
    pub new_problems: u64,
    pub cancelled: bool,
    pub dry_run: bool,
    /// All files, or, of many, those that somebody should look at.
    pub files: Vec<FileReport>,
    #[serde(skip)]
    pub(super) tolerate_failed_pct: f64,
    #[serde(skip)]
    pub(super) changed: u64,
    #[serde(skip)]
    pub(super) new_refusals: u64,
    #[serde(skip)]
    pub(super) without_time: u64,
}

impl Summary {
    pub(super) fn add(&mut self, report: FileReport) {
        self.inputs += 1;
        self.already_read += u64::from(report.status == FileStatus::AlreadyRead);
        self.refused += u64::from(report.status == FileStatus::Refused);
        self.changed += u64::from(report.status == FileStatus::Changed);
        self.new_refusals += u64::from(report.status == FileStatus::Refused && report.is_new_refusal);
        self.without_time += u64::from(report.refusal == Some(NO_TIME));
        self.records += report.records;
        self.landed += report.landed;
        self.already_there += report.already_there;
        self.repeats += report.repeats;
        self.rejected += report.rejected;
        self.new_problems += report.new_problems;
        if self.files.len() < NAMED_FILES || report.is_noteworthy() {
            self.files.push(report);
        }
    }

    /// Failed when nothing could be read at all (wrong usage when only the time is missing), partly failed on new
    /// refusals and on more new rejects than tolerated. What was known to be broken before is not new.
    pub fn outcome(&self) -> Outcome {
        if self.inputs > 0 && self.refused == self.inputs {
            return if self.without_time > 0 { Outcome::Usage } else { Outcome::Failed };
        }
        let too_many = exceeds_tolerance(self.new_problems, self.records, self.tolerate_failed_pct);
        if too_many || self.new_refusals > 0 || self.changed > 0 {
            Outcome::PartlyFailed
        } else {
            Outcome::Done
        }
    }
}
