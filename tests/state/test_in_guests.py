"""States of guests: equal where nothing was done, and different where something was, and nowhere else."""

from pathlib import Path

import pytest

from lading.lab.guest import Guest
from lading.lab.image import GuestImage
from lading.lab.lab import Lab
from lading.state.collect import SCRIPT, take_state
from lading.state.compare import compare
from lading.state.model import State

pytestmark = pytest.mark.vm

PASSING = """set -e
hostnamectl > /dev/null
busctl call org.freedesktop.PolicyKit1 / org.freedesktop.DBus.Peer Ping
systemd-run --quiet --wait true
systemctl start systemd-tmpfiles-clean.service
ls /proc/sys/fs/binfmt_misc > /dev/null
modprobe overlay
"""
"""What happens on a host by itself: daemons that start when they are called, timers' work, mounts that come on use."""

# The access control list is as the kernel has it: version, then type, permissions and id of each entry.
CHANGES = r"""set -e
apt-mark auto zstd
apt-mark hold procps
chmod 600 /etc/fstab
chown alice /etc/issue
echo changed >> /etc/motd
ln -sfn /usr/share/zoneinfo/Europe/Zurich /etc/localtime
rm /etc/issue.net
echo true > /usr/local/bin/forgotten
python3 -c 'import os, struct
entries = [(1, 6, -1), (2, 6, 1000), (4, 4, -1), (16, 6, -1), (32, 4, -1)]
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
os.setxattr("/etc/host.conf", "system.posix_acl_access", acl)'
useradd --system web
gpasswd --add alice adm
printf '[Service]\nExecStart=/bin/false\n' > /etc/systemd/system/broken.service
systemctl daemon-reload
systemctl start broken.service
until systemctl --quiet is-failed broken.service; do sleep 0.1; done
systemctl stop fstrim.timer
systemctl disable dpkg-db-backup.timer
mkdir /etc/systemd/system/ssh.service.d
printf '[Service]\nNice=1\n' > /etc/systemd/system/ssh.service.d/nice.conf
sysctl --write user.max_net_namespaces=7
mount -t tmpfs none /mnt
python3 -c 'import os, signal, socket
listening = socket.create_server(("", 8000))
os.fork() and os._exit(0)
signal.pause()' > /dev/null 2>&1
"""

SEEN = {
    "file:/etc/fstab": "mode 0644 → 0600",
    "file:/etc/host.conf": "acl_access - → ",
    "file:/etc/issue": "owner root → alice",
    "file:/etc/issue.net": "type file, ",
    "file:/etc/localtime": "target /usr/share/zoneinfo/Etc/UTC → /usr/share/zoneinfo/Europe/Zurich",
    "file:/etc/motd": "sha256 ",
    "file:/etc/systemd/system/broken.service": "type file, ",
    "file:/etc/systemd/system/ssh.service.d": "type folder, mode 0755, ",
    "file:/etc/systemd/system/ssh.service.d/nice.conf": "type file, ",
    "file:/etc/systemd/system/timers.target.wants/dpkg-db-backup.timer": "type link, ",
    "file:/usr/local/bin/forgotten": "type file, ",
    "group:adm": "members '' → alice",
    "group:web": "gid ",
    "mount:/mnt": "source none, type tmpfs, ",
    "package:procps": "held - → yes",
    "package:zstd": "mark manual → automatic",
    "socket:tcp:0.0.0.0:8000": "program python3",
    "sysctl:user.max_net_namespaces": " → 7",
    "unit:broken.service": "file static, state failed",
    "unit:dpkg-db-backup.timer": "file enabled → disabled",
    "unit:fstrim.timer": "state active → -",
    "unit:ssh.service": "reload - → needed",
    "user:web": "uid ",
}


def state_of(guest: Guest) -> State:
    return State.from_json(guest.ask(SCRIPT, 30).output)


def test_two_guests_of_one_snapshot_are_equal_and_stay_so_whatever_passes(
    lab: Lab, image: GuestImage, tmp_path: Path
) -> None:
    with lab.guest("worker1", image, tmp_path / "1") as one, lab.guest("worker1", image, tmp_path / "2") as two:
        before, other = state_of(one), state_of(two)
        one.ask(PASSING, 30)
        one.ssh.run("id", 60)
        after = take_state("worker1", one.ssh.config)

    assert list(map(str, compare(before, other))) == []
    assert list(map(str, compare(before, after))) == []
    assert "module:overlay" in {change.item for change in compare(before, after, modules=True)}


def test_each_kind_of_change_is_seen_and_nothing_else(lab: Lab, image: GuestImage, tmp_path: Path) -> None:
    with lab.guest("worker1", image, tmp_path) as guest:
        before = state_of(guest)
        guest.ask(CHANGES, 60)
        found = {change.item: change.what for change in compare(before, state_of(guest))}

    assert sorted(found) == sorted(SEEN)
    assert {item: what for item, what in SEEN.items() if what not in found[item]} == {}
