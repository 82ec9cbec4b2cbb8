//! `version`: what this binary is.

use serde::Serialize;

use super::context::Context;
use crate::error::Outcome;
use crate::store::Store;

/// Print the version, the schema version it writes, and what was compiled in
#[derive(Clone, Debug, clap::Args)]
pub(super) struct VersionArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    version: &'static str,
    schema_version: i64,
    features: &'static [&'static str],
}

/// Optional parts of this build.
const FEATURES: &[&str] = &[
    #[cfg(feature = "failpoints")]
    "failpoints",
];

pub(super) async fn run(args: VersionArgs, context: &Context) -> anyhow::Result<Outcome> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        let document = Document {
            schema: "amzctl.version/1",
            version,
            schema_version: Store::SCHEMA_VERSION,
            features: FEATURES,
        };
        context.ui.data(&serde_json::to_string_pretty(&document)?);
    } else {
        let features = if FEATURES.is_empty() { "none".to_owned() } else { FEATURES.join(", ") };
        context.ui.data(&format!(
            "amzctl {version}\nschema version {}\nfeatures {features}",
            Store::SCHEMA_VERSION
        ));
    }
    Ok(Outcome::Done)
}
