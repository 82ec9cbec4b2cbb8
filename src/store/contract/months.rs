//! Tables by month: on a server only.

use super::*;

/// The months of which the plan of a statement reads partitions of the table, sorted.
async fn months_read(store: &Store, table: &str, sql: &str) -> Vec<String> {
    let plan = store.lines(format!("EXPLAIN {sql}")).await;
    let named = plan.iter().filter_map(|line| line.split(&format!("{table}_")).nth(1));
    let months: std::collections::BTreeSet<String> =
        named.map(|rest| rest.chars().take(7).collect::<String>().replace('_', "-")).collect();
    months.into_iter().collect()
}

#[tokio::test]
async fn a_range_of_days_reads_the_months_that_it_touches() {
    let (_folder, store) = fresh().await;
    if store.location().file().is_some() {
        return;
    }
    let days = |sql: &str| {
        let values = [("$1", "'US'"), ("$2", "'B000000001'"), ("$3", "'2026-01-30'"), ("$4", "'2026-02-02'")];
        values.iter().fold(sql.to_owned(), |sql, (place, value)| sql.replace(place, value))
    };
    for (table, sql) in [
        ("product_metrics_daily", days(core::LOAD_DAILY)),
        ("ranks", days(core::LOAD_RANKS_OF_SERVER)),
        (
            "product_metrics_daily",
            days("SELECT asin FROM product_metrics_daily WHERE marketplace = $1 AND day BETWEEN $3 AND $4"),
        ),
        ("deltas", days("DELETE FROM deltas WHERE marketplace = $1 AND day BETWEEN $3 AND $4")),
        (
            "observations",
            days(
                "SELECT item FROM observations WHERE marketplace = $1 AND asin = $2 AND day BETWEEN $3 AND $4",
            ),
        ),
        // From 2026-01-31T12:00:00Z to 2026-02-01T12:00:00Z.
        (
            "raw_receipts",
            "SELECT shape FROM raw_receipts WHERE observed_at BETWEEN 1769860800000000 AND 1769947200000000"
                .to_owned(),
        ),
    ] {
        assert_eq!(months_read(&store, table, &sql).await, ["2026-01", "2026-02"], "{sql}");
    }
}

#[tokio::test]
async fn a_month_is_made_by_the_first_row_of_it() {
    let (_folder, store) = fresh().await;
    if store.location().file().is_some() {
        return;
    }
    receipt(&store, 1).await;
    let made = "SELECT relname FROM pg_class WHERE relname LIKE '%_2031_07' AND relkind = 'r' ORDER BY 1";
    assert_eq!(store.lines(made).await, [] as [&str; 0]);
    for _ in 0..2 {
        commit(&store, vec![observed(1, "2031-07-05", Some(2000))]).await;
        let tables = ["observations_2031_07", "product_metrics_daily_2031_07", "ranks_2031_07"];
        assert_eq!(store.lines(made).await, tables);
    }
    let days = DayRange { first: "2031-07-01".parse().unwrap(), last: "2031-07-31".parse().unwrap() };
    assert_eq!(store.load_daily(&[key()], days).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_month_that_is_over_is_put_into_the_order_of_products_once() {
    let (_folder, store) = fresh().await;
    if store.location().file().is_some() {
        assert_eq!(store.unordered_months("2031-08").await.unwrap(), []);
        assert!(!store.order_month("ranks", "2031-07").await.unwrap());
        return;
    }
    let pages = "SELECT DISTINCT split_part(ctid::text, ',', 1) FROM ranks WHERE asin = 'B000000001' AND day < '2031-08'";
    store
        .run_script(
            "SELECT make_months('ranks', '[\"2031-07\", \"2031-08\"]');
             INSERT INTO ranks SELECT 'US', 'B' || lpad(product::text, 9, '0'), to_char(day, 'YYYY-MM-DD'), 0, NULL, 'Toys', 7, 1, 0
             FROM generate_series('2031-07-01'::timestamp, '2031-08-02', '1 day') AS day, generate_series(1, 500) AS product
             ORDER BY day, product"
                .to_owned(),
        )
        .await
        .unwrap();
    assert_eq!(store.lines(pages).await.len(), 31, "a page for every day");
    let rows = || async { store.lines("SELECT r::text FROM ranks r ORDER BY r").await };
    let before = rows().await;

    assert_eq!(store.unordered_months("2031-08").await.unwrap(), [("ranks", "2031-07".to_owned())]);
    // Whoever reads it is not driven away.
    let mut reader = store.reader().begin_reading().await.unwrap();
    reader.run_script("SELECT 1 FROM ranks WHERE day = '2031-07-01' LIMIT 1".to_owned()).await.unwrap();
    assert!(!store.order_month("ranks", "2031-07").await.unwrap());
    reader.commit().await.unwrap();

    assert!(store.order_month("ranks", "2031-07").await.unwrap());
    assert!(store.lines(pages).await.len() <= 2);
    assert!(!store.order_month("ranks", "2031-07").await.unwrap(), "once");
    assert_eq!(store.unordered_months("2031-08").await.unwrap(), []);
    assert_eq!(rows().await, before);
    assert!(!store.order_month("deltas", "2031-07").await.unwrap(), "nobody reads them so");
}
