"""An image area of a test's own, and where its images are built."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.conftest import Keys
from tests.playbooks.image_area.area import FOLDER, NAMES, Builder
from tests.playbooks.modules import program_of


@pytest.fixture(scope="module")
def program() -> Iterator[Any]:
    with program_of(FOLDER, NAMES) as modules:
        yield modules


@pytest.fixture
def builder(tmp_path: Path, keys: Keys, tool: Any) -> Builder:
    (tmp_path / "images").mkdir()
    return Builder(tmp_path / "images", keys, tool)


@pytest.fixture
def area(tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    # Hundreds of publications would each wait for the disk of the machine.
    monkeypatch.setattr(program.area, "_sync", lambda _: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    (tmp_path / "unpacked").mkdir()
    return program.area.Area(tmp_path / "unpacked")
