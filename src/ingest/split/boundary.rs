//! Where records end: byte-level scanners that keep their state from one read to the next.

use memchr::{memchr, memchr2, memchr3};

use super::Boundary;

/// The end of a line, its line feed included.
pub(super) struct LineEnd;

impl Boundary for LineEnd {
    fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        memchr(b'\n', bytes).map(|position| position + 1)
    }
}

/// The end of a JSON object or array: counts depth, knows strings and escapes, does not recurse.
///
/// A raw line feed is not allowed inside a string: it ends one here, so that a quote that is missing spoils one
/// record and not the rest of the file.
#[derive(Default)]
pub(in crate::ingest) struct ContainerEnd {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl ContainerEnd {
    /// True before the first and after the last byte of the container.
    pub(super) fn is_closed(&self) -> bool {
        self.depth == 0
    }

    /// Passes over the rest of a string; the position behind it, or behind all bytes.
    fn pass_string(&mut self, bytes: &[u8], mut position: usize) -> usize {
        while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
            if std::mem::take(&mut self.escaped) {
                position += 1;
                continue;
            }
            match memchr3(b'"', b'\\', b'\n', rest) {
                None => return bytes.len(),
                Some(found) => {
                    position += found + 1;
                    self.escaped = rest.get(found) == Some(&b'\\');
                    if !self.escaped {
                        self.in_string = false;
                        return position;
                    }
                }
            }
        }
        position
    }
}

impl Boundary for ContainerEnd {
    fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut position = 0;
        loop {
            if self.in_string {
                position = self.pass_string(bytes, position);
            }
            match bytes.get(position)? {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(position + 1);
                    }
                }
                _ => {}
            }
            position += 1;
        }
    }
}

/// The end of a value that is no container, or of bytes that are no value: a string's closing quote, else the
/// line's end, in an array also the next comma or bracket (which do not belong to it).
pub(super) struct ScalarEnd {
    pub(super) in_array: bool,
    first: bool,
    string: bool,
    escaped: bool,
}

impl ScalarEnd {
    pub(super) fn new(in_array: bool) -> ScalarEnd {
        ScalarEnd { in_array, first: true, string: false, escaped: false }
    }
}

impl Boundary for ScalarEnd {
    fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        for (position, &byte) in bytes.iter().enumerate() {
            if std::mem::take(&mut self.first) {
                self.string = byte == b'"';
                continue;
            }
            if std::mem::take(&mut self.escaped) {
                continue;
            }
            match byte {
                b'\n' => return Some(position),
                b'\\' if self.string => self.escaped = true,
                b'"' if self.string => return Some(position + 1),
                b',' | b']' if self.in_array && !self.string => return Some(position),
                _ => {}
            }
        }
        None
    }
}

/// The end of a table's row, its line end included. Quotes as the `csv` crate reads them: one opens a field only
/// at the field's beginning, a doubled one inside is a character.
pub(super) struct RowEnd {
    delimiter: u8,
    terminator: u8,
    quotes: bool,
    /// Null at the beginning of the row.
    previous: Option<u8>,
    state: RowState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RowState {
    Plain,
    Quoted,
    /// Behind a quote inside a quoted field: a second one makes it a character.
    QuoteSeen,
}

impl RowEnd {
    pub(super) fn new(delimiter: u8, terminator: u8, quotes: bool) -> RowEnd {
        RowEnd { delimiter, terminator, quotes, previous: None, state: RowState::Plain }
    }

    /// True when the bytes so far end inside a quoted field.
    pub(super) fn is_quoted(&self) -> bool {
        self.state == RowState::Quoted
    }

    fn opens_field(&self, bytes: &[u8], quote: usize) -> bool {
        let before = match quote.checked_sub(1) {
            Some(position) => bytes.get(position).copied(),
            None => self.previous,
        };
        before.is_none_or(|byte| byte == self.delimiter)
    }
}

impl Boundary for RowEnd {
    fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.quotes {
            return memchr(self.terminator, bytes).map(|position| position + 1);
        }
        let mut position = 0;
        while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
            match self.state {
                RowState::Plain => {
                    let Some(found) = memchr2(b'"', self.terminator, rest) else { break };
                    position += found + 1;
                    if rest.get(found) == Some(&self.terminator) {
                        return Some(position);
                    }
                    if self.opens_field(bytes, position - 1) {
                        self.state = RowState::Quoted;
                    }
                }
                RowState::Quoted => {
                    let Some(found) = memchr(b'"', rest) else { break };
                    position += found + 1;
                    self.state = RowState::QuoteSeen;
                }
                RowState::QuoteSeen if rest.first() == Some(&b'"') => {
                    position += 1;
                    self.state = RowState::Quoted;
                }
                RowState::QuoteSeen => self.state = RowState::Plain,
            }
        }
        self.previous = bytes.last().copied().or(self.previous);
        None
    }
}
