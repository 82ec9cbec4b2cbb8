//! Files that are whole or absent.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` beside `path`, makes them durable and renames them into place: a reader sees the old file or
/// the new one, never half of one. Missing parent folders are an error.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// A file that is written piece by piece and appears whole, by [`AtomicFile::finish`], or not at all.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    file: io::BufWriter<File>,
    finished: bool,
}

impl AtomicFile {
    /// Begins a file that will be `path`. Missing parent folders are an error.
    pub fn create(path: &Path) -> io::Result<AtomicFile> {
        let temporary = temporary_beside(path);
        let file = io::BufWriter::new(File::create(&temporary)?);
        Ok(AtomicFile { path: path.to_owned(), temporary, file, finished: false })
    }

    /// Makes the content durable and gives it its name.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.finished = true;
        sync_folder(&self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.finished {
            // Why it was not finished is already known; the leftover is only untidy.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes the name of a created or renamed file durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Where a file is written that will be `path`.
pub fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Removes what processes that are no more left behind on the way to `path`: it may be large.
pub fn remove_leftovers(path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let found = found.to_string_lossy();
        let pid = found.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".tmp"));
        let is_gone = |pid: &str| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists();
        if pid.is_some_and(is_gone) {
            // It is only untidy.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // No process has the greatest number there is; process 1 always runs.
        let names = [".a.db.4294967295.tmp", ".a.db.1.tmp", ".b.db.4294967295.tmp", "a.db", ".a.db.x.tmp"];
        for name in names {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_leftovers(&folder.path().join("a.db"));
        let left = names.map(|name| folder.path().join(name).exists());
        assert_eq!(left, [false, true, true, true, true]);
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_atomic(&folder.path().join("absent/report.html"), b"x").is_err());
    }
}
