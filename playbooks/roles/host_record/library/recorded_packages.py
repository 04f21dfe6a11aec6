#!/usr/bin/python
"""Ansible module: remember which packages an installation brought, and say which of them may go again."""

from __future__ import annotations

import os
import re
import shutil

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]
from ansible.module_utils.host_record import Record, read_record, write_record  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: recorded_packages
short_description: Remember which packages an installation brought, and say which may go again
description:
  - Call it with O(step=before) and O(step=after) around an installation.
  - O(step=undo) tells what would put the host back. Nothing is installed or removed here.
  - O(step=after) marks what came as a dependency as automatic, which apt does by itself
    but not when Ansible installs a package file.
options:
  record:
    description: The JSON file on the host that remembers.
    type: path
    required: true
  package:
    description:
      - The package that the installation is about.
      - The undo brings back its former version; versions of others stay.
    type: str
    required: true
  step:
    description: Which moment this is.
    type: str
    choices: [before, after, undo]
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Remember which packages were there
  recorded_packages:
    record: /var/lib/lading/apptainer.json
    package: apptainer
    step: before
"""

RETURN = r"""
version:
  description: Installed version of the package, empty when it is not installed.
  returned: always
  type: str
remove:
  description: With O(step=undo), packages that the installation brought and nothing else needs.
  returned: always
  type: list
restore:
  description: With O(step=undo), packages with the versions that the installation replaced or removed.
  returned: always
  type: list
edited:
  description: With O(step=undo), configuration files of these packages that somebody has edited.
  returned: always
  type: list
kept:
  description: With O(step=undo), packages that the installation brought and something else needs by now.
  returned: always
  type: list
"""

DPKG_FORMAT = r"${db:Status-Abbrev}\t${Package}\t${Version}\t${Pre-Depends},${Depends},${Recommends}\t${Provides}\n"


def package_names(relation: str) -> set[str]:
    """Return every name in a Debian relation field, alternatives and all.

    >>> sorted(package_names("libc6 (>= 2.38), default-mta | mail-transport-agent, python3:any"))
    ['default-mta', 'libc6', 'mail-transport-agent', 'python3']
    """
    return {name for item in re.split(r"[,|]", relation) if (name := re.split(r"[\s(:]", item.strip())[0])}


def needed(candidates: set[str], packages: dict[str, Record], manual: set[str]) -> set[str]:
    """Return the candidates that packages outside them need, or that somebody has marked as wanted.

    An alternative counts as a need: better to leave a package too many than to take one that is in use.
    """
    kept = candidates & manual
    while True:
        wanted: set[str] = set()
        for name, facts in packages.items():
            if name not in candidates or name in kept:
                wanted |= facts["needs"]
        more = {n for n in candidates - kept if wanted & ({n} | packages[n]["provides"])}
        if not more:
            return kept
        kept |= more


def parse_dpkg(text: str) -> dict[str, Record]:
    """Return the installed packages of dpkg-query's answer in DPKG_FORMAT."""
    rows = (line.split("\t") for line in text.splitlines())
    return {
        row[1]: {"version": row[2], "needs": package_names(row[3]), "provides": package_names(row[4])}
        for row in rows
        if row[0].startswith(("ii", "hi"))
    }


def automatic(extended_states: str) -> set[str]:
    """Return the packages that apt counts as brought in by others."""
    stanzas = extended_states.split("\n\n")
    return {
        match.group(1)
        for stanza in stanzas
        if "Auto-Installed: 1" in stanza and (match := re.search(r"^Package: (\S+)", stanza, re.MULTILINE))
    }


def parse_conffiles(text: str) -> dict[str, str]:
    """Return path to MD5 of the configuration files as dpkg delivered them."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[0].startswith("/")}


def settle(record: Record, versions: dict[str, str], package: str) -> set[str]:
    """Turn the versions noted before an installation into what it did; return the dependencies that came."""
    before: dict[str, str] | None = record.pop("packages_before", None)
    if before is None:
        return set()
    came = set(versions) - set(before)
    record["packages_added"] = sorted(set(record.get("packages_added", [])) | came)
    gone = {name: version for name, version in before.items() if name not in versions}
    if versions.get(package, before.get(package)) != before.get(package) and package in before:
        gone[package] = before[package]
    record["packages_replaced"] = {**gone, **record.get("packages_replaced", {})}
    return came - {package}


class Dpkg:
    """Debian's and Ubuntu's packages."""

    def __init__(self, module: AnsibleModule) -> None:
        """Ask once for all."""
        self.module = module
        self.packages = parse_dpkg(module.run_command(["dpkg-query", "-W", "-f", DPKG_FORMAT], check_rc=True)[1])
        self.versions = {name: facts["version"] for name, facts in self.packages.items()}

    def removable(self, added: set[str], package: str) -> set[str]:
        """Return what may go of the packages that were brought."""
        try:
            with open("/var/lib/apt/extended_states", encoding="utf-8") as handle:
                states = handle.read()
        except FileNotFoundError:
            states = ""
        candidates = added & set(self.packages)
        manual = candidates - automatic(states) - {package}
        return candidates - needed(candidates, self.packages, manual)

    def mark_automatic(self, names: set[str]) -> None:
        """Let apt count packages as brought in by others."""
        self.module.run_command(["apt-mark", "auto", *sorted(names)], check_rc=True)

    def edited(self, names: set[str]) -> list[str]:
        """Return the configuration files that differ from what dpkg delivered."""
        if not names:
            return []
        text = self.module.run_command(["dpkg-query", "-W", "-f", r"${Conffiles}\n", *sorted(names)])[1]
        return sorted(p for p, md5 in parse_conffiles(text).items() if os.path.isfile(p) and self.module.md5(p) != md5)

    def specification(self, name: str, version: str) -> str:
        """Return how apt is told a version."""
        return f"{name}={version}"


class Rpm:
    """Enterprise Linux's packages."""

    def __init__(self, module: AnsibleModule) -> None:
        """Ask once for all."""
        self.module = module
        query = ["rpm", "-qa", "--qf", r"%{NAME}\t%{EVR}\n"]
        self.versions = dict(line.split("\t") for line in module.run_command(query, check_rc=True)[1].splitlines())

    def removable(self, added: set[str], _package: str) -> set[str]:
        """Return what may go: rpm's own rehearsal names what something else needs."""
        candidates = added & set(self.versions)
        while candidates:
            code, out, err = self.module.run_command(["rpm", "-e", "--test", *sorted(candidates)])
            capabilities = sorted(set(re.findall(r"^\s*(\S+)(?: .*)? is needed by ", out + err, re.MULTILINE)))
            if code == 0 or not capabilities:
                return candidates if code == 0 else set()
            query = ["rpm", "-q", "--qf", r"%{NAME}\n", "--whatprovides", *capabilities]
            providers = candidates & set(self.module.run_command(query)[1].split())
            if not providers:
                return set()
            candidates -= providers
        return candidates

    def mark_automatic(self, _names: set[str]) -> None:
        """Do nothing: dnf gets this right by itself."""

    def edited(self, _names: set[str]) -> list[str]:
        """Return nothing: rpm itself keeps what was edited, as .rpmsave."""
        return []

    def specification(self, name: str, version: str) -> str:
        """Return how dnf is told a version."""
        return f"{name}-{version}"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "record": {"type": "path", "required": True},
            "package": {"type": "str", "required": True},
            "step": {"choices": ["before", "after", "undo"], "required": True},
        },
        supports_check_mode=True,
    )
    path, package, step = (module.params[key] for key in ("record", "package", "step"))
    system: Dpkg | Rpm = Dpkg(module) if shutil.which("dpkg-query") else Rpm(module)
    record = read_record(path)
    known = dict(record)
    dependencies: set[str] = set()
    if step == "before":
        record.setdefault("packages_before", system.versions)
    else:
        dependencies = settle(record, system.versions, package)
    if step != "undo" and record != known and not module.check_mode:
        if dependencies:
            system.mark_automatic(dependencies)
        write_record(path, record)
    added = set(record.get("packages_added", [])) if step == "undo" else set()
    remove = system.removable(added, package)
    restore = record.get("packages_replaced", {}) if step == "undo" else {}
    module.exit_json(
        changed=step != "undo" and record != known,
        version=system.versions.get(package, ""),
        remove=sorted(remove),
        edited=system.edited(remove),
        kept=sorted((added & set(system.versions)) - remove),
        restore=[system.specification(n, v) for n, v in sorted(restore.items()) if system.versions.get(n) != v],
    )


if __name__ == "__main__":
    main()
