"""`image-file` that ends midway, killed or for lack of room, leaves readers with a whole image."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.playbooks.container_image import damage, needs_gpg
from tests.playbooks.image_file import LIMIT, PROGRAM, Area, in_process, mode

pytestmark = needs_gpg


# What happens in between


@pytest.mark.parametrize("name", ["base.sif", "manifest.json"])
def test_what_is_judged_is_the_copy(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    arrived, real = area.arrived(), program.signed
    looks: list[Path] = []

    def look(folder: Path, keyring: Path) -> Any:
        said = real(folder, keyring)
        if folder == arrived:
            damage(arrived / name)
        looks.append(folder)
        return said

    monkeypatch.setattr(program, "signed", look)
    with pytest.raises(program.Refused):
        in_process(program, "accept", arrived)
    assert arrived in looks
    assert not (area.folder / "base").exists()
    assert area.leftovers == []


def test_what_changes_after_the_copy_does_not_matter(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, real = area.arrived(), program.read

    def read(file: Path, target: Path | None = None) -> str:
        digest = str(real(file, target))
        if file.parent == arrived:
            damage(file)
        return digest

    monkeypatch.setattr(program, "read", read)
    in_process(program, "accept", arrived)
    assert (area.current / "base.sif").read_bytes() == b"SIF"


def test_each_file_is_on_the_disk_in_full_before_anybody_finds_it(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, sizes = area.arrived(), []
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    monkeypatch.setattr(os, "sync", lambda: sizes.append(0))
    in_process(program, "accept", arrived)
    files = ("manifest.json", "manifest.json.asc", "base.sif")
    assert sizes == [*((arrived / name).stat().st_size for name in files), 0]


class Full:
    """A file on a disk that is full after some bytes."""

    def __init__(self, real: Any, room: int) -> None:
        self.real, self.room = real, room

    def __enter__(self) -> "Full":
        return self

    def __exit__(self, *_: object) -> None:
        self.real.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def write(self, block: bytes) -> int:
        self.room -= len(block)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self.real.write(block))


def test_a_full_disk_leaves_the_former_and_nothing_else(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, arrived = area.accept(area.arrived(b"old", day=20)), area.arrived(b"new" * 1000)
    real = Path.open
    monkeypatch.setattr(program, "BLOCK", 1000)

    def full(path: Path, mode: str = "r", **more: Any) -> Any:
        return Full(real(path, mode, **more), 2500) if mode == "xb" and path.suffix == ".sif" else real(path, mode)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", full)
        with pytest.raises(program.Refused, match=r"base\.sif' cannot be copied: No space left on device\.$"):
            in_process(program, "accept", arrived)
    assert area.leftovers == []
    assert area.current == old
    assert area.accept(arrived) == area.current


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can mount a small file system.")
def test_a_disk_that_is_really_full_is_told(area: Area, tmp_path: Path) -> None:
    arrived = area.arrived(os.urandom(1 << 20))
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", small], check=False)
    if mounted.returncode:
        pytest.skip("No file system can be mounted here.")
    try:
        shutil.copy(area.folder / "trusted.gpg", small)
        area.folder = small
        said = area.refused("accept", arrived)
        assert said == f"'{arrived}/base.sif' cannot be copied: No space left on device."
    finally:
        subprocess.run(["umount", small], check=True)


def test_what_a_program_may_not_write_is_told_with_what_stays(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(program, "publish", fail)
    monkeypatch.setattr(sys, "argv", ["image-file", "accept", str(area.arrived())])
    mask = os.umask(0o022)
    with pytest.raises(SystemExit) as ended:
        program.main()
    os.umask(mask)
    assert str(ended.value) == "image-file: No space left on device. What was accepted before is as it was."


KILLED = """
import importlib.util, os, pathlib, signal, sys
spec = importlib.util.spec_from_file_location("image_file", {program!r})
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
holder, left = {holder}, [{times}]
real = holder.{method}
def call(*words):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*words)
holder.{method} = call
sys.argv = ["image-file", "accept", {arrived!r}]
program.main()
"""
STEPS = [
    ("os", "fsync", 1),
    ("os", "fsync", 3),
    ("pathlib.Path", "chmod", 2),
    ("pathlib.Path", "rename", 1),
    ("pathlib.Path", "symlink_to", 1),
    ("pathlib.Path", "replace", 1),
    ("os", "sync", 1),
]


@pytest.mark.parametrize("holder, method, times", STEPS)
@pytest.mark.parametrize("kind", ["new", "same"])
def test_whenever_it_is_killed_readers_have_a_whole_image(
    area: Area, holder: str, method: str, times: int, kind: str
) -> None:
    old = area.accept(area.arrived(b"old", day=20))
    arrived = area.arrived(b"new") if kind == "new" else area.arrived(b"old", day=20)
    words = {"program": str(PROGRAM), "arrived": str(arrived), "holder": holder, "method": method, "times": times}
    command = [sys.executable, "-B", "-c", KILLED.format(**words)]
    environment = {**os.environ, "IMAGE_FILES": str(area.folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT)
    if (kind, method) == ("same", "rename"):
        assert done.returncode == 0, done.stderr  # the one that is there is not moved
    else:
        assert (done.returncode, done.stdout) == (-signal.SIGKILL, ""), done.stderr
        assert len(area.leftovers) == 1
    assert (area.current == old) == (kind == "same" or method != "sync")
    assert area.accept(arrived) == area.current


def test_killed_while_it_copies_readers_have_the_old_one_and_the_next_one_sweeps(area: Area) -> None:
    old, arrived = area.accept(area.arrived(b"old", day=20)), area.arrived(b"new")
    with (arrived / "base.sif").open("r+b") as large:
        large.truncate(1 << 30)
    command = [sys.executable, "-B", str(PROGRAM), "accept", str(arrived)]
    with subprocess.Popen(command, env={**os.environ, "IMAGE_FILES": str(area.folder)}) as copying:
        try:
            end = time.monotonic() + LIMIT
            while not any(file.stat().st_size for file in area.folder.glob(".incoming/*/image/base.sif")):
                assert time.monotonic() < end
                time.sleep(0.002)
        finally:
            copying.kill()
    assert copying.returncode == -signal.SIGKILL
    assert len(area.leftovers) == 1
    assert area.current == old
    assert area.accept(area.arrived(b"new")) == area.current


def test_what_a_killed_one_left_is_gone_before_room_is_needed(area: Area, program: ModuleType) -> None:
    (area.folder / ".incoming/tmp0123/image").mkdir(parents=True)
    with program.private_folder() as work:
        assert area.leftovers == [work.parent.name]
        assert mode(work.parent) == 0o700
    assert area.leftovers == []


def test_two_at_once_are_refused(area: Area) -> None:
    arrived = area.arrived()
    (area.folder / ".incoming/tmp0123").mkdir(parents=True)
    with (area.folder / ".incoming/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = area.ended("accept", arrived)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"image-file: Another image arrives in '{area.folder}'. Wait for it.\n"
        assert area.leftovers == ["tmp0123"]  # it is the other one's
    assert area.accept(arrived) == area.current


def test_interrupted_it_ends_without_a_word_and_leaves_nothing(area: Area, tmp_path: Path) -> None:
    (tmp_path / "gpgv").write_text(
        f'#!/bin/sh\nif [ -e {area.folder}/.incoming ]; then kill -INT $PPID; sleep 1; fi\nexec /usr/bin/gpgv "$@"\n'
    )
    (tmp_path / "gpgv").chmod(0o755)
    # Whoever runs these tests in the background of a shell has the signal ignored, and programs inherit that.
    listens = ("env", "--default-signal=INT")
    done = area.ended("accept", area.arrived(), before=listens, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert area.leftovers == []
