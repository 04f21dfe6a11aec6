"""A running guest: started cold or from a snapshot, prepared, rebooted, and asked what became of it."""

import contextlib
import itertools
import re
import secrets
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from lading import process
from lading.errors import LabError
from lading.lab import machine, qmp, ssh
from lading.lab.channel import Answer, Channel, ChannelGone, ChannelSilent
from lading.lab.deadline import Deadline
from lading.lab.image import GuestImage
from lading.lab.machine import Machine, Wiring
from lading.lab.segment import Place
from lading.lab.workspace import Workspace

RELAY = Path(__file__).with_name("relay.py")
BOOT_SECONDS = 60
ANSWER_SECONDS = 6
# The console is silent for a while in a healthy boot too; longer than this is worth a word to whoever waits.
QUIET_CONSOLE_SECONDS = 30
# A package manager that met a full disk rolls back, and so frees some of it again.
FULL_KIB = 100 * 1024


@dataclass
class Guest:
    """One throwaway machine. Its disk, sockets and process are the run's; its logs stay in `folder`.

    `images` are mounted below /srv/images; `drives` are plugged only, for what else is set up in the guest.
    """

    name: str
    spec: Machine
    image: GuestImage
    workspace: Workspace
    folder: Path
    images: Mapping[str, Path] = field(default_factory=dict)
    place: Place | None = None
    drives: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Several guests of one run may have one name: hosts of tracks that run side by side.
        self._id = f"{self.name}-{secrets.token_hex(4)}"
        self.disk = self.workspace.tmp / f"{self._id}.qcow2"
        self._kernel, self._initrd = self.image.kernel, self.image.initrd
        self._starts = itertools.count(1)
        self._stack = ExitStack()
        self._qemu: subprocess.Popen[bytes] | None = None
        self._kept = False
        self.folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def emulated(self) -> bool:
        """Tell whether time limits must be stretched."""
        return self.spec.accelerator == "tcg"

    @property
    def serial(self) -> Path:
        """The console's log."""
        return self.folder / "serial.log"

    def deadline(self, seconds: float) -> Deadline:
        """Return a deadline that fits this guest's speed."""
        return Deadline.after(seconds, emulated=self.emulated)

    def ask(self, script: str, seconds: float = ANSWER_SECONDS, *, check: bool = True) -> Answer:
        """Run a shell script as root over the root channel, which needs neither network nor sshd.

        Raises:
            LabError: the guest was lost, does not answer in time (stretched under emulation), or `check` and it failed.
        """
        try:
            return self.channel.run(script, self.deadline(seconds), check=check)
        except ChannelSilent:
            raise self.lost("hangs: its root channel does not answer") from None
        except ChannelGone:
            raise self.lost("is gone") from None

    # Starting -----------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start cold from the image's disk, wait until the boot is over, and prepare the guest."""
        self.make_disk()
        self.start_cold()
        self._settle()
        self._take_identity()
        self._wait_for_segment()
        self._mount_images()

    def restore(self, memory: Path, backing: Path) -> None:
        """Start from a snapshot's memory and disk, and prepare the guest.

        The root channel answers when this returns; ssh does a second later (`wait_for_ssh`).
        """
        self._overlay(backing, "qcow2")
        self._launch(incoming=True)
        limit = self.deadline(10)
        qmp.prepare_migration(self.monitor)
        self.monitor.command("migrate-incoming", {"uri": f"file:{memory}"}, deadline=limit)
        self.monitor.wait_for_migration(limit)
        self.monitor.command("cont")
        self._plug_segment()
        self._take_identity()
        self._wait_for_segment()
        self._mount_images()

    def reboot(self, order: Callable[[], None] | None = None) -> None:
        """Reboot with the kernel that the guest has on its own disk now; only its test images are mounted anew.

        The `order` to reboot is given inside the guest, by default over the root channel.

        Raises:
            LabError: the guest did not go down or did not come back, or the boot id did not change.
        """
        before = self.boot_id()
        self._take_kernel()
        (order or self._order_reboot)()
        self._wait_for_end(self.deadline(30))
        self._close()
        self.start_cold()
        self._settle()
        self._wait_for_segment()
        self._mount_images()
        if self.boot_id() == before:
            raise LabError(f"'{self.name}' was asked to reboot but its boot id is the same.", hint=self.where())

    def _order_reboot(self) -> None:
        self.ask("systemctl --no-block reboot")

    def boot_id(self) -> str:
        """Return the kernel's id of this boot."""
        return self.ask("cat /proc/sys/kernel/random/boot_id").output.strip()

    def make_disk(self) -> None:
        """Give the guest a fresh disk on top of its image's."""
        self._overlay(self.image.disk, "raw")

    def _overlay(self, backing: Path, form: str) -> None:
        process.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", form, "-b", backing, self.disk])

    def start_cold(self) -> None:
        """Boot the guest's disk, until a command has run through ssh."""
        # Cold boots calibrate timers against the processor: two at once can leave one with broken timers for good.
        with self.workspace.lock("cold-boot"):
            self._launch()
            limit = self.deadline(BOOT_SECONDS)
            self._watch_console(limit)
            self.wait_for_ssh(limit)

    def _settle(self) -> None:
        """Wait until the boot is over."""
        self.channel.wait(self.deadline(ANSWER_SECONDS))
        # "degraded" is a state that a check may look at; here it only matters that the start is over.
        self.ask("systemctl is-system-running --wait", BOOT_SECONDS, check=False)

    def _launch(self, *, incoming: bool = False) -> None:
        number = next(self._starts)
        sockets = self.workspace.sockets
        wiring = Wiring(
            disk=self.disk,
            kernel=self._kernel,
            initrd=self._initrd,
            monitor=sockets / f"{self._id}-{number}.qmp",
            channel=sockets / f"{self._id}-{number}.channel",
            serial=self.serial,
            proxy=sockets / "proxy",
            relay=(sys.executable, "-I", "-S", str(RELAY)),
            # A snapshot knows no such card: after a restore it is plugged.
            segment=None if incoming else self.place,
        )
        words = machine.argv(self.spec, wiring, incoming=incoming)
        (self.folder / f"qemu-{number}.argv").write_text(process.paste(words) + "\n")
        self._qemu = process.spawn(words, log=self.folder / "qemu.log")
        limit = Deadline.after(20)
        self.monitor = self._stack.enter_context(qmp.negotiated(self._connect(wiring.monitor, limit), limit))
        self.channel = Channel(self._stack.enter_context(self._connect(wiring.channel, limit)))
        control = sockets / f"{self._id}-{number}.ssh"
        self.ssh = ssh.write_config(self.folder, control, self.image, self.name, self._forwarded_port())

    def _connect(self, path: Path, limit: Deadline) -> socket.socket:
        """Connect to a socket that QEMU is about to make: for a moment it is not there, then not yet listened to."""
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
            self._pause(0.005)
            limit.require(f"QEMU of '{self.name}' made no socket '{path.name}'")

    def _forwarded_port(self) -> int:
        # QEMU chose the port itself (host port 0), so no other program can have taken it.
        table = self.monitor.command("human-monitor-command", {"command-line": "info usernet"})
        found = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", table)
        if found is None:
            raise LabError(f"QEMU forwards no ssh port of '{self.name}':\n{table}")
        return int(found[1])

    def _pause(self, seconds: float) -> None:
        """Wait a moment; if QEMU ends meanwhile, that is the news."""
        assert self._qemu is not None
        try:
            self._qemu.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return
        raise self.lost("ended")

    def _watch_console(self, limit: Deadline) -> None:
        """Wait for the first console line, so that a guest that dies at once is noticed at once."""
        while not (self.serial.exists() and self.serial.stat().st_size):
            self._pause(0.1)
            limit.require(f"'{self.name}' printed nothing on its console")

    def wait_for_ssh(self, limit: Deadline | None = None) -> None:
        """Wait until a command has run through a new ssh connection.

        Raises:
            LabError: the guest was lost, or did not get there in time; with the console's last lines.
        """
        limit = limit or self.deadline(BOOT_SECONDS)
        told, size = time.monotonic(), 0
        while not self.ssh.answers(limit):
            self._pause(0.2)
            if limit.passed():
                raise self.lost("does not answer ssh")
            if (now := self.serial.stat().st_size) != size:
                told, size = time.monotonic(), now
            elif time.monotonic() - told > QUIET_CONSOLE_SECONDS:
                self.workspace.narrator.say(f"'{self.name}' is silent; its last console line: {self.console_tail(1)}")
                told = time.monotonic()

    # Preparing ----------------------------------------------------------------------------------------------------

    def _take_identity(self) -> None:
        """Give the guest what a snapshot can't hold: the time, its own random numbers, and its own names."""
        self.channel.wait(self.deadline(ANSWER_SECONDS), every=0.5)
        # The time is taken after the guest answered: taken before, it would be late by the time the answer took.
        self.ask(self._identity())

    def _identity(self) -> str:
        mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
        # The pool is credited and told to reseed (random(4): RNDADDENTROPY 0x40085203, RNDRESEEDCRNG 0x5207): bytes
        # merely written to it would not show in the generator's output before its next own reseed.
        return f"""set -e
date -s @{time.time():.3f} > /dev/null
perl -e 'open F, ">", "/dev/urandom" or die; my $b = pack("H*", "{secrets.token_hex(64)}");
  ioctl(F, 0x40085203, pack("ii", 8 * length $b, length $b) . $b) or die; ioctl(F, 0x5207, 0) or die'
hostname {self.name}
echo {self.name} > /etc/hostname
echo {uuid.uuid4().hex} > /etc/machine-id
cat > /etc/hosts <<'END'
127.0.0.1 localhost
{self.place.hosts_file() if self.place else f"127.0.1.1 {self.name}"}
::1 localhost
END
{self.place.configuring() if self.place else ""}
ip link set dev eth0 address {mac}
# QEMU's network still knows the snapshot's address: any packet out makes the kernel ask, and so tell the new one.
echo > /dev/udp/10.0.2.2/9
"""

    def _plug_segment(self) -> None:
        """Plug the card of the private network."""
        if self.place:
            address = {"type": "unix", "path": str(self.place.socket)}
            self.monitor.command("netdev_add", {"type": "stream", "id": "segment", "server": False, "addr": address})
            self.monitor.command("device_add", machine.segment_device(self.place))

    def _wait_for_segment(self) -> None:
        if self.place:
            self.ask(self.place.waiting(), 10)

    def _mount_images(self) -> None:
        """Plug the disks, and mount the test images where recipes expect them."""
        if not self.images and not self.drives:
            return
        self._plug_images()
        devices = " ".join(device_of(name) for name in (*self.images, *self.drives))
        mounts = "\n".join(
            f"mkdir -p /srv/images/{name}\nmount -o ro,noload {device_of(name)} /srv/images/{name}"
            for name in self.images
        )
        self.ask(f"set -e\nudevadm wait --timeout=60 {devices}\n{mounts}", 10)

    def _plug_images(self) -> None:
        disks = {**self.images, **self.drives}
        if len(disks) > machine.DISK_PORTS:
            room = f"there is room for {machine.DISK_PORTS}"
            raise LabError(f"'{self.name}' would need {len(disks)} disks beside its own, and {room}.")
        for number, (name, path) in enumerate(disks.items()):
            backend = {"driver": "raw", "node-name": f"image{number}", "read-only": True,
                       "file": {"driver": "file", "filename": str(path)}}  # fmt: skip
            self.monitor.command("blockdev-add", backend)
            device = {"driver": "virtio-blk-pci", "drive": f"image{number}", "bus": f"port{number}",
                      "serial": _serial_number(name), "id": f"imagedev{number}"}  # fmt: skip
            self.monitor.command("device_add", device)

    def _take_kernel(self) -> None:
        """Fetch the newest kernel of the guest's own disk, unless it is the one it was booted with."""
        listing = self.ask(
            "k=$(ls -v /boot/vmlinuz-* | tail -n 1); i=/boot/initrd.img-${k#/boot/vmlinuz-}; sha256sum $k $i", 30
        ).output.split()
        for path, attribute in ((listing[1], "_kernel"), (listing[3], "_initrd")):
            digest = listing[listing.index(path) - 1]
            if process.run(["sha256sum", getattr(self, attribute)]).stdout.split()[0] == digest:
                continue
            target = self.workspace.tmp / f"{self._id}{attribute}"
            process.run(["scp", "-q", "-F", str(self.ssh.config), f"{self.name}:{path}", str(target)], timeout=600)
            setattr(self, attribute, target)

    # Ending, and what became of it ------------------------------------------------------------------------------

    def keep(self) -> None:
        """Leave the guest up when this object is closed: somebody wants to look at it."""
        self._kept = True

    def stop(self) -> None:
        """Pull the plug. The disk goes with the run."""
        if self._qemu is not None and not self._kept:
            self._qemu.kill()
            self._qemu.wait()
        self._close()

    def freeze(self, memory: Path) -> None:
        """Write the guest's memory to a file and end QEMU; the disk holds then what the memory expects."""
        self.monitor.command("stop")
        qmp.prepare_migration(self.monitor)
        limit = self.deadline(30)
        self.monitor.command("migrate", {"uri": f"file:{memory}"}, deadline=limit)
        self.monitor.wait_for_migration(limit)
        self.monitor.command("quit")
        self._wait_for_end(limit)
        self._close()

    def _wait_for_end(self, limit: Deadline) -> None:
        assert self._qemu is not None
        try:
            self._qemu.wait(timeout=limit.left())
        except subprocess.TimeoutExpired:
            raise self.lost("does not shut down") from None

    def _close(self) -> None:
        self._stack.close()

    def console_tail(self, lines: int = 12) -> str:
        """Return the console's last lines, without control characters."""
        if not self.serial.exists():
            return "(nothing on the console)"
        text = self.serial.read_bytes()[-20000:].decode(errors="replace")
        clean = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n\x20-\x7e]", "", text)
        return "\n".join(clean.strip().splitlines()[-lines:]) or "(nothing on the console)"

    def where(self) -> str:
        """Return where to look: the console's last lines and the folder with all logs."""
        return f"The console's last lines:\n{self.console_tail()}\nLogs: {self.folder}"

    def lost(self, what: str) -> LabError:
        """Return the error that says what became of the guest: a panic, a full disk here, or what QEMU told."""
        cause = what
        self._reap()
        panics = [line for line in self.console_tail(200).splitlines() if "Kernel panic" in line]
        if panics:
            cause = f"had a kernel panic: '{panics[0].partition('] ')[2] or panics[0]}'"
        elif self.out_of_space():
            cause = "stopped because this machine's disk is full"
        elif self._qemu is not None and self._qemu.poll() not in (None, 0):
            told = (self.folder / "qemu.log").read_text(errors="replace").strip().splitlines()
            cause = f"ended: QEMU exited with {self._qemu.returncode}{': ' + told[-1] if told else ''}"
        return LabError(f"The guest '{self.name}' {cause}.", hint=self.where())

    def _reap(self) -> None:
        """Give a QEMU that is ending the moment it needs, so that its exit code tells the cause."""
        if self._qemu is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._qemu.wait(timeout=1)

    def out_of_space(self) -> bool:
        """Tell whether QEMU stopped the guest because a write failed on this machine's side."""
        try:
            events = self.monitor.poll()
        except (AttributeError, OSError):  # no monitor yet, or none any more
            return False
        return any(event["event"] == "BLOCK_IO_ERROR" for event in events)

    def require_health(self) -> None:
        """Tell a lost guest from a failed path.

        Raises:
            LabError: QEMU is gone, the guest hangs, or a disk is full: nothing can be said about the path.
        """
        if self._qemu is None or self._qemu.poll() is not None or self.out_of_space():
            raise self.lost("is gone")
        if int(self.ask("df --output=avail -k / | tail -n 1", ANSWER_SECONDS).output) < FULL_KIB:
            raise LabError(f"The disk of the guest '{self.name}' is full.", hint=self.where())


def device_of(name: str) -> str:
    """Return where a guest finds a disk that was plugged under that name."""
    return f"/dev/disk/by-id/virtio-{_serial_number(name)}"


def _serial_number(name: str) -> str:
    """Return a disk's serial number for an image's name; virtio keeps 20 bytes of it."""
    return f"lading-{name}"[:20]
