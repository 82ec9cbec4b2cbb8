//! What the answers have in common: batches and their elements, money, ranks, errors.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::competitive_summary::FeaturedOption;
use super::offers::Payload;
use crate::model::{Marketplace, Rank, Timestamp};
use crate::normalize::record::Record;
use crate::normalize::value::{List, Object, Scalar};

/// A batch, one answer of it, the body of that, or the reply to a single call: they nest, and no two of them use the
/// same key for different things. v0 has a `payload`, 2022-05-01 its facts beside the `asin`, both have `errors`.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Reply<'a> {
    #[serde(borrow)]
    pub(super) responses: Option<List<Object<'a, Reply<'a>>>>,
    #[serde(borrow)]
    headers: Object<'a, Headers<'a>>,
    #[serde(borrow)]
    status: Object<'a, Status<'a>>,
    #[serde(borrow)]
    pub(super) request: Object<'a, Request<'a>>,
    #[serde(borrow)]
    body: Box<Object<'a, Reply<'a>>>,
    #[serde(borrow)]
    pub(super) payload: Object<'a, Payload<'a>>,
    #[serde(borrow)]
    errors: List<Object<'a, Fault<'a>>>,
    #[serde(borrow)]
    pub(super) asin: Scalar<'a>,
    #[serde(borrow)]
    pub(super) marketplace_id: Scalar<'a>,
    #[serde(borrow)]
    pub(super) featured_buying_options: Option<List<Object<'a, FeaturedOption<'a>>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Headers<'a> {
    #[serde(borrow, rename = "Date", alias = "date")]
    date: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Status<'a> {
    #[serde(borrow)]
    status_code: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Request<'a> {
    #[serde(borrow, rename = "MarketplaceId", alias = "marketplaceId")]
    pub(super) marketplace_id: Scalar<'a>,
    #[serde(borrow, rename = "Asin", alias = "asin")]
    pub(super) asin: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Fault<'a> {
    #[serde(borrow)]
    pub(super) code: Scalar<'a>,
    #[serde(borrow)]
    pub(super) message: Scalar<'a>,
}

impl<'a> Reply<'a> {
    /// What an answer says: the body of a batch's element, or the reply itself.
    pub(super) fn said(&self) -> &Reply<'a> {
        self.body.object.as_ref().unwrap_or(self)
    }

    /// The HTTP status of a batch's element.
    pub(super) fn code(&self) -> Option<i64> {
        self.status.object.as_ref()?.status_code.integer()
    }

    /// True when there are errors in place of facts.
    pub(super) fn has_failed(&self) -> bool {
        self.code().is_some_and(|code| code != 200) || !self.said().errors.0.is_empty()
    }

    pub(super) fn faults(&self) -> impl Iterator<Item = &Fault<'a>> {
        self.said().errors.0.iter().filter_map(|fault| fault.object.as_ref())
    }

    /// The `Date` header: when the answer was given.
    pub(super) fn date(&self) -> Option<Timestamp> {
        parse_date(self.headers.object.as_ref()?.date.text()?)
    }
}

/// A date as HTTP writes it: `Wed, 03 Apr 2024 00:03:36 GMT`.
pub(super) fn parse_date(text: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc2822(text.trim()).ok().map(|at| at.to_utc())
}

/// An amount in major units; the three versions spell its keys in three ways.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Money<'a> {
    #[serde(borrow, rename = "Amount", alias = "amount")]
    amount: Scalar<'a>,
    #[serde(borrow, rename = "CurrencyCode", alias = "currencyCode")]
    currency: Scalar<'a>,
}

impl Money<'_> {
    /// In minor units; 0 is null.
    pub(super) fn price(
        &self,
        record: &mut Record<'_>,
        field: &str,
        marketplace: Marketplace,
    ) -> Option<i64> {
        if self.amount.is_null() {
            return None;
        }
        record.currency(field, &self.currency, marketplace);
        record.money(field, &self.amount, marketplace)
    }

    /// In minor units; 0 is free.
    pub(super) fn shipping(
        &self,
        record: &mut Record<'_>,
        field: &str,
        marketplace: Marketplace,
    ) -> Option<i64> {
        if self.amount.integer() == Some(0) { Some(0) } else { self.price(record, field, marketplace) }
    }

    /// True when both name the same amount.
    pub(super) fn is_amount_of(&self, other: &Money<'_>) -> bool {
        !self.amount.is_null() && self.amount.shown() == other.amount.shown()
    }
}

/// A rank of Product Pricing v0: letters are a store's display group, digits a browse node. Neither has a name here.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct SalesRanking<'a> {
    #[serde(borrow)]
    product_category_id: Scalar<'a>,
    #[serde(borrow)]
    rank: Scalar<'a>,
}

/// The main rank is the one in a display group.
pub(super) fn sales_rankings(
    record: &mut Record<'_>,
    marketplace: Marketplace,
    rankings: &[Object<'_, SalesRanking<'_>>],
) -> Vec<Rank> {
    const FIELD: &str = "SalesRankings";
    let mut ranks: Vec<Rank> = Vec::new();
    for ranking in rankings.iter().filter_map(|ranking| ranking.object.as_ref()) {
        let Some(category) = ranking.product_category_id.shown() else { continue };
        let Some(rank) = record.count(FIELD, &ranking.rank) else { continue };
        let is_node = category.bytes().all(|byte| byte.is_ascii_digit());
        let is_main = !is_node && !ranks.iter().any(|rank| rank.is_main);
        let category_id = is_node.then(|| category.clone().into_owned());
        ranks.push(Rank { category_id, category: category.into_owned(), rank, is_main });
    }
    record.ranks(FIELD, marketplace, ranks)
}

/// True for the condition `New`, whatever its case.
pub(super) fn is_new(condition: &Scalar<'_>) -> bool {
    condition.text().is_some_and(|condition| condition.eq_ignore_ascii_case("new"))
}

/// True for an offer to every customer and for one piece; business prices and quantity discounts are not.
pub(super) fn is_for_anyone(offer_type: &Scalar<'_>, quantity_tier: &Scalar<'_>) -> bool {
    let is_business = offer_type.text().is_some_and(|kind| kind.eq_ignore_ascii_case("B2B"));
    !is_business && quantity_tier.integer().is_none_or(|tier| tier <= 1)
}

/// An object, or a list of them; anything else is an empty list.
pub(in crate::normalize) struct Many<'a, T>(pub(in crate::normalize) Vec<T>, PhantomData<&'a ()>);

impl<T> Default for Many<'_, T> {
    fn default() -> Self {
        Many(Vec::new(), PhantomData)
    }
}

struct ManyVisitor<'a, T>(PhantomData<(&'a (), T)>);

impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<'a, T> {
    type Value = Many<'a, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Object<'a, T>>()? {
            items.extend(item.object);
        }
        Ok(Many(items, PhantomData))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(Many(vec![T::deserialize(MapAccessDeserializer::new(map))?], PhantomData))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Many::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Many::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Many::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Many::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Many::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Many::default())
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Many<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

/// True where a key stands, whatever it holds, null excepted.
#[derive(Default)]
pub(in crate::normalize) struct Given(pub(in crate::normalize) bool);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Given, D::Error> {
        Option::<IgnoredAny>::deserialize(deserializer).map(|value| Given(value.is_some()))
    }
}
