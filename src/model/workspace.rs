//! Who owns a watchlist, its cohorts, alerts and reports.

use std::fmt;
use std::str::FromStr;

/// The longest name of a workspace.
const MAX_NAME: usize = 40;

/// The name under which a team owns things in a database that it shares with others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Workspace(String);

/// Not a name of a workspace.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is not a workspace name: lower-case letters, digits and `-`, beginning with a letter or digit, at most 40"
)]
pub struct WorkspaceError(String);

impl Workspace {
    /// The workspace of everything that is not given another.
    pub const MAIN: &str = "main";

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_main(&self) -> bool {
        self.0 == Workspace::MAIN
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Workspace(Workspace::MAIN.to_owned())
    }
}

impl FromStr for Workspace {
    type Err = WorkspaceError;

    fn from_str(text: &str) -> Result<Workspace, WorkspaceError> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = text.chars().all(is_plain) && (1..=MAX_NAME).contains(&text.len());
        if is_name && !text.starts_with('-') {
            Ok(Workspace(text.to_owned()))
        } else {
            Err(WorkspaceError(text.to_owned()))
        }
    }
}

impl fmt::Display for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_short() {
        let longest = "a".repeat(MAX_NAME);
        for name in ["main", "eu-2", "7", &longest] {
            assert_eq!(name.parse::<Workspace>().unwrap().as_str(), name);
        }
        for name in ["", "EU", "a b", "a_b", "a/b", "-eu", "é", &"a".repeat(MAX_NAME + 1)] {
            assert!(name.parse::<Workspace>().is_err(), "{name}");
        }
    }
}
