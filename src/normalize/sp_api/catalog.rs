//! Catalog Items 2022-04-01: one item, or the items of a search. Every section has a part for each marketplace, and
//! each marketplace of an item is an observation.
//!
//! A list price is the only thing here that is said of an offer.

use serde::Deserialize;

use super::identify;
use crate::model::text::clean_brand;
use crate::model::{Asin, Listing, Marketplace, Rank};
use crate::normalize::record::{Record, category_path, cleaned, variants};
use crate::normalize::value::{List, Object, Scalar};
use crate::normalize::{Parsed, RecordContext, RejectReason};

/// A catalogue item, or a search's answer with its items.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    items: Option<List<Object<'a, Item<'a>>>>,
    #[serde(borrow)]
    asin: Scalar<'a>,
    #[serde(borrow)]
    summaries: Sections<'a>,
    #[serde(borrow)]
    sales_ranks: Sections<'a>,
    #[serde(borrow)]
    classifications: Sections<'a>,
    #[serde(borrow)]
    images: Sections<'a>,
    #[serde(borrow)]
    relationships: Sections<'a>,
    #[serde(borrow)]
    attributes: Object<'a, Attributes<'a>>,
}

type Sections<'a> = List<Object<'a, Section<'a>>>;

/// One marketplace's part of any section: no two sections use the same key for different things.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Section<'a> {
    #[serde(borrow)]
    marketplace_id: Scalar<'a>,
    #[serde(borrow)]
    item_name: Scalar<'a>,
    #[serde(borrow)]
    brand: Scalar<'a>,
    #[serde(borrow)]
    display_group_ranks: List<Object<'a, CategoryRank<'a>>>,
    #[serde(borrow)]
    classification_ranks: List<Object<'a, CategoryRank<'a>>>,
    #[serde(borrow)]
    classifications: List<Object<'a, Classification<'a>>>,
    #[serde(borrow)]
    images: List<Object<'a, Image<'a>>>,
    #[serde(borrow)]
    relationships: List<Object<'a, Relationship<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct CategoryRank<'a> {
    #[serde(borrow)]
    classification_id: Scalar<'a>,
    #[serde(borrow)]
    website_display_group: Scalar<'a>,
    #[serde(borrow)]
    title: Scalar<'a>,
    #[serde(borrow)]
    rank: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Classification<'a> {
    #[serde(borrow)]
    display_name: Scalar<'a>,
    #[serde(borrow)]
    parent: Box<Object<'a, Classification<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Image<'a> {
    #[serde(borrow)]
    variant: Scalar<'a>,
    #[serde(borrow)]
    link: Scalar<'a>,
    #[serde(borrow)]
    height: Scalar<'a>,
    #[serde(borrow)]
    width: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Relationship<'a> {
    #[serde(borrow, rename = "type")]
    kind: Scalar<'a>,
    #[serde(borrow)]
    parent_asins: List<Scalar<'a>>,
    #[serde(borrow)]
    child_asins: List<Scalar<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attributes<'a> {
    #[serde(borrow)]
    list_price: List<Object<'a, Attribute<'a>>>,
    #[serde(borrow)]
    bullet_point: List<Object<'a, Attribute<'a>>>,
    #[serde(borrow)]
    brand: List<Object<'a, Attribute<'a>>>,
    #[serde(borrow)]
    item_name: List<Object<'a, Attribute<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attribute<'a> {
    #[serde(borrow)]
    marketplace_id: Scalar<'a>,
    #[serde(borrow)]
    language_tag: Scalar<'a>,
    #[serde(borrow)]
    value: Scalar<'a>,
    /// Of a price where taxes are shown apart.
    #[serde(borrow)]
    value_with_tax: Scalar<'a>,
    #[serde(borrow)]
    currency: Scalar<'a>,
}

/// Each marketplace of each item, counted through.
pub(super) fn parse(context: &RecordContext, answer: &Item<'_>) -> Parsed {
    let mut parsed = Parsed::default();
    let mut number = 0_u32;
    let mut add = |item: &Item<'_>| {
        for marketplace_id in item.marketplace_ids() {
            let record = Record::new(context, number);
            parsed.add_item(context, number, None, parse_one(record, item, &marketplace_id));
            number = number.saturating_add(1);
        }
    };
    match &answer.items {
        Some(items) => items.0.iter().filter_map(|item| item.object.as_ref()).for_each(&mut add),
        None => add(answer),
    }
    if parsed.observations.is_empty() && parsed.rejects.is_empty() {
        let mut record = Record::new(context, 0);
        record.reject(RejectReason::NotAProduct, "items", "the answer has no items");
        return record.rejected();
    }
    parsed
}

impl<'a> Item<'a> {
    /// The marketplaces that any section names, in the order in which they are named first; one that is unnamed where
    /// none is.
    fn marketplace_ids(&self) -> Vec<Scalar<'a>> {
        let lists =
            [&self.summaries, &self.sales_ranks, &self.classifications, &self.images, &self.relationships];
        let sections =
            lists.into_iter().flat_map(|list| &list.0).filter_map(|section| section.object.as_ref());
        let attributes = self.attributes.object.as_ref();
        let attributes =
            attributes.map(|all| [&all.item_name, &all.bullet_point, &all.brand, &all.list_price]);
        let attributes = attributes.into_iter().flatten().flat_map(|list| &list.0);
        let attributes = attributes.filter_map(|attribute| attribute.object.as_ref());
        let ids = sections
            .map(|section| &section.marketplace_id)
            .chain(attributes.map(|attribute| &attribute.marketplace_id));
        let mut named: Vec<Scalar<'a>> = Vec::new();
        for id in ids.filter(|id| !id.is_null()) {
            if !named.contains(id) {
                named.push(id.clone());
            }
        }
        if named.is_empty() { vec![Scalar::Null] } else { named }
    }
}

/// The part of a section that is this marketplace's.
fn part<'s, 'a>(sections: &'s Sections<'a>, id: &Scalar<'_>) -> Option<&'s Section<'a>> {
    let mut parts = sections.0.iter().filter_map(|section| section.object.as_ref());
    parts.find(|section| section.marketplace_id == *id)
}

/// The values of an attribute that hold for this marketplace.
fn values<'s, 'a>(
    attributes: &'s List<Object<'a, Attribute<'a>>>,
    id: &'s Scalar<'_>,
) -> impl Iterator<Item = &'s Attribute<'a>> {
    let all = attributes.0.iter().filter_map(|attribute| attribute.object.as_ref());
    all.filter(move |value| value.marketplace_id.is_null() || value.marketplace_id == *id)
}

fn parse_one(mut record: Record<'_>, item: &Item<'_>, id: &Scalar<'_>) -> Parsed {
    let Some(identity) = identify(&mut record, id, &item.asin, &Scalar::Null) else {
        return record.rejected();
    };
    let marketplace = identity.marketplace;
    let mut observation = identity.observation(true);
    let none = Attributes::default();
    let attributes = item.attributes.object.as_ref().unwrap_or(&none);
    if let Some(price) = values(&attributes.list_price, id).next() {
        let amount = if price.value.is_null() { &price.value_with_tax } else { &price.value };
        record.currency("list_price", &price.currency, marketplace);
        observation.offer.list_price_minor = record.money("list_price", amount, marketplace);
    }
    observation.listing = listing(item, attributes, id, identity.asin, marketplace);
    observation.rank.path_leaf = observation.listing.category_path.last().cloned();
    if let Some(section) = part(&item.sales_ranks, id) {
        observation.rank.ranks = ranks(&mut record, section, marketplace);
    }
    record.observed(observation)
}

fn listing(
    item: &Item<'_>,
    attributes: &Attributes<'_>,
    id: &Scalar<'_>,
    asin: Asin,
    marketplace: Marketplace,
) -> Listing {
    let none = Section::default();
    let summary = part(&item.summaries, id).unwrap_or(&none);
    let (main_image, images) = part(&item.images, id).map_or_else(Default::default, images);
    let title = cleaned(&summary.item_name)
        .or_else(|| in_language(&attributes.item_name, id, marketplace).first().cloned());
    let brand = in_language(&attributes.brand, id, marketplace);
    let brand = summary.brand.text().or(brand.first().map(String::as_str)).and_then(clean_brand);
    let relationships = part(&item.relationships, id).map_or(&[][..], |part| &part.relationships.0);
    let variations = || {
        let all = relationships.iter().filter_map(|relationship| relationship.object.as_ref());
        all.filter(|relationship| relationship.kind.text() == Some("VARIATION"))
    };
    let parent = variations().flat_map(|relationship| &relationship.parent_asins.0).next();
    let children = variations().flat_map(|relationship| &relationship.child_asins.0);
    Listing {
        title,
        brand,
        category_path: part(&item.classifications, id).map(path).unwrap_or_default(),
        image_url: main_image.or_else(|| images.first().cloned()),
        parent_asin: parent.and_then(|parent| parent.text()?.parse().ok()),
        bullets: in_language(&attributes.bullet_point, id, marketplace),
        images,
        variants: variants(asin, children.filter_map(|child| child.text())),
    }
}

/// The category path of the first classification, which is given leaf first, with its parents.
fn path(section: &Section<'_>) -> Vec<String> {
    let mut names = Vec::new();
    let mut category = section.classifications.0.iter().find_map(|category| category.object.as_ref());
    while let Some(found) = category {
        names.extend(found.display_name.text());
        category = found.parent.object.as_ref();
    }
    category_path(names.into_iter().rev())
}

/// The largest picture of the main variant, and the largest of each variant in the order of the answer.
fn images(section: &Section<'_>) -> (Option<String>, Vec<String>) {
    let mut largest: Vec<(&str, i64, &str)> = Vec::new();
    for image in section.images.0.iter().filter_map(|image| image.object.as_ref()) {
        let Some(link) = image.link.text() else { continue };
        let variant = image.variant.text().unwrap_or_default();
        let side = |side: &Scalar<'_>| side.integer().unwrap_or(0).clamp(0, 1 << 20);
        let size = side(&image.height) * side(&image.width);
        match largest.iter_mut().find(|(known, ..)| *known == variant) {
            Some(known) if size > known.1 => *known = (variant, size, link),
            Some(_) => {}
            None => largest.push((variant, size, link)),
        }
    }
    let main = largest.iter().find(|(variant, ..)| *variant == "MAIN").map(|(_, _, link)| (*link).to_owned());
    (main, largest.into_iter().map(|(_, _, link)| link.to_owned()).collect())
}

/// The texts of an attribute in the marketplace's own language, else in the first one that they are given in.
fn in_language(
    attributes: &List<Object<'_, Attribute<'_>>>,
    id: &Scalar<'_>,
    marketplace: Marketplace,
) -> Vec<String> {
    let language = |value: &Attribute<'_>| {
        let tag = value.language_tag.text().unwrap_or_default();
        tag.split(['_', '-']).next().unwrap_or_default().to_lowercase()
    };
    let own = own_language(marketplace);
    let is_given = values(attributes, id).any(|value| language(value) == own);
    let chosen = if is_given {
        own.to_owned()
    } else {
        values(attributes, id).next().map(language).unwrap_or_default()
    };
    values(attributes, id)
        .filter(|value| language(value) == chosen)
        .filter_map(|v| cleaned(&v.value))
        .collect()
}

/// The language that a marketplace's own pages are written in.
fn own_language(marketplace: Marketplace) -> &'static str {
    match marketplace {
        Marketplace::De => "de",
        Marketplace::Fr | Marketplace::Be => "fr",
        Marketplace::It => "it",
        Marketplace::Es | Marketplace::Mx => "es",
        Marketplace::Jp => "ja",
        Marketplace::Br => "pt",
        Marketplace::Nl => "nl",
        Marketplace::Se => "sv",
        Marketplace::Pl => "pl",
        Marketplace::Tr => "tr",
        Marketplace::Sa | Marketplace::Eg => "ar",
        _ => "en",
    }
}

/// The rank in the display group is the main one; a display group's id is no category's, it goes by its title.
fn ranks(record: &mut Record<'_>, section: &Section<'_>, marketplace: Marketplace) -> Vec<Rank> {
    const FIELD: &str = "salesRanks";
    let mut ranks: Vec<Rank> = Vec::new();
    let groups = section.display_group_ranks.0.iter().map(|rank| (rank, true));
    let nodes = section.classification_ranks.0.iter().map(|rank| (rank, false));
    for (rank, is_group) in groups.chain(nodes) {
        let Some(entry) = &rank.object else { continue };
        let Some(rank) = record.count(FIELD, &entry.rank) else { continue };
        let id = entry.classification_id.shown().filter(|_| !is_group);
        let named = cleaned(&entry.title).or_else(|| cleaned(&entry.website_display_group));
        let Some(category) = named.or_else(|| id.as_deref().map(str::to_owned)) else {
            record.note(FIELD, format!("rank {rank} has no category"));
            continue;
        };
        let is_main = is_group && !ranks.iter().any(|rank| rank.is_main);
        ranks.push(Rank { category_id: id.map(|id| id.into_owned()), category, rank, is_main });
    }
    record.ranks(FIELD, marketplace, ranks)
}
