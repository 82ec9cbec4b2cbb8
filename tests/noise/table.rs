//! Scores as Markdown, and what lies around misses and false alarms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::history::Reading;
use super::kind::Kind;
use super::play::Told;
use super::score::{Counts, Judged, Score, Verdict, around, wilson};
use super::{World, day, feed};

/// Precision and recall of each set beside those of the others, by alert type.
pub(crate) fn by_rule(sets: &[(String, Score)]) -> String {
    let rules: BTreeSet<&String> = sets.iter().flat_map(|(_, score)| score.by_rule.keys()).collect();
    let mut text = String::from("| type |");
    for (name, _) in sets {
        let _ = write!(text, " {name}: right / told | precision | found / events | recall |");
    }
    text += "\n| --- |";
    text += &" ---: | --- | ---: | --- |".repeat(sets.len());
    text.push('\n');
    for rule in rules {
        let counts = |score: &Score| score.by_rule.get(rule).copied().unwrap_or_default();
        line(&mut text, rule, sets.iter().map(|(_, score)| counts(score)));
    }
    line(&mut text, "**all**", sets.iter().map(|(_, score)| score.overall()));
    text
}

fn line(text: &mut String, name: &str, counts: impl Iterator<Item = Counts>) {
    let _ = write!(text, "| {name} |");
    for counts in counts {
        let (right, alerts) = (counts.right(), counts.alerts());
        let _ = write!(text, " {right} / {alerts} | {} |", share(right, alerts));
        let _ =
            write!(text, " {} / {} | {} |", counts.hits, counts.events, share(counts.hits, counts.events));
    }
    text.push('\n');
}

/// `0.953 (0.91–0.98)`: the share, and where it lies with 95 % confidence.
fn share(part: u64, whole: u64) -> String {
    wilson(part, whole).map_or_else(
        || "–".to_owned(),
        |(low, high)| format!("{:.3} ({low:.2}–{high:.2})", part as f64 / whole as f64),
    )
}

/// How much each set talks.
pub(crate) fn volume(sets: &[(String, Score)]) -> String {
    let mut text = String::from(
        "| set | alerts per 100 products and week | notices of higher severity |\n| --- | ---: | ---: |\n",
    );
    for (name, score) in sets {
        let _ = writeln!(text, "| {name} | {:.1} | {} |", score.per_100_and_week(), score.escalations);
    }
    text
}

/// False alarms by what they come from, the most first, with the types that they come as.
pub(crate) fn causes(sets: &[(String, Score)]) -> String {
    let total = |score: &Score, kind: Kind| {
        score.blamed.iter().filter(|((cause, _), _)| *cause == kind).map(|(_, number)| number).sum::<u64>()
    };
    let mut kinds: Vec<Kind> =
        sets.iter().flat_map(|(_, score)| score.blamed.keys().map(|(kind, _)| *kind)).collect();
    kinds.sort();
    kinds.dedup();
    kinds.sort_by_key(|kind| std::cmp::Reverse(sets.iter().map(|(_, score)| total(score, *kind)).max()));
    let mut text = String::from("| false alarms from |");
    sets.iter().for_each(|(name, _)| {
        let _ = write!(text, " {name} |");
    });
    text += " as |\n| --- |";
    text += &" ---: |".repeat(sets.len());
    text += " --- |\n";
    for kind in kinds {
        let what = if kind.is_event() { " (again, or beside it)" } else { "" };
        let _ = write!(text, "| {}{what} |", kind.name());
        let mut rules: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, score) in sets {
            let _ = write!(text, " {} |", total(score, kind));
            for ((_, rule), number) in score.blamed.iter().filter(|((cause, _), _)| *cause == kind) {
                *rules.entry(rule).or_default() += number;
            }
        }
        let mut rules: Vec<(&str, u64)> = rules.into_iter().collect();
        rules.sort_by_key(|(rule, number)| (std::cmp::Reverse(*number), *rule));
        let named: Vec<&str> = rules.iter().map(|(rule, _)| *rule).collect();
        let _ = writeln!(text, " {} |", named.join(", "));
    }
    text
}

/// Every miss and every false alarm of a set on a market, with the days around it.
pub(crate) fn explain(world: &World, set: &str, told: &[Told], judged: &Judged) -> String {
    let mut text = format!("## {set}, seed {}\n", world.options.seed);
    for at in &judged.missed {
        let label = &world.labels[*at];
        let _ = writeln!(
            text,
            "\nMISSED {} {} on {}: {}",
            label.rule,
            label.object,
            day(label.from),
            label.kind.name()
        );
        if let Some(place) = label.place {
            series(&mut text, world, place, label.from);
        }
    }
    for (alert, verdict) in told.iter().zip(&judged.verdicts) {
        let Verdict::False(kind) = verdict else { continue };
        let Told { rule, object, message, on, .. } = alert;
        let _ = writeln!(text, "\nFALSE {rule} {object} told on {}: {}\n  {message}", day(*on), kind.name());
        if let Some(place) = alert.place {
            series(&mut text, world, place, *on);
        }
    }
    text
}

/// What the product's own source showed, a line a day, and what happened.
fn series(text: &mut String, world: &World, place: usize, middle: i32) {
    let product = &world.products[place];
    let _ = writeln!(text, "  {}:{}", product.market.code(), product.asin);
    let days = around(middle, world.options.days);
    let happenings = world.plan.happenings[place].iter().map(|it| (it.kind, it.from, it.until, it.size));
    let incidents =
        world.plan.incidents.iter().filter(|it| it.market.is_none_or(|its| its == product.market));
    for (kind, from, until, size) in happenings.chain(incidents.map(|it| (it.kind, it.from, it.until, 0))) {
        if from < days.end && until + 1 >= days.start {
            let _ = writeln!(text, "  {} {} to {}, size {size}", kind.name(), day(from), day(until));
        }
    }
    for index in days {
        let mark = if index == middle { '>' } else { ' ' };
        let shown = feed::shown(world, place, index);
        let level = world.histories[place].level[index as usize];
        let _ = writeln!(text, "  {mark} {} level {level:>6} {}", day(index), reading(shown.as_ref()));
    }
}

fn reading(reading: Option<&Reading>) -> String {
    let Some(reading) = reading else { return "unseen".to_owned() };
    if !reading.is_found {
        return "not found".to_owned();
    }
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    format!(
        "price {:>6} {} seller {:>13} rank {:>7} leaf {:>6} rating {} of {} brand {} title {:?} pictures {:?}",
        number(reading.price_minor),
        if reading.is_out { "OUT" } else { "in " },
        reading.seller.as_deref().unwrap_or("-"),
        number(reading.rank),
        number(reading.leaf_rank),
        reading.rating_centi,
        reading.ratings,
        reading.brand,
        reading.title.chars().skip(11).take(34).collect::<String>(),
        reading.images,
    )
}
