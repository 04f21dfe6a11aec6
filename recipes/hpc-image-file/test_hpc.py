"""What must be true of a host that runs image files: each as it was signed, mounted, and without a network."""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://hpc"]

Facts: TypeAlias = dict[str, CommandResult]

AREA = "/srv/image-files"

# Signature and sum are taken with other programs than image-file, so that a mistake of its is not its judge.
AS_USER = {
    "version": "readlink current",
    "manifest": "cat current/manifest.json",
    "signature": "gpgv --keyring ../trusted.gpg current/manifest.json.asc current/manifest.json",
    "sum": 'sha256sum <"current/$NAME.sif"',
    "verified": 'image-file verify "$NAME"',
    "run": 'image-file run "$NAME"',
    "plain run": 'apptainer --silent run --cleanenv "current/$NAME.sif"',
    # Its processes are still the host's, so the one that serves its files is among them.
    "served": """apptainer exec --cleanenv "current/$NAME.sif" sh -c 'cat /proc/[0-9]*/comm' """,
}

# Both halves in one unit, so that what the first shows is true of the second.
NO_NETWORK = """
    systemd-run --pipe --wait --quiet --uid="$USER_THERE" -p RestrictAddressFamilies="AF_UNIX AF_NETLINK" \
    sh -c 'python3 -c "import socket; socket.socket()" 2>&1 | tail -n 1; image-file run "$1"' sh "$NAME"
    """
AS_ROOT = {
    "others": f"find -H {AREA} ! -type l \\( ! -user root -o -perm /022 \\)",
    "above": f"""
        folder=$(realpath {AREA})
        while [ "$folder" != / ]; do
            folder=$(dirname "$folder"); find "$folder" -maxdepth 0 \\( ! -user root -o -perm /022 \\)
        done
        """,
    "listed": f"find -H {AREA} -mindepth 1 -maxdepth 1 -printf '%f\\n'",
    "offline": NO_NETWORK,
    "cvmfs": "findmnt --noheadings --types fuse,fuse.cvmfs2 --list | grep cvmfs",
    "full disk": """
        unshare --mount sh -c 'mount -t tmpfs -o size=5m tmpfs /mnt && mkdir /mnt/held
        IMAGE_FILES=/mnt image-file accept --keyring "$PWD/../trusted.gpg" "$PWD/current"
        code=$?; ls -A /mnt/.incoming; ls /mnt; exit $code'
        """,
}

FLIP = r"printf '\377' | dd conv=notrunc status=none bs=1 seek=1000000"
# An area of the user's own, with the same commands.
OWN_AREA = """
    export IMAGE_FILES="$BATCH_TMP/area"
    [ -d "$IMAGE_FILES" ] || { mkdir "$IMAGE_FILES" && cp ../trusted.gpg "$IMAGE_FILES"; }
    """
TAMPERED = {
    "accepted": f"""{OWN_AREA}
        image-file accept current && image-file verify "$NAME"
        """,
    "other digest": f"""{OWN_AREA}
        image-file accept --sha256 "$(printf %064d 0)" current
        """,
    "byte": f"""{OWN_AREA}
        cp -r current/ "$BATCH_TMP/arrived" && chmod -R u+w "$BATCH_TMP/arrived"
        {FLIP} of="$BATCH_TMP/arrived/$NAME.sif"; image-file accept "$BATCH_TMP/arrived"
        """,
    "manifest": f"""{OWN_AREA}
        sed -i 's/"name": "/"name":  "/' "$BATCH_TMP/arrived/manifest.json"; image-file accept "$BATCH_TMP/arrived"
        """,
    "link": f"""{OWN_AREA}
        mkdir "$BATCH_TMP/link" && cp current/manifest.json* "$BATCH_TMP/link"
        ln -s "$PWD/current/$NAME.sif" "$BATCH_TMP/link"; image-file accept "$BATCH_TMP/link"
        """,
    "other key": f"""{OWN_AREA}
        image-file accept --keyring /usr/share/keyrings/debian-archive-trixie-stable.gpg current
        """,
    "kept": f"""{OWN_AREA}
        image-file verify "$NAME"
        """,
    "changed there": f"""{OWN_AREA}
        file="$IMAGE_FILES/$NAME/current/$NAME.sif"; chmod u+w "$file"; {FLIP} of="$file"; image-file run "$NAME"
        """,
}  # fmt: skip


def of_each(host: Host, site: Site, commands: Mapping[str, str], *, root: bool = False) -> dict[str, Facts]:
    """Run commands for each image, in the folder of its versions, as an ordinary user."""
    images = site.variables["image_file_images"]
    assert isinstance(images, dict)
    assert images, "image_file_images names no image, so there is nothing to look at."
    found = {}
    for name in sorted(images):
        inside = {key: f'cd "{AREA}/$NAME" || exit 1\n{command}' for key, command in commands.items()}
        environment = {"NAME": name, "USER_THERE": site.users.user}
        found[name] = batch(host, inside, user=None if root else site.users.user, environment=environment, timeout=240)
    return found


@pytest.fixture(scope="module")
def seen(host: Host, site: Site) -> dict[str, Facts]:
    return of_each(host, site, AS_USER)


@pytest.fixture(scope="module")
def below(host: Host, site: Site) -> dict[str, Facts]:
    return of_each(host, site, AS_ROOT, root=True)


@pytest.fixture(scope="module")
def tampered(host: Host, site: Site) -> dict[str, Facts]:
    return of_each(host, site, TAMPERED)


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-600:] or 'nothing'}"


def refused(result: CommandResult, *words: str) -> None:
    """Assert that image-file has refused something, with a sentence of its own that has these words."""
    assert result.rc == 1, said(result)
    assert "image-file: " in result.stderr, said(result)
    assert "Traceback" not in result.stderr, said(result)
    missing = [word for word in words if word not in result.stderr]
    assert not missing, f"Nothing is said of {missing}; {said(result)}"


def test_image_is_the_one_that_was_signed(seen: dict[str, Facts]) -> None:
    """The manifest has a good signature of a trusted key, and the SIF file has the digest that it tells."""
    for name, facts in seen.items():
        assert facts["signature"].rc == 0, said(facts["signature"])
        manifest: dict[str, Any] = json.loads(facts["manifest"].stdout)
        assert (manifest["name"], manifest["version"]) == (name, facts["version"].stdout.strip())
        assert manifest["sif"]["digest"] == f"sha256:{facts['sum'].stdout.split(' ')[0]}", said(facts["sum"])
        assert facts["verified"].rc == 0, said(facts["verified"])


def test_nobody_but_root_can_change_images_or_keys(below: dict[str, Facts]) -> None:
    """Images, keys and all folders on the way to them are root's, and nobody else can write there."""
    for name, facts in below.items():
        assert {name, "trusted.gpg", ".incoming"} <= set(facts["listed"].stdout.split("\n")), said(facts["listed"])
        assert facts["others"].stdout == "", said(facts["others"])
        assert facts["above"].stdout == "", said(facts["above"])


def test_image_runs_from_its_file(seen: dict[str, Facts]) -> None:
    """An ordinary user runs the image, after it was verified, and its program says what it says otherwise."""
    for facts in seen.values():
        assert facts["run"].rc == 0, said(facts["run"])
        assert facts["run"].stdout == facts["plain run"].stdout != "", said(facts["plain run"])


def test_image_is_mounted_and_not_unpacked(seen: dict[str, Facts]) -> None:
    """What runs reads from the SIF file by squashfuse; Apptainer does not unpack it first."""
    for facts in seen.values():
        assert facts["served"].rc == 0, said(facts["served"])
        assert "squashfuse_ll" in facts["served"].stdout.split("\n"), said(facts["served"])
        assert "temporary sandbox" not in facts["served"].stderr, said(facts["served"])


def test_image_runs_without_a_network_and_without_cvmfs(below: dict[str, Facts]) -> None:
    """The image runs where no socket to a network can be opened, and where CVMFS is not mounted."""
    for facts in below.values():
        first, _, rest = facts["offline"].stdout.partition("\n")
        assert "Address family not supported" in first, said(facts["offline"])
        assert facts["offline"].rc == 0, said(facts["offline"])
        assert rest, said(facts["offline"])
        assert facts["cvmfs"].stdout == "", said(facts["cvmfs"])


def test_what_was_changed_on_the_way_is_refused(tampered: dict[str, Facts]) -> None:
    """A good image is accepted; one changed byte in the SIF file or the manifest, or a link in its place, is not."""
    for facts in tampered.values():
        assert facts["accepted"].rc == 0, said(facts["accepted"])
        refused(facts["byte"], "the digest of the SIF file is", "the manifest says")
        refused(facts["manifest"], "it was changed after it was signed")
        refused(facts["link"], "it is a symbolic link")
        assert facts["kept"].rc == 0, said(facts["kept"])


def test_a_digest_that_was_not_expected_is_refused(tampered: dict[str, Facts]) -> None:
    """An image with a good signature is refused if its digest is not the one that was told in advance."""
    for facts in tampered.values():
        refused(facts["other digest"], "what was expected says sha256:0000")


def test_a_key_that_is_not_trusted_is_refused(tampered: dict[str, Facts]) -> None:
    """A good signature counts only if its key is in the keyring."""
    for facts in tampered.values():
        refused(facts["other key"], "the key is not in the keyring")


def test_an_image_that_was_changed_later_does_not_run(tampered: dict[str, Facts]) -> None:
    """One byte that changes after an image was accepted is found before its program starts."""
    for facts in tampered.values():
        refused(facts["changed there"], "the digest of the SIF file is")
        assert facts["changed there"].stdout == "", said(facts["changed there"])


def test_full_disk_leaves_nothing_half(below: dict[str, Facts]) -> None:
    """Where the disk is full in mid-copy the message says so, and nothing half is left."""
    for facts in below.values():
        refused(facts["full disk"], "No space left on device")
        assert facts["full disk"].stdout.split() == ["lock", "held"], said(facts["full disk"])
