"""Runs that are killed, and runs side by side: the cache stays whole, and nothing survives."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lading.errors import LabError
from lading.janitor import marked_processes
from lading.lab import machine, snapshot
from lading.lab.accel import find_accelerator
from lading.lab.image import GuestImage
from lading.lab.lab import Lab
from lading.lab.upkeep import tidy

from .conftest import left_behind, listening, workspace_in

pytestmark = pytest.mark.vm

DRIVER = Path(__file__).with_name("driver.py")


@contextmanager
def driver(cache: Path, hold: float) -> Iterator["subprocess.Popen[str]"]:
    """Start a run as a process of its own; what it says comes on its standard output."""
    environment = {**os.environ, "LADING_CACHE": str(cache)}
    environment.pop("LADING_RUN", None)
    words = [sys.executable, str(DRIVER), str(hold)]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as run:
        try:
            yield run
        finally:
            run.kill()


def wait_until(what: str, holds: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)  # the condition is another process's progress, which nothing announces


def marks(run: "subprocess.Popen[str]") -> str:
    """Return the run's id, which it says first."""
    assert run.stdout is not None
    return run.stdout.readline().split()[1]


def is_qemu(pid: int) -> bool:
    """Tell whether a process is a guest; one that has ended meanwhile is none."""
    try:
        return b"qemu-system" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


MOMENTS: dict[str, Callable[[Path, str], bool]] = {
    "while an image is built": lambda cache, _id: any((cache / "tmp").glob("*/debian13-*/disk.raw")),
    "while a guest boots": lambda _cache, run: any(map(is_qemu, marked_processes(run))),
    "while a snapshot is written": lambda cache, _id: any((cache / "tmp").glob("*/snapshot-*/memory")),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_leaves_nothing_behind(
    moment: str, number: signal.Signals, cache_with_image: Path, tmp_path: Path
) -> None:
    cache = cache_with_image if "image" not in moment else tmp_path / "empty"
    with driver(cache, hold=60) as run:
        mark = marks(run)
        wait_until(moment, lambda: MOMENTS[moment](cache, mark))
        run.send_signal(number)
        run.wait(30)
    wait_until("the end of the run's processes", lambda: not marked_processes(mark), 30)
    wait_until("the run's folders to go", lambda: not left_behind(cache), 30)
    wait_until("its sockets to go", lambda: not list(Path("/tmp").glob(f"lading-*-{mark}")), 30)
    wait_until("its lock to go", lambda: not list((cache / "locks").glob("run-*")), 30)
    # Locks are the kernel's: another run gets them at once, and finds nothing half done.
    with workspace_in(cache) as workspace:
        for lock in (cache / "locks").glob("[!r]*"):  # not this run's own
            with workspace.lock(lock.stem):
                pass
    assert list(tidy(cache)) == []


def test_a_killed_run_leaves_no_guest(lab: Lab, image: GuestImage, tmp_path: Path) -> None:
    with lab.guest("warm", image, tmp_path):
        pass  # the snapshot is there now
    with driver(lab.workspace.cache, hold=60) as run:
        mark = marks(run)
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        assert marked_processes(mark)
        run.kill()
    wait_until("the end of the guest", lambda: not marked_processes(mark), 30)
    wait_until("its disk to go", lambda: not (lab.workspace.cache / "tmp" / mark).exists(), 30)


def test_two_runs_share_a_cache(cache_with_image: Path) -> None:
    with driver(cache_with_image, hold=0) as one, driver(cache_with_image, hold=0) as two:
        said = [run.communicate(timeout=400)[0] for run in (one, two)]
        assert [run.returncode for run in (one, two)] == [0, 0]
    assert all(text.endswith("ready\n") for text in said)
    assert len(list((cache_with_image / "snapshots").iterdir())) == 1
    assert left_behind(cache_with_image) == []


def test_a_changed_machine_boots_cold_and_says_why(lab: Lab, image: GuestImage, tmp_path: Path) -> None:
    with lab.guest("warm", image, tmp_path):
        pass
    narrator, said = listening()
    with workspace_in(lab.workspace.cache, narrator) as workspace:
        accelerator = lab.accelerator(image).accelerator
        assert snapshot.find(machine.describe(image, accelerator), workspace) is not None
        assert said.getvalue() == ""
        assert snapshot.find(machine.describe(image, accelerator, memory=1152), workspace) is None
    # What it was is another snapshot's, of which the cache may have several.
    told = r"the machine changed since the last snapshot: memory was '\d+', is '1152'"
    assert re.search(told, said.getvalue())


def test_a_damaged_snapshot_is_not_used(lab: Lab, image: GuestImage, tmp_path: Path) -> None:
    spec = machine.describe(image, lab.accelerator(image).accelerator)
    with lab.guest("warm", image, tmp_path / "logs"):
        pass
    good = lab.workspace.folder("snapshots") / spec.key
    (tmp_path / "cache" / "snapshots").mkdir(parents=True)
    subprocess.run(["cp", "-a", "--sparse=auto", good, tmp_path / "cache" / "snapshots"], check=True)
    narrator, said = listening()
    with workspace_in(tmp_path / "cache", narrator) as workspace:
        assert snapshot.find(spec, workspace) is not None
        memory = tmp_path / "cache" / "snapshots" / spec.key / "memory"
        memory.chmod(0o600)
        with memory.open("r+b") as file:
            file.seek(5000)
            byte = file.read(1)
            file.seek(5000)
            file.write(bytes([byte[0] ^ 1]))
        assert snapshot.find(spec, workspace) is None
    assert "'memory' is damaged" in said.getvalue()


def test_kvm_asked_for_where_guests_die_is_an_error_that_says_so(lab: Lab, image: GuestImage) -> None:
    if lab.accelerator(image).accelerator == "kvm":
        assert find_accelerator(lab.workspace, image, "kvm").accelerator == "kvm"
        return
    with pytest.raises(LabError, match=r"KVM was asked for, but guests do not run under it here: .+"):
        find_accelerator(lab.workspace, image, "kvm")
