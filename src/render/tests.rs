//! What a finished report must hold in every form.

use std::collections::HashSet;

use super::*;
use crate::model::Language;

fn html(report: &Report) -> String {
    render_report(report, ReportFormat::Html).unwrap()
}

fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("cohort", samples::cohort_report()),
        ("product", samples::product_report(&samples::rows(0))),
        ("single day", samples::product_report(&samples::rows(0)[80..81])),
        ("nothing seen", samples::product_report(&[])),
        ("watchlist", samples::watchlist_report()),
    ]
}

/// Start and end tags in order, with their attributes; fails on a page whose tags do not match.
fn tags(page: &str) -> Vec<String> {
    const VOID: [&str; 4] = ["meta", "br", "hr", "!DOCTYPE"];
    let mut open: Vec<String> = Vec::new();
    let mut seen = Vec::new();
    let body = page.split_once("</style>").unwrap().1;
    for piece in body.split('<').skip(1) {
        let tag = piece.split('>').next().unwrap().to_owned();
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
        if let Some(name) = tag.strip_prefix('/') {
            // The head began before the style.
            assert_eq!(
                open.pop().unwrap_or_else(|| if name == "head" { "head" } else { "html" }.into()),
                name
            );
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
        seen.push(tag);
    }
    assert!(open.is_empty(), "left open: {open:?}");
    seen
}

#[test]
fn a_page_needs_nothing_from_outside_and_runs_nothing() {
    for (name, report) in all() {
        let page = html(&report);
        assert!(
            page.contains("Content-Security-Policy\" content=\"default-src &#x27;none&#x27;")
                || page.contains("default-src 'none'")
        );
        for forbidden in
            ["<script", "<link", "<img", "<iframe", " src=", "url(", "@import", "javascript:", " style="]
        {
            assert!(!page.contains(forbidden), "{name}: {forbidden}");
        }
        let links: Vec<&str> = page.match_indices("href=\"").map(|(at, _)| &page[at + 6..at + 27]).collect();
        assert!(
            links
                .iter()
                .all(|link| link.starts_with("https://www.amazon.")
                    || link.starts_with("https:&#x2f;&#x2f;ww")),
            "{links:?}"
        );
    }
}

#[test]
fn tags_match_ids_are_unique_and_drawings_tell_what_they_show() {
    for (name, report) in all() {
        let page = html(&report);
        let tags = tags(&page);
        let attribute = |tag: &str, name: &str| -> Option<String> {
            let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
            Some(rest.split('"').next().unwrap().to_owned())
        };
        let mut ids = HashSet::new();
        for id in tags.iter().filter_map(|tag| attribute(tag, "id")) {
            assert!(ids.insert(id.clone()), "{name}: id {id} twice");
        }
        for chart in tags.iter().filter(|tag| tag.starts_with("svg class=\"chart")) {
            assert!(chart.contains("role=\"img\""), "{chart}");
            let labels = attribute(chart, "aria-labelledby").unwrap();
            assert!(labels.split(' ').all(|id| ids.contains(id)), "{chart}");
        }
        let count = |start: &str| tags.iter().filter(|tag| tag.starts_with(start)).count();
        assert_eq!(count("table "), count("caption"), "{name}");
        assert_eq!(count("h1"), 1);
        assert!(count("h2") >= 5);
    }
}

#[test]
fn hostile_text_is_harmless_in_every_form() {
    let report = samples::cohort_report();
    let page = html(&report);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    let markdown = render_report(&report, ReportFormat::Markdown).unwrap();
    assert!(!markdown.contains("<script") && markdown.contains("&lt;script&gt;"));
    assert!(markdown.contains("\\|") && markdown.contains("\\`a\\`"));
    let terminal = render_report(&report, ReportFormat::Table { width: 120 }).unwrap();
    for text in [page, markdown, terminal] {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    }
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    for format in
        [ReportFormat::Html, ReportFormat::Json, ReportFormat::Markdown, ReportFormat::Table { width: 90 }]
    {
        let render = || render_report(&samples::cohort_report(), format).unwrap();
        assert_eq!(render(), render());
    }
}

#[test]
fn every_form_states_the_same_figures() {
    let report = samples::cohort_report();
    let page = html(&report);
    let markdown = render_report(&report, ReportFormat::Markdown).unwrap();
    let terminal = render_report(&report, ReportFormat::Table { width: 160 }).unwrap();
    let Body::Cohort(body) = &report.body else { panic!() };
    let overall = format::one_decimal(body.comparison.as_ref().unwrap().scores.overall.unwrap());
    for fact in [
        "25.99",
        "USD",
        "#406",
        "4.5",
        "in stock",
        "1,806",
        "US:B0SAMPLE05",
        "price fell 18.9 % to 21.39 USD",
        &overall,
    ] {
        for text in [&page, &markdown.replace('\\', ""), &terminal] {
            assert!(text.contains(fact), "{fact}");
        }
    }
    let json: serde_json::Value =
        serde_json::from_str(&render_report(&report, ReportFormat::Json).unwrap()).unwrap();
    assert_eq!(json["schema"], "amzctl.report/1");
    assert_eq!(json["kind"], "cohort");
    assert_eq!(json["as_of"], "2026-05-03");
    assert_eq!(json["product"]["latest"]["price_minor"], 2599);
    assert_eq!(json["product"]["latest"]["price"]["amount"], "25.99");
    assert_eq!(json["comparison"]["competitors"].as_array().unwrap().len(), 5);
    assert_eq!(json["narrative"]["metadata"]["rules"], "amzctl.structured/1");
}

#[test]
fn unknown_is_spelled_out_and_nothing_seen_says_so() {
    let page = html(&samples::product_report(&[]));
    assert_eq!(page.matches("no data</text>").count(), 4);
    assert!(page.contains("no data, no value is known on any of 90 days"));
    assert!(page.contains("never seen up to this day") && page.contains("unknown"));
    assert!(page.contains("main product of no cohort"));
    for wrong in ["None", "NaN", "null", "inf "] {
        assert!(!page.split("</style>").nth(1).unwrap().contains(wrong), "{wrong}");
    }
}

#[test]
fn terminal_lines_fit_the_width() {
    use unicode_width::UnicodeWidthStr;
    for (name, report) in all() {
        let text = render_report(&report, ReportFormat::Table { width: 100 }).unwrap();
        for line in text.lines() {
            assert!(line.width() <= 100, "{name}: {line}");
        }
    }
}

#[test]
fn no_sparkline_of_a_terminal_table_is_broken() {
    let report = samples::cohort_report();
    for width in [80, 100] {
        let text = render_report(&report, ReportFormat::Table { width }).unwrap();
        let sparkline = |line: &&str| line.trim().chars().all(|c| ('▁'..='█').contains(&c) || c == ' ');
        let broken = text.lines().filter(|line| !line.trim().is_empty()).find(sparkline);
        assert_eq!(broken, None, "{text}");
    }
}

#[test]
fn a_comparison_alone_is_a_page_too() {
    let page = comparison_page(&samples::comparison()).unwrap();
    tags(&page);
    assert!(page.contains("P40i and its competitors") && page.contains("Better than"));
}

#[test]
fn charts_are_told_in_the_language_that_is_asked_for() {
    let report = samples::cohort_report();
    for drawn in
        [page::product_charts(&report, Language::English), page::cohort_charts(&report, Language::English)]
    {
        for chart in &drawn {
            assert!(html(&report).contains(&chart.drawing), "{}: the report has the same", chart.heading);
        }
    }
    let chinese = [
        page::product_charts(&report, Language::TraditionalChinese),
        page::cohort_charts(&report, Language::TraditionalChinese),
    ]
    .concat();
    assert_eq!(chinese.len(), 8);
    // What an alert says is its own, as names of products and categories are.
    let without_marks = |drawing: &str| -> String {
        let mut parts = drawing.split(r#"<path class="mark""#);
        let first = parts.next().unwrap_or_default().to_owned();
        first + &parts.filter_map(|part| Some(part.split_once("</path>")?.1)).collect::<String>()
    };
    const ENGLISH: [&str; 10] = [
        "known on",
        "observed",
        "latest",
        "lowest",
        "rank,",
        "stars",
        "in stock",
        " day",
        "unknown",
        "number of",
    ];
    for chart in &chinese {
        let legend: String = chart.legend.iter().map(|sign| sign.text.as_str()).collect();
        let drawing = without_marks(&chart.drawing);
        for text in [&chart.latest, &chart.summary, &chart.note, &legend, &drawing, &chart.narrow] {
            for word in ENGLISH {
                assert!(
                    !text.replace("class=\"day\"", "").contains(word),
                    "{}: {word}: {text}",
                    chart.heading
                );
            }
        }
    }
}
