//! From what a person types to files: paths, globs, folders, and `-` for standard input.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

/// The endings that a folder is searched for, each but the packed ones also with `.gz` or `.zst` behind it.
pub const KNOWN_ENDINGS: &[&str] =
    &["json", "jsonl", "ndjson", "csv", "tsv", "txt", "html", "htm", "parquet", "xlsx"];

/// Formats that are compressed in themselves: such a file is refused when it is compressed once more.
const PACKED_ENDINGS: &[&str] = &["parquet", "xlsx"];

/// What Excel lays beside a workbook while it is open.
const LOCK_FILE: &str = "~$";

/// One input of an ingest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    Stdin,
    File(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    #[error("no such file or folder: {0}")]
    Missing(PathBuf),
    #[error("nothing matches `{0}`")]
    NoMatch(String),
    #[error("no file to read in folder {0}")]
    EmptyFolder(PathBuf),
    #[error("`{pattern}` is not a pattern: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("cannot read folder {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The inputs that `arguments` name: in their order, what one of them expands to sorted by path, each file once.
///
/// A file that is named is taken whatever its ending; a folder is searched with everything below it, hidden
/// files and folders and the lock files of Excel left out. Errors: an argument that names nothing.
pub fn discover(arguments: &[PathBuf]) -> Result<Vec<Found>, DiscoverError> {
    let mut found = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            found.push(Found::Stdin);
        } else {
            found.extend(expand(argument)?.into_iter().map(Found::File));
        }
    }
    let mut seen = HashSet::new();
    found.retain(|input| match input {
        Found::Stdin => seen.insert(PathBuf::from("-")),
        Found::File(path) => seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())),
    });
    Ok(found)
}

fn expand(argument: &Path) -> Result<Vec<PathBuf>, DiscoverError> {
    if argument.is_dir() {
        return files_below(argument);
    }
    if argument.exists() {
        return Ok(vec![argument.to_owned()]);
    }
    let pattern = argument.to_string_lossy().into_owned();
    if !pattern.contains(['*', '?', '[']) {
        return Err(DiscoverError::Missing(argument.to_owned()));
    }
    expand_pattern(&pattern)
}

fn expand_pattern(pattern: &str) -> Result<Vec<PathBuf>, DiscoverError> {
    let bad = |error: glob::PatternError| DiscoverError::Pattern {
        pattern: pattern.to_owned(),
        reason: error.msg.to_owned(),
    };
    let mut files = Vec::new();
    for entry in glob::glob(pattern).map_err(bad)? {
        let path = entry
            .map_err(|error| DiscoverError::Io { path: error.path().to_owned(), source: error.into() })?;
        if path.is_dir() {
            collect(&path, &mut HashSet::new(), &mut files)?;
        } else {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(DiscoverError::NoMatch(pattern.to_owned()));
    }
    files.sort();
    Ok(files)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, DiscoverError> {
    let mut files = Vec::new();
    collect(folder, &mut HashSet::new(), &mut files)?;
    if files.is_empty() {
        return Err(DiscoverError::EmptyFolder(folder.to_owned()));
    }
    files.sort();
    Ok(files)
}

/// Files of known endings in `folder` and below; `visited` keeps links to folders from going round.
fn collect(
    folder: &Path,
    visited: &mut HashSet<PathBuf>,
    files: &mut Vec<PathBuf>,
) -> Result<(), DiscoverError> {
    let at = |source| DiscoverError::Io { path: folder.to_owned(), source };
    if !visited.insert(folder.canonicalize().map_err(at)?) {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name.starts_with(LOCK_FILE) {
            continue;
        }
        if path.is_dir() {
            collect(&path, visited, files)?;
        } else if path.is_file() && has_known_ending(&name) {
            files.push(path);
        }
    }
    Ok(())
}

fn has_known_ending(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let compressed = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".zst"));
    compressed.unwrap_or(&lower).rsplit_once('.').is_some_and(|(_, ending)| {
        KNOWN_ENDINGS.contains(&ending) && (compressed.is_none() || !PACKED_ENDINGS.contains(&ending))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "[]").unwrap();
        }
        folder
    }

    fn names(folder: &Path, arguments: &[PathBuf]) -> Vec<String> {
        discover(arguments)
            .unwrap()
            .into_iter()
            .map(|found| match found {
                Found::Stdin => "-".to_owned(),
                Found::File(path) => path.strip_prefix(folder).unwrap().display().to_string(),
            })
            .collect()
    }

    #[test]
    fn a_folder_gives_its_files_of_known_endings_sorted() {
        let folder = folder_with(&[
            "b/2.JSON.GZ",
            "b/1.ndjson.zst",
            "a.csv",
            "notes.md",
            "archive.gz",
            ".hidden/x.json",
            "b/.y.json",
        ]);
        let found = names(folder.path(), &[folder.path().to_owned()]);
        assert_eq!(found, ["a.csv", "b/1.ndjson.zst", "b/2.JSON.GZ"]);
    }

    #[test]
    fn a_folder_gives_workbooks_as_they_are_and_no_lock_files() {
        let folder =
            folder_with(&["a.xlsx", "a.xlsx.gz", "~$a.xlsx", "b.parquet", "b.parquet.zst", "xlsx.csv.gz"]);
        let found = names(folder.path(), &[folder.path().to_owned()]);
        assert_eq!(found, ["a.xlsx", "b.parquet", "xlsx.csv.gz"]);
    }

    #[test]
    fn a_file_is_read_once_and_in_the_order_of_the_arguments() {
        let folder = folder_with(&["b.json", "a.json", "odd.ending"]);
        let path = |name: &str| folder.path().join(name);
        let arguments = [path("odd.ending"), "-".into(), path("*.json"), path("b.json"), "-".into()];
        assert_eq!(names(folder.path(), &arguments), ["odd.ending", "-", "a.json", "b.json"]);
    }

    #[test]
    fn links_that_go_round_end() {
        let folder = folder_with(&["a/x.json"]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
        assert_eq!(names(folder.path(), &[folder.path().to_owned()]).len(), 1);
    }

    #[test]
    fn an_argument_that_names_nothing_is_an_error() {
        let folder = folder_with(&["notes.md"]);
        let error = |name: &str| discover(&[folder.path().join(name)]).unwrap_err().to_string();
        assert!(error("gone.json").starts_with("no such file or folder: "));
        assert!(error("*.json").starts_with("nothing matches `"));
        assert!(error("").starts_with("no file to read in folder "));
        assert!(error("a[.json").contains("is not a pattern"));
    }
}
