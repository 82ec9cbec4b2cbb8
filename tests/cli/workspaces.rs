use serde_json::Value;

use crate::sandbox::{Sandbox, answers};

/// Main has a watchlist, a cohort with its comparison and alerts; `eu` watches a product of its own.
fn two_teams() -> Sandbox {
    let sandbox = Sandbox::with_market();
    sandbox.succeed("--workspace eu watch add -q UK:B0FDKB341G");
    sandbox
}

fn alert_id(sandbox: &Sandbox, options: &str) -> String {
    let csv =
        sandbox.succeed(&format!("{options} alert list --rule price_drop --format csv --fields alert_id"));
    csv.lines().nth(1).unwrap().to_owned()
}

#[test]
fn what_another_team_has_is_answered_like_what_nobody_has() {
    let sandbox = two_teams();
    let id = alert_id(&sandbox, "");
    let state = sandbox.succeed("verify --hash");
    for line in [
        "alert show ALERT",
        "alert ack ALERT",
        "alert resolve ALERT",
        "explain ALERT",
        "cohort show COHORT",
        "cohort rm COHORT --yes",
        "compare --cohort COHORT",
        "report --cohort COHORT",
        "watch tag US:PRODUCT --add mine",
        "watch pause US:PRODUCT",
        "watch rm US:PRODUCT --yes",
        "ingest --only US:PRODUCT --dry-run",
    ] {
        let answer = |alert: &str, cohort: &str, product: &str| {
            let named = line.replace("ALERT", alert).replace("COHORT", cohort).replace("PRODUCT", product);
            let answer = sandbox.run(&format!("--workspace eu {named}"));
            answer.replace(alert, "ALERT").replace(cohort, "COHORT").replace(product, "PRODUCT")
        };
        let foreign = answer(&id, "earbuds", "B0FM2YDLHP");
        assert_eq!(foreign, answer("00000000000000000000000000000000", "nosuch", "B0NEVER000"), "{line}");
        assert!(!foreign.starts_with("exit 0"), "{line}: {foreign}");
    }
    for (line, own) in [
        ("watch list", 1),
        ("cohort list", 0),
        ("alert list --state all", 0),
        ("export alerts", 0),
        ("export comparisons", 0),
        ("check --freshness --all", 2),
    ] {
        let rows = |options: &str| {
            let output = sandbox.command(&format!("{options} {line} --format csv")).output().unwrap();
            String::from_utf8(output.stdout).unwrap().lines().count() - 1
        };
        assert_eq!(rows("--workspace eu"), own, "{line}");
        assert!(rows("") > own, "{line}");
    }
    let status: Value = serde_json::from_str(&sandbox.succeed("--workspace eu status --json")).unwrap();
    assert_eq!((&status["workspace"], &status["counts"]["watched"]), (&"eu".into(), &1.into()));
    assert_eq!((&status["counts"]["cohorts"], &status["open"]["alerts"]), (&0.into(), &0.into()));
    assert_eq!(status["open"]["deliveries_pending"], 0);
    assert_eq!(sandbox.succeed("verify --hash"), state, "nothing was changed");
}

#[test]
fn what_comes_next_is_said_for_the_same_workspace() {
    let sandbox = two_teams();
    let set = "cohort set pair UK:B0FDKB341G UK:B0FM2YDLHP";
    for (line, next) in [
        (format!("{set} --workspace eu"), "next: `amzctl --workspace eu compare --cohort pair`"),
        (
            format!("--config amzctl.toml {set} --workspace eu"),
            "next: `amzctl --config amzctl.toml --workspace eu compare --cohort pair`",
        ),
        (set.to_owned(), "next: `amzctl compare --cohort pair`"),
    ] {
        let said = sandbox.run(&line);
        assert!(said.contains(next), "{said}");
    }
    let said = sandbox.run_with("AMZCTL_WORKSPACE", "eu", set);
    assert!(said.contains("next: `amzctl compare --cohort pair`"), "the variable is still there: {said}");
}

#[test]
fn each_team_is_told_of_its_products_only_and_only_by_its_own_run() {
    let sandbox = two_teams();
    // The product in the UK has not changed.
    answers!(sandbox.run("--workspace eu alert run --no-deliver"), @r#"
    exit 0
    --- stderr
    alert: 10 days judged, 0 new
    "#);
    sandbox.succeed("--workspace us watch add -q US:B0FDKB341G");
    sandbox.succeed("--workspace us alert run -q --no-deliver");
    let (main, us) = (alert_id(&sandbox, ""), alert_id(&sandbox, "--workspace us"));
    assert_ne!(main, us);

    let told = |options: &str| -> Vec<(String, String)> {
        let events = sandbox.succeed(&format!("{options} alert deliver --json"));
        let event = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let of = |event: Value| (text(&event["workspace"]), text(&event["alert_id"]));
        events.lines().map(|line| of(event(line))).collect()
    };
    assert_eq!(told("--workspace eu"), []);
    assert_eq!(told("--workspace us"), [("us".to_owned(), us)]);
    assert_eq!(told(""), [("main".to_owned(), main)]);
    assert_eq!(told(""), []);
}

#[test]
fn the_same_names_in_two_workspaces_are_compared_and_reported_apart() {
    let sandbox = two_teams();
    sandbox.succeed("--workspace eu cohort set -q earbuds US:B0FDKB341G US:B0FCL55CFF");
    sandbox.succeed("build-mart -q");
    let members = |options: &str| {
        let csv = sandbox.succeed(&format!("{options} export comparisons --fields cohort,asin"));
        csv.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(members("--workspace eu"), ["earbuds,B0FCL55CFF"], "by a run of main");
    assert_eq!(members(""), ["earbuds,B0FM2YDLHP", "earbuds,B0FCL55CFF"]);
    sandbox.succeed("report -q --cohort earbuds --format html");
    sandbox.succeed("--workspace eu report -q --cohort earbuds --format html");
    let name = "cohort-earbuds-2026-02-28.html";
    assert!(sandbox.read(&format!("reports/{name}")).contains("B0FM2YDLHP"));
    assert!(!sandbox.read(&format!("reports/eu/{name}")).contains("B0FM2YDLHP"));
}

#[test]
fn the_flag_goes_before_the_variable_and_that_before_the_file() {
    let sandbox = two_teams();
    let shown = |variable: Option<&str>, line: &str| {
        let mut command = sandbox.command(&format!("{line} status --json"));
        command.envs(variable.map(|value| ("AMZCTL_WORKSPACE", value)));
        let document: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        document["workspace"].as_str().unwrap().to_owned()
    };
    assert_eq!(shown(None, ""), "main");
    let settings = sandbox.read("amzctl.toml").replace("#workspace = \"main\"", "workspace = \"eu\"");
    sandbox.write("amzctl.toml", settings);
    assert_eq!(shown(None, ""), "eu");
    assert_eq!(shown(Some("us"), ""), "us");
    assert_eq!(shown(Some("us"), "--workspace main"), "main");
}

#[test]
fn a_name_is_checked_and_one_with_nothing_in_it_is_told() {
    let sandbox = two_teams();
    answers!(sandbox.run("--workspace Team_EU watch list"), @r#"
    exit 2
    --- stderr
    error: invalid value 'Team_EU' for '--workspace <NAME>': `Team_EU` is not a workspace name: lower-case letters, digits and `-`, beginning with a letter or digit, at most 40

    For more information, try '--help'.
    "#);
    answers!(sandbox.run("--workspace ue watch list"), @r#"
    exit 0
    --- stderr
    there is nothing in workspace `ue` yet
    nothing is watched: `amzctl watch add UK:ASIN`
    "#);
    sandbox.write("wrong.toml", "[defaults]\nworkspace = \"EU\"\n");
    answers!(sandbox.run("--config wrong.toml watch list"), @r#"
    exit 2
    --- stderr
    error: wrong.toml:2: `EU` is not a workspace name: lower-case letters, digits and `-`, beginning with a letter or digit, at most 40
    "#);
}
