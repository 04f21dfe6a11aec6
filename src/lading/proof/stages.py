"""The stages of the playbook route. Each returns what it counted, or raises `PathFailed` with what was wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lading.checks.report import CheckReport, CheckResult
from lading.errors import PathFailed
from lading.proof.bench import Bench
from lading.routes.playbook import PlayResult


@dataclass
class PlaybookStages:
    """One run of the playbook route. `installed` is filled by `apply`: packages that came with it."""

    bench: Bench
    installed: dict[str, str] = field(default_factory=dict)

    def red(self) -> str:
        """Each check fails on the start state, or is declared to hold there."""
        report = self.bench.check("red")
        declared = {entry.check for entry in self.bench.recipe.true_before}
        _refuse_errors("red", report)
        too_good = [found.check for found in report.passed if found.check not in declared]
        if too_good:
            raise PathFailed(
                f"{_list(too_good)} passed on the untouched host, so can't tell a deployed host from it.",
                hint="Sharpen the check, or declare it in 'true_before' with the reason.",
            )
        untrue = [found.check for found in report.failed if found.check in declared]
        if untrue:
            raise PathFailed(f"{_list(untrue)} is declared in 'true_before' but failed on the untouched host.")
        return f"{len(report.failed)} checks failed, {len(report.passed)} declared true before"

    def apply(self) -> str:
        """The playbook runs to its end; on the untouched host --check has run before, and changed nothing."""
        untouched = self.bench.fingerprint()
        self.bench.play("apply-check", check=True)
        if changed := sorted(set(untouched.splitlines()) ^ set(self.bench.fingerprint().splitlines())):
            raise PathFailed(
                f"On the untouched host, --check changed something: {_list(changed[:3])}.", hint="\n".join(changed[:50])
            )
        before = self.bench.packages()
        result = self.bench.play("apply")
        after = self.bench.packages()
        self.installed = {name: version for name, version in after.items() if before.get(name) != version}
        return f"--check changed nothing; then {len(result.changed)} tasks changed something"

    def green(self) -> str:
        """Every check passes."""
        return self._all_pass("green")

    def again(self) -> str:
        """A second run changes nothing, and check mode foretold that."""
        foretold = self.bench.play("again-check", check=True)
        done = self.bench.play("again")
        _refuse_lies("again", foretold, done)
        if done.changed:
            raise PathFailed(
                f"A second run changed something: {_list(done.changed)}.", hint=f"Ansible's output: {done.log}"
            )
        return "a second run and its --check changed nothing"

    def sabotage(self) -> str:
        """Each fault turns its checks red and no other fault's; then one run of the playbook repairs all of them."""
        faults = self.bench.recipe.sabotage
        watched = [check for fault in faults for check in fault.red]
        broken: set[str] = set()
        for number, fault in enumerate(faults, 1):
            for guest in self.bench.guests.values():
                answer = guest.ask(fault.run, 30, check=False)
                if answer.rc != 0:
                    raise PathFailed(
                        f"The fault '{fault.run}' could not be made (exit {answer.rc}): {answer.output.strip()[-300:]}",
                        hint="Mend the line in the recipe's 'sabotage': the role may name a file otherwise now.",
                    )
            broken |= set(fault.red)
            report = self.bench.check(f"sabotage-{number}", select=watched)
            _refuse_errors(f"sabotage {number}", report)
            self._require_red(fault.run, report, broken)
        if faults:
            foretold = self.bench.play("repair-check", check=True)
            done = self.bench.play("repair")
            _refuse_lies("the repair", foretold, done)
            self._all_pass("repaired")
        return f"{len(faults)} faults, each noticed; one run repaired them as --check had foretold"

    def reboot(self) -> str:
        """Every check passes after a reboot."""
        for guest in self.bench.guests.values():
            guest.reboot()
        return self._all_pass("reboot")

    def _require_red(self, line: str, report: CheckReport, broken: set[str]) -> None:
        blind = sorted(broken & {found.check for found in report.passed})
        if blind:
            raise PathFailed(f"After the fault '{line}' {_list(blind)} still passed.")
        collateral = [found for found in report.failed if found.check not in broken]
        if collateral:
            raise PathFailed(
                f"The fault '{line}' also turned {_list([found.check for found in collateral])} red, "
                f"which is another fault's to turn: {collateral[0].message.splitlines()[0]}"
            )

    def _all_pass(self, label: str) -> str:
        report = self.bench.check(label)
        bad = [*report.errors, *report.failed, *report.skipped]
        if bad:
            raise PathFailed(
                f"{len(bad)} of {len(report.results)} checks did not pass: {_list([found.check for found in bad])}.",
                hint="\n".join(map(_tell, bad)),
            )
        return f"{len(report.results)} checks passed"


def _refuse_errors(stage: str, report: CheckReport) -> None:
    broken = [*report.errors, *report.skipped]
    if broken:
        raise PathFailed(
            f"At {stage}, {_list([found.check for found in broken])} ended neither green nor red.",
            hint="\n".join(map(_tell, broken)),
        )


def _refuse_lies(stage: str, foretold: PlayResult, done: PlayResult) -> None:
    said, did = set(foretold.changed), set(done.changed)
    if said != did:
        raise PathFailed(
            f"At {stage}, --check did not tell the truth: only foretold {_list(sorted(said - did))}, "
            f"only done {_list(sorted(did - said))}.",
            hint=f"Compare {foretold.log}\nwith    {done.log}",
        )


def _tell(found: CheckResult) -> str:
    return f"{found.check}: {found.outcome}\n{found.message}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"
