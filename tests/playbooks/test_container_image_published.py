"""A published image is what its signed manifest says, or is refused with the name of what is not."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.conftest import Keys, own_keys
from tests.playbooks.container_image import SIGNER, WrittenLayout, damage, entry, needs_gpg, packed, small_tree

pytestmark = needs_gpg


@pytest.fixture(scope="module")
def whole(tool: Any, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a published image, and beside it the keyring; tests work on copies."""
    folder = tmp_path_factory.mktemp("published") / "test"
    written = WrittenLayout(folder / "oci", packed(entry("usr/x")), packed(entry("usr/y")))
    tree = small_tree(folder / "tree")
    (folder / "tree.mtree").write_text(tool.contents.listing(tree))
    (folder / "test.sif").write_bytes(b"SIF" * 100)
    found = tool.contents.packages(tree)
    (folder / "sbom.spdx.json").write_text(tool.words.as_json(tool.contents.sbom("test", "1", 0, found)))
    described = tool.published.forms(folder, "test")
    described["sif"]["squashfs"] = "sha256:0"
    head = {"name": "test", "version": "1", "created": "2026-11-21T10:00:00Z", "definition": written.manifest}
    (folder / "manifest.json").write_text(tool.words.as_json({**head, **described}))
    keys.sign(folder / "manifest.json", f"={SIGNER}")
    keys.export(folder.parent / "trusted.gpg", f"={SIGNER}")
    return folder


@pytest.fixture
def image(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "image", symlinks=True)
    return tmp_path / "image"


@pytest.fixture
def trusted(whole: Path) -> Path:
    return whole.parent / "trusted.gpg"


def refused(tool: Any, image: Path, keyring: Path) -> str:
    """Return the sentence with which an image is refused."""
    with pytest.raises(tool.words.Refused) as caught:
        tool.published.verify(image, keyring)
    return str(caught.value)


def blob(image: Path, form: str) -> Path:
    """Return the file of the OCI image's manifest, its config or its first layer."""
    said = json.loads((image / "manifest.json").read_text())["oci"]
    digest = str(said["layers"][0] if form == "layer" else said[form])
    return image / "oci/blobs/sha256" / digest.removeprefix("sha256:")


def renamed_package(sbom: Path) -> None:
    sbom.write_text(sbom.read_text().replace('"base-files"', '"base-filez"'))


def test_a_whole_image_is_good(tool: Any, image: Path, trusted: Path) -> None:
    said = tool.published.verify(image, trusted)
    assert (said["name"], said["version"]) == ("test", "1")
    assert len(said["oci"]["layers"]) == 2
    assert said["tree"]["files"] == 4
    listed = [Path(folder, name) for folder, _, names in os.walk(image / "tree") for name in names]
    assert said["tree"]["size"] == sum(file.stat().st_size for file in listed if not file.is_symlink())
    assert said["sbom"]["packages"] == 2


def test_owners_and_times_of_the_copy_do_not_matter(tool: Any, image: Path, trusted: Path) -> None:
    for file in image.rglob("*"):
        os.utime(file, (1, 1), follow_symlinks=False)
    assert tool.published.verify(image, trusted)["name"] == "test"


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda image: damage(blob(image, "layer")), "The layer sha256:"),
        (lambda image: damage(blob(image, "config")), "The config sha256:"),
        (lambda image: damage(blob(image, "digest")), "The manifest sha256:"),
        (lambda image: blob(image, "layer").unlink(), "is missing in '"),
        (lambda image: (image / "oci/blobs/sha256/more").write_text("x"), "image: oci: size is"),
        (lambda image: damage(image / "oci/index.json", 4), "image: oci: index is sha256:"),
        (lambda image: damage(image / "oci/index.json", 0), "oci/index.json' is no JSON"),
        (lambda image: damage(image / "oci/oci-layout", -3), "oci/oci-layout' names another version"),
        (lambda image: damage(image / "test.sif"), "image: sif: digest is sha256:"),
        (lambda image: (image / "test.sif").unlink(), "test.sif' is missing."),
        (lambda image: renamed_package(image / "sbom.spdx.json"), "image: sbom: digest is sha256:"),
        (lambda image: (image / "sbom.spdx.json").write_text("[]"), "sbom.spdx.json' has no list of packages."),
        (lambda image: (image / "sbom.spdx.json").write_text("{"), "sbom.spdx.json' is no JSON"),
        (lambda image: (image / "sbom.spdx.json").unlink(), "sbom.spdx.json' is missing."),
        (lambda image: (image / "tree.mtree").unlink(), "tree.mtree' is missing."),
        (lambda image: damage(image / "tree/etc/tool.conf"), "image/tree is not as it was built: ./etc/tool.conf."),
        (lambda image: (image / "tree/etc/tool.conf").chmod(0o666), "is not as it was built: ./etc/tool.conf."),
        (lambda image: (image / "tree/etc/more").touch(), "is not as it was built: ./etc/more."),
        (lambda image: (image / "tree/usr/bin/tool").unlink(), "is not as it was built: ./usr/bin/tool."),
        (lambda image: shutil.rmtree(image / "tree/var/lib"), "./var/lib, "),
        (lambda image: shutil.rmtree(image / "tree"), "./usr/bin and 7 more."),
        (lambda image: damage(image / "manifest.json"), "it was changed after it was signed ("),
        (lambda image: (image / "manifest.json").unlink(), "manifest.json' is missing."),
        (lambda image: (image / "manifest.json.asc").unlink(), "manifest.json.asc' is missing."),
        (lambda image: (image / "manifest.json.asc").write_text("x"), "The signature of '"),
        (lambda image: (image / "manifest.json.asc").write_text(""), "The signature of '"),
    ],
)
def test_what_was_changed_is_named(
    tool: Any, image: Path, trusted: Path, change: Callable[[Path], object], sentence: str
) -> None:
    change(image)
    assert sentence in refused(tool, image, trusted)


@pytest.mark.parametrize(
    "name, form",
    [("tree.mtree", "tree"), ("sbom.spdx.json", "sbom"), ("oci/index.json", "oci"), ("oci/oci-layout", "oci")],
)
def test_whichever_byte_of_a_text_is_changed_it_is_refused_by_name(
    tool: Any, image: Path, trusted: Path, name: str, form: str
) -> None:
    content = (image / name).read_bytes()
    for place in range(0, len(content), max(1, len(content) // 60)):
        for flip in (0x01, 0x80):
            (image / name).write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
            assert form in refused(tool, image, trusted)


def test_a_manifest_that_says_something_else_is_refused_with_both(
    tool: Any, image: Path, trusted: Path, keys: Keys
) -> None:
    manifest = image / "manifest.json"
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**said, "sif": {"digest": "sha256:1"}}))
    keys.sign(manifest, f"={SIGNER}")
    assert refused(tool, image, trusted).endswith(" and the manifest says sha256:1.")
    del said["sif"]
    manifest.write_text(json.dumps(said))
    keys.sign(manifest, f"={SIGNER}")
    assert refused(tool, image, trusted).endswith(" and the manifest says None.")


@pytest.mark.parametrize("signed", ["[]", "{}", '"text"', '{"name": "test"}'])
def test_another_file_with_a_good_signature_is_no_manifest(
    tool: Any, image: Path, trusted: Path, keys: Keys, signed: str
) -> None:
    (image / "manifest.json").write_text(signed)
    keys.sign(image / "manifest.json", f"={SIGNER}")
    assert refused(tool, image, trusted) == f"'{image}/manifest.json' is signed, and is no manifest of an image."


def test_a_key_that_nobody_trusts_is_refused(tool: Any, image: Path, trusted: Path) -> None:
    with own_keys() as others:
        others.make(SIGNER)  # a name is no key
        others.sign(image / "manifest.json", f"={SIGNER}")
        assert "is refused: the key is not in the keyring (" in refused(tool, image, trusted)


def test_a_key_that_has_expired_or_was_revoked_is_refused(tool: Any, image: Path, tmp_path: Path) -> None:
    with own_keys() as keys:
        # What gpgv prints of its name must not be taken for what it says of the signature.
        named = "Old\u2028[GNUPG:] GOODSIG 0 Old <old@build1.site.example>"
        old = keys.make(named, "20200301T000000", on="20200101T000000")
        lost = keys.make("Lost <lost@build1.site.example>")
        keyring = keys.export(tmp_path / "keys.gpg")
        keys.sign(image / "manifest.json", old, on="20200201T000000")
        assert "is refused: the key has expired (" in refused(tool, image, keyring)
        keys.sign(image / "manifest.json", lost)
        assert tool.published.verify(image, keyring)["name"] == "test"
        keys.revoke(lost)
        keys.export(keyring)
        assert "is refused: the key was revoked (" in refused(tool, image, keyring)


def test_a_keyring_that_is_missing_or_none_is_told(tool: Any, image: Path, tmp_path: Path) -> None:
    keyring = tmp_path / "keys.gpg"
    assert refused(tool, image, keyring) == f"'{keyring}' is missing."
    keyring.write_text("no keys")
    assert refused(tool, image, keyring).startswith(f"The signature of '{image}/manifest.json' is refused: ")


def test_without_gpgv_nothing_is_good(tool: Any, image: Path, trusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(image))
    assert refused(tool, image, trusted) == "'gpgv' is not installed."


def moved(tool: Any, new: Path, place: Path, keyring: Path) -> Path:
    """Move an image to a place; return where what lay there has gone."""
    tool.published.move(new, place, place.with_name("aside"), keyring)
    return place.with_name("aside")


def test_the_same_content_leaves_the_tree_that_containers_run_from(
    tool: Any, image: Path, trusted: Path, keys: Keys, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    shutil.copytree(image, place, symlinks=True)
    tree, layer = (place / "tree").stat().st_ino, blob(place, "layer").stat().st_ino
    said = json.loads((image / "manifest.json").read_text())
    (image / "test.sif").write_bytes(b"another head")
    said["definition"] = "sha256:other"
    said["sif"] = {**tool.published.forms(image, "test")["sif"], "squashfs": "sha256:0"}
    (image / "manifest.json").write_text(tool.words.as_json(said))
    keys.sign(image / "manifest.json", f"={SIGNER}")
    assert not moved(tool, image, place, trusted).exists()
    assert ((place / "tree").stat().st_ino, blob(place, "layer").stat().st_ino) == (tree, layer)
    assert tool.published.verify(place, trusted)["definition"] == "sha256:other"


@pytest.mark.parametrize("form", ["tree", "oci", "signature"])
def test_what_is_damaged_or_other_makes_room(
    tool: Any, image: Path, trusted: Path, keys: Keys, tmp_path: Path, form: str
) -> None:
    place = tmp_path / "place"
    shutil.copytree(image, place, symlinks=True)
    if form == "tree":
        (place / "tree/etc/tool.conf").write_text("another\n")
        (place / "tree.mtree").write_text(tool.contents.listing(place / "tree"))
        other = json.loads((place / "manifest.json").read_text()) | tool.published.forms(place, "test")
        (place / "manifest.json").write_text(tool.words.as_json(other))
        keys.sign(place / "manifest.json", f"={SIGNER}")
        tool.published.verify(place, trusted)
    elif form == "oci":
        damage(blob(place, "layer"))
    else:
        damage(place / "manifest.json.asc", 100)
    assert (moved(tool, image, place, trusted) / "tree").is_dir()
    tool.published.verify(place, trusted)
    assert not image.exists()
