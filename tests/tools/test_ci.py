"""CI's steps, their time and their last line; no step is really taken but small ones."""

import sys
from pathlib import Path

import pytest

from tools.ci import LAB_BROKE, LEAST_FOR_VERIFY, Counted, Run, Step, as_duration, closing_line, read_junit, report

WELL = [Step("setup", 0, 40.0), Step("check", 0, 60.0), Step("test", 0, 600.0)]


class FakeRun(Run):
    """A run whose steps end at once, with the exit codes that were given by name, one after the other."""

    def __init__(self, work: Path, codes: dict[str, list[int]] | None = None, planned: float = 4500) -> None:
        super().__init__(work, planned)
        self.codes = codes or {}
        self.taken: list[tuple[str, list[str], float]] = []

    def take(self, name: str, argv: list[str], limit: float) -> int:
        left = self.codes.get(name, [])
        rc = left.pop(0) if left else 0
        self.taken.append((name, argv, limit))
        self.steps.append(Step(name, rc, 1.0))
        return rc


def names(run: FakeRun) -> list[str]:
    run.everything()
    return [name for name, _, _ in run.taken]


def test_every_step_is_taken_even_if_a_linter_fails(tmp_path: Path) -> None:
    assert names(FakeRun(tmp_path, {"check": [2], "test": [1]})) == ["setup", "check", "test", "site", "verify"]


def test_nothing_is_tried_without_a_setup(tmp_path: Path) -> None:
    assert names(FakeRun(tmp_path, {"setup": [2]})) == ["setup"]


def test_a_broken_laboratory_is_tried_once_more(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, {"verify": [LAB_BROKE, 0]})

    assert names(run).count("verify") == 2
    assert all(step.ok for step in run.steps)


def test_a_laboratory_that_broke_twice_has_failed(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, {"verify": [LAB_BROKE, LAB_BROKE, 0]})

    assert names(run).count("verify") == 2
    assert [step.ok for step in run.steps][-2:] == [True, False]


@pytest.mark.parametrize("code", [1, 2])
def test_a_verdict_is_not_tried_again(tmp_path: Path, code: int) -> None:
    assert names(FakeRun(tmp_path, {"verify": [code]})).count("verify") == 1


def test_verify_gets_the_time_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LADING_CI_BASE", raising=False)
    run = FakeRun(tmp_path, planned=2000)
    run.verify()

    _, argv, limit = run.taken[-1]
    assert argv[-3:] == ["--ci", "--deadline", "33m"]
    assert 2500 < limit <= 2600


def test_verify_gets_some_time_even_if_none_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LADING_CI_BASE", raising=False)
    run = FakeRun(tmp_path, planned=0)
    run.verify()

    assert run.taken[-1][1][-1] == as_duration(LEAST_FOR_VERIFY) == "5m"


def test_a_push_of_several_commits_names_where_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADING_CI_BASE", "abc123")
    run = FakeRun(tmp_path)
    run.verify()

    assert run.taken[-1][1][-2:] == ["--base", "abc123"]


def test_a_step_that_does_not_end_is_stopped_and_has_failed(tmp_path: Path) -> None:
    run = Run(tmp_path)

    rc = run.take("test", [sys.executable, "-c", "import time; time.sleep(600)"], limit=1)

    assert rc == 124
    assert run.steps[0].seconds < 20


def test_a_step_knows_a_cache_of_its_own(tmp_path: Path) -> None:
    look = f"import os; assert os.environ['LADING_CACHE'] == {str(tmp_path / 'cache')!r}"

    assert Run(tmp_path).take("test", [sys.executable, "-c", look], limit=60) == 0


@pytest.mark.parametrize(
    "steps,tests,line",
    [
        (WELL, Counted(312, 0), "312 passed, 0 failed"),
        ([*WELL, Step("verify", 1, 9.0)], Counted(312, 0), "312 passed, 1 failed"),
        ([*WELL[:2], Step("test", 2, 9.0)], Counted(310, 2), "310 passed, 2 failed"),
        ([*WELL[:2], Step("test", 2, 9.0)], Counted(312, 0), "312 passed, 1 failed"),  # coverage fell too low
        ([*WELL[:2], Step("test", 2, 9.0)], None, "0 passed, 1 failed"),
        ([*WELL, Step("verify", 3, 9.0, repeated=True), Step("verify", 0, 9.0)], Counted(5), "5 passed, 0 failed"),
    ],
)
def test_the_last_line_counts_tests_and_what_else_failed(steps: list[Step], tests: Counted | None, line: str) -> None:
    assert closing_line(steps, tests) == line
    assert report(steps, tests).splitlines()[-1] == line


def test_the_counts_are_those_of_pytest(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    file.write_text(
        '<testsuites><testsuite tests="9" failures="1" errors="2" skipped="3"/>'
        '<testsuite tests="1" failures="0" errors="0" skipped="0"/></testsuites>'
    )

    assert read_junit(file) == Counted(passed=4, failed=3, skipped=3)


def test_tests_that_never_ended_count_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "cut.xml").write_text("<testsuites><testsuite")

    assert read_junit(tmp_path / "missing.xml") is None
    assert read_junit(tmp_path / "cut.xml") is None
