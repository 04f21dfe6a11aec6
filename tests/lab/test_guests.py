"""What a restored guest is: of now, unlike its twins, known by its key, and cut off from everything but the mirror."""

import socket
import time
from pathlib import Path

import pytest

from lading.errors import LabError
from lading.lab.guest import Guest
from lading.lab.image import GuestImage
from lading.lab.lab import Lab, opened_lab
from lading.project import find_catalogue
from lading.recipe.platforms import load_platforms

from .conftest import workspace_in

pytestmark = pytest.mark.vm


def test_the_clock_is_right_after_a_restore(guest: Guest) -> None:
    asked = time.time()
    told = float(guest.ssh.run("date +%s.%N", 60).stdout)
    assert asked - 2 < told < time.time() + 2


def test_two_clones_of_a_snapshot_differ_in_what_must_differ(lab: Lab, image: GuestImage, tmp_path: Path) -> None:
    question = (
        "cat /proc/sys/kernel/random/boot_id; head -c 32 /dev/urandom | base64; "
        "cat /etc/machine-id; cat /sys/class/net/eth0/address; hostname"
    )
    with lab.guest("worker1", image, tmp_path / "1") as one, lab.guest("worker2", image, tmp_path / "2") as two:
        first, second = (guest.ssh.run(question, 60).stdout.split() for guest in (one, two))
    assert first[0] == second[0], "both were restored from one boot"
    for mine, other in zip(first[1:], second[1:], strict=True):
        assert mine != other
    assert (first[4], second[4]) == ("worker1", "worker2")


def test_another_host_key_is_refused(guest: Guest) -> None:
    known = guest.folder / "known_hosts"
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIGCvRWWLCFkfMmF6ZSn+8e0Nnz7yZmM2Or4xK5jnA4Rw"
    known.write_text(f"lading-guest ssh-ed25519 {other}\n")
    config = guest.ssh.config.read_text().replace("ControlMaster auto", "ControlMaster no")
    guest.ssh.config.write_text(config.replace("ControlPath", "#ControlPath"))
    done = guest.ssh.run("true", 60)
    assert done.rc == 255
    assert "Host key verification failed" in done.stderr


def test_a_guest_reaches_neither_the_host_nor_any_address_but_the_proxy(guest: Guest) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        places = [("10.0.2.2", port), ("10.0.2.3", 53), ("192.0.2.1", 80), ("10.0.2.100", 22), ("10.0.2.100", 3128)]
        tries = "; ".join(
            f"timeout 5 bash -c 'echo > /dev/tcp/{host}/{at}' 2> /dev/null && echo open || echo shut"
            for host, at in places
        )
        assert guest.ssh.run(tries, 120).stdout.split() == ["shut"] * 4 + ["open"]


def test_the_proxy_gives_packages_of_the_mirror_and_nothing_else(lab: Lab, guest: Guest) -> None:
    assert guest.ssh.run("apt-get update -qq", 300).rc == 0
    before = len(lab.traffic.refused)
    other = "apt-get -o Acquire::http::Proxy=http://10.0.2.100:3128 -o Acquire::Retries=0 update "
    guest.ssh.run(f"echo 'deb http://other.example/debian trixie main' > /etc/apt/sources.list; {other}", 300)
    assert any("other.example" in address for address in lab.traffic.refused[before:])


def test_every_program_of_a_guest_is_a_packages(guest: Guest) -> None:
    # What built the disk keeps packages from starting services by programs of its own; a host has none of them.
    question = """
        cat /var/lib/dpkg/info/*.list | sed 's|^/bin/|/usr/bin/|; s|^/sbin/|/usr/sbin/|' | sort -u >/tmp/listed
        find /usr/bin /usr/sbin -type f | sort | comm -23 - /tmp/listed
        """
    assert guest.ssh.run(question, 60).stdout == ""
    assert guest.ssh.run("grep -c /usr/bin/env /tmp/listed", 60).stdout.strip() == "1"


def test_a_reboot_boots_the_same_disk_again(guest: Guest) -> None:
    before = guest.boot_id()
    guest.ssh.run("echo kept > /srv/kept; sync", 60)
    guest.reboot()
    guest.wait_for_ssh()
    assert guest.boot_id() != before
    assert guest.ssh.run("cat /srv/kept; hostname", 60).stdout.split() == ["kept", "worker1"]
    assert guest.ssh.run("systemctl is-system-running", 60).stdout.strip() == "running"


def test_a_kernel_panic_is_told_with_the_console(guest: Guest) -> None:
    guest.ssh.run("(sleep 0.2; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 &", 60)
    assert guest._qemu is not None
    guest._qemu.wait(60)
    with pytest.raises(LabError, match=r"'worker1' had a kernel panic: 'Kernel panic - .*sysrq") as caught:
        guest.require_health()
    assert "The console's last lines" in (caught.value.hint or "")
    assert str(guest.folder) in (caught.value.hint or "")


def test_a_guest_that_hangs_is_no_verdict(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lading.lab.guest.ANSWER_SECONDS", 0.2)
    guest.monitor.command("stop")
    with pytest.raises(LabError, match="'worker1' hangs"):
        guest.require_health()


def test_a_full_disk_in_the_guest_is_no_verdict(guest: Guest) -> None:
    guest.require_health()
    guest.ssh.run("fallocate -l 7G /fill; dd if=/dev/zero of=/fill2 bs=1M; true", 600)
    with pytest.raises(LabError, match="disk of the guest 'worker1' is full"):
        guest.require_health()


def test_a_full_disk_of_this_machine_is_no_verdict(guest: Guest) -> None:
    rules = [{"event": "none", "iotype": "write", "errno": 28, "once": False, "immediately": False}]
    null = {"driver": "null-co", "size": 1 << 20, "read-zeroes": True}
    guest.monitor.command(
        "blockdev-add", {"driver": "blkdebug", "node-name": "full", "image": null, "inject-error": rules}
    )
    guest.monitor.command("device_add", {"driver": "virtio-blk-pci", "drive": "full", "bus": "port5", "serial": "full"})
    guest.ssh.run(
        "udevadm wait --timeout=30 /dev/disk/by-id/virtio-full; "
        "(sleep 0.5; dd if=/dev/zero of=/dev/disk/by-id/virtio-full bs=4096 count=1 conv=fsync) > /dev/null 2>&1 &",
        60,
    )
    for _ in range(300):
        if guest.out_of_space():
            break
        guest._pause(0.1)
    with pytest.raises(LabError, match="stopped because this machine's disk is full"):
        guest.require_health()


def test_a_dead_mirror_is_no_verdict(
    lab: Lab, image: GuestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    with (
        workspace_in(lab.workspace.cache) as workspace,
        opened_lab(workspace) as cut_off,
        cut_off.guest("worker1", image, tmp_path) as guest,
    ):
        cut_off.require_mirror()
        guest.ssh.run("apt-get -o Acquire::Retries=0 update", 300)
        with pytest.raises(LabError, match="mirror did not answer"):
            cut_off.require_mirror()


def test_a_missing_package_of_a_healthy_mirror_is_no_outage(lab: Lab, guest: Guest) -> None:
    lab.traffic.outages.clear()
    assert guest.ssh.run("apt-get install -y no-such-package-here", 300).rc != 0
    lab.require_mirror()
    guest.require_health()


def test_debian_12_guests_boot_and_reboot_too(lab: Lab, tmp_path: Path) -> None:
    platform = load_platforms(find_catalogue(start=Path(__file__)))["debian12"]
    with lab.guest("worker1", lab.image("debian12", platform), tmp_path) as guest:
        guest.reboot()
        guest.wait_for_ssh()
        assert guest.ssh.run("systemctl is-system-running; . /etc/os-release; echo $VERSION_ID", 60).stdout.split() == [
            "running",
            "12",
        ]
