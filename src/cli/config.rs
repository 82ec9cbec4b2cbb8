//! `config`: what holds, where it comes from, whether it is valid, and what may be said.

use anyhow::Context as _;
use serde_json::Value;

use super::OutputArgs;
use super::context::Context;
use crate::config::{self, Config, ConfigError, LoadOptions, Loaded, Settings};
use crate::error::{Failure, Outcome};
use crate::render::rows::{Cell, Format, Rows};

/// Show and check the configuration
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Show every key and its value; secrets are not shown
    Show(ShowArgs),
    /// Check the configuration and list every problem
    Validate(ValidateArgs),
    /// Print the JSON Schema of amzctl.toml; in another format its keys, a line each
    Schema(SchemaArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct ShowArgs {
    /// Say where each value comes from
    #[arg(long)]
    origin: bool,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct ValidateArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct SchemaArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: ConfigArgs, context: &Context) -> anyhow::Result<Outcome> {
    match args.command {
        ConfigCommand::Show(args) => show(&args, context)?,
        ConfigCommand::Validate(args) => validate(&args, context).await?,
        ConfigCommand::Schema(args) => schema(&args, context)?,
    }
    Ok(Outcome::Done)
}

fn load(context: &Context) -> anyhow::Result<Result<Loaded, ConfigError>> {
    let options = LoadOptions::from_process(context.global.config.clone())
        .context("failed to find the working directory")?;
    Ok(config::load(&options))
}

fn show(args: &ShowArgs, context: &Context) -> anyhow::Result<()> {
    let Loaded { config, origins } = load(context)??;
    if config.file.is_none() {
        context.ui.note("no amzctl.toml here or above: `amzctl init` writes one");
    }
    let columns: &[&str] = if args.origin { &["key", "value", "origin"] } else { &["key", "value"] };
    let mut rows = Rows::new("amzctl.config/1", columns);
    for origin in origins {
        let mut row = vec![origin.key.as_str().into(), shown(&origin.key, &origin.value)];
        if args.origin {
            row.push(origin.origin.into());
        }
        rows.push(row);
    }
    args.output.emit(&rows, context)
}

fn schema(args: &SchemaArgs, context: &Context) -> anyhow::Result<()> {
    let schema = serde_json::to_value(schemars::schema_for!(Settings))?;
    let is_document = matches!(args.output.format, None | Some(Format::Json)) && args.output.fields.is_none();
    if is_document {
        return args.output.write(&format!("{schema:#}\n"), context);
    }
    let mut rows = Rows::new("amzctl.config.schema/1", &["key", "type", "default", "description"]).wrapping();
    for (key, default) in config::known_keys() {
        let property = property_of(&schema, &key);
        let text = |name: &str| property.and_then(|property| property[name].as_str());
        rows.push(vec![
            key.as_str().into(),
            property.map(type_of).into(),
            shown(&key, &default),
            // The first paragraph's line breaks are those of the source.
            text("description").map(|text| text.replace('\n', " ")).into(),
        ]);
    }
    args.output.emit(&rows, context)
}

/// What the schema says of a dotted key.
fn property_of<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let (section, name) = key.split_once('.')?;
    let pointer = schema["properties"][section]["$ref"].as_str()?.strip_prefix('#')?;
    schema.pointer(pointer)?["properties"].get(name)
}

/// `string`, or `string or null` where the key may be left without a value.
fn type_of(property: &Value) -> String {
    match &property["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        other => other.as_str().unwrap_or("any").to_owned(),
    }
}

/// The value as it may be shown: a secret is not.
fn shown(key: &str, value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::String(_) if is_secret(key) => "***".into(),
        Value::String(text) => without_password(text).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => number.as_i64().map_or_else(|| number.as_f64().into(), Cell::from),
        nested => Cell::Json(nested.clone()),
    }
}

/// Keys whose value is the secret itself, or a command that prints it. `*_env` and `*_file` only name a place.
fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or_default();
    let names_place = last.ends_with("_env") || last.ends_with("_file");
    let words = ["secret", "token", "password", "api_key", "_command", "webhook_url"];
    !names_place && words.iter().any(|word| last.contains(word))
}

/// `postgres://user:***@host/db` of a URL with a password.
fn without_password(text: &str) -> String {
    let hidden = || {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (userinfo, host) = authority.rsplit_once('@')?;
        let (user, _) = userinfo.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{host}/{path}"))
    };
    hidden().unwrap_or_else(|| text.to_owned())
}

async fn validate(args: &ValidateArgs, context: &Context) -> anyhow::Result<()> {
    let mut rows = Rows::new("amzctl.config.validate/1", &["place", "problem", "hint"]).wrapping();
    let loaded = load(context)?;
    if let Err(error) = &loaded {
        for problem in &error.problems {
            let hint = problem.hint.as_ref();
            rows.push(vec![problem.place.as_str().into(), problem.message.as_str().into(), hint.into()]);
        }
    }
    args.output.emit(&rows, context)?;
    match loaded {
        Ok(Loaded { config, .. }) => {
            check_database(&config, context).await?;
            let name = config
                .file
                .as_ref()
                .map_or("the default configuration".into(), |file| file.display().to_string());
            context.ui.note(&format!("{name} is valid"));
            Ok(())
        }
        Err(error) => {
            let count = error.problems.len();
            let problems = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
            Err(Failure::usage(format!("the configuration has {problems}")).into())
        }
    }
}

/// The zone must be the one that the database was made with, where it is a file that is there. A server is not asked.
async fn check_database(config: &Config, context: &Context) -> anyhow::Result<()> {
    if config.is_found && config.database.file().is_some_and(|path| path.exists()) {
        context.with_config(config.clone()).open_store().await?.close().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_their_places_are() {
        for (key, value, expected) in [
            ("sources.keepa.api_key", "abc", "***"),
            ("sources.keepa.api_key_env", "KEEPA_KEY", "KEEPA_KEY"),
            ("notify.smtp.password_command", "pass show smtp", "***"),
            ("store.url", "postgres://me:secret@db.example/amzctl", "postgres://me:***@db.example/amzctl"),
            ("store.path", "amzctl.db", "amzctl.db"),
        ] {
            assert_eq!(shown(key, &Value::String(value.into())), Cell::from(expected), "{key}");
        }
    }
}
