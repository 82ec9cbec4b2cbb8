//! A view for a terminal: the same facts without charts, within the given width.

use std::fmt::Write;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table as TextTable, Width, presets};
use unicode_width::UnicodeWidthStr;

use super::format::plain_line;
use super::spark::{condensed, sparkline};
use super::view::{Block, Card, CardExtra, Cell, Column, Fact, Section, Spark, Table, View};

/// Columns of a sparkline inside a table.
const SPARK_COLUMNS: usize = 14;
/// Columns of a row's name that are kept on one line.
const NAME_COLUMNS: usize = 28;
/// Columns of a table's cell besides its text.
const PADDING: usize = 2;
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
    for (index, least) in least_widths(table, width).into_iter().enumerate() {
        if let Some(column) = drawn.column_mut(index) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
        }
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

/// What is not broken in a table besides names; each keeps what the next one keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Sparklines,
    Words,
    Amounts,
}

/// What each column is drawn wide at least, its padding included: as much is kept whole as there is room for.
fn least_widths(table: &Table, width: usize) -> Vec<u16> {
    let cells = |index: usize| table.rows.iter().take(MAX_ROWS).filter_map(move |row| row.cells.get(index));
    let widest = |index: usize, measure: &dyn Fn(&Cell) -> usize| {
        PADDING + cells(index).map(measure).max().unwrap_or(0).min(NAME_COLUMNS)
    };
    let name = widest(0, &name_width);
    let narrowest_name = widest(0, &|cell| longest_word(&cell_text(cell)));
    for kept in [Kept::Amounts, Kept::Words, Kept::Sparklines] {
        let others = table.columns.iter().enumerate().skip(1);
        let others: Vec<usize> =
            others.map(|(index, column)| widest(index, &|cell| kept_width(cell, column, kept))).collect();
        let room = width.saturating_sub(others.iter().sum());
        if room >= narrowest_name {
            let name = if kept == Kept::Sparklines { narrowest_name } else { name.min(room) };
            return [vec![name], others].concat().into_iter().map(clamped).collect();
        }
    }
    vec![clamped(narrowest_name)]
}

fn clamped(width: usize) -> u16 {
    u16::try_from(width).unwrap_or(u16::MAX)
}

fn name_width(cell: &Cell) -> usize {
    cell_text(cell).lines().map(|line| line.width()).max().unwrap_or(0)
}

/// Columns of the longest piece of a cell, or of its column's heading, that is not to be broken.
fn kept_width(cell: &Cell, column: &Column, kept: Kept) -> usize {
    let words = longest_word(&cell_text(cell)).max(longest_word(column.label));
    match (&cell.spark, kept) {
        // The gaps of a sparkline are spaces, but no place for a break.
        (Some(spark), _) => spark_text(spark).width(),
        (None, Kept::Amounts) if column.numeric => words.max(plain_line(&cell.text).width()),
        (None, Kept::Amounts | Kept::Words) => words,
        (None, Kept::Sparklines) => 0,
    }
}

fn longest_word(text: &str) -> usize {
    text.split_whitespace().map(|word| word.width()).max().unwrap_or(0)
}

fn cell_text(cell: &Cell) -> String {
    if let Some(spark) = &cell.spark {
        return spark_text(spark);
    }
    let (text, sub) = (plain_line(&cell.text), plain_line(&cell.sub));
    if sub.is_empty() { text } else { format!("{text}\n{sub}") }
}
