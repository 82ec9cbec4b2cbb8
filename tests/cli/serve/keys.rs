//! `keys`: made, listed, replaced and revoked at the command line, and felt at once by whoever uses them.

use super::{Server, key};
use crate::sandbox::{Sandbox, answers};

/// A key and its id differ from run to run.
fn masked(answer: &str) -> String {
    let word = |word: &str| {
        let is_key = ["pk_", "sk_", "ak_"].iter().any(|prefix| word.starts_with(prefix)) && word.len() == 46;
        let is_id = word.len() == 16 && word.bytes().all(|c| c.is_ascii_hexdigit());
        if is_key {
            format!("{}[KEY]", &word[..3])
        } else if is_id {
            "[KEY_ID]".to_owned()
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    answer.lines().map(|text| line(text) + "\n").collect()
}

#[test]
fn a_key_is_shown_once_and_listed_without_itself() {
    let sandbox = Sandbox::initialised();
    let made = sandbox.run("keys create --name laptop --kind public --expires 90d");
    answers!(masked(&made), @r"
    exit 0
    --- stdout
    key          pk_[KEY]
    key_id       [KEY_ID]
    workspace    main
    name         laptop
    kind         public
    permissions  read
    tier         basic
    expires_at   2026-05-30T12:00:00Z
    replaces     -
    --- stderr
    keep the key now: it is not shown again
    ");
    let text = made.split_whitespace().find(|word| word.starts_with("pk_")).unwrap().to_owned();
    answers!(masked(&sandbox.run("keys list")), @r"
    exit 0
    --- stdout
    KEY_ID            NAME    KIND    PERMISSIONS  TIER   STATE   EXPIRES_AT
    [KEY_ID]  laptop  public  read         basic  active  2026-05-30T12:00:00Z
    ");
    let file = std::fs::read(sandbox.path("amzctl.db")).unwrap();
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds(&file), "only its hash is stored");
    assert!(!sandbox.succeed("keys list --json").contains(&text));
}

#[test]
fn a_kind_of_key_has_a_limit_of_its_own() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("keys create --name page --kind public --permissions read,write"), @r"
    exit 2
    --- stderr
    error: a public key may not write
    hint: it may have read; --kind names another
    ");
    answers!(sandbox.run("keys create --name page --permissions rule"), @r"
    exit 2
    --- stderr
    error: invalid value 'rule' for '--permissions <A,B>': `rule` is no permission: they are read, write, operate

    For more information, try '--help'.
    ");
    answers!(sandbox.run("keys create --name page --kind admin --dry-run"), @r"
    exit 0
    --- stderr
    dry run, nothing made: a key of main, admin, that may read,write,operate
    ");
    answers!(sandbox.run("keys list"), @r"
    exit 0
    --- stderr
    no keys: `amzctl keys create --name NAME` makes one
    ");
    answers!(sandbox.run("keys revoke abc"), @r"
    exit 2
    --- stderr
    error: there is no key `abc`
    hint: `amzctl keys list` shows their ids
    ");
}

#[test]
fn a_key_that_is_revoked_or_replaced_ends_when_it_is_said_to() {
    let sandbox = Sandbox::with_market();
    let (one, two) = (key(&sandbox, ""), key(&sandbox, "--name two"));
    let ids = sandbox.succeed("keys list --format csv --fields key_id,name");
    let id = |name: &str| {
        let line = ids.lines().find(|line| line.ends_with(&format!(",{name}"))).unwrap();
        line.split(',').next().unwrap().to_owned()
    };
    let server = Server::start(&sandbox, "");
    assert_eq!(server.get(&one, "/v1/products").status, 200);
    sandbox.succeed(&format!("keys revoke -q {}", id("test")));
    // At the latest when what is remembered of it is looked up anew.
    let start = std::time::Instant::now();
    while server.get(&one, "/v1/products").status != 401 {
        assert!(start.elapsed() < super::PATIENCE);
    }
    assert_eq!(server.get(&one, "/v1/products").code(), "invalid_key");

    let rotated = sandbox.succeed(&format!("keys rotate {} --json", &id("two")[..6]));
    let rotated: serde_json::Value = serde_json::from_str(&rotated).unwrap();
    assert_eq!(rotated["replaces"], id("two"));
    assert_eq!(server.get(rotated["key"].as_str().unwrap(), "/v1/products").status, 200);
    assert_eq!(server.get(&two, "/v1/products").status, 200, "for a day both go on");
    let log = sandbox.succeed("keys create --name log --kind admin --json");
    let log: serde_json::Value = serde_json::from_str(&log).unwrap();
    let log = server.get(log["key"].as_str().unwrap(), "/v1/audit?fields=action&format=csv").text();
    let said: Vec<&str> = log.lines().skip(1).collect();
    assert_eq!(said, ["key.create", "key.rotate", "key.revoke", "key.create", "key.create"]);
}
