//! What a page says of the product itself: its content, its ranks, and what buyers think.

use scraper::ElementRef;

use super::super::axesso::category_node;
use super::super::record::{Record, category_path};
use super::super::value::Scalar;
use super::dom::{Page, attribute, closest, has_class, text, with_class};
use crate::model::text::{clean_brand, clean_text, is_brand_label, is_rank_label, parse_count, parse_ranks};
use crate::model::{Listing, Marketplace, Rank, RatingBlock};

/// Blocks with the product's details, as table rows or as list entries.
const DETAILS: [&str; 7] = [
    "productDetails_detailBullets_sections1",
    "prodDetails",
    "detailBulletsWrapper_feature_div",
    "detailBullets_feature_div",
    "productDetails_techSpec_section_1",
    "productOverview_feature_div",
    "SalesRank",
];

/// Main pictures: of most products, of books, of books for Kindle.
const IMAGES: [&str; 3] = ["landingImage", "imgBlkFront", "ebooksImgBlkFront"];

pub(super) fn read(page: &Page<'_>) -> Listing {
    let byline = page.text("bylineInfo");
    let brand = byline.as_deref().and_then(clean_brand).or_else(|| {
        detail_labels(page)
            .filter(|(_, label)| is_brand_label(label.trim_end_matches([':', ' '])))
            .find_map(|(element, label)| clean_brand(&row_text(element, &label)?))
    });
    Listing {
        title: page.text("productTitle").map(|title| clean_text(&title).into_owned()),
        brand,
        category_path: breadcrumbs(page),
        image_url: IMAGES.iter().flat_map(|id| page.all(id)).find_map(image),
        bullets: bullets(page),
        ..Listing::default()
    }
}

fn breadcrumbs(page: &Page<'_>) -> Vec<String> {
    let trail = page.all("wayfinding-breadcrumbs_feature_div").flat_map(|block| block.descendent_elements());
    let is_level =
        |link: &ElementRef<'_>| link.value().name() == "a" && link.attr("id") != Some("breadcrumb-back-link");
    let levels: Vec<String> = trail.filter(is_level).filter_map(text).collect();
    category_path(levels.iter().map(String::as_str))
}

/// The largest picture's address.
fn image(element: ElementRef<'_>) -> Option<String> {
    let large = attribute(element, "data-old-hires").map(str::to_owned);
    // An object of addresses and sizes; its first key is the usual one.
    let first = || Some(attribute(element, "data-a-dynamic-image")?.split('"').nth(1)?.to_owned());
    let plain = || attribute(element, "src").map(str::to_owned);
    let url = large.or_else(first).or_else(plain)?;
    url.starts_with("http").then(|| clean_text(&url).into_owned())
}

fn bullets(page: &Page<'_>) -> Vec<String> {
    let items = page.all("feature-bullets").flat_map(|block| with_class(block, "a-list-item"));
    let is_shown =
        |item: &ElementRef<'_>| closest(*item, &["li"]).is_some_and(|li| !has_class(li, "aok-hidden"));
    let texts = items.filter(is_shown).filter_map(text).map(|text| clean_text(&text).into_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

/// The labels of the product's details with their elements, in the order of [`DETAILS`].
fn detail_labels<'h>(page: &Page<'h>) -> impl Iterator<Item = (ElementRef<'h>, String)> {
    let blocks = DETAILS.iter().flat_map(|id| page.all(id));
    let is_label = |element: &ElementRef<'_>| {
        let name = element.value().name();
        matches!(name, "th" | "td" | "b") || name == "span" && has_class(*element, "a-text-bold")
    };
    let labels = blocks.flat_map(|block| block.descendent_elements()).filter(is_label);
    labels.filter_map(|element| Some((element, text(element)?)))
}

/// The text of the row or entry that a label stands in, without the label.
fn row_text(label_element: ElementRef<'_>, label: &str) -> Option<String> {
    let row = row_of(label_element)?;
    let whole = text(row)?;
    let rest = whole.split_once(label).map_or(whole.as_str(), |(_, rest)| rest);
    let rest = rest.trim_start_matches([':', '：', ' ']);
    (!rest.is_empty()).then(|| rest.to_owned())
}

fn row_of(label: ElementRef<'_>) -> Option<ElementRef<'_>> {
    closest(label, &["tr", "li"]).or_else(|| label.parent().and_then(ElementRef::wrap))
}

/// All ranks, from the first block of details that has them.
pub(super) fn ranks(record: &mut Record<'_>, page: &Page<'_>, marketplace: Marketplace) -> Vec<Rank> {
    const LONGEST_LABEL: usize = 80;
    let mut labels =
        detail_labels(page).filter(|(_, label)| label.len() <= LONGEST_LABEL && is_rank_label(label));
    let found = labels.find_map(|(element, label)| {
        let ranks = parse_ranks(&row_text(element, &label)?);
        (!ranks.is_empty()).then_some((element, ranks))
    });
    let old = || {
        let block = page.all("SalesRank").next()?;
        let ranks = parse_ranks(&text(block)?);
        (!ranks.is_empty()).then_some((block, ranks))
    };
    let Some((element, mut ranks)) = found.or_else(old) else { return Vec::new() };
    if let Some(row) = row_of(element) {
        name_nodes(&mut ranks, row);
    }
    record.ranks("bestSellersRank", marketplace, ranks)
}

/// Gives each rank the browse node that the link on its category's name leads to.
fn name_nodes(ranks: &mut [Rank], row: ElementRef<'_>) {
    for link in row.descendent_elements().filter(|element| element.value().name() == "a") {
        let (Some(name), Some(node)) = (text(link), attribute(link, "href").and_then(category_node)) else {
            continue;
        };
        let name = clean_text(&name);
        if let Some(rank) = ranks.iter_mut().find(|rank| rank.category_id.is_none() && rank.category == name)
        {
            rank.category_id = Some(node.to_owned());
        }
    }
}

pub(super) fn rating(record: &mut Record<'_>, page: &Page<'_>) -> RatingBlock {
    let stars = page.all("acrPopover").find_map(|element| attribute(element, "title"));
    let count = page.text("acrCustomerReviewText");
    let rating_centi = stars.and_then(|stars| record.rating("acrPopover", &Scalar::Text(stars.into())));
    let ratings_count = count
        .filter(|count| count.contains(char::is_numeric))
        .and_then(|count| record.count("acrCustomerReviewText", &Scalar::Text(count.into())));
    // A rating cannot come from nobody: the page did not say how many.
    let ratings_count = ratings_count.filter(|&count| count > 0 || rating_centi.is_none());
    RatingBlock { rating_centi, ratings_count }
}

/// How many were bought in the past month at least.
pub(super) fn sold_min(page: &Page<'_>) -> Option<i64> {
    page.text("social-proofing-faceout-title-tk_bought").as_deref().and_then(parse_count)
}
