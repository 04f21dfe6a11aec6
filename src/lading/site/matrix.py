"""What ran, as a table of routes and stages, and what became of hosts that were not clean."""

from collections.abc import Mapping
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element

from lading.evidence.model import Outcome, RouteRun, StageRun
from lading.recipe.model import STAGES, Start
from lading.site.markers import add, add_table
from lading.site.words import duration

OUTCOMES: Final[Mapping[Outcome, tuple[str, str]]] = {
    "passed": ("✓", "passed"),
    "failed": ("✗", "failed"),
    "not-run": ("–", "not run"),
}
BAD: Final[tuple[Outcome, ...]] = ("failed", "not-run")
"""Outcomes that are not what one wants, the worst first."""

ROUTES: Final = {"playbook": "Playbook", "by-hand": "By hand", "puppet": "Puppet"}


def add_matrix(box: Element, routes: Mapping[str, RouteRun]) -> None:
    """Add a row for each route and a column for each stage; below, why stages were not run."""
    runs = {name: {stage.name: stage for stage in route.stages} for name, route in routes.items()}
    columns = [stage for stage in STAGES if any(stage in run for run in runs.values())]
    body = add_table(box, "proof-matrix", ("Route", *columns), own_look=True)
    for name, run in runs.items():
        line = add(body, "tr")
        add(line, "th", ROUTES.get(name, name), scope="row")
        for column in columns:
            _add_cell(line, run.get(column))
    for name, route in routes.items():
        if said := _why_not(route):
            add(box, "p", f"{ROUTES.get(name, name)}, not run: {said}", "proof-never")


def _add_cell(line: Element, stage: StageRun | None) -> None:
    if stage is None:
        add(add(line, "td"), "span", "no such stage", "proof-hidden")
        return
    sign, word = OUTCOMES[stage.outcome]
    cell = add(line, "td", css=f"proof-cell--{stage.outcome}")
    add(cell, "span", sign, "proof-sign", aria_hidden="true")
    add(cell, "span", f"{word} ", "proof-word" if stage.outcome == "failed" else "proof-hidden")
    if stage.seconds is not None and stage.outcome != "not-run":
        add(cell, "span", duration(stage.seconds), "proof-seconds")


def _why_not(route: RouteRun) -> str:
    """Return the stages that were not run with their reasons, each once; the reason alone if none has run."""
    never = [stage for stage in route.stages if stage.outcome == "not-run"]
    grouped = groupby(never, lambda stage: stage.detail or "no reason is on record")
    reasons = {reason: ", ".join(stage.name for stage in group) for reason, group in grouped}
    if len(never) == len(route.stages):
        return "; ".join(reasons) + "." if reasons else ""
    return "; ".join(f"{names} ({reason})" for reason, names in reasons.items()) + "." if reasons else ""


def add_starts(box: Element, runs: Mapping[str, RouteRun], starts: Mapping[str, Start]) -> None:
    """Add what became of hosts that were not clean; what such a host is, the recipe says, else its name has to do."""
    if not runs:
        return
    details = add(box, "details", css="proof-details")
    add(details, "summary", starts_in_short(runs))
    items = add(details, "ul", css="proof-starts")
    for name, run in runs.items():
        start, (sign, _) = starts.get(name), OUTCOMES[_outcome(run)]
        item = add(items, "li")
        add(item, "span", sign, f"proof-sign proof-sign--{_outcome(run)}", aria_hidden="true")
        add(item, "span", start.help if start else name)
        told = add(item, "span", css="proof-told")
        add(told, "strong", f"{_fate(run, start)} ")
        add(told, "span", "; ".join(map(_told, run.stages)) + ".")


def starts_in_short(runs: Mapping[str, RouteRun]) -> str:
    """Return how many hosts that were not clean there were, and whether all is well with them.

    Example:
        ```python
        from lading.evidence.model import RouteRun, StageRun
        from lading.site.matrix import starts_in_short

        well = RouteRun(stages=[StageRun(name="apply", outcome="passed")])
        ill = RouteRun(stages=[StageRun(name="apply", outcome="failed")])
        print(starts_in_short({"old-kettle": well}))
        #> 1 host that was not clean: passed
        print(starts_in_short({"old-kettle": well, "no-tap": ill}))
        #> 2 hosts that were not clean: 1 failed
        ```
    """
    said = "1 host that was not clean" if len(runs) == 1 else f"{len(runs)} hosts that were not clean"
    outcomes = [_outcome(run) for run in runs.values()]
    bad = [f"{outcomes.count(kind)} {OUTCOMES[kind][1]}" for kind in BAD if kind in outcomes]
    return f"{said}: {', '.join(bad) or ('passed' if len(runs) == 1 else 'all passed')}"


def _outcome(run: RouteRun) -> Outcome:
    """Return the worst of a run's outcomes."""
    outcomes = {stage.outcome for stage in run.stages}
    return next((kind for kind in BAD if kind in outcomes), "passed")


def _fate(run: RouteRun, start: Start | None) -> str:
    if (outcome := _outcome(run)) != "passed":
        return f"{OUTCOMES[outcome][1].capitalize()}."
    return "Refused, as it should be." if start and start.refused else "Respected."


def _told(stage: StageRun) -> str:
    said = f": {stage.detail}" if stage.detail else ""
    return f"{stage.name} {OUTCOMES[stage.outcome][1]}{said}"
