"""Paths that build on others: which proofs come first, what a base must have shown, and the layer in guests."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from lading.errors import ExitCode, LabError, UsageError
from lading.evidence.model import Grade, Outcome
from lading.evidence.subject import subject_of
from lading.lab.guest import Guest
from lading.lab.lab import Lab
from lading.lab.layer import Layer
from lading.lab.workspace import Workspace, opened_workspace
from lading.narrator import Narrator, quiet
from lading.page.model import Page
from lading.project import cache_root
from lading.proof import campaign, plan, prover
from lading.proof.bases import BaseUnproven, foundation_of, require_proven
from lading.proof.bench import mounted_images
from lading.proof.campaign import Kind, Manner, Result, exit_code, run_jobs
from lading.proof.plan import Job, ci_jobs, named_jobs
from lading.proof.records import remember
from lading.proof.tracks import Track, tracks_of
from lading.recipe.load import LoadedRecipe, load_recipe
from lading.routes.result import PlayResult
from tests.evidence.proofs import DAY, FULL, prove
from tests.lab.conftest import forget_layer
from tests.workshop import Workshop

TODAY = DAY.date()
QUICK: dict[str, Outcome] = {"apply": "passed", "green": "passed"}
FAILED: dict[str, Outcome] = {"apply": "passed", "green": "failed"}
NO_LAB = cast(Lab, None)

BASE = """\
- name: Lay the base
  hosts: workers
  gather_facts: false
  tasks:
    - name: Say what colour it has
      ansible.builtin.copy:
        content: "{{ base_colour }}, {{ inventory_hostname }}\\n"
        dest: /etc/base.conf
        mode: "0644"
"""
PLAYBOOK = """\
- name: Build on the base
  hosts: workers
  gather_facts: false
  tasks:
    - name: Add to what is there
      ansible.builtin.lineinfile:
        path: /etc/base.conf
        line: upper floor
        create: false
      when: demo_state | default('present') == 'present'

    - name: Take it back
      ansible.builtin.lineinfile:
        path: /etc/base.conf
        line: upper floor
        state: absent
      when: demo_state | default('present') == 'absent'
"""
CHECKS = """
from testinfra.host import Host

testinfra_hosts = ["ansible://workers"]


def test_it_stands(host: Host) -> None:
    assert host.file("/etc/base.conf").content_string == "blue, worker1\\nupper floor\\n"


def test_the_base_is_there(host: Host) -> None:
    assert host.file("/etc/base.conf").content_string.startswith("blue, worker1\\n")
"""
PAGE = """# A demonstration

/// proof | demo

## Install

```{ .console host=worker1 }
# cat /etc/base.conf
blue, worker1
# echo upper floor >> /etc/base.conf
```

## Undo

```{ .console host=worker1 }
# sed -i '/upper floor/d' /etc/base.conf
```
"""


def build(workshop: Workshop) -> None:
    """Write the path 'base', and 'demo' that builds on it."""
    workshop.path("base", variables={"base_colour": {"default": "red", "lab": "blue", "help": "Its colour."}})
    workshop.write("playbooks/base.yml", BASE)
    held = {"check": "test_demo.py::test_the_base_is_there", "because": "The base has made it."}
    fault = {"run": "sed -i /upper/d /etc/base.conf", "red": ["test_demo.py::test_it_stands"]}
    workshop.path(builds_on=["base"], true_before=[held], sabotage=[fault])
    workshop.write("playbooks/demo.yml", PLAYBOOK)
    workshop.write("recipes/demo/test_demo.py", CHECKS)
    workshop.write("docs/paths/compute/demo.md", PAGE)


def demo(workshop: Workshop) -> LoadedRecipe:
    return load_recipe(workshop.catalogue, "demo")


@pytest.fixture
def two_floors(workshop: Workshop) -> Workshop:
    build(workshop)
    return workshop


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LADING_CACHE", str(tmp_path / "cache"))
    with opened_workspace(quiet()) as workspace:
        yield workspace


# Which proofs come first -------------------------------------------------------------------------------------------


def names(jobs: Sequence[Job]) -> list[str]:
    return [job.loaded.id for job in jobs]


def test_bases_are_proven_before_what_builds_on_them_and_else_the_order_stays(workshop: Workshop) -> None:
    workshop.path("alpha", builds_on=["middle"])
    workshop.path("beta")
    workshop.path("middle", builds_on=["zeta"])
    workshop.path("zeta")

    def ordered(*asked: str) -> list[str]:
        return names(named_jobs(workshop.catalogue, asked, "debian13", "full", TODAY)[0])

    assert ordered() == ["zeta", "middle", "alpha", "beta", "demo"]
    assert ordered("demo", "beta", "zeta") == ["demo", "beta", "zeta"]
    assert ordered("beta", "alpha", "zeta") == ["beta", "zeta", "alpha"], (
        "also where what lies between is not asked for"
    )


def test_ci_proves_bases_first_in_each_of_its_groups(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_draw", lambda _catalogue, jobs: next(job for job in jobs if job.loaded.id == "demo"))
    workshop.path("alpha", builds_on=["zeta"])
    workshop.path("zeta")
    workshop.commit()
    jobs, _ = ci_jobs(workshop.catalogue, None, TODAY)
    assert names(jobs) == ["zeta", "alpha", "demo"]
    for name, days in (("zeta", 1), ("alpha", 2), ("demo", 0)):
        prove(workshop, name, finished=DAY - timedelta(days=days))
    workshop.commit()
    workshop.write("README.md", "words\n")
    workshop.commit()
    jobs, _ = ci_jobs(workshop.catalogue, None, TODAY)
    assert names(jobs) == ["demo", "zeta", "alpha"]


# What a base must have shown ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outcomes, days, grade, said",
    [
        (FULL, 0, "full", None),
        (FULL, 40, "full", None),
        (QUICK, 0, "full", "is not fully proven on debian13: its grade is quick."),
        (FAILED, 0, "full", "has failed on debian13: failed (playbook/green: "),
        (None, 0, "full", "is not fully proven on debian13: not-verified (never run)."),
        (None, 0, "quick", None),
        (QUICK, 0, "quick", None),
        (FAILED, 0, "quick", "has failed on debian13: failed (playbook/green: "),
    ],
)
def test_what_a_path_builds_on_must_have_been_proven(
    two_floors: Workshop,
    workspace: Workspace,
    outcomes: dict[str, Outcome] | None,
    days: int,
    grade: Grade,
    said: str | None,
) -> None:
    if outcomes is not None:
        prove(two_floors, "base", outcomes=outcomes, finished=DAY - timedelta(days=days))
    told = refusal(two_floors, workspace, grade)
    if said is None:
        assert told is None
    else:
        assert told is not None
        assert told.message.startswith(f"'demo' builds on 'base', which {said}")
        assert told.hint == "Prove it first: lading verify base --platform debian13"


def refusal(workshop: Workshop, workspace: Workspace, grade: Grade = "full") -> BaseUnproven | None:
    """Return what is said of the bases of 'demo', if anything is."""
    try:
        require_proven(workspace, workshop.catalogue, demo(workshop), "debian13", grade, TODAY)
    except BaseUnproven as error:
        return error
    return None


def test_a_base_that_changed_since_it_was_proven_is_stale(two_floors: Workshop, workspace: Workspace) -> None:
    prove(two_floors, "base")
    two_floors.write("playbooks/base.yml", BASE.replace("0644", "0600"))
    told = refusal(two_floors, workspace)
    assert told is not None
    assert "not fully proven on debian13: stale (changed since: playbooks/base.yml)" in told.message


def test_what_a_base_builds_on_itself_must_have_been_proven_too(two_floors: Workshop, workspace: Workspace) -> None:
    two_floors.path("ground")
    two_floors.path("base", builds_on=["ground"])
    prove(two_floors, "base")
    told = refusal(two_floors, workspace)
    assert told is not None
    assert told.base == "ground"


def test_a_proof_of_this_machine_counts_although_nobody_wrote_the_evidence(
    two_floors: Workshop, workspace: Workspace
) -> None:
    statement = prove(two_floors, "base")
    (two_floors.catalogue.evidence / "base" / "debian13.json").unlink()
    assert refusal(two_floors, workspace) is not None
    remember(workspace, "base", "debian13", statement)
    assert refusal(two_floors, workspace) is None


@pytest.mark.usefixtures("workspace")
def test_an_unproven_base_is_bad_input_and_no_lab_is_opened(
    two_floors: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object) -> None:
        raise LabError("A lab was opened.")

    monkeypatch.setattr(campaign, "opened_lab", opened)
    jobs, _ = named_jobs(two_floors.catalogue, ["demo"], "debian13", "full", TODAY)
    results = list(run_jobs(two_floors.catalogue, jobs, Manner(), quiet(), TODAY))
    assert [one.kind for one in results] == ["bad-input"]
    assert exit_code(results) == ExitCode.USAGE


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    "of_base, kind, said",
    [
        ("not-reached", "not-reached", "builds on 'base', which was not reached either"),
        ("lab-error", "lab-error", "It builds on 'base', of which there is no verdict."),
        ("failed", "bad-input", "'demo' builds on 'base', which has just failed."),
        ("not-reproduced", "bad-input", "'demo' builds on 'base', which has just failed."),
        ("bad-input", "bad-input", "'demo' builds on 'base', which is not fully proven"),
    ],
)
def test_what_came_of_the_base_just_now_tells_why_it_is_not_proven(
    two_floors: Workshop, monkeypatch: pytest.MonkeyPatch, of_base: Kind, kind: Kind, said: str
) -> None:
    really = campaign._run_job

    def run(catalogue: Any, job: Job, *rest: Any) -> Result:
        return Result(job, of_base) if job.loaded.id == "base" else really(catalogue, job, *rest)

    monkeypatch.setattr(campaign, "_run_job", run)
    jobs, _ = named_jobs(two_floors.catalogue, ["demo", "base"], "debian13", "full", TODAY)
    results = list(run_jobs(two_floors.catalogue, jobs, Manner(), quiet(), TODAY))
    assert [one.kind for one in results] == [of_base, kind]
    assert results[1].message.startswith(said)


# Layers ------------------------------------------------------------------------------------------------------------


def layers(workshop: Workshop) -> dict[str, Layer]:
    return foundation_of(workshop.catalogue, demo(workshop), "debian13").layers(NO_LAB)


def test_a_path_that_builds_on_nothing_has_no_layers(workshop: Workshop) -> None:
    assert layers(workshop) == {}


def test_each_host_gets_the_bases_of_its_groups_those_below_first(workshop: Workshop) -> None:
    workshop.path("ground", hosts={"any": {"groups": ["servers", "workers"]}})
    workshop.path("base", builds_on=["ground"])
    workshop.path("cache", hosts={"any": {"groups": ["servers"]}})
    hosts = {"server1": ["servers"], "worker1": ["workers"], "client1": ["clients"]}
    workshop.path(builds_on=["base", "cache"], hosts={name: {"groups": groups} for name, groups in hosts.items()})
    assert {name: layer.name for name, layer in layers(workshop).items()} == {
        "server1": "'ground' and 'cache'",
        "worker1": "'ground' and 'base'",
    }


def test_a_host_of_the_deeper_path_alone_gets_only_that(workshop: Workshop) -> None:
    workshop.path("ground", hosts={"any": {"groups": ["workers"]}})
    workshop.path("base", builds_on=["ground"], hosts={"any": {"groups": ["builders", "workers"]}})
    hosts = {"builder1": ["builders", "workers"], "login1": ["hpc", "workers"]}
    workshop.path(builds_on=["base"], hosts={name: {"groups": groups} for name, groups in hosts.items()})
    assert {name: layer.name for name, layer in layers(workshop).items()} == {
        "builder1": "'ground' and 'base'",
        "login1": "'ground'",
    }


def test_a_layer_brings_the_test_images_of_its_bases(workshop: Workshop) -> None:
    workshop.path("base", images={"small": {"suite": "trixie", "packages": ["dash"], "form": "dir"}})
    workshop.path(builds_on=["base"])
    (layer,) = layers(workshop).values()
    assert {name: image.packages for name, image in layer.images.items()} == {"small": ("dash",)}


CHANGES: dict[str, Callable[[Workshop], object]] = {
    "the base's playbook": lambda shop: shop.write("playbooks/base.yml", BASE + "\n"),
    "the host's name": lambda shop: shop.path(builds_on=["base"], hosts={"worker2": {"groups": ["workers"]}}),
    "what comes before": lambda shop: (shop.path("other"), shop.path(builds_on=["other", "base"])),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_layer_is_made_where_what_decides_it_changed(two_floors: Workshop, what: str) -> None:
    (before,) = layers(two_floors).values()
    CHANGES[what](two_floors)
    (after,) = layers(two_floors).values()
    assert before.key != after.key


def test_a_change_of_the_path_itself_keeps_the_layer(two_floors: Workshop) -> None:
    (before,) = layers(two_floors).values()
    two_floors.write("playbooks/demo.yml", PLAYBOOK + "\n")
    (after,) = layers(two_floors).values()
    assert before.key == after.key


@pytest.mark.parametrize("group, same", [("servers", False), ("readers", True)])
def test_a_group_of_the_host_decides_the_layer_if_a_base_knows_it(two_floors: Workshop, group: str, same: bool) -> None:
    two_floors.path("base", hosts={"any": {"groups": ["servers", "workers"]}})
    (before,) = layers(two_floors).values()
    two_floors.path(builds_on=["base"], hosts={"worker1": {"groups": [group, "workers"]}})
    (after,) = layers(two_floors).values()
    assert (before.key == after.key) is same


def test_a_base_that_changes_while_it_is_applied_leaves_no_layer(two_floors: Workshop) -> None:
    foundation = foundation_of(two_floors.catalogue, demo(two_floors), "debian13")
    foundation._apply(NO_LAB, [], [], cast(Guest, None))
    two_floors.write("playbooks/base.yml", BASE + "\n")
    with pytest.raises(LabError, match="Files of what 'demo' builds on changed while it was applied"):
        foundation._apply(NO_LAB, [], [], cast(Guest, None))


def test_a_base_whose_plays_pass_the_host_by_is_refused(two_floors: Workshop) -> None:
    foundation = foundation_of(two_floors.catalogue, demo(two_floors), "debian13")
    guest = cast(Guest, SimpleNamespace(name="worker1"))
    with pytest.raises(UsageError, match=r"No play of 'base', .*is for the groups of 'worker1' \(workers\)"):
        foundation._require_play(foundation.bases[0], guest, ["workers"], PlayResult(0, 1.0, (), Path("log")))


# In guests ---------------------------------------------------------------------------------------------------------

STAGES = ("red", "apply", "green", "undo")


def run(workshop: Workshop, grade: Grade = "full") -> tuple[Result, str]:
    """Prove 'demo' now, and return what came of it with all that was said."""
    said = io.StringIO()
    today = datetime.now(UTC).date()
    jobs, _ = named_jobs(workshop.catalogue, ["demo"], "debian13", grade, today)
    narrator = Narrator(Console(file=said, width=1000))
    (result,) = run_jobs(workshop.catalogue, jobs, Manner(force=True), narrator, today)
    return result, said.getvalue()


def with_new_base(workshop: Workshop, request: pytest.FixtureRequest) -> None:
    """Write evidence of the base as it is now; a layer with it is there neither before the test nor after it."""
    (layer,) = layers(workshop).values()
    forget_layer(cache_root(), layer)
    request.addfinalizer(partial(forget_layer, cache_root(), layer))
    prove(workshop, "base", finished=datetime.now(UTC))


@pytest.mark.vm
def test_a_path_is_proven_on_its_base_which_is_applied_once(
    two_floors: Workshop, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def shortened(loaded: LoadedRecipe, page: Page, grade: Grade) -> Sequence[Track]:
        return [
            replace(track, stages=tuple(stage for stage in track.stages if stage in STAGES))
            for track in tracks_of(loaded, page, grade)
        ]

    monkeypatch.setattr(prover, "tracks_of", shortened)
    with_new_base(two_floors, request)
    result, said = run(two_floors)
    assert result.proof is not None, result.message
    assert result.proof.passed, result.message
    ran = result.proof.statement.run
    passed = {
        name: [stage.name for stage in route.stages if stage.outcome == "passed"] for name, route in ran.routes.items()
    }
    assert passed == {"playbook": list(STAGES), "by-hand": ["apply", "green", "undo", "agree"]}
    red = next(stage for stage in ran.routes["playbook"].stages if stage.name == "red")
    assert red.detail == "1 checks failed, 1 declared true before"
    base = load_recipe(two_floors.catalogue, "base")
    assert ran.resolved["bases"] == {"base": subject_of(two_floors.catalogue, base, "debian13").digest}
    assert said.count("Applying 'base' once, for a snapshot: done in") == 1, said

    result, said = run(two_floors, "quick")
    assert result.kind == "proven", result.message
    assert "Applying" not in said


@pytest.mark.vm
def test_a_base_that_fails_is_no_verdict_about_what_builds_on_it(
    two_floors: Workshop, request: pytest.FixtureRequest
) -> None:
    two_floors.write("playbooks/base.yml", BASE.replace("/etc/base.conf", "/nowhere/base.conf"))
    with_new_base(two_floors, request)
    result, said = run(two_floors, "quick")
    assert result.kind == "lab-error"
    assert (
        "The playbook of 'base', on which 'demo' builds, failed. It failed on 'worker1' in 'Say what" in result.message
    )
    assert result.hint is not None
    assert "The whole output: " in result.hint
    log = Path(result.hint.partition("The whole output: ")[2].splitlines()[0])
    assert {"ansible-base.log", "signs.txt"} <= {file.name for file in log.parent.iterdir()}
    assert "lading verify base --platform debian13 --force" in result.hint
    assert "Applying 'base' once, for a snapshot: failed after" in said


# Stand-ins ---------------------------------------------------------------------------------------------------------

SERVED: dict[str, Any] = {
    "images": {"tiny": {"suite": "trixie", "packages": ["dash"], "form": "dir"}},
    "stand_ins": {"cvmfs": {"repositories": {"software.site.example": "tiny"}}},
}


def layer_of(workshop: Workshop) -> Layer | None:
    return foundation_of(workshop.catalogue, demo(workshop), "debian13").layers(NO_LAB).get("worker1")


def test_a_stand_in_is_a_layer_of_its_own_whose_guests_get_the_disks(workshop: Workshop) -> None:
    workshop.path(**SERVED)
    layer = layer_of(workshop)
    assert layer is not None
    assert (layer.name, list(layer.drives), dict(layer.images)) == ("the CVMFS stand-in", ["cvmfs_0"], {})
    foundation = foundation_of(workshop.catalogue, demo(workshop), "debian13")
    assert foundation.stand_ins == "CVMFS is a stand-in of autofs and squashfuse"


def test_hosts_of_other_groups_get_none_and_paths_without_one_say_nothing_of_it(workshop: Workshop) -> None:
    hosts = {"worker1": {"groups": ["workers"]}, "head": {"groups": ["heads"]}}
    cvmfs = {**SERVED["stand_ins"]["cvmfs"], "groups": ["heads"]}
    workshop.path(hosts=hosts, images=SERVED["images"], stand_ins={"cvmfs": cvmfs})
    assert list(foundation_of(workshop.catalogue, demo(workshop), "debian13").layers(NO_LAB)) == ["head"]
    workshop.path()
    assert layer_of(workshop) is None
    assert foundation_of(workshop.catalogue, demo(workshop), "debian13").stand_ins == ""


def test_what_a_base_is_proven_over_the_path_above_stands_on_too(two_floors: Workshop) -> None:
    plain = layer_of(two_floors)
    variables = {"base_colour": {"default": "red", "lab": "blue", "help": "Its colour."}}
    two_floors.path("base", variables=variables, **SERVED)
    two_floors.write("playbooks/base.yml", BASE)
    layer = layer_of(two_floors)
    assert plain is not None
    assert layer is not None
    assert layer.name == "the CVMFS stand-in and 'base'"
    assert list(layer.drives) == ["cvmfs_0"]
    assert layer.key != plain.key


def test_a_layer_is_another_one_with_other_times_and_the_same_with_other_content(workshop: Workshop) -> None:
    def key(idle: str, packages: list[str]) -> str:
        tiny = {**SERVED["images"]["tiny"], "packages": packages}
        cvmfs = {**SERVED["stand_ins"]["cvmfs"], "idle": idle}
        workshop.path(images={"tiny": tiny}, stand_ins={"cvmfs": cvmfs})
        layer = layer_of(workshop)
        assert layer is not None
        return layer.key

    assert key("5s", ["dash"]) == key("5s", ["dash", "bash"]) != key("6s", ["dash"])


def test_what_a_stand_in_serves_is_not_below_srv_images_too(workshop: Workshop) -> None:
    images = {**SERVED["images"], "other": {"suite": "sid", "packages": [], "form": "dir"}}
    workshop.path(images=images, stand_ins=SERVED["stand_ins"])
    assert list(mounted_images(demo(workshop).recipe)) == ["other"]
