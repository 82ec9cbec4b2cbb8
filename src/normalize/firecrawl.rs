//! Firecrawl's answers: one scraped page, or the pages of a batch, in both versions of its interface.
//!
//! `success` says nothing of the page: the status it came with is judged first, then its content.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::page::{self, Asked};
use super::record::{Claim, Record, category_path, cleaned, cleaned_list, quoted, url_asin, url_marketplace};
use super::shape::{Recognised, Shape, parse_instant};
use super::value::{List, Object, Scalar};
use super::{Parsed, RecordContext, RejectReason};
use crate::model::text::{clean_brand, parse_availability, parse_ranks};
use crate::model::{
    Availability, Listing, Marketplace, Observation, OfferBlock, PriceBasis, Rank, Timestamp,
};

/// How much older than its batch a cached copy may be. The pages of a batch have one time: an older copy would count
/// as true on another day.
const OLDEST_COPY: chrono::Duration = chrono::Duration::hours(6);

/// A reply, or a page of a batch's status. One item of a batch stands alone, without any of these keys.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Reply<'a> {
    #[serde(borrow)]
    success: Scalar<'a>,
    #[serde(borrow)]
    status: Scalar<'a>,
    #[serde(borrow)]
    code: Scalar<'a>,
    #[serde(borrow)]
    error: Scalar<'a>,
    /// An object of a single page, an array of a batch.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// One scraped page.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Item<'a> {
    #[serde(borrow)]
    raw_html: Scalar<'a>,
    #[serde(borrow)]
    html: Scalar<'a>,
    #[serde(borrow)]
    markdown: Scalar<'a>,
    /// What a model read from the page: `json` in version 2, `extract` before.
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    #[serde(borrow)]
    extract: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Object<'a, Metadata<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, rename = "sourceURL")]
    source_url: Scalar<'a>,
    #[serde(borrow)]
    url: Scalar<'a>,
    #[serde(borrow)]
    title: Scalar<'a>,
    #[serde(borrow)]
    status_code: Scalar<'a>,
    #[serde(borrow)]
    error: Scalar<'a>,
    #[serde(borrow)]
    cache_state: Scalar<'a>,
    #[serde(borrow)]
    cached_at: Scalar<'a>,
}

/// What a model read from a page: the names of the normalized fields, amounts as shown or as numbers. Any value may
/// be wrong, of another type, or missing.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Extracted<'a> {
    #[serde(borrow)]
    asin: Scalar<'a>,
    #[serde(borrow)]
    url: Scalar<'a>,
    #[serde(borrow)]
    title: Scalar<'a>,
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    brand: Scalar<'a>,
    #[serde(borrow)]
    price: Scalar<'a>,
    #[serde(borrow)]
    currency: Scalar<'a>,
    #[serde(borrow)]
    list_price: Scalar<'a>,
    #[serde(borrow)]
    seller_name: Scalar<'a>,
    #[serde(borrow)]
    seller_id: Scalar<'a>,
    #[serde(borrow)]
    availability: Scalar<'a>,
    #[serde(borrow)]
    stock_quantity: Scalar<'a>,
    #[serde(borrow)]
    rating: Scalar<'a>,
    #[serde(borrow)]
    ratings_count: Scalar<'a>,
    #[serde(borrow)]
    monthly_sold_min: Scalar<'a>,
    #[serde(borrow)]
    bsr: Scalar<'a>,
    #[serde(borrow)]
    bsr_category: Scalar<'a>,
    /// All ranks in one text, as the page shows them.
    #[serde(borrow)]
    ranks: Scalar<'a>,
    #[serde(borrow)]
    category_path: List<Scalar<'a>>,
    #[serde(borrow)]
    image_url: Scalar<'a>,
    #[serde(borrow)]
    main_image_url: Scalar<'a>,
    #[serde(borrow)]
    bullets: List<Scalar<'a>>,
}

/// The items of a record: one, or those of a batch.
enum Items<'a> {
    One(Box<Item<'a>>),
    Batch(Vec<Object<'a, Item<'a>>>),
}

fn items<'a>(text: &'a str, reply: &Reply<'a>) -> serde_json::Result<Items<'a>> {
    let Some(data) = reply.data.map(RawValue::get) else {
        return Ok(Items::One(Box::new(serde_json::from_str(text)?)));
    };
    if data.starts_with('[') {
        return Ok(Items::Batch(serde_json::from_str::<List<_>>(data)?.0));
    }
    Ok(Items::One(serde_json::from_str::<Object<'_, Item<'_>>>(data)?.object.unwrap_or_default().into()))
}

impl<'a> Item<'a> {
    fn metadata(&self) -> Option<&Metadata<'a>> {
        self.metadata.object.as_ref()
    }

    /// The address that was asked for; the page's own may be another.
    fn asked(&self) -> Option<&str> {
        let metadata = self.metadata()?;
        metadata.source_url.text().or(metadata.url.text())
    }

    fn marketplace(&self) -> Option<Marketplace> {
        url_marketplace(self.asked()?)?.ok()
    }

    /// True when it has what only a scraped page has.
    fn is_scraped(&self) -> bool {
        self.metadata()
            .is_some_and(|metadata| metadata.source_url.text().is_some() || !metadata.status_code.is_null())
    }

    /// When the copy that was served was made, where it is one; an error quotes what is no instant.
    fn cached_at(&self) -> Option<Result<Timestamp, String>> {
        let metadata = self.metadata()?;
        let is_copy = metadata.cache_state.text().is_some_and(|state| state.eq_ignore_ascii_case("hit"));
        let written = metadata.cached_at.text().filter(|_| is_copy)?;
        Some(parse_instant(written).ok_or_else(|| quoted(written)))
    }
}

/// Recognises a reply by its keys. Null for anything else.
pub(super) fn recognise(text: &str) -> Option<Recognised> {
    let has = |key: &str| memchr::memmem::find(text.as_bytes(), key.as_bytes()).is_some();
    let is_possible = has("\"metadata\"") || has("\"success\"") || has("\"completed\"");
    if !is_possible {
        return None;
    }
    let reply: Reply<'_> = serde_json::from_str(text).ok()?;
    let failed =
        reply.success.bool() == Some(false) && reply.error.text().is_some() && !has("\"request_info\"");
    let unknown = || Recognised::bare(Shape::FirecrawlPage, "product");
    let item = match items(text, &reply).ok()? {
        Items::One(item) if item.is_scraped() => item,
        Items::One(_) => return failed.then(unknown),
        Items::Batch(items) => {
            reply.status.text().filter(|status| is_batch_status(status))?;
            let scraped = || items.iter().filter_map(|item| item.object.as_ref());
            let marketplace = scraped().find_map(Item::marketplace);
            let is_one = scraped().all(|item| item.marketplace() == marketplace);
            return Some(Recognised { marketplace: marketplace.filter(|_| is_one), ..unknown() });
        }
    };
    let html = item.raw_html.text().or(item.html.text());
    let page = html.map(page::identity).unwrap_or_default();
    let asin_requested = item.asked().and_then(url_asin);
    let (observed_at, time_fault) = match item.cached_at() {
        Some(Ok(at)) => (Some(at), None),
        Some(Err(written)) => (None, Some(format!("cachedAt {written} is no instant"))),
        None => (None, None),
    };
    Some(Recognised {
        marketplace: item.marketplace().or(page.marketplace),
        asin_requested: asin_requested.or(page.asin),
        asin_returned: page.asin,
        observed_at,
        time_fault,
        ..unknown()
    })
}

fn is_batch_status(status: &str) -> bool {
    ["scraping", "completed", "cancelled", "failed"].contains(&status)
}

/// All pages of one reply. The number of an item is its place in the batch.
pub(super) fn parse(context: &RecordContext, text: &str) -> serde_json::Result<Parsed> {
    let reply: Reply<'_> = serde_json::from_str(text)?;
    match items(text, &reply)? {
        Items::One(item) if !item.is_scraped() => Ok(failed(context, &reply)),
        Items::One(item) => Ok(parse_item(context, 0, &item)),
        Items::Batch(items) if items.is_empty() => Ok(failed(context, &reply)),
        Items::Batch(items) => {
            let parts = items
                .iter()
                .enumerate()
                .map(|(place, item)| parse_batch_item(context, place as u32, item.object.as_ref()));
            Ok(Parsed::join(parts))
        }
    }
}

/// A reply without a page: what it says instead.
fn failed(context: &RecordContext, reply: &Reply<'_>) -> Parsed {
    let mut record = Record::new(context, 0);
    let said = [&reply.status, &reply.code, &reply.error].map(|value| value.text().unwrap_or_default());
    let said = said.join(" ");
    let detail = if said.trim().is_empty() { "the reply holds no page" } else { said.trim() };
    record.reject(RejectReason::SourceFailure, "error", detail);
    record.rejected()
}

/// An item of a batch is judged by what it says of itself: the batch's receipt names no product.
fn parse_batch_item(context: &RecordContext, place: u32, item: Option<&Item<'_>>) -> Parsed {
    let Some(item) = item else {
        let mut record = Record::new(context, place);
        record.reject(RejectReason::SourceFailure, "data", "the item is no object");
        return record.rejected();
    };
    let own = RecordContext {
        marketplace: item.marketplace().or(context.marketplace),
        asin_requested: item.asked().and_then(url_asin),
        ..context.clone()
    };
    if let Some(Ok(cached_at)) = item.cached_at()
        && cached_at < own.observed_at - OLDEST_COPY
    {
        let mut record = Record::new(&own, place);
        let at = cached_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        record.reject(RejectReason::SourceFailure, "cachedAt", format!("a copy of {at} in a later batch"));
        return record.rejected();
    }
    parse_item(&own, place, item)
}

fn parse_item(context: &RecordContext, place: u32, item: &Item<'_>) -> Parsed {
    let mut record = Record::new(context, place);
    let html = item.raw_html.text();
    let status = item.metadata().map_or(&Scalar::Null, |metadata| &metadata.status_code);
    let says_gone = status.integer() == Some(404);
    // Without its page a 404 may be a block: nothing tells it from a product that is gone.
    let is_judged_by_page = says_gone && html.or(item.html.text()).is_some();
    if !status.is_null() && status.integer() != Some(200) && !is_judged_by_page {
        let error = item.metadata().and_then(|metadata| metadata.error.text()).unwrap_or_default();
        let detail = format!("{} {error}", status.shown().unwrap_or_default());
        record.reject(RejectReason::SourceFailure, "statusCode", detail.trim());
        return record.rejected();
    }
    let asked = Asked { url: item.asked(), says_gone };
    let extracted = item.json.or(item.extract).map(RawValue::get).filter(|raw| raw.starts_with('{'));
    match (html, extracted, item.html.text()) {
        (Some(html), _, _) => page::read(record, html, &asked),
        (None, Some(extracted), _) if !says_gone => match serde_json::from_str(extracted) {
            Ok(extracted) => parse_extracted(record, item, &extracted),
            Err(error) => {
                record.reject(RejectReason::InvalidJson, "json", super::json_fault(&error));
                record.rejected()
            }
        },
        (None, _, Some(html)) => page::read(record, html, &asked),
        (None, _, None) => {
            let has_text = item.markdown.text().is_some();
            let held = if has_text { "only markdown" } else { "no content" };
            record.reject(
                RejectReason::NotAProduct,
                "rawHtml",
                format!("the item holds {held}: ask for the format rawHtml"),
            );
            record.rejected()
        }
    }
}

fn parse_extracted(mut record: Record<'_>, item: &Item<'_>, facts: &Extracted<'_>) -> Parsed {
    let landed = item.metadata().and_then(|metadata| metadata.url.text()).and_then(url_asin);
    let of_url = || facts.url.text().and_then(url_asin).or(landed).map(|asin| asin.to_string());
    let asin = facts.asin.text().map(str::to_owned).or_else(of_url);
    let claim = Claim { url: item.asked(), asin: asin.as_deref(), ..Claim::default() };
    let Some(identity) = record.identify(&claim) else { return record.rejected() };
    let mut observation = identity.observation(true);
    record.currency("currency", &facts.currency, identity.marketplace);
    observation.offer = offer(&mut record, facts, identity.marketplace);
    observation.rating.rating_centi = record.rating("rating", &facts.rating);
    observation.rating.ratings_count = record.count("ratings_count", &facts.ratings_count);
    observation.monthly_sold_min = record.count("monthly_sold_min", &facts.monthly_sold_min);
    observation.listing = listing(facts);
    observation.rank.path_leaf = observation.listing.category_path.last().cloned();
    observation.rank.ranks = ranks(&mut record, facts, identity.marketplace);
    if record.is_sound() && says_nothing(&observation) {
        record.reject(RejectReason::NotAProduct, "json", "nothing of a product was read from the page");
    }
    record.observed(observation)
}

fn says_nothing(observation: &Observation) -> bool {
    let Observation { offer, rank, rating, listing, .. } = observation;
    !offer.is_known() && rank.ranks.is_empty() && !rating.is_known() && listing.title.is_none()
}

fn offer(record: &mut Record<'_>, facts: &Extracted<'_>, marketplace: Marketplace) -> OfferBlock {
    let price_minor = record.money("price", &facts.price, marketplace);
    let list_price_minor = record.money("list_price", &facts.list_price, marketplace);
    let (availability, quantity) = facts.availability.text().map_or_else(Default::default, |text| {
        Availability::from_word(text.trim()).map_or_else(|| parse_availability(text), |word| (word, None))
    });
    OfferBlock {
        price_minor,
        price_basis: price_minor.map(|_| PriceBasis::Page),
        list_price_minor: list_price_minor.filter(|&list| price_minor.is_some_and(|price| list > price)),
        seller_name: cleaned(&facts.seller_name),
        seller_id: cleaned(&facts.seller_id),
        availability,
        stock_quantity: record.count("stock_quantity", &facts.stock_quantity).or(quantity),
        ..OfferBlock::default()
    }
}

fn listing(facts: &Extracted<'_>) -> Listing {
    Listing {
        title: cleaned(&facts.title).or_else(|| cleaned(&facts.name)),
        brand: facts.brand.text().and_then(clean_brand),
        category_path: category_path(facts.category_path.0.iter().filter_map(Scalar::text)),
        image_url: cleaned(&facts.image_url).or_else(|| cleaned(&facts.main_image_url)),
        bullets: cleaned_list(&facts.bullets.0),
        ..Listing::default()
    }
}

fn ranks(record: &mut Record<'_>, facts: &Extracted<'_>, marketplace: Marketplace) -> Vec<Rank> {
    let mut ranks = facts.ranks.text().map(parse_ranks).unwrap_or_default();
    if ranks.is_empty()
        && let Some(rank) = record.count("bsr", &facts.bsr)
    {
        match cleaned(&facts.bsr_category) {
            Some(category) => ranks.push(Rank { category_id: None, category, rank, is_main: false }),
            None => record.note("bsr", format!("rank {rank} has no category")),
        }
    }
    record.ranks("ranks", marketplace, ranks)
}

#[cfg(test)]
mod tests;
