"""Holds what amzctl wrote against what the definitions give, column by column."""

import math
import struct

SHOWN = 20
# One square root and one division: the last bit may differ.
ROUNDED_TWICE = ("_sd", "_volatility")


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        # (table, column): distinct known values over all inputs, up to two of them
        self.seen = {}

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
        both = sorted(written.keys() & expected.keys())
        for column in columns:
            problems = []
            seen = self.seen.setdefault((table, column), set())
            for key in both:
                value, reference = written[key].get(column), expected[key].get(column)
                if len(seen) < 2 and value is not None:
                    seen.add(value)
                if not is_same(value, reference, column):
                    problems.append(f"{show_key(key)}: amzctl {value!r}, reference {reference!r}")
            self.check(f"{name} {table}.{column}", problems)

    def check_coverage(self):
        """Every column of the mart must have been known, and not always the same: else nothing was shown of it."""
        for (table, column), values in sorted(self.seen.items()):
            if table.startswith("core/"):
                continue
            problems = [] if len(values) >= 2 else [f"only {sorted(values)} in all inputs"]
            self.check(f"inputs exercise {table}.{column}", problems)

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def row_problems(written, expected):
    problems = [f"{show_key(key)}: not in the reference" for key in sorted(written.keys() - expected.keys())]
    return problems + [f"{show_key(key)}: missing" for key in sorted(expected.keys() - written.keys())]


def show_key(key):
    return " ".join(str(part) for part in key)


def is_same(value, reference, column):
    if value is None or reference is None:
        return value is reference
    if isinstance(value, float) != isinstance(reference, float):
        return False
    if not isinstance(value, float):
        return value == reference
    if column.endswith(ROUNDED_TWICE) and value >= 0:
        return abs(value - reference) <= math.ulp(reference)
    return struct.pack("<d", value) == struct.pack("<d", reference)
