//! One writer per database and pipeline: an operating-system file lock beside the database.
//!
//! The file names its holder (pid, host, start, command) for whoever finds it taken. The lock ends with the
//! process, however that ends; the file stays and means nothing while it is not locked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cancel::CancelToken;
use crate::model::Timestamp;

/// The pipelines of a database, each with its own lock.
pub const PIPELINES: &[&str] = &["pipeline", "deliver"];

/// Pause between two attempts while waiting.
const POLL: Duration = Duration::from_millis(100);

/// Who holds a lock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: String,
    pub started_at: Timestamp,
    pub command: String,
}

impl Holder {
    /// This process.
    pub fn current(started_at: Timestamp, command: &str) -> Holder {
        Holder { pid: std::process::id(), host: host_name(), started_at, command: command.to_owned() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another run holds the {pipeline} lock{}", describe(.holder))]
    Held { pipeline: String, holder: Option<Holder> },
    #[error("interrupted while waiting for the {0} lock")]
    Cancelled(String),
    #[error("cannot lock {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn describe(holder: &Option<Holder>) -> String {
    match holder {
        Some(Holder { pid, host, started_at, command }) => {
            format!(
                ": `{command}`, pid {pid} on {host}, since {}",
                started_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            )
        }
        None => String::new(),
    }
}

/// The lock, released when it is dropped or the process ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of `pipeline`, trying for as long as `wait`.
    ///
    /// Errors: `Held` when another process still has it then; `Cancelled` when `cancel` is set while waiting.
    pub fn acquire(
        database: &Path,
        pipeline: &str,
        holder: &Holder,
        wait: Duration,
        cancel: &CancelToken,
    ) -> Result<RunLock, LockError> {
        // `current_holder` holds a free lock for a moment to see that it is free: one more attempt tells that from a
        // run that has it.
        let wait = wait.max(POLL);
        let path = lock_path(database, pipeline);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = open(&path).map_err(failed)?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) if cancel.is_cancelled() => {
                    return Err(LockError::Cancelled(pipeline.to_owned()));
                }
                Err(TryLockError::WouldBlock) if waited >= wait => {
                    return Err(LockError::Held {
                        pipeline: pipeline.to_owned(),
                        holder: read_holder(&mut file),
                    });
                }
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(POLL);
                    waited += POLL;
                }
            }
        }
        write_holder(&mut file, holder).map_err(failed)?;
        Ok(RunLock { _file: file })
    }
}

/// Who holds the lock of `pipeline` now; null when it is free.
pub fn current_holder(database: &Path, pipeline: &str) -> Option<Holder> {
    let mut file = OpenOptions::new().read(true).open(lock_path(database, pipeline)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_holder(&mut file),
        _ => None,
    }
}

/// `amzctl.db` → `amzctl.db.pipeline.lock`.
pub fn lock_path(database: &Path, pipeline: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(format!(".{pipeline}.lock"));
    PathBuf::from(name)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    serde_json::to_writer(&mut *file, holder)?;
    file.write_all(b"\n")
}

/// The machine's name as the kernel has it.
pub fn host_name() -> String {
    let read = |path| std::fs::read_to_string(path).ok().map(|name| name.trim().to_owned());
    read("/proc/sys/kernel/hostname")
        .or_else(|| read("/etc/hostname"))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        Holder::current("2026-03-01T02:00:00Z".parse().unwrap(), "run")
    }

    #[test]
    fn a_taken_lock_names_its_holder_and_a_free_one_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("amzctl.db");
        let cancel = CancelToken::default();
        let acquire = |pipeline| RunLock::acquire(&database, pipeline, &holder(), Duration::ZERO, &cancel);

        let lock = acquire("pipeline").unwrap();
        let refused = acquire("pipeline").unwrap_err().to_string();
        let expected = format!(
            "another run holds the pipeline lock: `run`, pid {} on {}, since 2026-03-01T02:00:00Z",
            std::process::id(),
            host_name()
        );
        assert_eq!(refused, expected);
        assert_eq!(current_holder(&database, "pipeline"), Some(holder()));
        assert!(acquire("deliver").is_ok(), "another pipeline has a lock of its own");

        drop(lock);
        assert_eq!(current_holder(&database, "pipeline"), None);
        assert!(acquire("pipeline").is_ok());
    }

    #[test]
    fn waiting_for_a_lock_ends_when_a_stop_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("amzctl.db");
        let cancel = CancelToken::default();
        let _held = RunLock::acquire(&database, "pipeline", &holder(), Duration::ZERO, &cancel).unwrap();
        cancel.cancel(crate::error::Outcome::Interrupted);
        let refused =
            RunLock::acquire(&database, "pipeline", &holder(), Duration::from_secs(60), &cancel).unwrap_err();
        assert!(matches!(refused, LockError::Cancelled(_)));
    }
}
