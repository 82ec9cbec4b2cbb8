//! Every help page, word for word: scripts and fingers depend on them.

use crate::sandbox::Sandbox;

/// The names of the commands below `line`, as its help lists them.
pub(crate) fn subcommands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    list.take_while(|line| !line.trim().is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The help page of every command, depth first.
fn pages(sandbox: &Sandbox, line: &str, found: &mut Vec<(String, String)>) {
    let help = sandbox.succeed(format!("{line} --help").trim());
    found.push((format!("amzctl {line}").trim().to_owned(), help.clone()));
    for name in subcommands(&help) {
        pages(sandbox, format!("{line} {name}").trim(), found);
    }
}

#[test]
fn every_help_page_is_as_documented() {
    let sandbox = Sandbox::empty();
    let mut found = Vec::new();
    pages(&sandbox, "", &mut found);
    for (command, help) in found {
        // The global options are the same on every page: shown on the first.
        let (own, global) = help.split_once("Global options:").unwrap();
        let page = if command == "amzctl" { help.clone() } else { own.trim_end().to_owned() };
        assert!(global.contains("--config <FILE>"), "{command}");
        insta::assert_snapshot!(command.replace(' ', "_"), page);
    }
}

#[test]
fn global_flags_work_before_and_after_the_command() {
    let sandbox = Sandbox::initialised();
    let before = sandbox.run("-q --color never watch add UK:B0FDKB341G");
    let after = sandbox.run("watch add UK:B0FDKB342G --color never -q");
    assert_eq!((before.as_str(), after.as_str()), ("exit 0\n", "exit 0\n"));
}

#[test]
fn short_help_fits_eighty_columns() {
    let sandbox = Sandbox::empty();
    let output = sandbox.command("-h").env("COLUMNS", "80").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let widest = help.lines().max_by_key(|line| line.len()).unwrap();
    assert!(widest.len() <= 80, "{widest}");
}
