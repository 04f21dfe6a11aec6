"""What every part of container-image uses: programs, digests, and the one error that is told to whoever called."""

from __future__ import annotations

import hashlib
import json
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any


class Refused(Exception):
    """What was given, or what was found, is not right; the message names it."""


def run(arguments: list[str], environment: dict[str, str] | None = None, folder: Path | None = None) -> str:
    """Run a program and return what it printed; what it complained of is told only if it failed.

    Raises:
        Refused: it failed, or is not installed.
    """
    try:
        done = subprocess.run(
            arguments, capture_output=True, encoding="utf-8", errors="replace", check=False, env=environment, cwd=folder
        )
    except FileNotFoundError:
        raise Refused(f"'{arguments[0]}' is not installed.") from None
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise Refused(f"'{arguments[0]}' ended with {done.returncode}:\n{said}")
    return done.stdout


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_json(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        Refused: it holds something else.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refused(f"'{file}' is no JSON: {error}.") from None


def as_json(data: object) -> str:
    """Return data as text that is the same each time."""
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def as_date(epoch: int) -> str:
    """Return seconds since 1970 as a date of ISO 8601, in UTC."""
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
