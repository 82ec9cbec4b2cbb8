"""Holds what a peer wrote against the mart in the lake: `check.py FOLDER OUTPUT`. Ends with 1 if they differ.

Over all rows: their number, and the sums of some integer columns. Over the products of some buckets: every value of
every column that the peer has; integers and words are equal, ratios within 1e-9.
"""

import sys
from pathlib import Path

from lake import BUCKETS, files_of, open_duckdb

KEYS = {
    "deltas": ["marketplace", "asin", "day_no"],
    "rollups": ["marketplace", "asin", "day_no", "window_days"],
    "rollup_sellers": ["marketplace", "asin", "day_no", "window_days", "seller_id"],
}
SUMS = {
    "deltas": ["day_no", "gap_days", "price_delta", "bsr_prev", "ratings_count_prev_day", "seller_known_days"],
    "rollups": ["day_no", "price_sumsq", "price_median_x2", "bsr_median_x2", "bsr_first", "rating_last", "known_days"],
    "rollup_sellers": ["day_no", "days", "known_days"],
}
# About so many rows of a table are compared value by value.
ROWS_COMPARED = 1_000_000
TOLERANCE = 1e-9


def sides(db, folder, output, table):
    """Makes the views `ours` and `theirs`; returns the columns that both have, and those that only we have."""
    files = {
        "ours": files_of(folder, f"mart/{table}"),
        "theirs": [str(path) for path in sorted((output / table).iterdir())],
    }
    columns = {}
    for side, names in files.items():
        db.execute(f"CREATE OR REPLACE VIEW {side} AS FROM read_parquet({names}, hive_partitioning = false)")
        columns[side] = {name: kind for name, kind, *_ in db.execute(f"DESCRIBE {side}").fetchall()}
    unknown = set(columns["theirs"]) - set(columns["ours"])
    assert not unknown, f"{table}: no such columns: {unknown}"
    common = {name: kind for name, kind in columns["ours"].items() if name in columns["theirs"]}
    return common, [name for name in columns["ours"] if name not in columns["theirs"]]


def problems(db, table, common):
    sums = ", ".join(f"CAST(sum({name}) AS BIGINT) AS {name}" for name in SUMS[table] if name in common)
    query = f"SELECT count(*) AS rows, {sums} FROM"
    ours, theirs = (db.execute(f"{query} {side}").fetchone() for side in ["ours", "theirs"])
    if ours != theirs:
        yield f"rows and sums of {SUMS[table]}: {theirs} instead of {ours}"
    part = f"bucket <= {BUCKETS * ROWS_COMPARED // max(ours[0], 1)}"
    keys = KEYS[table]
    values = {name: kind for name, kind in common.items() if name not in keys}
    differ = []
    for name, kind in values.items():
        if kind == "DOUBLE":
            near = f"abs(a.{name} - b.{name}) <= {TOLERANCE} * greatest(abs(a.{name}), 1)"
            differ.append(f"CASE WHEN a.{name} IS NULL THEN b.{name} IS NOT NULL ELSE NOT coalesce({near}, false) END")
        else:
            differ.append(f"a.{name} IS DISTINCT FROM b.{name}")
    counts = ", ".join(f"count(*) FILTER ({test}) AS {name}" for name, test in zip(values, differ))
    alone = "count(*) FILTER (a.asin IS NULL), count(*) FILTER (b.asin IS NULL)"
    pairs = f"""(FROM ours WHERE {part}) a FULL JOIN (FROM theirs WHERE {part}) b
        ON {" AND ".join(f"a.{key} = b.{key}" for key in keys)}"""
    more, fewer, both, *found = db.execute(f"SELECT {alone}, count(*), {counts} FROM {pairs}").fetchone()
    if more or fewer:
        yield f"{more} rows too many, {fewer} missing"
    for name, test, count in zip(values, differ, found):
        if count:
            place = ", ".join(f"a.{key}" for key in keys)
            shown = db.execute(f"SELECT {place}, a.{name}, b.{name} FROM {pairs} WHERE {test} LIMIT 3").fetchall()
            yield f"{name}: {count} of {both} differ, as {shown}"


def main():
    folder, output = map(Path, sys.argv[1:3])
    db = open_duckdb(temp_directory=str(output / "spilled"))
    failed = False
    for table in KEYS:
        common, left_out = sides(db, folder, output, table)
        found = list(problems(db, table, common))
        failed |= bool(found)
        rows = db.execute("SELECT count(*) FROM ours").fetchone()[0]
        print(f"{rows:,} {table}, {len(common)} of {len(common) + len(left_out)} columns")
        for line in found:
            print(f"    {line}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
