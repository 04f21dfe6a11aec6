"""What must be true of a node that reads an image area: mounted on demand, read-only, and jobs keep their tree."""

from pathlib import Path
from typing import TypeAlias

import pytest
import testinfra
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://image_area_clients"]

Facts: TypeAlias = dict[str, CommandResult]

FOLDER = "/images"
SECOND = "2000-01-01-second"
MARK = "usr/lib/os-release"
FUNCTIONS = Path(__file__).with_name("second_version.sh").read_text()
BEATS = "/run/image-area-check"
TRIED = ".written-by-a-check"

MOUNTED = {
    "watched": f"grep ' {FOLDER} autofs ' /proc/self/mounts && systemctl is-active autofs",
    "enabled": "systemctl is-enabled autofs",
    "listed": f"ls {FOLDER}",
    "mount": f"findmnt --noheadings --raw --output FSTYPE,OPTIONS --types nfs4 --mountpoint {FOLDER}",
    # Where nothing is mounted the folder is the node's own, and would keep what is written.
    "write": f"""
        grep -qF ' {FOLDER} nfs4 ' /proc/self/mounts || exit 9
        touch {FOLDER}/{TRIED} && rm {FOLDER}/{TRIED}
        """,
    "write otherwise": f"""
        mkdir "$BATCH_TMP/rw" && mount -t nfs4 -o rw,vers=4.2 "$(
        findmnt --noheadings --output SOURCE --types nfs4 --mountpoint {FOLDER})" "$BATCH_TMP/rw" || exit 9
        touch "$BATCH_TMP/rw/{TRIED}" && rm "$BATCH_TMP/rw/{TRIED}"; code=$?; umount "$BATCH_TMP/rw"; exit $code
        """,
    "closed": f"ls {FOLDER}/.area",
    "rpcbind": "ss -H --listening --tcp --udp --numeric 'sport = :111'; ! systemctl is-active --quiet rpcbind.socket",
}  # fmt: skip

RUN = {
    "inside": f'apptainer --silent exec --cleanenv "$(readlink -e {FOLDER}/$NAME/current)/tree" sha256sum /{MARK}',
    "listed": rf"sed -n 's|^\./{MARK} type=file .*sha256digest=||p' {FOLDER}/$NAME/current/tree.mtree",
}
DIGEST = f'sha256sum "$(readlink -e {FOLDER}/$NAME/current)/tree/{MARK}"'
# A node sees a switch when its cache has gone, after a minute at the latest; this is so that no check has to wait.
FORGET = "sync; echo 3 >/proc/sys/vm/drop_caches"
BEAT = f"""
    systemctl is-active --quiet image-area-check || exit
    : >{BEATS}; timeout 30 sh -c 'until [ -s {BEATS} ]; do sleep 0.2; done'; head -n 1 {BEATS}
    """
JOB = f"""
    tree=$(readlink -e {FOLDER}/$NAME/current)/tree || exit
    systemd-run --quiet --collect --unit=image-area-check --uid="$WHO" --property=StandardOutput=append:{BEATS} \
    apptainer --silent exec --cleanenv --pwd / "$tree" sh -c 'while sleep 0.5; do sha256sum /{MARK}; done'
    """
START = {"digest": DIGEST, "job": JOB, "beat": BEAT}
PUBLISHED = {"forget": FORGET, "current": f"readlink {FOLDER}/$NAME/current", "digest": DIGEST, "beat": BEAT}
END = {**PUBLISHED, "end": f"systemctl stop image-area-check; rm -f {BEATS}"}

PUBLISH = {
    "prepare": 'second_version >"$BATCH_TMP/images"',
    "publish": f'CONTAINER_IMAGES="$(cat "$BATCH_TMP/images")" image-area publish "$NAME" {SECOND}',
    "remove": 'rm -rf "$(cat "$BATCH_TMP/images")"',
}
ROLLBACK = {"rollback": 'image-area rollback "$NAME"', "forget": "forget_second_version"}


def images(site: Site) -> list[str]:
    """Return what the site publishes; if that is nothing, there is nothing to see."""
    found = site.variables["image_area_server_images"]
    assert isinstance(found, list)
    assert found, "The site names no image, so nothing was looked at."
    return sorted(map(str, found))


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-600:] or 'nothing'}"


def first_word(result: CommandResult) -> str:
    """Return the digest that sha256sum has printed."""
    assert result.rc == 0, said(result)
    return str(result.stdout).split(" ", 1)[0].strip()


@pytest.fixture(scope="module")
def mounted(host: Host) -> Facts:
    return batch(host, MOUNTED)


@pytest.fixture(scope="module")
def run(host: Host, site: Site) -> Facts:
    return batch(host, RUN, user=site.users.other, environment={"NAME": images(site)[0]})


@pytest.fixture(scope="module")
def story(host: Host, site: Site) -> dict[str, Facts]:
    """Return what a job sees while its image is published anew and rolled back, on the other host."""
    inventory = host.backend.ansible_inventory
    (server, *_) = testinfra.get_hosts(["ansible://image_area_servers"], ansible_inventory=inventory)
    account, name = str(site.variables["image_area_server_publisher"]), {"NAME": images(site)[0]}

    def here(commands: dict[str, str]) -> Facts:
        return batch(host, commands, environment={**name, "WHO": site.users.user}, timeout=120)

    def there(commands: dict[str, str]) -> Facts:
        script = {key: FUNCTIONS + line for key, line in commands.items()}
        return batch(server, script, user=account, environment=name, timeout=120)

    return {
        "start": here(START),
        "publish": there(PUBLISH),
        "published": here(PUBLISHED),
        "rollback": there(ROLLBACK),
        "end": here(END),
    }


def test_area_is_mounted_when_somebody_looks(mounted: Facts, site: Site) -> None:
    """The folder is watched by autofs, and whoever looks into it finds the images there, by NFS 4.2."""
    assert mounted["watched"].stdout.split()[-1:] == ["active"], said(mounted["watched"])
    assert mounted["enabled"].stdout.strip() == "enabled", said(mounted["enabled"])
    assert set(images(site)) <= set(mounted["listed"].stdout.split()), said(mounted["listed"])
    assert "vers=4.2" in mounted["mount"].stdout, said(mounted["mount"])


def test_mount_is_read_only_without_setuid_and_waits_for_its_server(mounted: Facts) -> None:
    """The mount is read-only, knows no setuid and no devices, and waits for its server rather than fail a job."""
    kind, _, options = mounted["mount"].stdout.strip().partition(" ")
    assert kind == "nfs4", said(mounted["mount"])
    assert {"ro", "nosuid", "nodev", "hard"} <= set(options.split(",")), options


def test_not_even_root_can_write(mounted: Facts) -> None:
    """Root of the node cannot write, not even through a mount of its own that asks for it: the server refuses."""
    for way in ("write", "write otherwise"):
        assert mounted[way].rc == 1, said(mounted[way])
        assert "Read-only file system" in mounted[way].stderr, said(mounted[way])


def test_publishers_folder_is_closed(mounted: Facts) -> None:
    """What the publisher keeps for itself no reader can enter, whoever it is."""
    assert "Permission denied" in mounted["closed"].stderr, said(mounted["closed"])


def test_node_has_no_rpcbind(mounted: Facts) -> None:
    """NFS 4 needs no rpcbind, so none listens on a node that has the area mounted."""
    assert mounted["mount"].stdout, said(mounted["mount"])
    assert mounted["rpcbind"].rc == 0, said(mounted["rpcbind"])
    assert mounted["rpcbind"].stdout == "", said(mounted["rpcbind"])


def test_container_runs_from_the_area(run: Facts) -> None:
    """An ordinary user runs a container from the unpacked image, and finds in it what was signed."""
    assert first_word(run["inside"]) == run["listed"].stdout.strip(), said(run["inside"])


@pytest.mark.mutates
def test_job_keeps_its_tree_while_another_is_published(story: dict[str, Facts]) -> None:
    """A container that runs reads its own files after a publication and after a rollback, as if there had been none."""
    own = first_word(story["start"]["digest"])
    assert story["publish"]["publish"].rc == 0, said(story["publish"]["publish"])
    for moment in ("start", "published", "end"):
        assert first_word(story[moment]["beat"]) == own, said(story[moment]["beat"])


@pytest.mark.mutates
def test_whoever_looks_again_sees_the_new_tree_and_after_a_rollback_the_old(story: dict[str, Facts]) -> None:
    """A job that starts after a publication gets the new tree, and one that starts after a rollback the old."""
    own = first_word(story["start"]["digest"])
    assert story["published"]["current"].stdout.strip() == SECOND, said(story["published"]["current"])
    assert first_word(story["published"]["digest"]) != own
    assert story["rollback"]["rollback"].rc == 0, said(story["rollback"]["rollback"])
    assert story["end"]["current"].stdout.strip() not in ("", SECOND), said(story["end"]["current"])
    assert first_word(story["end"]["digest"]) == own
