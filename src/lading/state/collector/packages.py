"""Which packages a host has, and who asked for them."""

from __future__ import annotations

import os
import shutil

from lading.state.collector.asking import Items, ask, read, stanzas


def packages() -> Items:
    """Return the installed packages, and those that left configuration files."""
    if shutil.which("dpkg-query"):
        fields = "${Package}\t${Architecture}\t${Version}\t${db:Status-Want}\t${db:Status-Status}\n"
        return dpkg_packages(ask("dpkg-query", "-W", "-f", fields), read("/var/lib/apt/extended_states"))
    return rpm_packages(ask("rpm", "-qa", "--qf", r"%{NAME}\t%{ARCH}\t%{EVR}\n"))


def dpkg_packages(listing: str, extended_states: str) -> Items:
    """Return dpkg's packages with apt's marks; apt writes down none but automatic ones."""
    rows = [line.split("\t") for line in listing.splitlines()]
    native = next((row[1] for row in rows if row[0] == "dpkg"), "")
    found = stanzas(extended_states, ": ")
    automatic = {(one.get("Package"), one.get("Architecture")) for one in found if one.get("Auto-Installed") == "1"}
    items: Items = {}
    for name, architecture, version, want, status in rows:
        if status == "not-installed":
            continue
        foreign = architecture not in {native, "all"}
        item = {"version": version, "architecture": architecture, "status": status}
        if status != "config-files":
            marked = (name, architecture if foreign else native) in automatic
            item["mark"] = "automatic" if marked else "manual"
        if want == "hold":
            item["held"] = "yes"
        items[f"package:{name}:{architecture}" if foreign else f"package:{name}"] = item
    return items


def rpm_packages(listing: str) -> Items:
    """Return rpm's packages; one of which several versions are installed, such as the kernel, names them all."""
    versions: dict[tuple[str, str], list[str]] = {}
    for name, architecture, version in sorted(line.split("\t") for line in listing.splitlines()):
        versions.setdefault((name, architecture), []).append(version)
    usual = {native_architecture(), "noarch", "(none)"}
    return {
        f"package:{name}" if architecture in usual else f"package:{name}:{architecture}": {
            "version": " ".join(found), "architecture": architecture, "status": "installed",
        }
        for (name, architecture), found in versions.items()
    }  # fmt: skip


def native_architecture() -> str:
    """Return what rpm calls the machine's own architecture."""
    return os.uname().machine
