//! A view for a terminal: the same facts without charts, within the given width.

use std::fmt::Write;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table as TextTable, Width, presets};
use unicode_width::UnicodeWidthStr;

use super::format::plain_line;
use super::spark::{condensed, sparkline};
use super::view::{Block, Card, CardExtra, Cell, Fact, Section, Spark, Table, View};

/// Columns of a sparkline inside a table.
const SPARK_COLUMNS: usize = 14;
/// Columns of a row's name that are kept on one line.
const NAME_COLUMNS: usize = 28;
/// Rows of a table before it is cut.
const MAX_ROWS: usize = 20;

/// Draws the view as text at most `width` columns wide; sections of detail are left out.
pub(super) fn render_terminal(view: &View, width: usize) -> String {
    let mut text = format!("{}\n{}\n\n", plain_line(&view.title), view.kind);
    push_facts(&mut text, &view.facts);
    for section in view.sections.iter().filter(|section| !section.detail) {
        push_section(&mut text, section, width);
    }
    text
}

fn push_section(text: &mut String, section: &Section, width: usize) {
    let _ = write!(text, "\n{}\n{}\n", section.heading, "─".repeat(section.heading.chars().count()));
    for block in &section.blocks {
        match block {
            Block::Text(sentences) => push_wrapped(text, &sentences.join(" "), width, ""),
            Block::List(lines) => lines.iter().for_each(|line| push_wrapped(text, line, width, "· ")),
            Block::Facts(facts) => push_facts(text, facts),
            Block::Cards(cards) => push_cards(text, cards, width),
            Block::Table(table) => push_table(text, table, width),
            Block::Actions(actions) => {
                for action in actions {
                    push_wrapped(
                        text,
                        &format!("[{}] {}: {}", action.priority, action.kind, action.text),
                        width,
                        "· ",
                    );
                }
            }
            Block::Charts(_) | Block::Points(_) => {}
        }
    }
}

fn push_facts(text: &mut String, facts: &[Fact]) {
    let widest = facts.iter().map(|fact| fact.label.chars().count()).max().unwrap_or(0);
    for fact in facts {
        let _ = writeln!(text, "{:<widest$}  {}", fact.label, plain_line(&fact.value));
    }
}

/// Words on lines of at most `width` columns; lines after the first are indented under the text.
fn push_wrapped(text: &mut String, words: &str, width: usize, bullet: &str) {
    let indent = " ".repeat(bullet.chars().count());
    let mut line = bullet.to_owned();
    let mut is_empty = true;
    for word in plain_line(words).split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > width.max(20) {
            let _ = writeln!(text, "{line}");
            line.clone_from(&indent);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    let _ = writeln!(text, "{line}");
}

fn text_table(width: usize) -> TextTable {
    let mut table = TextTable::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table
}

/// Lines without the padding that the table leaves at their ends.
fn push_lines(text: &mut String, table: &TextTable) {
    for line in table.to_string().lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn push_cards(text: &mut String, cards: &[Card], width: usize) {
    let mut table = text_table(width);
    for card in cards {
        let trend = match &card.extra {
            CardExtra::Spark(spark) => spark_text(spark),
            CardExtra::Score(_) | CardExtra::None => String::new(),
        };
        let value = plain_line(&format!("{} {}", card.value, card.unit));
        table.add_row([card.label.to_owned(), value, trend, plain_line(&card.detail)]);
    }
    push_lines(text, &table);
}

fn spark_text(spark: &Spark) -> String {
    sparkline(&condensed(&spark.values, SPARK_COLUMNS), spark.up)
}

fn push_table(text: &mut String, table: &Table, width: usize) {
    if table.rows.is_empty() {
        let _ = writeln!(text, "{}", table.empty);
        return;
    }
    let _ = writeln!(text, "{}", plain_line(&table.caption));
    let mut drawn = text_table(width);
    drawn.set_header(table.columns.iter().map(|column| column.label));
    for row in table.rows.iter().take(MAX_ROWS) {
        drawn.add_row(row.cells.iter().map(cell_text));
    }
    // Names are what rows are found by: they are not broken before the figures are.
    let widest = table.rows.iter().take(MAX_ROWS).filter_map(|row| row.cells.first()).map(name_width).max();
    if let (Some(column), Some(widest)) = (drawn.column_mut(0), widest) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(
            widest.min(NAME_COLUMNS) as u16 + 2,
        )));
    }
    for (index, _) in table.columns.iter().enumerate().filter(|(_, column)| column.numeric) {
        if let Some(column) = drawn.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    push_lines(text, &drawn);
    if table.rows.len() > MAX_ROWS {
        let _ = writeln!(text, "… and {} more", table.rows.len() - MAX_ROWS);
    }
    text.push('\n');
}

fn name_width(cell: &Cell) -> usize {
    cell_text(cell).lines().map(|line| line.width()).max().unwrap_or(0)
}

fn cell_text(cell: &Cell) -> String {
    if let Some(spark) = &cell.spark {
        return spark_text(spark);
    }
    let (text, sub) = (plain_line(&cell.text), plain_line(&cell.sub));
    if sub.is_empty() { text } else { format!("{text}\n{sub}") }
}
