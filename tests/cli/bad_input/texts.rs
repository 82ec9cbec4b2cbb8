//! Texts that want to be more than text: HTML, terminal control, formulas, Markdown, template syntax.

use serde_json::{Value, json};

use super::page;
use crate::sandbox::Sandbox;

/// Clears a screen, sets a window's title, turns writing round, runs a script, a formula and a template.
const HOSTILE: &str = "=Ear\u{1b}[2Jbuds\u{1b}]0;owned\u{7}\u{9b}31m \u{202e}gpj.exe\u{202c} <script>alert(1)</script>\
     \"><img src=x onerror=alert(1)>&lt;script&gt;alert(2)&lt;/script&gt; | [a](javascript:alert(1)) `z` {{7*7}} \u{7f}\r\n# x";

/// Every way out, to stdout. `{alert}` is the id of an alert.
const COMMANDS: &[&str] = &[
    "show US:B0FDKB341G",
    "show US:B0FDKB341G --json",
    "show US:B0FDKB341G --format csv",
    "compare --cohort buds",
    "compare --cohort buds --format markdown",
    "compare --cohort buds --format csv",
    "compare --cohort buds --json",
    "cohort show buds",
    "watch list",
    "alert list",
    "alert list --json",
    "alert list --format csv",
    "alert show {alert}",
    "alert show {alert} --json",
    "explain {alert}",
    "explain US:B0FDKB341G",
    "explain US:B0FDKB341G --json",
    "explain US:B0FDKB341G --format csv",
    "explain US:B0FDKB341G --format markdown",
    "show US:B0FDKB341G --from 2026-02-26 --format tsv",
    "quarantine list",
    "quarantine list --format csv",
    "quarantine show {quarantined}",
    "export products --format csv",
    "export products --format tsv",
    "export products --format json",
    "export products --format ndjson",
    "export daily --format csv",
    "export ranks --format csv",
    "export alerts --format csv",
    "export alerts --format json",
    "report US:B0FDKB341G",
    "report US:B0FDKB341G --format markdown",
    "report US:B0FDKB341G --format html -o -",
    "report US:B0FDKB341G --json",
    "report --cohort buds",
    "report --cohort buds --format markdown",
    "report --cohort buds --format html -o -",
    "report",
    "report --format markdown",
    "report --format html -o -",
    "status",
    "runs list",
];

/// Two products over three days, with a price that falls, and a record of which the text is quarantined.
fn market(text: &str) -> Sandbox {
    let sandbox = Sandbox::at_first_sight();
    sandbox.succeed("watch add -q US:B0FDKB341G US:B0FDKB341H");
    for (day, price) in [("2026-02-26", 25.99), ("2026-02-27", 25.99), ("2026-02-28", 12.99)] {
        let texts = |title: &str| {
            json!({
                "title": title, "manufacturer": text, "soldBy": text, "sellerId": text, "price": price,
                "categoriesExtended": [{"name": text, "url": text}], "features": [text],
                "mainImage": {"imageUrl": format!("javascript:alert(1)//{text}")},
                "productDetails": [{"name": "Best Sellers Rank", "value": format!("#5 in {text}")}],
            })
        };
        let title = format!("{text}{}", if day == "2026-02-28" { " new" } else { "" });
        let bad = page("B0FDKB341J", json!({"asin": text}));
        let records = [page("B0FDKB341G", texts(&title)), page("B0FDKB341H", texts(text)), bad];
        sandbox.write(&format!("in/{day}.json"), Value::from(records.to_vec()).to_string());
    }
    assert_eq!(sandbox.exit_code("run in"), 3);
    sandbox.succeed("cohort set buds US:B0FDKB341G US:B0FDKB341H -q");
    sandbox.succeed("build-mart -q");
    sandbox
}

/// Runs every command; `check` is given the command line, its format and its answer.
fn every_answer(sandbox: &Sandbox, check: impl Fn(&str, &str)) {
    let first = |line: &str| sandbox.succeed(line).lines().nth(1).expect("there is one").to_owned();
    let alert = first("alert list --format csv --fields alert_id");
    let quarantined = first("quarantine list --format csv --fields quarantine_id");
    for command in COMMANDS {
        let line = command.replace("{alert}", &alert).replace("{quarantined}", &quarantined);
        let output = sandbox.command(&line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        check(&line, std::str::from_utf8(&output.stdout).expect("output is UTF-8"));
        check(&line, std::str::from_utf8(&output.stderr).expect("output is UTF-8"));
    }
    let delivered = sandbox.read("alerts.ndjson");
    check("alerts.ndjson", &delivered);
}

/// What acts on a terminal, and what turns the reading direction.
fn acts(c: char) -> bool {
    let is_line = matches!(c, '\n' | '\t');
    (c.is_control() && !is_line) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn assert_inert(line: &str, text: &str) {
    let found = text.lines().find(|line| line.contains(acts));
    assert_eq!(found, None, "{line}: drives a terminal");
}

fn assert_no_markup(line: &str, text: &str) {
    let lower = text.to_lowercase();
    let markup: &[&str] = match line {
        line if line.contains("html") => {
            &["<script", "<img src=x", "href=\"javascript", "src=\"javascript", ">49<"]
        }
        line if line.contains("markdown") => &["<script", "<img", "[a](javascript"],
        _ => &[],
    };
    for markup in markup {
        assert!(!lower.contains(markup), "{line}: {markup} is not escaped");
    }
}

/// No cell runs as a formula; numbers and dashes for nothing are what they are.
fn assert_no_formula(line: &str, text: &str) {
    if !line.contains("csv") && !line.contains("tsv") {
        return;
    }
    let delimiter = if line.contains("tsv") { b'\t' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    for record in reader.records() {
        let record = record.unwrap();
        let formula =
            record.iter().find(|cell| cell.starts_with(['=', '+', '-', '@']) && cell.parse::<f64>().is_err());
        assert_eq!(formula, None, "{line}");
    }
}

#[test]
fn a_hostile_text_that_comes_in_goes_out_as_plain_text() {
    let sandbox = market(HOSTILE);
    every_answer(&sandbox, |line, text| {
        assert_inert(line, text);
        assert_no_markup(line, text);
        assert_no_formula(line, text);
        // A refused record is shown as it came, escaped.
        let is_raw = line.starts_with("quarantine show");
        assert!(is_raw || !text.contains("\\u001b"), "{line}: kept, though escaped");
        let has_tag = text.contains("<script") || text.contains("onerror=alert(1)>");
        assert!(is_raw || !has_tag, "{line}: a tag is left");
    });
    let title = sandbox.succeed("export products --format json");
    let title: Value = serde_json::from_str(&title).unwrap();
    let title = title["rows"][0]["title"].as_str().unwrap();
    assert_eq!(title, "=Earbuds gpj.exe alert(1)\">alert(2) | [a](javascript:alert(1)) `z` {{7*7}} # x new");
}

/// As if an older version, or somebody's own tool, had written it: every way out has to hold by itself.
#[test]
fn a_hostile_text_in_the_database_goes_out_as_plain_text() {
    let sandbox = market("Earbuds");
    let text = HOSTILE.replace('\'', "''");
    sandbox.sql(&format!(
        "UPDATE products SET title = '{text}', brand = '{text}', category = '{text}', image_url = '{text}';
         UPDATE product_metrics_daily SET seller_name = '{text}', bsr_category = '{text}', bsr_leaf_category = '{text}';
         UPDATE ranks SET category = '{text}';
         UPDATE watch_items SET label = '{text}';
         UPDATE cohort_members SET label = '{text}';
         UPDATE cohorts SET label = '{text}';
         UPDATE alerts SET message = '{text}';
         UPDATE quarantine SET detail = '{text}', file_path = '{text}';
         UPDATE comparisons SET record = replace(record, 'Earbuds', {quoted});",
        quoted = format_args!("'{}'", json!(HOSTILE).to_string().trim_matches('"').replace('\'', "''")),
    ));
    every_answer(&sandbox, |line, text| {
        // JSON escapes what it must; whoever prints its strings has to look after them.
        if line.contains("json") {
            let raw =
                text.lines().find(|line| line.contains(|c: char| c.is_ascii_control() && c != '\u{7f}'));
            assert_eq!(raw, None, "{line}: is no JSON");
            return;
        }
        assert_inert(line, text);
        assert_no_markup(line, text);
        assert_no_formula(line, text);
    });
}

#[test]
fn a_hostile_name_of_a_file_is_told_as_plain_text() {
    let sandbox = Sandbox::at_first_sight();
    let name = "in/\u{1b}[2J\u{9b}31m\u{202e}.json";
    sandbox.write(name, "");
    let mut command = sandbox.command("ingest --captured-at 2026-02-28");
    let refused = sandbox.answer(command.arg(sandbox.path(name)));
    assert!(refused.starts_with("exit 1\n"), "{refused}");
    assert_inert("ingest", &refused);
    assert_inert("ingest in", &sandbox.run("ingest in --captured-at 2026-02-28"));
    assert_inert("quarantine list", &sandbox.run("quarantine list --fields file_path,detail"));
    assert_inert("report", &sandbox.answer(sandbox.command("report --cohort").arg("a\u{1b}[2Jb")));
    assert_inert("config", &sandbox.answer(sandbox.command("--config").args(["\u{1b}[2J.toml", "status"])));
}
