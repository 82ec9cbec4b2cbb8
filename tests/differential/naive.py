"""The mart by its definitions in plain Python: every row from scratch, from the list of a product's days.

The twin of `definitions`, which is SQL. Reads the database's daily rows and ranks, answers the same tables. Integers
are Python's, so nothing wraps; only the last step of a ratio is a float.
"""

import hashlib
import math
from collections import defaultdict
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from definitions import AVAILABILITY, GROUPS, LOOK_BACK, ROOTS, WINDOWS

# (name in lower case, of a main rank): the name of the category
CANONICAL = {
    (name.lower(), is_main): root
    for root, others in ROOTS.items()
    for name in [root, *others]
    for is_main in [True, False]
} | {(group.lower(), True): root for root, groups in GROUPS.items() for group in groups}


def mart(daily, ranks, zone):
    """{table: {key: row}} of everything that is compared."""
    series = products(daily, ranks)
    changes = by_day(series, delta)
    return {
        "deltas": changes,
        "rollups": by_window(series, rollup),
        "rollup_sellers": rollup_sellers(series),
        "daily_aggregates": daily_aggregates(series, changes, zone),
        "category_metrics": category_metrics(series),
        "partitions": {place: partition_columns(*place) for place in changes},
    }


def products(daily, ranks):
    """{(marketplace, asin): its days, oldest first}."""
    ranks_of = defaultdict(list)
    for row in ranks:
        category = (row["category_id"], canonical(row["category"], row["is_main"] == 1))
        ranks_of[row["marketplace"], row["asin"], row["day_no"]].append({**row, "category": category})
    series = defaultdict(list)
    for row in sorted(daily, key=lambda row: row["day_no"]):
        product = (row["marketplace"], row["asin"])
        in_stock, is_out, is_known = AVAILABILITY[row["availability"]]
        day = {
            **row,
            **{name: row[f"{name}_minor"] for name in ["price", "list_price", "buy_box_price", "landed_price"]},
            "rating": row["rating_centi"],
            "bsr_in": (row["bsr_category_id"], canonical(row["bsr_category"], True)),
            "bsr_leaf_in": (row["bsr_leaf_category_id"], canonical(row["bsr_leaf_category"], False)),
            "ranks": ranks_of[(*product, row["day_no"])],
            "in_stock": in_stock,
            "is_out": is_out,
            "stock_known": is_known,
        }
        series[product].append(day)
    for days in series.values():
        mark_near(days)
    return series


def canonical(name, is_main):
    if name is None:
        return None
    return CANONICAL.get((name.strip().lower(), is_main), name.strip())


def by_day(series, row_of):
    """One row per daily row: of its product's days and its place in them."""
    return {
        (*product, days[place]["day_no"]): row_of(days, place)
        for product, days in series.items()
        for place in range(len(days))
    }


def by_window(series, row_of):
    """One row per daily row and window that holds at least two daily rows."""
    rows = {}
    for product, days in series.items():
        for place, today in enumerate(days):
            for window in WINDOWS:
                inside = [day for day in days[: place + 1] if day["day_no"] > today["day_no"] - window]
                if len(inside) >= 2:
                    rows[(*product, today["day_no"], window)] = row_of(days[: place + 1], inside, window)
    return rows


def known(days, name):
    """[(day, value)] of the days on which a column is known."""
    return [(day["day_no"], day[name]) for day in days if day[name] is not None]


def divide(part, whole):
    return part / whole if whole else None


def median_x2(values):
    """The sum of the two middle values."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2] if ordered else None


# deltas ------------------------------------------------------------------------------------------------------------


def delta(days, place):
    """Each field against the latest earlier day, at most 90 back, that knows it."""
    today, earlier = days[place], days[:place]
    within = [day for day in earlier if day["day_no"] >= today["day_no"] - LOOK_BACK]
    row = {name: today[name] for name in ["currency", "price_basis", "availability", "seller_id"]}
    row["bsr_category"], row["bsr_leaf_category"] = today["bsr_in"][1], today["bsr_leaf_in"][1]
    row["gap_days"] = today["day_no"] - earlier[-1]["day_no"] if earlier else None

    for field in ["price", "list_price", "buy_box_price", "landed_price", "rating", "ratings_count"]:
        prev = latest(within, field)
        before = prev[field] if prev is not None and agree(field, today, prev) else None
        row.update(change(field, today, prev, before))
    for field in ["bsr", "bsr_leaf"]:
        ranked = [(day, rank_in(day, field, today[f"{field}_in"])) for day in within]
        prev, rank = next((pair for pair in reversed(ranked) if pair[1] is not None), (None, None))
        row.update(change(field, today, prev, rank))

    told = next((day for day in reversed(within) if day["stock_known"]), None)
    sold = latest(within, "seller_id")
    sellers = [seller for _, seller in known(earlier, "seller_id")]
    row["availability_prev"] = told and told["availability"]
    row["availability_prev_day"] = told and told["day_no"]
    row["seller_prev"], row["seller_prev_day"] = sold and sold["seller_id"], sold and sold["day_no"]
    row["seller_is_new"] = int(today["seller_id"] not in sellers) if today["seller_id"] is not None else None
    row["seller_known_days"] = len(sellers)

    prices = known(earlier, "price")
    row["price_known_days"] = len(prices)
    row["price_low_all_prev"], row["price_high_all_prev"] = extremes(earlier, None)
    recent = [price for day, price in prices if day >= today["day_no"] - 60][-14:]
    middle = median_x2(recent)
    row["price_outlier_n"], row["price_outlier_median_x2"] = len(recent), middle
    # Four times the median absolute deviation: |2x - 2 median|, and its median doubled again.
    row["price_outlier_mad_x4"] = median_x2([abs(2 * price - middle) for price in recent])
    return row


def latest(days, field):
    return next((day for day in reversed(days) if day[field] is not None), None)


def agree(field, today, prev):
    """Whether two days' values of a field are of the same currency and say the same thing."""
    if field in ("rating", "ratings_count"):
        return True
    if today["currency"] != prev["currency"]:
        return False
    if field in ("list_price", "buy_box_price") or today["price_basis"] == prev["price_basis"]:
        return True
    # A day without the value changes nothing: it still shows the last known one.
    return today[field] is None and today["price_basis"] is None


def change(field, today, prev, before):
    """The columns of a field whose previous value is `before`, of the day `prev`."""
    now = today[field]
    moved = now - before if now is not None and before is not None else None
    return {
        field: now,
        f"{field}_prev": before,
        f"{field}_prev_day": prev["day_no"] if before is not None else None,
        f"{field}_delta": moved,
        f"{field}_pct": divide(moved * 100, before) if moved is not None else None,
    }


def rank_in(day, field, category):
    """A day's rank in a category: its own main or leaf rank if that is in it, else the smallest."""
    ranks = [rank for rank in day["ranks"] if is_same(rank["category_id"], rank["category"][1], *category)]
    own = [rank for rank in ranks if rank["is_main" if field == "bsr" else "is_leaf"] == 1]
    return min((rank["rank"] for rank in own or ranks), default=None)


def is_same(an_id, name, other_id, other_name):
    """By id if both have one, else by name."""
    if an_id is not None and other_id is not None:
        return an_id == other_id
    return name is not None and name == other_name


# guarded extremes --------------------------------------------------------------------------------------------------


def mark_near(days):
    """Says of each price whether it counts by what came before it.

    It does iff fewer than 5 earlier days have a price, or it lies within a third and three times the median of the
    up to 30 prices before it.
    """
    before = []
    for day in days:
        price = day["price"]
        if price is not None:
            middle_x2 = median_x2(before[-30:])
            day["is_near"] = len(before) < 5 or (middle_x2 <= 6 * price and 2 * price <= 3 * middle_x2)
            before.append(price)


def extremes(days, first):
    """Lowest and highest price of the days from `first` on (of all for None), as of the last: of prices that count
    by what came before, or that the next one confirms within 10 %."""
    priced = [day for day in days if day["price"] is not None]
    counted = []
    for day, following in zip(priced, [*priced[1:], None]):
        price = day["price"]
        confirmed = following is not None and 10 * abs(following["price"] - price) <= price
        if (first is None or day["day_no"] >= first) and (day["is_near"] or confirmed):
            counted.append(price)
    return (min(counted), max(counted)) if counted else (None, None)


# rollups -----------------------------------------------------------------------------------------------------------


def rollup(days, inside, window):
    """`inside` are those of `days` in the window, which ends with the last."""
    today = days[-1]
    first_day = today["day_no"] - window + 1
    values = {family: known(inside, family) for family in ["price", "bsr", "rating"]}
    leaf = [(day["day_no"], rank_in(day, "bsr_leaf", today["bsr_leaf_in"])) for day in inside]
    values["bsr_leaf"] = [(day, rank) for day, rank in leaf if rank is not None]
    row = {"observed_days": len(inside)}
    for family, points in values.items():
        row.update(level(family, [value for _, value in points]))
    for family in ["price", "bsr"]:
        row.update(spread(family, values[family], first_day))
    for family in ["price", "bsr", "rating"]:
        row[f"{family}_trend"] = trend(values[family], first_day, window)
    counts = [count for _, count in known(inside, "ratings_count")]
    row["ratings_growth"] = counts[-1] - counts[0] if len(counts) >= 2 else None
    row["in_stock_days"] = sum(day["in_stock"] for day in inside)
    row["known_days"] = sum(day["stock_known"] for day in inside)
    row["in_stock_share"] = divide(row["in_stock_days"], row["known_days"])
    row["price_low"], row["price_high"] = extremes(days, first_day)
    row["price_low_all"], row["price_high_all"] = extremes(days, None)
    row["observed_30d"] = sum(day["day_no"] > today["day_no"] - 30 for day in days)
    row["quality"] = min(1.0, row["observed_30d"] / 30)
    return row


def level(family, values):
    n = len(values)
    return {
        f"{family}_n": n,
        f"{family}_sum": sum(values) if values else None,
        f"{family}_min": min(values, default=None),
        f"{family}_max": max(values, default=None),
        f"{family}_first": values[0] if values else None,
        f"{family}_last": values[-1] if values else None,
        f"{family}_median_x2": median_x2(values),
        f"{family}_avg": divide(sum(values), n),
        f"{family}_change_pct": divide((values[-1] - values[0]) * 100, values[0]) if n >= 2 else None,
    }


def spread(family, points, first_day):
    """Deviation of the population, the same over the mean, and the slope by least squares over the days."""
    n, xs, ys = len(points), [day - first_day for day, _ in points], [value for _, value in points]
    total, squares = sum(ys), sum(y * y for y in ys)
    row = {f"{family}_sumsq": squares if points else None}
    row.update({f"{family}_{name}": None for name in ["sd", "volatility", "slope"]})
    if n >= 2:
        # Of the double nearest to the integer, which has up to 70 bits.
        root = math.sqrt(n * squares - total * total)
        row[f"{family}_sd"], row[f"{family}_volatility"] = divide(root, n), divide(root, total)
        products_sum = sum(x * y for x, y in zip(xs, ys))
        row[f"{family}_slope"] = divide(
            n * products_sum - sum(xs) * total, n * sum(x * x for x in xs) - sum(xs) * sum(xs)
        )
    return row


def trend(points, first_day, window):
    """By the first and the last half of the window's days; of an odd number the middle day is in neither."""
    half = window // 2
    head = [value for day, value in points if day < first_day + half]
    tail = [value for day, value in points if day >= first_day + window - half]
    if not head or not tail:
        return None
    moved = 100 * (sum(tail) * len(head) - sum(head) * len(tail))
    margin = 5 * sum(head) * len(tail)
    return 1 if moved > margin else -1 if moved < -margin else 0


def rollup_sellers(series):
    """Who had the buy box: '' on days that say that nobody had it."""

    def holder_of(day):
        if day["seller_id"] is not None:
            return day["seller_id"]
        return "" if day["availability"] == "no_featured_offer" else None

    def holders(_days, inside, _window):
        return [holder for holder in map(holder_of, inside) if holder is not None]

    return {
        (*place, holder): {"days": held.count(holder), "known_days": len(held)}
        for place, held in by_window(series, holders).items()
        for holder in set(held)
    }


# aggregates --------------------------------------------------------------------------------------------------------


def daily_aggregates(series, changes, zone):
    """Per (marketplace, day), over the products that have a daily row on it."""
    rows = {}
    for (marketplace, day_no), days in grouped(series, lambda day: day["day_no"]).items():
        row = {"products": len(days)}
        for field in ["price", "bsr", "rating"]:
            row.update(aggregate(field, days))
            moved = [changes[marketplace, day["asin"], day_no][f"{field}_delta"] for day in days]
            moved = [delta for delta in moved if delta is not None]
            row[f"{field}_up"] = sum(delta > 0 for delta in moved)
            row[f"{field}_down"] = sum(delta < 0 for delta in moved)
            row[f"{field}_same"] = moved.count(0)
        counts = [count for _, count in known(days, "ratings_count")]
        row["ratings_count_n"], row["ratings_count_sum"] = len(counts), sum(counts) if counts else None
        row["in_stock"] = sum(day["in_stock"] for day in days)
        row["out_of_stock"] = sum(day["is_out"] for day in days)
        row["stock_known"] = sum(day["stock_known"] for day in days)
        row["seller_known"] = len(known(days, "seller_id"))
        ages = [end_of_day(day_no, zone) - day["observed_at"] for day in days]
        row["data_age_avg_seconds"] = sum(ages) // (len(ages) * 1_000_000)
        row["data_age_max_seconds"] = max(ages) // 1_000_000
        rows[marketplace, day_no] = row
    return rows


def category_metrics(series):
    """Per (marketplace, main category, day), over the products with a known rank in it."""
    rows = {}
    ranked = grouped(series, lambda day: day["bsr"] is not None and (day["bsr_in"][1], day["day_no"]))
    for (marketplace, (category, day_no)), days in ranked.items():
        row = {"products": len(days)}
        for field in ["price", "bsr", "rating"]:
            values = [value for _, value in known(days, field)]
            row.update(aggregate(field, days))
            row[f"{field}_min"], row[f"{field}_max"] = min(values, default=None), max(values, default=None)
        rows[marketplace, category, day_no] = row
    return rows


def grouped(series, group_of):
    """{(marketplace, group): days}; days of no group (False) are left out."""
    groups = defaultdict(list)
    for (marketplace, _), days in series.items():
        for day in days:
            group = group_of(day)
            if group is not False:
                groups[marketplace, group].append(day)
    return groups


def aggregate(field, days):
    values = [value for _, value in known(days, field)]
    return {
        f"{field}_n": len(values),
        f"{field}_sum": sum(values) if values else None,
        f"{field}_avg": divide(sum(values), len(values)),
        f"{field}_median": median_x2(values) / 2 if values else None,
    }


def end_of_day(day_no, zone):
    """The microsecond since 1970 UTC at which a day of the reporting zone ends."""
    midnight = datetime.combine(date(1970, 1, 1) + timedelta(days=day_no + 1), time(), ZoneInfo(zone))
    return int(midnight.astimezone(timezone.utc).timestamp()) * 1_000_000


# keys that every lake row carries ----------------------------------------------------------------------------------


def partition_columns(marketplace, asin, day_no):
    """Month and bucket of a row."""
    head = hashlib.sha256(f"{marketplace}:{asin}".encode()).digest()[:4]
    month = (date(1970, 1, 1) + timedelta(days=day_no)).strftime("%Y-%m")
    return {"month": month, "bucket": int.from_bytes(head, "big") % 64}
