"""Snapshots: a booted guest's memory and disk, from which each proof starts in a second."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lading.errors import LabError
from lading.lab import machine
from lading.lab.guest import Guest
from lading.lab.layer import Layer, flatten, leave
from lading.lab.machine import Machine
from lading.lab.workspace import Workspace

BLOCK = 1 << 20
ZEROS = bytes(BLOCK)
# In the folders of layers alone: what was done to the guest, for people.
LAYER = "layer.json"


@dataclass(frozen=True)
class Snapshot:
    """A finished snapshot in the cache; its files never change."""

    folder: Path

    @property
    def memory(self) -> Path:
        return self.folder / "memory"

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"


def key_of(spec: Machine, layer: Layer | None = None) -> str:
    """Return the name of the snapshot in the cache."""
    return spec.key if layer is None else layer.on(spec)


def take(guest: Guest, workspace: Workspace, layer: Layer | None = None) -> Snapshot:
    """Freeze a guest into a snapshot; the guest is over then.

    It is freshly booted, or it was restored and has the `layer`. The snapshot arrives in the cache whole or not at all.
    """
    key = key_of(guest.spec, layer)
    made = workspace.tmp / f"snapshot-{key}"
    made.mkdir()
    if layer is not None:
        leave(guest)
    # A saved seed would be the same in every clone.
    guest.ask("rm -f /var/lib/systemd/random-seed; sync")
    guest.freeze(made / "memory")
    guest.disk.rename(made / "disk.qcow2")
    if layer is not None:
        # The disk below is another snapshot's, which `lading gc` may remove first.
        flatten(made / "disk.qcow2", guest.image)
        (made / LAYER).write_text(json.dumps({"name": layer.name, "key": layer.key}))
    (made / "machine.json").write_text(machine.canonical(guest.spec))
    digests = {name: file_digest(made / name) for name in ("memory", "disk.qcow2")}
    (made / "digests.json").write_text(json.dumps(digests))
    for name in digests:
        (made / name).chmod(0o400)
    return Snapshot(workspace.arrive(made, workspace.folder("snapshots") / key))


def exists(spec: Machine, workspace: Workspace, layer: Layer | None = None) -> bool:
    """Say whether there is such a snapshot; it came whole, but may be damaged since."""
    return (workspace.folder("snapshots") / key_of(spec, layer) / "digests.json").exists()


def find(spec: Machine, workspace: Workspace, layer: Layer | None = None) -> Snapshot | None:
    """Return the snapshot for exactly this machine, or None after saying why: a damaged one counts as none.

    Of a layer that is not there nothing is said; making it tells enough.
    """
    folder = workspace.folder("snapshots") / key_of(spec, layer)
    if not exists(spec, workspace, layer):
        if layer is None:
            workspace.narrator.say(_why_none(spec, workspace))
        return None
    digests = json.loads((folder / "digests.json").read_text())
    damaged = [name for name, digest in digests.items() if file_digest(folder / name) != digest]
    if damaged:
        what = "Cold boot: the snapshot's" if layer is None else f"The snapshot with {layer.name} is no use: its"
        workspace.narrator.say(f"{what} '{damaged[0]}' is damaged; it is made again.")
        return None
    return Snapshot(folder)


def _why_none(spec: Machine, workspace: Workspace) -> str:
    """Compare with the newest other snapshot, so that the user learns what changed."""
    # A layer's machine is one that has been booted without it.
    booted = [
        path for path in workspace.folder("snapshots").glob("*/machine.json") if not (path.parent / LAYER).exists()
    ]
    described = sorted(booted, key=lambda path: path.stat().st_mtime, reverse=True)
    kin = [json.loads(path.read_text()) for path in described]
    platform = spec.image.partition("-")[0]
    kin = [known for known in kin if str(known.get("image", "")).partition("-")[0] == platform]
    if not kin:
        return f"Cold boot: there is no snapshot of '{platform}' yet."
    nearest = min((spec.differences(known) for known in kin), key=len)
    return f"Cold boot: the machine changed since the last snapshot: {'; '.join(nearest)}."


def file_digest(path: Path) -> str:
    """Return a SHA-256 of what a file holds: of its length, and of each block that is not all zeros, with its place.

    Most of a memory file are holes; they are not read, and it makes no difference whether zeros lie in one or not.
    A missing file has the digest ''.
    """
    sha = hashlib.sha256()
    try:
        with path.open("rb") as file:
            sha.update(str(os.fstat(file.fileno()).st_size).encode())
            for offset in _data_blocks(file.fileno()):
                block = os.pread(file.fileno(), BLOCK, offset)
                if block != ZEROS[: len(block)]:
                    sha.update(f"{offset}:".encode())
                    sha.update(block)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise LabError(f"'{path}' can't be read: {error}.") from error
    return sha.hexdigest()


def _data_blocks(descriptor: int) -> Iterator[int]:
    """Yield the places of a file's blocks, in order, but not of those that lie wholly in a hole."""
    offset = 0
    while True:
        try:
            offset = os.lseek(descriptor, offset, os.SEEK_DATA) // BLOCK * BLOCK
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data from here to the end
                return
            raise
        yield offset
        offset += BLOCK
