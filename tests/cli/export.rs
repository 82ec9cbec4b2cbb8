use crate::sandbox::{Sandbox, answers};

#[test]
fn rows_are_written_in_the_format_asked_for() {
    let sandbox = Sandbox::with_market();
    answers!(
        sandbox.run("export daily --from 2026-02-27 --to 2026-02-28 --marketplace US --fields asin,day,currency,price_minor,availability"),
        @r#"
    exit 0
    --- stdout
    asin,day,currency,price_minor,availability
    B0FCL55CFF,2026-02-27,USD,,out_of_stock
    B0FCL55CFF,2026-02-28,USD,,out_of_stock
    B0FDKB341G,2026-02-27,USD,2573,in_stock
    B0FDKB341G,2026-02-28,USD,1999,in_stock
    B0FM2YDLHP,2026-02-27,USD,2200,in_stock
    B0FM2YDLHP,2026-02-28,USD,2200,in_stock
    --- stderr
    days 2026-02-27 to 2026-02-28
    "#
    );
    answers!(sandbox.run("export latest --format ndjson --fields marketplace,asin,price_minor,quality"), @r#"
    exit 0
    --- stdout
    {"marketplace":"UK","asin":"B0FDKB341G","price_minor":2399,"quality":0.16666666666666666}
    {"marketplace":"US","asin":"B0FCL55CFF","price_minor":null,"quality":0.16666666666666666}
    {"marketplace":"US","asin":"B0FDKB341G","price_minor":1999,"quality":0.16666666666666666}
    {"marketplace":"US","asin":"B0FM2YDLHP","price_minor":2200,"quality":0.13333333333333333}
    "#);
    answers!(sandbox.run("export observations --marketplace UK --from 2026-02-28 --to 2026-02-28 --json --fields asin,price_minor,currency"), @r#"
    exit 0
    --- stdout
    {"schema":"amzctl.export.observations/1","rows":[
    {"asin":"B0FDKB341G","price_minor":2399,"currency":"GBP"}
    ]}
    --- stderr
    days 2026-02-28 to 2026-02-28
    "#);
    answers!(sandbox.run("export rollups --fields asin,window_days,as_of,price_avg,currency --marketplace UK"), @r#"
    exit 0
    --- stdout
    asin,window_days,as_of,price_avg,currency
    B0FDKB341G,7,2026-02-28,2399,GBP
    B0FDKB341G,30,2026-02-28,2399,GBP
    B0FDKB341G,90,2026-02-28,2399,GBP
    "#);
    answers!(
        sandbox.run("export deltas --marketplace US --from 2026-02-28 --to 2026-02-28 --fields asin,price,price_prev,price_delta"),
        @r#"
    exit 0
    --- stdout
    asin,price,price_prev,price_delta
    B0FCL55CFF,,,
    B0FDKB341G,1999,2573,-574
    B0FM2YDLHP,2200,2200,0
    --- stderr
    days 2026-02-28 to 2026-02-28
    "#
    );
    answers!(sandbox.run("export reviews"), @r#"
    exit 0
    --- stdout
    marketplace,asin,review_id,rating_centi,title,body,reviewed_on,verified,helpful_count,list_filter,source,observed_at
    "#);
    answers!(sandbox.run("export comparisons --fields cohort,as_of,asin,price_gap_minor,price_reason"), @r#"
    exit 0
    --- stdout
    cohort,as_of,asin,price_gap_minor,price_reason
    earbuds,2026-02-28,B0FM2YDLHP,-201,
    earbuds,2026-02-28,B0FCL55CFF,,competitor_missing
    "#);
}

#[test]
fn a_file_s_ending_says_its_format_and_it_is_whole_or_not_there() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run("export alerts -o alerts.ndjson"), @r#"
    exit 0
    --- stderr
    wrote alerts.ndjson (1 row)
    "#);
    answers!(sandbox.run("export daily -o daily.parquet"), @r#"
    exit 0
    --- stderr
    wrote daily.parquet (19 rows)
    "#);
    assert_eq!(std::fs::read(sandbox.path("daily.parquet")).unwrap()[..4], *b"PAR1");
    answers!(sandbox.run("export daily --fields asin,colour -o daily.csv"), @r#"
    exit 2
    --- stderr
    error: there is no field `colour`
    hint: fields: marketplace,asin,day,observed_at,currency,price_minor,list_price_minor,buy_box_price_minor,shipping_minor,landed_price_minor,price_basis,coupon_minor,coupon_pct,is_deal,is_prime,seller_id,seller_name,fulfilment,condition,offer_count,availability,stock_quantity,bsr,bsr_category,bsr_category_id,bsr_leaf,bsr_leaf_category,bsr_leaf_category_id,rating_centi,ratings_count,monthly_sold_min,source
    "#);
    assert!(!sandbox.path("daily.csv").exists());
    answers!(sandbox.run("export everything"), @r#"
    exit 2
    --- stderr
    error: invalid value 'everything' for '<TABLE>'
      [possible values: products, observations, reviews, daily, ranks, latest, deltas, rollups, comparisons, alerts]

    For more information, try '--help'.
    "#);
}
