#!/usr/bin/python
"""Ansible module: remember which packages an installation brought, and say which of them may go again."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.host_record import (  # type: ignore[import-untyped]  # Ansible puts it there
    Record,
    read_entry,
    read_file,
    read_record,
    write_record,
)

DOCUMENTATION = r"""
module: recorded_packages
short_description: Remember which packages an installation brought, and say which may go again
description:
  - Call it with O(step=before) and O(step=after) around an installation.
  - O(step=undo) tells what would put the host back. Nothing is installed or removed here.
  - Files that are not the packages' own, and would go with them, are noted for M(recorded_settings) to put back.
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
  also:
    description: Further packages that the same installation asks for; none of them counts as a dependency.
    type: list
    elements: str
    default: []
  keep:
    description:
      - Files, symbolic links and folders that a first installation may take over although somebody else put them there.
    type: list
    elements: path
    default: []
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
  description: >-
    With O(step=undo), packages that the installation brought and nothing else needs: with apt, once O(ignore:restore)
    is back; with dnf, as things are.
  returned: always
  type: list
restore:
  description: With O(step=undo), packages with the versions that the installation replaced or removed.
  returned: always
  type: list
edited:
  description: With O(step=undo), configuration files of these packages that somebody has edited; they stay.
  returned: always
  type: list
kept:
  description: With O(step=undo), packages that the installation brought and something else needs by now.
  returned: always
  type: list
unoffered:
  description: With O(step=undo), which of O(ignore:restore) apt does not find in the host's repositories.
  returned: always
  type: list
automatic:
  description: With O(step=undo), packages to restore that apt had counted as brought in by others.
  returned: always
  type: list
"""

# What a package manager leaves beside a configuration file, and the backups that dpkg purges with one.
DPKG_ASIDES = (".dpkg-dist", ".dpkg-new", ".dpkg-old")
RPM_ASIDES = (".rpmnew", ".rpmsave", ".rpmorig")
BACKUPS = ("~", ".bak", "%")
UCF = "/var/lib/ucf"
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


def parse_offer(text: str, version: str) -> Record | None:
    """Return what a version needs and provides, by `apt-cache show`, or None when no repository offers it.

    For a version that is unknown that program prints nothing and ends in 0; for one that is only installed, or was, it
    prints a stanza without the name of a file.

    >>> sorted(parse_offer("Version: 1-2\\nDepends: b (>= 2),\\n c | d\\nFilename: ./a.deb\\n", "1-2")["needs"])
    ['b', 'c', 'd']
    """
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE))
        if fields.get("Version") == version and "Filename" in fields:
            needs = ",".join(fields.get(name, "") for name in ("Pre-Depends", "Depends", "Recommends"))
            return {"needs": package_names(needs), "provides": package_names(fields.get("Provides", ""))}
    return None


def parse_conffiles(text: str) -> dict[str, str]:
    """Return path to MD5 of the configuration files as dpkg delivered them."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[0].startswith("/")}


def parse_ucf(registry: str, hashes: str, names: Collection[str]) -> dict[str, str]:
    """Return path to MD5 of the configuration files that packages keep by ucf, as they delivered them.

    dpkg knows nothing of these, and the packages remove them when they are purged, edited or not.

    >>> parse_ucf("nfs-common /etc/nfs.conf\\nother /etc/other\\n", "0123  /etc/nfs.conf\\n", {"nfs-common"})
    {'/etc/nfs.conf': '0123'}
    """
    owners = {row[1]: row[0] for line in registry.splitlines() if len(row := line.split(maxsplit=1)) == 2}
    delivered = {row[1]: row[0] for line in hashes.splitlines() if len(row := line.split(maxsplit=1)) == 2}
    return {path: md5 for path, md5 in delivered.items() if owners.get(path) in names}


def settle(record: Record, versions: dict[str, str], package: str, also: Collection[str] = ()) -> set[str]:
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
    if was_automatic := set(record.pop("automatic_before", [])) & set(gone):
        record["packages_automatic"] = sorted(was_automatic | set(record.get("packages_automatic", [])))
    return came - {package, *also}


def settle_asides(record: Record, now: dict[str, Record]) -> None:
    """Note what the installation left beside configuration files, so that the undo can remove it whatever it holds."""
    before: dict[str, Record] = record.pop("asides_before", {})
    for path, entry in now.items():
        if entry != before.get(path):
            known = {"former": before.get(path), "written": None}
            record.setdefault("files", {}).setdefault(path, known)


def read_text(path: str) -> str:
    """Return what a file holds, or nothing if there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as handle:
            return handle.read()
    except FileNotFoundError:
        return ""


def entries_below(paths: list[str]) -> dict[str, Record]:
    """Return what there is at these paths, and in the folders among them; package managers' own links do not count."""
    found = list(paths)
    for path in paths:
        found += [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    entries = {path: read_entry(path) for path in found if os.path.islink(path) or os.path.isfile(path)}
    return {
        path: entry
        for path, entry in entries.items()
        if entry is not None and not entry.get("link", "").startswith("/etc/alternatives/")
    }


def refresh(put_back: dict[str, Record], edited: list[str]) -> dict[str, Record]:
    """Return what to put back when the packages have gone: what was there before and what was edited, as it is now."""
    files = {path for path, entry in put_back.items() if "link" not in entry} | set(edited)
    now = {path: read_file(path) for path in files}
    return {**put_back, **{path: entry for path, entry in now.items() if entry is not None}}


class Dpkg:
    """Debian's and Ubuntu's packages."""

    def __init__(self, module: AnsibleModule) -> None:
        """Ask once for all."""
        self.module = module
        self.packages = parse_dpkg(module.run_command(["dpkg-query", "-W", "-f", DPKG_FORMAT], check_rc=True)[1])
        self.versions = {name: facts["version"] for name, facts in self.packages.items()}

    def automatic(self) -> set[str]:
        """Return the packages that apt counts as brought in by others."""
        return automatic(read_text("/var/lib/apt/extended_states")) & set(self.packages)

    def removable(self, added: set[str], asked: set[str], returning: dict[str, Record]) -> set[str]:
        """Return what may go of the packages that were brought, once the former versions are back."""
        candidates = added & set(self.packages)
        manual = candidates - self.automatic() - asked
        return candidates - needed(candidates, {**self.packages, **returning}, manual)

    def mark_automatic(self, names: set[str]) -> None:
        """Let apt count packages as brought in by others."""
        self.module.run_command(["apt-mark", "auto", *sorted(names)], check_rc=True)

    def conffiles(self, names: set[str]) -> dict[str, str]:
        """Return the configuration files of packages, with their MD5 as delivered."""
        if not names:
            return {}
        query = ["dpkg-query", "-W", "-f", r"${Conffiles}\n", *sorted(names)]
        ucf = [read_text(os.path.join(UCF, name)) for name in ("registry", "hashfile")]
        return {**parse_conffiles(self.module.run_command(query)[1]), **parse_ucf(*ucf, names)}

    def asides(self, package: str) -> dict[str, Record]:
        """Return what dpkg has left beside the configuration files of a package."""
        return entries_below([path + ending for path in self.conffiles({package}) for ending in DPKG_ASIDES])

    def edited(self, names: set[str]) -> list[str]:
        """Return the configuration files that differ from what dpkg delivered, and the backups beside all of them."""
        delivered = self.conffiles(names)
        changed = [p for p, md5 in delivered.items() if os.path.isfile(p) and self.module.md5(p) != md5]
        backups = [path + ending for path in delivered for ending in BACKUPS if os.path.isfile(path + ending)]
        return sorted(changed + backups)

    def offered(self, versions: dict[str, str]) -> dict[str, Record]:
        """Return what these versions need and provide, without those that no repository of the host offers."""
        asked = {n: self.module.run_command(["apt-cache", "show", f"{n}={v}"])[1] for n, v in versions.items()}
        offers = {name: parse_offer(text, versions[name]) for name, text in asked.items()}
        return {name: offer for name, offer in offers.items() if offer is not None}

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

    def removable(self, added: set[str], _asked: set[str], _returning: dict[str, Record]) -> set[str]:
        """Return what may go as things are: rpm's own rehearsal names what something else needs."""
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

    def automatic(self) -> set[str]:
        """Return nothing: dnf keeps this right by itself."""
        return set()

    def mark_automatic(self, _names: set[str]) -> None:
        """Do nothing: dnf keeps this right by itself."""

    def asides(self, package: str) -> dict[str, Record]:
        """Return what rpm has left beside the configuration files of a package."""
        paths = self.module.run_command(["rpm", "-qc", package])[1].split()
        return entries_below([path + ending for path in paths for ending in RPM_ASIDES])

    def offered(self, versions: dict[str, str]) -> dict[str, Record]:
        """Return all of them, unseen: dnf itself refuses a transaction of versions that it does not find."""
        return {name: {} for name in versions}

    def edited(self, _names: set[str]) -> list[str]:
        """Return nothing: rpm itself keeps what was edited, as .rpmsave."""
        return []

    def specification(self, name: str, version: str) -> str:
        """Return how dnf is told a version."""
        return f"{name}-{version}"


class Installation:
    """What the module does at each step, with the record that it works on."""

    def __init__(self, module: AnsibleModule) -> None:
        """Read the record and ask the package system."""
        self.module = module
        self.package: str = module.params["package"]
        self.also: list[str] = module.params["also"]
        self.system: Dpkg | Rpm = Dpkg(module) if shutil.which("dpkg-query") else Rpm(module)
        self.record: Record = read_record(module.params["record"])

    def before(self) -> dict[str, list[str]]:
        """Note what there is, once: a run that was stopped half-way goes on with the first note."""
        if "packages_before" not in self.record:
            self.record["packages_before"] = self.system.versions
            self.record["automatic_before"] = sorted(self.system.automatic())
            if self.package in self.system.versions:
                self.record["asides_before"] = self.system.asides(self.package)
            elif entries := entries_below(self.module.params["keep"]):
                self.record.setdefault("put_back", entries)
        return {}

    def after(self) -> dict[str, list[str]]:
        """Turn the note into what the installation did."""
        if "asides_before" in self.record:
            settle_asides(self.record, self.system.asides(self.package))
        dependencies = settle(self.record, self.system.versions, self.package, self.also)
        if dependencies and not self.module.check_mode:
            self.system.mark_automatic(dependencies)
        return {}

    def undo(self) -> dict[str, list[str]]:
        """Tell what would put the host back, and note the files that would go with the packages but must not."""
        self.after()
        versions, added = self.system.versions, set(self.record.get("packages_added", []))
        former = self.record.get("packages_replaced", {})
        restore = {name: version for name, version in sorted(former.items()) if versions.get(name) != version}
        offered = self.system.offered(restore)
        remove = self.system.removable(added, {self.package, *self.also}, offered)
        edited = self.system.edited(remove)
        if put_back := refresh(self.record.get("put_back", {}), edited):
            self.record["put_back"] = put_back
        return {
            "remove": sorted(remove),
            "edited": edited,
            "kept": sorted((added & set(versions)) - remove),
            "restore": [self.system.specification(name, version) for name, version in restore.items()],
            "unoffered": [self.system.specification(n, v) for n, v in restore.items() if n not in offered],
            "automatic": sorted(set(self.record.get("packages_automatic", [])) & set(restore)),
        }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "record": {"type": "path", "required": True},
            "package": {"type": "str", "required": True},
            "also": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "list", "elements": "path", "default": []},
            "step": {"choices": ["before", "after", "undo"], "required": True},
        },
        supports_check_mode=True,
    )
    run, path, step = Installation(module), module.params["record"], module.params["step"]
    known = read_record(path)
    told = {"before": run.before, "after": run.after, "undo": run.undo}[step]()
    changed = run.record != known
    if changed and not module.check_mode:
        write_record(path, run.record)
    nothing: dict[str, list[str]] = {
        key: [] for key in ("remove", "edited", "kept", "restore", "unoffered", "automatic")
    }
    # The undo's own notes go with the record, so they are no change of the host's.
    version = run.system.versions.get(run.package, "")
    module.exit_json(**{**nothing, **told}, changed=changed and step != "undo", version=version)


if __name__ == "__main__":
    main()
