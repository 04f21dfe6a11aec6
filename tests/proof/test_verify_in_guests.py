"""`lading verify` end to end: a path that lost what it promises fails by name, and a lost guest is no verdict."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from lading import process
from lading.evidence.store import evidence_file, read_evidence
from lading.janitor import marked_processes
from lading.project import cache_root
from tests.workshop import CHECKS_IN_GUESTS, Workshop

pytestmark = pytest.mark.vm
T = TypeVar("T")


def lading(catalogue: Path, *words: str) -> "subprocess.Popen[str]":
    """Start `lading` on a catalogue."""
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from lading.cli.main import main; sys.exit(main())",
         "--catalogue", str(catalogue), *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_role_without_the_setting_fails_and_the_check_is_named(workshop: Workshop) -> None:
    workshop.write("playbooks/roles/demo/tasks/main.yml", "- name: Set nothing\n  ansible.builtin.ping:\n")
    workshop.write("recipes/demo/test_demo.py", CHECKS_IN_GUESTS)
    done = lading(workshop.root, "verify", "demo", "--platform", "debian13", "--grade", "quick")
    out, err = done.communicate(timeout=900)
    assert done.returncode == 1, err
    assert "FAILED: playbook/green: " in out
    assert "'test_demo.py::test_it_is_there'" in out
    assert "test_it_is_quiet" not in out
    statement = read_evidence(workshop.catalogue, "demo", "debian13")
    assert statement is not None
    assert statement.predicate.result == "FAILED"
    logs = Path(next(line.partition("Logs: ")[2] for line in out.splitlines() if "Logs: " in line))
    kept = {path.name for path in logs.rglob("*")}
    assert {
        "qemu-1.argv",
        "serial.log",
        "ansible-apply.jsonl",
        "ansible-apply.log",
        "junit.xml",
        "timings.json",
    } <= kept
    assert json.loads((logs / "playbook" / "timings.json").read_text())["apply"] > 0


def test_a_guest_that_is_lost_while_the_playbook_runs_is_no_verdict(workshop: Workshop) -> None:
    slow = "- name: Take a while\n  ansible.builtin.command: sleep 300\n  changed_when: false\n"
    workshop.write("playbooks/roles/demo/tasks/main.yml", slow)
    run = lading(workshop.root, "verify", "demo", "--grade", "quick")
    assert run.stderr is not None
    for line in run.stderr:
        if "Stage apply" in line:
            break
    # The first result is there: the playbook is at work in the guest.
    wait_for(
        lambda: next(cache_root().glob(f"runs/*-demo-debian13-{mark_of(run.pid)}/playbook/ansible-apply.jsonl"), None)
    )
    os.kill(wait_for(lambda: qemu_of(run.pid)), signal.SIGKILL)
    out, _ = run.communicate(timeout=300)
    assert run.returncode == 3
    assert "No verdict, the laboratory broke: The guest 'worker1' ended: QEMU exited with -9" in out
    assert "The console's last lines:" in out
    assert not evidence_file(workshop.catalogue, "demo", "debian13").exists()


def mark_of(engine: int) -> str:
    """Return the id of the run that an engine's children carry."""
    for child in children(engine):
        for variable in (child / "environ").read_bytes().split(b"\0"):
            if variable.startswith(b"LADING_RUN="):
                return variable.partition(b"=")[2].decode()
    return "none-yet"


def qemu_of(engine: int) -> int | None:
    """Return the process id of an engine's QEMU."""
    for child in children(engine):
        if b"qemu-system" in (child / "cmdline").read_bytes():
            return int(child.name)
    return None


def children(engine: int) -> Iterator[Path]:
    """Yield the folders in /proc of an engine's children."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # processes end while we look
            if (folder / "stat").read_text().rpartition(")")[2].split()[1] == str(engine):
                yield folder


def wait_for(look: Callable[[], T | None]) -> T:
    """Return what there is to be seen, once it is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.1)  # another program's progress, which nothing announces
    raise AssertionError("waited 120 s")


def test_a_kept_guest_stays_up_until_gc_ends_it(workshop: Workshop) -> None:
    workshop.write("playbooks/roles/demo/tasks/main.yml", "- name: Nothing\n  ansible.builtin.ping:\n")
    run = lading(workshop.root, "verify", "demo", "--grade", "quick", "--keep")
    out, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    line = next(line.partition("The guest is up: ")[2] for line in out.splitlines() if "The guest is up: " in line)
    name = re.search(r"runs/[^/\s]*-(\w+)/playbook/worker1", line)
    assert name is not None
    assert process.run([*shlex.split(line), "hostname"], timeout=60).stdout == "worker1\n"
    assert marked_processes(name[1])
    collected = lading(workshop.root, "gc")
    said, _ = collected.communicate(timeout=60)
    assert f"tmp/{name[1]} (its run is over; " in said
    assert marked_processes(name[1]) == []
    assert not Path(f"/tmp/lading-{os.getuid()}-{name[1]}").exists()
