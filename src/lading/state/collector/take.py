"""All of a host's state, as one object."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import sys
import time
from collections.abc import Iterable
from typing import Any

from lading.state.collector.accounts import groups, makers, users
from lading.state.collector.asking import Items, read
from lading.state.collector.files import files
from lading.state.collector.kernel import modules, mounts, sysctls
from lading.state.collector.packages import packages
from lading.state.collector.sockets import sockets
from lading.state.collector.units import units


def take(patterns: Iterable[str]) -> dict[str, Any]:
    """Return the state, without the items that match a pattern."""
    skipped = re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)).match
    items: Items = {**packages(), **units(), **sockets(), **users(), **groups()}
    items.update(files(skipped, items))
    items.update({**sysctls(skipped), **mounts(read("/proc/self/mountinfo"), skipped), **modules()})
    names = dict(line.split("=", 1) for line in read("/etc/os-release").splitlines() if "=" in line)
    return {
        "format": "lading-state/1",
        "host": os.uname().nodename,
        "system": names.get("PRETTY_NAME", "").strip("\"'"),
        "kernel": os.uname().release,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "items": {name: items[name] for name in sorted(items) if not skipped(name)},
        "makers": makers(items),
    }


def main(patterns: Iterable[str]) -> None:
    """Print the state."""
    json.dump(take(patterns), sys.stdout, ensure_ascii=True, separators=(",", ":"))
    print()
