//! What `check` and `status` ask of the whole database. Reads only.

use super::columns::{at, to_json};
use super::db::{Database, query, query_of, query_scalar};
use super::{Result, Store};
use crate::model::{Day, MAX_MINOR, Marketplace, ProductKey, Timestamp, Workspace};

/// Subjects that are named of each broken invariant.
const NAMED_SUBJECTS: i64 = 3;

/// Of the marketplaces $1 (a JSON array) on the day $2.
const NEWEST_OBSERVED_AT: &str = "SELECT MAX(d.observed_at) FROM json_each($1) m CROSS JOIN product_metrics_daily d ON d.marketplace = m.value AND d.day = $2";

/// A watched product that is not paused, and when it was last seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Freshness {
    pub key: ProductKey,
    /// Of the newest daily row; null when the product was never seen.
    pub observed_at: Option<Timestamp>,
    pub last_day: Option<Day>,
}

/// Something that always holds of sound facts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invariant {
    pub name: &'static str,
    pub says: &'static str,
    /// Answers one text column `subject`: what breaks it. `$max` stands for the largest accepted number.
    broken_by: &'static str,
}

/// Everything that is checked of the stored facts.
pub const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: "price_range",
        says: "prices are 1 to 300000000 minor units",
        broken_by: "SELECT marketplace || ':' || asin || ' ' || day AS subject FROM product_metrics_daily
            WHERE price_minor NOT BETWEEN 1 AND $max OR list_price_minor NOT BETWEEN 1 AND $max
               OR buy_box_price_minor NOT BETWEEN 1 AND $max OR low_price_minor NOT BETWEEN 1 AND $max
               OR high_price_minor NOT BETWEEN 1 AND $max OR shipping_minor NOT BETWEEN 0 AND $max
               OR landed_price_minor NOT BETWEEN 0 AND 2 * $max",
    },
    Invariant {
        name: "low_high",
        says: "the day's price lies between its low and its high",
        broken_by: "SELECT marketplace || ':' || asin || ' ' || day AS subject FROM product_metrics_daily
            WHERE low_price_minor > high_price_minor
               OR price_minor NOT BETWEEN low_price_minor AND high_price_minor",
    },
    Invariant {
        name: "rank_range",
        says: "ranks are 1 to 300000000",
        broken_by: "SELECT marketplace || ':' || asin || ' ' || day AS subject FROM product_metrics_daily
            WHERE bsr NOT BETWEEN 1 AND $max OR bsr_leaf NOT BETWEEN 1 AND $max
            UNION SELECT marketplace || ':' || asin || ' ' || day FROM ranks WHERE rank NOT BETWEEN 1 AND $max",
    },
    Invariant {
        name: "rating_range",
        says: "ratings are 1 to 5 stars, their count is 0 to 300000000",
        broken_by: "SELECT marketplace || ':' || asin || ' ' || day AS subject FROM product_metrics_daily
            WHERE rating_centi NOT BETWEEN 100 AND 500 OR ratings_count NOT BETWEEN 0 AND $max",
    },
    Invariant {
        name: "day_per_observation",
        says: "every day of which an observation knows a figure has its daily row",
        broken_by: "SELECT DISTINCT o.marketplace || ':' || o.asin || ' ' || o.day AS subject FROM observations o
            WHERE o.found = 1 AND o.is_current = 1 AND (json_extract(o.facts, '$.offer.price_minor') IS NOT NULL
                OR json_extract(o.facts, '$.offer.availability') <> 'unknown'
                OR json_array_length(o.facts, '$.rank.ranks') > 0
                OR json_extract(o.facts, '$.rating.rating_centi') IS NOT NULL
                OR json_extract(o.facts, '$.rating.ratings_count') IS NOT NULL)
              AND NOT EXISTS (SELECT 1 FROM product_metrics_daily d
                WHERE d.marketplace = o.marketplace AND d.asin = o.asin AND d.day = o.day)",
    },
    Invariant {
        name: "observation_per_day",
        says: "every daily row has an observation",
        broken_by: "SELECT d.marketplace || ':' || d.asin || ' ' || d.day AS subject FROM product_metrics_daily d
            WHERE NOT EXISTS (SELECT 1 FROM observations o
                WHERE o.marketplace = d.marketplace AND o.asin = d.asin AND o.found = 1 AND o.is_current = 1
                  AND o.day = d.day)",
    },
    Invariant {
        name: "rank_orphans",
        says: "every rank belongs to a daily row",
        broken_by: "SELECT DISTINCT r.marketplace || ':' || r.asin || ' ' || r.day AS subject FROM ranks r
            WHERE NOT EXISTS (SELECT 1 FROM product_metrics_daily d
                WHERE d.marketplace = r.marketplace AND d.asin = r.asin AND d.day = r.day)",
    },
    Invariant {
        name: "product_days",
        says: "every daily row lies between its product's first and last day",
        broken_by: "SELECT d.marketplace || ':' || d.asin || ' ' || d.day AS subject FROM product_metrics_daily d
            LEFT JOIN products p ON p.marketplace = d.marketplace AND p.asin = d.asin
            WHERE p.asin IS NULL OR d.day NOT BETWEEN p.first_day AND p.last_day",
    },
    Invariant {
        name: "listing_versions",
        says: "a listing's versions follow one another, the newest is open",
        broken_by: "SELECT marketplace || ':' || asin || ' ' || source AS subject FROM (
                SELECT marketplace, asin, source, valid_until, LEAD(valid_from) OVER (
                    PARTITION BY marketplace, asin, source ORDER BY valid_from) AS next_from
                FROM listing_versions) AS version
            WHERE valid_until IS DISTINCT FROM next_from",
    },
    Invariant {
        name: "event_orphans",
        says: "every outbox event about an alert belongs to one",
        broken_by: "SELECT e.event_id AS subject FROM outbox_events e
            WHERE e.alert_id <> '' AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.alert_id = e.alert_id)",
    },
    Invariant {
        name: "delivery_message",
        says: "the deliveries of a message have places of their own and one state",
        broken_by: "SELECT d.message_id || ' to ' || d.channel AS subject FROM deliveries d
            JOIN outbox_events e ON e.event_id = d.event_id AND e.workspace = d.workspace
            WHERE d.message_id <> ''
            GROUP BY d.message_id, d.channel, d.recipient, d.workspace
            HAVING COUNT(*) <> COUNT(DISTINCT d.place) OR COUNT(DISTINCT d.state) > 1",
    },
];

/// What breaks an invariant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Broken {
    pub count: i64,
    /// The first few.
    pub subjects: Vec<String>,
}

/// How much there is of everything.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Counts {
    pub watched: i64,
    pub paused: i64,
    pub cohorts: i64,
    pub products: i64,
    pub receipts: i64,
    pub observations: i64,
    pub daily_rows: i64,
    pub reviews: i64,
}

/// What waits for somebody.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Open {
    pub quarantine: i64,
    pub incidents: i64,
    /// Findings that incidents of the quality gate hold back.
    pub held_findings: i64,
    pub alerts: i64,
    pub alerts_critical: i64,
    pub deliveries_pending: i64,
    pub deliveries_dead: i64,
}

impl Store {
    /// Every product that a workspace watches and has not paused, sorted by key.
    pub async fn load_freshness(&self, workspace: &Workspace) -> Result<Vec<Freshness>> {
        let mut fresh = Vec::new();
        for watched in self.load_watchlist(workspace).await? {
            if watched.item.paused {
                continue;
            }
            let key = watched.item.key;
            let observed_at: Option<i64> = query_scalar(
                "SELECT observed_at FROM product_metrics_daily WHERE marketplace = $1 AND asin = $2
                 ORDER BY day DESC LIMIT 1",
            )
            .bind(key.marketplace.code())
            .bind(key.asin.as_str())
            .fetch_optional(self.reader())
            .await?;
            fresh.push(Freshness {
                key,
                observed_at: observed_at
                    .map(|micros| at(micros, "product_metrics_daily", "observed_at"))
                    .transpose()?,
                last_day: watched.last_day,
            });
        }
        Ok(fresh)
    }

    /// How many products a workspace watches and has not paused, and how many of them have a row of this day.
    pub async fn count_seen(&self, workspace: &Workspace, day: Day) -> Result<(i64, i64)> {
        let row = query(
            "SELECT COUNT(*) AS watched, COUNT(d.asin) AS seen FROM watch_items w
               LEFT JOIN product_metrics_daily d ON d.marketplace = w.marketplace AND d.asin = w.asin AND d.day = $2
             WHERE w.workspace = $1 AND w.paused = 0",
        )
        .bind(workspace.as_str())
        .bind(day.to_string())
        .fetch_one(self.reader())
        .await?;
        Ok((row.try_get("watched")?, row.try_get("seen")?))
    }

    /// What breaks an invariant: nothing in a sound database.
    pub async fn find_broken(&self, invariant: &Invariant) -> Result<Broken> {
        let broken_by = invariant.broken_by.replace("$max", &MAX_MINOR.to_string());
        let rows = query_of(format!(
            "SELECT COUNT(*) OVER () AS count, subject FROM ({broken_by}) AS broken ORDER BY subject LIMIT {NAMED_SUBJECTS}"
        ))
        .fetch_all(self.reader())
        .await?;
        let mut broken = Broken::default();
        for row in &rows {
            broken.count = row.try_get("count")?;
            broken.subjects.push(row.try_get("subject")?);
        }
        Ok(broken)
    }

    /// Rows that name a parent that does not exist, as `table`.
    pub async fn find_foreign_orphans(&self) -> Result<Broken> {
        // A server refuses them.
        let Database::Sqlite(_) = self.reader() else { return Ok(Broken::default()) };
        let rows = query("SELECT \"table\" FROM pragma_foreign_key_check").fetch_all(self.reader()).await?;
        let mut broken = Broken { count: rows.len() as i64, subjects: Vec::new() };
        for row in rows.iter().take(NAMED_SUBJECTS as usize) {
            broken.subjects.push(row.try_get(0)?);
        }
        Ok(broken)
    }

    /// Of what is owned, a workspace's; of facts, all.
    pub async fn load_counts(&self, workspace: &Workspace) -> Result<Counts> {
        let row = query(
            "SELECT (SELECT COUNT(*) FROM watch_items WHERE workspace = $1) AS watched,
                    (SELECT COUNT(*) FROM watch_items WHERE workspace = $1 AND paused = 1) AS paused,
                    (SELECT COUNT(*) FROM cohorts WHERE workspace = $1) AS cohorts,
                    (SELECT COUNT(*) FROM products) AS products,
                    (SELECT COUNT(*) FROM raw_receipts) AS receipts,
                    (SELECT COUNT(*) FROM observations) AS observations,
                    (SELECT COUNT(*) FROM product_metrics_daily) AS daily_rows,
                    (SELECT COUNT(*) FROM reviews) AS reviews",
        )
        .bind(workspace.as_str())
        .fetch_one(self.reader())
        .await?;
        Ok(Counts {
            watched: row.try_get("watched")?,
            paused: row.try_get("paused")?,
            cohorts: row.try_get("cohorts")?,
            products: row.try_get("products")?,
            receipts: row.try_get("receipts")?,
            observations: row.try_get("observations")?,
            daily_rows: row.try_get("daily_rows")?,
            reviews: row.try_get("reviews")?,
        })
    }

    /// The alerts, deliveries and incidents of the gate are a workspace's.
    pub async fn load_open(&self, workspace: &Workspace) -> Result<Open> {
        let row = query(
            "SELECT (SELECT COUNT(*) FROM quarantine WHERE state = 'open') AS quarantine,
                    (SELECT COUNT(*) FROM incidents
                     WHERE (workspace = '' OR workspace = $1) AND state = 'open') AS incidents,
                    (SELECT COUNT(*) FROM held_findings WHERE workspace = $1 AND state = 'held') AS held_findings,
                    (SELECT COUNT(*) FROM alerts WHERE workspace = $1 AND state = 'open') AS alerts,
                    (SELECT COUNT(*) FROM alerts
                     WHERE workspace = $1 AND state = 'open' AND severity = 'critical') AS alerts_critical,
                    (SELECT COUNT(*) FROM deliveries WHERE workspace = $1 AND state = 'pending')
                    + (SELECT COUNT(*) FROM deliveries WHERE workspace = $1 AND state = 'claimed') AS deliveries_pending,
                    (SELECT COUNT(*) FROM deliveries WHERE workspace = $1 AND state = 'dead') AS deliveries_dead",
        )
        .bind(workspace.as_str())
        .fetch_one(self.reader())
        .await?;
        Ok(Open {
            quarantine: row.try_get("quarantine")?,
            incidents: row.try_get("incidents")?,
            held_findings: row.try_get("held_findings")?,
            alerts: row.try_get("alerts")?,
            alerts_critical: row.try_get("alerts_critical")?,
            deliveries_pending: row.try_get("deliveries_pending")?,
            deliveries_dead: row.try_get("deliveries_dead")?,
        })
    }

    /// The newest day with rows, and when the last of them was observed. Later days were observed later, so only this one is
    /// looked at.
    pub async fn newest_observation(&self) -> Result<Option<(Day, Timestamp)>> {
        let Some(day) = self.newest_day(None).await? else { return Ok(None) };
        let marketplaces: Vec<&str> = Marketplace::ALL.iter().map(|one| one.code()).collect();
        let newest: Option<i64> = query_scalar(NEWEST_OBSERVED_AT)
            .bind(to_json(&marketplaces))
            .bind(day.to_string())
            .fetch_one(self.reader())
            .await?;
        newest.map(|micros| Ok((day, at(micros, "product_metrics_daily", "observed_at")?))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_empty_database_breaks_no_invariant() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::testing::fresh_store(folder.path()).await;
        for invariant in INVARIANTS {
            assert_eq!(store.find_broken(invariant).await.unwrap(), Broken::default(), "{}", invariant.name);
        }
        assert_eq!(store.find_foreign_orphans().await.unwrap(), Broken::default());
        assert_eq!(store.load_open(&Workspace::default()).await.unwrap(), Open::default());
        assert_eq!(store.load_counts(&Workspace::default()).await.unwrap(), Counts::default());
    }

    #[tokio::test]
    async fn a_daily_row_that_no_rule_allows_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::testing::fresh_store(folder.path()).await;
        let mut tx = store.begin().await.unwrap();
        query(
            "INSERT INTO product_metrics_daily (marketplace, asin, day, observed_at, currency, price_minor,
                low_price_minor, high_price_minor, bsr, rating_centi, availability, observations, source, sources)
             VALUES ('US', 'B000000001', '2026-03-01', 0, 'USD', 0, 5, 4, 0, 99, 'in_stock', 1, 'file', 'file')",
        )
        .execute(&mut tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let mut found = Vec::new();
        for invariant in INVARIANTS {
            let broken = store.find_broken(invariant).await.unwrap();
            if broken.count > 0 {
                assert_eq!(broken.subjects, ["US:B000000001 2026-03-01"], "{}", invariant.name);
                found.push(invariant.name);
            }
        }
        assert_eq!(
            found,
            ["price_range", "low_high", "rank_range", "rating_range", "observation_per_day", "product_days"]
        );
    }

    #[tokio::test]
    async fn the_newest_observation_is_found_by_index_in_whatever_marketplace_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::testing::fresh_store(folder.path()).await;
        assert_eq!(store.newest_observation().await.unwrap(), None);
        let mut tx = store.begin().await.unwrap();
        for (marketplace, asin, day, observed_at) in [
            ("US", "B000000001", "2026-03-01", 1_772_366_400_000_000_i64),
            ("UK", "B000000001", "2026-03-02", 1_772_452_800_000_000),
            ("US", "B000000002", "2026-03-02", 1_772_456_400_000_000),
        ] {
            query(
                "INSERT INTO product_metrics_daily
                    (marketplace, asin, day, observed_at, currency, availability, observations, source, sources)
                 VALUES ($1, $2, $3, $4, 'USD', 'unknown', 1, 'file', 'file')",
            )
            .bind(marketplace)
            .bind(asin)
            .bind(day)
            .bind(observed_at)
            .execute(&mut tx)
            .await
            .unwrap();
        }
        tx.commit().await.unwrap();
        let (day, newest) = store.newest_observation().await.unwrap().unwrap();
        assert_eq!(day, "2026-03-02".parse().unwrap());
        assert_eq!(newest.to_rfc3339(), "2026-03-02T13:00:00+00:00");

        let Database::Sqlite(_) = store.reader() else { return };
        let plan = store.lines(format!("EXPLAIN QUERY PLAN {NEWEST_OBSERVED_AT}")).await;
        let by_day = "SEARCH d USING PRIMARY KEY (marketplace=? AND day=?)";
        assert!(plan.iter().any(|step| step.contains(by_day)), "{plan:?}");
    }
}
