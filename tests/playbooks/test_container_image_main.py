"""The command `container-image`: it publishes all or nothing, and refuses with one sentence."""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.conftest import Keys
from tests.playbooks.container_image import (
    WrittenLayout,
    damage,
    entry,
    needs_gpg,
    packed,
    small_tree,
)
from tests.playbooks.test_container_image_definition import family, written

BUILDAH = '#!/bin/sh\n[ "$1" = unshare ] || exit 1\nshift\nexec "$@"\n'
"""Stands in for the program that removes files of subordinate users, which tests have none of."""


class Area:
    """A folder of published images, and the command on it with stand-ins for what needs a builder's host."""

    def __init__(self, tool: Any, folder: Path) -> None:
        self.tool, self.folder, self.said = tool, folder, "hello"
        self.keyring = folder / "trusted.gpg"

    def layout(self, name: str, created: str = "2026-11-21T10:00:00Z") -> Path:
        """Write a layout that is an image of its own, and let the tree be one too."""
        self.said = name
        folder = self.folder.parent / f"layout-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        return WrittenLayout(folder, packed(entry(name)), created=created).folder

    def run(self, *words: str | Path) -> None:
        """Do what the command line asks for, in this process."""
        arguments = self.tool.main.parser().parse_args([str(word) for word in words])
        arguments.do(arguments)

    def publish(self, name: str) -> Path:
        """Convert a layout to the image `test`; return the place of what is current now."""
        self.run("convert", "test", self.layout(name))
        return self.current

    def stand_in(self, monkeypatch: pytest.MonkeyPatch, said: str = "", epoch: int = 1795255200) -> None:
        """Let each image of a definition be a layout of its own, instead of building it."""

        def build_oci(definition: Any, _sources: Any, _epoch: int, work: Path) -> None:
            for image in definition.images:
                shutil.copytree(self.layout(f"{image.name}{said}"), work / image.name / "oci")

        monkeypatch.setattr(self.tool.main, "package_sources", lambda _suite: ([], epoch))
        monkeypatch.setattr(self.tool.main, "build_oci", build_oci)

    @property
    def current(self) -> Path:
        return (self.folder / "test/current").resolve(strict=True)

    @property
    def whole(self) -> bool:
        """Whether what is current is good, and nothing of any build is left beside it."""
        self.tool.published.verify(self.folder / "test/current", self.keyring)
        return {path.name for path in (self.folder / ".work").iterdir()} == {"lock"}


@pytest.fixture
def area(tool: Any, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Area:
    """Return an empty area, where packing takes no programs."""
    made = Area(tool, tmp_path / "images")
    made.folder.mkdir()
    keys.export(made.keyring)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "buildah").write_text(BUILDAH)
    (programs / "buildah").chmod(0o755)

    def build_sif(work: Path, name: str, _epoch: int) -> str:
        (work / f"{name}.sif").write_bytes(b"SIF")
        return "sha256:0"

    def build_tree(work: Path, _epoch: int) -> Path:
        (work / "tmp").mkdir()
        return small_tree(work / "tree", made.said)

    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("GNUPGHOME", str(keys.home))
    monkeypatch.setattr(tool.main, "AREA", made.folder)
    monkeypatch.setattr(tool.main, "PRIVATE", made.folder / ".work")
    monkeypatch.setattr(tool.main, "build_tree", build_tree)
    monkeypatch.setattr(tool.main, "build_sif", build_sif)
    return made


@needs_gpg
def test_what_is_published_is_whole_and_holds_nothing_of_the_build(
    area: Area, capsys: pytest.CaptureFixture[str]
) -> None:
    place = area.publish("a")
    assert capsys.readouterr().out == f"{place}\n"
    assert place.name.startswith("2026-11-21-")
    assert area.whole
    assert {path.name for path in place.iterdir()} == {
        "oci", "tree", "tree.mtree", "test.sif", "sbom.spdx.json", "manifest.json", "manifest.json.asc",
    }  # fmt: skip
    assert place.stat().st_mode & 0o777 == 0o755
    assert (area.folder / "test/current").readlink() == Path(place.name)


@needs_gpg
def test_a_new_image_takes_the_place_of_the_old_one_which_stays(area: Area) -> None:
    old = area.publish("a")
    new = area.publish("b")
    assert old != new
    assert area.whole
    area.tool.published.verify(old, area.keyring)


@needs_gpg
def test_at_every_moment_readers_see_a_whole_image(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    old, seen = area.publish("a"), []

    def looking(method: str) -> Callable[..., Any]:
        real = getattr(Path, method)

        def call(self: Path, *words: Any) -> Any:
            area.tool.published.verify(area.folder / "test/current", area.keyring)
            seen.append(area.current)
            return real(self, *words)

        return call

    for method in ("rename", "replace", "symlink_to"):
        monkeypatch.setattr(Path, method, looking(method))
    area.run("convert", "test", area.layout("b"))
    assert set(seen) == {old}
    assert len(seen) >= 3
    assert area.current != old


@needs_gpg
def test_the_same_image_again_takes_the_place_of_a_damaged_one(area: Area) -> None:
    place = area.publish("a")
    damage(place / "tree/etc/tool.conf")
    with pytest.raises(area.tool.words.Refused, match=r"\./etc/tool\.conf"):
        area.run("verify", area.folder / "test/current", "--keyring", area.keyring)
    assert area.publish("a") == place
    assert area.whole


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
STEPS = [
    "build_tree",
    "packages",
    "sbom",
    "build_sif",
    "listing",
    "forms",
    "as_json",
    "run",
    "shutil.copytree",
    "os.sync",
]


@needs_gpg
@pytest.mark.parametrize("step", [*STEPS, "Path.rename", "Path.symlink_to", "Path.replace"])
@pytest.mark.parametrize("kind", ["full", "refused"])
def test_a_build_that_fails_leaves_what_was_published_and_nothing_else(
    area: Area, monkeypatch: pytest.MonkeyPatch, step: str, kind: str
) -> None:
    old = area.publish("a")
    layout, error = area.layout("b"), FULL if kind == "full" else area.tool.words.Refused("No.")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as broken:
        target = {"shutil": shutil, "os": os, "Path": Path}.get(step.partition(".")[0], area.tool.main)
        broken.setattr(target, step.rpartition(".")[2], fail)
        with pytest.raises(type(error)):
            area.run("convert", "test", layout)
    assert area.current == old
    area.publish("b")
    assert area.current != old
    assert area.whole


@needs_gpg
@pytest.mark.parametrize("step", STEPS)
def test_a_build_that_fails_leaves_no_work_folder(area: Area, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    area.publish("a")
    layout = area.layout("b")

    def fail(*_: Any, **__: Any) -> None:
        raise FULL

    with monkeypatch.context() as broken:
        target = {"shutil": shutil, "os": os}.get(step.partition(".")[0], area.tool.main)
        broken.setattr(target, step.rpartition(".")[2], fail)
        with pytest.raises(OSError, match="No space left"):
            area.run("convert", "test", layout)
    assert area.whole
    assert len(list((area.folder / "test").iterdir())) == 2  # the image, and the link to it


@needs_gpg
def test_the_leftovers_of_a_killed_build_are_swept(area: Area) -> None:
    for name in ("tmp0123/tree/etc", "replaced-1/oci"):
        (area.folder / ".work" / name).mkdir(parents=True)
    with area.tool.main.work_folder() as work:  # before the build, which needs the room
        assert {path.name for path in work.parent.iterdir()} == {"lock", work.name}
    area.publish("a")
    assert area.whole


def test_a_second_build_at_once_is_refused(area: Area) -> None:
    (area.folder / ".work/tmp0123").mkdir(parents=True)
    with (area.folder / ".work/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(area.tool.words.Refused, match=r"^Another build runs in '.*'\. Wait for its end\.$"):
            area.run("convert", "test", area.layout("a"))
    assert (area.folder / ".work/tmp0123").is_dir()  # it is the other build's
    assert not (area.folder / "test").exists()


@needs_gpg
def test_status_tells_whether_a_definition_has_to_be_built(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    definition = written(tmp_path / "test")
    status = ("status", definition, "--keyring", area.keyring)
    with pytest.raises(area.tool.words.Refused, match=r"manifest\.json' is missing"):
        area.run(*status)

    area.stand_in(monkeypatch)
    area.run("build", definition)
    capsys.readouterr()
    area.run(*status)
    assert capsys.readouterr().out == f"{area.current}\n"
    (definition / "parts/setup").write_text("#!/bin/sh\ntrue\n")
    with pytest.raises(area.tool.words.Refused, match=r"has changed since 2026-11-21-\w+ was built\.$"):
        area.run(*status)


def test_only_the_digest_is_printed_and_nothing_published(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    area.stand_in(monkeypatch)
    area.run("build", written(tmp_path / "test"), "--only-digest")
    assert capsys.readouterr().out == f"{area.tool.layout.Layout(area.layout('test')).digest}\n"
    area.run("build", family(tmp_path / "fit"), "--only-digest")
    assert capsys.readouterr().out.splitlines() == [
        f"{area.tool.layout.Layout(area.layout(name)).digest} {name}" for name in FAMILY_NAMES
    ]
    assert {path.name for path in area.folder.iterdir()} == {".work", "trusted.gpg"}


FAMILY_NAMES = ("fit", "fit-developer", "fit-user")


def family_as_published(area: Area) -> list[str]:
    """Return the versions that are current, each of which is whole."""
    versions = []
    for name in FAMILY_NAMES:
        area.tool.published.verify(area.folder / name / "current", area.keyring)
        versions.append((area.folder / name / "current").readlink().name)
    return versions


@needs_gpg
def test_several_images_of_one_definition_are_published_together(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    definition = family(tmp_path / "fit")
    area.stand_in(monkeypatch)
    area.run("build", definition)
    places = [
        str(area.folder / name / version) for name, version in zip(FAMILY_NAMES, family_as_published(area), strict=True)
    ]
    assert capsys.readouterr().out.splitlines() == places
    assert {path.name for path in (area.folder / ".work").iterdir()} == {"lock"}
    area.run("status", definition, "--keyring", area.keyring)
    assert capsys.readouterr().out.splitlines() == places
    said = [json.loads(Path(place, "manifest.json").read_text()) for place in places]
    assert [each["name"] for each in said] == list(FAMILY_NAMES)
    assert len({each["definition"] for each in said}) == len({each["created"] for each in said}) == 1
    assert len({each["oci"]["digest"] for each in said}) == len(said)


@needs_gpg
@pytest.mark.parametrize("step", ["build_tree", "build_sif", "run", "os.sync", "Path.rename", "Path.symlink_to"])
@pytest.mark.parametrize("time", [1, 2, 3])
def test_if_one_of_several_images_fails_none_is_switched(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, time: int
) -> None:
    definition = family(tmp_path / "fit")
    area.stand_in(monkeypatch)
    area.run("build", definition)
    before = family_as_published(area)
    area.stand_in(monkeypatch, "2")
    target, name = {"os": os, "Path": Path}.get(step.partition(".")[0], area.tool.main), step.rpartition(".")[2]
    real, calls = getattr(target, name), []

    def fail(*words: Any, **more: Any) -> Any:
        calls.append(words)
        if len(calls) == time or step == "os.sync":
            raise FULL
        return real(*words, **more)

    with monkeypatch.context() as broken:
        broken.setattr(target, name, fail)
        with pytest.raises(OSError, match="No space left"):
            area.run("build", definition)
    assert family_as_published(area) == before
    assert {path.name for path in (area.folder / ".work").iterdir()} == {"lock"}
    area.run("build", definition)
    assert not set(family_as_published(area)) & set(before)


@needs_gpg
@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_status_refuses_images_that_are_not_of_one_build(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    definition = family(tmp_path / "fit")
    area.stand_in(monkeypatch)
    area.run("build", definition)
    old = (area.folder / name / "current").readlink()
    area.stand_in(monkeypatch, "2", epoch=1795341600)
    area.run("build", definition)
    area.run("status", definition, "--keyring", area.keyring)
    (area.folder / name / "current").unlink()
    (area.folder / name / "current").symlink_to(old)
    with pytest.raises(area.tool.words.Refused, match=r"are not of one build: 2026-11-21T.*, 2026-11-22T"):
        area.run("status", definition, "--keyring", area.keyring)
    (area.folder / name / "current").unlink()
    with pytest.raises(area.tool.words.Refused, match=r"manifest\.json' is missing"):
        area.run("status", definition, "--keyring", area.keyring)


@needs_gpg
def test_another_definition_of_the_same_content_leaves_what_runs(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = written(tmp_path / "test")
    area.stand_in(monkeypatch)
    area.run("build", definition)
    tree, place = (area.current / "tree").stat().st_ino, area.current
    with (definition / "Containerfile").open("a") as file:
        file.write("# more\n")
    area.run("build", definition)
    assert (area.current, (area.current / "tree").stat().st_ino) == (place, tree)
    area.run("status", definition, "--keyring", area.keyring)
    assert area.whole
