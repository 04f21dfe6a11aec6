"""How `make check` gathers what linters say."""

import sys
from pathlib import Path

import pytest

from tools import check
from tools.check import Check, Result, perform, run_all, verdict

PYTHON = sys.executable


def test_every_check_runs_even_if_one_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    selected = [
        Check("first", (PYTHON, "-c", "print('line 3 is wrong'); raise SystemExit(1)")),
        Check("second", (PYTHON, "-c", "print('a long success story')")),
    ]

    results = run_all(selected, tmp_path)

    said = capsys.readouterr().out
    assert [result.ok for result in results] == [False, True]
    assert "FAILED" in said.splitlines()[0]
    assert "line 3 is wrong" in said
    assert "success story" not in said


def test_a_linter_that_is_missing_has_failed(tmp_path: Path) -> None:
    result = perform(Check("new", ("no-such-linter",)), tmp_path)

    assert not result.ok
    assert result.output == "'no-such-linter' is not installed; 'make setup' installs it."


def test_a_linter_that_does_not_end_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "LIMIT", 0.5)

    result = perform(Check("slow", (PYTHON, "-c", "import time; time.sleep(60)")), tmp_path)

    assert not result.ok
    assert "did not end" in result.output


def test_the_verdict_names_what_failed() -> None:
    results = [Result("ruff", True, 1, ""), Result("mypy", False, 2, ""), Result("trust", False, 1, "")]

    assert verdict(results, 4) == "2 of 3 checks failed in 4 s: 'mypy', 'trust'"
    assert verdict(results[:1], 4) == "All 1 checks are well, in 4 s."


def test_a_check_can_be_chosen_by_the_beginning_of_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "checks", lambda _: [Check("ruff", (PYTHON, "-c", "")), Check("mypy", ("missing",))])

    assert check.main(["ru"]) == 0
    assert check.main([]) == 1
    assert check.main(["rubocop"]) == 2
    assert "there are: ruff, mypy" in capsys.readouterr().err


def test_each_recipe_has_its_types_checked_by_itself(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "recipes" / name).mkdir(parents=True)
        (tmp_path / "recipes" / name / "test_worker.py").touch()

    found = list(check._recipe_types(tmp_path))

    assert [each.name for each in found] == ["mypy one", "mypy two"]
    assert found[0].argv[-1] == "recipes/one/test_worker.py"
    assert found[0].more_environment == {"MYPYPATH": "src:recipes/one"}


def test_programs_that_roles_bring_are_looked_at_one_by_one(tmp_path: Path) -> None:
    for name in ("one/files/alone.py", "two/files/program/a.py", "two/files/program/b.py", "two/tasks/no.py"):
        file = tmp_path / "playbooks/roles" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    found = {made.name: made.argv[2:] for made in check._program_types(tmp_path)}
    of_two = "playbooks/roles/two/files/program"
    assert found == {
        "mypy one": ("playbooks/roles/one/files/alone.py",),
        "mypy program": (f"{of_two}/a.py", f"{of_two}/b.py"),
    }
