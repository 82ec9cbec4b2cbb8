use async_trait::async_trait;

use super::*;
use crate::model::{Asin, FaultKind, Rate, Relation};
use crate::sources::{Answer, Conduct, Fault, Operation, Probe, Request};

/// A source that is never asked here.
struct Declared {
    name: &'static str,
    operations: Vec<Operation>,
    serves: &'static [Marketplace],
    micros_each: Option<i64>,
}

#[async_trait]
impl Source for Declared {
    fn name(&self) -> &'static str {
        self.name
    }

    fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn serves(&self, marketplace: Marketplace) -> bool {
        self.serves.contains(&marketplace)
    }

    fn estimate(&self, _operation: &str, products: usize, has_history: bool) -> Cost {
        Cost::of_units(products as i64 * if has_history { 1 } else { 3 }, self.micros_each)
    }

    fn unit(&self) -> &'static str {
        "tokens"
    }

    async fn fetch(&self, _: &Request, _: &dyn Conduct) -> Result<Answer, Fault> {
        Err(Fault::new(FaultKind::Refused, "a plan asks nobody"))
    }

    async fn probe(&self) -> Result<Probe, Fault> {
        Err(Fault::new(FaultKind::Refused, "a plan asks nobody"))
    }
}

fn operation(name: &'static str, batch: usize) -> Operation {
    Operation { name, batch, rate: Rate { per_second: 0.5, burst: 1 }, is_paid: true, is_rate_own: true }
}

/// Keepa does not cover Poland; the seller interface is asked two things.
fn sources() -> Vec<Arc<dyn Source>> {
    let keepa = Declared {
        name: "keepa",
        operations: vec![operation("product", 100)],
        serves: &[Marketplace::Us, Marketplace::De],
        micros_each: None,
    };
    let seller = Declared {
        name: "sp-api",
        operations: vec![operation("catalog", 20), operation("offers", 20)],
        serves: &[Marketplace::Us, Marketplace::Pl],
        micros_each: Some(10),
    };
    vec![Arc::new(keepa), Arc::new(seller)]
}

fn item(name: &str, tier: Tier, chain: &[&str]) -> WatchItem {
    let (marketplace, asin) = name.split_once(':').unwrap();
    WatchItem {
        key: ProductKey { marketplace: marketplace.parse().unwrap(), asin: asin.parse::<Asin>().unwrap() },
        tier,
        relation: Relation::Rival,
        tags: Vec::new(),
        source_chain: chain.iter().map(|name| (*name).to_owned()).collect(),
        label: String::new(),
        paused: false,
        added_at: Timestamp::UNIX_EPOCH,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn fetched(source: &str, operation: &str, when: &str) -> LastFetch {
    LastFetch { source: source.to_owned(), operation: operation.to_owned(), fetched_at: at(when) }
}

fn planned(watchlist: &[WatchItem], selection: &Selection, fetches: &[(&str, LastFetch)], now: &str) -> Plan {
    planned_by(fetches, now, |situation| plan(watchlist, selection, situation))
}

fn planned_by(fetches: &[(&str, LastFetch)], now: &str, plan: impl Fn(&Situation<'_>) -> Plan) -> Plan {
    let sources = sources();
    let chain = ["keepa".to_owned(), "sp-api".to_owned()];
    let mut by_product: HashMap<ProductKey, Vec<LastFetch>> = HashMap::new();
    for (name, fetch) in fetches {
        by_product.entry(item(name, Tier::Routine, &[]).key).or_default().push(fetch.clone());
    }
    let situation = Situation {
        slots: Slots { sources: &sources, zone: ReportingZone(chrono_tz::Europe::Berlin), now: at(now) },
        default_chain: &chain,
        fetches: &by_product,
        left: &|_, _| 1.0,
        obstacle: &|_, _| None,
        has_history: false,
    };
    plan(&situation)
}

fn names(plan: &Plan) -> Vec<String> {
    plan.due.iter().map(|due| due.key.to_string()).collect()
}

#[test]
fn a_slot_is_a_turn_whatever_the_age_of_the_last_answer() {
    let zone = ReportingZone(chrono_tz::Europe::Berlin);
    let same = |tier, a: &str, b: &str| Slot::of(tier, at(a), zone) == Slot::of(tier, at(b), zone);
    // A minute earlier than yesterday is another day, and a minute after midnight too.
    assert!(!same(Tier::Routine, "2026-05-01T02:00:00Z", "2026-05-02T01:59:00Z"));
    assert!(!same(Tier::Routine, "2026-05-01T21:59:00Z", "2026-05-01T22:01:00Z"), "midnight in Berlin");
    assert!(same(Tier::Routine, "2026-04-30T22:00:00Z", "2026-05-01T21:59:59Z"));
    assert!(same(Tier::Critical, "2026-05-01T04:00:00Z", "2026-05-01T09:59:00Z"), "six to twelve in Berlin");
    assert!(!same(Tier::Critical, "2026-05-01T03:59:00Z", "2026-05-01T04:00:00Z"));
    assert!(!same(Tier::Critical, "2026-05-01T05:00:00Z", "2026-05-02T05:00:00Z"));
    assert!(same(Tier::Weekly, "2026-12-28T12:00:00Z", "2027-01-03T12:00:00Z"), "week 53 ends in January");
    assert!(!same(Tier::Weekly, "2027-01-03T12:00:00Z", "2027-01-04T12:00:00Z"));
    // The days of the clock change have 23 and 25 hours, in four slots each.
    assert!(
        !same(Tier::Critical, "2026-03-29T03:59:00Z", "2026-03-29T04:00:00Z"),
        "05:59 and 06:00 in summer time"
    );
    assert!(same(Tier::Critical, "2026-10-24T22:00:00Z", "2026-10-25T04:59:00Z"), "seven hours of night");
}

#[test]
fn what_some_source_answered_in_full_in_its_slot_is_not_due() {
    let now = "2026-05-02T10:00:00Z";
    let watchlist = ["US:B000000001", "US:B000000002", "US:B000000003", "US:B000000004"]
        .map(|name| item(name, Tier::Routine, &[]));
    let plan = planned(
        &watchlist,
        &Selection::default(),
        &[
            ("US:B000000001", fetched("keepa", "product", "2026-05-02T00:30:00Z")),
            ("US:B000000002", fetched("keepa", "product", "2026-05-01T21:00:00Z")),
            ("US:B000000003", fetched("sp-api", "catalog", "2026-05-02T01:00:00Z")),
            ("US:B000000004", fetched("sp-api", "catalog", "2026-05-02T01:00:00Z")),
            ("US:B000000004", fetched("sp-api", "offers", "2026-05-02T01:00:00Z")),
        ],
        now,
    );
    assert_eq!(names(&plan), ["US:B000000002", "US:B000000003"]);
    assert_eq!((plan.not_due, plan.due[1].done.as_slice()), (2, [(1, 0)].as_slice()));
}

#[test]
fn the_most_critical_come_first_and_the_rest_of_a_limit_waits() {
    let mut paused = item("US:B000000009", Tier::Critical, &[]);
    paused.paused = true;
    let watchlist = [
        item("DE:B000000001", Tier::Weekly, &[]),
        item("US:B000000002", Tier::Routine, &[]),
        item("DE:B000000003", Tier::Critical, &[]),
        item("IN:B000000004", Tier::Critical, &[]),
        paused,
    ];
    let now = "2026-05-02T10:00:00Z";
    let all = planned(&watchlist, &Selection::default(), &[], now);
    assert_eq!(names(&all), ["DE:B000000003", "US:B000000002", "DE:B000000001"]);
    assert_eq!((all.paused, all.unserved.len()), (1, 1), "no source serves India");
    let two = planned(&watchlist, &Selection { limit: Some(2), ..Selection::default() }, &[], now);
    assert_eq!((names(&two).len(), two.beyond_limit), (2, 1));
    let weekly = Selection { tier: Some(Tier::Weekly), ..Selection::default() };
    assert_eq!(names(&planned(&watchlist, &weekly, &[], now)), ["DE:B000000001"]);
    let only = Selection { only: [watchlist[1].key].into(), ..Selection::default() };
    assert_eq!(names(&planned(&watchlist, &only, &[], now)), ["US:B000000002"]);
}

#[test]
fn the_estimate_is_of_the_first_source_that_serves_each_product() {
    let mut watchlist: Vec<WatchItem> =
        (0..130).map(|number| item(&format!("US:B0000{number:05}"), Tier::Routine, &[])).collect();
    watchlist.push(item("DE:B000000001", Tier::Routine, &[]));
    watchlist.push(item("PL:B000000001", Tier::Routine, &["keepa", "sp-api"]));
    watchlist.push(item("US:B000000999", Tier::Routine, &["sp-api"]));
    let plan = planned(&watchlist, &Selection::default(), &[], "2026-05-02T10:00:00Z");
    let line = |line: &PlanLine| {
        let PlanLine { source, operation, products, requests, units, seconds, .. } = line;
        format!(
            "{source} {operation}: {products} in {requests}, {units} tokens, {:?}, {seconds} s",
            line.micros
        )
    };
    // Three requests of Keepa: 100 and 30 of the US, one of Germany; one may go at once, two wait two seconds each.
    assert_eq!(
        plan.lines.iter().map(line).collect::<Vec<_>>(),
        [
            "keepa product: 131 in 3, 393 tokens, None, 4 s",
            "sp-api catalog: 2 in 2, 6 tokens, Some(60), 2 s",
            "sp-api offers: 2 in 2, 6 tokens, Some(60), 2 s",
        ]
    );
}

#[test]
fn a_second_look_is_due_until_its_chain_has_answered_since_whatever_the_slot() {
    let since = "2026-05-02T08:00:00Z";
    let look = |name: &str, chain: &[&str]| SecondLook {
        key: item(name, Tier::Routine, &[]).key,
        since: at(since),
        chain: chain.iter().map(|name| (*name).to_owned()).collect(),
    };
    let looks = [
        look("US:B000000001", &["keepa"]),
        look("US:B000000002", &["keepa"]),
        look("US:B000000003", &["keepa", "sp-api"]),
        look("US:B000000004", &["nobody"]),
    ];
    let keepa = |when| fetched("keepa", "product", when);
    let fetches = [
        // In the same slot, and before what is to be confirmed was seen.
        ("US:B000000001", keepa("2026-05-02T07:59:59Z")),
        ("US:B000000002", keepa(since)),
    ];
    let plan = planned_by(&fetches, "2026-05-02T09:00:00Z", |situation| plan_second_looks(&looks, situation));
    assert_eq!(names(&plan), ["US:B000000001", "US:B000000003"]);
    assert_eq!((plan.not_due, plan.unserved), (1, vec![looks[3].key]));
    let line = &plan.lines[0];
    assert_eq!(
        (line.source, line.products, plan.lines.len()),
        ("keepa", 2, 1),
        "the first of its chain is asked"
    );
}
