use crate::sandbox::{Sandbox, answers};

#[test]
fn products_are_added_once_and_changed_by_a_second_add() {
    let sandbox = Sandbox::initialised();
    answers!(
        sandbox.run("watch add UK:B0FDKB341G https://www.amazon.de/dp/B0FDKB342G uk:b0fdkb341g --tag audio"),
        @r#"
    exit 0
    --- stderr
    dropped 1 duplicate
    2 added
    next: `amzctl ingest FILE` to land data, `amzctl watch list` to see the list
    "#
    );
    answers!(sandbox.run("watch add UK:B0FDKB341G --own --tier critical --tag led --label Mine"), @r#"
    exit 0
    --- stderr
    1 changed
    "#);
    answers!(sandbox.run("watch add UK:B0FDKB341G"), @r#"
    exit 0
    --- stderr
    1 unchanged
    "#);
    answers!(sandbox.run("watch list"), @r#"
    exit 0
    --- stdout
    MARKETPLACE  ASIN        TIER      RELATION  TAGS       PAUSED  LAST_DAY  TITLE
    DE           B0FDKB342G  routine   rival     audio      false   -         -
    UK           B0FDKB341G  critical  own       audio,led  false   -         -
    "#);
    answers!(sandbox.run("watch list --own --json"), @r#"
    exit 0
    --- stdout
    {
      "schema": "amzctl.watch/1",
      "rows": [
        {
          "marketplace": "UK",
          "asin": "B0FDKB341G",
          "tier": "critical",
          "relation": "own",
          "tags": "audio,led",
          "paused": false,
          "last_day": null,
          "title": null,
          "label": "Mine",
          "source_chain": "",
          "added_at": "2026-03-01T12:00:00Z"
        }
      ]
    }
    "#);
    answers!(sandbox.run("watch list --tag nothing --format csv"), @r#"
    exit 0
    --- stdout
    marketplace,asin,tier,relation,tags,paused,last_day,title,label,source_chain,added_at
    --- stderr
    no match
    "#);
}

#[test]
fn a_plain_asin_needs_a_marketplace_from_somewhere() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("watch add B0FDKB341G"), @r#"
    exit 2
    --- stderr
    error: B0FDKB341G names no marketplace
    hint: write UK:B0FDKB341G, give --marketplace UK, or set `marketplace` under [defaults]
    "#);
    answers!(sandbox.run("watch add B0FDKB341G --marketplace US"), @r#"
    exit 0
    --- stderr
    1 added
    next: `amzctl ingest FILE` to land data, `amzctl watch list` to see the list
    "#);
    answers!(sandbox.run_with("AMZCTL_DEFAULTS__MARKETPLACE", "UK", "watch add B0FDKB341G"), @r#"
    exit 0
    --- stderr
    1 added
    next: `amzctl ingest FILE` to land data, `amzctl watch list` to see the list
    "#);
    answers!(sandbox.run("watch pause B0FDKB341G"), @r#"
    exit 2
    --- stderr
    error: B0FDKB341G is known in several marketplaces: UK:B0FDKB341G, US:B0FDKB341G
    hint: name one of them, or give --marketplace
    "#);
    answers!(sandbox.run("watch pause B0FDKB341G --marketplace UK"), @r#"
    exit 0
    --- stderr
    1 paused
    next: `amzctl watch resume UK:B0FDKB341G` when it is to be fetched again
    "#);
}

#[test]
fn what_is_no_product_is_refused_and_nothing_is_written() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("watch add UK:B0FDKB341G nonsense XX:B0FDKB341G"), @r#"
    exit 2
    --- stderr
    error: `nonsense` is not an ASIN (ten letters or digits) nor a product URL (and 1 more)
    hint: unknown marketplace `XX` (known: US UK DE FR IT ES JP CA MX IN AU BR NL SE PL BE TR AE SA SG EG ZA IE)
    hint: nothing was written: mend this and run the command again
    "#);
    answers!(sandbox.run("watch rm UK:B0FDKB341G --yes"), @r#"
    exit 2
    --- stderr
    error: not watched: UK:B0FDKB341G
    hint: `amzctl watch list` shows what is
    "#);
    answers!(sandbox.run("watch add"), @r#"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <PRODUCT>...

    Usage: amzctl watch add <PRODUCT>...

    For more information, try '--help'.
    "#);
    answers!(sandbox.run("watch list"), @r#"
    exit 0
    --- stderr
    nothing is watched: `amzctl watch add UK:ASIN`
    "#);
}

#[test]
fn lists_come_from_files_and_from_stdin() {
    let sandbox = Sandbox::initialised();
    sandbox.write("asins.txt", "\u{feff}# mine\r\nB0FDKB341G\r\n\r\nDE:B0FDKB342G");
    answers!(sandbox.run("watch add asins.txt --marketplace US"), @r#"
    exit 0
    --- stderr
    2 added
    next: `amzctl ingest FILE` to land data, `amzctl watch list` to see the list
    "#);
    answers!(sandbox.run_stdin("B0FDKB343G\nbad line\n", "watch add - --marketplace US"), @r#"
    exit 2
    --- stderr
    error: stdin:2: `bad line` is not an ASIN (ten letters or digits) nor a product URL
    hint: nothing was written: mend this and run the command again
    "#);
    answers!(sandbox.run_stdin("B0FDKB343G\nB0FDKB341G\n", "watch add - --marketplace US"), @r#"
    exit 0
    --- stderr
    1 added, 1 unchanged
    next: `amzctl ingest FILE` to land data, `amzctl watch list` to see the list
    "#);
}

#[test]
fn tables_and_role_files_are_imported() {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "list.csv",
        "asin,marketplace,tier,tags,relation\nB0FDKB341G,UK,critical,a|b,own\nB0FDKB342G,,weekly,,\nB0FDKB341G,UK,,,\n",
    );
    answers!(sandbox.run("watch import list.csv --marketplace US"), @r#"
    exit 0
    --- stderr
    dropped 1 duplicate
    2 added
    next: `amzctl ingest FILE` to land data, `amzctl watch list` to see the list
    "#);
    sandbox.write("roles.csv", "B0FDKB342G,main\r\nB0FDKB343G,comp");
    answers!(sandbox.run("watch import roles.csv --marketplace US --dry-run"), @r#"
    exit 0
    --- stderr
    dry run, nothing written: 1 added, 1 changed
    "#);
    answers!(sandbox.run("watch import roles.csv --marketplace US"), @r#"
    exit 0
    --- stderr
    1 added, 1 changed
    next: `amzctl ingest FILE` to land data, `amzctl watch list` to see the list
    "#);
    answers!(sandbox.run("watch list --format csv --fields marketplace,asin,tier,relation,tags"), @r#"
    exit 0
    --- stdout
    marketplace,asin,tier,relation,tags
    UK,B0FDKB341G,critical,own,"a,b"
    US,B0FDKB342G,weekly,own,
    US,B0FDKB343G,routine,rival,
    "#);
    sandbox.write("bad.csv", "asin,marketplace\nB0FDKB341G,UK\nB0FDKB341G,XX\nshort,UK\n");
    answers!(sandbox.run("watch import bad.csv"), @r#"
    exit 2
    --- stderr
    error: bad.csv:3: unknown marketplace `XX` (known: US UK DE FR IT ES JP CA MX IN AU BR NL SE PL BE TR AE SA SG EG ZA IE) (and 1 more)
    hint: bad.csv:4: `short` is not an ASIN (ten letters or digits) nor a product URL
    hint: nothing was written: mend this and run the command again
    "#);
    answers!(sandbox.run("watch import absent.csv"), @r#"
    exit 2
    --- stderr
    error: absent.csv: No such file or directory (os error 2)
    "#);
}

#[test]
fn tags_pauses_and_removals_tell_what_changed() {
    let sandbox = Sandbox::initialised();
    sandbox.succeed("watch add US:B0FDKB341G US:B0FDKB342G --tag old");
    answers!(sandbox.run("watch tag B0FDKB341G --add new --remove old"), @r#"
    exit 0
    --- stderr
    1 tagged
    next: `amzctl watch list`
    "#);
    answers!(sandbox.run("watch tag B0FDKB341G --add two,words"), @r#"
    exit 2
    --- stderr
    error: `two,words` is not a tag: one word, without commas
    "#);
    answers!(sandbox.run("watch pause B0FDKB341G B0FDKB342G B0FDKB342G"), @r#"
    exit 0
    --- stderr
    dropped 1 duplicate
    2 paused
    next: `amzctl watch resume PRODUCT…` when it is to be fetched again
    "#);
    answers!(sandbox.run("watch resume B0FDKB341G"), @r#"
    exit 0
    --- stderr
    1 resumed
    next: `amzctl watch list`
    "#);
    answers!(sandbox.run("watch resume B0FDKB341G"), @r#"
    exit 0
    --- stderr
    0 resumed, 1 unchanged
    "#);
    answers!(sandbox.run("watch rm B0FDKB342G --dry-run"), @r#"
    exit 0
    --- stderr
    dry run, nothing written: 1 removed
    "#);
    answers!(sandbox.run("watch rm B0FDKB342G"), @r#"
    exit 2
    --- stderr
    error: nothing was removed
    hint: confirm with --yes
    "#);
    answers!(sandbox.run("watch rm B0FDKB342G --yes"), @r#"
    exit 0
    --- stderr
    1 removed
    next: `amzctl watch list`
    "#);
    answers!(sandbox.run("watch list --format tsv --fields asin,tags,paused"), @r#"
    exit 0
    --- stdout
    asin	tags	paused
    B0FDKB341G	new	false
    "#);
}
