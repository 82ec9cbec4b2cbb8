//! A file's bytes: who it is, and its content decompressed by what it is, not by what it is called.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};
use zstd::stream::read::Decoder as ZstdDecoder;

use super::Refusal;
use super::parquet::{self, ParquetText};
use super::workbook::{self, WorkbookText};
use crate::ids::hex;

/// Bytes that one compressed file may expand to, unless told otherwise. No ratio: honest repeats reach 148:1.
pub const DEFAULT_OUTPUT_CAP: u64 = 8 << 30;

const READ_SIZE: usize = 256 << 10;
const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// Behind the first byte of a zstd frame that holds no data.
const SKIPPED: &[u8] = b"\x2a\x4d\x18";

#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub struct InputError {
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// What ended a stream that its decoder did not end; travels inside an `io::Error`.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("{0}")]
    Disk(io::Error),
    /// What was compressed was read to its end; `offset` counts in the file as it lies on disk.
    #[error(
        "the compressed stream is whole, but what follows it ({}, from byte {offset} of the file on) is not a {part}",
        bytes_of(*.size)
    )]
    Trailing { size: u64, offset: u64, part: &'static str },
    #[error("{what}: {detail}")]
    Table { what: &'static str, detail: String },
    #[error("it is an archive (ZIP), not a workbook")]
    Archive,
    #[error("it expands to more than {}, the cap on one compressed file", binary_size(*.0))]
    Cap(u64),
}

fn bytes_of(size: u64) -> String {
    if size == 1 { "1 byte".to_owned() } else { format!("{size} bytes") }
}

/// True for an error that says only that something follows a stream of which nothing is missing.
pub(super) fn is_trailing(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(StreamError::Trailing { .. }))
}

/// A limit as people set it: `64 MiB`, `99999 bytes`.
pub(super) fn binary_size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = units.iter().find(|(_, exponent)| bytes > 0 && bytes.trailing_zeros() >= *exponent);
    whole.map_or_else(|| format!("{bytes} bytes"), |(unit, exponent)| format!("{} {unit}", bytes >> exponent))
}

/// Who a file is: its bytes as they lie on disk, compressed or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileIdentity {
    pub sha256: String,
    pub size_bytes: u64,
    modified: Option<SystemTime>,
}

/// Hashes the file at `path`.
pub fn identify(path: &Path) -> Result<FileIdentity, InputError> {
    let hash = || -> io::Result<FileIdentity> {
        let mut file = File::open(path)?;
        let modified = file.metadata()?.modified().ok();
        let (sha256, size_bytes) = copy_hashed(&mut file, &mut io::sink())?;
        Ok(FileIdentity { sha256, size_bytes, modified })
    };
    hash().map_err(|source| InputError { path: path.to_owned(), source })
}

impl InputError {
    /// What is said of a file that cannot be opened; null when the disk failed.
    pub fn refusal(&self) -> Option<Refusal> {
        refusal(&self.source)
    }
}

/// What is said of a file that gives nothing but this error; null when the disk failed, or its decoder says why.
pub(super) fn refusal(error: &io::Error) -> Option<Refusal> {
    let error: &StreamError = error.get_ref()?.downcast_ref()?;
    match error {
        StreamError::Table { what, detail } => {
            let message = format!("it looks like a {what}, and cannot be read: {detail}");
            Some(Refusal::new("corrupt_stream", message).hint("save it again, or hand in its table as CSV"))
        }
        StreamError::Archive => {
            Some(Refusal::new("binary_file", error.to_string()).hint("unpack it and hand in its files"))
        }
        StreamError::Cap(_) => Some(
            Refusal::new("output_too_large", error.to_string())
                .hint("raise the cap with --max-decompressed if the file can be trusted"),
        ),
        StreamError::Disk(_) | StreamError::Trailing { .. } => None,
    }
}

impl FileIdentity {
    /// True while the file at `path` still looks like the one that was hashed.
    pub fn still_holds(&self, path: &Path) -> bool {
        std::fs::metadata(path)
            .is_ok_and(|now| now.len() == self.size_bytes && now.modified().ok() == self.modified)
    }
}

/// Copies `source` to `target`; the hex SHA-256 and the size of what was copied.
pub(super) fn copy_hashed(source: &mut impl Read, target: &mut impl io::Write) -> io::Result<(String, u64)> {
    let (mut hasher, mut size, mut buffer) = (Sha256::new(), 0, vec![0; READ_SIZE]);
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => return Ok((hex(&hasher.finalize()), size)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        hasher.update(bytes);
        target.write_all(bytes)?;
        size += read as u64;
    }
}

/// Opens the content of `path`: gzip of any number of members, zstd of any number of frames, a Parquet file and
/// a workbook (XLSX) as the CSV of their table, or plain.
///
/// `position` follows the bytes taken from the disk. A compressed file gives at most `cap` bytes, then an error; a
/// workbook may also expand to no more.
pub fn open(path: &Path, cap: u64, position: Arc<AtomicU64>) -> Result<Box<dyn Read + Send>, InputError> {
    let decode = || -> io::Result<Box<dyn Read + Send>> {
        let (before, counted) = (position.load(Ordering::Relaxed), position.clone());
        let disk = Disk { file: File::open(path)?, position, taken: 0 };
        let mut reader = BufReader::with_capacity(READ_SIZE, disk);
        let head = reader.fill_buf()?;
        Ok(if head.starts_with(GZIP) {
            capped(Parts(Some(Part::gzip(reader))), cap)
        } else if head.starts_with(ZSTD) {
            capped(Parts(Some(Part::zstd(reader)?)), cap)
        } else if head.starts_with(parquet::MAGIC) {
            let file = File::open(path)?;
            reader.into_inner().position.store(before, Ordering::Relaxed);
            capped(ParquetText::open(file, counted)?, cap)
        } else if head.starts_with(workbook::MAGIC) {
            let file = File::open(path)?;
            reader.into_inner().position.store(before, Ordering::Relaxed);
            capped(WorkbookText::open(file, cap, counted)?, cap)
        } else {
            Box::new(reader)
        })
    };
    decode().map_err(|source| InputError { path: path.to_owned(), source })
}

fn capped(decoder: impl Read + Send + 'static, cap: u64) -> Box<dyn Read + Send> {
    Box::new(Capped { decoder, cap, left: cap })
}

/// A file as its decoder reads it.
type Compressed = BufReader<Disk>;

/// One gzip member or one zstd frame, and what follows it.
enum Part {
    Gzip(Box<GzDecoder<Compressed>>),
    Zstd(Box<ZstdDecoder<'static, Compressed>>),
}

impl Part {
    fn gzip(file: Compressed) -> Part {
        Part::Gzip(Box::new(GzDecoder::new(file)))
    }

    fn zstd(file: Compressed) -> io::Result<Part> {
        Ok(Part::Zstd(Box::new(ZstdDecoder::with_buffer(file)?.single_frame())))
    }

    fn name(&self) -> &'static str {
        match self {
            Part::Gzip(_) => "gzip member",
            Part::Zstd(_) => "zstd frame",
        }
    }

    fn file(&mut self) -> &mut Compressed {
        match self {
            Part::Gzip(decoder) => decoder.get_mut(),
            Part::Zstd(decoder) => decoder.get_mut(),
        }
    }

    /// True where another part begins behind this one, as far as the bytes that are buffered tell.
    fn goes_on(&mut self) -> bool {
        let begins =
            |head: &[u8], magic: &[u8]| head.iter().zip(magic).all(|(byte, expected)| byte == expected);
        match self {
            Part::Gzip(decoder) => begins(decoder.get_ref().buffer(), GZIP),
            Part::Zstd(decoder) => match decoder.get_ref().buffer() {
                // A frame to be skipped has one of sixteen first bytes.
                [0x50..=0x5f, rest @ ..] => begins(rest, SKIPPED),
                head => begins(head, ZSTD),
            },
        }
    }

    fn next(self) -> io::Result<Part> {
        match self {
            Part::Gzip(decoder) => Ok(Part::gzip(decoder.into_inner())),
            Part::Zstd(decoder) => Part::zstd(decoder.finish()),
        }
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Part::Gzip(decoder) => decoder.read(buffer),
            Part::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// Any number of parts: tells bytes behind the last one from a part that is cut off. Null at the end.
struct Parts(Option<Part>);

impl Parts {
    /// Goes on to the next part; false when there is none.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(ended) = &mut self.0 else { return Ok(false) };
        if ended.file().fill_buf()?.is_empty() {
            self.0 = None;
            return Ok(false);
        }
        if !ended.goes_on() {
            return Err(trailing(ended)?);
        }
        self.0 = self.0.take().map(Part::next).transpose()?;
        Ok(true)
    }
}

/// What stands behind the last part, counted to the end of the file.
fn trailing(ended: &mut Part) -> io::Result<io::Error> {
    let (part, file) = (ended.name(), ended.file());
    let offset = file.get_ref().taken - file.buffer().len() as u64;
    let size = io::copy(file, &mut io::sink())?;
    Ok(io::Error::other(StreamError::Trailing { size, offset, part }))
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(part) = &mut self.0 {
            let read = part.read(buffer)?;
            if read > 0 || buffer.is_empty() || !self.advance()? {
                return Ok(read);
            }
        }
        Ok(0)
    }
}

/// The file itself: tells its own errors from those of a decoder above it.
struct Disk {
    file: File,
    /// Bytes taken, for whoever shows progress; other files may count into it too.
    position: Arc<AtomicU64>,
    /// Bytes taken of this file.
    taken: u64,
}

impl Read for Disk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(read) => {
                self.position.fetch_add(read as u64, Ordering::Relaxed);
                self.taken += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(io::Error::new(error.kind(), StreamError::Disk(error))),
        }
    }
}

struct Capped<R> {
    decoder: R,
    cap: u64,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            // At the cap: only the end may come now.
            return match self.decoder.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::other(StreamError::Cap(self.cap))),
            };
        }
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.decoder.read(buffer.get_mut(..room).unwrap_or_default())?;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(name: &str, content: &[u8], cap: u64) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut bytes = Vec::new();
        let mut stream = open(&path, cap, Arc::default()).unwrap();
        stream.read_to_end(&mut bytes).map(|_| bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn compression_is_seen_in_the_bytes_and_not_in_the_name() {
        let members = [gzip(b"one "), gzip(b"two")].concat();
        let frames = [zstd::encode_all(&b"one "[..], 3).unwrap(), zstd::encode_all(&b"two"[..], 3).unwrap()];
        assert_eq!(read("plain.json.gz", b"one two", 100).unwrap(), b"one two");
        assert_eq!(read("members.csv", &members, 100).unwrap(), b"one two");
        let told = |size: &str, at: usize, part: &str| {
            format!(
                "the compressed stream is whole, but what follows it ({size}, from byte {at} of the file on) is not a {part}"
            )
        };
        let padded = [members.as_slice(), b"\n-- end --\n"].concat();
        let error = read("padded.gz", &padded, 100).unwrap_err();
        assert_eq!(error, told("11 bytes", members.len(), "gzip member"));
        let error = read("cut.gz", &members[..members.len() - 9], 100).unwrap_err();
        assert!(!error.contains("not gzip"), "{error}");
        let frames = frames.concat();
        assert_eq!(read("frames", &frames, 100).unwrap(), b"one two");
        let skipped = [frames.as_slice(), b"\x5a\x2a\x4d\x18\x02\0\0\0xx", &frames].concat();
        assert_eq!(read("skipped", &skipped, 100).unwrap(), b"one twoone two");
        // More than is read at once.
        for size in [1, READ_SIZE * 2] {
            let padded = [frames.clone(), vec![b'-'; size]].concat();
            let shown = bytes_of(size as u64);
            let error = read("padded.zst", &padded, 100).unwrap_err();
            assert_eq!(error, told(&shown, frames.len(), "zstd frame"));
        }
        let error = read("cut.zst", &frames[..frames.len() - 3], 100).unwrap_err();
        assert!(!error.contains("follows"), "{error}");
    }

    #[test]
    fn a_bomb_stops_at_the_cap_and_a_file_of_exactly_the_cap_does_not() {
        let bomb = gzip(&[b' '; 100_000]);
        assert_eq!(read("x.gz", &bomb, 100_000).unwrap().len(), 100_000);
        let error = read("x.gz", &bomb, 99_999).unwrap_err();
        assert_eq!(error, "it expands to more than 99999 bytes, the cap on one compressed file");
        // What is not compressed cannot explode.
        assert_eq!(read("x", &[b' '; 200], 100).unwrap().len(), 200);
    }

    #[test]
    fn a_file_is_known_by_its_bytes_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, b"").unwrap();
        let identity = identify(&path).unwrap();
        assert_eq!(identity.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(identity.still_holds(&path));
        std::fs::write(&path, b"more").unwrap();
        assert!(!identity.still_holds(&path));
        assert!(identify(&folder.path().join("gone")).unwrap_err().to_string().starts_with("cannot read "));
    }
}
