//! The rules every record is held to, whatever its shape: who it is about, and which values are possible.

use super::value::Scalar;
use super::{Note, Parsed, Place, RecordContext, Reject, RejectReason};
use crate::model::text::{
    clean_text, currency_fits, foreign_currency, is_root_category, parse_amount, parse_count,
    parse_rating_centi,
};
use crate::model::{
    Asin, Listing, MAX_MINOR, Marketplace, Observation, OfferBlock, ProductRef, Rank, RankBlock, RatingBlock,
    Review,
};

/// No real payload nests deeper; recursion beyond it is somebody's attack.
pub(super) const MAX_DEPTH: usize = 100;

/// How much of an offending value a reject quotes.
const QUOTED_CHARS: usize = 120;

/// One star and five.
const MIN_RATING_CENTI: i64 = 100;
const MAX_RATING_CENTI: i64 = 500;

/// A record while it is being read: it collects what breaks a rule, and becomes an observation only if nothing did.
pub(super) struct Record<'c> {
    pub(super) context: &'c RecordContext,
    item: u32,
    asin: Option<Asin>,
    marketplace: Option<Marketplace>,
    rejects: Vec<Reject>,
    notes: Vec<Note>,
}

/// What a record says of its own identity.
#[derive(Default)]
pub(super) struct Claim<'a> {
    /// The page's address, with the field's name.
    pub(super) url: Option<&'a str>,
    /// The marketplace, where the record names it outright.
    pub(super) marketplace: Option<(&'static str, &'a str)>,
    pub(super) asin: Option<&'a str>,
    /// The asin that was asked for, where the record keeps it apart from the page's.
    pub(super) asin_requested: Option<Asin>,
}

/// Whose record it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) marketplace: Marketplace,
    pub(super) asin: Asin,
}

/// The host of an address with a scheme; null for anything else.
fn host(url: &str) -> Option<&str> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (scheme.to_ascii_lowercase().starts_with("http") && !host.is_empty()).then_some(host)
}

/// The marketplace of a page's address; an error names the host that is not one. Null without an address.
pub(super) fn url_marketplace(url: &str) -> Option<Result<Marketplace, &str>> {
    host(url).map(|host| Marketplace::from_domain(host).ok_or(host))
}

/// The asin in a page's address, whatever its host.
pub(super) fn url_asin(url: &str) -> Option<Asin> {
    let url = url.trim();
    let host = host(url)?;
    let url = url.replacen(host, Marketplace::Us.domain(), 1);
    url.parse::<ProductRef>().ok().map(|product| product.asin)
}

impl<'c> Record<'c> {
    pub(super) fn new(context: &'c RecordContext, item: u32) -> Record<'c> {
        Record {
            context,
            item,
            asin: context.asin_requested,
            marketplace: context.marketplace,
            rejects: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn reject(&mut self, reason: RejectReason, field: &str, detail: impl AsRef<str>) {
        let (asin, marketplace) = (self.asin, self.marketplace);
        let detail = quoted(detail.as_ref());
        self.rejects.push(Reject {
            item: self.item,
            reason,
            field: field.to_owned(),
            detail,
            asin,
            marketplace,
        });
    }

    /// True while no rule was broken.
    pub(super) fn is_sound(&self) -> bool {
        self.rejects.is_empty()
    }

    pub(super) fn note(&mut self, field: &str, detail: impl AsRef<str>) {
        self.notes.push(Note { item: self.item, field: field.to_owned(), detail: quoted(detail.as_ref()) });
    }

    /// Settles whose record it is. Null when it cannot be, with the reject that says why.
    pub(super) fn identify(&mut self, claim: &Claim<'_>) -> Option<Identity> {
        let from_url = claim.url.and_then(url_asin);
        let returned = match claim.asin {
            Some(text) => match text.parse::<Asin>() {
                Ok(asin) => Some(asin),
                Err(_) => {
                    self.reject(RejectReason::InvalidAsin, "asin", text);
                    return None;
                }
            },
            None => from_url.or(claim.asin_requested),
        };
        let Some(asin) = returned else {
            self.reject(RejectReason::NoAsin, "asin", claim.url.unwrap_or("the record names no product"));
            return None;
        };
        self.asin = Some(asin);
        let marketplace = self.own_marketplace(claim)?;
        let requested = [self.context.asin_requested, claim.asin_requested, from_url];
        if let Some(requested) = requested.into_iter().flatten().find(|&requested| requested != asin) {
            self.asin = Some(requested);
            let detail = format!("asked for {requested}, answered with {asin}");
            self.reject(RejectReason::VariantRedirect, "asin", detail);
            return None;
        }
        Some(Identity { marketplace, asin })
    }

    fn own_marketplace(&mut self, claim: &Claim<'_>) -> Option<Marketplace> {
        let named = claim.marketplace.map(|(field, text)| (field, text.parse().map_err(|_| text)));
        let of_url = claim.url.and_then(url_marketplace).map(|found| ("url", found));
        let mut settled = self.context.marketplace;
        for (field, claimed) in [named, of_url].into_iter().flatten() {
            match claimed {
                Err(unknown) => {
                    self.reject(RejectReason::MarketplaceUnknown, field, unknown);
                    return None;
                }
                Ok(claimed) if settled.is_some_and(|settled| settled != claimed) => {
                    let expected = settled.map_or("", Marketplace::code);
                    let detail = format!("the record says {claimed}, expected {expected}");
                    self.reject(RejectReason::MarketplaceMismatch, field, detail);
                    return None;
                }
                Ok(claimed) => settled = Some(claimed),
            }
        }
        if settled.is_none() {
            let detail = "neither the record nor the operator names the marketplace";
            self.reject(RejectReason::MarketplaceUnknown, "marketplace", detail);
        }
        self.marketplace = settled;
        settled
    }

    /// An amount in minor units. Null and 0 are null (0 is how providers say "no offer"); what is no amount, is
    /// negative, too large or in another currency rejects the record.
    pub(super) fn money(&mut self, field: &str, value: &Scalar<'_>, marketplace: Marketplace) -> Option<i64> {
        if value.is_null() {
            return None;
        }
        let currency = marketplace.currency();
        if let Some(symbol) = value.text().and_then(|text| foreign_currency(text, currency)) {
            self.foreign(field, &symbol, marketplace);
            return None;
        }
        let minor = match value {
            Scalar::Int(number) => number.checked_mul(10_i64.pow(currency.exponent())),
            // The shortest text of a float is the decimal that was written; what float arithmetic left behind
            // the sixth place is not a price.
            Scalar::Float(number) => currency
                .minor_from_decimal(&number.to_string())
                .or_else(|| currency.minor_from_decimal(&format!("{number:.6}"))),
            Scalar::Text(text) => parse_amount(text, currency),
            _ => None,
        };
        match minor {
            Some(minor) => self.in_range(field, minor, value),
            None if matches!(value, Scalar::Int(_)) => self.out_of_range(field, value),
            None if matches!(value, Scalar::Float(number) if number.abs() > MAX_MINOR as f64) => {
                self.out_of_range(field, value)
            }
            None => self.invalid(field, value),
        }
    }

    /// A whole number of minor units, as the flat table has it, under the rules of [`Record::money`].
    pub(super) fn minor(&mut self, field: &str, value: &Scalar<'_>) -> Option<i64> {
        if value.is_null() {
            return None;
        }
        match value.integer() {
            Some(minor) => self.in_range(field, minor, value),
            None => self.invalid(field, value),
        }
    }

    fn in_range(&mut self, field: &str, minor: i64, written: &Scalar<'_>) -> Option<i64> {
        match minor {
            0 => None,
            1..=MAX_MINOR => Some(minor),
            _ => self.out_of_range(field, written),
        }
    }

    /// A count of zero or more, from a number or a sentence.
    pub(super) fn count(&mut self, field: &str, value: &Scalar<'_>) -> Option<i64> {
        if value.is_null() {
            return None;
        }
        let count = value.integer().or_else(|| value.text().and_then(parse_count));
        match count {
            Some(count) if (0..=MAX_MINOR).contains(&count) => Some(count),
            Some(_) => self.out_of_range(field, value),
            None => self.invalid(field, value),
        }
    }

    /// Stars in hundredths, from a number or a sentence. No product has 0 stars: that is how "none" is written.
    pub(super) fn rating(&mut self, field: &str, value: &Scalar<'_>) -> Option<i64> {
        if value.is_null() {
            return None;
        }
        match value.shown().as_deref().and_then(parse_rating_centi) {
            Some(centi) => self.rating_centi(field, centi, value),
            None => self.invalid(field, value),
        }
    }

    /// Hundredths of a star under the rules of [`Record::rating`]; a reject quotes what was `written`.
    pub(super) fn rating_centi(&mut self, field: &str, centi: i64, written: &Scalar<'_>) -> Option<i64> {
        match centi {
            0 => None,
            MIN_RATING_CENTI..=MAX_RATING_CENTI => Some(centi),
            _ => self.out_of_range(field, written),
        }
    }

    /// Checks the ranks' range, and marks a root category's rank as the main one where none is marked.
    pub(super) fn ranks(&mut self, field: &str, marketplace: Marketplace, mut ranks: Vec<Rank>) -> Vec<Rank> {
        for rank in &ranks {
            if !(1..=MAX_MINOR).contains(&rank.rank) {
                self.out_of_range::<()>(field, &Scalar::Int(rank.rank));
            }
        }
        if !ranks.iter().any(|rank| rank.is_main) {
            let is_root = |rank: &&mut Rank| is_root_category(marketplace, &rank.category);
            if let Some(root) = ranks.iter_mut().find(is_root) {
                root.is_main = true;
            }
        }
        ranks
    }

    /// Rejects the record when `currency` (a symbol or code) cannot be the marketplace's.
    pub(super) fn currency(&mut self, field: &str, currency: &Scalar<'_>, marketplace: Marketplace) {
        let Some(symbol) = currency.text() else { return };
        let expected = marketplace.currency();
        if !currency_fits(symbol, expected) {
            self.foreign(field, symbol, marketplace);
        }
    }

    fn foreign(&mut self, field: &str, symbol: &str, marketplace: Marketplace) {
        let detail = format!("{symbol} is not {}, the currency of {marketplace}", marketplace.currency());
        self.reject(RejectReason::CurrencyMismatch, field, detail);
    }

    pub(super) fn invalid<T>(&mut self, field: &str, value: &Scalar<'_>) -> Option<T> {
        let shown = value.shown().map_or_else(|| format!("{value:?}"), |shown| shown.into_owned());
        self.reject(RejectReason::InvalidValue, field, shown);
        None
    }

    pub(super) fn out_of_range<T>(&mut self, field: &str, value: &Scalar<'_>) -> Option<T> {
        let shown = value.shown().unwrap_or_default().into_owned();
        self.reject(RejectReason::OutOfRange, field, shown);
        None
    }

    /// The observation, unless a rule was broken.
    pub(super) fn observed(self, observation: Observation) -> Parsed {
        if !self.rejects.is_empty() {
            return self.rejected();
        }
        let places = vec![Place { item: self.item, observed_at: None }];
        Parsed { observations: vec![observation], places, notes: self.notes, ..Parsed::default() }
    }

    /// The review, unless a rule was broken.
    pub(super) fn reviewed(self, review: Review) -> Parsed {
        let reviews = if self.rejects.is_empty() { vec![review] } else { Vec::new() };
        Parsed { reviews, rejects: self.rejects, notes: self.notes, ..Parsed::default() }
    }

    /// Nothing but what broke the rules.
    pub(super) fn rejected(self) -> Parsed {
        Parsed { rejects: self.rejects, notes: self.notes, ..Parsed::default() }
    }
}

impl Identity {
    /// An observation in which nothing is known yet.
    pub(super) fn observation(self, found: bool) -> Observation {
        Observation {
            marketplace: self.marketplace,
            asin: self.asin,
            found,
            offer: OfferBlock::default(),
            rank: RankBlock::default(),
            rating: RatingBlock::default(),
            monthly_sold_min: None,
            listing: Listing::default(),
        }
    }
}

/// A value as a reject quotes it: one line, cut to length, nothing that could steer a terminal.
pub(crate) fn quoted(text: &str) -> String {
    let head: String = text.chars().take(4 * QUOTED_CHARS).collect();
    let text = clean_text(&head);
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// Cleaned text; null when nothing is left.
pub(super) fn cleaned(value: &Scalar<'_>) -> Option<String> {
    value.text().map(|text| clean_text(text).into_owned()).filter(|text| !text.is_empty())
}

/// Cleaned texts of a list, without the blank ones.
pub(super) fn cleaned_list(values: &[Scalar<'_>]) -> Vec<String> {
    values.iter().filter_map(cleaned).collect()
}

/// The other variants: sorted, once each, without the product itself and without what is no asin.
pub(super) fn variants<'v>(asin: Asin, others: impl Iterator<Item = &'v str>) -> Vec<Asin> {
    let mut variants: Vec<Asin> =
        others.filter_map(|other| other.parse().ok()).filter(|&other| other != asin).collect();
    variants.sort_unstable();
    variants.dedup();
    variants
}

/// Category paths are joined by ` › ` or ` > `; a page's way back to a search is not a category.
pub(super) fn category_path<'t>(names: impl Iterator<Item = &'t str>) -> Vec<String> {
    let names = names.map(|name| clean_text(name).into_owned());
    names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("back to results")).collect()
}

/// The id in a link to a seller's profile: the value of `seller=`.
pub(super) fn seller_in_link(link: &str) -> Option<String> {
    let value = link.split(['?', '&']).find_map(|pair| pair.strip_prefix("seller="))?;
    let id: String = value.chars().take_while(char::is_ascii_alphanumeric).collect();
    (!id.is_empty()).then_some(id)
}

/// True for Amazon's own retail names: `Amazon`, `Amazon.com`, `Amazon EU S.à r.L.`.
pub(super) fn is_amazon(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let rest = name.strip_prefix("amazon");
    rest.is_some_and(|rest| {
        rest.is_empty()
            || Marketplace::ALL.iter().any(|marketplace| marketplace.domain() == name)
            || [" eu", " uk", " us", " japan", " export"].iter().any(|part| rest.starts_with(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_marketplace_and_asin_or_what_is_wrong_with_it() {
        let url = "https://www.amazon.com/-/zh_TW/dp/B0FM2FRF4X?th=1";
        assert_eq!(url_marketplace(url), Some(Ok(Marketplace::Us)));
        assert_eq!(url_asin(url), "B0FM2FRF4X".parse().ok());
        assert_eq!(url_marketplace("https://www.amazon.cn/dp/B0FM2FRF4X"), Some(Err("www.amazon.cn")));
        assert_eq!(url_asin("https://www.amazon.cn/dp/B0FM2FRF4X"), "B0FM2FRF4X".parse().ok());
        for text in ["", "B0FM2FRF4X", "/dp/B0FM2FRF4X", "https://", "ftp://amazon.com/dp/B0FM2FRF4X"] {
            assert_eq!(url_marketplace(text), None, "{text}");
        }
    }

    #[test]
    fn amazon_itself_is_told_from_sellers_with_a_similar_name() {
        for name in ["Amazon", "Amazon.com", "amazon.de", "Amazon EU S.à r.L."] {
            assert!(is_amazon(name), "{name}");
        }
        for name in ["", "AnkerDirect", "Amazonia", "Amazon.com.evil", "Amazon Resale"] {
            assert!(!is_amazon(name), "{name}");
        }
    }

    #[test]
    fn a_quoted_value_is_short_and_harmless() {
        assert_eq!(quoted("a\u{1b}[31mb\nc"), "ab c");
        assert_eq!(quoted(&"x".repeat(5000)).chars().count(), QUOTED_CHARS + 1);
    }
}
