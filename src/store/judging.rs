//! What the alert rules look at beside the mart: days to judge, cohorts, listings, sightings, incidents.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::alerts::judged_mark;
use super::columns::{instant, known_word, listed, product_key, to_json, word};
use super::db::query;
use super::{Result, Store};
use crate::model::{
    Day, DayRange, HISTORY_SOURCE, Marketplace, ProductKey, Relation, Tier, Timestamp, Workspace,
};
use crate::rollup::rules::{GoneFacts, IncidentFacts, Sightings, StaleFacts, Subject};

/// Days that were built since alerts were last judged in a workspace, and the products that it judges.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UnjudgedDays {
    /// Sorted by day, then marketplace.
    pub days: Vec<(Marketplace, Day)>,
    /// The mark to set when all of them are judged.
    pub through_seq: i64,
    /// The newest day of each marketplace in the mart.
    pub newest_days: BTreeMap<Marketplace, Day>,
    pub products: Arc<JudgedProducts>,
}

/// The products that are judged in a workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JudgedProducts {
    /// Those that it watches or compares.
    Only(HashSet<ProductKey>),
    /// Those, and all that no other workspace watches or compares.
    AllBut(HashSet<ProductKey>),
}

impl JudgedProducts {
    pub fn contains(&self, key: ProductKey) -> bool {
        match self {
            JudgedProducts::Only(products) => products.contains(&key),
            JudgedProducts::AllBut(products) => !products.contains(&key),
        }
    }
}

impl Default for JudgedProducts {
    fn default() -> Self {
        JudgedProducts::AllBut(HashSet::new())
    }
}

/// Products that are watched or compared in workspaces that fulfil a condition.
macro_rules! owned_products {
    ($condition:literal) => {
        concat!(
            "SELECT marketplace, asin FROM watch_items WHERE ",
            $condition,
            " UNION SELECT marketplace, asin FROM cohort_members WHERE ",
            $condition,
            " UNION SELECT marketplace, main_asin FROM cohorts WHERE ",
            $condition
        )
    };
}

/// A main product and one of its competitors, with the cohorts that hold the pair.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CohortPair {
    pub main: ProductKey,
    pub competitor: ProductKey,
    /// Sorted.
    pub cohorts: Vec<String>,
}

impl Store {
    /// The days to judge, and how new the mart is.
    pub async fn load_unjudged_days(&self, workspace: &Workspace) -> Result<UnjudgedDays> {
        let rows = query(
            "SELECT m.marketplace, m.day, m.built_seq FROM mart_days m
             WHERE m.built_seq > COALESCE((SELECT value FROM marks WHERE name = $1), 0)
             ORDER BY m.day, m.marketplace",
        )
        .bind(judged_mark(workspace))
        .fetch_all(self.reader())
        .await?;
        let products = Arc::new(self.load_judged_products(workspace).await?);
        let mut unjudged = UnjudgedDays { products, ..UnjudgedDays::default() };
        for row in &rows {
            unjudged.days.push((word(row, "mart_days", "marketplace")?, word(row, "mart_days", "day")?));
            unjudged.through_seq = unjudged.through_seq.max(row.try_get("built_seq")?);
        }
        let newest = query("SELECT marketplace, MAX(day) AS day FROM mart_days GROUP BY marketplace")
            .fetch_all(self.reader())
            .await?;
        for row in &newest {
            let marketplace = word(row, "mart_days", "marketplace")?;
            unjudged.newest_days.insert(marketplace, word(row, "mart_days", "day")?);
        }
        Ok(unjudged)
    }

    /// What nobody watches is judged in `main`.
    async fn load_judged_products(&self, workspace: &Workspace) -> Result<JudgedProducts> {
        let products = match workspace.is_main() {
            false => query(owned_products!("workspace = $1")),
            true => query(concat!(
                "SELECT marketplace, asin FROM (",
                owned_products!("workspace <> $1"),
                ") AS others EXCEPT SELECT marketplace, asin FROM (",
                owned_products!("workspace = $1"),
                ") AS own"
            )),
        };
        let rows = products.bind(workspace.as_str()).fetch_all(self.reader()).await?;
        let keys: Result<HashSet<ProductKey>> =
            rows.iter().map(|row| product_key(row, "watch_items")).collect();
        keys.map(if workspace.is_main() { JudgedProducts::AllBut } else { JudgedProducts::Only })
    }

    /// The product-days of the range whose row was told in hindsight.
    pub async fn load_hindsight(&self, days: DayRange) -> Result<BTreeSet<(ProductKey, Day)>> {
        let rows = query(
            "SELECT d.marketplace, d.asin, d.day FROM json_each($1) m
             JOIN product_metrics_daily d ON d.marketplace = m.value AND d.day BETWEEN $2 AND $3
             WHERE d.source = $4",
        )
        .bind(to_json(&Marketplace::ALL.iter().map(|one| one.code()).collect::<Vec<_>>()))
        .bind(days.first.to_string())
        .bind(days.last.to_string())
        .bind(HISTORY_SOURCE)
        .fetch_all(self.reader())
        .await?;
        const TABLE: &str = "product_metrics_daily";
        rows.iter().map(|row| Ok((product_key(row, TABLE)?, word(row, TABLE, "day")?))).collect()
    }

    /// Which source each product's day of these was seen by, and how many products the workspace watches.
    pub async fn load_sightings(&self, workspace: &Workspace, days: &BTreeSet<Day>) -> Result<Sightings> {
        const TABLE: &str = "product_metrics_daily";
        let days: Vec<String> = days.iter().map(Day::to_string).collect();
        let rows = query(
            "SELECT marketplace, asin, day, source FROM product_metrics_daily
             WHERE day IN (SELECT value FROM json_each($1)) AND marketplace IN (SELECT value FROM json_each($2))",
        )
        .bind(to_json(&days))
        .bind(to_json(&Marketplace::ALL.iter().map(|one| one.code()).collect::<Vec<_>>()))
        .fetch_all(self.reader())
        .await?;
        let mut sightings = Sightings::default();
        for row in &rows {
            let seen = (product_key(row, TABLE)?, word(row, TABLE, "day")?);
            sightings.sources.insert(seen, row.try_get("source")?);
        }
        let watched = query(
            "SELECT marketplace, COUNT(*) AS products FROM watch_items WHERE workspace = $1 AND paused = 0
             GROUP BY marketplace",
        )
        .bind(workspace.as_str())
        .fetch_all(self.reader())
        .await?;
        for row in &watched {
            let products: i64 = row.try_get("products")?;
            sightings.watched.insert(word(row, "watch_items", "marketplace")?, products.unsigned_abs());
        }
        Ok(sightings)
    }

    /// The days of the mart in a range, sorted by day, then marketplace.
    pub async fn load_mart_days(&self, days: DayRange) -> Result<Vec<(Marketplace, Day)>> {
        let rows = query(
            "SELECT marketplace, day FROM mart_days WHERE day BETWEEN $1 AND $2 ORDER BY day, marketplace",
        )
        .bind(days.first.to_string())
        .bind(days.last.to_string())
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| Ok((word(row, "mart_days", "marketplace")?, word(row, "mart_days", "day")?)))
            .collect()
    }

    /// What a workspace knows of the products that it watches or compares, beside their keys.
    pub async fn load_subjects(&self, workspace: &Workspace) -> Result<HashMap<ProductKey, Subject>> {
        let mut subjects: HashMap<ProductKey, Subject> = HashMap::new();
        let watched =
            query("SELECT marketplace, asin, tier, relation, tags FROM watch_items WHERE workspace = $1")
                .bind(workspace.as_str())
                .fetch_all(self.reader())
                .await?;
        for row in &watched {
            let subject = subjects.entry(product_key(row, "watch_items")?).or_default();
            subject.tier = Some(listed(row, "watch_items", "tier", Tier::from_word)?);
            subject.relation = Some(listed(row, "watch_items", "relation", Relation::from_word)?);
            let tags: String = row.try_get("tags")?;
            subject.tags = tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        }
        let compared = query(
            "SELECT marketplace, asin, cohort FROM cohort_members WHERE workspace = $1
             UNION SELECT marketplace, main_asin, name FROM cohorts WHERE workspace = $1",
        )
        .bind(workspace.as_str())
        .fetch_all(self.reader())
        .await?;
        for row in &compared {
            let subject = subjects.entry(product_key(row, "cohort_members")?).or_default();
            subject.cohorts.insert(row.try_get("cohort")?);
        }
        let brands = query("SELECT marketplace, asin, brand FROM products WHERE brand <> ''")
            .fetch_all(self.reader())
            .await?;
        for row in &brands {
            subjects.entry(product_key(row, "products")?).or_default().brand = Some(row.try_get("brand")?);
        }
        Ok(subjects)
    }

    /// Every main product with each of its competitors, sorted.
    pub async fn load_cohort_pairs(&self, workspace: &Workspace) -> Result<Vec<CohortPair>> {
        let rows = query(
            "SELECT c.name, c.marketplace AS main_marketplace, c.main_asin, m.marketplace, m.asin
             FROM cohorts c JOIN cohort_members m ON m.workspace = c.workspace AND m.cohort = c.name
             WHERE c.workspace = $1 ORDER BY 2, 3, 4, 5, 1",
        )
        .bind(workspace.as_str())
        .fetch_all(self.reader())
        .await?;
        let mut pairs: Vec<CohortPair> = Vec::new();
        for row in &rows {
            let main = ProductKey {
                marketplace: word(row, "cohorts", "main_marketplace")?,
                asin: word(row, "cohorts", "main_asin")?,
            };
            let competitor = product_key(row, "cohort_members")?;
            let cohort: String = row.try_get("name")?;
            match pairs.last_mut() {
                Some(last) if last.main == main && last.competitor == competitor => last.cohorts.push(cohort),
                _ if main == competitor => {}
                _ => pairs.push(CohortPair { main, competitor, cohorts: vec![cohort] }),
            }
        }
        Ok(pairs)
    }

    /// Watched products that are not paused, each with its newest observation.
    pub async fn load_watched_sightings(&self, workspace: &Workspace) -> Result<Vec<StaleFacts>> {
        let rows = query(
            "SELECT w.marketplace, w.asin, w.tier, w.added_at,
                    (SELECT MAX(o.observed_at) FROM observations o
                     WHERE o.marketplace = w.marketplace AND o.asin = w.asin AND o.found IN (0, 1) AND o.is_current = 1
                       AND o.day >= COALESCE((SELECT MAX(day) FROM observations
                                              WHERE marketplace = w.marketplace AND asin = w.asin AND found = 0 AND is_current = 1), '')
                       AND o.day >= COALESCE((SELECT MAX(day) FROM observations
                                              WHERE marketplace = w.marketplace AND asin = w.asin AND found = 1 AND is_current = 1), '')
                    ) AS observed_at
             FROM watch_items w WHERE w.workspace = $1 AND w.paused = 0 ORDER BY w.marketplace, w.asin",
        )
        .bind(workspace.as_str())
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                let observed_at: Option<i64> = row.try_get("observed_at")?;
                Ok(StaleFacts {
                    product: product_key(row, "watch_items")?,
                    tier: listed(row, "watch_items", "tier", Tier::from_word)?,
                    observed_at: observed_at.and_then(Timestamp::from_timestamp_micros),
                    watched_since: instant(row, "watch_items", "added_at")?,
                })
            })
            .collect()
    }

    /// Products that are gone, each with the days on which it was not found since it last was.
    pub async fn load_gone_products(&self) -> Result<Vec<GoneFacts>> {
        let rows = query(
            "WITH gone AS (SELECT p.marketplace AS m, p.asin AS a,
                (SELECT MAX(day) FROM observations WHERE marketplace = p.marketplace AND asin = p.asin AND found = 1
                   AND is_current = 1)
                  AS last_found
               FROM products p WHERE p.status = 'gone')
             SELECT DISTINCT gone.m AS marketplace, gone.a AS asin, gone.last_found, o.day
             FROM gone JOIN observations o ON o.marketplace = gone.m AND o.asin = gone.a AND o.found = 0 AND o.is_current = 1
               AND o.day > COALESCE(gone.last_found, '')
             ORDER BY 1, 2, 4",
        )
        .fetch_all(self.reader())
        .await?;
        let mut gone: Vec<GoneFacts> = Vec::new();
        for row in &rows {
            let product = product_key(row, "products")?;
            let day: Day = word(row, "observations", "day")?;
            match gone.last_mut() {
                Some(last) if last.product == product => last.not_found.push(day),
                _ => {
                    let last_found = known_word(row, "observations", "last_found")?;
                    gone.push(GoneFacts { product, last_found, not_found: vec![day] });
                }
            }
        }
        Ok(gone)
    }

    /// Incidents of sources that are open. Those of the quality gate are no findings: they hold findings
    /// back.
    pub async fn load_open_incidents(&self) -> Result<Vec<IncidentFacts>> {
        let rows = query(
            "SELECT incident_id, kind, source, field, reason, detail, day FROM incidents
             WHERE state = 'open' AND workspace = '' ORDER BY day, incident_id",
        )
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(IncidentFacts {
                    incident_id: row.try_get("incident_id")?,
                    kind: row.try_get("kind")?,
                    source: row.try_get("source")?,
                    field: row.try_get("field")?,
                    reason: row.try_get("reason")?,
                    detail: row.try_get("detail")?,
                    day: word(row, "incidents", "day")?,
                })
            })
            .collect()
    }
}
