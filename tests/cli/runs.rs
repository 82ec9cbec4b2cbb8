use crate::sandbox::{Sandbox, answers};

#[test]
fn runs_are_listed_and_a_killed_one_is_called_killed() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("runs list"), @r#"
    exit 0
    --- stderr
    nothing was run yet
    "#);
    answers!(sandbox.run("runs show"), @r#"
    exit 2
    --- stderr
    error: nothing was run yet
    hint: `amzctl ingest FILE` is a beginning
    "#);
    sandbox.sql(
        r#"INSERT INTO runs VALUES
           ('0a1', 'ingest', 1772352000000000, 1772352001500000, 0, 'host', 7, '{"ingest":{"records":25}}'),
           ('0b2', 'normalize', 1772352060000000, NULL, NULL, 'host', 8, '{}')"#,
    );
    answers!(sandbox.run("runs list"), @r#"
    exit 0
    --- stdout
    RUN_ID  COMMAND    STATE   STARTED_AT            DURATION_S  EXIT_CODE
    0b2     normalize  killed  2026-03-01T08:01:00Z           -          -
    0a1     ingest     done    2026-03-01T08:00:00Z         1.5          0
    "#);
    answers!(sandbox.run("runs list --format ndjson --limit 1"), @r#"
    exit 0
    --- stdout
    {"run_id":"0b2","command":"normalize","state":"killed","started_at":"2026-03-01T08:01:00Z","finished_at":null,"duration_s":null,"exit_code":null,"host":"host","pid":8}
    "#);
    answers!(sandbox.run("runs show 0a"), @r#"
    exit 0
    --- stdout
    run_id       0a1
    command      ingest
    state        done
    started_at   2026-03-01T08:00:00Z
    finished_at  2026-03-01T08:00:01Z
    duration_s   1.5
    exit_code    0
    host         host
    pid          7
    summary      {
                   "ingest": {
                     "records": 25
                   }
                 }
    "#);
    answers!(sandbox.run("runs show 0a1 --json"), @r#"
    exit 0
    --- stdout
    {
      "schema": "amzctl.runs.show/1",
      "run_id": "0a1",
      "command": "ingest",
      "state": "done",
      "started_at": "2026-03-01T08:00:00Z",
      "finished_at": "2026-03-01T08:00:01.500Z",
      "duration_s": 1.5,
      "exit_code": 0,
      "host": "host",
      "pid": 7,
      "summary": {
        "ingest": {
          "records": 25
        }
      }
    }
    "#);
    answers!(sandbox.run("runs show 0"), @r#"
    exit 2
    --- stderr
    error: more than one run's id begins with `0`
    hint: give more of it
    "#);
    answers!(sandbox.run("runs show zz"), @r#"
    exit 2
    --- stderr
    error: there is no run `zz`
    hint: `amzctl runs list` shows their ids
    "#);
}

#[test]
fn tables_show_times_to_the_second_and_programs_get_them_whole() {
    let sandbox = Sandbox::initialised();
    sandbox.sql(
        "INSERT INTO runs VALUES ('0a1', 'ingest', 1772352000123456, 1772352001999999, 0, 'host', 7, '{}')",
    );
    let fields = "--fields started_at,finished_at";
    let shown = |format: &str| sandbox.succeed(&format!("runs list {fields} --format {format}"));
    answers!(shown("table"), @r#"
    STARTED_AT            FINISHED_AT
    2026-03-01T08:00:00Z  2026-03-01T08:00:01Z
    "#);
    answers!(shown("markdown"), @r#"
    | started_at | finished_at |
    | --- | --- |
    | 2026-03-01T08:00:00Z | 2026-03-01T08:00:01Z |
    "#);
    answers!(shown("csv"), @r#"
    started_at,finished_at
    2026-03-01T08:00:00.123456Z,2026-03-01T08:00:01.999999Z
    "#);
    answers!(shown("ndjson"), @r#"
    {"started_at":"2026-03-01T08:00:00.123456Z","finished_at":"2026-03-01T08:00:01.999999Z"}
    "#);
    answers!(sandbox.succeed(&format!("runs show {fields}")), @r#"
    started_at   2026-03-01T08:00:00Z
    finished_at  2026-03-01T08:00:01Z
    "#);
    answers!(sandbox.succeed(&format!("runs show {fields} --json")), @r#"
    {
      "schema": "amzctl.runs.show/1",
      "started_at": "2026-03-01T08:00:00.123456Z",
      "finished_at": "2026-03-01T08:00:01.999999Z"
    }
    "#);
    let set = "cohort set -q earbuds US:B0FDKB341G B0FDKB342G";
    assert!(sandbox.run_with("AMZCTL_NOW", "2026-03-01T08:00:00.123456Z", set).starts_with("exit 0"));
    answers!(sandbox.succeed("cohort list --fields created_at"), @r#"
    CREATED_AT
    2026-03-01T08:00:00Z
    "#);
    answers!(sandbox.succeed("cohort list --fields created_at --format csv"), @r#"
    created_at
    2026-03-01T08:00:00.123456Z
    "#);
}
