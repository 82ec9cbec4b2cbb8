//! `--dry-run` of the stages: what would happen is said, and nothing is written.

use crate::sandbox::{Sandbox, answers};

const MARKET: &str = "marketplace,asin,observed_at,price_minor,rating_centi
US,B000000001,2026-02-27T12:00:00Z,1999,450
US,B000000001,2026-02-28T12:00:00Z,999,450
US,B000000002,2026-02-28T12:00:00Z,2999,700
";

#[test]
fn each_stage_says_what_it_would_do_and_the_state_stays() {
    let sandbox = Sandbox::initialised();
    sandbox.write("inbox/market.csv", MARKET);
    let before = sandbox.succeed("verify --hash");
    answers!(sandbox.run("run --dry-run"), @r"
    exit 0
    --- stderr
    ingest: 1 file, 3 records, 3 would land
    normalize: nothing new
    build-mart: nothing new
    alert: 0 days judged, 0 new
    dry run, nothing written; each stage is shown for what is there now
    ");
    assert_eq!(sandbox.succeed("verify --hash"), before);
    assert_eq!(sandbox.succeed("runs list"), "");

    sandbox.succeed("ingest inbox");
    let landed = sandbox.succeed("verify --hash");
    answers!(sandbox.run("normalize --dry-run"), @r"
    exit 0
    --- stderr
    normalize: would read 3 receipts: 2 observations, 0 reviews, 1 for quarantine
    dry run, nothing written
    ");
    assert_eq!(sandbox.succeed("verify --hash"), landed);

    assert_eq!(sandbox.exit_code("normalize"), 3);
    sandbox.succeed("build-mart");
    sandbox.succeed("alert run --no-deliver");
    answers!(sandbox.run("alert deliver --dry-run"), @r"
    exit 0
    --- stderr
    dry run, nothing delivered: 2 waiting
    ");
    assert!(!sandbox.path("alerts.ndjson").exists());
}
