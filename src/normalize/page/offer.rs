//! The offer on a page: its price, who sells it, and whether it can be had.
//!
//! Amounts are read in the central column and the buy box only: a page has dozens more of them in advertisements.

use scraper::ElementRef;

use super::super::axesso::fulfilment;
use super::super::record::{Record, seller_in_link};
use super::super::value::Scalar;
use super::dom::{Page, attribute, has_class, text, with_class};
use super::words::{PRICE_HIDDEN, merchant_sentence};
use crate::model::text::{
    Coupon, clean_text, foreign_currency, parse_amount, parse_availability, parse_coupon,
};
use crate::model::{Availability, Condition, Marketplace, OfferBlock, PriceBasis};

/// How a place shows its amount.
#[derive(Clone, Copy)]
enum Shown {
    /// In the price to pay, or else in the first price that is not struck out.
    Price,
    /// The text of a `span`; a block of the same id shows the list price too.
    Text,
}

/// Where a page shows its price, the most telling place first; before and after the hidden ones.
const PRICE_PLACES: [(&str, Shown); 3] = [
    ("corePriceDisplay_desktop_feature_div", Shown::Price),
    ("corePrice_feature_div", Shown::Price),
    ("apex_desktop", Shown::Price),
];
const OLD_PRICE_PLACES: [(&str, Shown); 8] = [
    ("priceblock_ourprice", Shown::Text),
    ("priceblock_dealprice", Shown::Text),
    ("priceblock_saleprice", Shown::Text),
    ("price_inside_buybox", Shown::Text),
    ("newBuyBoxPrice", Shown::Text),
    ("kindle-price", Shown::Text),
    ("price", Shown::Text),
    ("tp_price_block_total_price_ww", Shown::Price),
];

/// Hidden inputs that hold the price as a plain decimal. The first names its currency; in Brazil only it leaves out
/// the surcharge for instalments.
const VISIBLE_PRICE: &str = "items[0.base][customerVisiblePrice][amount]";
const VISIBLE_CURRENCY: &str = "items[0.base][customerVisiblePrice][currencyCode]";
const HIDDEN_PRICES: [&str; 2] = ["twister-plus-price-data-price", "attach-base-product-price"];
const HIDDEN_CURRENCIES: [&str; 2] = ["twister-plus-price-data-price-unit", "attach-currency-of-preference"];

/// Where old pages strike out the list price.
const OLD_LIST_PRICES: [&str; 4] =
    ["price", "unifiedPrice_feature_div", "desktop_unifiedPrice", "corePrice_desktop"];

/// Boxes of a used offer, and rows that a new offer has beside one.
const USED_BOXES: [&str; 3] = ["usedBuySection", "usedOnlyBuybox", "usedbuyBox"];
const USED_ROW: &str = "usedAccordionRow";
const NEW_BOXES: [&str; 3] = ["buyNewSection", "buyNew_noncbb", "newBuyBoxPrice"];

const COUPONS: [&str; 4] = [
    "couponsInBuybox_feature_div",
    "promoPriceBlockMessage_feature_div",
    "vendorPoweredCoupon_feature_div",
    "couponBadgeRegularVpc",
];

pub(super) fn read(record: &mut Record<'_>, page: &Page<'_>, marketplace: Marketplace) -> OfferBlock {
    let has_new = page.has_begin("newAccordionRow") || NEW_BOXES.iter().any(|id| page.has(id));
    // Around such a box the whole page shows the used offer.
    if !has_new && USED_BOXES.iter().any(|id| page.has(id)) {
        return used_only();
    }
    check_currencies(record, page, marketplace);
    let price_minor = price(record, page, marketplace);
    // A row of its own leaves room for other rows than the new one.
    if !has_new && price_minor.is_none() && page.has(USED_ROW) {
        return used_only();
    }
    let (availability, stock_quantity) = availability(page, price_minor.is_some());
    let list_price_minor = price_minor.and_then(|price| list_price(record, page, marketplace, price));
    let (coupon_minor, coupon_pct) = price_minor.map_or((None, None), |_| coupon(page, marketplace));
    let seller =
        if price_minor.is_some() || is_offered(availability) { seller(page) } else { Seller::default() };
    if availability == Availability::NotDeliverableToLocation
        && let Some(place) = page.text("glow-ingress-line2")
    {
        record.note("glow-ingress-line2", format!("asked for a delivery to {place}"));
    }
    OfferBlock {
        price_minor,
        price_basis: price_minor.map(|_| PriceBasis::Page),
        list_price_minor,
        coupon_minor,
        coupon_pct,
        fulfilment: fulfilment(seller.name.as_deref(), seller.shipper.as_deref()),
        seller_id: seller.id,
        seller_name: seller.name,
        condition: (price_minor.is_some() && page.has_begin("newAccordionRow")).then_some(Condition::New),
        availability,
        stock_quantity,
        ..OfferBlock::default()
    }
}

/// Of a used offer neither the price nor the stock is the product's.
fn used_only() -> OfferBlock {
    OfferBlock {
        condition: Some(Condition::Used),
        availability: Availability::UsedOnly,
        ..OfferBlock::default()
    }
}

/// True where there is an offer, although its price may not be shown.
fn is_offered(availability: Availability) -> bool {
    use Availability::{BackOrder, InStock, LowStock, PreOrder, PriceHidden, ShipsLater};
    matches!(availability, InStock | LowStock | ShipsLater | BackOrder | PreOrder | PriceHidden)
}

fn input<'h>(page: &Page<'h>, name: &str) -> Option<&'h str> {
    let is_named =
        |element: &ElementRef<'_>| element.value().name() == "input" && element.attr("name") == Some(name);
    page.elements().filter(is_named).find_map(|element| attribute(element, "value"))
}

fn hidden<'h>(page: &Page<'h>, id: &str) -> Option<&'h str> {
    page.new_ones(id).find_map(|element| attribute(element, "value"))
}

/// A page may be shown in a visitor's currency: its amounts are then not the marketplace's.
fn check_currencies(record: &mut Record<'_>, page: &Page<'_>, marketplace: Marketplace) {
    let named = input(page, VISIBLE_CURRENCY).map(|code| (VISIBLE_CURRENCY, code));
    let hidden = HIDDEN_CURRENCIES.iter().filter_map(|id| Some((*id, hidden(page, id)?)));
    if let Some((field, code)) = named.into_iter().chain(hidden).next() {
        record.currency(field, &Scalar::Text(code.into()), marketplace);
    }
}

fn price(record: &mut Record<'_>, page: &Page<'_>, marketplace: Marketplace) -> Option<i64> {
    if let Some((place, amount)) = shown_price(page, &PRICE_PLACES) {
        return settle(record, place, &amount, marketplace);
    }
    let named = input(page, VISIBLE_PRICE).map(|amount| (VISIBLE_PRICE, amount));
    let hidden = HIDDEN_PRICES.iter().filter_map(|id| Some((*id, hidden(page, id)?)));
    for (field, amount) in named.into_iter().chain(hidden) {
        if let Ok(amount) = amount.parse::<f64>()
            && amount.is_finite()
            && amount > 0.0
        {
            return record.money(field, &Scalar::Float(amount), marketplace);
        }
    }
    let (place, amount) = shown_price(page, &OLD_PRICE_PLACES)?;
    settle(record, place, &amount, marketplace)
}

/// The first place that shows a number, and its text.
fn shown_price(page: &Page<'_>, places: &[(&'static str, Shown)]) -> Option<(&'static str, String)> {
    places.iter().find_map(|(id, shown)| {
        let found = page.new_ones(id).find_map(|place| match shown {
            Shown::Price => price_within(place),
            Shown::Text if place.value().name() != "span" => None,
            Shown::Text => text(place).filter(|text| has_digit(text)),
        });
        found.map(|amount| (*id, amount))
    })
}

fn has_digit(text: &str) -> bool {
    text.contains(char::is_numeric)
}

/// A range over the variants (`$10 - $20`) is nobody's price: the whole range is returned, and not read.
fn price_within(place: ElementRef<'_>) -> Option<String> {
    if let Some(range) = with_class(place, "a-price-range").next() {
        return text(range);
    }
    let to_pay = with_class(place, "priceToPay").chain(with_class(place, "apexPriceToPay"));
    let is_plain = |price: &ElementRef<'_>| {
        !has_class(*price, "a-text-price") && attribute(*price, "data-a-strike") != Some("true")
    };
    to_pay.chain(with_class(place, "a-price").filter(is_plain)).find_map(amount_of)
}

/// The amount of one price: said for screen readers, or put together from its parts; on pages since 2024 the first
/// may be blank.
fn amount_of(price: ElementRef<'_>) -> Option<String> {
    let said = with_class(price, "a-offscreen").find_map(text).filter(|text| has_digit(text));
    if said.is_some() {
        return said;
    }
    let part = |class| with_class(price, class).find_map(text);
    let whole = part("a-price-whole")?;
    let whole = whole.trim_end_matches(|c: char| !c.is_numeric());
    let symbol = part("a-price-symbol").unwrap_or_default();
    let amount = match part("a-price-fraction") {
        Some(fraction) => {
            format!("{symbol}{whole}{}{fraction}", part("a-price-decimal").as_deref().unwrap_or("."))
        }
        None => format!("{symbol}{whole}"),
    };
    has_digit(&amount).then_some(amount)
}

/// An amount as shown, in minor units; what shows digits but no single amount is noted and stays unknown.
fn settle(record: &mut Record<'_>, place: &str, shown: &str, marketplace: Marketplace) -> Option<i64> {
    let currency = marketplace.currency();
    if foreign_currency(shown, currency).is_none() && parse_amount(shown, currency).is_none() {
        record.note(place, format!("no price was read from: {shown}"));
        return None;
    }
    record.money(place, &Scalar::Text(shown.into()), marketplace)
}

/// The list price, only where it is above the price.
fn list_price(record: &mut Record<'_>, page: &Page<'_>, marketplace: Marketplace, price: i64) -> Option<i64> {
    let basis = PRICE_PLACES.iter().flat_map(|(id, _)| page.new_ones(id)).find_map(|place| {
        with_class(place, "basisPrice").find_map(|basis| with_class(basis, "a-offscreen").find_map(text))
    });
    let struck = || {
        let places = OLD_LIST_PRICES.iter().flat_map(|id| page.new_ones(id));
        places
            .flat_map(|place| {
                with_class(place, "a-text-strike").chain(with_class(place, "priceBlockStrikePriceString"))
            })
            .find_map(text)
    };
    let shown = basis.or_else(struck)?;
    settle(record, "basisPrice", &shown, marketplace).filter(|&list| list > price)
}

/// What a coupon takes off, where the page offers one for this product.
fn coupon(page: &Page<'_>, marketplace: Marketplace) -> (Option<i64>, Option<i64>) {
    let currency = marketplace.currency();
    let texts = COUPONS.iter().flat_map(|id| page.new_ones(id)).filter_map(text);
    let mut of_this_currency = texts.filter(|text| foreign_currency(text, currency).is_none());
    match of_this_currency.find_map(|text| parse_coupon(&text, currency)) {
        Some(Coupon::Minor(minor)) => (Some(minor), None),
        Some(Coupon::Percent(pct)) => (None, Some(pct)),
        None => (None, None),
    }
}

#[derive(Default)]
struct Seller {
    name: Option<String>,
    id: Option<String>,
    shipper: Option<String>,
}

fn seller(page: &Page<'_>) -> Seller {
    let sentence = page.new_ones("merchant-info").find_map(text).and_then(|text| merchant_sentence(&text));
    let (said_seller, said_shipper) =
        sentence.map_or((None, None), |(seller, shipper)| (Some(seller), shipper));
    let profile = page.new_ones("sellerProfileTriggerId").find(|link| text(*link).is_some());
    let of_feature = |id: &str| {
        let messages =
            page.new_ones(id).flat_map(|row| with_class(row, "offer-display-feature-text-message"));
        messages.filter_map(text).next()
    };
    let name =
        profile.and_then(text).or_else(|| of_feature("merchantInfoFeature_feature_div")).or(said_seller);
    let of_link = profile.and_then(|link| seller_in_link(attribute(link, "href")?));
    let hidden = || hidden(page, "merchantID").map(str::to_owned);
    Seller {
        id: of_link.or_else(hidden).filter(|_| name.is_some()),
        name: name.map(|name| clean_text(&name).into_owned()),
        shipper: of_feature("fulfillerInfoFeature_feature_div").or(said_shipper),
    }
}

/// What the page says about stock, and how many are left where it says so.
fn availability(page: &Page<'_>, has_price: bool) -> (Availability, Option<i64>) {
    let says_hidden = || {
        ["apex_desktop", "desktop_unifiedPrice", "price", "buybox", "availability"]
            .iter()
            .filter_map(|id| page.new_ones(id).find_map(text))
            .any(|text| PRICE_HIDDEN.iter().any(|phrase| text.to_lowercase().contains(phrase)))
    };
    if !has_price && says_hidden() {
        return (Availability::PriceHidden, None);
    }
    let said = ["availability", "outOfStock", "partialStateBuybox", "exports_desktop_undeliverable_buybox"]
        .iter()
        .flat_map(|id| page.new_ones(id))
        .filter_map(text)
        .map(|text| parse_availability(&text))
        .find(|(availability, _)| availability.is_said());
    match said {
        Some(said) => said,
        None if page.has("unqualifiedBuyBox") => (Availability::NoFeaturedOffer, None),
        None => (Availability::Unknown, None),
    }
}
