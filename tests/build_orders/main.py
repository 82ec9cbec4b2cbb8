"""Builds the same market in three orders and compares state hashes and data files. See `run`."""

import csv
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

ROOT = Path("target/build-orders")
PRODUCTS, DAYS = 30, 60
# Two of them a seed, so that every shape of file has its turn.
MARKETPLACES = ["US,JP", "DE,US", "UK,JP,DE,US", "JP,UK", "US"]
LONGEST_CHUNK = 12
ORDERS = ["day by day", "in chunks", "at once"]


class Failed(Exception):
    """A command that did not end well."""


class Market:
    """One seed's files, as deliveries: what arrives on which day."""

    def __init__(self, amzctl, seed):
        self.amzctl, self.seed = amzctl, seed
        self.folder = ROOT / f"seed-{seed}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        # Months begin and end elsewhere for every seed; the leap day is among them.
        self.start = date(2024, 1, 3) + timedelta(days=17 * seed)
        self.run(
            self.folder,
            self.start,
            "gen",
            "-o",
            "files",
            "--seed",
            seed,
            "--products",
            PRODUCTS,
            "--days",
            DAYS,
            "--start",
            self.start,
            "--shape",
            "mixed",
            "--marketplaces",
            MARKETPLACES[seed % len(MARKETPLACES)],
            "--corrections",
            "--late",
        )
        self.add_renamed_categories()
        self.deliveries = self.plan_deliveries()

    def add_renamed_categories(self):
        """Three products whose leaf is told with and without an id; later another id takes the same names."""
        chance = random.Random(self.seed)
        for number, folder in enumerate(sorted((self.folder / "files").glob("20*"))):
            nodes = ["", "7"] if number < DAYS * 2 // 3 else ["", "7", "8"]
            with open(folder / "renamed.csv", "w", newline="") as file:
                table = csv.writer(file)
                table.writerow(
                    ["marketplace", "asin", "observed_at", "bsr_leaf", "bsr_leaf_category_id", "bsr_leaf_category"]
                )
                for asin in ["B0RENAMED1", "B0RENAMED2", "B0RENAMED3"]:
                    node, name = chance.choice(nodes), chance.choice(["Headphones", "Hearing", "Earbuds"])
                    table.writerow(["US", asin, f"{folder.name}T12:00:00Z", chance.randint(1, 900), node, name])

    def run(self, folder, day, *arguments):
        """Runs amzctl on the evening of a day; answers its standard output."""
        environment = {"AMZCTL_NOW": f"{day}T23:00:00Z", "HOME": "/nonexistent", "PATH": os.environ["PATH"]}
        command = [self.amzctl, *map(str, arguments)]
        done = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"amzctl {' '.join(command[1:])} in {folder}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    def plan_deliveries(self):
        """{day of arrival: [arguments of one ingest]}: late files and corrections some days after their own day.

        Each makes every day from its own on be built again. In every second market they reach far back; in the others
        they do not, so that most days stay as they were built without knowledge of what follows.
        """
        chance = random.Random(self.seed)
        files = (self.folder / "files").resolve()
        last = self.start + timedelta(days=DAYS - 1)
        deliveries = defaultdict(list)
        for folder in sorted(files.glob("20*")):
            deliveries[date.fromisoformat(folder.name)].append([folder])
        for kind, latest in [("late", 4), ("corrections", 12 if self.seed % 2 else 50)]:
            for folder in sorted((files / kind).glob("20*")):
                day = date.fromisoformat(folder.name)
                arguments = ["--captured-at", f"{day}T18:00:00Z"] if kind == "corrections" else []
                arrival = min(day + timedelta(days=chance.randint(1, latest)), last)
                deliveries[arrival].append([folder, *arguments])
        return deliveries

    def chunks(self, order):
        """The days that are normalized and built together, in time order."""
        days = [self.start + timedelta(days=number) for number in range(DAYS)]
        if order == "at once":
            return [days]
        chance = random.Random(self.seed)
        chunks = []
        while days:
            length = 1 if order == "day by day" else chance.randint(1, LONGEST_CHUNK)
            chunks.append(days[:length])
            days = days[length:]
        return chunks

    def build(self, order):
        """Takes everything in, in an order; answers the database's folder."""
        folder = self.folder / order.replace(" ", "-")
        folder.mkdir()
        self.run(folder, self.start, "init")
        for chunk in self.chunks(order):
            arrivals = [arguments for day in chunk for arguments in self.deliveries[day]]
            plain = [arguments[0] for arguments in arrivals if len(arguments) == 1]
            if plain:
                self.run(folder, chunk[-1], "ingest", *plain)
            for arguments in arrivals:
                if len(arguments) > 1:
                    self.run(folder, chunk[-1], "ingest", *arguments)
            self.run(folder, chunk[-1], "normalize")
            self.run(folder, chunk[-1], "build-mart")
        return folder

    def last_day(self):
        return self.start + timedelta(days=DAYS - 1)

    def hashes(self, folder):
        """{table: (rows, hash)} of the state."""
        lines = self.run(folder, self.last_day(), "verify", "--hash", "--tables").splitlines()
        tables = [line.split(maxsplit=2) for line in lines[:-1]]
        return {name: (int(rows), sha256) for sha256, rows, name in tables}

    def closed_files(self, folder):
        """{(table, marketplace, month): hashes of its files}, of the months before the marketplace's newest."""
        with sqlite3.connect(folder / "amzctl.db") as db:
            listed = db.execute("SELECT table_name, marketplace, month, path FROM lake_files ORDER BY path").fetchall()
        newest = {}
        for _, marketplace, month, _ in listed:
            newest[marketplace] = max(month, newest.get(marketplace, month))
        files = defaultdict(list)
        for table, marketplace, month, path in listed:
            if month < newest[marketplace]:
                contents = (folder / "lake" / path).read_bytes()
                files[table, marketplace, month].append(hashlib.sha256(contents).hexdigest())
        return dict(files)


def differing(one, other):
    """What two dictionaries do not agree on."""
    return [key for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key)]


def check_seed(amzctl, seed):
    """[(check, problem or '')] of one seed."""
    market = Market(amzctl, seed)
    folders = [market.build(order) for order in ORDERS]
    results = []
    hashes = [market.hashes(folder) for folder in folders]
    empty = [
        name for name in ["product_metrics_daily", "deltas", "rollups", "lake mart/rollups"] if not hashes[0][name][0]
    ]
    results.append(("the market gives rows", f"none in {', '.join(empty)}" if empty else ""))
    for order, found in zip(ORDERS[1:], hashes[1:]):
        tables = differing(hashes[0], found)
        results.append((f"state {order} = {ORDERS[0]}", f"differs in {', '.join(tables)}" if tables else ""))

    market.run(folders[1], market.last_day(), "build-mart", "--full")
    tables = differing(hashes[0], market.hashes(folders[1]))
    results.append(("a full build changes nothing", f"differs in {', '.join(tables)}" if tables else ""))

    for folder in folders:
        market.run(folder, market.last_day(), "build-mart", "--compact")
    files = [market.closed_files(folder) for folder in folders]
    several = [" ".join(key) for key, hashes in files[0].items() if len(hashes) != 1]
    results.append(("a closed month is one file", f"not {', '.join(several)}" if several else ""))
    for order, found in zip(ORDERS[1:], files[1:]):
        months = [" ".join(key) for key in differing(files[0], found)]
        results.append((f"files {order} = {ORDERS[0]}", f"differ in {', '.join(months)}" if months else ""))
    if not files[0]:
        results.append(("the market closes a month", "it does not"))
    for order, folder in zip(ORDERS, folders):
        market.run(folder, market.last_day(), "verify")
        tables = differing(hashes[0], market.hashes(folder))
        results.append((f"compacting {order} changes nothing", f"differs in {', '.join(tables)}" if tables else ""))
    if not any(problem for _, problem in results) and os.environ.get("KEEP") != "1":
        shutil.rmtree(market.folder)
    return results


def checked(amzctl, seed):
    started = time.monotonic()
    try:
        results = check_seed(amzctl, seed)
    except Failed as error:
        results = [("every command succeeds", str(error))]
    return seed, results, time.monotonic() - started


def main(amzctl):
    count = 30 if os.environ.get("SIZE") == "full" else 2
    seeds = [int(seed) for seed in os.environ.get("SEEDS", "").split()] or list(range(1, count + 1))
    passed = failed = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for seed, results, seconds in pool.map(lambda seed: checked(amzctl, seed), seeds):
            problems = [(check, problem) for check, problem in results if problem]
            passed += len(results) - len(problems)
            failed += len(problems)
            print(f"seed {seed}: {len(results) - len(problems)} of {len(results)} in {seconds:.0f} s", flush=True)
            for check, problem in problems:
                print(f"    FAILED {check}: {problem}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
