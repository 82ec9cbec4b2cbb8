use crate::sandbox::{Sandbox, answers};

/// A watched product with one daily row that was observed so many hours before now.
fn observed(hours_ago: i64) -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.succeed("watch add US:B0FDKB341G");
    let at = 1_772_366_400_000_000 - hours_ago * 3_600_000_000;
    sandbox.sql(&format!(
        "INSERT INTO products VALUES ('US', 'B0FDKB341G', 'Earbuds', NULL, NULL, NULL, NULL, 'active', '2026-02-27',
             '2026-02-27');
         INSERT INTO observations VALUES (1, 0, 1, 1, 'US', 'B0FDKB341G', '2026-02-27', {at}, {at}, 'file', 'x', 1, '{{}}', 'x');
         INSERT INTO product_metrics_daily (marketplace, asin, day, observed_at, currency, price_minor, availability,
             observations, source, sources)
         VALUES ('US', 'B0FDKB341G', '2026-02-27', {at}, 'USD', 2599, 'in_stock', 1, 'file', 'file')"
    ));
    sandbox
}

#[test]
fn sound_and_fresh_data_passes_every_check() {
    let sandbox = observed(48);
    answers!(sandbox.run("check"), @r#"
    exit 0
    --- stdout
    CHECK                SUBJECT  STATUS  VALUE  LIMIT  DETAIL
    freshness                     ok          0      0  0 of 1 watched products not seen for 48 hours
    completeness                  ok          1    0.5  1 of 1 watched products seen on 2026-02-27
    gate                          ok          0      0  nothing is held back as implausible
    price_range                   ok          0      0  prices are 1 to 300000000 minor units
    low_high                      ok          0      0  the day's price lies between its low and its high
    rank_range                    ok          0      0  ranks are 1 to 300000000
    rating_range                  ok          0      0  ratings are 1 to 5 stars, their count is 0 to 300000000
    day_per_observation           ok          0      0  every day of which an observation knows a figure has its daily row
    observation_per_day           ok          0      0  every daily row has an observation
    rank_orphans                  ok          0      0  every rank belongs to a daily row
    product_days                  ok          0      0  every daily row lies between its product's first and last day
    listing_versions              ok          0      0  a listing's versions follow one another, the newest is open
    event_orphans                 ok          0      0  every outbox event about an alert belongs to one
    delivery_message              ok          0      0  the deliveries of a message have places of their own and one state
    foreign_keys                  ok          0      0  every row's parent exists
    "#);
    answers!(sandbox.run("check --freshness --all --json"), @r#"
    exit 0
    --- stdout
    {
      "schema": "amzctl.check/1",
      "rows": [
        {
          "check": "freshness",
          "subject": "US:B0FDKB341G",
          "status": "ok",
          "value": 48,
          "limit": 48,
          "detail": "last seen 2026-02-27T12:00:00Z"
        },
        {
          "check": "freshness",
          "subject": "",
          "status": "ok",
          "value": 0,
          "limit": 0,
          "detail": "0 of 1 watched products not seen for 48 hours"
        }
      ]
    }
    "#);
}

#[test]
fn old_data_ends_with_five() {
    let sandbox = observed(49);
    answers!(sandbox.run("check --freshness"), @r#"
    exit 5
    --- stdout
    CHECK      SUBJECT        STATUS  VALUE  LIMIT  DETAIL
    freshness  US:B0FDKB341G  stale      49     48  last seen 2026-02-27T11:00:00Z
    freshness                 stale       1      0  1 of 1 watched products not seen for 48 hours
    --- stderr
    error: not passed: freshness
    "#);
    answers!(sandbox.run("check --freshness --format csv --max-age-hours 72"), @r#"
    exit 0
    --- stdout
    check,subject,status,value,limit,detail
    freshness,,ok,0,0,0 of 1 watched products not seen for 72 hours
    "#);
    answers!(sandbox.run("check --freshness --json"), @r#"
    exit 5
    --- stdout
    {
      "schema": "amzctl.check/1",
      "rows": [
        {
          "check": "freshness",
          "subject": "US:B0FDKB341G",
          "status": "stale",
          "value": 49,
          "limit": 48,
          "detail": "last seen 2026-02-27T11:00:00Z"
        },
        {
          "check": "freshness",
          "subject": "",
          "status": "stale",
          "value": 1,
          "limit": 0,
          "detail": "1 of 1 watched products not seen for 48 hours"
        }
      ]
    }
    --- stderr
    error: not passed: freshness
    {"type":"error","code":"stale","exit":5,"message":"not passed: freshness","hint":null,"run_id":null}
    "#);
}

#[test]
fn unsound_data_ends_with_four_even_when_it_is_old_too() {
    let sandbox = observed(49);
    sandbox.sql("UPDATE product_metrics_daily SET price_minor = 0");
    let answer = sandbox.run("check --format csv");
    assert!(answer.starts_with("exit 4\n"), "{answer}");
    assert!(
        answer.contains("price_range,,failed,1,0,broken by US:B0FDKB341G 2026-02-27: prices are"),
        "{answer}"
    );
    assert!(answer.contains("error: not passed: freshness, price_range"), "{answer}");
}

#[test]
fn a_paused_product_may_be_old_and_an_empty_watchlist_passes() {
    let sandbox = observed(1000);
    sandbox.succeed("watch pause B0FDKB341G");
    assert_eq!(sandbox.exit_code("check"), 0);
}
