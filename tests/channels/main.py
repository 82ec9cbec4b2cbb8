"""Sends through every kind of channel that has a receiver of somebody else's, and looks at what arrived."""

import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import amazon
import mail
import webhook


class Bench:
    """A folder with a configuration, and the program under test."""

    def __init__(self, amzctl):
        self.amzctl = amzctl
        self.folder = Path(tempfile.mkdtemp(prefix="amzctl-channels-"))
        self.checks = 0
        self.variables = {}
        self.run("init", "-q")

    def configure(self, sections, **variables):
        self.variables = variables
        (self.folder / "amzctl.toml").write_text(f'[alerts]\nstdout = false\nfile = ""\n{sections}')

    def run(self, *arguments):
        # What these alerts are about is found at first sight: what the quiet rules make of it is not asked here.
        environment = {
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            "AMZCTL_ALERTS__RULES": "plain",
            **self.variables,
        }
        return subprocess.run(
            [self.amzctl, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
        )

    def expect(self, code, *arguments):
        """Runs a command that has to end with this code; what it said."""
        done = self.run(*arguments)
        said = done.stdout + done.stderr
        assert done.returncode == code, f"{arguments}: exit {done.returncode}, not {code}\n{said}"
        for name, secret in self.variables.items():
            assert secret not in said, f"{arguments}: {name} is shown"
        self.checks += 1
        return said

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def make_alert(self, product="B0FDKB341G"):
        """A product whose price falls by 40 %; what was found waits in the outbox. The ids of the events."""
        rows = ["marketplace,asin,observed_at,price_minor,title"]
        today = datetime.datetime.now(datetime.timezone.utc)
        for back, price in [(1, 2499), (0, 1499)]:
            at = today - datetime.timedelta(days=back)
            rows.append(f"US,{product},{at:%Y-%m-%dT00:00:00Z},{price},Earbuds <b>&</b>")
        self.write("market.csv", "\n".join(rows) + "\n")
        self.expect(0, "watch", "add", "-q", f"US:{product}")
        self.expect(0, "run", "-q", "--no-deliver", "market.csv")
        listed = json.loads(self.run("alert", "list", "--product", f"US:{product}", "--json").stdout)["rows"]
        shown = [json.loads(self.run("alert", "show", row["alert_id"], "--json").stdout) for row in listed]
        return {delivery["event_id"] for alert in shown for delivery in alert["deliveries"]}


def main():
    bench = Bench(sys.argv[1])
    try:
        webhook.check(bench)
        mail.check(bench)
        amazon.check(bench)
        print(f"channels: {bench.checks} commands did what they should")
    finally:
        if os.environ.get("KEEP"):
            print(f"kept {bench.folder}")
        else:
            shutil.rmtree(bench.folder, ignore_errors=True)


main()
