"""Tracks side by side: what one of them comes to, and what that means for the others and for the evidence."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from lading import process
from lading.errors import LabError
from lading.evidence.model import STAGES_OF, Grade, RouteRun, StageRun
from lading.lab.lab import Lab
from lading.lab.workspace import opened_workspace
from lading.narrator import quiet
from lading.page.model import Page
from lading.proof import prover
from lading.proof.judge import Delta
from lading.proof.prover import _agree, _resolved, _routes, _side_by_side
from lading.proof.tracks import Track, TrackRun, tracks_of
from lading.recipe.load import LoadedRecipe, load_recipe
from tests.proof.states import state_of
from tests.workshop import Workshop

PAGE = Page("docs/paths/compute/demo.md", "demo", ())
CLEAN = {"worker1": state_of({})}
DEPLOYED = {"worker1": state_of({"file:/etc/demo": {"sha256": "1"}, "package:demo": {"version": "1.0"}})}
OTHERWISE = {"worker1": state_of({"file:/etc/demo": {"sha256": "2"}, "package:demo": {"version": "1.0"}})}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A laboratory without machines: a workspace is all that these tests need of it."""
    monkeypatch.setenv("LADING_CACHE", str(tmp_path / "cache"))
    with opened_workspace(quiet()) as workspace:
        mirror = type("NoMirror", (), {"upstreams": ()})()
        yield Lab(workspace, mirror, cast(Any, None), "auto")


@pytest.fixture
def loaded(workshop: Workshop) -> LoadedRecipe:
    return load_recipe(workshop.catalogue, "demo")


def track(name: str, route: Any = None, start: str | None = None) -> Track:
    return Track(name, ("apply", "green"), cast(Any, None), route=route, start=start)


def test_what_several_tracks_come_to_is_told_in_their_order(lab: Lab) -> None:
    both = threading.Barrier(2, timeout=20)

    def run(one: Track) -> TrackRun:
        both.wait()  # passes only if they run side by side
        return TrackRun(one)

    runs = _side_by_side(lab, [track("a"), track("b")], run, workers=2, keep=False)
    assert [one.track.name for one in runs] == ["a", "b"]


def test_a_lab_that_breaks_under_one_track_stops_the_others(lab: Lab) -> None:
    started = threading.Event()

    def run(one: Track) -> TrackRun:
        if one.name == "breaks":
            started.wait(20)
            raise LabError("The guest is gone.")
        started.set()
        process.run(["sleep", "600"])
        raise AssertionError("the program was stopped, so its run has failed")

    before = time.monotonic()
    with pytest.raises(LabError, match="The guest is gone"):
        _side_by_side(lab, [track("breaks"), track("works"), track("waits")], run, workers=2, keep=False)
    assert time.monotonic() - before < 30
    assert not subprocess.run(["pgrep", "-f", "^sleep 600$"], check=False, capture_output=True).stdout


@pytest.mark.parametrize(
    "grade, names",
    [("full", ["playbook", "puppet", "by-hand", "start:edited", "start:refused"]), ("quick", ["playbook"])],
)
def test_a_proof_walks_every_route_and_every_start(workshop: Workshop, grade: Grade, names: list[str]) -> None:
    start = {"help": "A host.", "setup": "true"}
    workshop.path(starts={"refused": {**start, "refused": "No."}, "edited": start})
    workshop.write("playbooks/puppet/demo/manifests/init.pp", "class demo {}\n")
    tracks = tracks_of(load_recipe(workshop.catalogue, "demo"), PAGE, grade)
    assert [one.name for one in tracks] == names
    stages = {one.name: one.stages for one in tracks}
    if grade == "full":
        assert (stages["start:edited"], stages["start:refused"]) == (("apply", "green", "undo"), ("apply",))
    else:
        assert stages["playbook"] == ("apply", "green")


def run_of(name: Any, delta: Delta | None, *outcomes: str) -> TrackRun:
    stages = [
        StageRun.model_validate({"name": stage, "outcome": outcome})
        for stage, outcome in zip(STAGES_OF[name], outcomes, strict=False)
    ]
    return TrackRun(track(name, route=name), stages, delta=delta)


def test_every_other_route_is_held_against_the_playbook(lab: Lab, loaded: LoadedRecipe) -> None:
    runs = [
        run_of("playbook", Delta(CLEAN, DEPLOYED)),
        run_of("puppet", Delta(CLEAN, DEPLOYED)),
        run_of("by-hand", Delta(CLEAN, OTHERWISE)),
    ]
    _agree(lab, loaded, PAGE, runs)
    assert [[stage.outcome for stage in run.stages] for run in runs] == [[], ["passed"], ["failed"]]
    assert "file:/etc/demo" in runs[2].stages[-1].detail


def test_a_route_that_did_not_deploy_is_compared_with_nothing(lab: Lab, loaded: LoadedRecipe) -> None:
    runs = [run_of("playbook", None), run_of("by-hand", Delta(CLEAN, DEPLOYED))]
    _agree(lab, loaded, PAGE, runs)
    assert [(stage.name, stage.outcome) for stage in runs[1].stages] == [("agree", "not-run")]


def test_stages_that_nobody_asked_for_are_told_as_such(loaded: LoadedRecipe) -> None:
    routes = _routes(loaded, [run_of("playbook", None, "passed", "passed", "passed")])
    assert list(routes) == ["playbook", "by-hand"]
    told: Callable[[RouteRun], list[str]] = lambda run: [stage.outcome for stage in run.stages]  # noqa: E731 - short
    assert told(routes["playbook"]) == ["passed"] * 3 + ["not-run"] * 4
    assert told(routes["by-hand"]) == ["not-run"] * 5


def test_the_evidence_says_what_each_manager_owns_and_what_was_installed() -> None:
    resolved = _resolved([run_of("playbook", Delta(CLEAN, DEPLOYED)), run_of("puppet", Delta(DEPLOYED, OTHERWISE))])
    assert resolved["packages"] == {"demo": "1.0"}
    assert resolved["owns"] == {"playbook": ["/etc/demo"], "puppet": ["/etc/demo"]}


def test_as_many_tracks_run_as_there_are_processors_for(loaded: LoadedRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    for processors, workers in ((1, 1), (2, 2), (8, 8), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda found=processors: found)
        assert prover._workers(loaded) == workers
