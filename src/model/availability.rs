//! Availability: what a product page says about stock, and what each word counts as.

use serde::{Deserialize, Serialize};

use super::observation::words;

/// What the offer says about stock. Unrecognised text is `unknown`, never "in stock".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    InStock,
    LowStock,
    ShipsLater,
    BackOrder,
    PreOrder,
    NoFeaturedOffer,
    UsedOnly,
    PriceHidden,
    SelectVariant,
    NotDeliverableToLocation,
    OutOfStock,
    Unavailable,
    #[default]
    Unknown,
}

words!(Availability {
    InStock = "in_stock",
    LowStock = "low_stock",
    ShipsLater = "ships_later",
    BackOrder = "back_order",
    PreOrder = "pre_order",
    NoFeaturedOffer = "no_featured_offer",
    UsedOnly = "used_only",
    PriceHidden = "price_hidden",
    SelectVariant = "select_variant",
    NotDeliverableToLocation = "not_deliverable_to_location",
    OutOfStock = "out_of_stock",
    Unavailable = "unavailable",
    Unknown = "unknown",
});

impl Availability {
    pub fn is_in_stock(self) -> bool {
        matches!(self, Availability::InStock | Availability::LowStock)
    }

    pub fn is_out(self) -> bool {
        matches!(self, Availability::OutOfStock | Availability::Unavailable)
    }

    /// Null where nothing is said of stock.
    pub fn in_stock(self) -> Option<bool> {
        (self.is_in_stock() || self.is_out()).then(|| self.is_in_stock())
    }

    /// Who has the buy box where this seller, or none, is named: '' where nobody has it, null where that is not known.
    pub fn holder(self, seller_id: Option<&str>) -> Option<&str> {
        seller_id.or((self == Availability::NoFeaturedOffer).then_some(""))
    }

    /// False where the page says nothing about stock itself: a place problem, a hidden price, unread text.
    pub fn is_known(self) -> bool {
        !matches!(
            self,
            Availability::PriceHidden
                | Availability::SelectVariant
                | Availability::NotDeliverableToLocation
                | Availability::Unknown
        )
    }

    /// True for every word but `unknown`: the source did say something.
    pub fn is_said(self) -> bool {
        self != Availability::Unknown
    }

    /// The word's place in the table: the integer that the kernels and the lake carry.
    pub fn code(self) -> i64 {
        self as i64
    }

    pub fn from_code(code: i64) -> Option<Availability> {
        usize::try_from(code).ok().and_then(|index| Availability::ALL.get(index)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_counts_as_the_table_says() {
        let table: String = Availability::ALL
            .iter()
            .map(|a| format!("{a} {} {} {}\n", a.is_in_stock(), a.is_out(), a.is_known()))
            .collect();
        assert_eq!(
            table,
            "in_stock true false true\nlow_stock true false true\nships_later false false true\n\
             back_order false false true\npre_order false false true\nno_featured_offer false false true\n\
             used_only false false true\nprice_hidden false false false\nselect_variant false false false\n\
             not_deliverable_to_location false false false\nout_of_stock false true true\n\
             unavailable false true true\nunknown false false false\n"
        );
    }

    #[test]
    fn codes_and_words_lead_back_to_their_variant() {
        for &availability in Availability::ALL {
            assert_eq!(Availability::from_code(availability.code()), Some(availability));
            assert_eq!(Availability::from_word(availability.as_str()), Some(availability));
        }
    }
}
