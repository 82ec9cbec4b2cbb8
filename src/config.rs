//! Configuration: defaults < user file < project file < `.env` < environment < flags; validated once.
//!
//! A key that no struct here has is refused with a suggestion. Relative paths are relative to the file's folder.

mod channels;
mod load;
mod origin;
mod serve;
mod sources;

pub(crate) use channels::region_of_queue;
pub use channels::{
    Channel, ChannelSections, ChannelSettings, Digesting, DiscordSettings, EVENT_TYPES, ExecSettings,
    HttpSettings, NtfySettings, Policy, QuietHours, SeverityWord, SlackSettings, SmtpSettings, SmtpTls,
    SnsSettings, SqsSettings, TeamsSettings, TelegramSettings, Transport, WebhookSettings,
};
pub use load::{ConfigError, FILE_NAME, LoadOptions, Loaded, Problem, load};
pub use origin::{KeyOrigin, known_keys};
pub use serve::ServeSettings;
pub use sources::{
    ApifySettings, FirecrawlSettings, HtmlSettings, KeepaSettings, RainforestSettings, SourcesSettings,
    SpApiSettings,
};

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{KNOWN_SOURCES, Marketplace, ReportingZone, Workspace};
use crate::store::Location;

/// What `amzctl.toml` may hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub store: StoreSettings,
    pub lake: LakeSettings,
    pub time: TimeSettings,
    pub defaults: DefaultSettings,
    pub ingest: IngestSettings,
    pub sources: SourcesSettings,
    pub apify: ApifySettings,
    pub keepa: KeepaSettings,
    pub sp_api: SpApiSettings,
    pub firecrawl: FirecrawlSettings,
    pub rainforest: RainforestSettings,
    pub html: HtmlSettings,
    pub normalize: NormalizeSettings,
    pub mart: MartSettings,
    pub alerts: AlertSettings,
    /// Further ways out for alerts: [channels.NAME].
    pub channels: ChannelSections,
    pub gate: GateSettings,
    pub own: OwnSettings,
    pub check: CheckSettings,
    pub run: RunSettings,
    pub retention: RetentionSettings,
    pub serve: ServeSettings,
}

/// Where the facts are kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// Path of the SQLite database.
    pub path: PathBuf,
    /// URL of a PostgreSQL database that is used instead: postgres://user@host/database?sslmode=verify-full. A password
    /// is better kept in PGPASSWORD or ~/.pgpass.
    pub url: Option<String>,
    /// How connections to the server are shared: "session", or "transaction" behind a pooler such as PgBouncer that gives
    /// each transaction another connection.
    pub pool_mode: PoolMode,
    /// Seconds to wait for another process that is writing, before giving up with exit code 7.
    pub busy_timeout_s: u32,
    /// Seconds after which the work of a host that is silent is another's, on a server.
    pub lease_s: u32,
}

impl Default for StoreSettings {
    fn default() -> Self {
        StoreSettings {
            path: "amzctl.db".into(),
            url: None,
            pool_mode: PoolMode::Session,
            busy_timeout_s: 10,
            lease_s: 60,
        }
    }
}

/// What a connection to a database server outlives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PoolMode {
    Session,
    Transaction,
}

/// Where the Parquet files are kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LakeSettings {
    /// Folder of the lake.
    pub root: PathBuf,
    /// Keep Delta logs beside the files, by which other engines read them.
    pub delta: bool,
}

impl Default for LakeSettings {
    fn default() -> Self {
        LakeSettings { root: "lake".into(), delta: true }
    }
}

/// What a day is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeSettings {
    /// IANA time zone that decides to which day an observation belongs. Fixed when the database is initialised.
    pub zone: String,
}

impl Default for TimeSettings {
    fn default() -> Self {
        TimeSettings { zone: "UTC".into() }
    }
}

/// What stands in where a command is not told.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DefaultSettings {
    /// Marketplace code of plain ASINs and of records that name none; without it such records are quarantined.
    pub marketplace: Option<String>,
    /// Workspace whose watchlist, cohorts, alerts and reports are meant: lower-case letters, digits and `-`, at most 40.
    pub workspace: String,
}

impl Default for DefaultSettings {
    fn default() -> Self {
        DefaultSettings { marketplace: None, workspace: Workspace::MAIN.to_owned() }
    }
}

/// Where a run finds new files.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSettings {
    /// Folder that `amzctl run` reads when it is given no path.
    pub inbox: PathBuf,
}

impl Default for IngestSettings {
    fn default() -> Self {
        IngestSettings { inbox: "inbox".into() }
    }
}

/// How a day's row is chosen.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NormalizeSettings {
    /// Sources, most trusted first; one that is not named comes after all that are.
    pub source_precedence: Vec<String>,
}

impl Default for NormalizeSettings {
    fn default() -> Self {
        NormalizeSettings { source_precedence: KNOWN_SOURCES.map(str::to_owned).to_vec() }
    }
}

/// What `build-mart` leaves in the database.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MartSettings {
    /// Days of deltas and aggregates served from the database; the whole history is in the lake.
    pub publish_days: u32,
}

impl Default for MartSettings {
    fn default() -> Self {
        MartSettings { publish_days: 35 }
    }
}

/// Which rules judge the mart, and where findings go.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertSettings {
    /// Shipped rule set: "calm", which is sure before it tells, or "plain", which tells everything at first sight.
    pub rules: String,
    /// File with what differs from the set; used where it is there. An empty name uses none.
    pub rules_file: Option<PathBuf>,
    /// Print events to standard output.
    pub stdout: bool,
    /// Append events to this NDJSON file; an empty name writes none.
    pub file: Option<PathBuf>,
    /// Slots without an observation after which a product is stale.
    pub stale_slots: u32,
    /// Hosts and addresses in private networks that channels may reach: names as they are written there, or IP addresses.
    pub allow_hosts: Vec<String>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        AlertSettings {
            rules: "calm".into(),
            rules_file: Some("rules.toml".into()),
            stdout: true,
            file: Some("alerts.ndjson".into()),
            stale_slots: 2,
            allow_hosts: Vec::new(),
        }
    }
}

/// What the rule set `calm` holds back until the next days confirm it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GateSettings {
    /// A price so many times the one before, or as many times less, needs a second look; 0: none does.
    pub implausible_factor: u32,
    /// Percent of a source's products that may show the same on one day.
    pub moved_pct: u32,
    /// And so many products, at least, before it is the source's doing.
    pub moved_products: u32,
    /// Products that do not change: when one does, what its source says that day is held back.
    pub canaries: Vec<String>,
    /// Days after which what is held back is decided without any evidence: what is held for itself and grave is told, what
    /// is held with many others goes the way of most of these.
    pub decide_after_days: u32,
    /// Providers that are to confirm grave findings, in the order they are asked; none: one source is enough.
    pub confirm_with: Vec<String>,
    /// From this severity on a finding is grave: "low", "medium", "high" or "critical".
    pub confirm_severity: SeverityWord,
    /// Units that each of these providers may be paid for it a day, in its own counting: tokens, credits, results. Has to
    /// be said where a provider is named.
    pub confirm_max_units_per_day: Option<u32>,
    /// Hours after which a finding is told unconfirmed where nobody could be asked.
    pub confirm_wait_h: u32,
}

impl Default for GateSettings {
    fn default() -> Self {
        GateSettings {
            implausible_factor: 5,
            moved_pct: 20,
            moved_products: 10,
            canaries: Vec::new(),
            decide_after_days: 7,
            confirm_with: Vec::new(),
            confirm_severity: SeverityWord::Critical,
            confirm_max_units_per_day: None,
            confirm_wait_h: 6,
        }
    }
}

/// Who we are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnSettings {
    /// Seller ids that are ours: `buy_box_lost` fires only for them.
    pub seller_ids: Vec<String>,
}

/// Limits of `amzctl check`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckSettings {
    /// Hours since the newest observation of a watched product before it is not fresh.
    pub max_age_hours: u32,
    /// Lowest share (0 to 1) of watched products with a row on the newest day.
    pub min_completeness: f64,
}

impl Default for CheckSettings {
    fn default() -> Self {
        CheckSettings { max_age_hours: 48, min_completeness: 0.5 }
    }
}

/// How a run judges itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunSettings {
    /// Percent of a run's items that may fail before it ends with exit code 3.
    pub tolerate_failed_pct: f64,
}

/// How many days `db retention` keeps what it may drop; what is not named is kept for ever.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Days to keep raw receipts and their bodies; 90 at least.
    pub raw_days: Option<u32>,
    /// Days to keep readings of observations that a newer normalizer replaced; 7 at least.
    pub readings_days: Option<u32>,
    /// Days to keep alerts that are dealt with, and what was told about them; 90 at least.
    pub alerts_days: Option<u32>,
    /// Days to keep the ledger of runs and of requests to providers; 62 at least.
    pub ledger_days: Option<u32>,
}

/// The validated configuration, paths resolved.
#[derive(Clone, Debug)]
pub struct Config {
    pub settings: Settings,
    /// The project file it came from; null when none was found.
    pub file: Option<PathBuf>,
    /// Somebody said where the database is: a project file was found, or a user file or variable names it.
    pub is_found: bool,
    pub database: Location,
    pub lake_root: PathBuf,
    /// Where `run` finds new files.
    pub inbox: PathBuf,
    /// What differs from the shipped rule set; null when no file is wanted.
    pub rules_file: Option<PathBuf>,
    /// Somebody has named it: it has to be there.
    pub is_rules_file_named: bool,
    /// Where events are appended; null when no file is wanted.
    pub alert_file: Option<PathBuf>,
    /// Every way out for alerts: stdout, the file, then the sections by name.
    pub channels: Vec<Channel>,
    pub zone: ReportingZone,
    pub marketplace: Option<Marketplace>,
    pub workspace: Workspace,
    /// Where saved product pages lie.
    pub pages: PathBuf,
    /// The variables of the `.env` file beside the project file that are no settings: where keys may be.
    pub dot_env: BTreeMap<String, String>,
}
