"""The modules of `container-image`, keys that sign, and an area where `image-file` takes images over."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest

from tests.playbooks.container_image import FOLDER, NAMES, SIGNER
from tests.playbooks.image_file import APPTAINER, PROGRAM, Area
from tests.playbooks.modules import load, program_of


@pytest.fixture(scope="module")
def tool() -> Iterator[Any]:
    """Yield the modules of `container-image` as attributes of one object; they are gone afterwards."""
    with program_of(FOLDER, NAMES) as modules:
        yield modules


FINGERPRINT = 40
"""Hexadecimal digits of one."""


class Keys:
    """GnuPG with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def gpg(self, *words: str) -> str:
        """Run gpg as nobody looks at it."""
        command = ["gpg", "--batch", "--quiet", "--no-tty", "--passphrase", "", *words]
        environment = {**os.environ, "GNUPGHOME": str(self.home)}
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    def make(self, who: str, expires: str = "never", *, on: str | None = None) -> str:
        """Make a key, on a day of the past if one is named; return its fingerprint."""
        past = ["--faked-system-time", on] if on else []
        self.gpg(*past, "--quick-generate-key", who, "ed25519", "sign", expires)
        listed = self.gpg("--list-keys", "--with-colons", f"={who}").splitlines()
        return next(
            fields[9] for line in listed if len(fields := line.split(":")) > 9 and len(fields[9]) == FINGERPRINT
        )

    def sign(self, file: Path, key: str, *, on: str | None = None) -> None:
        """Write the signature of a file beside it."""
        past = ["--faked-system-time", on] if on else []
        signature = f"{file}.asc"
        self.gpg(*past, "--yes", "--local-user", key, "--armor", "--output", signature, "--detach-sign", str(file))

    def revoke(self, key: str) -> None:
        """Revoke a key with the certificate that gpg made together with it, whose first line is made harmless."""
        certificate = self.home / "openpgp-revocs.d" / f"{key}.rev"
        certificate.write_text(certificate.read_text().replace("\n:-----BEGIN", "\n-----BEGIN"))
        self.gpg("--import", str(certificate))

    def export(self, file: Path, *keys: str) -> Path:
        """Write public keys as a keyring; return the file."""
        self.gpg("--yes", "--output", str(file), "--export", *keys)
        return file


@contextmanager
def own_keys() -> Iterator[Keys]:
    """Yield keys in a folder with a short name, as the sockets in it need."""
    with TemporaryDirectory(prefix="gpg-") as home:
        try:
            yield Keys(Path(home))
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    """Yield keys, of which one can sign."""
    with own_keys() as keys:
        keys.make(SIGNER)
        yield keys


@pytest.fixture
def area(keys: Keys, tmp_path: Path) -> Area:
    return Area(tmp_path / "area", keys)


@pytest.fixture
def program(area: Area, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Yield the program as a module that works on the area."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = load(PROGRAM, "image_file")
    monkeypatch.setattr(module, "AREA", area.folder)
    yield module
    del sys.modules["image_file"]


@pytest.fixture
def apptainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in before everything else."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apptainer").write_text(APPTAINER)
    (tmp_path / "bin/apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
