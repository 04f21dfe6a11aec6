"""The judgements that stages of all routes share: red, green, changed nothing, restored, equal."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from lading.checks.report import CheckReport, CheckResult
from lading.errors import PathFailed
from lading.proof.bench import Bench, States
from lading.recipe.model import Recipe, Stage
from lading.state.compare import Change, compare, left_by_packages

SHOWN = 50


@dataclass(frozen=True)
class Delta:
    """What a route made of its hosts: their states before it and when it had deployed."""

    before: States
    after: States


def changes(before: States, after: States) -> list[Change]:
    """Return what differs on any host, in one list."""
    return [
        change
        for host in before
        for change in _told_of(host, before, compare(before[host], after[host]))
    ]  # fmt: skip


def _told_of(host: str, states: States, found: Iterable[Change]) -> list[Change]:
    """Return changes with their host's name, where there are several hosts."""
    return [replace(change, host=host) for change in found] if len(states) > 1 else list(found)


def require_red(bench: Bench, label: str) -> str:
    """Require that each check fails, or is declared to hold before.

    Raises:
        PathFailed: a check passes that should not, or ended neither green nor red.
    """
    report = bench.check(label)
    declared = {entry.check for entry in bench.recipe.true_before}
    refuse_errors(label, report)
    if too_good := [found.check for found in report.passed if found.check not in declared]:
        raise PathFailed(
            f"{listed(too_good)} passed on a host without the path, so can't tell a deployed host from it.",
            hint="Sharpen the check, or declare it in 'true_before' with the reason.",
        )
    if untrue := [found.check for found in report.failed if found.check in declared]:
        raise PathFailed(f"{listed(untrue)} is declared in 'true_before' but failed on a host without the path.")
    return f"{len(report.failed)} checks failed, {len(report.passed)} declared true before"


def require_green(bench: Bench, label: str) -> str:
    """Require that every check passes, and that those that only read change nothing.

    Raises:
        PathFailed: a check did not pass, or changed the host.
    """
    before = bench.states()
    reading = bench.check(label, mutating=False)
    _require_passed(reading)
    refuse_changes(changes(before, bench.states()), "Checks that are not marked 'mutates' changed the host")
    mutating = bench.check(f"{label}-mutating", mutating=True)
    _require_passed(mutating)
    return f"{len(reading.results) + len(mutating.results)} checks passed; those that only read changed nothing"


def require_all_pass(bench: Bench, label: str) -> str:
    """Require that every check passes.

    Raises:
        PathFailed: a check did not.
    """
    report = bench.check(label)
    _require_passed(report)
    return f"{len(report.results)} checks passed"


def require_restored(bench: Bench, before: States, during: States) -> str:
    """Require that hosts are as they were, item by item, but for what is declared and for users that packages leave.

    `during` are the states in between, which tell whose a system user is.

    Raises:
        PathFailed: something is left, or something that the host had is gone.
    """
    now = bench.states()
    left = 0
    rest: list[Change] = []
    for host in before:
        found = compare(before[host], now[host])
        customary = left_by_packages(found, during[host])
        left += len(customary)
        rest += _told_of(host, before, (change for change in found if change not in customary))
    refuse_changes(undeclared(bench.recipe, "undo", rest), "After undo the host is not as it was")
    users = f", but for {left} users or groups that packages leave" if left else ""
    return f"every item of the state is as it was{users}"


def refuse_changes(found: Sequence[Change], sentence: str) -> None:
    """Raise if anything changed, with the first items in the sentence and all in the hint.

    Raises:
        PathFailed: something changed.
    """
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        told = "; ".join(map(str, found[:3]))
        raise PathFailed(f"{sentence}: {told}{more}.", hint="\n".join(map(str, found[:SHOWN])))


def undeclared(recipe: Recipe, stage: Stage, found: Iterable[Change]) -> list[Change]:
    """Return the changes that the recipe does not declare for that stage."""
    patterns = [difference.item for difference in recipe.differences if difference.stage == stage]
    return [change for change in found if not any(fnmatchcase(change.item, pattern) for pattern in patterns)]


def disagreements(recipe: Recipe, playbook: Delta, other: Delta) -> Iterator[Change]:
    """Yield the items that either route changed and that did not end equal.

    In a change that is yielded, before is how the playbook ended and after how the other did. Each route is held
    against its own beginning, so that what a route needs itself (an agent) does not count.
    """
    for host in playbook.after:
        ends = playbook.after[host], other.after[host]
        touched = {
            change.item
            for delta in (playbook, other)
            for change in compare(delta.before[host], delta.after[host])
        }  # fmt: skip
        differing = (change for change in compare(*ends) if change.item in touched)
        yield from undeclared(recipe, "agree", _told_of(host, playbook.after, differing))


def refuse_errors(stage: str, report: CheckReport) -> None:
    """Raise if a check ended neither green nor red.

    Raises:
        PathFailed: a check crashed or was skipped.
    """
    broken = [*report.errors, *report.skipped]
    if broken:
        raise PathFailed(
            f"At {stage}, {listed([found.check for found in broken])} ended neither green nor red.",
            hint="\n".join(map(tell, broken)),
        )


def _require_passed(report: CheckReport) -> None:
    bad = [*report.errors, *report.failed, *report.skipped]
    if bad:
        raise PathFailed(
            f"{len(bad)} of {len(report.results)} checks did not pass: {listed([found.check for found in bad])}.",
            hint="\n".join(map(tell, bad)),
        )


def tell(found: CheckResult) -> str:
    """Return what a check said, below its name."""
    return f"{found.check}: {found.outcome}\n{found.message}"


def listed(names: Sequence[str]) -> str:
    """Return names in quotes."""
    return ", ".join(f"'{name}'" for name in names) or "nothing"
