"""What the tests of `container-image` work with: its modules, layers, layouts and trees."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.modules import ROLES

FOLDER = ROLES / "image_builder" / "files" / "container-image"
NAMES = ("words", "definition", "layout", "contents", "published", "build", "main")
SIGNER = "Images of <build1.site.example>"

needs_gpg = pytest.mark.skipif(
    not all(map(shutil.which, ("gpg", "gpg-agent", "gpgv"))), reason="Debian's 'gpg', 'gpg-agent' or 'gpgv' is missing."
)


def entry(name: str, type: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Return an entry of a layer."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = type, target
    return made


def folder(name: str) -> tarfile.TarInfo:
    return entry(name, tarfile.DIRTYPE)


def link(name: str, target: str) -> tarfile.TarInfo:
    return entry(name, tarfile.SYMTYPE, target)


def hard_link(name: str, target: str) -> tarfile.TarInfo:
    return entry(name, tarfile.LNKTYPE, target)


def layer(entries: Iterable[tarfile.TarInfo], content: bytes = b"") -> bytes:
    """Return a tar archive; every plain file in it has that content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in entries:
            each.size = len(content) if each.isreg() else 0
            archive.addfile(each, io.BytesIO(content))
    return packed.getvalue()


def packed(*entries: tarfile.TarInfo) -> bytes:
    return gzip.compress(layer(entries), mtime=0)


class WrittenLayout:
    """An OCI layout on disk, for one image of those layers."""

    def __init__(self, folder: Path, *layers: bytes, created: str | None = "2026-11-21T10:00:00Z") -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.layers = [self.blob(content) for content in layers]
        self.config = self.blob(json.dumps({"created": created} if created else {}).encode())
        described = {"config": {"digest": self.config}, "layers": [{"digest": digest} for digest in self.layers]}
        self.manifest = self.blob(json.dumps(described).encode())
        self.index({"digest": self.manifest})

    def blob(self, content: bytes) -> str:
        """Add a blob; return its digest."""
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs/sha256" / digest).write_bytes(content)
        return f"sha256:{digest}"

    def file(self, digest: str) -> Path:
        return self.folder / "blobs/sha256" / digest.removeprefix("sha256:")

    def index(self, *entries: Any) -> None:
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


STATUS = """\
Package: base-files
Status: install ok installed
Maintainer: Santiago Vila <sanvila@debian.org>
Architecture: amd64
Version: 12.4+deb12u11
Description: Debian base system miscellaneous files
 This package contains the basic filesystem hierarchy.
 Version: 99 is no field here.

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

"""


def small_tree(tree: Path, said: str = "hello") -> Path:
    """Write a tree with some of everything, and two packages."""
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/tool").write_text(f"#!/bin/sh\necho {said}\n")
    (tree / "usr/bin/tool").chmod(0o755)
    (tree / "bin").symlink_to("usr/bin")
    (tree / "etc").mkdir()
    (tree / "etc/tool.conf").write_text("a = 1\n")
    dpkg = tree / "var/lib/dpkg"
    (dpkg / "status.d").mkdir(parents=True)
    (dpkg / "status").write_text(STATUS)
    (dpkg / "status.d/libstdc++6").write_text(
        "Package: libstdc++6\nArchitecture: amd64\nVersion: 1:14.2.0-19+b1~x\nSHA256: " + "ab" * 32 + "\n"
    )
    return tree


def damage(file: Path, at: int = -1) -> None:
    """Change one byte of a file, and nothing else of it."""
    status, content = file.stat(), bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
    file.chmod(status.st_mode)
