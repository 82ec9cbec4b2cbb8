"""The mart by its definitions, written without a look at how amzctl computes it.

Counts, sums and look-ups are SQL over the lake's core files; what SQL would hide (guarded extremes, the median
deviation, the square root) is plain Python. Reads `days` and `ranks`; every function returns
{key: {column: value}}, unknown as None.
"""

import hashlib
import math
from collections import defaultdict
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

WINDOWS = (7, 30, 90)
LOOK_BACK = 90

# word: in stock, out, known
AVAILABILITY = {
    "in_stock": (1, 0, 1),
    "low_stock": (1, 0, 1),
    "ships_later": (0, 0, 1),
    "back_order": (0, 0, 1),
    "pre_order": (0, 0, 1),
    "no_featured_offer": (0, 0, 1),
    "used_only": (0, 0, 1),
    "out_of_stock": (0, 1, 1),
    "unavailable": (0, 1, 1),
    "price_hidden": (0, 0, 0),
    "select_variant": (0, 0, 0),
    "not_deliverable_to_location": (0, 0, 0),
    "unknown": (0, 0, 0),
}

# Names of root categories that occur in the inputs: all of one line are the same category. Any other name is
# compared as it is.
ROOTS = {
    "Electronics": ["Elektronik & Foto", "家電＆カメラ", "電子"],
    "Home & Kitchen": ["Küche, Haushalt & Wohnen", "ホーム＆キッチン", "居家與廚房"],
    "Sports & Outdoors": ["Sport & Freizeit", "スポーツ＆アウトドア", "運動與戶外"],
    "Toys & Games": ["Spielzeug", "おもちゃ", "玩具與遊戲"],
    "Pet Supplies": ["Haustier", "ペット用品", "寵物用品"],
}

# Display groups, by which some sources name the main rank's category. There are leaves of the same names.
GROUPS = {"Electronics": ["CE", "Speakers"]}

KEY = "marketplace, asin, day_no"


def load(db, daily_files, rank_files):
    """Makes `days` and `ranks` of the listed core files, and the small tables of words."""
    db.execute("CREATE TABLE words (word TEXT, in_stock BIGINT, is_out BIGINT, is_known BIGINT)")
    db.executemany("INSERT INTO words VALUES (?, ?, ?, ?)", [(w, *f) for w, f in AVAILABILITY.items()])
    db.execute("CREATE TABLE windows (window_days INTEGER)")
    db.executemany("INSERT INTO windows VALUES (?)", [(n,) for n in WINDOWS])
    db.execute("CREATE TABLE roots (folded TEXT, canonical TEXT, of_main BOOLEAN)")
    names = [
        (name, root, main) for root, others in ROOTS.items() for name in [root, *others] for main in [True, False]
    ]
    names += [(group, root, True) for root, groups in GROUPS.items() for group in groups]
    db.executemany("INSERT INTO roots VALUES (lower(?), ?, ?)", names)
    # By id if both have one, else by name.
    db.execute("""CREATE MACRO same_category(a_id, a_name, b_id, b_name) AS
        CASE WHEN a_id IS NOT NULL AND b_id IS NOT NULL THEN a_id = b_id ELSE a_name = b_name END""")
    db.execute(
        """CREATE TABLE days AS
        SELECT marketplace, asin, day_no, currency, price_basis, price_minor AS price,
               list_price_minor AS list_price, buy_box_price_minor AS buy_box_price,
               landed_price_minor AS landed_price, bsr, bsr_leaf, rating_centi AS rating, ratings_count,
               availability, seller_id, observed_at, bsr_category_id, bsr_leaf_category_id,
               coalesce(main.canonical, trim(bsr_category)) AS bsr_category,
               coalesce(leaf.canonical, trim(bsr_leaf_category)) AS bsr_leaf_category,
               words.in_stock, words.is_out, words.is_known AS stock_known
        FROM read_parquet(?, hive_partitioning = false)
        JOIN words ON word = availability
        LEFT JOIN roots main ON main.folded = lower(trim(bsr_category)) AND main.of_main
        LEFT JOIN roots leaf ON leaf.folded = lower(trim(bsr_leaf_category)) AND NOT leaf.of_main""",
        [daily_files],
    )
    db.execute("""CREATE TABLE ranks (marketplace TEXT, asin TEXT, day_no INTEGER, category_id TEXT,
        category TEXT, rank BIGINT, is_main BIGINT, is_leaf BIGINT)""")
    if rank_files:
        db.execute(
            """INSERT INTO ranks
            SELECT marketplace, asin, day_no, category_id, coalesce(canonical, trim(category)), rank, is_main, is_leaf
            FROM read_parquet(?, hive_partitioning = false)
            LEFT JOIN roots ON folded = lower(trim(category)) AND of_main = (is_main = 1)""",
            [rank_files],
        )
    for family, own in [("bsr", "is_main"), ("bsr_leaf", "is_leaf")]:
        # The rank in the category of day `as_of` among all ranks of a day up to 90 days earlier. Where a day has
        # several there, its own main or leaf rank counts, else the smallest.
        db.execute(f"""CREATE TABLE {family}_seen AS
            SELECT marketplace, asin, days.day_no AS as_of, ranks.day_no AS day_no,
                   coalesce(min(rank) FILTER (WHERE {own} = 1), min(rank)) AS rank
            FROM days JOIN ranks USING (marketplace, asin)
            WHERE ranks.day_no BETWEEN days.day_no - {LOOK_BACK} AND days.day_no
              AND same_category({family}_category_id, {family}_category, category_id, category)
            GROUP BY ALL""")


def fetch(db, sql):
    """Rows as dictionaries."""
    cursor = db.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def fill(rows, found, key, prefix=""):
    """Puts the found columns into the rows of their keys."""
    for record in found:
        place = tuple(record.pop(name) for name in key)
        rows[place].update({prefix + name: value for name, value in record.items()})


# deltas ------------------------------------------------------------------------------------------------------------

DELTA_KEY = ("marketplace", "asin", "day_no")

# A change of currency (and for a price that has one, of what the number says) makes the change unknown. A day
# without the value changes nothing: it still shows the last known one.
CURRENCY = "today.currency = past.currency"
BASIS = """(today.price_basis = past.price_basis OR (today.{field} IS NULL AND today.price_basis IS NULL))"""
FIELDS = {
    "price": f"{CURRENCY} AND {BASIS}",
    "list_price": CURRENCY,
    "buy_box_price": CURRENCY,
    "landed_price": f"{CURRENCY} AND {BASIS}",
    "rating": "true",
    "ratings_count": "true",
}

CHANGE = """
    SELECT {key}, x AS {field}, prev AS {field}_prev, prev_day AS {field}_prev_day, x - prev AS {field}_delta,
           CASE WHEN prev <> 0 THEN CAST((x - prev) * 100 AS DOUBLE) / CAST(prev AS DOUBLE) END AS {field}_pct
    FROM ({pairs})"""


def deltas(db):
    """One row per daily row: each field against the latest earlier day, at most 90 back, that knows it."""
    rows = defaultdict(dict)
    facts = """SELECT {key}, currency, price_basis, bsr_category, bsr_leaf_category, availability, seller_id,
            day_no - lag(day_no) OVER product AS gap_days,
            count(price) OVER earlier AS price_known_days,
            count(seller_id) OVER earlier AS seller_known_days
        FROM days
        WINDOW product AS (PARTITION BY marketplace, asin ORDER BY day_no),
               earlier AS (PARTITION BY marketplace, asin ORDER BY day_no
                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"""
    fill(rows, fetch(db, facts.format(key=KEY)), DELTA_KEY)
    for field, comparable in FIELDS.items():
        pairs = f"""SELECT today.marketplace, today.asin, today.day_no, today.{field} AS x,
                           past.{field} AS prev, past.day_no AS prev_day
            FROM days today
            LEFT JOIN ({latest(f"past.{field} IS NOT NULL")}) USING ({KEY})
            LEFT JOIN days past ON past.marketplace = today.marketplace AND past.asin = today.asin
              AND past.day_no = latest_day AND {comparable.format(field=field)}"""
        fill(rows, fetch(db, CHANGE.format(key=KEY, field=field, pairs=pairs)), DELTA_KEY)
    for field in ["bsr", "bsr_leaf"]:
        pairs = f"""SELECT days.marketplace, days.asin, days.day_no, {field} AS x, prev, prev_day
            FROM days
            LEFT JOIN (SELECT marketplace, asin, as_of, arg_max(rank, day_no) AS prev, max(day_no) AS prev_day
                       FROM {field}_seen WHERE day_no < as_of GROUP BY ALL) seen
            ON seen.marketplace = days.marketplace AND seen.asin = days.asin AND seen.as_of = days.day_no"""
        fill(rows, fetch(db, CHANGE.format(key=KEY, field=field, pairs=pairs)), DELTA_KEY)
    fill(rows, fetch(db, word_before("availability", "availability", "past.stock_known = 1")), DELTA_KEY)
    fill(rows, fetch(db, word_before("seller", "seller_id", "past.seller_id IS NOT NULL")), DELTA_KEY)
    newness = f"""SELECT {KEY}, CASE WHEN seller_id IS NOT NULL THEN CAST(day_no = min(day_no) OVER
            (PARTITION BY marketplace, asin, seller_id) AS BIGINT) END AS seller_is_new FROM days"""
    fill(rows, fetch(db, newness), DELTA_KEY)
    add_price_evidence(db, rows)
    return rows


def latest(condition):
    """The latest earlier day, at most 90 back, on which the condition holds."""
    return f"""SELECT today.marketplace, today.asin, today.day_no, max(past.day_no) AS latest_day
        FROM days today JOIN days past ON past.marketplace = today.marketplace AND past.asin = today.asin
          AND past.day_no BETWEEN today.day_no - {LOOK_BACK} AND today.day_no - 1 AND {condition}
        GROUP BY ALL"""


def word_before(name, column, condition):
    return f"""SELECT marketplace, asin, l.day_no, past.{column} AS {name}_prev, past.day_no AS {name}_prev_day
        FROM ({latest(condition)}) l JOIN days past USING (marketplace, asin) WHERE past.day_no = latest_day"""


def add_price_evidence(db, rows):
    """All-time extremes as of the previous daily row, and what the 14 latest prices of 60 days agree on."""
    for product, series in price_series(db).items():
        guard = Guard(series)
        for place, (day, _) in enumerate(series):
            row = rows[(*product, day)]
            before = guard.extremes(None, series[place - 1][0]) if place > 0 else (None, None)
            row["price_low_all_prev"], row["price_high_all_prev"] = before
            recent = [price for past, price in series[:place] if price is not None and past >= day - 60][-14:]
            row["price_outlier_n"] = len(recent)
            if recent:
                middle = median_x2(recent)
                row["price_outlier_median_x2"] = middle
                # Four times the median absolute deviation: |2x - 2 median|, and its median doubled again.
                row["price_outlier_mad_x4"] = median_x2([abs(2 * price - middle) for price in recent])


def price_series(db):
    """{(marketplace, asin): [(day, price or None)]} in day order."""
    series = defaultdict(list)
    for marketplace, asin, day, price in db.execute(f"SELECT {KEY}, price FROM days ORDER BY {KEY}").fetchall():
        series[marketplace, asin].append((day, price))
    return series


def median_x2(values):
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]


class Guard:
    """The lowest and highest price, without prices that were never real.

    A day's price v counts iff fewer than 5 earlier days have a price, or v lies within a third and three times the
    median of the up to 30 prices before it, or the next known price (not after the as-of day) lies within 10 % of v.
    """

    def __init__(self, series):
        self.known = [(day, price) for day, price in series if price is not None]
        self.near = []
        for place, (_, price) in enumerate(self.known):
            before = [earlier for _, earlier in self.known[:place]]
            middle_x2 = median_x2(before[-30:]) if before else None
            self.near.append(len(before) < 5 or (middle_x2 <= 6 * price and 2 * price <= 3 * middle_x2))

    def extremes(self, first, as_of):
        """Of the days from `first` on (of all days for None), as of a day."""
        seen = [(day, price, near) for (day, price), near in zip(self.known, self.near) if day <= as_of]
        counted = []
        for place, (day, price, near) in enumerate(seen):
            following = seen[place + 1][1] if place + 1 < len(seen) else None
            confirmed = following is not None and 10 * abs(following - price) <= price
            if (first is None or day >= first) and (near or confirmed):
                counted.append(price)
        return (min(counted), max(counted)) if counted else (None, None)


# rollups -----------------------------------------------------------------------------------------------------------

ROLLUP_KEY = ("marketplace", "asin", "day_no", "window_days")
ROLLUP = ", ".join(ROLLUP_KEY)

LEVEL = """
    SELECT {rollup}, n AS _n, total AS _sum, low AS _min, high AS _max, head AS _first, tail AS _last,
           ordered[(n + 1) // 2] + ordered[n // 2 + 1] AS _median_x2,
           CAST(total AS DOUBLE) / CAST(n AS DOUBLE) AS _avg,
           CASE WHEN n >= 2 AND head <> 0
                THEN CAST((tail - head) * 100 AS DOUBLE) / CAST(head AS DOUBLE) END AS _change_pct
    FROM (SELECT {rollup}, count(*) AS n, CAST(sum(x) AS BIGINT) AS total, min(x) AS low, max(x) AS high,
                 arg_min(x, past) AS head, arg_max(x, past) AS tail, list_sort(list(x)) AS ordered
          FROM ({values}) GROUP BY ALL)"""

# x counts the days of the window from 0.
SPREAD = """
    SELECT {rollup}, n, total, CAST(squares AS BIGINT) AS _sumsq,
           CASE WHEN n >= 2 THEN CAST(CAST(n * sxy - sx * total AS BIGINT) AS DOUBLE)
                               / CAST(CAST(n * sxx - sx * sx AS BIGINT) AS DOUBLE) END AS _slope
    FROM (SELECT {rollup}, count(*) AS n, CAST(sum(x) AS BIGINT) AS total, sum(x * x) AS squares,
                 sum(t) AS sx, sum(t * t) AS sxx, sum(t * x) AS sxy
          FROM (SELECT *, CAST(past - (day_no - window_days + 1) AS BIGINT) AS t FROM ({values})) GROUP BY ALL)"""

# The first and the last half of the window's days; of an odd number the middle day is in neither.
TREND = """
    SELECT {rollup},
           CASE WHEN n1 = 0 OR n2 = 0 THEN NULL
                WHEN 100 * (s2 * n1 - s1 * n2) > 5 * s1 * n2 THEN 1
                WHEN 100 * (s2 * n1 - s1 * n2) < -5 * s1 * n2 THEN -1
                ELSE 0 END AS _trend
    FROM (SELECT {rollup}, count(*) FILTER (WHERE is_first) AS n1, sum(x) FILTER (WHERE is_first) AS s1,
                 count(*) FILTER (WHERE is_last) AS n2, sum(x) FILTER (WHERE is_last) AS s2
          FROM (SELECT *, past < day_no - window_days + 1 + window_days // 2 AS is_first,
                       past > day_no - window_days // 2 AS is_last FROM ({values})) GROUP BY ALL)"""


def inside(value):
    """The values of the windows' days, one row per (rollup row, day)."""
    return f"""SELECT days.marketplace, days.asin, days.day_no, window_days, past.day_no AS past, {value} AS x
        FROM days CROSS JOIN windows
        JOIN days past ON past.marketplace = days.marketplace AND past.asin = days.asin
          AND past.day_no BETWEEN days.day_no - window_days + 1 AND days.day_no
        WHERE {value} IS NOT NULL"""


LEAF_INSIDE = """SELECT marketplace, asin, as_of AS day_no, window_days, day_no AS past, rank AS x
    FROM bsr_leaf_seen CROSS JOIN windows WHERE day_no > as_of - window_days"""


def rollups(db):
    """One row per daily row and window that holds at least two daily rows."""
    observed = f"""SELECT {ROLLUP}, count(*) AS observed_days,
               CAST(max(observed_30) AS BIGINT) AS observed_30d
        FROM ({inside("past.day_no")})
        JOIN (SELECT marketplace, asin, d.day_no, count(*) AS observed_30 FROM days d
              JOIN days p USING (marketplace, asin)
              WHERE p.day_no BETWEEN d.day_no - 29 AND d.day_no GROUP BY ALL) USING ({KEY})
        GROUP BY ALL HAVING count(*) >= 2"""
    rows = defaultdict(dict)
    fill(rows, fetch(db, observed), ROLLUP_KEY)
    exists = set(rows)
    for row in rows.values():
        row["quality"] = min(1.0, row["observed_30d"] / 30)
        row.update({f"{family}_n": 0 for family in ["price", "bsr", "bsr_leaf", "rating"]})

    values = {family: inside(f"past.{family}") for family in ["price", "bsr", "rating"]}
    values["bsr_leaf"] = LEAF_INSIDE
    for family, relation in values.items():
        fill(rows, fetch(db, LEVEL.format(rollup=ROLLUP, values=relation)), ROLLUP_KEY, family)
    for family in ["price", "bsr"]:
        found = fetch(db, SPREAD.format(rollup=ROLLUP, values=values[family]))
        for record in found:
            n, total = record.pop("n"), record.pop("total")
            record["_sd"], record["_volatility"] = spread(n, total, record["_sumsq"])
        fill(rows, found, ROLLUP_KEY, family)
    for family in ["price", "bsr", "rating"]:
        fill(rows, fetch(db, TREND.format(rollup=ROLLUP, values=values[family])), ROLLUP_KEY, family)

    growth = f"""SELECT {ROLLUP}, CASE WHEN count(*) >= 2 THEN arg_max(x, past) - arg_min(x, past) END
        AS ratings_growth FROM ({inside("past.ratings_count")}) GROUP BY ALL"""
    stock = f"""SELECT {ROLLUP}, in_stock_days, known_days,
            CASE WHEN known_days > 0 THEN CAST(in_stock_days AS DOUBLE) / CAST(known_days AS DOUBLE) END
            AS in_stock_share
        FROM (SELECT {ROLLUP}, CAST(sum(x.in_stock) AS BIGINT) AS in_stock_days,
                     CAST(sum(x.is_known) AS BIGINT) AS known_days
              FROM ({inside("{'in_stock': past.in_stock, 'is_known': past.stock_known}")}) GROUP BY ALL)"""
    fill(rows, fetch(db, growth), ROLLUP_KEY)
    fill(rows, fetch(db, stock), ROLLUP_KEY)
    # A daily row alone in its window has values there and no row.
    rows = {key: row for key, row in rows.items() if key in exists}
    add_extremes(db, rows)
    return rows


def spread(n, total, squares):
    """Standard deviation of the population, and the deviation over the mean."""
    if n < 2:
        return None, None
    root = math.sqrt(n * squares - total * total)
    return root / n, (root / total if total else None)


def add_extremes(db, rows):
    for product, series in price_series(db).items():
        guard = Guard(series)
        for day, _ in series:
            whole = guard.extremes(None, day)
            for window in WINDOWS:
                row = rows.get((*product, day, window))
                if row is not None:
                    row["price_low_all"], row["price_high_all"] = whole
                    row["price_low"], row["price_high"] = guard.extremes(day - window + 1, day)


SELLER_KEY = (*ROLLUP_KEY, "seller_id")


def rollup_sellers(db, rollup_rows):
    """Who had the buy box: '' on days that say that nobody had it."""
    holder = """CASE WHEN past.seller_id IS NOT NULL THEN past.seller_id
        WHEN past.availability = 'no_featured_offer' THEN '' END"""
    held = f"""SELECT {ROLLUP}, x AS seller_id, count(*) AS days,
            CAST(sum(count(*)) OVER (PARTITION BY {ROLLUP}) AS BIGINT) AS known_days
        FROM ({inside(holder)}) GROUP BY {ROLLUP}, x"""
    rows = defaultdict(dict)
    fill(rows, fetch(db, held), SELLER_KEY)
    return {key: row for key, row in rows.items() if key[:4] in rollup_rows}


# aggregates --------------------------------------------------------------------------------------------------------


def level_of(field):
    return f"""'{field}_n', count({field}), '{field}_sum', CAST(sum({field}) AS BIGINT),
        '{field}_avg', CAST(CAST(sum({field}) AS BIGINT) AS DOUBLE) / CAST(count({field}) AS DOUBLE),
        '{field}_list', list_sort(list({field}) FILTER (WHERE {field} IS NOT NULL))"""


def take_median(record, field):
    ordered = record.pop(f"{field}_list")
    record[f"{field}_median"] = median_x2(ordered) / 2 if ordered else None


def as_records(rows, key):
    """The pairs (name, value, name, value, …) of each row as a dictionary, by key."""
    records = {}
    for row in rows:
        place, pairs = tuple(row[: len(key)]), row[len(key) :]
        record = dict(zip(pairs[::2], pairs[1::2]))
        for field in ["price", "bsr", "rating"]:
            take_median(record, field)
            if record[f"{field}_n"] == 0:
                record[f"{field}_avg"] = None
        records[place] = record
    return records


def daily_aggregates(db, delta_rows, zone):
    """Per (marketplace, day), over the products that have a daily row on it."""
    db.execute(
        "CREATE OR REPLACE TABLE changes (marketplace TEXT, asin TEXT, day_no INTEGER, "
        "price_delta BIGINT, bsr_delta BIGINT, rating_delta BIGINT)"
    )
    changes = [(*key, row["price_delta"], row["bsr_delta"], row["rating_delta"]) for key, row in delta_rows.items()]
    db.executemany("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)", changes)
    moves = ", ".join(
        f"'{field}_{word}', count(*) FILTER (WHERE {field}_delta {test})"
        for field in ["price", "bsr", "rating"]
        for word, test in [("up", "> 0"), ("down", "< 0"), ("same", "= 0")]
    )
    levels = ", ".join(level_of(field) for field in ["price", "bsr", "rating"])
    rows = db.execute(f"""SELECT marketplace, day_no, 'products', count(*), {levels}, {moves},
            'ratings_count_n', count(ratings_count), 'ratings_count_sum', CAST(sum(ratings_count) AS BIGINT),
            'in_stock', CAST(sum(in_stock) AS BIGINT), 'out_of_stock', CAST(sum(is_out) AS BIGINT),
            'stock_known', CAST(sum(stock_known) AS BIGINT), 'seller_known', count(seller_id),
            'observed', list(observed_at)
        FROM days JOIN changes USING ({KEY}) GROUP BY marketplace, day_no""").fetchall()
    records = as_records(rows, ("marketplace", "day_no"))
    for (_, day_no), record in records.items():
        ages = [end_of_day(day_no, zone) - at for at in record.pop("observed")]
        record["data_age_avg_seconds"] = sum(ages) // (len(ages) * 1_000_000)
        record["data_age_max_seconds"] = max(ages) // 1_000_000
    return records


def end_of_day(day_no, zone):
    """The microsecond since 1970 UTC at which a day of the reporting zone ends."""
    midnight = datetime.combine(date(1970, 1, 1) + timedelta(days=day_no + 1), time(), ZoneInfo(zone))
    return int(midnight.astimezone(timezone.utc).timestamp()) * 1_000_000


def category_metrics(db):
    """Per (marketplace, main category, day), over the products with a known rank in it."""
    levels = ", ".join(
        f"{level_of(field)}, '{field}_min', min({field}), '{field}_max', max({field})"
        for field in ["price", "bsr", "rating"]
    )
    rows = db.execute(f"""SELECT marketplace, bsr_category, day_no, 'products', count(*), {levels}
        FROM days WHERE bsr IS NOT NULL AND bsr_category IS NOT NULL
        GROUP BY marketplace, bsr_category, day_no""").fetchall()
    return as_records(rows, ("marketplace", "category", "day_no"))


# keys that every lake row carries ------------------------------------------------------------------------------------


def partition_columns(marketplace, asin, day_no):
    """Month and bucket of a row."""
    head = hashlib.sha256(f"{marketplace}:{asin}".encode()).digest()[:4]
    month = (date(1970, 1, 1) + timedelta(days=day_no)).strftime("%Y-%m")
    return {"month": month, "bucket": int.from_bytes(head, "big") % 64}
