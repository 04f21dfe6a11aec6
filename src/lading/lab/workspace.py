"""The machine's cache, and how runs share it: one lock for each key, temporary folders for each run, atomic arrival."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lading.errors import LabError
from lading.narrator import Narrator
from lading.process import RUN_MARK, Janitor
from lading.project import cache_root

KINDS = ("images", "snapshots", "test-images", "proxy", "proofs", "runs", "tmp", "locks", "facts")


@dataclass(frozen=True)
class Workspace:
    """Where this run keeps what it makes.

    `cache` is shared by every run on this machine; `tmp`, `sockets` and `build` are this run's own and vanish with it,
    even after a SIGKILL. `sockets` is a short path, since a Unix socket's path is limited to 107 bytes; `build` is
    open to the user namespace that builds images, whose root is another user out here.
    """

    cache: Path
    run_id: str
    narrator: Narrator = field(default_factory=Narrator)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def tmp(self) -> Path:
        return self.cache / "tmp" / self.run_id

    @property
    def short(self) -> Path:
        return Path("/tmp") / f"lading-{os.getuid()}-{self.run_id}"  # noqa: S108 - a random name, created exclusively

    @property
    def sockets(self) -> Path:
        return self.short / "s"

    @property
    def build(self) -> Path:
        return self.short / "b"

    def make_own_folders(self) -> None:
        """Create what belongs to this run alone."""
        for folder, mode in ((self.tmp, 0o700), (self.short, 0o711), (self.sockets, 0o700), (self.build, 0o1777)):
            folder.mkdir()
            folder.chmod(mode)

    def folder(self, kind: str) -> Path:
        """Return the folder of a kind of thing in the cache."""
        assert kind in KINDS
        return self.cache / kind

    def new_run_folder(self, label: str) -> Path:
        """Return a fresh folder for a run's logs; it is kept when the run fails."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        folder = self.folder("runs") / f"{stamp}-{label}-{self.run_id}"
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def keep(self) -> None:
        """Leave this run's guests and folders when it ends; `lading gc` ends them."""
        (self.tmp / "keep").touch()

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the machine-wide lock of that name; the kernel lets it go when the holder dies.

        The empty lock file stays: removing it would let two runs hold two locks of one name.
        """
        path = self.folder("locks") / f"{name}.lock"
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.narrator.say(f"'{name}' is taken; waiting for it.")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def arrive(self, made: Path, final: Path) -> Path:
        """Move a finished folder to its place in the cache, whole or not at all, and safe on disk."""
        for path in (*made.rglob("*"), made):
            _fsync(path)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            shutil.rmtree(final)
        made.rename(final)
        _fsync(final.parent)
        return final


def _fsync(path: Path) -> None:
    if path.is_symlink():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def opened_workspace(narrator: Narrator | None = None) -> Iterator[Workspace]:
    """Open the cache for one run, with a janitor that leaves nothing of it behind but logs."""
    workspace = Workspace(cache_root(), uuid.uuid4().hex[:12], narrator or Narrator())
    try:
        for kind in KINDS:
            workspace.folder(kind).mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LabError(f"The cache '{workspace.cache}' can't be used: {error}.", hint="Set LADING_CACHE.") from error
    own_lock = workspace.folder("locks") / f"run-{workspace.run_id}.lock"
    janitor = Janitor(workspace.run_id, [workspace.tmp, workspace.short, own_lock])
    before = os.environ.get(RUN_MARK)
    os.environ[RUN_MARK] = workspace.run_id
    try:
        with workspace.lock(own_lock.stem):  # tells `lading gc` that this run lives
            workspace.make_own_folders()
            yield workspace
    finally:
        if before is None:
            del os.environ[RUN_MARK]
        else:
            os.environ[RUN_MARK] = before
        if (workspace.tmp / "keep").exists():
            own_lock.unlink()
            janitor.dismiss()
        else:
            janitor.clean()
