//! amzctl keeps an honest daily record of Amazon products: the map of the house.
//!
//! ```text
//! providers, files ─ingest─▶ staging_raw ─normalize─▶ core ─build-mart─▶ lake, mart ─▶ compare · report · alert
//! ```
//!
//! | module | what it is |
//! | --- | --- |
//! | [`cli`] | what a person types and reads; dispatch, one file per subcommand |
//! | [`stages`] | the pipeline: one file per piece of work, each `run(ports, options) -> Summary` |
//! | [`sources`] | providers: one adapter each, asked by the stages; politeness and thrift as values |
//! | [`ingest`] | bytes to records: files, compression, formats, without knowing what a record means |
//! | [`normalize`] | one raw record to facts or rejects, the daily row, listing versions; pure |
//! | [`rollup`] | the measures: deltas, windows, comparisons, alert rules; pure, integers first |
//! | [`lake`] | Parquet files beside the database: written whole, listed in the database, read by that list; Delta logs for others |
//! | [`store`] | the database, embedded or a server's; one method is one unit of work |
//! | [`notify`] | ways out for alerts |
//! | [`narrate`] | the structured report: what a comparison means, in sentences by rule |
//! | [`serve`] | serve-lite: the mart for programs and people, by HTTP |
//! | [`render`] | values to text, tables, Markdown, HTML and charts; pure |
//! | [`generate`] | a seeded synthetic market in provider shapes, and the demo's story |
//! | [`model`] | values of the domain; constructing one validates it |
//! | [`deps`] | the adapters that the configuration asks for, built for the command line |
//! | [`config`], [`clock`], [`error`], [`ids`], [`lock`], [`logging`], [`files`], [`cancel`], [`mod@failpoint`] | the ground |
//!
//! What is absent keeps it simple:
//!
//! - `model`, `normalize`, `rollup` and `render` know no database, no file, no clock and no async.
//! - `sources` write nothing and decide nothing about money, order or repetition: `stages::fetch` does. Only
//!   `sources::http` asks providers by HTTP, and only `notify::http` posts messages.
//! - Only `store` contains SQL. Only `lake` knows Parquet paths. Only `cli` prints.
//! - Only `clock` asks for the time of facts. Ids are hashes of what they name; only runs, databases and lakes get
//!   random ones (`ids::new_run_id`), which no fact depends on.
//! - Dependencies point one way: `cli` → `serve` → `stages` → the rest; everything may use `model`.
//!
//! What always holds:
//!
//! - A raw record is stored, byte for byte, before anything is derived from it; staging is append-only.
//! - An effect and the record that it happened are one transaction, so a killed run is repeated, never repaired.
//! - A request that costs something is in the ledger before it is sent, and settled with everything its answer brought.
//! - Everything written has a natural key; running twice changes nothing.
//! - What a workspace owns (watchlist, cohorts, alerts, reports) is read and written by it alone; what was received and
//!   derived of products is everybody's.
//! - Unknown is null: never zero, never "in stock", never "no change". A day that was not seen is absent.
//! - Money is integer minor units. Sums are integer sums; every ratio is one division of exact integers.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cancel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod deps;
pub mod error;
pub mod failpoint;
pub mod files;
pub mod generate;
pub mod ids;
pub mod ingest;
pub mod lake;
pub mod lock;
pub mod logging;
pub mod model;
pub mod narrate;
pub mod normalize;
pub mod notify;
pub mod render;
pub mod rollup;
pub mod serve;
pub mod sources;
pub mod stages;
pub mod store;
