//! `version`, `completions`, `man`.

use crate::sandbox::{Sandbox, answers};

#[test]
fn the_version_says_what_the_binary_is() {
    let sandbox = Sandbox::empty();
    // The crash points are compiled in where all tests run, and nowhere else.
    let answer = |line: &str| {
        let answer = sandbox.run(line).replace("features failpoints", "features none");
        answer.replace("[\n    \"failpoints\"\n  ]", "[]")
    };
    answers!(answer("version"), @r#"
    exit 0
    --- stdout
    amzctl 0.1.0
    schema version [SCHEMA]
    features none
    "#);
    answers!(answer("version --json"), @r#"
    exit 0
    --- stdout
    {
      "schema": "amzctl.version/1",
      "version": "0.1.0",
      "schema_version": [SCHEMA],
      "features": []
    }
    "#);
}

#[test]
fn the_version_and_the_keys_of_the_configuration_come_in_every_format() {
    let sandbox = Sandbox::empty();
    assert_eq!(
        sandbox.succeed("version --format csv --fields version,schema_version"),
        format!("version,schema_version\n0.1.0,{}\n", amzctl::store::Store::SCHEMA_VERSION)
    );
    assert_eq!(sandbox.succeed("version --format json"), sandbox.succeed("version --json"));

    let schema: serde_json::Value = serde_json::from_str(&sandbox.succeed("config schema")).unwrap();
    assert_eq!(schema["title"], "Settings");
    assert_eq!(sandbox.succeed("config schema --format json"), sandbox.succeed("config schema"));
    let keys = sandbox.succeed("config schema --format tsv");
    let lines: Vec<&str> = keys.lines().filter(|line| line.contains("alerts.")).collect();
    answers!(lines.join("\n"), @r#"
    alerts.allow_hosts	array	[]	Hosts and addresses in private networks that channels may reach: names as they are written there, or IP addresses.
    alerts.file	string or null	alerts.ndjson	Append events to this NDJSON file; an empty name writes none.
    alerts.rules	string	calm	"Shipped rule set: ""calm"", which is sure before it tells, or ""plain"", which tells everything at first sight."
    alerts.rules_file	string or null	rules.toml	File with what differs from the set; used where it is there. An empty name uses none.
    alerts.stale_slots	integer	2	Slots without an observation after which a product is stale.
    alerts.stdout	boolean	true	Print events to standard output.
    "#);
    // A key that the schema does not describe would be one that nobody can look up.
    assert!(keys.lines().all(|line| line.split('\t').count() == 4 && !line.ends_with('\t')), "{keys}");
}

#[test]
fn every_shell_gets_its_completions() {
    let sandbox = Sandbox::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(sandbox.succeed(&format!("completions {shell}")).contains("quarantine"), "{shell}");
    }
}

#[test]
fn manual_pages_go_to_stdout_or_to_a_folder() {
    let sandbox = Sandbox::empty();
    assert!(sandbox.succeed("man").contains(".TH amzctl 1"));
    answers!(sandbox.run("man pages/of/amzctl"), @r#"
    exit 0
    --- stderr
    wrote the manual pages to pages/of/amzctl
    next: man -l pages/of/amzctl/amzctl.1
    "#);
    assert!(sandbox.read("pages/of/amzctl/amzctl-watch-add.1").contains(".TH amzctl-watch-add 1"));
}
