//! Pages made for one trait each: languages, kinds, offers that are none, and pages that are cut off.

use rayon::prelude::*;

use super::super::golden::{context, line, read as sample};
use super::*;
use crate::model::{Observation, PriceBasis};
use crate::normalize::{RecordFormat, parse, recognise};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/html/", $name))
    };
}

fn parsed(html: &str) -> Parsed {
    parse(&context(&recognise(RecordFormat::Html, html.as_bytes()), None), html.as_bytes())
}

fn observed(html: &str) -> Observation {
    let parsed = parsed(html);
    assert_eq!(parsed.rejects, []);
    parsed.observations.into_iter().next().unwrap()
}

/// `reason field: detail` of the one reject.
fn refused(parsed: &Parsed) -> String {
    assert!(parsed.observations.is_empty() && parsed.rejects.len() == 1, "{parsed:?}");
    let reject = &parsed.rejects[0];
    format!("{} {}: {}", reject.reason, reject.field, reject.detail)
}

/// A product page of amazon.com with this in its centre.
fn page_with(centre: &str) -> String {
    format!(
        "<!doctype html><html><head><title>Lamp</title><script>ue_mid='ATVPDKIKX0DER'</script></head><body>
         <div id=centerCol><span id=productTitle>Lamp</span>{centre}</div>
         <div id=ad><span class=a-price><span class=a-offscreen>$1.99</span></span></div>
         <input type=hidden id=ASIN name=ASIN value=B000000001></body></html>"
    )
}

/// Price, list price, coupon, availability and quantity of a page with this in its centre.
fn offer_of(centre: &str) -> String {
    let offer = observed(&page_with(centre)).offer;
    let shown = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let coupon = offer.coupon_pct.map_or_else(|| shown(offer.coupon_minor), |pct| format!("{pct}%"));
    [
        shown(offer.price_minor),
        shown(offer.list_price_minor),
        coupon,
        offer.availability.to_string(),
        shown(offer.stock_quantity),
    ]
    .join(" ")
}

#[test]
fn a_german_page_is_read_in_its_own_words() {
    let html = fixture!("product.de.html");
    let observation = observed(html);
    assert_eq!(
        line(&observation),
        "B000000001 | 129900 | 149999 | low_stock | 3 | Müller & Söhne GmbH | A0SELLERDE | fba | 450 | 1234 | 500 \
         | Beispiel | 1234 Beleuchtung | 12 Tischlampen"
    );
    assert_eq!(observation.offer.price_basis, Some(PriceBasis::Page));
    assert_eq!((observation.offer.coupon_pct, observation.offer.buy_box_price_minor), (Some(5), None));
    let listing = &observation.listing;
    assert_eq!(listing.title.as_deref(), Some("Beispiel Lampe, warmweiß & dimmbar"));
    assert_eq!(listing.category_path, ["Beleuchtung", "Tischlampen"]);
    assert_eq!(listing.bullets, ["Warmes Licht", "Dimmbar in drei Stufen"]);
    assert_eq!(
        listing.image_url.as_deref(),
        Some("https://m.media-amazon.com/images/I/41aaaaaaaaL._AC_.jpg")
    );
    assert_eq!(observation.rank.leaf().unwrap().category_id.as_deref(), Some("3780803031"));
    // The canonical link names a sibling: it is told, and changes nothing.
    let recognised = recognise(RecordFormat::Html, html.as_bytes());
    let asins = [recognised.asin_requested, recognised.asin_returned].map(|asin| asin.unwrap().to_string());
    assert_eq!(asins, ["B000000001", "B000000002"]);
    assert_eq!((recognised.source, recognised.shape), ("html", Shape::AmazonPage));
    assert_eq!(parsed(html).notes[0].detail, "the canonical link names B000000002");
}

#[test]
fn japanese_and_french_pages_are_read_in_their_own_words() {
    let japanese = observed(fixture!("product.jp.html"));
    assert_eq!(
        line(&japanese),
        "B000000001 | 12300 | - | low_stock | 3 | 山田商店 | - | fba | 420 | 1050 | - | ヤマダ | 1234 ホーム＆キッチン \
         | 27 デスクライト"
    );
    // Its marketplace is known from the canonical link alone.
    let french = observed(fixture!("product.fr.html"));
    assert_eq!(
        line(&french),
        "B000000001 | 129900 | - | ships_later | - | Élan SARL | - | fba | 480 | 1130 | - | Élan | 5201 Luminaires \
         | 18 Lampes de bureau"
    );
    assert_eq!((japanese.marketplace, french.marketplace), (Marketplace::Jp, Marketplace::Fr));
}

#[test]
fn what_is_answered_instead_of_a_product_is_told_apart() {
    for (html, kind, verdict) in [
        (fixture!("captcha.uk.html"), PageKind::Captcha, "blocked_page : captcha: Amazon.co.uk"),
        (fixture!("dog.de.html"), PageKind::Error, "blocked_page : error: Tut uns Leid!"),
        (
            fixture!("error-503.us.html"),
            PageKind::Error,
            "blocked_page : error: 503 - Service Unavailable Error",
        ),
        (fixture!("search.us.html"), PageKind::Other, "not_a_product : other: Amazon.com : desk lamp"),
        ("<html></html>", PageKind::Other, "not_a_product : other: no title"),
        ("", PageKind::Other, "not_a_product : other: no title"),
    ] {
        assert_eq!(page_kind(html), kind);
        assert_eq!(refused(&parsed(html)), verdict);
    }
    // Half of a product page is none: without the asin it cannot be told whose it is.
    let html = page_with("").replace("id=ASIN name=ASIN", "id=other");
    assert_eq!(page_kind(&html), PageKind::Other);
}

#[test]
fn a_page_that_does_not_exist_is_an_observation_unless_a_robot_was_answered() {
    let html = fixture!("not-found.us.html");
    assert_eq!(page_kind(html), PageKind::NotFound);
    assert_eq!(refused(&parsed(html)), "not_a_product : not_found: nothing says which product was asked for");
    let asked = |html: &str| {
        let mut context = context(&recognise(RecordFormat::Html, html.as_bytes()), None);
        context.asin_requested = "B000000001".parse().ok();
        parse(&context, html.as_bytes())
    };
    let gone = asked(html);
    assert_eq!(gone.rejects, []);
    assert_eq!((gone.observations[0].found, gone.observations[0].asin.as_str()), (false, "B000000001"));
    assert!(!gone.observations[0].offer.is_known());
    let blocked = html.replace("Sorry!", "<!-- contact api-services-support@amazon.com --> Sorry!");
    assert_eq!(page_kind(&blocked), PageKind::Error);
    assert_eq!(refused(&asked(&blocked)), "blocked_page : error: Page Not Found");
}

#[test]
fn an_offer_without_a_price_says_why() {
    for (centre, expected) in [
        ("", "- - - unknown -"),
        (
            "<div id=availability>Currently unavailable. We don't know when or if it will be back in stock.</div>",
            "- - - unavailable -",
        ),
        ("<div id=availability><span>To buy, select <b>Size</b></span></div>", "- - - select_variant -"),
        ("<div id=partialStateBuybox>To buy, select Size</div>", "- - - select_variant -"),
        ("<div id=unqualifiedBuyBox><a>See All Buying Options</a></div>", "- - - no_featured_offer -"),
        (
            "<div id=unqualifiedBuyBox><a>Ver todas las opciones de compra</a></div>",
            "- - - no_featured_offer -",
        ),
        (
            "<div id=outOfStock>This item cannot be shipped to your selected delivery location.</div>",
            "- - - not_deliverable_to_location -",
        ),
        (
            "<div id=price>To see product details, add this item to your cart. You can always remove it.</div><div id=availability>In Stock</div>",
            "- - - price_hidden -",
        ),
        // Of a used offer neither the price nor the stock is the product's.
        (
            "<div id=usedOnlyBuybox><div id=corePrice_feature_div><span class=a-price><span class=a-offscreen>$42.98</span></span></div></div><div id=availability>Only 1 left in stock</div>",
            "- - - used_only -",
        ),
        (
            "<div id=usedAccordionRow><div id=availability>Only 1 left in stock</div></div>",
            "- - - used_only -",
        ),
    ] {
        assert_eq!(offer_of(centre), expected, "{centre}");
    }
}

#[test]
fn the_price_is_the_new_offers_and_the_first_that_is_shown() {
    let price = |text: &str| format!("<span class=a-price><span class=a-offscreen>{text}</span></span>");
    let core = |inside: &str| format!("<div id=corePrice_feature_div>{inside}</div>");
    let used = format!("<div id=usedAccordionRow>{}</div>", core(&price("$5.00")));
    for (centre, expected) in [
        (format!("{used}<div id=newAccordionRow_0>{}</div>", core(&price("$7.50"))), "750 - - unknown -"),
        (core(&price("$1,250.00")), "125000 - - unknown -"),
        (format!("{used}<div id=dealsAccordionRow_0>{}</div>", core(&price("$7.50"))), "750 - - unknown -"),
        // A range over the variants is nobody's price.
        (core(&format!("<span class=a-price-range>{} - {}</span>", price("$10.00"), price("$20.00"))), "- - - unknown -"),
        (core(&price("Price unavailable")), "- - - unknown -"),
        // Hidden inputs come before old places; the one without the surcharge first.
        ("<input id=twister-plus-price-data-price value=16.45><input name='items[0.base][customerVisiblePrice][amount]' value=14.99><span id=price_inside_buybox>$9.00</span>".to_owned(), "1499 - - unknown -"),
        ("<input id=twister-plus-price-data-price value=0><input id=attach-base-product-price value=16.4>".to_owned(), "1640 - - unknown -"),
        ("<div id=price><span class=a-text-strike>$20.00</span><span id=priceblock_ourprice>$12.48</span></div>".to_owned(), "1248 2000 - unknown -"),
        ("<div id=price><span class=a-text-strike>$10.00</span><span id=priceblock_ourprice>$12.48</span></div>".to_owned(), "1248 - - unknown -"),
        ("<span id=kindle-price>$4.99</span>".to_owned(), "499 - - unknown -"),
        (format!("{}<div id=couponsInBuybox_feature_div>Apply $2.00 coupon</div>", core(&price("$12.48"))), "1248 - 200 unknown -"),
    ] {
        assert_eq!(offer_of(&centre), expected, "{centre}");
    }
}

#[test]
fn a_page_in_another_currency_or_marketplace_is_refused() {
    let price =
        "<div id=corePrice_feature_div><span class=a-price><span class=a-offscreen>€9.99</span></span></div>";
    let verdict = refused(&parsed(&page_with(price)));
    assert_eq!(verdict, "currency_mismatch corePrice_feature_div: € is not USD, the currency of US");
    let code = "<input name='items[0.base][customerVisiblePrice][currencyCode]' value=EUR>";
    let verdict = refused(&parsed(&page_with(code)));
    assert!(verdict.starts_with("currency_mismatch items[0.base]"), "{verdict}");
    let chinese = page_with("").replace("ATVPDKIKX0DER", "AAHKV2X7AFYLW");
    assert_eq!(refused(&parsed(&chinese)), "marketplace_unknown ue_mid: AAHKV2X7AFYLW");
}

#[test]
fn a_page_of_another_product_than_was_asked_for_is_refused() {
    let html = page_with("");
    let mut context = context(&recognise(RecordFormat::Html, html.as_bytes()), None);
    context.asin_requested = "B000000009".parse().ok();
    assert_eq!(
        refused(&parse(&context, html.as_bytes())),
        "variant_redirect asin: asked for B000000009, answered with B000000001"
    );
}

#[test]
fn a_page_in_another_encoding_is_refused_by_name() {
    let html = page_with("<meta charset=Shift_JIS>");
    assert_eq!(refused(&parsed(&html)), "encoding charset: the page declares Shift_JIS; only UTF-8 is read");
    let context = context(&recognise(RecordFormat::Html, html.as_bytes()), None);
    let bytes = [b"<html>".as_slice(), b"\x93\xfa", html.as_bytes()].concat();
    assert_eq!(refused(&parse(&context, &bytes)), "encoding : byte 6 is not valid UTF-8");
}

#[test]
fn a_page_that_nests_without_end_is_refused_before_it_is_built() {
    let html = format!("{}{}", page_with(""), "<div>".repeat(200_000));
    let verdict = refused(&parsed(&html));
    assert!(verdict.starts_with("not_a_product : a page of 1000"), "{verdict}");
    assert_eq!(page_kind(&html), PageKind::Other);
}

#[test]
fn a_page_that_is_cut_off_anywhere_does_no_harm() {
    let html = fixture!("product.de.html");
    let ends = (0..html.len()).into_par_iter().filter(|&end| html.is_char_boundary(end));
    ends.for_each(|end| {
        let parsed = parsed(&html[..end]);
        assert!(parsed.observations.len() + parsed.rejects.len() > 0, "cut at {end}");
    });
    let Some(sample) = sample("html/ae_B00008XVAE_unavailable.html.gz") else { return };
    let sample = String::from_utf8(sample).unwrap();
    (0..CUTS).into_par_iter().for_each(|part| {
        let end = (sample.len() * part / CUTS..).find(|&end| sample.is_char_boundary(end)).unwrap();
        let parsed = parsed(&sample[..end]);
        assert!(parsed.observations.len() + parsed.rejects.len() > 0, "cut at {end}");
    });
}

/// Places at which a real page is cut off.
const CUTS: usize = 200;
