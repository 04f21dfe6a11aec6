"""How units are enabled, and which run."""

from __future__ import annotations

import os
import shutil

from lading.state.collector.asking import Items, ask, stanzas

PROPERTIES = "Id,Type,RemainAfterExit,TriggeredBy,BusName,ActiveState,UnitFileState,NeedDaemonReload"
TOLD = ("*.service", "*.socket", "*.timer", "*.path")


def units() -> Items:
    """Return how each unit file is enabled, and what runs; no systemd, no units."""
    if not shutil.which("systemctl"):
        return {}
    listing = ask("systemctl", "list-unit-files", "--no-legend", "--no-pager", "--full")
    items = unit_files(listing)
    if os.path.isdir("/run/systemd/system"):
        shown = ask("systemctl", "show", "--no-pager", f"--property={PROPERTIES}", *TOLD)
        failed = ask("systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", "--full")
        add_active(items, shown, failed)
    return items


def unit_files(listing: str) -> Items:
    """Return the enablement of unit files; transient ones are made for one command."""
    rows = (line.split() for line in listing.splitlines())
    return {f"unit:{row[0]}": {"file": row[1]} for row in rows if len(row) > 1 and row[1] != "transient"}


def add_active(items: Items, shown: str, failed: str) -> None:
    """Add to units whether they are active. An inactive one has no word for it, whether it is loaded or not."""
    for unit in stanzas(shown, "="):
        seen = {}
        if stays(unit) and unit["ActiveState"] not in {"inactive", "failed"}:
            seen["state"] = unit["ActiveState"].replace("reloading", "active")
        if unit.get("NeedDaemonReload") == "yes":
            seen["reload"] = "needed"
        # Instances of templates are in no list of files; one that says nothing by itself is not worth an item.
        if seen:
            items.setdefault(f"unit:{unit['Id']}", {"file": unit.get("UnitFileState", "")}).update(seen)
    for line in failed.splitlines():
        items.setdefault(f"unit:{line.split()[0]}", {})["state"] = "failed"


def stays(unit: dict[str, str]) -> bool:
    """Tell whether a unit runs or not because somebody said so, and not because of a moment's need.

    Static units are pulled in by others, a disabled one with a trigger or a bus name starts when it is called, and a
    oneshot ends by itself. What waits for the network does so at a boot at which another unit asks for it.
    """
    if unit["Id"].endswith("-wait-online.service"):
        return False
    state = unit.get("UnitFileState", "")
    on_call = unit.get("TriggeredBy") or unit.get("BusName")
    if state in {"", "static", "indirect", "transient", "alias"} or (on_call and not state.startswith("enabled")):
        return False
    return unit.get("Type") != "oneshot" or unit.get("RemainAfterExit") == "yes"
