"""`container-image` looks into an OCI layout before anybody unpacks it."""

import gzip
import json
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.playbooks.container_image import (
    WrittenLayout,
    damage,
    entry,
    folder,
    hard_link,
    layer,
    link,
    packed,
)

Change = Callable[[WrittenLayout], object]


def refused(tool: Any, layout: WrittenLayout) -> str:
    """Return the sentence with which a layout is refused."""
    with pytest.raises(tool.words.Refused) as caught:
        tool.layout.Layout(layout.folder).refuse_unsafe_layers()
    return str(caught.value)


def test_a_layout_is_read(tool: Any, tmp_path: Path) -> None:
    written = WrittenLayout(tmp_path / "oci", packed(folder("usr/"), entry("usr/x")), layer([entry("y")]))
    layout = tool.layout.Layout(written.folder)
    layout.refuse_unsafe_layers()
    assert (layout.digest, layout.config_digest) == (written.manifest, written.config)
    assert [digest for digest, _ in layout.layers] == written.layers
    assert layout.created == "2026-11-21T10:00:00Z"
    assert layout.size == sum(file.stat().st_size for file in written.folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("kind", ["manifest", "config", "layer"])
def test_a_blob_that_is_missing_or_was_changed_is_named(tool: Any, tmp_path: Path, kind: str) -> None:
    written = WrittenLayout(tmp_path / "oci", packed(entry("x")))
    digest = {"manifest": written.manifest, "config": written.config, "layer": written.layers[0]}[kind]
    damage(written.file(digest))
    assert refused(tool, written).startswith(f"The {kind} {digest} in '{written.folder}' was changed")
    written.file(digest).unlink()
    assert refused(tool, written) == f"The {kind} {digest} is missing in '{written.folder}'."


def rewritten(manifest: Any) -> Change:
    """Return what gives a layout another manifest."""
    return lambda layout: layout.index({"digest": layout.blob(json.dumps(manifest).encode())})


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda layout: (layout.folder / "oci-layout").unlink(), "is no OCI layout: it has no 'oci-layout'"),
        (lambda layout: (layout.folder / "index.json").unlink(), "or no 'index.json'"),
        (lambda layout: (layout.folder / "oci-layout").write_text("{}"), "is no OCI layout"),
        (lambda layout: damage(layout.folder / "oci-layout", -3), "another version of the format than 1.0.0"),
        (lambda layout: (layout.folder / "index.json").write_text("x"), "index.json' is no JSON"),
        (lambda layout: (layout.folder / "index.json").write_bytes(b"\xff"), "index.json' is no JSON"),
        (lambda layout: (layout.folder / "index.json").write_text("[" * 100_000), "index.json' is no JSON"),
        (lambda layout: (layout.folder / "index.json").write_text("[]"), "is no OCI layout"),
        (lambda layout: layout.index(), "names 0 images"),
        (lambda layout: layout.index({"digest": layout.manifest}, {"digest": layout.manifest}), "names 2 images"),
        (
            lambda layout: layout.index(
                {"digest": layout.manifest, "mediaType": "application/vnd.oci.image.index.v1+json"}
            ),
            "an index of some",
        ),
        (lambda layout: layout.index({}), "is no OCI layout"),
        (lambda layout: layout.index("x"), "is no OCI layout"),
        (lambda layout: layout.index({"digest": "sha512:12"}), "its manifest 'sha512:12', which is no SHA-256 digest"),
        (lambda layout: layout.index({"digest": "sha256:../../../index.json"}), "which is no SHA-256 digest"),
        (rewritten([]), "is no OCI layout"),
        (rewritten({"manifests": []}), "is no OCI layout"),
        (rewritten({"config": {"digest": None}, "layers": []}), "its config 'None', which is no SHA-256 digest"),
    ],
)
def test_what_is_no_layout_of_one_image_is_refused(tool: Any, tmp_path: Path, change: Change, sentence: str) -> None:
    written = WrittenLayout(tmp_path / "oci", packed(entry("x")))
    change(written)
    assert sentence in refused(tool, written)


def unsafe(tool: Any, tmp_path: Path, *layers: bytes) -> str:
    """Return the sentence with which layers are refused, from the name of the entry on."""
    written = WrittenLayout(tmp_path / "oci", *layers)
    said = refused(tool, written)
    assert said.startswith("The layer sha256:")
    return said.partition(" holds ")[2]


@pytest.mark.parametrize("pack", [layer, lambda entries: gzip.compress(layer(entries))], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "entries, sentence",
    [
        ([entry("../x")], "'../x', which leads out of the image."),
        ([entry("/abs")], "'/abs', which leads out of the image."),
        ([entry("a/../../b")], "'a/../../b', which leads out of the image."),
        ([folder("a/..")], "'a/..', which leads out of the image."),
        ([entry("a/.wh...")], "'a/.wh...', which leads out of the image."),
        ([entry(".wh..")], "'.wh..', which leads out of the image."),
        ([link(".", "/etc")], "'.', which leads out of the image."),
        ([hard_link("a", "../x")], "'a', a hard link to '../x', which leads out of the image."),
        ([hard_link("a", "/etc/shadow")], "'a', a hard link to '/etc/shadow', which leads out"),
        ([link("l", "/etc"), hard_link("a", "l/shadow")], "'a', a hard link to what is below 'l', a link to '/etc'"),
        ([entry("dev/sda", tarfile.BLKTYPE)], "'dev/sda', which is a device file or a pipe."),
        ([entry("dev/null", tarfile.CHRTYPE)], "'dev/null', which is a device file or a pipe."),
        ([entry("x", tarfile.FIFOTYPE)], "'x', which is a device file or a pipe."),
        ([link("l", "/etc"), entry("l/x")], "'l/x' below 'l', a link to '/etc', which leads out of the image."),
        ([link("l", "/"), folder("l/a/b")], "'l/a/b' below 'l', a link to '/', which"),
        ([link("a/l", "../../etc"), entry("a/l/x")], "'a/l/x' below 'a/l', a link to '../../etc', which"),
        ([link("a/l", "../../a"), entry("./a//l/x")], "below 'a/l', a link to '../../a', which"),
        ([link("l", "/etc"), link("m", "l"), entry("m/x")], "'m/x' below 'l', a link to '/etc', which"),
        ([link("a/b/c", "../.."), link("a/b/c/l", "../x"), entry("l/y")], "'l/y' below 'l', a link to '../x', which"),
        ([link("bin", "usr/bin"), link("bin/l", "/etc"), entry("usr/bin/l/x")], "below 'usr/bin/l', a link to '/etc'"),
        ([link("a", "b"), link("b", "a"), entry("a/x")], "'a/x' below 'a', a link to 'b', which leads out"),
        ([link("l", "l/l"), entry("l/x")], "'l/x' below 'l', a link to 'l/l', which leads out"),
    ],
)  # fmt: skip
def test_an_entry_that_would_be_written_elsewhere_is_named(
    tool: Any, tmp_path: Path, entries: list[tarfile.TarInfo], sentence: str, pack: Callable[..., bytes]
) -> None:
    assert sentence in unsafe(tool, tmp_path, pack(entries))


def test_a_link_of_one_layer_is_known_in_the_next(tool: Any, tmp_path: Path) -> None:
    said = unsafe(tool, tmp_path, packed(link("l", "/etc")), packed(entry("l/x")))
    assert said.startswith("'l/x' below 'l'")


def test_a_layer_that_comes_twice_counts_twice(tool: Any, tmp_path: Path) -> None:
    out, back = packed(link("l", "/etc")), packed(folder("l"))
    assert unsafe(tool, tmp_path, out, back, out, packed(entry("l/x"))).startswith("'l/x' below 'l'")


@pytest.mark.parametrize(
    "entries",
    [
        [link("l", "/etc"), folder("l"), entry("l/x")],
        [link("l", "/etc"), link("l", "usr"), entry("l/x")],
        [folder("./"), folder("usr/bin"), link("bin", "usr/bin"), entry("bin/x"), entry("./bin/y")],
        [link("var/run", "/run"), link("etc/mtab", "../proc/self/mounts"), entry("etc/x")],
        [link("usr/lib64", "../lib"), entry("usr/lib64/x")],
        [hard_link("usr/bin/perl5", "usr/bin/perl"), hard_link("bin/a", "bin/b")],
        [entry("a/.wh..wh..opq"), entry("a/.wh.b"), entry("..."), entry("a..b/c")],
        [link("a", "b"), link("b", "c"), entry("a/x")],
    ],
)
def test_what_images_hold_every_day_is_let_through(tool: Any, tmp_path: Path, entries: list[tarfile.TarInfo]) -> None:
    tool.layout.Layout(WrittenLayout(tmp_path / "oci", packed(*entries)).folder).refuse_unsafe_layers()


WHOLE = layer([entry("a"), entry("b")], b"x" * 5000)
ZIPPED = gzip.compress(WHOLE, mtime=0)  # else tests would be named after the second in which they were collected
SQUEEZED = gzip.compress(layer([entry("a"), entry("b")], b"".join(b"%d\n" % (n * n) for n in range(9000))), mtime=0)
SPOILT = SQUEEZED[: len(SQUEEZED) // 2] + b"\xff" * 64 + SQUEEZED[len(SQUEEZED) // 2 + 64 :]


@pytest.mark.parametrize(
    "content",
    [WHOLE[:4000], WHOLE[:700], ZIPPED[:-20], ZIPPED[:60], ZIPPED[:5],
     b"\x1f\x8b\x08\x00" + b"x" * 200, gzip.compress(b"x" * 600, mtime=0), b"x" * 600, b"", SPOILT,
     SQUEEZED[:-8] + b"\0" * 8, b"BZh91AY&SY" + b"x" * 600],
)  # fmt: skip
def test_a_layer_that_is_cut_off_or_no_archive_is_named(tool: Any, tmp_path: Path, content: bytes) -> None:
    written = WrittenLayout(tmp_path / "oci", content)
    assert refused(tool, written).startswith(f"The layer {written.layers[0]} cannot be read: ")


def test_nothing_is_hidden_behind_what_is_no_entry(tool: Any, tmp_path: Path) -> None:
    """GNU tar skips it and goes on."""
    written = WrittenLayout(tmp_path / "oci", layer([entry("a")])[:512] + b"?" * 512 + layer([entry("../x")]))
    assert refused(tool, written).startswith(f"The layer {written.layers[0]} cannot be read: ")


def test_a_layer_in_zstd_is_named(tool: Any, tmp_path: Path) -> None:
    written = WrittenLayout(tmp_path / "oci", b"\x28\xb5\x2f\xfd" + b"x" * 99)
    assert refused(tool, written).startswith(f"The layer {written.layers[0]} is packed with zstd")


PART = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=6)
HARMLESS = st.lists(
    PART.filter(lambda part: part not in (".", "..") and not part.startswith(".wh.")), min_size=1, max_size=5
)
CLIMBING = st.lists(st.one_of(PART, st.just(".."), st.just(".")), min_size=1, max_size=6)


def judged(tool: Any, content: bytes) -> str:
    """Return the sentence with which a layer is refused, empty if it is not."""
    with TemporaryDirectory() as name:
        layout = tool.layout.Layout(WrittenLayout(Path(name) / "oci", content).folder)
        try:
            layout.refuse_unsafe_layers()
        except tool.words.Refused as error:
            return str(error)
        return ""


@settings(deadline=None, max_examples=60)
@given(paths=st.lists(HARMLESS, max_size=8))
def test_no_harmless_names_are_refused(tool: Any, paths: list[list[str]]) -> None:
    assert judged(tool, layer([entry("/".join(path)) for path in paths])) == ""


@settings(deadline=None, max_examples=150)
@given(path=CLIMBING, before=st.lists(HARMLESS, max_size=3), absolute=st.booleans())
def test_every_name_that_leaves_the_tree_is_refused(
    tool: Any, path: list[str], before: list[list[str]], absolute: bool
) -> None:
    depth, lowest = 0, 0
    for part in path:
        depth += {"..": -1, ".": 0}.get(part, 1)
        lowest = min(depth, lowest)
    assume(absolute or lowest < 0)
    name = "/" * absolute + "/".join(path)
    assert judged(tool, layer([*(entry("/".join(each)) for each in before), entry(name)]))


LETTER = st.sampled_from(["a", "b", "c"])
TARGET = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=5)
KIND = st.sampled_from(["file", "folder", "link"])
STEPS = st.lists(st.tuples(KIND, st.lists(LETTER, min_size=1, max_size=4), TARGET, st.booleans()), max_size=12)


@settings(deadline=None, max_examples=200)
@given(steps=STEPS)
def test_what_is_let_through_stays_in_the_tree_when_it_is_written_naively(tool: Any, steps: list[Any]) -> None:
    def made(kind: str, path: list[str], target: list[str], absolute: bool) -> tarfile.TarInfo:
        where = "/" * absolute + "/".join(target)
        return (
            {"file": entry, "folder": folder}[kind]("/".join(path)) if kind != "link" else link("/".join(path), where)
        )

    entries = [made(*step) for step in steps]
    if judged(tool, layer(entries)):
        return
    with TemporaryDirectory() as name:
        tree = Path(name).resolve() / "outer/tree"
        tree.mkdir(parents=True)
        for each in entries:
            write_naively(tree, each)
        assert [path.name for path in Path(name).iterdir()] == ["outer"]
        assert [path.name for path in tree.parent.iterdir()] == ["tree"]


def write_naively(tree: Path, each: tarfile.TarInfo) -> None:
    """Write an entry as a careless program would: through whatever links are in its way."""
    place = tree / PurePosixPath(each.name)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        assert place.parent.resolve().is_relative_to(tree), f"'{each.name}' is written to '{place.parent.resolve()}'"
        if place.is_symlink() or place.is_file():
            place.unlink()
        if each.issym():
            place.symlink_to(each.linkname)
        elif each.isdir():
            place.mkdir(exist_ok=True)
        else:
            place.touch()
    except OSError:
        return  # a file where a folder should be, or links in a circle


@settings(deadline=None, max_examples=150)
@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255), squeezed=st.booleans())
def test_whatever_a_layer_holds_it_is_let_through_or_refused(tool: Any, place: int, byte: int, squeezed: bool) -> None:
    content = bytearray(ZIPPED if squeezed else WHOLE)
    content[place % len(content)] = byte
    judged(tool, bytes(content))
