use crate::sandbox::{Sandbox, answers};

#[test]
fn status_tells_what_there_is_and_what_comes_next() {
    let sandbox = Sandbox::initialised();
    sandbox.succeed("watch add US:B0FDKB341G");
    answers!(sandbox.run("status --format csv"), @r#"
    exit 0
    --- stdout
    item,value,detail
    database,[FOLDER]/amzctl.db,days in UTC
    workspace,main,
    size_bytes,[SIZE],
    newest_day,,
    watched,1,
    paused,0,
    cohorts,0,
    products,0,
    receipts,0,
    observations,0,
    daily_rows,0,
    reviews,0,
    open_quarantine,0,
    open_incidents,0,
    held_findings,0,
    open_alerts,0,
    open_alerts_critical,0,
    deliveries_pending,0,
    deliveries_dead,0,
    to_normalize,0,
    --- stderr
    next: `amzctl ingest FILE` lands the first data
    "#);
    answers!(sandbox.run("status --json"), @r#"
    exit 0
    --- stdout
    {
      "schema": "amzctl.status/1",
      "workspace": "main",
      "database": {
        "path": "[FOLDER]/amzctl.db",
        "size_bytes": [SIZE],
        "schema_version": [SCHEMA],
        "zone": "UTC",
        "database_uuid": "[ID]"
      },
      "freshness": {
        "newest_day": null,
        "newest_observed_at": null,
        "age_hours": null
      },
      "counts": {
        "watched": 1,
        "paused": 0,
        "cohorts": 0,
        "products": 0,
        "receipts": 0,
        "observations": 0,
        "daily_rows": 0,
        "reviews": 0
      },
      "to_normalize": 0,
      "open": {
        "quarantine": 0,
        "incidents": 0,
        "held_findings": 0,
        "alerts": 0,
        "alerts_critical": 0,
        "deliveries_pending": 0,
        "deliveries_dead": 0
      },
      "sources": [],
      "fetch_failures": 0,
      "last_runs": []
    }
    --- stderr
    next: `amzctl ingest FILE` lands the first data
    "#);
}

#[test]
fn status_shows_the_last_run_of_every_command() {
    let sandbox = Sandbox::initialised();
    sandbox.sql(
        "INSERT INTO runs VALUES ('a1', 'normalize', 1772352000000000, 1772352003000000, 0, 'h', 1, '{}'),
                                 ('a2', 'ingest', 1772352060000000, 1772352061000000, 3, 'h', 1, '{}'),
                                 ('a3', 'normalize', 1772352120000000, NULL, NULL, 'h', 1, '{}')",
    );
    let answer = sandbox.succeed("status --format csv");
    let lines: Vec<&str> = answer.lines().filter(|line| line.starts_with("last ")).collect();
    assert_eq!(
        lines,
        [
            "last normalize,killed,2026-03-01T08:02:00Z",
            "last ingest,partly_failed,\"2026-03-01T08:01:00Z, exit 3\""
        ]
    );
}
