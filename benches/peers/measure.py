"""Runs a command and tells how long it took and what memory it held; puts figures into words.

Imports nothing large: the kernel counts what a process held before it became another program.
"""

import os
import shlex
import statistics
import subprocess
import sys
import time


class Run:
    """How one process went."""

    def __init__(self, command, folder, environment=None):
        # What an earlier process wrote is not to be waited for by this one.
        os.sync()
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
        )
        with process.stdout:
            self.output = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - started
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.peak_mib = usage.ru_maxrss / 1024
        # Known to us already; else it would be waited for again.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            print(self.output, file=sys.stderr)
            sys.exit(f"{shlex.join(process.args)}: exit code {process.returncode}")


def median(values):
    return statistics.median(values)


def spread(values):
    return f"{figure(min(values))}–{figure(max(values))}"


def figure(value):
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine():
    with open("/proc/cpuinfo") as text:
        model = next((line.split(":")[1].strip() for line in text if line.startswith("model name")), "unknown CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = os.uname()
    release = ".".join(system.release.split(".")[:2])
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, {system.sysname} {release}"
