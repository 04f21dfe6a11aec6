"""Proves one path on one platform, its tracks side by side, and makes the evidence of it."""

import importlib.metadata
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from lading.errors import LabError
from lading.evidence.model import STAGES_OF, Grade, Producer, Route, RouteRun, StageRun, Statement, new_statement
from lading.evidence.subject import subject_of
from lading.janitor import kill_marked
from lading.lab.lab import Lab
from lading.page.model import Page
from lading.page.read import page_of
from lading.project import Catalogue
from lading.proof.agree import require_agreement
from lading.proof.bases import foundation_of
from lading.proof.judge import Delta, changes
from lading.proof.tracks import Track, TrackRun, named, run_stage, run_track, tracks_of
from lading.recipe.load import LoadedRecipe
from lading.recipe.platforms import load_platforms

BESIDE = 512
"""MiB that QEMU takes beside a guest's memory, most of it for what it has translated."""


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
    """Walk the tracks that the grade asks for; a failed stage is a verdict and ends its track.

    What the path builds on is taken to be proven (`lading.proof.bases.require_proven`), and each track starts with it.

    With `keep` guests stay up when this returns, and `ssh` of the proof says how to reach the most telling one.

    Raises:
        LabError: the lab broke; there is no verdict and no evidence.
    """
    started = time.monotonic()
    subject = subject_of(catalogue, loaded, platform)
    foundation = foundation_of(catalogue, loaded, platform)
    layers = foundation.layers(lab)
    page = page_of(catalogue, loaded)
    folder = lab.workspace.new_run_folder(f"{loaded.id}-{platform}")
    described = load_platforms(catalogue)[platform]
    verdict = lab.accelerator(lab.image(platform, described))
    lab.workspace.narrator.say(f"Guests run under {verdict.accelerator.upper()}. {verdict.reason}")
    runs = _side_by_side(
        lab,
        tracks_of(loaded, page, grade),
        lambda track: run_track(lab, track, loaded, platform, described, folder, layers=layers, keep=keep),
        workers=_workers(loaded),
        keep=keep,
    )
    if grade == "full":
        _agree(lab, loaded, page, runs)
    if subject_of(catalogue, loaded, platform).digest != subject.digest:
        raise LabError(
            f"Files that '{loaded.id}' depends on changed while it was proven, so nothing is known of either state.",
            hint="Prove it again, and leave the files alone meanwhile.",
        )
    statement = new_statement(
        subject,
        _routes(loaded, runs),
        starts={run.track.start: RouteRun(stages=run.stages) for run in runs if run.track.start},
        producer=Producer(kind="ci" if os.environ.get("CI") else "workstation"),
        finished=datetime.now(UTC),
        seconds=time.monotonic() - started,
        resolved=_resolved(runs)
        | ({"bases": foundation.subjects} if foundation.bases else {})
        | ({"stand-ins": foundation.stand_ins} if foundation.stand_ins else {}),
    )
    hints = [hint for run in runs for hint in run.hints]
    ssh = next((run.ssh for run in sorted(runs, key=lambda run: not run.failed) if run.ssh), None)
    return Proof(statement, folder, "\n".join(hints) or None, ssh)


def _workers(loaded: LoadedRecipe) -> int:
    """Return how many tracks run at once: as many as there are processors for their guests.

    Of several hosts most wait for another one most of the time. Three guests of `slurm-apptainer` used half of two
    processors, and those of two tracks nine tenths. So with several hosts two tracks run at once, if there is memory.
    """
    hosts = loaded.recipe.hosts.values()
    processors = os.cpu_count() or 1
    at_once = max(1, processors // sum(host.cpus for host in hosts))
    if len(hosts) > 1 and processors > 1 and 2 * sum(host.memory_mib + BESIDE for host in hosts) <= _memory_left():
        return max(2, at_once)
    return at_once


def _memory_left() -> int:
    """Return how many MiB of memory this machine has left for programs."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))


def _side_by_side(
    lab: Lab, tracks: Sequence[Track], run: Callable[[Track], TrackRun], *, workers: int, keep: bool
) -> list[TrackRun]:
    """Run all tracks and return what came of them, in their order.

    Raises:
        LabError: the lab broke under one of them; the others are then stopped, unless guests are to be kept.
    """
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="track") as pool:
        futures = [pool.submit(run, track) for track in tracks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            _raise_first(futures)
        except BaseException:
            for future in futures:
                future.cancel()
            # Threads cannot be ended, but what they wait for can: every program of this run, and any that they start
            # before they have noticed.
            while not keep and wait(futures, timeout=0.2).not_done:
                kill_marked(lab.workspace.run_id)
            raise
        return [future.result() for future in futures]


def _raise_first(futures: Iterable["Future[TrackRun]"]) -> None:
    for future in futures:
        if future.done() and (error := future.exception()) is not None:
            raise error


def _agree(lab: Lab, loaded: LoadedRecipe, page: Page, runs: Sequence[TrackRun]) -> None:
    """Hold each other route against the playbook's, and add that stage to it."""
    playbook = _delta(runs, "playbook")
    for run in runs:
        if run.track.route in (None, "playbook"):
            continue
        typed = page if run.track.route == "by-hand" else None
        if run.delta is None or playbook is None:
            detail = "there is no end state to compare: a route did not deploy"
            run.stages.append(StageRun(name="agree", outcome="not-run", detail=detail))
            continue
        compared = partial(require_agreement, loaded.recipe, typed, playbook, run.delta)
        stage, hint = run_stage(named(lab, run.track.name), "agree", compared)
        run.stages.append(stage)
        if hint:
            run.hints.append(hint)


def _delta(runs: Sequence[TrackRun], route: Route) -> Delta | None:
    return next((run.delta for run in runs if run.track.route == route), None)


def _routes(loaded: LoadedRecipe, runs: Sequence[TrackRun]) -> dict[Route, RouteRun]:
    """Return the stages of every route that the path has, those too that nobody asked for."""
    ran = {run.track.route: run.stages for run in runs if run.track.route}
    routes = {}
    for route in STAGES_OF:
        if route == "puppet" and loaded.puppet is None:
            continue
        taken = {stage.name: stage for stage in ran.get(route, ())}
        left = {name: StageRun(name=name, outcome="not-run", detail="not asked for") for name in STAGES_OF[route]}
        routes[route] = RouteRun(stages=[taken.get(name, stage) for name, stage in left.items()])
    return routes


def _resolved(runs: Sequence[TrackRun]) -> dict[str, Any]:
    first = next(run for run in runs if run.track.route == "playbook")
    owns = {run.track.route: _owned(run.delta) for run in runs if run.track.route and run.delta}
    return {
        **first.resolved,
        "ansible-core": importlib.metadata.version("ansible-core"),
        "packages": _packages(first.delta) if first.delta else {},
        "owns": owns,
    }


def _owned(delta: Delta) -> list[str]:
    """Return the files that a route made or changed."""
    items = {change.item for change in changes(delta.before, delta.after) if change.after is not None}
    return sorted(item.removeprefix("file:") for item in items if item.startswith("file:"))


def _packages(delta: Delta) -> dict[str, str]:
    """Return the packages that came with a route, or whose version it changed."""
    found = {}
    for change in changes(delta.before, delta.after):
        if change.item.startswith("package:") and change.after is not None:
            found[change.item.removeprefix("package:")] = str(change.after.get("version"))
    return dict(sorted(found.items()))
