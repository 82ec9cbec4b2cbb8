"""The newest day's rollups of 1,000,000 products from 30 days of core: `run rollup30`.

Makes one month's core file as the lake has it (all columns; rows sorted by bucket, asin and day; a row group a bucket),
then times windows of 7 and 30 days of one day: number, sum, smallest and largest of price, rank and rating, and days in
stock. DuckDB computes them as conditional aggregates.

ROLLUP30_COMMAND is a shell command by which amzctl does the same; in it {amzctl} is the binary, {core} the core file,
{day} the day's number, {as_of} its date, {output} the Parquet file to write. Where it is not set amzctl is not timed.
What amzctl writes is held against DuckDB in the columns that both have.

PRODUCTS (1,000,000), ROUNDS (3), KEEP=1 keeps the files.
"""

import hashlib
import os
import shlex
import shutil
import sys
from datetime import date, timedelta
from pathlib import Path

from lake import BUCKETS, open_duckdb
from measure import Run, figure, machine, median, spread

ROOT = Path("target/peers/rollup30").resolve()
MONTH_BEGINS = date(2026, 6, 1)
DAYS = 30
FIRST_DAY = (MONTH_BEGINS - date(1970, 1, 1)).days
LAST_DAY = FIRST_DAY + DAYS - 1
WINDOWS = (7, 30)
FIELDS = {"price": "price_minor", "bsr": "bsr", "rating": "rating_centi"}
SEED = 30
TABLES = ["duckdb", "amzctl"]

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
    path.parent.mkdir(parents=True)
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


def rollup(core, output):
    """DuckDB: one pass over the rows, then a row for each window that holds at least two of the product's days."""
    sums, rows = [], []
    for window in WINDOWS:
        inside = f"FILTER (WHERE day_no > {LAST_DAY - window})"
        sums.append(f"count(*) {inside} AS observed_{window}")
        sums.append(f"count(*) FILTER (WHERE day_no > {LAST_DAY - window} AND in_stock) AS in_stock_{window}")
        names = [f"{window} AS window_days, observed_{window} AS observed_days, in_stock_{window} AS in_stock_days"]
        for field, column in FIELDS.items():
            sums += [
                f"count({column}) {inside} AS {field}_n_{window}",
                f"CAST(sum({column}) {inside} AS BIGINT) AS {field}_sum_{window}",
                f"min({column}) {inside} AS {field}_min_{window}",
                f"max({column}) {inside} AS {field}_max_{window}",
            ]
            names += [f"{field}_{name}_{window} AS {field}_{name}" for name in ["n", "sum", "min", "max"]]
        rows.append(
            f"SELECT marketplace, bucket, asin, {LAST_DAY} AS day_no, {', '.join(names)} FROM wide "
            f"WHERE observed_{window} >= 2"
        )
    db = open_duckdb(temp_directory=str(output.parent / "spilled"))
    db.execute("SET preserve_insertion_order = false")
    db.execute(f"""COPY (
        WITH wide AS MATERIALIZED (
            SELECT marketplace, bucket, asin, {", ".join(sums)}
            FROM (SELECT *, availability IN ('in_stock', 'low_stock') AS in_stock
                  FROM read_parquet('{core}', hive_partitioning = false)
                  WHERE day_no BETWEEN {LAST_DAY - max(WINDOWS) + 1} AND {LAST_DAY})
            GROUP BY marketplace, bucket, asin HAVING max(day_no) = {LAST_DAY})
        {" UNION ALL ".join(rows)}) TO '{output}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)""")


def compare(expected, found):
    """Every row of the columns that both have; ends with 1 where they differ."""
    db = open_duckdb()
    columns = {}
    for name, path in [("expected", expected), ("found", found)]:
        db.execute(f"CREATE VIEW {name} AS FROM read_parquet('{path}', hive_partitioning = false)")
        columns[name] = [column for column, *_ in db.execute(f"DESCRIBE {name}").fetchall()]
    both = ", ".join(name for name in columns["expected"] if name in columns["found"])
    count = "SELECT count(*) FROM (SELECT {0} FROM {1} EXCEPT ALL SELECT {0} FROM {2})"
    more = db.execute(count.format(both, "found", "expected")).fetchone()[0]
    fewer = db.execute(count.format(both, "expected", "found")).fetchone()[0]
    print(f"compared {both}: {more} rows too many, {fewer} missing")
    return 1 if more or fewer else 0


def script(*arguments):
    return Run([sys.executable, "-B", Path(__file__).resolve(), *arguments], ROOT)


def run_amzctl(amzctl, core, output):
    """As told by ROLLUP30_COMMAND; null where it is not set."""
    command = os.environ.get("ROLLUP30_COMMAND")
    if not command:
        return None
    names = {"amzctl": amzctl, "core": core, "output": output}
    names = {name: shlex.quote(str(path)) for name, path in names.items()}
    as_of = MONTH_BEGINS + timedelta(days=DAYS - 1)
    # Without a shell between, so that the memory is amzctl's.
    return Run(["bash", "-c", "exec " + command.format(day=LAST_DAY, as_of=as_of, **names)], ROOT)


def main():
    amzctl = Path(sys.argv[1])
    products = os.environ.get("PRODUCTS", "1000000")
    rounds = int(os.environ.get("ROUNDS", "3"))
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    core = ROOT / f"core/product_metrics_daily/marketplace=US/month={MONTH_BEGINS:%Y-%m}/g00000001-00000.parquet"
    made = script("make", core, products)
    outputs = {name: ROOT / f"{name}.parquet" for name in TABLES}
    runs = {name: [] for name in TABLES}
    for _ in range(rounds):
        runs["duckdb"].append(script("duckdb", core, outputs["duckdb"]))
        run = run_amzctl(amzctl, core, outputs["amzctl"])
        runs["amzctl"] += [run] if run else []
    print(f"{machine()}; one process a run\n")
    size = core.stat().st_size / 2**20
    rows = f"{int(made.output):,} rows in {figure(size)} MiB"
    print(f"{int(products):,} products × {DAYS} days, {rows}; one day's rollups:\n")
    print("| run | rounds | median s | min–max s | CPU s | peak MiB |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, own in runs.items():
        if own:
            seconds = [run.seconds for run in own]
            cells = [name, str(len(own)), figure(median(seconds)), spread(seconds)]
            cells += [figure(median([run.cpu_seconds for run in own])), f"{max(run.peak_mib for run in own):,.0f}"]
            print(f"| {' | '.join(cells)} |")
    print()
    if runs["amzctl"]:
        print(script("compare", outputs["duckdb"], outputs["amzctl"]).output)
    else:
        print("amzctl was not timed: ROLLUP30_COMMAND does not say how.")
    if os.environ.get("KEEP") != "1":
        shutil.rmtree(ROOT)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", path, products]:
            print(make(Path(path), int(products)))
        case ["duckdb", core, output]:
            rollup(Path(core), Path(output))
        case ["compare", expected, found]:
            sys.exit(compare(expected, found))
        case _:
            main()
