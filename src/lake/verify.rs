//! Is the lake whole: every listed file there and unchanged, and core in the lake what the database says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::block::{Block, Words};
use super::plan::{Span, by_month};
use super::read::FileReader;
use super::schema::Table;
use super::sync::{files_of, load_block};
use super::{Lake, LakeError, Owner, delta};
use crate::ids::hex;
use crate::model::{Day, Marketplace};
use crate::store::Store;
use crate::store::lake::LakeFile;

/// What is wrong with the lake.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum LakeFinding {
    /// The folder's marker names another database: its files are that one's.
    OfAnother {
        root: PathBuf,
    },
    /// The folder's marker names another epoch of this database, or is absent.
    Outdated {
        root: PathBuf,
    },
    MissingFile {
        path: String,
    },
    SizeDiffers {
        path: String,
        listed: i64,
        found: u64,
    },
    HashDiffers {
        path: String,
    },
    RowsDiffer {
        path: String,
        listed: i64,
        found: usize,
    },
    Unreadable {
        path: String,
        error: String,
    },
    /// Days that changed in the database since the last `build-mart`: not damage.
    NotYetExported {
        days: usize,
    },
    /// Core of a month is not what the database holds.
    ContentDiffers {
        table: String,
        marketplace: Marketplace,
        month: String,
        in_database: usize,
        in_lake: usize,
        /// The days whose rows differ, in time order.
        days: Vec<Day>,
    },
    /// The Delta log of a table was not told yet what the list says: not damage.
    DeltaBehind {
        table: String,
    },
    /// The Delta log of a table cannot have come of the list, or cannot be read.
    DeltaWrong {
        table: String,
        reason: String,
    },
}

impl LakeFinding {
    /// False for what the next `build-mart` brings by itself.
    pub fn is_damage(&self) -> bool {
        !matches!(self, LakeFinding::NotYetExported { .. } | LakeFinding::DeltaBehind { .. })
    }

    /// The files themselves are not touched by what is wrong with a Delta log.
    pub fn is_about_rows(&self) -> bool {
        !matches!(self, LakeFinding::DeltaBehind { .. } | LakeFinding::DeltaWrong { .. })
    }

    /// The path of the listed file that it is about.
    pub fn path(&self) -> Option<&str> {
        match self {
            LakeFinding::MissingFile { path }
            | LakeFinding::SizeDiffers { path, .. }
            | LakeFinding::HashDiffers { path }
            | LakeFinding::RowsDiffer { path, .. }
            | LakeFinding::Unreadable { path, .. } => Some(path),
            _ => None,
        }
    }

    /// What to do where a full build is not the way: what `build-mart` itself would say.
    pub fn hints(&self) -> Vec<String> {
        match self {
            LakeFinding::OfAnother { root } => LakeError::OfAnother(root.clone()).hints(),
            LakeFinding::Outdated { root } => LakeError::Outdated(root.clone()).hints(),
            LakeFinding::DeltaWrong { .. } => {
                vec![
                    "`amzctl lake publish-delta` writes a Delta log anew that is not to be trusted"
                        .to_owned(),
                ]
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for LakeFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LakeFinding::OfAnother { root } => LakeError::OfAnother(root.clone()).fmt(f),
            LakeFinding::Outdated { root } => LakeError::Outdated(root.clone()).fmt(f),
            LakeFinding::MissingFile { path } => write!(f, "{path} is missing"),
            LakeFinding::SizeDiffers { path, listed, found } => {
                write!(f, "{path} has {found} bytes, the list says {listed}")
            }
            LakeFinding::HashDiffers { path } => write!(f, "{path} has other content than was written"),
            LakeFinding::RowsDiffer { path, listed, found } => {
                write!(f, "{path} has {found} rows, the list says {listed}")
            }
            LakeFinding::Unreadable { path, error } => write!(f, "{path} cannot be read: {error}"),
            LakeFinding::NotYetExported { days } => write!(f, "{days} changed days are not in the lake yet"),
            LakeFinding::ContentDiffers { table, marketplace, month, in_database, in_lake, .. } => write!(
                f,
                "{table} of {marketplace} {month} differs from the database ({in_database} rows there, {in_lake} here)"
            ),
            LakeFinding::DeltaBehind { table } => {
                write!(f, "the Delta log of {table} is behind the list of files")
            }
            LakeFinding::DeltaWrong { table, reason } => {
                write!(f, "the Delta log of {table} is not to be trusted: {reason}")
            }
        }
    }
}

/// Checks every listed file and compares core with the database, month by month.
///
/// Reads everything: hashes all files, decodes the core files, and loads core from the database.
pub async fn verify(store: &Store, lake: &Lake) -> anyhow::Result<Vec<LakeFinding>> {
    let state = store.lake_state().await?;
    let mut findings = Vec::new();
    if !state.files.is_empty() {
        let root = lake.root().to_owned();
        match lake.owner_for(store).await? {
            Owner::Us => {}
            // None of its files is meant by the list.
            Owner::Another => return Ok(vec![LakeFinding::OfAnother { root }]),
            Owner::Before | Owner::Nobody => findings.push(LakeFinding::Outdated { root }),
        }
    }
    let changed = store.changed_days(state.exported_seq, state.changed_seq).await?;
    if !changed.is_empty() {
        findings.push(LakeFinding::NotYetExported { days: changed.len() });
    }
    let mut sound = Vec::new();
    for file in state.files {
        let (finding, file) = {
            let lake = lake.clone();
            tokio::task::spawn_blocking(move || (check_file(&lake, &file), file)).await?
        };
        match finding {
            Some(finding) => findings.push(finding),
            None => sound.push(file),
        }
    }
    // A month that a finding or a later change touches cannot be compared.
    if findings.is_empty() {
        compare_core(store, lake, &sound, &mut findings).await?;
    }
    Ok(findings)
}

/// Compares the Delta logs with the list, whatever state the files are in.
///
/// Reads every log from its newest checkpoint on, and no file of rows.
pub async fn verify_delta(store: &Store, lake: &Lake) -> anyhow::Result<Vec<LakeFinding>> {
    let state = store.lake_state().await?;
    let (Some(identity), Owner::Us) = (store.identity().await?, lake.owner_for(store).await?) else {
        return Ok(Vec::new());
    };
    let lake = lake.clone();
    Ok(tokio::task::spawn_blocking(move || delta::check(&lake, &identity, &state)).await??)
}

/// What is wrong with one file; reads all of it.
pub(super) fn check_file(lake: &Lake, file: &LakeFile) -> Option<LakeFinding> {
    let path = file.path.clone();
    let mut hasher = Sha256::new();
    let read = File::open(lake.path_of(file)).and_then(|mut opened| io::copy(&mut opened, &mut hasher));
    let found = match read {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Some(LakeFinding::MissingFile { path });
        }
        Err(error) => return Some(LakeFinding::Unreadable { path, error: error.to_string() }),
    };
    if found != file.size_bytes as u64 {
        return Some(LakeFinding::SizeDiffers { path, listed: file.size_bytes, found });
    }
    if hex(&hasher.finalize()) != file.sha256 {
        return Some(LakeFinding::HashDiffers { path });
    }
    match FileReader::new(lake, file).read(&["bucket"], None) {
        Ok(frame) if frame.height() as i64 != file.rows => {
            Some(LakeFinding::RowsDiffer { path, listed: file.rows, found: frame.height() })
        }
        Ok(_) => None,
        Err(error) => Some(LakeFinding::Unreadable { path, error: error.to_string() }),
    }
}

async fn compare_core(
    store: &Store,
    lake: &Lake,
    files: &[LakeFile],
    findings: &mut Vec<LakeFinding>,
) -> anyhow::Result<()> {
    for marketplace in Marketplace::ALL.iter().copied() {
        let days = store.count_days(marketplace).await?;
        let listed = files.iter().filter(|file| file.marketplace == marketplace).map(Span::of);
        let spans: Vec<Span> =
            days.iter().map(|(day, _)| Span { first: day.no(), last: day.no() }).chain(listed).collect();
        for (month, spans) in by_month(&super::merge(spans)) {
            for table in Table::CORE {
                let files = files_of(files, table, marketplace);
                let files: Vec<&LakeFile> = files.into_iter().filter(|file| file.month == month).collect();
                findings
                    .extend(compare_month(store, lake, table, marketplace, &month, &spans, &files).await?);
            }
        }
    }
    Ok(())
}

async fn compare_month(
    store: &Store,
    lake: &Lake,
    table: Table,
    marketplace: Marketplace,
    month: &str,
    spans: &[Span],
    files: &[&LakeFile],
) -> anyhow::Result<Option<LakeFinding>> {
    let mut words = Words::default();
    let mut stored = Block::empty(table);
    for span in spans {
        stored.append(&load_block(store, table, marketplace, *span, &mut words).await?);
    }
    let files: Vec<FileReader> = files.iter().map(|file| FileReader::new(lake, file)).collect();
    let compared = tokio::task::spawn_blocking(move || {
        let mut exported = Block::empty(table);
        for file in files {
            exported.append(&file.read_block(table.columns(), None, &mut words)?);
        }
        let (stored, exported) = (stored.sorted(table, &words), exported.sorted(table, &words));
        let days =
            if stored.columns == exported.columns { Vec::new() } else { differing(&stored, &exported) };
        Ok::<_, LakeError>((stored.rows(), exported.rows(), days))
    });
    let (in_database, in_lake, days) = compared.await??;
    Ok((!days.is_empty()).then(|| LakeFinding::ContentDiffers {
        table: table.name().to_owned(),
        marketplace,
        month: month.to_owned(),
        in_database,
        in_lake,
        days,
    }))
}

/// The days whose rows are not the same in both; the rows of a day lie in the same order in both.
fn differing(stored: &Block, exported: &Block) -> Vec<Day> {
    let by_day = |block: &Block| {
        let mut rows: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (row, day_no) in block.day_nos().iter().enumerate() {
            rows.entry(*day_no).or_default().push(row);
        }
        rows
    };
    let (in_database, in_lake) = (by_day(stored), by_day(exported));
    let days: BTreeSet<i32> = in_database.keys().chain(in_lake.keys()).copied().collect();
    let rows = |block: &Block, days: &BTreeMap<i32, Vec<usize>>, day: i32| {
        block.gather(days.get(&day).map_or(&[], Vec::as_slice)).columns
    };
    let differs = |day: &i32| rows(stored, &in_database, *day) != rows(exported, &in_lake, *day);
    days.into_iter().filter(differs).map(Day::from_no).collect()
}
