//! Sound files with records that break a rule.

use serde_json::{Value, json};

use super::{page, prices, sound};
use crate::sandbox::{Sandbox, answers};

fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

/// What quarantine says, in the order of the file.
fn quarantined(sandbox: &Sandbox) -> String {
    let table =
        sandbox.succeed("quarantine list --format csv --fields file_line,stage,reason,field,asin,detail");
    let mut rows: Vec<&str> = table.lines().skip(1).collect();
    rows.sort();
    rows.join("\n")
}

#[test]
fn what_breaks_a_rule_is_quarantined_with_its_reason_and_the_rest_lands() {
    let sandbox = Sandbox::initialised();
    let records = [
        page("B0FDKB3411", json!({})),
        page("", json!({"asin": null, "url": "https://www.amazon.com/s?k=earbuds"})),
        page("B0FDKB3412", json!({"asin": "earbuds"})),
        page("b0fdkb3413", json!({"title": "lower case"})),
        page("B0FDKB3414", json!({"price": "25,99 €"})),
        page("B0FDKB3415", json!({"currency": "EUR"})),
        page("B0FDKB3416", json!({"price": 0})),
        page("B0FDKB3417", json!({"price": -25.99})),
        page("B0FDKB3418", json!({"productRating": "7 out of 5 stars"})),
        page("B0FDKB3419", json!({"url": "https://www.amazon.cn/dp/B0FDKB3419"})),
        page("B0FDKB341B", json!({"asin": "B0FDKB341C"})),
        page("B0FDKB341D", json!({"statusCode": 503, "statusMessage": "captcha"})),
        json!({"hello": "world"}),
    ];
    sandbox.write("2026-02-28.ndjson", lines(&records));
    answers!(sandbox.run("ingest 2026-02-28.ndjson"), @r#"
    exit 0
    --- stderr
    ingest: 1 file, 13 records, 13 landed
    next: `amzctl normalize`
    "#);
    answers!(sandbox.run("normalize"), @r#"
    exit 3
    --- stderr
    normalize: 13 receipts read, 3 observations written, 3 daily rows changed
    normalize: 10 new rows in quarantine
    next: `amzctl quarantine list`, then `amzctl build-mart`
    "#);
    answers!(quarantined(&sandbox), @r#"
    10,normalize,marketplace_unknown,url,B0FDKB3419,www.amazon.cn
    11,normalize,variant_redirect,asin,B0FDKB341B,"asked for B0FDKB341B, answered with B0FDKB341C"
    12,normalize,not_a_product,statusCode,B0FDKB341D,503 captcha
    13,normalize,unknown_shape,,,no parser knows a record with these keys
    2,normalize,no_asin,asin,,https://www.amazon.com/s?k=earbuds
    3,normalize,invalid_asin,asin,B0FDKB3412,earbuds
    5,normalize,currency_mismatch,price,B0FDKB3414,"€ is not USD, the currency of US"
    6,normalize,currency_mismatch,currency,B0FDKB3415,"EUR is not USD, the currency of US"
    8,normalize,out_of_range,price,B0FDKB3417,'-25.99
    9,normalize,out_of_range,productRating,B0FDKB3418,7 out of 5 stars
    "#);
    // Price 0 is how a provider says "no offer": it is unknown, and never a price.
    answers!(sandbox.run("export daily --format csv --fields asin,currency,price_minor,availability,rating_centi"), @r#"
    exit 0
    --- stdout
    asin,currency,price_minor,availability,rating_centi
    B0FDKB3411,USD,2599,unknown,450
    B0FDKB3413,USD,2599,unknown,450
    B0FDKB3416,USD,,unavailable,450
    "#);
    assert_eq!(sandbox.exit_code("run 2026-02-28.ndjson"), 0, "known failures are no news");
    answers!(sandbox.run("normalize --replay -q"), @r#"exit 0"#);
}

#[test]
fn the_flat_table_is_held_to_the_same_rules() {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "flat.csv",
        "marketplace,asin,day,currency,price_minor,rating_centi,observed_at\n\
         US,B0FDKB3411,2026-02-28,USD,2599,450,\n\
         US,,2026-02-28,USD,2599,450,\n\
         US,b0fdkb3413,2026-02-28,USD,2599,450,\n\
         US,B0FDKB3414,2026-02-28,EUR,2599,450,\n\
         US,B0FDKB3416,2026-02-28,USD,0,450,\n\
         US,B0FDKB3417,2026-02-28,USD,-2599,450,\n\
         US,B0FDKB3418,2026-02-28,USD,2599,700,\n\
         US,B0FDKB3419,2026-02-28,USD,25.99,450,\n\
         XX,B0FDKB341B,2026-02-28,USD,2599,450,\n\
         US,B0FDKB341C,,USD,2599,450,2027-01-01T00:00:00Z\n",
    );
    assert_eq!(sandbox.exit_code("run flat.csv"), 3);
    answers!(quarantined(&sandbox), @r#"
    10,normalize,marketplace_unknown,marketplace,B0FDKB341B,XX
    11,normalize,observed_in_future,observed_at,B0FDKB341C,2027-01-01T00:00:00Z
    3,normalize,no_asin,asin,,the record names no product
    5,normalize,currency_mismatch,currency,B0FDKB3414,"EUR is not USD, the currency of US"
    7,normalize,out_of_range,price_minor,B0FDKB3417,'-2599
    8,normalize,out_of_range,rating_centi,B0FDKB3418,700
    9,normalize,invalid_value,price_minor,B0FDKB3419,25.99
    "#);
    answers!(prices(&sandbox), @r#"
    asin,day,price_minor
    B0FDKB3411,2026-02-28,2599
    B0FDKB3413,2026-02-28,2599
    B0FDKB3416,2026-02-28,
    "#);
    assert_eq!(sandbox.exit_code("run flat.csv"), 0);
}

#[test]
fn ranks_are_read_in_chinese() {
    let sandbox = Sandbox::initialised();
    let taiwan = "#975 在 電子 (請參閱 電子 前 100 名) #150 在 耳塞式與耳道式耳機";
    let china = "商品里排第1,234名电子产品 (查看商品销售排行榜电子产品) 商品里排第12名耳机";
    let details = |name: &str, value: &str| json!({"productDetails": [{"name": name, "value": value}]});
    let records = [
        page("B0FDKB3411", details("暢銷商品排名", taiwan)),
        page("B0FDKB3412", details("亚马逊热销商品排名", china)),
        page("B0FDKB3413", details("暢銷商品排名", "沒有排名")),
    ];
    sandbox.write("2026-02-28.ndjson", lines(&records));
    assert_eq!(sandbox.exit_code("run 2026-02-28.ndjson"), 0);
    answers!(
        sandbox.run("export daily --format csv --fields asin,bsr,bsr_category,bsr_leaf,bsr_leaf_category"),
        @r#"
        exit 0
        --- stdout
        asin,bsr,bsr_category,bsr_leaf,bsr_leaf_category
        B0FDKB3411,975,電子,150,耳塞式與耳道式耳機
        B0FDKB3412,1234,电子产品,12,耳机
        B0FDKB3413,,,,
        "#
    );
}

#[test]
fn a_date_in_the_future_waits_in_quarantine_until_it_has_come() {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "future.ndjson",
        sound("B0FDKB341G") + "\n" + &sound("B0FDKB341H").replace("2026-02-28", "2026-03-05"),
    );
    assert_eq!(sandbox.exit_code("run future.ndjson"), 3);
    answers!(quarantined(&sandbox), @r#"2,normalize,observed_in_future,observed_at,B0FDKB341H,2026-03-05T12:00:00Z"#);
    sandbox.write("future.json", page("B0FDKB341J", json!({})).to_string());
    answers!(sandbox.run("ingest future.json --captured-at 2031-01-01"), @r#"
    exit 0
    --- stderr
    ingest: 1 file, 1 record, 1 landed
    next: `amzctl normalize`
    "#);
    answers!(sandbox.run("normalize"), @r#"
    exit 3
    --- stderr
    normalize: 1 receipt read, 0 observations written, 0 daily rows changed
    normalize: 1 new row in quarantine
    next: `amzctl quarantine list`
    "#);

    let later = |line: &str| sandbox.run_with("AMZCTL_NOW", "2026-03-05T13:00:00Z", line);
    answers!(later("quarantine retry --all"), @r#"
    exit 0
    --- stderr
    2 receipts will be read again
    next: `amzctl normalize`
    "#);
    answers!(later("normalize"), @r#"
    exit 0
    --- stderr
    normalize: 2 receipts read, 1 observation written, 1 daily row changed
    normalize: 1 row still in quarantine, refused again
    next: `amzctl quarantine list`, then `amzctl build-mart`
    "#);
    answers!(prices(&sandbox), @r#"
    asin,day,price_minor
    B0FDKB341G,2026-02-28,2599
    B0FDKB341H,2026-03-05,2599
    "#);
    answers!(quarantined(&sandbox), @r#"1,normalize,observed_in_future,observed_at,B0FDKB341J,2031-01-01T12:00:00Z"#);
}

#[test]
fn a_record_repeated_a_thousand_times_is_one_receipt_that_counts_them() {
    let sandbox = Sandbox::initialised();
    let thousand = format!("{}\n", sound("B0FDKB341G")).repeat(1_000);
    sandbox.write("thousand.ndjson", thousand + &sound("B0FDKB341H"));
    answers!(sandbox.run("ingest thousand.ndjson"), @r#"
    exit 0
    --- stderr
    ingest: 1 file, 1001 records, 2 landed, 999 repeats
    next: `amzctl normalize`
    "#);
    assert_eq!(sandbox.exit_code("run"), 0);
    let explained = sandbox.succeed("explain US:B0FDKB341G --day 2026-02-28");
    assert!(explained.contains("1,000 times"), "{explained}");
    answers!(prices(&sandbox), @r#"
    asin,day,price_minor
    B0FDKB341G,2026-02-28,2599
    B0FDKB341H,2026-02-28,2599
    "#);
    let before = sandbox.succeed("verify --hash");
    sandbox.write("again.ndjson", format!("{}\n", sound("B0FDKB341G")).repeat(1_000));
    answers!(sandbox.run("ingest again.ndjson"), @r#"
    exit 0
    --- stderr
    ingest: 1 file, 1000 records, 0 landed, 1000 already there
    "#);
    assert_eq!(sandbox.exit_code("run"), 0);
    assert_eq!(sandbox.succeed("verify --hash"), before);
}
