"""The mart by its definitions in SQL, written without a look at how amzctl computes it; `naive` is its twin.

Reads the lake's core files. Every function returns {key: {column: value}}, unknown as None.
"""

from collections import defaultdict

import duckdb

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


def mart(daily_files, rank_files, zone):
    """{table: {key: row}} of everything that is compared."""
    db = duckdb.connect()
    load(db, daily_files, rank_files)
    return {
        "deltas": deltas(db),
        "rollups": rollups(db),
        "rollup_sellers": rollup_sellers(db),
        "daily_aggregates": daily_aggregates(db, zone),
        "category_metrics": category_metrics(db),
        "partitions": partitions(db),
    }


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
    # The sum of the two middle values.
    db.execute("""CREATE MACRO median_x2(x) AS
        list_sort(x)[(len(x) + 1) // 2] + list_sort(x)[len(x) // 2 + 1]""")
    # A cast of HUGEINT rounds wrongly beyond 2^53; a number that is read does not.
    db.execute("CREATE MACRO nearest_double(x) AS CAST(CAST(x AS VARCHAR) AS DOUBLE)")
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
        fill(rows, changes(db, field, pairs), DELTA_KEY)
    for field in ["bsr", "bsr_leaf"]:
        pairs = f"""SELECT days.marketplace, days.asin, days.day_no, {field} AS x, prev, prev_day
            FROM days
            LEFT JOIN (SELECT marketplace, asin, as_of, arg_max(rank, day_no) AS prev, max(day_no) AS prev_day
                       FROM {field}_seen WHERE day_no < as_of GROUP BY ALL) seen
            ON seen.marketplace = days.marketplace AND seen.asin = days.asin AND seen.as_of = days.day_no"""
        fill(rows, changes(db, field, pairs), DELTA_KEY)
    fill(rows, fetch(db, word_before("availability", "availability", "past.stock_known = 1")), DELTA_KEY)
    fill(rows, fetch(db, word_before("seller", "seller_id", "past.seller_id IS NOT NULL")), DELTA_KEY)
    newness = f"""SELECT {KEY}, CASE WHEN seller_id IS NOT NULL THEN CAST(day_no = min(day_no) OVER
            (PARTITION BY marketplace, asin, seller_id) AS BIGINT) END AS seller_is_new FROM days"""
    fill(rows, fetch(db, newness), DELTA_KEY)
    fill(rows, fetch(db, OUTLIER), DELTA_KEY)
    db.execute(GUARDED)
    extremes = f"""SELECT today.marketplace, today.asin, today.day_no,
            min(price) AS price_low_all_prev, max(price) AS price_high_all_prev
        FROM (SELECT {KEY}, lag(day_no) OVER (PARTITION BY marketplace, asin ORDER BY day_no) AS yesterday
              FROM days) today
        JOIN guarded ON guarded.marketplace = today.marketplace AND guarded.asin = today.asin
          AND counts_from <= yesterday
        GROUP BY ALL"""
    fill(rows, fetch(db, extremes), DELTA_KEY)
    return rows


def changes(db, field, pairs):
    """The rows of a field's changes, which stay as the table `<field>_changes`."""
    db.execute(f"CREATE TABLE {field}_changes AS {CHANGE.format(key=KEY, field=field, pairs=pairs)}")
    return fetch(db, f"SELECT * FROM {field}_changes")


def latest(condition):
    """The latest earlier day, at most 90 back, on which the condition holds."""
    return f"""SELECT today.marketplace, today.asin, today.day_no, max(past.day_no) AS latest_day
        FROM days today JOIN days past ON past.marketplace = today.marketplace AND past.asin = today.asin
          AND past.day_no BETWEEN today.day_no - {LOOK_BACK} AND today.day_no - 1 AND {condition}
        GROUP BY ALL"""


def word_before(name, column, condition):
    return f"""SELECT marketplace, asin, l.day_no, past.{column} AS {name}_prev, past.day_no AS {name}_prev_day
        FROM ({latest(condition)}) l JOIN days past USING (marketplace, asin) WHERE past.day_no = latest_day"""


# What the 14 latest prices of the 60 days before agree on. Four times the median absolute deviation is
# |2x - 2 median|, and its median doubled again.
OUTLIER = f"""
    SELECT {KEY}, len(recent) AS price_outlier_n, median_x2(recent) AS price_outlier_median_x2,
           median_x2(list_transform(recent, lambda x: abs(2 * x - median_x2(recent)))) AS price_outlier_mad_x4
    FROM (SELECT today.marketplace, today.asin, today.day_no,
                 list(past.price ORDER BY past.day_no DESC) FILTER (WHERE past.price IS NOT NULL)[:14] AS known,
                 CASE WHEN known IS NULL THEN CAST([] AS BIGINT[]) ELSE known END AS recent
          FROM days today LEFT JOIN days past ON past.marketplace = today.marketplace AND past.asin = today.asin
            AND past.day_no BETWEEN today.day_no - 60 AND today.day_no - 1
          GROUP BY ALL)"""

# Prices that were real, and the day from which on that is known. A day's price v counts iff fewer than 5 earlier
# days have a price, or v lies within a third and three times the median of the up to 30 prices before it, or, once
# it is known, the next price lies within 10 % of v.
GUARDED = f"""CREATE TABLE guarded AS
    SELECT {KEY}, price,
           CASE WHEN len(before) < 5 OR (median_x2(before) <= 6 * price AND 2 * price <= 3 * median_x2(before))
                THEN day_no
                WHEN 10 * abs(next_price - price) <= price THEN next_day END AS counts_from
    FROM (SELECT {KEY}, price, lead(price) OVER product AS next_price, lead(day_no) OVER product AS next_day,
                 coalesce(list(price) OVER (product ROWS BETWEEN 30 PRECEDING AND 1 PRECEDING), []) AS before
          FROM days WHERE price IS NOT NULL
          WINDOW product AS (PARTITION BY marketplace, asin ORDER BY day_no))"""


# rollups -----------------------------------------------------------------------------------------------------------

ROLLUP_KEY = ("marketplace", "asin", "day_no", "window_days")
ROLLUP = ", ".join(ROLLUP_KEY)

# One row per (rollup row, day of its window that has a daily row); x is one of its columns. A daily row alone in its
# window has no rollup row.
INSIDE = f"""CREATE TABLE inside AS
    SELECT today.marketplace, today.asin, today.day_no, window_days, past.day_no AS past,
           past.price, past.bsr, leaf.rank AS bsr_leaf, past.rating, past.ratings_count,
           past.in_stock, past.stock_known,
           CASE WHEN past.seller_id IS NOT NULL THEN past.seller_id
                WHEN past.availability = 'no_featured_offer' THEN '' END AS holder
    FROM days today CROSS JOIN windows
    JOIN days past ON past.marketplace = today.marketplace AND past.asin = today.asin
      AND past.day_no BETWEEN today.day_no - window_days + 1 AND today.day_no
    LEFT JOIN bsr_leaf_seen leaf ON leaf.marketplace = today.marketplace AND leaf.asin = today.asin
      AND leaf.as_of = today.day_no AND leaf.day_no = past.day_no
    QUALIFY count(*) OVER (PARTITION BY {", ".join(f"today.{name}" for name in DELTA_KEY)}, window_days) >= 2"""

# The sum of no values is unknown, not 0.
LEVEL = """
    SELECT {rollup}, n AS _n, total AS _sum, low AS _min, high AS _max, head AS _first, tail AS _last,
           middle_x2 AS _median_x2,
           CASE WHEN n >= 1 THEN CAST(total AS DOUBLE) / CAST(n AS DOUBLE) END AS _avg,
           CASE WHEN n >= 2 AND head <> 0
                THEN CAST((tail - head) * 100 AS DOUBLE) / CAST(head AS DOUBLE) END AS _change_pct
    FROM (SELECT {rollup}, count(x) AS n, CAST(sum(x) AS BIGINT) AS total, min(x) AS low, max(x) AS high,
                 arg_min(x, past) FILTER (WHERE x IS NOT NULL) AS head,
                 arg_max(x, past) FILTER (WHERE x IS NOT NULL) AS tail,
                 median_x2(list(x) FILTER (WHERE x IS NOT NULL)) AS middle_x2
          FROM (SELECT *, {family} AS x FROM inside) GROUP BY ALL)"""

# t counts the days of the window from 0. The deviation is that of the population.
SPREAD = """
    SELECT {rollup}, CAST(squares AS BIGINT) AS _sumsq,
           CASE WHEN n >= 2 THEN root / CAST(n AS DOUBLE) END AS _sd,
           CASE WHEN n >= 2 THEN root / CAST(total AS DOUBLE) END AS _volatility,
           CASE WHEN n >= 2 THEN CAST(CAST(n * sxy - sx * total AS BIGINT) AS DOUBLE)
                               / CAST(CAST(n * sxx - sx * sx AS BIGINT) AS DOUBLE) END AS _slope
    FROM (SELECT *, sqrt(nearest_double(n * squares - total * total)) AS root
          FROM (SELECT {rollup}, count(*) AS n, sum(x) AS total, sum(x * x) AS squares,
                       sum(t) AS sx, sum(t * t) AS sxx, sum(t * x) AS sxy
                FROM (SELECT *, {family} AS x, CAST(past - (day_no - window_days + 1) AS BIGINT) AS t
                      FROM inside WHERE {family} IS NOT NULL)
                GROUP BY ALL))"""

# The first and the last half of the window's days; of an odd number the middle day is in neither.
TREND = """
    SELECT {rollup},
           CASE WHEN n1 = 0 OR n2 = 0 THEN NULL
                WHEN 100 * (s2 * n1 - s1 * n2) > 5 * s1 * n2 THEN 1
                WHEN 100 * (s2 * n1 - s1 * n2) < -5 * s1 * n2 THEN -1
                ELSE 0 END AS _trend
    FROM (SELECT {rollup}, count(x) FILTER (WHERE is_first) AS n1, sum(x) FILTER (WHERE is_first) AS s1,
                 count(x) FILTER (WHERE is_last) AS n2, sum(x) FILTER (WHERE is_last) AS s2
          FROM (SELECT *, {family} AS x, past < day_no - window_days + 1 + window_days // 2 AS is_first,
                       past > day_no - window_days // 2 AS is_last FROM inside) GROUP BY ALL)"""


def rollups(db):
    """One row per daily row and window that holds at least two daily rows."""
    db.execute(INSIDE)
    rows = defaultdict(dict)
    for template, families in [
        (LEVEL, ["price", "bsr", "bsr_leaf", "rating"]),
        (SPREAD, ["price", "bsr"]),
        (TREND, ["price", "bsr", "rating"]),
    ]:
        for family in families:
            fill(rows, fetch(db, template.format(rollup=ROLLUP, family=family)), ROLLUP_KEY, family)
    counts = f"""SELECT *, CASE WHEN known_days > 0
                 THEN CAST(in_stock_days AS DOUBLE) / CAST(known_days AS DOUBLE) END AS in_stock_share
        FROM (SELECT {ROLLUP}, count(*) AS observed_days, CAST(sum(in_stock) AS BIGINT) AS in_stock_days,
                     CAST(sum(stock_known) AS BIGINT) AS known_days FROM inside GROUP BY ALL)"""
    growth = f"""SELECT {ROLLUP}, CASE WHEN count(*) >= 2
            THEN arg_max(ratings_count, past) - arg_min(ratings_count, past) END AS ratings_growth
        FROM inside WHERE ratings_count IS NOT NULL GROUP BY ALL"""
    # Of 30 days, whatever the window.
    quality = f"""SELECT {ROLLUP}, observed_30d, least(1.0, CAST(observed_30d AS DOUBLE) / 30.0) AS quality
        FROM (SELECT DISTINCT {ROLLUP} FROM inside)
        JOIN (SELECT marketplace, asin, today.day_no, count(*) AS observed_30d
              FROM days today JOIN days past USING (marketplace, asin)
              WHERE past.day_no BETWEEN today.day_no - 29 AND today.day_no GROUP BY ALL) USING ({KEY})"""
    extremes = f"""SELECT place.marketplace, place.asin, place.day_no, window_days,
            min(price) FILTER (WHERE is_inside) AS price_low, max(price) FILTER (WHERE is_inside) AS price_high,
            min(price) AS price_low_all, max(price) AS price_high_all
        FROM (SELECT place.*, price, guarded.day_no > place.day_no - window_days AS is_inside
              FROM (SELECT DISTINCT {ROLLUP} FROM inside) place
              JOIN guarded ON guarded.marketplace = place.marketplace AND guarded.asin = place.asin
                AND counts_from <= place.day_no) place
        GROUP BY ALL"""
    for sql in [counts, growth, quality, extremes]:
        fill(rows, fetch(db, sql), ROLLUP_KEY)
    return rows


SELLER_KEY = (*ROLLUP_KEY, "seller_id")


def rollup_sellers(db):
    """Who had the buy box: '' on days that say that nobody had it."""
    held = f"""SELECT {ROLLUP}, holder AS seller_id, count(*) AS days,
            CAST(sum(count(*)) OVER (PARTITION BY {ROLLUP}) AS BIGINT) AS known_days
        FROM inside WHERE holder IS NOT NULL GROUP BY {ROLLUP}, holder"""
    rows = defaultdict(dict)
    fill(rows, fetch(db, held), SELLER_KEY)
    return rows


# aggregates --------------------------------------------------------------------------------------------------------


def level_of(field):
    return f"""count({field}) AS {field}_n, CAST(sum({field}) AS BIGINT) AS {field}_sum,
        CASE WHEN count({field}) > 0
             THEN CAST(CAST(sum({field}) AS BIGINT) AS DOUBLE) / CAST(count({field}) AS DOUBLE) END AS {field}_avg,
        CAST(median_x2(list({field}) FILTER (WHERE {field} IS NOT NULL)) AS DOUBLE) / 2.0 AS {field}_median"""


def daily_aggregates(db, zone):
    """Per (marketplace, day), over the products that have a daily row on it."""
    moves = ", ".join(
        f"count(*) FILTER (WHERE {field}_delta {test}) AS {field}_{word}"
        for field in ["price", "bsr", "rating"]
        for word, test in [("up", "> 0"), ("down", "< 0"), ("same", "= 0")]
    )
    levels = ", ".join(level_of(field) for field in ["price", "bsr", "rating"])
    end_of_day = f"epoch_us(timezone('{zone}', CAST(DATE '1970-01-01' + (day_no + 1) AS TIMESTAMP)))"
    changes = " ".join(
        f"JOIN (SELECT {KEY}, {field}_delta FROM {field}_changes) USING ({KEY})" for field in ["price", "bsr", "rating"]
    )
    rows = defaultdict(dict)
    found = f"""SELECT marketplace, day_no, count(*) AS products, {levels}, {moves},
            count(ratings_count) AS ratings_count_n, CAST(sum(ratings_count) AS BIGINT) AS ratings_count_sum,
            CAST(sum(in_stock) AS BIGINT) AS in_stock, CAST(sum(is_out) AS BIGINT) AS out_of_stock,
            CAST(sum(stock_known) AS BIGINT) AS stock_known, count(seller_id) AS seller_known,
            CAST(sum({end_of_day} - observed_at) AS BIGINT) // (count(*) * 1000000) AS data_age_avg_seconds,
            max({end_of_day} - observed_at) // 1000000 AS data_age_max_seconds
        FROM days {changes} GROUP BY marketplace, day_no"""
    fill(rows, fetch(db, found), ("marketplace", "day_no"))
    return rows


def category_metrics(db):
    """Per (marketplace, main category, day), over the products with a known rank in it."""
    levels = ", ".join(
        f"{level_of(field)}, min({field}) AS {field}_min, max({field}) AS {field}_max"
        for field in ["price", "bsr", "rating"]
    )
    rows = defaultdict(dict)
    found = f"""SELECT marketplace, bsr_category, day_no, count(*) AS products, {levels}
        FROM days WHERE bsr IS NOT NULL AND bsr_category IS NOT NULL
        GROUP BY marketplace, bsr_category, day_no"""
    fill(rows, fetch(db, found), ("marketplace", "bsr_category", "day_no"))
    return rows


# keys that every lake row carries ------------------------------------------------------------------------------------


def partitions(db):
    """Month and bucket of each daily row, and so of every row of its day."""
    rows = defaultdict(dict)
    found = f"""SELECT {KEY}, strftime(DATE '1970-01-01' + day_no, '%Y-%m') AS month,
            CAST(CAST('0x' || sha256(marketplace || ':' || asin)[:8] AS UBIGINT) % 64 AS BIGINT) AS bucket
        FROM days"""
    fill(rows, fetch(db, found), DELTA_KEY)
    return rows
