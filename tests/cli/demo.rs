//! `demo`.

use crate::sandbox::Sandbox;

const REPORT: &str = "amzctl-demo/report-US-B0DEMO0001.html";

/// The state hash of the demo's database.
fn hash(sandbox: &Sandbox) -> String {
    sandbox.succeed("--config amzctl-demo/amzctl.toml verify --hash")
}

#[test]
fn the_demo_ends_with_its_report_and_a_second_one_changes_nothing() {
    let sandbox = Sandbox::empty();
    let stdout = sandbox.succeed("demo");
    assert_eq!(stdout.lines().last(), Some(REPORT));
    let page = sandbox.read(REPORT);
    assert!(page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"));
    assert!(page.contains("Kestrow") && page.contains("Orbitex"));
    for told in ["out_of_stock", "undercut", "all_time_low", "buy_box_lost"] {
        assert!(sandbox.read("amzctl-demo/alerts.ndjson").contains(told), "{told}");
    }

    let before = hash(&sandbox);
    sandbox.succeed("demo");
    assert_eq!(hash(&sandbox), before);
    assert_eq!(sandbox.read(REPORT), page);

    let elsewhere = Sandbox::empty();
    elsewhere.succeed("demo");
    assert_eq!(hash(&elsewhere), before, "every demo ends the same");
}

#[test]
fn the_demo_never_works_in_a_folder_that_is_not_its_own() {
    let sandbox = Sandbox::initialised();
    let own = std::fs::read(sandbox.path("amzctl.db")).unwrap();
    sandbox.write("amzctl-demo/amzctl.db", "mine");
    assert_eq!(sandbox.exit_code("demo"), 2);
    assert_eq!(sandbox.read("amzctl-demo/amzctl.db"), "mine");

    std::fs::remove_dir_all(sandbox.path("amzctl-demo")).unwrap();
    let mut command = sandbox.command("demo");
    command.env("AMZCTL_STORE__PATH", sandbox.path("amzctl.db"));
    let answer = sandbox.answer(&mut command);
    assert!(answer.starts_with("exit 0"), "{answer}");
    assert_eq!(
        std::fs::read(sandbox.path("amzctl.db")).unwrap(),
        own,
        "the variable leads to the user's database"
    );
}
