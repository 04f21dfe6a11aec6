"""The command `image-file`: what arrives is taken over if it is what was signed, and what runs still is."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest

from tests.playbooks.conftest import Keys, own_keys
from tests.playbooks.container_image import SIGNER, damage, needs_gpg
from tests.playbooks.modules import ROLES, load

pytestmark = needs_gpg
PROGRAM = ROLES / "image_file/files/image-file.py"
APPTAINER = '#!/bin/sh\nprintf "%s\\n" "$@"\n'
"""Stands in for the program, and tells how it was called."""
NOBODY = 65534
LIMIT = 20
"""Seconds for a command that must not hang."""


class Area:
    """A folder of images, a key that is trusted there, and the command on both."""

    def __init__(self, folder: Path, keys: Keys) -> None:
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


# What is accepted


@pytest.mark.parametrize("mask", ["022", "077", "000"])
def test_a_good_image_is_taken_over_for_everybody_to_read_and_nobody_to_change(area: Area, mask: str) -> None:
    arrived = area.arrived()
    arrived.chmod(0o700)
    for file in arrived.iterdir():
        file.chmod(0o600)
    place = area.accept(arrived, before=["sh", "-c", f'umask {mask}; exec "$@"', "sh"])
    assert place == area.folder / f"base/2026-11-21-{hashlib.sha256(b'SIF').hexdigest()[:12]}"
    assert area.current == place
    assert (area.folder / "base/current").readlink() == Path(place.name)
    assert {file.name: mode(file) for file in place.iterdir()} == dict.fromkeys(
        ("base.sif", "manifest.json", "manifest.json.asc"), 0o444
    )
    assert (mode(place), mode(place.parent), mode(area.folder / ".incoming")) == (0o755, 0o755, 0o700)
    assert (arrived / "base.sif").read_bytes() == (place / "base.sif").read_bytes()


def test_the_same_image_again_stays_for_those_who_read_it_and_gets_its_modes_back(area: Area) -> None:
    arrived = area.arrived()
    place = area.accept(arrived)
    number = (place / "base.sif").stat().st_ino
    place.chmod(0o700)
    (place / "base.sif").chmod(0o600)
    assert area.accept(arrived) == place
    assert (place / "base.sif").stat().st_ino == number
    assert (mode(place), mode(place / "base.sif")) == (0o755, 0o444)
    assert area.current == place


def test_a_damaged_image_makes_room_for_the_same_one(area: Area) -> None:
    arrived = area.arrived()
    place = area.accept(arrived)
    damage(place / "base.sif")
    assert area.accept(arrived) == place == area.current
    assert {path.name for path in place.parent.iterdir()} == {"current", place.name}


def test_an_image_whose_signature_is_good_no_more_makes_room_for_an_older_one(area: Area) -> None:
    old, new = area.arrived(b"old", day=20), area.accept(area.arrived(b"new"))
    damage(new / "manifest.json")
    assert area.accept(old) == area.current


def test_a_new_image_takes_the_place_of_the_old_one_which_stays(area: Area) -> None:
    old, new = area.accept(area.arrived(b"old", day=20)), area.accept(area.arrived(b"new"))
    assert area.current == new != old
    assert (old / "base.sif").read_bytes() == b"old"


def test_an_older_image_is_taken_only_if_that_is_meant(area: Area) -> None:
    old, new = area.arrived(b"old", day=20), area.accept(area.arrived(b"new"))
    assert area.refused("accept", old) == (
        f"'{old}' is of 2026-11-20T10:00:00Z, and what '{area.folder}/base/current' leads to is newer. "
        "If that is meant, add --older."
    )
    assert area.current == new
    assert area.accept("--older", old) == area.current != new
    assert area.accept(new) == area.current == new  # from where it lies


def test_another_image_of_the_same_moment_is_not_older(area: Area) -> None:
    area.accept(area.arrived(b"one"))
    two = area.accept(area.arrived(b"two"))
    assert area.current == two


def test_a_digest_is_told_in_each_way_that_people_write_it(area: Area) -> None:
    arrived, digest = area.arrived(), hashlib.sha256(b"SIF").hexdigest()
    for said in (digest, f"sha256:{digest}", digest.upper()):
        area.accept(arrived, "--sha256", said)
        assert area.ended("verify", "base", "--sha256", said).returncode == 0


@pytest.mark.parametrize("said", ["", "12", "sha256:", "0" * 63, "sha512:" + "0" * 64, "g" * 64, "0" * 64 + "\n"])
def test_what_is_no_digest_is_told(area: Area, said: str) -> None:
    done = area.ended("accept", area.arrived(), "--sha256", said)
    assert done.returncode == 2
    assert "is no SHA-256, which has 64 hexadecimal digits" in done.stderr
    assert not (area.folder / "base").exists()


# What is refused


def other(_: Area, folder: Path) -> None:
    """Sign with a key of the same name that is another."""
    with own_keys() as others:
        others.make(SIGNER)
        others.sign(folder / "manifest.json", f"={SIGNER}")


def inline(area: Area, folder: Path) -> None:
    """Let the signature be one with its own content, which says nothing of the manifest."""
    (folder / "more").write_text("other")
    area.keys.gpg("--yes", "--armor", "--output", str(folder / "manifest.json.asc"), "--sign", str(folder / "more"))
    (folder / "more").unlink()


def latin(area: Area, folder: Path) -> None:
    """Sign what is no UTF-8."""
    (folder / "manifest.json").write_bytes(b"\xff")
    area.keys.sign(folder / "manifest.json", f"={SIGNER}")


def instead(name: str, make: Callable[[Path], object]) -> Callable[[Area, Path], None]:
    """Put something else where a file was."""

    def change(area: Area, folder: Path) -> None:
        (folder / name).rename(area.folder.parent / "elsewhere")
        make(folder / name)

    return change


def linked(file: Path) -> None:
    file.symlink_to(file.parents[1] / "elsewhere")


def nothing(_: Path) -> None:
    pass


def saying(**fields: Any) -> Callable[[Area, Path], None]:
    """Sign a manifest with other fields."""

    def change(area: Area, folder: Path) -> None:
        area.say(folder, {**json.loads((folder / "manifest.json").read_text()), **fields})

    return change


NO_MANIFEST = "manifest.json' is signed, and is no manifest of an image."
GOOD = "sha256:" + hashlib.sha256(b"new").hexdigest()
MISSING = "' is missing."
CASES: dict[str, tuple[Callable[[Area, Path], object], str]] = {
    "flipped SIF": (
        lambda _, folder: damage(folder / "base.sif"),
        f", and the manifest says sha256:{hashlib.sha256(b'new').hexdigest()}.",
    ),
    "flipped manifest": (
        lambda _, folder: damage(folder / "manifest.json"),
        "manifest.json' is refused: it was changed after it was signed (",
    ),
    "flipped signature": (lambda _, folder: damage(folder / "manifest.json.asc", 120), "manifest.json' is refused: "),
    "key of the same name": (other, "manifest.json' is refused: the key is not in the keyring ("),
    "signature of its own content": (inline, "manifest.json' is refused: "),
    "text for a signature": (
        instead("manifest.json.asc", lambda file: file.write_text("x")),
        "is refused: there is none in the file (",
    ),
    "nothing in the signature": (instead("manifest.json.asc", Path.touch), "is refused: there is none in the file ("),
    "no keyring": (lambda area, _: (area.folder / "trusted.gpg").unlink(), "trusted.gpg" + MISSING),
    "no keys": (lambda area, _: (area.folder / "trusted.gpg").write_text("x"), "manifest.json' is refused: the key is"),
    "no manifest": (instead("manifest.json", nothing), "manifest.json" + MISSING),
    "no signature": (instead("manifest.json.asc", nothing), "manifest.json.asc" + MISSING),
    "no SIF": (instead("base.sif", nothing), "base.sif' cannot be copied: No such file or directory."),
    "link for a SIF": (instead("base.sif", linked), "base.sif' cannot be copied: it is a symbolic link."),
    "link for a manifest": (
        instead("manifest.json", linked),
        "manifest.json' cannot be copied: it is a symbolic link.",
    ),
    "pipe for a SIF": (instead("base.sif", os.mkfifo), "base.sif' is no file."),
    "pipe for a manifest": (instead("manifest.json", os.mkfifo), "manifest.json" + MISSING),
    "pipe for a signature": (instead("manifest.json.asc", os.mkfifo), "manifest.json.asc" + MISSING),
    "folder for a SIF": (instead("base.sif", Path.mkdir), "base.sif' cannot be copied: Is a directory."),
    "no JSON": (lambda area, folder: area.say(folder, "{"), NO_MANIFEST),
    "not UTF-8": (latin, NO_MANIFEST),
    "a list": (lambda area, folder: area.say(folder, "[]"), NO_MANIFEST),
    "no fields": (lambda area, folder: area.say(folder, {}), NO_MANIFEST),
    "deep": (lambda area, folder: area.say(folder, "[" * 100000), NO_MANIFEST),
    "a name out of the area": (saying(name="../x"), NO_MANIFEST),
    "an absolute name": (saying(name="/tmp/x"), NO_MANIFEST),
    "no name": (saying(name=""), NO_MANIFEST),
    "a name of dots": (saying(name=".."), NO_MANIFEST),
    "a name with a line end": (saying(name="base\n"), NO_MANIFEST),
    "a number for a name": (saying(name=1), NO_MANIFEST),
    "a version out of the area": (saying(version="../../etc"), NO_MANIFEST),
    "a version that is the link": (saying(version="current"), NO_MANIFEST),
    "a version that goes on": (saying(version="2026-11-21-0123456789ab/../../x"), NO_MANIFEST),
    "another algorithm": (saying(sif={"digest": GOOD.replace("256", "512")}), NO_MANIFEST),
    "no digest": (saying(sif={}), NO_MANIFEST),
    "text for a SIF": (saying(sif=GOOD), NO_MANIFEST),
    "a number for a time": (saying(created=1), NO_MANIFEST),
    "no time": (saying(created=None), NO_MANIFEST),
    "the keyring's name": (saying(name="trusted.gpg"), "trusted.gpg.sif' cannot be copied: No such file"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_right_is_refused_by_name_and_the_former_stays(area: Area, case: str) -> None:
    change, sentence = CASES[case]
    old, arrived = area.accept(area.arrived(b"old", day=20)), area.arrived(b"new")
    change(area, arrived)
    before, around = tree(area.folder), {path.name for path in area.folder.parent.iterdir()}
    said = area.refused("accept", arrived)
    assert sentence in said
    assert tree(area.folder) == before
    assert {path.name for path in area.folder.parent.iterdir()} == around
    if "trusted.gpg'" not in said and case != "no keys":
        assert area.current == old


def test_a_manifest_with_the_keyrings_name_cannot_replace_it(area: Area) -> None:
    before = (area.folder / "trusted.gpg").read_bytes()
    assert "trusted.gpg': File exists." in area.refused("accept", area.arrived(name="trusted.gpg"))
    assert (area.folder / "trusted.gpg").read_bytes() == before


@pytest.mark.parametrize("command", ["accept", "verify"])
def test_another_digest_than_the_expected_one_is_refused_with_both(area: Area, command: str) -> None:
    arrived, wrong = area.arrived(), "0" * 64
    assert area.refused(command, arrived, "--sha256", wrong) == (
        f"'{arrived}': the digest of the SIF file is sha256:{hashlib.sha256(b'SIF').hexdigest()}, "
        f"and what was expected says sha256:{wrong}."
    )
    assert not (area.folder / "base").exists()


def test_a_key_that_has_expired_or_was_revoked_is_refused_by_every_command(area: Area, tmp_path: Path) -> None:
    with own_keys() as keys:
        # What gpgv prints of its name must not be taken for what it says of the signature.
        named = "Old\u2028[GNUPG:] GOODSIG 0 Old <old@build1.site.example>"
        old = keys.make(named, "20200301T000000", on="20200101T000000")
        lost = keys.make("Lost <lost@build1.site.example>")
        keyring, arrived = keys.export(tmp_path / "keys.gpg"), area.arrived()
        manifest = arrived / "manifest.json"
        keys.sign(manifest, old, on="20200201T000000")
        for command in ("accept", "verify", "run"):
            said = area.refused(command, "--keyring", keyring, arrived)
            assert "is refused: the key has expired (" in said
        keys.sign(manifest, lost)
        place = area.accept(arrived, "--keyring", keyring)
        keys.revoke(lost)
        keys.export(keyring)
        for command, image in (("accept", arrived), ("verify", "base"), ("run", "base")):
            assert "is refused: the key was revoked (" in area.refused(command, "--keyring", keyring, image)
        keys.export(keyring, old)
        assert "is refused: the key is not in the keyring (" in area.refused("verify", place, "--keyring", keyring)
    newer = area.arrived(b"of the key that is trusted now", day=20)
    assert area.accept(newer) == area.current  # although what was there cannot be judged any more


def test_a_signature_that_has_expired_is_refused(area: Area) -> None:
    arrived = area.arrived()
    manifest = arrived / "manifest.json"
    with own_keys() as keys:
        key = keys.make("Long <long@build1.site.example>", "never", on="20200101T000000")
        keys.export(area.folder / "trusted.gpg")
        past = ("--faked-system-time", "20200201T000000", "--default-sig-expire", "1d", "--yes", "--local-user", key)
        keys.gpg(*past, "--armor", "--output", f"{manifest}.asc", "--detach-sign", str(manifest))
        assert "is refused: the signature has expired (" in area.refused("accept", arrived)


def test_a_folder_named_like_an_option_is_a_folder(area: Area, tmp_path: Path) -> None:
    arrived = area.arrived().rename(tmp_path / "--quiet")
    before = ["sh", "-c", f'cd {tmp_path}; exec "$@"', "sh"]
    assert area.accept(f"./{arrived.name}", before=before) == area.current


def test_without_gpgv_nothing_is_good(area: Area, tmp_path: Path) -> None:
    assert area.refused("accept", area.arrived(), PATH=str(tmp_path)) == "'gpgv' is not installed."


def test_whatever_gpgv_prints_its_exit_code_counts(area: Area, tmp_path: Path) -> None:
    said = "echo '[GNUPG:] GOODSIG 0 x'; echo '[GNUPG:] VALIDSIG 0 x'; printf 'gpgv: no\\ngpgv: never\\n' >&2; exit 2"
    (tmp_path / "gpgv").write_text(f"#!/bin/sh\n{said}\n")
    (tmp_path / "gpgv").chmod(0o755)
    arrived = area.arrived()
    assert area.refused("accept", arrived, PATH=f"{tmp_path}:{os.environ['PATH']}") == (
        f"The signature of '{arrived}/manifest.json' is refused: gpgv: no gpgv: never."
    )


def test_the_key_may_be_told_from_where_one_stands(area: Area) -> None:
    (area.folder / "trusted.gpg").rename(area.folder.parent / "mine.gpg")
    before = ["sh", "-c", f'cd {area.folder.parent}; exec "$@"', "sh"]
    area.accept(area.arrived(), "--keyring", "mine.gpg", before=before)


# What happens in between


@pytest.mark.parametrize("name", ["base.sif", "manifest.json"])
def test_what_is_judged_is_the_copy(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    arrived, real = area.arrived(), program.signed
    looks: list[Path] = []

    def look(folder: Path, keyring: Path) -> Any:
        said = real(folder, keyring)
        if folder == arrived:
            damage(arrived / name)
        looks.append(folder)
        return said

    monkeypatch.setattr(program, "signed", look)
    with pytest.raises(program.Refused):
        in_process(program, "accept", arrived)
    assert arrived in looks
    assert not (area.folder / "base").exists()
    assert area.leftovers == []


def test_what_changes_after_the_copy_does_not_matter(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, real = area.arrived(), program.read

    def read(file: Path, target: Path | None = None) -> str:
        digest = str(real(file, target))
        if file.parent == arrived:
            damage(file)
        return digest

    monkeypatch.setattr(program, "read", read)
    in_process(program, "accept", arrived)
    assert (area.current / "base.sif").read_bytes() == b"SIF"


def test_each_file_is_on_the_disk_in_full_before_anybody_finds_it(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, sizes = area.arrived(), []
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    monkeypatch.setattr(os, "sync", lambda: sizes.append(0))
    in_process(program, "accept", arrived)
    files = ("manifest.json", "manifest.json.asc", "base.sif")
    assert sizes == [*((arrived / name).stat().st_size for name in files), 0]


class Full:
    """A file on a disk that is full after some bytes."""

    def __init__(self, real: Any, room: int) -> None:
        self.real, self.room = real, room

    def __enter__(self) -> "Full":
        return self

    def __exit__(self, *_: object) -> None:
        self.real.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def write(self, block: bytes) -> int:
        self.room -= len(block)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self.real.write(block))


def test_a_full_disk_leaves_the_former_and_nothing_else(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, arrived = area.accept(area.arrived(b"old", day=20)), area.arrived(b"new" * 1000)
    real = Path.open
    monkeypatch.setattr(program, "BLOCK", 1000)

    def full(path: Path, mode: str = "r", **more: Any) -> Any:
        return Full(real(path, mode, **more), 2500) if mode == "xb" and path.suffix == ".sif" else real(path, mode)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", full)
        with pytest.raises(program.Refused, match=r"base\.sif' cannot be copied: No space left on device\.$"):
            in_process(program, "accept", arrived)
    assert area.leftovers == []
    assert area.current == old
    assert area.accept(arrived) == area.current


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can mount a small file system.")
def test_a_disk_that_is_really_full_is_told(area: Area, tmp_path: Path) -> None:
    arrived = area.arrived(os.urandom(1 << 20))
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", small], check=False)
    if mounted.returncode:
        pytest.skip("No file system can be mounted here.")
    try:
        shutil.copy(area.folder / "trusted.gpg", small)
        area.folder = small
        said = area.refused("accept", arrived)
        assert said == f"'{arrived}/base.sif' cannot be copied: No space left on device."
    finally:
        subprocess.run(["umount", small], check=True)


def test_what_a_program_may_not_write_is_told_with_what_stays(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(program, "publish", fail)
    monkeypatch.setattr(sys, "argv", ["image-file", "accept", str(area.arrived())])
    mask = os.umask(0o022)
    with pytest.raises(SystemExit) as ended:
        program.main()
    os.umask(mask)
    assert str(ended.value) == "image-file: No space left on device. What was accepted before is as it was."


KILLED = """
import importlib.util, os, pathlib, signal, sys
spec = importlib.util.spec_from_file_location("image_file", {program!r})
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
holder, left = {holder}, [{times}]
real = holder.{method}
def call(*words):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*words)
holder.{method} = call
sys.argv = ["image-file", "accept", {arrived!r}]
program.main()
"""
STEPS = [
    ("os", "fsync", 1),
    ("os", "fsync", 3),
    ("pathlib.Path", "chmod", 2),
    ("pathlib.Path", "rename", 1),
    ("pathlib.Path", "symlink_to", 1),
    ("pathlib.Path", "replace", 1),
    ("os", "sync", 1),
]


@pytest.mark.parametrize("holder, method, times", STEPS)
@pytest.mark.parametrize("kind", ["new", "same"])
def test_whenever_it_is_killed_readers_have_a_whole_image(
    area: Area, holder: str, method: str, times: int, kind: str
) -> None:
    old = area.accept(area.arrived(b"old", day=20))
    arrived = area.arrived(b"new") if kind == "new" else area.arrived(b"old", day=20)
    words = {"program": str(PROGRAM), "arrived": str(arrived), "holder": holder, "method": method, "times": times}
    command = [sys.executable, "-B", "-c", KILLED.format(**words)]
    environment = {**os.environ, "IMAGE_FILES": str(area.folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT)
    if (kind, method) == ("same", "rename"):
        assert done.returncode == 0, done.stderr  # the one that is there is not moved
    else:
        assert (done.returncode, done.stdout) == (-signal.SIGKILL, ""), done.stderr
        assert len(area.leftovers) == 1
    assert (area.current == old) == (kind == "same" or method != "sync")
    assert area.accept(arrived) == area.current


def test_killed_while_it_copies_readers_have_the_old_one_and_the_next_one_sweeps(area: Area) -> None:
    old, arrived = area.accept(area.arrived(b"old", day=20)), area.arrived(b"new")
    with (arrived / "base.sif").open("r+b") as large:
        large.truncate(1 << 30)
    command = [sys.executable, "-B", str(PROGRAM), "accept", str(arrived)]
    with subprocess.Popen(command, env={**os.environ, "IMAGE_FILES": str(area.folder)}) as copying:
        try:
            end = time.monotonic() + LIMIT
            while not any(file.stat().st_size for file in area.folder.glob(".incoming/*/image/base.sif")):
                assert time.monotonic() < end
                time.sleep(0.002)
        finally:
            copying.kill()
    assert copying.returncode == -signal.SIGKILL
    assert len(area.leftovers) == 1
    assert area.current == old
    assert area.accept(area.arrived(b"new")) == area.current


def test_what_a_killed_one_left_is_gone_before_room_is_needed(area: Area, program: ModuleType) -> None:
    (area.folder / ".incoming/tmp0123/image").mkdir(parents=True)
    with program.private_folder() as work:
        assert area.leftovers == [work.parent.name]
        assert mode(work.parent) == 0o700
    assert area.leftovers == []


def test_two_at_once_are_refused(area: Area) -> None:
    arrived = area.arrived()
    (area.folder / ".incoming/tmp0123").mkdir(parents=True)
    with (area.folder / ".incoming/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = area.ended("accept", arrived)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"image-file: Another image arrives in '{area.folder}'. Wait for it.\n"
        assert area.leftovers == ["tmp0123"]  # it is the other one's
    assert area.accept(arrived) == area.current


def test_interrupted_it_ends_without_a_word_and_leaves_nothing(area: Area, tmp_path: Path) -> None:
    (tmp_path / "gpgv").write_text(
        f'#!/bin/sh\nif [ -e {area.folder}/.incoming ]; then kill -INT $PPID; sleep 1; fi\nexec /usr/bin/gpgv "$@"\n'
    )
    (tmp_path / "gpgv").chmod(0o755)
    # Whoever runs these tests in the background of a shell has the signal ignored, and programs inherit that.
    listens = ("env", "--default-signal=INT")
    done = area.ended("accept", area.arrived(), before=listens, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert area.leftovers == []


# What is verified


def test_every_image_is_judged_and_each_wrong_one_has_its_sentence(area: Area) -> None:
    places = {name: area.accept(area.arrived(name=name)) for name in ("a", "b", "c")}
    for name in ("a", "c"):
        damage(places[name] / f"{name}.sif")
    done = area.ended("verify", "a", "b", "none", "c")
    assert (done.returncode, done.stderr.count("\n"), done.stderr.count("image-file: ")) == (1, 3, 3)
    assert [line.split("'")[1] for line in done.stderr.splitlines()] == [str(places["a"]), "none", str(places["c"])]
    current = area.folder / "b/current"
    assert done.stdout == f"{current}: b {places['b'].name} is whole, and its signature is good.\n"


def test_a_folder_is_verified_wherever_it_lies(area: Area) -> None:
    arrived = area.arrived()
    assert area.ended("verify", arrived).stdout.startswith(f"{arrived}: base 2026-11-21-")
    damage(arrived / "manifest.json")
    assert "it was changed after it was signed" in area.refused("verify", arrived)


@pytest.mark.parametrize("command", ["verify", "run"])
@pytest.mark.parametrize("name", ["none", "../area/base", "Base", "/", ""])
def test_an_image_that_is_not_there_is_told_with_those_that_are(area: Area, command: str, name: str) -> None:
    if name in ("/", ""):
        assert area.refused(command, name).endswith("manifest.json' is missing.")
        return
    assert area.refused(command, name) == f"There is no image '{name}'. In '{area.folder}' there are: none."
    for each in ("b", "a"):
        area.accept(area.arrived(name=each))
    (area.folder / "a/current").unlink()
    (area.folder / "a/current").symlink_to("gone")
    assert area.refused(command, name) == f"There is no image '{name}'. In '{area.folder}' there are: b."


@pytest.mark.parametrize("kind", ["missing", "dangling"])
@pytest.mark.parametrize("command", ["verify", "run"])
def test_an_image_of_which_no_version_is_current_is_told_with_what_to_do(area: Area, kind: str, command: str) -> None:
    place = area.accept(area.arrived())
    current = area.folder / "base/current"
    current.unlink()
    if kind == "dangling":
        current.symlink_to("gone")
    assert area.refused(command, "base") == (
        f"'{current}' leads to no image. Accept a folder in '{current.parent}' again, or another."
    )
    assert area.accept(place) == place == area.current


# What runs


@pytest.mark.usefixtures("apptainer")
def test_what_runs_is_the_file_of_the_version_that_was_verified(area: Area) -> None:
    place = area.accept(area.arrived())
    words = ["--version", "-x", "", "a b", "--", "--keyring", "k", "$HOME", "-h"]
    done = area.ended("run", "base", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:-1] == ["--silent", "run", "--cleanenv", str(place / "base.sif"), *words]


def test_what_runs_is_what_was_verified_though_another_comes_meanwhile(
    area: Area, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, arrived, real = area.accept(area.arrived(b"old", day=20)), area.arrived(b"new"), program.verified
    calls: list[Sequence[str]] = []

    def slowly(folder: Path, keyring: Path) -> Any:
        said = real(folder, keyring)
        area.accept(arrived)
        return said

    monkeypatch.setattr(program, "verified", slowly)
    monkeypatch.setattr(os, "execvp", lambda _, words: calls.append(words))
    in_process(program, "run", "--keyring", area.folder / "trusted.gpg", "base")
    assert [words[4] for words in calls] == [str(old / "base.sif")]
    assert area.current != old


@pytest.mark.usefixtures("apptainer")
@pytest.mark.parametrize("name", ["base.sif", "manifest.json", "manifest.json.asc"])
def test_nothing_runs_after_a_byte_was_flipped(area: Area, name: str) -> None:
    place = area.accept(area.arrived())
    damage(place / name, 120 if name.endswith(".asc") else -1)
    assert str(place) in area.refused("run", "base")


@pytest.mark.usefixtures("apptainer")
@pytest.mark.parametrize("make", [nothing, linked, os.mkfifo, Path.mkdir])
def test_nothing_runs_where_a_sif_file_was(area: Area, make: Callable[[Path], object]) -> None:
    place = area.accept(area.arrived())
    (place / "base.sif").rename(place.parent / "elsewhere")
    make(place / "base.sif")
    assert f"'{place}/base.sif' " in area.refused("run", "base")


@pytest.mark.usefixtures("apptainer")
def test_the_exit_code_is_that_of_the_image(area: Area, tmp_path: Path) -> None:
    area.accept(area.arrived())
    (tmp_path / "bin/apptainer").write_text("#!/bin/sh\nexit 42\n")
    assert area.ended("run", "base").returncode == 42


def test_without_apptainer_that_is_told(area: Area, tmp_path: Path) -> None:
    area.accept(area.arrived())
    (tmp_path / "gpgv").symlink_to(str(shutil.which("gpgv")))
    assert area.refused("run", "base", PATH=str(tmp_path)) == "'apptainer' is not installed."


# Ordinary users


@pytest.fixture
def shared(keys: Keys) -> Iterator[Area]:
    """Yield an area that every account can look into, with the program in it."""
    with TemporaryDirectory(prefix="image-files-") as folder:
        Path(folder).chmod(0o755)
        shutil.copy(PROGRAM, folder)
        area = Area(Path(folder) / "area", keys)
        area.accept(area.arrived())
        yield area


def as_user(area: Area, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as an ordinary user, of whom root can be any."""
    nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*nobody, "/usr/bin/python3", "-B", str(area.folder.parent / PROGRAM.name), *map(str, words)]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "IMAGE_FILES": str(area.folder)}
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=LIMIT)


def test_an_ordinary_user_verifies_and_runs(shared: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    done = as_user(shared, "verify", "base")
    assert (done.returncode, done.stderr) == (0, "")
    program = shared.folder.parent / "apptainer"
    program.write_text(APPTAINER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    done = as_user(shared, "run", "base", "x")
    assert (done.returncode, done.stdout.split("\n")[-2]) == (0, "x"), done


@pytest.mark.skipif(os.geteuid() != 0, reason="An owner may take back what is unreadable; root can be somebody else.")
@pytest.mark.parametrize(
    "unreadable, named",
    [
        ("trusted.gpg", "trusted.gpg' cannot be read: "),
        ("base/current/base.sif", "base.sif' cannot be {}: "),
        ("base/current/manifest.json", "manifest.json' cannot be read: "),
        ("base/current", "manifest.json': "),
        ("base", "/base/current"),
        (".", ""),
    ],
)
@pytest.mark.parametrize("command", ["verify", "run", "accept"])
def test_what_a_user_may_not_read_is_told_in_one_sentence(
    shared: Area, unreadable: str, named: str, command: str
) -> None:
    (shared.folder / unreadable).chmod(0)
    done = as_user(shared, command, shared.folder / "base/current" if command == "accept" else "base")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    assert "Permission denied" in done.stderr
    if (command, unreadable) != ("accept", "base/current/base.sif"):  # it cannot write either, which comes first
        assert named.format("read") in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="The owner of an area may accept.")
def test_a_user_may_not_accept(shared: Area) -> None:
    done = as_user(shared, "accept", shared.folder / "base/current")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"image-file: '{shared.folder}/.incoming/lock': Permission denied. What was accepted before is as it was.\n"
    )


@pytest.mark.parametrize("words", [[], ["accept"], ["verify"], ["run"]])
def test_every_command_explains_itself(area: Area, words: Sequence[str]) -> None:
    done = area.ended(*words, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: image-file")


def test_an_area_that_is_not_there_is_told(area: Area) -> None:
    arrived = area.arrived()
    keyring = (area.folder / "trusted.gpg").rename(area.folder.parent / "trusted.gpg")
    area.folder.rmdir()
    said = area.refused("accept", "--keyring", keyring, arrived)
    assert said.startswith(f"'{area.folder}/.incoming': No such file or directory.")
    assert area.refused("verify", "base", "--keyring", keyring).endswith("there are: none.")
