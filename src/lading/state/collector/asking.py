"""How the collector reads files and asks programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

Items = dict[str, Any]
"""A part of a state: facts by the name of their item."""

Skips = Callable[[str], Any]
"""Tells whether an item is on the ignore list."""

PROGRAM_SECONDS = 120


def read(path: str) -> str:
    """Return a file's text, whatever bytes it holds; nothing if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()
    except OSError:
        return ""


def ask(*words: str) -> str:
    """Return what a program printed; its failure ends the collector, since half a state would mislead."""
    environment = {
        "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        # systemctl waits for 25 s by itself, which has been too short for a guest among five busy ones.
        "SYSTEMD_BUS_TIMEOUT": f"{PROGRAM_SECONDS}s",
    }
    done = subprocess.run(
        words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROGRAM_SECONDS, check=False
    )
    if done.returncode:
        sys.exit(f"'{' '.join(words)}' ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="backslashreplace")


def shown(name: str) -> str:
    """Return a file's name as JSON can hold it, whatever bytes it is made of."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def stanzas(text: str, separator: str) -> Iterator[dict[str, str]]:
    """Yield the paragraphs of `key<separator>value` lines."""
    for paragraph in text.split("\n\n"):
        rows = (line.split(separator, 1) for line in paragraph.splitlines() if separator in line)
        found = {row[0]: row[1].strip() for row in rows}
        if found:
            yield found
