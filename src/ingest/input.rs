//! A file's bytes: who it is, and its content decompressed by what it is, not by what it is called.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};

use crate::ids::hex;

/// Bytes that one compressed file may expand to, unless told otherwise. No ratio: honest repeats reach 148:1.
pub const DEFAULT_OUTPUT_CAP: u64 = 8 << 30;

const READ_SIZE: usize = 256 << 10;
const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

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
    #[error("what follows the end of the compressed stream is not gzip")]
    Trailing,
    #[error("it expands to more than {}, the cap on one compressed file", binary_size(*.0))]
    Cap(u64),
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

/// Opens the content of `path`: gzip of any number of members, zstd of any number of frames, or plain.
///
/// `position` follows the bytes taken from the disk. A compressed file gives at most `cap` bytes, then an error.
pub fn open(path: &Path, cap: u64, position: Arc<AtomicU64>) -> Result<Box<dyn Read + Send>, InputError> {
    let decode = || -> io::Result<Box<dyn Read + Send>> {
        let disk = Disk { file: File::open(path)?, position };
        let mut reader = BufReader::with_capacity(READ_SIZE, disk);
        let head = reader.fill_buf()?;
        Ok(if head.starts_with(GZIP) {
            capped(Members(Some(GzDecoder::new(reader))), cap)
        } else if head.starts_with(ZSTD) {
            capped(zstd::stream::read::Decoder::with_buffer(reader)?, cap)
        } else {
            Box::new(reader)
        })
    };
    decode().map_err(|source| InputError { path: path.to_owned(), source })
}

fn capped(decoder: impl Read + Send + 'static, cap: u64) -> Box<dyn Read + Send> {
    Box::new(Capped { decoder, cap, left: cap })
}

/// Gzip of any number of members: tells bytes behind the last one from a member that is cut off. Null at the end.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Members<R> {
    /// Goes on to the next member; false when there is none.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(ended) = &mut self.0 else { return Ok(false) };
        let head = ended.get_mut().fill_buf()?;
        let has_more = !head.is_empty();
        if !head.iter().zip(GZIP).all(|(byte, expected)| byte == expected) {
            return Err(io::Error::other(StreamError::Trailing));
        }
        self.0 = self.0.take().filter(|_| has_more).map(|ended| GzDecoder::new(ended.into_inner()));
        Ok(has_more)
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let read = member.read(buffer)?;
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
    position: Arc<AtomicU64>,
}

impl Read for Disk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(read) => {
                self.position.fetch_add(read as u64, Ordering::Relaxed);
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
        let padded = [members.as_slice(), b"\n-- end --\n"].concat();
        let error = "what follows the end of the compressed stream is not gzip";
        assert_eq!(read("padded.gz", &padded, 100).unwrap_err(), error);
        let error = read("cut.gz", &members[..members.len() - 9], 100).unwrap_err();
        assert!(!error.contains("not gzip"), "{error}");
        assert_eq!(read("frames", &frames.concat(), 100).unwrap(), b"one two");
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
