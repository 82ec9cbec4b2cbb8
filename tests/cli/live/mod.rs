//! Asking providers, from end to end: the real binary against the simulator of the providers.
//!
//! | file | what is asserted |
//! | --- | --- |
//! | `sources` | each provider's answers land, cost what they cost, and are read |
//! | `sweep` | kills at named points and at random moments under faults: nothing missing, nothing paid twice |
//! | `secrets` | no key in any byte that is written |
//! | `politeness` | rates are kept and used, servers' hints are obeyed |
//! | `budgets`, `chains`, `plan` | limits, fallbacks and breakers, what would be asked |
//! | `confirm` | a second source about what is grave |
//! | `hosts` | several hosts on one server: one list, one rate, one budget |
//! | `html` | pages that somebody saved, and the shop's own |
//! | `reports`, `backfill` | costs, doctor, days of the past |

mod backfill;
mod budgets;
mod chains;
mod confirm;
mod hosts;
mod html;
mod plan;
mod politeness;
mod reports;
mod secrets;
mod sources;
mod sweep;

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::process::Command;

use sqlx::{ConnectOptions as _, Connection as _};

use crate::sandbox::{NOW, Sandbox};
use crate::server::fresh_database;
use crate::simulator::{Config, Simulator, Source};

/// A folder with a database, and the providers it asks.
pub(crate) struct Live {
    pub(crate) sandbox: Sandbox,
    pub(crate) simulator: Simulator,
    settings: BTreeMap<String, BTreeMap<String, String>>,
    /// Null: the system's clock.
    now: Option<String>,
    /// Of a server's database; null: the embedded one.
    url: Option<String>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Null: killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A simulator whose providers live in the tests' present, and whose jobs are over at once.
pub(crate) fn config() -> Config {
    Config { now: NOW.parse().unwrap(), run_polls: 1, batch_polls: 1, ..Config::default() }
}

impl Live {
    /// Nothing is watched yet. `chain` is separated by commas; rates are as good as none.
    pub(crate) fn new(config: Config, chain: &str) -> Live {
        let simulator = Simulator::start(config).unwrap();
        let url = fresh_database();
        let sandbox = url.as_deref().map_or_else(Sandbox::empty, Sandbox::empty_on);
        sandbox.succeed("init -q");
        let mut live = Live { sandbox, simulator, settings: BTreeMap::new(), now: Some(NOW.to_owned()), url };
        for source in Source::ALL {
            let section = source.name().replace('-', "_");
            let base = live.simulator.base_url(source);
            live.put(&section, "base_url", format!("{base:?}"));
            live.put(&section, "requests_per_second", "10000.0");
            live.put(&section, "burst", 10_000);
            live.put(&section, "timeout_s", 20);
        }
        let token_url = format!("{:?}", live.simulator.base_url(Source::SpApi));
        live.put("store", "path", "\"amzctl.db\"");
        live.put("sp_api", "token_url", token_url);
        live.put("apify", "wait_s", 1);
        live.put("apify", "usd_per_result", "0.0008");
        let names: Vec<&str> = chain.split(',').filter(|name| !name.is_empty()).collect();
        live.put("sources", "chain", format!("{names:?}"));
        live.write_settings();
        live
    }

    fn put(&mut self, section: &str, key: &str, value: impl Display) {
        self.settings.entry(section.to_owned()).or_default().insert(key.to_owned(), value.to_string());
    }

    /// Sets a key of the configuration; a text brings its own quotes.
    pub(crate) fn set(&mut self, section: &str, key: &str, value: impl Display) {
        self.put(section, key, value);
        self.write_settings();
    }

    /// Puts the default back.
    pub(crate) fn unset(&mut self, section: &str, key: &str) {
        self.settings.entry(section.to_owned()).or_default().remove(key);
        self.write_settings();
    }

    fn write_settings(&self) {
        let mut text = String::from("[lake]\nroot = \"lake\"\n");
        for (section, keys) in &self.settings {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        self.sandbox.write("amzctl.toml", text);
    }

    /// From now on it is this instant, for amzctl and for the providers.
    pub(crate) fn set_now(&mut self, now: &str) {
        self.simulator.set_now(now.parse().unwrap());
        self.now = Some(now.to_owned());
    }

    /// amzctl asks the system for the time; the simulator's must have been set up to run.
    pub(crate) fn use_real_clock(&mut self) {
        self.now = None;
    }

    /// Watches products of the US, or of the marketplaces they name.
    pub(crate) fn watch(&self, products: &[String], options: &str) {
        self.sandbox.write("watch.txt", products.join("\n"));
        self.ok(&format!("watch add -q --marketplace US {options} watch.txt"));
    }

    /// Products that exist and some that do not; the latter come last.
    pub(crate) fn products(&self, existing: usize, missing: usize) -> Vec<String> {
        let mut products = self.simulator.existing_asins("US", existing);
        products.extend(self.simulator.missing_asins("US", missing));
        products
    }

    /// The variables that hold the keys.
    pub(crate) fn keys(&self) -> [(&'static str, String); 7] {
        let keys = self.simulator.keys().clone();
        [
            ("APIFY_TOKEN", keys.apify),
            ("KEEPA_API_KEY", keys.keepa),
            ("FIRECRAWL_API_KEY", keys.firecrawl),
            ("RAINFOREST_API_KEY", keys.rainforest),
            ("SP_API_CLIENT_ID", keys.sp_client_id),
            ("SP_API_CLIENT_SECRET", keys.sp_client_secret),
            ("SP_API_REFRESH_TOKEN_NA", keys.sp_refresh_token),
        ]
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = self.sandbox.command(line);
        command.envs(self.keys());
        match &self.now {
            Some(now) => command.env("AMZCTL_NOW", now),
            None => command.env_remove("AMZCTL_NOW"),
        };
        command
    }

    pub(crate) fn run(&self, line: &str) -> Ended {
        Ended::of(&mut self.command(line))
    }

    /// Runs a command line that has to end with 0.
    pub(crate) fn ok(&self, line: &str) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(0), "{line}: {ended:#?}");
        ended
    }

    /// Runs a command line with JSON on its stdout that has to end with 0.
    pub(crate) fn json(&self, line: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(line).stdout).unwrap()
    }

    /// The rows of a statement with one text column.
    pub(crate) fn lines(&self, sql: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            if let Some(url) = &self.url {
                return lines_on_server(url, sql).await;
            }
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.sandbox.path("amzctl.db"));
            let mut connection = options.connect().await.unwrap();
            let statement = sqlx::AssertSqlSafe(sql.to_owned());
            let rows = sqlx::query_scalar::<_, Option<String>>(statement).fetch_all(&mut connection).await;
            connection.close().await.unwrap();
            rows.unwrap().into_iter().map(Option::unwrap_or_default).collect()
        })
    }

    /// The number that a statement gives.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let rows = self.lines(&format!("SELECT CAST(({sql}) AS TEXT)"));
        rows[0].parse().unwrap_or_else(|_| panic!("{sql} gives `{}`", rows[0]))
    }

    /// What was received, without what differs from run to run.
    #[cfg(feature = "failpoints")]
    pub(crate) fn receipts(&self) -> Vec<String> {
        self.lines(
            "SELECT source || ' ' || kind || ' ' || marketplace || ':' || asin_requested || ' ' || observed_at || ' '
               || body_sha256 FROM raw_receipts ORDER BY 1",
        )
    }

    /// Requests that a source has answered or refused so far.
    pub(crate) fn asked(&self, source: Source) -> u64 {
        let ledger = self.simulator.ledger();
        ledger["sources"][source.name()]["requests"].as_u64().unwrap_or(0)
    }

    /// Requests of one operation, however they ended.
    pub(crate) fn asked_for(&self, source: Source, operation: &str) -> u64 {
        self.simulator.outcomes(source, operation).iter().map(|(_, count)| count).sum()
    }
}

async fn lines_on_server(url: &str, sql: &str) -> Vec<String> {
    let mut connection = url.parse::<sqlx::postgres::PgConnectOptions>().unwrap().connect().await.unwrap();
    let path = "SET search_path TO ops, core, mart, staging_raw";
    sqlx::raw_sql(path).execute(&mut connection).await.unwrap();
    let statement = sqlx::AssertSqlSafe(sql.to_owned());
    let rows = sqlx::query_scalar::<_, Option<String>>(statement).fetch_all(&mut connection).await;
    connection.close().await.unwrap();
    rows.unwrap().into_iter().map(Option::unwrap_or_default).collect()
}

impl Ended {
    pub(crate) fn of(command: &mut Command) -> Ended {
        let output = command.output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
