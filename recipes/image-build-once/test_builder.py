"""What must be true of a host that builds images: three forms of one image, each as it was signed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://builders"]

Facts: TypeAlias = dict[str, CommandResult]

AREA = "/srv/container-images"

# The sums are taken with other programs than the builder's own, so that a mistake of its is not its judge.
PUBLISHED = {
    "version": "readlink current",
    "manifest": "cat current/manifest.json",
    "signature": "gpgv --keyring ../trusted.gpg current/manifest.json.asc current/manifest.json",
    "sif": 'sha256sum <"current/$NAME.sif"',
    "squashfs": 'apptainer sif dump 1 "current/$NAME.sif" | sha256sum',
    "packed": """
        created=$(date -d "$(sed -n 's/.*"created": "\\(.*\\)",/\\1/p' current/manifest.json)" +%s)
        mksquashfs current/tree "$BATCH_TMP/squashfs" -noappend -quiet -no-progress -all-root -comp zstd \\
        -Xcompression-level 3 -mkfs-time "$created" >&2 && sha256sum <"$BATCH_TMP/squashfs"; rm "$BATCH_TMP/squashfs"
        """,
    "index": "sha256sum <current/oci/index.json",
    "blobs": "cd current/oci/blobs/sha256 && sha256sum *",
    "listing": "sha256sum <current/tree.mtree",
    "contents": r"""
        cd current/tree && sed -n 's/^\([^ ]*\) type=file .*sha256digest=/\1 /p' ../tree.mtree |
        while read -r name sum; do echo "$sum  $name"; done | sha256sum --check --quiet
        """,
    "entries": r"""
        cd current/tree && export LC_ALL=C
        sed '/^#/d; s/ size=.*//' ../tree.mtree | sort >"$BATCH_TMP/listed"
        find . -mindepth 1 \( -type f -printf './%P type=file mode=%04m\n' \
        -o -type d -printf './%P type=dir mode=%04m\n' -o -type l -printf './%P type=link link=%l\n' \
        -o -printf './%P\n' \) | sort | diff "$BATCH_TMP/listed" -
        """,
    "setuid": "find current/tree -perm /6000",
    "definition": "cd /etc/container-images/$NAME && find . -type f -printf '%P\\n' | xargs sha256sum",
    "sbom": "cat current/sbom.spdx.json",
    "sbom in SIF": 'apptainer sif dump 2 "current/$NAME.sif"',
    "repository": r"""
        cd current/tree/var/lib/dpkg/status.d && for name in *; do
        echo "$name=$(sed -n 's/^Version: //p' "$name")"; done | xargs apt-cache show | grep -E '^(Package|SHA256): '
        """,
}  # fmt: skip

FORMS = {
    "oci": """
        export XDG_RUNTIME_DIR="$BATCH_TMP/run" && mkdir -m 700 "$XDG_RUNTIME_DIR"
        podman="podman --storage-driver=vfs --root=$BATCH_TMP/storage --runroot=$BATCH_TMP/run"
        $podman run --rm --quiet --network=host "oci:$PWD/current/oci"; code=$?
        $podman unshare rm -rf "$BATCH_TMP/storage" 2>/dev/null
        pkill -F "$BATCH_TMP/run/libpod/tmp/pause.pid"; exit $code
        """,
    "tree": 'apptainer --silent run --cleanenv "$PWD/current/tree"',
    "sif": 'apptainer --silent run --cleanenv "$PWD/current/$NAME.sif"',
    "bash": "sha256sum <current/tree/usr/bin/bash",
}

# As root only for the other host name; time, time zone, language, mask and folder are other ones too.
REBUILD = """
    unshare --uts sh -c 'hostname elsewhere; cd /; umask 077; exec runuser -u "$BUILDER" -- env -i HOME=/ PATH="$PATH" \
    XDG_RUNTIME_DIR=/run/user/0 TZ=Pacific/Auckland LANG=tr_TR.UTF-8 TMPDIR=/var/tmp \
    container-image build --only-digest "/etc/container-images/$NAME"'
    """

FLIP = r"printf '\377' | dd conv=notrunc status=none bs=1"
TAMPERED = {
    "copy": 'cp -a current/ "$BATCH_TMP/base"',
    "sif": f"""
        cd "$BATCH_TMP/base" && cp "$NAME.sif" ../sif
        {FLIP} seek=1000000 of="$NAME.sif"; container-image verify .; code=$?; cp ../sif "$NAME.sif"; exit $code
        """,
    "layer": f"""
        cd "$BATCH_TMP/base" && layer=oci/blobs/sha256/$(ls -S oci/blobs/sha256 | head -n 1) && cp "$layer" ../layer
        {FLIP} seek=1000000 of="$layer"; container-image verify .; code=$?; cp ../layer "$layer"; exit $code
        """,
    "tree": f"""
        cd "$BATCH_TMP/base" && cp tree/usr/bin/bash ../bash
        {FLIP} seek=1000 of=tree/usr/bin/bash; container-image verify .; code=$?; cp ../bash tree/usr/bin; exit $code
        """,
    "added": """
        cd "$BATCH_TMP/base" && echo >tree/usr/bin/ls2
        container-image verify .; code=$?; rm tree/usr/bin/ls2; exit $code
        """,
    "untouched": 'cd "$BATCH_TMP/base" && touch -d @1 tree/usr/bin && container-image verify .',
    "unknown key": """
        export GNUPGHOME="$BATCH_TMP/other" && mkdir -m 700 "$GNUPGHOME"
        gpg --batch --quiet --passphrase '' --quick-generate-key Somebody ed25519 sign 1y
        gpg --batch --export >"$BATCH_TMP/other.gpg"; gpgconf --kill all
        cd "$BATCH_TMP/base" && container-image verify --keyring "$BATCH_TMP/other.gpg" .
        """,
    "expired key": """
        export GNUPGHOME="$BATCH_TMP/old" && mkdir -m 700 "$GNUPGHOME"
        past="gpg --batch --quiet --faked-system-time 20200101T000000"
        $past --passphrase '' --quick-generate-key Former ed25519 sign 1d
        cd "$BATCH_TMP/base" && $past --yes --armor --detach-sign manifest.json; $past --export >"$BATCH_TMP/old.gpg"
        gpgconf --kill all; container-image verify --keyring "$BATCH_TMP/old.gpg" .
        """,
}  # fmt: skip

# A layout whose only layer writes outside of the tree.
CLIMBING = """
import hashlib, io, json, pathlib, tarfile
made = pathlib.Path("blobs/sha256"); made.mkdir(parents=True)
def blob(content):
    name = hashlib.sha256(content).hexdigest(); (made / name).write_bytes(content)
    return {"digest": "sha256:" + name, "size": len(content)}
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w") as archive:
    archive.addfile(tarfile.TarInfo("etc/../../evil"), io.BytesIO())
config = blob(json.dumps({"created": "2026-11-21T00:00:00Z"}).encode())
manifest = blob(json.dumps({"schemaVersion": 2, "config": config, "layers": [blob(packed.getvalue())]}).encode())
pathlib.Path("index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
pathlib.Path("oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
"""
BAD = {
    "definition": """
        cp -r "/etc/container-images/$NAME" "$BATCH_TMP/bad" && cd "$BATCH_TMP/bad" && chmod -R u+w .
        sed -i 's/^FROM /FRM /' Containerfile; container-image build .
        """,
    "settings": """
        cp -r "/etc/container-images/$NAME" "$BATCH_TMP/worse" && cd "$BATCH_TMP/worse" && chmod -R u+w .
        sed -i 's/^packages = /packages = no_such! /' image.ini; container-image build .
        """,
    "missing layer": """
        cp -r current/oci "$BATCH_TMP/lost" && cd "$BATCH_TMP/lost/blobs/sha256" && rm "$(ls -S | head -n 1)"
        container-image convert copy "$BATCH_TMP/lost"
        """,
    "climbing": f"""
        mkdir "$BATCH_TMP/climbing" && cd "$BATCH_TMP/climbing"
        python3 -c '{CLIMBING}' && container-image convert copy .
        """,
    "other digest": 'container-image convert copy current/oci --digest "sha256:$(printf %064d 0)"',
}  # fmt: skip
FULL_DISK = """
    unshare --mount sh -c 'mount -t tmpfs -o size=20m tmpfs /mnt && chown "$BUILDER" /mnt &&
    runuser -u "$BUILDER" -- env CONTAINER_IMAGES=/mnt container-image convert copy "$PWD/current/oci"
    code=$?; ls -A /mnt/copy; exit $code'
    """


def names(site: Site) -> list[str]:
    """Return the images that the site defines."""
    definitions = site.variables["image_builder_definitions"]
    assert isinstance(definitions, dict)
    return sorted(definitions)


def of_each(host: Host, site: Site, commands: Mapping[str, str], *, root: bool = False) -> dict[str, Facts]:
    """Run commands for each image in the folder that it is published in, as the account that builds."""
    user = str(site.variables["image_builder_user"])
    found = {}
    for name in names(site):
        inside = {key: f'cd "{AREA}/$NAME" || exit 1\n{command}' for key, command in commands.items()}
        environment = {"NAME": name, "BUILDER": user}
        found[name] = batch(host, inside, user=None if root else user, environment=environment, timeout=300)
    return found


@pytest.fixture(scope="module")
def published(host: Host, site: Site) -> dict[str, Facts]:
    return of_each(host, site, PUBLISHED)


@pytest.fixture(scope="module")
def forms(host: Host, site: Site) -> dict[str, Facts]:
    return of_each(host, site, FORMS)


@pytest.fixture(scope="module")
def tampered(host: Host, site: Site) -> dict[str, Facts]:
    return of_each(host, site, TAMPERED)


@pytest.fixture(scope="module")
def bad(host: Host, site: Site) -> dict[str, Facts]:
    return of_each(host, site, BAD)


def of_all(found: dict[str, Facts]) -> dict[str, Facts]:
    """Return what was found of each image; where the site names none, nothing was looked at, and nothing is well."""
    assert found, "The site names no image, so nothing was looked at."
    return found


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-600:] or 'nothing'}"


def manifest(facts: Facts) -> dict[str, Any]:
    """Return what was signed; before that, nothing that a manifest says is worth comparing with."""
    assert facts["signature"].rc == 0, f"The manifest is not signed by a trusted key: {said(facts['signature'])}"
    found: dict[str, Any] = json.loads(facts["manifest"].stdout)
    return found


def unsigned(facts: Facts) -> dict[str, Any]:
    """Return what a manifest says, whoever signed it: a fault in it must not hide one in what it tells of."""
    assert "not found" not in facts["signature"].stderr, said(facts["signature"])
    assert facts["manifest"].rc == 0, said(facts["manifest"])
    found: dict[str, Any] = json.loads(facts["manifest"].stdout)
    return found


def digest(result: CommandResult) -> str:
    """Return the digest that sha256sum has printed."""
    return f"sha256:{result.stdout.split(' ')[0]}"


def refused(result: CommandResult, *words: str) -> None:
    """Assert that the builder has refused something, with a sentence of its own that has these words."""
    assert result.rc == 1, said(result)
    assert result.stderr.strip().splitlines()[-1:], "It was refused without a word."
    assert "container-image: " in result.stderr, said(result)
    assert "Traceback" not in result.stderr, said(result)
    missing = [word for word in words if word not in result.stderr]
    assert not missing, f"Nothing is said of {missing}; {said(result)}"


def test_manifest_is_signed_by_a_trusted_key(published: dict[str, Facts]) -> None:
    """The manifest of each image has a good signature of a key that the site trusts."""
    for name, facts in of_all(published).items():
        assert manifest(facts)["name"] == name
        assert manifest(facts)["version"] == facts["version"].stdout.strip(), said(facts["version"])


def test_sif_file_is_the_signed_one(published: dict[str, Facts]) -> None:
    """The SIF file has the digest that the manifest says."""
    for facts in of_all(published).values():
        assert digest(facts["sif"]) == unsigned(facts)["sif"]["digest"], said(facts["sif"])


def test_oci_layout_is_the_signed_one(published: dict[str, Facts]) -> None:
    """Each blob of the OCI layout is what it is called, and they are those of the manifest, and no others."""
    for facts in of_all(published).values():
        expected = unsigned(facts)["oci"]
        sums = dict(line.split("  ")[::-1] for line in facts["blobs"].stdout.splitlines())
        assert [name for name, found in sums.items() if name != found] == [], (
            "These blobs are not what they are called."
        )
        assert {f"sha256:{name}" for name in sums} == {expected["digest"], expected["config"], *expected["layers"]}
        assert digest(facts["index"]) == expected["index"]


def test_tree_is_the_signed_one(published: dict[str, Facts]) -> None:
    """The tree holds what its listing says, each file with its content and its mode, and nothing else."""
    for facts in of_all(published).values():
        assert digest(facts["listing"]) == unsigned(facts)["tree"]["digest"], said(facts["listing"])
        assert facts["contents"].rc == 0, said(facts["contents"])
        assert facts["entries"].rc == 0, said(facts["entries"])


def test_published_image_is_of_the_definition_that_is_there(published: dict[str, Facts]) -> None:
    """The image was built from the definition that lies on the host now."""
    for facts in of_all(published).values():
        lines = sorted(line.split("  ")[::-1] for line in facts["definition"].stdout.splitlines())
        text = "".join(f"{file}\0{False}\0{found}\0" for file, found in lines)
        assert unsigned(facts)["definition"] == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", said(
            facts["definition"]
        )


def test_squashfs_in_the_sif_file_is_the_tree(published: dict[str, Facts]) -> None:
    """What the SIF file holds is the tree: packed once more, that gives the same squashfs, byte by byte."""
    for facts in of_all(published).values():
        expected = manifest(facts)["sif"]["squashfs"]
        assert digest(facts["squashfs"]) == expected, said(facts["squashfs"])
        assert digest(facts["packed"]) == expected, said(facts["packed"])


def test_tree_has_no_setuid_file(published: dict[str, Facts]) -> None:
    """Nothing in the tree is setuid or setgid: it lies on hosts where it could be run outside of containers."""
    for facts in of_all(published).values():
        assert manifest(facts)
        assert facts["setuid"].stdout == "", said(facts["setuid"])


def test_packages_are_listed_as_the_repository_has_them(published: dict[str, Facts]) -> None:
    """The SBOM has each package with the SHA-256 that the Debian repository gives it; the SIF file brings it along."""
    for facts in of_all(published).values():
        assert manifest(facts)
        entries = json.loads(facts["sbom"].stdout)["packages"]
        listed = {entry["name"]: entry["checksums"][0]["checksumValue"] for entry in entries}
        lines = facts["repository"].stdout.split()
        offered = dict(zip(lines[1::4], lines[3::4], strict=True))
        assert listed == offered
        assert "bash" in listed
        assert facts["sbom in SIF"].stdout == facts["sbom"].stdout, said(facts["sbom in SIF"])


def test_three_forms_run_the_same_program_with_the_same_output(forms: dict[str, Facts]) -> None:
    """Podman runs the OCI image, Apptainer the tree and the SIF file, and the program in them says the same."""
    for facts in of_all(forms).values():
        outputs = {form: facts[form].stdout for form in ("oci", "tree", "sif")}
        assert facts["oci"].rc == 0, said(facts["oci"])
        assert facts["bash"].stdout.split()[0] in outputs["oci"], said(facts["oci"])
        assert outputs["tree"] == outputs["oci"], said(facts["tree"])
        assert outputs["sif"] == outputs["oci"], said(facts["sif"])


def test_building_again_gives_the_same_image(host: Host, site: Site, published: dict[str, Facts]) -> None:
    """Built again at another time, on a host of another name, with other settings, it is the same; no rests stay."""
    commands = {"again": REBUILD, "left": "ls -A ../.work"}
    for name, facts in of_all(of_each(host, site, commands, root=True)).items():
        assert facts["again"].stdout.strip() == manifest(published[name])["oci"]["digest"], said(facts["again"])
        assert facts["left"].stdout.split() == ["lock"], said(facts["left"])


def test_a_changed_byte_is_found_in_each_form(tampered: dict[str, Facts]) -> None:
    """A copy of the image is whole; one byte changed in its SIF, a layer or its tree is found, and a file too many."""
    for facts in of_all(tampered).values():
        assert facts["untouched"].rc == 0, said(facts["untouched"])
        refused(facts["sif"], "sif: digest")
        refused(facts["layer"], "The layer sha256:")
        refused(facts["tree"], "./usr/bin/bash")
        refused(facts["added"], "./usr/bin/ls2")


def test_unknown_and_expired_keys_are_refused(tampered: dict[str, Facts]) -> None:
    """A good signature counts only if its key is known, and has not expired."""
    for facts in of_all(tampered).values():
        refused(facts["unknown key"], "the key is not in the keyring")
        refused(facts["expired key"], "the key has expired")


def test_bad_definitions_are_refused_with_file_and_line(bad: dict[str, Facts]) -> None:
    """A Containerfile and an image.ini that cannot be right are refused, with the line."""
    for facts in of_all(bad).values():
        refused(facts["definition"], "Containerfile:1: 'FRM'")
        refused(facts["settings"], "image.ini:3: 'no_such!'")


def test_bad_layouts_are_refused(bad: dict[str, Facts]) -> None:
    """An OCI layout without one of its layers, of another digest, or that would write outside is refused, by name."""
    for facts in of_all(bad).values():
        refused(facts["missing layer"], "The layer sha256:", "is missing")
        refused(facts["climbing"], "'etc/../../evil', which leads out of the image")
        refused(facts["other digest"], "not sha256:0000")


def test_full_disk_publishes_nothing(host: Host, site: Site) -> None:
    """Where the disk is full in mid-unpack, the message says so, and no half image is published."""
    for facts in of_all(of_each(host, site, {"full": FULL_DISK}, root=True)).values():
        refused(facts["full"], "No space left on device")
        assert facts["full"].stdout == "", said(facts["full"])
