"""The tracks of a proof: each is one walk with guests of its own, so that tracks can run side by side."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from lading.errors import LabError, PathFailed
from lading.evidence.model import QUICK, STAGES_OF, START_STAGES, Grade, Route, StageRun
from lading.lab.lab import Lab
from lading.lab.layer import Layer
from lading.page.model import Page
from lading.proof.bench import Bench, lab_variables, opened_bench
from lading.proof.judge import Delta
from lading.proof.signs import keep_signs
from lading.proof.stages import AutomatedStages
from lading.proof.starts import StartStages
from lading.proof.typed import TypedStages
from lading.recipe.load import LoadedRecipe
from lading.recipe.model import Stage, Start
from lading.recipe.platforms import Platform
from lading.redact import redact
from lading.routes.byhand import ByHandRoute
from lading.routes.playbook import PlaybookRoute
from lading.routes.puppet import PuppetRoute

LONGEST_DETAIL = 500
PREPARE_SECONDS = 900.0


class Stages(Protocol):
    """What can be walked: it has a method for each stage of its track."""


@dataclass(frozen=True)
class Track:
    """One walk: which stages, from which host, by whom. `walk` makes the stages on an open bench."""

    name: str
    stages: tuple[Stage, ...]
    walk: Callable[[Bench, ExitStack], Stages] = field(repr=False)
    variables: Mapping[str, Any] = field(default_factory=dict)
    route: Route | None = None
    start: str | None = None


@dataclass
class TrackRun:
    """What came of a track: its stages, and what the evidence tells of it. `hints` are for the user's eyes only."""

    track: Track
    stages: list[StageRun] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    delta: Delta | None = None
    resolved: dict[str, Any] = field(default_factory=dict)
    ssh: str | None = None

    @property
    def failed(self) -> bool:
        return any(stage.outcome == "failed" for stage in self.stages)


def tracks_of(loaded: LoadedRecipe, page: Page, grade: Grade) -> list[Track]:
    """Return what a proof of that grade walks, the longest first: that fills the processors best."""
    if grade == "quick":
        quick = tuple(stage for stage in STAGES_OF["playbook"] if stage in QUICK)
        return [Track("playbook", quick, _walk_playbook, route="playbook")]
    routes = [Track("playbook", STAGES_OF["playbook"], _walk_playbook, route="playbook")]
    if loaded.puppet is not None:
        routes.append(Track("puppet", _without_agree("puppet"), _walk_puppet, route="puppet"))
    starts = [_start_track(name, start) for name, start in loaded.recipe.starts.items()]
    by_hand = Track("by-hand", _without_agree("by-hand"), lambda *given: _walk_by_hand(page, *given), route="by-hand")
    return [*routes, *sorted([by_hand, *starts], key=lambda track: -len(track.stages))]


def _without_agree(route: Route) -> tuple[Stage, ...]:
    """Return a route's own stages; agree needs two routes and comes when all have ended."""
    return tuple(stage for stage in STAGES_OF[route] if stage != "agree")


def _start_track(name: str, start: Start) -> Track:
    stages = START_STAGES[:1] if start.refused is not None else START_STAGES
    return Track(
        f"start:{name}", stages, lambda bench, _stack: StartStages(bench, _playbook(bench), start),
        variables=start.variables, start=name,
    )  # fmt: skip


def _playbook(bench: Bench) -> PlaybookRoute:
    return PlaybookRoute(bench.loaded.playbook, bench.inventory, bench.variables, bench.folder)


def _walk_playbook(bench: Bench, _stack: ExitStack) -> Stages:
    return AutomatedStages(bench, _playbook(bench))


def _walk_puppet(bench: Bench, _stack: ExitStack) -> Stages:
    assert bench.loaded.puppet is not None
    route = PuppetRoute(bench.loaded.puppet, bench.guests, lab_variables(bench.recipe), bench.folder)
    with bench.lab.workspace.narrator.step("Installing the agent"):
        route.prepare(PREPARE_SECONDS)
    return AutomatedStages(bench, route)


def _walk_by_hand(page: Page, bench: Bench, stack: ExitStack) -> Stages:
    route = ByHandRoute(page, bench.guests, bench.platform, bench.folder, timeout=bench.timeout("apply"))
    stack.callback(route.close)
    return TypedStages(bench, route)


def named(lab: Lab, label: str) -> Lab:
    """Return the same laboratory for one of several tracks: what it tells is told in that name."""
    return replace(lab, workspace=replace(lab.workspace, narrator=lab.workspace.narrator.named(label)))


def run_track(
    lab: Lab,
    track: Track,
    loaded: LoadedRecipe,
    platform_name: str,
    platform: Platform,
    folder: Path,
    *,
    layers: Mapping[str, Layer],
    keep: bool,
) -> TrackRun:
    """Walk a track to its end or its first failed stage.

    Hosts start with their `layers`. With `keep` the guests of a track that failed stay up, and those of the playbook
    in any case.

    Raises:
        LabError: the lab broke; there is no verdict.
    """
    lab = named(lab, track.name)
    folder = folder / track.name.replace(":", "-")
    folder.mkdir()
    run = TrackRun(track)
    with ExitStack() as stack:
        opening = opened_bench(lab, loaded, platform_name, platform, folder, track.variables, layers)
        bench = stack.enter_context(opening)
        if keep and track.route == "playbook":
            run.ssh = _keep(bench)
        bench.begin_stage()
        try:
            stages = track.walk(bench, stack)
            for name in track.stages:
                _take(bench, run, name, stages)
        except LabError as error:
            kept = _keep(bench) if keep else None
            raise LabError(error.message, "\n".join(filter(None, (error.hint, kept and f"Kept: {kept}")))) from error
        if keep and run.failed:
            run.ssh = _keep(bench)
        run.delta = getattr(stages, "delta", None)
        run.resolved = _resolved(bench)
    return run


def _take(bench: Bench, run: TrackRun, name: Stage, stages: Stages) -> None:
    if run.failed:
        run.stages.append(StageRun(name=name, outcome="not-run", detail="an earlier stage failed"))
        return
    bench.begin_stage()
    stage, hint = run_stage(bench.lab, name, lambda: _judged(bench, getattr(stages, name)))
    run.stages.append(stage)
    if stage.outcome == "failed":
        keep_signs(bench.guests)
    if hint:
        run.hints.append(hint)
    timings = {stage.name: stage.seconds for stage in run.stages if stage.seconds is not None}
    (bench.folder / "timings.json").write_text(json.dumps(timings, indent=1))


def _judged(bench: Bench, stage: Callable[[], str]) -> str:
    """Run a stage; what it says against the path counts only on healthy guests with a healthy mirror."""
    try:
        return stage()
    except PathFailed:
        bench.require_health()
        raise


def run_stage(lab: Lab, name: Stage, stage: Callable[[], str]) -> tuple[StageRun, str | None]:
    """Run one stage; a verdict against the path is an outcome, and comes with the hint that goes with it."""
    started = time.monotonic()
    hint = None
    with lab.workspace.narrator.step(f"Stage {name}"):
        try:
            outcome, detail = "passed", stage()
        except PathFailed as error:
            outcome, detail, hint = "failed", error.message, error.hint
    lab.workspace.narrator.say(f"  {detail}")
    published = redact(detail, lab.mirror.upstreams)[:LONGEST_DETAIL]
    run = StageRun.model_validate(
        {
            "name": name,
            "outcome": outcome,
            "seconds": round(time.monotonic() - started, 1),
            "finished": datetime.now(UTC).replace(microsecond=0),
            "detail": published,
        }
    )
    return run, hint


def _keep(bench: Bench) -> str:
    """Leave the guests up when this run ends, in whatever way, and return the line that reaches the first."""
    for guest in bench.guests.values():
        guest.keep()
    bench.lab.workspace.keep()
    first = next(iter(bench.guests.values()))
    return f"ssh -F {first.ssh.config} {first.name}"


def _resolved(bench: Bench) -> dict[str, Any]:
    guest = next(iter(bench.guests.values()))
    return {
        "accelerator": guest.spec.accelerator,
        "image": guest.image.identity,
        "kernel": guest.ask("uname -r").output.strip(),
        "qemu": guest.spec.qemu,
    }
