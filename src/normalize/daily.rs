//! The one row a day of a product, chosen block by block from the day's observations.

use std::collections::BTreeSet;

use crate::model::{
    DailyRow, Day, HISTORY_SOURCE, Observation, OfferBlock, PriceBasis, RankBlock, RatingBlock, Timestamp,
};

/// One observation of the day with what decides between several: its source, times and body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DayObservation {
    pub observation: Observation,
    pub observed_at: Timestamp,
    pub fetched_at: Timestamp,
    pub source: String,
    pub body_sha256: String,
}

/// Chooses the day's row from its observations of one product; their order does not matter.
///
/// Each block comes whole from the first observation that knows anything of it: by `precedence` of its source
/// (unlisted sources last, and behind them days told in hindsight), then latest observed, latest fetched, greatest
/// body hash. An offer of which only the list price is known, as catalogues tell it, gives way to any other that is
/// known. Null when no observation knows any block: a day on which the product was only not found, or said nothing,
/// has no row.
pub fn choose_daily_row(
    day: Day,
    observations: &[DayObservation],
    precedence: &[String],
) -> Option<DailyRow> {
    let mut candidates: Vec<&DayObservation> = observations.iter().filter(|o| o.observation.found).collect();
    candidates.sort_by(|a, b| {
        let place = |o: &DayObservation| {
            let place = precedence.iter().position(|p| *p == o.source).unwrap_or(usize::MAX);
            (o.source == HISTORY_SOURCE, place)
        };
        (place(a), b.observed_at, b.fetched_at, &b.body_sha256, &a.source).cmp(&(
            place(b),
            a.observed_at,
            a.fetched_at,
            &a.body_sha256,
            &b.source,
        ))
    });
    let first = |known: fn(&Observation) -> bool| candidates.iter().copied().find(|o| known(&o.observation));
    let offer = first(|o| o.offer.tells_more_than_list_price()).or_else(|| first(|o| o.offer.is_known()));
    let rank = first(|o| !o.rank.ranks.is_empty());
    let rating = first(|o| o.rating.is_known());
    let sold = first(|o| o.monthly_sold_min.is_some());
    let lead = offer.or(rank).or(rating).or(sold)?;

    let row_offer = offer.map_or_else(OfferBlock::default, |o| o.observation.offer.clone());
    let (low_price_minor, high_price_minor) = price_range(&candidates, row_offer.price_basis);
    Some(DailyRow {
        marketplace: lead.observation.marketplace,
        asin: lead.observation.asin,
        day,
        observed_at: lead.observed_at,
        currency: lead.observation.marketplace.currency(),
        offer: row_offer,
        rank: rank.map_or_else(RankBlock::default, |o| o.observation.rank.clone()),
        rating: rating.map_or_else(RatingBlock::default, |o| o.observation.rating.clone()),
        monthly_sold_min: sold.and_then(|o| o.observation.monthly_sold_min),
        low_price_minor,
        high_price_minor,
        observations: candidates.len() as i64,
        source: lead.source.clone(),
        sources: joined_sources(&candidates),
    })
}

/// Lowest and highest price among the day's observations with this basis.
fn price_range(candidates: &[&DayObservation], basis: Option<PriceBasis>) -> (Option<i64>, Option<i64>) {
    let offers = candidates.iter().map(|o| &o.observation.offer);
    let prices =
        || offers.clone().filter(|offer| offer.price_basis == basis).filter_map(|offer| offer.price_minor);
    (prices().min(), prices().max())
}

fn joined_sources(candidates: &[&DayObservation]) -> String {
    let sources: BTreeSet<&str> = candidates.iter().map(|o| o.source.as_str()).collect();
    sources.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Asin, Availability, Listing, Marketplace, Rank};

    const DAY: &str = "2026-03-01";

    /// A blank observation of one source at an hour of the day.
    fn seen(source: &str, hour: u32, fill: impl FnOnce(&mut Observation)) -> DayObservation {
        let at: Timestamp = format!("{DAY}T{hour:02}:00:00Z").parse().unwrap();
        let mut observation = Observation {
            marketplace: Marketplace::Us,
            asin: "B0FDKB341G".parse::<Asin>().unwrap(),
            found: true,
            offer: OfferBlock::default(),
            rank: RankBlock::default(),
            rating: RatingBlock::default(),
            monthly_sold_min: None,
            listing: Listing::default(),
        };
        fill(&mut observation);
        DayObservation {
            observation,
            observed_at: at,
            fetched_at: at,
            source: source.to_owned(),
            body_sha256: format!("{hour:02}"),
        }
    }

    fn priced(minor: i64, basis: PriceBasis) -> impl FnOnce(&mut Observation) {
        move |o| {
            o.offer.price_minor = Some(minor);
            o.offer.price_basis = Some(basis);
        }
    }

    fn ranked(rank: i64) -> impl FnOnce(&mut Observation) {
        move |o| {
            o.rank.ranks.push(Rank { category_id: None, category: "Books".to_owned(), rank, is_main: true })
        }
    }

    fn row(observations: &[DayObservation]) -> Option<DailyRow> {
        let precedence = ["sp-api".to_owned(), "keepa".to_owned(), "apify".to_owned()];
        choose_daily_row(DAY.parse().unwrap(), observations, &precedence)
    }

    fn shown(observations: &[DayObservation]) -> String {
        let Some(row) = row(observations) else { return "none".to_owned() };
        let rank = row.rank.main().map(|rank| rank.rank);
        format!(
            "{:?} {:?}..{:?} rank {rank:?} rating {:?} n={} {} of {}",
            row.offer.price_minor,
            row.low_price_minor,
            row.high_price_minor,
            row.rating.rating_centi,
            row.observations,
            row.source,
            row.sources
        )
        .replace("Some(", "")
        .replace(')', "")
    }

    #[test]
    fn blocks_come_whole_from_the_first_source_that_knows_them() {
        let rating = |o: &mut Observation| o.rating.rating_centi = Some(450);
        assert_eq!(
            shown(&[
                seen("apify", 9, priced(2000, PriceBasis::Page)),
                seen("keepa", 3, ranked(7)),
                seen("apify", 12, ranked(9)),
                seen("apify", 5, rating),
            ]),
            "2000 2000..2000 rank 7 rating 450 n=4 apify of apify,keepa"
        );
    }

    #[test]
    fn within_a_source_the_latest_counts_and_low_and_high_span_one_basis() {
        let observations = [
            seen("apify", 9, priced(2000, PriceBasis::Page)),
            seen("apify", 18, priced(1800, PriceBasis::Page)),
            seen("apify", 12, priced(2500, PriceBasis::Page)),
            seen("file", 20, priced(100, PriceBasis::NewLowest)),
        ];
        assert_eq!(shown(&observations), "1800 1800..2500 rank None rating None n=4 apify of apify,file");
        let mut reversed = observations.to_vec();
        reversed.reverse();
        assert_eq!(row(&reversed), row(&observations));
    }

    #[test]
    fn an_observation_that_says_nobody_offers_it_is_a_known_offer() {
        let gone = |o: &mut Observation| o.offer.availability = Availability::Unavailable;
        assert_eq!(
            shown(&[seen("apify", 9, priced(2000, PriceBasis::Page)), seen("apify", 10, gone)]),
            "None None..None rank None rating None n=2 apify of apify"
        );
    }

    #[test]
    fn a_list_price_alone_gives_way_to_any_offer() {
        let listed = |o: &mut Observation| o.offer.list_price_minor = Some(9900);
        let catalogue = seen("sp-api", 9, listed);
        let offered = row(&[catalogue.clone(), seen("apify", 8, priced(2000, PriceBasis::Page))]).unwrap();
        assert_eq!((offered.offer.price_minor, offered.offer.list_price_minor), (Some(2000), None));
        assert_eq!((offered.source.as_str(), offered.sources.as_str()), ("apify", "apify,sp-api"));
        let alone = row(&[catalogue]).unwrap();
        assert_eq!((alone.offer.price_minor, alone.offer.list_price_minor), (None, Some(9900)));
    }

    #[test]
    fn what_is_told_in_hindsight_comes_after_every_source_named_or_not() {
        let told = seen(HISTORY_SOURCE, 23, priced(1000, PriceBasis::BuyBox));
        let live = seen("our-crawler", 1, priced(2000, PriceBasis::Page));
        assert_eq!(row(&[told.clone(), live]).unwrap().offer.price_minor, Some(2000));
        assert_eq!(row(&[told]).unwrap().source, HISTORY_SOURCE);
    }

    #[test]
    fn equal_times_are_decided_by_fetch_and_body() {
        let mut first = seen("apify", 9, priced(1, PriceBasis::Page));
        let mut second = seen("apify", 9, priced(2, PriceBasis::Page));
        first.body_sha256 = "b".to_owned();
        second.body_sha256 = "a".to_owned();
        assert_eq!(row(&[first.clone(), second.clone()]).unwrap().offer.price_minor, Some(1));
        second.fetched_at += chrono::Duration::seconds(1);
        assert_eq!(row(&[first, second]).unwrap().offer.price_minor, Some(2));
    }

    #[test]
    fn a_day_without_a_known_block_has_no_row() {
        let missing = |o: &mut Observation| o.found = false;
        assert_eq!(shown(&[seen("apify", 9, missing), seen("apify", 10, |_| ())]), "none");
        assert_eq!(shown(&[]), "none");
    }
}
