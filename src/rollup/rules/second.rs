//! What another source says of a finding: whether it shows the same, something else, or nothing of the kind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::day::exceeds_pct;
use super::wording::{amount, stars};
use super::{Rule, RuleSpec};
use crate::model::{CategoryRef, Observation, PriceBasis, Rank, Timestamp, same_category};

/// What one source showed of a product at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    pub source: &'a str,
    pub observed_at: Timestamp,
    pub observation: &'a Observation,
}

/// What the sources together say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecondLook {
    /// Several sources show it: what each does.
    Confirmed(String),
    /// One other source has looked since, and shows that it is not so: one word against another.
    Contradicted(String),
    /// Several have, and show so: what each does.
    Refuted(String),
    Unknown,
}

/// True for what one look at the product can show: a price, a rank, a rating, stock, who sells it.
pub fn is_confirmable(rule: Rule) -> bool {
    use Rule::{ListingChanged, ProductGone, ProductStale, SourceIncident, Undercut};
    !matches!(rule, ListingChanged | Undercut | ProductStale | ProductGone | SourceIncident)
}

/// The sources that show what was found.
pub fn shown_by<'a>(spec: &RuleSpec, evidence: &Value, seen: &[Sighting<'a>]) -> BTreeSet<&'a str> {
    let shows = |sighting: &&Sighting<'a>| shows(spec, evidence, sighting.observation) == Some(true);
    seen.iter().filter(shows).map(|sighting| sighting.source).collect()
}

/// Puts what was seen since the day of the finding together, sorted by time.
///
/// Who looked before the finding's own source saw it can confirm it, but not refute it.
pub fn second_look(spec: &RuleSpec, evidence: &Value, seen: &[Sighting<'_>]) -> SecondLook {
    let said = |wanted: bool| {
        seen.iter().filter(move |sighting| shows(spec, evidence, sighting.observation) == Some(wanted))
    };
    let Some(first) = said(true).min_by_key(|sighting| sighting.observed_at) else {
        return SecondLook::Unknown;
    };
    let told = |sighting: &Sighting<'_>| {
        format!("{} shows {}", sighting.source, value_of(spec.rule, evidence, sighting.observation))
    };
    let newest: BTreeMap<&str, &Sighting<'_>> =
        said(true).map(|sighting| (sighting.source, sighting)).collect();
    if newest.len() > 1 {
        return SecondLook::Confirmed(newest.into_values().map(told).collect::<Vec<_>>().join(", "));
    }
    let since = |sighting: &&Sighting<'_>| {
        sighting.source != first.source && sighting.observed_at >= first.observed_at
    };
    let against: BTreeMap<&str, &Sighting<'_>> =
        said(false).filter(since).map(|sighting| (sighting.source, sighting)).collect();
    let note = against.values().copied().map(told).collect::<Vec<_>>().join(", ");
    match against.len() {
        0 => SecondLook::Unknown,
        1 => SecondLook::Contradicted(note),
        _ => SecondLook::Refuted(note),
    }
}

/// Whether an observation shows what was found; null where it does not say, or neither one nor the other.
fn shows(spec: &RuleSpec, evidence: &Value, seen: &Observation) -> Option<bool> {
    if !seen.found {
        return None;
    }
    let number = |name: &str| evidence[name].as_i64();
    let word = |name: &str| evidence[name].as_str();
    let lowest = spec.lowest();
    let is_same_currency = evidence["price"]["currency"] == seen.marketplace.currency().code();
    // A price of another basis is another price; what the page shows is mostly the buy box's.
    let is_shown = |basis: PriceBasis| matches!(basis, PriceBasis::BuyBox | PriceBasis::Page);
    let bases = seen.offer.price_basis.zip(word("price_basis").and_then(PriceBasis::from_word));
    let is_same_basis = bases.is_none_or(|(one, other)| one == other || (is_shown(one) && is_shown(other)));
    let price = || seen.offer.price_minor.filter(|_| is_same_currency && is_same_basis);
    let beyond_pct = |value: i64, old: i64| exceeds_pct(value - old, old, lowest);
    match spec.rule {
        Rule::PriceDrop | Rule::PriceRise => {
            moved(price()?, number("price_prev_minor")?, number("price_minor")?, beyond_pct)
        }
        Rule::AllTimeLow => {
            moved(price()?, number("price_low_all_prev_minor")?, number("price_minor")?, |value, old| {
                value < old
            })
        }
        // Its step is counted in deviations.
        Rule::PriceOutlier => {
            moved(price()?, number("median_minor_x2")? / 2, number("price_minor")?, |_, _| true)
        }
        Rule::BsrWorsened | Rule::BsrImproved => {
            moved(rank_of(evidence, seen)?.rank, number("rank_prev")?, number("rank")?, beyond_pct)
        }
        Rule::RatingFell | Rule::RatingRose => {
            let beyond = |value: i64, old: i64| (value - old).abs() > lowest;
            moved(seen.rating.rating_centi?, number("rating_centi_prev")?, number("rating_centi")?, beyond)
        }
        Rule::RatingsSpike => {
            let beyond = |value: i64, old: i64| value - old > lowest;
            moved(seen.rating.ratings_count?, number("ratings_count_prev")?, number("ratings_count")?, beyond)
        }
        Rule::OutOfStock => seen.offer.availability.in_stock().map(|is_in| !is_in),
        Rule::BackInStock => seen.offer.availability.in_stock(),
        Rule::BuyBoxLost => {
            let (seller, own) = (seller(seen)?, evidence["own_seller_ids"].as_array());
            Some(
                Some(seller) != word("seller_prev")
                    && !own.is_some_and(|own| own.iter().any(|id| id == seller)),
            )
        }
        Rule::BuyBoxSellerChanged => Some(Some(seller(seen)?) != word("seller_prev")),
        Rule::NewSeller => Some(seen.offer.seller_id.as_deref()? == word("seller_id")?),
        Rule::ListingChanged | Rule::Undercut => None,
        Rule::ProductStale | Rule::ProductGone | Rule::SourceIncident => None,
    }
}

/// True where a value is nearer to the new one than to the old one, and beyond what counts as a change; false
/// where it is not nearer; null in between.
fn moved(value: i64, old: i64, new: i64, is_beyond: impl Fn(i64, i64) -> bool) -> Option<bool> {
    let is_near = (value - new).abs() < (value - old).abs();
    (!is_near || is_beyond(value, old)).then_some(is_near)
}

/// The rank in the category that the finding is about.
fn rank_of<'a>(evidence: &Value, seen: &'a Observation) -> Option<&'a Rank> {
    let is_main = evidence["field"] == "bsr";
    let wanted = CategoryRef { id: None, name: evidence["category"].as_str()?, is_main };
    seen.rank.ranks.iter().find(|rank| same_category(seen.marketplace, rank.category_ref(), wanted))
}

/// '' where nobody has the buy box.
fn seller(seen: &Observation) -> Option<&str> {
    seen.offer.availability.holder(seen.offer.seller_id.as_deref())
}

/// What the observation has in the place of what was found.
fn value_of(rule: Rule, evidence: &Value, seen: &Observation) -> String {
    let known = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
    match rule {
        Rule::PriceDrop | Rule::PriceRise | Rule::AllTimeLow | Rule::PriceOutlier => {
            let currency = seen.marketplace.currency();
            known(seen.offer.price_minor.map(|minor| format!("{} {currency}", amount(minor, currency))))
        }
        Rule::BsrWorsened | Rule::BsrImproved => {
            let rank = rank_of(evidence, seen);
            known(rank.map(|rank| format!("rank {} in {}", rank.rank, rank.category)))
        }
        Rule::RatingFell | Rule::RatingRose => known(seen.rating.rating_centi.map(stars)),
        Rule::RatingsSpike => known(seen.rating.ratings_count.map(|count| format!("{count} ratings"))),
        Rule::BuyBoxLost | Rule::BuyBoxSellerChanged | Rule::NewSeller => match seller(seen) {
            Some("") | None => "no seller".to_owned(),
            Some(seller) => format!("seller {seller}"),
        },
        _ => seen.offer.availability.as_str().replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::RuleSet;
    use super::*;
    use crate::model::{Availability, Listing, Marketplace, OfferBlock, RankBlock, RatingBlock};

    fn seen() -> Observation {
        Observation {
            marketplace: Marketplace::Us,
            asin: "B000000001".parse().unwrap(),
            found: true,
            offer: OfferBlock::default(),
            rank: RankBlock::default(),
            rating: RatingBlock::default(),
            monthly_sold_min: None,
            listing: Listing::default(),
        }
    }

    fn offer(change: impl Fn(&mut OfferBlock)) -> Observation {
        let mut observation = seen();
        change(&mut observation.offer);
        observation
    }

    fn priced(price_minor: i64) -> Observation {
        offer(|offer| offer.price_minor = Some(price_minor))
    }

    fn says(rule: Rule, evidence: &Value, observation: &Observation) -> Option<bool> {
        shows(RuleSet::plain(2).get(rule).unwrap(), evidence, observation)
    }

    fn fall() -> Value {
        json!({ "price": { "currency": "USD" }, "price_minor": 400, "price_prev_minor": 1000 })
    }

    #[test]
    fn a_price_is_the_same_when_it_is_nearer_to_the_new_one_and_beyond_the_lowest_step() {
        for (price, said) in
            [(400, Some(true)), (699, Some(true)), (700, Some(false)), (1000, Some(false)), (100, Some(true))]
        {
            assert_eq!(says(Rule::PriceDrop, &fall(), &priced(price)), said, "{price}");
        }
        // 11 % less; another source shows 6 % less: nearer to the new price, and no change by itself.
        let small = json!({ "price": { "currency": "USD" }, "price_minor": 890, "price_prev_minor": 1000 });
        assert_eq!(says(Rule::PriceDrop, &small, &priced(940)), None);
        assert_eq!(says(Rule::PriceDrop, &small, &priced(899)), Some(true));
        assert_eq!(says(Rule::PriceDrop, &fall(), &seen()), None, "no price is known");
        assert_eq!(says(Rule::PriceDrop, &fall(), &Observation { found: false, ..priced(400) }), None);
        let euro = json!({ "price": { "currency": "EUR" }, "price_minor": 400, "price_prev_minor": 1000 });
        assert_eq!(says(Rule::PriceDrop, &euro, &priced(400)), None);
        let mut of_page = fall();
        of_page["price_basis"] = json!("page");
        let based = |basis| offer(|offer| (offer.price_minor, offer.price_basis) = (Some(1000), Some(basis)));
        assert_eq!(says(Rule::PriceDrop, &of_page, &based(PriceBasis::Page)), Some(false));
        assert_eq!(says(Rule::PriceDrop, &of_page, &based(PriceBasis::BuyBox)), Some(false));
        assert_eq!(says(Rule::PriceDrop, &of_page, &based(PriceBasis::NewLowest)), None, "another price");
    }

    #[test]
    fn stock_sellers_ranks_and_ratings_are_compared_as_their_rules_do() {
        let stock = |availability| offer(|offer| offer.availability = availability);
        let none = json!({});
        assert_eq!(says(Rule::OutOfStock, &none, &stock(Availability::Unavailable)), Some(true));
        assert_eq!(says(Rule::OutOfStock, &none, &stock(Availability::LowStock)), Some(false));
        assert_eq!(says(Rule::OutOfStock, &none, &stock(Availability::Unknown)), None);
        assert_eq!(says(Rule::BackInStock, &none, &stock(Availability::InStock)), Some(true));

        let sold_by = |id: &str| offer(|offer| offer.seller_id = Some(id.to_owned()));
        let sellers = json!({ "seller_prev": "OWN", "seller_id": "RIVAL" });
        assert_eq!(says(Rule::BuyBoxLost, &sellers, &sold_by("RIVAL")), Some(true));
        assert_eq!(says(Rule::BuyBoxLost, &sellers, &sold_by("OWN")), Some(false));
        assert_eq!(says(Rule::BuyBoxLost, &sellers, &stock(Availability::NoFeaturedOffer)), Some(true));
        assert_eq!(says(Rule::BuyBoxLost, &sellers, &seen()), None);
        let ours = json!({ "seller_prev": "OWN", "own_seller_ids": ["OWN", "OWN2"] });
        assert_eq!(says(Rule::BuyBoxLost, &ours, &sold_by("OWN2")), Some(false), "ours too");
        assert_eq!(says(Rule::NewSeller, &sellers, &sold_by("OTHER")), Some(false));

        let ranked = |rank| {
            let rank = Rank { category_id: None, category: "Earbuds".into(), rank, is_main: false };
            Observation { rank: RankBlock { ranks: vec![rank], path_leaf: None }, ..seen() }
        };
        let rank = json!({ "category": "Earbuds", "rank": 3000, "rank_prev": 1000 });
        assert_eq!(says(Rule::BsrWorsened, &rank, &ranked(2500)), Some(true));
        assert_eq!(says(Rule::BsrWorsened, &rank, &ranked(1500)), Some(false));
        let elsewhere = json!({ "category": "Phones", "rank": 3000, "rank_prev": 1000 });
        assert_eq!(says(Rule::BsrWorsened, &elsewhere, &ranked(2500)), None);

        let rated = |centi| {
            let rating = RatingBlock { rating_centi: Some(centi), ratings_count: None };
            Observation { rating, ..seen() }
        };
        let rating = json!({ "rating_centi": 300, "rating_centi_prev": 450 });
        assert_eq!(says(Rule::RatingFell, &rating, &rated(310)), Some(true));
        assert_eq!(says(Rule::RatingFell, &rating, &rated(450)), Some(false));
    }

    fn looked(said: &[(&str, i64, i64)]) -> SecondLook {
        let observations: Vec<Observation> = said.iter().map(|(.., price)| priced(*price)).collect();
        let seen: Vec<Sighting<'_>> = said
            .iter()
            .zip(&observations)
            .map(|(&(source, at, _), observation)| Sighting {
                source,
                observed_at: Timestamp::from_timestamp(at, 0).unwrap(),
                observation,
            })
            .collect();
        second_look(RuleSet::plain(2).get(Rule::PriceDrop).unwrap(), &fall(), &seen)
    }

    #[test]
    fn only_another_source_confirms_and_only_a_later_look_of_it_refutes() {
        let confirmed = SecondLook::Confirmed("apify shows 4.00 USD, keepa shows 4.10 USD".to_owned());
        let contradicted = SecondLook::Contradicted("keepa shows 9.90 USD".to_owned());
        let refuted = SecondLook::Refuted("html shows 9.80 USD, keepa shows 9.90 USD".to_owned());
        assert_eq!(looked(&[("apify", 5, 400)]), SecondLook::Unknown);
        assert_eq!(looked(&[("apify", 5, 400), ("apify", 6, 400)]), SecondLook::Unknown);
        assert_eq!(looked(&[("apify", 5, 400), ("keepa", 6, 410)]), confirmed);
        assert_eq!(looked(&[("keepa", 3, 410), ("apify", 5, 400)]), confirmed);
        assert_eq!(looked(&[("apify", 5, 400), ("keepa", 5, 990)]), contradicted);
        let twice = [("apify", 5, 400), ("keepa", 6, 1000), ("keepa", 7, 990)];
        assert_eq!(looked(&twice), contradicted, "who looks twice is still one");
        assert_eq!(looked(&[("apify", 5, 400), ("html", 6, 980), ("keepa", 7, 990)]), refuted);
        assert_eq!(
            looked(&[("keepa", 4, 990), ("apify", 5, 400)]),
            SecondLook::Unknown,
            "it fell after that"
        );
        assert_eq!(looked(&[("apify", 5, 400), ("apify", 6, 990)]), SecondLook::Unknown);
        assert_eq!(
            looked(&[("apify", 5, 400), ("html", 6, 990), ("keepa", 7, 410)]),
            confirmed,
            "two against one"
        );
        assert_eq!(looked(&[("keepa", 5, 990)]), SecondLook::Unknown, "nobody shows it any more");
    }
}
