"""Checks are listed from a file's text, with what the page shows of them."""

from pathlib import Path

from lading.checks.listing import Check, list_checks

TEXT = '''
import pytest


def helper() -> None: ...


def test_one(host) -> None:
    """One thing holds
    on every worker.

    More about it.
    """


@pytest.mark.mutates
def test_two(host) -> None: ...


class TestMore:
    def test_three(self, host) -> None: ...
'''


def test_names_sentences_and_marks_are_read(tmp_path: Path) -> None:
    file = tmp_path / "test_worker.py"
    file.write_text(TEXT)
    assert list_checks(file) == (
        Check("test_worker.py::test_one", "One thing holds on every worker.", mutates=False, line=8),
        Check("test_worker.py::test_two", "", mutates=True, line=17),
        Check("test_worker.py::TestMore::test_three", "", mutates=False, line=21),
    )
