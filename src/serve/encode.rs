//! Content codings: smaller answers for whoever takes them.

use std::io::Write as _;

/// Shorter bodies are not worth it.
const SHORT: usize = 1_024;
/// Longer ones are encoded beside the requests of others.
const LONG: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
}

impl Coding {
    /// As `Content-Encoding` names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// The one that the client likes best of those that are offered; of equals the quickest to make.
    pub(super) fn of_request(accept_encoding: &str, length: usize) -> Coding {
        if length < SHORT {
            return Coding::Identity;
        }
        let mut best = (0.0, Coding::Identity);
        for coding in [Coding::Zstd, Coding::Gzip, Coding::Brotli] {
            let quality = quality(accept_encoding, coding.name());
            if quality > best.0 {
                best = (quality, coding);
            }
        }
        best.1
    }

    /// A body in this coding.
    pub(super) async fn encoded(self, body: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        Ok(match self {
            Coding::Identity => body,
            _ if body.len() > LONG => tokio::task::spawn_blocking(move || self.encode(&body)).await??,
            _ => self.encode(&body)?,
        })
    }

    fn encode(self, body: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Coding::Identity => Ok(body.to_vec()),
            Coding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(4));
                encoder.write_all(body)?;
                encoder.finish()
            }
            Coding::Brotli => {
                let mut encoded = Vec::new();
                let mut encoder = brotli::CompressorWriter::new(&mut encoded, 4096, 4, 20);
                encoder.write_all(body)?;
                drop(encoder);
                Ok(encoded)
            }
            Coding::Zstd => zstd::bulk::compress(body, 3),
        }
    }
}

/// How much the client likes a coding, 0 to 1; what it does not name it does not take.
fn quality(accept_encoding: &str, name: &str) -> f32 {
    let mut of_any = 0.0;
    for part in accept_encoding.split(',') {
        let mut words = part.split(';').map(str::trim);
        let coding = words.next().unwrap_or_default();
        let quality = words
            .find_map(|word| word.strip_prefix("q=")?.trim().parse::<f32>().ok())
            .filter(|quality| (0.0..=1.0).contains(quality))
            .unwrap_or(1.0);
        if coding.eq_ignore_ascii_case(name) {
            return quality;
        }
        if coding == "*" {
            of_any = quality;
        }
    }
    of_any
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_client_decides() {
        for (accepted, expected) in [
            ("", Coding::Identity),
            ("identity", Coding::Identity),
            ("gzip", Coding::Gzip),
            ("gzip, deflate, br, zstd", Coding::Zstd),
            ("gzip;q=1.0, br;q=0.5", Coding::Gzip),
            ("br;q=1.0, gzip;q=0.2", Coding::Brotli),
            ("zstd;q=0, gzip", Coding::Gzip),
            ("*;q=0", Coding::Identity),
            ("GZIP", Coding::Gzip),
        ] {
            assert_eq!(Coding::of_request(accepted, 5_000), expected, "{accepted}");
        }
        assert_eq!(Coding::of_request("gzip", 100), Coding::Identity);
    }

    #[test]
    fn what_is_encoded_can_be_read_again() {
        let body = b"price ".repeat(2_000);
        let mut text = Vec::new();
        let gzip = Coding::Gzip.encode(&body).unwrap();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text, body);
        text.clear();
        let brotli = Coding::Brotli.encode(&body).unwrap();
        brotli::Decompressor::new(&brotli[..], 4096).read_to_end(&mut text).unwrap();
        assert_eq!(text, body);
        assert_eq!(zstd::bulk::decompress(&Coding::Zstd.encode(&body).unwrap(), 1 << 20).unwrap(), body);
    }
}
