"""An image area shows readers whole trees and nothing else, stores each content once, and survives being killed."""

import argparse
import errno
import importlib.util
import json
import os
import py_compile
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.container_image import damage, needs_gpg
from tests.playbooks.image_area.area import CHANGED, FILES, Builder, inode, publish, refusal, says

pytestmark = needs_gpg

DAY = 86400


def test_a_published_tree_is_the_signed_one_and_comes_with_what_was_signed(
    area: Any, builder: Builder, tool: Any
) -> None:
    source = builder.image("1")
    publish(area, builder, source)
    current = area.root / "base/current"
    assert str(current.readlink()) == "1"
    assert tool.contents.listing(current / "tree") == (source / "tree.mtree").read_text()
    told = {"manifest.json", "manifest.json.asc", "sbom.spdx.json", "tree.mtree"}
    assert {path.name for path in current.iterdir()} == {*told, "tree"}
    assert area.verify(area.require("base", None), builder.keyring).version == "1"


def test_each_content_is_stored_once_across_files_versions_and_images(area: Any, builder: Builder) -> None:
    publish(area, builder, builder.image("1"))
    said = publish(area, builder, builder.image("2", CHANGED))
    publish(area, builder, builder.image("1", FILES, "other"))
    assert said.endswith("0.0 MiB in 1 files had to be stored")
    same = {inode(area, f"base/{place}") for place in ("1/tree/usr/lib/one", "1/tree/usr/lib/other",
            "2/tree/usr/lib/one")} | {inode(area, "other/1/tree/usr/lib/one")}  # fmt: skip
    assert len(same) == 1
    assert inode(area, "base/1/tree/usr/bin/tool") != inode(area, "base/2/tree/usr/bin/tool")
    used = area.used()
    assert used[""]["files"] == 5  # four contents of the first, of which one is there twice, and the changed one
    assert used["base/1"] == {"files": len(FILES), "bytes": sum(map(len, FILES.values()))}


def test_files_of_another_mode_are_another_object(area: Any, builder: Builder) -> None:
    files = {**FILES, "usr/bin/one": "the same"}
    publish(area, builder, builder.image("1", files))
    assert publish(area, builder, builder.image("2", files)).endswith("in 0 files had to be stored")
    one, two = (area.root / f"base/1/tree/usr/{name}" for name in ("bin/one", "lib/one"))
    assert (stat.S_IMODE(one.stat().st_mode), stat.S_IMODE(two.stat().st_mode)) == (0o755, 0o644)


def test_readers_cannot_enter_the_publishers_own_folder(area: Any, builder: Builder) -> None:
    publish(area, builder, builder.image("1"))
    assert stat.S_IMODE((area.root / ".area").stat().st_mode) == 0o700
    for place in ("base", "base/1", "base/1/tree"):
        assert stat.S_IMODE((area.root / place).stat().st_mode) == 0o755


def test_the_switch_leaves_whoever_has_resolved_the_link_with_the_old_tree(area: Any, builder: Builder) -> None:
    publish(area, builder, builder.image("1"))
    job = (area.root / "base/current").resolve()
    publish(area, builder, builder.image("2", CHANGED))
    assert says(area) == "2"
    assert (job / "tree/usr/bin/tool").read_text().split()[-1] == "1"


def test_one_step_leads_back_and_one_forward_again(area: Any, builder: Builder, program: Any) -> None:
    for version, files in (("1", FILES), ("2", CHANGED), ("3", FILES)):
        publish(area, builder, builder.image(version, files))
    for expected in ("2", "3", "2"):
        with area.locked():
            assert area.rollback("base") == expected == area.current("base")
    with area.locked():
        assert area.rollback("base", "1") == area.current("base") == "1"
        assert area.rollback("base") == "2"
        assert "has no 'base' of version '9'" in refusal(program, lambda: area.rollback("base", "9"))


def test_a_version_in_use_is_no_way_back_though_its_switch_was_killed_before_it_was(
    area: Any, builder: Builder
) -> None:
    for version in "123":
        publish(area, builder, builder.image(version))
    (area.left / "base/3").touch()
    with area.locked():
        assert area.rollback("base") == "2"


def test_there_is_no_way_back_from_the_first_version(area: Any, builder: Builder, program: Any) -> None:
    publish(area, builder, builder.image("1"))
    with area.locked():
        assert "was in use before" in refusal(program, lambda: area.rollback("base"))


def test_publishing_again_changes_nothing_and_switches(area: Any, builder: Builder) -> None:
    first = builder.image("1")
    publish(area, builder, first)
    publish(area, builder, builder.image("2", CHANGED))
    before = inode(area, "base/1")
    assert "it was there already" in publish(area, builder, first)
    assert (area.current("base"), inode(area, "base/1")) == ("1", before)


@pytest.mark.parametrize(
    "spoil, name",
    [
        (lambda tree: damage(tree / "usr/lib/one", 0), "usr/lib/one"),
        (lambda tree: (tree / "usr/lib/one").chmod(0o600), "usr/lib/one"),
        (lambda tree: (tree / "usr/lib/one").unlink(), "usr/lib/one"),
        (lambda tree: (tree / "usr/lib/new").write_text("x"), "usr/lib/new"),
        (lambda tree: (tree / "usr").chmod(0o700), "usr"),
        (lambda tree: ((tree / "bin").unlink(), (tree / "bin").symlink_to("sbin")), "bin"),
    ],
    ids=["byte", "mode", "gone", "added", "folder", "link"],
)
def test_damage_is_found_by_name_and_publishing_again_mends_it(
    area: Any, builder: Builder, program: Any, tool: Any, spoil: Callable[[Path], object], name: str
) -> None:
    source = builder.image("1")
    publish(area, builder, source)
    spoil(area.root / "base/1/tree")
    place = area.require("base", "1")
    assert name in refusal(program, lambda: area.verify(place, builder.keyring))
    assert "what was there was damaged" in publish(area, builder, source)
    area.verify(place, builder.keyring)
    assert tool.contents.listing(place / "tree") == (source / "tree.mtree").read_text()


def test_what_runs_from_a_damaged_tree_keeps_it_until_tidied(area: Any, builder: Builder) -> None:
    source = builder.image("1")
    publish(area, builder, source)
    (area.root / "base/1/tree/opt").chmod(0o700)
    opened = os.open(area.root / "base/1/tree/usr/lib", os.O_RDONLY)
    seen = Path(f"/proc/self/fd/{opened}")
    publish(area, builder, source)
    with area.locked():
        assert area.tidy(0, 60) == []
        assert sorted(path.name for path in seen.iterdir()) == ["a b\\c", "one", "other"]
        (gone,) = area.tidy(0, 0)
    assert gone.startswith("the damaged base-1-")
    assert [*seen.iterdir(), *area.damaged.iterdir()] == []
    os.close(opened)


def test_a_stored_content_that_somebody_has_changed_gets_into_no_new_version(area: Any, builder: Builder) -> None:
    publish(area, builder, builder.image("1"))
    damage(area.root / "base/1/tree/usr/lib/one", 0)  # one file with the store, and of the same size as before
    publish(area, builder, builder.image("2"))
    assert (area.root / "base/2/tree/usr/lib/one").read_text() == FILES["usr/lib/one"]
    area.verify(area.require("base", "2"), builder.keyring)


def test_nobody_but_the_publisher_can_write_whatever_the_image_says(area: Any, builder: Builder) -> None:
    source = builder.image("1")
    (source / "tree/opt").chmod(0o1777)
    (source / "tree/etc/empty").chmod(0o666)
    publish(area, builder, builder.sign(source, "base", "1"))
    place = area.require("base", "1")
    modes = [oct((place / "tree" / name).stat().st_mode)[-4:] for name in ("opt", "etc/empty")]
    assert modes == ["1755", "0644"]
    area.verify(place, builder.keyring)


def test_a_quick_look_reads_no_file_and_finds_what_lacks(area: Any, builder: Builder, program: Any) -> None:
    publish(area, builder, builder.image("1"))
    place = area.require("base", "1")
    damage(place / "tree/usr/lib/one", 0)
    area.verify(place, builder.keyring, contents=False)
    (place / "tree/usr/lib/other").unlink()
    assert "usr/lib/other" in refusal(program, lambda: area.verify(place, builder.keyring, contents=False))


def test_compiled_python_counts_whichever_version_its_source_came_with_first(area: Any, builder: Builder) -> None:
    """A source that two versions share has two times, one for each compiled file that names one."""
    for version, at in (("1", 1_500_000_000), ("2", 1_600_000_000)):
        source = builder.folder / "x.py"
        source.write_text("x = 1\n")
        os.utime(source, (at, at))
        compiled = Path(py_compile.compile(str(source), str(builder.folder / "x.pyc"), doraise=True) or "")
        cached = Path(importlib.util.cache_from_source("usr/lib/x.py")).as_posix()
        files: dict[str, str | bytes] = {
            **FILES,
            "usr/lib/x.py": "x = 1\n",
            cached: compiled.read_bytes(),
            "usr/lib/y.py": "x = 1\n",
        }
        image = builder.image(version, files)
        os.utime(image / "tree/usr/lib/x.py", (at, at))
        publish(area, builder, image)
        tree = area.root / f"base/{version}/tree"
        assert (tree / "usr/lib/x.py").stat().st_mtime == at
        assert (tree / "usr/lib/y.py").stat().st_mtime == 946684800
    assert inode(area, "base/1/tree/usr/lib/x.py") != inode(area, "base/2/tree/usr/lib/x.py")
    assert inode(area, "base/1/tree/usr/lib/y.py") == inode(area, "base/2/tree/usr/lib/y.py")


def test_compiled_python_that_did_not_count_where_it_was_built_does_not_here(area: Any, builder: Builder) -> None:
    cached = Path(importlib.util.cache_from_source("usr/lib/x.py")).as_posix()
    head = bytes(8) + (1_500_000_000).to_bytes(4, "little") + bytes(4)
    image = builder.image("1", {**FILES, "usr/lib/x.py": "", cached: head})
    os.utime(image / "tree/usr/lib/x.py", (1_600_000_000, 1_600_000_000))
    publish(area, builder, image)
    assert (area.root / "base/1/tree/usr/lib/x.py").stat().st_mtime == 946684800


def test_compiled_python_that_names_no_time_asks_for_none(area: Any, builder: Builder) -> None:
    cached = Path(importlib.util.cache_from_source("usr/lib/x.py")).as_posix()
    head = sys.implementation.cache_tag.encode()[:4].ljust(4) + (1).to_bytes(4, "little") + bytes(8)
    publish(area, builder, builder.image("1", {**FILES, "usr/lib/x.py": "", cached: head}))
    assert (area.root / "base/1/tree/usr/lib/x.py").stat().st_mtime == 946684800


def test_a_file_with_as_many_links_as_there_can_be_is_stored_once_more(
    area: Any, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, limit = os.link, 3

    def limited(source: Path, target: Path) -> None:
        if source.stat().st_nlink >= limit:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))
        link(source, target)

    monkeypatch.setattr(os, "link", limited)
    for version in "1234":
        publish(area, builder, builder.image(version))
    assert len({inode(area, f"base/{version}/tree/etc/empty") for version in "1234"}) > 1
    for version in "1234":
        area.verify(area.require("base", version), builder.keyring)


def test_what_is_new_is_on_the_disk_before_anybody_counts_on_it(
    area: Any, builder: Builder, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(program.area, "_sync", lambda folder: seen.append((folder, area.images(), area.used()[""])))
    publish(area, builder, builder.image("1"))
    assert seen == [(area.root, [], {"files": 0, "bytes": 0})]


def age(area: Any, version: str, days: float) -> None:
    marker = area.left / "base" / version
    marker.parent.mkdir(exist_ok=True)
    marker.touch()
    at = time.time() - days * DAY
    os.utime(marker, (at, at))


def test_tidying_keeps_what_is_in_use_what_was_so_lately_and_so_many_more(area: Any, builder: Builder) -> None:
    for number, version in enumerate("12345"):
        publish(area, builder, builder.image(version, {**FILES, "usr/bin/tool": f"echo {number}\n"}))
    for version, days in zip("1234", (40, 30, 20, 10), strict=True):
        age(area, version, days)
    with area.locked():
        assert area.tidy(3, 15 * DAY) == ["base 1"]
        assert not (area.left / "base/1").exists()
        assert area.tidy(1, 15 * DAY) == ["base 3", "base 2"]
    assert (area.versions("base"), area.current("base")) == (["4", "5"], "5")
    assert area.used()[""]["files"] == 5  # three contents that are shared, and two tools
    with area.locked():
        assert area.tidy(0, 11 * DAY) == []
        assert area.tidy(0, 9 * DAY) == ["base 4"]


def test_a_version_in_use_again_is_as_new(area: Any, builder: Builder) -> None:
    for version in "12":
        publish(area, builder, builder.image(version))
    age(area, "1", 40)
    with area.locked():
        area.rollback("base")
        assert area.left_at("base", "1") is None
        assert area.tidy(0, DAY) == []
        assert area.tidy(0, 0) == ["base 2"]
    assert area.current("base") == "1"


def test_two_publications_at_once_are_refused(area: Any, builder: Builder, program: Any) -> None:
    source = builder.image("1")
    with area.locked():
        assert "under way" in refusal(program, lambda: publish(area, builder, source))


def test_an_area_that_is_missing_is_refused(program: Any, builder: Builder, tmp_path: Path) -> None:
    elsewhere = program.area.Area(tmp_path / "nowhere")
    source = builder.image("1")
    assert "is no folder of this account" in refusal(program, lambda: publish(elsewhere, builder, source))


def test_an_area_of_somebody_else_is_refused(
    area: Any, program: Any, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = builder.image("1")
    monkeypatch.setattr(os, "geteuid", lambda: area.root.stat().st_uid + 1)
    assert "is no folder of this account" in refusal(program, lambda: publish(area, builder, source))


def test_a_version_in_the_place_of_another_is_found(area: Any, builder: Builder, program: Any) -> None:
    publish(area, builder, builder.image("1"))
    (area.root / "base/1").rename(area.root / "base/2")
    assert "of version '1'" in refusal(program, lambda: area.verify(area.require("base", "2"), builder.keyring))


def test_the_command_publishes_what_the_builder_has_in_use_and_tells_of_it(
    program: Any, area: Any, builder: Builder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program.main, "AREA", area)
    monkeypatch.setattr(program.main, "IMAGES", builder.folder)

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["image-area", *words])
        program.main.main()
        return capsys.readouterr().out

    builder.image("1")
    assert run("publish", "base", "--keyring", str(builder.keyring)).startswith("base 1: 5 files of 0.0 MiB")
    builder.image("2", CHANGED)
    run("publish", "base", "--keyring", str(builder.keyring))
    assert "base 1: until 20" in (said := run("status"))
    assert said.startswith("base 2: in use, 5 files")
    told = json.loads(run("status", "--json"))
    assert told["current"] == {"base": "2"}
    assert told["seen"] == sum(len(text) for files in (FILES, CHANGED) for text in files.values())
    assert told["stored"] == told["seen"] - sum(map(len, FILES.values())) - len("the same") + len(FILES["usr/bin/tool"])
    assert run("verify", "base", "--all", "--keyring", str(builder.keyring)).count("is whole") == 2
    assert run("rollback", "base") == "base 1 is in use again.\n"
    assert run("tidy") == "No version has been out of use for that long.\n"
    assert run("tidy", "--keep", "0", "--after", "0") == "Removed: base 2\n"
    for words in (["publish", "nothing"], ["publish", "base", "../../elsewhere/1"], ["verify", "other"]):
        with pytest.raises(SystemExit, match=r"image-area: .* has no "):
            run(*words)


def test_numbers_below_zero_are_refused(program: Any) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        program.main._number("-1")
