"""The CVMFS stand-in: how it is described, and in a guest each trap of the real client, as it was seen with that."""

import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from lading.errors import LabError
from lading.lab.guest import Guest
from lading.lab.image import GuestImage, find_test_image
from lading.lab.image import TestImageDefinition as Definition
from lading.lab.lab import Lab
from lading.lab.layer import Layer
from lading.lab.mirror import Mirror
from lading.lab.proxy import Traffic
from lading.lab.stand_in import FILES, CvmfsStandIn, kill_line, merged
from lading.lab.workspace import Workspace, opened_workspace
from lading.process import Completed
from lading.state.collect import SCRIPT
from lading.state.compare import compare
from lading.state.model import State

from .conftest import forget_layer

TINY = Definition(
    "trixie", ("base-files", "coreutils", "dash", "libc-bin"), setup=("rm -rf usr/share", "mkdir -p srv/data")
)
OTHER = replace(TINY, packages=("base-files",))
IDLE, FIRST = 4, 2
STAND_IN = CvmfsStandIn({"software.site.example": TINY}, idle=IDLE, first_access=FIRST)
REPOSITORY = "/cvmfs/software.site.example"
MOUNTED = f'grep --quiet " {REPOSITORY} " /proc/self/mountinfo'
# What automount looks at to find what is idle, it looks at every quarter of that time.
GONE = f"timeout {20 * IDLE} sh -c 'while {MOUNTED}; do sleep 0.5; done'"


def test_a_host_is_set_up_by_names_of_disks_and_by_times_but_not_by_what_is_in_the_repositories() -> None:
    assert STAND_IN.drives == {"cvmfs_0": TINY}
    assert "software.site.example /dev/disk/by-id/virtio-lading-cvmfs_0 2\n" in STAND_IN.script()
    assert replace(STAND_IN, repositories={"software.site.example": OTHER}).key == STAND_IN.key
    others = [replace(STAND_IN, idle=5), replace(STAND_IN, first_access=0)]
    others.append(replace(STAND_IN, repositories={"other.site.example": TINY}))
    assert len({STAND_IN.key, *(one.key for one in others)}) == 4


def test_of_several_the_repositories_are_joined_and_the_last_one_says_how_long() -> None:
    one = CvmfsStandIn({"a.example": TINY, "b.example": TINY}, idle=1, first_access=1)
    both = merged([one, CvmfsStandIn({"b.example": OTHER}, idle=9)])
    assert both == CvmfsStandIn({"a.example": TINY, "b.example": OTHER}, idle=9, first_access=0)
    assert merged([one]) == one


@pytest.mark.parametrize("file", sorted(FILES.iterdir()), ids=lambda file: file.name)
def test_a_shell_reads_the_scripts(file: Path) -> None:
    subprocess.run(["bash", "-n", file], check=True)


def test_what_packs_a_repository_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADING_CACHE", str(tmp_path))
    with opened_workspace() as workspace, monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        with pytest.raises(LabError, match="'mksquashfs' is not installed") as caught:
            find_test_image(workspace, "cvmfs_0", TINY, Mirror("http://mirror.example/debian", None), "squashfs")
    assert "squashfs-tools" in str(caught.value.hint)


def test_what_it_serves_is_packed_before_anything_runs_in_a_guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> Path:
        raise LabError("'mksquashfs' is not installed.")

    def never(*_: object) -> None:
        pytest.fail("a guest was asked for")

    monkeypatch.setattr("lading.lab.lab.find_test_image", missing)
    for name in ("accelerator", "snapshot", "layered"):
        monkeypatch.setattr(Lab, name, never)
    lab = Lab(*cast(tuple[Workspace, Mirror, Traffic], (None, None, None)), "tcg")
    layer = Layer("the CVMFS stand-in", STAND_IN.key, STAND_IN.set_up, drives=STAND_IN.drives)
    with pytest.raises(LabError, match="mksquashfs"), lab.guest("a", cast(GuestImage, None), tmp_path, layer=layer):
        pass


def test_no_file_of_it_counts_as_part_of_a_state() -> None:
    text = "".join(file.read_text() for file in FILES.iterdir())
    made = {word.strip("\"'>") for word in text.split() if word.strip("\"'>").startswith("/etc/")}
    made -= {"/etc/auto.master.d"}
    assert made
    assert all("lading-lab" in path for path in made)


# In a guest ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen() -> list[str]:
    """What whatever came after the stand-in, in the layer itself, found in its one repository."""
    return []


@pytest.fixture(scope="module")
def host(lab: Lab, image: GuestImage, tmp_path_factory: pytest.TempPathFactory, seen: list[str]) -> Iterator[Guest]:
    """A guest with the stand-in, and a tree in its one repository."""

    def apply(guest: Guest) -> None:
        STAND_IN.set_up(guest)
        seen.append(guest.ask(f"ls -d {REPOSITORY}/srv/data", 60, check=False).output.strip())

    layer = Layer("the CVMFS stand-in", secrets.token_hex(8), apply, drives=STAND_IN.drives)
    try:
        with lab.guest("worker1", image, tmp_path_factory.mktemp("host"), layer=layer) as guest:
            yield guest
    finally:
        forget_layer(lab.workspace.cache, layer)


def said(host: Guest, line: str, user: str = "") -> Completed:
    """Run a line as somebody who logs in; root if nobody is named."""
    return host.ssh.run(f"runuser -u {user} -- {line}" if user else line, 300)


@pytest.fixture
def idle(host: Guest) -> Guest:
    """The same guest with nothing mounted below /cvmfs."""
    done = said(host, GONE)
    assert done.rc == 0, done.stdout + done.stderr
    return host


@pytest.mark.vm
def test_a_playbook_in_a_layer_finds_what_the_repositories_hold(host: Guest, seen: list[str]) -> None:
    assert seen == [f"{REPOSITORY}/srv/data"]
    assert said(host, f"ls -d {REPOSITORY}/srv/data").rc == 0


@pytest.mark.vm
def test_the_listing_looks_empty_until_a_repository_is_used(idle: Guest) -> None:
    assert said(idle, "ls -A /cvmfs").stdout == ""
    assert said(idle, "ls -la /cvmfs").stdout.startswith("total 4\n")
    assert said(idle, f"ls -d {REPOSITORY}/srv/data", "alice").rc == 0
    assert said(idle, "ls -A /cvmfs").stdout == "software.site.example\n"


@pytest.mark.vm
def test_the_first_access_is_slow_and_the_next_is_not(idle: Guest) -> None:
    times = []
    for _ in range(2):
        started = time.monotonic()
        assert said(idle, f"ls {REPOSITORY}", "alice").rc == 0
        times.append(time.monotonic() - started)
    assert times[0] > FIRST > times[1]


@pytest.mark.vm
def test_a_repository_that_is_not_there_is_told_as_such(host: Guest) -> None:
    done = said(host, "ls /cvmfs/nosuch.site.example")
    assert (done.rc, done.stderr) == (2, "ls: cannot access '/cvmfs/nosuch.site.example': No such file or directory\n")
    assert said(host, "ls /cvmfs/software_site.example").rc == 2, "a dot in a name is a dot"


@pytest.mark.vm
def test_nobody_can_write_and_no_program_is_setuid_there(host: Guest) -> None:
    assert "Read-only file system" in said(host, f"touch {REPOSITORY}/new").stderr
    options = said(
        host, f"ls {REPOSITORY} >/dev/null; findmnt --noheadings --output OPTIONS,SOURCE,FSTYPE {REPOSITORY}"
    )
    assert {"ro", "nosuid", "nodev"} <= set(options.stdout.split()[0].split(","))
    assert options.stdout.split()[1:] == ["cvmfs-stand-in", "fuse"]


@pytest.mark.vm
def test_it_stays_while_somebody_uses_it_and_goes_when_idle(host: Guest) -> None:
    held = said(host, f"systemd-run --quiet --unit=holder --working-directory={REPOSITORY}/srv sleep {4 * IDLE}")
    assert held.rc == 0, held.stderr
    time.sleep(3 * IDLE)
    assert said(host, MOUNTED).rc == 0
    assert said(host, GONE).rc == 0


# The shell itself uses the repository until the container does: it must not go idle in between.
CONTAINER = f"""cd {REPOSITORY} &&
systemd-run --quiet --unit=container unshare --mount chroot {REPOSITORY} /usr/bin/sleep 300 &&
timeout 60 sh -c "until pgrep --full '^/usr/bin/sleep 300' >/dev/null; do sleep 0.1; done"
"""


@pytest.mark.vm
def test_a_container_in_a_mount_namespace_does_not_keep_it_and_nothing_is_mounted_until_it_ends(idle: Guest) -> None:
    started = said(idle, CONTAINER)
    assert started.rc == 0, started.stderr
    assert said(idle, GONE).rc == 0
    assert said(idle, "pgrep --full ^cvmfs2-stand-in").rc == 0, "the process lives on"
    assert "No such file or directory" in said(idle, f"ls {REPOSITORY}").stderr
    said(idle, "systemctl stop container")
    assert said(idle, f"sleep 2; ls {REPOSITORY}").rc == 0


@pytest.mark.vm
def test_in_a_mount_namespace_that_gets_no_mounts_it_is_a_loop(idle: Guest) -> None:
    done = said(idle, f"unshare --mount --propagation private ls {REPOSITORY}")
    assert "Too many levels of symbolic links" in done.stderr


@pytest.mark.vm
def test_with_its_process_dead_each_access_fails_until_it_is_unmounted(host: Guest) -> None:
    said(host, f"ls {REPOSITORY}")
    assert said(host, kill_line("software.site.example")).rc == 0
    for _ in range(2):
        done = said(host, f"ls {REPOSITORY}")
        assert done.rc == 2
        assert "Transport endpoint is not connected" in done.stderr
    assert said(host, f"umount --lazy {REPOSITORY} && ls {REPOSITORY}").rc == 0


@pytest.mark.vm
def test_using_it_changes_no_state_and_apt_knows_as_much_as_before(idle: Guest) -> None:
    states = [State.from_json(idle.ask(SCRIPT, 60).output)]
    assert said(idle, f"ls {REPOSITORY}").rc == 0
    states.append(State.from_json(idle.ask(SCRIPT, 60).output))
    assert [str(change) for change in compare(*states)] == []
    assert said(idle, "dpkg-query --show squashfuse").rc == 1, "a path that needs it has to bring it"
    assert said(idle, "command -v squashfuse").rc != 0


@pytest.mark.vm
def test_it_is_there_again_after_a_reboot(host: Guest) -> None:
    host.reboot()
    host.wait_for_ssh()
    assert said(host, f"ls {REPOSITORY}/srv", "alice").stdout == "data\n"
