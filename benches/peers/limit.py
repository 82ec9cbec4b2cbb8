"""What reading and writing alone cost: `limit.py FOLDER OUTPUT` prints seconds and bytes as JSON.

Reads the columns that the mart is computed of, once each, and writes the rows of every mart file that the lake lists
as a file of its own (zstd level 1, as the lake's). What is written lies in memory before; getting it there does not
count. Nothing waits for the disk: amzctl does (fsync).
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path

from lake import CORE, THREADS, files_of, mart_tables, output_file

os.environ["POLARS_MAX_THREADS"] = str(THREADS)
import polars as pl  # noqa: E402 (reads the number of threads as it is loaded)

# Those that build-mart reads (src/stages/build_mart/core_files.rs).
READ = {
    CORE: [
        "asin", "day_no", "price_minor", "seller_id", "list_price_minor", "buy_box_price_minor", "landed_price_minor",
        "bsr", "bsr_leaf", "rating_centi", "ratings_count", "currency", "price_basis", "availability",
        "bsr_category_id", "bsr_category", "bsr_leaf_category_id", "bsr_leaf_category",
    ],
    "core/ranks": ["asin", "day_no", "category_id", "category", "rank", "is_main"],
}  # fmt: skip


def main():
    folder, output = map(Path, sys.argv[1:3])
    seconds = {"read": 0.0, "write": 0.0}

    @contextlib.contextmanager
    def timed(name):
        started = time.perf_counter()
        yield
        seconds[name] += time.perf_counter() - started

    for table, columns in READ.items():
        for file in files_of(folder, table):
            with timed("read"):
                pl.read_parquet(file, columns=columns, hive_partitioning=False)
    written = listed = 0
    for table in mart_tables(folder):
        for number, file in enumerate(files_of(folder, table)):
            rows = pl.read_parquet(file, hive_partitioning=False).rechunk()
            path = output_file(output, table, number)
            with timed("write"):
                rows.write_parquet(path, compression="zstd", compression_level=1)
            written += path.stat().st_size
            listed += os.path.getsize(file)
            path.unlink()
    print(json.dumps({**seconds, "written_bytes": written, "amzctl_bytes": listed}))


if __name__ == "__main__":
    main()
