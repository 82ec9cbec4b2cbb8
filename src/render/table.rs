//! Rows as a table for a terminal of so many columns.

use unicode_width::UnicodeWidthStr as _;

use super::format::truncated;
use super::rows::{Cell, Layout, printable};

/// Columns are two spaces apart.
const GAP: usize = 2;
/// A column is not made narrower than this for the sake of the others: ids, days and words stay whole.
const NARROWEST: usize = 16;
/// A column whose text goes on in further lines is not made narrower than this.
const NARROWEST_WRAPPED: usize = 32;

/// Draws the cells below their header. What does not fit gives way in this order: expendable columns, the last
/// column where it wraps, the widest text columns; numbers never.
pub(super) fn render_table(header: &[&str], cells: &[Vec<&Cell>], layout: &Layout, width: usize) -> String {
    let mut columns: Vec<Column> =
        header.iter().enumerate().map(|(index, name)| Column::new(name, index, cells)).collect();
    for name in layout.expendable {
        if total(&columns) > width {
            columns.retain(|column| column.name != *name);
        }
    }
    let wraps_at = if layout.wraps { columns.len().checked_sub(1) } else { None };
    fit(&mut columns, wraps_at, width);
    let mut out = String::new();
    for row in 0..=cells.len() {
        for line in lines_of(&columns, row, wraps_at) {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

/// One column: its heading and its texts below, and how wide it is drawn.
struct Column<'a> {
    name: &'a str,
    texts: Vec<String>,
    is_number: bool,
    width: usize,
}

impl<'a> Column<'a> {
    fn new(name: &'a str, index: usize, cells: &[Vec<&Cell>]) -> Column<'a> {
        let shown = |cell: &Cell| match cell {
            Cell::Null => "-".to_owned(),
            known => printable(&known.to_spoken()),
        };
        let texts: Vec<String> =
            std::iter::once(name.to_uppercase()).chain(cells.iter().map(|row| shown(row[index]))).collect();
        let is_known = |row: &&Vec<&Cell>| *row[index] != Cell::Null;
        let is_number = cells.iter().any(|row| row[index].is_number())
            && cells.iter().filter(is_known).all(|row| row[index].is_number());
        let width = texts.iter().map(|text| text.width()).max().unwrap_or(0);
        Column { name, texts, is_number, width }
    }
}

fn total(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.width).sum::<usize>() + GAP * columns.len().saturating_sub(1)
}

fn fit(columns: &mut [Column], wraps_at: Option<usize>, width: usize) {
    if let Some(column) = wraps_at.and_then(|index| columns.get(index)) {
        let (natural, too_much) = (column.width, total(columns).saturating_sub(width));
        let narrowed = natural.saturating_sub(too_much).max(NARROWEST_WRAPPED.min(natural));
        columns.iter_mut().skip(wraps_at.unwrap_or_default()).for_each(|column| column.width = narrowed);
    }
    while total(columns) > width {
        let may_give = |index: usize, column: &Column| {
            !column.is_number && column.width > NARROWEST && wraps_at != Some(index)
        };
        let widest = columns
            .iter_mut()
            .enumerate()
            .filter(|(index, column)| may_give(*index, column))
            .max_by_key(|(index, column)| (column.width, *index));
        match widest {
            Some((_, column)) => column.width -= 1,
            None => break,
        }
    }
}

/// A row of the table: one line, or more where the last column wraps.
fn lines_of(columns: &[Column], row: usize, wraps_at: Option<usize>) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (index, column) in columns.iter().enumerate() {
        let text = &column.texts[row];
        let gap = " ".repeat(if index == 0 { 0 } else { GAP });
        if wraps_at == Some(index) {
            let indent = format!("{gap}{}", " ".repeat(lines[0].width()));
            let mut wrapped = wrap(text, column.width).into_iter();
            lines[0] += &format!("{gap}{}", wrapped.next().unwrap_or_default());
            lines.extend(wrapped.map(|line| indent.clone() + &line));
            break;
        }
        let shown = truncated(text, column.width);
        let padding = " ".repeat(column.width.saturating_sub(shown.width()));
        lines[0] += &match column.is_number {
            true => format!("{gap}{padding}{shown}"),
            false => format!("{gap}{shown}{padding}"),
        };
    }
    lines
}

/// The text in lines of at most `width` columns, broken between words; a longer word is broken inside.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        if !line.is_empty() && line.width() + word.trim_end().width() > width {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            line.push(c);
            if line.trim_end().width() > width {
                let c = line.pop();
                lines.push(std::mem::replace(&mut line, c.map(String::from).unwrap_or_default()));
            }
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::rows::{Format, Rows, render};

    fn rows() -> Rows {
        let mut rows = Rows::new("amzctl.sample/1", &["id", "count", "source", "message"]);
        rows.push(vec![
            "a1".into(),
            7.into(),
            "apify".into(),
            "rank in イヤホン・ヘッドホン worsened 95.2 % since yesterday".into(),
        ]);
        rows.push(vec!["b22".into(), Cell::Null, "keepa".into(), "short".into()]);
        rows
    }

    fn shown(rows: &Rows, width: usize) -> String {
        render(rows, Format::Table, None, width).unwrap()
    }

    #[test]
    fn the_last_column_goes_on_in_further_lines_where_it_is_said_to() {
        assert_eq!(
            shown(&rows().wrapping(), 54),
            "ID   COUNT  SOURCE  MESSAGE\n\
             a1       7  apify   rank in イヤホン・ヘッドホン\n\
             \x20                   worsened 95.2 % since yesterday\n\
             b22      -  keepa   short\n"
        );
        assert_eq!(
            shown(&rows(), 54),
            "ID   COUNT  SOURCE  MESSAGE\n\
             a1       7  apify   rank in イヤホン・ヘッドホン wors…\n\
             b22      -  keepa   short\n"
        );
    }

    #[test]
    fn a_narrow_terminal_does_without_the_expendable_columns() {
        let wide = shown(&rows().expendable(&["source", "count"]), 120);
        assert!(wide.starts_with("ID   COUNT  SOURCE  MESSAGE\n"), "{wide}");
        let narrower = shown(&rows().expendable(&["source", "count"]), 72);
        assert!(narrower.starts_with("ID   COUNT  MESSAGE\n"), "{narrower}");
        let narrow = shown(&rows().expendable(&["source", "count"]), 40);
        assert!(narrow.starts_with("ID   MESSAGE\na1   rank in"), "{narrow}");
        assert!(narrow.lines().all(|line| line.width() <= 40), "{narrow}");
    }

    #[test]
    fn a_word_longer_than_the_column_is_broken_inside() {
        assert_eq!(wrap("電子書籍 abcdef", 6), ["電子書", "籍 ", "abcdef"]);
        assert_eq!(wrap("", 6), [""]);
    }
}
