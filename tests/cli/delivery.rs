//! Delivering: channels with a policy, letters that were given up, watching, events beside alerts; and the load test.

mod commands;
mod load;
mod receivers;

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::sandbox::Sandbox;
use crate::server::{fresh_database, sql};
use receivers::Receivers;

/// The channels of [`Deliveries`].
const CHANNELS: [&str; 5] = ["c0", "c1", "c2", "c3", "c4"];
/// 32 bytes that are nobody's key.
const KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A database whose outbox is full, and five channels.
struct Deliveries {
    sandbox: Sandbox,
    /// Of a server's database; null: the embedded one.
    url: Option<String>,
    now: DateTime<Utc>,
    /// What was delivered before this is recorded at the receivers.
    recorded_until: i64,
}

impl Deliveries {
    fn new(receivers: &Receivers, events: u64) -> Deliveries {
        let url = fresh_database();
        let sandbox = url.as_deref().map_or_else(Sandbox::empty, Sandbox::empty_on).with("HOOK_KEY", KEY);
        sandbox.succeed("init -q");
        let mut text = String::from("[store]\nlease_s = 3\n[alerts]\nstdout = false\nfile = \"\"\n");
        for channel in CHANNELS {
            let _ = write!(
                text,
                "[channels.{channel}]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{}/{channel}\"\nsecret_env = \"HOOK_KEY\"
                 allow_private = true\ntimeout_s = 1\nconcurrency = 16\n",
                receivers.port
            );
        }
        sandbox.write("amzctl.toml", text);
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let mut deliveries = Deliveries { sandbox, url, now, recorded_until: 0 };
        deliveries.fill(events);
        deliveries.later();
        deliveries
    }

    fn event_id(number: u64) -> String {
        format!("e{}", 1_000_000 + number)
    }

    /// Events and a pending delivery of each to every channel, as `alert run` writes them.
    fn fill(&self, events: u64) {
        let (at, last) = (self.now.timestamp_micros(), events - 1);
        self.sql(&format!(
            "INSERT INTO outbox_events (event_id, event_type, alert_id, payload, created_at)
             WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last})
             SELECT 'e' || (1000000 + i), 'alert.opened', '', '{{\"schema\":\"amzctl.alert-event/1\",\"event_id\":\"e'
               || (1000000 + i) || '\",\"event_type\":\"alert.opened\",\"message\":\"number ' || i || '\"}}', {at} FROM n"
        ));
        for channel in CHANNELS {
            self.sql(&format!(
                "INSERT INTO deliveries (event_id, channel, recipient, state, next_attempt_at)
                 SELECT event_id, '{channel}', '-', 'pending', {at} FROM outbox_events"
            ));
        }
    }

    /// Time goes on by more than the longest delay between two attempts.
    fn later(&mut self) {
        self.now += TimeDelta::hours(7);
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.sandbox.command(line);
        command.env("AMZCTL_NOW", self.now.to_rfc3339());
        command
    }

    /// Runs a command that may say that something failed.
    fn run(&self, line: &str) {
        let output = self.command(line).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{line}: {:?} {said}", output.status);
    }

    fn spawn(&self, line: &str) -> Child {
        let mut command = self.command(line);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn sql(&self, statements: &str) {
        match &self.url {
            Some(url) => sql(url, &format!("SET search_path TO ops, core, mart, staging_raw; {statements}")),
            None => self.sandbox.sql(statements),
        }
    }

    /// The rows of a statement with one text column.
    fn lines(&self, sql: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let statement = sqlx::AssertSqlSafe(sql.to_owned());
        runtime.block_on(async {
            let Some(url) = &self.url else {
                let path = self.sandbox.path("amzctl.db");
                let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
                let rows = sqlx::query_scalar(statement).fetch_all(&mut connection).await;
                connection.close().await.unwrap();
                return rows.unwrap();
            };
            let mut connection = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
            let path = "SET search_path TO ops, core, mart, staging_raw";
            sqlx::raw_sql(path).execute(&mut connection).await.unwrap();
            let rows = sqlx::query_scalar(statement).fetch_all(&mut connection).await;
            connection.close().await.unwrap();
            rows.unwrap()
        })
    }

    /// Tells the receivers what is recorded as delivered since the last time.
    fn record(&mut self, receivers: &Receivers) {
        let since = self.recorded_until;
        let rows = self.lines(&format!(
            "SELECT channel || ' ' || message_id FROM deliveries WHERE state = 'delivered' AND delivered_at >= {since}"
        ));
        let of_row = |row: &String| {
            let (channel, id) = row.split_once(' ').unwrap();
            (channel.to_owned(), id.to_owned())
        };
        receivers.recorded(&rows.iter().map(of_row).collect::<Vec<_>>());
        // Another host may still be at an earlier instant.
        self.recorded_until = (self.now - TimeDelta::days(3)).timestamp_micros();
    }

    /// Deliveries of these channels that are to be made.
    fn waiting(&self, first: &str, last: &str) -> u64 {
        let count = self.lines(&format!(
            "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries
             WHERE state IN ('pending', 'claimed') AND channel BETWEEN '{first}' AND '{last}'"
        ));
        count[0].parse().unwrap()
    }

    /// The events of a channel's deliveries in a state.
    fn events(&self, channel: &str, state: &str) -> Vec<String> {
        self.lines(&format!(
            "SELECT event_id FROM deliveries WHERE channel = '{channel}' AND state = '{state}' ORDER BY event_id"
        ))
    }
}
