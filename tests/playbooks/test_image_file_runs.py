"""What `image-file` verifies and runs still is what was signed, and ordinary users may."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest

from tests.playbooks.conftest import Keys
from tests.playbooks.container_image import damage, needs_gpg
from tests.playbooks.image_file import APPTAINER, LIMIT, NOBODY, PROGRAM, Area, in_process, linked, nothing

pytestmark = needs_gpg


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
