//! One item of the junglee product scraper: `price` an object with a symbol or null, `inStock` a hint beside the
//! text, ranks as a list; and what reading that item must give.

use serde::Serialize;
use serde_json::value::RawValue;

use super::expected::{self, Expected};
use super::fact::{Fact, FactRank, Garbage, Profile, Showing};
use super::prose;
use super::text;
use crate::model::{Currency, Fulfilment, Listing, Observation, OfferBlock, PriceBasis};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    title: &'a str,
    url: &'a str,
    asin: &'a str,
    in_stock: bool,
    in_stock_text: String,
    brand: &'a str,
    price: Option<Amount>,
    list_price: Option<Amount>,
    shipping_price: Option<()>,
    stars: Option<Box<RawValue>>,
    reviews_count: Option<i64>,
    answered_questions: Option<()>,
    bread_crumbs: String,
    thumbnail_image: Option<&'a str>,
    gallery_thumbnails: [(); 0],
    high_resolution_images: &'a [String],
    description: Option<&'a str>,
    features: &'a [String],
    variant_asins: Vec<&'a str>,
    variant_details: [(); 0],
    has_reviews: bool,
    seller: Option<ItemSeller<'a>>,
    bestseller_ranks: Option<Vec<ItemRank<'a>>>,
    monthly_purchase_volume: Option<String>,
    location_text: &'a str,
}

#[derive(Serialize)]
struct Amount {
    value: Box<RawValue>,
    currency: &'static str,
}

#[derive(Serialize)]
struct ItemSeller<'a> {
    name: &'a str,
    id: Option<&'a str>,
    url: String,
}

#[derive(Serialize)]
struct ItemRank<'a> {
    rank: i64,
    category: &'a str,
    url: String,
}

/// The short configuration's item with nothing known; there is none at all for a product that is not found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BareItem<'a> {
    title: Option<()>,
    asin: &'a str,
    brand: Option<()>,
    stars: Option<()>,
    reviews_count: Option<()>,
    thumbnail_image: Option<()>,
    bread_crumbs: &'a str,
    description: Option<()>,
    price: Option<()>,
    url: &'a str,
}

/// The symbol that the actor writes; `$` also for dollars that are not the United States'.
fn symbol(currency: Currency) -> &'static str {
    match currency.code() {
        "EUR" => "€",
        "GBP" => "£",
        "JPY" => "¥",
        "INR" => "₹",
        "BRL" => "R$",
        "PLN" => "zł",
        "SEK" => "kr",
        "USD" | "CAD" | "AUD" | "MXN" | "SGD" => "$",
        _ => currency.code(),
    }
}

/// The item as JSON; null for a product that is not found, of which the actor says nothing.
pub(super) fn render(
    profile: &Profile,
    fact: &Fact,
    payload_bytes: usize,
) -> serde_json::Result<Option<String>> {
    let url = text::product_url(profile, fact.language, "?language=en");
    match fact.showing {
        Showing::NotFound => Ok(None),
        Showing::Hollow => serde_json::to_string(&BareItem {
            title: None,
            asin: profile.key.asin.as_str(),
            brand: None,
            stars: None,
            reviews_count: None,
            thumbnail_image: None,
            bread_crumbs: "",
            description: None,
            price: None,
            url: &url,
        })
        .map(Some),
        Showing::Full => full(profile, fact, &url, payload_bytes).map(Some),
    }
}

fn full(profile: &Profile, fact: &Fact, url: &str, payload_bytes: usize) -> serde_json::Result<String> {
    let currency = profile.key.marketplace.currency();
    let amount = |minor: Option<i64>| -> serde_json::Result<Option<Amount>> {
        minor
            .map(|minor| Ok(Amount { value: text::decimal(minor, currency)?, currency: symbol(currency) }))
            .transpose()
    };
    let stars = match fact.garbage {
        Some(Garbage::SevenStars) => Some(70),
        _ => fact.rating_tenths,
    };
    let (title, images) = (profile.title(fact.title_revision), profile.images());
    let bullets = prose::bullets(profile, fact.title_revision);
    let description = prose::filling(profile, payload_bytes.saturating_sub(2_500)).description;
    let names: Vec<&str> = fact.path(profile).iter().map(|node| node.name(fact.language)).collect();
    serde_json::to_string(&Item {
        title: &title,
        url,
        asin: profile.key.asin.as_str(),
        // The flag is known to contradict the text; the text is right.
        in_stock: fact.availability.is_in_stock() && !profile.prose.is_multiple_of(5),
        in_stock_text: text::availability(fact, fact.language),
        brand: &profile.brand,
        price: amount(fact.shown_price_minor())?,
        list_price: amount(fact.list_price_minor)?,
        shipping_price: None,
        stars: stars.map(text::tenths).transpose()?,
        reviews_count: fact.rating_tenths.map(|_| fact.ratings_count),
        answered_questions: None,
        bread_crumbs: names.join(" › "),
        thumbnail_image: images.first().map(String::as_str),
        gallery_thumbnails: [],
        high_resolution_images: &images,
        description: Some(&description),
        features: &bullets,
        variant_asins: profile.variants.iter().map(|asin| asin.as_str()).collect(),
        variant_details: [],
        has_reviews: fact.ratings_count > 0,
        seller: fact.seller.as_ref().map(|seller| ItemSeller {
            name: &seller.name,
            id: seller.id.as_deref(),
            url: format!("/gp/help/seller/at-a-glance.html?asin={}", profile.key.asin),
        }),
        bestseller_ranks: ranks(profile, fact),
        monthly_purchase_volume: fact.monthly_sold_min.map(text::bought_past_month),
        location_text: "Select your address",
    })
}

fn ranks<'a>(profile: &Profile, fact: &Fact) -> Option<Vec<ItemRank<'a>>> {
    let main = fact.main_rank.as_ref()?;
    let (domain, slug) = (profile.key.marketplace.domain(), profile.category.slug);
    let item = |rank: &FactRank, end: String| ItemRank {
        rank: rank.rank,
        category: rank.node.name(fact.language),
        url: format!("https://www.{domain}/gp/bestsellers/{slug}/{end}_{slug}"),
    };
    let first = item(main, "ref=pd_zg_ts".to_owned());
    let others = fact.other_ranks.iter().map(|rank| item(rank, format!("{}/ref=pd_zg_hrsr", rank.node.id)));
    Some(std::iter::once(first).chain(others).collect())
}

/// What reading the item gives; null where there is no item.
pub(super) fn expected(profile: &Profile, fact: &Fact) -> Option<Expected> {
    match fact.showing {
        Showing::NotFound => None,
        Showing::Hollow => Some(Expected::Observed(Box::new(expected::empty(profile)))),
        Showing::Full if fact.garbage == Some(Garbage::SevenStars) => {
            Some(Expected::Rejected { reason: "out_of_range", field: "stars" })
        }
        Showing::Full => Some(Expected::Observed(Box::new(observation(profile, fact)))),
    }
}

fn observation(profile: &Profile, fact: &Fact) -> Observation {
    let images = profile.images();
    Observation {
        offer: OfferBlock {
            price_minor: fact.shown_price_minor(),
            price_basis: fact.price_minor.map(|_| PriceBasis::Page),
            list_price_minor: fact.list_price_minor,
            seller_id: fact.seller.as_ref().and_then(|seller| seller.id.clone()),
            seller_name: fact.seller.as_ref().map(|seller| seller.name.clone()),
            // The actor does not say who ships; only Amazon's own offer tells it by its name.
            fulfilment: fact.seller.as_ref().map(|s| s.fulfilment).filter(|f| *f == Fulfilment::Amazon),
            availability: fact.availability,
            stock_quantity: fact.stock_quantity,
            ..OfferBlock::default()
        },
        // The address of a leaf's list names its node, that of the root's does not.
        rank: expected::ranks(profile, fact, |node| {
            (*node != profile.category.root).then(|| node.id.to_owned())
        }),
        rating: crate::model::RatingBlock {
            rating_centi: fact.rating_centi(),
            ratings_count: fact.rating_tenths.map(|_| fact.ratings_count),
        },
        monthly_sold_min: fact.monthly_sold_min,
        listing: Listing {
            title: Some(profile.title(fact.title_revision)),
            brand: Some(profile.brand.clone()),
            category_path: fact.path(profile).iter().map(|n| n.name(fact.language).to_owned()).collect(),
            image_url: images.first().cloned(),
            parent_asin: None,
            bullets: prose::bullets(profile, fact.title_revision),
            images,
            variants: profile.variants.clone(),
        },
        ..expected::empty(profile)
    }
}
