"""What a guest's machine is, and QEMU's command line for it.

Two machines with equal descriptions can share a snapshot; so the description holds what the guest can see and what
QEMU's saved state depends on, and neither ports nor paths.
"""

import json
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from lading import process
from lading.errors import LabError
from lading.lab.image import GuestImage, digest
from lading.lab.proxy import GUEST_ADDRESS, GUEST_PORT
from lading.lab.segment import Place

QEMU = "qemu-system-x86_64"
OLDEST_QEMU = (10, 0)
HOTPLUG_PORTS = 6
# Test images take the ports from the first on; the private network's card has the last.
DISK_PORTS = HOTPLUG_PORTS - 1
SEGMENT_PORT = f"port{DISK_PORTS}"
# Raised when what the lab does to a guest before it takes a snapshot changes.
PROVISIONING = 1
# 'panic=-1' and '-no-reboot' turn a kernel panic and a reboot into QEMU's end, which the engine notices at once. Under
# emulation udev and units are slow: systemd's own limits must not be what fails.
KERNEL_LINE = "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1 quiet systemd.default_timeout_start_sec=600"

Accelerator = Literal["kvm", "tcg"]


@dataclass(frozen=True)
class Machine:
    """A machine's description; `key` is its short digest.

    `memory` is in MiB. `host_cpu` is the model of this machine's processor under KVM, else empty.
    """

    image: str
    accelerator: Accelerator
    qemu: str
    machine_type: str
    memory: int = 1024
    cpus: int = 1
    cpu: str = "max"
    host_cpu: str = ""
    kernel_line: str = KERNEL_LINE
    hotplug_ports: int = HOTPLUG_PORTS
    provisioning: int = PROVISIONING

    @property
    def key(self) -> str:
        return digest(asdict(self))

    def differences(self, other: dict[str, object]) -> list[str]:
        """Return, in words, how another description (of a snapshot) differs from this one."""
        mine = asdict(self)
        names = [name for name in mine if mine[name] != other.get(name)]
        return [f"{name} was '{other.get(name)}', is '{mine[name]}'" for name in names]


@dataclass(frozen=True)
class Wiring:
    """The ends that differ from start to start: files and sockets on this machine."""

    disk: Path
    kernel: Path
    initrd: Path
    monitor: Path
    channel: Path
    serial: Path
    proxy: Path
    relay: tuple[str, ...]
    segment: Place | None = None


@cache
def qemu_version() -> str:
    """Return QEMU's version as it tells it, distribution's part included, such as '10.0.2 (Debian 1:10.0.2+ds-2)'.

    Raises:
        LabError: QEMU is missing, or older than the lab works with.
    """
    line = process.run([QEMU, "--version"]).stdout.splitlines()[0]
    found = re.search(r"version (\S+)", line)
    if found is None or qemu_numbers(found[1]) < OLDEST_QEMU:
        raise LabError(
            f"'{QEMU}' is too old ({line}); the lab needs {OLDEST_QEMU[0]} or newer.",
            hint="On Debian 12 it is in the backports; 'make setup' installs it from there.",
        )
    return line.partition("version ")[2]


def qemu_numbers(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version.

    Example:
        ```python
        from lading.lab.machine import qemu_numbers

        print(qemu_numbers("10.0.2"))
        #> (10, 0)
        ```
    """
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def describe(image: GuestImage, accelerator: Accelerator, *, memory: int = 1024, cpus: int = 1) -> Machine:
    """Return the description of a machine that this QEMU makes for that image."""
    version = qemu_version()
    major, minor = qemu_numbers(version)
    return Machine(
        image=image.identity,
        accelerator=accelerator,
        qemu=version,
        machine_type=f"pc-q35-{major}.{minor}",
        memory=memory,
        cpus=cpus,
        host_cpu=_host_cpu() if accelerator == "kvm" else "",
    )


def _host_cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def argv(machine: Machine, wiring: Wiring, *, incoming: bool = False) -> list[str]:
    """Return QEMU's command line. The same machine gives the same line, but for what `Wiring` names."""
    # In the command behind guestfwd a comma would end the option; QEMU reads a doubled one as one.
    relay = process.paste([*wiring.relay, str(wiring.proxy)]).replace(",", ",,")
    network = (
        f"user,id=outside,restrict=on,hostfwd=tcp:127.0.0.1:0-:22,guestfwd=tcp:{GUEST_ADDRESS}:{GUEST_PORT}-cmd:{relay}"
    )
    # no-flush: the disk is thrown away, or synchronised as a whole when a snapshot is taken.
    disk = (
        "driver=qcow2,node-name=root,discard=unmap,cache.no-flush=on,"
        f"file.driver=file,file.cache.no-flush=on,file.filename={_path(wiring.disk)}"
    )
    ports = [
        word
        for number in range(machine.hotplug_ports)
        for word in ("-device", f"pcie-root-port,id=port{number},chassis={number + 1},slot={number + 1}")
    ]
    return [
        QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", f"{machine.machine_type},accel={machine.accelerator}",
        "-cpu", machine.cpu, "-smp", str(machine.cpus), "-m", f"{machine.memory}M",
        "-kernel", str(wiring.kernel), "-initrd", str(wiring.initrd), "-append", machine.kernel_line,
        "-blockdev", disk,
        "-device", "virtio-blk-pci,drive=root,id=root",
        "-netdev", network,
        "-device", "virtio-net-pci,netdev=outside,id=outside,romfile=",
        "-device", "virtio-rng-pci", "-device", "vmgenid,guid=auto",
        "-device", "virtio-serial-pci,id=serial0",
        "-chardev", f"socket,id=channel,path={_path(wiring.channel)},server=on,wait=off",
        "-device", "virtserialport,chardev=channel,name=lading.root",
        "-chardev", f"file,id=console,path={_path(wiring.serial)},append=on", "-serial", "chardev:console",
        "-qmp", f"unix:{_path(wiring.monitor)},server=on,wait=off",
        *ports,
        *(_segment_card(wiring.segment) if wiring.segment else []),
        *(["-incoming", "defer"] if incoming else []),
    ]  # fmt: skip


def _segment_card(place: Place) -> list[str]:
    device = ",".join(f"{key}={value}" for key, value in segment_device(place).items())
    return [
        "-netdev", f"stream,id=segment,server=off,addr.type=unix,addr.path={_path(place.socket)}",
        "-device", device.removeprefix("driver="),
    ]  # fmt: skip


def segment_device(place: Place) -> dict[str, str]:
    """Return what QEMU is told of the private network's card, plugged early or late: the guest sees no difference."""
    return {"driver": "virtio-net-pci", "netdev": "segment", "id": "segment", "bus": SEGMENT_PORT,
            "mac": place.mac, "romfile": ""}  # fmt: skip


def _path(path: Path) -> str:
    return str(path).replace(",", ",,")


def canonical(machine: Machine) -> str:
    """Return the description as it is kept beside a snapshot."""
    return json.dumps(asdict(machine), indent=1, sort_keys=True)
