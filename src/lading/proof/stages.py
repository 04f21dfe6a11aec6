"""The stages of a route that a program walks: Ansible's and Puppet's.

Each returns what it counted, or raises `PathFailed` with what was wrong.
"""

from dataclasses import dataclass, field

from lading.checks.report import CheckReport
from lading.errors import PathFailed
from lading.proof.bench import AutomatedRoute, Bench, States
from lading.proof.judge import (
    Delta,
    changes,
    listed,
    refuse_changes,
    refuse_errors,
    require_all_pass,
    require_green,
    require_red,
    require_restored,
)
from lading.routes.result import PlayResult


@dataclass
class AutomatedStages:
    """One walk of a route. `before` and `after` are filled by `apply`: what agree and undo are held against."""

    bench: Bench
    route: AutomatedRoute
    before: States = field(default_factory=dict)
    after: States = field(default_factory=dict)

    @property
    def delta(self) -> Delta | None:
        """What the route made of its hosts; nothing before it has deployed."""
        return Delta(self.before, self.after) if self.after else None

    def red(self) -> str:
        """Each check fails on the start state, or is declared to hold there."""
        self.before = self.bench.states()
        return require_red(self.bench, "red")

    def apply(self) -> str:
        """The route ends well; on the untouched host its rehearsal has run before, and changed nothing."""
        # Checks that mutate have run at red: what they leave (a unit that was restarted) is not the path's.
        rehearsed = self.bench.states()
        self.before = self.before or rehearsed
        self.bench.play(self.route, "apply-check", check=True)
        refuse_changes(
            changes(rehearsed, self.bench.states()), "On the untouched host, the rehearsal changed something"
        )
        result = self.bench.play(self.route, "apply")
        self.after = self.bench.states()
        return f"the rehearsal changed nothing; then {len(result.changed)} tasks changed something"

    def green(self) -> str:
        """Every check passes, and those that only read change nothing."""
        return require_green(self.bench, "green")

    def again(self) -> str:
        """A second run changes nothing, and the rehearsal foretold that."""
        foretold = self.bench.play(self.route, "again-check", check=True)
        done = self.bench.play(self.route, "again")
        _refuse_lies("again", foretold, done)
        if done.changed:
            raise PathFailed(
                f"A second run changed something: {listed(done.changed)}.", hint=f"The whole output: {done.log}"
            )
        return "a second run and its rehearsal changed nothing"

    def sabotage(self) -> str:
        """Each fault turns its checks red and no other fault's; then one run of the route repairs all of them."""
        faults = self.bench.recipe.sabotage
        watched = [check for fault in faults for check in fault.red]
        broken: set[str] = set()
        for number, fault in enumerate(faults, 1):
            self.bench.run_on(
                fault.groups,
                fault.run,
                f"The fault '{fault.run}' could not be made",
                "Mend the line in the recipe's 'sabotage': the role may name a file otherwise now.",
            )
            broken |= set(fault.red)
            report = self.bench.check(f"sabotage-{number}", select=watched)
            refuse_errors(f"sabotage {number}", report)
            _require_red(fault.run, report, broken)
        if faults:
            self._repair()
        return f"{len(faults)} faults, each noticed; one run repaired them as the rehearsal had foretold"

    def _repair(self) -> None:
        foretold = self.bench.play(self.route, "repair-check", check=True)
        if not foretold.changed:
            raise PathFailed("The rehearsal found no drift in a host with every fault made.")
        done = self.bench.play(self.route, "repair")
        _refuse_lies("the repair", foretold, done)
        require_all_pass(self.bench, "repaired")

    def reboot(self) -> str:
        """Every check passes after a reboot."""
        for guest in self.bench.guests.values():
            guest.reboot()
        return require_all_pass(self.bench, "reboot")

    def undo(self) -> str:
        """What the path made is gone, what the host had is back, and the checks are red again."""
        self.bench.play(self.route, "undo", variables=self.bench.recipe.undo)
        restored = require_restored(self.bench, self.before, self.after)
        return f"{restored}; {require_red(self.bench, 'undone')}"


def _require_red(line: str, report: CheckReport, broken: set[str]) -> None:
    blind = sorted(broken & {found.check for found in report.passed})
    if blind:
        raise PathFailed(f"After the fault '{line}' {listed(blind)} still passed.")
    collateral = [found for found in report.failed if found.check not in broken]
    if collateral:
        raise PathFailed(
            f"The fault '{line}' also turned {listed([found.check for found in collateral])} red, "
            f"which is another fault's to turn: {collateral[0].message.splitlines()[0]}"
        )


def _refuse_lies(stage: str, foretold: PlayResult, done: PlayResult) -> None:
    said, did = set(foretold.changed), set(done.changed)
    if said != did:
        raise PathFailed(
            f"At {stage}, the rehearsal did not tell the truth: only foretold {listed(sorted(said - did))}, "
            f"only done {listed(sorted(did - said))}.",
            hint=f"Compare {foretold.log}\nwith    {done.log}",
        )
