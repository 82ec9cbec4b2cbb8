use crate::sandbox::{Sandbox, answers};

#[test]
fn a_product_s_days_are_shown_and_a_day_that_was_not_seen_has_no_line() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run("show US:B0FM2YDLHP --days 4"), @r#"
    exit 0
    --- stdout
    US:B0FM2YDLHP  Speaker
    brand unknown   category unknown   active
    2026-02-25 to 2026-02-28, 3 of 4 days seen
    price  ▄ ▄▄
    rank   ▄ ▄▄

    DAY         PRICE  LIST  RANK  LEAF RANK  RATING  RATINGS  STOCK     SELLER  SOURCE
    2026-02-25  22.00        #900  unknown    4.3     80       in stock  A2SHOP  file
    2026-02-27  22.00        #900  unknown    4.3     80       in stock  A2SHOP  file
    2026-02-28  22.00        #900  unknown    4.3     80       in stock  A2SHOP  file
    "#);
    answers!(sandbox.run_with("COLUMNS", "64", "show US:B0FDKB341G --days 2"), @r#"
    exit 0
    --- stdout
    US:B0FDKB341G  完全ワイヤレスイヤホン 電子雑音消去 cheaper ahea…
    brand unknown   category unknown   active
    2026-02-27 to 2026-02-28, 2 of 2 days seen
    price  █▁
    rank   █▁

    DAY         PRICE  RANK  LEAF RANK  RATING  RATINGS  STOCK
    2026-02-27  25.73  #127  unknown    4.5     227      in stock
    2026-02-28  19.99  #128  unknown    4.5     228      in stock
    "#);
    answers!(sandbox.run("show US:B0FCL55CFF --as-of 2026-02-25 --days 1"), @r#"
    exit 0
    --- stdout
    US:B0FCL55CFF  Headphones
    brand unknown   category unknown   active
    2026-02-25, 1 of 1 day seen
    price  unknown
    rank   ▄

    DAY         PRICE    LIST  RANK    LEAF RANK  RATING  RATINGS  STOCK         SELLER   SOURCE
    2026-02-25  unknown        #1,900  unknown    4.1     1,200    out of stock  unknown  file
    "#);
}

#[test]
fn a_range_is_shown_in_place_of_the_newest_days() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run("show US:B0FM2YDLHP --from 2026-02-25 --to 2026-02-27 --format csv --fields day,price_minor"), @r#"
    exit 0
    --- stdout
    day,price_minor
    2026-02-25,2200
    2026-02-27,2200
    --- stderr
    days 2026-02-25 to 2026-02-27
    "#);
    answers!(sandbox.run("show US:B0FM2YDLHP --to 2026-02-24 --format csv --fields day,price_minor"), @r#"
    exit 0
    --- stdout
    day,price_minor
    2026-02-24,2200
    --- stderr
    days 2026-02-24 to 2026-02-24
    "#);
    answers!(sandbox.run("show US:B0FM2YDLHP --from 2026-01-01 --to 2026-01-31 --format csv --fields day"), @r#"
    exit 0
    --- stdout
    day
    --- stderr
    days 2026-01-01 to 2026-01-31
    US:B0FM2YDLHP was not seen from 2026-01-01 to 2026-01-31; its first day is 2026-02-24, its newest 2026-02-28
    "#);
    // Nothing to list is no empty table.
    answers!(sandbox.run("show US:B0FM2YDLHP --as-of 2026-01-31 --days 1"), @r#"
    exit 0
    --- stdout
    US:B0FM2YDLHP  Speaker
    brand unknown   category unknown   active
    2026-01-31, 0 of 1 day seen
    price  unknown
    rank   unknown
    --- stderr
    US:B0FM2YDLHP was not seen on 2026-01-31; its first day is 2026-02-24, its newest 2026-02-28
    "#);
    assert_eq!(sandbox.exit_code("show US:B0FM2YDLHP --from 2026-02-25 --days 3"), 2);
    assert_eq!(sandbox.exit_code("show US:B0FM2YDLHP --to 2026-02-25 --as-of 2026-02-25"), 2);
}

#[test]
fn programs_get_the_days_as_rows_or_as_a_document() {
    let sandbox = Sandbox::with_market();
    let text = sandbox.succeed("show US:B0FM2YDLHP --days 3 --json");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["schema"], &json["from"]), (&"amzctl.show/1".into(), &"2026-02-26".into()));
    assert_eq!(json["days"].as_array().unwrap().len(), 2, "the 26th was not seen");
    assert_eq!(json["days"][0]["price"]["amount"], "22.00");
    assert_eq!(json["days"][0]["list_price_minor"], serde_json::Value::Null);
    answers!(sandbox.run("show US:B0FM2YDLHP --days 3 --format csv --fields day,price_minor,bsr,seller_id"), @r#"
    exit 0
    --- stdout
    day,price_minor,bsr,seller_id
    2026-02-27,2200,900,A2SHOP
    2026-02-28,2200,900,A2SHOP
    "#);
}

#[test]
fn a_product_that_is_not_known_is_a_usage_error() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run("show B000000009"), @r#"
    exit 2
    --- stderr
    error: B000000009 is not known in any marketplace
    hint: name one: UK:B000000009; `amzctl watch list` shows what is watched
    "#);
    answers!(sandbox.run("show US:B000000009"), @r#"
    exit 2
    --- stderr
    error: US:B000000009 was never seen
    hint: `amzctl export products` lists what is known; `amzctl ingest` brings more
    "#);
    answers!(sandbox.run("show B0FDKB341G"), @r#"
    exit 2
    --- stderr
    error: B0FDKB341G is known in several marketplaces: UK:B0FDKB341G, US:B0FDKB341G
    hint: name one of them, or give --marketplace
    "#);
    answers!(sandbox.run("show nonsense"), @r#"
    exit 2
    --- stderr
    error: invalid value 'nonsense' for '<PRODUCT>': `nonsense` is not an ASIN (ten letters or digits) nor a product URL

    For more information, try '--help'.
    "#);
}
