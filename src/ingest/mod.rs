//! Files to records: what is meant by a path, what a file's bytes are, and where one record ends.
//!
//! Reads files and standard input, writes only the copy of standard input. Knows no database, no provider format
//! and no clock: what a record says is `normalize`'s business. One unit of work is one record ([`Piece`]); reading
//! the same bytes again gives the same pieces, whatever the size of the reads.

mod captured;
mod cells;
mod discover;
mod input;
mod parquet;
mod sniff;
mod split;
mod spool;
mod window;
mod workbook;

pub use captured::{PathDay, day_in_path};
pub use discover::{DiscoverError, Found, KNOWN_ENDINGS, discover};
pub use input::{DEFAULT_OUTPUT_CAP, FileIdentity, InputError, identify, open};
pub use sniff::Refusal;
pub use split::{Content, Limits, OpenError, Piece, Place, Problem, Reason, Splitter};
pub use spool::{Spool, Spooled};
