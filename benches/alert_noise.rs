//! Precision and recall of the alert rule sets on seeded markets whose true events are known, as Markdown.
//!
//! `cargo bench --bench alert_noise -- [--explain] [--sets plain,calm] [SEED…]`, or with the dev profile `cargo test
//! --bench alert_noise -- …`. Seeds are numbers or ranges (`1..5`, both included); five without any. Every set plays every
//! market in a folder of its own, day by day through the built binary, two or more at a time. Sizes come from the environment:
//! `AMZCTL_NOISE_PRODUCTS` (300, half in each of two marketplaces) and `AMZCTL_NOISE_DAYS` (90, of which 40 are history);
//! `AMZCTL_NOISE_BINARY` names another build of amzctl to play.
//! What is an event, what is noise and what is a hit stands in `tests/noise/mod.rs`.
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

#[path = "../tests/noise/mod.rs"]
mod noise;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context as _, bail, ensure};

use noise::play::{Told, play};
use noise::score::{Score, judge};
use noise::{Options, WARM_UP, World, table};

fn main() -> anyhow::Result<()> {
    let wanted = Wanted::from(std::env::args().skip(1))?;
    let products = number("AMZCTL_NOISE_PRODUCTS", 300)?;
    let days = i32::try_from(number("AMZCTL_NOISE_DAYS", 90)?).context("AMZCTL_NOISE_DAYS")?;
    ensure!(products >= 10 && days >= WARM_UP + 10, "sizes too small to mean anything");
    let worlds: Vec<World> =
        wanted.seeds.iter().map(|&seed| World::new(Options { seed, products, days })).collect();

    let mut scores: Vec<(String, Score)> =
        wanted.sets.iter().map(|set| (set.clone(), Score::default())).collect();
    let mut by_seed = String::from("| seed | set | precision | recall |\n| ---: | --- | ---: | ---: |\n");
    for (number, told) in play_all(&worlds, &wanted.sets)?.into_iter().enumerate() {
        let (world, set) = (&worlds[number / wanted.sets.len()], number % wanted.sets.len());
        let judged = judge(world, &told);
        let all = judged.score.overall();
        by_seed += &format!(
            "| {} | {} | {:.3} | {:.3} |\n",
            world.options.seed,
            wanted.sets[set],
            all.right() as f64 / all.alerts().max(1) as f64,
            all.hits as f64 / all.events.max(1) as f64,
        );
        scores[set].1.add(&judged.score);
        if wanted.explain {
            println!("{}", table::explain(world, &wanted.sets[set], &told, &judged));
        }
    }
    println!(
        "{products} products × {days} days ({} judged), {} seeds\n\n{}\n{}\n{}\n{by_seed}",
        days - WARM_UP,
        worlds.len(),
        table::by_rule(&scores),
        table::volume(&scores),
        table::causes(&scores)
    );
    Ok(())
}

/// What the arguments ask for.
struct Wanted {
    seeds: Vec<u64>,
    sets: Vec<String>,
    explain: bool,
}

impl Wanted {
    fn from(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Wanted> {
        let mut wanted = Wanted { seeds: Vec::new(), sets: Vec::new(), explain: false };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo says so to every bench.
                "--bench" => {}
                "--explain" => wanted.explain = true,
                "--sets" => {
                    let sets = arguments.next().context("--sets names one or more, joined by commas")?;
                    wanted.sets = sets.split(',').map(str::to_owned).collect();
                }
                text => match text.split_once("..") {
                    Some((first, last)) => wanted.seeds.extend(seed(first)?..=seed(last)?),
                    None => wanted.seeds.push(seed(text)?),
                },
            }
        }
        if wanted.seeds.is_empty() {
            wanted.seeds.extend(1..=5);
        }
        if wanted.sets.is_empty() {
            wanted.sets = vec!["plain".to_owned()];
        }
        Ok(wanted)
    }
}

fn seed(text: &str) -> anyhow::Result<u64> {
    text.parse().with_context(|| format!("`{text}` is neither a seed nor --explain or --sets"))
}

fn number(name: &str, default: usize) -> anyhow::Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text} is not a number")),
        Err(_) => Ok(default),
    }
}

/// What each set told on each market: market by market, within it set by set.
fn play_all(worlds: &[World], sets: &[String]) -> anyhow::Result<Vec<Vec<Told>>> {
    let jobs: Vec<(&World, &String)> =
        worlds.iter().flat_map(|world| sets.iter().map(move |set| (world, set))).collect();
    let binary = std::env::var_os("AMZCTL_NOISE_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_amzctl")), PathBuf::from);
    let waiting = Mutex::new((0..jobs.len()).collect::<VecDeque<usize>>());
    let done: Mutex<Vec<Option<anyhow::Result<Vec<Told>>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let work = || {
        while let Some(number) = waiting.lock().ok().and_then(|mut jobs| jobs.pop_front()) {
            let (world, set) = jobs[number];
            let told = play(&binary, world, set);
            if let Ok(mut done) = done.lock() {
                done[number] = Some(told);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.into_iter()
        .zip(&jobs)
        .map(|(told, (world, set))| match told {
            Some(told) => {
                told.with_context(|| format!("failed to play {set} on seed {}", world.options.seed))
            }
            None => bail!("{set} on seed {} was not played", world.options.seed),
        })
        .collect()
}
