"""Holds what amzctl wrote against what the definitions give, column by column."""

import math
import re

SHOWN = 20
# Roots of n * sumsq - sum^2. Where that is no exact double, its own rounding may show in the last bit.
ROOTS = ("_sd", "_volatility")
EXACT = 2**53
# Columns that every row knows: keys, counts, what a row was made from. All others must have been unknown somewhere.
ALWAYS_KNOWN = re.compile(
    r".*\.(marketplace|asin|day_no|window_days|month|bucket|currency|availability|quality|products|data_age_\w+"
    r"|(?!gap_)(\w+_)?days|(\w+_)?(n|up|down|same)|observed_30d|in_stock|out_of_stock|stock_known|seller_known)"
    r"|.*rollup_sellers\.seller_id|category_metrics\.bsr_\w+"
)


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        # (table, column): distinct known values over all inputs, up to two of them
        self.seen = {}
        # (table, column) that were unknown somewhere
        self.unknown = set()
        # (table, column): of how many rows the root was of an exact double, and of how many it was not
        self.roots = {}

    def check(self, name, problems):
        """One check: passed iff there is no problem."""
        if not problems:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAILED {name}: {len(problems)} differ")
        for line in problems[:SHOWN]:
            print(f"    {line}")

    def compare(self, name, table, columns, written, expected):
        """Compares {key: {column: value}} on every column that was written."""
        self.check(f"{name} {table}: rows", row_problems(written, expected))
        named = set().union(*(row.keys() for row in expected.values())) if expected else set(columns)
        self.check(
            f"{name} {table}: columns",
            [
                f"only {side} has {column}"
                for side, names in [("amzctl", set(columns) - named), ("the reference", named - set(columns))]
                for column in sorted(names)
            ],
        )
        both = [(key, written[key], expected[key]) for key in sorted(written.keys() & expected.keys())]
        for column in columns:
            is_root = column.endswith(ROOTS)
            self.note(table, column, {row.get(column) for _, row, _ in both})
            problems = []
            for key, row, reference_row in both:
                value, reference = row.get(column), reference_row.get(column)
                is_exact = not is_root or value is None or self.is_root_exact(table, column, reference_row)
                if not is_same(value, reference, is_exact):
                    problems.append(f"{show_key(key)}: amzctl {value!r}, reference {reference!r}")
            self.check(f"{name} {table}.{column}", problems)

    def note(self, table, column, values):
        if None in values:
            self.unknown.add((table, column))
        seen = self.seen.setdefault((table, column), set())
        seen.update(list(values - seen - {None})[: 2 - len(seen)])

    def is_root_exact(self, table, column, row):
        is_exact = under_root(row, column) <= EXACT
        self.roots.setdefault((table, column), [0, 0])[0 if is_exact else 1] += 1
        return is_exact

    def check_coverage(self):
        """Every column of the mart must have been known, and not always the same: else nothing was shown of it.

        Those that may be unknown must have been, and roots must have been of small and of large numbers.
        """
        for (table, column), values in sorted(self.seen.items()):
            if table.startswith("core/"):
                continue
            problems = [] if len(values) >= 2 else [f"only {sorted(values)} in all inputs"]
            if (table, column) not in self.unknown and not ALWAYS_KNOWN.fullmatch(f"{table}.{column}"):
                problems.append("never unknown in any input")
            self.check(f"inputs exercise {table}.{column}", problems)
        for (table, column), (exact, wide) in sorted(self.roots.items()):
            problems = [] if exact and wide else [f"{exact} roots of exact doubles, {wide} of larger numbers"]
            self.check(f"inputs exercise both kinds of {table}.{column}", problems)

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def row_problems(written, expected):
    problems = [f"{show_key(key)}: not in the reference" for key in sorted(written.keys() - expected.keys())]
    return problems + [f"{show_key(key)}: missing" for key in sorted(expected.keys() - written.keys())]


def show_key(key):
    return " ".join(str(part) for part in key)


def under_root(row, column):
    """n * sumsq - sum^2 of the column's family; 0 where it is not known."""
    family = column[: column.rindex("_")]
    n, total, squares = (row.get(f"{family}_{name}") for name in ["n", "sum", "sumsq"])
    return n * squares - total**2 if n else 0


def is_same(value, reference, is_exact):
    if value is None or reference is None:
        return value is reference
    if type(value) is not type(reference):
        return False
    if not isinstance(value, float):
        return value == reference
    if not is_exact:
        return abs(value - reference) <= math.ulp(reference)
    # Zeros have a sign.
    return value == reference and (value != 0.0 or math.copysign(1, value) == math.copysign(1, reference))
