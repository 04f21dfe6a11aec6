"""What arrives is taken over by `image-file` if it is what was signed; anything else is refused by name."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.conftest import own_keys
from tests.playbooks.container_image import SIGNER, damage, needs_gpg
from tests.playbooks.image_file import Area, linked, mode, nothing, tree

pytestmark = needs_gpg


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
