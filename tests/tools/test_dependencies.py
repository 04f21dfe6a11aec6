"""What pyproject.toml asks for is locked, with hashes, and has its reason."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()


def wanted() -> list[str]:
    """Return the names of all packages that pyproject.toml asks for."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return sorted(re.split(r"[\[<>=!~ ]", line)[0] for group in groups for line in group)


def locked() -> dict[str, int]:
    """Return each package of the lock with the number of its hashes."""
    entries = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    return {entry.partition("==")[0]: entry.count("--hash=sha256:") for entry in entries}


@pytest.mark.parametrize("name", wanted())
def test_a_dependency_is_locked_and_has_its_reason(name: str) -> None:
    assert name in locked()
    assert f"`{name}`" in (ROOT / "CONTRIBUTING.md").read_text()


def test_every_locked_package_has_hashes() -> None:
    assert all(locked().values())


def test_the_lock_names_no_place_to_fetch_from() -> None:
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links|@ ", LOCK)
