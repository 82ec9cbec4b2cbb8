//! One parser of Amazon's product pages, for all marketplaces: which kind of page it is, then its facts.
//!
//! Knows no source: a page comes as a file, or inside the answer of a service that fetched it.

mod dom;
#[cfg(test)]
mod golden;
mod guard;
mod kind;
mod listing;
mod offer;
mod scan;
#[cfg(test)]
mod tests;
mod words;

use super::record::{Claim, Record, quoted, url_asin, url_marketplace};
use super::shape::{Recognised, Shape};
use super::{Parsed, RecordContext, RejectReason};
use crate::model::Marketplace;
use dom::Page;

pub use kind::{PageKind, page_kind};
pub(crate) use scan::declared_charset;
pub(super) use scan::identity;

/// Recognises a page by what it says of itself; nothing else in it is looked at. What the canonical link names is
/// kept as what was returned: possibly a sibling variant of what the buy box sells.
pub(super) fn recognise(html: &str) -> Recognised {
    let identity = identity(html);
    Recognised {
        marketplace: identity.marketplace,
        asin_requested: identity.asin,
        asin_returned: identity.canonical.or(identity.asin),
        ..Recognised::bare(Shape::AmazonPage, "product")
    }
}

/// A page as it was saved.
pub(super) fn parse(context: &RecordContext, html: &str) -> Parsed {
    let mut record = Record::new(context, 0);
    let is_utf8 =
        |charset: &str| ["utf-8", "utf8", "us-ascii"].iter().any(|own| charset.eq_ignore_ascii_case(own));
    if let Some(charset) = declared_charset(html).filter(|charset| !is_utf8(charset)) {
        let detail = format!("the page declares {charset}; only UTF-8 is read");
        record.reject(RejectReason::Encoding, "charset", detail);
        return record.rejected();
    }
    read(record, html, &Asked::default())
}

/// What is known of the question that a page answers.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Asked<'a> {
    /// The address that was asked.
    pub(super) url: Option<&'a str>,
    /// The answer came with status 404: the page's content decides whether the product is gone.
    pub(super) says_gone: bool,
}

/// Reads a page of any kind: a product, one that was not found, or the reason why it is neither.
pub(super) fn read(mut record: Record<'_>, html: &str, asked: &Asked<'_>) -> Parsed {
    let Some(parsed) = dom::parse(html) else {
        let detail =
            format!("a page of {} bytes that is too large or too deeply nested for a product's", html.len());
        record.reject(RejectReason::NotAProduct, "", detail);
        return record.rejected();
    };
    let page = Page::new(&parsed);
    let kind = kind::kind_of(html, &parsed, &page);
    let title = || page.title().map_or_else(|| "no title".to_owned(), |title| quoted(&title));
    let reason = match kind {
        PageKind::Product => return product(record, html, &page, asked),
        PageKind::NotFound => return not_found(record, html, &page, asked),
        PageKind::Other if asked.says_gone => return not_found(record, html, &page, asked),
        PageKind::Captcha | PageKind::Error => RejectReason::BlockedPage,
        PageKind::Other => RejectReason::NotAProduct,
    };
    record.reject(reason, "", format!("{kind}: {}", title()));
    record.rejected()
}

/// The marketplace as the page names it, with the place that does; an unknown one under the name it has there.
fn marketplace<'p>(html: &'p str, page: &Page<'p>) -> Option<(&'static str, &'p str)> {
    if let Some(id) = scan::marketplace_id(html) {
        return Some(("ue_mid", Marketplace::from_amazon_id(id).map_or(id, |known| known.code())));
    }
    let found = url_marketplace(page.canonical()?)?;
    Some(("canonical", found.map_or_else(|host| host, |known| known.code())))
}

fn not_found(mut record: Record<'_>, html: &str, page: &Page<'_>, asked: &Asked<'_>) -> Parsed {
    let asin = record.context.asin_requested.or_else(|| asked.url.and_then(url_asin));
    if asin.is_none() {
        let detail = "not_found: nothing says which product was asked for";
        record.reject(RejectReason::NotAProduct, "", detail);
        return record.rejected();
    }
    let claim =
        Claim { url: asked.url, marketplace: marketplace(html, page), asin_requested: asin, asin: None };
    match record.identify(&claim) {
        Some(identity) => record.observed(identity.observation(false)),
        None => record.rejected(),
    }
}

fn product(mut record: Record<'_>, html: &str, page: &Page<'_>, asked: &Asked<'_>) -> Parsed {
    let asin = kind::requested_asin(page);
    let claim = Claim {
        url: asked.url,
        marketplace: marketplace(html, page),
        asin: asin.as_ref().map(|asin| asin.as_str()),
        asin_requested: None,
    };
    let Some(identity) = record.identify(&claim) else { return record.rejected() };
    if let Some(sibling) = page.canonical().and_then(url_asin).filter(|&sibling| sibling != identity.asin) {
        record.note("canonical", format!("the canonical link names {sibling}"));
    }
    let mut observation = identity.observation(true);
    observation.offer = offer::read(&mut record, page, identity.marketplace);
    observation.rating = listing::rating(&mut record, page);
    observation.monthly_sold_min = listing::sold_min(page);
    observation.listing = listing::read(page);
    observation.rank.path_leaf = observation.listing.category_path.last().cloned();
    observation.rank.ranks = listing::ranks(&mut record, page, identity.marketplace);
    record.observed(observation)
}
