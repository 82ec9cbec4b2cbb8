"""The mart day by day in PostgreSQL: `postgres_peer.py FOLDER DAYS` prints what DAYS of them took as JSON.

As such tools usually do it: the core rows lie in an indexed table, and each day one INSERT … SELECT … GROUP BY a window
and one join of each product's row with its previous one. The days are spread evenly; loading is not timed. Does less
than amzctl: what duckdb_peer.py leaves out, sellers, list, buy box and landed prices, and a previous value is that of
the previous row, known or not.

The server is a cluster of its own in a temporary folder, reached through a socket there, gone at the end.
"""

import contextlib
import json
import os
import pwd
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from lake import CORE, WINDOWS, files_of, open_duckdb

SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "1GB",
    "work_mem": "128MB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "4GB",
    "synchronous_commit": "off",
    "fsync": "off",
    "jit": "off",
}
COLUMNS = {
    "marketplace": "text", "asin": "text", "day_no": "int", "currency": "text", "price": "int", "bsr": "int",
    "bsr_category": "text", "rating": "int", "ratings_count": "int", "availability": "text", "seller_id": "text",
}  # fmt: skip
IN_LAKE = {"price": "price_minor", "rating": "rating_centi"}


def level(field):
    ordered = f"array_agg({field} ORDER BY day_no) FILTER (WHERE {field} IS NOT NULL)"
    return f"""count({field}) AS {field}_n, sum({field}) AS {field}_sum, min({field}) AS {field}_min,
        max({field}) AS {field}_max, ({ordered})[1] AS {field}_first, ({ordered})[count({field})] AS {field}_last,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY {field}) AS {field}_median,
        avg({field}::float8) AS {field}_avg, avg({field}::float8) FILTER (WHERE day_no > %(late)s) AS {field}_late,
        avg({field}::float8) FILTER (WHERE day_no < %(middle)s) AS {field}_early"""


def spread(field):
    return f"""stddev_pop({field}::float8) AS {field}_sd,
        stddev_pop({field}::float8) / nullif(avg({field}::float8), 0) AS {field}_volatility,
        regr_slope({field}, day_no) AS {field}_slope"""


ROLLUPS = f"""SELECT marketplace, asin, %(day)s::int AS day_no, %(window)s::int AS window_days,
        count(*) AS observed_days,
        {level("price")}, {spread("price")}, {level("bsr")}, {spread("bsr")}, {level("rating")},
        max(ratings_count) - min(ratings_count) AS ratings_growth,
        count(*) FILTER (WHERE availability IN ('in_stock', 'low_stock')) AS in_stock_days,
        count(*) FILTER (WHERE availability NOT IN
            ('price_hidden', 'select_variant', 'not_deliverable_to_location', 'unknown')) AS known_days
    FROM core WHERE marketplace = 'US' AND day_no BETWEEN %(day)s::int - %(window)s::int + 1 AND %(day)s::int
    GROUP BY marketplace, asin HAVING count(*) >= 2 AND max(day_no) = %(day)s"""

CHANGES = ", ".join(
    f"""today.{field}, past.{field} AS {field}_prev, today.{field} - past.{field} AS {field}_delta,
        (today.{field} - past.{field}) * 100 / nullif(past.{field}, 0)::float8 AS {field}_pct"""
    for field in ["price", "bsr", "rating", "ratings_count"]
)
DELTAS = f"""SELECT today.marketplace, today.asin, today.day_no, today.day_no - past.day_no AS gap_days, {CHANGES},
        today.availability, past.availability AS availability_prev, today.seller_id, past.seller_id AS seller_prev
    FROM core today LEFT JOIN LATERAL (
        SELECT * FROM core WHERE marketplace = today.marketplace AND asin = today.asin AND day_no < today.day_no
        ORDER BY day_no DESC LIMIT 1) past ON true
    WHERE today.marketplace = 'US' AND today.day_no = %(day)s"""


def parameters(day, window):
    half = window // 2
    return {"day": day, "window": window, "late": day - half, "middle": day - window + 1 + half}


@contextlib.contextmanager
def server():
    """A connection to a new cluster."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    folder = Path(tempfile.mkdtemp(prefix="bench-peers-"))
    as_owner = []
    if os.geteuid() == 0:
        # It refuses to run as root.
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_owner = ["runuser", "-u", "postgres", "--"]
    port = random.randint(20_000, 60_000)
    options = " ".join(f"-c {name}={value or chr(39) * 2}" for name, value in SETTINGS.items())

    def run(program, *arguments):
        command = [*as_owner, programs / program, "-D", folder / "data", *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "--auth", "trust", "--username", "postgres", "--locale", "C", "--encoding", "UTF8")
        run("pg_ctl", "start", "-w", "-l", folder / "log", "-o", f"{options} -p {port} -k {folder}")
        try:
            with psycopg.connect(host=str(folder), port=port, user="postgres", dbname="postgres") as connection:
                connection.autocommit = True
                yield connection
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load(connection, folder):
    """The core rows, in the order of their days as they would have come, with an index by product and one by day."""
    names = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    connection.execute(f"CREATE TABLE core ({names})")
    taken = ", ".join(IN_LAKE.get(name, name) for name in COLUMNS)
    lake = open_duckdb()
    copy_in = connection.cursor().copy("COPY core FROM STDIN (FORMAT csv)")
    with tempfile.TemporaryDirectory() as between, copy_in as copy:
        text = Path(between) / "rows.csv"
        for file in files_of(folder, CORE):
            rows = lake.sql(f"SELECT {taken} FROM read_parquet('{file}', hive_partitioning = false) ORDER BY day_no")
            rows.write_csv(str(text), header=False)
            with text.open("rb") as source:
                while block := source.read(1 << 20):
                    copy.write(block)
    connection.execute("ALTER TABLE core ADD PRIMARY KEY (marketplace, asin, day_no)")
    connection.execute("CREATE INDEX ON core (marketplace, day_no)")
    connection.execute("VACUUM ANALYZE core")
    # The shape of what comes; its rows are not wanted.
    for table, query, key in [("rollups", ROLLUPS, "window_days"), ("deltas", DELTAS, None)]:
        client = psycopg.ClientCursor(connection)
        client.execute(f"CREATE TABLE {table} AS {query} LIMIT 0", parameters(0, WINDOWS[0]))
        key = ", ".join(filter(None, ["marketplace", "asin", "day_no", key]))
        connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY ({key})")


def main():
    folder, wanted = Path(sys.argv[1]), int(sys.argv[2])
    with server() as connection:
        load(connection, folder)
        days = [day for (day,) in connection.execute("SELECT DISTINCT day_no FROM core ORDER BY 1").fetchall()]
        count = min(wanted, len(days))
        sample = [days[(2 * number + 1) * len(days) // (2 * count)] for number in range(count)]
        started = time.perf_counter()
        for day in sample:
            with connection.transaction():
                for window in WINDOWS:
                    connection.execute(f"INSERT INTO rollups {ROLLUPS}", parameters(day, window))
                connection.execute(f"INSERT INTO deltas {DELTAS}", {"day": day})
        seconds = time.perf_counter() - started
        (rows,) = connection.execute("SELECT count(*) FROM rollups").fetchone()
    print(json.dumps({"seconds": seconds, "days": count, "of": len(days), "rollup_rows": rows}))


if __name__ == "__main__":
    main()
