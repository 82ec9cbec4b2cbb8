"""What the peers know of a market's lake, and of each other: which files are current, and how much is done at once."""

import sqlite3

WINDOWS = (7, 30, 90)
THREADS = 2
BUCKETS = 64
# Products are independent: what exceeds this many rows is computed in ranges of buckets, or memory would not do.
ROWS_AT_ONCE = 2_000_000
CORE = "core/product_metrics_daily"
# What must be the same on both days for a change to be known.
FIELDS = {
    "price": ["currency", "price_basis"],
    "list_price": ["currency"],
    "buy_box_price": ["currency"],
    "landed_price": ["currency", "price_basis"],
    "bsr": ["bsr_category"],
    "rating": [],
    "ratings_count": [],
}


def open_duckdb(**settings):
    """A database in memory that computes with our number of threads and draws no progress bars."""
    import duckdb  # Not every user of this module has it loaded, nor is to.

    db = duckdb.connect(config={"threads": THREADS, **settings})
    db.execute("SET enable_progress_bar = false")
    return db


def files_of(folder, table):
    """The current files of a table, in the order of their days."""
    db = sqlite3.connect(f"file:{folder / 'amzctl.db'}?mode=ro", uri=True)
    rows = db.execute("SELECT path FROM lake_files WHERE table_name = ? ORDER BY first_day_no, path", [table])
    return [str(folder / "lake" / path) for (path,) in rows]


def mart_tables(folder):
    """The tables that build-mart wrote."""
    db = sqlite3.connect(f"file:{folder / 'amzctl.db'}?mode=ro", uri=True)
    rows = db.execute("SELECT DISTINCT table_name FROM lake_files WHERE table_name LIKE 'mart/%' ORDER BY 1")
    return [table for (table,) in rows]


def bucket_ranges(folder):
    """Ranges of buckets, from and before, of about equal size and not too many rows."""
    db = sqlite3.connect(f"file:{folder / 'amzctl.db'}?mode=ro", uri=True)
    (rows,) = db.execute("SELECT sum(rows) FROM lake_files WHERE table_name = ?", [CORE]).fetchone()
    count = min(BUCKETS, -(-rows // ROWS_AT_ONCE))
    edges = [BUCKETS * number // count for number in range(count + 1)]
    return list(zip(edges, edges[1:]))


def output_file(output, table, name):
    """Where a peer puts a part of a table."""
    path = output / table / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_query(db, query, path):
    """What DuckDB answers, as Parquet compressed like the lake's files."""
    db.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")
