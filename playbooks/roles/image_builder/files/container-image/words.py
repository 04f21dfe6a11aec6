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
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            arguments, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace", env=environment, cwd=folder
        )
    except FileNotFoundError:
        raise Refused(f"'{arguments[0]}' is not installed.") from None
    with process:
        output, complaint = _to_its_end(process)
    if process.returncode != 0:
        said = "\n".join((complaint or output).strip().splitlines()[-12:])
        raise Refused(f"'{arguments[0]}' ended with {process.returncode}:\n{said}")
    return output


def _to_its_end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what a program says; when this one is interrupted, so is that, and is given the time to tidy up."""
    try:
        return process.communicate()
    except KeyboardInterrupt:
        try:
            process.communicate()
        finally:
            process.kill()  # for those who interrupt once more; one that has ended does not notice
        raise


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
