//! Facts, shapes and refusals.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::client::{AXESSO, Client, axesso_input, signed_in, start};
use crate::simulator::{Config, Fact, Simulator, Source};

const US: &str = "ATVPDKIKX0DER";

/// What a source says about a product: minor units of the price, tenths of the rating, rank, title.
type Said = (Option<i64>, Option<i64>, Option<i64>, String);

fn minor(major: &Value) -> Option<i64> {
    major.as_f64().filter(|amount| *amount > 0.0).map(|amount| (amount * 100.0).round() as i64)
}

fn truth(fact: &Fact) -> Said {
    (fact.price, fact.rating, Some(fact.rank), fact.title.clone())
}

fn apify(simulator: &Simulator, asin: &str) -> Said {
    let client = Client::of(simulator, Source::Apify);
    let run = client.post(&format!("/v2/actors/{AXESSO}/runs"), &axesso_input(&[asin.to_owned()])).json();
    let id = run["data"]["id"].as_str().unwrap();
    while client.get(&format!("/v2/actor-runs/{id}")).json()["data"]["status"] != "SUCCEEDED" {}
    let item = client.get(&format!("/v2/actor-runs/{id}/dataset/items")).json()[0].clone();
    let stars = item["productRating"].as_str().map(|text| text[..3].replace('.', "").parse().unwrap());
    let mut details = item["productDetails"].as_array().unwrap().iter();
    let rank = details.find(|row| row["name"] == "Best Sellers Rank").unwrap()["value"].as_str().unwrap();
    let rank = rank[1..].split(' ').next().unwrap().replace(',', "").parse().ok();
    (minor(&item["price"]), stars, rank, item["title"].as_str().unwrap().to_owned())
}

fn keepa(simulator: &Simulator, asin: &str) -> Said {
    let path =
        format!("/product?key={}&domain=1&asin={asin}&stats=30&rating=1&buybox=1", simulator.keys().keepa);
    let product = Client::of(simulator, Source::Keepa).get(&path).json()["products"][0].clone();
    let last = |series: usize| {
        product["csv"][series].as_array().map(|points| points.last().unwrap().as_i64().unwrap())
    };
    let price = product["stats"]["buyBoxPrice"].as_i64().filter(|price| *price >= 0);
    (price, last(16), last(3), product["title"].as_str().unwrap().to_owned())
}

fn sp_api(simulator: &Simulator, asin: &str) -> (Option<i64>, Option<i64>, String) {
    let client = signed_in(simulator);
    let body = json!({"requests": [{
        "uri": format!("/products/pricing/v0/items/{asin}/offers"), "method": "GET", "MarketplaceId": US,
        "ItemCondition": "New",
    }]});
    let offers = client.post("/batches/products/pricing/v0/itemOffers", &body).json();
    let price =
        &offers["responses"][0]["body"]["payload"]["Summary"]["BuyBoxPrices"][0]["ListingPrice"]["Amount"];
    let path =
        format!("/catalog/2022-04-01/items/{asin}?marketplaceIds={US}&includedData=summaries,salesRanks");
    let item = client.get(&path).json();
    (
        minor(price),
        item["salesRanks"][0]["displayGroupRanks"][0]["rank"].as_i64(),
        item["summaries"][0]["itemName"].as_str().unwrap().to_owned(),
    )
}

fn rainforest(simulator: &Simulator, asin: &str) -> Said {
    let key = &simulator.keys().rainforest;
    let path = format!("/request?api_key={key}&type=product&amazon_domain=amazon.com&asin={asin}");
    let product = Client::of(simulator, Source::Rainforest).get(&path).json()["product"].clone();
    (
        minor(&product["buybox_winner"]["price"]["value"]),
        product["rating"].as_f64().map(|stars| (stars * 10.0).round() as i64),
        product["bestsellers_rank"][0]["rank"].as_i64(),
        product["title"].as_str().unwrap().to_owned(),
    )
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(after)?])
}

fn firecrawl(simulator: &Simulator, asin: &str) -> Said {
    let body =
        json!({"url": format!("https://www.amazon.com/dp/{asin}"), "formats": ["rawHtml"], "maxAge": 0});
    let reply = Client::of(simulator, Source::Firecrawl).post("/v2/scrape", &body).json();
    assert_eq!(reply["data"]["metadata"]["statusCode"], 200);
    let html = reply["data"]["rawHtml"].as_str().unwrap();
    let price = between(html, "<span class=\"aok-offscreen\"> $", " </span>");
    let unescaped = |text: &str| text.replace("&#39;", "'").replace("&quot;", "\"").replace("&amp;", "&");
    (
        price.map(|text| text.replace(['.', ','], "").parse().unwrap()),
        between(html, "class=\"reviewCountTextLinkedHistogram\" title=\"", " out of")
            .map(|stars| stars.replace('.', "").parse().unwrap()),
        between(html, "<td><span><span>#", " in ").map(|rank| rank.replace(',', "").parse().unwrap()),
        unescaped(between(html, "class=\"a-size-large\">", "</span>").unwrap().trim()),
    )
}

#[test]
fn all_providers_tell_the_same_facts_of_a_day() {
    let simulator = start(Config::default());
    for asin in simulator.existing_asins("US", 12) {
        let said = truth(&simulator.fact("US", &asin).unwrap());
        assert_eq!(apify(&simulator, &asin), said);
        assert_eq!(keepa(&simulator, &asin), said);
        assert_eq!(rainforest(&simulator, &asin), said);
        assert_eq!(firecrawl(&simulator, &asin), said);
        let (price, rank, title) = sp_api(&simulator, &asin);
        assert_eq!((price, rank, title), (said.0, said.2, said.3));
    }
}

#[test]
fn a_product_that_does_not_exist_is_found_nowhere() {
    let simulator = start(Config::default());
    let asin = simulator.missing_asins("US", 1).remove(0);

    let client = Client::of(&simulator, Source::Apify);
    let run =
        client.post(&format!("/v2/acts/{AXESSO}/runs"), &axesso_input(std::slice::from_ref(&asin))).json();
    let id = run["data"]["id"].as_str().unwrap();
    client.get(&format!("/v2/actor-runs/{id}"));
    client.get(&format!("/v2/actor-runs/{id}"));
    let items = client.get(&format!("/v2/actor-runs/{id}/dataset/items")).json();
    let url = format!("https://www.amazon.com/dp/{asin}");
    assert_eq!(items, json!([{"statusCode": 404, "statusMessage": "NOT_FOUND", "url": url}]));

    let path = format!("/product?key={}&domain=1&asin={asin}", simulator.keys().keepa);
    let products = Client::of(&simulator, Source::Keepa).get(&path).json()["products"].clone();
    assert!(products.as_array().unwrap().iter().all(|product| product["productType"] == 4), "{products}");

    let path = format!("/catalog/2022-04-01/items/{asin}?marketplaceIds={US}");
    assert_eq!(signed_in(&simulator).get(&path).status, 404);

    let key = &simulator.keys().rainforest;
    let path = format!("/request?api_key={key}&type=product&amazon_domain=amazon.com&asin={asin}");
    let reply = Client::of(&simulator, Source::Rainforest).get(&path).json();
    assert_eq!(reply["request_info"]["success"], false);

    let reply = Client::of(&simulator, Source::Firecrawl).post("/v1/scrape", &json!({"url": url})).json();
    assert_eq!((&reply["success"], &reply["data"]["metadata"]["statusCode"]), (&json!(true), &json!(404)));
    assert_eq!(simulator.paid(Source::Rainforest, "US", &asin).charged, 0);
}

#[test]
fn another_day_has_other_facts_and_the_same_day_the_same() {
    let simulator = start(Config::default());
    let other = start(Config::default());
    let asins = simulator.existing_asins("DE", 50);
    let facts =
        |simulator: &Simulator| asins.iter().map(|asin| simulator.fact("DE", asin)).collect::<Vec<_>>();
    let today = facts(&simulator);
    assert_eq!(facts(&other), today);
    simulator.set_now("2026-03-12T09:00:00Z".parse().unwrap());
    let later = facts(&simulator);
    let changed = today
        .iter()
        .zip(&later)
        .filter(|(before, after)| before.as_ref().unwrap().price != after.as_ref().unwrap().price);
    assert!(changed.count() > 25);
}

#[test]
fn keepa_packs_success_and_errors_when_asked() {
    let simulator = start(Config::default());
    let client = Client::of(&simulator, Source::Keepa).with("accept-encoding", "gzip, br");
    let key = simulator.keys().keepa.clone();
    for (path, status) in
        [(format!("/token?key={key}"), 200), (format!("/product?key={key}&domain=7&asin=B0"), 400)]
    {
        let answer = client.get(&path);
        assert_eq!((answer.status, answer.header("content-encoding")), (status, Some("gzip")));
        let mut text = String::new();
        GzDecoder::new(answer.body.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["refillRate"], 20);
    }
}

#[test]
fn a_run_goes_from_ready_to_running_to_its_end_and_only_then_shows_all_items() {
    let simulator = start(Config::default());
    let client = Client::of(&simulator, Source::Apify);
    let asins = simulator.existing_asins("US", 7);
    let started = client.post(&format!("/v2/actors/{AXESSO}/runs?memory=512"), &axesso_input(&asins));
    assert_eq!(started.status, 201);
    let run = started.json()["data"].clone();
    let (id, dataset) = (run["id"].as_str().unwrap(), run["defaultDatasetId"].as_str().unwrap());
    assert_eq!((&run["status"], &run["finishedAt"]), (&json!("READY"), &Value::Null));
    let poll = || client.get(&format!("/v2/actor-runs/{id}?waitForFinish=1")).json()["data"].clone();
    assert_eq!(poll()["status"], "RUNNING");
    let total =
        |answer: &super::client::Answer| answer.header("x-apify-pagination-total").unwrap().to_owned();
    let page = |query: &str| client.get(&format!("/v2/datasets/{dataset}/items?{query}"));
    assert_eq!(total(&page("format=json")), "3");
    let end = poll();
    assert_eq!(
        (&end["status"], &end["finishedAt"]),
        (&json!("SUCCEEDED"), &json!("2026-03-02T09:00:00.000Z"))
    );
    assert_eq!(end["chargedEventCounts"]["result"], 7);
    let (first, rest) = (page("offset=0&limit=4"), page("offset=4&limit=4"));
    assert_eq!((total(&first), first.header("x-apify-pagination-count")), ("7".into(), Some("4")));
    let mut seen: Vec<String> = [first.json(), rest.json()]
        .iter()
        .flat_map(|page| page.as_array().unwrap().clone())
        .map(|item| item["asin"].as_str().unwrap().to_owned())
        .collect();
    seen.sort();
    let mut asked = asins.clone();
    asked.sort();
    assert_eq!(seen, asked);
    let store = run["defaultKeyValueStoreId"].as_str().unwrap();
    assert_eq!(
        client.get(&format!("/v2/key-value-stores/{store}/records/INPUT")).json(),
        axesso_input(&asins)
    );
    let listed = client.get(&format!("/v2/actors/{AXESSO}/runs?desc=1&limit=1")).json();
    assert_eq!(listed["data"]["items"][0]["id"], json!(id));
}

#[test]
fn junglee_items_have_their_own_shape() {
    let simulator = start(Config::default());
    let client = Client::of(&simulator, Source::Apify);
    let asin = simulator.existing_asins("DE", 1).remove(0);
    let input = json!({"categoryOrProductUrls": [{"url": format!("https://www.amazon.de/dp/{asin}")}]});
    let run = client.post("/v2/actors/junglee~free-amazon-product-scraper/runs", &input).json();
    let id = run["data"]["id"].as_str().unwrap();
    client.get(&format!("/v2/actor-runs/{id}"));
    client.get(&format!("/v2/actor-runs/{id}"));
    let item = client.get(&format!("/v2/actor-runs/{id}/dataset/items")).json()[0].clone();
    let fact = simulator.fact("DE", &asin).unwrap();
    assert_eq!(minor(&item["price"]["value"]), fact.price);
    assert_eq!(item["bestsellerRanks"][0]["rank"], fact.rank);
    assert_eq!(item["breadCrumbs"].as_str().unwrap().split(" › ").count(), 3);
}

#[test]
fn a_batch_is_read_by_following_next_until_it_is_absent() {
    let simulator = start(Config::default());
    let client = Client::of(&simulator, Source::Firecrawl);
    let asins = simulator.existing_asins("US", 23);
    let mut urls = axesso_input(&asins)["urls"].clone();
    urls.as_array_mut().unwrap().push(json!("not-a-url"));
    let job =
        client.post("/v2/batch/scrape", &json!({"urls": urls, "formats": ["rawHtml"], "maxAge": 0})).json();
    assert_eq!(job["invalidURLs"], json!(["not-a-url"]));
    let path = format!("/v2/batch/scrape/{}", job["id"].as_str().unwrap());
    assert_eq!(client.get(&path).json()["status"], "scraping");
    let mut page = client.get(&path).json();
    assert_eq!((&page["status"], &page["total"]), (&json!("completed"), &json!(23)));
    let mut seen = Vec::new();
    loop {
        let data = page["data"].as_array().unwrap();
        seen.extend(data.iter().map(|page| page["metadata"]["sourceURL"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        page = client.get(next.split_once("/firecrawl").unwrap().1).json();
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 23);
}

#[test]
fn every_provider_refuses_what_it_would_refuse() {
    let simulator = start(Config::default());
    let apify = Client::of(&simulator, Source::Apify);
    let runs = format!("/v2/actors/{AXESSO}/runs");
    assert_eq!(apify.post(&runs, &json!({"url": "x"})).json()["error"]["type"], "invalid-input");
    assert_eq!(apify.post(&format!("{runs}?memory=1000"), &axesso_input(&["B0".into()])).status, 400);
    assert_eq!(apify.post("/v2/actors/nobody~nothing/runs", &json!({})).status, 404);
    assert_eq!(apify.get("/v2/actor-runs/unknown").json()["error"]["type"], "record-not-found");
    let stranger = Client::of(&simulator, Source::Apify).with("authorization", "Bearer wrong");
    let refused = stranger.get("/v2/users/me");
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (401, &json!("invalid-token")));

    let keepa = Client::of(&simulator, Source::Keepa);
    let key = &simulator.keys().keepa;
    let many = |count: usize| simulator.existing_asins("US", count).join(",");
    assert_eq!(keepa.get("/product?key=wrong&domain=1&asin=B000000000").status, 402);
    for query in
        ["domain=7&asin=B000000000".to_owned(), format!("domain=1&asin={}", many(101)), "domain=1".into()]
    {
        let refused = keepa.get(&format!("/product?key={key}&{query}"));
        assert_eq!(
            (refused.status, &refused.json()["error"]["type"]),
            (400, &json!("invalidParameter")),
            "{query}"
        );
    }
    assert_eq!(keepa.get(&format!("/product?key={key}&domain=1&offers=20&asin={}", many(21))).status, 400);

    let sp = signed_in(&simulator);
    let search = format!("/catalog/2022-04-01/items?identifiersType=ASIN&marketplaceIds={US}&identifiers=");
    assert_eq!(sp.get(&format!("{search}{}", many(20))).status, 200);
    assert_eq!(sp.get(&format!("{search}{}", many(21))).status, 400);
    assert_eq!(sp.get(&format!("{search}{}&includedData=everything", many(1))).status, 400);
    assert_eq!(Client::of(&simulator, Source::SpApi).get(&format!("{search}{}", many(1))).status, 403);
    simulator.expire_sp_api_tokens();
    assert_eq!(sp.get(&format!("{search}{}", many(1))).json()["errors"][0]["code"], "Unauthorized");
    let form = "grant_type=refresh_token&refresh_token=x&client_id=y&client_secret=z";
    let refused = Client::of(&simulator, Source::SpApi).send(
        "POST",
        "/auth/o2/token",
        "application/x-www-form-urlencoded",
        form,
    );
    assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("invalid_client")));

    let firecrawl = Client::of(&simulator, Source::Firecrawl);
    let url = "https://www.amazon.com/dp/B000000000";
    let refused = firecrawl.post("/v1/scrape", &json!({"url": url, "onlyMain": true}));
    assert_eq!((refused.status, &refused.json()["details"][0]["code"]), (400, &json!("unrecognized_keys")));
    assert_eq!(firecrawl.post("/v1/scrape", &json!({"url": "amazon"})).status, 400);
    assert_eq!(firecrawl.post("/v1/scrape", &json!({"url": url, "formats": [{"type": "json"}]})).status, 400);
    assert_eq!(firecrawl.post("/v2/scrape", &json!({"url": url, "formats": [{"type": "json"}]})).status, 200);
    assert_eq!(firecrawl.get("/v1/batch/scrape/0b3c1a52-5c3b-4a0e-9f65-4a6f5a1d1e10").status, 404);

    let rainforest = Client::of(&simulator, Source::Rainforest);
    let key = &simulator.keys().rainforest;
    assert_eq!(rainforest.get("/request?api_key=x&type=product").status, 401);
    let path = format!("/request?api_key={key}&type=product&amazon_domain=amazon.xyz&asin=B000000000");
    assert_eq!(rainforest.get(&path).status, 400);
    assert_eq!(simulator.totals().paid_units, 1, "only the good scrape was paid");
}

#[test]
fn inventory_comes_in_pages() {
    let simulator = start(Config { inventory: 120, ..Config::default() });
    let client = signed_in(&simulator);
    let base = format!(
        "/fba/inventory/v1/summaries?details=true&granularityType=Marketplace&granularityId={US}&marketplaceIds={US}"
    );
    let mut path = base.clone();
    let mut counts = Vec::new();
    loop {
        let page = client.get(&path).json();
        counts.push(page["payload"]["inventorySummaries"].as_array().unwrap().len());
        let Some(token) = page["pagination"]["nextToken"].as_str() else { break };
        path = format!("{base}&nextToken={token}");
    }
    assert_eq!(counts, [50, 50, 20]);
    assert_eq!(client.get(&format!("{base}&nextToken=none")).status, 400);
}
