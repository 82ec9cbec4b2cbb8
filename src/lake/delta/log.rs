//! The files of one Delta log: read back, added to, written anew. Knows no list of files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::action::{Action, Add, MetaData, PROTOCOL, Protocol, Remove, Txn};
use super::checkpoint;
use crate::failpoint;
use crate::files::{sync_folder, write_atomic};
use crate::lake::LakeError;
use crate::lake::vacuum::GRACE;
use crate::model::Timestamp;

/// Commits between two checkpoints: few enough to be read in a moment.
pub(super) const CHECKPOINT_EVERY: u64 = 50;

const FOLDER: &str = "_delta_log";
/// A log being written, and one that was put aside; neither is read by anybody.
const NEW: &str = "_delta_log.new";
const OLD: &str = "_delta_log.old";
const LAST_CHECKPOINT: &str = "_last_checkpoint";
/// Versions above are no counting of commits, but damage.
const HIGHEST: u64 = 1 << 52;

/// What a log says at its newest version.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) version: u64,
    /// The version of the newest checkpoint.
    pub(super) checkpoint: Option<u64>,
    pub(super) protocol: Option<Protocol>,
    pub(super) meta: Option<MetaData>,
    pub(super) txns: BTreeMap<String, Txn>,
    /// By path.
    pub(super) files: BTreeMap<String, Add>,
    pub(super) removed: BTreeMap<String, Remove>,
}

impl Snapshot {
    /// What comes of one more action of a commit; the reason why it cannot have been committed, if it cannot.
    pub(super) fn apply(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::CommitInfo(_) => {}
            Action::Protocol(protocol) => self.protocol = Some(protocol),
            Action::MetaData(meta) => self.meta = Some(meta),
            Action::Txn(txn) => {
                self.txns.insert(txn.app_id.clone(), txn);
            }
            Action::Add(add) => {
                self.removed.remove(&add.path);
                if let Some(twice) = self.files.insert(add.path.clone(), add) {
                    return Err(format!("it adds {} a second time", twice.path));
                }
            }
            Action::Remove(remove) => {
                if self.files.remove(&remove.path).is_none() {
                    return Err(format!("it removes {}, which it does not hold", remove.path));
                }
                self.removed.insert(remove.path.clone(), remove);
            }
        }
        Ok(())
    }

    /// What of a checkpoint: files removed before it are in no one's way.
    fn apply_at_rest(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Remove(remove) => {
                self.removed.insert(remove.path.clone(), remove);
                Ok(())
            }
            action => self.apply(action),
        }
    }

    /// The whole state, with files removed so lately that somebody may still read them.
    pub(super) fn at_rest(&self, now: Timestamp) -> Vec<Action> {
        let kept_from = now.timestamp_millis() - GRACE.as_millis() as i64;
        let removed = self.removed.values().filter(|remove| remove.deletion_timestamp >= kept_from);
        let mut actions = vec![Action::Protocol(self.protocol.clone().unwrap_or(PROTOCOL))];
        actions.extend(self.meta.iter().cloned().map(Action::MetaData));
        actions.extend(self.txns.values().cloned().map(Action::Txn));
        actions.extend(removed.map(Remove::at_rest).map(Action::Remove));
        actions.extend(self.files.values().map(Add::at_rest).map(Action::Add));
        actions
    }

    /// True when so many commits follow the newest checkpoint that the next one is due.
    pub(super) fn is_checkpoint_due(&self) -> bool {
        self.version >= self.checkpoint.unwrap_or_default() + CHECKPOINT_EVERY
    }
}

/// What was found where a log should be.
#[derive(Debug)]
pub(super) enum Found {
    Absent,
    Sound(Box<Snapshot>),
    /// There is one, and it is not to be trusted; why.
    Wrong(String),
}

/// What the file `_last_checkpoint` says.
#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct LastCheckpoint {
    version: u64,
    /// Rows of the checkpoint.
    size: u64,
}

/// A file of the log, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Name {
    Commit(u64),
    Checkpoint(u64),
    /// Numbered like a file of the log, by somebody who writes what amzctl does not.
    Strange(u64),
    Temporary,
    Other,
}

impl Name {
    fn of(name: &str) -> Name {
        if name.starts_with('.') && name.ends_with(".tmp") {
            return Name::Temporary;
        }
        let Some((number, kind)) = name.split_once('.') else { return Name::Other };
        let is_number = number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit());
        match (number.parse().ok().filter(|version| is_number && *version <= HIGHEST), kind) {
            (Some(version), "json") => Name::Commit(version),
            (Some(version), "checkpoint.parquet") => Name::Checkpoint(version),
            (Some(version), _) => Name::Strange(version),
            (None, _) => Name::Other,
        }
    }

    fn version(self) -> Option<u64> {
        match self {
            Name::Commit(version) | Name::Checkpoint(version) | Name::Strange(version) => Some(version),
            Name::Temporary | Name::Other => None,
        }
    }
}

fn commit_name(version: u64) -> String {
    format!("{version:020}.json")
}

fn checkpoint_name(version: u64) -> String {
    format!("{version:020}.checkpoint.parquet")
}

/// The log of one table.
#[derive(Clone, Debug)]
pub(super) struct Log {
    /// The table's folder.
    table: PathBuf,
    folder: PathBuf,
}

impl Log {
    pub(super) fn new(table: PathBuf) -> Log {
        let folder = table.join(FOLDER);
        Log { table, folder }
    }

    /// Reads the newest checkpoint and every commit behind it.
    ///
    /// Errors: the folder cannot be read at all. What lies in it and cannot be understood is [`Found::Wrong`].
    pub(super) fn read(&self) -> Result<Found, LakeError> {
        let names = names_in(&self.folder)?;
        if let Some(strange) = names.iter().find(|(name, _)| matches!(name, Name::Strange(_))) {
            return Ok(Found::Wrong(format!("it has a file of another writer, {}", strange.1)));
        }
        let commits = || names.iter().filter(|(name, _)| matches!(name, Name::Commit(_)));
        let checkpoints = names.iter().filter(|(name, _)| matches!(name, Name::Checkpoint(_)));
        let checkpoint = checkpoints.filter_map(|(name, _)| name.version()).max();
        let mut snapshot = Snapshot::default();
        if let Some(version) = checkpoint {
            (snapshot.checkpoint, snapshot.version) = (Some(version), version);
            let actions = match checkpoint::read(&self.folder.join(checkpoint_name(version))) {
                Ok(actions) => actions,
                Err(error) => return Ok(Found::Wrong(format!("its checkpoint cannot be read: {error}"))),
            };
            for action in actions {
                if let Err(reason) = snapshot.apply_at_rest(action) {
                    return Ok(Found::Wrong(reason));
                }
            }
        }
        let mut next = checkpoint.map_or(0, |version| version + 1);
        let mut behind: Vec<u64> = commits().filter_map(|(name, _)| name.version()).collect();
        behind.retain(|version| *version >= next);
        behind.sort_unstable();
        if behind.is_empty() && checkpoint.is_none() {
            return Ok(Found::Absent);
        }
        for version in behind {
            if version != next {
                return Ok(Found::Wrong(format!("version {next} is missing")));
            }
            if let Err(reason) = self.replay(version, &mut snapshot)? {
                return Ok(Found::Wrong(format!("version {version}: {reason}")));
            }
            (snapshot.version, next) = (version, version + 1);
        }
        Ok(Found::Sound(Box::new(snapshot)))
    }

    fn replay(&self, version: u64, snapshot: &mut Snapshot) -> Result<Result<(), String>, LakeError> {
        let path = self.folder.join(commit_name(version));
        let bytes = fs::read(&path).map_err(LakeError::io(&path))?;
        // A commit that was cut off at the end of a line would be valid without this.
        if bytes.last() != Some(&b'\n') {
            return Ok(Err("it is cut off".to_owned()));
        }
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let action = serde_json::from_slice(line).map_err(|error| format!("it cannot be read: {error}"));
            if let Err(reason) = action.and_then(|action| snapshot.apply(action)) {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(()))
    }

    /// Writes a commit; false when another of its version is there already.
    pub(super) fn commit(&self, version: u64, actions: &[Action]) -> Result<bool, LakeError> {
        let path = self.folder.join(commit_name(version));
        let temporary = self.folder.join(format!(".{}.tmp", commit_name(version)));
        failpoint!("lake.before_delta");
        // One left by a kill may be the same file as the commit that it became.
        let _ = fs::remove_file(&temporary);
        write_durably(&temporary, &commit_bytes(actions).map_err(LakeError::io(&path))?)?;
        failpoint!("lake.inside_delta");
        let linked = put_if_absent(&temporary, &path);
        // Only untidy where it stays: nobody reads it, and the next tidying up finds it.
        let _ = fs::remove_file(&temporary);
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(LakeError::io(&path)(error)),
        }
        failpoint!("lake.after_delta");
        sync_folder(&path).map_err(LakeError::io(&path))?;
        Ok(true)
    }

    /// Puts a log in place of whatever is there: one version that says everything.
    ///
    /// It is numbered behind all that was there, so that whoever has read the old log finds neither the new commit as
    /// the next one of the old, nor an old file beside a new one: it has lost its place, and begins again.
    pub(super) fn replace(&self, actions: &[Action], now: Timestamp) -> Result<u64, LakeError> {
        let mut version = 0;
        for folder in [&self.folder, &self.table.join(OLD)] {
            let known = names_in(folder)?.into_iter().filter_map(|(name, _)| name.version()).max();
            version = version.max(known.map_or(0, |known| known + 1));
        }
        let (new, old) = (self.table.join(NEW), self.table.join(OLD));
        remove_folder(&new)?;
        fs::create_dir_all(&new).map_err(LakeError::io(&new))?;
        failpoint!("lake.before_delta");
        let bytes = commit_bytes(actions).map_err(LakeError::io(&new))?;
        write_durably(&new.join(commit_name(version)), &bytes)?;
        if version > 0 {
            // Only behind a checkpoint may a log begin with another version than the first.
            let mut snapshot = Snapshot { version, ..Snapshot::default() };
            for action in actions.iter().cloned() {
                snapshot.apply(action).map_err(|reason| LakeError::io(&new)(io::Error::other(reason)))?;
            }
            write_checkpoint(&new, &snapshot, now)?;
        }
        sync_folder(&new.join(FOLDER)).map_err(LakeError::io(&new))?;
        failpoint!("lake.inside_delta");
        if self.folder.exists() {
            remove_folder(&old)?;
            fs::rename(&self.folder, &old).map_err(LakeError::io(&old))?;
        }
        fs::rename(&new, &self.folder).map_err(LakeError::io(&self.folder))?;
        sync_folder(&self.folder).map_err(LakeError::io(&self.table))?;
        failpoint!("lake.after_delta");
        remove_folder(&old)?;
        Ok(version)
    }

    /// Writes the state as a checkpoint, then deletes what is older than the checkpoint before it and than `grace`.
    pub(super) fn write_checkpoint(
        &self,
        snapshot: &Snapshot,
        now: Timestamp,
        grace: Duration,
    ) -> Result<(), LakeError> {
        write_checkpoint(&self.folder, snapshot, now)?;
        let Some(before) = snapshot.checkpoint else { return Ok(()) };
        let mut outdated: Vec<(u64, String)> = Vec::new();
        for (name, text) in names_in(&self.folder)? {
            match (name, name.version()) {
                (_, Some(version)) if version < before => outdated.push((version, text)),
                (Name::Temporary, _) => outdated.push((0, text)),
                _ => {}
            }
        }
        // The oldest first: what is left of a tidying up that was stopped has no gap.
        outdated.sort_unstable();
        for (_, name) in outdated {
            let path = self.folder.join(name);
            let written =
                fs::metadata(&path).and_then(|meta| meta.modified()).map_err(LakeError::io(&path))?;
            if !SystemTime::from(now).duration_since(written).is_ok_and(|age| age >= grace) {
                break;
            }
            fs::remove_file(&path).map_err(LakeError::io(&path))?;
        }
        Ok(())
    }

    /// Removes what a kill has left of a log that was replaced, once a sound one is in its place.
    pub(super) fn clear_leftovers(&self) -> Result<(), LakeError> {
        remove_folder(&self.table.join(NEW))?;
        remove_folder(&self.table.join(OLD))
    }

    /// Makes the pointer to the newest checkpoint right, which a kill may have left behind.
    pub(super) fn mend_pointer(&self, snapshot: &Snapshot) -> Result<(), LakeError> {
        let Some(version) = snapshot.checkpoint else { return Ok(()) };
        let text = fs::read(self.folder.join(LAST_CHECKPOINT)).unwrap_or_default();
        let said = serde_json::from_slice::<LastCheckpoint>(&text).ok();
        if said.is_some_and(|said| said.version == version) {
            return Ok(());
        }
        let rows = checkpoint::read(&self.folder.join(checkpoint_name(version)))
            .map_err(LakeError::parquet(&self.folder))?
            .len();
        write_pointer(&self.folder, version, rows)
    }
}

/// The names of a folder's files; none where there is no folder.
fn names_in(folder: &Path) -> Result<Vec<(Name, String)>, LakeError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LakeError::io(folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(LakeError::io(folder))?.file_name().to_string_lossy().into_owned();
        names.push((Name::of(&name), name));
    }
    Ok(names)
}

fn commit_bytes(actions: &[Action]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for action in actions {
        serde_json::to_writer(&mut bytes, action)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), LakeError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(LakeError::io(path))
}

/// Gives a file a name that no other has.
fn put_if_absent(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // Some file systems have no links. The lock leaves nobody but a foreign writer to be in our way.
            if path.try_exists()? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(temporary, path)
        }
        linked => linked,
    }
}

fn write_checkpoint(folder: &Path, snapshot: &Snapshot, now: Timestamp) -> Result<(), LakeError> {
    let path = folder.join(checkpoint_name(snapshot.version));
    let actions = snapshot.at_rest(now);
    let bytes = checkpoint::encode(&actions).map_err(LakeError::parquet(&path))?;
    write_atomic(&path, &bytes).map_err(LakeError::io(&path))?;
    write_pointer(folder, snapshot.version, actions.len())
}

fn write_pointer(folder: &Path, version: u64, rows: usize) -> Result<(), LakeError> {
    let path = folder.join(LAST_CHECKPOINT);
    let pointer = LastCheckpoint { version, size: rows as u64 };
    let text = serde_json::to_vec(&pointer).map_err(io::Error::from).map_err(LakeError::io(&path))?;
    write_atomic(&path, &text).map_err(LakeError::io(&path))
}

fn remove_folder(folder: &Path) -> Result<(), LakeError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LakeError::io(folder)(error)),
        _ => Ok(()),
    }
}
