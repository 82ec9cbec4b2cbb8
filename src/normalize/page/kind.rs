//! Which kind of page was answered. The HTTP status does not tell: captchas come with 200.

use scraper::Html;

use super::dom::{self, Page, attribute};
use crate::model::{Asin, words};

/// What an Amazon address answered with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PageKind {
    Product,
    /// A robot check: the question was not answered.
    Captcha,
    /// A page of apology (the "dogs"), or a block that looks like one.
    Error,
    /// The product does not exist, said by the shop itself.
    NotFound,
    /// A search, a list, a sign-in, or no page of Amazon's.
    Other,
}

words!(PageKind {
    Product = "product",
    Captcha = "captcha",
    Error = "error",
    NotFound = "not_found",
    Other = "other",
});

/// Pages of apology have 2 KB and robot checks 7; the smallest of the others has hundreds.
const SMALL_PAGE_BYTES: usize = 32 << 10;

/// In a comment of pages that answer robots.
const ROBOT_ADDRESS: &str = "api-services-support@amazon.com";

/// Parts of the title, in lower case, of a page that apologises for a fault.
const ERROR_TITLES: [&str; 16] = [
    "something went wrong",
    "service unavailable",
    "503 - ",
    "500 - ",
    "internal server error",
    "tut uns leid",
    "es tut uns leid",
    "toutes nos excuses",
    "nous sommes désolés",
    "lo sentimos",
    "ci dispiace",
    "siamo spiacenti",
    "desculpe",
    "ご迷惑をおかけ",
    "申し訳ございません",
    "przepraszamy",
];

/// Parts of the title, in lower case, of a page that does not exist.
const NOT_FOUND_TITLES: [&str; 18] = [
    "page not found",
    "document not found",
    "404 - ",
    "404 not found",
    "seite nicht gefunden",
    "seite wurde nicht gefunden",
    "seite konnte nicht gefunden",
    "page introuvable",
    "página no encontrada",
    "pagina non trovata",
    "página não encontrada",
    "pagina niet gevonden",
    "sidan hittades inte",
    "sidan kunde inte hittas",
    "nie znaleziono strony",
    "sayfa bulunamadı",
    "ページが見つかりません",
    "لم يتم العثور على الصفحة",
];

/// Parts of the title, in lower case, of a robot check.
const CAPTCHA_TITLES: [&str; 2] = ["robot check", "bot check"];

/// Says what kind of page `html` is, from its content alone.
pub fn page_kind(html: &str) -> PageKind {
    dom::parse(html).map_or(PageKind::Other, |parsed| kind_of(html, &parsed, &Page::new(&parsed)))
}

/// The asin that the page was asked for.
pub(super) fn requested_asin(page: &Page<'_>) -> Option<Asin> {
    let is_input = |element: &scraper::ElementRef<'_>| element.value().name() == "input";
    let is_named = |element: &scraper::ElementRef<'_>| element.attr("name") == Some("ASIN");
    let value = |element| attribute(element, "value")?.parse().ok();
    let by_id = page.all("ASIN").filter(is_input).find_map(value);
    by_id.or_else(|| page.elements().filter(is_input).filter(is_named).find_map(value))
}

pub(super) fn kind_of(html: &str, parsed: &Html, page: &Page<'_>) -> PageKind {
    if page.text("productTitle").is_some() && requested_asin(page).is_some() {
        return PageKind::Product;
    }
    let title = page.title().unwrap_or_default().to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| title.contains(part));
    let is_check = parsed.root_element().descendent_elements().any(|element| {
        element.value().name() == "form"
            && element.attr("action").is_some_and(|action| action.contains("validateCaptcha"))
    });
    if is_check || page.has("captchacharacters") || says(&CAPTCHA_TITLES) {
        return PageKind::Captcha;
    }
    let is_small = html.len() <= SMALL_PAGE_BYTES;
    // The links of these pages name the status in every language.
    let links = |status: &str| is_small && html.contains(status);
    let says_not_found = says(&NOT_FOUND_TITLES) || links("cs_404_");
    // A soft block answers "not found" too, but with the address for robots.
    if (is_small || says_not_found) && html.contains(ROBOT_ADDRESS) {
        return PageKind::Error;
    }
    if says_not_found {
        return PageKind::NotFound;
    }
    if is_small && (says(&ERROR_TITLES) || html.contains("dogsofamazon")) || links("cs_503_") {
        return PageKind::Error;
    }
    PageKind::Other
}
