//! `examples/postgres-roles.sql`: an owner, a writer and a reader, made by somebody who is no superuser.

use sqlx::postgres::PgConnectOptions;

use super::{fresh_database, refusal, sql, take_in, url_as};
use crate::sandbox::{Sandbox, answers};

const PASSWORD: &str = "of-a-test";

/// A database that was made as the script says.
struct Team {
    /// Of the writer.
    sandbox: Sandbox,
    owner: String,
    writer: String,
    reader: String,
    /// Before the names of its roles: those of a server are everybody's.
    prefix: String,
}

impl Team {
    fn new() -> Option<Team> {
        let Some(made) = fresh_database() else {
            println!("no server is named by AMZCTL_TEST_DATABASE_URL: skipped");
            return None;
        };
        let prefix = format!("t{}_", uuid::Uuid::now_v7().simple());
        let admin = format!("{prefix}admin");
        let options: PgConnectOptions = made.parse().unwrap();
        let database = options.get_database().unwrap();
        // As on a managed server: no superuser.
        sql(
            &made,
            &format!(
                "CREATE ROLE {admin} LOGIN CREATEROLE CREATEDB PASSWORD '{PASSWORD}';
                 ALTER DATABASE {database} OWNER TO {admin}"
            ),
        );
        let admin = url_as(&made, &admin, PASSWORD);
        let script = include_str!("../../../examples/postgres-roles.sql").replace("amzctl_", &prefix);
        sql(&admin, &script);
        for role in ["owner", "writer", "reader"] {
            sql(&admin, &format!("ALTER ROLE {prefix}{role} PASSWORD '{PASSWORD}'"));
        }
        let of_role = |role: &str| url_as(&made, &format!("{prefix}{role}"), PASSWORD);
        let (owner, writer, reader) = (of_role("owner"), of_role("writer"), of_role("reader"));
        let sandbox = Sandbox::empty_on(&writer);
        assert!(sandbox.run_with("AMZCTL_STORE__URL", &owner, "init -q").starts_with("exit 0"));
        for _ in 0..2 {
            sql(&admin, &script);
        }
        Some(Team { sandbox, owner, writer, reader, prefix })
    }

    fn as_reader(&self, line: &str) -> String {
        self.sandbox.run_with("AMZCTL_STORE__URL", &self.reader, line).replace(&self.prefix, "amzctl_")
    }
}

#[test]
fn a_writer_runs_every_stage_and_can_lose_nothing() {
    let Some(team) = Team::new() else { return };
    let (sandbox, embedded) = (&team.sandbox, Sandbox::at_first_sight());
    for sandbox in [sandbox, &embedded] {
        take_in(sandbox);
        for line in [
            "ingest -q data/late",
            "normalize -q --replay",
            "build-mart -q --full",
            "alert run -q",
            "alert deliver -q",
            "report -q --watchlist",
            "lake -q publish-delta",
            "verify -q --lake --repair",
            "verify -q",
        ] {
            sandbox.succeed(line);
        }
    }
    let state = "verify --hash --tables";
    assert_eq!(sandbox.run(state), embedded.run(state));
    // Another host's configuration, beside a database that is there.
    assert!(Sandbox::empty_on(&team.writer).run("init -q").starts_with("exit 0"));

    for statement in [
        "DROP TABLE staging_raw.raw_bodies",
        "DROP SCHEMA core CASCADE",
        "TRUNCATE staging_raw.raw_receipts",
        "TRUNCATE core.observations",
        "ALTER TABLE staging_raw.raw_bodies DISABLE TRIGGER USER",
        "DELETE FROM staging_raw.raw_bodies",
        "DELETE FROM staging_raw.raw_receipts",
        "DELETE FROM staging_raw.raw_receipts_2026_02",
        "UPDATE staging_raw.raw_bodies SET bytes = ''",
        "UPDATE staging_raw.raw_receipts SET observed_at = 0",
        "DELETE FROM core.observations",
        "DELETE FROM core.observations_2026_02",
        "UPDATE core.observations SET receipt_id = 0",
        "DELETE FROM core.alert_changes",
        "UPDATE ops.delivery_changes SET note = ''",
        "DELETE FROM ops.api_audit",
        "INSERT INTO ops.retention_grants (table_name, granted_at, reason) VALUES ('raw_bodies', 0, '')",
        "DELETE FROM ops.schema_migrations",
        "CREATE TABLE ops.more (n BIGINT)",
        "CREATE TABLE public.more (n BIGINT)",
        "CREATE EXTENSION hstore",
    ] {
        assert_eq!(refusal(&team.writer, statement), "42501", "{statement}");
    }
    // Neither is the owner more than that.
    for statement in ["CREATE EXTENSION file_fdw", "CREATE TABLE public.more (n BIGINT)", "CREATE ROLE more"]
    {
        assert_eq!(refusal(&team.owner, statement), "42501", "{statement}");
    }
}

#[test]
fn a_reader_reads_everything_and_writes_nothing() {
    let Some(team) = Team::new() else { return };
    let sandbox = &team.sandbox;
    take_in(sandbox);
    for line in [
        "verify",
        "verify --hash --tables",
        "check",
        "runs list",
        "watch list",
        "cohort list",
        "quarantine list",
        "alert list",
        "alert rules",
        "costs",
        "export daily --format csv",
        "export rollups --format ndjson",
        "export observations --format csv",
        "report --watchlist --format markdown -o -",
    ] {
        let (told, expected) = (team.as_reader(line), sandbox.run(line));
        let (told, _) = told.split_once("--- stderr").unwrap_or((&told, ""));
        let (expected, _) = expected.split_once("--- stderr").unwrap_or((&expected, ""));
        assert_eq!(told, expected, "{line}");
        assert!(told.starts_with("exit 0"), "{line}: {told}");
    }
    let state = sandbox.run("verify --hash --tables");
    let products = sandbox.succeed("watch list --format csv --fields marketplace,asin");
    let product = products.lines().nth(1).unwrap().replace(',', ":");
    let comparisons = sandbox.succeed("export comparisons --format csv");
    let cohort = comparisons.lines().nth(1).unwrap().split(',').next().unwrap();
    for line in [
        "status",
        "doctor",
        &format!("show {product}"),
        &format!("compare --cohort {cohort}"),
        &format!("report {product}"),
        &format!("explain {product} --field price_minor"),
        "ingest --dry-run data/2026-02-20",
        "build-mart --dry-run",
    ] {
        assert!(team.as_reader(line).starts_with("exit 0"), "{line}: {}", team.as_reader(line));
    }
    assert!(team.as_reader("report --watchlist").contains("not recorded: this role"));

    answers!(team.as_reader("normalize"), @"
    exit 1
    --- stderr
    error: the database server does not permit this
      caused by: error returned from database: permission denied for table run_leases
    hint: run it as a role that may, or let the database's owner grant what is missing: examples/postgres-roles.sql has an owner, a writer and a reader
    ");
    answers!(team.as_reader("watch add US:B0FDKB341G"), @"
    exit 1
    --- stderr
    error: the database server does not permit this
      caused by: error returned from database: permission denied for table watch_items
    hint: run it as a role that may, or let the database's owner grant what is missing: examples/postgres-roles.sql has an owner, a writer and a reader
    ");
    for line in [
        "run data/2026-02-20",
        "ingest data/2026-02-20",
        "build-mart",
        "alert run",
        "alert deliver",
        &format!("cohort rm --yes {cohort}"),
        "lake publish-delta",
        "verify --lake --repair",
    ] {
        let told = team.as_reader(line);
        assert!(
            told.starts_with("exit 1\n") && told.matches("permission denied").count() == 1,
            "{line}: {told}"
        );
    }
    for table in ["server_secrets", "api_answers", "sessions"] {
        assert_eq!(refusal(&team.reader, &format!("SELECT * FROM ops.{table}")), "42501", "{table}");
    }
    let another = Sandbox::empty_on(&team.reader);
    assert!(another.run("init -q").starts_with("exit 0"));
    assert_eq!(sandbox.run("verify --hash --tables"), state);
}
