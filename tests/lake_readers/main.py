"""Builds a lake day by day and reads it as other engines do. See `run`."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import polars
from deltalake import DeltaTable

# In memory where that can be: every build waits for the disk many times, and no power is lost here.
ROOT = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "target") / "amzctl-lake-readers"
TABLES = ["core/product_metrics_daily", "core/ranks", "mart/deltas", "mart/rollups", "mart/rollup_sellers"]
PARTITION = ["marketplace", "month"]
# Later than any file's time, so that what is old to the file system is old to amzctl.
NOW = "2099-01-01T00:00:00Z"
AFTER_THE_GRACE = "2099-01-01T02:00:00Z"
DAYS = 56
CHECKPOINT_EVERY = 50


class Failed(Exception):
    """A command that did not end well."""


class Market:
    """A database and its lake in a folder of their own, and what was current after each build."""

    def __init__(self, amzctl):
        self.amzctl, self.folder, self.now = amzctl, ROOT, NOW
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.lake = self.folder.resolve() / "lake"
        self.builds = []

    def run(self, *arguments):
        environment = {"AMZCTL_NOW": self.now, "HOME": "/nonexistent", "PATH": os.environ["PATH"]}
        command = [self.amzctl, *map(str, arguments)]
        done = subprocess.run(command, check=False, cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"amzctl {' '.join(command[1:])}: exit {done.returncode}\n{done.stderr}")
        return done.stderr

    def listed(self, table):
        """The files that the database's list names, as absolute paths."""
        with sqlite3.connect(f"file:{self.folder / 'amzctl.db'}?mode=ro", uri=True) as db:
            rows = db.execute("SELECT path FROM lake_files WHERE table_name = ? ORDER BY path", [table])
            return [str(self.lake / path) for (path,) in rows]

    def delta(self, table, **options):
        return DeltaTable(str(self.lake / table), **options)

    def build(self):
        self.run("normalize")
        self.run("build-mart")
        self.note()

    def note(self):
        """Remembers which version of each table stands for which files."""
        logs = {table: self.lake / table / "_delta_log" for table in TABLES}
        known = {table: sorted(log.glob("[0-9]*.json")) for table, log in logs.items()}
        self.builds.append({table: (int(known[table][-1].stem), self.listed(table)) for table in TABLES if known[table]})

    def version(self, table):
        return self.builds[-1][table][0]


def built(amzctl):
    """Days one by one; second looks at old days come some days late, so that files are replaced in open and in closed
    months."""
    market = Market(amzctl)
    market.run("init")
    market.run("gen", "-o", "files", "--products", 10, "--days", DAYS, "--marketplaces", "US,JP", "--corrections")
    days = sorted(folder.name for folder in (market.folder / "files").glob("20*"))
    corrections = sorted(folder.name for folder in (market.folder / "files/corrections").iterdir())
    assert len(days) == DAYS and len(corrections) > 3, corrections
    for place, day in enumerate(days):
        market.run("ingest", f"files/{day}")
        due = [late for late in corrections if late <= days[max(place - 9, 0)] and place % 10 == 9]
        for late in due:
            market.run("ingest", f"files/corrections/{late}", "--captured-at", f"{late}T18:00:00Z")
            corrections.remove(late)
        market.build()
    return market


def sorted_rows(frame):
    """Rows in an order of their own, columns by name: what two readers must agree on."""
    names = sorted(frame.columns)
    frame = frame.select(names)
    texts = [name for name, kind in frame.schema.items() if kind in (polars.Categorical, polars.Enum)]
    return frame.with_columns(polars.col(texts).cast(polars.String)).sort(names, nulls_last=True)


def of_files(paths, **options):
    return sorted_rows(polars.read_parquet(paths, hive_partitioning=False, **options))


def assert_same(what, got, expected):
    assert got.schema == expected.schema, f"{what}: columns {got.schema} instead of {expected.schema}"
    assert got.height == expected.height, f"{what}: {got.height} rows instead of {expected.height}"
    if not got.equals(expected):
        raise AssertionError(f"{what}: other rows\n{got}\n{expected}")


def readers(market, table):
    """Every way to the rows of a table but the database's list."""
    delta = market.delta(table)
    yield "deltalake", polars.from_arrow(delta.to_pyarrow_table())
    yield "polars.scan_delta", polars.scan_delta(str(market.lake / table)).collect()
    yield "polars.read_delta", polars.read_delta(str(market.lake / table))
    sql = f"SELECT * FROM read_parquet({delta.file_uris()!r}, hive_partitioning = false)"
    yield "DuckDB over file_uris", duckdb.connect().sql(sql).pl()


def every_reader_sees_the_listed_rows(market):
    for table in TABLES:
        expected = of_files(market.listed(table))
        assert expected.height > 0, table
        for name, rows in readers(market, table):
            assert_same(f"{table} by {name}", sorted_rows(rows), expected)


def every_version_names_the_files_of_its_build(market):
    changed = 0
    for table in TABLES:
        last = None
        for version, listed in (build[table] for build in market.builds if table in build):
            if (version, listed) == last:
                continue
            assert last is None or version == last[0] + 1, f"{table}: version {version} comes after {last[0]}"
            named = sorted(market.delta(table, version=version).file_uris())
            assert named == listed, f"{table} version {version}: {set(named) ^ set(listed)}"
            changed += last is not None and not set(last[1]) <= set(listed)
            last = (version, listed)
        assert last[0] >= CHECKPOINT_EVERY, f"{table} has only {last[0]} versions"
    assert changed > len(TABLES), "no commit has replaced files"


def trap_1_a_glob_counts_stale_files_and_the_snapshot_does_not(market):
    for table in TABLES:
        pattern = f"{market.lake}/{table}/marketplace=*/month=*/*.parquet"
        count = f"SELECT count(*) FROM read_parquet('{pattern}', hive_partitioning = true)"
        in_folder = duckdb.connect().execute(count).fetchone()[0]
        listed = of_files(market.listed(table)).height
        assert in_folder > listed, f"{table}: no stale file is left to count ({in_folder} rows)"
        assert polars.scan_delta(str(market.lake / table)).select(polars.len()).collect().item() == listed
        assert market.delta(table).to_pyarrow_dataset().count_rows() == listed


def trap_2_partition_columns_are_declared_and_a_commit_removes_only_its_own(market):
    def place(uri):
        return tuple(Path(uri).parts[-3:-1])

    for table in TABLES:
        assert market.delta(table).metadata().partition_columns == PARTITION
        versions = dict(build[table] for build in market.builds if table in build)
        for version in sorted(versions)[1:]:
            before, after = set(versions[version - 1]), set(versions[version])
            removed, added = before - after, after - before
            untouched = {place(uri) for uri in removed} - {place(uri) for uri in added}
            assert not untouched, f"{table} version {version} empties {untouched}"


def trap_3_directories_are_exactly_the_partition_columns(market):
    for table in TABLES:
        actions = polars.DataFrame(market.delta(table).get_add_actions(flatten=True))
        for action in actions.to_dicts():
            folders = [part.split("=", 1) for part in Path(action["path"]).parts[:-1]]
            assert [name for name, _ in folders] == PARTITION, action["path"]
            assert [value for _, value in folders] == [action[f"partition.{name}"] for name in PARTITION]
            values = polars.read_parquet(market.lake / table / action["path"], hive_partitioning=False)
            assert values.select(PARTITION).unique().rows() == [tuple(value for _, value in folders)]
            days = (values["day_no"].min(), values["day_no"].max(), values.height)
            assert days == (action["min.day_no"], action["max.day_no"], action["num_records"]), action["path"]


def trap_4_nothing_depends_on_a_type_guessed_for_a_directory(market):
    own = ["asin", "bucket", "day_no"]
    for table in TABLES:
        paths = market.listed(table)
        expected = of_files(paths).select(own)
        assert (expected["day_no"].dtype, expected["bucket"].dtype) == (polars.Int32, polars.Int32)
        by_polars = polars.read_parquet(paths, hive_partitioning=True, try_parse_hive_dates=True)
        assert_same(f"{table} by polars", sorted_rows(by_polars.select(own)), sorted_rows(expected))
        for setting in ["hive_partitioning = true", "hive_partitioning = true, hive_types_autocast = false"]:
            sql = f"SELECT {', '.join(own)} FROM read_parquet({paths!r}, {setting})"
            assert_same(f"{table} by DuckDB, {setting}", sorted_rows(duckdb.connect().sql(sql).pl()), sorted_rows(expected))


def a_checkpoint_alone_is_enough(market):
    """The log without the commits that its checkpoint stands for."""
    for table in TABLES:
        copy = market.folder.resolve() / "copy" / table
        shutil.copytree(market.lake / table, copy)
        log = copy / "_delta_log"
        checkpoints = sorted(log.glob("*.checkpoint.parquet"))
        assert [path.name for path in checkpoints] == [f"{CHECKPOINT_EVERY:020}.checkpoint.parquet"], checkpoints
        for commit in log.glob("[0-9]*.json"):
            if int(commit.stem) <= CHECKPOINT_EVERY:
                commit.unlink()
        assert_same(f"{table} from its checkpoint", sorted_rows(polars.read_delta(str(copy))), of_files(market.listed(table)))
        # The checkpoint's own state, without a commit behind it.
        pinned = DeltaTable(str(copy), version=CHECKPOINT_EVERY)
        named = sorted(uri.replace(str(copy), str(market.lake / table)) for uri in pinned.file_uris())
        versions = dict(build[table] for build in market.builds if table in build)
        assert named == versions[CHECKPOINT_EVERY], table
        shutil.rmtree(copy)


def a_second_build_commits_nothing(market):
    before = [market.version(table) for table in TABLES]
    market.build()
    assert [market.version(table) for table in TABLES] == before
    said = market.run("lake", "publish-delta")
    assert said == "publish-delta: nothing new\n", said


def a_pinned_reader_reads_on_while_the_grace_lasts(market):
    """And the newest version is whole when the grace is over."""
    version = 30
    for table in TABLES:
        listed = dict(build[table] for build in market.builds if table in build)[version]
        pinned = polars.from_arrow(market.delta(table, version=version).to_pyarrow_table())
        assert set(listed) - set(market.listed(table)), f"{table}: every file of version {version} is still listed"
        assert_same(f"{table} version {version}", sorted_rows(pinned), of_files(listed))
    market.now = AFTER_THE_GRACE
    market.build()
    stale = [path for table in TABLES for path in market.builds[0].get(table, (0, []))[1] if not Path(path).exists()]
    assert stale, "nothing was deleted after the grace"
    every_reader_sees_the_listed_rows(market)


def a_damaged_log_is_written_anew_and_never_mixed_with_the_old(market):
    for table in TABLES:
        reader = market.delta(table)
        old = reader.version()
        newest = market.lake / table / "_delta_log" / f"{old:020}.json"
        newest.write_bytes(newest.read_bytes()[:-20])
        said = market.run("lake", "publish-delta")
        assert f"the Delta log of {table} is written anew" in said, said
        expected = of_files(market.listed(table))
        for name, rows in readers(market, table):
            assert_same(f"{table} by {name}, after damage", sorted_rows(rows), expected)
        assert market.delta(table).version() == old + 1
        # Who read the old log before gives up, or has the new one.
        try:
            reader.update_incremental()
            rows = polars.from_arrow(reader.to_pyarrow_table())
        except Exception as error:
            print(f"    {table}: a reader at work gives up: {str(error)[:90]}")
        else:
            assert_same(f"{table} by a reader at work", sorted_rows(rows), expected)
    market.note()
    a_second_build_commits_nothing(market)


CHECKS = [
    every_reader_sees_the_listed_rows,
    every_version_names_the_files_of_its_build,
    trap_1_a_glob_counts_stale_files_and_the_snapshot_does_not,
    trap_2_partition_columns_are_declared_and_a_commit_removes_only_its_own,
    trap_3_directories_are_exactly_the_partition_columns,
    trap_4_nothing_depends_on_a_type_guessed_for_a_directory,
    a_checkpoint_alone_is_enough,
    a_second_build_commits_nothing,
    a_pinned_reader_reads_on_while_the_grace_lasts,
    a_damaged_log_is_written_anew_and_never_mixed_with_the_old,
]


def main(amzctl):
    try:
        check_all(amzctl)
    finally:
        if os.environ.get("KEEP"):
            print(f"the lake is kept in {ROOT}")
        else:
            shutil.rmtree(ROOT, ignore_errors=True)


def check_all(amzctl):
    began = time.monotonic()
    market = built(amzctl)
    print(f"built {DAYS} days in {time.monotonic() - began:.1f} s, versions", [market.version(table) for table in TABLES])
    for check in CHECKS:
        began = time.monotonic()
        check(market)
        print(f"{check.__name__.replace('_', ' ')}: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1])
