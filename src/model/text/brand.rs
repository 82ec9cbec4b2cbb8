//! The brand inside a byline.

use super::clean::clean_text;

/// What stands before and after the brand in a link to its store, per language. Longer forms first.
const STORE_LINKS: [(&str, &str); 28] = [
    ("Visit the ", " Store"),
    ("Besuchen Sie den ", "-Store"),
    ("Besuche den ", "-Store"),
    ("Besuche den ", " Store"),
    ("Visiter la boutique ", ""),
    ("Visitez la boutique ", ""),
    ("Visita la tienda de ", ""),
    ("Visita la Store di ", ""),
    ("Visita lo Store di ", ""),
    ("Visita lo store di ", ""),
    ("Visite a loja da ", ""),
    ("Visite a loja do ", ""),
    ("Visite a loja de ", ""),
    ("Visite a loja ", ""),
    ("Bezoek de ", "-Store"),
    ("Bezoek de ", "-winkel"),
    ("Besök ", "-butiken"),
    ("Odwiedź sklep ", ""),
    ("", " Store'u ziyaret edin"),
    ("", " Store’u ziyaret edin"),
    ("", "のストアを表示"),
    ("造訪 ", " 商店"),
    ("前往 ", " 商店"),
    ("瀏覽 ", " 商店"),
    ("访问 ", " 店铺"),
    ("访问 ", " 商店"),
    ("تسوق من متجر ", ""),
    ("قم بزيارة متجر ", ""),
];

/// The word for "brand", per language, in lower case: a byline's label and the name of the attribute.
const LABELS: [&str; 16] = [
    "brand",
    "brand name",
    "品牌",
    "品牌名稱",
    "品牌名称",
    "ブランド",
    "ブランド名",
    "marke",
    "marca",
    "nombre de marca",
    "marque",
    "merk",
    "märke",
    "varumärke",
    "marka",
    "العلامة التجارية",
];

/// Marks of a byline that names a book's people and not a brand.
const PEOPLE: [&str; 8] =
    ["(Author)", "(Autor)", "(Auteur)", "(Autore)", "(Artist)", "(Illustrator)", "(Contributor)", "(著)"];

/// True when an attribute of this name holds the brand.
pub fn is_brand_label(name: &str) -> bool {
    let folded = name.trim().to_lowercase();
    LABELS.contains(&folded.as_str())
}

/// The brand of a byline: `Visit the Soundcore Store`, `Brand: Amazon`, `品牌：wyness`, or the plain name.
///
/// Null for an empty text and for a list of authors.
pub fn clean_brand(byline: &str) -> Option<String> {
    let text = clean_text(byline);
    if PEOPLE.iter().any(|mark| text.contains(mark)) {
        return None;
    }
    let unlabelled = match text.split_once([':', '：']) {
        Some((label, rest)) if is_brand_label(label) => rest.trim(),
        _ => &text,
    };
    let linked = STORE_LINKS.iter().find_map(|(before, after)| {
        let inner = unlabelled.strip_prefix(before)?.strip_suffix(after)?;
        (!inner.trim().is_empty()).then(|| inner.trim())
    });
    let brand = linked.unwrap_or(unlabelled);
    let brand = brand.strip_prefix("by ").unwrap_or(brand).trim();
    (!brand.is_empty()).then(|| brand.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brand_is_what_the_byline_wraps() {
        for (byline, brand) in [
            ("Visit the Soundcore Store", Some("Soundcore")),
            ("Visit the The North Face Store", Some("The North Face")),
            ("Brand: Amazon", Some("Amazon")),
            ("品牌：wyness", Some("wyness")),
            ("Marke: Bosch", Some("Bosch")),
            ("Marca: Xiaomi", Some("Xiaomi")),
            ("Marque : Philips", Some("Philips")),
            ("ブランド: ソニー(SONY)", Some("ソニー(SONY)")),
            ("Visita la tienda de Cecotec", Some("Cecotec")),
            ("Visita lo Store di De'Longhi", Some("De'Longhi")),
            ("Visiter la boutique Moulinex", Some("Moulinex")),
            ("Besuche den Anker-Store", Some("Anker")),
            ("Visite a loja da Mondial", Some("Mondial")),
            ("ソニー(SONY)のストアを表示", Some("ソニー(SONY)")),
            ("造訪 Anker 商店", Some("Anker")),
            ("by Sony", Some("Sony")),
            ("Acme: Pro", Some("Acme: Pro")),
            ("Store", Some("Store")),
            (" AOSRAU ", Some("AOSRAU")),
            ("by Jane Doe (Author)", None),
            ("Brand: ", None),
            ("", None),
        ] {
            assert_eq!(clean_brand(byline).as_deref(), brand, "{byline:?}");
        }
    }

    #[test]
    fn cleaning_a_clean_brand_changes_nothing() {
        for brand in ["Soundcore", "The North Face", "De'Longhi", "Sennheiser Consumer Audio"] {
            assert_eq!(clean_brand(brand).as_deref(), Some(brand));
            assert_eq!(clean_brand(&format!("Visit the {brand} Store")).as_deref(), Some(brand));
        }
    }
}
