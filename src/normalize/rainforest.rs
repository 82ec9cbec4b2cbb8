//! Rainforest's answers: a product, or the results of a search.

mod search;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::axesso::{RankEntry, rank_array};
use super::record::{
    Claim, Record, category_path, cleaned, cleaned_list, seller_in_link, url_marketplace, variants,
};
use super::shape::{Recognised, Shape, parse_instant};
use super::value::{List, Object, Scalar};
use super::{Parsed, RecordContext, RejectReason};
use crate::model::text::{clean_brand, parse_availability};
use crate::model::{
    Asin, Availability, Condition, Fulfilment, Listing, Marketplace, OfferBlock, PriceBasis, RatingBlock,
};

pub(super) use search::parse_search;

/// What every answer has around its facts.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow)]
    request_info: Object<'a, RequestInfo<'a>>,
    #[serde(borrow)]
    request_metadata: Object<'a, RequestMetadata<'a>>,
    #[serde(borrow)]
    request_parameters: Object<'a, RequestParameters<'a>>,
    #[serde(borrow)]
    product: Object<'a, Whose<'a>>,
    search_results: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RequestInfo<'a> {
    #[serde(borrow)]
    success: Scalar<'a>,
    #[serde(borrow)]
    message: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RequestMetadata<'a> {
    #[serde(borrow)]
    processed_at: Scalar<'a>,
    #[serde(borrow)]
    amazon_url: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RequestParameters<'a> {
    #[serde(borrow, rename = "type")]
    kind: Scalar<'a>,
    #[serde(borrow)]
    amazon_domain: Scalar<'a>,
    #[serde(borrow)]
    asin: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Whose<'a> {
    #[serde(borrow)]
    asin: Scalar<'a>,
    #[serde(borrow)]
    link: Scalar<'a>,
}

impl<'a> Envelope<'a> {
    fn parameters(&self) -> Option<&RequestParameters<'a>> {
        self.request_parameters.object.as_ref()
    }

    fn asin_requested(&self) -> Option<Asin> {
        self.parameters()?.asin.text()?.parse().ok()
    }

    /// The marketplace's domain, as asked for, else of the product's or the page's address.
    fn domain(&self) -> Option<&str> {
        let of_link = || {
            let link = self.product.object.as_ref().and_then(|product| product.link.text());
            let page = || self.request_metadata.object.as_ref().and_then(|page| page.amazon_url.text());
            url_marketplace(link.or_else(page)?)
                .map(|found| found.map_or_else(|host| host, |known| known.domain()))
        };
        self.parameters().and_then(|asked| asked.amazon_domain.text()).or_else(of_link)
    }

    fn has_failed(&self) -> bool {
        self.request_info.object.as_ref().is_some_and(|info| info.success.bool() == Some(false))
    }

    /// The reject of an answer without facts.
    fn refuse(&self, context: &RecordContext, missing: &str) -> Parsed {
        let mut record = Record::new(context, 0);
        let said = self.request_info.object.as_ref().and_then(|info| info.message.text());
        let detail = said.unwrap_or(if self.has_failed() { "no reason is given" } else { missing });
        record.reject(RejectReason::SourceFailure, "request_info", detail);
        record.rejected()
    }
}

/// Recognises an answer by its envelope. Null for anything else, and for other types of answers.
pub(super) fn recognise(text: &str) -> Option<Recognised> {
    memchr::memmem::find(text.as_bytes(), b"\"request_info\"")?;
    let answer: Envelope<'_> = serde_json::from_str(text).ok()?;
    answer.request_info.object.as_ref()?;
    let asked = answer.parameters().and_then(|asked| asked.kind.text());
    let is_search = answer.search_results.is_some() || asked == Some("search");
    let is_product = answer.product.object.is_some() || asked == Some("product") || answer.has_failed();
    if !is_search && !is_product {
        return None;
    }
    let written = answer.request_metadata.object.as_ref().and_then(|request| request.processed_at.shown());
    let observed_at = written.as_deref().and_then(parse_instant);
    let time_fault = written
        .filter(|_| observed_at.is_none())
        .map(|written| format!("processed_at {} is no instant", super::record::quoted(&written)));
    let marketplace = answer.domain().and_then(|domain| domain.parse().ok());
    if is_search {
        let shape = Recognised::bare(Shape::RainforestSearch, "product");
        return Some(Recognised { kind: "search", marketplace, observed_at, time_fault, ..shape });
    }
    let asin_returned = answer.product.object.as_ref().and_then(|product| product.asin.text()?.parse().ok());
    Some(Recognised {
        marketplace,
        asin_requested: answer.asin_requested().or(asin_returned),
        asin_returned,
        observed_at,
        time_fault,
        ..Recognised::bare(Shape::RainforestProduct, "product")
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ProductAnswer<'a> {
    #[serde(borrow)]
    product: Object<'a, Product<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Product<'a> {
    #[serde(borrow)]
    asin: Scalar<'a>,
    #[serde(borrow)]
    parent_asin: Scalar<'a>,
    #[serde(borrow)]
    title: Scalar<'a>,
    #[serde(borrow)]
    brand: Scalar<'a>,
    #[serde(borrow)]
    categories: List<Object<'a, Named<'a>>>,
    #[serde(borrow)]
    rating: Scalar<'a>,
    #[serde(borrow)]
    ratings_total: Scalar<'a>,
    #[serde(borrow)]
    main_image: Object<'a, Link<'a>>,
    #[serde(borrow)]
    images: List<Object<'a, Link<'a>>>,
    #[serde(borrow)]
    feature_bullets: List<Scalar<'a>>,
    #[serde(borrow)]
    variants: List<Object<'a, Whose<'a>>>,
    #[serde(borrow)]
    buybox_winner: Object<'a, Winner<'a>>,
    #[serde(borrow)]
    bestsellers_rank: List<Object<'a, RankEntry<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    name: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Link<'a> {
    #[serde(borrow)]
    link: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Winner<'a> {
    #[serde(borrow)]
    price: Object<'a, Price<'a>>,
    #[serde(borrow)]
    rrp: Object<'a, Price<'a>>,
    #[serde(borrow)]
    shipping: Object<'a, Price<'a>>,
    #[serde(borrow)]
    availability: Object<'a, Stock<'a>>,
    #[serde(borrow)]
    fulfillment: Object<'a, Fulfillment<'a>>,
    #[serde(borrow)]
    condition: Object<'a, ConditionOf<'a>>,
    #[serde(borrow)]
    is_prime: Scalar<'a>,
}

/// An amount: `value` is in major units.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Price<'a> {
    #[serde(borrow)]
    value: Scalar<'a>,
    #[serde(borrow)]
    currency: Scalar<'a>,
    #[serde(borrow)]
    raw: Scalar<'a>,
    /// Of several prices of one result: `primary`, or `original` before a reduction.
    #[serde(borrow)]
    name: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Stock<'a> {
    #[serde(borrow, rename = "type")]
    kind: Scalar<'a>,
    #[serde(borrow)]
    raw: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fulfillment<'a> {
    #[serde(borrow)]
    is_sold_by_amazon: Scalar<'a>,
    #[serde(borrow)]
    is_fulfilled_by_amazon: Scalar<'a>,
    #[serde(borrow)]
    is_fulfilled_by_third_party: Scalar<'a>,
    #[serde(borrow)]
    third_party_seller: Object<'a, Seller<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Seller<'a> {
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    link: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ConditionOf<'a> {
    #[serde(borrow)]
    is_new: Scalar<'a>,
}

/// A product's answer.
pub(super) fn parse_product(context: &RecordContext, text: &str) -> serde_json::Result<Parsed> {
    let envelope: Envelope<'_> = serde_json::from_str(text)?;
    let answer: ProductAnswer<'_> = serde_json::from_str(text)?;
    let Some(product) = answer.product.object.filter(|_| !envelope.has_failed()) else {
        return Ok(envelope.refuse(context, "the answer holds no product"));
    };
    let mut record = Record::new(context, 0);
    let claim = Claim {
        marketplace: envelope.domain().map(|domain| ("amazon_domain", domain)),
        asin: product.asin.text(),
        asin_requested: envelope.asin_requested(),
        ..Claim::default()
    };
    let Some(identity) = record.identify(&claim) else { return Ok(record.rejected()) };
    let marketplace = identity.marketplace;
    let mut observation = identity.observation(true);
    if let Some(winner) = &product.buybox_winner.object {
        observation.offer = offer(&mut record, winner, marketplace);
    }
    observation.rating = rating(&mut record, &product.rating, &product.ratings_total);
    observation.listing = listing(&product, identity.asin);
    observation.rank.path_leaf = observation.listing.category_path.last().cloned();
    observation.rank.ranks =
        rank_array(&mut record, "bestsellers_rank", marketplace, &product.bestsellers_rank.0);
    Ok(record.observed(observation))
}

/// An amount's value, else what it shows; in another currency than the marketplace's it rejects the record.
fn amount(record: &mut Record<'_>, field: &str, price: &Price<'_>, marketplace: Marketplace) -> Option<i64> {
    record.currency(field, &price.currency, marketplace);
    let written = if price.value.is_null() { &price.raw } else { &price.value };
    record.money(field, written, marketplace)
}

fn offer(record: &mut Record<'_>, winner: &Winner<'_>, marketplace: Marketplace) -> OfferBlock {
    let mut money = |field: &str, price: &Object<'_, Price<'_>>| {
        price.object.as_ref().and_then(|price| amount(record, field, price, marketplace))
    };
    let price_minor = money("buybox_winner.price", &winner.price);
    let list_price_minor = money("buybox_winner.rrp", &winner.rrp);
    // Free shipping has conditions that are not told; what is shown beside it is a sentence.
    let shipping = winner.shipping.object.as_ref().map_or(&Scalar::Null, |shipping| &shipping.value);
    let shipping_minor = record.money("buybox_winner.shipping", shipping, marketplace);
    let is_new = winner.condition.object.as_ref().and_then(|condition| condition.is_new.bool());
    if is_new == Some(false) {
        return OfferBlock {
            condition: Some(Condition::Used),
            availability: Availability::UsedOnly,
            ..OfferBlock::default()
        };
    }
    let (availability, stock_quantity) = stock(winner.availability.object.as_ref());
    let fulfillment = winner.fulfillment.object.as_ref();
    let seller = fulfillment.and_then(|fulfillment| fulfillment.third_party_seller.object.as_ref());
    let flag = |of: fn(&Fulfillment<'_>) -> Option<bool>| fulfillment.and_then(of) == Some(true);
    let is_amazon = flag(|fulfillment| fulfillment.is_sold_by_amazon.bool());
    OfferBlock {
        price_minor,
        price_basis: price_minor.map(|_| PriceBasis::BuyBox),
        list_price_minor,
        buy_box_price_minor: price_minor,
        shipping_minor,
        is_prime: winner.is_prime.bool(),
        seller_id: seller
            .and_then(|seller| cleaned(&seller.id).or_else(|| seller_in_link(seller.link.text()?))),
        seller_name: seller
            .and_then(|seller| cleaned(&seller.name))
            .or_else(|| is_amazon.then(|| "Amazon".to_owned())),
        fulfilment: if is_amazon {
            Some(Fulfilment::Amazon)
        } else if flag(|fulfillment| fulfillment.is_fulfilled_by_amazon.bool()) {
            Some(Fulfilment::Fba)
        } else {
            flag(|fulfillment| fulfillment.is_fulfilled_by_third_party.bool()).then_some(Fulfilment::Fbm)
        },
        condition: is_new.map(|_| Condition::New),
        availability,
        stock_quantity,
        ..OfferBlock::default()
    }
}

/// The type's word where it is one of ours, made exact by the text: "in stock" may be "only 3 left".
fn stock(stock: Option<&Stock<'_>>) -> (Availability, Option<i64>) {
    let Some(stock) = stock else { return Default::default() };
    let said = stock.raw.text().map_or_else(Default::default, parse_availability);
    let word = stock.kind.text().and_then(Availability::from_word).unwrap_or_default();
    let is_refined = word == Availability::InStock && said.0.is_in_stock();
    if word == Availability::Unknown || is_refined { said } else { (word, said.1) }
}

fn rating(record: &mut Record<'_>, stars: &Scalar<'_>, total: &Scalar<'_>) -> RatingBlock {
    let rating_centi = record.rating("rating", stars);
    let ratings_count = record.count("ratings_total", total);
    RatingBlock {
        rating_centi,
        // A rating cannot come from nobody: the count is missing.
        ratings_count: ratings_count.filter(|&count| count > 0 || rating_centi.is_none()),
    }
}

fn listing(product: &Product<'_>, asin: Asin) -> Listing {
    let link = |image: &Object<'_, Link<'_>>| image.object.as_ref().and_then(|image| cleaned(&image.link));
    let images: Vec<String> = product.images.0.iter().filter_map(link).collect();
    let names = product.categories.0.iter().filter_map(|entry| entry.object.as_ref()?.name.text());
    let variant_asins = product.variants.0.iter().filter_map(|variant| variant.object.as_ref()?.asin.text());
    Listing {
        title: cleaned(&product.title),
        brand: product.brand.text().and_then(clean_brand),
        category_path: category_path(names.filter(|name| !name.eq_ignore_ascii_case("all departments"))),
        image_url: link(&product.main_image).or_else(|| images.first().cloned()),
        parent_asin: product.parent_asin.text().and_then(|text| text.parse().ok()),
        bullets: cleaned_list(&product.feature_bullets.0),
        images,
        variants: variants(asin, variant_asins),
    }
}

#[cfg(test)]
mod tests;
