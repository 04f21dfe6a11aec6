"""`lading verify` end to end: a path that lost what it promises fails by name, and a lost guest is no verdict."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lading.evidence.store import evidence_file, read_evidence
from lading.project import Catalogue
from tests.workshop import REPOSITORY, Workshop

pytestmark = pytest.mark.vm

SETTING = "playbooks/roles/worker_namespaces/tasks/present.yml"


def lading(catalogue: Path, *words: str) -> "subprocess.Popen[str]":
    """Start `lading` on a catalogue."""
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from lading.cli.main import main; sys.exit(main())",
         "--catalogue", str(catalogue), *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Catalogue:
    """A copy of this repository's working tree, to break."""
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    root = tmp_path / "copy"
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    subprocess.run(["git", "-C", root, "init", "-q"], check=True)
    return Catalogue(root)


def test_a_role_without_the_setting_fails_and_the_check_is_named(copy: Catalogue) -> None:
    tasks = copy.root / SETTING
    before, mark, _ = tasks.read_text().partition("- name: Set the limits of namespaces")
    assert mark, "the task that this test takes out has another name now"
    tasks.write_text(before)
    done = lading(copy.root, "verify", "apptainer-unprivileged", "--platform", "debian13", "--grade", "quick")
    out, err = done.communicate(timeout=900)
    assert done.returncode == 1, err
    assert "FAILED: playbook/green: " in out
    assert "'test_worker.py::test_network_namespace_is_refused'" in out
    statement = read_evidence(copy, "apptainer-unprivileged", "debian13")
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
    assert json.loads((logs / "timings.json").read_text())["apply"] > 0


def test_a_guest_that_is_lost_while_the_playbook_runs_is_no_verdict(workshop: Workshop) -> None:
    slow = "- name: Take a while\n  ansible.builtin.command: sleep 300\n  changed_when: false\n"
    workshop.write("playbooks/roles/demo/tasks/main.yml", slow)
    run = lading(workshop.root, "verify", "demo", "--grade", "quick")
    assert run.stderr is not None
    for line in run.stderr:
        if "Stage apply" in line:
            break
    os.kill(qemu_of(run.pid), signal.SIGKILL)
    out, _ = run.communicate(timeout=300)
    assert run.returncode == 3
    assert "No verdict, the laboratory broke: The guest 'worker1' ended: QEMU exited with -9" in out
    assert "The console's last lines:" in out
    assert not evidence_file(workshop.catalogue, "demo", "debian13").exists()


def qemu_of(engine: int) -> int:
    """Return the process id of an engine's QEMU."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # processes end while we look
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                if parent == str(engine) and b"qemu-system" in (process / "cmdline").read_bytes():
                    return int(process.name)
        time.sleep(0.1)  # a process of another program: nothing announces it
    raise AssertionError("no QEMU was started")
