"""What `image-area` refuses to publish: what is not as it was signed, and what no tree may have."""

from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.container_image import damage, needs_gpg
from tests.playbooks.image_area.area import Builder, left_over, publish, refusal

pytestmark = needs_gpg


@pytest.mark.parametrize("file", ["manifest.json", "tree.mtree", "sbom.spdx.json"])
def test_what_is_not_as_it_was_signed_is_not_published(area: Any, builder: Builder, program: Any, file: str) -> None:
    source = builder.image("1")
    (source / file).write_text((source / file).read_text() + " ")
    refusal(program, lambda: publish(area, builder, source))
    assert area.images() == []


def test_a_file_that_differs_from_its_digest_is_not_published(area: Any, builder: Builder, program: Any) -> None:
    source = builder.image("1")
    damage(source / "tree/usr/bin/tool")
    assert "tool' is not what was signed" in refusal(program, lambda: publish(area, builder, source))
    (source / "tree/usr/bin/tool").unlink()
    assert "tool' is missing" in refusal(program, lambda: publish(area, builder, source))
    assert (area.images(), left_over(area)) == ([], [])


def test_an_unknown_key_is_refused(area: Any, builder: Builder, program: Any, tmp_path: Path) -> None:
    builder.keys.make("Somebody else")
    other = builder.keys.export(tmp_path / "other.gpg", "=Somebody else")
    source = builder.image("1")
    with area.locked():
        assert "signature" in refusal(program, lambda: area.publish(source, other))


def test_an_expired_key_is_refused(area: Any, builder: Builder, program: Any, tmp_path: Path) -> None:
    past = "20200101T000000"
    builder.keys.make("Former", "1d", on=past)
    source = builder.image("1")
    builder.keys.sign(source / "manifest.json", "=Former", on=past)
    keyring = builder.keys.export(tmp_path / "former.gpg", "=Former")
    with area.locked():
        assert "signature" in refusal(program, lambda: area.publish(source, keyring))


@pytest.mark.parametrize(
    "line",
    [
        "./null type=other mode=0666",
        "./su type=file mode=4755 size=0 sha256digest=" + "0" * 64,
        "./sbin type=dir mode=2755",
        "./.. type=dir mode=0755",
        "./../x type=dir mode=0755",
        "./usr/../../x type=dir mode=0755",
        "/etc type=dir mode=0755",
        "./nowhere/x type=dir mode=0755",
        "./etc type=dir mode=0755\n./etc type=dir mode=0755",
        "./etc type=link link=usr\n./etc/x type=dir mode=0755",
        "./x\\000y type=dir mode=0755",
        "./x",
    ],
)
def test_entries_that_no_tree_may_have_are_refused(area: Any, builder: Builder, program: Any, line: str) -> None:
    place = builder.image("1")
    builder.sign(place, "base", "1", f"#mtree\n./usr type=dir mode=0755\n{line}\n")
    said = refusal(program, lambda: publish(area, builder, place))
    assert "tree.mtree:" in said
    assert area.images() == []


@pytest.mark.parametrize("name, version", [("../x", "1"), ("base", "../1"), ("base", "current"), (".area", "1")])
def test_names_that_lead_elsewhere_are_refused(
    area: Any, builder: Builder, program: Any, name: str, version: str
) -> None:
    place = builder.image("1")
    builder.sign(place, name, version)
    assert "no such names" in refusal(program, lambda: publish(area, builder, place))
