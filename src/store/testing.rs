//! The database by hand, for tests: on a fresh store of the engine that is tested.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::OnceCell;

use super::db::{Database, Row, Value, query_of};
use super::location::ServerLocation;
use super::{Location, Result, Store};

/// Where a new database may be made: a file in the folder, or, where `AMZCTL_TEST_DATABASE_URL` names a server, a database
/// of its own on that.
pub(crate) async fn fresh_location(folder: &Path) -> Location {
    let Some(server) = server() else { return Location::File(folder.join("amzctl.db")) };
    let template = TEMPLATE.get_or_init(|| make_template(&server)).await;
    made_on(server, Some(template), folder).await
}

/// The same, and on a server nothing is in it, not even a schema.
pub(crate) async fn empty_location(folder: &Path) -> Location {
    match server() {
        Some(server) => made_on(server, None, folder).await,
        None => Location::File(folder.join("amzctl.db")),
    }
}

fn server() -> Option<PgConnectOptions> {
    Some(std::env::var("AMZCTL_TEST_DATABASE_URL").ok()?.parse().unwrap())
}

async fn made_on(server: PgConnectOptions, template: Option<&String>, folder: &Path) -> Location {
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    drop_old_databases(&server).await;
    let like = template.map_or_else(String::new, |template| format!(" TEMPLATE {template}"));
    on(&server, format!("CREATE DATABASE {name}{like}")).await;
    MADE.lock().unwrap().push((name.clone(), Instant::now()));
    let beside = folder.join("amzctl.db");
    Location::Server(ServerLocation { options: Box::new(server.database(&name)), is_pooled: false, beside })
}

/// Databases that tests of this program made, and when.
static MADE: Mutex<Vec<(String, Instant)>> = Mutex::new(Vec::new());
/// So long after it was made a database that nobody is connected to belongs to a test that has ended.
const OLD: Duration = Duration::from_secs(30);

/// Hundreds of tests would leave gigabytes.
async fn drop_old_databases(server: &PgConnectOptions) {
    let mut connection = server.connect().await.unwrap();
    let used =
        sqlx::query_scalar("SELECT DISTINCT datname::text FROM pg_stat_activity WHERE datname IS NOT NULL");
    let used: Vec<String> = used.fetch_all(&mut connection).await.unwrap();
    let is_over = |(name, at): &(String, Instant)| at.elapsed() > OLD && !used.contains(name);
    let over: Vec<String> = {
        let mut made = MADE.lock().unwrap();
        let (over, rest) = made.drain(..).partition(is_over);
        *made = rest;
        let over: Vec<(String, Instant)> = over;
        over.into_iter().map(|(name, _)| name).collect()
    };
    for name in over {
        let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"));
        sqlx::raw_sql(drop).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// The database of which those of this program's tests are copies.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// A database with the schema, and with the months of which tests put rows by hand.
async fn make_template(server: &PgConnectOptions) -> String {
    let name = format!("template_{}", uuid::Uuid::now_v7().simple());
    on(server, format!("CREATE DATABASE {name}")).await;
    let options = Box::new(server.clone().database(&name));
    let location =
        Location::Server(ServerLocation { options, is_pooled: false, beside: name.clone().into() });
    let store = Store::create(location).await.unwrap();
    let months: Vec<String> = [2024, 2025, 2026]
        .into_iter()
        .flat_map(|year| (1..=12).map(move |month| format!("{year}-{month:02}")))
        .collect();
    let months = serde_json::to_string(&[&["1970-01".to_owned()][..], &months].concat()).unwrap();
    for table in ["raw_receipts", "observations", "product_metrics_daily", "ranks", "deltas"] {
        store.run_script(format!("SELECT make_months('{table}', '{months}')")).await.unwrap();
    }
    store.close().await;
    name
}

async fn on(server: &PgConnectOptions, statement: String) {
    let mut connection = server.connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A store with nothing in it; a file of it lies in the folder.
pub(crate) async fn fresh_store(folder: &Path) -> Store {
    Store::create(fresh_location(folder).await).await.unwrap()
}

impl Store {
    /// Runs statements as one transaction.
    pub(crate) async fn run_script(&self, script: impl Into<String>) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.run_script(script.into()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A literal of these bytes.
    pub(crate) fn bytes(&self, text: &str) -> String {
        let digits = crate::ids::hex(text.as_bytes());
        match self.reader() {
            Database::Sqlite(_) => format!("x'{digits}'"),
            Database::Postgres(_) => format!("'\\x{digits}'::bytea"),
        }
    }

    /// The seconds from 1970 to the beginning of a day.
    pub(crate) fn epoch_of(&self, day: &str) -> String {
        match self.reader() {
            Database::Sqlite(_) => format!("unixepoch({day})"),
            Database::Postgres(_) => format!("CAST(EXTRACT(EPOCH FROM CAST({day} AS DATE)) AS BIGINT)"),
        }
    }

    pub(crate) async fn rows(&self, sql: impl Into<String>) -> Vec<Row> {
        query_of(sql.into()).fetch_all(self.reader()).await.unwrap()
    }

    /// The rows of a query, their values joined by spaces; null is `-`.
    pub(crate) async fn lines(&self, sql: impl Into<String>) -> Vec<String> {
        let text = |value: Value<'_>| match value {
            Value::Int(Some(number)) => number.to_string(),
            Value::Real(Some(number)) => number.to_string(),
            Value::Text(Some(text)) => text.into_owned(),
            Value::Blob(Some(bytes)) => crate::ids::hex(&bytes),
            _ => "-".to_owned(),
        };
        let line = |row: &Row| row.values().unwrap().into_iter().map(text).collect::<Vec<_>>().join(" ");
        self.rows(sql).await.iter().map(line).collect()
    }

    /// The only value of a query.
    pub(crate) async fn number(&self, sql: impl Into<String>) -> i64 {
        self.rows(sql).await[0].try_get(0).unwrap()
    }
}
