//! Records of JSON text: one a line, or the elements of arrays and values that spread over lines.

use std::io::{self, Read};

use super::boundary::{ContainerEnd, LineEnd, ScalarEnd};
use super::{Extent, Mode, Piece, Reason, Splitter};

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
            let Mode::JsonValues { in_array, filled } = self.mode else { return Ok(None) };
            if !self.window.skip_while(|byte| byte.is_ascii_whitespace()) {
                return self.end(None);
            }
            let first = self.window.first();
            self.mode = Mode::JsonValues { in_array, filled: first != Some(b',') };
            match first {
                Some(b',') if in_array && filled => self.window.consume(1),
                Some(b',') if in_array => return self.empty_place(),
                Some(b'[') if !in_array => self.enter_array(true),
                Some(b']') if in_array => self.enter_array(false),
                Some(b'{' | b'[') => return self.container(),
                _ => return self.scalar(in_array),
            }
        }
    }

    fn enter_array(&mut self, in_array: bool) {
        self.window.consume(1);
        self.mode = Mode::JsonValues { in_array, filled: false };
    }

    /// A comma of an array with no value before it. One behind the last value leaves no place empty.
    fn empty_place(&mut self) -> io::Result<Option<Piece>> {
        let place = self.here();
        self.window.consume(1);
        self.problem(place, Reason::InvalidJson, "no value stands before this comma of the array", None)
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
