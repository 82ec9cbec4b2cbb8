//! One writer per database and pipeline: an operating-system file lock beside an embedded database, a lease on a
//! server's.
//!
//! Either names its holder (pid, host, start, command) for whoever finds it taken. The file's lock ends with the
//! process, however that ends; the file stays and means nothing while it is not locked. A lease ends some time after its
//! process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::cancel::CancelToken;
use crate::error::Outcome;
use crate::model::{Timestamp, Workspace};
use crate::store::leases::{Leases, Shared, Taken};
use crate::store::{Store, StoreError};

/// How often a lease is renewed in its time: some of that may fail without ending it.
const RENEWALS: u32 = 6;
/// Pause between two attempts while waiting.
const POLL: Duration = Duration::from_millis(100);

/// Who holds a lock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: String,
    pub started_at: Timestamp,
    pub command: String,
    /// Where the pid means this process and no other; empty where that is not known.
    #[serde(default)]
    pub process: String,
}

impl Holder {
    /// This process.
    pub fn current(started_at: Timestamp, command: &str) -> Holder {
        let pid = std::process::id();
        let process = process(pid).unwrap_or_default();
        Holder { pid, host: host_name(), started_at, command: command.to_owned(), process }
    }

    /// It was a process of this machine, and is none any more. Names of hosts do not say that: containers share them.
    fn is_gone(&self) -> bool {
        let Some((place, _)) = self.process.rsplit_once('/') else { return false };
        place_of_pids().is_some_and(|here| here == place) && process(self.pid).as_ref() != Some(&self.process)
    }
}

/// What tells a process of this machine from any other there was or is: the machine's start, the space that its pid
/// belongs to, and its own start.
fn process(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the program's name, which may hold anything, come the state and what follows it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let started = rest.split(' ').nth(19)?;
    Some(format!("{}/{started}", place_of_pids()?))
}

fn place_of_pids() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

/// The leases whose holders, in the words in which they named themselves, were processes of this host and are none any
/// more.
pub fn those_gone(leases: Vec<(String, String)>) -> Vec<String> {
    leases.into_iter().filter(|(_, holder)| is_gone(holder)).map(|(lease, _)| lease).collect()
}

/// Whether a holder, in the words in which it named itself, was a process of this host and is none any more.
pub fn is_gone(holder: &str) -> bool {
    serde_json::from_str::<Holder>(holder).is_ok_and(|holder| holder.is_gone())
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
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LockError {
    /// Somebody, in the words in which they named themselves, has it.
    pub fn held(pipeline: &str, holder: &str) -> LockError {
        LockError::Held { pipeline: pipeline.to_owned(), holder: serde_json::from_str(holder).ok() }
    }
}

fn describe(holder: &Option<Holder>) -> String {
    match holder {
        Some(Holder { pid, host, started_at, command, .. }) => {
            format!(
                ": `{command}`, pid {pid} on {host}, since {}",
                started_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            )
        }
        None => String::new(),
    }
}

/// The lock; that of a file is released when it is dropped or the process ends.
#[derive(Debug)]
pub enum RunLock {
    /// Of an embedded database.
    File(File),
    /// Of a server's.
    Lease(Lease),
}

/// A lease that is kept until it is released, its store is closed, or nobody keeps it any more.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    pipeline: String,
    token: i64,
    keeping: JoinHandle<()>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeping.abort();
    }
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
        Ok(RunLock::File(file))
    }

    /// Takes the lease of `pipeline` on a server's database, trying for as long as `wait`. It ends `ttl` after the last
    /// renewal. A holder that was a process of this host and is none any more is not waited for. `lapsed` is set when the
    /// lease could not be kept.
    ///
    /// Errors: as [`RunLock::acquire`], and those of the store.
    pub async fn lease(
        leases: Leases,
        pipeline: &str,
        holder: &Holder,
        ttl: Duration,
        wait: Duration,
        cancel: &CancelToken,
        lapsed: CancelToken,
    ) -> Result<RunLock, LockError> {
        let name = serde_json::to_string(holder).map_err(io::Error::from);
        let name = name.map_err(|source| LockError::Io { path: pipeline.into(), source })?;
        // One more attempt tells a lease that was just given back from one that is held.
        let wait = wait.max(POLL);
        let mut gone: Option<String> = None;
        let mut waited = Duration::ZERO;
        let token = loop {
            match leases.take(pipeline, &name, gone.as_deref(), ttl).await? {
                Taken::Mine(token) => break token,
                Taken::Held(_) if cancel.is_cancelled() => {
                    return Err(LockError::Cancelled(pipeline.to_owned()));
                }
                Taken::Held(other) => {
                    let holder: Option<Holder> = serde_json::from_str(&other).ok();
                    if gone.is_none() && holder.as_ref().is_some_and(Holder::is_gone) {
                        gone = Some(other);
                        continue;
                    }
                    if waited >= wait {
                        return Err(LockError::Held { pipeline: pipeline.to_owned(), holder });
                    }
                    tokio::time::sleep(POLL).await;
                    waited += POLL;
                }
            }
        };
        let (kept, name) = (leases.clone(), pipeline.to_owned());
        let renew = async move || kept.renew(&name, token, ttl).await;
        let keeping = tokio::spawn(keep(renew, ttl / RENEWALS, ttl, lapsed));
        let pipeline = pipeline.to_owned();
        Ok(RunLock::Lease(Lease { leases, pipeline, token, keeping }))
    }

    /// Lets others have it before the program ends.
    pub async fn release(self) -> Result<(), LockError> {
        if let RunLock::Lease(lease) = self {
            lease.keeping.abort();
            lease.leases.release(&lease.pipeline, lease.token).await?;
        }
        Ok(())
    }
}

/// Keeps a lease by `renew` until it is another's. One attempt may fail, and one that is not answered must not cost the
/// next; when none succeeds for as long as a lease lasts, `lapsed` is set: a statement that waits for a server that
/// is gone without a word would wait for ever.
async fn keep(
    renew: impl AsyncFn() -> Result<bool, StoreError>,
    pause: Duration,
    lease: Duration,
    lapsed: CancelToken,
) {
    let mut kept = Instant::now();
    loop {
        tokio::time::sleep(pause).await;
        let asked = Instant::now();
        match tokio::time::timeout(pause, renew()).await {
            Ok(Ok(true)) => kept = asked,
            // Whatever this run writes from now on is refused.
            Ok(Ok(false)) => return,
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be renewed"),
            Err(_) => tracing::warn!("the lease could not be renewed: the server does not answer"),
        }
        if kept.elapsed() >= lease {
            return lapsed.cancel(Outcome::Transient);
        }
    }
}

/// Who holds the lock of `pipeline` now; null when it is free.
async fn current_holder(store: &Store, pipeline: &str) -> Result<Option<Holder>, LockError> {
    Ok(match store.leases() {
        None => file_holder(store.location().beside(), pipeline),
        Some(leases) => leases.holder(pipeline).await?.and_then(|holder| serde_json::from_str(&holder).ok()),
    })
}

/// Who holds what now: of each pipeline, null where it is free, and those who share something on a server. Processes that
/// are known to be gone hold nothing.
pub async fn current_holders(store: &Store) -> Result<Vec<(String, Option<Holder>)>, LockError> {
    let mut pipelines = vec![Shared::Ingest.pipeline().to_owned()];
    pipelines.extend(deliver_locks(store.location().beside()));
    let mut holders = Vec::new();
    for pipeline in pipelines {
        let holder = current_holder(store, &pipeline).await?;
        holders.push((pipeline, holder.filter(|holder| !holder.is_gone())));
    }
    if let Some(leases) = store.leases() {
        for shared in Shared::ALL {
            let sharers = leases.sharers(shared).await?.into_iter().filter(|(_, holder)| !is_gone(holder));
            holders.extend(sharers.map(|(lease, holder)| (lease, serde_json::from_str(&holder).ok())));
        }
    }
    Ok(holders)
}

/// The lock of an embedded database's outbox: each workspace's is delivered by itself.
pub fn deliver_lock(workspace: &Workspace) -> String {
    let all = Shared::Deliver.pipeline();
    if workspace.is_main() { all.to_owned() } else { format!("{all}.{workspace}") }
}

/// The locks of all workspaces whose outbox was ever delivered.
pub fn deliver_locks(database: &Path) -> Vec<String> {
    let all = Shared::Deliver.pipeline();
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = database.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let lock = |file: std::fs::DirEntry| {
        let file = file.file_name().into_string().ok()?;
        let lock = file.strip_prefix(&name)?.strip_prefix('.')?.strip_suffix(".lock")?;
        lock.strip_prefix(all)?.starts_with('.').then(|| lock.to_owned())
    };
    let mut locks: Vec<String> = files.filter_map(lock).collect();
    locks.push(all.to_owned());
    locks.sort();
    locks
}

fn file_holder(database: &Path, pipeline: &str) -> Option<Holder> {
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
    fn each_workspace_has_a_lock_of_its_own_for_its_outbox_and_all_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("amzctl.db");
        assert_eq!(deliver_locks(&database), ["deliver"]);
        let acquire = |workspace: &str| {
            let lock = deliver_lock(&workspace.parse().unwrap());
            RunLock::acquire(&database, &lock, &holder(), Duration::ZERO, &CancelToken::default())
        };
        let _main = acquire("main").unwrap();
        let _eu = acquire("eu").unwrap();
        assert!(acquire("eu").is_err());
        std::fs::write(folder.path().join("other.db.deliver.us.lock"), "").unwrap();
        std::fs::write(folder.path().join("amzctl.db.pipeline.lock"), "").unwrap();
        assert_eq!(deliver_locks(&database), ["deliver", "deliver.eu"]);
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
        assert_eq!(file_holder(&database, "pipeline"), Some(holder()));
        assert!(acquire("deliver").is_ok(), "another pipeline has a lock of its own");

        drop(lock);
        assert_eq!(file_holder(&database, "pipeline"), None);
        assert!(acquire("pipeline").is_ok());
    }

    const PAUSE: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_server_that_answers_no_more_ends_the_lease() {
        let lapsed = CancelToken::default();
        keep(async || std::future::pending().await, PAUSE, 5 * PAUSE, lapsed.clone()).await;
        assert_eq!(lapsed.outcome(), Some(Outcome::Transient));
    }

    #[tokio::test]
    async fn a_lease_is_kept_until_it_is_anothers_and_ends_nothing_then() {
        let (lapsed, asked) = (CancelToken::default(), std::sync::atomic::AtomicU32::new(0));
        let renew = async || Ok(asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 20);
        keep(renew, PAUSE, LONG, lapsed.clone()).await;
        assert_eq!((asked.into_inner(), lapsed.outcome()), (21, None));
    }

    #[test]
    fn a_holder_is_gone_when_its_process_is_and_its_pid_may_be_anothers_by_then() {
        let mine = holder();
        assert!(!mine.is_gone());
        let (place, _) = mine.process.rsplit_once('/').unwrap();
        let another = Holder { process: format!("{place}/1"), ..mine.clone() };
        assert!(another.is_gone(), "the pid is this process's now");
        let elsewhere = Holder { process: "other-boot pid:[1]/1".to_owned(), ..mine.clone() };
        assert!(!elsewhere.is_gone(), "of another machine nothing is known");
        assert!(!Holder { process: String::new(), ..mine }.is_gone());
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
