"""Whether a process of somebody else still runs."""

import time
from pathlib import Path

LIMIT = 20.0
"""Seconds that a process has to end, on a machine that does other things too."""


def runs(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody has asked about yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "XZ"
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_ends(pid: int) -> None:
    """Wait for the end of a process that is no child of ours: even a killed one is gone only after a moment."""
    end = time.monotonic() + LIMIT
    while runs(pid):
        assert time.monotonic() < end, f"Process {pid} goes on."
        time.sleep(0.02)
