//! A stream seen through a buffer that holds only what is still needed, with the place of its first byte.

use std::io::{self, Read};

use super::input::is_trailing;

/// A buffer that grew beyond this for one large record is given back after it.
const KEEP_CAPACITY: usize = 4 << 20;

/// How a stream that ended, ended: null when at its proper end.
#[derive(Debug)]
enum End {
    Proper,
    Damaged(io::Error),
}

/// Bytes of `source` that were read and not consumed yet.
pub(super) struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    /// First byte of `buffer` that is not consumed.
    start: usize,
    /// Position of that byte in the stream, from 0.
    offset: u64,
    /// Line of that byte, from 1.
    line: u64,
    /// The byte that ends a line.
    terminator: u8,
    read_size: usize,
    end: Option<End>,
}

/// Finds the end of a record, fed with the bytes that follow each other.
pub(super) trait Boundary {
    /// The number of these bytes that still belong to the record, its terminator included; null when they all do
    /// and it goes on.
    fn advance(&mut self, bytes: &[u8]) -> Option<usize>;
}

/// What lies before a boundary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// The next so many pending bytes.
    Pending(usize),
    /// More bytes than the limit: they were let go, this many.
    Oversized(u64),
}

impl<R: Read> Window<R> {
    pub(super) fn new(source: R, read_size: usize) -> Window<R> {
        Window {
            source,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            line: 1,
            terminator: b'\n',
            read_size,
            end: None,
        }
    }

    pub(super) fn set_terminator(&mut self, terminator: u8) {
        self.terminator = terminator;
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    pub(super) fn first(&self) -> Option<u8> {
        self.pending().first().copied()
    }

    /// Reads on; false when there is nothing more, be it because the stream is damaged.
    pub(super) fn fill(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        self.compact();
        let filled = self.buffer.len();
        self.buffer.resize(filled + self.read_size, 0);
        let result = loop {
            match self.source.read(self.buffer.get_mut(filled..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let read = *result.as_ref().unwrap_or(&0);
        self.buffer.truncate(filled + read);
        match result {
            Ok(0) => self.end = Some(End::Proper),
            Err(error) => self.end = Some(End::Damaged(error)),
            Ok(_) => return true,
        }
        false
    }

    /// Reads until `size` bytes are pending or the stream ends.
    pub(super) fn fill_to(&mut self, size: usize) {
        while self.pending().len() < size && self.fill() {}
    }

    fn compact(&mut self) {
        if self.start == 0 {
            return;
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.capacity() > KEEP_CAPACITY && self.buffer.len() < self.read_size {
            self.buffer.shrink_to(self.read_size * 2);
        }
    }

    /// True when the stream is read to its end and nothing is pending.
    pub(super) fn is_exhausted(&mut self) -> bool {
        self.pending().is_empty() && !self.fill()
    }

    /// True when everything that will ever come is pending.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Why the stream ended before its end; asked for once.
    pub(super) fn take_damage(&mut self) -> Option<io::Error> {
        match self.end.replace(End::Proper) {
            Some(End::Damaged(error)) => Some(error),
            _ => None,
        }
    }

    /// True when the stream ended before its end; bytes that follow a whole one take nothing from it.
    pub(super) fn is_damaged(&self) -> bool {
        matches!(&self.end, Some(End::Damaged(error)) if !is_trailing(error))
    }

    /// Lets `count` pending bytes go.
    pub(super) fn consume(&mut self, count: usize) {
        let consumed = self.pending().get(..count).unwrap_or_default();
        self.line += memchr::memchr_iter(self.terminator, consumed).count() as u64;
        self.offset += count as u64;
        self.start += count;
    }

    /// Takes `count` pending bytes.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.pending().get(..count).unwrap_or_default().to_vec();
        self.consume(count);
        bytes
    }

    /// Lets pending bytes go while `skip` holds for them; true when a byte it does not hold for is pending.
    pub(super) fn skip_while(&mut self, skip: impl Fn(u8) -> bool) -> bool {
        loop {
            let pending = self.pending();
            let count = pending.iter().position(|&byte| !skip(byte));
            self.consume(count.unwrap_or(pending.len()));
            if count.is_some() {
                return true;
            }
            if !self.fill() {
                return false;
            }
        }
    }

    /// The extent of the record that begins here, at most `limit` bytes long; an end of the stream is a boundary.
    ///
    /// What is longer is let go as it comes, so that memory stays bounded.
    pub(super) fn find(&mut self, boundary: &mut impl Boundary, limit: usize) -> Extent {
        let (mut seen, mut dropped) = (0, 0_u64);
        let end = loop {
            if let Some(end) = boundary.advance(self.pending().get(seen..).unwrap_or_default()) {
                break seen + end;
            }
            seen = self.pending().len();
            if seen > limit {
                self.consume(seen);
                dropped += seen as u64;
                seen = 0;
            }
            if !self.fill() {
                break seen;
            }
        };
        if dropped == 0 && end <= limit {
            return Extent::Pending(end);
        }
        self.consume(end);
        Extent::Oversized(dropped + end as u64)
    }
}
