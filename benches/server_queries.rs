//! Times the queries of one product on a PostgreSQL server: `tests/postgres/with_server cargo bench --bench server_queries`.
//!
//! `AMZCTL_TEST_DATABASE_URL` names the server, on which a database is made, filled and dropped again; without it nothing is
//! timed. `AMZCTL_BENCH_PRODUCTS` and `AMZCTL_BENCH_DAYS` say how many of them (50,000 × 365 take about 9 GB). Rows are put
//! into the table by the server itself: what is timed is reading.
#![expect(clippy::print_stdout, reason = "the figures are what a bench is for")]

use std::time::Instant;

use amzctl::model::{Day, DayRange, Marketplace, ProductKey};
use amzctl::store::{Location, Store};
use anyhow::{Context, ensure};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

const DATABASE: &str = "amzctl_bench";
/// Times of each query, of products spread over the catalogue.
const TIMES: i64 = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Ok(url) = std::env::var("AMZCTL_TEST_DATABASE_URL") else {
        println!("AMZCTL_TEST_DATABASE_URL is not set: no server to ask");
        return Ok(());
    };
    let (products, days) = (size("AMZCTL_BENCH_PRODUCTS", 5_000)?, size("AMZCTL_BENCH_DAYS", 365)?);
    let last: Day = "2026-03-31".parse()?;
    let first = last.plus(1 - i32::try_from(days)?);
    let server: PgConnectOptions = url.parse()?;
    run(&server, &format!("DROP DATABASE IF EXISTS {DATABASE}")).await?;
    run(&server, &format!("CREATE DATABASE {DATABASE}")).await?;
    let (base, rest) = url.split_once('?').unwrap_or((&url, ""));
    let (base, _) = base.rsplit_once('/').context("the URL names no database")?;
    let location = Location::of_server(&format!("{base}/{DATABASE}?{rest}"), false, ".".as_ref());
    let store = Store::create(location.map_err(anyhow::Error::msg)?).await?;
    let database = server.clone().database(DATABASE);
    let began = Instant::now();
    fill(&database, products, DayRange { first, last }).await?;
    println!("{products} products × {days} days loaded in {:.0} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    for (table, month) in store.unordered_months(&last.month()).await? {
        ensure!(store.order_month(table, &month).await?, "{month} of {table} is in use");
    }
    println!(
        "the months that are over put into the order of products in {:.0} s",
        began.elapsed().as_secs_f64()
    );

    println!("\n| query of one product | rows | median ms | p95 ms | slowest ms |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (name, length) in [("its newest day", 1), ("30 days", 30), ("90 days", 90), ("a year", 365)] {
        let range = DayRange { first: last.plus(1 - length), last };
        let (mut times, mut rows) = (Vec::new(), 0);
        for time in 0..TIMES {
            let key =
                ProductKey { marketplace: Marketplace::Us, asin: asin(time * 7_919 % products).parse()? };
            let began = Instant::now();
            let found = store.load_daily(&[key], range).await?.len();
            times.push(began.elapsed().as_secs_f64() * 1e3);
            ensure!(i64::try_from(found)? == i64::from(length).min(days), "{found} rows of {}", key.asin);
            rows = found;
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!("| {name} | {rows} | {:.2} | {:.2} | {:.1} |", at(0.5), at(0.95), at(1.0));
    }
    store.close().await;
    run(&server, &format!("DROP DATABASE {DATABASE}")).await
}

fn size(variable: &str, default: i64) -> anyhow::Result<i64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is no number")),
        Err(_) => Ok(default),
    }
}

fn asin(number: i64) -> String {
    format!("B{number:09}")
}

/// Day by day, as nightly runs would have.
async fn fill(database: &PgConnectOptions, products: i64, days: DayRange) -> anyhow::Result<()> {
    let mut connection = database.connect().await?;
    let mut day = days.first;
    while day <= days.last {
        statement(
            &mut connection,
            &format!(
                "SELECT ops.make_months('product_metrics_daily', '[\"{month}\"]'), ops.make_months('ranks', '[\"{month}\"]');
                 INSERT INTO core.product_metrics_daily (marketplace, asin, day, observed_at, currency, price_minor,
                   list_price_minor, buy_box_price_minor, price_basis, is_prime, seller_id, seller_name, fulfilment,
                   condition, offer_count, availability, bsr, bsr_category, rating_centi, ratings_count, observations,
                   source, sources)
                 SELECT 'US', 'B' || lpad(n::text, 9, '0'), '{day}', extract(epoch FROM date '{day}')::bigint * 1000000,
                   'USD', 1000 + (n * 37 + {no}) % 9000, 12000, 1000 + (n * 37 + {no}) % 9000, 'buy_box', 1,
                   'A' || lpad((n % 997)::text, 12, '0'), 'Seller ' || n % 997, 'fba', 'new', n % 12, 'in_stock',
                   1 + (n * 101 + {no}) % 200000, 'Electronics', 430, 100 + n % 5000 + {no}, 1, 'keepa', '[\"keepa\"]'
                 FROM generate_series(0, {products} - 1) AS n;
                 INSERT INTO core.ranks (marketplace, asin, day, ordinal, category, rank, is_main, is_leaf)
                 SELECT 'US', 'B' || lpad(n::text, 9, '0'), '{day}', 0, 'Electronics', 1 + (n * 101 + {no}) % 200000, 1, 0
                 FROM generate_series(0, {products} - 1) AS n",
                month = &day.to_string()[..7],
                no = day.no() % 500,
            ),
        )
        .await?;
        day = day.plus(1);
    }
    statement(&mut connection, "VACUUM ANALYZE core.product_metrics_daily").await?;
    statement(&mut connection, "VACUUM ANALYZE core.ranks").await?;
    connection.close().await?;
    Ok(())
}

async fn run(options: &PgConnectOptions, sql: &str) -> anyhow::Result<()> {
    let mut connection = options.connect().await?;
    statement(&mut connection, sql).await?;
    connection.close().await?;
    Ok(())
}

async fn statement(connection: &mut PgConnection, sql: &str) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await?;
    Ok(())
}
