//! Removes files that no list names any more, and leftovers of killed runs.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::schema::Table;
use super::{Lake, LakeError};
use crate::store::lake::LakeFile;

/// A reader may still hold a list that names a file; after this time it does not.
pub(crate) const GRACE: Duration = Duration::from_secs(3600);

/// Lets the grace of files begin `now` that were just taken off the list: one that was written long ago may have been
/// listed until this moment.
///
/// A file that cannot be marked is only deleted sooner.
pub(crate) fn retire(lake: &Lake, unlisted: &[LakeFile], now: SystemTime) {
    unlisted.iter().for_each(|file| retire_path(&lake.path_of(file), now));
}

/// The same for one file, which may be gone already.
pub(super) fn retire_path(path: &Path, now: SystemTime) {
    let _ = File::open(path).and_then(|file| file.set_modified(now));
}

/// Deletes every file of the lake that is not listed and was last written, or taken off the list, `grace` before
/// `now`; answers how many.
pub(crate) fn vacuum(
    lake: &Lake,
    listed: &[LakeFile],
    now: SystemTime,
    grace: Duration,
) -> Result<usize, LakeError> {
    let listed: HashSet<PathBuf> = listed.iter().map(|file| lake.path_of(file)).collect();
    let mut removed = 0;
    for table in Table::ALL {
        let mut files = Vec::new();
        collect_files(&lake.root().join(table.name()), &mut files)?;
        for path in files.into_iter().filter(|path| !listed.contains(path) && is_ours(path)) {
            let written =
                fs::metadata(&path).and_then(|meta| meta.modified()).map_err(LakeError::io(&path))?;
            if now.duration_since(written).is_ok_and(|age| age >= grace) {
                fs::remove_file(&path).map_err(LakeError::io(&path))?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// True when data files lie in the lake, whoever wrote them.
pub(crate) fn has_data(lake: &Lake) -> Result<bool, LakeError> {
    let mut files = Vec::new();
    for table in Table::ALL {
        collect_files(&lake.root().join(table.name()), &mut files)?;
    }
    Ok(files.iter().any(|path| is_ours(path)))
}

/// Data files and their temporary names; a Delta log or a person's own files are left alone.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_start_matches('.').trim_end_matches(".tmp");
    name.starts_with('g') && name.ends_with(".parquet")
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), LakeError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(LakeError::io(folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(LakeError::io(folder))?;
        let kind = entry.file_type().map_err(LakeError::io(folder))?;
        if kind.is_dir() {
            collect_files(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
