"""What must be true of a host that publishes unpacked images: served read-only, whole, stored once, never half."""

import json
import re
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://image_area_servers"]

Facts: TypeAlias = dict[str, CommandResult]

AREA = "/srv/unpacked"
SECOND = "2000-01-01-second"
FUNCTIONS = Path(__file__).with_name("second_version.sh").read_text()

SERVED = {
    "exports": "exportfs -s",
    "versions": "cat /proc/fs/nfsd/versions",
    "listening": "ss -H --listening --tcp --udp --numeric --processes",
    "enabled": "systemctl is-active nfs-server && systemctl is-enabled nfs-server",
    "private": f"exportfs -s | grep --quiet '^{AREA} ' && stat --format='%a %U' {AREA} {AREA}/.area",
}  # fmt: skip

# The sums are taken with other programs than the publisher's own, so that a mistake of its is not its judge.
PUBLISHED = {
    "signature": "gpgv --keyring /srv/container-images/trusted.gpg manifest.json.asc manifest.json",
    "manifest": "cat manifest.json",
    "version": f'readlink "{AREA}/$NAME/current"',
    "listing": "sha256sum <tree.mtree",
    "sbom": "sha256sum <sbom.spdx.json",
    "contents": r"""
        cd tree && sed -n 's/^\([^ ]*\) type=file .*sha256digest=/\1 /p' ../tree.mtree |
        while read -r name sum; do echo "$sum  $name"; done | sha256sum --check --quiet
        """,
    "entries": r"""
        cd tree && export LC_ALL=C
        sed '/^#/d; s/ size=.*//' ../tree.mtree |
        perl -pe 's/(?<= mode=)[0-7]+/sprintf("%04o", oct($&) & 07755)/e' | sort >"$BATCH_TMP/listed"
        find . -mindepth 1 \( -type f -printf './%P type=file mode=%04m\n' \
        -o -type d -printf './%P type=dir mode=%04m\n' -o -type l -printf './%P type=link link=%l\n' \
        -o -printf './%P\n' \) | sort | diff "$BATCH_TMP/listed" -
        """,
    "contents listed": r"sed -n 's/.*type=file mode=\([0-7]*\).*digest=/\1 /p' tree.mtree | sort -u | wc -l",
    "contents stored": r"find tree -type f -printf '%i\n' | sort -u | wc -l",
    "single": "find tree -type f -links 1 | head -n 3",
    "compiled": "find tree -name '*.pyc' | wc -l",
}  # fmt: skip

PUBLISH = f'CONTAINER_IMAGES="$(cat "$BATCH_TMP/images")" image-area publish "$NAME" {SECOND}'
# A condition says when the publisher is killed. What it said is told too, where it ended by itself.
KILLED = f"""
    cd {AREA}; {PUBLISH} >"$BATCH_TMP/said" 2>&1 & pid=$!
    until {{}}; do kill -0 $pid 2>/dev/null || break; done
    kill -KILL $pid; wait $pid; echo "$? $(find .area/work -mindepth 1 | wc -l) $(readlink "$NAME/current")"
    cat "$BATCH_TMP/said"; image-area verify --quick "$NAME" >&2
    """
STORY = {
    "former": f'readlink "{AREA}/$NAME/current"',
    "prepare": 'second_version >"$BATCH_TMP/images"',
    "before": "image-area status --json",
    "tampered": f"""
        file="$(cat "$BATCH_TMP/images")/$NAME/{SECOND}/tree/$MARK"; echo >>"$file"
        {PUBLISH}; code=$?; truncate --size=-1 "$file"; readlink "{AREA}/$NAME/current"; exit $code
        """,
    "killed at first": KILLED.format('[ -e .area/work/version/manifest.json ]'),
    "killed half-way": KILLED.format('[ -e ".area/work/version/tree/$MARK" ]'),
    "publish": PUBLISH,
    "swept": f"ls -A {AREA}/.area/work",
    "after": "image-area status --json",
    "rollback": f'image-area rollback "$NAME" && readlink "{AREA}/$NAME/current"',
    "forward": f'image-area rollback "$NAME" && readlink "{AREA}/$NAME/current"',
    "back": f'image-area rollback "$NAME" && readlink "{AREA}/$NAME/current"',
    "whole": 'image-area verify --quick "$NAME"',
    "forget": 'rm -rf "$(cat "$BATCH_TMP/images")"; forget_second_version',
    "forgotten": "image-area status --json",
}  # fmt: skip


def names(site: Site) -> list[str]:
    """Return the images that the site publishes."""
    found = site.variables["image_area_server_images"]
    assert isinstance(found, list)
    return sorted(map(str, found))


def publisher(site: Site) -> str:
    return str(site.variables["image_area_server_publisher"])


@pytest.fixture(scope="module")
def served(host: Host) -> Facts:
    return batch(host, SERVED)


@pytest.fixture(scope="module")
def published(host: Host, site: Site) -> dict[str, Facts]:
    """Return what is served of each image, as its publisher sees it; what is not served is not looked at."""
    place = f'exit 1\nfi\ncd "{AREA}/$NAME/current" || exit 1\n'
    inside = {key: f"if ! ss -Hlt 'sport = :2049' | grep -q .; then\n{place}{line}" for key, line in PUBLISHED.items()}
    return {
        name: batch(host, inside, user=publisher(site), environment={"NAME": name}, timeout=300) for name in names(site)
    }


@pytest.fixture(scope="module")
def story(host: Host, site: Site) -> Facts:
    """Return what came of a second version of the first image: refused, killed, published, rolled back, forgotten."""
    commands = {key: FUNCTIONS + line for key, line in STORY.items()}
    environment = {"NAME": names(site)[0]}
    return batch(host, commands, user=publisher(site), environment=environment, timeout=120)


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-600:] or 'nothing'}"


def told(result: CommandResult) -> dict[str, Any]:
    """Return what `image-area status --json` said."""
    assert result.rc == 0, said(result)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_area_is_exported_read_only_and_readers_are_nobody(served: Facts) -> None:
    """The area is exported read-only, every reader is nobody, and the server comes back at a reboot."""
    lines = [line for line in served["exports"].stdout.splitlines() if line.startswith(f"{AREA} ")]
    assert lines, f"The area is not exported: {said(served['exports'])}"
    for line in lines:
        options = set(line.partition("(")[2].rstrip(")").split(","))
        assert {"ro", "all_squash"} <= options, line
        assert "insecure" not in options, line
        assert not line.split()[1].startswith("*"), line
    assert served["enabled"].stdout.split() == ["active", "enabled"], said(served["enabled"])


def test_only_nfs_4_1_and_later_is_served(served: Facts) -> None:
    """The server speaks NFS 4.1 and 4.2, and nothing older."""
    versions = set(served["versions"].stdout.split())
    assert {"-3", "-4.0", "+4.1", "+4.2"} <= versions, said(served["versions"])


def test_one_port_is_open_and_no_rpcbind(served: Facts) -> None:
    """NFS is on port 2049/tcp; nothing of what only older versions need listens: no rpcbind, no mountd, no lockd."""
    lines = served["listening"].stdout.splitlines()
    others = [line for line in lines if re.search(r'"(rpcbind|rpc\.mountd|rpc\.statd)"', line)]
    assert not others, others
    # The kernel's own have no process: the server, and of older versions the lock manager.
    kernels = {(line.split()[0], line.split()[4].rpartition(":")[2]) for line in lines if "users:" not in line}
    assert kernels == {("tcp", "2049")}, said(served["listening"])


def test_publishers_folder_is_closed_to_readers(served: Facts, site: Site) -> None:
    """The area is its publisher's, and nobody else can enter the folder that it keeps for itself."""
    owner = publisher(site)
    assert served["private"].stdout.splitlines() == [f"755 {owner}", f"700 {owner}"], said(served["private"])


def test_published_tree_is_the_signed_one(published: dict[str, Facts]) -> None:
    """What readers get of each image is what was signed: every file, folder and link, byte by byte."""
    assert published
    for name, facts in published.items():
        assert facts["signature"].rc == 0, said(facts["signature"])
        manifest = json.loads(facts["manifest"].stdout)
        assert (manifest["name"], manifest["version"]) == (name, facts["version"].stdout.strip())
        for form, listed in (("tree", "listing"), ("sbom", "sbom")):
            assert manifest[form]["digest"] == f"sha256:{facts[listed].stdout.split(' ')[0]}", said(facts[listed])
        assert facts["contents"].rc == 0, said(facts["contents"])
        assert facts["entries"].rc == 0, said(facts["entries"])


def test_each_content_is_stored_once(published: dict[str, Facts]) -> None:
    """Files of the same content are one file on the disk, shared with the store and so with all other versions."""
    assert published
    for facts in published.values():
        assert facts["single"].rc == 0, said(facts["single"])
        assert facts["single"].stdout == "", said(facts["single"])
        listed, stored = int(facts["contents listed"].stdout), int(facts["contents stored"].stdout)
        # Sources of compiled Python are kept by time too.
        assert listed <= stored <= listed + int(facts["compiled"].stdout), (listed, stored)


@pytest.mark.mutates
def test_second_version_stores_only_what_differs(story: Facts) -> None:
    """A second version that differs in one file doubles what readers see, and takes the room of that file."""
    before, after = told(story["before"]), told(story["after"])
    assert story["publish"].rc == 0, said(story["publish"])
    assert re.search(r"0\.0 MiB in 1 files had to be stored$", story["publish"].stdout.strip()), said(story["publish"])
    brought = [version["bytes"] for key, version in after["versions"].items() if key.endswith(f"/{SECOND}")]
    assert after["seen"] == before["seen"] + brought[0]
    assert 0 < after["stored"] - before["stored"] < 4096


@pytest.mark.mutates
def test_rollback_is_one_step(story: Facts) -> None:
    """One command goes back to the version before, and the same command forward again; each tree is whole."""
    former = story["former"].stdout.strip()
    assert former, said(story["former"])
    for step, version in (("rollback", former), ("forward", SECOND), ("back", former)):
        assert story[step].stdout.splitlines()[-1:] == [version], said(story[step])
    assert story["whole"].rc == 0, said(story["whole"])


@pytest.mark.mutates
def test_publisher_killed_half_way_leaves_the_old_tree(story: Facts) -> None:
    """Killed at two moments, a publisher leaves readers with the old tree, whole; the next one sweeps and succeeds."""
    former = story["former"].stdout.strip()
    for moment in ("killed at first", "killed half-way"):
        code, left, current = [*story[moment].stdout.split(), "", "", ""][:3]
        assert code == "137", f"The publisher ended by itself; {said(story[moment])}"
        assert int(left) > 0, said(story[moment])
        assert current == former, said(story[moment])
        assert story[moment].rc == 0, said(story[moment])
    assert story["publish"].rc == 0, said(story["publish"])
    assert story["swept"].rc == 0, said(story["swept"])
    assert story["swept"].stdout == "", said(story["swept"])


@pytest.mark.mutates
def test_image_that_was_changed_after_signing_is_not_published(story: Facts) -> None:
    """A tree with one byte too many is refused, by name, and readers keep what they had."""
    assert story["tampered"].rc == 1, said(story["tampered"])
    assert "is not what was signed" in story["tampered"].stderr, said(story["tampered"])
    assert story["tampered"].stdout == story["former"].stdout, said(story["tampered"])


@pytest.mark.mutates
def test_nothing_is_left_of_these_trials(story: Facts) -> None:
    """After all of it the area holds what it held before."""
    assert told(story["forgotten"]) == told(story["before"])
