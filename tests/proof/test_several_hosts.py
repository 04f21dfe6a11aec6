"""A path with a server and a worker: what is told of which host, where scripts run, and the whole in guests."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lading.errors import PathFailed
from lading.evidence.model import Grade
from lading.lab.lab import opened_lab
from lading.lab.workspace import opened_workspace
from lading.narrator import quiet
from lading.page.model import FileBlock, Page, Place
from lading.proof import prover
from lading.proof.agree import require_agreement
from lading.proof.bench import Bench, States
from lading.proof.judge import Delta, changes, require_restored
from lading.proof.plan import UNKNOWN_SECONDS, UNKNOWN_SECONDS_OF_SEVERAL, named_jobs
from lading.proof.tracks import Track, tracks_of
from lading.recipe.load import LoadedRecipe, load_recipe
from lading.recipe.model import Recipe
from tests.proof.states import state_of
from tests.workshop import Workshop

HOSTS = {"server1": {"groups": ["servers"]}, "worker1": {"groups": ["workers"]}}
BARE = cast(Recipe, SimpleNamespace(differences=[]))


def states(server: str = "", worker: str = "") -> States:
    """Return the states of two hosts that may have a file, by its digest."""
    return {
        name: state_of({"file:/etc/demo": {"sha256": digest}} if digest else {})
        for name, digest in (("server1", server), ("worker1", worker))
    }


def test_what_changed_is_told_with_the_host_on_which_it_did() -> None:
    assert [str(change) for change in changes(states("1"), states("1", "2"))] == [
        "file:/etc/demo came on 'worker1': sha256 2"
    ]


def test_what_undo_left_is_told_with_its_host() -> None:
    bench = cast(Bench, SimpleNamespace(states=lambda: states("1", "2"), recipe=BARE))
    with pytest.raises(PathFailed, match="file:/etc/demo came on 'worker1'"):
        require_restored(bench, states("1"), states("1", "2"))


def test_a_page_is_told_where_it_writes_the_file_of_the_host_that_differs() -> None:
    place = [Place("demo.md", line) for line in (10, 20)]
    blocks = tuple(
        FileBlock(f"install-{line}", place[line], 0, "", "install", host, None, "/etc/demo", "")
        for line, host in enumerate(HOSTS)
    )
    playbook, by_hand = Delta(states(), states("1", "1")), Delta(states(), states("1", "2"))
    with pytest.raises(PathFailed, match=r"^demo.md:20: .*file:/etc/demo changed on 'worker1'"):
        require_agreement(BARE, Page("demo.md", "demo", blocks), playbook, by_hand)
    assert require_agreement(BARE, None, playbook, playbook).endswith("2 items compared")


@pytest.mark.parametrize(
    "groups, hosts", [([], ["server1", "worker1"]), (["workers"], ["worker1"]), (["servers", "workers"], [*HOSTS])]
)
def test_a_script_runs_on_the_hosts_of_its_groups(groups: list[str], hosts: list[str]) -> None:
    ran: list[str] = []

    def guest(name: str) -> Any:
        def ask(*_: object, **__: object) -> Any:
            ran.append(name)
            return SimpleNamespace(rc=0, output="")

        return SimpleNamespace(ask=ask)

    recipe = SimpleNamespace(hosts={name: SimpleNamespace(**said) for name, said in HOSTS.items()})
    bench = SimpleNamespace(recipe=recipe, guests={name: guest(name) for name in HOSTS})
    Bench.run_on(cast(Bench, bench), groups, "true", "It failed", "Mend it.")
    assert ran == hosts


def test_a_proof_of_several_hosts_is_taken_to_last_longer(workshop: Workshop) -> None:
    def seconds() -> float:
        (job,), _ = named_jobs(workshop.catalogue, ["demo"], "debian13", "full", date(2026, 11, 21))
        return job.seconds

    assert seconds() == UNKNOWN_SECONDS
    workshop.path(hosts=HOSTS)
    assert seconds() == UNKNOWN_SECONDS_OF_SEVERAL


def test_the_processors_of_all_hosts_of_a_track_are_counted(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.path(hosts={**HOSTS, "worker2": {"groups": ["workers"], "cpus": 2}})
    loaded = load_recipe(workshop.catalogue, "demo")
    monkeypatch.setattr(prover, "_memory_left", lambda: 0)
    for processors, workers in ((2, 1), (4, 1), (8, 2)):
        monkeypatch.setattr(os, "cpu_count", lambda found=processors: found)
        assert prover._workers(loaded) == workers


def test_two_tracks_of_several_hosts_share_the_processors_if_there_is_memory(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.path(hosts=HOSTS)
    loaded = load_recipe(workshop.catalogue, "demo")
    needed = 2 * sum(host.memory_mib + prover.BESIDE for host in loaded.recipe.hosts.values())
    for processors, memory, workers in ((1, needed, 1), (2, needed - 1, 1), (2, needed, 2), (8, needed, 4)):
        monkeypatch.setattr(os, "cpu_count", lambda found=processors: found)
        monkeypatch.setattr(prover, "_memory_left", lambda found=memory: found)
        assert prover._workers(loaded) == workers


def test_what_memory_is_left_is_what_the_kernel_says() -> None:
    kernel = Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]
    assert 0 < prover._memory_left() <= int(kernel) // 1024


# The server's file and the worker's are of one name, so that a mistaken host would show.
PLAYBOOK = """\
- name: Deploy the server
  hosts: servers
  gather_facts: false
  tasks:
    - name: Say what it is
      ansible.builtin.copy:
        content: "server\\n"
        dest: /etc/demo.conf
        mode: "0644"
      when: demo_state | default('present') == 'present'

- name: Deploy the workers
  hosts: workers
  gather_facts: false
  tasks:
    - name: Say where the server is
      ansible.builtin.copy:
        content: "server1.site.example\\n"
        dest: /etc/demo.conf
        mode: "0644"
      when: demo_state | default('present') == 'present'

- name: Undo on every host
  hosts: servers:workers
  gather_facts: false
  tasks:
    - name: Say nothing
      ansible.builtin.file:
        path: /etc/demo.conf
        state: absent
      when: demo_state | default('present') == 'absent'
"""
CHECKS_OF_SERVERS = """
from testinfra.host import Host

testinfra_hosts = ["ansible://servers"]


def test_it_is_one(host: Host) -> None:
    assert host.run("cat /etc/demo.conf").stdout == "server\\n"
"""
CHECKS_OF_WORKERS = """
from testinfra.host import Host

testinfra_hosts = ["ansible://workers"]


def test_a_worker_reaches_its_server(host: Host) -> None:
    assert host.run("timeout 20 bash -c 'head -c 8 < /dev/tcp/$(cat /etc/demo.conf)/22'").stdout == "SSH-2.0-"
"""
PAGE = """# A demonstration

/// proof | demo

## Install

```{ .file path=/etc/demo.conf host=server1 }
server
```

## Configure

```{ .console host=worker1 }
# echo server1.site.example > /etc/demo.conf
```

## Validate

```{ .console host=worker1 user=bob }
$ timeout 20 bash -c 'head -n 1 < /dev/tcp/server1/22'
SSH-2.0-...
```

## Undo

```{ .console host=server1 }
# rm /etc/demo.conf
```

```{ .console host=worker1 }
# rm /etc/demo.conf
```
"""
# What a path with several hosts does otherwise than one with a single host. Undo asks for red too, and a reboot is
# tried with the segment itself.
STAGES = ("apply", "green", "undo")


@pytest.mark.vm
def test_a_server_and_a_worker_are_proven_together_by_playbook_and_by_hand(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shortened(loaded: LoadedRecipe, page: Page, grade: Grade) -> Sequence[Track]:
        return [
            replace(track, stages=tuple(stage for stage in track.stages if stage in STAGES))
            for track in tracks_of(loaded, page, grade)
        ]

    fault = {"run": "rm /etc/demo.conf", "groups": ["servers"], "red": ["test_demo.py::test_it_is_one"]}
    workshop.path(hosts=HOSTS, true_before=None, sabotage=[fault])
    workshop.write("playbooks/demo.yml", PLAYBOOK)
    workshop.write("recipes/demo/test_demo.py", CHECKS_OF_SERVERS)
    workshop.write("recipes/demo/test_worker.py", CHECKS_OF_WORKERS)
    workshop.write("docs/paths/compute/demo.md", PAGE)
    monkeypatch.setattr(prover, "tracks_of", shortened)
    with opened_workspace(quiet()) as workspace, opened_lab(workspace) as lab:
        proof = prover.prove(lab, workshop.catalogue, load_recipe(workshop.catalogue, "demo"), "debian13")
    run = proof.statement.run
    assert proof.passed, run.failures
    passed = {
        name: [stage.name for stage in route.stages if stage.outcome == "passed"] for name, route in run.routes.items()
    }
    assert passed == {"playbook": list(STAGES), "by-hand": [*STAGES, "agree"]}
    assert run.resolved["owns"] == {"playbook": ["/etc/demo.conf"], "by-hand": ["/etc/demo.conf"]}
