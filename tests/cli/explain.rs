use sha2::{Digest as _, Sha256};

use crate::sandbox::{Sandbox, answers};

#[test]
fn a_figure_is_explained_down_to_the_line_of_its_file() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run("explain US:B0FDKB341G --day 2026-02-27 --field price_minor"), @r#"
    exit 0
    --- stdout
    US:B0FDKB341G on 2026-02-27
      price_minor            25.73 USD

    chosen block by block from 1 observation of the day: most trusted source first, then the latest

      file at 2026-02-27T08:00:00Z: gave offer
        received  flat_csv, 1 time, recorded 2026-03-01T12:00:00Z, run [ID]
        from      market.csv, line 13, byte 1464
        raw       sha256 ae10512761ce3ffcaa020cbde863c725a97571c6bd23581ea07da74360594cfb, 345 bytes
        cost      none
        price_minor            25.73 USD
    "#);
    let all = sandbox.succeed("explain US:B0FDKB341G");
    assert!(all.contains("B0FDKB341G on 2026-02-28") && all.contains("gave offer, rank, rating"), "{all}");
    answers!(sandbox.run("explain US:B0FDKB341G --field cost"), @r#"
    exit 2
    --- stderr
    error: invalid value 'cost' for '--field <FIELD>': `cost` is not a figure of the daily row (known: price_minor, list_price_minor, buy_box_price_minor, shipping_minor, landed_price_minor, price_basis, availability, stock_quantity, seller_id, seller_name, fulfilment, bsr, bsr_leaf, rating_centi, ratings_count, monthly_sold_min)

    For more information, try '--help'.
    "#);
    answers!(sandbox.run("explain US:B0FM2YDLHP --day 2026-02-26"), @r#"
    exit 2
    --- stderr
    error: US:B0FM2YDLHP was not seen on 2026-02-26
    hint: `amzctl show US:B0FM2YDLHP` lists the days that were seen
    "#);
}

#[test]
fn programs_get_a_row_for_every_observation_of_the_day() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run("explain US:B0FDKB341G --format csv --fields asin,day,source,gave,currency,price_minor,bsr,file_path,file_line"), @r#"
    exit 0
    --- stdout
    asin,day,source,gave,currency,price_minor,bsr,file_path,file_line
    B0FDKB341G,2026-02-28,file,"offer,rank,rating",USD,1999,128,market.csv,17
    "#);
    let columns = sandbox.succeed("explain US:B0FDKB341G --field bsr --format csv");
    let columns = columns.lines().next().unwrap();
    assert!(columns.contains(",bsr,") && !columns.contains("price_minor"), "{columns}");
    assert_eq!(
        sandbox.succeed("explain US:B0FDKB341G --format json"),
        sandbox.succeed("explain US:B0FDKB341G --json")
    );
    assert_eq!(sandbox.exit_code("explain US:B0FDKB341G --raw --format csv"), 2);
}

#[test]
fn the_raw_body_is_printed_byte_for_byte() {
    let sandbox = Sandbox::with_market();
    let document: serde_json::Value =
        serde_json::from_str(&sandbox.succeed("explain US:B0FDKB341G --json")).unwrap();
    let evidence = &document["days"][0]["evidence"][0];
    assert_eq!((&document["schema"], &evidence["shape"]), (&"amzctl.explain/1".into(), &"flat_csv".into()));
    let raw = sandbox.command("explain US:B0FDKB341G --raw").output().unwrap().stdout;
    let sha256: String = Sha256::digest(&raw).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(evidence["body_sha256"], sha256.as_str());
    // The header of its file and its own line.
    let text = String::from_utf8(raw).unwrap();
    assert!(
        text.starts_with("marketplace,asin,") && text.contains("\nUS,B0FDKB341G,2026-02-28T08:00:00Z,1999,")
    );
    sandbox.succeed("explain -q US:B0FDKB341G --raw -o body.csv");
    assert_eq!(sandbox.read("body.csv"), text);
}

#[test]
fn an_alert_is_explained_with_the_days_that_its_rule_compared() {
    let sandbox = Sandbox::with_market();
    let found = sandbox.succeed("alert list --rule price_drop --format csv --fields alert_id");
    let id = found.lines().nth(1).unwrap();
    let explained = sandbox.run(&format!("explain {}", &id[..8]));
    answers!(explained.lines().take(18).collect::<Vec<_>>().join("\n"), @r#"
    exit 0
    --- stdout
    alert [ID]
    price_drop (medium), open, 2026-02-28
    price fell 22.3 % from 25.73 to 19.99 USD (2026-02-27 → 2026-02-28)

    the rule looked at
      above                        10
      day                          2026-02-28
      price                        19.99 USD
      price_basis                  page
      price_delta                  -5.74 USD
      price_pct                    -22.31
      price_prev                   25.73 USD
      price_prev_day               2026-02-27

    US:B0FDKB341G on 2026-02-28
      price_minor            19.99 USD
    "#);
    assert!(
        explained.contains("B0FDKB341G on 2026-02-28\n") && explained.contains("B0FDKB341G on 2026-02-27\n")
    );
    answers!(sandbox.run("explain ffffffff"), @r#"
    exit 2
    --- stderr
    error: there is no alert `ffffffff`
    hint: `amzctl alert list` shows their ids
    "#);
}
