//! Finding, layering and checking the configuration. Reads files and the variables it is given; writes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::{Actual, Kind};
use figment::value::{Dict, Value as FigmentValue};
use figment::{Figment, Metadata, Profile, Provider, providers::Serialized};
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::channels::{self, ChannelFault, Transport};
use super::origin::{KeyOrigin, example, known_keys, leaves, nearest, settings_json};
use super::{Channel, Config, Policy, PoolMode, Settings};
use crate::error::Outcome;
use crate::model::{
    Marketplace, ReportingZone, SP_API_OPERATIONS, SpendingLimits, Workspace, check_live_source,
    check_source_name, micros_of_dollars, similar_source,
};
use crate::rollup::rules::SHIPPED;
use crate::store::Location;

/// The name that is looked for upwards from the working directory.
pub const FILE_NAME: &str = "amzctl.toml";
const PREFIX: &str = "AMZCTL_";
/// The section whose sections have names of the user's own.
const CHANNELS: &str = "channels";
const CHANNEL_PREFIX: &str = "channels.";
/// Events of one write and fsync to the file.
const FILE_GROUP: u32 = 200;
const DEFAULT_ORIGIN: &str = "default";
/// The one key of what the `toml` crate makes of a date or a time.
const TOML_DATE: &str = "$__toml_private_datetime";

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// A file that must exist, instead of the one found upwards.
    pub file: Option<PathBuf>,
    /// The working directory.
    pub folder: PathBuf,
    /// The environment.
    pub variables: BTreeMap<String, String>,
}

impl LoadOptions {
    /// This process's working directory and environment.
    pub fn from_process(file: Option<PathBuf>) -> std::io::Result<LoadOptions> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(LoadOptions { file, folder: std::env::current_dir()?, variables })
    }
}

/// A configuration and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub origins: Vec<KeyOrigin>,
}

/// One thing wrong with the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// `amzctl.toml:3`, `environment variable AMZCTL_X`
    pub place: String,
    pub message: String,
    pub hint: Option<String>,
}

/// What is wrong with the configuration: at least one problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    pub problems: Vec<Problem>,
}

impl ConfigError {
    fn one(place: impl Into<String>, message: impl Into<String>, hint: Option<String>) -> ConfigError {
        ConfigError { problems: vec![Problem { place: place.into(), message: message.into(), hint }] }
    }

    pub fn outcome(&self) -> Outcome {
        Outcome::Usage
    }

    pub fn hints(&self) -> Vec<String> {
        let first = self.problems.first().and_then(|problem| problem.hint.clone());
        let more =
            (self.problems.len() > 1).then(|| "`amzctl config validate` lists every problem".to_owned());
        first.into_iter().chain(more).collect()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [] => f.write_str("the configuration is not valid"),
            [only] => only.fmt(f),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Loads the configuration: flags are above it, everything below them is layered here.
///
/// Errors: a named file that does not exist, a file that is not TOML, unknown keys, values that are not valid.
pub fn load(options: &LoadOptions) -> Result<Loaded, ConfigError> {
    let project = match &options.file {
        Some(file) => Some(named_file(&options.folder.join(file), options)?),
        None => find_upwards(&options.folder),
    };
    let user = user_file(&options.variables).filter(|path| path.is_file());
    let mut layers = Layers::new(&options.folder, project.as_deref());
    for file in user.iter().chain(&project) {
        layers.add_file(file, options)?;
    }
    if let Some(folder) = project.as_deref().and_then(Path::parent) {
        layers.add_dot_env(&folder.join(".env"))?;
    }
    layers.add_variables(&options.variables, &options.folder, "environment variable");
    layers.finish(project)
}

fn named_file(path: &Path, options: &LoadOptions) -> Result<PathBuf, ConfigError> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    Err(ConfigError::one(
        shown(path, &options.folder),
        "no such configuration file",
        Some("--config must name an existing file; `amzctl init` writes one".to_owned()),
    ))
}

fn find_upwards(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file())
}

/// `$XDG_CONFIG_HOME/amzctl/config.toml`, by default below `~/.config`.
fn user_file(variables: &BTreeMap<String, String>) -> Option<PathBuf> {
    let set = |name: &str| variables.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("amzctl").join("config.toml"))
}

/// One source of values: a file, or a single variable.
struct Layer {
    /// What errors and `--origin` call it.
    name: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<figment::value::Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// The layers so far, and what is needed to speak about their values.
struct Layers {
    figment: Figment,
    /// Layer name → the folder its relative paths are relative to.
    folders: BTreeMap<String, PathBuf>,
    /// (layer name, key) → line, for files.
    lines: BTreeMap<(String, String), usize>,
    /// Of the `.env` file, what is no setting.
    dot_env: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Layers {
    fn new(folder: &Path, project: Option<&Path>) -> Layers {
        let base = project.and_then(Path::parent).unwrap_or(folder);
        Layers {
            figment: Figment::from(Serialized::defaults(Settings::default())),
            folders: BTreeMap::from([(DEFAULT_ORIGIN.to_owned(), base.to_owned())]),
            lines: BTreeMap::new(),
            dot_env: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    fn add(&mut self, layer: Layer, folder: &Path) {
        self.folders.insert(layer.name.clone(), folder.to_owned());
        self.figment = std::mem::take(&mut self.figment).merge(layer);
    }

    fn add_file(&mut self, path: &Path, options: &LoadOptions) -> Result<(), ConfigError> {
        let name = shown(path, &options.folder);
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::one(&name, format!("cannot be read: {error}"), None))?;
        let table = DeTable::parse(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(&text, span.start));
            ConfigError::one(format!("{name}:{line}"), error.message().trim().to_owned(), None)
        })?;
        let mut unknown = Vec::new();
        self.walk(&name, &text, "", table.get_ref(), &mut unknown);
        unknown.sort_by_key(|(line, _)| *line);
        self.problems.extend(unknown.into_iter().map(|(_, problem)| problem));
        let values: toml::Table = toml::from_str(&text).unwrap_or_default();
        let values = match FigmentValue::serialize(values) {
            Ok(FigmentValue::Dict(_, values)) => values,
            _ => Dict::new(),
        };
        self.add(Layer { name, values }, path.parent().unwrap_or(&options.folder));
        Ok(())
    }

    /// Remembers the line of every key, and collects those that no setting has.
    fn walk(
        &mut self,
        name: &str,
        text: &str,
        prefix: &str,
        table: &DeTable,
        unknown: &mut Vec<(usize, Problem)>,
    ) {
        let known = settings_json(&Settings::default());
        for (key, value) in table {
            let dotted = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let line = line_of(text, key.span().start);
            self.lines.insert((name.to_owned(), dotted.clone()), line);
            // What a channel's section may hold depends on its type, which another layer may say.
            if prefix == CHANNELS || prefix.starts_with(CHANNEL_PREFIX) {
                if let (CHANNELS, DeValue::Table(inner)) = (prefix, value.get_ref()) {
                    self.walk(name, text, &dotted, inner, unknown);
                }
                continue;
            }
            let pointer = format!("/{}", dotted.replace('.', "/"));
            match (known.pointer(&pointer), value.get_ref()) {
                (None, _) => unknown.push((line, unknown_key(format!("{name}:{line}"), &dotted))),
                (Some(Value::Object(_)), DeValue::Table(inner)) => {
                    self.walk(name, text, &dotted, inner, unknown)
                }
                _ => {}
            }
        }
    }

    fn add_dot_env(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(ConfigError::one(
                    path.display().to_string(),
                    format!("cannot be read: {error}"),
                    None,
                ));
            }
        };
        let variables = parse_dot_env(&text).map_err(|line| {
            let hint = Some("a line is NAME=value, or a comment that begins with #".to_owned());
            ConfigError::one(format!(".env:{line}"), "not an assignment", hint)
        })?;
        let folder = path.parent().unwrap_or(path).to_owned();
        self.add_variables(&variables, &folder, ".env variable");
        self.dot_env = variables.into_iter().filter(|(name, _)| !name.starts_with(PREFIX)).collect();
        Ok(())
    }

    /// Every `AMZCTL_SECTION__KEY`; other variables are not settings, unless they are clearly meant to be.
    fn add_variables(&mut self, variables: &BTreeMap<String, String>, folder: &Path, kind: &str) {
        for (variable, text) in variables {
            let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
            let place = format!("{kind} {variable}");
            let key = rest.to_lowercase().replace("__", ".");
            match example_of(&key) {
                Some(example) => {
                    let values = nested(&key, variable_value(text, &example));
                    self.add(Layer { name: place, values }, folder);
                }
                None if rest.contains("__") => self.problems.push(unknown_variable(place, &key)),
                None if known_keys().iter().any(|(known, _)| known.replace('.', "_") == key) => {
                    self.problems.push(unknown_variable(place, &key));
                }
                None => {}
            }
        }
    }

    /// Complains about sections of channels that cannot be read.
    fn check_channels(&mut self) {
        let (faults, errors) = channels::check_channels(&self.figment);
        self.add_channel_faults(faults);
        for error in errors {
            self.problems.extend(self.wrong_value(&error).problems);
        }
    }

    fn add_channel_faults(&mut self, faults: Vec<ChannelFault>) {
        for ChannelFault { key, message, hint } in faults {
            // What is missing has the place of its section.
            let section = key.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
            let origin = self.place(&key);
            let place = if origin == DEFAULT_ORIGIN { self.section_place(&section) } else { origin };
            self.problems.push(Problem { place, message, hint });
        }
    }

    /// Where a section begins, in the last file that has it.
    fn section_place(&self, section: &str) -> String {
        let line = self.lines.iter().rev().find(|((_, key), _)| key == section);
        line.map_or_else(|| "configuration".to_owned(), |((name, _), line)| format!("{name}:{line}"))
    }

    fn finish(mut self, project: Option<PathBuf>) -> Result<Loaded, ConfigError> {
        self.check_channels();
        if !self.problems.is_empty() {
            return Err(ConfigError { problems: self.problems });
        }
        let mut settings: Settings = self.figment.extract().map_err(|error| self.wrong_value(&error))?;
        // The paths that may be empty: that says that no file is wanted, which TOML has no other word for.
        settings.alerts.file = settings.alerts.file.filter(|path| !path.as_os_str().is_empty());
        settings.alerts.rules_file = settings.alerts.rules_file.filter(|path| !path.as_os_str().is_empty());
        let zone = self.checked("time.zone", settings.time.zone.parse::<chrono_tz::Tz>(), |_| {
            format!("`{}` is not an IANA time zone such as UTC or Europe/Berlin", settings.time.zone)
        });
        let marketplace = match &settings.defaults.marketplace {
            Some(code) => {
                self.checked("defaults.marketplace", code.parse::<Marketplace>(), |error| error.to_string())
            }
            None => None,
        };
        let workspace = self.checked(
            "defaults.workspace",
            settings.defaults.workspace.parse::<Workspace>(),
            ToString::to_string,
        );
        for (key, is_valid, expected) in ranges(&settings) {
            if !is_valid {
                self.complain(&key, format!("`{key}` {expected}"));
            }
        }
        for (key, chain) in
            [("sources.chain", &settings.sources.chain), ("gate.confirm_with", &settings.gate.confirm_with)]
        {
            for (message, hint) in chain_faults(key, chain) {
                let place = self.place(key);
                self.problems.push(Problem { place, message, hint });
            }
        }
        for (message, hint) in source_faults(&settings.normalize.source_precedence) {
            let place = self.place("normalize.source_precedence");
            self.problems.push(Problem { place, message, hint });
        }
        if !SHIPPED.contains(&settings.alerts.rules.as_str()) {
            let known = SHIPPED.map(|name| format!("`{name}`")).join(", ");
            self.problems.push(Problem {
                place: self.place("alerts.rules"),
                message: format!("there is no rule set `{}`", settings.alerts.rules),
                hint: Some(format!("[alerts] rules is one of {known}")),
            });
        }
        for (key, path, default) in paths(&settings) {
            if path.as_os_str().is_empty() {
                self.problems.push(Problem {
                    place: self.place(key),
                    message: format!("`{key}` is empty: it names no path"),
                    hint: Some(format!(
                        "name one, or leave the key out for the default, `{}`",
                        default.display()
                    )),
                });
            }
        }
        let (sections, faults) = channels::parse_channels(&settings.channels, zone.unwrap_or(chrono_tz::UTC));
        self.add_channel_faults(faults);
        let path = self.resolved("store.path", &settings.store.path);
        let database = match settings.store.url.as_deref() {
            None => Some(Location::File(path)),
            Some(url) => {
                let is_pooled = settings.store.pool_mode == PoolMode::Transaction;
                self.checked("store.url", Location::of_server(url, is_pooled, &path), String::clone)
            }
        };
        let (Some(zone), Some(database), Some(workspace), true) =
            (zone, database, workspace, self.problems.is_empty())
        else {
            return Err(ConfigError { problems: self.problems });
        };
        let alert_file = settings.alerts.file.as_deref().map(|path| self.resolved("alerts.file", path));
        let config = Config {
            channels: built_in_channels(&settings, alert_file.as_deref(), zone)
                .into_iter()
                .chain(sections)
                .collect(),
            file: project.clone(),
            is_found: project.is_some()
                || ["store.path", "store.url"].iter().any(|key| self.origin(key) != DEFAULT_ORIGIN),
            database,
            lake_root: self.resolved("lake.root", &settings.lake.root),
            inbox: self.resolved("ingest.inbox", &settings.ingest.inbox),
            rules_file: settings
                .alerts
                .rules_file
                .as_deref()
                .map(|path| self.resolved("alerts.rules_file", path)),
            is_rules_file_named: self.origin("alerts.rules_file") != DEFAULT_ORIGIN,
            alert_file,
            zone: ReportingZone(zone),
            marketplace,
            workspace,
            pages: self.resolved("html.folder", &settings.html.folder),
            dot_env: self.dot_env.clone(),
            settings,
        };
        let origins = leaves(&settings_json(&config.settings))
            .into_iter()
            .map(|(key, value)| KeyOrigin { origin: self.place(&key), key, value })
            .collect();
        Ok(Loaded { config, origins })
    }

    fn checked<T, E>(&mut self, key: &str, value: Result<T, E>, message: impl Fn(&E) -> String) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.complain(key, message(&error));
                None
            }
        }
    }

    fn complain(&mut self, key: &str, message: String) {
        self.problems.push(Problem { place: self.place(key), message, hint: None });
    }

    fn wrong_value(&self, error: &figment::Error) -> ConfigError {
        let path = error.path.join(".");
        let defaults = settings_json(&Settings::default());
        let default = |key: &str| {
            let own = defaults.pointer(&format!("/{}", key.replace('.', "/"))).cloned();
            own.or_else(|| channels::example_of(key.strip_prefix(CHANNEL_PREFIX)?.split_once('.')?.1))
        };
        // An item of a list has its number behind the key.
        let list = path.rsplit_once('.').filter(|(list, place)| {
            place.parse::<usize>().is_ok() && default(list).is_some_and(|value| value.is_array())
        });
        let (key, is_item) = list.map_or((path.as_str(), false), |(list, _)| (list, true));
        let default = default(key).filter(|_| !is_item).map(|default| example(key, &default));
        let is_date = self
            .figment
            .find_value(key)
            .is_ok_and(|value| matches!(&value, FigmentValue::Dict(_, date) if date.contains_key(TOML_DATE)));
        let message = match &error.kind {
            Kind::InvalidType(actual, _) | Kind::InvalidValue(actual, _) => {
                let what = if is_item { format!("an item of `{key}`") } else { format!("`{key}`") };
                let found = if is_date { "a date or a time".to_owned() } else { said(actual) };
                format!("{what} is {found}; it must be {}", expected(default.as_ref(), actual))
            }
            Kind::UnknownVariant(found, words) => {
                format!("`{path}` is the text {found:?}; it must be one of {}", words.join(", "))
            }
            other => format!("`{path}`: {other}"),
        };
        let place = if key.is_empty() { "configuration".to_owned() } else { self.place(key) };
        ConfigError::one(place, message, None)
    }

    /// The name of the layer that gave the value.
    fn origin(&self, key: &str) -> String {
        match self.figment.find_metadata(key) {
            Some(metadata) if self.folders.contains_key(metadata.name.as_ref()) => metadata.name.to_string(),
            _ => DEFAULT_ORIGIN.to_owned(),
        }
    }

    /// The layer, with the line where it is a file.
    fn place(&self, key: &str) -> String {
        let origin = self.origin(key);
        match self.lines.get(&(origin.clone(), key.to_owned())) {
            Some(line) => format!("{origin}:{line}"),
            None => origin,
        }
    }

    /// The path, relative to the folder of whoever gave it.
    fn resolved(&self, key: &str, path: &Path) -> PathBuf {
        self.folders.get(&self.origin(key)).map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }
}

/// The channels that `[alerts]` asks for.
fn built_in_channels(settings: &Settings, file: Option<&Path>, zone: chrono_tz::Tz) -> Vec<Channel> {
    let stdout = settings.alerts.stdout.then(|| Channel {
        name: "stdout".to_owned(),
        policy: Policy::built_in(1, zone),
        transport: Transport::Stdout,
    });
    let recipient = settings.alerts.file.as_ref().map(|path| path.display().to_string());
    let file = file.zip(recipient).map(|(path, recipient)| Channel {
        name: "file".to_owned(),
        policy: Policy::built_in(FILE_GROUP, zone),
        transport: Transport::File { recipient, path: path.to_owned() },
    });
    stdout.into_iter().chain(file).collect()
}

/// A value of the kind that a key takes; null for a key that nothing has.
fn example_of(key: &str) -> Option<Value> {
    if let Some((name, inner)) = key.strip_prefix(CHANNEL_PREFIX).and_then(|rest| rest.split_once('.')) {
        return channels::example_of(inner).filter(|_| !name.is_empty());
    }
    let (key, default) = known_keys().into_iter().find(|(known, _)| known == key)?;
    Some(example(&key, &default))
}

/// (key, is valid, what is expected of it)
fn ranges(settings: &Settings) -> Vec<(String, bool, &'static str)> {
    let Settings {
        mart,
        alerts,
        gate,
        check,
        run,
        store,
        apify,
        keepa,
        sp_api,
        firecrawl,
        rainforest,
        html,
        serve,
        ..
    } = settings;
    let is_price = |dollars: f64| micros_of_dollars(dollars).is_some();
    let own = [
        ("store.busy_timeout_s", store.busy_timeout_s <= 3_600, "must be 0 to 3600"),
        ("store.lease_s", (1..=3_600).contains(&store.lease_s), "must be 1 to 3600"),
        ("mart.publish_days", (1..=3_650).contains(&mart.publish_days), "must be 1 to 3650"),
        ("alerts.stale_slots", (1..=365).contains(&alerts.stale_slots), "must be 1 to 365"),
        ("check.max_age_hours", (1..=87_600).contains(&check.max_age_hours), "must be 1 to 87600"),
        ("check.min_completeness", (0.0..=1.0).contains(&check.min_completeness), "must be 0 to 1"),
        ("run.tolerate_failed_pct", (0.0..=100.0).contains(&run.tolerate_failed_pct), "must be 0 to 100"),
        ("apify.batch", (1..=10_000).contains(&apify.batch), "must be 1 to 10000"),
        ("apify.wait_s", apify.wait_s <= 60, "must be 0 to 60"),
        ("apify.timeout_s", apify.timeout_s > apify.wait_s, "must be longer than `apify.wait_s`"),
        ("apify.usd_per_result", is_price(apify.usd_per_result), "must be an amount of dollars"),
        ("keepa.offers", keepa.offers == 0 || (20..=100).contains(&keepa.offers), "must be 0, or 20 to 100"),
        ("keepa.usd_per_token", is_price(keepa.usd_per_token), "must be an amount of dollars"),
        ("firecrawl.version", ["v1", "v2"].contains(&firecrawl.version.as_str()), "must be v1 or v2"),
        ("firecrawl.batch", (1..=1_000).contains(&firecrawl.batch), "must be 1 to 1000"),
        (
            "firecrawl.proxy",
            ["", "basic", "stealth", "auto"].contains(&firecrawl.proxy.as_str()),
            "must be basic, stealth, auto or empty",
        ),
        ("gate.decide_after_days", (1..=365).contains(&gate.decide_after_days), "must be 1 to 365"),
        ("gate.confirm_wait_h", (1..=168).contains(&gate.confirm_wait_h), "must be 1 to 168"),
        (
            "gate.confirm_max_units_per_day",
            gate.confirm_with.is_empty() || gate.confirm_max_units_per_day.is_some(),
            "is missing: say how many units each provider of `gate.confirm_with` may be paid for it a day",
        ),
        ("firecrawl.usd_per_credit", is_price(firecrawl.usd_per_credit), "must be an amount of dollars"),
        ("rainforest.usd_per_credit", is_price(rainforest.usd_per_credit), "must be an amount of dollars"),
        (
            "sp_api.operations",
            !sp_api.operations.is_empty()
                && sp_api.operations.iter().all(|name| SP_API_OPERATIONS.contains(&name.as_str())),
            "must name some of catalog, offers, competitive_summary, inventory",
        ),
    ];
    let is_kept = |SpendingLimits { run, day, month }: SpendingLimits, price: f64| {
        price > 0.0 || [run, day, month].iter().all(|limit| limit.micros.is_none())
    };
    let money = [
        (
            "apify.max_usd_run",
            is_kept(apify.limits(), apify.usd_per_result),
            "and its like need `apify.usd_per_result`: without a price no limit in dollars can be kept",
        ),
        (
            "keepa.max_usd_run",
            is_kept(keepa.limits(), keepa.usd_per_token),
            "and its like need `keepa.usd_per_token`: without a price no limit in dollars can be kept",
        ),
        (
            "firecrawl.max_usd_run",
            is_kept(firecrawl.limits(), firecrawl.usd_per_credit),
            "and its like need `firecrawl.usd_per_credit`: without a price no limit in dollars can be kept",
        ),
        (
            "rainforest.max_usd_run",
            is_kept(rainforest.limits(), rainforest.usd_per_credit),
            "and its like need `rainforest.usd_per_credit`: without a price no limit in dollars can be kept",
        ),
    ];
    let shared = [
        ("apify", apify.ranges()),
        ("keepa", keepa.ranges()),
        ("sp_api", sp_api.ranges()),
        ("firecrawl", firecrawl.ranges()),
        ("rainforest", rainforest.ranges()),
        ("html", html.ranges()),
    ];
    let shared = shared.into_iter().flat_map(|(section, ranges)| {
        ranges.map(|(key, is_valid, expected)| (format!("{section}.{key}"), is_valid, expected))
    });
    own.into_iter()
        .chain(money)
        .map(|(key, is_valid, expected)| (key.to_owned(), is_valid, expected))
        .chain(shared)
        .chain(serve.ranges().map(|(key, is_valid, expected)| (format!("serve.{key}"), is_valid, expected)))
        .collect()
}

/// What is wrong with a chain of sources, each with a hint.
fn chain_faults(key: &str, chain: &[String]) -> Vec<(String, Option<String>)> {
    let fault = |(index, name): (usize, &String)| {
        if chain[..index].contains(name) {
            return Some((format!("`{key}` names `{name}` twice"), None));
        }
        check_live_source(name).err().map(|(message, hint)| (format!("`{key}`: {message}"), hint))
    };
    chain.iter().enumerate().filter_map(fault).collect()
}

/// What is wrong with the order of sources, each with a hint: a repeated name, one that no source can have, and one
/// that is nearly that of a known source which is left out. Other names are those of `ingest --source`.
fn source_faults(precedence: &[String]) -> Vec<(String, Option<String>)> {
    const KEY: &str = "`normalize.source_precedence`";
    let mut faults = Vec::new();
    for (index, name) in precedence.iter().enumerate() {
        let similar = similar_source(name).filter(|known| !precedence.iter().any(|other| other == known));
        let hint = similar.map(|known| format!("did you mean `{known}`?"));
        if precedence[..index].contains(name) {
            faults.push((format!("{KEY} names `{name}` twice"), None));
        } else if let Err(rule) = check_source_name(name) {
            let name = if name.is_empty() { "an empty text".to_owned() } else { format!("`{name}`") };
            faults.push((format!("{KEY}: {name} is no name of a source"), hint.or(Some(rule.to_owned()))));
        } else if let (Some(known), Some(hint)) = (similar, hint) {
            let own = format!("{hint} If it is a source of your own, name `{known}` in the list too");
            faults.push((format!("{KEY}: unknown source `{name}`"), Some(own)));
        }
    }
    faults
}

/// A value as a person would call it.
fn said(actual: &Actual) -> String {
    match actual {
        Actual::Bool(flag) => format!("`{flag}`"),
        Actual::Unsigned(number) => format!("the number {number}"),
        Actual::Signed(number) => format!("the number {number}"),
        Actual::Float(number) => format!("the number {number:?}"),
        Actual::Char(c) => format!("the text {:?}", c.to_string()),
        Actual::Str(text) => format!("the text {text:?}"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a section with keys".to_owned(),
        other => other.to_string(),
    }
}

/// What the setting with this default must be, said to somebody who wrote `actual`; null is an item of a list.
fn expected(default: Option<&Value>, actual: &Actual) -> &'static str {
    match (default, actual) {
        (Some(Value::Number(number)), _) if number.is_f64() => "a number",
        (Some(Value::Number(_)), Actual::Signed(..0)) => "a whole number, zero or more",
        (Some(Value::Number(_)), Actual::Signed(_) | Actual::Unsigned(_)) => "a smaller whole number",
        (Some(Value::Number(_)), _) => "a whole number",
        (Some(Value::Bool(_)), _) => "`true` or `false`",
        (Some(Value::Array(_)), _) => "a list such as [\"a\", \"b\"]",
        (Some(Value::Object(_)), _) => "a section with keys",
        (Some(Value::String(_) | Value::Null) | None, _) => "a text in quotes",
    }
}

/// (key, its path, the default): none may be empty, for that would be the folder of whoever gave it.
fn paths(settings: &Settings) -> [(&'static str, &Path, PathBuf); 3] {
    let Settings { store, lake, ingest, .. } = Settings::default();
    [
        ("store.path", &settings.store.path, store.path),
        ("lake.root", &settings.lake.root, lake.root),
        ("ingest.inbox", &settings.ingest.inbox, ingest.inbox),
    ]
}

fn unknown_key(place: String, key: &str) -> Problem {
    let hint = nearest(key).map(|near| format!("did you mean `{near}`?"));
    Problem { place, message: format!("unknown key `{key}`"), hint }
}

fn unknown_variable(place: String, key: &str) -> Problem {
    let variable = |key: &str| format!("{PREFIX}{}", key.replace('.', "__").to_uppercase());
    let meant = known_keys().into_iter().find(|(known, _)| known.replace('.', "_") == key.replace('.', "_"));
    let of_channel = || {
        let (name, inner) = key.strip_prefix(CHANNEL_PREFIX)?.split_once('.')?;
        Some(format!("{CHANNEL_PREFIX}{name}.{}", channels::nearest_key(inner)?))
    };
    let near = meant.map(|(known, _)| known).or_else(of_channel).or_else(|| nearest(key));
    let hint = near.map(|near| format!("did you mean `{}`?", variable(&near)));
    Problem { place, message: "names no setting".to_owned(), hint }
}

/// A variable's text as the type of the setting it stands for, of which `default` is an example; text that does not fit is left to the type check.
fn variable_value(text: &str, default: &Value) -> FigmentValue {
    match default {
        Value::Number(_) => text
            .parse::<i64>()
            .map(FigmentValue::from)
            .or_else(|_| text.parse::<f64>().map(FigmentValue::from))
            .unwrap_or_else(|_| FigmentValue::from(text)),
        Value::Bool(_) => text.parse::<bool>().map_or_else(|_| FigmentValue::from(text), FigmentValue::from),
        Value::Array(_) => {
            let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
            let items =
                inner.split(',').map(|item| item.trim().trim_matches('"')).filter(|item| !item.is_empty());
            FigmentValue::from(items.map(str::to_owned).collect::<Vec<_>>())
        }
        _ => FigmentValue::from(text),
    }
}

fn nested(key: &str, value: FigmentValue) -> Dict {
    figment::util::nest(key, value).into_dict().unwrap_or_default()
}

/// The assignments of a `.env` file; an error is the number of the line that is none.
fn parse_dot_env(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut variables = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let assignment = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = assignment.split_once('=').ok_or(index + 1)?;
        let value = value.trim();
        let quoted = ['"', '\''].iter().find_map(|&mark| value.strip_prefix(mark)?.strip_suffix(mark));
        variables.insert(name.trim().to_owned(), quoted.unwrap_or(value).to_owned());
    }
    Ok(variables)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1
}

/// The path as a person would write it from the working directory.
fn shown(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}
