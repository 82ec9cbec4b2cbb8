//! A view as Markdown (GitHub flavour): the same facts; charts become a sparkline and a sentence.

use std::fmt::Write;

use super::chart::{Role, Unit};
use super::format::plain_line;
use super::spark::{Up, condensed, sparkline};
use super::view::{Block, Card, CardExtra, Cell, Chart, Fact, Figure, Spark, Table, View};

/// Columns of a sparkline.
const SPARK_COLUMNS: usize = 30;

/// Draws the view as Markdown.
pub(super) fn render_markdown(view: &View) -> String {
    let mut text = format!("# {}\n\n*{}*\n\n", escaped(&view.title), view.kind);
    push_facts(&mut text, &view.facts);
    for section in &view.sections {
        let _ = write!(text, "\n## {}\n\n", section.heading);
        for block in &section.blocks {
            push_block(&mut text, block);
        }
    }
    text.push_str("\n---\n\n");
    for line in &view.colophon {
        let _ = writeln!(text, "{}\n", escaped(line));
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text
}

/// Text in which nothing is markup: neither Markdown's nor HTML's.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let line = plain_line(text);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // Inside a word it is no markup: `in_stock`.
            '_' if out.ends_with(char::is_alphanumeric)
                && chars.peek().is_some_and(|c| c.is_alphanumeric()) =>
            {
                out.push(c);
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            _ => out.push(c),
        }
    }
    out
}

fn push_facts(text: &mut String, facts: &[Fact]) {
    for fact in facts {
        let _ = writeln!(text, "- **{}:** {}", fact.label, escaped(&fact.value));
    }
    text.push('\n');
}

fn push_block(text: &mut String, block: &Block) {
    match block {
        Block::Text(sentences) => {
            let _ =
                writeln!(text, "{}\n", sentences.iter().map(|s| escaped(s)).collect::<Vec<_>>().join(" "));
        }
        Block::List(lines) => {
            for line in lines {
                let _ = writeln!(text, "- {}", escaped(line));
            }
            text.push('\n');
        }
        Block::Facts(facts) => push_facts(text, facts),
        Block::Cards(cards) => push_cards(text, cards),
        Block::Table(table) => push_table(text, table),
        Block::Charts(charts) => charts.iter().for_each(|chart| push_chart(text, chart)),
        Block::Points(groups) => {
            for group in groups {
                let _ = writeln!(text, "**{}**\n", group.heading);
                if group.items.is_empty() {
                    let _ = writeln!(text, "- {}", group.empty);
                }
                for item in &group.items {
                    let _ = writeln!(text, "- {}", escaped(item));
                }
                text.push('\n');
            }
        }
        Block::Actions(actions) => {
            for action in actions {
                let _ = writeln!(
                    text,
                    "- **{} priority, {}:** {}",
                    action.priority,
                    action.kind,
                    escaped(&action.text)
                );
            }
            text.push('\n');
        }
    }
}

fn push_cards(text: &mut String, cards: &[Card]) {
    text.push_str("| Figure | Value | Detail | Trend |\n|---|---:|---|---|\n");
    for card in cards {
        let trend = match &card.extra {
            CardExtra::Spark(spark) => spark_text(spark),
            CardExtra::Score(_) | CardExtra::None => String::new(),
        };
        let value = format!("{} {}", card.value, card.unit);
        let _ =
            writeln!(text, "| {} | {} | {} | {trend} |", card.label, escaped(&value), escaped(&card.detail));
    }
    text.push('\n');
}

/// Gaps as middle dots: Markdown folds spaces together.
fn spark_text(spark: &Spark) -> String {
    let line = sparkline(&condensed(&spark.values, SPARK_COLUMNS), spark.up);
    if line.is_empty() { "no data".to_owned() } else { line.replace(' ', "·") }
}

fn push_table(text: &mut String, table: &Table) {
    let _ = writeln!(text, "**{}**\n", escaped(&table.caption));
    if table.rows.is_empty() {
        let _ = writeln!(text, "{}\n", table.empty);
        return;
    }
    let heads: Vec<&str> = table.columns.iter().map(|column| column.label).collect();
    let rules: Vec<&str> =
        table.columns.iter().map(|column| if column.numeric { "---:" } else { "---" }).collect();
    let _ = writeln!(text, "| {} |\n|{}|", heads.join(" | "), rules.join("|"));
    for row in &table.rows {
        let cells: Vec<String> = row
            .cells
            .iter()
            .map(|cell| {
                if row.emphasis && !cell.text.is_empty() {
                    format!("**{}**", cell_text(cell))
                } else {
                    cell_text(cell)
                }
            })
            .collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text.push('\n');
}

fn cell_text(cell: &Cell) -> String {
    if let Some(spark) = &cell.spark {
        return spark_text(spark);
    }
    match (cell.text.as_str(), cell.sub.as_str()) {
        (text, "") => escaped(text),
        (text, sub) => format!("{} ({})", escaped(text), escaped(sub)),
    }
}

fn push_chart(text: &mut String, chart: &Chart) {
    let _ = writeln!(text, "**{}**\n", escaped(&chart.heading));
    match &chart.figure {
        Figure::Lines(lines) => {
            let up = if lines.unit == Unit::Rank { Up::Small } else { Up::Large };
            for series in lines.series.iter().filter(|series| series.role != Role::Background) {
                let spark = Spark { values: series.values.clone(), up, label: String::new() };
                let _ = writeln!(text, "- {}: {}", escaped(&series.name), spark_text(&spark));
            }
            let _ = writeln!(text, "- {}", escaped(&lines.summary()));
        }
        Figure::Stock(strip) => {
            let _ = writeln!(text, "- {}", escaped(&strip.summary()));
        }
    }
    if !chart.note.is_empty() {
        let _ = writeln!(text, "- {}", escaped(&chart.note));
    }
    text.push('\n');
}
