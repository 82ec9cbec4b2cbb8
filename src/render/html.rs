//! A view as one self-contained HTML page: no script, no external resource, a content-security policy that allows
//! neither. The template escapes every text; only drawings made by this crate are inserted as they are.

use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde::Serialize;

use super::chart;
use super::format::UNKNOWN;
use super::plot::{legend as legend_of, line_chart};
use super::spark::{Up, condensed};
use super::strip::{self, score_bar, spark_svg, stock_strip, stock_swatch};
use super::view::{
    Block, Card, CardExtra, Cell, Chart, Column, Fact, Figure, Row, Section, Spark, Table, Tone, View,
};
use super::whole::kept_whole;

const TEMPLATE: &str = include_str!("templates/report.html");
/// The stylesheet of reports.
pub const STYLE: &str = include_str!("templates/report.css");
/// Days drawn in a table's sparkline; longer series are condensed.
const SPARK_DAYS: usize = 60;

/// Draws the view as a page. `description` goes into the page's metadata.
///
/// Errors: only when the built-in template and the view disagree.
pub(super) fn render_html(view: &View, description: &str) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_filter("whole", |text: &str| safe(kept_whole(text)));
    // The name decides that everything is escaped for HTML.
    environment.add_template("report.html", TEMPLATE)?;
    let sections: Vec<Value> = view.sections.iter().map(section_value).collect();
    environment.get_template("report.html")?.render(context! {
        style => Value::from_safe_string(STYLE.to_owned()),
        description,
        kind => view.kind,
        title => view.title,
        facts => facts_value(&view.facts),
        sections,
        colophon => view.colophon,
    })
}

fn safe(drawing: String) -> Value {
    Value::from_safe_string(drawing)
}

fn section_value(section: &Section) -> Value {
    context! {
        id => section.id,
        heading => section.heading,
        blocks => section.blocks.iter().map(block_value).collect::<Vec<_>>(),
    }
}

fn facts_value(facts: &[Fact]) -> Vec<Value> {
    facts
        .iter()
        .map(|fact| context! { label => fact.label, value => fact.value, href => fact.href })
        .collect()
}

fn block_value(block: &Block) -> Value {
    match block {
        Block::Text(sentences) => context! { kind => "text", sentences },
        Block::List(lines) => context! { kind => "list", lines },
        Block::Facts(facts) => context! { kind => "facts", facts => facts_value(facts) },
        Block::Cards(cards) => {
            context! { kind => "cards", cards => cards.iter().map(card_value).collect::<Vec<_>>() }
        }
        Block::Table(table) => table_value(table),
        Block::Charts(charts) => {
            context! { kind => "charts", charts => charts.iter().map(chart_value).collect::<Vec<_>>() }
        }
        Block::Points(groups) => {
            let groups: Vec<Value> = groups
                .iter()
                .map(|group| {
                    context! { heading => group.heading, sign => group.sign, items => group.items, empty => group.empty }
                })
                .collect();
            context! { kind => "points", groups }
        }
        Block::Actions(actions) => {
            let actions: Vec<Value> = actions
                .iter()
                .map(|action| context! { priority => action.priority, kind => action.kind, text => action.text })
                .collect();
            context! { kind => "actions", actions }
        }
    }
}

fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Neutral => "",
        Tone::Good => "good",
        Tone::Bad => "bad",
    }
}

fn card_value(card: &Card) -> Value {
    let drawing = match &card.extra {
        CardExtra::None => String::new(),
        CardExtra::Score(score) => score_bar(*score),
        CardExtra::Spark(spark) => spark_svg(&spark.values, spark.up, &spark_label(spark), strip::CARD),
    };
    context! {
        label => card.label,
        value => card.value,
        unit => card.unit,
        // A unit of one word stays beside its number.
        glue => if card.unit.contains(' ') { " " } else { "\u{a0}" },
        detail => card.detail,
        tone => tone_class(card.tone),
        // Words are longer than figures and are set smaller.
        is_word => card.value.chars().next().is_some_and(char::is_alphabetic),
        drawing => safe(drawing),
    }
}

fn spark_drawing(spark: &Spark) -> String {
    spark_svg(&condensed(&spark.values, SPARK_DAYS), spark.up, &spark_label(spark), strip::CELL)
}

fn spark_label(spark: &Spark) -> String {
    let known = spark.values.iter().filter(|value| value.is_some()).count();
    let up = if spark.up == Up::Small { ", best at the top" } else { "" };
    format!("{}: {known} of {} days known{up}", spark.label, spark.values.len())
}

fn table_value(table: &Table) -> Value {
    #[derive(Serialize)]
    struct Head {
        label: &'static str,
        class: &'static str,
    }
    let class = |column: &Column| if column.numeric { "n" } else { "" };
    let heads: Vec<Head> =
        table.columns.iter().map(|column| Head { label: column.label, class: class(column) }).collect();
    let rows: Vec<Value> = table.rows.iter().map(|row| row_value(row, &table.columns)).collect();
    context! { kind => "table", caption => table.caption, heads, rows, empty => table.empty }
}

fn row_value(row: &Row, columns: &[Column]) -> Value {
    let cells: Vec<Value> =
        row.cells.iter().zip(columns).map(|(cell, column)| cell_value(cell, column)).collect();
    context! { class => if row.emphasis { "main" } else { "" }, cells }
}

fn cell_value(cell: &Cell, column: &Column) -> Value {
    let drawing = cell.spark.as_ref().map_or_else(String::new, spark_drawing);
    let mut classes = Vec::new();
    if column.numeric {
        classes.push("n");
    }
    if cell.text == UNKNOWN {
        classes.push("unknown");
    }
    if *cell == Cell::default() {
        classes.push("blank");
    }
    context! {
        label => column.label,
        class => classes.join(" "),
        text => cell.text,
        sub => cell.sub,
        tone => tone_class(cell.tone),
        drawing => safe(drawing),
    }
}

/// A chart as it is put into a page.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Drawing {
    pub heading: String,
    /// The newest value.
    pub latest: String,
    pub wide: bool,
    /// SVG.
    pub drawing: String,
    /// SVG for a narrow screen; '' where the other does for it too.
    pub narrow: String,
    pub legend: Vec<Sign>,
    /// The chart in a sentence.
    pub summary: String,
    pub note: String,
}

/// One sign of a legend.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Sign {
    /// SVG.
    pub swatch: String,
    pub text: String,
}

/// Draws a chart with everything that belongs to it.
pub(super) fn drawn(chart: &Chart) -> Drawing {
    let (drawing, narrow, legend): (String, String, Vec<(String, String)>) = match &chart.figure {
        Figure::Lines(lines) if chart.wide => (
            line_chart(lines, chart::WIDE, "wide"),
            line_chart(lines, chart::TALL, "narrow"),
            legend_of(lines),
        ),
        Figure::Lines(lines) => (line_chart(lines, chart::HALF, "half"), String::new(), legend_of(lines)),
        Figure::Stock(strip) => {
            let said = |stock| (stock_swatch(stock), strip.language.stock(stock).to_owned());
            (
                stock_strip(strip, chart::WIDE, "wide"),
                stock_strip(strip, chart::HALF, "narrow"),
                strip.states().into_iter().map(said).collect(),
            )
        }
    };
    Drawing {
        heading: chart.heading.clone(),
        latest: chart.latest.clone(),
        wide: chart.wide,
        drawing,
        narrow,
        legend: legend.into_iter().map(|(swatch, text)| Sign { swatch, text }).collect(),
        summary: chart.figure.summary(),
        note: chart.note.clone(),
    }
}

fn chart_value(chart: &Chart) -> Value {
    let Drawing { heading, latest, wide, drawing, narrow, legend, summary, note } = drawn(chart);
    let legend: Vec<Value> =
        legend.into_iter().map(|Sign { swatch, text }| context! { swatch => safe(swatch), text }).collect();
    context! {
        heading,
        latest,
        wide,
        drawing => safe(drawing),
        narrow => safe(narrow),
        legend,
        summary,
        note,
    }
}
