//! The lake: Parquet files beside the database, derived from core and rebuildable. The only module that knows
//! their paths.
//!
//! Layout: `<root>/<table>/marketplace=US/month=2026-02/g00000002-00000.parquet`. A file never changes; which
//! files are current is the list `lake_files` in the database, swapped in one transaction with what it brings.
//! Readers take that list, never a directory; other engines read the Delta log beside the files, which is told
//! afterwards what the list says.

mod block;
mod delta;
mod encode;
mod hash;
mod plan;
mod read;
mod schema;
mod sync;
mod vacuum;
mod verify;
mod write;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use block::{Block, Values, Words};
pub use delta::DeltaCommit;
pub(crate) use delta::{Publishing, publish as publish_delta};
pub use hash::hash_table;
pub(crate) use plan::{FilePlan, Span, by_month, merge, plan_table};
pub(crate) use read::{FileReader, read_columns_of_days, read_rows_of_days};
pub use read::{read_days, read_product};
pub use schema::Table;
pub(crate) use schema::{BUCKETS, LakeColumn, bucket_of, bucket_shares};
pub(crate) use sync::{BYTES_PER_SYNCED_ROW, files_of, numbers_in_folder, plan_sync, sync};
pub use sync::{SyncPlan, SyncSummary};
pub(crate) use vacuum::{GRACE, has_data, retire, vacuum};
pub use verify::{LakeFinding, verify, verify_delta};
pub(crate) use write::{LakeWriter, ROW_GROUP_ROWS, Sealed};

use crate::error::Outcome;
use crate::files::{sync_folder, write_atomic};
use crate::store::Store;
use crate::store::lake::LakeFile;
use crate::store::ops::Identity;

/// Says whose lake this is.
const MARKER: &str = "amzctl-lake.json";

/// What can go wrong with files of the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("the lake's file {} is missing", .0.display())]
    Missing(PathBuf),
    #[error("cannot read or write {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not a sound Parquet file", path.display())]
    Parquet {
        path: PathBuf,
        #[source]
        source: polars::error::PolarsError,
    },
    #[error("the lake in {} belongs to another database", .0.display())]
    OfAnother(PathBuf),
    #[error("the lake in {} was not written by this database as it is now", .0.display())]
    Outdated(PathBuf),
}

impl LakeError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> LakeError {
        move |source| LakeError::Io { path: path.to_owned(), source }
    }

    fn open(path: &Path) -> impl FnOnce(io::Error) -> LakeError {
        move |source| match source.kind() {
            io::ErrorKind::NotFound => LakeError::Missing(path.to_owned()),
            _ => LakeError::Io { path: path.to_owned(), source },
        }
    }

    fn parquet(path: &Path) -> impl FnOnce(polars::error::PolarsError) -> LakeError {
        move |source| match source {
            // The writer's own errors keep their kind: a full disk is not a broken file.
            polars::error::PolarsError::IO { error, .. } => LakeError::Io {
                path: path.to_owned(),
                source: io::Error::new(error.kind(), error.to_string()),
            },
            source => LakeError::Parquet { path: path.to_owned(), source },
        }
    }

    pub fn outcome(&self) -> Outcome {
        Outcome::Failed
    }

    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            LakeError::Missing(_) => {
                "run `amzctl build-mart`: a missing file is written again from the database"
            }
            LakeError::Parquet { .. } => {
                "delete the file and run `amzctl build-mart`: it is written again from the database"
            }
            LakeError::OfAnother(_) => {
                return vec![
                    "every database needs a lake of its own: set [lake] root to another folder, then run \
                     `amzctl build-mart`"
                        .to_owned(),
                    "if the other database is gone, empty the folder instead".to_owned(),
                ];
            }
            LakeError::Outdated(_) => "run `amzctl build-mart`: it writes the lake anew from the database",
            LakeError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some disk space and run the command again"
            }
            LakeError::Io { .. } => "check the permissions of the lake's folder ([lake] root)",
        };
        vec![hint.to_owned()]
    }
}

/// The lake of one database.
#[derive(Clone, Debug)]
pub struct Lake {
    root: PathBuf,
}

/// The marker file: the database and the epoch that the files belong to.
#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Marker {
    database_uuid: String,
    lake_epoch: String,
}

/// Whose lake a folder is, seen from one database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    Us,
    /// This database, before it was restored from a backup.
    Before,
    Another,
    /// There is no marker, or none that can be understood.
    Nobody,
}

impl Lake {
    pub fn new(root: impl Into<PathBuf>) -> Lake {
        Lake { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn path_of(&self, file: &LakeFile) -> PathBuf {
        self.root.join(&file.path)
    }

    /// Whose lake the marker says this is.
    ///
    /// Errors: a marker that is there and cannot be read.
    pub(crate) fn owner(&self, identity: &Identity) -> Result<Owner, LakeError> {
        let path = self.root.join(MARKER);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Owner::Nobody);
            }
            Err(error) => return Err(LakeError::io(&path)(error)),
        };
        Ok(match serde_json::from_slice::<Marker>(&bytes) {
            Err(_) => Owner::Nobody,
            Ok(marker) if marker.database_uuid != identity.database_uuid => Owner::Another,
            Ok(marker) if marker.lake_epoch != identity.lake_epoch => Owner::Before,
            Ok(_) => Owner::Us,
        })
    }

    /// [`Lake::owner`], seen from the store's database; nobody's while that has no identity.
    pub(crate) async fn owner_for(&self, store: &Store) -> anyhow::Result<Owner> {
        match store.identity().await? {
            Some(identity) => Ok(self.owner(&identity)?),
            None => Ok(Owner::Nobody),
        }
    }

    /// Refuses to read files that this database did not write: those of equal names may hold another's figures.
    pub(crate) async fn check_owner(&self, store: &Store) -> anyhow::Result<()> {
        match self.owner_for(store).await? {
            Owner::Us => Ok(()),
            Owner::Another => Err(LakeError::OfAnother(self.root.clone()).into()),
            Owner::Before | Owner::Nobody => Err(LakeError::Outdated(self.root.clone()).into()),
        }
    }

    /// Writes the marker of this database and its epoch.
    pub(crate) fn claim(&self, identity: &Identity) -> Result<(), LakeError> {
        let marker =
            Marker { database_uuid: identity.database_uuid.clone(), lake_epoch: identity.lake_epoch.clone() };
        let text = serde_json::to_string(&marker)
            .map_err(|error| LakeError::Io { path: self.root.join(MARKER), source: error.into() })?;
        fs::create_dir_all(&self.root).map_err(LakeError::io(&self.root))?;
        write_atomic(&self.root.join(MARKER), format!("{text}\n").as_bytes())
            .map_err(LakeError::io(&self.root.join(MARKER)))
    }

    /// True when the file is there in its full size. Its content is only read by [`verify()`].
    pub(crate) fn is_whole(&self, file: &LakeFile) -> bool {
        fs::metadata(self.path_of(file)).is_ok_and(|meta| meta.len() == file.size_bytes as u64)
    }

    /// Makes the names of new files durable, with the folders they lie in.
    pub(crate) fn sync_folders(&self, files: &[LakeFile]) -> Result<(), LakeError> {
        // A new folder's own entry lies in its parent, up to the root.
        let folders: BTreeSet<PathBuf> = files
            .iter()
            .flat_map(|file| {
                let path = self.path_of(file);
                let above: Vec<_> = path.ancestors().skip(1).map(Path::to_owned).collect();
                above.into_iter().take_while(|folder| folder.starts_with(&self.root))
            })
            .collect();
        for folder in folders {
            sync_folder(&folder.join(MARKER)).map_err(LakeError::io(&folder))?;
        }
        Ok(())
    }
}
