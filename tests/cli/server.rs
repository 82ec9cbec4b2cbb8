//! The same program on a PostgreSQL server: `AMZCTL_TEST_DATABASE_URL` names one (`tests/postgres/with_server`), and
//! without it these tests say that they are skipped.

#[cfg(feature = "failpoints")]
mod faults;
mod limits;
mod own;
mod pooler;
mod roles;
mod tls;

use std::process::{Child, Stdio};

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
pub(crate) fn sql(url: &str, statements: &str) {
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
pub(crate) fn take_in(sandbox: &Sandbox) {
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
    let embedded = Sandbox::at_first_sight();
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
fn the_months_to_come_are_made_ahead_by_hand_and_by_a_run() {
    let Some((sandbox, url)) = on_server() else { return };
    let months = || {
        let told = sandbox.succeed("db status --format csv --fields item");
        told.lines().filter_map(|line| line.strip_prefix("month ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(months(), [] as [&str; 0]);
    answers!(sandbox.run("db partitions --ahead 1 --dry-run"), @"
    exit 0
    --- stderr
    would make 2 months of deltas: 2026-03, 2026-04
    would make 2 months of observations: 2026-03, 2026-04
    would make 2 months of product_metrics_daily: 2026-03, 2026-04
    would make 2 months of ranks: 2026-03, 2026-04
    would make 2 months of raw_receipts: 2026-03, 2026-04
    dry run, nothing written
    ");
    assert_eq!(months(), [] as [&str; 0]);
    sandbox.succeed("db partitions -q --ahead 0");
    let tables = ["deltas", "observations", "product_metrics_daily", "ranks", "raw_receipts"];
    assert_eq!(months(), tables.map(|table| format!("{table} 2026-03")));
    answers!(sandbox.run("db partitions --ahead 0"), @"
    exit 0
    --- stderr
    every month up to 2026-03 is there
    ");
    let status = sandbox.run("db status");
    assert!(status.contains("hint: deltas has no 2026-04 yet: `amzctl db partitions`"), "{status}");
    sandbox.succeed("run -q");
    assert_eq!(months().len(), 20, "this month and three more of five tables");
    assert!(!sandbox.run("db status").contains("hint:"));

    // Whoever may write rows need not be allowed to make tables.
    let role = format!("writer_{}", uuid::Uuid::now_v7().simple());
    sql(
        &url,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA staging_raw, core, mart, ops TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA staging_raw, core, mart, ops TO {role};
             GRANT EXECUTE ON FUNCTION ops.make_months, ops.order_month TO {role}"
        ),
    );
    let as_writer = url.replace("postgres://postgres@", &format!("postgres://{role}@"));
    let writer = sandbox.run_with("AMZCTL_STORE__URL", &as_writer, "db partitions --ahead 4");
    assert!(writer.starts_with("exit 0\n") && writer.contains("made 1 month of deltas: 2026-07"), "{writer}");
    // A month that is over is put in order by whoever comes a week after its end, with the owner's rights too.
    sql(
        &url,
        "SELECT ops.make_months('ranks', '[\"2026-01\", \"2026-02\"]');
         INSERT INTO core.ranks SELECT 'US', 'B000000001', day, 0, NULL, 'Toys', 7, 1, 0
         FROM unnest(ARRAY['2026-01-31', '2026-02-01']) AS day",
    );
    let answer = sandbox.run_with("AMZCTL_STORE__URL", &as_writer, "db partitions --ahead 4 --dry-run");
    assert!(answer.contains("2026-01 of ranks would be put into the order of products"), "{answer}");
    for said in [Some("2026-01 of ranks is put into the order of products"), None] {
        let answer = sandbox.run_with("AMZCTL_STORE__URL", &as_writer, "db partitions --ahead 4");
        assert_eq!(said.is_some(), said.is_some_and(|said| answer.contains(said)), "{answer}");
        assert_eq!(said.is_none(), !answer.contains("order of products"), "{answer}");
    }
    sql(&url, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn the_status_of_a_server_says_what_keeps_dead_rows_from_being_cleared() {
    let Some((sandbox, _)) = on_server() else { return };
    take_in(&sandbox);
    let document: serde_json::Value = serde_json::from_str(&sandbox.succeed("db status --json")).unwrap();
    assert_eq!(document["engine"], "postgres");
    let table = |name: &str| {
        let tables = document["tables"].as_array().unwrap().iter();
        tables.filter(|table| table["name"] == name).collect::<Vec<_>>()[0].clone()
    };
    let daily = sandbox.succeed("export daily --format csv").lines().count() as i64 - 1;
    assert_eq!(table("core.product_metrics_daily")["rows"], daily);
    assert_eq!(table("core.product_metrics_daily")["rows_are_counted"], true);
    assert!(table("staging_raw.raw_bodies")["size_bytes"].as_i64().unwrap() > 0);
    let months = document["months"].as_array().unwrap();
    assert!(months.iter().any(|month| month["table"] == "raw_receipts" && month["month"] == "2026-02"));
}

#[test]
fn retention_drops_whole_months_of_raw_and_no_fact() {
    let Some((sandbox, _)) = on_server() else { return };
    take_in(&sandbox);
    sandbox.succeed("quarantine drop -q --all --yes");
    let facts = || {
        let tables = ["products", "observations", "daily", "ranks", "deltas", "rollups"];
        tables.map(|table| sandbox.succeed(&format!("export {table} --format ndjson")))
    };
    let months = || sandbox.succeed("db status --format csv --fields item");
    let before = facts();
    assert!(months().contains("month raw_receipts 2026-02"));
    let retention = || {
        let mut command = sandbox.command("db retention --yes");
        command.env("AMZCTL_NOW", "2026-09-01T12:00:00Z").env("AMZCTL_RETENTION__RAW_DAYS", "90");
        sandbox.answer(&mut command)
    };
    let said = retention();
    assert!(
        said.starts_with("exit 0\n") && said.contains("the empty month raw_receipts 2026-02 dropped"),
        "{said}"
    );
    assert!(
        !months().contains("month raw_receipts 2026-02") && months().contains("month observations 2026-02")
    );
    assert_eq!(facts(), before);
    sandbox.succeed("normalize -q --replay");
    sandbox.succeed("build-mart -q --full");
    assert_eq!(facts(), before);
    sandbox.succeed("verify");
    let said = retention();
    assert!(said.contains("retention: nothing was old enough"), "{said}");
}

#[test]
fn a_servers_backups_are_its_administrators() {
    let Some((sandbox, url)) = on_server() else { return };
    for line in ["db backup saved.db", "db restore saved.db --yes"] {
        let told = sandbox.run(line);
        assert!(told.starts_with("exit 2\n") && told.contains("hint: use `pg_dump"), "{told}");
        assert!(!told.contains(&url));
    }
    answers!(sandbox.run("db migrate"), @"
    exit 0
    --- stderr
    up to date: schema version [SCHEMA]
    ");
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

/// A run that waits for its input with the lease in its hands; another one was told so.
fn holder(sandbox: &Sandbox) -> Child {
    let holder = sandbox
        .command("ingest - --lock-wait 1m --captured-at 2026-03-01T00:00:00Z")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut tries = (0..1000).map(|_| sandbox.run("normalize"));
    let other = tries.find(|told| !told.starts_with("exit 0")).unwrap();
    assert!(other.starts_with("exit 11\n"), "{other}");
    assert!(other.contains(&format!("pid {}", holder.id())), "{other}");
    holder
}

#[test]
fn a_killed_run_is_followed_at_once_on_its_own_host() {
    let Some((sandbox, _)) = on_server() else { return };
    sandbox.write("market.csv", crate::sandbox::market());
    let mut killed = holder(&sandbox);
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
