//! What the README says of the binary is so: its tour runs, its tables name what there is.

use std::collections::BTreeSet;

use amzctl::error::Outcome;
use amzctl::normalize::FLAT_COLUMNS;

use crate::help::subcommands;
use crate::sandbox::Sandbox;

const README: &str = include_str!("../../README.md");

/// A fenced block: the language and the text inside.
fn blocks(markdown: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in markdown.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(language), None) => open = Some((language, String::new())),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found
}

/// The part of the README below a heading of the second level.
fn section(heading: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split_once("\n## ").map_or(rest, |(part, _)| part)
}

/// The cells of the rows of every table in a text, without heads and rules.
fn table_rows(text: &str) -> Vec<Vec<&str>> {
    let is_rule = |line: &str| line.starts_with("| ---");
    let lines: Vec<&str> = text.lines().collect();
    let rows = (0..lines.len()).filter(|&at| lines[at].starts_with("| ") && !is_rule(lines[at]));
    let is_head = |at: usize| lines.get(at + 1).is_some_and(|next| is_rule(next));
    rows.filter(|&at| !is_head(at))
        .map(|at| lines[at].trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_tour_runs_as_it_is_printed() {
    let sandbox = Sandbox::empty();
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for name in ["market.csv", "roles.csv"] {
        sandbox.write(&format!("examples/{name}"), std::fs::read(examples.join(name)).unwrap());
    }
    let mut answered = String::new();
    let mut runs = 0;
    for (language, text) in blocks(section("Five minutes")) {
        if language == "text" {
            assert_eq!(answered, text, "what the README shows below a command");
        }
        for line in text.lines().filter(|line| language == "sh" && line.starts_with("amzctl ")) {
            let command = line.split(" #").next().unwrap().trim_start_matches("amzctl ");
            let command = command.replace("/tmp/amzctl-tour", "tour");
            let mut process = sandbox.command(&command);
            process.env_remove("AMZCTL_NOW").env("AMZCTL_CONFIG", sandbox.path("tour/amzctl.toml"));
            let output = process.output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            answered = String::from_utf8(output.stdout).unwrap();
            runs += 1;
        }
    }
    assert!(runs >= 10, "{runs} commands");
    let compared =
        sandbox.succeed("--config tour/amzctl.toml export comparisons --format csv --fields cohort");
    assert_eq!(compared.lines().filter(|line| *line == "US-B0PXZU1WFI").count(), 4, "{compared}");
}

#[test]
fn every_command_that_is_mentioned_exists() {
    let sandbox = Sandbox::empty();
    let fenced = blocks(README).into_iter().map(|(_, text)| text).collect::<String>();
    let outside = README.split("```").step_by(2).collect::<String>();
    let mentioned = fenced.lines().chain(quoted(&outside)).filter_map(|text| text.strip_prefix("amzctl "));
    let mut asked = BTreeSet::new();
    for text in mentioned {
        let is_word =
            |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
        let words: Vec<&str> = text.split_whitespace().take_while(is_word).take(2).collect();
        let flags = text.split(" #").next().unwrap().split_whitespace().filter(|word| word.starts_with("--"));
        let help = sandbox.succeed(&format!("{} --help", words.join(" ")));
        for flag in flags {
            assert!(help.contains(flag), "`amzctl {text}`: no {flag}");
        }
        asked.insert(words.join(" "));
    }
    assert!(asked.contains("explain") && asked.contains("config show"), "{asked:?}");

    let listed =
        table_rows(section("Commands")).iter().flat_map(|row| quoted(row[0])).collect::<BTreeSet<_>>();
    let help = sandbox.succeed("--help");
    let there = subcommands(&help);
    assert_eq!(listed, there.iter().map(String::as_str).collect());
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let rows = table_rows(section("Exit codes"));
    let listed = rows.iter().flat_map(|row| row[0].split(", ")).map(|code| code.parse().unwrap());
    let there: BTreeSet<u8> = Outcome::ALL.iter().map(|outcome| outcome.exit_code()).collect();
    assert_eq!(listed.collect::<BTreeSet<u8>>(), there);
}

#[test]
fn the_columns_of_the_flat_table_are_those_that_are_read() {
    let rows = table_rows(section("What it reads"));
    let listed: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| quoted(row[0]))
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert_eq!(listed, FLAT_COLUMNS.iter().copied().collect());
}

#[test]
fn the_columns_of_every_export_are_as_listed() {
    let sandbox = Sandbox::initialised();
    let text = section("What it writes").split_whitespace().collect::<Vec<_>>().join(" ");
    let mut listed = Vec::new();
    for item in text.split("- **").skip(1) {
        let (table, rest) = item.split_once("**, ").unwrap();
        let (_, columns) = rest.split_once(": `").unwrap();
        let columns = columns.split("` ").next().unwrap().replace('`', "");
        let header = sandbox.succeed(&format!("export -q {table} --format csv"));
        assert_eq!(
            columns.split(", ").collect::<Vec<_>>(),
            header.trim().split(',').collect::<Vec<_>>(),
            "{table}"
        );
        listed.push(table.to_owned());
    }
    let help = sandbox.succeed("export --help");
    let values: Vec<&str> =
        help.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split(':').next()).collect();
    for table in &listed {
        assert!(values.contains(&table.as_str()), "{table} in {values:?}");
    }
    assert_eq!(listed.len(), 10);
}
