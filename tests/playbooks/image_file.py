"""What the tests of `image-file` work with: an area of images, a key that is trusted there, and the command."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tests.playbooks.container_image import SIGNER
from tests.playbooks.modules import ROLES

if TYPE_CHECKING:
    from tests.playbooks.conftest import Keys  # which offers the area as a fixture

PROGRAM = ROLES / "image_file/files/image-file.py"
APPTAINER = '#!/bin/sh\nprintf "%s\\n" "$@"\n'
"""Stands in for the program, and tells how it was called."""
NOBODY = 65534
LIMIT = 20
"""Seconds for a command that must not hang."""


class Area:
    """A folder of images, a key that is trusted there, and the command on both."""

    def __init__(self, folder: Path, keys: "Keys") -> None:
        self.folder, self.keys = folder, keys
        self.folder.mkdir()
        keys.export(self.folder / "trusted.gpg")

    def arrived(self, content: bytes = b"SIF", /, *, name: str = "base", day: int = 21, **other: Any) -> Path:
        """Return a folder with an image of a day of November, signed; `other` is said in its manifest as well."""
        digest = hashlib.sha256(content).hexdigest()
        folder = self.folder.parent / f"{name}-{day}-{digest[:12]}".replace("/", "_")
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.sif").write_bytes(content)
        version, created = f"2026-11-{day}-{digest[:12]}", f"2026-11-{day}T10:00:00Z"
        self.say(folder, {"name": name, "version": version, "created": created, "sif": {"digest": f"sha256:{digest}"}})
        if other:
            self.say(folder, {**json.loads((folder / "manifest.json").read_text()), **other})
        return folder

    def say(self, folder: Path, said: Any) -> None:
        """Write a manifest, and sign it."""
        (folder / "manifest.json").write_text(said if isinstance(said, str) else json.dumps(said))
        self.keys.sign(folder / "manifest.json", f"={SIGNER}")

    def ended(self, *words: str | Path, before: Sequence[str] = (), **more: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a program of its own."""
        surroundings = {**os.environ, "IMAGE_FILES": str(self.folder), **more}
        command = [*before, sys.executable, "-B", str(PROGRAM), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings, timeout=LIMIT)

    def refused(self, *words: str | Path, **more: Any) -> str:
        """Return the sentence with which a command is refused."""
        done = self.ended(*words, **more)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert done.stderr.startswith("image-file: ")
        assert done.stderr.count("\n") == 1, done.stderr
        assert self.leftovers == []
        return done.stderr.removeprefix("image-file: ")[:-1]

    def accept(self, *words: str | Path, **more: Any) -> Path:
        """Let an image be accepted, and return what was printed."""
        done = self.ended("accept", *words, **more)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert done.stdout.count("\n") == 1
        assert self.leftovers == []
        return Path(done.stdout[:-1])

    @property
    def leftovers(self) -> list[str]:
        """Return what lies where images arrive, besides the lock."""
        return [path.name for path in (self.folder / ".incoming").glob("*") if path.name != "lock"]

    @property
    def current(self) -> Path:
        """The folder that readers find; what is in it is whole."""
        done = self.ended("verify", "base")
        assert (done.returncode, done.stderr) == (0, ""), done
        return (self.folder / "base/current").resolve(strict=True)


def in_process(program: ModuleType, *words: str | Path) -> None:
    """Do what the command line asks for, in this process."""
    arguments = program.parser().parse_args([str(word) for word in words])
    arguments.do(arguments)


def tree(folder: Path) -> dict[str, Any]:
    """Return all that is in a folder, and what it holds or where it leads."""
    found = (path for path in folder.rglob("*") if ".incoming" not in path.parts)
    return {
        str(path): path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        for path in found
    }


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def linked(file: Path) -> None:
    file.symlink_to(file.parents[1] / "elsewhere")


def nothing(_: Path) -> None:
    pass
