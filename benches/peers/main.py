"""Times the mart against other ways to compute it, on generated markets, and prints markdown tables. See `run`."""

import functools
import json
import os
import shutil
import sys
from pathlib import Path

from measure import Run, figure, machine, median, spread

HERE = Path(__file__).parent.resolve()
ROOT = Path("target/peers").resolve()
SIZES = {"small": "500x120", "full": "5000x365 50000x365 5000x3650"}
# Of more product days than this the slow peers run once, and PostgreSQL not at all.
MANY = 3_000_000
# Of more product days than this PostgreSQL computes a sample of the days.
FEW = 100_000
BOUND = "512MiB"


class Size:
    """A market of one size, and what was measured on it."""

    def __init__(self, amzctl, name, rounds, peers):
        self.amzctl, self.name, self.rounds, self.peers = amzctl, name, rounds, peers
        self.products, self.days = map(int, name.split("x"))
        self.folder = ROOT / name
        self.is_large = self.products * self.days > MANY
        self.runs = {}
        self.notes = []
        self.checked = set()

    def measure(self):
        rows, seconds = self.script("market.py", "make", self.folder, self.name).output.split()
        self.rows = int(rows)
        self.notes.append(f"Generated in {seconds} s.")
        first = self.build()
        self.notes.append(f"The first `build-mart`, from the database: {figure(first.seconds)} s.")
        for number in range(self.rounds):
            for name, once in self.contenders():
                if number == 0 or not once:
                    self.say(f"{name}, round {number + 1}")
                    self.runs.setdefault(name, []).append(getattr(self, name)())
        if "postgres" in self.peers and not self.is_large:
            self.say("postgres")
            self.runs["postgres"] = [self.postgres()]
        for number in range(self.rounds):
            self.say(f"daily, round {number + 1}")
            self.script("market.py", "add-day", self.folder)
            self.runs.setdefault("daily", []).append(self.build())
        if os.environ.get("KEEP") != "1":
            shutil.rmtree(self.folder)

    def contenders(self):
        """Each with whether it runs in the first round only."""
        yield "full", False
        if has_memory_option(self.amzctl):
            yield "bounded", False
        for peer in ["duckdb", "polars"]:
            if peer in self.peers:
                yield peer, self.is_large
        if "limit" in self.peers:
            yield "limit", False

    def say(self, what):
        print(f"{self.name}: {what}", file=sys.stderr, flush=True)

    def build(self, *options):
        return Run([self.amzctl, "build-mart", *options, "--no-progress", "--quiet"], self.folder)

    def script(self, name, *arguments):
        return Run([sys.executable, "-B", HERE / name, *arguments], HERE, {"AMZCTL": str(self.amzctl)})

    def full(self, *options):
        run = self.build("--full", *options)
        # The files that were replaced: no part of the time, and two generations would fill the disk.
        self.build("--vacuum-now")
        return run

    def bounded(self):
        return self.full("--memory", BOUND)

    def peer(self, name):
        """A peer's run; what its first one wrote is held against the lake."""
        output = self.folder / "peer"
        output.mkdir()
        run = self.script(f"{name}_peer.py", self.folder, output)
        if name not in self.checked:
            self.checked.add(name)
            found = self.script("check.py", self.folder, output).output
            self.notes.append(f"{name} equals the lake: {'; '.join(found.splitlines())}.")
        shutil.rmtree(output)
        return run

    def duckdb(self):
        return self.peer("duckdb")

    def polars(self):
        return self.peer("polars")

    def limit(self):
        output = self.folder / "peer"
        output.mkdir()
        run = self.script("limit.py", self.folder, output)
        shutil.rmtree(output)
        parts = json.loads(run.output)
        run.seconds = parts["read"] + parts["write"]
        self.limit_note = (
            f"The limit of the last round: read in {figure(parts['read'])} s, wrote "
            f"{figure(parts['written_bytes'] / 2**20)} MiB in {figure(parts['write'])} s; "
            f"amzctl's files have {figure(parts['amzctl_bytes'] / 2**20)} MiB."
        )
        return run

    def postgres(self):
        wanted = self.days if self.products * self.days <= FEW else int(os.environ.get("PG_DAYS", "12"))
        run = self.script("postgres_peer.py", self.folder, wanted)
        parts = json.loads(run.output)
        run.seconds = parts["seconds"] * parts["of"] / parts["days"]
        if parts["days"] < parts["of"]:
            self.notes.append(
                f"PostgreSQL computed {parts['days']} of {parts['of']} days, evenly spread, in "
                f"{figure(parts['seconds'])} s; the time is that times {figure(parts['of'] / parts['days'])}."
            )
        return run

    def seconds(self, name):
        return median([run.seconds for run in self.runs[name]]) if name in self.runs else None

    def peak(self, name):
        return max(run.peak_mib for run in self.runs[name]) if name in self.runs else None

    def render(self):
        names = {
            "full": "amzctl build-mart --full",
            "bounded": f"amzctl build-mart --full --memory {BOUND}",
            "duckdb": "DuckDB",
            "polars": "polars",
            "limit": "limit: read and write only",
            "postgres": "PostgreSQL, day by day",
            "daily": "amzctl build-mart, one day more",
        }
        lines = [
            f"{self.products:,} products × {self.days:,} days, {self.rows:,} daily rows:",
            "",
            "| run | rounds | median s | min–max s | × amzctl | CPU s | peak MiB |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name, title in names.items():
            if name in self.runs:
                seconds = [run.seconds for run in self.runs[name]]
                ratio = figure(median(seconds) / self.seconds("full"))
                cells = [title, str(len(seconds)), figure(median(seconds)), spread(seconds), ratio]
                # Of a part of a process nothing else is known.
                if name in ("limit", "postgres"):
                    cells += ["", ""]
                else:
                    cpu = median([run.cpu_seconds for run in self.runs[name]])
                    cells += [figure(cpu), f"{self.peak(name):,.0f}"]
                lines.append(f"| {' | '.join(cells)} |")
        notes = self.notes + ([self.limit_note] if "limit" in self.runs else [])
        return "\n".join([*lines, "", *(f"- {note}" for note in notes), ""])


@functools.cache
def has_memory_option(amzctl):
    return "--memory" in Run([amzctl, "build-mart", "--help"], HERE).output


class Marks:
    """What is to be reached, and whether it is; what was not measured is said too."""

    def __init__(self):
        self.lines = ["| mark | wanted | measured | |", "| --- | ---: | ---: | --- |"]

    def add(self, text, value, bound, unit, at_least=False):
        measured = "" if value is None else f"{figure(value)}{unit}"
        met = None if value is None else value >= bound if at_least else value <= bound
        verdict = {None: "not measured", True: "met", False: "not met"}[met]
        self.lines.append(f"| {text} | {'≥' if at_least else '≤'} {bound:,}{unit} | {measured} | {verdict} |")

    def of(self, size):
        full = size.seconds("full")

        def slower(name):
            return size.seconds(name) / full if name in size.runs else None

        def say(text):
            return f"{size.products:,} × {size.days:,}: {text}"

        self.add(say("backfill, faster than DuckDB"), slower("duckdb"), 5, "×", at_least=True)
        self.add(say("backfill, faster than PostgreSQL"), slower("postgres"), 100, "×", at_least=True)
        self.add(say("backfill, of the limit"), 1 / slower("limit") if "limit" in size.runs else None, 2, "×")
        self.add(say(f"peak with --memory {BOUND}"), size.peak("bounded"), 640, " MiB")
        self.add(say(f"time with --memory {BOUND}"), slower("bounded"), 1.5, "×")
        if size.products == 5_000:
            self.add(say("one day more"), size.seconds("daily"), 0.5, " s")

    def across(self, sizes):
        by_name = {size.name: size for size in sizes}
        year, many, decade = (by_name.get(name) for name in ["5000x365", "50000x365", "5000x3650"])
        if year or many or decade:
            ratio = many.seconds("full") / year.seconds("full") if year and many else None
            self.add("backfill, 50,000 × 365 of 5,000 × 365", ratio, 12, "×")
            self.add("backfill, 50,000 × 365: peak", many.peak("full") if many else None, 4096, " MiB")
            ratio = decade.seconds("daily") / year.seconds("daily") if year and decade else None
            self.add("one day more, after ten years of after one", ratio, 1.3, "×")


def main():
    amzctl = Path(sys.argv[1])
    wanted = " ".join(sys.argv[2:]) or os.environ.get("SIZES") or "small"
    names = " ".join(SIZES.get(word, word) for word in wanted.replace(",", " ").split()).split()
    rounds = int(os.environ.get("ROUNDS", "3"))
    peers = os.environ.get("PEERS", "duckdb,polars,limit,postgres").split(",")
    print(f"{machine()}; every run is a process of its own, of two threads, the peers' Python included\n", flush=True)
    sizes, marks = [], Marks()
    for name in names:
        size = Size(amzctl, name, rounds, peers)
        size.measure()
        print(size.render(), flush=True)
        sizes.append(size)
        marks.of(size)
    marks.across(sizes)
    print("\n".join(marks.lines))


if __name__ == "__main__":
    main()
