"""An image area: versions of unpacked container images side by side, and one link for each image to the one in use."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from objects import TIME, Objects, compiled_times
from signed import LISTING, NAME, TOLD, VERSION, Refused, Signed, difference, parse, read_signed

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
NAMED = 5
"""Of many files that differ so many are named."""


class Area:
    """The folder that readers see, and in `.area`, which they cannot enter, what the publisher needs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.private = root / ".area"
        self.data, self.left, self.work, self.damaged = (
            self.private / name for name in ("data", "left", "work", "damaged")
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else change the area meanwhile, and sweep what a killed publication has left.

        Raises:
            Refused: the area is missing or another's, or another change is under way.
        """
        if not self.root.is_dir() or self.root.stat().st_uid != os.geteuid():
            raise Refused(f"'{self.root}' is no folder of this account. Make it, or publish as its owner.")
        for folder in (self.private, self.data, self.left, self.work, self.damaged):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.private.chmod(0o700)
        with (self.private / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(f"Another publication is under way in '{self.root}'. Wait for its end.") from None
            self._sweep()
            try:
                yield
            finally:
                self._sweep()

    def _sweep(self) -> None:
        for left in self.work.iterdir():
            for folder, _, _ in os.walk(left):
                Path(folder).chmod(0o700)  # an image may have folders that even their owner cannot change
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()

    # -- what is there ---------------------------------------------------------------------------------------------

    def images(self) -> list[str]:
        """Return the names of all images."""
        return sorted(path.name for path in self.root.iterdir() if NAME.fullmatch(path.name) and path.is_dir())

    def versions(self, name: str) -> list[str]:
        """Return all versions of an image, whether in use or not."""
        folder = self.root / name
        return sorted(
            path.name
            for path in (folder.iterdir() if folder.is_dir() else ())
            if VERSION.fullmatch(path.name) and path.is_dir()
        )

    def current(self, name: str) -> str | None:
        """Return the version that is in use."""
        link = self.root / name / "current"
        return str(link.readlink()) if link.is_symlink() else None

    def left_at(self, name: str, version: str) -> float | None:
        """Return when a version was last taken out of use, in seconds since 1970, or None if it never was."""
        marker = self.left / name / version
        return marker.stat().st_mtime_ns / 1e9 if marker.exists() else None

    def require(self, name: str, version: str | None) -> Path:
        """Return the folder of a version, by default the one in use.

        Raises:
            Refused: there is none.
        """
        chosen = version or self.current(name)
        if chosen is None or chosen not in self.versions(name):
            raise Refused(f"'{self.root}' has no '{name}'" + (f" of version '{chosen}'." if chosen else "."))
        return self.root / name / chosen

    def verify(self, place: Path, keyring: Path, *, contents: bool = True) -> Signed:
        """Return what a published version is, if that was signed and its tree is still so.

        Raises:
            Refused: something differs, with its name.
        """
        signed = read_signed(place, keyring)
        if (signed.name, signed.version) != (place.parent.name, place.name):
            raise Refused(f"'{place}' holds '{signed.name}' of version '{signed.version}'.")
        if wrong := difference(place / "tree", signed.entries, contents=contents):
            more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
            raise Refused(f"{place}/tree is not as it was signed: {', '.join(wrong[:NAMED])}{more}.")
        return signed

    def used(self) -> dict[str, dict[str, int]]:
        """Return files and bytes of each version, as `NAME/VERSION`, and of the store as an empty name."""
        found = {}
        for name in self.images():
            for version in self.versions(name):
                text = (self.root / name / version / LISTING).read_text(encoding="utf-8")
                sizes = [entry.size for entry in parse(text) if entry.kind == "file"]
                found[f"{name}/{version}"] = {"files": len(sizes), "bytes": sum(sizes)}
        sizes = [path.stat().st_size for path in self.data.glob("??/*")] if self.data.is_dir() else []
        return {**found, "": {"files": len(sizes), "bytes": sum(sizes)}}

    # -- changes, each in `locked` ---------------------------------------------------------------------------------

    def publish(self, folder: Path, keyring: Path) -> str:
        """Take a signed image from its builder's folder, and let `current` lead to it; return what was done.

        Raises:
            Refused: it is not what was signed; then readers see what they saw before.
        """
        made = self.work / "version"
        made.mkdir()
        for name in TOLD:
            if not (folder / name).is_file():
                raise Refused(f"'{folder / name}' is missing.")
            shutil.copyfile(folder / name, made / name)
        signed = read_signed(made, keyring)
        place = self.root / signed.name / signed.version
        if place.is_dir():
            try:
                self.verify(place, keyring)
            except Refused as error:
                told = f"{self._place(signed, folder, made, place)}; what was there was damaged: {error}"
            else:
                told = "it was there already, and is whole"
        else:
            told = self._place(signed, folder, made, place)
        self.switch(signed.name, signed.version)
        return f"{signed.name} {signed.version}: {told}"

    def _place(self, signed: Signed, folder: Path, made: Path, place: Path) -> str:
        """Make the tree out of sight, see it onto the disk, and only then move it beside the other versions."""
        objects = Objects(self.data, self.work / "objects")
        _make_tree(signed, folder / "tree", made / "tree", objects)
        _sync(self.root)
        objects.keep()
        place.parent.mkdir(exist_ok=True)
        if place.is_dir():
            # Jobs may run from the damaged tree, and what they have open goes on only while it is there.
            aside = self.damaged / f"{signed.name}-{signed.version}-{time.time_ns()}"
            made.rename(aside)
            _exchange(aside, place)
        else:
            made.rename(place)
        _sync_folder(place.parent)
        return (
            f"{len(signed.files)} files of {mebibytes(signed.size)}, of which {mebibytes(objects.added_bytes)} "
            f"in {objects.added} files had to be stored"
        )

    def switch(self, name: str, version: str) -> None:
        """Let `current` lead to a version that is there: readers see the old one or the new one, never none."""
        former = self.current(name)
        if former == version:
            return
        markers = self.left / name
        markers.mkdir(exist_ok=True)
        if former:
            # Before the switch: killed in between, it says nothing of a version that is still in use.
            (markers / former).touch()
            now = time.time_ns()  # finer than what the kernel itself would write
            os.utime(markers / former, ns=(now, now))
        link = self.work / "current"
        link.symlink_to(version)
        link.replace(self.root / name / "current")
        _sync_folder(self.root / name)
        (markers / version).unlink(missing_ok=True)

    def rollback(self, name: str, version: str | None = None) -> str:
        """Let `current` lead to a version that is there, by default to the one that it led to before; return it.

        Raises:
            Refused: there is none.
        """
        if version is None:
            current = self.current(name)
            times = {other: self.left_at(name, other) for other in self.versions(name) if other != current}
            before = sorted((at, other) for other, at in times.items() if at is not None)
            if not before:
                raise Refused(f"'{name}' has no version in '{self.root}' that was in use before.")
            version = before[-1][1]
        self.switch(name, self.require(name, version).name)
        return version

    def tidy(self, keep: int, seconds: float) -> list[str]:
        """Remove versions out of use for so long, but for as many of each image as are kept; return which.

        What was damaged and replaced goes after the same time.
        """
        gone = []
        for name in self.images():
            out = [version for version in self.versions(name) if version != self.current(name)]
            # One that was never in use, since its publication was killed, is as old as its place.
            age = {version: self.left_at(name, version) or _placed(self.root / name / version) for version in out}
            for version in sorted(out, key=lambda version: -age[version])[keep:]:
                if time.time() - age[version] >= seconds:
                    (self.root / name / version).rename(self.work / f"{name}-{version}")
                    (self.left / name / version).unlink(missing_ok=True)
                    gone.append(f"{name} {version}")
        for aside in list(self.damaged.iterdir()):
            if time.time() - _placed(aside) >= seconds:
                aside.rename(self.work / aside.name)
                gone.append(f"the damaged {aside.name}")
        self._sweep()
        for path in self.data.glob("??/*"):
            if path.stat().st_nlink == 1:
                path.unlink()
        return gone


def _make_tree(signed: Signed, source: Path, tree: Path, objects: Objects) -> None:
    """Make a tree as the listing has it; of what else lies in the source nothing is taken."""
    tree.mkdir()
    for entry in signed.entries:
        if entry.kind == "dir":
            (tree / entry.name).mkdir(mode=0o700)
        elif entry.kind == "link":
            (tree / entry.name).symlink_to(entry.target)
    # Python's sources come last, since the compiled files say which time they must have.
    for entry in (entry for entry in signed.files if not entry.name.endswith(".py")):
        objects.link(entry, source / entry.name, tree / entry.name)
    times = compiled_times(tree, source, signed.entries)
    for entry in (entry for entry in signed.files if entry.name.endswith(".py")):
        objects.link(entry, source / entry.name, tree / entry.name, times.get(entry.name, TIME))
    for entry in reversed(signed.entries):
        if entry.kind == "dir":
            (tree / entry.name).chmod(entry.mode)
    tree.chmod(0o755)


def _exchange(one: Path, other: Path) -> None:
    """Let two folders take each other's place at once, which Python itself has no way to ask for."""
    names = os.fsencode(one), os.fsencode(other)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(other))


def _sync(folder: Path) -> None:
    """See all of a file system onto its disk."""
    subprocess.run(["sync", "--file-system", str(folder)], check=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _placed(folder: Path) -> float:
    return folder.stat().st_ctime


def mebibytes(size: int) -> str:
    """Return bytes as a person reads them."""
    return f"{size / 1024**2:.1f} MiB"
