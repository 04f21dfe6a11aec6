"""Layers: something that is done once to a fresh guest, and kept as a snapshot from which others start."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lading import process
from lading.lab.guest import Guest
from lading.lab.image import GuestImage, TestImageDefinition, digest
from lading.lab.machine import Machine

# Raised when what is done to a guest between a layer's `apply` and its snapshot changes.
LAYERING = 3
# What a run of Ansible leaves: its folder, and a session of sshd that would wait for ever for a client that is gone.
LEAVE = """
rm -rf ~root/.ansible
for try in $(seq 100); do
    [ -n "$(ss -Hnt state established '( sport = :22 )')" ] || break
    sleep 0.1
done
"""
# Memory that was used once would be written out although it is free, 1 GB after some packages were installed; zeros are
# not. MemFree is in KiB; 64 MiB are left for everything else.
ZERO = r"""
sync
echo 3 > /proc/sys/vm/drop_caches
perl -e 'open F, "<", "/proc/meminfo"; /^MemFree: *(\d+)/ and $free = $1 for <F>;
  $zeros = "\0" x (($free - 65536) * 1024) if $free > 65536'
"""


@dataclass(frozen=True)
class Layer:
    """What makes the guests of one host start otherwise than freshly booted.

    `apply` does it to a running guest, and may raise. `key` stands for all that decides what comes of it, but for the
    machine; `name` is what people are told. `images` are test images that what is applied counts on, and `drives` are
    disks that it serves. Both are there while it is applied and in each guest that has the layer; no layer holds them.
    """

    name: str
    key: str
    apply: Callable[[Guest], None]
    images: Mapping[str, TestImageDefinition] = field(default_factory=dict)
    drives: Mapping[str, TestImageDefinition] = field(default_factory=dict)

    def on(self, machine: Machine) -> str:
        """Return the key of the snapshot that has the layer on that machine."""
        return digest([machine.key, self.key, LAYERING])


def leave(guest: Guest) -> None:
    """Let a guest be as after its next boot, with nothing that reaches in from outside, and let go of memory.

    What an installation starts is not all that the next boot starts, and not all of it starts then. A host that has the
    layer has been booted since; otherwise whatever boots it first would seem to have changed these units.
    """
    process.run(["ssh", "-F", guest.ssh.config, "-O", "exit", guest.name], check=False)
    guest.reboot()
    guest.ask(LEAVE, 20)
    guest.ask(ZERO, 30, check=False)


def flatten(disk: Path, image: GuestImage) -> None:
    """Make a disk hold all that differs from its image's, so that it needs no other snapshot's disk below it."""
    process.run(["qemu-img", "rebase", "-q", "-f", "qcow2", "-F", "raw", "-b", image.disk, disk], timeout=600)
