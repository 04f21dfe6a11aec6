"""What `container-image` says an image holds: its listing, its packages, and these as SPDX."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spdx_tools.spdx.model.document import Document
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tests.playbooks.container_image import STATUS, small_tree

EPOCH = 1795255200
ODD = ["a b", "a\nb", "a\\b", "#a", "a=b", "\u00e4", os.fsdecode(b"\xe4\xff"), "-", "...", "a\\040b"]


def test_a_listing_is_what_mtree_writes(tool: Any, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir(mode=0o755)
    (tmp_path / "a b/#x").write_text("hello")
    (tmp_path / "a b/#x").chmod(0o640)
    (tmp_path / "link").symlink_to("a b/=")
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert tool.contents.listing(tmp_path).splitlines() == [
        "#mtree",
        r"./a\040b type=dir mode=0755",
        r"./link type=link link=a\040b/\075",
        r"./pipe type=other mode=0600",
        rf"./a\040b/\043x type=file mode=0640 size=5 sha256digest={hashlib.sha256(b'hello').hexdigest()}",
    ]


@settings(deadline=None, max_examples=30)
@given(order=st.permutations(ODD))
def test_equal_trees_have_equal_listings_however_they_were_made(
    tool: Any, tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    trees = [tmp_path_factory.mktemp("tree") for _ in range(2)]
    for tree, names in zip(trees, (ODD, order), strict=True):
        for number, name in enumerate(names):
            (tree / name).mkdir()
            (tree / name / name).write_text(name.encode(errors="surrogateescape").hex())
            os.utime(tree / name / name, (number, number))
    assert tool.contents.listing(trees[0]) == tool.contents.listing(trees[1])
    assert tool.contents.listing(trees[0]).isascii()
    assert len(tool.contents.listing(trees[0]).splitlines()) == 1 + 2 * len(ODD)


def test_the_order_of_a_disk_does_not_count(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, walk = small_tree(tmp_path / "tree"), os.walk

    def reversed_walk(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for where, folders, files in walk(top):
            folders.sort(reverse=True)
            yield where, folders, sorted(files, reverse=True)

    before = tool.contents.listing(tree)
    monkeypatch.setattr(os, "walk", reversed_walk)
    assert tool.contents.listing(tree) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root gives files away.")
def test_owners_do_not_count(tool: Any, tmp_path: Path) -> None:
    before = tool.contents.listing(small_tree(tmp_path / "tree"))
    os.chown(tmp_path / "tree/etc/tool.conf", 4711, 4711)
    assert tool.contents.listing(tmp_path / "tree") == before


def into_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def led_elsewhere(link: Path) -> None:
    link.unlink()
    link.symlink_to("usr/lib")


@pytest.mark.parametrize(
    "name, change",
    [
        ("etc/tool.conf", lambda file: file.write_text("a = 2\n")),
        ("etc/tool.conf", lambda file: file.chmod(0o600)),
        ("usr/bin/tool", lambda file: file.chmod(0o4755)),
        ("etc", lambda folder: folder.chmod(0o777)),
        ("etc/tool.conf", Path.unlink),
        ("etc/tool.conf", into_folder),
        ("etc/more.conf", Path.touch),
        ("bin", led_elsewhere),
        ("var/lib/dpkg/x", lambda link: link.symlink_to("status")),
    ],
)
def test_the_difference_names_what_differs_and_nothing_else(
    tool: Any, tmp_path: Path, name: str, change: Callable[[Path], object]
) -> None:
    tree = small_tree(tmp_path / "tree")
    before = tool.contents.listing(tree)
    change(tree / name)
    after = tool.contents.listing(tree)
    assert tool.contents.difference(before, after) == [f"./{name}"]
    assert tool.contents.difference(after, after) == []


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_told_apart(tool: Any, tmp_path: Path, name: str) -> None:
    empty = tool.contents.listing(tmp_path)
    (tmp_path / name).write_text("x")
    (told,) = tool.contents.difference(empty, tool.contents.listing(tmp_path))
    assert told.startswith("./")
    encoded = told[2:].encode()
    assert b"".join(octal(part) for part in encoded.split(b"\\")) == os.fsencode(name) or b"\\" not in encoded


def octal(part: bytes) -> bytes:
    """Return what stands between two backslashes with its first three digits read."""
    return bytes([int(part[:3], 8)]) + part[3:] if part[:3].isdigit() else part


def test_packages_are_those_that_dpkg_calls_installed_and_those_unpacked(tool: Any, tmp_path: Path) -> None:
    tree = small_tree(tmp_path / "tree")
    (tree / "var/lib/dpkg/status.d/base-files.md5sums").write_text("0123  usr/share/x\n")
    (tree / "var/lib/dpkg/status.d/base-files").write_text(STATUS.split("\n\n")[0])
    found = tool.contents.packages(tree)
    assert [(fields["Package"], fields["Version"]) for fields in found] == [
        ("base-files", "12.4+deb12u11"),
        ("libstdc++6", "1:14.2.0-19+b1~x"),
    ]


@pytest.mark.parametrize("linked", ["var/lib/dpkg/status", "var/lib/dpkg", "var/lib/dpkg/status.d/libstdc++6"])
def test_the_packages_of_the_host_are_never_taken_for_the_images(tool: Any, tmp_path: Path, linked: str) -> None:
    host = small_tree(tmp_path / "host")
    tree = small_tree(tmp_path / "tree")
    shutil.rmtree(tree / "var/lib/dpkg/status.d")
    shutil.rmtree(tree / linked) if (tree / linked).is_dir() else (tree / linked).unlink(missing_ok=True)
    (tree / linked).parent.mkdir(exist_ok=True)
    (tree / linked).symlink_to(host / linked)
    expected = [] if "status.d" not in linked else ["base-files"]
    assert [fields["Package"] for fields in tool.contents.packages(tree)] == expected


def test_an_image_without_packages_has_none(tool: Any, tmp_path: Path) -> None:
    assert tool.contents.packages(tmp_path) == []


def as_document(sbom: dict[str, Any]) -> Document:
    """Return an SBOM as the SPDX project's own tools read it; their findings are to be none."""
    document = JsonLikeDictParser().parse(sbom)  # type: ignore[no-untyped-call] # it has no hints here
    assert isinstance(document, Document)
    found = [message.validation_message for message in validate_full_spdx_document(document, "SPDX-2.3")]
    assert found == []
    return document


def test_the_list_of_packages_is_valid_spdx(tool: Any, tmp_path: Path) -> None:
    found = tool.contents.packages(small_tree(tmp_path / "tree"))
    document = as_document(tool.contents.sbom("wlcg-test", "2026-11-21-0123456789ab", EPOCH, found))
    assert document.creation_info.name == "wlcg-test-2026-11-21-0123456789ab"
    assert document.creation_info.created.isoformat() == "2026-11-21T10:00:00"
    assert [package.name for package in document.packages] == ["base-files", "libstdc++6"]
    assert str(document.packages[0].supplier.name).startswith("Santiago Vila")  # type: ignore[union-attr] # it has one
    assert [package.external_references[0].locator for package in document.packages] == [
        "pkg:deb/debian/base-files@12.4%2Bdeb12u11?arch=amd64",
        "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19%2Bb1~x?arch=amd64",
    ]
    assert document.packages[1].checksums[0].value == "ab" * 32
    assert len({package.spdx_id for package in document.packages}) == 2
    assert len(document.relationships) == 2


def test_packages_whose_names_spdx_cannot_tell_apart_are_told_apart(tool: Any) -> None:
    found = [
        {"Package": name, "Version": version, "Architecture": "amd64"}
        for name, version in (("a+b", "1"), ("a-b", "1"), ("a-b", "2"))
    ]
    document = as_document(tool.contents.sbom("a", "1", EPOCH, found))
    assert len({package.spdx_id for package in document.packages}) == 3


NAMES = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,8}", fullmatch=True)
VERSIONS = st.from_regex(r"([0-9]:)?[0-9][A-Za-z0-9.+~]{0,8}(-[A-Za-z0-9.+~]{1,8})?", fullmatch=True)
FOUND = st.lists(st.tuples(NAMES, VERSIONS, st.sampled_from(["amd64", "all"])), max_size=6, unique=True)


@settings(deadline=None, max_examples=40)
@given(found=FOUND)
def test_whatever_packages_are_called_their_list_is_valid_spdx(tool: Any, found: list[tuple[str, str, str]]) -> None:
    fields = [dict(zip(("Package", "Version", "Architecture"), each, strict=True)) for each in found]
    as_document(tool.contents.sbom("a", "1", EPOCH, fields))
