"""The versions of a published image: what is in each, how two differ, which is in use, which one goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from published import move, verify
from words import read_json


@dataclass(frozen=True)
class Version:
    """A version that is whole and signed by a trusted key; `offered` are those packages that a repository gave."""

    name: str
    definition: str
    size: int
    packages: dict[str, str]
    offered: frozenset[str]


def read_version(folder: Path, keyring: Path) -> Version:
    """Verify a published version and read its list of packages, which the manifest's signature covers.

    Raises:
        Refused: it is damaged, or no trusted key has signed it.
    """
    said = verify(folder, keyring)
    listed: list[dict[str, Any]] = read_json(folder / "sbom.spdx.json")["packages"]
    packages = {entry["name"]: entry["versionInfo"] for entry in listed}
    offered = frozenset(entry["name"] for entry in listed if entry["checksums"])
    return Version(said["version"], said["definition"], said["tree"]["size"], packages, offered)


@dataclass(frozen=True)
class Changes:
    """What differs between two versions; sizes are in bytes."""

    old: str
    new: str
    size_old: int
    size_new: int
    definition: bool
    came: dict[str, str] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.old} -> {self.new}, {megabytes(self.size_old)} -> {megabytes(self.size_new)}"]
        lines += ["the definition has changed"] if self.definition else []
        lines += [f"+ {name} {version}" for name, version in self.came.items()]
        lines += [f"- {name} {version}" for name, version in self.gone.items()]
        lines += [f"  {name} {old} -> {new}" for name, (old, new) in self.changed.items()]
        return "\n".join(lines if lines[1:] else [*lines, "no package differs"])


def changes(old: Version, new: Version) -> Changes:
    """Compare two versions."""
    was, now = old.packages, new.packages
    return Changes(
        old.name,
        new.name,
        old.size,
        new.size,
        definition=old.definition != new.definition,
        came={name: now[name] for name in sorted(now) if name not in was},
        gone={name: was[name] for name in sorted(was) if name not in now},
        changed={name: [was[name], now[name]] for name in sorted(now) if was.get(name, now[name]) != now[name]},
    )


def megabytes(size: int) -> str:
    """Return a size for people, in 10^6 bytes."""
    return f"{size / 1_000_000:.1f} MB"


class Place:
    """The folder that an image is published in, with all its versions and the link `current`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def current(self) -> str | None:
        """The version that readers get, if any is published."""
        link = self.folder / "current"
        return link.readlink().name if link.is_symlink() and link.is_dir() else None

    @property
    def versions(self) -> list[str]:
        """All versions, the one that was signed last first: a version's own date is that of apt's lists."""
        signed = {file.parent.name: file.stat().st_mtime_ns for file in self.folder.glob("*/manifest.json.asc")}
        signed.pop("current", None)
        return sorted(signed, key=lambda name: (signed[name], name), reverse=True)

    @property
    def refused(self) -> list[str]:
        """Versions that somebody has led away from, as long as they lie here."""
        file = self.folder / "refused"
        listed = file.read_text(encoding="utf-8").split() if file.exists() else []
        return [name for name in self.versions if name in listed]

    @property
    def former(self) -> str | None:
        """The version to go back to: of those before the current one the newest that was not refused."""
        current, versions = self.current, self.versions
        older = versions[versions.index(current) + 1 :] if current in versions else []
        return next((name for name in older if name not in self.refused), None)

    def switch(self, version: str, work: Path) -> None:
        """Let `current` lead to a version, in one step."""
        link = work / "current"
        link.unlink(missing_ok=True)
        link.symlink_to(version)
        link.replace(self.folder / "current")

    def publish(self, built: Path, work: Path, keyring: Path) -> None:
        """Move a finished version here and switch to it; if the same content lies here, what runs in it goes on."""
        self.folder.mkdir(exist_ok=True)
        move(built, self.folder / built.name, work / f"replaced-{built.name}", keyring)
        self.switch(built.name, work)

    def refuse(self, version: str, work: Path) -> None:
        """Remember a version as one that is not to be published again."""
        new = work / "refused"
        new.write_text("".join(f"{name}\n" for name in [*self.refused, version]), encoding="utf-8")
        new.replace(self.folder / "refused")

    def superfluous(self, keep: int) -> list[str]:
        """Return the versions that may go: older than the newest `keep`, or refused and followed by a better one."""
        versions, refused, current = self.versions, self.refused, self.current
        good = [name for name in versions if name not in refused]
        older = versions[versions.index(current) :] if current in versions else []
        going = [*good[keep:], *(name for name in refused if name in older)]
        return [name for name in going if name not in (current, self.former)]

    def users(self) -> dict[str, str]:
        """Return the versions whose tree a process of this host runs in, each with one, as 'process 12 (sleep)'.

        An overlay does not tell what it lies over, so a file that each tree has is looked for in each process's root,
        by number, size and time. Only root may look into everybody's.
        """
        known = {_mark(self.folder / name / "tree"): name for name in self.versions}
        found = {}
        for process in sorted(Path("/proc").glob("[0-9]*")):
            name = known.get(_mark(process / "root"))
            if name is not None:
                found[name] = f"process {process.name} ({_read(process / 'comm')})"
        return found


def _mark(root: Path) -> tuple[int, int, int] | None:
    try:
        status = (root / ".singularity.d/labels.json").lstat()
    except OSError:  # no such file, no right to look, or the process has ended
        return None
    return status.st_ino & 0xFFFFFFFF, status.st_size, status.st_mtime_ns  # above that an overlay may put its own


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return "ended"
