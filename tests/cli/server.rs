//! The same program on a PostgreSQL server: `AMZCTL_TEST_DATABASE_URL` names one (`tests/postgres/with_server`), and
//! without it these tests say that they are skipped.

#[cfg(feature = "failpoints")]
mod faults;
mod limits;
mod own;
mod pooler;
mod roles;
mod tls;

use std::process::Stdio;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::sandbox::{Sandbox, answers};

/// A new database on the server that is named for tests; null where none is.
pub(crate) fn fresh_database() -> Option<String> {
    let url = std::env::var("AMZCTL_TEST_DATABASE_URL").ok()?;
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let options: PgConnectOptions = url.parse().unwrap();
    on(options, &format!("CREATE DATABASE {name}"));
    let (server, socket) = url.split_once('?').map_or((url.as_str(), ""), |(server, rest)| (server, rest));
    let (server, _) = server.rsplit_once('/').unwrap();
    Some(format!("{server}/{name}?{socket}"))
}

fn on(options: PgConnectOptions, statements: &str) {
    attempt(options, statements).unwrap();
}

fn attempt(options: PgConnectOptions, statements: &str) -> sqlx::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection: PgConnection = options.connect().await?;
        let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await;
        connection.close().await?;
        done.map(|_| ())
    })
}

/// Runs statements on a database.
fn sql(url: &str, statements: &str) {
    on(url.parse().unwrap(), statements);
}

/// The SQLSTATE with which a database refuses a statement.
fn refusal(url: &str, statement: &str) -> String {
    let error = attempt(url.parse().unwrap(), statement).expect_err(statement);
    error.as_database_error().and_then(|said| said.code()).expect("the server refused it").into_owned()
}

/// The same database under another user and password.
fn url_as(url: &str, user: &str, password: &str) -> String {
    let (_, place) = url.split_once("://").unwrap();
    let place = place.split_once('@').map_or(place, |(_, place)| place);
    format!("postgres://{user}:{password}@{place}")
}

/// A sandbox on a new database of the server, with its URL.
fn on_server() -> Option<(Sandbox, String)> {
    let Some(url) = fresh_database() else {
        println!("no server is named by AMZCTL_TEST_DATABASE_URL: skipped");
        return None;
    };
    let sandbox = Sandbox::empty_on(&url);
    sandbox.succeed("init -q");
    Some((sandbox, url))
}

/// A generated market of two marketplaces with corrections and late data, taken in day by day.
fn take_in(sandbox: &Sandbox) {
    sandbox.succeed(
        "gen -q --out data --products 12 --days 10 --start 2026-02-19 --seed 5 --marketplaces US,JP --cohorts --late",
    );
    sandbox.succeed("watch import -q data/lists/watchlist.csv");
    sandbox.succeed("cohort import -q data/lists/roles-US.csv --marketplace US");
    sandbox.succeed("cohort import -q data/lists/roles-JP.csv --marketplace JP");
    for inputs in ["data/2026-02-19 data/2026-02-20 data/2026-02-21", "data/2026*", "data/late"] {
        // 3: some of the generated records are meant for quarantine.
        let told = sandbox.run(&format!("run -q {inputs}"));
        assert!(told.starts_with("exit 0") || told.starts_with("exit 3"), "{inputs}: {told}");
    }
}

#[test]
fn both_engines_end_in_the_same_state_and_answer_in_the_same_bytes() {
    let Some((server, _)) = on_server() else { return };
    let embedded = Sandbox::initialised();
    take_in(&server);
    take_in(&embedded);
    for line in [
        "verify --hash --tables",
        "check --format json",
        "export products --format ndjson",
        "export observations --format ndjson",
        "export daily --format csv",
        "export ranks --format csv",
        "export latest --format ndjson",
        "export deltas --format ndjson",
        "export rollups --format ndjson",
        "export comparisons --format ndjson",
        "export alerts --format csv",
        "quarantine list --format csv --fields reason,field,detail,marketplace,asin",
        "report --watchlist --format markdown",
    ] {
        let (told, expected) = (server.run(line), embedded.run(line));
        assert_eq!(told, expected, "{line}");
        assert!(told.lines().count() > 3 && !told.starts_with("exit 2"), "{line}: {told}");
    }
    for line in ["verify", "alert run -q", "build-mart -q --full"] {
        server.succeed(line);
    }
}

#[test]
fn a_lease_of_another_host_is_waited_for_and_one_that_ended_is_taken() {
    let Some((sandbox, url)) = on_server() else { return };
    let held = |lease_until: &str| {
        format!(
            r#"INSERT INTO ops.run_leases VALUES ('pipeline', '{{"pid":7,"host":"other","started_at":"2026-03-01T11:59:00Z",
                 "command":"run"}}', 3, {lease_until})
               ON CONFLICT (pipeline) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until"#
        )
    };
    let now = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
    sql(&url, &held(&format!("{now} + 3600000000")));
    answers!(sandbox.run("normalize"), @"
    exit 11
    --- stderr
    error: another run holds the pipeline lock: `run`, pid [PID] on [HOST], since 2026-03-01T11:59:00Z
    hint: wait for it with --lock-wait 10m, or leave quietly with --skip-if-locked
    ");
    sql(&url, &held(&format!("{now} - 1")));
    sandbox.succeed("normalize -q");
    // It was given back, with a token that the one before it does not have.
    sandbox.succeed("normalize -q");
}

#[test]
fn a_killed_run_is_followed_at_once_on_its_own_host() {
    let Some((sandbox, _)) = on_server() else { return };
    sandbox.write("market.csv", crate::sandbox::market());
    let mut killed = sandbox
        .command("ingest - --lock-wait 1m --captured-at 2026-03-01T00:00:00Z")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It waits for its input with the lease in its hands.
    let mut tries = (0..1000).map(|_| sandbox.run("normalize"));
    let other = tries.find(|told| told.starts_with("exit 11")).unwrap();
    assert!(other.contains(&format!("pid {}", killed.id())), "{other}");
    killed.kill().unwrap();
    killed.wait().unwrap();
    sandbox.succeed("run -q --no-deliver market.csv");
}

#[test]
fn what_is_wrong_with_a_server_is_told_with_what_to_do() {
    let Some((_, url)) = on_server() else { return };
    let without = url.replace("/test_", "/none_");
    let sandbox = Sandbox::empty_on(&without);
    let told = sandbox.run("init").replace(&without, "[URL]");
    assert!(told.starts_with("exit 10\n") && told.contains("hint: create it"), "{told}");

    let sandbox = Sandbox::empty_on("postgres://nobody@127.0.0.1:1/watch");
    answers!(sandbox.run("init"), @"
    exit 7
    --- stderr
    error: the database cannot be reached, or the connection to it broke
      caused by: error communicating with database: Connection refused (os error 111)
    hint: check that the server runs and accepts connections from here, and run the command again: what was committed is kept
    ");
    let sandbox = Sandbox::empty_on("mysql://nobody@127.0.0.1/watch");
    answers!(sandbox.run("init"), @"
    exit 2
    --- stderr
    error: environment variable AMZCTL_STORE__URL: a database URL begins with postgres://
    ");
}
