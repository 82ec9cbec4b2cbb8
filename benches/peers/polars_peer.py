"""The mart in polars expressions: `polars_peer.py FOLDER OUTPUT` reads the core files of a lake, writes Parquet.

Has the columns that duckdb_peer.py has, and leaves out the same. A row's `place` is its day, far away from all days
of other products: so windows run over the whole frame, and no expression has to group by product.
"""

import os
import sys
from pathlib import Path

from lake import CORE, FIELDS, THREADS, WINDOWS, bucket_ranges, files_of, output_file

os.environ["POLARS_MAX_THREADS"] = str(THREADS)
import polars as pl  # noqa: E402 (reads the number of threads as it is loaded)
from polars import col, lit, when  # noqa: E402

KEY = ["marketplace", "month", "bucket", "asin", "day_no"]
RENAMED = {"rating_centi": "rating"} | {
    f"{field}_minor": field for field in ["price", "list_price", "buy_box_price", "landed_price"]
}
READ = [
    *KEY, *RENAMED, "currency", "price_basis", "bsr", "bsr_category", "ratings_count", "availability", "seller_id",
]  # fmt: skip
IN_STOCK = ["in_stock", "low_stock"]
NOT_KNOWN = ["price_hidden", "select_variant", "not_deliverable_to_location", "unknown"]
SUMMED = ["price", "bsr", "rating"]
SPREAD = ["price", "bsr"]
# Longer than any history.
APART = 1_000_000
LOOK_BACK = 90


def days(files, first, end):
    """The rows of a range of buckets, sorted by product and day."""
    rows = pl.scan_parquet(files, hive_partitioning=False).filter(col("bucket").is_between(first, end - 1))
    rows = rows.select(READ).rename(RENAMED).sort("marketplace", "asin", "day_no")
    product = pl.struct("marketplace", "asin").rle_id()
    return rows.with_columns(
        product=product,
        place=product.cast(pl.Int64) * APART + col("day_no"),
        row=pl.int_range(pl.len(), dtype=pl.Int64),
        in_stock=col("availability").is_in(IN_STOCK).cast(pl.Int64),
        stock_known=col("availability").is_in(NOT_KNOWN).not_().cast(pl.Int64),
        holder=when(col("seller_id").is_null() & (col("availability") == "no_featured_offer"))
        .then(lit(""))
        .otherwise(col("seller_id")),
    ).collect()


def counted(field):
    return col(field).is_not_null().cast(pl.Int64)


def rolled(rows, window):
    """One row per daily row with at least two daily rows in the window."""
    back, half = f"{window}i", window // 2

    def total(values, days=window):
        return values.fill_null(0).rolling_sum_by("place", f"{days}i")

    lazy = rows.lazy().with_columns(
        window_days=lit(window, pl.Int32),
        observed_days=total(counted("day_no")),
        observed_30d=total(counted("day_no"), 30),
        in_stock_days=total(col("in_stock")),
        known_days=total(col("stock_known")),
        t=(col("day_no") - col("day_no").min()).cast(pl.Int64),
    )
    start = col("row") - col("observed_days") + 1
    first, last = ends("ratings_count", start)
    sums = {"growth_n": total(counted("ratings_count")), "growth": last - first}
    for field in SUMMED:
        first, last = ends(field, start)
        sums |= {
            f"{field}_n": total(counted(field)),
            f"{field}_sum": total(col(field)),
            f"{field}_min": col(field).rolling_min_by("place", back),
            f"{field}_max": col(field).rolling_max_by("place", back),
            f"{field}_first": first,
            f"{field}_last": last,
            f"{field}_median_x2": (col(field).rolling_median_by("place", back) * 2).cast(pl.Int64),
            # The first half: the window without its later days.
            f"{field}_n1": total(counted(field)) - total(counted(field), window - half),
            f"{field}_s1": total(col(field)) - total(col(field), window - half),
            f"{field}_n2": total(counted(field), half),
            f"{field}_s2": total(col(field), half),
        }
    for field in SPREAD:
        t = when(col(field).is_not_null()).then(col("t"))
        sums |= {
            f"{field}_sumsq": total(col(field) * col(field)),
            f"{field}_sx": total(t),
            f"{field}_sxx": total(t * t),
            f"{field}_sxy": total(t * col(field)),
        }
    return lazy.with_columns(**sums).filter(col("observed_days") >= 2).select(
        *KEY, "window_days", "observed_days", *(column for field in SUMMED for column in level(field)),
        when(col("growth_n") >= 2).then(col("growth")).alias("ratings_growth"), "in_stock_days", "known_days",
        when(col("known_days") > 0).then(col("in_stock_days") / col("known_days")).alias("in_stock_share"),
        "observed_30d", (col("observed_30d") / 30).clip(upper_bound=1.0).alias("quality"),
    )  # fmt: skip


def ends(field, start):
    """The first and the last known value of the window that starts at a row, if it has one."""
    return col(field).backward_fill().gather(start), col(field).forward_fill()


def level(field):
    n, total, first, last = (col(f"{field}_{name}") for name in ["n", "sum", "first", "last"])
    some, two = n >= 1, n >= 2
    yield n
    for name in ["sum", "min", "max", "first", "last", "median_x2"]:
        yield when(some).then(col(f"{field}_{name}")).alias(f"{field}_{name}")
    yield when(some).then(total / n).alias(f"{field}_avg")
    yield when(two).then((last - first) * 100 / first).alias(f"{field}_change_pct")
    if field in SPREAD:
        squares, sx, sxx, sxy = (col(f"{field}_{name}") for name in ["sumsq", "sx", "sxx", "sxy"])
        root = (n * squares - total * total).cast(pl.Float64).sqrt()
        yield when(some).then(squares).alias(f"{field}_sumsq")
        yield when(two).then(root / n).alias(f"{field}_sd")
        yield when(two).then(root / total).alias(f"{field}_volatility")
        yield when(two).then((n * sxy - sx * total) / (n * sxx - sx * sx)).alias(f"{field}_slope")
    n1, s1, n2, s2 = (col(f"{field}_{name}") for name in ["n1", "s1", "n2", "s2"])
    rise, limit = 100 * (s2 * n1 - s1 * n2), 5 * s1 * n2
    trend = (rise > limit).cast(pl.Int64) - (rise < -limit).cast(pl.Int64)
    yield when((n1 > 0) & (n2 > 0)).then(trend).alias(f"{field}_trend")


def deltas(rows):
    """One row per daily row: each field against the latest earlier day, at most 90 back, that knows it."""
    latest = {field: latest_known(col(field).is_not_null()) for field in [*FIELDS, "seller_id"]}
    latest["availability"] = latest_known(col("stock_known") == 1)
    lazy = rows.lazy().with_columns(**{f"{name}_at": at for name, at in latest.items()})
    columns = []
    for field, same in FIELDS.items():
        at, x = col(f"{field}_at"), col(field)
        test = lit(True)
        for word in same:
            past = col(word).gather(at)
            # A day that says neither price nor what it would be changes nothing.
            test &= (col(word).fill_null(past) if word == "price_basis" else col(word)) == past
        prev = when(test).then(x.gather(at))
        columns += [
            x,
            prev.alias(f"{field}_prev"),
            when(test).then(col("day_no").gather(at)).alias(f"{field}_prev_day"),
            (x - prev).alias(f"{field}_delta"),
            when(prev != 0).then((x - prev) * 100 / prev).alias(f"{field}_pct"),
        ]
    for name, word in [("availability", "availability"), ("seller", "seller_id")]:
        at = col(f"{word}_at")
        columns += [
            col(word),
            col(word).gather(at).alias(f"{name}_prev"),
            col("day_no").gather(at).alias(f"{name}_prev_day"),
        ]
    gap = col("place") - col("place").shift(1)
    is_first = pl.struct("product", "seller_id").is_first_distinct().cast(pl.Int64)
    return lazy.select(
        *KEY, "currency", "price_basis", "bsr_category", *columns,
        when(gap < APART // 2).then(gap).alias("gap_days"),
        when(col("seller_id").is_not_null()).then(is_first).alias("seller_is_new"),
        known_before("seller_id").alias("seller_known_days"), known_before("price").alias("price_known_days"),
    )  # fmt: skip


def latest_known(known):
    """The row of the latest earlier day, at most 90 back, on which the condition holds."""
    at = when(known).then(col("row")).forward_fill().shift(1)
    return when(col("place") - col("place").gather(at) <= LOOK_BACK).then(at)


def known_before(field):
    return counted(field).cum_sum().over("product") - counted(field)


def sellers(rows):
    """One row per daily row, window and seller who had the buy box in it; '' on days that say that nobody had it."""
    lazy = rows.lazy()
    pairs = lazy.filter(col("holder").is_not_null()).select("product", seller_id="holder").unique()
    pairs = pairs.sort("product", "seller_id").with_row_index("pair")
    lazy = pairs.join(lazy.select(*KEY, "product", "holder"), on="product", maintain_order="left_right").with_columns(
        place=col("pair").cast(pl.Int64) * APART + col("day_no"),
        held=(col("holder") == col("seller_id")).fill_null(False).cast(pl.Int64),
    )
    crossed = lazy.collect()
    for window in WINDOWS:
        back = f"{window}i"
        counts = crossed.lazy().with_columns(
            window_days=lit(window, pl.Int32),
            observed=counted("day_no").rolling_sum_by("place", back),
            known_days=counted("holder").rolling_sum_by("place", back),
            days=col("held").rolling_sum_by("place", back),
        )
        counts = counts.filter((col("days") > 0) & (col("observed") >= 2))
        yield window, counts.select(*KEY, "window_days", "seller_id", "days", "known_days")


def frames(rows):
    """The table, the name of its file, and what goes there."""
    yield "deltas", "deltas", deltas(rows)
    for window in WINDOWS:
        yield "rollups", f"rollups-{window}", rolled(rows, window)
    for window, frame in sellers(rows):
        yield "rollup_sellers", f"sellers-{window}", frame


def main():
    folder, output = map(Path, sys.argv[1:3])
    files = files_of(folder, CORE)
    for first, end in bucket_ranges(folder):
        rows = days(files, first, end)
        for table, name, frame in frames(rows):
            frame.sink_parquet(output_file(output, table, f"{name}-{first}"), compression="zstd", compression_level=1)


if __name__ == "__main__":
    main()
