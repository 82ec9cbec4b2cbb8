//! Listing versions (SCD2) of one product, from what one source showed of it over time.

use crate::ids::stable_id;
use crate::model::text::fold_notation;
use crate::model::{Asin, Listing, Timestamp};

/// The listing as one observation showed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceListing<'a> {
    pub observed_at: Timestamp,
    pub listing: &'a Listing,
}

/// The listing's content while it stayed the same for one source: valid from the first observation that showed
/// it until the first that showed something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListingVersion {
    pub source: String,
    pub valid_from: Timestamp,
    /// Null is current; half-open.
    pub valid_until: Option<Timestamp>,
    /// Of the folded content: equal exactly when nothing but notation differs.
    pub content_hash: String,
    pub listing: Listing,
}

/// Cuts what one source showed of one product, in (observed_at, receipt hash) order, into versions that follow the
/// one in force before, if any.
///
/// Unknown is not a change: a field that an observation does not show keeps its value, and one that was unknown
/// until now is filled into the version it joins. Of two contents at the same instant the later in order stands.
pub fn listing_versions(
    source: &str,
    before: Option<ListingVersion>,
    shown: &[SourceListing<'_>],
) -> Vec<ListingVersion> {
    let mut versions: Vec<ListingVersion> = before.into_iter().collect();
    for SourceListing { observed_at, listing } in shown {
        if **listing == Listing::default() {
            continue;
        }
        let Some(last) = versions.last_mut() else {
            versions.push(version(source, *observed_at, (*listing).clone()));
            continue;
        };
        let content = filled(listing, &last.listing);
        let content_hash = content_hash(&content);
        if content_hash == last.content_hash {
            continue;
        }
        if !contradicts(&last.listing, listing) {
            last.listing = content;
            last.content_hash = content_hash;
            continue;
        }
        if last.valid_from == *observed_at {
            versions.pop();
        }
        match versions.last_mut() {
            Some(last) if last.content_hash == content_hash => last.valid_until = None,
            Some(last) => {
                last.valid_until = Some(*observed_at);
                versions.push(version(source, *observed_at, content));
            }
            None => versions.push(version(source, *observed_at, content)),
        }
    }
    versions
}

fn version(source: &str, valid_from: Timestamp, listing: Listing) -> ListingVersion {
    let content_hash = content_hash(&listing);
    ListingVersion { source: source.to_owned(), valid_from, valid_until: None, content_hash, listing }
}

fn folded_list(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| fold_notation(text)).collect()
}

/// The fields of a listing in order, folded; an unknown field is an empty list.
fn folded_fields(listing: &Listing) -> [Vec<String>; 8] {
    let one = |text: &Option<String>| text.iter().map(|text| fold_notation(text)).collect();
    [
        one(&listing.title),
        one(&listing.brand),
        // Joined, as versions store it: where a level ends is not content.
        one(&listing.category()),
        one(&listing.image_url),
        listing.parent_asin.iter().map(Asin::to_string).collect(),
        folded_list(&listing.bullets),
        folded_list(&listing.images),
        listing.variants.iter().map(Asin::to_string).collect(),
    ]
}

/// Hash of one listing's folded content.
pub fn content_hash(listing: &Listing) -> String {
    let fields = folded_fields(listing);
    let counts: Vec<String> = fields.iter().map(|field| field.len().to_string()).collect();
    let parts = fields
        .iter()
        .zip(&counts)
        .flat_map(|(field, count)| std::iter::once(count.as_str()).chain(field.iter().map(String::as_str)));
    stable_id(&parts.collect::<Vec<_>>())
}

/// True when `shown` says nothing that a version with the content of `known` does not: it would be part of it.
pub fn adds_nothing(known: &Listing, shown: &Listing) -> bool {
    let (known, shown) = (folded_fields(known), folded_fields(shown));
    known.iter().zip(&shown).all(|(known, shown)| shown.is_empty() || known == shown)
}

/// True when a field that both know differs.
fn contradicts(known: &Listing, shown: &Listing) -> bool {
    let (known, shown) = (folded_fields(known), folded_fields(shown));
    known.iter().zip(&shown).any(|(known, shown)| !known.is_empty() && !shown.is_empty() && known != shown)
}

/// `shown`, with the fields it does not know taken from `known`.
fn filled(shown: &Listing, known: &Listing) -> Listing {
    fn list<T: Clone>(shown: &[T], known: &[T]) -> Vec<T> {
        if shown.is_empty() { known.to_vec() } else { shown.to_vec() }
    }
    Listing {
        title: shown.title.clone().or_else(|| known.title.clone()),
        brand: shown.brand.clone().or_else(|| known.brand.clone()),
        category_path: list(&shown.category_path, &known.category_path),
        image_url: shown.image_url.clone().or_else(|| known.image_url.clone()),
        parent_asin: shown.parent_asin.or(known.parent_asin),
        bullets: list(&shown.bullets, &known.bullets),
        images: list(&shown.images, &known.images),
        variants: list(&shown.variants, &known.variants),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titled(title: &str, bullets: &[&str]) -> Listing {
        Listing {
            title: Some(title.to_owned()),
            bullets: bullets.iter().map(|bullet| (*bullet).to_owned()).collect(),
            ..Listing::default()
        }
    }

    /// One line per version: hours valid, title, bullets.
    fn versions(shown: &[(i64, Listing)]) -> String {
        let at = |hour: i64| Timestamp::UNIX_EPOCH + chrono::Duration::hours(hour);
        let hour = |at: Timestamp| at.timestamp() / 3600;
        let shown: Vec<_> =
            shown.iter().map(|(hour, listing)| SourceListing { observed_at: at(*hour), listing }).collect();
        let line = |version: &ListingVersion| {
            let until = version.valid_until.map_or("now".to_owned(), |until| hour(until).to_string());
            let title = version.listing.title.clone().unwrap_or_default();
            format!("{}-{until} {title} {}\n", hour(version.valid_from), version.listing.bullets.join("/"))
        };
        listing_versions("apify", None, &shown).iter().map(line).collect()
    }

    #[test]
    fn a_version_lasts_until_the_content_differs() {
        assert_eq!(
            versions(&[
                (1, titled("A", &["x"])),
                (2, titled("A", &["x"])),
                (3, titled("B", &["x"])),
                (4, titled("A", &["x"]))
            ]),
            "1-3 A x\n3-4 B x\n4-now A x\n"
        );
    }

    #[test]
    fn notation_is_not_a_change() {
        assert_eq!(
            versions(&[
                (1, titled("Café & Co", &[])),
                (2, titled("Cafe\u{301} &amp; Co", &[])),
                (3, titled(" Café\u{a0} &#38; Co\n", &[])),
            ]),
            "1-now Café & Co \n"
        );
    }

    #[test]
    fn what_was_not_shown_is_not_a_change_either_way() {
        assert_eq!(
            versions(&[
                (1, titled("A", &[])),
                (2, titled("A", &["x"])),
                (3, titled("A", &[])),
                (4, Listing::default()),
                (5, titled("A", &["y"])),
            ]),
            "1-5 A x\n5-now A y\n"
        );
    }

    #[test]
    fn of_two_contents_at_one_instant_the_later_in_order_stands() {
        assert_eq!(
            versions(&[(1, titled("A", &[])), (2, titled("B", &[])), (2, titled("C", &[]))]),
            "1-2 A \n2-now C \n"
        );
        assert_eq!(
            versions(&[(1, titled("A", &[])), (2, titled("B", &[])), (2, titled("A", &[]))]),
            "1-now A \n"
        );
    }

    #[test]
    fn moving_a_bullet_into_its_neighbour_changes_the_hash() {
        assert_ne!(content_hash(&titled("A", &["x", "y"])), content_hash(&titled("A", &["xy"])));
        assert_ne!(content_hash(&titled("A", &["x"])), content_hash(&titled("A", &[])));
    }
}
