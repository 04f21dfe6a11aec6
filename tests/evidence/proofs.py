"""Evidence to do things to."""

from datetime import UTC, datetime
from typing import Any

from lading.evidence.model import STAGES_OF, Outcome, Producer, Route, RouteRun, StageRun, Statement, new_statement
from lading.evidence.store import write_evidence
from lading.evidence.subject import subject_of
from lading.recipe.load import load_recipe
from tests.workshop import Workshop

DAY = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
FULL: dict[str, Outcome] = dict.fromkeys(STAGES_OF["playbook"], "passed")


def routes(outcomes: dict[str, Outcome]) -> dict[Route, RouteRun]:
    """Return the playbook route with some outcomes; what is not named was not run. By hand all passed, if it ran."""
    by_hand: dict[str, Outcome] = dict.fromkeys(STAGES_OF["by-hand"], "passed") if len(outcomes) > 2 else {}
    return {"playbook": route("playbook", outcomes), "by-hand": route("by-hand", by_hand)}


def route(name: Route, outcomes: dict[str, Outcome]) -> RouteRun:
    """Return a route's stages with some outcomes; what is not named was not run."""
    stages = [
        StageRun(name=name, outcome="passed", seconds=12.1, finished=DAY, detail="4 checks")
        if (outcome := outcomes.get(name, "not-run")) == "passed"
        else StageRun(name=name, outcome=outcome, detail="test_demo.py::test_it_is_there failed")
        for name in STAGES_OF[name]
    ]
    return RouteRun(stages=stages)


def prove(
    workshop: Workshop,
    path_id: str = "demo",
    platform: str = "debian13",
    *,
    outcomes: dict[str, Outcome] | None = None,
    finished: datetime = DAY,
    **producer: Any,
) -> Statement:
    """Write the evidence of a run as it would have ended."""
    catalogue = workshop.catalogue
    statement = new_statement(
        subject_of(catalogue, load_recipe(catalogue, path_id), platform),
        routes(FULL if outcomes is None else outcomes),
        producer=Producer.model_validate({"kind": "workstation", **producer}),
        finished=finished,
        seconds=301.24,
        resolved={"accelerator": "tcg", "kernel": "6.12.1", "packages": {"apptainer": "1.4.5-1", "squashfuse": None}},
    )
    write_evidence(catalogue, path_id, platform, statement)
    return statement
