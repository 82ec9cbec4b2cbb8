use unicode_width::UnicodeWidthStr as _;

use crate::sandbox::{Sandbox, answers};

fn at_width(sandbox: &Sandbox, width: usize) -> String {
    sandbox.run_with("COLUMNS", &width.to_string(), "compare --cohort earbuds --days 5")
}

#[test]
fn the_table_fits_the_terminal_and_says_in_words_who_is_better() {
    let sandbox = Sandbox::with_market();
    answers!(at_width(&sandbox, 80), @r#"
    exit 0
    --- stdout
    US:B0FDKB341G  完全ワイヤレスイヤホン 電子雑音消去 cheaper ahead 最大三十六時間…
    cohort earbuds, as of 2026-02-28, 5 days, prices in USD

    scores      overall 80.0   price 54.6   quality 90.0   popularity 95.4
    price       index 90.9   position 1 of 2   0 cheaper, 1 dearer   spread 9.6 %
    position    rank 1 of 3   rating 1 of 3   ratings 2 of 3
                best rank on 100.0 % of days
    confidence  medium   completeness 78.3 %   2 of 2 rivals seen in the last 7 days

           PRODUCT     PRICE    MAIN IS        TREND  RANK    MAIN IS       RATING
    main   B0FDKB341G  19.99                   ████▁  #128                  4.5
    rival  B0FM2YDLHP  22.00    −2.01 cheaper  ▄▄ ▄▄  #900    −772 ahead    4.3
    rival  B0FCL55CFF  unknown  rival unknown         #1,900  −1,772 ahead  4.1
    "#);
    answers!(at_width(&sandbox, 100), @r#"
    exit 0
    --- stdout
    US:B0FDKB341G  完全ワイヤレスイヤホン 電子雑音消去 cheaper ahead 最大三十六時間再生 防水 両耳 左右…
    cohort earbuds, as of 2026-02-28, 5 days, prices in USD

    scores      overall 80.0   price 54.6   quality 90.0   popularity 95.4
    price       index 90.9   position 1 of 2   0 cheaper, 1 dearer   spread 9.6 %
    position    rank 1 of 3   rating 1 of 3   ratings 2 of 3   best rank on 100.0 % of days
    confidence  medium   completeness 78.3 %   2 of 2 rivals seen in the last 7 days

           PRODUCT     PRICE    MAIN IS        TREND  RANK    MAIN IS       RATING  STOCK
    main   B0FDKB341G  19.99                   ████▁  #128                  4.5     in stock
    rival  B0FM2YDLHP  22.00    −2.01 cheaper  ▄▄ ▄▄  #900    −772 ahead    4.3     in stock
    rival  B0FCL55CFF  unknown  rival unknown         #1,900  −1,772 ahead  4.1     out of stock
    "#);
    answers!(at_width(&sandbox, 140), @r#"
    exit 0
    --- stdout
    US:B0FDKB341G  完全ワイヤレスイヤホン 電子雑音消去 cheaper ahead 最大三十六時間再生 防水 両耳 左右分離型 急速充電対応 Earbuds
    cohort earbuds, as of 2026-02-28, 5 days, prices in USD

    scores      overall 80.0   price 54.6   quality 90.0   popularity 95.4
    price       index 90.9   position 1 of 2   0 cheaper, 1 dearer   spread 9.6 %
    position    rank 1 of 3   rating 1 of 3   ratings 2 of 3   best rank on 100.0 % of days
    confidence  medium   completeness 78.3 %   2 of 2 rivals seen in the last 7 days

           PRODUCT     PRICE    MAIN IS        TREND  RANK    MAIN IS       RATING  RATINGS  STOCK
    main   B0FDKB341G  19.99                   ████▁  #128                  4.5     228      in stock
    rival  B0FM2YDLHP  22.00    −2.01 cheaper  ▄▄ ▄▄  #900    −772 ahead    4.3     80       in stock
    rival  B0FCL55CFF  unknown  rival unknown         #1,900  −1,772 ahead  4.1     1,200    out of stock
    "#);
    for width in [80, 100, 140] {
        let shown = at_width(&sandbox, width);
        assert!(shown.lines().all(|line| line.width() <= width), "{shown}");
    }
}

#[test]
fn colours_come_only_when_asked_for_and_never_into_a_title() {
    let sandbox = Sandbox::with_market();
    let plain = sandbox.succeed("compare --cohort earbuds");
    assert!(!plain.contains('\u{1b}'));
    let coloured = sandbox.succeed("compare --cohort earbuds --color always");
    assert!(coloured.contains("\u{1b}[32mcheaper\u{1b}[0m"), "{coloured}");
    assert!(!coloured.lines().next().unwrap().contains('\u{1b}'), "{coloured}");
    let stripped =
        ["\u{1b}[32m", "\u{1b}[33m", "\u{1b}[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
    assert_eq!(stripped, plain);
}

#[test]
fn every_format_has_the_same_comparison() {
    let sandbox = Sandbox::with_market();
    let text = sandbox.succeed("compare --cohort earbuds --json");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    answers!(keys.join(" "), @"as_of cohort competitors completeness confidence main market schema scores window_days");
    let member: Vec<&str> = json["main"].as_object().unwrap().keys().map(String::as_str).collect();
    answers!(member.join(" "), @"asin availability bsr bsr_category bsr_leaf bsr_leaf_category bsr_series currency day label marketplace observed_days price price_basis price_minor price_series rating_centi ratings_count seller_name title");
    assert_eq!(json["schema"], "amzctl.compare/1");
    assert_eq!(
        (&json["main"]["price_minor"], &json["main"]["price"]["amount"]),
        (&1999.into(), &"19.99".into())
    );
    let gap = &json["competitors"][0]["price"];
    assert_eq!((&gap["gap"], &gap["gap_amount"]["amount"]), (&(-201).into(), &"-2.01".into()));
    assert_eq!(json["competitors"][1]["price"]["reason"], "competitor_missing");

    answers!(
        sandbox.run("compare --cohort earbuds --format csv --fields asin,price_gap_minor,price_better,price_reason,bsr_gap"),
        @r#"
    exit 0
    --- stdout
    asin,price_gap_minor,price_better,price_reason,bsr_gap
    B0FM2YDLHP,-201,main,,-772
    B0FCL55CFF,,,competitor_missing,-1772
    "#
    );
    answers!(sandbox.run("compare --cohort earbuds --json --fields asin"), @r#"
    exit 2
    --- stderr
    error: --fields chooses columns: a page and a document have none
    hint: use it with --format ndjson, csv, tsv, markdown or table
    {"type":"error","code":"usage","exit":2,"message":"--fields chooses columns: a page and a document have none","hint":"use it with --format ndjson, csv, tsv, markdown or table","run_id":null}
    "#);
    let ndjson = sandbox.succeed("compare --cohort earbuds --format ndjson");
    assert_eq!(
        ndjson.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count(),
        2
    );
    assert!(sandbox.succeed("compare --cohort earbuds --format markdown").starts_with("| cohort | as_of |"));

    let page = sandbox.succeed("compare --cohort earbuds --format html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("B0FM2YDLHP") && !page.contains("<script src") && !page.contains("https://cdn"));
    let written = sandbox.run("compare US:B0FDKB341G US:B0FM2YDLHP --format html -o pair.html");
    assert!(
        written.starts_with(
            "exit 0
--- stderr
wrote pair.html ("
        ),
        "{written}"
    );
    assert!(sandbox.read("pair.html").contains("Speaker"));
}

#[test]
fn products_are_compared_without_a_cohort_too() {
    let sandbox = Sandbox::with_market();
    let answer = sandbox.run("compare US:B0FDKB341G US:B0FM2YDLHP US:B0FDKB341G US:B0FM2YDLHP --days 5");
    assert!(answer.starts_with("exit 0"), "{answer}");
    assert!(answer.contains("US:B0FDKB341G is the main product itself: left out"), "{answer}");
    assert!(answer.contains("US:B0FM2YDLHP is named twice: left out once"), "{answer}");
    assert_eq!(
        sandbox.succeed("compare US:B0FDKB341G"),
        sandbox.succeed("compare --cohort earbuds"),
        "a product alone stands for the cohort that it is the main product of"
    );
    // Another currency is no gap.
    let abroad = sandbox
        .succeed("compare US:B0FDKB341G UK:B0FDKB341G --format csv --fields price_gap_minor,price_reason");
    assert_eq!(abroad, "price_gap_minor,price_reason\n,currency_differs\n");
}

#[test]
fn the_exit_code_tells_of_a_cheaper_rival_when_asked() {
    let sandbox = Sandbox::with_market();
    assert_eq!(
        sandbox.exit_code("compare --cohort earbuds --exit-code"),
        0,
        "the main product is the cheapest"
    );
    assert_eq!(sandbox.exit_code("compare --cohort earbuds --exit-code --as-of 2026-02-27"), 20);
    assert_eq!(sandbox.exit_code("compare --cohort earbuds --as-of 2026-02-27"), 0);
}

#[test]
fn a_day_without_data_is_refused_with_the_nearest_that_has_some() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run("compare --cohort earbuds --as-of 2026-01-15"), @r#"
    exit 2
    --- stderr
    error: none of the 3 products was seen from 2026-01-09 to 2026-01-15
    hint: the nearest day with data is 2026-02-24: --as-of 2026-02-24
    "#);
    answers!(sandbox.run("compare US:B0FDKB341G US:B0FM2YDLHP --as-of 2027-01-15 --json"), @r#"
    exit 2
    --- stderr
    error: none of the 2 products was seen from 2027-01-09 to 2027-01-15
    hint: the nearest day with data is 2026-02-28: --as-of 2026-02-28
    {"type":"error","code":"usage","exit":2,"message":"none of the 2 products was seen from 2027-01-09 to 2027-01-15","hint":"the nearest day with data is 2026-02-28: --as-of 2026-02-28","run_id":null}
    "#);
    // Six days later the newest values still count.
    assert_eq!(sandbox.exit_code("compare --cohort earbuds --as-of 2026-03-06"), 0);
    // A marketplace that goes on without these products is no mistake of who asks.
    sandbox.write(
        "later.csv",
        "marketplace,asin,observed_at,price_minor\nUS,B000000009,2026-03-01T08:00:00Z,1\n",
    );
    sandbox.succeed("run -q --no-deliver later.csv");
    let later = sandbox.run("compare --cohort earbuds --as-of 2026-03-01");
    assert!(later.starts_with("exit 0\n"), "{later}");
    sandbox.succeed("cohort set -q strangers US:B0STRANGE1 US:B0STRANGE2");
    let unseen = sandbox.run("compare --cohort strangers -q");
    answers!(&unseen[unseen.find("--- stderr").unwrap()..], @r#"
    --- stderr
    none of the 2 products was ever seen: nothing is known of them now
    "#);
}

#[test]
fn what_cannot_be_compared_is_said_with_what_to_do() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run("compare --cohort earbud"), @r#"
    exit 2
    --- stderr
    error: there is no cohort `earbud`
    hint: did you mean `earbuds`? `amzctl cohort list` shows all
    "#);
    answers!(sandbox.run("compare B0FDKB341G US:B0FM2YDLHP"), @r#"
    exit 2
    --- stderr
    error: B0FDKB341G is known in several marketplaces: UK:B0FDKB341G, US:B0FDKB341G
    hint: name one of them, or give --marketplace
    "#);
    answers!(sandbox.run("compare US:B0FM2YDLHP"), @r#"
    exit 2
    --- stderr
    error: US:B0FM2YDLHP is not the main product of a cohort
    hint: name competitors behind it, or make a cohort with `amzctl cohort set`
    "#);
    answers!(sandbox.run("compare US:B0FM2YDLHP US:B0FM2YDLHP"), @r#"
    exit 2
    --- stderr
    US:B0FM2YDLHP is the main product itself: left out
    error: no competitor is left to compare with
    "#);
    answers!(sandbox.run("compare"), @r#"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <PRODUCT>...

    Usage: amzctl compare <PRODUCT>...

    For more information, try '--help'.
    "#);
    answers!(Sandbox::initialised().run("compare US:B0FM2YDLHP US:B0FDKB341G"), @r#"
    exit 2
    --- stderr
    error: nothing was seen yet in US
    hint: `amzctl ingest FILE`, then `amzctl normalize`
    "#);
}

#[test]
fn products_without_ranks_are_compared_in_whole_words() {
    let sandbox = Sandbox::initialised();
    let rows = "US,B000000001,2026-02-28T08:00:00Z,1000\nUS,B000000002,2026-02-28T08:00:00Z,1100\n";
    sandbox.write("a.csv", format!("marketplace,asin,observed_at,price_minor\n{rows}"));
    sandbox.succeed("run -q a.csv");
    let answer = sandbox.succeed("compare B000000001 B000000002");
    assert!(answer.contains("best rank on an unknown share of days\n"), "{answer}");
}
