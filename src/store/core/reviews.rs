//! Reviews: one row each, the latest sighting.

use std::collections::BTreeMap;

use super::super::db::bulk;
use super::super::{Result, Tx};
use crate::model::{Asin, Review, Timestamp};

/// A review is known by its id; a later sighting replaces an earlier one.
pub(super) async fn write(tx: &mut Tx, reviews: &[(Review, String, Timestamp)]) -> Result<u64> {
    // One statement may not touch a row twice. Inside a batch the same sighting wins as between two, so that what is
    // kept does not depend on where a batch ends; of equal ones the last, so that a replay can correct a review.
    let mut newest: BTreeMap<(&str, Asin, &str), &(Review, String, Timestamp)> = BTreeMap::new();
    for entry in reviews {
        let key = (entry.0.marketplace.code(), entry.0.asin, entry.0.review_id.as_str());
        if newest.get(&key).is_none_or(|known| (known.2, &known.1) <= (entry.2, &entry.1)) {
            newest.insert(key, entry);
        }
    }
    let rows: Vec<_> = newest.into_values().collect();
    bulk::insert(
        tx,
        "reviews (marketplace, asin, review_id, rating_centi, title, body, reviewed_on, verified,
         helpful_count, list_filter, source, observed_at)",
        " ON CONFLICT (marketplace, asin, review_id) DO UPDATE SET rating_centi = excluded.rating_centi,
          title = excluded.title, body = excluded.body, reviewed_on = excluded.reviewed_on,
          verified = excluded.verified, helpful_count = excluded.helpful_count, list_filter = excluded.list_filter,
          source = excluded.source, observed_at = excluded.observed_at
          WHERE (excluded.observed_at, excluded.source) >= (reviews.observed_at, reviews.source)",
        &rows,
        |values, (review, source, observed_at)| {
            values
                .push_bind(review.marketplace.code())
                .push_bind(review.asin.to_string())
                .push_bind(review.review_id.as_str())
                .push_bind(review.rating_centi)
                .push_bind(review.title.as_deref())
                .push_bind(review.body.as_deref())
                .push_bind(review.reviewed_on.map(|day| day.to_string()))
                .push_bind(review.verified)
                .push_bind(review.helpful_count)
                .push_bind(review.list_filter.as_deref())
                .push_bind(source.as_str())
                .push_bind(observed_at.timestamp_micros());
        },
    )
    .await
}
