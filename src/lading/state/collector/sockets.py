"""Who listens on which port."""

from __future__ import annotations

import glob
import os
import socket
import sys
from collections.abc import Iterator

from lading.state.collector.asking import Items, read

LISTENING = {"tcp": "0A", "udp": "07"}


def sockets() -> Items:
    """Return the TCP and UDP ports that somebody listens on, with the program."""
    found = {
        inode: (protocol, address, port)
        for protocol, state in LISTENING.items()
        for table in (protocol, protocol + "6")
        for address, port, inode in listening(read(f"/proc/net/{table}"), state)
    }
    programs = holders(set(found)) if found else {}
    first, last = (int(word) for word in (read("/proc/sys/net/ipv4/ip_local_port_range") or "32768 60999").split())
    items: Items = {}
    for inode, (protocol, address, port) in found.items():
        program = programs.get(inode, "kernel")
        # A UDP port of this range is a question that waits for its answer.
        asking = protocol == "udp" and first <= port <= last
        forwarded = program.startswith("sshd") and address.startswith(("127.", "[::1]"))
        if not asking and not forwarded:
            items[f"socket:{protocol}:{address}:{port}"] = {"program": program}
    return items


def listening(table: str, state: str) -> Iterator[tuple[str, int, str]]:
    """Yield address, port and inode of the sockets in a state, from a table of /proc/net."""
    for line in table.splitlines()[1:]:
        words = line.split()
        if words[3] == state:
            address, port = words[1].split(":")
            yield address_text(address), int(port, 16), words[9]


def address_text(hexadecimal: str) -> str:
    """Return an address of /proc/net, which has 32-bit words in the machine's byte order, as people write it."""
    words = [int(hexadecimal[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(hexadecimal), 8)]
    if len(words) == 1:
        return socket.inet_ntop(socket.AF_INET, words[0])
    return f"[{socket.inet_ntop(socket.AF_INET6, b''.join(words))}]"


def holders(inodes: set[str]) -> dict[str, str]:
    """Return the program of each socket: the oldest process that has it open, so that its children do not matter."""
    found: dict[str, str] = {}
    for pid in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        for descriptor in glob.glob(f"/proc/{pid}/fd/*"):
            try:
                target = os.readlink(descriptor)
            except OSError:  # gone meanwhile
                continue
            if target.startswith("socket:[") and target[8:-1] in inodes:
                found.setdefault(target[8:-1], read(f"/proc/{pid}/comm").strip())
    return found
