//! The noise benchmark's own machinery, and what each rule set is held to on a small market.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::noise::kind::Kind;
use crate::noise::label::Label;
use crate::noise::play::{Told, play};
use crate::noise::score::{Score, Verdict, judge, wilson};
use crate::noise::{Options, TELL_WITHIN, WARM_UP, World, feed, table};

/// Rule sets with the least precision and recall that they have to reach, over all types, on the small market.
const HELD_TO: [(&str, f64, f64); 2] = [("plain", 0.05, 0.80), ("calm", 0.95, 0.95)];

fn small() -> Options {
    Options { seed: 11, products: 40, days: WARM_UP + 24 }
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::new(small()))
}

fn amzctl() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_amzctl")).to_owned()
}

fn alert(label: &Label, on: i32) -> Told {
    Told {
        on,
        alert_id: format!("{}-{:?}-{on}", label.rule, label.place),
        rule: label.rule.to_owned(),
        place: label.place,
        object: label.object.clone(),
        message: String::new(),
        is_more: false,
    }
}

fn about(rule: &'static str, place: usize, on: i32) -> Told {
    let label = Label {
        rule,
        place: Some(place),
        object: String::new(),
        from: on,
        until: on,
        is_demanded: true,
        kind: Kind::Other,
    };
    alert(&label, on)
}

fn text(options: Options) -> String {
    let world = World::new(options);
    (0..options.days).flat_map(|index| feed::files(&world, index)).map(|file| file.contents).collect()
}

#[test]
fn the_same_seed_gives_the_same_market_and_another_one_another() {
    let options = Options { products: 20, ..small() };
    assert!(text(options) == text(options));
    assert!(text(options) != text(Options { seed: 12, ..options }));
}

#[test]
fn an_alert_is_right_from_the_day_of_the_event_to_four_days_after_it_and_once() {
    let world = world();
    let (at, label) = world
        .labels
        .iter()
        .enumerate()
        .find(|(_, label)| label.rule == "out_of_stock" && label.is_demanded)
        .expect("something is sold out");
    let verdict = |on: i32| judge(world, &[alert(label, on)]).verdicts[0];
    assert_eq!(
        (verdict(label.from), verdict(label.from + TELL_WITHIN)),
        (Verdict::Hit(at), Verdict::Hit(at))
    );
    assert!(matches!(verdict(label.from - 1), Verdict::False(_)));
    assert!(matches!(verdict(label.from + TELL_WITHIN + 1), Verdict::False(_)));

    let twice = [alert(label, label.from), alert(label, label.from + 1)];
    let judged = judge(world, &twice);
    assert_eq!(judged.verdicts, [Verdict::Hit(at), Verdict::False(Kind::StockOut)]);
    assert!(!judged.missed.contains(&at) && judge(world, &[]).missed.contains(&at));
    let counts = judged.score.by_rule["out_of_stock"];
    assert_eq!((counts.hits, counts.wrong, counts.alerts()), (1, 1, 2));
    let mut both = judged.score.clone();
    both.add(&judged.score);
    assert_eq!((both.overall().alerts(), both.overall().events), (4, 2 * judged.score.overall().events));

    let more = Told { is_more: true, ..twice[0].clone() };
    assert_eq!(judge(world, &[twice[0].clone(), more]).verdicts, [Verdict::Hit(at), Verdict::More]);
    let of_another_type = Told { rule: "price_rise".into(), ..twice[0].clone() };
    let of_another_product = Told { place: label.place.map(|place| place + 1), ..twice[0].clone() };
    for wrong in [of_another_type, of_another_product] {
        assert!(matches!(judge(world, &[wrong]).verdicts[0], Verdict::False(_)));
    }
}

#[test]
fn an_alert_about_noise_is_false_and_says_what_it_comes_from() {
    let world = World::new(Options { products: 200, ..small() });
    let mut blamed: Vec<Kind> = Vec::new();
    for (place, happenings) in world.plan.happenings.iter().enumerate() {
        for happening in happenings.iter().filter(|happening| !happening.kind.is_event()) {
            for rule in ["out_of_stock", "price_drop", "rating_fell", "new_seller", "listing_changed"] {
                let told = about(rule, place, happening.from);
                let Verdict::False(kind) = judge(&world, &[told]).verdicts[0] else {
                    panic!("{rule} is right about {happening:?} of {place}");
                };
                blamed.push(kind);
            }
            // Of these the end of an earlier event may still be true.
            for rule in ["bsr_worsened", "ratings_spike"] {
                match judge(&world, &[about(rule, place, happening.from)]).verdicts[0] {
                    Verdict::False(kind) => blamed.push(kind),
                    Verdict::Hit(at) | Verdict::Welcome(at) => assert!(world.labels[at].kind.is_event()),
                    Verdict::More => panic!("nothing was told before"),
                }
            }
        }
    }
    for (kind, _) in Kind::NOISE {
        assert!(blamed.contains(&kind), "{kind:?} does not happen, or is not blamed");
    }
}

#[test]
fn events_begin_where_they_can_be_seen_and_every_type_has_some() {
    let mut rules: Vec<&str> = Vec::new();
    for seed in 0..5 {
        let world = World::new(Options { seed, products: 200, days: WARM_UP + 50 });
        for label in world.labels.iter().filter(|label| label.is_demanded) {
            let place = label.place.expect("what is demanded is about a product");
            let hidden = world.plan.incidents.iter().filter(|it| it.kind != Kind::LateData);
            let market = world.products[place].market;
            // Undercutting begins where both products are seen, which may be after an incident.
            let is_hidden = hidden.filter(|it| it.is_on(market, label.from)).count() > 0;
            assert!(!is_hidden || label.rule == "undercut", "{label:?} cannot be seen");
            assert!(label.from >= WARM_UP, "{label:?} lies in the warm-up");
            rules.push(label.rule);
        }
    }
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(
        rules,
        [
            "all_time_low",
            "back_in_stock",
            "bsr_improved",
            "bsr_worsened",
            "buy_box_lost",
            "buy_box_seller_changed",
            "listing_changed",
            "new_seller",
            "out_of_stock",
            "price_drop",
            "price_rise",
            "product_gone",
            "product_stale",
            "rating_fell",
            "rating_rose",
            "ratings_spike",
            "undercut",
        ]
    );
}

#[test]
fn wilsons_interval_is_the_published_one() {
    let rounded = |part, whole| wilson(part, whole).map(|(low, high)| format!("{low:.4} {high:.4}"));
    // As SciPy's `binomtest(k, n).proportion_ci(method="wilson")` has them.
    assert_eq!(rounded(0, 10).as_deref(), Some("0.0000 0.2775"));
    assert_eq!(rounded(5, 10).as_deref(), Some("0.2366 0.7634"));
    assert_eq!(rounded(95, 100).as_deref(), Some("0.8882 0.9785"));
    assert_eq!(rounded(0, 0), None);
}

#[test]
fn the_rule_sets_are_as_right_as_they_have_to_be() {
    let world = world();
    for (set, precision, recall) in HELD_TO {
        let told = play(&amzctl(), world, set).unwrap();
        let judged = judge(world, &told);
        let all = judged.score.overall();
        let scores: [(String, Score); 1] = [(set.to_owned(), judged.score.clone())];
        let found = all.hits as f64 / all.events as f64;
        let right = all.right() as f64 / all.alerts() as f64;
        assert!(
            found >= recall && right >= precision,
            "{}\n{}\n{}\n{}",
            table::by_rule(&scores),
            table::volume(&scores),
            table::causes(&scores),
            table::explain(world, set, &told, &judged)
        );
        // What is plain to see is seen by any set: no threshold is near, no other product is needed.
        for rule in ["out_of_stock", "back_in_stock", "listing_changed", "product_gone"] {
            let counts = scores[0].1.by_rule.get(rule).copied().unwrap_or_default();
            assert_eq!(counts.hits, counts.events, "{set}: {rule}");
        }
    }
}
