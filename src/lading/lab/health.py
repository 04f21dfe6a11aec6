"""What this machine needs to prove anything, and whether it has it."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lading.errors import LadingError
from lading.lab.accel import find_accelerator
from lading.lab.image import GuestImage
from lading.lab.machine import qemu_version
from lading.lab.mirror import find_mirror
from lading.lab.upkeep import free_bytes, sizes
from lading.lab.workspace import Workspace
from lading.sizes import size_text

PROGRAMS = {
    "mmdebstrap": "builds guest images",
    "newuidmap": "lets mmdebstrap work without root (package uidmap)",
    "mke2fs": "writes guest disks (package e2fsprogs)",
    "qemu-img": "makes throwaway disks (package qemu-utils)",
    "ssh": "reaches guests",
    "ssh-keygen": "makes their keys",
    "scp": "fetches a guest's kernel",
    "unshare": "removes what a killed image build left (package util-linux)",
    "git": "tells which files a proof depends on",
}
SOME = {"mksquashfs": "packs what the CVMFS stand-in serves, which some paths use (package squashfs-tools)"}
# An image, its snapshot and a layer, the packages, what two guests of 2 GB write meanwhile, and a few runs' logs.
NEEDED_BYTES = 7 * 1024**3

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `missing` means that nothing can be proven here."""

    name: str
    state: State
    text: str


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Look at everything that a proof needs, without building anything."""
    yield Finding("Python", "ok", platform.python_version())
    yield _tried("QEMU", qemu_version)
    for program, purpose in PROGRAMS.items():
        found = shutil.which(program)
        yield Finding(program, "ok" if found else "missing", found or f"It {purpose}; 'make setup' installs it.")
    for program, purpose in SOME.items():
        found = shutil.which(program)
        yield Finding(program, "ok" if found else "note", found or f"It {purpose}; 'make setup' installs it.")
    yield _tried("mirror", lambda: find_mirror().main)
    yield _accelerator(workspace)
    cores, memory = os.cpu_count() or 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding("machine", "ok", f"{cores} cores, {size_text(memory)} of memory")
    free = free_bytes(workspace.cache)
    yield Finding("disk", "ok" if free >= NEEDED_BYTES else "missing",
                  f"{size_text(free)} free at {workspace.cache}; {size_text(NEEDED_BYTES)} are needed")  # fmt: skip
    held = ", ".join(f"{kind} {size_text(size)}" for kind, size in sizes(workspace.cache).items() if size > 1024**2)
    yield Finding("cache", "ok", held or "empty")
    yield Finding("engine", "ok", str(Path(sys.executable)))


def _tried(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", look())
    except LadingError as error:
        return Finding(name, "missing", f"{error.message} {error.hint or ''}".strip())


def _accelerator(workspace: Workspace) -> Finding:
    images = [path.parent for path in workspace.folder("images").glob("*/complete")]
    if not images:
        return Finding("accelerator", "note", "not tried yet: that takes a guest image, which 'lading verify' builds")
    try:
        verdict = find_accelerator(workspace, GuestImage(images[0].name, images[0]), "auto")
    except LadingError as error:
        return Finding("accelerator", "missing", error.message)
    return Finding("accelerator", "ok" if verdict.accelerator == "kvm" else "note",
                   f"{verdict.accelerator}. {verdict.reason}")  # fmt: skip
