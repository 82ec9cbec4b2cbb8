//! `alert deliver` and `alert dead` as people and scripts meet them.

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::sandbox::Sandbox;

/// The alert of the market was given up by the file's channel.
fn given_up() -> (Sandbox, String) {
    let sandbox = Sandbox::with_market();
    sandbox.sql(
        "UPDATE deliveries SET state = 'dead', attempts = 16, message_id = event_id, maybe_sent = 1,
           failed_at = 1772366400000000, last_error = 'cannot write alerts.ndjson' WHERE channel = 'file'",
    );
    let ids = sandbox.succeed("alert dead list --format csv --fields message_id");
    let id = ids.lines().nth(1).unwrap().to_owned();
    (sandbox, id)
}

#[test]
fn letters_that_were_given_up_are_listed_and_shown() {
    let (sandbox, id) = given_up();
    let listed = sandbox.run("alert dead list");
    for part in
        ["exit 0", &id[..10], "file alerts.ndjson", "2026-03-01T12:00:00Z", "price fell", "cannot write"]
    {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let csv = sandbox.succeed(
        "alert dead list --format csv --fields channel,recipient,state,events,event_type,attempts,maybe_sent",
    );
    let expected = "file,alerts.ndjson,dead,1,alert.opened,16,true";
    assert_eq!(csv.lines().nth(1), Some(expected), "{csv}");
    for (filter, count) in [
        ("--channel file", 1),
        ("--channel stdout", 0),
        ("--event alert.opened", 1),
        ("--event run.failed", 0),
        ("--since 2026-03-01", 1),
        ("--since 2026-03-02", 0),
        ("--state dropped", 0),
        ("--state all", 1),
    ] {
        let csv = sandbox.succeed(&format!("alert dead list {filter} --format csv"));
        assert_eq!(csv.lines().count(), 1 + count, "{filter}: {csv}");
    }
    let shown = sandbox.run(&format!("alert dead show {}", &id[..8]));
    for part in [
        "state       dead",
        "attempts    16, the last 2026-03-01T12:00:00Z",
        "perhaps",
        "price fell",
        "next: ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.succeed(&format!("alert dead show {id} --json"))).unwrap();
    assert_eq!(json["schema"], "amzctl.alert-dead/1");
    assert_eq!(json["events"][0]["event_id"], id.as_str());
    let unknown = sandbox.run("alert dead show 0000");
    assert!(unknown.starts_with("exit 2\n") && unknown.contains("there is no letter `0000`"), "{unknown}");
}

#[test]
fn a_letter_is_tried_again_with_who_and_why_and_arrives() {
    let (sandbox, id) = given_up();
    let dry = sandbox.run("alert dead retry --all --dry-run");
    assert!(dry.contains("dry run, nothing written: 1 letter would be tried again"), "{dry}");
    assert_eq!(sandbox.succeed("alert dead list --format csv").lines().count(), 2);
    let said = sandbox.run_with("USER", "ada", &format!("alert dead retry {} --note mended", &id[..8]));
    assert!(said.contains("1 due again") && said.contains("next: `amzctl alert deliver`"), "{said}");
    assert!(sandbox.run("alert dead list").contains("no letter was given up"));
    sandbox.succeed("alert deliver -q --channel file");
    let told = sandbox.read("alerts.ndjson");
    assert!(told.lines().count() == 1 && told.contains(&id), "{told}");
    assert_eq!(sandbox.run("alert dead retry --channel file").lines().count(), 3, "nothing is left to retry");
}

#[test]
fn a_letter_is_let_go_only_when_that_is_meant_and_can_be_had_back() {
    let (sandbox, id) = given_up();
    let asked = sandbox.run("alert dead drop --all");
    assert!(asked.starts_with("exit 2\n") && asked.contains("confirm with --yes"), "{asked}");
    assert!(sandbox.run("alert dead drop").starts_with("exit 2\n"), "nothing is named");
    let said = sandbox.run("alert dead drop --all --yes --note old");
    assert!(said.contains("1 dropped"), "{said}");
    assert_eq!(sandbox.succeed("alert dead list --format csv").lines().count(), 1);
    let shown = sandbox.succeed(&format!("alert dead show {id}"));
    assert!(shown.contains("dead → dropped by unknown@") && shown.contains(": old\n"), "{shown}");
    assert!(sandbox.run(&format!("alert dead retry {id}")).contains("1 due again"));
}

#[test]
fn one_channel_is_delivered_to_when_it_is_named() {
    let sandbox = Sandbox::with_market();
    let unknown = sandbox.run("alert deliver --channel mail");
    assert!(unknown.starts_with("exit 2\n"), "{unknown}");
    assert!(unknown.contains("there is no channel `mail`") && unknown.contains("stdout, file"), "{unknown}");
    let said = sandbox.run("alert deliver --channel file");
    assert!(said.contains("deliver: file alerts.ndjson: 1 delivered") && !said.contains("stdout"), "{said}");
    assert!(sandbox.run("alert deliver").contains("deliver: stdout: 1 delivered"));
}

fn watch(sandbox: &Sandbox) -> Child {
    let mut command = sandbox.command("alert deliver --watch --poll 100ms --channel file");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Looks until it is so; far longer than it takes.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_500 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} did not come about");
}

fn terminate(watcher: Child) -> (Option<i32>, String) {
    let pid = watcher.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = watcher.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn watchers_deliver_what_comes_up_take_over_from_each_other_and_end_cleanly() {
    let sandbox = Sandbox::with_market();
    let is_told = |lines: usize| {
        std::fs::read_to_string(sandbox.path("alerts.ndjson")).is_ok_and(|text| text.lines().count() == lines)
    };
    let mut first = watch(&sandbox);
    until("what waited is told", || is_told(1));
    // The second one waits for its turn.
    let second = watch(&sandbox);
    sandbox.write(
        "more.csv",
        "marketplace,asin,observed_at,price_minor\nUS,B0FDKB341G,2026-03-01T08:00:00Z,900\n",
    );
    let said = sandbox.run("run more.csv");
    assert!(said.contains("another process is delivering"), "{said}");
    until("what is new is told", || is_told(2) || is_told(3));
    let told = sandbox.read("alerts.ndjson").lines().count();
    first.kill().unwrap();
    first.wait().unwrap();
    sandbox.write(
        "again.csv",
        "marketplace,asin,observed_at,price_minor\nUS,B0FM2YDLHP,2026-03-01T08:00:00Z,900\n",
    );
    sandbox.succeed("run -q --no-deliver again.csv");
    until("the second one has taken over", || sandbox.read("alerts.ndjson").lines().count() > told);
    let (code, said) = terminate(second);
    assert_eq!(code, Some(143), "{said}");
    assert!(said.contains("standing by") && said.contains("deliver: file alerts.ndjson: "), "{said}");
}

/// Who asks for it hears of runs and reports, in the transaction that ends or stores them.
#[test]
fn runs_and_reports_are_told_to_a_channel_that_asks_for_them() {
    let sandbox = Sandbox::with_market();
    let config = sandbox.read("amzctl.toml");
    sandbox.write(
        "amzctl.toml",
        config
            + "\n[channels.ops]\ntype = \"exec\"\ncommand = [\"/bin/cat\"]\nevents = [\"run.finished\", \"run.failed\", \"report.published\", \"alert.resolved\"]\n",
    );
    sandbox.succeed("run -q --no-deliver");
    sandbox.succeed("report --watchlist --format json -o report.json");
    sandbox.succeed("report --watchlist --format json -o report.json");
    let id = sandbox.succeed("alert list --format csv --fields alert_id").lines().nth(1).unwrap().to_owned();
    sandbox.succeed(&format!("alert resolve -q {id}"));
    let waiting = sandbox.run("alert deliver --dry-run");
    // Two of the market's alert; a run, two runs of reports with one report, and a resolved alert.
    assert!(waiting.contains("7 waiting"), "{waiting}");
    sandbox.succeed("check -q");
    sandbox.succeed("verify -q --hash");
}
