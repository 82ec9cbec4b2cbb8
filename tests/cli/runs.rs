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
    finished_at  2026-03-01T08:00:01.500Z
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
