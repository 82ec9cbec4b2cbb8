//! `init`: a commented configuration, the database with its identity, the lake folder. A second run says what exists
//! and changes nothing.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::context::Context;
use crate::clock::Clock;
use crate::config::{self, Config, FILE_NAME, LoadOptions};
use crate::error::{Failure, Outcome};
use crate::files::write_atomic;
use crate::ids::new_run_id;
use crate::model::Marketplace;
use crate::store::Store;
use crate::store::ops::Identity;

/// The variable that stands in for --config.
const CONFIG_VARIABLE: &str = "AMZCTL_CONFIG";
const TEMPLATE: &str = include_str!("amzctl.toml");

/// Write a commented amzctl.toml and make the database and the lake folder
///
/// Nothing that exists is overwritten: running it again says what is there, and makes what is missing.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct InitArgs {
    /// Folder of the new configuration, whatever AMZCTL_CONFIG says; made when missing [default: .]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,

    /// IANA time zone that decides to which day an observation belongs; fixed for the life of the database
    /// [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<String>,

    /// Marketplace of plain ASINs and of records that name none
    #[arg(long, value_name = "CODE")]
    pub marketplace: Option<Marketplace>,

    /// Say what would be made, and make nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What `init` made or found, one line each, and the configuration that now holds.
#[derive(Debug)]
pub struct Initialised {
    pub config: Config,
    pub lines: Vec<String>,
}

pub(super) async fn run(args: InitArgs, context: &Context) -> anyhow::Result<Outcome> {
    let zone = args.zone.as_deref().map(parse_zone).transpose()?;
    let mut load = LoadOptions::from_process(None).context("failed to find the working directory")?;
    // What is not in the variable was typed.
    let variable = load.variables.get(CONFIG_VARIABLE).map(PathBuf::from);
    let typed = context.global.config.as_ref().filter(|file| variable.as_ref() != Some(*file));
    load.file = match (&args.folder, &context.global.config) {
        (Some(folder), _) if typed.is_some_and(|file| *file != folder.join(FILE_NAME)) => {
            return Err(Failure::usage("both FOLDER and --config say where the configuration is")
                .hint("leave one of them out")
                .into());
        }
        (Some(folder), _) => Some(folder.join(FILE_NAME)),
        (None, Some(file)) if !file.exists() => {
            return Err(Failure::usage(format!("{}: no such configuration file", file.display()))
                .hint("without --config, `amzctl init FOLDER` writes one into the folder")
                .into());
        }
        (None, Some(file)) => Some(file.clone()),
        (None, None) => Some(FILE_NAME.into()),
    };
    if args.dry_run {
        return plan(&load, context);
    }
    let made = initialise(&load, zone, args.marketplace, context.clock).await?;
    for line in &made.lines {
        context.ui.note(line);
    }
    context.ui.note("next: `amzctl watch add UK:ASIN`, or `amzctl ingest FILE`");
    Ok(Outcome::Done)
}

/// Says what `init` would make.
fn plan(load: &LoadOptions, context: &Context) -> anyhow::Result<Outcome> {
    let file = load.folder.join(load.file.clone().unwrap_or_else(|| FILE_NAME.into()));
    let folder = file.parent().unwrap_or(&load.folder);
    let paths = if file.exists() {
        let config = config::load(load)?.config;
        // A server's database is there already.
        let database = config.database.file().map(Path::to_owned);
        [Some(file.clone()), database, Some(config.lake_root)]
    } else {
        let defaults = config::Settings::default();
        [file.clone(), folder.join(defaults.store.path), folder.join(defaults.lake.root)].map(Some)
    };
    for path in paths.into_iter().flatten() {
        let shown = path.strip_prefix(&load.folder).unwrap_or(&path).display();
        let word = if path.exists() { "exists      " } else { "would create" };
        context.ui.note(&format!("{word}  {shown}"));
    }
    Ok(Outcome::Done)
}

/// Makes what is missing of the configuration `load.file`, its database and its lake folder.
///
/// Errors: usage when an existing configuration or database has another zone than the one asked for.
pub async fn initialise(
    load: &LoadOptions,
    zone: Option<chrono_tz::Tz>,
    marketplace: Option<Marketplace>,
    clock: Clock,
) -> anyhow::Result<Initialised> {
    let mut lines = Vec::new();
    let file = load.folder.join(load.file.clone().unwrap_or_else(|| FILE_NAME.into()));
    let shown = |path: &Path| path.strip_prefix(&load.folder).unwrap_or(path).display().to_string();
    if file.exists() {
        lines.push(format!("exists   {}", shown(&file)));
    } else {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("failed to make {}", folder.display()))?;
        }
        write_atomic(&file, configuration(zone, marketplace).as_bytes())
            .with_context(|| format!("failed to write {}", file.display()))?;
        lines.push(format!("created  {}", shown(&file)));
    }
    let config = config::load(load)?.config;
    if let Some(zone) = zone.filter(|zone| *zone != config.zone.0) {
        return Err(Failure::usage(format!(
            "{} says zone {}, --zone says {zone}",
            shown(&file),
            config.zone.0
        ))
        .hint("the zone is fixed when a database is made; for another one begin in another folder")
        .into());
    }
    lines.push(make_database(&config, clock, &shown).await?);
    let existed = config.lake_root.is_dir();
    std::fs::create_dir_all(&config.lake_root)
        .with_context(|| format!("failed to make {}", config.lake_root.display()))?;
    lines.push(said(existed, &shown(&config.lake_root)));
    Ok(Initialised { config, lines })
}

async fn make_database(
    config: &Config,
    clock: Clock,
    shown: &impl Fn(&Path) -> String,
) -> anyhow::Result<String> {
    let name = config.database.file().map_or_else(|| config.database.to_string(), shown);
    let mut existed = config.database.file().is_some_and(Path::exists);
    if let Some(folder) = config.database.beside().parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let zone = config.zone.0.name().to_owned();
    let store = Store::create(config.database.clone()).await?;
    existed |= store.identity().await?.is_some();
    let identity = store
        .identify(&Identity {
            database_uuid: new_run_id(),
            lake_epoch: new_run_id(),
            zone: zone.clone(),
            created_at: clock.now(),
        })
        .await?;
    store.close().await;
    if identity.zone != zone {
        return Err(Failure::usage(format!(
            "{} keeps its days in time zone {}, the configuration says {zone}",
            name, identity.zone
        ))
        .hint(format!("set `zone = \"{}\"` under [time]", identity.zone))
        .into());
    }
    Ok(format!("{} (days in {zone})", said(existed, &name)))
}

fn said(existed: bool, name: &str) -> String {
    if existed { format!("exists   {name}") } else { format!("created  {name}") }
}

fn parse_zone(text: &str) -> Result<chrono_tz::Tz, Failure> {
    text.parse().map_err(|_| {
        Failure::usage(format!("`{text}` is not an IANA time zone such as UTC or Europe/Berlin"))
    })
}

/// The commented configuration, with what was asked for filled in.
fn configuration(zone: Option<chrono_tz::Tz>, marketplace: Option<Marketplace>) -> String {
    let zone = zone.unwrap_or(chrono_tz::UTC).name();
    let with_zone = TEMPLATE.replace("zone = \"UTC\"", &format!("zone = \"{zone}\""));
    match marketplace {
        Some(marketplace) => {
            with_zone.replace("#marketplace = \"US\"", &format!("marketplace = \"{marketplace}\""))
        }
        None => with_zone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, known_keys};

    /// The template with every commented key switched on.
    fn everything_on() -> String {
        let is_key = |line: &&str| line.strip_prefix('#').is_some_and(|rest| !rest.starts_with(' '));
        let lines = TEMPLATE.lines().map(|line| if is_key(&line) { &line[1..] } else { line });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_template_names_every_key_with_its_default() {
        let settings: Settings = toml::from_str(&everything_on()).unwrap();
        let mut settings = serde_json::to_value(settings).unwrap();
        for (key, default) in known_keys() {
            let value = settings.pointer_mut(&format!("/{}", key.replace('.', "/"))).unwrap();
            // What has no default is shown with an example.
            assert!(default.is_null() != value.is_null() || *value == default, "{key}");
            if default.is_null() {
                *value = default;
            }
        }
        assert_eq!(settings, serde_json::to_value(Settings::default()).unwrap());
        let table: toml::Table = toml::from_str(&everything_on()).unwrap();
        for (key, _) in known_keys() {
            let (section, key) = key.split_once('.').unwrap();
            assert!(table[section].as_table().unwrap().contains_key(key), "{section}.{key}");
        }
    }

    #[test]
    fn the_template_as_written_is_the_default_configuration() {
        let settings: Settings = toml::from_str(TEMPLATE).unwrap();
        assert_eq!(toml::to_string(&settings).unwrap(), toml::to_string(&Settings::default()).unwrap());
    }
}
