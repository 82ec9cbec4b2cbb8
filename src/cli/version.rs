//! `version`: what this binary is.

use serde_json::json;

use super::context::Context;
use super::output::OutputArgs;
use crate::error::Outcome;
use crate::render::rows::{Cell, Format};
use crate::store::Store;

/// Print the version, the schema version it writes, and what was compiled in
#[derive(Clone, Debug, clap::Args)]
pub(super) struct VersionArgs {
    #[command(flatten)]
    output: OutputArgs,
}

/// Optional parts of this build.
const FEATURES: &[&str] = &[
    #[cfg(feature = "failpoints")]
    "failpoints",
];

pub(super) async fn run(args: VersionArgs, context: &Context) -> anyhow::Result<Outcome> {
    let (version, schema_version) = (env!("CARGO_PKG_VERSION"), Store::SCHEMA_VERSION);
    if args.output.format() == Format::Table && args.output.fields.is_none() {
        let features = if FEATURES.is_empty() { "none".to_owned() } else { FEATURES.join(", ") };
        let text = format!("amzctl {version}\nschema version {schema_version}\nfeatures {features}\n");
        args.output.write(&text, context)?;
    } else {
        let fields = [
            ("version", version.into()),
            ("schema_version", schema_version.into()),
            ("features", Cell::Json(json!(FEATURES))),
        ];
        args.output.emit_record("amzctl.version/1", &fields, context)?;
    }
    Ok(Outcome::Done)
}
