//! What the readers of tables share: cells as the CSV that is split again, and errors in place of panics.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a reader that may give up on damaged bytes in more than one way; a panic is what `broken` says.
pub(super) fn guarded<T>(
    read: impl FnOnce() -> io::Result<T>,
    broken: impl FnOnce() -> io::Error,
) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(broken()))
}

/// Hands out what is left of `text` behind the first `taken` bytes, as far as it fits.
pub(super) fn hand_out(text: &[u8], taken: &mut usize, buffer: &mut [u8]) -> usize {
    let rest = text.get(*taken..).unwrap_or_default();
    let size = rest.len().min(buffer.len());
    if let (Some(target), Some(source)) = (buffer.get_mut(..size), rest.get(..size)) {
        target.copy_from_slice(source);
    }
    *taken += size;
    size
}

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
