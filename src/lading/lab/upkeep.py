"""What the cache holds, and its tidying: guests that were kept, runs that died, and what nobody used for long."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lading.janitor import kill_marked, marked_processes, remove
from lading.lab.workspace import KINDS

DAY = 86400
# Debian publishes security updates within days: an image much older proves little about what a site installs today.
KEPT_DAYS = {"images": 14, "snapshots": 14, "test-images": 14, "runs": 14, "proxy": 30, "facts": 30, "proofs": 365}


@dataclass(frozen=True)
class Removed:
    """Something that was tidied away; `size` in bytes."""

    what: str
    why: str
    size: int


def tidy(cache: Path, *, everything: bool = False) -> Iterator[Removed]:
    """Remove what is left of ended runs, and what is old; with `everything`, all but the records of proofs.

    While a run lives, only what ended runs left is removed: the run may be using anything else.
    """
    yield from _ended_runs(cache)
    if living(cache):
        return
    for kind, days in KEPT_DAYS.items():
        for entry in _entries(cache / kind):
            age = (time.time() - entry.stat().st_mtime) / DAY
            if (everything and kind != "proofs") or age > days:
                size = size_of(entry)
                remove(str(entry))
                yield Removed(f"{kind}/{entry.name}", "everything" if everything else f"{age:.0f} days old", size)


def _ended_runs(cache: Path) -> Iterator[Removed]:
    for folder in _entries(cache / "tmp"):
        if _lives(cache, folder.name):
            continue
        guests = len(marked_processes(folder.name))
        kill_marked(folder.name)
        size = size_of(folder)
        remove(str(folder))
        remove(f"/tmp/lading-{os.getuid()}-{folder.name}")  # noqa: S108 (see Workspace.short)
        (cache / "locks" / f"run-{folder.name}.lock").unlink(missing_ok=True)
        yield Removed(f"tmp/{folder.name}", f"its run is over; {guests} processes ended", size)


def living(cache: Path) -> list[str]:
    """Return the ids of the runs that are under way on this cache."""
    ids = [path.stem.removeprefix("run-") for path in _entries(cache / "locks") if path.stem.startswith("run-")]
    return [run_id for run_id in ids if _lives(cache, run_id)]


def _lives(cache: Path, run_id: str) -> bool:
    """Tell whether a run holds its lock; the kernel lets go of it when the run dies, in whatever way."""
    try:
        with (cache / "locks" / f"run-{run_id}.lock").open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def size_of(path: Path) -> int:
    """Return the bytes on disk below a path; a sparse file counts as what it occupies."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_blocks * 512
    return sum(size_of(entry) for entry in path.iterdir())


def sizes(cache: Path) -> dict[str, int]:
    """Return the bytes on disk of each kind of thing in the cache."""
    return {kind: size_of(cache / kind) for kind in KINDS if (cache / kind).is_dir()}


def free_bytes(cache: Path) -> int:
    """Return the bytes free where the cache is, or would be."""
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return shutil.disk_usage(there).free
