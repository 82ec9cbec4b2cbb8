"""Hand-made series: one product for each corner of the definitions, as flat CSV and as rank arrays in JSON."""

import csv
import json
import random
from datetime import date, timedelta

COLUMNS = [
    "marketplace", "asin", "observed_at", "price_minor", "list_price_minor", "buy_box_price_minor", "shipping_minor",
    "price_basis", "coupon_minor", "coupon_pct", "seller_id", "availability", "bsr", "bsr_category",
    "bsr_category_id", "bsr_leaf", "bsr_leaf_category", "bsr_leaf_category_id", "rating_centi", "ratings_count",
]  # fmt: skip
LARGEST = 300_000_000
START = date(2024, 1, 1)
WORDS = [
    "in_stock", "low_stock", "ships_later", "back_order", "pre_order", "no_featured_offer", "used_only",
    "price_hidden", "select_variant", "not_deliverable_to_location", "out_of_stock", "unavailable", "unknown",
]  # fmt: skip


def days(*numbers):
    return [START + timedelta(days=number) for number in numbers]


def price_series(first, prices):
    """One day each; None is a day whose price is unknown."""
    rows = []
    for place, price in enumerate(prices):
        facts = {"price_minor": price, "rating_centi": 450}
        rows.append((first + timedelta(days=place), facts))
    return rows


def series():
    """{asin: [(day, facts)]}, all of the marketplace US unless the facts say otherwise."""
    every = {}

    def add(rows):
        every[f"B0EDGE{len(every):04d}"] = rows

    # One day only: a daily row, no rollup.
    add([(START, {"price_minor": 1999})])
    # Two days just inside and just outside a window of 7, 30 and 90 days.
    for apart in [6, 7, 29, 30, 89, 90, 91, 92]:
        both = days(0, apart)
        facts = {
            "bsr": 500,
            "bsr_category": "Electronics",
            "ratings_count": 7,
            "seller_id": "S1",
            "availability": "in_stock",
            "list_price_minor": 3000,
            "buy_box_price_minor": 2000,
        }
        add([(both[0], {"price_minor": 2000, **facts}), (both[1], {"price_minor": 2100, **facts, "bsr": 400})])
    # A price that falls silent for windows on end, and one whose rank does.
    add(price_series(START, [1000, 1100] + [None] * 100 + [900, None, 950]))
    add(
        [
            (day, {"price_minor": 1500, "bsr": 10 + n if n % 97 == 0 else None, "bsr_category": "Toys & Games"})
            for n, day in enumerate(days(*range(120)))
        ]
    )
    # Never a price at all; and nothing but a rating.
    add([(day, {"rating_centi": 300 + n, "ratings_count": n}) for n, day in enumerate(days(*range(40)))])
    # As large as it may be: constant, nearly constant, and as far apart as possible.
    for low in [LARGEST, LARGEST - 1, 1]:
        top = [LARGEST if n % 2 else low for n in range(100)]
        add(
            [
                (
                    day,
                    {
                        "price_minor": value,
                        "list_price_minor": value,
                        "buy_box_price_minor": value,
                        "shipping_minor": LARGEST,
                        "bsr": value,
                        "bsr_category": "Electronics",
                        "bsr_leaf": value,
                        "bsr_leaf_category": "Headphones",
                        "ratings_count": value,
                        "rating_centi": 500,
                    },
                )
                for day, value in zip(days(*range(100)), top)
            ]
        )
    # The end of a month and a year, and the leap day.
    add(price_series(date(2023, 12, 20), range(1000, 1030)))
    add(price_series(date(2024, 2, 25), [500, 490, 480, 470, 460, 455, 450, 470, 480, 500, 510]))
    # The guard: exactly three times and a third of the median, one beyond, confirmed by the next within 10 %.
    calm = [900] * 6
    for odd in [2700, 2701, 300, 299]:
        add(price_series(START, calm + [odd] + calm))
        for following in [odd + odd // 10, odd + odd // 10 + 1, odd - odd // 10]:
            add(price_series(START, calm + [odd, following] + calm))
            add(price_series(START, calm + [odd, None, None, following]))
    add(price_series(START, [100, 9000, 100, 9000, 100, 9000, 100, 30000, 100]))
    add(price_series(START, [1000] * 35 + [1, 1, 1000] + [1000] * 10))
    # An odd price, a level that lasts, and medians of 30 of which the oldest leave.
    add(price_series(START, [1000] * 20 + [4000] * 40 + [1000] * 5))
    # Trends on both sides of 5 %, in windows of odd and even length.
    for ends in [(2000, 2100), (2000, 2101), (2000, 1900), (2000, 1899), (2000, 2000)]:
        for window in [7, 30, 90]:
            half = window // 2
            middle = [1] * (window % 2)
            add(
                [
                    (day, {"price_minor": value, "bsr": value, "bsr_category": "Books", "rating_centi": value // 10})
                    for day, value in zip(days(*range(window)), [ends[0]] * half + middle + [ends[1]] * half)
                ]
            )
    # The price says something else from day to day; days without a price between.
    bases = ["buy_box", "page", "page", "new_lowest", "amazon", "amazon", "buy_box", "page"]
    add(
        [
            (
                day,
                {
                    "price_minor": None if n % 5 == 4 else 1000 + n,
                    "price_basis": bases[n % 8] if n % 5 != 4 else None,
                    "shipping_minor": n % 3,
                    "buy_box_price_minor": 990 + n,
                    "list_price_minor": 2000 - n,
                },
            )
            for n, day in enumerate(days(*range(40)))
        ]
    )
    # Shipping unknown, free and dear; coupons.
    add(
        [
            (
                day,
                {
                    "price_minor": 1999 + n,
                    "shipping_minor": [None, 0, 499][n % 3],
                    "coupon_minor": 100 if n % 4 == 1 else None,
                    "coupon_pct": 15 if n % 4 == 2 else None,
                },
            )
            for n, day in enumerate(days(*range(40)))
        ]
    )
    # Counts from zero, that also fall.
    add(
        [
            (day, {"ratings_count": [0, 0, 1, 5, 3, 0, 2][n % 7], "rating_centi": 100 + n})
            for n, day in enumerate(days(*range(20)))
        ]
    )
    # Every word about stock after every other.
    shuffled = WORDS * 8
    random.Random(3).shuffle(shuffled)
    add(
        [
            (day, {"availability": word, "rating_centi": 400})
            for day, word in zip(days(*range(len(shuffled))), shuffled)
        ]
    )
    # The buy box changes hands, is unknown, is nobody's, and comes back after more than 90 days.
    holders = ["S1", "S2", None, "S1", "", "S3", None, None, "S2"]
    on = [*range(30), *range(125, 130), *range(219, 224)]
    add(
        [
            (
                day,
                {
                    "price_minor": 1000,
                    "seller_id": holder or None,
                    "availability": "no_featured_offer" if holder == "" else "in_stock",
                },
            )
            for day, holder in zip(days(*on), (holders * 5)[: len(on)])
        ]
    )
    add([(day, {"seller_id": "S9", "availability": "no_featured_offer"}) for day in days(0, 1, 2)])
    # The outlier's look back: 14 prices, 60 days, all equal, all different.
    add(price_series(START, [1000] * 20 + [1001, 1000]))
    add(price_series(START, [1000 + n * n for n in range(40)]))
    add([(day, {"price_minor": 1000 + 7 * n}) for n, day in enumerate(days(*range(0, 140, 5)))])
    add([(day, {"price_minor": 1000 + 7 * n}) for n, day in enumerate(days(0, 59, 60, 61, 119, 120, 121))])
    # A leaf that flips between two categories and rests in a third, which is also the name of a display group; a
    # main category in two languages and by its display group.
    leaves = ["Headphones", "Earbuds", "Headphones", "Speakers", None]
    add(
        [
            (
                day,
                {
                    "bsr": 1000 + n,
                    "bsr_category": ["Electronics", "電子", "CE"][n % 3],
                    "bsr_leaf": 100 + n,
                    "bsr_leaf_category": leaves[(n * n // 3) % 5],
                },
            )
            for n, day in enumerate(days(*range(100)))
        ]
    )
    add(
        [
            (day, {"bsr": 50 + n, "bsr_category": ["Electronics", "Home & Kitchen"][n // 4 % 2]})
            for n, day in enumerate(days(*range(0, 60, 2)))
        ]
    )
    # A category that gets an id, keeps it under another name, and lends its name to another id.
    named = [
        (None, "Headphones"),
        ("7", "Headphones"),
        ("7", "Hearing"),
        (None, "Hearing"),
        (None, "Headphones"),
        ("8", "Headphones"),
        (None, "Headphones"),
        ("7", "Headphones"),
        ("8", "Hearing"),
    ]
    add(
        [
            (day, {"bsr_leaf": 10 + n, "bsr_leaf_category_id": named[n % 9][0], "bsr_leaf_category": named[n % 9][1]})
            for n, day in enumerate(days(*range(30)))
        ]
    )
    add(
        [
            (day, {"bsr": 10 + n, "bsr_category_id": named[n % 9][0], "bsr_category": named[n % 9][1]})
            for n, day in enumerate(days(*range(30)))
        ]
    )
    # Noise in everything, with gaps.
    for seed in range(3):
        add(noise(random.Random(seed), marketplace="JP" if seed == 2 else "US"))
    # The same product elsewhere is another product.
    add(
        [
            (day, {"marketplace": place, "price_minor": price, "bsr": 5, "bsr_category": "Electronics"})
            for day in days(*range(10))
            for place, price in [("US", 1000), ("DE", 900), ("JP", 120_000)]
        ]
    )
    return every


def noise(chance, marketplace):
    def maybe(value, odds=0.8):
        return value if chance.random() < odds else None

    rows = []
    for day in days(*range(200)):
        if chance.random() < 0.15:
            continue
        facts = {
            "marketplace": marketplace,
            "price_minor": maybe(chance.choice([900, 1000, 1000, 1100, 5000, 99])),
            "list_price_minor": maybe(chance.randint(1000, 1100), 0.5),
            "buy_box_price_minor": maybe(chance.randint(900, 1100), 0.5),
            "shipping_minor": maybe(chance.randint(0, 3), 0.5),
            "price_basis": chance.choice(["page", "page", "page", "buy_box"]),
            "seller_id": maybe(chance.choice(["S1", "S2", "S3"]), 0.6),
            "availability": chance.choice(WORDS),
            "bsr": maybe(chance.randint(1, 1000)),
            "bsr_category": chance.choice(["Electronics", "電子", "Toys & Games"]),
            "bsr_leaf": maybe(chance.randint(1, 100)),
            "bsr_leaf_category": chance.choice(["Kettles", "Mats", "Bands"]),
            "rating_centi": maybe(chance.randint(100, 500)),
            "ratings_count": maybe(chance.randint(0, 50)),
        }
        if facts["price_minor"] is None:
            facts["price_basis"] = None
        rows.append((day, facts))
    return rows


def write(folder):
    """The series, newest day first in the file: the order of records must not matter."""
    folder.mkdir(parents=True)
    rows = [
        {"marketplace": "US", "asin": asin, "observed_at": f"{day}T12:00:00Z", **facts}
        for asin, rows in series().items()
        for day, facts in rows
    ]
    rows.sort(key=lambda row: row["observed_at"], reverse=True)
    with open(folder / "series.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    write_rank_arrays(folder)


def write_rank_arrays(folder):
    """Products with many ranks a day: which is the leaf, and which is main, changes; some name one category twice."""
    chance = random.Random(11)
    nodes = {"Earbuds": "12097478011", "Headphones": "12097479011", "Speakers": "667846011", "Cables": "172540"}
    for day in days(*range(60)):
        items = []
        for asin in ["B0RANK0001", "B0RANK0002", "B0RANK0003"]:
            if chance.random() < 0.1:
                continue
            roots = chance.sample(["Electronics", "Home & Kitchen"], chance.randint(0, 2))
            ranks = [("https://www.amazon.com/gp/bestsellers/x/ref=pd_zg", name) for name in roots]
            for name in chance.choices(list(nodes), k=chance.randint(0, 4)):
                linked = chance.random() < 0.5 or asin == "B0RANK0002"
                ranks.append((f"https://www.amazon.com/gp/bestsellers/x/{nodes[name]}" if linked else "", name))
            items.append(
                {
                    "statusCode": 200,
                    "statusMessage": "FOUND",
                    "asin": asin,
                    "title": "Ranked",
                    "url": f"https://www.amazon.com/dp/{asin}",
                    "price": chance.randint(10, 20),
                    "categoriesExtended": [{"name": name} for name in ["Electronics", chance.choice(list(nodes))]],
                    "bestSellersRank": [
                        {"rank": chance.randint(1, 900), "categoryName": name, "link": link} for link, name in ranks
                    ],
                }
            )
        path = folder / str(day) / "axesso.json"
        path.parent.mkdir()
        path.write_text(json.dumps(items))
