//! A whole database into an empty one of either engine: its tables in an order in which references hold, the rows of
//! each in the order of its key, chunk by chunk. A chunk is one transaction together with the record of how far it goes.
//!
//! What tables there are, their columns and keys is read from the schema: a new one is copied without being named here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::columns::to_json;
use super::db::{Database, Monthly, Row, Statement, Tx, Value, bulk, query, query_of, query_scalar_of};
use super::hash::{RowHasher, TableHash};
use super::migrate::has_ledger;
use super::ops::{Identity, insert_identity, read_identity};
use super::raw::month_of;
use super::{Location, Result, Store, StoreError};
use crate::failpoint;
use crate::model::Timestamp;

/// Tables that every database has of its own: which migrations it saw, who writes to it, what it is, and what is copied
/// into it.
const OWN: [&str; 5] =
    ["copy_progress", "database_identity", "fetch_claims", "run_leases", "schema_migrations"];

/// A server ends a transaction that is silent for so long, whatever its own limit is. The original waits while a chunk is
/// written to the copy, perhaps over a slow line.
const PATIENCE: &str = "10min";

/// How much is read at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub rows: usize,
    /// Of texts and bytes; a single row may have more.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { rows: 2_000, bytes: 8 << 20 }
    }
}

/// A table as the schema has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    pub name: String,
    columns: Vec<(String, Kind)>,
    /// The columns of its primary key.
    key: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Int,
    Real,
    Text,
    Blob,
}

/// How much a table holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    pub rows: u64,
    /// Of its values; indexes and the engine's own overhead come on top.
    pub bytes: u64,
}

/// Rows that follow each other in the order of the key.
pub struct Chunk {
    rows: Vec<Row>,
    /// The key of the last row, as JSON; null: there is none.
    last_key: Option<String>,
    /// No row follows.
    pub is_last: bool,
}

impl Chunk {
    pub fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    pub fn last_key(&self) -> Option<&str> {
        self.last_key.as_deref()
    }
}

/// How far a table of a copy is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableProgress {
    pub table: String,
    /// Rows of the original when the copy began.
    pub source_rows: u64,
    pub rows: u64,
    pub last_key: Option<String>,
    pub is_whole: bool,
}

/// What is found where a copy is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Nothing, or a schema without a row.
    Empty,
    /// A copy that is not whole yet.
    Begun { source_uuid: String, tables: Vec<TableProgress> },
    /// A database that is used.
    InUse(Identity),
    /// No identity, but rows of this table.
    HasRows(String),
    /// What amzctl has not made.
    Foreign,
}

/// Table, column, type and place in the primary key, in the order of the schema.
const SQLITE_COLUMNS: &str = "SELECT t.name, c.name, c.type, NULLIF(c.pk, 0)
    FROM sqlite_schema t JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid";
const POSTGRES_COLUMNS: &str = "SELECT c.relname, a.attname, format_type(a.atttypid, NULL),
        CAST(array_position(CAST(i.indkey AS SMALLINT[]), a.attnum) AS BIGINT)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE n.nspname IN ('staging_raw', 'core', 'mart', 'ops') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.relname, a.attnum";
/// Which table refers to which.
const SQLITE_REFERENCES: &str = "SELECT t.name, f.\"table\"
    FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'";
const POSTGRES_REFERENCES: &str = "SELECT c.relname, p.relname FROM pg_constraint f
    JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class p ON p.oid = f.confrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE f.contype = 'f' AND n.nspname IN ('staging_raw', 'core', 'mart', 'ops')";

/// One state of a database.
pub struct Snapshot {
    tx: Tx,
}

impl Store {
    /// What lies at a place, without changing anything there.
    pub async fn look_at(location: &Location) -> Result<Target> {
        if location.file().is_some_and(|path| !path.exists()) {
            return Ok(Target::Empty);
        }
        let mut store = Store::connect(location.clone(), false, super::BUSY_TIMEOUT);
        let found = match store.look_for_pooler().await {
            Ok(()) => store.target().await,
            Err(error) => Err(error),
        };
        let told = match found {
            Err(StoreError::Corrupt { .. }) => Ok(Target::Foreign),
            Err(error) => Err(store.explained(error).await),
            Ok(target) => Ok(target),
        };
        store.close().await;
        told
    }

    async fn target(&self) -> Result<Target> {
        if !has_ledger(self).await? {
            let others = match self.reader() {
                Database::Sqlite(_) => "SELECT EXISTS (SELECT 1 FROM sqlite_schema)",
                Database::Postgres(_) => {
                    "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname IN ('staging_raw', 'core', 'mart'))"
                }
            };
            let has_others: bool = query(others).fetch_one(self.reader()).await?.try_get(0)?;
            return Ok(if has_others { Target::Foreign } else { Target::Empty });
        }
        let tables = self.tables().await?;
        let mut tx = self.reader().begin_reading().await?;
        let target = target_of(&mut tx, &tables).await?;
        tx.commit().await?;
        Ok(target)
    }

    /// Every table that a copy has, parents before what refers to them.
    pub async fn tables(&self) -> Result<Vec<Table>> {
        let (columns, references) = match self.reader() {
            Database::Sqlite(_) => (SQLITE_COLUMNS, SQLITE_REFERENCES),
            Database::Postgres(_) => (POSTGRES_COLUMNS, POSTGRES_REFERENCES),
        };
        let mut waiting: BTreeMap<String, (Table, Vec<i64>)> = BTreeMap::new();
        for row in query(columns).fetch_all(self.reader()).await? {
            let (name, column, kind): (String, String, String) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let (table, places) =
                waiting.entry(name.clone()).or_insert_with(|| (Table::named(name), Vec::new()));
            if let Some(place) = row.try_get::<Option<i64>, _>(3)? {
                let at = places.partition_point(|other| *other < place);
                places.insert(at, place);
                table.key.insert(at, column.clone());
            }
            table.columns.push((column, Kind::of(&kind)));
        }
        waiting.retain(|name, _| !OWN.contains(&name.as_str()));
        let rows = query(references).fetch_all(self.reader()).await?;
        let references: Vec<(String, String)> =
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_>>()?;
        let mut ordered = Vec::new();
        while !waiting.is_empty() {
            let waits = |name: &String| {
                references.iter().any(|(of, to)| of == name && to != name && waiting.contains_key(to))
            };
            let ready: Vec<String> = waiting.keys().filter(|name| !waits(name)).cloned().collect();
            assert!(!ready.is_empty(), "tables that refer to each other in a circle: {:?}", waiting.keys());
            ordered.extend(ready.iter().filter_map(|name| waiting.remove(name)).map(|(table, _)| table));
        }
        Ok(ordered)
    }

    /// A state that nobody reads past and everybody may go on from: for counting, and for reading a copy.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot { tx: self.reader().begin_reading().await? })
    }

    /// A state that stays the database's until it is let go: whoever would write waits, and gives up.
    pub async fn hold(&self) -> Result<Snapshot> {
        let mut tx = self.begin().await?;
        if let Tx::Postgres { .. } = &tx {
            tx.run_script(format!("SET LOCAL idle_in_transaction_session_timeout = '{PATIENCE}'")).await?;
        }
        Ok(Snapshot { tx })
    }

    /// Begins a copy of the database `source_uuid` here, whose tables have so many rows, if nothing is here; answers what
    /// is here then.
    pub async fn begin_copy(&self, source_uuid: &str, tables: &[(Table, Size)]) -> Result<Target> {
        let own: Vec<Table> = self.tables().await?;
        let mut tx = self.begin().await?;
        let mut target = target_of(&mut tx, &own).await?;
        if target == Target::Empty {
            let sizes: Vec<(&str, i64)> =
                tables.iter().map(|(table, size)| (table.name.as_str(), size.rows as i64)).collect();
            let into = "copy_progress (table_name, source_uuid, source_rows)";
            bulk::insert(&mut tx, into, "", &sizes, |values, (table, rows)| {
                values.push_bind(*table).push_bind(source_uuid).push_bind(*rows);
            })
            .await?;
            target = target_of(&mut tx, &own).await?;
        }
        tx.commit().await?;
        Ok(target)
    }

    /// Writes a chunk with how far the table is now; `made` are the months that are known to be there.
    pub async fn commit_chunk(
        &self,
        table: &Table,
        chunk: &Chunk,
        made: &mut BTreeSet<(String, String)>,
    ) -> Result<()> {
        let rows: Vec<Vec<Value<'_>>> =
            chunk.rows.iter().map(|row| table.values(row)).collect::<Result<_>>()?;
        failpoint!("copy.before_chunk");
        let mut tx = self.begin().await?;
        let months = table.months(&rows, made)?;
        if let Some(monthly) = Monthly::of(&table.name) {
            monthly.make(&mut tx, months.clone()).await?;
        }
        let into = format!("{} ({})", table.name, table.names());
        bulk::insert(&mut tx, &into, "", &rows, |values, row| {
            for value in row {
                values.push_bind(value);
            }
        })
        .await?;
        query(
            "UPDATE copy_progress SET rows = rows + $2, last_key = COALESCE($3, last_key), is_whole = $4
             WHERE table_name = $1",
        )
        .bind(&table.name)
        .bind(rows.len() as i64)
        .bind(chunk.last_key.as_deref())
        .bind(chunk.is_last)
        .execute(&mut tx)
        .await?;
        failpoint!("copy.inside_chunk");
        tx.commit().await?;
        made.extend(months.into_iter().map(|month| (table.name.clone(), month)));
        failpoint!("copy.after_chunk");
        Ok(())
    }

    /// Lets a server's planner know what it has now. The embedded one believes what its schema says.
    pub async fn gather_statistics(&self, tables: &[Table]) -> Result<()> {
        let Database::Postgres(_) = self.reader() else { return Ok(()) };
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let mut tx = self.begin().await?;
        tx.run_script(format!("ANALYZE {}", names.join(", "))).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes a copy a database of its own: ids go on behind the original's, and it gets its name.
    pub async fn finish_copy(&self, identity: &Identity, counters: &[(String, i64)]) -> Result<()> {
        let mut tx = self.begin().await?;
        for (table, last) in counters {
            go_on_behind(&mut tx, table, *last).await?;
        }
        query("DELETE FROM copy_progress").execute(&mut tx).await?;
        insert_identity(&mut tx, identity).await?;
        tx.commit().await?;
        Ok(())
    }
}

impl Snapshot {
    /// How much a table holds.
    pub async fn size_of(&mut self, table: &Table) -> Result<Size> {
        let octets = table.octets();
        let sql = format!("SELECT COUNT(*), CAST(COALESCE(SUM({octets}), 0) AS BIGINT) FROM {}", table.name);
        let row = query_of(sql).fetch_one(&mut self.tx).await?;
        let (rows, bytes): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Size { rows: rows.unsigned_abs(), bytes: bytes.unsigned_abs() })
    }

    /// The rows that follow a key.
    pub async fn chunk(&mut self, table: &Table, after: Option<&str>, limits: Limits) -> Result<Chunk> {
        // Sizes first: what is too large to lie in memory is not even fetched.
        let sizes = table.page(&table.octets(), after, limits.rows)?.build().fetch_all(&mut self.tx).await?;
        let (mut fitting, mut bytes) = (0, 0);
        for size in &sizes {
            bytes += size.try_get::<i64, _>(0)?.unsigned_abs();
            if fitting > 0 && bytes > limits.bytes {
                break;
            }
            fitting += 1;
        }
        let is_last = fitting == sizes.len() && sizes.len() < limits.rows;
        let rows = match fitting {
            0 => Vec::new(),
            _ => table.page(&table.names(), after, fitting)?.build().fetch_all(&mut self.tx).await?,
        };
        let last_key = rows.last().map(|row| table.key_of(row)).transpose()?;
        Ok(Chunk { rows, last_key, is_last })
    }

    /// The hash of every column of every row in the order of the key; `told` hears of rows as they are read.
    pub async fn hash(
        &mut self,
        table: &Table,
        limits: Limits,
        told: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<TableHash> {
        let mut hasher = RowHasher::default();
        let mut after = None;
        loop {
            let chunk = self.chunk(table, after.as_deref(), limits).await?;
            for row in &chunk.rows {
                hasher.push(row)?;
            }
            told(chunk.rows());
            if chunk.is_last {
                return Ok(hasher.finish(&table.name));
            }
            after = chunk.last_key;
        }
    }

    /// The last ids that were given, by table.
    pub async fn counters(&mut self) -> Result<Vec<(String, i64)>> {
        let counters = match &self.tx {
            Tx::Sqlite(_) => "SELECT name, seq FROM sqlite_sequence ORDER BY name".to_owned(),
            Tx::Postgres { .. } => format!(
                "SELECT table_name, COALESCE(pg_sequence_last_value(CAST(sequence AS REGCLASS)), 0) FROM {SEQUENCES} ORDER BY 1"
            ),
        };
        let rows = query_of(counters).fetch_all(&mut self.tx).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Lets others write again.
    pub async fn release(self) -> Result<()> {
        Ok(self.tx.rollback().await?)
    }
}

/// The columns of a server's tables that count by a sequence.
const SEQUENCES: &str =
    "(SELECT CAST(c.relname AS TEXT) AS table_name, CAST(a.attname AS TEXT) AS column_name,
        pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) AS sequence
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname IN ('staging_raw', 'core', 'mart', 'ops') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) IS NOT NULL) AS counted";

/// The next id of a table comes behind `last`, and behind every one that is there.
async fn go_on_behind(tx: &mut Tx, table: &str, last: i64) -> Result<()> {
    if let Tx::Sqlite(_) = tx {
        // Rows that were written with an id have moved it already.
        let known = query("SELECT seq FROM sqlite_sequence WHERE name = $1").bind(table);
        let known = known.fetch_optional(&mut *tx).await?.map(|row| row.try_get(0)).transpose()?;
        query("DELETE FROM sqlite_sequence WHERE name = $1").bind(table).execute(tx).await?;
        query("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)")
            .bind(table)
            .bind(last.max(known.unwrap_or(0)))
            .execute(tx)
            .await?;
        return Ok(());
    }
    let counted = query_of(format!("SELECT column_name, sequence FROM {SEQUENCES} WHERE table_name = $1"));
    for row in counted.bind(table).fetch_all(&mut *tx).await? {
        let (column, sequence): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let highest = format!("SELECT COALESCE(MAX({column}), 0) FROM {table}");
        let last = last.max(query_scalar_of(highest).fetch_one(&mut *tx).await?);
        if last > 0 {
            query("SELECT setval(CAST($1 AS REGCLASS), $2)")
                .bind(sequence)
                .bind(last)
                .fetch_one(&mut *tx)
                .await?;
        }
    }
    Ok(())
}

async fn target_of(tx: &mut Tx, tables: &[Table]) -> Result<Target> {
    if let Some(identity) = read_identity(&mut *tx).await? {
        return Ok(Target::InUse(identity));
    }
    let rows = query(
        "SELECT table_name, source_uuid, source_rows, rows, last_key, is_whole FROM copy_progress ORDER BY table_name",
    );
    let rows = rows.fetch_all(&mut *tx).await?;
    if let Some(first) = rows.first() {
        let source_uuid = first.try_get("source_uuid")?;
        let tables = rows.iter().map(table_progress).collect::<Result<_>>()?;
        return Ok(Target::Begun { source_uuid, tables });
    }
    for table in tables {
        let any = query_of(format!("SELECT 1 FROM {} LIMIT 1", table.name));
        if any.fetch_optional(&mut *tx).await?.is_some() {
            return Ok(Target::HasRows(table.name.clone()));
        }
    }
    Ok(Target::Empty)
}

fn table_progress(row: &Row) -> Result<TableProgress> {
    Ok(TableProgress {
        table: row.try_get("table_name")?,
        source_rows: row.try_get::<i64, _>("source_rows")?.unsigned_abs(),
        rows: row.try_get::<i64, _>("rows")?.unsigned_abs(),
        last_key: row.try_get("last_key")?,
        is_whole: row.try_get("is_whole")?,
    })
}

impl Kind {
    /// By a column's type in the words of either engine: each has just these four.
    fn of(kind: &str) -> Kind {
        match kind {
            "INTEGER" | "bigint" => Kind::Int,
            "REAL" | "double precision" => Kind::Real,
            "BLOB" | "bytea" => Kind::Blob,
            _ => Kind::Text,
        }
    }

    fn null(self) -> Value<'static> {
        match self {
            Kind::Int => Value::Int(None),
            Kind::Real => Value::Real(None),
            Kind::Text => Value::Text(None),
            Kind::Blob => Value::Blob(None),
        }
    }
}

impl Table {
    fn named(name: String) -> Table {
        Table { name, columns: Vec::new(), key: Vec::new() }
    }

    /// The columns by their names: `a, b`.
    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    /// What a row has in bytes, as an expression; numbers count for eight.
    fn octets(&self) -> String {
        let is_long = |kind: Kind| matches!(kind, Kind::Text | Kind::Blob);
        let numbers = self.columns.iter().filter(|(_, kind)| !is_long(*kind)).count();
        let long = self.columns.iter().filter(|(_, kind)| is_long(*kind));
        long.fold((8 * numbers).to_string(), |sum, (name, _)| {
            format!("{sum} + COALESCE(octet_length({name}), 0)")
        })
    }

    /// The next rows after a key, which is a JSON array.
    fn page(&self, what: &str, after: Option<&str>, rows: usize) -> Result<Statement> {
        let key = self.key.join(", ");
        let mut statement = Statement::new(format!("SELECT {what} FROM {}", self.name));
        if let Some(after) = after {
            statement.push(format!(" WHERE ({key}) > ("));
            for (place, value) in parsed_key(after)?.into_iter().enumerate() {
                statement.push(if place == 0 { "" } else { ", " });
                statement.push_bind(value);
            }
            statement.push(")");
        }
        statement.push(format!(" ORDER BY {key} LIMIT {rows}"));
        Ok(statement)
    }

    fn key_of(&self, row: &Row) -> Result<String> {
        let mut values = Vec::new();
        for name in &self.key {
            let is_number = self.columns.iter().any(|(column, kind)| column == name && *kind == Kind::Int);
            values.push(match is_number {
                true => Json::from(row.try_get::<i64, _>(name.as_str())?),
                false => Json::from(row.try_get::<&str, _>(name.as_str())?),
            });
        }
        Ok(to_json(&values))
    }

    /// A row's values, nulls with the type of their column.
    fn values<'r>(&self, row: &'r Row) -> Result<Vec<Value<'r>>> {
        let typed = |(value, (_, kind)): (Value<'r>, &(String, Kind))| {
            if value.is_null() { kind.null() } else { value }
        };
        Ok(row.values()?.into_iter().zip(&self.columns).map(typed).collect())
    }

    /// The months of these rows that are not made yet, where the table is kept by month.
    fn months(&self, rows: &[Vec<Value<'_>>], made: &BTreeSet<(String, String)>) -> Result<BTreeSet<String>> {
        let Some(monthly) = Monthly::of(&self.name) else { return Ok(BTreeSet::new()) };
        let place = self.columns.iter().position(|(name, _)| name == monthly.column());
        let months = rows.iter().filter_map(|row| match &row[place?] {
            Value::Int(Some(micros)) => Timestamp::from_timestamp_micros(*micros).map(month_of),
            Value::Text(Some(day)) => day.get(..7).map(str::to_owned),
            _ => None,
        });
        Ok(months.filter(|month| !made.contains(&(self.name.clone(), month.clone()))).collect())
    }
}

fn parsed_key(key: &str) -> Result<Vec<Value<'static>>> {
    let unreadable =
        || StoreError::Value { table: "copy_progress", column: "last_key", value: key.to_owned() };
    let values: Vec<Json> = serde_json::from_str(key).map_err(|_| unreadable())?;
    let value = |value: Json| match value {
        Json::Number(number) => number.as_i64().map(|number| Value::Int(Some(number))),
        Json::String(text) => Some(Value::Text(Some(text.into()))),
        _ => None,
    };
    values.into_iter().map(|it| value(it).ok_or_else(unreadable)).collect()
}

#[cfg(test)]
impl Table {
    /// How the second chunk is read.
    pub(crate) fn page_text(&self) -> String {
        let key = self.key.iter().map(|_| "'x'").collect::<Vec<_>>().join(", ");
        format!(
            "SELECT {} FROM {} WHERE ({}) > ({key}) ORDER BY {} LIMIT 9",
            self.names(),
            self.name,
            self.key.join(", "),
            self.key.join(", ")
        )
    }
}
