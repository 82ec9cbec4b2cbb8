"""The newest day's rollups of 1,000,000 products from 30 days of core: `run rollup30`.

Makes one month's core file as the lake has it (all columns; rows sorted by bucket, asin and day; a row group a bucket)
and lists it in a database without products. Then times one day of it:

- `amzctl build-mart --from DAY --to DAY`: rollups over 7, 30 and 90 days with all their columns, sellers' shares, deltas,
  into the lake, and the newest of each product into the database. What of the time went into the database is read from
  its log, and shown as a row of its own.
- DuckDB: the rollups without their guarded extremes and without leaf ranks, and the sellers' shares, as conditional
  aggregates in one pass over the rows; no deltas, no database.

amzctl's rollups and shares are held against DuckDB's in the columns that both have.

PRODUCTS (1,000,000), ROUNDS (3), KEEP=1 keeps the files.
"""

import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

from lake import BUCKETS, CORE, WINDOWS, files_of, open_duckdb, output_file, write_query
from measure import Run, figure, machine, median, spread

ROOT = Path("target/peers/rollup30").resolve()
# The last of the days does not end the month: that would be more work, which is done once a month.
MONTH_BEGINS = date(2026, 7, 1)
DAYS = 30
FIRST_DAY = (MONTH_BEGINS - date(1970, 1, 1)).days
LAST_DAY = FIRST_DAY + DAYS - 1
FIELDS = {"price": "price_minor", "bsr": "bsr", "rating": "rating_centi"}
SEED = 30
CORE_FILE = f"{CORE}/marketplace=US/month={MONTH_BEGINS:%Y-%m}/g00000001-00000.parquet"
TABLES = ["rollups", "rollup_sellers"]

# The columns of core/product_metrics_daily, in their order; what is not generated is null.
TEXTS = {
    "marketplace", "month", "asin", "currency", "price_basis", "seller_id", "seller_name", "fulfilment", "condition",
    "availability", "bsr_category", "bsr_category_id", "bsr_leaf_category", "bsr_leaf_category_id", "source", "sources",
}  # fmt: skip
COLUMNS = """
    marketplace month bucket asin day_no observed_at currency price_minor list_price_minor buy_box_price_minor
    shipping_minor landed_price_minor price_basis coupon_minor coupon_pct is_deal is_prime seller_id seller_name
    fulfilment condition offer_count availability stock_quantity bsr bsr_category bsr_category_id bsr_leaf
    bsr_leaf_category bsr_leaf_category_id rating_centi ratings_count monthly_sold_min low_price_minor high_price_minor
    observations source sources
""".split()


def make(path, products):
    """Writes the core file; returns the number of rows."""
    import numpy
    import pyarrow
    import pyarrow.parquet

    random = numpy.random.default_rng(SEED)
    kinds = {"bucket": pyarrow.int32(), "day_no": pyarrow.int32()}
    word = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    schema = pyarrow.schema((name, word if name in TEXTS else kinds.get(name, pyarrow.int64())) for name in COLUMNS)
    stock = ["in_stock", "low_stock", "out_of_stock", "unknown"]
    rows = 0
    # The columns are written as plain text: readers are not to know how they came to be.
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd", store_schema=False) as writer:
        for bucket, asins in enumerate(asins_by_bucket(products, random)):
            seen = random.random((len(asins), DAYS)) < 0.87
            product, day = numpy.nonzero(seen)
            count = len(product)

            def steps(low, high, change):
                """A value for each product, that changes on some days."""
                values = random.integers(low, high, len(asins))[:, None] * numpy.ones(DAYS, numpy.int64)
                changed = random.random(values.shape) < change
                values = numpy.where(changed, values * random.integers(85, 116, values.shape) // 100, values)
                return values[seen]

            def known(values, share):
                return pyarrow.array(values, mask=random.random(count) >= share)

            def words(values, places, share=1.0):
                return pyarrow.DictionaryArray.from_arrays(known(places.astype(numpy.int32), share), values)

            price = known(steps(500, 30_000, 0.05), 0.95)
            constants = {"marketplace": "US", "month": MONTH_BEGINS.isoformat()[:7], "currency": "USD"}
            constants |= {"price_basis": "buy_box", "condition": "new", "source": "file", "sources": "file"}
            nothing = numpy.zeros(count, numpy.int32)
            columns = {name: words([text], nothing) for name, text in constants.items()}
            columns |= {
                "bucket": pyarrow.array(numpy.full(count, bucket, numpy.int32)),
                "asin": words(asins, product),
                "day_no": pyarrow.array((FIRST_DAY + day).astype(numpy.int32)),
                "observed_at": pyarrow.array((FIRST_DAY + day) * 86_400_000_000 + 43_200_000_000),
                "price_minor": price,
                "buy_box_price_minor": price,
                "seller_id": words([f"A{number:013d}" for number in range(400)], steps(0, 340, 0.03), 0.95),
                "availability": words(stock, random.choice(4, count, p=[0.88, 0.05, 0.05, 0.02])),
                "bsr": known(steps(1, 400_000, 0.9), 0.97),
                "bsr_category": words([f"Category {number}" for number in range(20)], (product * 7) % 20, 0.97),
                "rating_centi": known(steps(300, 430, 0.02), 0.97),
                "ratings_count": known(steps(1, 20_000, 0.3), 0.97),
                "low_price_minor": price,
                "high_price_minor": price,
                "observations": pyarrow.array(numpy.ones(count, numpy.int64)),
            }
            table = [columns.get(field.name, pyarrow.nulls(count, field.type)) for field in schema]
            writer.write_table(pyarrow.table(table, schema=schema), row_group_size=count)
            rows += count
    return rows


def asins_by_bucket(products, random):
    """Sorted ASINs of each bucket, as src/lake/schema.rs tells buckets."""
    import numpy

    digits = numpy.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", numpy.uint8)
    numbers = numpy.sort(random.choice(36**6, products, replace=False))
    letters = numpy.empty((products, 10), numpy.uint8)
    letters[:, :4] = numpy.frombuffer(b"B0BE", numpy.uint8)
    for place in range(6):
        letters[:, 9 - place] = digits[numbers // 36**place % 36]
    buckets = [[] for _ in range(BUCKETS)]
    for asin in letters.view("S10")[:, 0].tolist():
        head = hashlib.sha256(b"US:" + asin).digest()[:4]
        buckets[int.from_bytes(head, "big") % BUCKETS].append(asin.decode())
    return buckets


def list_core(amzctl, folder, rows):
    """A database whose lake has the file and nothing else."""
    subprocess.run([amzctl, "init", "--quiet"], check=True, cwd=folder)
    # Makes the lake this database's.
    subprocess.run([amzctl, "build-mart", "--quiet"], check=True, cwd=folder)
    path = folder / "lake" / CORE_FILE
    (folder / "core.parquet").rename(path_with_parents(path))
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    listed = (CORE, "US", f"{MONTH_BEGINS:%Y-%m}", CORE_FILE, 1, FIRST_DAY, LAST_DAY, 1)
    with sqlite3.connect(folder / "amzctl.db") as db:
        values = (*listed, rows, path.stat().st_size, digest)
        db.execute(f"INSERT INTO lake_files VALUES ({', '.join('?' * len(values))})", values)


def path_with_parents(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def day_by_duckdb(core, output):
    """One pass over the rows; then a row for each window that holds at least two of the product's days."""
    db = open_duckdb(temp_directory=str(output / "spilled"))
    db.execute("SET preserve_insertion_order = false")
    for table, query in [("rollups", rollups_sql(core)), ("rollup_sellers", sellers_sql(core))]:
        path = output_file(output, table, table)
        write_query(db, query, path)


def rows_sql(core):
    return f"""SELECT marketplace, bucket, asin, day_no, day_no - {FIRST_DAY} AS t, ratings_count, seller_id,
            {", ".join(f"{column} AS {field}" for field, column in FIELDS.items())},
            availability IN ('in_stock', 'low_stock') AS in_stock,
            availability NOT IN ('price_hidden', 'select_variant', 'not_deliverable_to_location', 'unknown')
                AS stock_known,
            CASE WHEN seller_id IS NOT NULL THEN seller_id WHEN availability = 'no_featured_offer' THEN '' END AS holder
        FROM read_parquet('{core}', hive_partitioning = false)
        WHERE day_no BETWEEN {LAST_DAY - max(WINDOWS) + 1} AND {LAST_DAY}"""


def rollups_sql(core):
    sums, rows = ["count(*) AS observed_30d"], []
    for window in WINDOWS:
        inside = f"day_no > {LAST_DAY - window}"
        sums += [
            f"count(*) FILTER ({inside}) AS observed_{window}",
            f"count(*) FILTER ({inside} AND in_stock) AS in_stock_{window}",
            f"count(*) FILTER ({inside} AND stock_known) AS known_{window}",
            f"count(ratings_count) FILTER ({inside}) AS growth_n_{window}",
            f"arg_max(ratings_count, day_no) FILTER ({inside}) - arg_min(ratings_count, day_no) FILTER ({inside})"
            f" AS growth_{window}",
        ]
        columns = [
            f"{window} AS window_days, observed_{window} AS observed_days, in_stock_{window} AS in_stock_days",
            f"known_{window} AS known_days",
            f"CASE WHEN known_{window} > 0 THEN in_stock_{window} / known_{window} END AS in_stock_share",
            f"CASE WHEN growth_n_{window} >= 2 THEN growth_{window} END AS ratings_growth",
            "observed_30d, least(1, observed_30d / 30) AS quality",
        ]
        for field in FIELDS:
            own_sums, own_columns = level_sql(field, window)
            sums += own_sums
            columns += own_columns
        rows.append(
            f"SELECT marketplace, bucket, asin, {LAST_DAY} AS day_no, {', '.join(columns)} FROM wide "
            f"WHERE observed_{window} >= 2"
        )
    return f"""WITH wide AS MATERIALIZED (
            SELECT marketplace, bucket, asin, {", ".join(sums)} FROM ({rows_sql(core)})
            GROUP BY marketplace, bucket, asin HAVING max(day_no) = {LAST_DAY})
        {" UNION ALL ".join(rows)}"""


def level_sql(field, window):
    """What a pass sums up of a field in a window, and the columns made of it."""
    inside, half = f"day_no > {LAST_DAY - window}", window // 2
    halves = {"1": f"{inside} AND day_no <= {LAST_DAY - window + half}", "2": f"day_no > {LAST_DAY - half}"}
    known = f"{inside} AND {field} IS NOT NULL"
    sums = {
        "n": f"count({field}) FILTER ({inside})",
        "sum": f"CAST(sum({field}) FILTER ({inside}) AS BIGINT)",
        "min": f"min({field}) FILTER ({inside})",
        "max": f"max({field}) FILTER ({inside})",
        "first": f"arg_min({field}, day_no) FILTER ({inside})",
        "last": f"arg_max({field}, day_no) FILTER ({inside})",
        "median_x2": f"CAST(2 * median({field}) FILTER ({inside}) AS BIGINT)",
    }
    for number, rows in halves.items():
        sums[f"n{number}"] = f"count({field}) FILTER ({rows})"
        sums[f"s{number}"] = f"CAST(sum({field}) FILTER ({rows}) AS BIGINT)"
    if field != "rating":
        sums |= {
            "sumsq": f"CAST(sum({field} * {field}) FILTER ({inside}) AS BIGINT)",
            "sxy": f"CAST(sum({field} * t) FILTER ({inside}) AS BIGINT)",
            "sx": f"CAST(sum(t) FILTER ({known}) AS BIGINT)",
            "sxx": f"CAST(sum(t * t) FILTER ({known}) AS BIGINT)",
        }
    columns = {name: name for name in ["n", "sum", "min", "max", "first", "last", "median_x2"]}
    columns |= {"avg": "@sum / @n", "change_pct": "CASE WHEN @n >= 2 THEN ((@last - @first) * 100) / @first END"}
    columns = {name: text if "@" in text else f"@{text}" for name, text in columns.items()}
    if field != "rating":
        root = "sqrt(@n * @sumsq - @sum * @sum)"
        columns |= {
            "sumsq": "@sumsq",
            "sd": f"CASE WHEN @n >= 2 THEN {root} / @n END",
            "volatility": f"CASE WHEN @n >= 2 THEN {root} / @sum END",
            "slope": "CASE WHEN @n >= 2 THEN (@n * @sxy - @sx * @sum) / (@n * @sxx - @sx * @sx) END",
        }
    columns["trend"] = """CASE WHEN @n1 = 0 OR @n2 = 0 THEN NULL
        WHEN 100 * (@s2 * @n1 - @s1 * @n2) > 5 * @s1 * @n2 THEN 1
        WHEN 100 * (@s2 * @n1 - @s1 * @n2) < -5 * @s1 * @n2 THEN -1 ELSE 0 END"""
    made = [
        f"{re.sub('@([a-z0-9_]+)', rf'{field}_' + chr(92) + f'1_{window}', text)} AS {field}_{name}"
        for name, text in columns.items()
    ]
    return [f"{text} AS {field}_{name}_{window}" for name, text in sums.items()], made


def sellers_sql(core):
    counts, rows = [], []
    for window in WINDOWS:
        inside = f"FILTER (day_no > {LAST_DAY - window})"
        counts.append(f"count(*) {inside} AS observed_{window}, count(holder) {inside} AS days_{window}")
        rows.append(
            f"SELECT marketplace, bucket, asin, {LAST_DAY} AS day_no, {window} AS window_days, holder AS seller_id, "
            f"days_{window} AS days, CAST(known AS BIGINT) AS known_days FROM (SELECT *, "
            f"sum(days_{window}) OVER product AS known, sum(observed_{window}) OVER product AS observed, "
            f"max(newest) OVER product AS product_newest FROM counted WINDOW product AS (PARTITION BY marketplace, asin)) "
            f"WHERE holder IS NOT NULL AND days_{window} > 0 AND observed >= 2 AND product_newest = {LAST_DAY}"
        )
    return f"""WITH counted AS MATERIALIZED (
            SELECT marketplace, bucket, asin, holder, max(day_no) AS newest, {", ".join(counts)}
            FROM ({rows_sql(core)}) GROUP BY marketplace, bucket, asin, holder)
        {" UNION ALL ".join(rows)}"""


def compare(folder, output):
    """Every row of the columns that both have; ends with 1 where they differ."""
    db = open_duckdb()
    different = False
    for table in TABLES:
        columns = {}
        paths = {"expected": [str(output / table / f"{table}.parquet")], "found": files_of(folder, f"mart/{table}")}
        for name, own in paths.items():
            db.execute(f"CREATE OR REPLACE VIEW {name} AS FROM read_parquet({own}, hive_partitioning = false)")
            columns[name] = [column for column, *_ in db.execute(f"DESCRIBE {name}").fetchall()]
        both = [name for name in columns["expected"] if name in columns["found"]]
        count = f"SELECT count(*) FROM (SELECT {', '.join(both)} FROM {{}} EXCEPT ALL SELECT {', '.join(both)} FROM {{}})"
        more = db.execute(count.format("found", "expected")).fetchone()[0]
        fewer = db.execute(count.format("expected", "found")).fetchone()[0]
        print(f"{table}: {len(both)} of {len(columns['found'])} columns compared: {more} rows too many, {fewer} missing")
        different |= more > 0 or fewer > 0
    return 1 if different else 0


def script(*arguments):
    return Run([sys.executable, "-B", Path(__file__).resolve(), *arguments], ROOT)


def day_by_amzctl(amzctl):
    """The run, and the seconds of it in which the database took the newest rollups and the deltas."""
    day = MONTH_BEGINS + timedelta(days=DAYS - 1)
    log = ROOT / "amzctl.log"
    command = f'exec "$0" build-mart --from {day} --to {day} -v --log-format logfmt 2> "$1"'
    run = Run(["bash", "-c", command, amzctl, log], ROOT / "market")
    published = re.search(r'duration_ms=(\d+)[^\n]*message="mart published"', log.read_text())
    return run, int(published[1]) / 1000


def main():
    amzctl = Path(sys.argv[1])
    products = os.environ.get("PRODUCTS", "1000000")
    rounds = int(os.environ.get("ROUNDS", "3"))
    shutil.rmtree(ROOT, ignore_errors=True)
    folder = ROOT / "market"
    folder.mkdir(parents=True)
    rows = int(script("make", folder / "core.parquet", products).output)
    list_core(amzctl, folder, rows)
    core = folder / "lake" / CORE_FILE
    runs = {"duckdb": [], "amzctl": []}
    published = []
    for _ in range(rounds):
        runs["duckdb"].append(script("duckdb", core, ROOT / "duckdb"))
        run, seconds = day_by_amzctl(amzctl)
        runs["amzctl"].append(run)
        published.append(seconds)
    print(f"{machine()}; one process a run\n")
    size = figure(core.stat().st_size / 2**20)
    print(f"{int(products):,} products × {DAYS} days, {rows:,} rows in {size} MiB; one day:\n")
    print("| run | rounds | median s | min–max s | CPU s | peak MiB |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, own in runs.items():
        seconds = [run.seconds for run in own]
        cells = [name, str(len(own)), figure(median(seconds)), spread(seconds)]
        cells += [figure(median([run.cpu_seconds for run in own])), f"{max(run.peak_mib for run in own):,.0f}"]
        print(f"| {' | '.join(cells)} |")
    print(f"| amzctl: of it the database | {rounds} | {figure(median(published))} | {spread(published)} | | |\n")
    print(script("compare", folder, ROOT / "duckdb").output)
    if os.environ.get("KEEP") != "1":
        shutil.rmtree(ROOT)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", path, products]:
            print(make(Path(path), int(products)))
        case ["duckdb", core, output]:
            day_by_duckdb(Path(core), Path(output))
        case ["compare", folder, output]:
            sys.exit(compare(Path(folder), Path(output)))
        case _:
            main()
