use crate::sandbox::Sandbox;

/// Two products on four days; the main one gets cheaper.
fn with_data() -> Sandbox {
    let sandbox = Sandbox::initialised();
    let mut lines = String::from(
        "marketplace,asin,observed_at,currency,price_minor,availability,bsr,bsr_category,rating_centi,ratings_count,title\n",
    );
    for day in 24..=27 {
        let price = 2600 - day;
        lines += &format!(
            "US,B0FDKB341G,2026-02-{day}T08:00:00Z,USD,{price},in_stock,{},Electronics,450,{},\"<b>Earbuds\"\n\
             US,B0FM2YDLHP,2026-02-{day}T08:00:00Z,USD,3000,in_stock,900,Electronics,430,80,Speaker\n",
            100 + day,
            200 + day,
        );
    }
    sandbox.write("days.csv", lines);
    for line in [
        "ingest -q days.csv",
        "normalize -q",
        "build-mart -q",
        "watch add -q US:B0FDKB341G US:B0FM2YDLHP",
        "cohort set -q pair US:B0FDKB341G US:B0FM2YDLHP",
    ] {
        sandbox.succeed(line);
    }
    sandbox
}

#[test]
fn a_page_is_written_beside_the_configuration_and_the_same_evidence_is_said() {
    let sandbox = with_data();
    let first = sandbox.run("report --cohort pair --format html");
    assert!(first.starts_with("exit 0"), "{first}");
    assert!(first.contains("wrote [FOLDER]/reports/cohort-pair-2026-02-27.html"), "{first}");
    let page = sandbox.read("reports/cohort-pair-2026-02-27.html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("&lt;b&gt;Earbuds") || !page.contains("<b>"));
    let second = sandbox.run("report --cohort pair --format html");
    assert!(second.contains("the same evidence as before"), "{second}");
    assert_eq!(sandbox.read("reports/cohort-pair-2026-02-27.html"), page);
}

#[test]
fn stdout_is_the_report_in_the_format_asked_for() {
    let sandbox = with_data();
    let json: serde_json::Value = serde_json::from_str(&sandbox.succeed("report B0FDKB341G --json")).unwrap();
    assert_eq!((&json["schema"], &json["kind"]), (&"amzctl.report/1".into(), &"product".into()));
    assert_eq!(json["product"]["latest"]["price"]["amount"], "25.73");
    assert_eq!(json["product"]["figures"][0]["delta"], -1);
    assert!(sandbox.succeed("report B0FDKB341G --format markdown").starts_with("# "));
    assert!(sandbox.succeed("report").contains("Watchlist digest"));
    assert!(sandbox.succeed("report --watchlist --format html -o -").starts_with("<!DOCTYPE html>"));
    let written = sandbox.run("report B0FDKB341G --format markdown -o mine.md --as-of 2026-02-25 --days 7");
    assert!(
        written.ends_with("\nnext: `amzctl explain US:B0FDKB341G` for where its figures come from\n"),
        "{written}"
    );
    assert!(sandbox.read("mine.md").contains("25 Feb 2026"));
}

#[test]
fn what_is_not_there_is_a_usage_error_with_a_hint() {
    let sandbox = with_data();
    for line in
        ["report --cohort pear", "report US:B000000009", "report --cohort pair B0FDKB341G", "report --days 0"]
    {
        assert_eq!(sandbox.exit_code(line), 2, "{line}");
    }
    for line in ["report B0FDKB341G", "report --cohort pair"] {
        let answer = sandbox.run(&format!("{line} --as-of 2020-01-01"));
        assert!(
            answer.starts_with("exit 2\n") && answer.contains("the nearest day with data is 2026-02-2"),
            "{answer}"
        );
    }
    assert!(sandbox.run("report --cohort pear").contains("did you mean `pair`"));
    assert_eq!(Sandbox::initialised().exit_code("report"), 2);
    assert_eq!(Sandbox::empty().exit_code("report"), 10);
}
