//! Saved product pages: a folder that is searched by ASIN, and, only where it was asked for, the shop's own pages,
//! slowly.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::http::Http;
use super::pages::{PageVerdict, judge};
use super::{Answer, Conduct, Fault, Item, Operation, Probe, Request, Source, page_url};
use crate::clock::Clock;
use crate::model::{Asin, Cost, FaultKind, Marketplace, Rate, Timestamp};
use crate::normalize::RecordFormat;

pub const NAME: &str = "html";
/// The largest page that is read, unpacked.
const PAGE_CAP: u64 = 64 << 20;
const BATCH_OF_FILES: usize = 20;

#[derive(Clone, Debug)]
pub struct Options {
    /// Where saved pages lie: files whose name holds the ASIN, in this folder or in one named like the marketplace.
    pub folder: PathBuf,
    /// Ask the shop for pages that are not there.
    pub fetch: bool,
    /// Instead of the shop's own addresses; null: those.
    pub base_url: Option<String>,
    pub timeout: Duration,
    pub rate: Rate,
}

#[derive(Debug)]
pub struct SavedPages {
    http: Http,
    options: Options,
    operations: [Operation; 1],
}

impl SavedPages {
    pub fn new(options: Options, clock: Clock) -> anyhow::Result<SavedPages> {
        let base = options.base_url.as_deref().unwrap_or("https://www.amazon.com");
        let http = Http::new(base, options.timeout, Vec::new(), clock)?;
        let batch = if options.fetch { 1 } else { BATCH_OF_FILES };
        let operations =
            [Operation { name: "product", batch, rate: options.rate, is_paid: false, is_rate_own: true }];
        Ok(SavedPages { http, options, operations })
    }

    /// Every page in the folder that may be the marketplace's, with when it was saved.
    fn listed(&self, marketplace: Marketplace) -> Result<Vec<SavedPage>, Fault> {
        let own = self.options.folder.join(marketplace.code());
        let mut pages = Vec::new();
        for folder in [own.as_path(), self.options.folder.as_path()] {
            let entries = match std::fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unreadable(folder, &error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| unreadable(folder, &error))?;
                let name = entry.file_name().to_string_lossy().to_ascii_uppercase();
                if !name.contains(".HTM") || !may_be_of(&name, marketplace) {
                    continue;
                }
                let saved_at = entry.metadata().and_then(|file| file.modified());
                let saved_at = saved_at.map_err(|error| unreadable(&entry.path(), &error))?;
                pages.push(SavedPage { path: entry.path(), name, saved_at: Timestamp::from(saved_at) });
            }
        }
        Ok(pages)
    }

    async fn fetched(&self, marketplace: Marketplace, asin: Asin) -> Result<(Vec<u8>, i64), Fault> {
        let request = match &self.options.base_url {
            Some(_) => self.http.get(&format!("/dp/{asin}")),
            None => self.http.get_url(&page_url(marketplace, asin)),
        };
        let reply = self.http.send(request.header("accept", "text/html")).await?;
        let is_throttled = reply.status.as_u16() == 429;
        if is_throttled || reply.status.is_server_error() && reply.body.is_empty() {
            return Err(self.http.refusal(&reply));
        }
        Ok((reply.body, i64::from(reply.status.as_u16())))
    }

    async fn judged(
        &self,
        asin: Asin,
        page: Vec<u8>,
        status: i64,
        observed_at: Timestamp,
        index: u32,
    ) -> Result<Item, Fault> {
        let is_absent = match judge(status, String::from_utf8_lossy(&page).into_owned()).await {
            PageVerdict::Product => false,
            PageVerdict::Absent => true,
            PageVerdict::Fault(kind, said) => return Err(Fault::new(kind, said)),
        };
        Ok(Item {
            asin,
            kind: "product",
            format: RecordFormat::Html,
            body: page,
            observed_at,
            index,
            is_absent,
        })
    }
}

/// A page of the folder.
struct SavedPage {
    path: PathBuf,
    /// Of the file, in upper case.
    name: String,
    saved_at: Timestamp,
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(FaultKind::Refused, format!("cannot read {}: {error}", path.display()))
}

/// A name such as `US_B0….html` is only that marketplace's; one without a code may be any's.
fn may_be_of(name: &str, marketplace: Marketplace) -> bool {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let named: Vec<&str> =
        words.filter(|word| Marketplace::ALL.iter().any(|known| known.code() == *word)).collect();
    named.is_empty() || named.contains(&marketplace.code())
}

fn read_page(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let mut page = Vec::new();
    let reader: Box<dyn Read> = match ending.as_str() {
        "gz" => Box::new(flate2::read::MultiGzDecoder::new(file)),
        "zst" => Box::new(zstd::stream::read::Decoder::new(file)?),
        _ => Box::new(file),
    };
    reader.take(PAGE_CAP).read_to_end(&mut page)?;
    Ok(page)
}

#[async_trait]
impl Source for SavedPages {
    fn name(&self) -> &'static str {
        NAME
    }

    fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn serves(&self, _marketplace: Marketplace) -> bool {
        true
    }

    fn unit(&self) -> &'static str {
        "pages"
    }

    fn estimate(&self, _operation: &str, products: usize, _has_history: bool) -> Cost {
        Cost { units: products as i64, micros: Some(0) }
    }

    async fn fetch(&self, request: &Request, _conduct: &dyn Conduct) -> Result<Answer, Fault> {
        let mut answer =
            Answer { cost: Cost { units: request.asins.len() as i64, micros: Some(0) }, ..Answer::default() };
        let pages = self.listed(request.marketplace)?;
        for (index, &asin) in request.asins.iter().enumerate() {
            let of_product = pages.iter().filter(|page| page.name.contains(asin.as_str()));
            let newest = of_product.max_by_key(|page| page.saved_at);
            let (page, status, at) = match newest {
                Some(saved) => match read_page(&saved.path) {
                    Ok(page) => (page, 200, saved.saved_at),
                    Err(error) => {
                        answer.failed.push((asin, unreadable(&saved.path, &error)));
                        continue;
                    }
                },
                None if self.options.fetch => {
                    let (page, status) = self.fetched(request.marketplace, asin).await?;
                    (page, status, self.http.now())
                }
                None => {
                    let said = format!("no page of it in {}", self.options.folder.display());
                    answer.failed.push((asin, Fault::new(FaultKind::Missing, said)));
                    continue;
                }
            };
            match self.judged(asin, page, status, at, index as u32).await {
                Ok(item) => answer.items.push(item),
                Err(fault) => answer.failed.push((asin, fault)),
            }
        }
        Ok(answer)
    }

    async fn probe(&self) -> Result<Probe, Fault> {
        match std::fs::read_dir(&self.options.folder) {
            Ok(_) => Ok(Probe { checked: "its folder can be read".into(), ..Probe::default() }),
            Err(_) if self.options.fetch => {
                Ok(Probe { checked: "no folder; pages are fetched".into(), ..Probe::default() })
            }
            Err(error) => {
                let said = format!("cannot read {}: {error}", self.options.folder.display());
                Err(Fault::new(FaultKind::Refused, said))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_marketplace_is_only_that_ones_page() {
        for (name, is_us) in [
            ("B0FDKB341G.HTML", true),
            ("US_B0FDKB341G.HTML.GZ", true),
            ("DE-B0FDKB341G.HTM", false),
            ("DE_US_B0FDKB341G.HTML", true),
        ] {
            assert_eq!(may_be_of(name, Marketplace::Us), is_us, "{name}");
        }
    }
}
