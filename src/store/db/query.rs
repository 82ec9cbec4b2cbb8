//! A statement with its values, as either engine takes them.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query as DriverQuery;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{Arguments, AssertSqlSafe, Encode, SqlSafeStr, SqlStr, Type};

use super::bulk::Values;
use super::postgres::portable;
use super::{Column, Database, On, Row, Tx};

/// A value on its way into the database. Nulls have a type: PostgreSQL asks for it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value<'q> {
    Int(Option<i64>),
    Real(Option<f64>),
    Text(Option<Cow<'q, str>>),
    /// A text that many rows have.
    Word(Arc<str>),
    Blob(Option<Cow<'q, [u8]>>),
}

impl Value<'_> {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Value::Int(None) | Value::Real(None) | Value::Text(None) | Value::Blob(None))
    }

    fn into_owned(self) -> Value<'static> {
        match self {
            Value::Int(value) => Value::Int(value),
            Value::Real(value) => Value::Real(value),
            Value::Text(value) => Value::Text(value.map(|text| text.into_owned().into())),
            Value::Word(word) => Value::Word(word),
            Value::Blob(value) => Value::Blob(value.map(|bytes| bytes.into_owned().into())),
        }
    }
}

/// What can be bound. A boolean is 0 or 1, as its column is.
pub(crate) trait Bind<'q> {
    const NULL: Value<'static>;

    fn value(self) -> Value<'q>;
}

macro_rules! bind {
    ($null:ident: $($type:ty => |$it:ident| $value:expr;)*) => {
        $(impl<'q> Bind<'q> for $type {
            const NULL: Value<'static> = Value::$null(None);

            fn value(self) -> Value<'q> {
                let $it = self;
                Value::$null(Some($value))
            }
        })*
    };
}

bind!(Int: i64 => |it| it; i32 => |it| it.into(); u32 => |it| it.into(); bool => |it| it.into(););
bind!(Real: f64 => |it| it;);
bind!(Text: &'q str => |it| it.into(); String => |it| it.into(); &'q String => |it| it.as_str().into(););
bind!(Blob: &'q [u8] => |it| it.into(); Vec<u8> => |it| it.into(););

impl<'q> Bind<'q> for Arc<str> {
    const NULL: Value<'static> = Value::Text(None);

    fn value(self) -> Value<'q> {
        Value::Word(self)
    }
}

impl<'q> Bind<'q> for Value<'q> {
    const NULL: Value<'static> = Value::Text(None);

    fn value(self) -> Value<'q> {
        self
    }
}

impl<'q> Bind<'q> for &'q Value<'_> {
    const NULL: Value<'static> = Value::Text(None);

    fn value(self) -> Value<'q> {
        match self {
            Value::Int(value) => Value::Int(*value),
            Value::Real(value) => Value::Real(*value),
            Value::Text(value) => Value::Text(value.as_deref().map(Cow::Borrowed)),
            Value::Word(word) => Value::Word(word.clone()),
            Value::Blob(value) => Value::Blob(value.as_deref().map(Cow::Borrowed)),
        }
    }
}

impl<'q, T: Bind<'q>> Bind<'q> for Option<T> {
    const NULL: Value<'static> = T::NULL;

    fn value(self) -> Value<'q> {
        self.map_or(T::NULL, T::value)
    }
}

impl<'q, T> Bind<'q> for &'q Option<T>
where
    &'q T: Bind<'q>,
{
    const NULL: Value<'static> = <&T>::NULL;

    fn value(self) -> Value<'q> {
        self.as_ref().map_or(Self::NULL, Bind::value)
    }
}

/// How many rows a statement wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(super) rows: u64,
}

impl Done {
    pub(crate) fn rows_affected(&self) -> u64 {
        self.rows
    }
}

/// One statement; `$1` is the first value.
#[derive(Clone, Debug)]
pub(crate) struct Query<'q> {
    sql: SqlStr,
    values: Vec<Value<'q>>,
    persistent: bool,
}

/// A statement whose text is fixed.
pub(crate) fn query<'q>(sql: &'static str) -> Query<'q> {
    Query { sql: sql.into_sql_str(), values: Vec::new(), persistent: true }
}

/// A statement whose text is put together from names that are the program's own, never from data.
pub(crate) fn query_of<'q>(sql: String) -> Query<'q> {
    Query { sql: AssertSqlSafe(sql).into_sql_str(), values: Vec::new(), persistent: true }
}

impl<'q> Query<'q> {
    pub(crate) fn bind(mut self, value: impl Bind<'q>) -> Query<'q> {
        self.values.push(value.value());
        self
    }

    pub(crate) async fn execute(self, tx: &mut Tx) -> sqlx::Result<Done> {
        let rows = match tx {
            Tx::Sqlite(tx) => self.for_sqlite().execute(&mut **tx).await?.rows_affected(),
            Tx::Postgres { tx, is_pooled } => {
                self.for_postgres(*is_pooled).execute(&mut **tx).await?.rows_affected()
            }
        };
        Ok(Done { rows })
    }

    pub(crate) async fn fetch_all<'c>(self, on: impl Into<On<'c>>) -> sqlx::Result<Vec<Row>> {
        match on.into() {
            On::Tx(tx) => self.fetch_all_within(tx).await,
            On::Database(Database::Sqlite(file)) => {
                self.for_sqlite().fetch(&file.reader).map_ok(Row::Sqlite).try_collect().await
            }
            On::Database(Database::Postgres(server)) => {
                let mut tx = server.begin_reading().await?;
                let rows = self.fetch_all_within(&mut tx).await?;
                tx.commit().await?;
                Ok(rows)
            }
        }
    }

    async fn fetch_all_within(self, tx: &mut Tx) -> sqlx::Result<Vec<Row>> {
        match tx {
            Tx::Sqlite(tx) => self.for_sqlite().fetch(&mut **tx).map_ok(Row::Sqlite).try_collect().await,
            Tx::Postgres { tx, is_pooled } => {
                self.for_postgres(*is_pooled).fetch(&mut **tx).map_ok(Row::Postgres).try_collect().await
            }
        }
    }

    pub(crate) async fn fetch_optional<'c>(self, on: impl Into<On<'c>>) -> sqlx::Result<Option<Row>> {
        match on.into() {
            On::Database(Database::Sqlite(file)) => {
                Ok(self.for_sqlite().fetch_optional(&file.reader).await?.map(Row::Sqlite))
            }
            On::Tx(Tx::Sqlite(tx)) => Ok(self.for_sqlite().fetch_optional(&mut **tx).await?.map(Row::Sqlite)),
            on => Ok(self.fetch_all(on).await?.into_iter().next()),
        }
    }

    pub(crate) async fn fetch_one<'c>(self, on: impl Into<On<'c>>) -> sqlx::Result<Row> {
        self.fetch_optional(on).await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// Row by row, for what is too large to lie in memory.
    pub(crate) fn fetch<'c>(self, database: &'c Database) -> BoxStream<'c, sqlx::Result<Row>>
    where
        'q: 'c,
    {
        match database {
            Database::Sqlite(file) => self.for_sqlite().fetch(&file.reader).map_ok(Row::Sqlite).boxed(),
            Database::Postgres(server) => async_stream::try_stream! {
                let mut tx = server.begin_reading().await?;
                // By a cursor: whoever stops reading is not sent the rest.
                let sql = AssertSqlSafe(format!("DECLARE streamed NO SCROLL CURSOR FOR {}", self.sql.as_str()));
                let declare = Query { sql: sql.into_sql_str(), persistent: false, ..self };
                declare.execute(&mut tx).await?;
                loop {
                    let fetch = Query { persistent: false, ..query(FETCH) };
                    let rows = fetch.fetch_all_within(&mut tx).await?;
                    if rows.is_empty() {
                        break;
                    }
                    for row in rows {
                        yield row;
                    }
                }
                tx.commit().await?;
            }
            .boxed(),
        }
    }

    fn for_sqlite(self) -> DriverQuery<'static, Sqlite, SqliteArguments> {
        let mut arguments = SqliteArguments::default();
        self.values.into_iter().for_each(|value| add(&mut arguments, value));
        sqlx::query_with(self.sql, arguments).persistent(self.persistent)
    }

    fn for_postgres(self, is_pooled: bool) -> DriverQuery<'static, Postgres, PgArguments> {
        let mut arguments = PgArguments::default();
        self.values.into_iter().for_each(|value| add(&mut arguments, value));
        sqlx::query_with(portable(self.sql), arguments).persistent(self.persistent && !is_pooled)
    }
}

/// The next rows of a stream: few enough that bodies of pages do not fill the memory.
const FETCH: &str = "FETCH 200 FROM streamed";

/// Why no value is ever refused by a driver before it is sent.
const PLAIN: &str = "numbers, texts and bytes can always be encoded";

/// Adds a value to a driver's arguments.
pub(super) fn add<A: Arguments>(arguments: &mut A, value: Value<'_>)
where
    Option<i64>: for<'a> Encode<'a, A::Database> + Type<A::Database>,
    Option<f64>: for<'a> Encode<'a, A::Database> + Type<A::Database>,
    Arc<str>: for<'a> Encode<'a, A::Database> + Type<A::Database>,
    for<'a> Option<Cow<'a, str>>: Encode<'a, A::Database> + Type<A::Database>,
    Option<Vec<u8>>: for<'a> Encode<'a, A::Database> + Type<A::Database>,
{
    let added = match value {
        Value::Int(value) => arguments.add(value),
        Value::Real(value) => arguments.add(value),
        Value::Text(value) => arguments.add(value),
        Value::Word(word) => arguments.add(word),
        Value::Blob(value) => arguments.add(value.map(Cow::into_owned)),
    };
    added.expect(PLAIN);
}

/// A statement of which the first column is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Scalar<'q>(Query<'q>);

pub(crate) fn query_scalar<'q>(sql: &'static str) -> Scalar<'q> {
    Scalar(query(sql))
}

pub(crate) fn query_scalar_of<'q>(sql: String) -> Scalar<'q> {
    Scalar(query_of(sql))
}

impl<'q> Scalar<'q> {
    pub(crate) fn bind(self, value: impl Bind<'q>) -> Scalar<'q> {
        Scalar(self.0.bind(value))
    }

    pub(crate) async fn fetch_one<T>(self, on: impl Into<On<'_>>) -> sqlx::Result<T>
    where
        T: for<'r> Column<'r>,
    {
        self.0.fetch_one(on).await?.try_get(0)
    }

    pub(crate) async fn fetch_optional<T>(self, on: impl Into<On<'_>>) -> sqlx::Result<Option<T>>
    where
        T: for<'r> Column<'r>,
    {
        self.0.fetch_optional(on).await?.map(|row| row.try_get(0)).transpose()
    }

    pub(crate) async fn fetch_all<T>(self, on: impl Into<On<'_>>) -> sqlx::Result<Vec<T>>
    where
        T: for<'r> Column<'r>,
    {
        self.0.fetch_all(on).await?.iter().map(|row| row.try_get(0)).collect()
    }
}

/// A statement that is put together: texts are the program's own, data is bound.
pub(crate) struct Statement {
    sql: String,
    values: Vec<Value<'static>>,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<String>) -> Statement {
        Statement { sql: sql.into(), values: Vec::new() }
    }

    pub(crate) fn push(&mut self, sql: impl AsRef<str>) {
        self.sql.push_str(sql.as_ref());
    }

    pub(crate) fn push_bind<'v>(&mut self, value: impl Bind<'v>) {
        self.values.push(value.value().into_owned());
        self.sql.push('$');
        self.sql.push_str(&self.values.len().to_string());
    }

    /// `VALUES (…), (…)`; `bind` pushes one row's values.
    pub(crate) fn push_rows<T>(
        &mut self,
        rows: impl IntoIterator<Item = T>,
        mut bind: impl FnMut(&mut Values<'_>, T),
    ) {
        self.sql.push_str("VALUES ");
        for (place, row) in rows.into_iter().enumerate() {
            self.sql.push_str(if place == 0 { "(" } else { ", (" });
            bind(&mut Values::of_statement(self), row);
            self.sql.push(')');
        }
    }

    /// Not kept prepared: such a text rarely comes again.
    pub(crate) fn build(self) -> Query<'static> {
        Query { sql: AssertSqlSafe(self.sql).into_sql_str(), values: self.values, persistent: false }
    }
}
