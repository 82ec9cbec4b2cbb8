//! A parsed page with its elements by id, and the few questions that are asked of an element.

use std::collections::HashMap;

use scraper::{ElementRef, Html, Node};

use super::guard;

type NodeRef<'h> = <ElementRef<'h> as std::ops::Deref>::Target;

/// The largest page that is looked into; the largest real ones are a fifth of it.
const MAX_PAGE_BYTES: usize = 16 << 20;

/// A page as text; null for what is too large or too deeply nested to be one.
pub(super) fn parse(html: &str) -> Option<Html> {
    let is_sane = html.len() <= MAX_PAGE_BYTES && !guard::is_too_deep(html);
    is_sane.then(|| Html::parse_document(html))
}

/// The elements of a page by their ids, each id's in the order of the page.
pub(super) struct Page<'h> {
    html: &'h Html,
    ids: HashMap<&'h str, Vec<ElementRef<'h>>>,
}

impl<'h> Page<'h> {
    pub(super) fn new(html: &'h Html) -> Page<'h> {
        let mut ids: HashMap<&'h str, Vec<ElementRef<'h>>> = HashMap::new();
        for element in html.root_element().descendent_elements() {
            if let Some(id) = element.attr("id") {
                ids.entry(id).or_default().push(element);
            }
        }
        Page { html, ids }
    }

    /// All elements of the page, in its order.
    pub(super) fn elements(&self) -> impl Iterator<Item = ElementRef<'h>> + use<'h> {
        self.html.root_element().descendent_elements()
    }

    pub(super) fn all(&self, id: &str) -> impl Iterator<Item = ElementRef<'h>> {
        self.ids.get(id).into_iter().flatten().copied()
    }

    /// The elements of this id that do not belong to a used offer: its row shows a price and a seller of its own.
    pub(super) fn new_ones(&self, id: &str) -> impl Iterator<Item = ElementRef<'h>> {
        self.all(id).filter(|element| !is_of_used_offer(*element))
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    /// True when an element's id begins with `start`.
    pub(super) fn has_begin(&self, start: &str) -> bool {
        self.ids.keys().any(|id| id.starts_with(start))
    }

    /// The first of these elements' texts that is not blank.
    pub(super) fn text(&self, id: &str) -> Option<String> {
        self.all(id).find_map(text)
    }

    /// The address that the page gives as its own. It may be a sibling variant's.
    pub(super) fn canonical(&self) -> Option<&'h str> {
        let is_canonical = |element: &ElementRef<'_>| {
            element.value().name() == "link" && element.attr("rel") == Some("canonical")
        };
        self.elements().find(is_canonical)?.attr("href")
    }

    pub(super) fn title(&self) -> Option<String> {
        self.elements().find(|element| element.value().name() == "title").and_then(text)
    }
}

/// True inside a row of a used offer (`usedAccordionRow`, `apex_desktop_usedAccordionRow`, `usedBuySection`).
fn is_of_used_offer(element: ElementRef<'_>) -> bool {
    let names_used = |id: &str| id.starts_with("used") || id.contains("_used");
    let ancestors = element.ancestors().filter_map(ElementRef::wrap);
    std::iter::once(element).chain(ancestors).any(|element| element.attr("id").is_some_and(names_used))
}

/// The text that a person sees, runs of white space folded to one space; null where there is none.
///
/// Scripts and styles are no text.
pub(super) fn text(element: ElementRef<'_>) -> Option<String> {
    let mut shown = String::new();
    for node in element.descendants() {
        match node.value() {
            Node::Text(text) if !is_code(node.parent()) => {
                if is_block(node.prev_sibling()) {
                    shown.push(' ');
                }
                shown.push_str(text);
            }
            Node::Element(_) if is_block(Some(node)) => shown.push(' '),
            _ => {}
        }
    }
    let words: Vec<&str> = shown.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn name_of<'h>(node: Option<NodeRef<'h>>) -> Option<&'h str> {
    node.and_then(ElementRef::wrap).map(|element| element.value().name())
}

fn is_code(node: Option<NodeRef<'_>>) -> bool {
    matches!(name_of(node), Some("script" | "style" | "noscript" | "template"))
}

/// True for an element that ends a word.
fn is_block(node: Option<NodeRef<'_>>) -> bool {
    const INLINE: [&str; 13] =
        ["span", "a", "b", "i", "em", "strong", "font", "bdi", "sup", "sub", "u", "wbr", "small"];
    name_of(node).is_some_and(|name| !INLINE.contains(&name))
}

pub(super) fn has_class(element: ElementRef<'_>, class: &str) -> bool {
    element.value().classes().any(|own| own == class)
}

/// The elements below `element` that have the class, in order.
pub(super) fn with_class<'h>(
    element: ElementRef<'h>,
    class: &'static str,
) -> impl Iterator<Item = ElementRef<'h>> {
    element.descendent_elements().filter(move |inner| has_class(*inner, class))
}

/// The nearest element above that has one of these names.
pub(super) fn closest<'h>(element: ElementRef<'h>, names: &[&str]) -> Option<ElementRef<'h>> {
    element.ancestors().filter_map(ElementRef::wrap).find(|above| names.contains(&above.value().name()))
}

/// An attribute that is there and not blank.
pub(super) fn attribute<'h>(element: ElementRef<'h>, name: &str) -> Option<&'h str> {
    element.attr(name).map(str::trim).filter(|value| !value.is_empty())
}
