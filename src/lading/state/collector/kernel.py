"""The kernel's settings, its mounts and its modules."""

from __future__ import annotations

import glob
import os
import re

from lading.state.collector.asking import Items, Skips, read


def sysctls(skipped: Skips) -> Items:
    """Return the kernel's settings; not those of virtual interfaces, which come and go with containers."""
    virtual = {os.path.basename(path) for path in glob.glob("/sys/devices/virtual/net/*")} - {"lo"}
    items: Items = {}
    for folder, inner, names in os.walk("/proc/sys"):
        parts = folder.split("/")[3:]
        # A folder whose keys would all be left out is not even entered.
        inner[:] = [name for name in inner if not skipped(f"sysctl:{'.'.join([*parts, name, 'any'])}")]
        if parts[:1] == ["net"] and virtual.intersection(parts[3:]):
            continue
        for name in names:
            # As sysctl(8) writes them: a dot inside a name, as in that of a VLAN, is a slash.
            item = "sysctl:" + ".".join(part.replace(".", "/") for part in [*parts, name])
            if not skipped(item):
                value = read_setting(f"{folder}/{name}")
                if value is not None:
                    items[item] = value
    return items


def read_setting(path: str) -> str | None:
    """Return a setting with single blanks, or None if it can only be written."""
    try:
        with open(path, "rb") as file:
            return " ".join(file.read().decode(errors="backslashreplace").split())
    except OSError:
        return None


PASSING_OPTIONS = ("size=", "nr_inodes=", "fd=", "pgrp=", "pipe_ino=")
"""Mount options that the kernel reckons from its memory, or that are numbers of open files."""


def mounts(mountinfo: str, skipped: Skips) -> Items:
    """Return the mounts that stay; what autofs mounted when somebody looked, and namespaces, do not."""
    rows = [line.split(" ") for line in mountinfo.splitlines()]
    types = {row[0]: row[row.index("-") + 1] for row in rows}
    items: Items = {}
    for row in rows:
        after = row.index("-")
        kind, source, options = row[after + 1 : after + 4]
        item = "mount:" + unescaped(row[4])
        if skipped(item) or types.get(row[1]) == "autofs" or kind == "nsfs":
            continue
        said = sorted({*row[5].split(","), *options.split(",")})
        kept = [option for option in said if not option.startswith(PASSING_OPTIONS)]
        # A later mount on the same place hides the earlier one.
        items[item] = {"source": unescaped(source), "type": kind, "options": ",".join(kept)}
    return items


def unescaped(text: str) -> str:
    """Return a path of mountinfo as it is: blanks and the like are octal there."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def modules() -> Items:
    """Return the loaded modules."""
    return {f"module:{line.split()[0]}": "loaded" for line in read("/proc/modules").splitlines()}
