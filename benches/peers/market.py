"""A database of N products and D days, made without files to ingest: `market.py make FOLDER 500x120`.

Writes what `normalize` would have left in core (products, daily rows, ranks, the marks of changed days), so that
`amzctl build-mart` exports and builds it. One day more: `market.py add-day FOLDER`. The same seed gives the same rows.
"""

import os
import pickle
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import numpy

SEED = 20
# In the middle of a month, where a daily build finds some days of the month in one file already.
LAST_DAY = date(2026, 6, 14)
SELLERS = 400
SELLERS_OF_PRODUCT = 4
DAYS_PER_TRANSACTION = 20

ROOTS = [
    "Electronics", "Home & Kitchen", "Sports & Outdoors", "Toys & Games", "Pet Supplies", "Beauty & Personal Care",
    "Health & Household", "Automotive", "Office Products", "Baby", "Books", "Tools & Home Improvement",
    "Video Games", "Musical Instruments", "Garden & Outdoor", "Grocery & Gourmet Food", "Arts, Crafts & Sewing",
    "Industrial & Scientific", "Appliances", "Clothing, Shoes & Jewelry",
]  # fmt: skip
LEAVES = 3

# Chances a day.
OBSERVED = 0.905
GAP_BEGINS = 0.0025
GAP_DAYS = (5, 30)
LONG_GAP_BEGINS = 0.00004
LONG_GAP_DAYS = (95, 140)
PRICE_STEP = 0.05
PRICE_GLITCH = 0.0007
SELLER_CHANGES = 0.03
RUNS_OUT = 0.008
COMES_BACK = 0.13
LOW_STOCK = 0.04
PRICE_UNKNOWN = 0.012
RANK_UNKNOWN = 0.03
LEAF_UNKNOWN = 0.05
OTHER_LEAF = 0.02
RATING_UNKNOWN = 0.03

OUT_WORDS = ["out_of_stock", "out_of_stock", "unavailable", "no_featured_offer"]

BOUND = (
    "asin price list_price shipping basis seller offers availability "
    "bsr category leaf leaf_category leaf_id rating ratings_count"
).split()
# Columns of the table, and what goes into them: a bound column, or something made of some.
DAILY = {
    "marketplace": "'US'",
    "asin": ":asin",
    "day": "'{day}'",
    "observed_at": "{noon}",
    "currency": "'USD'",
    "price_minor": ":price",
    "list_price_minor": ":list_price",
    "buy_box_price_minor": "CASE WHEN :basis = 'buy_box' THEN :price END",
    "shipping_minor": ":shipping",
    "landed_price_minor": ":price + :shipping",
    "price_basis": ":basis",
    "seller_id": ":seller",
    "condition": "'new'",
    "offer_count": ":offers",
    "availability": ":availability",
    "bsr": ":bsr",
    "bsr_category": ":category",
    "bsr_leaf": ":leaf",
    "bsr_leaf_category": ":leaf_category",
    "bsr_leaf_category_id": ":leaf_id",
    "rating_centi": ":rating",
    "ratings_count": ":ratings_count",
    "low_price_minor": ":price",
    "high_price_minor": ":price",
    "observations": "1",
    "source": "'file'",
    "sources": "'file'",
}
# In the order of the key, so that each day is appended.
RANKS = """INSERT INTO ranks
    SELECT marketplace, asin, day, ordinal, iif(ordinal, bsr_leaf_category_id, bsr_category_id),
           iif(ordinal, bsr_leaf_category, bsr_category), iif(ordinal, bsr_leaf, bsr) AS rank, 1 - ordinal, ordinal
    FROM product_metrics_daily CROSS JOIN (SELECT 0 AS ordinal UNION ALL SELECT 1)
    WHERE marketplace = 'US' AND day = '{day}' AND rank IS NOT NULL"""


class Products:
    """The state of every product on the day that comes next."""

    def __init__(self, count, first_day):
        self.random = random = numpy.random.default_rng(SEED)
        self.day = first_day
        # Any ten letters and digits; in order, so that a day is written in the order of its key.
        numbers = numpy.sort(random.choice(36**5, count, replace=False))
        self.asins = words("B0BEN" + base36(number) for number in numbers)
        self.root = random.integers(len(ROOTS), size=count)
        self.leaf = random.integers(LEAVES, size=count)
        self.base = numpy.exp(random.normal(7.8, 0.8, count)).clip(300, 90_000).astype(numpy.int64)
        self.price = self.base.copy()
        self.has_list_price = random.random(count) < 0.6
        self.shipping = random.choice([0, 499, -1], count, p=[0.5, 0.2, 0.3])
        self.is_page = random.random(count) < 0.1
        self.sellers = random.integers(SELLERS, size=(count, SELLERS_OF_PRODUCT))
        self.holder = numpy.zeros(count, numpy.int64)
        self.is_out = random.random(count) < 0.05
        self.log_rank = random.normal(9, 1.5, count)
        self.rating = random.integers(340, 490, count)
        self.ratings_count = numpy.exp(random.normal(5, 1.5, count)).astype(numpy.int64)
        self.rate = random.exponential(2.0, count)
        self.gap = numpy.zeros(count, numpy.int64)

    def next_day(self):
        """The columns named in BOUND of the products seen on this day, sorted by asin; moves on by a day."""
        random, count = self.random, len(self.asins)
        self.move()
        seen = numpy.flatnonzero((self.gap == 0) & (random.random(count) < OBSERVED))
        luck = random.random((6, len(seen)))
        out, root, leaf = self.is_out[seen], self.root[seen], self.leaf[seen].copy()
        no_price = out | (luck[0] < PRICE_UNKNOWN)
        glitch = luck[1]
        price = self.price[seen]
        price = numpy.where(glitch < PRICE_GLITCH, price * 10, price)
        price = numpy.where(glitch > 1 - PRICE_GLITCH, price // 10, price)
        availability = STOCK_WORDS[
            numpy.select([out, no_price, luck[2] < LOW_STOCK], [3 + (luck[2] * len(OUT_WORDS)).astype(int), 2, 1], 0)
        ]
        flips = luck[3] < OTHER_LEAF
        leaf[flips] = (leaf[flips] + 1) % LEAVES
        path = root * LEAVES + leaf
        rank = numpy.exp(self.log_rank[seen]).astype(numpy.int64).clip(1, 2_000_000)
        no_rank, no_leaf, no_rating = luck[3] > 1 - RANK_UNKNOWN, luck[4] < LEAF_UNKNOWN, luck[5] < RATING_UNKNOWN
        shipping = self.shipping[seen]
        basis = numpy.where(self.is_page[seen], "page", "buy_box").astype(object)
        columns = {
            "asin": self.asins[seen],
            "price": unknown_where(no_price, price),
            "list_price": unknown_where(no_price | ~self.has_list_price[seen], self.base[seen] * 5 // 4),
            "shipping": unknown_where(no_price | (shipping < 0), shipping),
            "basis": unknown_where(no_price, basis),
            "seller": unknown_where(no_price, SELLER_IDS[self.sellers[seen, self.holder[seen]]]),
            "offers": numpy.where(out, 0, 1 + self.holder[seen]),
            "availability": availability,
            "bsr": unknown_where(no_rank, rank),
            "category": unknown_where(no_rank, ROOT_WORDS[root]),
            "leaf": unknown_where(no_leaf, rank // 20 + 1),
            "leaf_category": unknown_where(no_leaf, LEAF_WORDS[path]),
            "leaf_id": unknown_where(no_leaf, LEAF_IDS[path]),
            "rating": unknown_where(no_rating, self.rating[seen]),
            "ratings_count": unknown_where(no_rating, self.ratings_count[seen]),
        }
        self.day += timedelta(days=1)
        return [columns[name].tolist() for name in BOUND]

    def move(self):
        random, count = self.random, len(self.asins)
        luck = random.random((4, count))
        steps = numpy.flatnonzero(luck[0] < PRICE_STEP)
        self.price[steps] = (self.base[steps] * random.uniform(0.75, 1.2, len(steps))).astype(numpy.int64)
        hands = numpy.flatnonzero(luck[1] < SELLER_CHANGES)
        self.holder[hands] = random.integers(SELLERS_OF_PRODUCT, size=len(hands))
        self.is_out = numpy.where(self.is_out, luck[2] >= COMES_BACK, luck[2] < RUNS_OUT)
        self.log_rank += random.normal(0, 0.08, count) + 0.01 * (9 - self.log_rank)
        moved = numpy.flatnonzero(luck[2] > 0.98)
        self.rating[moved] = (self.rating[moved] + random.integers(-3, 4, len(moved))).clip(100, 500)
        self.ratings_count += random.poisson(self.rate)
        self.gap = numpy.maximum(self.gap - 1, 0)
        for begins, (shortest, longest) in [(GAP_BEGINS, GAP_DAYS), (LONG_GAP_BEGINS, LONG_GAP_DAYS)]:
            gone = numpy.flatnonzero((luck[3] < begins) & (self.gap == 0))
            self.gap[gone] = random.integers(shortest, longest, len(gone))


def words(values):
    return numpy.array(list(values), dtype=object)


def base36(number):
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(digits[int(number) // 36**place % 36] for place in range(4, -1, -1))


def unknown_where(unknown, values):
    values = values.astype(object)
    values[unknown] = None
    return values


SELLER_IDS = words(f"A{number * 7919 + 1:013d}" for number in range(SELLERS))
STOCK_WORDS = words(["in_stock", "low_stock", "unknown", *OUT_WORDS])
ROOT_WORDS = words(ROOTS)
LEAF_WORDS = words(f"{root.split()[0]} Kind {leaf + 1}" for root in ROOTS for leaf in range(LEAVES))
LEAF_IDS = words(str(10_000 + number) for number in range(len(ROOTS) * LEAVES))


def make(amzctl, folder, products, days):
    """Makes the database in a new folder; returns the number of daily rows."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run([amzctl, "init", "--quiet"], check=True, cwd=folder)
    market = Products(products, LAST_DAY - timedelta(days=days - 1))
    first_day = market.day
    db = sqlite3.connect(folder / "amzctl.db", isolation_level=None)
    # Generated rows can be generated again.
    for setting in ["journal_mode = OFF", "synchronous = OFF", "cache_size = -500000", "locking_mode = EXCLUSIVE"]:
        db.execute(f"PRAGMA {setting}")
    rows = 0
    with without_index(db, "product_metrics_daily_by_product"):
        for begin in range(0, days, DAYS_PER_TRANSACTION):
            db.execute("BEGIN")
            for _ in range(begin, min(begin + DAYS_PER_TRANSACTION, days)):
                rows += write_day(db, market)
            db.execute("COMMIT")
    db.execute("BEGIN")
    last_day = market.day - timedelta(days=1)
    db.executemany(
        f"""INSERT INTO products (marketplace, asin, title, brand, category, status, first_day, last_day)
        VALUES ('US', ?1, 'Product ' || ?1, ?2, ?3, 'active', '{first_day}', '{last_day}')""",
        [
            (asin, f"Brand {root}", f"{ROOTS[root]} > {LEAF_WORDS[root * LEAVES + leaf]}")
            for asin, root, leaf in zip(market.asins, market.root, market.leaf)
        ],
    )
    mark_changed(db, (first_day + timedelta(days=number) for number in range(days)))
    db.execute("COMMIT")
    db.execute("PRAGMA locking_mode = NORMAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    save(market, folder)
    return rows


def add_day(folder):
    """Adds the day after the last one, as `normalize` would; returns the number of daily rows."""
    market = pickle.loads((folder / "market.pickle").read_bytes())
    db = sqlite3.connect(folder / "amzctl.db", isolation_level=None)
    db.execute("BEGIN")
    day = market.day
    rows = write_day(db, market)
    db.execute(f"UPDATE products SET last_day = '{day}'")
    mark_changed(db, [day])
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    save(market, folder)
    return rows


def write_day(db, market):
    day = market.day
    columns = market.next_day()
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=timezone.utc).timestamp()) * 1_000_000
    values = ", ".join(DAILY.values()).format(day=day, noon=noon)
    # Numbered parameters: some are used more than once.
    values = re.sub(r":(\w+)", lambda name: f"?{BOUND.index(name[1]) + 1}", values)
    db.executemany(f"INSERT INTO product_metrics_daily ({', '.join(DAILY)}) VALUES ({values})", zip(*columns))
    db.execute(RANKS.format(day=day))
    return len(columns[0])


def mark_changed(db, days):
    (seq,) = db.execute("SELECT coalesce(max(value), 0) + 1 FROM marks WHERE name = 'changed_seq'").fetchone()
    db.execute("INSERT OR REPLACE INTO marks VALUES ('changed_seq', ?)", [seq])
    db.executemany("INSERT OR REPLACE INTO changed_days VALUES ('US', ?, ?)", [(str(day), seq) for day in days])


class without_index:
    """Takes an index away and builds it at the end, with what the planner was told of it."""

    def __init__(self, db, name):
        self.db, self.name = db, name

    def __enter__(self):
        find = "SELECT {} FROM {} WHERE {} = ?"
        (self.sql,) = self.db.execute(find.format("sql", "sqlite_schema", "name"), [self.name]).fetchone()
        self.told = self.db.execute(find.format("tbl, idx, stat", "sqlite_stat1", "idx"), [self.name]).fetchall()
        self.db.execute(f"DROP INDEX {self.name}")

    def __exit__(self, *_):
        self.db.execute(self.sql)
        self.db.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", self.told)


def save(market, folder):
    (folder / "market.pickle").write_bytes(pickle.dumps(market))


def main():
    command, folder, *size = sys.argv[1:]
    folder = Path(folder)
    started = time.monotonic()
    if command == "make":
        products, days = map(int, size[0].split("x"))
        rows = make(os.environ["AMZCTL"], folder, products, days)
    else:
        rows = add_day(folder)
    print(rows, f"{time.monotonic() - started:.2f}")


if __name__ == "__main__":
    main()
