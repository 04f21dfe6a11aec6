"""The virtual environment `.venv`: exactly what the lock file names, and lading itself."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class CannotInstall(Exception):
    """A command that makes the environment failed; the message has its last lines."""


class Environment:
    """The environment of one checkout, and the stamp in it that tells what it was made from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin/python"
        self.stamp = self.folder / "lading-setup.json"

    def wanted(self) -> dict[str, str]:
        """Return what the environment should be made from.

        Its own path counts, since scripts in it begin with that; of pyproject.toml only what installing reads.
        """
        return {
            "python": platform.python_version(),
            "folder": str(self.folder),
            "lock": _digest((self.root / "requirements.lock").read_bytes()),
            "project": _digest(installing_part((self.root / "pyproject.toml").read_text()).encode()),
        }

    def present(self) -> dict[str, str]:
        """Return what the environment was made from; empty if it was not finished."""
        try:
            read = json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return {}
        return read if isinstance(read, dict) and self.python.exists() else {}

    def is_ready(self) -> bool:
        """Tell whether there is nothing to do."""
        return self.present() == self.wanted()

    def make(self) -> None:
        """Do what is missing, and no more.

        Raises:
            CannotInstall: a step failed; what was there is finished by the next try.
        """
        wanted, present = self.wanted(), self.present()
        self.stamp.unlink(missing_ok=True)
        if not self._is_sound(wanted, present):
            print(f"  a virtual environment in '.venv' with Python {wanted['python']}", flush=True)
            _run([sys.executable, "-m", "venv", "--clear", str(self.folder)])
            present = {}
        if present.get("lock") != wanted["lock"]:
            print(f"  {self.locked()} locked packages; the first time, this takes about a minute", flush=True)
            self._pip("--require-hashes", "--requirement", str(self.root / "requirements.lock"))
        self._pip("--no-deps", "--no-build-isolation", "--editable", str(self.root))
        self.stamp.write_text(json.dumps(wanted, indent=1) + "\n")

    def locked(self) -> int:
        """Return how many packages the lock file names."""
        return sum("==" in line for line in (self.root / "requirements.lock").read_text().splitlines())

    def _is_sound(self, wanted: dict[str, str], present: dict[str, str]) -> bool:
        same = all(present.get(key) == wanted[key] for key in ("python", "folder"))
        return same and _runs([str(self.python), "-m", "pip", "--version"])

    def _pip(self, *words: str) -> None:
        quiet = ("--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar=off")
        _run([str(self.python), "-m", "pip", "install", *quiet, *words])


def installing_part(pyproject: str) -> str:
    """Return the tables of pyproject.toml that installing reads; the others are settings of linters and tests."""
    import tomllib  # noqa: PLC0415 - Python 3.11 has it; older ones must get as far as being told so

    tables = tomllib.loads(pyproject)
    hatch = tables.get("tool", {}).get("hatch", {})
    return json.dumps([tables["build-system"], tables["project"], hatch], sort_keys=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _runs(argv: list[str]) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise CannotInstall(f"'{argv[0]}' ended with {done.returncode}:\n{tail}")
