//! The two shapes of the axesso scrapers on Apify: product details and reviews.
//!
//! They carry, as a rule, neither a currency nor a time: the first follows from the page's domain, the second from the receipt.

use serde::Deserialize;

use super::record::{Claim, Record, category_path, cleaned, cleaned_list, is_amazon, url_asin, variants};
use super::value::{List, Object, Scalar};
use super::{Parsed, RecordContext, RejectReason};
use crate::model::text::{
    clean_brand, clean_text, is_brand_label, is_rank_label, parse_availability, parse_date, parse_ranks,
};
use crate::model::{
    Asin, Availability, Condition, Fulfilment, Listing, Marketplace, OfferBlock, PriceBasis, Rank, Review,
};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Product<'a> {
    #[serde(borrow)]
    status_code: Scalar<'a>,
    #[serde(borrow)]
    status_message: Scalar<'a>,
    #[serde(borrow)]
    url: Scalar<'a>,
    #[serde(borrow)]
    asin: Scalar<'a>,
    #[serde(borrow)]
    title: Scalar<'a>,
    #[serde(borrow)]
    manufacturer: Scalar<'a>,
    #[serde(borrow)]
    price: Scalar<'a>,
    #[serde(borrow)]
    currency: Scalar<'a>,
    #[serde(borrow)]
    retail_price: Scalar<'a>,
    #[serde(borrow)]
    shipping_price: Scalar<'a>,
    #[serde(borrow)]
    sold_by: Scalar<'a>,
    #[serde(borrow)]
    fulfilled_by: Scalar<'a>,
    #[serde(borrow)]
    seller_id: Scalar<'a>,
    #[serde(borrow)]
    warehouse_availability: Scalar<'a>,
    #[serde(borrow)]
    product_rating: Scalar<'a>,
    #[serde(borrow)]
    count_review: Scalar<'a>,
    #[serde(borrow)]
    past_sales: Scalar<'a>,
    #[serde(borrow)]
    deal: Scalar<'a>,
    #[serde(borrow)]
    prime: Scalar<'a>,
    #[serde(borrow)]
    used: Scalar<'a>,
    #[serde(borrow)]
    buy_box_used: Scalar<'a>,
    #[serde(borrow)]
    features: List<Scalar<'a>>,
    #[serde(borrow)]
    image_url_list: List<Scalar<'a>>,
    #[serde(borrow)]
    main_image: Object<'a, Image<'a>>,
    #[serde(borrow)]
    product_details: List<Object<'a, Attribute<'a>>>,
    #[serde(borrow)]
    about_product: List<Object<'a, Attribute<'a>>>,
    #[serde(borrow)]
    categories_extended: List<Object<'a, Attribute<'a>>>,
    #[serde(borrow)]
    best_sellers_rank: List<Object<'a, RankEntry<'a>>>,
    #[serde(borrow)]
    variations: List<Object<'a, Variation<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Image<'a> {
    #[serde(borrow)]
    image_url: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attribute<'a> {
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    value: Scalar<'a>,
}

/// One element of a rank array: axesso's, or junglee's with other names.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RankEntry<'a> {
    #[serde(borrow)]
    rank: Scalar<'a>,
    #[serde(borrow, rename = "categoryName")]
    category_name: Scalar<'a>,
    #[serde(borrow)]
    category: Scalar<'a>,
    #[serde(borrow)]
    link: Scalar<'a>,
    #[serde(borrow)]
    url: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Variation<'a> {
    #[serde(borrow)]
    values: List<Object<'a, VariationValue<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct VariationValue<'a> {
    #[serde(borrow)]
    asin: Scalar<'a>,
}

/// One product page. A row that says 404 is an observation of a product that was not found.
pub(super) fn parse_product(context: &RecordContext, product: &Product<'_>) -> Parsed {
    let mut record = Record::new(context, 0);
    let claim = Claim {
        url: product.url.text(),
        asin: product.asin.text(),
        asin_requested: product.url.text().and_then(url_asin),
        ..Claim::default()
    };
    let status = product.status_code.integer();
    if !product.status_code.is_null() && !matches!(status, Some(200 | 404)) {
        let message = product.status_message.text().unwrap_or_default();
        let code = product.status_code.shown().unwrap_or_default();
        record.reject(RejectReason::NotAProduct, "statusCode", format!("{code} {message}"));
        return record.rejected();
    }
    let Some(identity) = record.identify(&claim) else { return record.rejected() };
    let mut observation = identity.observation(status != Some(404));
    if !observation.found {
        return record.observed(observation);
    }
    let marketplace = identity.marketplace;
    record.currency("currency", &product.currency, marketplace);
    observation.offer = offer(&mut record, product, marketplace);
    observation.rating.rating_centi = record.rating("productRating", &product.product_rating);
    let ratings_count = record.count("countReview", &product.count_review);
    // A rating cannot come from nobody: the page did not say how many.
    observation.rating.ratings_count =
        ratings_count.filter(|&count| count > 0 || observation.rating.rating_centi.is_none());
    observation.monthly_sold_min = record.count("pastSales", &product.past_sales);
    observation.listing = listing(product, identity.asin);
    observation.rank.path_leaf = observation.listing.category_path.last().cloned();
    observation.rank.ranks = ranks(&mut record, product, marketplace);
    record.observed(observation)
}

fn offer(record: &mut Record<'_>, product: &Product<'_>, marketplace: Marketplace) -> OfferBlock {
    let price_minor = record.money("price", &product.price, marketplace);
    let list_price_minor = record.money("retailPrice", &product.retail_price, marketplace);
    // The constant 0 says nothing of shipping; `money` makes it null.
    let shipping_minor = record.money("shippingPrice", &product.shipping_price, marketplace);
    let seller_name = cleaned(&product.sold_by);
    let is_used = product.used.bool() == Some(true) || !product.buy_box_used.is_null();

    let text = product.warehouse_availability.text();
    let (mut availability, stock_quantity) = text.map_or_else(Default::default, parse_availability);
    // A price of 0 is said; an item that lacks the key says nothing of stock.
    let says_no_price = !product.price.is_null() && price_minor.is_none();
    if text.is_none() && says_no_price && seller_name.is_none() {
        availability = Availability::Unavailable;
    }
    if is_used {
        availability = Availability::UsedOnly;
    }
    // Without an offer the page's flags say nothing.
    let has_offer = price_minor.is_some() || seller_name.is_some();
    let price_minor = price_minor.filter(|_| !is_used);
    OfferBlock {
        price_minor,
        price_basis: price_minor.map(|_| PriceBasis::Page),
        list_price_minor,
        shipping_minor,
        is_deal: product.deal.bool().filter(|_| has_offer),
        is_prime: product.prime.bool().filter(|_| has_offer),
        seller_id: cleaned(&product.seller_id),
        fulfilment: fulfilment(seller_name.as_deref(), product.fulfilled_by.text()),
        seller_name,
        condition: match (is_used, product.used.bool()) {
            (true, _) => Some(Condition::Used),
            (false, Some(false)) if has_offer => Some(Condition::New),
            _ => None,
        },
        availability,
        stock_quantity,
        ..OfferBlock::default()
    }
}

pub(super) fn fulfilment(seller: Option<&str>, shipper: Option<&str>) -> Option<Fulfilment> {
    match (seller, shipper) {
        (Some(seller), _) if is_amazon(seller) => Some(Fulfilment::Amazon),
        (Some(_), Some(shipper)) if is_amazon(shipper) => Some(Fulfilment::Fba),
        (Some(_), Some(_)) => Some(Fulfilment::Fbm),
        _ => None,
    }
}

fn listing(product: &Product<'_>, asin: Asin) -> Listing {
    let attribute = |wanted: fn(&str) -> bool| {
        let attributes = product.about_product.0.iter().filter_map(|entry| entry.object.as_ref());
        let named = |entry: &&Attribute<'_>| entry.name.text().is_some_and(wanted);
        attributes.filter(named).find_map(|entry| entry.value.text())
    };
    let brand = attribute(is_brand_label).or(product.manufacturer.text()).and_then(clean_brand);
    let categories =
        product.categories_extended.0.iter().filter_map(|entry| entry.object.as_ref()?.name.text());
    let images = cleaned_list(&product.image_url_list.0);
    let main_image = product.main_image.object.as_ref().and_then(|image| cleaned(&image.image_url));
    let variations = product.variations.0.iter().filter_map(|variation| variation.object.as_ref());
    let values = variations.flat_map(|variation| &variation.values.0);
    Listing {
        title: cleaned(&product.title),
        brand,
        category_path: category_path(categories),
        image_url: main_image.or_else(|| images.first().cloned()),
        parent_asin: None,
        bullets: cleaned_list(&product.features.0),
        images,
        variants: variants(asin, values.filter_map(|value| value.object.as_ref()?.asin.text())),
    }
}

/// Ranks from the array where there is one, else from the text among the product details.
fn ranks(record: &mut Record<'_>, product: &Product<'_>, marketplace: Marketplace) -> Vec<Rank> {
    if !product.best_sellers_rank.0.is_empty() {
        return rank_array(record, "bestSellersRank", marketplace, &product.best_sellers_rank.0);
    }
    let details = product.product_details.0.iter().filter_map(|entry| entry.object.as_ref());
    let texts = details.filter_map(|entry| Some((entry.name.text()?, entry.value.text()?)));
    for (name, text) in texts {
        let is_named = is_rank_label(name);
        // A label in a language that is not known still stands over a text that leads to a top 100.
        let leads_to_top_100 = text.starts_with('#') && text.contains("100");
        if !is_named && !leads_to_top_100 {
            continue;
        }
        let ranks = parse_ranks(text);
        if is_named && ranks.is_empty() {
            record.note("productDetails", format!("no rank was read from: {text}"));
        }
        if is_named || ranks.iter().any(|rank| rank.is_main) {
            return record.ranks("productDetails", marketplace, ranks);
        }
    }
    Vec::new()
}

/// Ranks from an array of objects: the main one leads to a whole store's best sellers, or is named like a root.
pub(super) fn rank_array(
    record: &mut Record<'_>,
    field: &str,
    marketplace: Marketplace,
    entries: &[Object<'_, RankEntry<'_>>],
) -> Vec<Rank> {
    let mut ranks: Vec<Rank> = Vec::with_capacity(entries.len());
    for entry in entries.iter().filter_map(|entry| entry.object.as_ref()) {
        let Some(rank) = record.count(field, &entry.rank) else { continue };
        let link = entry.link.text().or(entry.url.text());
        let Some(name) = entry.category_name.text().or(entry.category.text()) else {
            record.note(field, format!("rank {rank} has no category"));
            continue;
        };
        // Some pages leave the link's words in the name: "Electronics (See Top 100 in Electronics)".
        let shown = parse_ranks(&format!("#{rank} in {name}")).into_iter().next();
        let (category, says_top_100) = shown
            .map_or_else(|| (clean_text(name).into_owned(), false), |rank| (rank.category, rank.is_main));
        let category_id = link.and_then(category_node).map(str::to_owned);
        let leads_to_store = category_id.is_none() && link.is_some_and(is_store_link);
        let is_main = (says_top_100 || leads_to_store) && !ranks.iter().any(|rank| rank.is_main);
        ranks.push(Rank { category_id, category, rank, is_main });
    }
    record.ranks(field, marketplace, ranks)
}

/// The browse node at the end of `/gp/bestsellers/electronics/12097479011/ref=…`; null on the page of a store.
pub(super) fn category_node(link: &str) -> Option<&str> {
    let path = link.split(['?', '#']).next().unwrap_or_default();
    path.split('/').find(|part| part.len() >= 3 && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_store_link(link: &str) -> bool {
    ["/bestsellers/", "/zgbs/"].iter().any(|path| link.contains(path))
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ReviewItem<'a> {
    #[serde(borrow)]
    status_code: Scalar<'a>,
    #[serde(borrow)]
    status_message: Scalar<'a>,
    #[serde(borrow)]
    asin: Scalar<'a>,
    #[serde(borrow)]
    domain_code: Scalar<'a>,
    #[serde(borrow)]
    review_id: Scalar<'a>,
    #[serde(borrow)]
    rating: Scalar<'a>,
    #[serde(borrow)]
    title: Scalar<'a>,
    #[serde(borrow)]
    text: Scalar<'a>,
    #[serde(borrow)]
    date: Scalar<'a>,
    #[serde(borrow)]
    verified: Scalar<'a>,
    #[serde(borrow)]
    number_of_helpful: Scalar<'a>,
    #[serde(borrow)]
    filters: Object<'a, Filters<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Filters<'a> {
    #[serde(borrow)]
    filter_by_star: Scalar<'a>,
}

/// The marketplace of axesso's domain code: `com`, `co.uk`, `de`.
pub(super) fn domain_marketplace(code: &str) -> Option<Marketplace> {
    Marketplace::from_domain(&format!("amazon.{}", code.trim().trim_start_matches('.')))
}

/// One review. The product's own rating stands in these rows too, but is never taken from them: their list may be
/// filtered by stars. The author's name is not kept.
pub(super) fn parse_review(context: &RecordContext, item: &ReviewItem<'_>) -> Parsed {
    let mut record = Record::new(context, 0);
    if !item.status_code.is_null() && item.status_code.integer() != Some(200) {
        let code = item.status_code.shown().unwrap_or_default();
        let message = item.status_message.text().unwrap_or_default();
        record.reject(RejectReason::NotAProduct, "statusCode", format!("{code} {message}"));
        return record.rejected();
    }
    let domain = item.domain_code.text().map(|code| format!("amazon.{}", code.trim()));
    let marketplace = domain.as_deref().map(|domain| ("domainCode", domain));
    let claim = Claim { marketplace, asin: item.asin.text(), ..Claim::default() };
    let Some(identity) = record.identify(&claim) else { return record.rejected() };
    let Some(review_id) = cleaned(&item.review_id) else {
        record.reject(RejectReason::InvalidValue, "reviewId", "the review has no id");
        return record.rejected();
    };
    let star_filter = item.filters.object.as_ref().and_then(|filters| cleaned(&filters.filter_by_star));
    let rating_centi = record.rating("rating", &item.rating);
    let helpful_count = record.count("numberOfHelpful", &item.number_of_helpful);
    record.reviewed(Review {
        marketplace: identity.marketplace,
        asin: identity.asin,
        review_id,
        rating_centi,
        title: cleaned(&item.title),
        body: cleaned(&item.text),
        reviewed_on: item.date.text().and_then(parse_date),
        verified: item.verified.bool(),
        helpful_count,
        list_filter: star_filter.filter(|filter| filter != "all_stars"),
    })
}
