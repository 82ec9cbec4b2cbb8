//! Records of JSON text: one a line, or the elements of arrays and values that spread over lines.

use std::io::{self, Read};

use super::boundary::{ContainerEnd, LineEnd, ScalarEnd};
use super::{Before, Extent, Mode, Piece, Place, Reason, Splitter};

/// A line may end in CR LF: they do not count against the record's limit.
const LINE_END: usize = 2;

impl<R: Read> Splitter<R> {
    pub(super) fn next_line(&mut self) -> io::Result<Option<Piece>> {
        if !self.window.skip_while(|byte| byte.is_ascii_whitespace()) {
            return self.end(None);
        }
        let place = self.here();
        let size = match self.window.find(&mut LineEnd, self.limits.record_bytes + LINE_END) {
            Extent::Pending(size) => size,
            Extent::Oversized(size) => return self.too_large(place, size),
        };
        let mut bytes = self.window.take(size);
        let is_terminated = bytes.last() == Some(&b'\n');
        bytes.truncate(bytes.trim_ascii_end().len());
        if !is_terminated && ends_early(&bytes) {
            return self.end(Some((place, bytes)));
        }
        self.record(place, bytes)
    }

    pub(super) fn next_value(&mut self) -> io::Result<Option<Piece>> {
        loop {
            let Mode::JsonValues { in_array, before } = self.mode else { return Ok(None) };
            if !self.window.skip_while(|byte| byte.is_ascii_whitespace()) {
                return self.end(None);
            }
            let place = self.here();
            let first = self.window.first();
            match (first, before) {
                (Some(b','), Before::Value) if in_array => self.pass(in_array, Before::Comma(place)),
                (Some(b','), _) if in_array => {
                    self.pass(in_array, Before::Nothing);
                    return self.fault(place, "no value stands before this comma of the array");
                }
                (Some(b'['), _) if !in_array => {
                    self.comma_told = false;
                    self.pass(true, Before::Nothing);
                }
                (Some(b']'), Before::Comma(comma)) if in_array => {
                    self.pass(false, Before::Nothing);
                    return self.fault(comma, "no value stands behind this comma: the array ends");
                }
                (Some(b']'), _) if in_array => self.pass(false, Before::Nothing),
                // What begins no value is named as that by whoever looks into it.
                (Some(byte), Before::Value) if in_array && !self.comma_told && begins_value(byte) => {
                    self.comma_told = true;
                    return self
                        .fault(place, "no comma stands before this value of the array; more may be missing");
                }
                _ => {
                    self.mode = Mode::JsonValues { in_array, before: Before::Value };
                    let is_container = matches!(first, Some(b'{' | b'['));
                    return if is_container { self.container() } else { self.scalar(in_array) };
                }
            }
        }
    }

    /// Goes on behind a comma or a bracket.
    fn pass(&mut self, in_array: bool, before: Before) {
        self.window.consume(1);
        self.mode = Mode::JsonValues { in_array, before };
    }

    /// A fault between the values of an array: there are no bytes to keep.
    fn fault(&mut self, place: Place, detail: &str) -> io::Result<Option<Piece>> {
        self.problem(place, Reason::BrokenArray, detail, None)
    }

    fn container(&mut self) -> io::Result<Option<Piece>> {
        let place = self.here();
        let mut end = ContainerEnd::default();
        let size = match self.window.find(&mut end, self.limits.record_bytes) {
            Extent::Pending(size) => size,
            Extent::Oversized(size) => return self.too_large(place, size),
        };
        let bytes = self.window.take(size);
        if end.is_closed() { self.record(place, bytes) } else { self.end(Some((place, bytes))) }
    }

    fn scalar(&mut self, in_array: bool) -> io::Result<Option<Piece>> {
        let place = self.here();
        let size = match self.window.find(&mut ScalarEnd::new(in_array), self.limits.record_bytes) {
            Extent::Pending(size) => size,
            Extent::Oversized(size) => return self.too_large(place, size),
        };
        let mut bytes = self.window.take(size);
        bytes.truncate(bytes.trim_ascii_end().len());
        if self.window.is_exhausted() && (in_array || self.window.is_damaged()) {
            return self.end(Some((place, bytes)));
        }
        self.record(place, bytes)
    }
}

/// True for the beginning of a value that has no end; bytes that are wrong in themselves are not.
fn ends_early(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err_and(|error| error.is_eof())
}

/// True for the first byte of any JSON value.
fn begins_value(byte: u8) -> bool {
    matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}
