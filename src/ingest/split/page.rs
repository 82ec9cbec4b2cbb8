//! A page: the whole stream is its one record.

use std::io::{self, Read};

use super::{Boundary, Extent, Piece, Splitter};

/// No byte of a page ends it.
struct Never;

impl Boundary for Never {
    fn advance(&mut self, _: &[u8]) -> Option<usize> {
        None
    }
}

impl<R: Read> Splitter<R> {
    pub(super) fn whole_page(&mut self) -> io::Result<Option<Piece>> {
        if self.window.is_exhausted() {
            return self.end(None);
        }
        let place = self.here();
        let size = match self.window.find(&mut Never, self.limits.record_bytes) {
            Extent::Pending(size) => size,
            Extent::Oversized(size) => return self.too_large(place, size),
        };
        let bytes = self.window.take(size);
        if self.window.is_damaged() { self.end(Some((place, bytes))) } else { self.record(place, bytes) }
    }
}
