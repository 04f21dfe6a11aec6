"""Every gate, one after the other, within CI's time: `bash .ci/run`.

90 minutes are hard, 75 are planned, and `lading verify` gets what the other steps left of them. The lab's cache is this
run's own, so that nothing counts that an earlier run believed. Standard library only: it runs before setup does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET  # what is read was written by this run's own pytest
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PLANNED: Final = 75 * 60
LEAST_FOR_VERIFY: Final = 5 * 60
GRACE: Final = 10 * 60
"""Seconds that `lading verify` may take beyond its deadline.

It ends the proof that it began, and does not reckon with the layers that an empty cache asks for first.
"""

LAB_BROKE: Final = 3
BASE: Final = "LADING_CI_BASE"
"""May name the commit before the push; else the push is taken to be one commit."""


@dataclass(frozen=True)
class Step:
    """A step that was taken: how it ended, and after how many seconds. One that was `repeated` does not count."""

    name: str
    rc: int
    seconds: float
    repeated: bool = False

    @property
    def ok(self) -> bool:
        return self.rc == 0 or self.repeated

    def __str__(self) -> str:
        ended = "ok" if self.rc == 0 else f"{'tried again' if self.repeated else 'FAILED'}, exit {self.rc}"
        return f"  {self.name:8} {self.seconds:6.0f} s  {ended}"


@dataclass(frozen=True)
class Counted:
    """What pytest counted."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


class Run:
    """One run of all steps, with its time and its own folder outside the clone."""

    def __init__(self, work: Path, planned: float = PLANNED) -> None:
        self.ends = time.monotonic() + planned
        self.junit = work / "junit.xml"
        self.environment = {**os.environ, "LADING_CACHE": str(work / "cache")}
        self.steps: list[Step] = []

    def left(self) -> float:
        """Return the seconds that are left of what is planned."""
        return self.ends - time.monotonic()

    def take(self, name: str, argv: list[str], limit: float) -> int:
        """Take a step; one that does not end in its time is killed, with all that it started, and has failed."""
        print(f"\n=== {name}: {' '.join(argv)}", flush=True)
        started = time.monotonic()
        child = subprocess.Popen(argv, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            rc = child.wait(timeout=max(limit, 1))
        except subprocess.TimeoutExpired:
            print(f"'{name}' did not end within {limit / 60:.0f} minutes and is stopped.", flush=True)
            rc = _stop(child)
        self.steps.append(Step(name, rc, time.monotonic() - started))
        return rc

    def everything(self) -> None:
        """Take all steps. Only a failed setup ends the run early: each of the others says something of its own."""
        if self.take("setup", ["make", "--no-print-directory", "setup"], 15 * 60):
            return
        self.take("check", ["make", "--no-print-directory", "check"], 8 * 60)
        more = f"ARGS=-q --durations=10 --junitxml={self.junit}"
        self.take("test", ["make", "--no-print-directory", "test", more], 50 * 60)
        self.take("site", ["make", "--no-print-directory", "site"], 5 * 60)
        # Not through make, which turns every failure into 2.
        if self.verify() == LAB_BROKE and self.left() > 2 * LEAST_FOR_VERIFY:
            # The laboratory broke, which is no verdict: a second try replaces the first.
            self.steps[-1] = replace(self.steps[-1], repeated=True)
            self.verify()

    def verify(self) -> int:
        """Prove again what the push asks for, in the time that is left."""
        seconds = max(self.left(), LEAST_FOR_VERIFY)
        argv = [str(ROOT / ".venv/bin/lading"), "verify", "--ci", "--deadline", as_duration(seconds)]
        if base := os.environ.get(BASE):
            argv += ["--base", base]
        return self.take("verify", argv, seconds + GRACE)


def _stop(child: subprocess.Popen[bytes]) -> int:
    for number, patience in ((signal.SIGTERM, 30), (signal.SIGKILL, 10)):
        try:
            os.killpg(child.pid, number)
            child.wait(timeout=patience)
            break
        except (subprocess.TimeoutExpired, ProcessLookupError):
            continue
    return 124


def as_duration(seconds: float) -> str:
    """Return a duration as lading reads it, in whole minutes.

    Example:
        ```python
        from tools.ci import as_duration

        print(as_duration(2755.8))
        #> 45m
        ```
    """
    return f"{max(int(seconds // 60), 1)}m"


def read_junit(file: Path) -> Counted | None:
    """Return what pytest counted; None if it did not come so far."""
    try:
        suites = list(ET.parse(file).getroot().iter("testsuite"))  # noqa: S314 - written by our own pytest
    except (OSError, ET.ParseError):
        return None
    total, failures, errors, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
    )
    return Counted(total - failures - errors - skipped, failures + errors, skipped)


def closing_line(steps: list[Step], tests: Counted | None) -> str:
    """Return `N passed, N failed`: tests, and with the failed ones each other step that failed."""
    counted = tests or Counted()
    failed_steps = [step for step in steps if not step.ok]
    if counted.failed:
        failed_steps = [step for step in failed_steps if step.name != "test"]
    return f"{counted.passed} passed, {counted.failed + len(failed_steps)} failed"


def report(steps: list[Step], tests: Counted | None) -> str:
    """Return where the time went, and the closing line."""
    lines = ["", "Where the time went:", *map(str, steps)]
    lines.append(f"  {'all':8} {sum(step.seconds for step in steps):6.0f} s  of {PLANNED} s planned")
    if tests and tests.skipped:
        lines.append(f"Tests skipped: {tests.skipped}")
    return "\n".join([*lines, closing_line(steps, tests)])


def main() -> int:
    """Take every step, tell how that went, and return the exit code."""
    work = Path(tempfile.mkdtemp(prefix="lading-ci.", dir=os.environ.get("TMPDIR", "/var/tmp")))  # noqa: S108 - random
    run = Run(work)
    run.everything()
    tests = read_junit(run.junit)
    well = all(step.ok for step in run.steps)
    if well:
        shutil.rmtree(work, ignore_errors=True)
    else:
        print(f"\nWhat failed has its logs under '{work}'.")
    print(report(run.steps, tests), flush=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
