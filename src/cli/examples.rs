//! The files of `examples/`: every command in them exists, shell text is shell, the data is read.

use std::path::PathBuf;
use std::process::Command;

use super::Cli;
use crate::normalize::{RecordContext, RecordFormat, parse, recognise};
use clap::CommandFactory;

fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The calls of amzctl in a shell text, each up to where the shell begins something else.
fn calls(text: &str) -> Vec<Vec<String>> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    code.flat_map(|line| line.match_indices("amzctl ").map(|(at, _)| &line[at..]).collect::<Vec<_>>())
        .filter(|call| !call.starts_with("amzctl backfill"))
        .map(|call| {
            let end = call.find([';', '|', '&', '>', ')', '{']).unwrap_or(call.len());
            let call =
                call[..end].replace('"', "").replace("$FROM", "2026-01-01").replace("$TO", "2026-01-31");
            call.split_whitespace().map(str::to_owned).collect()
        })
        .collect()
}

#[test]
fn every_command_of_the_examples_exists() {
    for (name, least) in [("crontab", 3), ("ci-backfill.yml", 5)] {
        let calls = calls(&example(name));
        assert!(calls.len() >= least, "{name}: {calls:?}");
        for call in calls {
            let parsed = Cli::command().try_get_matches_from(&call);
            assert!(parsed.is_ok(), "{name}: {}\n{}", call.join(" "), parsed.unwrap_err());
        }
    }
}

#[test]
fn the_crontab_s_lines_are_five_times_and_a_shell_command() {
    let mut jobs = 0;
    for line in
        example("crontab").lines().filter(|line| line.starts_with(|c: char| "0123456789*".contains(c)))
    {
        let fields: Vec<&str> = line.split_whitespace().take(5).collect();
        assert!(fields.iter().all(|field| field.chars().all(|c| "0123456789*/,-".contains(c))), "{line}");
        let command = line.splitn(6, char::is_whitespace).last().unwrap().replace("\\%", "%");
        let checked = Command::new("sh").args(["-n", "-c", &command]).status().unwrap();
        assert!(checked.success(), "{line}");
        assert!(
            !line.replace("\\%", "").contains('%'),
            "cron ends the command at a plain percent sign: {line}"
        );
        jobs += 1;
    }
    assert_eq!(jobs, 3);
}

#[test]
fn the_small_market_is_read_whole() {
    let text = example("market.csv");
    let (header, rows) = text.split_once('\n').unwrap();
    let (mut days, mut products) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for row in rows.lines() {
        let body = format!("{header}\n{row}");
        let recognised = recognise(RecordFormat::Csv, body.as_bytes());
        let context = RecordContext {
            shape: recognised.shape,
            marketplace: recognised.marketplace,
            asin_requested: recognised.asin_requested,
            observed_at: recognised.observed_at.unwrap(),
            now: recognised.observed_at.unwrap(),
            history: None,
        };
        let parsed = parse(&context, body.as_bytes());
        assert_eq!((parsed.observations.len(), parsed.rejects.len()), (1, 0), "{row}");
        days.insert(context.observed_at);
        products.insert(parsed.observations[0].asin);
    }
    assert_eq!((days.len(), products.len()), (30, 5));
    for role in example("roles.csv").lines() {
        assert!(products.contains(&role.split_once(',').unwrap().0.parse().unwrap()), "{role}");
    }
}
