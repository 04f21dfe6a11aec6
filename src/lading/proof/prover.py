"""Proves one path on one platform, stage by stage, and makes the evidence of it."""

import importlib.metadata
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lading.errors import LabError, PathFailed
from lading.evidence.model import FULL, QUICK, Grade, Producer, Route, RouteRun, StageRun, Statement, new_statement
from lading.evidence.subject import subject_of
from lading.lab.lab import Lab
from lading.project import Catalogue
from lading.proof.bench import Bench, opened_bench
from lading.proof.stages import PlaybookStages
from lading.recipe.load import LoadedRecipe
from lading.recipe.model import STAGES, Stage
from lading.recipe.platforms import load_platforms
from lading.redact import redact

LATER = "comes with the next protocol"


@dataclass(frozen=True)
class Proof:
    """What a run proved: the statement, the folder with its logs, and for a failure how to see more."""

    statement: Statement
    folder: Path
    hint: str | None = None
    ssh: str | None = None

    @property
    def passed(self) -> bool:
        """Tell whether the path does what it says."""
        return self.statement.predicate.result == "PASSED"


def prove(
    lab: Lab, catalogue: Catalogue, loaded: LoadedRecipe, platform: str, *, grade: Grade = "full", keep: bool = False
) -> Proof:
    """Run the stages that the grade asks for; a failed stage is a verdict and ends the run.

    With `keep` the guests stay up when this returns, and `ssh` of the proof says how to reach the first.

    Raises:
        LabError: the lab broke; there is no verdict and no evidence.
    """
    started = time.monotonic()
    subject = subject_of(catalogue, loaded, platform)
    folder = lab.workspace.new_run_folder(f"{loaded.id}-{platform}")
    with opened_bench(lab, loaded, platform, load_platforms(catalogue)[platform], folder) as bench:
        ssh = _keep(lab, bench) if keep else None
        stages = PlaybookStages(bench)
        try:
            runs, failure = _run_stages(lab, stages, FULL if grade == "full" else QUICK, folder)
        except LabError as error:
            raise LabError(error.message, "\n".join(filter(None, (error.hint, ssh and f"Kept: {ssh}")))) from error
        resolved = _resolved(bench, stages)
    if subject_of(catalogue, loaded, platform).digest != subject.digest:
        raise LabError(
            f"Files that '{loaded.id}' depends on changed while it was proven, so nothing is known of either state.",
            hint="Prove it again, and leave the files alone meanwhile.",
        )
    routes: dict[Route, RouteRun] = {
        "playbook": RouteRun(stages=runs),
        "by-hand": RouteRun(stages=[StageRun(name=name, outcome="not-run", detail=LATER) for name in STAGES]),
    }
    statement = new_statement(
        subject,
        routes,
        producer=Producer(kind="ci" if os.environ.get("CI") else "workstation"),
        finished=datetime.now(UTC),
        seconds=time.monotonic() - started,
        resolved=resolved,
    )
    return Proof(statement, folder, failure.hint if failure else None, ssh)


def _keep(lab: Lab, bench: Bench) -> str:
    """Leave the guests up when this run ends, in whatever way, and return the line that reaches the first."""
    for guest in bench.guests.values():
        guest.keep()
    lab.workspace.keep()
    first = next(iter(bench.guests.values()))
    return f"ssh -F {first.ssh.config} {first.name}"


def _run_stages(
    lab: Lab, stages: PlaybookStages, wanted: frozenset[Stage], folder: Path
) -> tuple[list[StageRun], PathFailed | None]:
    runs: list[StageRun] = []
    failure: PathFailed | None = None
    for name in STAGES:
        stage: Callable[[], str] | None = getattr(stages, name, None)
        if stage is None or name not in wanted:
            runs.append(StageRun(name=name, outcome="not-run", detail=LATER if stage is None else "not asked for"))
        elif failure is not None:
            runs.append(StageRun(name=name, outcome="not-run", detail="an earlier stage failed"))
        else:
            run, failure = _run_stage(lab, name, stage)
            runs.append(run)
            timings = {run.name: run.seconds for run in runs if run.seconds is not None}
            (folder / "timings.json").write_text(json.dumps(timings, indent=1))
    return runs, failure


def _run_stage(lab: Lab, name: Stage, stage: Callable[[], str]) -> tuple[StageRun, PathFailed | None]:
    lab.traffic.outages.clear()
    started = time.monotonic()
    failure = None
    with lab.workspace.narrator.step(f"Stage {name}"):
        try:
            outcome, detail = "passed", stage()
        except PathFailed as error:
            failure, outcome, detail = error, "failed", error.message
    lab.workspace.narrator.say(f"  {detail}")
    seconds = round(time.monotonic() - started, 1)
    published = redact(detail, lab.mirror.upstreams)[:500]
    run = StageRun.model_validate(
        {"name": name, "outcome": outcome, "seconds": seconds, "finished": _now(), "detail": published}
    )
    return run, failure


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _resolved(bench: Bench, stages: PlaybookStages) -> dict[str, Any]:
    guest = next(iter(bench.guests.values()))
    return {
        "accelerator": guest.spec.accelerator,
        "ansible-core": importlib.metadata.version("ansible-core"),
        "image": guest.image.identity,
        "kernel": guest.ask("uname -r").output.strip(),
        "packages": dict(sorted(stages.installed.items())),
        "qemu": guest.spec.qemu,
    }
