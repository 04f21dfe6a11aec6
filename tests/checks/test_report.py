"""A report's results are one for each check, the worst of all hosts."""

import json
from pathlib import Path

import pytest

from lading.checks.report import CheckReport, Outcome, read_report
from lading.errors import LabError


def line(check: str, outcome: str, message: str = "", seconds: float = 1.0) -> str:
    return json.dumps({"check": check, "outcome": outcome, "seconds": seconds, "message": message, "mutates": False})


def report_of(folder: Path, *lines: str) -> CheckReport:
    file = folder / "report.jsonl"
    file.write_text("".join(f"{one}\n" for one in lines))
    return read_report(file)


@pytest.mark.parametrize(
    "first, second, worst",
    [
        ("passed", "failed", "failed"),
        ("failed", "error", "error"),
        ("passed", "skipped", "skipped"),
        ("skipped", "failed", "failed"),
    ],
)
def test_the_worst_host_decides(first: Outcome, second: Outcome, worst: Outcome, tmp_path: Path) -> None:
    report = report_of(tmp_path, line("t.py::test_x", first, "one"), line("t.py::test_x", second, "two"))
    assert report.outcome("t.py::test_x") == worst
    assert report.results[0].message == "one\ntwo"
    assert report.results[0].seconds == 2.0


def test_a_skipped_check_has_proven_nothing(tmp_path: Path) -> None:
    assert not report_of(tmp_path, line("t.py::test_x", "passed"), line("t.py::test_y", "skipped")).all_passed
    assert report_of(tmp_path, line("t.py::test_x", "passed")).all_passed


def test_durations_name_the_slowest_first(tmp_path: Path) -> None:
    report = report_of(tmp_path, line("t.py::test_x", "passed", seconds=0.5), line("t.py::test_y", "failed", seconds=2))
    assert list(report.durations.items()) == [("t.py::test_y", 2.0), ("t.py::test_x", 0.5)]
    assert report.summary() == "1 passed, 1 failed in 2.5 s"


@pytest.mark.parametrize("broken", ['{"check": "t.py::te', '{"check": "x"}', line("t.py::test_x", "fine"), "[]"])
def test_a_report_that_is_cut_off_is_trouble_of_the_laboratory(broken: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be read"):
        report_of(tmp_path, broken)
