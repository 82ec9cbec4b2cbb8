//! Phrases of product pages by language: data, and how a sentence is held against it.

/// Said in place of a price, in lower case.
pub(super) const PRICE_HIDDEN: [&str; 6] = [
    "to see product details, add this item to your cart",
    "to see our price, add",
    "see price in cart",
    "um unseren preis zu sehen",
    "para ver nuestro precio",
    "pour voir notre prix",
];

/// What stands around the one who both sells and ships, in lower case.
const SOLD_AND_SHIPPED: [(&str, &str); 13] = [
    ("ships from and sold by ", ""),
    ("dispatched from and sold by ", ""),
    ("shipped and sold by ", ""),
    ("verkauf und versand durch ", ""),
    ("expédié et vendu par ", ""),
    ("vendu et expédié par ", ""),
    ("vendido y enviado por ", ""),
    ("venduto e spedito da ", ""),
    ("vendido e enviado por ", ""),
    ("verkocht en verzonden door ", ""),
    ("skickas från och säljs av ", ""),
    ("この商品は、", "が販売および発送します"),
    ("", "が販売、発送します"),
];

/// What stands before a seller, between seller and shipper, and behind the shipper, in lower case.
const SOLD_THEN_SHIPPED: [(&str, &str, &str); 13] = [
    ("sold by ", " and fulfilled by ", ""),
    ("sold by ", " and ships from ", ""),
    ("verkauf durch ", " und versand durch ", ""),
    ("vendu par ", " et expédié par ", ""),
    ("vendido por ", " y gestionado por ", ""),
    ("vendido por ", " y enviado por ", ""),
    ("vendido por ", " e entregue por ", ""),
    ("vendido por ", " e enviado por ", ""),
    ("venduto da ", " e spedito da ", ""),
    ("verkocht door ", " en verzonden door ", ""),
    ("säljs av ", " och skickas från ", ""),
    ("この商品は、", "が販売し、", "が発送します"),
    ("", "が販売し、", "が発送します"),
];

/// Seller and shipper of the sentence in which old pages name them; null in an unknown language.
pub(super) fn merchant_sentence(text: &str) -> Option<(String, Option<String>)> {
    // Lower case in ASCII only: places in one text are places in the other.
    let folded = text.to_ascii_lowercase();
    let between = |before: &str, after: &str, from: usize| -> Option<(usize, usize)> {
        let start = from + folded.get(from..)?.find(before)? + before.len();
        let rest = folded.get(start..)?;
        let end = if after.is_empty() { sentence_end(rest) } else { rest.find(after)? };
        (end > 0).then_some((start, start + end))
    };
    let name = |(start, end): (usize, usize)| {
        let name = text.get(start..end)?.trim().trim_end_matches(['.', '。']).trim();
        (!name.is_empty()).then(|| name.to_owned())
    };
    for (before, after) in SOLD_AND_SHIPPED {
        if let Some(both) = between(before, after, 0).and_then(name) {
            return Some((both.clone(), Some(both)));
        }
    }
    SOLD_THEN_SHIPPED.iter().find_map(|(before, middle, after)| {
        let seller = between(before, middle, 0)?;
        let shipper = between(middle, after, seller.1)?;
        Some((name(seller)?, name(shipper)))
    })
}

/// Where the first sentence ends: at a point that a space or nothing follows.
fn sentence_end(text: &str) -> usize {
    text.find(". ").unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_of_an_old_page_names_seller_and_shipper() {
        for (text, expected) in [
            ("Ships from and sold by Amazon.com.", "Amazon.com by Amazon.com"),
            ("Ships from and sold by Amazon.com. Gift-wrap available.", "Amazon.com by Amazon.com"),
            ("Sold by Acme Tools and Fulfilled by Amazon.", "Acme Tools by Amazon"),
            ("Verkauf und Versand durch Amazon.", "Amazon by Amazon"),
            ("Verkauf durch Müller & Söhne und Versand durch Amazon.", "Müller & Söhne by Amazon"),
            ("Vendu par Élan et expédié par Amazon.", "Élan by Amazon"),
            ("Vendido por Amazon Segunda mano y gestionado por Amazon.", "Amazon Segunda mano by Amazon"),
            ("Vendido por Loja X e entregue por Amazon.", "Loja X by Amazon"),
            ("この商品は、Amazon.co.jp が販売および発送します。", "Amazon.co.jp by Amazon.co.jp"),
            ("この商品は、山田商店が販売し、Amazon.co.jp が発送します。", "山田商店 by Amazon.co.jp"),
        ] {
            let (seller, shipper) = merchant_sentence(text).unwrap();
            assert_eq!(format!("{seller} by {}", shipper.unwrap()), expected);
        }
        for text in ["", "Sold by", "Ships from and sold by .", "İİİ sold by İ"] {
            assert_eq!(merchant_sentence(text), None, "{text}");
        }
    }
}
