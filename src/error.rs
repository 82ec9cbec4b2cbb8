//! Failure kinds and the exit code of each: the only table of exit codes in the code (`cli.md` is its contract).

use std::fmt;
use std::io::ErrorKind;

/// How a run ends. The order is the order of precedence: if several apply, the first wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    Interrupted,
    Terminated,
    Usage,
    NotInitialised,
    Locked,
    Credentials,
    Failed,
    Transient,
    BudgetReached,
    CheckFailed,
    Stale,
    PartlyFailed,
    Found,
    Done,
}

impl Outcome {
    /// In the order of precedence.
    pub const ALL: &'static [Outcome] = &[
        Outcome::Interrupted,
        Outcome::Terminated,
        Outcome::Usage,
        Outcome::NotInitialised,
        Outcome::Locked,
        Outcome::Credentials,
        Outcome::Failed,
        Outcome::Transient,
        Outcome::BudgetReached,
        Outcome::CheckFailed,
        Outcome::Stale,
        Outcome::PartlyFailed,
        Outcome::Found,
        Outcome::Done,
    ];

    /// The outcome that ends with this exit code; null for a code of no outcome.
    pub fn from_exit_code(code: u8) -> Option<Outcome> {
        Outcome::ALL.iter().copied().find(|outcome| outcome.exit_code() == code)
    }

    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Interrupted => 130,
            Outcome::Terminated => 143,
            Outcome::Usage => 2,
            Outcome::NotInitialised => 10,
            Outcome::Locked => 11,
            Outcome::Credentials => 12,
            Outcome::Failed => 1,
            Outcome::Transient => 7,
            Outcome::BudgetReached => 6,
            Outcome::CheckFailed => 4,
            Outcome::Stale => 5,
            Outcome::PartlyFailed => 3,
            Outcome::Found => 20,
            Outcome::Done => 0,
        }
    }

    /// The word scripts see as `code` in a JSON error.
    pub fn code(self) -> &'static str {
        match self {
            Outcome::Interrupted => "interrupted",
            Outcome::Terminated => "terminated",
            Outcome::Usage => "usage",
            Outcome::NotInitialised => "not_initialised",
            Outcome::Locked => "locked",
            Outcome::Credentials => "credentials",
            Outcome::Failed => "failed",
            Outcome::Transient => "transient",
            Outcome::BudgetReached => "budget_reached",
            Outcome::CheckFailed => "check_failed",
            Outcome::Stale => "stale",
            Outcome::PartlyFailed => "partly_failed",
            Outcome::Found => "found",
            Outcome::Done => "done",
        }
    }

    /// The more important of the two.
    pub fn and(self, other: Outcome) -> Outcome {
        self.min(other)
    }
}

/// An error that already knows how the program ends and what the person can do: put it into an anyhow chain.
#[derive(Debug)]
pub struct Failure {
    pub outcome: Outcome,
    pub message: String,
    pub hints: Vec<String>,
}

impl Failure {
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Failure {
        Failure { outcome, message: message.into(), hints: Vec::new() }
    }

    /// Wrong usage or configuration (exit 2).
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Outcome::Usage, message)
    }

    /// Failed, and running again will not help until something changes (exit 1).
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure::new(Outcome::Failed, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// How an error ends the program, and the hints that go with it: the only place that looks into the chain.
pub fn classify(error: &anyhow::Error) -> (Outcome, Vec<String>) {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return (failure.outcome, failure.hints.clone());
        }
        if let Some(config) = cause.downcast_ref::<crate::config::ConfigError>() {
            return (config.outcome(), config.hints());
        }
        if let Some(store) = cause.downcast_ref::<crate::store::StoreError>() {
            return (store.outcome(), store.hints());
        }
        if let Some(lake) = cause.downcast_ref::<crate::lake::LakeError>() {
            return (lake.outcome(), lake.hints());
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && let Some(hint) = io_hint(io.kind())
        {
            return (Outcome::Failed, vec![hint.to_owned()]);
        }
    }
    (Outcome::Failed, Vec::new())
}

/// What a person can do about a failure of the system; null where the message says it all.
fn io_hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some("free some disk space and run the command again")
        }
        ErrorKind::FileTooLarge => {
            Some("raise the limit on the size of files (ulimit -f) and run the command again")
        }
        ErrorKind::PermissionDenied => Some("check the permissions of the file and its folder"),
        ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is read-only: name another place, or mount it for writing")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_several_apply_the_first_of_the_contract_wins() {
        let contract = [130, 143, 2, 10, 11, 12, 1, 7, 6, 4, 5, 3, 20, 0];
        let mut outcomes = Outcome::ALL.to_vec();
        outcomes.reverse();
        outcomes.sort();
        assert_eq!(outcomes.iter().map(|outcome| outcome.exit_code()).collect::<Vec<_>>(), contract);
        assert_eq!(Outcome::Stale.and(Outcome::Transient), Outcome::Transient);
    }
}
