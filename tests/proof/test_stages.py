"""What each stage takes for a verdict: reports and play results are given here, the judging is the engine's."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lading.checks.report import CheckReport, CheckResult, Outcome
from lading.errors import PathFailed
from lading.lab.channel import Answer
from lading.proof.bench import Bench
from lading.proof.stages import PlaybookStages
from lading.routes.playbook import PlayResult, TaskResult

HERE = "test_demo.py::test_here"
QUIET = "test_demo.py::test_quiet"


def report(**outcomes: Outcome) -> CheckReport:
    names = {"here": HERE, "quiet": QUIET}
    return CheckReport(
        tuple(CheckResult(names[name], said, 1.0, f"{name} is {said}", False) for name, said in outcomes.items())
    )


def play(*changed: str) -> PlayResult:
    tasks = tuple(TaskResult("worker1", name, "t.yml:1", "copy", "ok", True, 1.0, "") for name in changed)
    return PlayResult(0, 1.0, tasks, Path("ansible.log"))


@dataclass
class Script:
    """Stands for a bench: gives the reports and results it was told, in order, and notes the faults run."""

    reports: list[CheckReport] = field(default_factory=list)
    plays: list[PlayResult] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    recipe: Any = None
    fault_rc: int = 0
    fingerprints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        before = [SimpleNamespace(check=QUIET)]
        faults = [SimpleNamespace(run="break here", red=[HERE]), SimpleNamespace(run="be loud", red=[QUIET])]
        self.recipe = SimpleNamespace(true_before=before, sabotage=faults)
        self.guests = {"worker1": SimpleNamespace(ask=self.ask, reboot=lambda: None)}

    def check(self, _label: str, **_: object) -> CheckReport:
        return self.reports.pop(0)

    def play(self, _label: str, **_: object) -> PlayResult:
        return self.plays.pop(0)

    def ask(self, line: str, _seconds: float, *, check: bool) -> Answer:
        assert not check, "a fault that can't be made is told as such"
        self.faults.append(line)
        return Answer(self.fault_rc, "no such file")

    def fingerprint(self) -> str:
        return self.fingerprints.pop(0) if self.fingerprints else ""

    def packages(self) -> dict[str, str]:
        return {}


def stages(*reports: CheckReport, plays: tuple[PlayResult, ...] = ()) -> PlaybookStages:
    return PlaybookStages(cast(Bench, Script(list(reports), list(plays))))


def test_red_wants_failures_and_what_was_declared() -> None:
    assert stages(report(here="failed", quiet="passed")).red() == "1 checks failed, 1 declared true before"


def test_a_check_that_passes_on_the_untouched_host_is_refused() -> None:
    with pytest.raises(PathFailed, match=r"'test_demo.py::test_here' passed on the untouched host"):
        stages(report(here="passed", quiet="passed")).red()


def test_a_declaration_that_is_not_true_is_refused() -> None:
    with pytest.raises(PathFailed, match=r"'test_demo.py::test_quiet' is declared in 'true_before' but failed"):
        stages(report(here="failed", quiet="failed")).red()


@pytest.mark.parametrize("outcome", ["error", "skipped"])
def test_an_error_is_not_red(outcome: Outcome) -> None:
    with pytest.raises(PathFailed, match="ended neither green nor red"):
        stages(report(here=outcome, quiet="passed")).red()


@pytest.mark.parametrize("outcome", ["failed", "error", "skipped"])
def test_green_wants_every_check_passed(outcome: Outcome) -> None:
    with pytest.raises(PathFailed, match=r"1 of 2 checks did not pass: 'test_demo.py::test_here'") as caught:
        stages(report(here=outcome, quiet="passed")).green()
    assert f"here is {outcome}" in (caught.value.hint or "")


def test_a_second_run_that_changes_something_is_named() -> None:
    with pytest.raises(PathFailed, match="A second run changed something: 'worker1: Write it'"):
        stages(plays=(play("Write it"), play("Write it"))).again()


@pytest.mark.parametrize("foretold, done", [((), ("Write it",)), (("Write it",), ())])
def test_check_mode_that_lies_is_named(foretold: tuple[str, ...], done: tuple[str, ...]) -> None:
    with pytest.raises(PathFailed, match=r"--check did not tell the truth.*'worker1: Write it'"):
        stages(plays=(play(*foretold), play(*done))).again()


def test_sabotage_runs_the_faults_in_order_and_repairs_once() -> None:
    run = stages(
        report(here="failed", quiet="passed"),
        report(here="failed", quiet="failed"),
        report(here="passed", quiet="passed"),
        plays=(play("Repair"), play("Repair")),
    )
    assert run.sabotage().startswith("2 faults")
    assert cast(Script, run.bench).faults == ["break here", "be loud"]


def test_a_fault_that_no_check_notices_is_named() -> None:
    with pytest.raises(PathFailed, match=r"After the fault 'break here' 'test_demo.py::test_here' still passed"):
        stages(report(here="passed", quiet="passed")).sabotage()


def test_a_fault_that_turns_anothers_check_red_is_named() -> None:
    with pytest.raises(PathFailed, match=r"The fault 'break here' also turned 'test_demo.py::test_quiet' red"):
        stages(report(here="failed", quiet="failed")).sabotage()


def test_a_repair_that_check_mode_did_not_foretell_is_refused() -> None:
    with pytest.raises(PathFailed, match="At the repair, --check did not tell the truth"):
        stages(
            report(here="failed", quiet="passed"), report(here="failed", quiet="failed"), plays=(play(), play("Repair"))
        ).sabotage()


def test_a_repair_that_leaves_something_broken_is_refused() -> None:
    with pytest.raises(PathFailed, match="1 of 2 checks did not pass"):
        stages(
            report(here="failed", quiet="passed"),
            report(here="failed", quiet="failed"),
            report(here="failed", quiet="passed"),
            plays=(play("R"), play("R")),
        ).sabotage()


def test_after_a_reboot_every_check_must_pass() -> None:
    with pytest.raises(PathFailed, match=r"'test_demo.py::test_here'"):
        stages(report(here="failed", quiet="passed")).reboot()


def test_a_fault_that_cannot_be_made_is_the_recipes() -> None:
    run = stages()
    cast(Script, run.bench).fault_rc = 1
    with pytest.raises(PathFailed, match=r"The fault 'break here' could not be made \(exit 1\): no such file"):
        run.sabotage()


def test_check_mode_on_the_untouched_host_may_change_nothing() -> None:
    run = stages(plays=(play(), play("Install")))
    assert run.apply() == "--check changed nothing; then 1 tasks changed something"
    run = stages(plays=(play(), play("Install")))
    cast(Script, run.bench).fingerprints = ["before", "after"]
    with pytest.raises(PathFailed, match="On the untouched host, --check changed something: 'after', 'before'"):
        run.apply()
