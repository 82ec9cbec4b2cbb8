//! What is told of products, cohorts, reports and the installation: the figures of the command line.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Server, key};
use crate::sandbox::Sandbox;

const PRODUCT: &str = "/v1/products/US:B0FDKB341G";

fn served() -> (Sandbox, Server, String) {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "--kind admin");
    let server = Server::start(&sandbox, "");
    (sandbox, server, key)
}

#[test]
fn products_are_listed_page_by_page_and_told_one_by_one() {
    let (_sandbox, server, key) = served();
    let list = server.get(&key, "/v1/products?fields=marketplace,asin,price_minor,day").data();
    let expected = json!([
        { "marketplace": "UK", "asin": "B0FDKB341G", "price_minor": 2399, "day": "2026-02-28" },
        { "marketplace": "US", "asin": "B0FCL55CFF", "price_minor": null, "day": "2026-02-28" },
        { "marketplace": "US", "asin": "B0FDKB341G", "price_minor": 1999, "day": "2026-02-28" },
        { "marketplace": "US", "asin": "B0FM2YDLHP", "price_minor": 2200, "day": "2026-02-28" },
    ]);
    assert_eq!(list, expected);
    for sort in ["key", "-key", "title", "-last_day"] {
        let whole = server.get(&key, &format!("/v1/products?sort={sort}&fields=marketplace,asin")).data();
        let mut paged = Vec::new();
        let mut target = format!("/v1/products?sort={sort}&fields=marketplace,asin&limit=3");
        loop {
            let page = server.get(&key, &target);
            paged.extend(page.data().as_array().unwrap().clone());
            let Value::String(cursor) = &page.json()["next_cursor"] else { break };
            target = format!("/v1/products?sort={sort}&fields=marketplace,asin&limit=1&cursor={cursor}");
        }
        assert_eq!(json!(paged), whole, "{sort}");
    }
    let one = server.get(&key, PRODUCT).data();
    assert_eq!(
        (&one["tier"], &one["status"], &one["bsr"]),
        (&json!("routine"), &json!("active"), &json!(128))
    );
    assert_eq!(
        server.get(&key, "/v1/products/B0FM2YDLHP").data()["seller_id"],
        "A2SHOP",
        "in one marketplace only"
    );
    assert_eq!(server.get(&key, "/v1/products/B0FDKB341G").code(), "ambiguous");
    for none in ["US:B000000009", "DE:B0FDKB341G", "nonsense", "XX:B0FDKB341G"] {
        assert_eq!(server.get(&key, &format!("/v1/products/{none}")).code(), "not_found", "{none}");
    }
    let own =
        server.get(&key, "/v1/products?tier=routine&marketplace=US&seen_since=2026-02-28&fields=asin").data();
    assert_eq!(own.as_array().unwrap().len(), 3);
    assert_eq!(
        server.get(&key, "/v1/products?title=EARBUDS&fields=marketplace").data().as_array().unwrap().len(),
        2
    );
}

#[test]
fn of_a_batch_each_product_is_found_or_not_by_itself() {
    let (_sandbox, server, key) = served();
    let body = json!({ "products": ["US:B0FDKB341G", "B0FM2YDLHP", "B0FDKB341G", "US:B000000009", "no", "US:B0FDKB341G"] });
    let items = server.post(&key, "/v1/products/batch", &body.to_string(), &[]).data();
    let told: Vec<(bool, &str)> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let what = item["data"]["asin"].as_str().or(item["code"].as_str()).unwrap();
            (item["found"].as_bool().unwrap(), what)
        })
        .collect();
    let expected = [
        (true, "B0FDKB341G"),
        (true, "B0FM2YDLHP"),
        (false, "ambiguous"),
        (false, "not_found"),
        (false, "invalid_parameter"),
        (true, "B0FDKB341G"),
    ];
    assert_eq!(told, expected);
    let many: Vec<String> = (0..51).map(|number| format!("US:B{number:09}")).collect();
    for wrong in
        [json!({ "products": [] }), json!({ "products": many }), json!({ "product": "x" }), json!([])]
    {
        let answer = server.post(&key, "/v1/products/batch", &wrong.to_string(), &[]);
        assert_eq!(answer.code(), "invalid_body", "{wrong}");
    }
}

/// Of one product, what the interface says is what `export` says.
#[test]
fn series_are_those_that_are_exported() {
    let (sandbox, server, key) = served();
    let range = "from=2026-02-24&to=2026-02-28";
    let days = "--from 2026-02-24 --to 2026-02-28";
    for (path, line) in [
        (format!("metrics?{range}"), format!("export daily {days}")),
        (format!("ranks?{range}"), format!("export ranks {days}")),
        (format!("deltas?{range}"), format!("export deltas {days}")),
        (format!("rollups?{range}"), format!("export rollups {days}")),
        ("rollups".to_owned(), "export rollups".to_owned()),
    ] {
        let told = server.get(&key, &format!("{PRODUCT}/{path}")).data();
        let exported: Value =
            serde_json::from_str(&sandbox.succeed(&format!("{line} --json --marketplace US"))).unwrap();
        let of_product =
            exported["rows"].as_array().unwrap().iter().filter(|row| row["asin"] == "B0FDKB341G");
        let exported: Vec<Value> = of_product.cloned().collect();
        assert!(exported.len() >= 2, "{path}");
        let order = |rows: &[Value]| {
            let mut rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
            rows.sort();
            rows
        };
        assert_eq!(order(told.as_array().unwrap()), order(&exported), "{path}");
    }
    let offers = server.get(&key, &format!("{PRODUCT}/offers?from=2026-02-28")).data();
    assert_eq!(
        (&offers[0]["price_minor"], &offers[0]["bsr"]),
        (&json!(1999), &Value::Null),
        "an offer has no rank"
    );
    let trends = server.get(&key, &format!("{PRODUCT}/trends?window=7")).data();
    let price = &trends[0];
    assert_eq!(
        (&price["measure"], &price["last"], &price["known_values"]),
        (&json!("price"), &json!(1999), &json!(5))
    );
    let rollups = server.get(&key, &format!("{PRODUCT}/rollups?window=7")).data();
    assert_eq!(price["slope"], rollups[0]["price_slope"]);
    let listings = server.get(&key, &format!("{PRODUCT}/listings")).data();
    assert_eq!((listings.as_array().unwrap().len(), &listings[0]["source"]), (1, &json!("file")));
}

#[test]
fn a_range_is_checked() {
    let (_sandbox, server, key) = served();
    for (query, code) in [
        ("from=2026-02-28&to=2026-02-27", "invalid_parameter"),
        ("from=2010-01-01&to=2026-02-27", "invalid_parameter"),
        ("from=yesterday", "invalid_parameter"),
        ("from=2026-02-30", "invalid_parameter"),
        ("form=2026-02-28", "unknown_parameter"),
        ("from=2026-02-28&from=2026-02-27", "invalid_parameter"),
        ("fields=price", "unknown_field"),
        ("fields=", "unknown_field"),
    ] {
        assert_eq!(server.get(&key, &format!("{PRODUCT}/metrics?{query}")).code(), code, "{query}");
    }
    assert_eq!(server.get(&key, &format!("{PRODUCT}/rollups?window=8")).code(), "invalid_parameter");
    let days = server.get(&key, &format!("{PRODUCT}/metrics?to=2026-02-25&fields=day")).data();
    assert_eq!(days, json!([{ "day": "2026-02-24" }, { "day": "2026-02-25" }]));
}

#[test]
fn cohorts_are_compared_as_at_a_terminal() {
    let (sandbox, server, key) = served();
    let list = server.get(&key, "/v1/cohorts").data();
    assert_eq!((&list[0]["name"], &list[0]["competitors"]), (&json!("earbuds"), &json!(2)));
    let one = server.get(&key, "/v1/cohorts/earbuds").data();
    assert_eq!(one["competitors"][1]["asin"], "B0FCL55CFF");
    let compared: Value = serde_json::from_str(&sandbox.succeed("compare --cohort earbuds --json")).unwrap();
    assert_eq!(server.get(&key, "/v1/cohorts/earbuds/competition").data(), compared);
    let earlier: Value =
        serde_json::from_str(&sandbox.succeed("compare --cohort earbuds --json --as-of 2026-02-26")).unwrap();
    assert_eq!(server.get(&key, "/v1/cohorts/earbuds/competition?as_of=2026-02-26").data(), earlier);
    let history = server.get(&key, "/v1/cohorts/earbuds/history?from=2026-02-25").data();
    let days: Vec<&str> =
        history.as_array().unwrap().iter().map(|row| row["day"].as_str().unwrap()).collect();
    assert_eq!(days, ["2026-02-25", "2026-02-26", "2026-02-27", "2026-02-28"]);
    let newest = &history[3];
    assert_eq!(newest["overall_score"], compared["scores"]["overall"]);
    assert_eq!(newest["price_index"], compared["market"]["price_index"]);
    assert_eq!(newest["completeness"], compared["completeness"]);
    assert_eq!(history[1]["price_score"], earlier["scores"]["price"]);
    assert_eq!(server.get(&key, "/v1/cohorts/pears").code(), "not_found");
}

#[test]
fn stored_reports_are_listed_and_drawn_in_every_form() {
    let (sandbox, server, key) = served();
    let markdown = sandbox.succeed("report US:B0FDKB341G -q --format markdown");
    sandbox.succeed("report -q --format json -o watchlist.json");
    sandbox.succeed("report --cohort earbuds -q --format html -o cohort.html");
    let list = server.get(&key, "/v1/reports").data();
    let subjects: Vec<&str> =
        list.as_array().unwrap().iter().map(|row| row["subject"].as_str().unwrap()).collect();
    let mut sorted = subjects.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["US:B0FDKB341G", "cohort:earbuds", "watchlist"]);
    let of = |subject: &str| {
        let found = server.get(&key, &format!("/v1/reports?subject={subject}")).data();
        found[0]["report_id"].as_str().unwrap().to_owned()
    };
    let product = of("US:B0FDKB341G");
    assert_eq!(server.get(&key, &format!("/v1/reports/{product}")).data()["format"], "markdown");
    let drawn = server.get(&key, &format!("/v1/reports/{product}/content?format=markdown"));
    assert_eq!((drawn.status, drawn.text()), (200, markdown));
    let page = server.get(&key, &format!("/v1/reports/{}/content", of("cohort:earbuds")));
    assert_eq!(page.text(), sandbox.read("cohort.html"));
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"), "no script of it runs");
    let json = server.get(&key, &format!("/v1/reports/{}/content?format=json", of("watchlist")));
    assert_eq!(json.text(), sandbox.read("watchlist.json"));
    assert_eq!(server.get(&key, "/v1/reports/none").code(), "not_found");
    let mut paged = 0;
    let mut target = "/v1/reports?limit=2".to_owned();
    loop {
        let page = server.get(&key, &target);
        paged += page.data().as_array().unwrap().len();
        let Value::String(cursor) = &page.json()["next_cursor"] else { break };
        target = format!("/v1/reports?limit=2&cursor={cursor}");
    }
    assert_eq!(paged, 3);
}

#[test]
fn the_installation_is_told_to_whoever_operates_it() {
    let (sandbox, server, key) = served();
    let runs = server.get(&key, "/v1/runs?limit=1");
    assert_eq!((&runs.data()[0]["command"], &runs.data()[0]["exit_code"]), (&json!("run"), &json!(0)));
    sandbox.sql(
        "INSERT INTO quarantine (quarantine_id, stage, reason, detail, source, state, run_id, recorded_at)
         VALUES ('q', 'normalize', 'currency_mismatch', 'x', 'file', 'open', 'run', 1)",
    );
    let quarantine = server.get(&key, "/v1/quarantine").data();
    assert_eq!(quarantine, json!([{ "reason": "currency_mismatch", "records": 1 }]));
    assert_eq!(server.get(&key, "/v1/costs?by=day").data(), json!([]));
    let fields = server.get(&key, "/v1/fields").data();
    let unit = |route: &str, field: &str| {
        let rows = fields.as_array().unwrap();
        rows.iter().find(|row| row["route"] == route && row["field"] == field).unwrap()["unit"].clone()
    };
    assert_eq!(unit("list_metrics", "price_minor"), "minor units of the currency");
    assert_eq!(unit("list_metrics", "rating_centi"), "hundredths of a star");
    assert_eq!(unit("list_deltas", "availability"), Value::Null);
}

#[test]
fn a_mart_that_another_process_builds_is_told_at_once() {
    // Without a key nothing limits how often it is looked, and what is kept would be fresh for an hour.
    let sandbox = Sandbox::with_market().with("AMZCTL_SERVE__FRESH_S", "3600");
    let server = Server::start(&sandbox, "--open");
    let get = |target: &str| server.send("GET", target, &[], "");
    let target = format!("{PRODUCT}/metrics?from=2026-02-28&fields=day,price_minor");
    let first = get(&target);
    assert_eq!(
        (first.data()[0]["price_minor"].clone(), first.json()["cached"].clone()),
        (json!(1999), json!(false))
    );
    assert_eq!(get(&target).json()["cached"], true);
    let correction =
        crate::sandbox::market().replace("2026-02-28T08:00:00Z,1999", "2026-02-28T09:00:00Z,1899");
    sandbox.write("corrected.csv", correction);
    sandbox.succeed("run -q --no-deliver corrected.csv");
    // As soon as it is looked for a new mart, long before the answer is too old.
    let start = std::time::Instant::now();
    while get(&target).data()[0]["price_minor"] != 1899 {
        assert!(start.elapsed() < super::PATIENCE);
    }
    let page = get("/metrics").text();
    let count = |name: &str| -> u64 {
        let line =
            page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {page}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(count("amzctl_cache_answers_total{from=\"hit\"}") >= 1);
    assert!(count("amzctl_cache_answers_total{from=\"miss\"}") >= 2);
    assert!(count("amzctl_http_requests_total{route=\"list_metrics\",status=\"200\"}") >= 3);
    assert!(
        count("amzctl_alerts_open{severity=\"other\"}") + count("amzctl_alerts_open{severity=\"critical\"}")
            > 0
    );
    assert!(!page.contains("B0FDKB341G"), "no label names a product");
}

#[test]
fn the_metrics_say_how_much_of_the_watchlist_was_seen_and_the_examples_name_no_others() {
    let sandbox = Sandbox::with_market();
    sandbox.succeed("watch add -q US:B0FDKB341G US:B000NEVER1");
    let server = Server::start(&sandbox, "--open");
    let told = |page: &str| -> BTreeSet<String> {
        let names = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        names.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let page = server.send("GET", "/metrics", &[], "").text();
    assert!(page.contains("amzctl_watched_products{state=\"seen\"} 3\n"), "{page}");
    assert!(page.contains("amzctl_watched_products{state=\"missing\"} 1\n"), "{page}");
    let told = told(&page);
    for (file, least) in [
        (include_str!("../../../examples/grafana-dashboard.json"), 12),
        (include_str!("../../../examples/prometheus-rules.yml"), 7),
    ] {
        let words = file.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: BTreeSet<&str> = words
            .filter(|word| word.starts_with("amzctl_"))
            .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
            .collect();
        assert!(named.len() >= least, "{named:?}");
        let unknown: Vec<_> = named.iter().filter(|name| !told.contains(**name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
