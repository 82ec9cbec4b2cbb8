//! Aggregates over all products of a day, and over those of a rank category. Pure: frames in, records out.
//!
//! Counts and sums are integers; each mean is one division of them. Unknown is null, never 0. Means and medians
//! of prices are over minor units of the marketplace's currency.

use polars::prelude::*;
use serde_json::{Map, Value, json};

/// Columns of the deltas' frame that are read.
pub const DELTA_COLUMNS: [&str; 11] = [
    "day_no",
    "price",
    "price_delta",
    "bsr",
    "bsr_delta",
    "bsr_category",
    "rating",
    "rating_delta",
    "ratings_count",
    "availability",
    "seller_id",
];

/// Columns of the daily rows' frame that are read.
pub const OBSERVED_COLUMNS: [&str; 2] = ["day_no", "observed_at"];

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// A record of a day; of a category where one is named.
#[derive(Clone, PartialEq, Debug)]
pub struct Aggregate {
    pub day_no: i32,
    pub category: Option<String>,
    pub record: Value,
}

/// One record per day, sorted by day, over the products with a daily row on it.
///
/// `deltas` has [`DELTA_COLUMNS`], one row per product and day; `observed` has [`OBSERVED_COLUMNS`] of the same
/// rows; `end_of_day` answers the microsecond at which a day ends (data age = end of day - observed_at).
pub fn daily_aggregates(
    deltas: &DataFrame,
    observed: &DataFrame,
    end_of_day: impl Fn(i32) -> i64,
) -> PolarsResult<Vec<Aggregate>> {
    let mut aggregations = vec![len().cast(DataType::Int64).alias("products")];
    for field in ["price", "bsr", "rating"] {
        aggregations.extend(level(field));
        let delta = col(format!("{field}_delta"));
        aggregations.push(count_where(delta.clone().gt(lit(0)), &format!("{field}_up")));
        aggregations.push(count_where(delta.clone().lt(lit(0)), &format!("{field}_down")));
        aggregations.push(count_where(delta.eq(lit(0)), &format!("{field}_same")));
    }
    aggregations.extend([
        known("ratings_count").alias("ratings_count_n"),
        col("ratings_count").sum().alias("ratings_count_sum"),
        count_where(is_any(&IN_STOCK), "in_stock"),
        count_where(is_any(&OUT_OF_STOCK), "out_of_stock"),
        count_where(is_any(&UNKNOWN_STOCK).not(), "stock_known"),
        known("seller_id").alias("seller_known"),
    ]);
    let days = deltas
        .clone()
        .lazy()
        .group_by([col("day_no")])
        .agg(aggregations)
        .sort(["day_no"], SortMultipleOptions::default())
        .collect()?;
    let ages = observed
        .clone()
        .lazy()
        // Microseconds since the day began in UTC: instants themselves would overflow a sum of 5,000 rows.
        .with_column(
            (col("observed_at") - col("day_no").cast(DataType::Int64) * lit(MICROSECONDS_PER_DAY))
                .alias("offset"),
        )
        .group_by([col("day_no")])
        .agg([
            col("offset").sum().alias("sum"),
            known("offset").alias("n"),
            col("offset").min().alias("oldest"),
        ])
        .collect()?;
    let mut aggregates = Vec::with_capacity(days.height());
    for row in 0..days.height() {
        let day_no = days.column("day_no")?.i32()?.get(row).unwrap_or_default();
        let mut record = counts(&days, row, &["products"])?;
        for field in ["price", "bsr", "rating"] {
            put_level(&mut record, &days, row, field)?;
            for direction in ["up", "down", "same"] {
                put_count(&mut record, &days, row, &format!("{field}_{direction}"))?;
            }
        }
        let has_counts = integer(&days, "ratings_count_n", row)?.unwrap_or_default() > 0;
        put_count(&mut record, &days, row, "ratings_count_n")?;
        let sum = integer(&days, "ratings_count_sum", row)?.filter(|_| has_counts);
        record.insert("ratings_count_sum".into(), json!(sum));
        for name in ["in_stock", "out_of_stock", "stock_known", "seller_known"] {
            put_count(&mut record, &days, row, name)?;
        }
        put_age(&mut record, &ages, day_no, end_of_day(day_no))?;
        aggregates.push(Aggregate { day_no, category: None, record: Value::Object(record) });
    }
    Ok(aggregates)
}

/// One record per (day, main rank's category), sorted so, over the products with a known rank in it.
pub fn category_metrics(deltas: &DataFrame) -> PolarsResult<Vec<Aggregate>> {
    let mut aggregations = vec![len().cast(DataType::Int64).alias("products")];
    for field in ["price", "bsr", "rating"] {
        aggregations.extend(level(field));
        aggregations.push(col(field).min().alias(format!("{field}_min")));
        aggregations.push(col(field).max().alias(format!("{field}_max")));
    }
    let groups = deltas
        .clone()
        .lazy()
        .filter(col("bsr_category").is_not_null().and(col("bsr").is_not_null()))
        .group_by([col("day_no"), col("bsr_category")])
        .agg(aggregations)
        .sort(["day_no", "bsr_category"], SortMultipleOptions::default())
        .collect()?;
    let mut metrics = Vec::with_capacity(groups.height());
    for row in 0..groups.height() {
        let mut record = counts(&groups, row, &["products"])?;
        for field in ["price", "bsr", "rating"] {
            put_level(&mut record, &groups, row, field)?;
            for end in ["min", "max"] {
                let name = format!("{field}_{end}");
                record.insert(name.clone(), json!(integer(&groups, &name, row)?));
            }
        }
        metrics.push(Aggregate {
            day_no: groups.column("day_no")?.i32()?.get(row).unwrap_or_default(),
            category: groups.column("bsr_category")?.str()?.get(row).map(str::to_owned),
            record: Value::Object(record),
        });
    }
    Ok(metrics)
}

const IN_STOCK: [&str; 2] = ["in_stock", "low_stock"];
const OUT_OF_STOCK: [&str; 2] = ["out_of_stock", "unavailable"];
const UNKNOWN_STOCK: [&str; 4] = ["price_hidden", "select_variant", "not_deliverable_to_location", "unknown"];

fn is_any(words: &[&'static str]) -> Expr {
    words.iter().fold(lit(false), |any, word| any.or(col("availability").eq(lit(*word))))
}

fn known(field: &str) -> Expr {
    col(field).is_not_null().sum().cast(DataType::Int64)
}

/// How many rows fulfil the condition; rows for which it is null do not.
fn count_where(condition: Expr, name: &str) -> Expr {
    condition.sum().cast(DataType::Int64).alias(name)
}

fn level(field: &str) -> [Expr; 3] {
    [
        known(field).alias(format!("{field}_n")),
        col(field).sum().alias(format!("{field}_sum")),
        col(field).median().alias(format!("{field}_median")),
    ]
}

fn integer(frame: &DataFrame, name: &str, row: usize) -> PolarsResult<Option<i64>> {
    Ok(frame.column(name)?.i64()?.get(row))
}

fn counts(frame: &DataFrame, row: usize, names: &[&str]) -> PolarsResult<Map<String, Value>> {
    let mut record = Map::new();
    for name in names {
        put_count(&mut record, frame, row, name)?;
    }
    Ok(record)
}

fn put_count(record: &mut Map<String, Value>, frame: &DataFrame, row: usize, name: &str) -> PolarsResult<()> {
    record.insert(name.to_owned(), json!(integer(frame, name, row)?.unwrap_or_default()));
    Ok(())
}

/// Count, sum, mean and median; all but the count null where nothing is known.
fn put_level(
    record: &mut Map<String, Value>,
    frame: &DataFrame,
    row: usize,
    field: &str,
) -> PolarsResult<()> {
    let n = integer(frame, &format!("{field}_n"), row)?.unwrap_or_default();
    // The sum of no values is 0 in polars; here it is unknown.
    let sum = integer(frame, &format!("{field}_sum"), row)?.filter(|_| n > 0);
    let median = frame.column(&format!("{field}_median"))?.f64()?.get(row);
    record.insert(format!("{field}_n"), json!(n));
    record.insert(format!("{field}_sum"), json!(sum));
    record.insert(format!("{field}_avg"), json!(sum.map(|sum| sum as f64 / n as f64)));
    record.insert(format!("{field}_median"), json!(median));
    Ok(())
}

/// Mean and greatest age of the day's data at the day's end, in whole seconds.
fn put_age(record: &mut Map<String, Value>, ages: &DataFrame, day_no: i32, end: i64) -> PolarsResult<()> {
    let end = end - i64::from(day_no) * MICROSECONDS_PER_DAY;
    let row = ages.column("day_no")?.i32()?.iter().position(|day| day == Some(day_no));
    let (mut mean, mut oldest) = (None, None);
    if let Some(row) = row {
        let n = integer(ages, "n", row)?.unwrap_or_default();
        let sum = integer(ages, "sum", row)?.filter(|_| n > 0);
        mean = sum.map(|sum| (end * n - sum).div_euclid(n * 1_000_000));
        oldest = integer(ages, "oldest", row)?.map(|oldest| (end - oldest).div_euclid(1_000_000));
    }
    record.insert("data_age_avg_seconds".into(), json!(mean));
    record.insert("data_age_max_seconds".into(), json!(oldest));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_counted_over_the_products_that_have_a_row_on_it() {
        let deltas = df!(
            "day_no" => [10_i32, 10, 10, 11],
            "price" => [Some(1000_i64), Some(2001), None, None],
            "price_delta" => [Some(-5_i64), Some(0), None, None],
            "bsr" => [Some(7_i64), None, None, None],
            "bsr_delta" => [Some(3_i64), None, None, None],
            "bsr_category" => [Some("Electronics"), None, None, None],
            "rating" => [Some(450_i64), Some(430), Some(400), None],
            "rating_delta" => [Some(1_i64), Some(-1), None, None],
            "ratings_count" => [Some(10_i64), None, None, None],
            "availability" => ["in_stock", "unavailable", "unknown", "unknown"],
            "seller_id" => [Some("S1"), None, None, None],
        )
        .unwrap();
        let noon = |day: i64| (day * 86_400 + 43_200) * 1_000_000;
        let observed = df!(
            "day_no" => [10_i32, 10, 11],
            "observed_at" => [noon(10), noon(10) + 2_000_000, noon(11)],
        )
        .unwrap();
        let end = |day: i32| (i64::from(day) + 1) * 86_400 * 1_000_000;
        let days = daily_aggregates(&deltas, &observed, end).unwrap();
        let record = &days[0].record;
        let expected = json!({
            "products": 3, "price_n": 2, "price_sum": 3001, "price_avg": 1500.5, "price_median": 1500.5,
            "price_up": 0, "price_down": 1, "price_same": 1, "bsr_n": 1, "bsr_sum": 7, "bsr_up": 1,
            "rating_n": 3, "rating_median": 430.0, "rating_up": 1, "rating_down": 1, "ratings_count_n": 1,
            "ratings_count_sum": 10, "in_stock": 1, "out_of_stock": 1, "stock_known": 2, "seller_known": 1,
            "data_age_avg_seconds": 43_199, "data_age_max_seconds": 43_200
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&record[name], value, "{name}");
        }
        let unknown = &days[1].record;
        assert_eq!(
            (days[1].day_no, &unknown["price_n"], &unknown["price_sum"]),
            (11, &json!(0), &Value::Null)
        );
        assert_eq!((&unknown["price_avg"], &unknown["price_median"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_category_counts_products_with_a_known_rank_in_it() {
        let deltas = df!(
            "day_no" => [10_i32, 10, 10, 10],
            "price" => [Some(1000_i64), None, Some(3000), Some(9)],
            "bsr" => [Some(7_i64), Some(9), Some(1), None],
            "bsr_category" => [Some("Toys"), Some("Toys"), Some("Books"), Some("Toys")],
            "rating" => [Some(450_i64), None, None, Some(100)],
        )
        .unwrap();
        let metrics = category_metrics(&deltas).unwrap();
        let categories: Vec<_> = metrics.iter().map(|metric| metric.category.as_deref().unwrap()).collect();
        assert_eq!(categories, ["Books", "Toys"]);
        let toys = &metrics[1].record;
        assert_eq!(
            (&toys["products"], &toys["price_n"], &toys["price_avg"]),
            (&json!(2), &json!(1), &json!(1000.0))
        );
        assert_eq!(
            (&toys["bsr_min"], &toys["bsr_max"], &toys["bsr_median"]),
            (&json!(7), &json!(9), &json!(8.0))
        );
        assert_eq!(
            (&metrics[0].record["rating_min"], &metrics[0].record["rating_n"]),
            (&Value::Null, &json!(0))
        );
    }
}
