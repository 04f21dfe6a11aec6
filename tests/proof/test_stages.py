"""What each stage takes for a verdict: reports and play results are given here, the judging is the engine's."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lading.checks.report import CheckReport, CheckResult, Outcome
from lading.errors import PathFailed
from lading.proof.bench import AutomatedRoute, Bench, States
from lading.proof.stages import AutomatedStages
from lading.proof.starts import StartStages
from lading.proof.typed import TypedStages
from lading.recipe.model import Sabotage, Start
from lading.routes.byhand import ByHandRoute
from lading.routes.result import PlayResult, TaskResult
from tests.proof.states import state_of

HERE = "test_demo.py::test_here"
QUIET = "test_demo.py::test_quiet"


def report(**outcomes: Outcome) -> CheckReport:
    names = {"here": HERE, "quiet": QUIET}
    return CheckReport(
        tuple(CheckResult(names[name], said, 1.0, f"{name} is {said}", False) for name, said in outcomes.items())
    )


def play(*changed: str, rc: int = 0, message: str = "") -> PlayResult:
    tasks = [TaskResult("worker1", name, "t.yml:1", "copy", "ok", True, 1.0, "") for name in changed]
    if rc:
        tasks.append(TaskResult("worker1", "Refuse", "t.yml:9", "assert", "failed", False, 1.0, message))
    return PlayResult(rc, 1.0, tuple(tasks), Path("ansible.log"))


def state(**files: str) -> States:
    """Return the state of one host: files in /etc with their digests."""
    return {"worker1": state_of({f"file:/etc/{name}": {"sha256": digest} for name, digest in files.items()})}


CLEAN = state(hosts="1")
DEPLOYED = state(hosts="1", demo="2")


@dataclass
class Script:
    """Stands for a bench: gives the reports, results and states it was told, in order, and notes what was run."""

    reports: list[CheckReport] = field(default_factory=list)
    plays: list[PlayResult] = field(default_factory=list)
    states_told: list[States] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    refuses: str | None = None

    def __post_init__(self) -> None:
        before = [SimpleNamespace(check=QUIET)]
        faults = [Sabotage(run="break here", red=[HERE]), Sabotage(run="be loud", red=[QUIET], groups=["workers"])]
        self.recipe = SimpleNamespace(
            true_before=before, sabotage=faults, differences=[], undo={"demo_state": "absent"}
        )  # fmt: skip
        self.guests = {"worker1": SimpleNamespace(reboot=lambda: self.ran.append("reboot"))}

    def check(self, _label: str, **_: object) -> CheckReport:
        return self.reports.pop(0)

    def play(self, _route: object, label: str, *, variables: Any = None, **_: object) -> PlayResult:
        self.ran.append(f"{label} {variables}" if variables else label)
        return self.plays.pop(0)

    try_to_play = play

    def states(self) -> States:
        return self.states_told.pop(0) if self.states_told else CLEAN

    def run_on(self, groups: Sequence[str], script: str, what: str, _mend: str) -> None:
        self.ran.append(f"{script} on {','.join(groups)}" if groups else script)
        if script == self.refuses:
            raise PathFailed(what)


def stages(
    *reports: CheckReport, plays: tuple[PlayResult, ...] = (), states: tuple[States, ...] = ()
) -> AutomatedStages:
    script = Script(list(reports), list(plays), list(states))
    return AutomatedStages(cast(Bench, script), cast(AutomatedRoute, None))


def test_red_wants_failures_and_what_was_declared() -> None:
    assert stages(report(here="failed", quiet="passed")).red() == "1 checks failed, 1 declared true before"


def test_a_check_that_passes_on_the_untouched_host_is_refused() -> None:
    with pytest.raises(PathFailed, match=r"'test_demo.py::test_here' passed on a host without the path"):
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


def test_a_check_that_changes_the_host_and_does_not_say_so_is_refused() -> None:
    passing = report(here="passed", quiet="passed")
    assert stages(passing, report()).green() == "2 checks passed; those that only read changed nothing"
    with pytest.raises(PathFailed, match=r"not marked 'mutates' changed the host: .*file:/etc/demo"):
        stages(passing, report(), states=(CLEAN, DEPLOYED)).green()


def test_a_second_run_that_changes_something_is_named() -> None:
    with pytest.raises(PathFailed, match="A second run changed something: 'worker1: Write it'"):
        stages(plays=(play("Write it"), play("Write it"))).again()


@pytest.mark.parametrize("foretold, done", [((), ("Write it",)), (("Write it",), ())])
def test_check_mode_that_lies_is_named(foretold: tuple[str, ...], done: tuple[str, ...]) -> None:
    with pytest.raises(PathFailed, match=r"the rehearsal did not tell the truth.*'worker1: Write it'"):
        stages(plays=(play(*foretold), play(*done))).again()


def test_sabotage_runs_the_faults_in_order_and_repairs_once() -> None:
    run = stages(
        report(here="failed", quiet="passed"),
        report(here="failed", quiet="failed"),
        report(here="passed", quiet="passed"),
        plays=(play("Repair"), play("Repair")),
    )
    assert run.sabotage().startswith("2 faults")
    assert cast(Script, run.bench).ran == ["break here", "be loud on workers", "repair-check", "repair"]


def test_a_fault_that_no_check_notices_is_named() -> None:
    with pytest.raises(PathFailed, match=r"After the fault 'break here' 'test_demo.py::test_here' still passed"):
        stages(report(here="passed", quiet="passed")).sabotage()


def test_a_fault_that_turns_anothers_check_red_is_named() -> None:
    with pytest.raises(PathFailed, match=r"The fault 'break here' also turned 'test_demo.py::test_quiet' red"):
        stages(report(here="failed", quiet="failed")).sabotage()


def test_a_repair_that_check_mode_did_not_foretell_is_refused() -> None:
    with pytest.raises(PathFailed, match="At the repair, the rehearsal did not tell the truth"):
        stages(
            report(here="failed", quiet="passed"),
            report(here="failed", quiet="failed"),
            plays=(play("Other"), play("Repair")),
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


def test_drift_that_the_rehearsal_does_not_see_is_refused() -> None:
    with pytest.raises(PathFailed, match="The rehearsal found no drift"):
        stages(report(here="failed", quiet="passed"), report(here="failed", quiet="failed"), plays=(play(),)).sabotage()


def test_the_rehearsal_on_the_untouched_host_may_change_nothing() -> None:
    run = stages(plays=(play(), play("Install")), states=(CLEAN, CLEAN, DEPLOYED))
    assert run.apply() == "the rehearsal changed nothing; then 1 tasks changed something"
    assert run.delta is not None
    assert run.delta.after == DEPLOYED
    with pytest.raises(PathFailed, match=r"the rehearsal changed something: .*file:/etc/demo"):
        stages(plays=(play(), play("Install")), states=(CLEAN, DEPLOYED)).apply()


RED_AGAIN = report(here="failed", quiet="passed")


def test_undo_runs_with_the_recipes_variables_and_wants_the_checks_red_again() -> None:
    run = stages(RED_AGAIN, plays=(play("Remove"),))
    run.before, run.after = CLEAN, DEPLOYED
    assert "every item of the state is as it was; 1 checks failed" in run.undo()
    assert cast(Script, run.bench).ran == ["undo {'demo_state': 'absent'}"]
    run = stages(report(here="passed", quiet="passed"), plays=(play("Remove"),))
    run.before, run.after = CLEAN, DEPLOYED
    with pytest.raises(PathFailed, match="passed on a host without the path"):
        run.undo()


@pytest.mark.parametrize("after", [DEPLOYED, state(hosts="other"), state()], ids=["left", "changed", "taken"])
def test_an_undo_that_leaves_changes_or_takes_something_is_named(after: States) -> None:
    run = stages(RED_AGAIN, plays=(play("Remove"),), states=(after,))
    run.before, run.after = CLEAN, DEPLOYED
    with pytest.raises(PathFailed, match=r"After undo the host is not as it was: .*file:/etc/(demo|hosts)"):
        run.undo()


def test_what_undo_may_leave_is_declared() -> None:
    run = stages(RED_AGAIN, plays=(play("Remove"),), states=(DEPLOYED,))
    run.before, run.after = CLEAN, DEPLOYED
    run.bench.recipe.differences.append(SimpleNamespace(stage="undo", item="file:/etc/dem*"))  # type: ignore[arg-type] # stands for one
    assert run.undo()


START = Start(help="A host.", setup="set up", stays=["still there"], refused=None)
REFUSED = Start(help="A host.", setup="set up", stays=["still there"], refused="has a setuid starter")


def start(said: Start, *plays: PlayResult, states: tuple[States, ...] = ()) -> StartStages:
    script = Script([], list(plays), list(states))
    return StartStages(cast(Bench, script), cast(AutomatedRoute, None), said)


def test_a_host_that_is_not_clean_keeps_what_its_admin_had() -> None:
    run = start(START, play("Install"), play("Remove"))
    assert run.apply() == "1 tasks changed something; 1 things of the admin's are as they were"
    assert run.undo().endswith("1 things of the admin's are as they were")
    assert cast(Script, run.bench).ran == [
        "set -e\n\nset up", "still there", "apply", "still there", "undo {'demo_state': 'absent'}", "still there",
    ]  # fmt: skip


def test_an_undo_that_takes_what_the_admin_had_fails() -> None:
    run = start(START, play("Install"), play("Remove"), states=(DEPLOYED, CLEAN))
    run.apply()
    with pytest.raises(PathFailed, match="After undo the host is not as it was"):
        run.undo()
    run = start(START, play("Install"), play("Remove"))
    run.apply()
    cast(Script, run.bench).refuses = "still there"
    with pytest.raises(PathFailed, match="Not so after undo: 'still there'"):
        run.undo()


def test_a_refusal_has_to_come_in_its_words_and_with_nothing_changed() -> None:
    refusal = play(rc=2, message="'worker1' has a\n setuid starter: /usr/x")
    assert start(REFUSED, refusal).apply().startswith("refused as it should be, with nothing changed")
    with pytest.raises(PathFailed, match="should have been refused"):
        start(REFUSED, play("Install")).apply()
    with pytest.raises(PathFailed, match=r"The refusal should say 'has a setuid starter'\. It failed on 'worker1'"):
        start(REFUSED, play(rc=2, message="No space.")).apply()
    with pytest.raises(PathFailed, match="refused this host, but changed it first"):
        start(REFUSED, refusal, states=(CLEAN, DEPLOYED)).apply()


@dataclass
class Typist:
    """Stands for the route by hand: notes which sections were typed."""

    typed: list[str] = field(default_factory=list)

    def type(self, section: str) -> str:
        self.typed.append(section)
        return "2 commands"

    def close(self) -> None:
        self.typed.append("shells closed")


def test_a_page_is_typed_section_by_section() -> None:
    typist = Typist()
    passing = report(here="passed", quiet="passed")
    script = Script([passing, report(), passing, RED_AGAIN])
    run = TypedStages(cast(Bench, script), cast(ByHandRoute, typist))
    assert run.apply() == "Install: 2 commands; Configure: 2 commands"
    run.green()
    run.reboot()
    assert "every item of the state is as it was" in run.undo()
    assert typist.typed == [
        "install", "configure", "validate", "operate", "shells closed", "validate", "undo",
    ]  # fmt: skip
    assert script.ran == ["reboot"]
