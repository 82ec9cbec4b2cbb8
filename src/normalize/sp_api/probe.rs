//! What kind of answer is this? Told by its keys, a few levels deep, without reading the rest.

use serde::Deserialize;

use super::payload::{Given, Many, parse_date};
use crate::model::{Asin, Marketplace};
use crate::normalize::later;
use crate::normalize::shape::{Recognised, Shape, mentions};
use crate::normalize::value::Scalar;

/// Keys of which at least one stands in every record that is told here.
const MENTIONED: &[&str] = &[
    "arketplaceI",
    "\"payload\"",
    "\"responses\"",
    "\"summaries\"",
    "\"fnSku\"",
    "rderId\"",
    "\"reportSpecification\"",
    "\"salesAndTraffic",
    "\"averageUnitPrice\"",
];

/// The keys that tell, wherever in an answer they stand.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::normalize) struct Probe<'a> {
    #[serde(borrow, alias = "ASIN", alias = "Asin")]
    asin: Scalar<'a>,
    #[serde(borrow, alias = "MarketplaceId", alias = "MarketplaceID")]
    marketplace_id: Scalar<'a>,

    #[serde(borrow)]
    pub(in crate::normalize) responses: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    pub(in crate::normalize) payload: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    pub(in crate::normalize) body: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    request: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    headers: Many<'a, Probe<'a>>,
    #[serde(borrow, rename = "Date", alias = "date")]
    date: Scalar<'a>,
    errors: Given,

    #[serde(borrow)]
    items: Many<'a, Probe<'a>>,
    number_of_results: Given,
    #[serde(borrow)]
    summaries: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    sales_ranks: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    classifications: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    images: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    identifiers: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    relationships: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    product_types: Many<'a, Probe<'a>>,
    attributes: Given,

    #[serde(rename = "Summary")]
    summary: Given,
    #[serde(rename = "Offers")]
    offers: Given,
    #[serde(borrow, rename = "Identifier")]
    identifier: Many<'a, Probe<'a>>,
    #[serde(borrow, rename = "Product")]
    product: Many<'a, Probe<'a>>,
    #[serde(borrow, rename = "Identifiers")]
    product_identifiers: Many<'a, Probe<'a>>,
    #[serde(borrow, rename = "MarketplaceASIN")]
    marketplace_asin: Many<'a, Probe<'a>>,
    featured_buying_options: Given,
    lowest_priced_offers: Given,
    reference_prices: Given,

    inventory_summaries: Given,
    fn_sku: Given,
    #[serde(borrow)]
    granularity: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    granularity_id: Scalar<'a>,

    #[serde(borrow)]
    pub(in crate::normalize) report_specification: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    pub(in crate::normalize) report_type: Scalar<'a>,
    pub(in crate::normalize) sales_and_traffic_by_asin: Given,
    pub(in crate::normalize) sales_and_traffic_by_date: Given,
    #[serde(rename = "Orders")]
    pub(in crate::normalize) orders_v0: Given,
    #[serde(rename = "OrderItems")]
    pub(in crate::normalize) order_items: Given,
    #[serde(rename = "AmazonOrderId")]
    pub(in crate::normalize) amazon_order_id: Given,
    #[serde(rename = "OrderItemId")]
    pub(in crate::normalize) order_item_id: Given,
    #[serde(borrow)]
    pub(in crate::normalize) orders: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    pub(in crate::normalize) order: Many<'a, Probe<'a>>,
    pub(in crate::normalize) order_id: Given,
    pub(in crate::normalize) average_unit_price: Given,
    #[serde(borrow)]
    pub(in crate::normalize) day_granularity: Many<'a, Probe<'a>>,
    #[serde(borrow)]
    pub(in crate::normalize) metrics: Many<'a, Probe<'a>>,
    pub(in crate::normalize) featured_offer_expected_price_results: Given,
}

/// Recognises answers of the selling-partner API, and its data sets that are loaded later.
pub(in crate::normalize) fn recognise(text: &str) -> Option<Recognised> {
    if !mentions(text, MENTIONED) {
        return None;
    }
    let probe: Probe<'_> = serde_json::from_str(text).ok()?;
    if let Some(shape) = probe.shape() {
        return Some(probe.recognised(shape));
    }
    later::data_set(&probe)?;
    Some(Recognised::bare(Shape::LaterJson, later::KIND))
}

impl<'a> Probe<'a> {
    fn shape(&self) -> Option<Shape> {
        let is_item = |item: &Probe<'_>| {
            !item.asin.is_null()
                && (item.attributes.0 || item.sections().any(|section| !section.marketplace_id.is_null()))
        };
        if is_item(self) || (self.number_of_results.0 && self.items.0.iter().all(is_item)) {
            return Some(Shape::SpCatalog);
        }
        let is_stock = |probe: &Probe<'_>| probe.inventory_summaries.0 || probe.fn_sku.0;
        if is_stock(self) || self.payload.0.iter().any(is_stock) {
            return Some(Shape::SpInventory);
        }
        if self.payload.0.iter().chain([self]).any(|entry| !entry.product.0.is_empty()) {
            return Some(Shape::SpCompetitivePrice);
        }
        let mut answers = self.answers();
        let is_offers = |answer: &Probe<'_>| {
            let bodies = answer.body.0.iter().chain([answer]);
            let has_offers =
                bodies.flat_map(|body| &body.payload.0).any(|payload| payload.summary.0 || payload.offers.0);
            has_offers || answer.fails(&answer.request)
        };
        let is_summary = |answer: &Probe<'_>| {
            let mut bodies = answer.body.0.iter().chain([answer]);
            let tells = |body: &Probe<'_>| {
                body.featured_buying_options.0 || body.lowest_priced_offers.0 || body.reference_prices.0
            };
            bodies.any(tells) || answer.fails(&answer.body)
        };
        if answers.clone().any(is_offers) {
            Some(Shape::SpOffers)
        } else if answers.any(is_summary) {
            Some(Shape::SpCompetitiveSummary)
        } else {
            None
        }
    }

    /// True for an answer with errors, about the product that `named` names.
    fn fails(&self, named: &Many<'_, Probe<'_>>) -> bool {
        self.body.0.iter().any(|body| body.errors.0) && named.0.iter().any(|named| !named.asin.is_null())
    }

    /// The answers of a batch, or the one.
    fn answers(&self) -> impl Iterator<Item = &Probe<'a>> + Clone {
        let own = self.responses.0.is_empty().then_some(self);
        self.responses.0.iter().chain(own)
    }

    /// The parts of a catalogue item, each of one marketplace.
    fn sections(&self) -> impl Iterator<Item = &Probe<'a>> {
        let lists = [
            &self.summaries,
            &self.sales_ranks,
            &self.classifications,
            &self.images,
            &self.identifiers,
            &self.relationships,
            &self.product_types,
        ];
        lists.into_iter().flat_map(|list| &list.0)
    }

    fn recognised(&self, shape: Shape) -> Recognised {
        let mut named = Named::default();
        named.walk(self);
        let mut bare = Recognised::bare(shape, "product");
        if shape == Shape::SpInventory {
            bare.kind = "inventory";
            return Recognised { marketplace: only(&named.marketplaces), ..bare };
        }
        Recognised {
            marketplace: only(&named.marketplaces),
            asin_requested: only(&named.requested),
            asin_returned: only(&named.asins),
            observed_at: self
                .answers()
                .filter_map(|answer| {
                    answer.headers.0.iter().find_map(|headers| parse_date(headers.date.text()?))
                })
                .max(),
            ..bare
        }
    }
}

/// Everything that an answer names.
#[derive(Default)]
struct Named {
    marketplaces: Vec<Marketplace>,
    asins: Vec<Asin>,
    requested: Vec<Asin>,
}

impl Named {
    fn walk(&mut self, probe: &Probe<'_>) {
        for id in [&probe.marketplace_id, &probe.granularity_id] {
            self.marketplaces.extend(id.text().and_then(Marketplace::from_amazon_id));
        }
        self.asins.extend(probe.asin.text().and_then(|text| text.parse::<Asin>().ok()));
        for request in &probe.request.0 {
            let id = request.marketplace_id.text();
            self.marketplaces.extend(id.and_then(Marketplace::from_amazon_id));
            self.requested.extend(request.asin.text().and_then(|text| text.parse::<Asin>().ok()));
        }
        let parts = [
            &probe.responses,
            &probe.payload,
            &probe.body,
            &probe.items,
            &probe.identifier,
            &probe.product,
            &probe.product_identifiers,
            &probe.marketplace_asin,
            &probe.granularity,
        ];
        for part in parts.into_iter().flat_map(|list| &list.0).chain(probe.sections()) {
            self.walk(part);
        }
    }
}

/// The value that all of them are.
fn only<T: Copy + PartialEq>(values: &[T]) -> Option<T> {
    values.first().copied().filter(|first| values.iter().all(|value| value == first))
}
