"""The mart in SQL, by DuckDB: `duckdb_peer.py FOLDER OUTPUT` reads the core files of a market's lake, writes Parquet.

Does less than amzctl. Left out:
- rollups: bsr_leaf_* (ranks in the leaf category of the as-of day), price_low, price_high, price_low_all,
  price_high_all (extremes guarded against prices that were never real);
- deltas: bsr_leaf, its _prev, _prev_day, _delta and _pct, bsr_leaf_category, price_low_all_prev, price_high_all_prev,
  price_outlier_n, price_outlier_median_x2, price_outlier_mad_x4; bsr_prev is looked up among main ranks only, not
  among all ranks of the day;
- names of categories are taken as they are; core/ranks is not read at all;
- mart/pasts, mart/past_prices, mart/past_sellers, daily aggregates, category metrics, and anything in a database.
"""

import sys
from pathlib import Path

from lake import CORE, FIELDS, WINDOWS, bucket_ranges, files_of, open_duckdb, output_file, write_query

DAYS = """CREATE OR REPLACE TEMP TABLE days AS
    SELECT marketplace, month, bucket, asin, day_no, currency, price_basis, price_minor AS price,
           list_price_minor AS list_price, buy_box_price_minor AS buy_box_price, landed_price_minor AS landed_price,
           bsr, bsr_category, rating_centi AS rating, ratings_count, availability, seller_id,
           CAST(availability IN ('in_stock', 'low_stock') AS BIGINT) AS in_stock,
           CAST(availability NOT IN ('price_hidden', 'select_variant', 'not_deliverable_to_location', 'unknown')
                AS BIGINT) AS stock_known,
           CASE WHEN seller_id IS NOT NULL THEN seller_id WHEN availability = 'no_featured_offer' THEN '' END AS holder
    FROM read_parquet({files}, hive_partitioning = false)
    WHERE bucket >= {first} AND bucket < {end}"""

KEY = "marketplace, month, bucket, asin, day_no"


def rollups_sql(window):
    """One row per daily row with at least two daily rows in the window."""
    half = window // 2
    sums, outer = [], []
    for field in ["price", "bsr", "rating"]:
        sums += [
            f"count({field}) OVER w AS {field}_n",
            f"CAST(sum({field}) OVER w AS BIGINT) AS {field}_sum",
            f"min({field}) OVER w AS {field}_min",
            f"max({field}) OVER w AS {field}_max",
            f"first_value({field} IGNORE NULLS) OVER w AS {field}_first",
            f"last_value({field} IGNORE NULLS) OVER w AS {field}_last",
            f"CAST(2 * median({field}) OVER w AS BIGINT) AS {field}_median_x2",
            f"count({field}) OVER early AS {field}_n1",
            f"CAST(sum({field}) OVER early AS BIGINT) AS {field}_s1",
            f"count({field}) OVER late AS {field}_n2",
            f"CAST(sum({field}) OVER late AS BIGINT) AS {field}_s2",
        ]
        outer += [f"{field}_{name}" for name in ["n", "sum", "min", "max", "first", "last", "median_x2"]]
        outer += [
            f"{field}_sum / {field}_n AS {field}_avg",
            f"CASE WHEN {field}_n >= 2 THEN (({field}_last - {field}_first) * 100) / {field}_first END"
            f" AS {field}_change_pct",
        ]
        if field != "rating":
            sums += [
                f"CAST(sum({field} * {field}) OVER w AS BIGINT) AS {field}_sumsq",
                f"CAST(sum({field} * t) OVER w AS BIGINT) AS {field}_sxy",
                f"CAST(sum(CASE WHEN {field} IS NOT NULL THEN t END) OVER w AS BIGINT) AS {field}_sx",
                f"CAST(sum(CASE WHEN {field} IS NOT NULL THEN t * t END) OVER w AS BIGINT) AS {field}_sxx",
            ]
            root = f"sqrt({field}_n * {field}_sumsq - {field}_sum * {field}_sum)"
            outer += [
                f"{field}_sumsq",
                f"CASE WHEN {field}_n >= 2 THEN {root} / {field}_n END AS {field}_sd",
                f"CASE WHEN {field}_n >= 2 THEN {root} / {field}_sum END AS {field}_volatility",
                f"CASE WHEN {field}_n >= 2 THEN ({field}_n * {field}_sxy - {field}_sx * {field}_sum)"
                f" / ({field}_n * {field}_sxx - {field}_sx * {field}_sx) END AS {field}_slope",
            ]
        outer.append(f"""CASE WHEN {field}_n1 = 0 OR {field}_n2 = 0 THEN NULL
            WHEN 100 * ({field}_s2 * {field}_n1 - {field}_s1 * {field}_n2) > 5 * {field}_s1 * {field}_n2 THEN 1
            WHEN 100 * ({field}_s2 * {field}_n1 - {field}_s1 * {field}_n2) < -5 * {field}_s1 * {field}_n2 THEN -1
            ELSE 0 END AS {field}_trend""")
    sums += [
        "count(*) OVER w AS observed_days",
        "count(*) OVER month_back AS observed_30d",
        "count(ratings_count) OVER w AS growth_n",
        "last_value(ratings_count IGNORE NULLS) OVER w - first_value(ratings_count IGNORE NULLS) OVER w AS growth",
        "CAST(sum(in_stock) OVER w AS BIGINT) AS in_stock_days",
        "CAST(sum(stock_known) OVER w AS BIGINT) AS known_days",
    ]
    outer += [
        "CASE WHEN growth_n >= 2 THEN growth END AS ratings_growth",
        "in_stock_days, known_days, CASE WHEN known_days > 0 THEN in_stock_days / known_days END AS in_stock_share",
        "observed_30d, least(1, observed_30d / 30) AS quality",
    ]
    product = "PARTITION BY marketplace, asin ORDER BY day_no RANGE BETWEEN"
    return f"""SELECT {KEY}, {window} AS window_days, observed_days, {", ".join(outer)}
        FROM (SELECT {KEY}, {", ".join(sums)}
              FROM (SELECT *, CAST(day_no - min(day_no) OVER (PARTITION BY marketplace, asin) AS BIGINT) AS t FROM days)
              WINDOW w AS ({product} {window - 1} PRECEDING AND CURRENT ROW),
                     month_back AS ({product} 29 PRECEDING AND CURRENT ROW),
                     early AS ({product} {window - 1} PRECEDING AND {window - half} PRECEDING),
                     late AS ({product} {half - 1} PRECEDING AND CURRENT ROW))
        WHERE observed_days >= 2"""


def deltas_sql():
    """One row per daily row: each field against the latest earlier day, at most 90 back, that knows it."""
    inner, outer = [], []
    for field, same in FIELDS.items():
        known = ", ".join([f"x: {field}, day: day_no", *(f"{word}: {word}" for word in same)])
        inner.append(f"{latest(f'{field} IS NOT NULL', known)} AS {field}_was")
        tests = [f"{word} = {field}_was.{word}" for word in same]
        # A day that says neither price nor what it would be changes nothing.
        basis = f"coalesce(price_basis, {field}_was.price_basis) ="
        test = " AND ".join(tests).replace("price_basis =", basis) or "true"
        outer += [
            f"{field}, CASE WHEN {test} THEN {field}_was.x END AS {field}_prev",
            f"CASE WHEN {test} THEN {field}_was.day END AS {field}_prev_day, {field} - {field}_prev AS {field}_delta",
            f"CASE WHEN {field}_prev <> 0 THEN (({field} - {field}_prev) * 100) / {field}_prev END AS {field}_pct",
        ]
    product = "PARTITION BY marketplace, asin ORDER BY day_no"
    before = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    return f"""SELECT {KEY}, currency, price_basis, gap_days, {", ".join(outer)}, bsr_category, availability,
            availability_was.x AS availability_prev, availability_was.day AS availability_prev_day,
            seller_id, seller_was.x AS seller_prev, seller_was.day AS seller_prev_day,
            CASE WHEN seller_id IS NOT NULL THEN CAST(day_no = seller_first AS BIGINT) END AS seller_is_new,
            seller_known_days, price_known_days
        FROM (SELECT *, day_no - lag(day_no) OVER product AS gap_days, {", ".join(inner)},
                {latest("stock_known = 1", "x: availability, day: day_no")} AS availability_was,
                {latest("seller_id IS NOT NULL", "x: seller_id, day: day_no")} AS seller_was,
                min(day_no) OVER (PARTITION BY marketplace, asin, seller_id) AS seller_first,
                count(seller_id) OVER earlier AS seller_known_days,
                count(price) OVER earlier AS price_known_days
              FROM days
              WINDOW product AS ({product}), earlier AS ({product} {before}),
                     back AS ({product} RANGE BETWEEN 90 PRECEDING AND 1 PRECEDING))"""


def latest(condition, known):
    """What the latest earlier day, at most 90 back, on which the condition holds, says."""
    return f"last_value(CASE WHEN {condition} THEN {{{known}}} END IGNORE NULLS) OVER back"


def sellers_sql():
    """One row per daily row, window and seller who had the buy box in it; '' on days that say that nobody had it.

    Every product has few sellers: each of its days meets each of them, and a window counts the days that were theirs.
    """
    frames, names, rows = [], [], []
    for window in WINDOWS:
        product = f"RANGE BETWEEN {window - 1} PRECEDING AND CURRENT ROW"
        frames.append(f"of_{window} AS (PARTITION BY marketplace, asin, seller_id ORDER BY day_no {product})")
        names.append(
            f"count(*) OVER of_{window} AS observed_{window}, count(holder) OVER of_{window} AS known_{window}, "
            f"sum(held) OVER of_{window} AS held_{window}"
        )
        rows.append(
            f"SELECT {KEY}, {window} AS window_days, seller_id, CAST(held_{window} AS BIGINT) AS days, "
            f"known_{window} AS known_days FROM counted WHERE held_{window} > 0 AND observed_{window} >= 2"
        )
    return f"""WITH counted AS MATERIALIZED (
            SELECT {KEY}, seller_id, {", ".join(names)}
            FROM (SELECT {KEY}, holder, holders.seller_id,
                         CAST(holder IS NOT DISTINCT FROM holders.seller_id AS INTEGER) AS held
                  FROM days JOIN (SELECT DISTINCT marketplace, asin, holder AS seller_id FROM days
                                  WHERE holder IS NOT NULL) holders USING (marketplace, asin))
            WINDOW {", ".join(frames)})
        {" UNION ALL ".join(rows)}"""


def queries():
    """The table, the name of its file, and the query for it."""
    yield "deltas", "deltas", deltas_sql()
    for window in WINDOWS:
        yield "rollups", f"rollups-{window}", rollups_sql(window)
    yield "rollup_sellers", "sellers", sellers_sql()


def main():
    folder, output = map(Path, sys.argv[1:3])
    files = files_of(folder, CORE)
    db = open_duckdb(temp_directory=str(output / "spilled"))
    db.execute("SET preserve_insertion_order = false")
    for first, end in bucket_ranges(folder):
        db.execute(DAYS.format(files=files, first=first, end=end))
        for table, name, query in queries():
            path = output_file(output, table, f"{name}-{first}")
            write_query(db, query, path)


if __name__ == "__main__":
    main()
