//! The view of a product or cohort report: its header and the order of its sections.

use super::document::{Body, Counted, DataQuality, Product, ProductReport, Report};
use super::format::{self, count_of, long_day, long_period, or_unknown, plain_line, spoken};
use super::view::{Action, Block, Fact, Section, View};
use super::{alert_view, comparison_view, figures_view, history_view};
use crate::model::{Language, Marketplace};
use crate::narrate::{Priority, RecommendationKind, StructuredReport};

/// Builds the view of a product or cohort report.
pub(super) fn product_view(report: &Report, body: &ProductReport) -> View {
    let product = &body.product;
    let is_cohort = matches!(report.body, Body::Cohort(_));
    let mut sections = Vec::new();
    if let (Some(comparison), Some(narrative)) = (&body.comparison, &body.narrative) {
        sections.push(Section {
            id: "summary",
            heading: "Executive summary",
            blocks: vec![Block::Text(narrative.executive_summary.clone())],
            detail: false,
        });
        sections.push(figures_view::now_section(report, product));
        sections.push(comparison_view::scores_section(comparison, narrative));
        sections.push(recommendations_section(narrative));
    } else {
        sections.push(figures_view::now_section(report, product));
        sections.push(Section {
            id: "summary",
            heading: "Scores",
            blocks: vec![Block::Text(vec![
                "Scores unknown: the product is the main product of no cohort, so there is nothing to compare it \
                 with."
                    .to_owned(),
            ])],
            detail: false,
        });
    }
    if is_cohort && !body.overlay.is_empty() {
        sections.push(history_view::overlay_section(report, body, Language::English));
    }
    if let Some(comparison) = &body.comparison {
        sections.push(comparison_view::competitors_section(comparison, product.currency));
    }
    sections.push(history_view::history_section(report, body, Language::English));
    sections.push(figures_view::figures_section(product));
    sections.push(figures_view::details_section(product));
    if let Some(narrative) = &body.narrative {
        sections.push(comparison_view::standing_section(narrative));
    }
    sections.push(alert_view::alerts_section(&body.alerts, report, is_cohort));
    sections.push(quality_section(report, product));
    View {
        kind: if is_cohort { "Cohort report" } else { "Product report" },
        title: title(body, is_cohort),
        facts: header_facts(report, body),
        sections,
        colophon: colophon(report, body),
    }
}

fn product_title(product: &Product) -> String {
    let title = product.title.as_deref().map(plain_line).filter(|title| !title.is_empty());
    title.unwrap_or_else(|| product.asin.clone())
}

fn product_name(product: &Product) -> String {
    format::product_name("", product.title.as_deref(), &product.asin)
}

fn title(body: &ProductReport, is_cohort: bool) -> String {
    match &body.cohort {
        Some(cohort) if is_cohort => {
            let label = plain_line(&cohort.label);
            if label.is_empty() {
                format!("{} and its competitors", product_name(&body.product))
            } else {
                label
            }
        }
        _ => product_title(&body.product),
    }
}

fn header_facts(report: &Report, body: &ProductReport) -> Vec<Fact> {
    let product = &body.product;
    let fact = |label, value: String| Fact::new(label, value);
    let key = Fact {
        href: product_url(product).unwrap_or_default(),
        ..Fact::new("Product", format!("{}:{}", product.marketplace, product.asin))
    };
    let mut facts = vec![key];
    if matches!(report.body, Body::Cohort(_)) {
        facts.push(fact("Main product", format::shortened(&product_title(product), 70)));
    }
    facts.push(fact("Brand", or_unknown(product.brand.as_deref().map(plain_line))));
    facts.push(fact("Category", or_unknown(product.category.as_deref().map(plain_line))));
    if let Some(cohort) = &body.cohort {
        facts.push(fact("Cohort", plain_line(&cohort.name)));
    }
    facts.push(fact("As of", long_day(report.as_of)));
    facts.push(fact("Freshness", freshness(report, product)));
    if product.status == "gone" {
        facts.push(fact("Status", "gone: the source no longer finds the product".to_owned()));
    }
    facts
}

/// The product's page on its marketplace.
fn product_url(product: &Product) -> Option<String> {
    let marketplace: Marketplace = product.marketplace.parse().ok()?;
    Some(format!("https://www.{}/dp/{}", marketplace.domain(), product.asin))
}

fn freshness(report: &Report, product: &Product) -> String {
    let Some(latest) = &product.latest else { return "never seen up to this day".to_owned() };
    let age = match latest.age_hours {
        hours @ ..48 => count_of(hours.max(0), "hour"),
        hours => count_of(hours / 24, "day"),
    };
    if latest.day == report.as_of {
        format!("seen on the day, {age} old at its end")
    } else {
        format!("last seen on {}, {age} old at the end of the day", long_day(latest.day))
    }
}

fn recommendations_section(narrative: &StructuredReport) -> Section {
    let actions: Vec<Action> = narrative
        .recommendations
        .iter()
        .map(|recommendation| Action {
            priority: match recommendation.priority {
                Priority::High => "high",
                Priority::Medium => "medium",
            },
            kind: match recommendation.kind {
                RecommendationKind::Pricing => "pricing",
                RecommendationKind::Quality => "quality",
                RecommendationKind::Strategy => "strategy",
            },
            text: recommendation.text.clone(),
        })
        .collect();
    let block = if actions.is_empty() {
        Block::Text(vec!["No rule asks for action on these figures.".to_owned()])
    } else {
        Block::Actions(actions)
    };
    Section { id: "recommendations", heading: "Recommendations", blocks: vec![block], detail: false }
}

fn quality_section(report: &Report, product: &Product) -> Section {
    let quality = &product.quality;
    let mut facts = quality_facts(report, quality);
    if let Some(latest) = &product.latest {
        let seen = latest.observed_at.format("%-d %b %Y, %H:%M UTC").to_string();
        let sources = latest.sources.replace(',', ", ");
        facts.push(Fact::new("Last observation", format!("{seen}, from {}", plain_line(&sources))));
    }
    if product.latest.is_some() && !quality.mart_is_current {
        facts.push(Fact::new(
            "Mart",
            "not built for the latest day: changes and windows are unknown until `amzctl build-mart` has run",
        ));
    }
    Section { id: "data", heading: "Data quality", blocks: vec![Block::Facts(facts)], detail: false }
}

fn quality_facts(report: &Report, quality: &DataQuality) -> Vec<Fact> {
    let days = report.window_days();
    let unseen = days - quality.observed_days;
    let counted = |list: &[Counted], unit: &str| {
        let parts: Vec<String> = list
            .iter()
            .map(|counted| {
                format!("{} ({})", spoken(&plain_line(&counted.name)), count_of(counted.count, unit))
            })
            .collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    };
    let gaps: Vec<String> = quality.gaps.iter().map(|gap| long_period(gap.first, gap.last)).collect();
    let fact = |label, value: String| Fact::new(label, value);
    vec![
        fact("Observed", format!("{} of {} days, {unseen} not observed", quality.observed_days, days)),
        fact(
            "Quality",
            format!(
                "{} ({} of the last 30 days observed)",
                format::share(quality.quality),
                quality.observed_30d
            ),
        ),
        fact("Gaps since first seen", if gaps.is_empty() { "none".to_owned() } else { gaps.join("; ") }),
        fact("Sources", counted(&quality.sources, "day")),
        fact("Price basis", counted(&quality.price_bases, "day")),
        fact("Quarantined", counted(&quality.quarantined, "record")),
        fact(
            "Unknown today",
            if quality.unknown.is_empty() { "nothing".to_owned() } else { quality.unknown.join(", ") },
        ),
    ]
}

fn colophon(report: &Report, body: &ProductReport) -> Vec<String> {
    let mut lines = vec![
        format!(
            "Days are calendar days in {}; the window is {}.",
            report.zone,
            long_period(report.window.first, report.window.last)
        ),
        "Unknown means that no source said so; it is never counted as zero, as in stock or as unchanged. A change is \
         against the previous known day of the same field."
            .to_owned(),
    ];
    if body.comparison.is_some() {
        lines.push(
            "Gaps are main minus competitor. Scores run from 0 to 100 and use only competitors with a known value in the \
             same currency or category."
                .to_owned(),
        );
    }
    lines
}
