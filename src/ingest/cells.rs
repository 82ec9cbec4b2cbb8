//! The cells of a table as the CSV that its reader splits again.

/// One line of CSV. What could be taken for a separator or a line's end is quoted.
pub(super) fn write_row(text: &mut Vec<u8>, cells: impl Iterator<Item = Option<String>>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            text.push(b',');
        }
        let Some(cell) = cell else { continue };
        if cell.contains([',', ';', '\t', '"', '\n', '\r']) {
            text.push(b'"');
            text.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            text.push(b'"');
        } else {
            text.extend_from_slice(cell.as_bytes());
        }
    }
    text.push(b'\n');
}
