"""Runs markets through amzctl and holds its mart against the definitions. See `run`."""

import functools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import compare
import definitions
import duckdb
import edges
import naive
import series

ROOT = Path("target/differential")
PUBLISHED = 35


class Failed(Exception):
    """A command that did not end well."""


class Market:
    """A database and its lake in a folder of their own."""

    def __init__(self, amzctl, name, zone="UTC", published=PUBLISHED):
        self.amzctl, self.name, self.zone, self.published = amzctl, name, zone, published
        # {(marketplace, asin, day): columns of its daily row}, where the input says them
        self.told = {}
        self.folder = ROOT / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.run("init", "--zone", zone)
        settings = self.folder / "amzctl.toml"
        default = f"#publish_days = {PUBLISHED}"
        assert default in settings.read_text()
        settings.write_text(settings.read_text().replace(default, f"publish_days = {published}"))

    def run(self, *arguments):
        environment = {"AMZCTL_NOW": "2027-01-01T00:00:00Z", "HOME": "/nonexistent", "PATH": os.environ["PATH"]}
        command = [self.amzctl, *map(str, arguments)]
        done = subprocess.run(command, check=False, cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"amzctl {' '.join(command[1:])}: exit {done.returncode}\n{done.stderr}")

    def build(self, *arguments):
        self.run("normalize")
        self.run("build-mart", *arguments)


def generated(amzctl, name, options, zone="UTC", published=PUBLISHED):
    """A synthetic market: built once, then again with what came late and what was corrected."""
    market = Market(amzctl, name, zone, published)
    market.run("gen", "-o", "files", *options, "--corrections", "--late")
    market.run("ingest", "files/20*")
    market.build()
    market.run("ingest", "files/late")
    corrected = sorted((market.folder / "files/corrections").iterdir())
    assert corrected, "the market has no corrections"
    for day in corrected:
        market.run("ingest", f"files/corrections/{day.name}", "--captured-at", f"{day.name}T18:00:00Z")
    market.build()
    return market


def hand_made(amzctl):
    market = Market(amzctl, "hand-made", published=3650)
    edges.write(market.folder / "files")
    market.run("ingest", "files")
    market.build()
    return market


def seeded(amzctl, seed, products, span):
    """Random series, built after each of their deliveries."""
    print(f"series of seed {seed}: {products} products within {span} days", flush=True)
    market = Market(amzctl, f"series-{seed}", published=60)
    deliveries = series.Deliveries(seed, products, span)
    deliveries.write(market.folder / "files")
    for delivery in series.DELIVERIES:
        market.run("ingest", f"files/{delivery}")
        market.build()
    market.told = deliveries.daily()
    return market


def inputs(amzctl):
    """What is compared: one function each, that makes a market and answers it."""
    mixed = ["--shape", "mixed", "--marketplaces", "US,DE,JP,UK"]
    full = os.environ.get("SIZE") == "full"
    size = ["--products", "40" if full else "12", "--days", "400" if full else "120"]

    def market(name, seed, *options, **settings):
        return lambda: generated(amzctl, name, ["--seed", str(seed), *options, *size], **settings)

    yield lambda: hand_made(amzctl)
    yield market("mixed-berlin", 1, *mixed, zone="Europe/Berlin", published=3650)
    yield market("axesso", 2, "--marketplaces", "US,JP")
    yield market("flat", 3, "--shape", "flat", "--marketplaces", "JP,US")
    for seed in range(4, 12) if full else []:
        yield market(f"mixed-{seed}", seed, *mixed, published=60)
    for seed in range(1, 13) if full else [1]:
        products, span = (200, 400) if full else (300, 150)
        yield functools.partial(seeded, amzctl, seed, products, span)


class Written:
    """What amzctl wrote: the database, and the files that its list names."""

    def __init__(self, market):
        self.db = sqlite3.connect(f"file:{market.folder / 'amzctl.db'}?mode=ro", uri=True)
        self.db.row_factory = sqlite3.Row
        self.lake = duckdb.connect()
        self.root = market.folder / "lake"

    def files(self, table):
        rows = self.db.execute("SELECT path FROM lake_files WHERE table_name = ? ORDER BY path", [table])
        return [str(self.root / row["path"]) for row in rows]

    def lake_rows(self, table, key):
        """(columns, {key: row}) of a table of the lake."""
        files = self.files(table)
        if not files:
            return [], {}
        sql = f"SELECT * FROM read_parquet({files!r}, hive_partitioning = false)"
        return keyed(definitions.fetch(self.lake, sql), key)

    def served_rows(self, table, key):
        """(columns, {key: row}) of a table of the database; days as numbers, as the lake has them."""
        rows = [dict(row) for row in self.db.execute(f"SELECT * FROM {table}")]
        for row in rows:
            for name in [name for name in row if name in ("day", "as_of") or name.endswith("_prev_day")]:
                row["day_no" if name in ("day", "as_of") else name] = day_no(row.pop(name))
        return keyed(rows, key)

    def records(self, table, key):
        """(columns, {key: record}) of a table of JSON records."""
        rows = {
            tuple(day_no(row[name]) if name == "day" else row[name] for name in key): json.loads(row["record"])
            for row in self.db.execute(f"SELECT * FROM {table}")
        }
        return sorted(set().union(*rows.values())), rows


def day_no(text):
    return None if text is None else (date.fromisoformat(text) - date(1970, 1, 1)).days


def keyed(rows, key):
    columns = list(rows[0]) if rows else []
    by_key = {tuple(row[name] for name in key): row for row in rows}
    assert len(by_key) == len(rows), f"{len(rows) - len(by_key)} rows share the key {key}"
    return columns, by_key


def check_core(report, market, written):
    """The lake's core is the database's."""
    for table, order in [("product_metrics_daily", ()), ("ranks", ("ordinal",))]:
        key = ("marketplace", "asin", "day_no", *order)
        columns, rows = written.lake_rows(f"core/{table}", key)
        _, expected = written.served_rows(table, key)
        for row in expected.values():
            row.update(naive.partition_columns(row["marketplace"], row["asin"], row["day_no"]))
        report.compare(market.name, f"core/{table}", columns, rows, expected)


def check_told(report, market, written):
    """The daily rows are what the input told: none more, none less."""
    if not market.told:
        return
    columns, rows = written.served_rows("product_metrics_daily", definitions.DELTA_KEY)
    expected = {(marketplace, asin, day_no(str(day))): row for (marketplace, asin, day), row in market.told.items()}
    name = f"{market.name} told"
    report.check(f"{name}: rows", compare.row_problems(rows, expected))
    for column in sorted(set().union(*expected.values())):
        problems = [
            f"{compare.show_key(place)}: amzctl {rows[place][column]!r}, told {row.get(column)!r}"
            for place, row in sorted(expected.items())
            if place in rows and rows[place][column] != row.get(column)
        ]
        report.check(f"{name}.{column}", problems)


MART_KEYS = {
    "deltas": definitions.DELTA_KEY,
    "rollups": definitions.ROLLUP_KEY,
    "rollup_sellers": definitions.SELLER_KEY,
}
RECORD_KEYS = {"daily_aggregates": ("marketplace", "day"), "category_metrics": ("marketplace", "category", "day")}


def check_mart(report, market):
    """Every table that was written against both references; how many deltas and rollups they have."""
    written = Written(market)
    check_told(report, market, written)
    check_core(report, market, written)
    core = [f"core/{table}" for table in ["product_metrics_daily", "ranks"]]
    tables = {
        **{f"served {table}": written.served_rows(table, key) for table, key in MART_KEYS.items()},
        **{f"mart/{table}": written.lake_rows(f"mart/{table}", key) for table, key in MART_KEYS.items()},
        **{table: written.records(table, key) for table, key in RECORD_KEYS.items()},
    }
    by_sql = definitions.mart(*[written.files(table) for table in core], market.zone)
    check_tables(report, f"{market.name} (SQL)", market.published, tables, by_sql)
    by_sql.clear()
    _, daily = written.served_rows("product_metrics_daily", definitions.DELTA_KEY)
    _, ranks = written.served_rows("ranks", (*definitions.DELTA_KEY, "ordinal"))
    by_hand = naive.mart(daily.values(), ranks.values(), market.zone)
    check_tables(report, f"{market.name} (Python)", market.published, tables, by_hand)
    return len(by_hand["deltas"]), len(by_hand["rollups"])


def check_tables(report, name, published, tables, reference):
    newest = newest_days(reference["deltas"])
    newest_rollup = newest_by_product(reference["rollups"])
    for table, key in MART_KEYS.items():
        expected = reference[table]
        for place, row in expected.items():
            row.update(zip(key, place))
        served = {
            place: row
            for place, row in expected.items()
            if (
                place[2] > newest[place[0]] - published
                if table == "deltas"
                else place[2] == newest_rollup.get(place[:2])
            )
        }
        report.compare(name, f"served {table}", *tables[f"served {table}"], served)
        for place, row in expected.items():
            row.update(reference["partitions"][place[:3]])
        report.compare(name, f"mart/{table}", *tables[f"mart/{table}"], expected)
    for table in RECORD_KEYS:
        expected = reference[table]
        served = {place: row for place, row in expected.items() if place[-1] > newest[place[0]] - published}
        report.compare(name, table, *tables[table], served)


def newest_days(deltas):
    newest = {}
    for marketplace, _, day in deltas:
        newest[marketplace] = max(day, newest.get(marketplace, day))
    return newest


def newest_by_product(rollups):
    newest = {}
    for marketplace, asin, day, _ in rollups:
        newest[marketplace, asin] = max(day, newest.get((marketplace, asin), day))
    return newest


def main(amzctl):
    report = compare.Report()
    for make in inputs(amzctl):
        try:
            market = make()
        except Failed as error:
            report.check("every command succeeds", [str(error)])
            continue
        started, before = time.monotonic(), report.failed
        deltas, rollups = check_mart(report, market)
        seconds = time.monotonic() - started
        said = "ok" if report.failed == before else f"{report.failed - before} checks failed"
        print(f"{market.name}: {deltas} deltas, {rollups} rollups compared in {seconds:.0f} s: {said}", flush=True)
    report.check_coverage()
    if not report.failed and os.environ.get("KEEP") != "1":
        shutil.rmtree(ROOT)
    return report.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
