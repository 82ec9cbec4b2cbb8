//! A second source is asked about a grave finding before it is told: with two providers, and what can go wrong
//! with the second.

use serde_json::Value;

use super::{Ended, Live, config};
use crate::simulator::{Simulator, Source};

/// Rainforest is asked every night, Apify is to confirm. The product cost `before` until three days ago and
/// has cost since then what Rainforest says; `doubter` answers in Apify's place.
struct Night {
    live: Live,
    asin: String,
    _doubter: Option<Simulator>,
}

impl Night {
    /// Apify shows what Rainforest shows: a fall by two thirds.
    fn agreed() -> Night {
        let live = Live::new(config(), "rainforest");
        let asin = live.products(1, 0).remove(0);
        let price = live.simulator.fact("US", &asin).unwrap().price.expect("it is on sale");
        Night::with(live, asin, price * 3, price, None)
    }

    /// Apify shows the price that was there before.
    fn disputed() -> Night {
        let live = Live::new(config(), "rainforest");
        let doubter = Simulator::start(crate::simulator::Config { seed: 8, ..config() }).unwrap();
        let price_at = |simulator: &Simulator, asin: &str| simulator.fact("US", asin)?.price;
        let differing = live.simulator.existing_asins("US", 400).into_iter().find_map(|asin| {
            let (price, other) = (price_at(&live.simulator, &asin)?, price_at(&doubter, &asin)?);
            (price * 5 < other * 2 && other < price * 5).then_some((asin, price, other))
        });
        let (asin, price, other) = differing.expect("a product that costs less than 40 % here");
        Night::with(live, asin, other, price, Some(doubter))
    }

    fn with(mut live: Live, asin: String, before: i64, price: i64, doubter: Option<Simulator>) -> Night {
        let csv = format!(
            "marketplace,asin,day,price_minor,price_basis,currency,availability\n\
             US,{asin},2026-02-26,{before},buy_box,USD,in_stock\nUS,{asin},2026-02-27,{price},buy_box,USD,in_stock\n\
             US,{asin},2026-02-28,{price},buy_box,USD,in_stock\n"
        );
        live.sandbox.write("inbox/days.csv", csv);
        live.watch(std::slice::from_ref(&asin), "");
        live.set("gate", "confirm_with", "[\"apify\"]");
        live.set("gate", "confirm_max_units_per_day", 5);
        if let Some(doubter) = &doubter {
            live.set("apify", "base_url", format!("{:?}", doubter.base_url(Source::Apify)));
        }
        Night { live, asin, _doubter: doubter }
    }

    /// `rule` and caveat of every alert that was told.
    fn told(&self) -> Vec<(String, Option<String>)> {
        if !self.live.sandbox.path("alerts.ndjson").exists() {
            return Vec::new();
        }
        let text = self.live.sandbox.read("alerts.ndjson");
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let word = |event: &Value, name: &str| event[name].as_str().map(str::to_owned);
        events.map(|event| (word(&event, "rule").unwrap(), word(&event, "caveat"))).collect()
    }

    /// `state note` of everything that waited for a second source.
    fn held(&self) -> Vec<String> {
        self.live.lines(
            "SELECT h.state || ' ' || h.note FROM held_findings h JOIN incidents i ON i.incident_id = h.incident_id
             WHERE i.reason = 'second_source' ORDER BY 1",
        )
    }

    /// Alerts, what was held, and what was told of them.
    #[cfg(feature = "failpoints")]
    fn everything(&self) -> Vec<String> {
        self.live.lines(
            "SELECT alert_id || state || severity || evidence FROM alerts
             UNION ALL SELECT alert_id || state || note FROM held_findings
             UNION ALL SELECT incident_id || state || note FROM incidents
             UNION ALL SELECT event_id || payload FROM outbox_events ORDER BY 1",
        )
    }

    fn asked_second(&self) -> i64 {
        self.live.number("SELECT COUNT(*) FROM source_requests WHERE purpose = 'second_look'")
    }
}

fn fall(caveat: Option<&str>) -> Vec<(String, Option<String>)> {
    vec![("price_drop".to_owned(), caveat.map(str::to_owned))]
}

#[test]
fn what_a_second_source_shows_too_is_told_and_paid_for_once() {
    let night = Night::agreed();
    let Night { live, asin, .. } = &night;
    let ended = live.ok("run");
    assert!(
        ended
            .stderr
            .contains("second source: 1 product to be confirmed, 1 answered; apify 1 results, $0.0008"),
        "{ended:#?}"
    );
    assert_eq!(night.told(), fall(None));
    let held = night.held();
    assert!(held.len() == 1 && held[0].starts_with("released apify shows "), "{held:?}");
    let paid = live.simulator.paid(Source::Apify, "US", asin);
    assert_eq!((paid.delivered, night.asked_second()), (1, 1));
    let costs = live.ok("costs --by source --format csv --fields source,requests,units").stdout;
    assert!(costs.contains("apify,1,1"), "{costs}");
    let incidents =
        live.ok("alert incidents list --state all --format csv --fields reason,state,released").stdout;
    assert!(incidents.contains("second_source,closed,1"), "{incidents}");
    let alert = live.ok("alert list --format csv --fields alert_id").stdout;
    let alert = alert.lines().nth(1).unwrap();
    let explained = live.ok(&format!("explain {alert}")).stdout;
    assert!(explained.contains("(second_source)") && explained.contains("apify shows "), "{explained}");

    let (hash, asked) = (live.ok("verify --hash").stdout, live.simulator.totals().requests);
    live.ok("run -q");
    assert_eq!(
        (night.told().len(), live.simulator.totals().requests),
        (1, asked),
        "a second run asks nobody"
    );
    assert_eq!(live.ok("verify --hash").stdout, hash);
}

#[test]
fn what_a_second_source_contradicts_stays_held_unpaid_until_the_next_day_and_can_be_looked_up() {
    let night = Night::disputed();
    let live = &night.live;
    let ended = live.ok("run");
    assert!(ended.stderr.contains("alert: 1 finding contradicted by a second source"), "{ended:#?}");
    assert_eq!(night.told(), vec![]);
    let held = night.held();
    assert!(held.len() == 1 && held[0].starts_with("held contradicted: apify shows "), "{held:?}");
    let incident = live.ok("alert incidents list --format csv --fields incident_id").stdout;
    let incident = incident.lines().nth(1).unwrap();
    let shown = live.ok(&format!("alert incidents show {incident}")).stdout;
    assert!(shown.contains("1 held back") && shown.contains("apify"), "{shown}");
    let finding = live.lines("SELECT alert_id FROM held_findings").remove(0);
    let explained = live.ok(&format!("explain {finding}")).stdout;
    assert!(explained.contains("contradicted: apify shows "), "{explained}");
    live.ok("run -q");
    assert_eq!((night.told(), night.asked_second()), (vec![], 1), "nobody is asked or told again");
}

/// The first source does not know ratings. What the one that is to confirm the price shows of them is news too.
#[test]
fn what_the_answers_make_grave_is_asked_about_in_the_same_run() {
    let live = Live::new(config(), "sp-api");
    let rated = live.simulator.existing_asins("US", 200).into_iter().find_map(|asin| {
        let fact = live.simulator.fact("US", &asin)?;
        Some((asin, fact.price?, fact.rating.filter(|tenths| *tenths <= 44)?))
    });
    let (asin, price, tenths) = rated.expect("a product with a rating of 4.4 or less");
    let mut night = Night::with(live, asin.clone(), price * 3, price, None);
    let mut csv = String::from("marketplace,asin,day,rating_centi\n");
    for (day, rating) in [(23, 500), (24, 500), (25, 500), (26, 500), (27, 500), (28, tenths * 10)] {
        csv += &format!("US,{asin},2026-02-{day},{rating}\n");
    }
    night.live.sandbox.write("inbox/ratings.csv", csv);
    night.live.set("gate", "confirm_with", "[\"apify\", \"rainforest\"]");
    night.live.set("gate", "confirm_severity", "\"medium\"");
    let ended = night.live.ok("run");
    let rounds = ended.stderr.matches("second source: 1 product to be confirmed, 1 answered; ").count();
    assert_eq!(rounds, 2, "{ended:#?}");
    assert!(ended.stderr.contains("1 answered; rainforest 1 "), "{ended:#?}");
    let mut told = night.told();
    told.sort();
    assert_eq!(told, [("price_drop".to_owned(), None), ("rating_fell".to_owned(), None)]);
    assert_eq!(night.asked_second(), 2);
    night.live.ok("run -q");
    assert_eq!((night.told().len(), night.asked_second()), (2, 2), "a second run asks nobody");
}

#[test]
fn beyond_the_limit_of_the_day_nobody_is_asked_and_it_is_said_that_nobody_was() {
    let mut night = Night::agreed();
    night.live.set("gate", "confirm_max_units_per_day", 0);
    let planned = night.live.ok("run --dry-run");
    assert!(!planned.stderr.contains("second source"), "nothing is in the mart yet: {planned:#?}");
    let ended = night.live.ok("run");
    let why = "apify: budget: 1 results would exceed the 0 of `confirm_max_units_per_day`";
    assert!(ended.stderr.contains(why), "{ended:#?}");
    assert_eq!(night.told(), fall(Some(&format!("not confirmed by a second source: {why}"))));
    assert_eq!((night.asked_second(), night.live.asked(Source::Apify)), (0, 0));
    assert_eq!(night.live.number("SELECT COUNT(*) FROM fetch_failures"), 0, "the product itself was fetched");
}

#[test]
fn a_second_source_that_is_down_or_without_a_key_keeps_nothing_back() {
    let mut night = Night::agreed();
    night.live.set("apify", "timeout_s", 2);
    night.live.simulator.set_down(Source::Apify, true);
    let ended = night.live.ok("run");
    let told = night.told();
    let caveat = told[0].1.as_deref().unwrap_or_default();
    assert!(caveat.starts_with("not confirmed by a second source: apify: "), "{told:?} {ended:#?}");
    assert_eq!(told.len(), 1);

    let night = Night::agreed();
    let ended = Ended::of(night.live.command("run").env_remove("APIFY_TOKEN"));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let caveat = night.told()[0].1.clone().unwrap();
    assert!(caveat.contains("APIFY_TOKEN is not set"), "{caveat}");
}

#[test]
fn a_dry_run_says_whom_it_would_ask_and_what_that_costs() {
    let night = Night::agreed();
    let Night { live, asin, .. } = &night;
    live.ok("ingest -q inbox");
    live.ok("ingest -q");
    live.ok("normalize -q");
    live.ok("build-mart -q");
    let asked = live.simulator.totals().requests;
    let ended = live.ok("run --dry-run");
    let lines = format!(
        "second source: 1 product to be confirmed: US:{asin}\n\
         second source: would ask apify about 1 product: 1 results, $0.0008"
    );
    assert!(ended.stderr.contains(&lines), "{ended:#?}");
    assert_eq!(
        (live.simulator.totals().requests, night.held()),
        (asked, vec![]),
        "nobody was asked, nothing written"
    );
}

#[test]
fn without_a_run_it_is_told_as_unconfirmed_after_some_hours() {
    let mut night = Night::agreed();
    for line in ["ingest -q inbox", "ingest -q", "normalize -q", "build-mart -q", "alert run -q"] {
        night.live.ok(line);
    }
    assert_eq!((night.told(), night.held()), (vec![], vec!["held ".to_owned()]));
    night.live.set_now("2026-03-01T17:00:00Z");
    night.live.ok("alert run -q");
    assert_eq!(night.told(), vec![], "one hour is left");
    night.live.set_now("2026-03-01T18:00:00Z");
    night.live.ok("alert run -q");
    let caveat = "not confirmed by a second source: none was asked within 6 hours";
    assert_eq!((night.told(), night.live.asked(Source::Apify)), (fall(Some(caveat)), 0));
}

/// Killed at every named point of asking and judging, of the first source or the second, and run again.
#[test]
#[cfg(feature = "failpoints")]
fn after_a_kill_anywhere_the_finding_is_told_once_and_paid_for_once() {
    let whole = Night::agreed();
    whole.live.ok("run -q");
    let everything = whole.everything();
    let mut killed = 0;
    for name in amzctl::failpoint::ALL {
        // Asking comes twice, of the first source and the second; judging three times, of two months and again.
        let hits = match name.split_once('.') {
            Some(("fetch", _)) => 2,
            Some(("alert", _)) => 3,
            _ => continue,
        };
        for hit in 1..=hits {
            let case = format!("{name}:{hit}");
            let night = Night::agreed();
            let ended = Ended::of(night.live.command("run -q").env("AMZCTL_FAILPOINT", &case));
            if ended.code.is_some() {
                break;
            }
            killed += 1;
            night.live.ok("run -q");
            assert_eq!(night.told(), fall(None), "{case}");
            assert_eq!(night.live.asked_for(Source::Apify, "run"), 1, "{case}: a run was started twice");
            assert_eq!(night.live.simulator.paid(Source::Apify, "US", &night.asin).charged, 1, "{case}");
            assert_eq!(
                night.live.number("SELECT COUNT(*) FROM source_requests WHERE state = 'sent'"),
                0,
                "{case}"
            );
            assert_eq!(night.everything(), everything, "{case}");
        }
    }
    assert!(killed >= 14, "{killed} kills");
}
