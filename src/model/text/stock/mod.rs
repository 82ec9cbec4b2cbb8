//! What a page's stock sentence means, by a word table per language.

mod words;

use super::clean::clean_text;
use super::number::Number;
use crate::model::Availability;
use words::{CONTAINED, IN_STOCK, IN_STOCK_ALONE, LOW};

/// Reads a stock sentence: what it means, and how many are left where it says so.
///
/// Some sources join the sentences of several offers by two spaces (`In Stock  Only 3 left in stock`): the first
/// is the featured offer's, and the only one that counts. Unrecognised text is `unknown`, never in stock.
pub fn parse_availability(text: &str) -> (Availability, Option<i64>) {
    let first = text.split(['\n', '\r']).flat_map(|line| line.split("  ")).map(str::trim);
    let Some(first) = first.into_iter().find(|segment| !segment.is_empty()) else {
        return (Availability::Unknown, None);
    };
    let sentence = clean_text(first).to_lowercase();
    // One more space, so that a phrase that ends in a space also matches at the end.
    let sentence = format!("{sentence} ");
    let found = CONTAINED.iter().find(|(_, phrases)| phrases.iter().any(|phrase| sentence.contains(phrase)));
    // What is left is said of stock that exists: after the refusals, before "ships later".
    let refused =
        found.filter(|(word, _)| !matches!(word, Availability::ShipsLater | Availability::BackOrder));
    if let Some((availability, _)) = refused {
        return (*availability, None);
    }
    if let Some(quantity) = low_stock(&sentence) {
        return (Availability::LowStock, quantity);
    }
    if let Some((availability, _)) = found {
        return (*availability, None);
    }
    let begins = IN_STOCK.iter().any(|phrase| {
        let rest = sentence.strip_prefix(phrase);
        // "in stockholm" is elsewhere; in scripts without spaces the next sign may be anything.
        rest.is_some_and(|rest| !phrase.is_ascii() || !rest.starts_with(char::is_alphabetic))
    });
    let whole = sentence.trim_end_matches([' ', '.', '!', '。']);
    let is_in_stock = begins || IN_STOCK_ALONE.contains(&whole);
    if is_in_stock { (Availability::InStock, None) } else { (Availability::Unknown, None) }
}

/// The quantity left, or null inside when the sentence says "a few"; null when it does not speak of what is left.
fn low_stock(sentence: &str) -> Option<Option<i64>> {
    LOW.iter().find(|phrase| sentence.contains(*phrase))?;
    let quantity = Number::first(sentence).and_then(|number| number.whole());
    let few =
        ["few", "wenige", "pocas", "pochi", "poucos", "quelques"].iter().any(|word| sentence.contains(word));
    (quantity.is_some() || few).then_some(quantity)
}

#[cfg(test)]
mod tests;
