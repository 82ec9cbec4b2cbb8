//! One item of the axesso product details actor, as its real data sets have it (`productDetails` holds the ranks as
//! text, there is no currency and no time), and what reading that item must give.

use serde::Serialize;
use serde_json::value::RawValue;

use super::catalog::{Language, said};
use super::expected::{self, Expected};
use super::fact::{Fact, Garbage, Profile, Showing};
use super::prose::{self, Filling};
use super::text;
use crate::model::{Condition, Fulfilment, Listing, Observation, OfferBlock, PriceBasis};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    status_code: u16,
    status_message: &'a str,
    url: &'a str,
    title: &'a str,
    manufacturer: String,
    count_review: i64,
    product_rating: Option<String>,
    asin: &'a str,
    sold_by: Option<&'a str>,
    fulfilled_by: Option<&'a str>,
    seller_id: Option<&'a str>,
    warehouse_availability: String,
    retail_price: Box<RawValue>,
    price: Box<RawValue>,
    price_range: Option<()>,
    shipping_price: u8,
    price_shipping_information: &'a str,
    price_saving: Option<String>,
    features: &'a [String],
    image_url_list: &'a [String],
    #[serde(rename = "videoeUrlList")]
    video_url_list: [(); 0],
    product_description: Option<&'a str>,
    product_details: Option<Vec<Named<'a>>>,
    minimal_quantity: &'a str,
    reviews: Vec<ItemReview<'a>>,
    product_specification: [(); 0],
    main_image: MainImage<'a>,
    variations: Vec<Variation<'a>>,
    book_variations: [(); 0],
    categories_extended: Vec<Crumb<'a>>,
    delivery_message: Option<()>,
    important_information: [(); 0],
    buy_box_used: Option<()>,
    about_product: Vec<Named<'a>>,
    global_reviews: [(); 0],
    deal: bool,
    prime: bool,
    used: bool,
    past_sales: Option<String>,
    review_insights: Option<()>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemReview<'a> {
    text: &'a str,
    date: &'a str,
    rating: &'a str,
    title: &'a str,
    user_name: &'a str,
    url: &'a str,
    image_url_list: Option<()>,
    variation_list: [(); 0],
    review_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MainImage<'a> {
    image_url: &'a str,
    image_resolution: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Variation<'a> {
    variation_name: &'a str,
    values: Vec<VariationValue<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VariationValue<'a> {
    value: &'a str,
    dp_url: &'a str,
    selected: bool,
    available: bool,
    price: u8,
    image_url: &'a str,
    asin: &'a str,
}

#[derive(Serialize)]
struct Crumb<'a> {
    name: &'a str,
    url: String,
    node: &'a str,
}

/// A row that names the product and nothing else; also, with status 404, a product that is not found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BareItem<'a> {
    status_code: u16,
    status_message: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    asin: Option<&'a str>,
}

/// The item as JSON, padded to about `payload_bytes` bytes where that is more than it needs.
pub(super) fn render(profile: &Profile, fact: &Fact, payload_bytes: usize) -> serde_json::Result<String> {
    let asin = profile.key.asin;
    let url = text::product_url(profile, fact.language, "/?th=1&psc=1");
    match fact.showing {
        Showing::NotFound => serde_json::to_string(&BareItem {
            status_code: 404,
            status_message: "NOT_FOUND",
            url: &url,
            asin: None,
        }),
        Showing::Hollow => serde_json::to_string(&BareItem {
            status_code: 200,
            status_message: "FOUND",
            url: &url,
            asin: Some(asin.as_str()),
        }),
        Showing::Full => {
            let plain = full(profile, fact, &url, &prose::filling(profile, 0))?;
            let missing = payload_bytes.saturating_sub(plain.len());
            if missing == 0 {
                Ok(plain)
            } else {
                full(profile, fact, &url, &prose::filling(profile, missing))
            }
        }
    }
}

fn full(profile: &Profile, fact: &Fact, url: &str, filling: &Filling) -> serde_json::Result<String> {
    let currency = profile.key.marketplace.currency();
    let (title, images) = (profile.title(fact.title_revision), profile.images());
    let bullets = prose::bullets(profile, fact.title_revision);
    let price = fact.shown_price_minor();
    let stars = match fact.garbage {
        Some(Garbage::SevenStars) => Some(70),
        _ => fact.rating_tenths,
    };
    let seller = fact.seller.as_ref();
    serde_json::to_string(&Item {
        status_code: 200,
        status_message: "FOUND",
        url,
        title: &title,
        manufacturer: text::byline(&profile.brand, fact.language),
        count_review: fact.ratings_count,
        product_rating: stars.map(|tenths| text::stars(tenths, fact.language)),
        asin: profile.key.asin.as_str(),
        sold_by: seller.map(|seller| seller.name.as_str()),
        fulfilled_by: seller.map(|seller| match seller.fulfilment {
            Fulfilment::Fba => "Amazon",
            Fulfilment::Amazon | Fulfilment::Fbm => seller.name.as_str(),
        }),
        seller_id: seller.and_then(|seller| seller.id.as_deref()),
        warehouse_availability: text::availability(fact, fact.language),
        retail_price: text::decimal(fact.list_price_minor.unwrap_or(0), currency)?,
        price: text::decimal(price.unwrap_or(0), currency)?,
        price_range: None,
        shipping_price: 0,
        price_shipping_information: "",
        price_saving: text::saving(price, fact.list_price_minor),
        features: &bullets,
        image_url_list: &images,
        video_url_list: [],
        product_description: Some(&filling.description),
        product_details: Some(details(profile, fact)),
        minimal_quantity: "1",
        reviews: filling.reviews.iter().map(review).collect(),
        product_specification: [],
        main_image: MainImage {
            image_url: images.first().map_or("", String::as_str),
            image_resolution: "679 x 679",
        },
        variations: variations(profile),
        book_variations: [],
        categories_extended: crumbs(profile, fact),
        delivery_message: None,
        important_information: [],
        buy_box_used: None,
        about_product: about(profile, fact.language),
        global_reviews: [],
        deal: fact.is_deal,
        prime: fact.is_prime,
        used: false,
        past_sales: shown_sold_floor(fact).map(text::bought_past_month),
        review_insights: None,
    })
}

/// Only English pages say how often a product was bought.
fn shown_sold_floor(fact: &Fact) -> Option<i64> {
    fact.monthly_sold_min.filter(|_| fact.language == Language::English)
}

fn details<'a>(profile: &'a Profile, fact: &Fact) -> Vec<Named<'a>> {
    let mut details = vec![
        Named { name: "ASIN", value: profile.key.asin.to_string() },
        Named { name: "Item model number", value: profile.model.clone() },
    ];
    if let Some(main) = &fact.main_rank {
        let name = said(&text::RANK_LABEL, fact.language);
        details.push(Named { name, value: text::ranks(main, &fact.other_ranks, fact.language) });
    }
    details.push(Named { name: "Manufacturer", value: format!("{} Technology Co., Ltd", profile.brand) });
    details
}

fn about(profile: &Profile, language: Language) -> Vec<Named<'_>> {
    vec![
        Named { name: said(&text::BRAND_LABEL, language), value: profile.brand.clone() },
        Named { name: "Color", value: profile.color.to_owned() },
    ]
}

fn crumbs<'a>(profile: &Profile, fact: &Fact) -> Vec<Crumb<'a>> {
    let crumb = |(index, node): (usize, &'static super::catalog::Node)| Crumb {
        name: node.name(fact.language),
        url: format!("/b/ref=dp_bc_{}?ie=UTF8&node={}", index + 1, node.id),
        node: node.id,
    };
    fact.path(profile).into_iter().enumerate().map(crumb).collect()
}

fn variations(profile: &Profile) -> Vec<Variation<'_>> {
    if profile.variants.is_empty() {
        return Vec::new();
    }
    let value = |value, asin, selected| VariationValue {
        value,
        dp_url: "",
        selected,
        available: true,
        price: 0,
        image_url: "https://m.media-amazon.com/images/I/412JgW8HwML._SS64_.jpg",
        asin,
    };
    let own = value(profile.color, profile.key.asin.as_str(), true);
    let others =
        super::catalog::COLORS.iter().filter(|color| **color != profile.color).zip(&profile.variants);
    let values = std::iter::once(own).chain(others.map(|(color, asin)| value(color, asin.as_str(), false)));
    vec![Variation { variation_name: "color_name", values: values.collect() }]
}

fn review((id, title, text): &(String, String, String)) -> ItemReview<'_> {
    ItemReview {
        text,
        date: "Reviewed in the United States on December 3, 2024",
        rating: "5.0 out of 5 stars",
        title,
        user_name: "",
        url: "",
        image_url_list: None,
        variation_list: [],
        review_id: id,
    }
}

/// What reading the item gives.
pub(super) fn expected(profile: &Profile, fact: &Fact) -> Expected {
    if fact.showing == Showing::Full && fact.garbage == Some(Garbage::SevenStars) {
        return Expected::Rejected { reason: "out_of_range", field: "productRating" };
    }
    let mut observation =
        Observation { found: fact.showing != Showing::NotFound, ..expected::empty(profile) };
    if fact.showing == Showing::Full {
        observation.offer = offer(fact);
        observation.rank = expected::ranks(profile, fact, |_| None);
        observation.rating = expected::rating(fact);
        observation.monthly_sold_min = shown_sold_floor(fact);
        observation.listing = listing(profile, fact);
    }
    Expected::Observed(Box::new(observation))
}

/// Without an offer the page's flags say nothing.
fn offer(fact: &Fact) -> OfferBlock {
    let offered = fact.price_minor.is_some();
    OfferBlock {
        price_minor: fact.shown_price_minor(),
        price_basis: fact.price_minor.map(|_| PriceBasis::Page),
        list_price_minor: fact.list_price_minor,
        is_deal: offered.then_some(fact.is_deal),
        is_prime: offered.then_some(fact.is_prime),
        condition: offered.then_some(Condition::New),
        seller_id: fact.seller.as_ref().and_then(|seller| seller.id.clone()),
        seller_name: fact.seller.as_ref().map(|seller| seller.name.clone()),
        fulfilment: fact.seller.as_ref().map(|seller| seller.fulfilment),
        availability: fact.availability,
        stock_quantity: fact.stock_quantity,
        ..OfferBlock::default()
    }
}

fn listing(profile: &Profile, fact: &Fact) -> Listing {
    let images = profile.images();
    Listing {
        title: Some(profile.title(fact.title_revision)),
        brand: Some(profile.brand.clone()),
        category_path: fact.path(profile).iter().map(|node| node.name(fact.language).to_owned()).collect(),
        image_url: images.first().cloned(),
        parent_asin: None,
        bullets: prose::bullets(profile, fact.title_revision),
        images,
        variants: profile.variants.clone(),
    }
}
