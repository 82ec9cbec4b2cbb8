//! The watchlist and the cohorts. One method is one transaction; with `dry_run` it is rolled back after it has told
//! what it would have done. Every write names natural keys, so a second one changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;

use super::columns::{instant, known_word, listed, product_key, word};
use super::db::{Row, query, query_scalar};
use super::{Result, Store, Tx};
use crate::model::{Cohort, Competitor, Day, ProductKey, Relation, Tier, Timestamp, WatchItem, Workspace};

/// What to add to the watchlist, or to change of what is there: null leaves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchChange {
    pub key: ProductKey,
    pub tier: Option<Tier>,
    pub relation: Option<Relation>,
    /// Added to the tags that are there.
    pub tags: Vec<String>,
    pub source_chain: Option<Vec<String>>,
    pub label: Option<String>,
}

impl WatchChange {
    pub fn of(key: ProductKey) -> WatchChange {
        WatchChange { key, tier: None, relation: None, tags: Vec::new(), source_chain: None, label: None }
    }
}

/// A watched product with what is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watched {
    pub item: WatchItem,
    pub title: Option<String>,
    /// The newest day with a daily row.
    pub last_day: Option<Day>,
}

/// What a write did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effect {
    pub added: usize,
    pub changed: usize,
    pub unchanged: usize,
}

impl Effect {
    fn count<T: PartialEq>(&mut self, before: Option<&T>, after: &T) -> bool {
        match before {
            None => self.added += 1,
            Some(before) if before == after => {
                self.unchanged += 1;
                return false;
            }
            Some(_) => self.changed += 1,
        }
        true
    }
}

impl Store {
    /// A workspace's watchlist, sorted by marketplace and ASIN.
    pub async fn load_watchlist(&self, workspace: &Workspace) -> Result<Vec<Watched>> {
        // Row by row: a hundred thousand rows at once are many times what is kept of them.
        let mut rows = query(
            "SELECT w.marketplace, w.asin, w.tier, w.relation, w.tags, w.source_chain, w.label, w.paused, w.added_at,
                    p.title, p.last_day
             FROM watch_items w LEFT JOIN products p ON p.marketplace = w.marketplace AND p.asin = w.asin
             WHERE w.workspace = $1 ORDER BY w.marketplace, w.asin",
        )
        .bind(workspace.as_str())
        .fetch(self.reader());
        let mut watched = Vec::new();
        while let Some(row) = rows.try_next().await? {
            watched.push(Watched {
                item: watch_item(&row)?,
                title: row.try_get("title")?,
                last_day: known_word(&row, "products", "last_day")?,
            });
        }
        Ok(watched)
    }

    /// What all workspaces together want to be fetched, each product once, sorted by marketplace and ASIN: as the most
    /// critical of those that have not paused it watch it, of several such the first by name.
    pub async fn load_fetch_list(&self) -> Result<Vec<WatchItem>> {
        let mut rows = query(
            "SELECT workspace, marketplace, asin, tier, relation, tags, source_chain, label, paused, added_at
             FROM watch_items ORDER BY marketplace, asin",
        )
        .fetch(self.reader());
        let mut wanted: Vec<WatchItem> = Vec::new();
        let mut wanted_by: Option<Workspace> = None;
        while let Some(row) = rows.try_next().await? {
            let workspace: Workspace = word(&row, "watch_items", "workspace")?;
            let item = watch_item(&row)?;
            match (wanted.last_mut(), &wanted_by) {
                (Some(last), Some(by)) if last.key == item.key => {
                    if (item.paused, item.tier, &workspace) < (last.paused, last.tier, by) {
                        (*last, wanted_by) = (item, Some(workspace));
                    }
                }
                _ => {
                    wanted.push(item);
                    wanted_by = Some(workspace);
                }
            }
        }
        Ok(wanted)
    }

    /// False when nothing is watched, compared or alerted of in a workspace.
    pub async fn is_in_use(&self, workspace: &Workspace) -> Result<bool> {
        let used: i64 = query_scalar(
            "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM watch_items WHERE workspace = $1)
                OR EXISTS (SELECT 1 FROM cohorts WHERE workspace = $1)
                OR EXISTS (SELECT 1 FROM alerts WHERE workspace = $1) THEN 1 ELSE 0 END AS BIGINT)",
        )
        .bind(workspace.as_str())
        .fetch_one(self.reader())
        .await?;
        Ok(used == 1)
    }

    /// The workspaces that have cohorts, or comparisons of cohorts they had, sorted.
    pub async fn load_comparing_workspaces(&self) -> Result<Vec<Workspace>> {
        let rows = query("SELECT workspace FROM cohorts UNION SELECT workspace FROM comparisons")
            .fetch_all(self.reader())
            .await?;
        let found: Result<BTreeSet<Workspace>> =
            rows.iter().map(|row| word(row, "cohorts", "workspace")).collect();
        Ok(found?.into_iter().collect())
    }

    /// The sources that products which are not paused name in chains of their own, in any workspace, sorted.
    pub async fn load_watched_sources(&self) -> Result<BTreeSet<String>> {
        let chains: Vec<String> = query_scalar(
            "SELECT DISTINCT source_chain FROM watch_items WHERE paused = 0 AND source_chain <> ''",
        )
        .fetch_all(self.reader())
        .await?;
        Ok(chains.iter().flat_map(|chain| chain.split(',')).map(str::to_owned).collect())
    }

    /// Adds products, or changes those that are watched already.
    pub async fn save_watch(
        &self,
        workspace: &Workspace,
        changes: &[WatchChange],
        now: Timestamp,
        dry_run: bool,
    ) -> Result<Effect> {
        let mut tx = self.begin().await?;
        let mut effect = Effect::default();
        for change in changes {
            let before = load_item(&mut tx, workspace, change.key).await?;
            let after = applied(before.as_ref(), change, now);
            if effect.count(before.as_ref(), &after) {
                write_item(&mut tx, workspace, &after).await?;
            }
        }
        finish(tx, dry_run).await?;
        Ok(effect)
    }

    /// Adds and removes tags; products that are not watched are left out. Answers how many changed.
    pub async fn tag_watched(
        &self,
        workspace: &Workspace,
        keys: &[ProductKey],
        add: &[String],
        remove: &[String],
        dry_run: bool,
    ) -> Result<usize> {
        self.change_watched(workspace, keys, dry_run, |item| {
            let kept = item.tags.iter().filter(|tag| !remove.contains(tag)).chain(add);
            item.tags = kept.cloned().collect::<BTreeSet<_>>().into_iter().collect();
        })
        .await
    }

    /// Pauses or resumes; products that are not watched are left out. Answers how many changed.
    pub async fn pause_watched(
        &self,
        workspace: &Workspace,
        keys: &[ProductKey],
        paused: bool,
        dry_run: bool,
    ) -> Result<usize> {
        self.change_watched(workspace, keys, dry_run, |item| item.paused = paused).await
    }

    async fn change_watched(
        &self,
        workspace: &Workspace,
        keys: &[ProductKey],
        dry_run: bool,
        change: impl Fn(&mut WatchItem),
    ) -> Result<usize> {
        let mut tx = self.begin().await?;
        let mut changed = 0;
        for key in keys {
            let Some(before) = load_item(&mut tx, workspace, *key).await? else { continue };
            let mut after = before.clone();
            change(&mut after);
            if after != before {
                write_item(&mut tx, workspace, &after).await?;
                changed += 1;
            }
        }
        finish(tx, dry_run).await?;
        Ok(changed)
    }

    /// Takes products off the watchlist; their history stays. Answers how many were on it.
    pub async fn remove_watched(
        &self,
        workspace: &Workspace,
        keys: &[ProductKey],
        dry_run: bool,
    ) -> Result<usize> {
        let mut tx = self.begin().await?;
        let mut removed = 0;
        for key in keys {
            let done =
                query("DELETE FROM watch_items WHERE workspace = $1 AND marketplace = $2 AND asin = $3")
                    .bind(workspace.as_str())
                    .bind(key.marketplace.code())
                    .bind(key.asin.as_str())
                    .execute(&mut tx)
                    .await?;
            removed += done.rows_affected() as usize;
        }
        finish(tx, dry_run).await?;
        Ok(removed)
    }

    /// All cohorts of a workspace, sorted by name.
    pub async fn load_cohorts(&self, workspace: &Workspace) -> Result<Vec<Cohort>> {
        let mut tx = self.reader().begin_reading().await?;
        let cohorts = load_cohorts(&mut tx, workspace, None).await?;
        tx.commit().await?;
        Ok(cohorts.into_values().collect())
    }

    /// Null when there is no cohort of this name.
    pub async fn load_cohort(&self, workspace: &Workspace, name: &str) -> Result<Option<Cohort>> {
        let mut tx = self.reader().begin_reading().await?;
        let mut cohorts = load_cohorts(&mut tx, workspace, Some(name)).await?;
        tx.commit().await?;
        Ok(cohorts.remove(name))
    }

    /// Writes cohorts whole: one that exists gets exactly these competitors.
    pub async fn save_cohorts(
        &self,
        workspace: &Workspace,
        cohorts: &[Cohort],
        dry_run: bool,
    ) -> Result<Effect> {
        let mut tx = self.begin().await?;
        let known = load_cohorts(&mut tx, workspace, None).await?;
        let mut effect = Effect::default();
        for cohort in cohorts {
            let before = known.get(&cohort.name);
            let created_at = before.map_or(cohort.created_at, |before| before.created_at);
            let after = Cohort { created_at, ..cohort.clone() };
            if effect.count(before, &after) {
                write_cohort(&mut tx, workspace, &after).await?;
            }
        }
        finish(tx, dry_run).await?;
        Ok(effect)
    }

    /// Removes cohorts; answers how many there were.
    pub async fn remove_cohorts(
        &self,
        workspace: &Workspace,
        names: &[String],
        dry_run: bool,
    ) -> Result<usize> {
        let mut tx = self.begin().await?;
        let mut removed = 0;
        for name in names {
            // The newest comparison goes with its cohort: it is derived from it.
            query("DELETE FROM comparisons WHERE workspace = $1 AND cohort = $2")
                .bind(workspace.as_str())
                .bind(name)
                .execute(&mut tx)
                .await?;
            let done = query("DELETE FROM cohorts WHERE workspace = $1 AND name = $2")
                .bind(workspace.as_str())
                .bind(name)
                .execute(&mut tx)
                .await?;
            removed += done.rows_affected() as usize;
        }
        finish(tx, dry_run).await?;
        Ok(removed)
    }
}

async fn finish(tx: Tx, dry_run: bool) -> Result<()> {
    if dry_run {
        tx.rollback().await?
    } else {
        tx.commit().await?
    }
    Ok(())
}

fn applied(before: Option<&WatchItem>, change: &WatchChange, now: Timestamp) -> WatchItem {
    let mut item = before.cloned().unwrap_or_else(|| WatchItem {
        key: change.key,
        tier: Tier::default(),
        relation: Relation::default(),
        tags: Vec::new(),
        source_chain: Vec::new(),
        label: String::new(),
        paused: false,
        added_at: now,
    });
    item.tier = change.tier.unwrap_or(item.tier);
    item.relation = change.relation.unwrap_or(item.relation);
    item.tags.extend(change.tags.iter().cloned());
    item.tags.sort();
    item.tags.dedup();
    if let Some(chain) = &change.source_chain {
        item.source_chain.clone_from(chain);
    }
    if let Some(label) = &change.label {
        item.label.clone_from(label);
    }
    item
}

async fn load_item(tx: &mut Tx, workspace: &Workspace, key: ProductKey) -> Result<Option<WatchItem>> {
    let row = query(
        "SELECT marketplace, asin, tier, relation, tags, source_chain, label, paused, added_at FROM watch_items
         WHERE workspace = $1 AND marketplace = $2 AND asin = $3",
    )
    .bind(workspace.as_str())
    .bind(key.marketplace.code())
    .bind(key.asin.as_str())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(watch_item).transpose()
}

async fn write_item(tx: &mut Tx, workspace: &Workspace, item: &WatchItem) -> Result<()> {
    query(
        "INSERT INTO watch_items (workspace, marketplace, asin, tier, relation, tags, source_chain, label, paused, added_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (workspace, marketplace, asin) DO UPDATE SET
            tier = excluded.tier, relation = excluded.relation, tags = excluded.tags,
            source_chain = excluded.source_chain, label = excluded.label, paused = excluded.paused",
    )
    .bind(workspace.as_str())
    .bind(item.key.marketplace.code())
    .bind(item.key.asin.as_str())
    .bind(item.tier.as_str())
    .bind(item.relation.as_str())
    .bind(item.tags.join(","))
    .bind(item.source_chain.join(","))
    .bind(&item.label)
    .bind(item.paused)
    .bind(item.added_at.timestamp_micros())
    .execute(tx)
    .await?;
    Ok(())
}

fn watch_item(row: &Row) -> Result<WatchItem> {
    Ok(WatchItem {
        key: product_key(row, "watch_items")?,
        tier: listed(row, "watch_items", "tier", Tier::from_word)?,
        relation: listed(row, "watch_items", "relation", Relation::from_word)?,
        tags: words(row.try_get("tags")?),
        source_chain: words(row.try_get("source_chain")?),
        label: row.try_get("label")?,
        paused: row.try_get("paused")?,
        added_at: instant(row, "watch_items", "added_at")?,
    })
}

fn words(joined: &str) -> Vec<String> {
    joined.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// By name; `only` limits it to one.
async fn load_cohorts(
    tx: &mut Tx,
    workspace: &Workspace,
    only: Option<&str>,
) -> Result<BTreeMap<String, Cohort>> {
    let rows = query(
        "SELECT name, marketplace, main_asin, label, created_at FROM cohorts
         WHERE workspace = $1 AND ($2 IS NULL OR name = $2)",
    )
    .bind(workspace.as_str())
    .bind(only)
    .fetch_all(&mut *tx)
    .await?;
    let mut cohorts = BTreeMap::new();
    for row in &rows {
        let name: String = row.try_get("name")?;
        let cohort = Cohort {
            name: name.clone(),
            main: ProductKey {
                marketplace: word(row, "cohorts", "marketplace")?,
                asin: word(row, "cohorts", "main_asin")?,
            },
            label: row.try_get("label")?,
            competitors: Vec::new(),
            created_at: instant(row, "cohorts", "created_at")?,
        };
        cohorts.insert(name, cohort);
    }
    let members = query(
        "SELECT cohort, marketplace, asin, priority, label FROM cohort_members
         WHERE workspace = $1 AND ($2 IS NULL OR cohort = $2)
         ORDER BY cohort, priority, marketplace, asin",
    )
    .bind(workspace.as_str())
    .bind(only)
    .fetch_all(tx)
    .await?;
    for row in &members {
        let Some(cohort) = cohorts.get_mut(row.try_get::<&str, _>("cohort")?) else { continue };
        cohort.competitors.push(Competitor {
            key: product_key(row, "cohort_members")?,
            priority: row.try_get("priority")?,
            label: row.try_get("label")?,
        });
    }
    Ok(cohorts)
}

async fn write_cohort(tx: &mut Tx, workspace: &Workspace, cohort: &Cohort) -> Result<()> {
    query(
        "INSERT INTO cohorts (workspace, name, marketplace, main_asin, label, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (workspace, name) DO UPDATE SET
            marketplace = excluded.marketplace, main_asin = excluded.main_asin, label = excluded.label",
    )
    .bind(workspace.as_str())
    .bind(&cohort.name)
    .bind(cohort.main.marketplace.code())
    .bind(cohort.main.asin.as_str())
    .bind(&cohort.label)
    .bind(cohort.created_at.timestamp_micros())
    .execute(tx)
    .await?;
    query("DELETE FROM cohort_members WHERE workspace = $1 AND cohort = $2")
        .bind(workspace.as_str())
        .bind(&cohort.name)
        .execute(tx)
        .await?;
    for competitor in &cohort.competitors {
        query(
            "INSERT INTO cohort_members (workspace, cohort, marketplace, asin, role, priority, label)
             VALUES ($1, $2, $3, $4, 'competitor', $5, $6)",
        )
        .bind(workspace.as_str())
        .bind(&cohort.name)
        .bind(competitor.key.marketplace.code())
        .bind(competitor.key.asin.as_str())
        .bind(competitor.priority)
        .bind(&competitor.label)
        .execute(tx)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::testing::fresh_store(folder.path()).await;
        (folder, store)
    }

    fn main() -> Workspace {
        Workspace::default()
    }

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn key(text: &str) -> ProductKey {
        let (marketplace, asin) = text.split_once(':').unwrap();
        ProductKey { marketplace: marketplace.parse().unwrap(), asin: asin.parse().unwrap() }
    }

    async fn shown(store: &Store) -> Vec<String> {
        let line = |Watched { item, .. }: &Watched| {
            format!("{} {} {} [{}] {}", item.key, item.tier, item.relation, item.tags.join(","), item.paused)
        };
        store.load_watchlist(&main()).await.unwrap().iter().map(line).collect()
    }

    #[tokio::test]
    async fn watching_again_changes_only_what_is_named() {
        let (_folder, store) = store().await;
        let first = WatchChange {
            tier: Some(Tier::Critical),
            tags: vec!["led".into(), "audio".into()],
            ..WatchChange::of(key("US:B000000001"))
        };
        let both = [first, WatchChange::of(key("UK:B000000002"))];
        assert_eq!(
            store.save_watch(&main(), &both, now(), false).await.unwrap(),
            Effect { added: 2, ..Effect::default() }
        );
        let repeated = store.save_watch(&main(), &both, now(), false).await.unwrap();
        assert_eq!(repeated, Effect { unchanged: 2, ..Effect::default() });

        let own = WatchChange {
            relation: Some(Relation::Own),
            tags: vec!["audio".into(), "new".into()],
            ..WatchChange::of(key("US:B000000001"))
        };
        let changed = store.save_watch(&main(), &[own], now(), false).await.unwrap();
        assert_eq!(changed, Effect { changed: 1, ..Effect::default() });
        assert_eq!(
            shown(&store).await,
            ["UK:B000000002 routine rival [] false", "US:B000000001 critical own [audio,led,new] false"]
        );
    }

    #[tokio::test]
    async fn a_dry_run_tells_the_effect_and_has_none() {
        let (_folder, store) = store().await;
        let changes = [WatchChange::of(key("US:B000000001"))];
        assert_eq!(store.save_watch(&main(), &changes, now(), true).await.unwrap().added, 1);
        assert_eq!(shown(&store).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn products_are_tagged_paused_and_removed_by_key() {
        let (_folder, store) = store().await;
        let keys = [key("US:B000000001"), key("US:B000000002")];
        store.save_watch(&main(), &keys.map(WatchChange::of), now(), false).await.unwrap();
        let unknown = key("US:B00000000X");

        let tags = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let tagged =
            store.tag_watched(&main(), &[keys[0], unknown], &tags(&["b", "a"]), &[], false).await.unwrap();
        assert_eq!(tagged, 1);
        assert_eq!(store.tag_watched(&main(), &keys, &[], &tags(&["a"]), false).await.unwrap(), 1);
        assert_eq!(store.pause_watched(&main(), &keys[1..], true, false).await.unwrap(), 1);
        assert_eq!(store.pause_watched(&main(), &keys[1..], true, false).await.unwrap(), 0);
        assert_eq!(
            shown(&store).await,
            ["US:B000000001 routine rival [b] false", "US:B000000002 routine rival [] true"]
        );
        assert_eq!(store.remove_watched(&main(), &[keys[1], unknown], false).await.unwrap(), 1);
        assert_eq!(shown(&store).await.len(), 1);
    }

    #[tokio::test]
    async fn a_cohort_is_replaced_whole_and_keeps_its_beginning() {
        let (_folder, store) = store().await;
        let competitor = |text, priority| Competitor { key: key(text), priority, label: String::new() };
        let mut cohort = Cohort {
            name: "earbuds".into(),
            main: key("US:B000000001"),
            label: String::new(),
            competitors: vec![competitor("US:B000000003", 0), competitor("US:B000000002", 1)],
            created_at: now(),
        };
        assert_eq!(store.save_cohorts(&main(), &[cohort.clone()], false).await.unwrap().added, 1);
        assert_eq!(store.load_cohort(&main(), "earbuds").await.unwrap(), Some(cohort.clone()));

        let later = "2026-04-01T00:00:00Z".parse().unwrap();
        let again = Cohort { created_at: later, ..cohort.clone() };
        assert_eq!(store.save_cohorts(&main(), &[again], false).await.unwrap().unchanged, 1);
        cohort.competitors.truncate(1);
        assert_eq!(store.save_cohorts(&main(), &[cohort.clone()], false).await.unwrap().changed, 1);
        assert_eq!(store.load_cohorts(&main()).await.unwrap(), [cohort]);

        assert_eq!(
            store.remove_cohorts(&main(), &["earbuds".into(), "other".into()], false).await.unwrap(),
            1
        );
        assert_eq!(store.load_cohort(&main(), "earbuds").await.unwrap(), None);
    }
}
