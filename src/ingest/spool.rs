//! What cannot be read twice (standard input, pipes) becomes a file beside the database, so that it can be hashed
//! and resumed like any other.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::input::copy_hashed;

const UNFINISHED: &str = "part";

/// The folder of such files.
pub struct Spool {
    folder: PathBuf,
}

/// A stream that is now a file, named by its content.
#[derive(Debug)]
pub struct Spooled {
    pub path: PathBuf,
}

impl Spool {
    /// The folder `<database>.spool`.
    pub fn beside(database: &Path) -> Spool {
        let mut folder = database.as_os_str().to_owned();
        folder.push(".spool");
        Spool { folder: folder.into() }
    }

    /// Copies all of `source` into a file of its own.
    pub fn take(&self, source: &mut impl Read) -> io::Result<Spooled> {
        fs::create_dir_all(&self.folder)?;
        self.remove_abandoned()?;
        let unfinished = self.folder.join(format!("{}.{UNFINISHED}", std::process::id()));
        let mut file = File::create(&unfinished)?;
        let (sha256, _) = copy_hashed(source, &mut file)?;
        file.sync_all()?;
        let path = self.folder.join(format!("stdin-{}", sha256.get(..16).unwrap_or_default()));
        fs::rename(&unfinished, &path)?;
        Ok(Spooled { path })
    }

    /// Streams whose ingest never finished, sorted.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_none())
            .collect();
        paths.sort();
        paths
    }

    /// True for a file that this folder holds.
    pub fn holds(&self, path: &Path) -> bool {
        let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
        parent.is_some() && parent == self.folder.canonicalize().ok()
    }

    /// Removes what a process left that is gone: half a stream, of which nobody knows the rest.
    fn remove_abandoned(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_unfinished = path.extension().is_some_and(|extension| extension == UNFINISHED);
            let writer = path.file_stem().map(|pid| Path::new("/proc").join(pid));
            if is_unfinished && !writer.is_some_and(|process| process.exists()) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

impl Spooled {
    /// Removes the file, and the folder when it was the last one.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        if let Some(folder) = self.path.parent() {
            // Fails while other files lie there, as it should.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_becomes_a_file_named_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::beside(&folder.path().join("amzctl.db"));
        let abandoned = folder.path().join("amzctl.db.spool/4294967295.part");
        fs::create_dir_all(abandoned.parent().unwrap()).unwrap();
        fs::write(&abandoned, "half").unwrap();

        let spooled = spool.take(&mut &b"[1]"[..]).unwrap();
        let again = spool.take(&mut &b"[1]"[..]).unwrap();
        assert_eq!(fs::read(&spooled.path).unwrap(), b"[1]");
        assert_eq!(spooled.path, again.path);
        assert_eq!(spool.leftovers(), std::slice::from_ref(&spooled.path));
        assert!(spool.holds(&spooled.path) && !spool.holds(&folder.path().join("x")));

        spooled.remove().unwrap();
        assert!(!folder.path().join("amzctl.db.spool").exists());
    }
}
