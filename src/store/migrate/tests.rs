//! Upgrades: a database of every earlier version, with a row in every table, is brought to the newest with its rows intact.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;

use super::*;
use crate::ids::sha256_hex;
use crate::store::BUSY_TIMEOUT;
use crate::store::db::query_of;
use crate::store::testing::empty_location;

/// Rows for the tables that each version has beyond those of the version before.
const ROWS: [(i64, &str); 5] = [
    (1, include_str!("rows_v1.sql")),
    (2, include_str!("rows_v2.sql")),
    (3, include_str!("rows_v3.sql")),
    (5, include_str!("rows_v5.sql")),
    (7, include_str!("rows_v7.sql")),
];

/// What a migration that is still to be written may do: a table, and a column with a default.
const NEXT: Migration = Migration {
    version: MIGRATIONS[MIGRATIONS.len() - 1].version + 1,
    name: "next",
    sqlite: "CREATE TABLE notes (note TEXT NOT NULL PRIMARY KEY) STRICT; INSERT INTO notes VALUES ('new');
        ALTER TABLE products ADD COLUMN colour TEXT NOT NULL DEFAULT 'unknown';",
    postgres:
        "CREATE TABLE core.notes (note TEXT NOT NULL PRIMARY KEY); INSERT INTO core.notes VALUES ('new');
        ALTER TABLE core.products ADD COLUMN colour TEXT NOT NULL DEFAULT 'unknown';",
};

/// The migrations there are, and the one that is still to be written.
fn with_next(next: Migration) -> Vec<Migration> {
    let known = MIGRATIONS.iter().take_while(|known| known.version < next.version);
    known.map(|known| Migration { ..*known }).chain([Migration { ..next }]).collect()
}

/// A table's columns.
type Columns = BTreeMap<String, Vec<String>>;

struct Old {
    folder: tempfile::TempDir,
    store: Store,
    columns: Columns,
    content: BTreeMap<String, (usize, String)>,
}

/// A database of this version with a row in every table.
async fn database_of(migrations: &[Migration], version: i64) -> Old {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::connect(empty_location(folder.path()).await, true, BUSY_TIMEOUT);
    let applied = migrations.iter().filter(|migration| migration.version <= version).count();
    check_or_apply(&store, &migrations[..applied], Migrate::Yes, true).await.unwrap();
    if store.location().file().is_none() {
        store
            .run_script(
                "SELECT make_months(c.relname, '[\"2026-03\"]') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.relkind = 'p' AND n.nspname IN ('staging_raw', 'core', 'mart', 'ops')"
                    .to_owned(),
            )
            .await
            .unwrap();
    }
    for (_, rows) in ROWS.iter().filter(|(of, _)| *of <= version) {
        let rows: String = rows.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
        store.run_script(rows.replace("{bytes}", &store.bytes("{}"))).await.unwrap();
    }
    let columns = columns(&store).await;
    let content = content(&store, &columns).await;
    let empty: Vec<_> = content.iter().filter(|(_, (rows, _))| *rows == 0).map(|(table, _)| table).collect();
    // Leases and claims are a server's only, and end by themselves.
    assert!(
        empty.iter().all(|table| ["run_leases", "fetch_claims"].contains(&table.as_str())),
        "without a row in rows_v{version}.sql: {empty:?}"
    );
    Old { folder, store, columns, content }
}

/// The columns of every table, without the ledger of migrations, which is meant to change.
async fn columns(store: &Store) -> Columns {
    let sql = match store.reader() {
        Database::Sqlite(_) => {
            "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.cid"
        }
        Database::Postgres(_) => {
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE n.nspname IN ('staging_raw', 'core', 'mart', 'ops') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
             ORDER BY c.relname, a.attnum"
        }
    };
    let mut columns = Columns::new();
    for row in store.rows(sql).await {
        let table: String = row.try_get(0).unwrap();
        columns.entry(table).or_default().push(row.try_get(1).unwrap());
    }
    columns.remove("schema_migrations");
    columns
}

/// Rows of every table and the hash of what they hold in these columns. A table or column that is gone is one that was
/// lost.
async fn content(store: &Store, columns: &Columns) -> BTreeMap<String, (usize, String)> {
    let mut content = BTreeMap::new();
    for (table, columns) in columns {
        let list = columns.join(", ");
        let sql = format!("SELECT {list} FROM {table} ORDER BY {list}");
        let mut rows = query_of(sql).fetch(store.reader());
        let mut text = Vec::new();
        loop {
            match rows.try_next().await {
                Ok(Some(row)) => text.push(format!("{:?}", row.values().unwrap())),
                Ok(None) => break,
                Err(error) => text.push(format!("lost: {error}")),
            }
            if text.last().is_some_and(|line| line.starts_with("lost")) {
                break;
            }
        }
        content.insert(table.clone(), (text.len(), sha256_hex(text.join("\n").as_bytes())));
    }
    content
}

async fn hash(store: &Store) -> String {
    crate::store::combined(&store.hash_state().await.unwrap())
}

#[tokio::test]
async fn a_database_of_every_earlier_version_is_brought_up_to_date_with_its_rows_intact() {
    let to_come = with_next(NEXT);
    // The migrations as they are, and, so that this is never a test of nothing, with one more.
    for migrations in [MIGRATIONS, &to_come] {
        for version in 1..newest(migrations) {
            let old = database_of(migrations, version).await;
            check_or_apply(&old.store, migrations, Migrate::Yes, false).await.unwrap();
            assert_eq!(found_version(&old.store, migrations).await.unwrap(), newest(migrations));
            assert_eq!(content(&old.store, &old.columns).await, old.content, "from version {version}");
            hash(&old.store).await;
            assert_eq!(old.store.check_integrity().await.unwrap(), [] as [String; 0]);
            // A second time there is nothing to do.
            check_or_apply(&old.store, migrations, Migrate::Refuse, false).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_migration_that_loses_something_is_found() {
    for (sqlite, postgres, lost) in [
        ("DELETE FROM reviews", "DELETE FROM core.reviews", "reviews"),
        ("UPDATE products SET title = 'x'", "UPDATE core.products SET title = 'x'", "products"),
        ("DROP TABLE mart_days", "DROP TABLE ops.mart_days", "mart_days"),
        (
            "ALTER TABLE daily_aggregates DROP COLUMN record",
            "ALTER TABLE mart.daily_aggregates DROP COLUMN record",
            "daily_aggregates",
        ),
    ] {
        let migrations = with_next(Migration { sqlite, postgres, ..NEXT });
        let old = database_of(&migrations, 1).await;
        check_or_apply(&old.store, &migrations, Migrate::Yes, false).await.unwrap();
        let after = content(&old.store, &old.columns).await;
        let differs: Vec<_> = old
            .content
            .iter()
            .filter(|(table, was)| after[*table] != **was)
            .map(|(table, _)| table)
            .collect();
        assert_eq!(differs, [lost]);
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let migrations = with_next(Migration {
        sqlite: "DELETE FROM reviews; SELECT nothing FROM nowhere",
        postgres: "DELETE FROM core.reviews; SELECT nothing FROM nowhere",
        ..NEXT
    });
    let old = database_of(&migrations, NEXT.version - 1).await;
    check_or_apply(&old.store, &migrations, Migrate::Yes, false).await.unwrap_err();
    assert_eq!(content(&old.store, &old.columns).await, old.content);
    assert_eq!(found_version(&old.store, &migrations).await.unwrap(), NEXT.version - 1);
}

#[tokio::test]
async fn an_older_schema_is_left_alone_where_that_is_asked_for() {
    let migrations = with_next(NEXT);
    let old = database_of(&migrations, 1).await;
    let refused = check_or_apply(&old.store, &migrations, Migrate::Refuse, false).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::MigrationRefused { found: 1, known } if known == NEXT.version),
        "{refused}"
    );
    check_or_apply(&old.store, &migrations, Migrate::Later, false).await.unwrap();
    assert_eq!(found_version(&old.store, &migrations).await.unwrap(), 1);
    assert_eq!(std::fs::read_dir(old.folder.path()).unwrap().flatten().filter(is_backup).count(), 0);
}

fn is_backup(entry: &std::fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().contains(".before-v")
}

#[tokio::test]
async fn a_file_is_backed_up_before_it_is_migrated_and_only_then() {
    let migrations = with_next(NEXT);
    let old = database_of(&migrations, 1).await;
    let Some(path) = old.store.location().file().map(Path::to_owned) else { return };
    check_or_apply(&old.store, &migrations, Migrate::Yes, false).await.unwrap();
    let backup = backup_before(&path, 2);
    let copy = Store::open(backup.clone(), Migrate::Later).await.unwrap();
    assert_eq!(copy.schema_version().await.unwrap(), 1);
    assert_eq!(content(&copy, &old.columns).await, old.content);
    copy.close().await;
    let made_at = std::fs::metadata(&backup).unwrap().modified().unwrap();
    check_or_apply(&old.store, &migrations, Migrate::Yes, false).await.unwrap();
    assert_eq!(std::fs::metadata(&backup).unwrap().modified().unwrap(), made_at);
    assert_eq!(std::fs::read_dir(old.folder.path()).unwrap().flatten().filter(is_backup).count(), 1);
}
