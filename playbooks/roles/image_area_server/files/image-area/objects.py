"""Each content once: a store of files by digest and mode, from which trees are made of hard links."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import Path

from signed import Entry, Refused, sha256

TIME = 946684800
"""The time of every file in an area, the year 2000: one file serves many versions, and can have one time only."""

COMPILED = re.compile(r"(?P<folder>.*/|)__pycache__/(?P<stem>[^/.]+)\.[^/]*\.pyc")


class Objects:
    """The store, and beside it, until they are safely on the disk, the objects that a publication brings.

    What is in the store is read before it is used again: somebody may have changed it by way of an older version.
    """

    def __init__(self, data: Path, fresh: Path) -> None:
        self.data, self.fresh = data, fresh
        self.added, self.added_bytes = 0, 0
        self._sound: set[str] = set()
        fresh.mkdir()

    def link(self, entry: Entry, source: Path, target: Path, time: int = TIME) -> None:
        """Put a file into a tree: a link to the object that has its content, which is made if there is none yet.

        Raises:
            Refused: the source is not what was signed.
        """
        key = f"{entry.digest}-{entry.mode:04o}" + (f"-{time}" if time != TIME else "")
        for known in (self.fresh / key, self._place(key)):
            if known.exists() and self._is_sound(known, entry, key) and _linked(known, target):
                return
        self._store(entry, source, key, time)
        os.link(self.fresh / key, target)

    def _place(self, key: str) -> Path:
        return self.data / key[:2] / key

    def _is_sound(self, known: Path, entry: Entry, key: str) -> bool:
        status = known.stat()
        if (stat.S_IMODE(status.st_mode), status.st_size) != (entry.mode, entry.size):
            return False
        if key not in self._sound and sha256(known) != entry.digest:
            return False
        self._sound.add(key)
        return True

    def _store(self, entry: Entry, source: Path, key: str, time: int) -> None:
        """Copy a file, and take the digest of what was copied: nothing can change between a look and the copy."""
        part, digest, size = self.fresh / ".part", hashlib.sha256(), 0
        try:
            with source.open("rb") as reader, part.open("wb") as writer:
                while block := reader.read(1 << 20):
                    digest.update(block)
                    size += len(block)
                    writer.write(block)
                os.fchmod(writer.fileno(), entry.mode)
        except FileNotFoundError:
            raise Refused(f"'{source}' is missing.") from None
        if digest.hexdigest() != entry.digest:
            raise Refused(f"'{source}' is not what was signed.")
        os.utime(part, (time, time))
        part.replace(self.fresh / key)
        self._sound.add(key)
        self.added, self.added_bytes = self.added + 1, self.added_bytes + size

    def keep(self) -> None:
        """Move the new objects into the store; call it when they are on the disk, since nobody reads them again."""
        for path in self.fresh.iterdir():
            place = self._place(path.name)
            place.parent.mkdir(exist_ok=True)
            path.replace(place)


def _linked(known: Path, target: Path) -> bool:
    """Link, unless the file system has as many links to this object as it can have (on ext4 65,000)."""
    try:
        os.link(known, target)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        return False
    return True


def compiled_times(tree: Path, built: Path, entries: list[Entry]) -> dict[str, int]:
    """Return the time that each Python source must have for the compiled file beside it to count.

    Compiled files name the time of their source, unless they name its digest: https://peps.python.org/pep-0552/
    One that names another time than its source had where it was built did not count there, and is not to count here.
    """
    times = {}
    for entry in entries:
        found = COMPILED.fullmatch(entry.name) if entry.kind == "file" else None
        if found:
            with (tree / entry.name).open("rb") as file:
                head = file.read(16)
            if len(head) == 16 and head[4:8] == bytes(4):
                name, time = f"{found['folder']}{found['stem']}.py", int.from_bytes(head[8:12], "little")
                if os.path.lexists(built / name) and int((built / name).lstat().st_mtime) & 0xFFFFFFFF == time:
                    times[name] = time
    return times
