use crate::sandbox::{Sandbox, answers};

#[test]
fn a_cohort_is_set_shown_and_removed() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("cohort set earbuds US:B0FDKB341G B0FDKB342G B0FDKB341G B0FDKB343G B0FDKB342G"), @r#"
    exit 0
    --- stderr
    ignored 1 link of a product to itself
    dropped 1 duplicate
    1 cohort, 2 links: 1 added
    next: `amzctl compare --cohort earbuds`
    "#);
    answers!(sandbox.run("cohort list"), @r#"
    exit 0
    --- stdout
    NAME     MARKETPLACE  MAIN_ASIN   COMPETITORS  LABEL  CREATED_AT
    earbuds  US           B0FDKB341G            2         2026-03-01T12:00:00Z
    "#);
    answers!(sandbox.run("cohort show earbuds"), @r#"
    exit 0
    --- stdout
    ROLE        MARKETPLACE  ASIN        PRIORITY  LABEL  TITLE
    main        US           B0FDKB341G         -         -
    competitor  US           B0FDKB342G         0         -
    competitor  US           B0FDKB343G         1         -
    "#);
    answers!(sandbox.run("cohort set earbuds US:B0FDKB341G B0FDKB342G --label Earbuds"), @r#"
    exit 0
    --- stderr
    1 cohort, 1 link: 1 changed
    next: `amzctl compare --cohort earbuds`
    "#);
    answers!(sandbox.run("cohort show earbud"), @r#"
    exit 2
    --- stderr
    error: there is no cohort `earbud`
    hint: did you mean `earbuds`? `amzctl cohort list` shows all
    "#);
    answers!(sandbox.run("cohort show earbuds --json"), @r#"
    exit 0
    --- stdout
    {
      "schema": "amzctl.cohort.show/1",
      "rows": [
        {
          "role": "main",
          "marketplace": "US",
          "asin": "B0FDKB341G",
          "priority": null,
          "label": "Earbuds",
          "title": null
        },
        {
          "role": "competitor",
          "marketplace": "US",
          "asin": "B0FDKB342G",
          "priority": 0,
          "label": "",
          "title": null
        }
      ]
    }
    "#);
    answers!(sandbox.run("cohort rm earbuds"), @r#"
    exit 2
    --- stderr
    error: nothing was removed
    hint: confirm with --yes
    "#);
    answers!(sandbox.run("cohort rm earbuds --yes"), @r#"
    exit 0
    --- stderr
    1 removed
    next: `amzctl cohort set NAME MAIN COMPETITOR…` makes another
    "#);
    answers!(sandbox.run("cohort rm earbuds --yes"), @r#"
    exit 2
    --- stderr
    error: there is no cohort `earbuds`
    hint: make one with `amzctl cohort set`
    "#);
    answers!(sandbox.run("cohort list"), @r#"
    exit 0
    --- stderr
    there are no cohorts: `amzctl cohort set NAME MAIN COMPETITOR…`
    "#);
}

#[test]
fn a_roles_file_makes_a_cohort_for_every_main_product() {
    let sandbox = Sandbox::initialised();
    let mains = (0..20).map(|number| format!("B0MAIN00{number:02},main\r\n"));
    let competitors = (0..5).map(|number| format!("B0COMP00{number:02},comp\r\n"));
    let text: String = mains.chain(competitors).collect();
    sandbox.write("roles.csv", text.trim_end());
    answers!(sandbox.run("cohort import roles.csv --marketplace US --dry-run"), @r#"
    exit 0
    --- stderr
    dry run, nothing written: 20 cohorts, 100 links: 20 added
    "#);
    answers!(sandbox.run("cohort import roles.csv --marketplace US"), @r#"
    exit 0
    --- stderr
    20 cohorts, 100 links: 20 added
    next: `amzctl compare --cohort US-B0MAIN0000`
    "#);
    answers!(sandbox.run("cohort import roles.csv --marketplace US"), @r#"
    exit 0
    --- stderr
    20 cohorts, 100 links: 20 unchanged
    next: `amzctl compare --cohort US-B0MAIN0000`
    "#);
    let names = sandbox.succeed("cohort list --format csv --fields name,competitors");
    assert_eq!(names.lines().count(), 21);
    assert!(names.contains("\nUS-B0MAIN0019,5\n"), "{names}");
}

#[test]
fn what_is_no_cohort_is_refused() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("cohort set ../x US:B0FDKB341G B0FDKB342G"), @r#"
    exit 2
    --- stderr
    error: `../x` is not a cohort name
    hint: letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 64
    "#);
    answers!(sandbox.run("cohort set alone US:B0FDKB341G B0FDKB341G"), @r#"
    exit 2
    --- stderr
    error: cohort alone has no competitor
    hint: name a product besides the main one
    "#);
    sandbox.write("roles.csv", "B0FDKB341G,main\nB0FDKB342G,boss\n");
    answers!(sandbox.run("cohort import roles.csv --marketplace US"), @r#"
    exit 2
    --- stderr
    error: roles.csv:2: `boss` is not a role (main or comp)
    hint: nothing was written: mend this and run the command again
    "#);
    sandbox.write("roles.csv", "B0FDKB341G,comp\n");
    answers!(sandbox.run("cohort import roles.csv --marketplace US"), @r#"
    exit 2
    --- stderr
    error: roles.csv names no main product
    hint: a main product is a line ASIN,main
    "#);
    sandbox.write("roles.csv", "XX:B0FDKB341G,main\n");
    answers!(sandbox.run("cohort import roles.csv"), @r#"
    exit 2
    --- stderr
    error: roles.csv:1: unknown marketplace `XX` (known: US UK DE FR IT ES JP CA MX IN AU BR NL SE PL BE TR AE SA SG EG ZA IE)
    hint: nothing was written: mend this and run the command again
    "#);
}
