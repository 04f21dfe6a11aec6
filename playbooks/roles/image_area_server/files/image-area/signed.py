"""What was signed: the manifest of a container image, the listing of its tree, and the entries that this tells of."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST, SIGNATURE, LISTING, SBOM = "manifest.json", "manifest.json.asc", "tree.mtree", "sbom.spdx.json"
TOLD = (MANIFEST, SIGNATURE, LISTING, SBOM)
"""What travels with a tree: whoever reads it can ask what it is and what it holds."""

NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
VERSION = re.compile(r"[0-9][0-9A-Za-z._-]*")  # so that none is called 'current'
OCTAL = re.compile(rb"\\([0-7]{3})")
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
"""No reader can write, and on the server itself nobody but the publisher is to."""

FORM = re.compile(
    r"type=(?:dir mode=(?P<dir>[0-7]{4})|link link=(?P<link>\S+)"
    r"|file mode=(?P<file>[0-7]{4}) size=(?P<size>\d+) sha256digest=(?P<digest>[0-9a-f]{64}))"
)


class Refused(Exception):
    """What was given, or what was found, is not right; the message names it."""


@dataclass(frozen=True)
class Entry:
    """One line of a listing. `kind` is dir, file or link; the name is relative to the tree.

    `mode` is the one that it has in an area, where nobody but its owner can write.
    """

    name: str
    kind: str
    mode: int = 0
    size: int = 0
    digest: str = ""
    target: str = ""


@dataclass(frozen=True)
class Signed:
    """An image whose manifest has a good signature, with the entries of its tree, folders before what is in them."""

    name: str
    version: str
    entries: list[Entry]

    @property
    def files(self) -> list[Entry]:
        """Return the plain files."""
        return [entry for entry in self.entries if entry.kind == "file"]

    @property
    def size(self) -> int:
        """Return the bytes of all plain files, as a reader sees them."""
        return sum(entry.size for entry in self.files)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_signed(folder: Path, keyring: Path) -> Signed:
    """Return what a folder with the files of `TOLD` says, if a key that is trusted has signed it.

    Raises:
        Refused: a file is missing, the signature is not good, or a file is not the one that was signed.
    """
    for file in (*(folder / name for name in TOLD), keyring):
        if not file.is_file():
            raise Refused(f"'{file}' is missing.")
    _refuse_signature(folder / MANIFEST, keyring)
    try:
        said: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        name, version = str(said["name"]), str(said["version"])
        promised = {LISTING: said["tree"]["digest"], SBOM: said["sbom"]["digest"]}
    except (ValueError, LookupError, TypeError):
        raise Refused(f"'{folder / MANIFEST}' is signed, and is no manifest of a container image.") from None
    if not NAME.fullmatch(name) or not VERSION.fullmatch(version):
        raise Refused(f"'{folder / MANIFEST}' calls the image '{name}' and its version '{version}': no such names.")
    for file_name, digest in promised.items():
        if digest != f"sha256:{sha256(folder / file_name)}":
            raise Refused(f"'{folder / file_name}' is not the one that was signed.")
    return Signed(name, version, parse((folder / LISTING).read_text(encoding="utf-8"), folder / LISTING))


def _refuse_signature(file: Path, keyring: Path) -> None:
    """Refuse what gpgv does not call GOODSIG, which it says of keys alone that are neither expired nor revoked."""
    command = ["gpgv", "--status-fd", "1", "--keyring", str(keyring.resolve()), f"{file}.asc", str(file)]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    except FileNotFoundError:
        raise Refused("'gpgv' is not installed.") from None
    words = {line.split(" ")[1] for line in done.stdout.split("\n") if line.startswith("[GNUPG:] ")}
    if done.returncode != 0 or not {"GOODSIG", "VALIDSIG"} <= words:
        raise Refused(f"The signature of '{file}' is refused: {done.stderr.strip() or ' '.join(sorted(words))}.")


def parse(listing: str, shown: object = LISTING) -> list[Entry]:
    """Return the entries of a listing.

    Raises:
        Refused: an entry is of another kind, leads out of the tree, would give somebody rights, or is there twice.
    """
    entries, folders, known = [], {""}, set()
    for number, line in enumerate(listing.removesuffix("\n").split("\n"), 1):
        if line.startswith("#"):
            continue
        entry = _entry(line)
        if entry is None:
            raise Refused(f"{shown}:{number}: '{line[:80]}' cannot be published.")
        if entry.name in known or entry.name.rpartition("/")[0] not in folders:
            raise Refused(f"{shown}:{number}: '{entry.name}' is there twice, or lies in no folder of the tree.")
        known.add(entry.name)
        if entry.kind == "dir":
            folders.add(entry.name)
        entries.append(entry)
    return entries


def _entry(line: str) -> Entry | None:
    said, _, form = line.partition(" ")
    found = FORM.fullmatch(form)
    name = _decoded(said)
    if found is None or not name.startswith("./"):
        return None
    name = name[2:]
    if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
        return None
    if found["link"]:
        return Entry(name, "link", target=_decoded(found["link"]))
    mode = int(found["dir"] or found["file"], 8)
    if mode & (stat.S_ISUID | stat.S_ISGID):
        return None
    mode &= ~OTHERS_WRITE
    if found["dir"]:
        return Entry(name, "dir", mode)
    return Entry(name, "file", mode, int(found["size"]), found["digest"])


def _decoded(said: str) -> str:
    r"""Return a path whose special characters are written as `\` and three octal digits."""
    return os.fsdecode(OCTAL.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), os.fsencode(said)))


def difference(tree: Path, entries: list[Entry], *, contents: bool) -> list[str]:
    """Return the names under which a tree is not what its listing says; without contents no file is read."""
    listed = {entry.name: entry for entry in entries}
    found = set()
    wrong = set() if tree.is_dir() and not tree.is_symlink() else {"."}
    for folder, folders, files in os.walk(tree):
        for path in (Path(folder, name) for name in [*folders, *files]):
            name = str(path.relative_to(tree))
            found.add(name)
            if name not in listed or not _is_as(path, listed[name], contents):
                wrong.add(name)
    return sorted(wrong | (set(listed) - found))


def _is_as(path: Path, entry: Entry, contents: bool) -> bool:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if entry.kind == "link":
        return stat.S_ISLNK(status.st_mode) and str(path.readlink()) == entry.target
    if entry.kind == "dir":
        return stat.S_ISDIR(status.st_mode) and mode == entry.mode
    plain = stat.S_ISREG(status.st_mode) and (mode, status.st_size) == (entry.mode, entry.size)
    return plain and (not contents or sha256(path) == entry.digest)
