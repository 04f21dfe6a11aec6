"""What committed evidence is worth today."""

import datetime as dt
from dataclasses import dataclass
from typing import Final, Literal

from lading.evidence.model import Grade, Statement
from lading.evidence.store import read_evidence
from lading.evidence.subject import Subject, subject_of
from lading.evidence.tree import Tree
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe

Verdict = Literal["proven", "stale", "old", "failed", "not-verified"]

FRESH_DAYS: Final = 30
"""Evidence of an older day no longer counts as fresh."""

NEVER_RUN: Final = "never run"


@dataclass(frozen=True)
class Status:
    """A path on a platform: the verdict, and why it is not `proven`.

    `date` is the day (UTC) on which the run ended and `seconds` its length; both are the last run's, whatever came
    of it. `grade` is what was reached then, `routes` the names of the routes of which something passed.
    """

    verdict: Verdict
    reason: str | None = None
    grade: Grade | None = None
    routes: tuple[str, ...] = ()
    date: dt.date | None = None
    seconds: float | None = None
    evidence: Statement | None = None

    @property
    def fresh(self) -> bool:
        """Whether there is nothing to prove again."""
        return self.verdict == "proven"


def status(
    catalogue: Catalogue, loaded: LoadedRecipe, platform: str, *, today: dt.date, tree: Tree | None = None
) -> Status:
    """Return what is known of a path on a platform; `today` is the day in UTC.

    A platform that the recipe calls not verified stays so, whatever files say, unless it can be proven where what it
    `needs` answers. Give the same `tree` to many calls.

    Raises:
        UsageError: the evidence is malformed or edited.
    """
    use = loaded.recipe.platforms.get(platform)
    if use and use.not_verified and not use.needs:
        return Status("not-verified", use.not_verified)
    statement = read_evidence(catalogue, loaded.id, platform)
    if statement is None:
        return Status("not-verified", (use and use.not_verified) or NEVER_RUN)
    verdict, reason = _judge(statement, subject_of(catalogue, loaded, platform, tree), today)
    run = statement.run
    routes = tuple(
        name for name, route in run.routes.items() if any(stage.outcome == "passed" for stage in route.stages)
    )
    return Status(verdict, reason, run.grade, routes, _day(statement), run.seconds, statement)


def _judge(statement: Statement, subject: Subject, today: dt.date) -> tuple[Verdict, str | None]:
    if statement.predicate.result == "FAILED":
        return "failed", _failure(statement)
    if statement.subject[0].digest.sha256 != subject.digest:
        return "stale", changed_inputs(statement, subject)
    if in_future(statement, today):
        return "stale", f"its date, {_day(statement)}, has not come yet"
    if (age := (today - _day(statement)).days) > FRESH_DAYS:
        return "old", f"proven {age} days ago"
    return "proven", None


def in_future(statement: Statement, today: dt.date) -> bool:
    """Say whether evidence is dated after tomorrow; a day is left for clocks that differ."""
    return _day(statement) > today + dt.timedelta(days=1)


def changed_inputs(statement: Statement, subject: Subject) -> str:
    """Return in words which inputs are not those of the proof."""
    before = {item.name: (item.digest.sha256, item.annotations) for item in statement.predicate.configuration}
    now = {entry.name: (entry.sha256, {"mode": entry.mode}) for entry in subject.inputs}
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f"changed since: {', '.join(changed[:3])}{more}" if changed else "the subject is another"


def _failure(statement: Statement) -> str:
    failures = statement.run.failures
    if not failures:
        return "apply and green did not both run"
    name, stage = failures[0]
    more = f" (and {len(failures) - 1} more stages failed)" if len(failures) > 1 else ""
    return f"{name}/{stage.name}: {stage.detail or 'failed'}{more}"


def _day(statement: Statement) -> dt.date:
    return statement.run.finished.astimezone(dt.UTC).date()
