"""A snapshot's digest: of what a file holds, wherever its holes are."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.lab.snapshot import BLOCK, file_digest


def test_holes_and_zeros_are_the_same(tmp_path: Path) -> None:
    content = b"\0" * (3 * BLOCK) + b"data" + b"\0" * (2 * BLOCK + 7)
    (tmp_path / "full").write_bytes(content)
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(3 * BLOCK)
        file.write(b"data")
        file.truncate(len(content))
    assert file_digest(tmp_path / "full") == file_digest(tmp_path / "sparse")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3 * BLOCK - 1), st.integers(1, 255))
def test_any_changed_byte_shows(tmp_path_factory: pytest.TempPathFactory, place: int, value: int) -> None:
    folder = tmp_path_factory.mktemp("digest")
    content = bytearray(3 * BLOCK)
    content[BLOCK + 5] = 7
    (folder / "one").write_bytes(content)
    content[place] ^= value
    (folder / "other").write_bytes(content)
    assert file_digest(folder / "one") != file_digest(folder / "other")


def test_zeros_at_the_end_count(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"data")
    (tmp_path / "long").write_bytes(b"data\0")
    assert file_digest(tmp_path / "short") != file_digest(tmp_path / "long")


def test_a_missing_file_has_no_digest(tmp_path: Path) -> None:
    assert file_digest(tmp_path / "none") == ""
