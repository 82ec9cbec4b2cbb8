"""Seeded random series: each product draws a character for its days, prices, ranks, offers and ratings.

Written as flat records in three deliveries, so that builds are incremental: the first months, the days after them, and
at last what comes late or restates an earlier day. A few products are told in major units, by the price of an item.
"""

import json
import random
from collections import defaultdict
from datetime import date, timedelta

from edges import LARGEST, WORDS

DELIVERIES = ["first", "next", "last"]
# With the names of their root categories, which also go by other names. The yen has no minor unit.
MARKETPLACES = {
    "US": ["Electronics", "電子", "CE", "Toys & Games", "Books"],
    "DE": ["Electronics", "Elektronik & Foto", "Toys & Games", "Spielzeug"],
    "JP": ["Electronics", "家電＆カメラ", "Pet Supplies", "ペット用品"],
    "CA": ["Electronics", "Home & Kitchen"],
}
DOMAINS = {"US": "amazon.com", "DE": "amazon.de", "JP": "amazon.co.jp", "CA": "amazon.ca"}
LEAVES = ["Headphones", "Earbuds", "Speakers", "Kettles", "Mats"]
BASES = ["page", "buy_box", "new_lowest", "amazon"]
# On both sides of the ends of months and of a year, and around the leap day.
EDGE_DAYS = [
    date(2023, 11, 30), date(2023, 12, 1), date(2023, 12, 31), date(2024, 1, 1), date(2024, 1, 31), date(2024, 2, 1),
    date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 31), date(2024, 4, 1), date(2024, 4, 30),
]  # fmt: skip


# days --------------------------------------------------------------------------------------------------------------


def calendar(chance, span):
    """The days on which a product is seen, within `span` days."""
    start = date(2023, 11, 20) + timedelta(days=chance.randrange(60))

    def dense(first, count):
        return [first + timedelta(days=n) for n in range(count)]

    def gaps(smallest, largest):
        days, at = [], start
        while (at - start).days < span:
            days.append(at)
            at += timedelta(days=chance.randint(smallest, largest))
        return days

    def apart(distance):
        length = chance.randint(1, 12)
        return dense(start, length) + dense(start + timedelta(days=length - 1 + distance), chance.randint(1, 8))

    return chance.choice(
        [
            lambda: dense(start, chance.randint(20, min(span, 60))),
            lambda: dense(start, span),
            lambda: dense(start, chance.randint(2, 12)),
            lambda: [start],
            lambda: gaps(1, 3),
            lambda: gaps(1, 20),
            lambda: gaps(1, 100),
            lambda: gaps(7, 7),
            # The windows' edges: 6 days apart are 7 days; a previous value is at most 90 days old.
            lambda: apart(chance.choice([6, 7, 8, 29, 30, 31, 89, 90, 91])),
            lambda: [day for day in EDGE_DAYS if chance.random() < 0.8] or EDGE_DAYS[:2],
        ]
    )()


# values ------------------------------------------------------------------------------------------------------------


def numbers(chance, count):
    """A course of positive numbers: prices or ranks."""
    base = chance.choice([chance.randint(2, 50), chance.randint(100, 5000), chance.randint(10_000, 1_000_000)])

    def walk():
        values = [base]
        while len(values) < count:
            values.append(max(1, round(values[-1] * chance.uniform(0.93, 1.07))))
        return values

    def jumps():
        """A million times as much, to and fro."""
        value, values = chance.randint(1, 300), []
        for _ in range(count):
            if chance.random() < 0.3:
                value = value // 1_000_000 if value >= 1_000_000 else value * 1_000_000
            values.append(value)
        return values

    def odd_ones():
        """A level with prices around three times and a third of it, now and then confirmed by the next."""
        values = []
        while len(values) < count:
            odd = chance.choice([3 * base, 3 * base + 1, base // 3, base // 3 + 1, 10 * base])
            near = [odd, odd + odd // 10, odd + odd // 10 + 1, odd - odd // 10]
            values += [base] * chance.randint(1, 8) + chance.sample([odd, *near], chance.randint(1, 2))
        return [max(1, value) for value in values[:count]]

    kinds = [
        walk,
        walk,
        jumps,
        odd_ones,
        lambda: [base] * count,
        lambda: [LARGEST] * count,
        lambda: [LARGEST - chance.randrange(3) for _ in range(count)],
        lambda: [chance.choice([1, LARGEST]) for _ in range(count)],
        lambda: [chance.randint(1, LARGEST) for _ in range(count)],
        # Halves that differ by about 5 %: the edge of a trend.
        lambda: [20 * base + chance.choice([0, base - 1, base, base + 1]) for _ in range(count)],
    ]
    return [min(value, LARGEST) for value in chance.choice(kinds)()]


def with_holes(chance, values):
    """Some values unknown: none, some, nearly all, all, or all of some stretches."""
    odds = chance.choice([0, 0, 0, 0.1, 0.5, 0.95, 1])
    values = [None if chance.random() < odds else value for value in values]
    if chance.random() < 0.3:
        for _ in range(chance.randint(1, 3)):
            at, length = chance.randrange(len(values)), chance.choice([7, 30, 90])
            values[at : at + length] = [None] * len(values[at : at + length])
    return values


def course(chance, count, choices, odds):
    """A choice that lasts, and changes with the given odds a day."""
    value, values = chance.choice(choices), []
    for _ in range(count):
        if chance.random() < odds:
            value = chance.choice(choices)
        values.append(value)
    return values


def categories(chance, names):
    """(id, name) of categories that may be one: with and without ids, under two names, two ids under one."""
    name, other = chance.choice(names), chance.choice(names)
    return chance.choice(
        [
            [(None, name)],
            [(None, name), (None, other)],
            [("7", name), (None, name)],
            [("7", name), ("7", other), (None, other)],
            [("7", name), ("8", name), (None, name)],
        ]
    )


# series ------------------------------------------------------------------------------------------------------------


def facts(chance, marketplace, count):
    """What is told of a product on each of its days."""
    offers = course(chance, count, WORDS, chance.choice([0.02, 0.3, 1]))
    sellers = course(chance, count, ["S1", "S2", "S3", None], chance.choice([0, 0.05, 0.5]))
    bases = course(chance, count, BASES, chance.choice([0, 0, 0.1]))
    mains = course(chance, count, categories(chance, MARKETPLACES[marketplace]), chance.choice([0, 0.05, 0.5]))
    leaves = course(chance, count, categories(chance, LEAVES), chance.choice([0, 0.05, 0.5]))
    grows = chance.choice([(0, 0), (0, 9), (-3, 5)])
    ratings_count = chance.choice([0, 40, LARGEST])
    columns = {
        "price_minor": with_holes(chance, numbers(chance, count)),
        "list_price_minor": with_holes(chance, numbers(chance, count)),
        "buy_box_price_minor": with_holes(chance, numbers(chance, count)),
        "shipping_minor": with_holes(chance, course(chance, count, [0, 499, LARGEST], 0.1)),
        "coupon_minor": course(chance, count, [None, None, 1, 100], 0.1),
        "coupon_pct": course(chance, count, [None, None, 1, 15, 100], 0.1),
        "price_basis": bases,
        "seller_id": sellers,
        "availability": offers,
        "bsr": with_holes(chance, numbers(chance, count)),
        "bsr_category_id": [an_id for an_id, _ in mains],
        "bsr_category": [name for _, name in mains],
        "bsr_leaf": with_holes(chance, numbers(chance, count)),
        "bsr_leaf_category_id": [an_id for an_id, _ in leaves],
        "bsr_leaf_category": [name for _, name in leaves],
        "rating_centi": with_holes(chance, course(chance, count, range(100, 501), chance.choice([0, 0.2, 1]))),
        "ratings_count": [],
    }
    for _ in range(count):
        columns["ratings_count"].append(ratings_count)
        ratings_count = min(LARGEST, max(0, ratings_count + chance.randint(*grows)))
    columns["ratings_count"] = with_holes(chance, columns["ratings_count"])
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


class Deliveries:
    """The records of each delivery and day, and what the daily rows are to say."""

    def __init__(self, seed, products, span):
        self.chance = random.Random(seed)
        self.span = span
        self.records = defaultdict(list)
        self.items = defaultdict(list)
        self.copies = 0
        # {(marketplace, asin, day): [(time of day, facts)]}
        self.told = defaultdict(list)
        for number in range(products):
            marketplace = self.chance.choice(list(MARKETPLACES))
            asin = f"B0{seed:02d}{number:06d}"
            if number % 40 == 0:
                self.add_largest(marketplace, asin)
            elif number % 12 == 11:
                self.add_items(marketplace, asin)
            else:
                self.add_records(marketplace, asin)

    def add_largest(self, marketplace, asin):
        """All numbers as large as they may be, or one less, for longer than the longest window."""
        start = date(2023, 11, 20) + timedelta(days=self.chance.randrange(30))
        days = [start + timedelta(days=n) for n in range(100)]
        less = self.chance.choice([0, 1])
        large = ["price_minor", "list_price_minor", "buy_box_price_minor", "shipping_minor", "bsr", "bsr_leaf"]
        for day, told in zip(days, facts(self.chance, marketplace, len(days))):
            told.update({name: LARGEST - self.chance.randint(0, less) for name in [*large, "ratings_count"]})
            self.tell(self.delivery(day, False), marketplace, asin, day, "12:00:00", told)

    def add_records(self, marketplace, asin):
        chance = self.chance
        days = calendar(chance, self.span)
        every = facts(chance, marketplace, len(days))
        restless = chance.random() < 0.3
        for day, now, other in zip(days, every, facts(chance, marketplace, len(days))):
            delivery = self.delivery(day, chance.random() < 0.03)
            self.tell(delivery, marketplace, asin, day, "12:00:00", now)
            if restless and chance.random() < 0.1:
                self.tell(delivery, marketplace, asin, day, chance.choice(["08:00:00", "20:30:00"]), other)
            elif restless and chance.random() < 0.1:
                # Restated later: as of a later or an earlier hour, in part or as a whole.
                part = {name: value for name, value in other.items() if chance.random() < 0.7}
                self.tell("last", marketplace, asin, day, chance.choice(["06:00:00", "18:00:00"]), part)

    def delivery(self, day, is_late):
        middle = date(2023, 11, 20) + timedelta(days=self.span * 2 // 3)
        return "last" if is_late else "first" if day < middle else "next"

    def tell(self, delivery, marketplace, asin, day, at, told):
        if told.get("price_minor") is None:
            told = {name: value for name, value in told.items() if name != "price_basis"}
        record = {"marketplace": marketplace, "asin": asin, "observed_at": f"{day}T{at}Z", **told}
        # Unknown is null or not there.
        if self.chance.random() < 0.5:
            record = {name: value for name, value in record.items() if value is not None}
        copies = 2 if self.chance.random() < 0.02 else 1
        self.copies += copies - 1
        self.records[delivery, day] += [record] * copies
        self.told[marketplace, asin, day].append((at, told))

    def add_items(self, marketplace, asin):
        """A product whose price is told in major units: 19.99 dollars, but 1999 yen."""
        days = calendar(self.chance, self.span)
        for day, price in zip(days, with_holes(self.chance, numbers(self.chance, len(days)))):
            item = {
                "statusCode": 200,
                "statusMessage": "FOUND",
                "asin": asin,
                "title": "Priced",
                "url": f"https://www.{DOMAINS[marketplace]}/dp/{asin}",
                "price": price if price is None or marketplace == "JP" else price / 100,
                "productRating": "4.5 out of 5 stars",
            }
            self.items[self.delivery(day, self.chance.random() < 0.03), day].append(item)
            self.told[marketplace, asin, day].append(("12:00:00", {"price_minor": price, "rating_centi": 450}))

    def write(self, folder):
        """`<delivery>/<day>/`: lines of records, or an array of them, and items."""
        for (delivery, day), records in self.records.items():
            self.chance.shuffle(records)
            lines = [json.dumps(record, ensure_ascii=False) for record in records]
            is_array = delivery == "next"
            text = f"[{','.join(lines)}]" if is_array else "\n".join(lines)
            put(folder / delivery / str(day) / f"records.{'json' if is_array else 'ndjson'}", text)
        for (delivery, day), items in self.items.items():
            put(folder / delivery / str(day) / "items.json", json.dumps(items))


    def daily(self):
        """{(marketplace, asin, day): what of its daily row follows from what was told}."""
        rows = {}
        for place, observations in self.told.items():
            latest_first = [told for _, told in sorted(observations, key=lambda pair: pair[0], reverse=True)]
            row = daily_row(latest_first)
            if row is not None:
                rows[place] = row
        return rows


OFFER = [
    "price_minor", "list_price_minor", "buy_box_price_minor", "shipping_minor", "coupon_minor", "coupon_pct",
    "price_basis", "seller_id", "availability",
]  # fmt: skip
RATING = ["rating_centi", "ratings_count"]


def daily_row(latest_first):
    """Each block whole, from the latest observation that knows anything of it; None if none knows any."""

    def first(blocks, is_known=bool):
        return next((block for block in blocks if is_known(block)), {})

    offers = [block(told, OFFER) for told in latest_first]
    for offer in offers:
        if offer.get("availability") == "unknown":
            del offer["availability"]
        if "price_minor" in offer:
            offer.setdefault("price_basis", "page")
    # A list price alone gives way to any other offer.
    offer = first(offers, lambda offer: set(offer) - {"list_price_minor"}) or first(offers)
    rank, rating = first(map(ranks_of, latest_first)), first(block(told, RATING) for told in latest_first)
    if not (offer or rank or rating):
        return None
    row = {"availability": "unknown", **offer, **rank, **rating, "observations": len(latest_first)}
    comparable = [other for other in offers if other.get("price_basis") == offer.get("price_basis")]
    prices = [other["price_minor"] for other in comparable if "price_minor" in other]
    row["low_price_minor"], row["high_price_minor"] = min(prices, default=None), max(prices, default=None)
    if "price_minor" in offer and "shipping_minor" in offer:
        reduced = offer["price_minor"] * (100 - offer.get("coupon_pct", 0)) // 100 - offer.get("coupon_minor", 0)
        row["landed_price_minor"] = max(0, reduced + offer["shipping_minor"])
    return row


def block(told, names):
    return {name: told[name] for name in names if told.get(name) is not None}


def ranks_of(told):
    """The ranks whose category is named."""
    named = [family for family in ["bsr", "bsr_leaf"] if told.get(family) and told.get(f"{family}_category")]
    return block(told, [family + part for family in named for part in ["", "_category", "_category_id"]])


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
