"""Unit files as systemd reads them, for a tree in which no systemd runs that could be asked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from ansible.module_utils.host_record import read_text  # type: ignore[import-untyped]  # Ansible puts it there

UNIT_FOLDERS = (
    "/etc/systemd/system.control",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator.early",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
SECTIONS = {"service": "Service", "socket": "Socket", "mount": "Mount", "swap": "Swap"}
YES = ("1", "yes", "y", "true", "t", "on")
NO = ("0", "no", "n", "false", "f", "off")

Block = dict[str, str]


def units_on_disk(folders: Iterable[str] = UNIT_FOLDERS) -> list[str]:
    """Return the units that can have a network namespace, aliases too, by file name."""
    found = {name for folder in folders if os.path.isdir(folder) for name in os.listdir(folder)}
    return sorted(name for name in found if name.rpartition(".")[2] in SECTIONS and "." in name)


def unit_blocks(folders: Sequence[str] = UNIT_FOLDERS) -> list[Block]:
    """Return for each unit on disk what `systemctl show` would say of it; no unit is active.

    What generators make at boot is not known here.
    """
    blocks = {}
    for name in units_on_disk(folders):
        unit = real_name(name, folders)
        blocks[unit] = unit_block(unit, folders)
    return list(blocks.values())


def find(name: str, folders: Iterable[str]) -> str:
    """Return the file of that name in the first folder that has it, empty when none has."""
    paths = (os.path.join(folder, name) for folder in folders)
    return next((path for path in paths if os.path.lexists(path)), "")


def real_name(name: str, folders: Sequence[str]) -> str:
    """Return the unit that a name stands for: an alias is a link to a unit's file of another name."""
    path = find(name, folders)
    target = os.path.basename(os.path.realpath(path)) if os.path.islink(path) else name
    return target if target.rpartition(".")[2] in SECTIONS else name


def unit_block(unit: str, folders: Sequence[str]) -> Block:
    """Return what `systemctl show` would say of a unit."""
    path = find(unit, folders)
    paths = drop_ins(unit, folders)
    # An empty file and a link to /dev/null both mask a unit.
    state = "loaded" if read_text(path) else "masked" if os.path.exists(path) else "not-found"
    private = wants_network([read_text(each) for each in (path, *paths)], SECTIONS[unit.rpartition(".")[2]])
    return {
        "Id": unit,
        "LoadState": state,
        "DropInPaths": " ".join(paths),
        "PrivateNetwork": "yes" if private else "no",
    }


def drop_ins(unit: str, folders: Sequence[str]) -> list[str]:
    """Return a unit's drop-ins in the order in which systemd reads them: by file name, wherever they lie."""
    by_name: dict[str, str] = {}
    for owner in drop_in_owners(unit):
        for folder in folders:
            place = os.path.join(folder, f"{owner}.d")
            for name in os.listdir(place) if os.path.isdir(place) else []:
                if name.endswith(".conf"):
                    by_name.setdefault(name, os.path.join(place, name))
    return [by_name[name] for name in sorted(by_name)]


def drop_in_owners(unit: str) -> list[str]:
    """Return the names whose drop-in folders a unit has, the most specific first.

    >>> drop_in_owners("a-b@.service")
    ['a-b@.service', 'a-.service', 'service']
    """
    stem, _, kind = unit.rpartition(".")
    words = stem.partition("@")[0].split("-")
    prefixes = ["-".join(words[:count]) + f"-.{kind}" for count in range(len(words) - 1, 0, -1)]
    return [unit, *prefixes, kind]


def wants_network(texts: Iterable[str], section: str) -> bool:
    """Say whether the last assignment of PrivateNetwork in a unit's files gives it a network namespace of its own.

    >>> wants_network(["[Service]\\nPrivateNetwork=yes\\n", "[Service]\\nPrivateNetwork=off\\n"], "Service")
    False
    """
    wanted = False
    for text in texts:
        inside = ""
        for line in re.sub(r"\\\n", " ", text).splitlines():
            key, _, value = (part.strip() for part in line.partition("="))
            if line.startswith("["):
                inside = line.strip().strip("[]")
            elif inside == section and key == "PrivateNetwork" and value.lower() in YES + NO:
                wanted = value.lower() in YES
    return wanted
