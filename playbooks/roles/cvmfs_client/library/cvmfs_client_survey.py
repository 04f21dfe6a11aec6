#!/usr/bin/python
"""Ansible module: ask a host all that the role cvmfs_client has to know of it, and say what its settings contradict."""

from __future__ import annotations

import glob
import os
import re
import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.cvmfs_settings import contradictions  # type: ignore[import-untyped]  # Ansible puts it there
from ansible.module_utils.host_record import booted, read_text  # type: ignore[import-untyped]  # as above

DOCUMENTATION = r"""
module: cvmfs_client_survey
short_description: Ask a host what the role cvmfs_client has to know, and hold the settings against it
description:
  - Changes nothing. One call, because a task is what costs time on a large farm or a slow host.
options:
  record:
    description: The JSON file on the host that remembers what the role has changed.
    type: path
    required: true
  settings:
    description: What the role is to set, in the role's own words.
    type: dict
    required: true
  clients:
    description: How many clients the site has.
    type: int
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Hold the settings against each other and against the host
  cvmfs_client_survey:
    record: /var/lib/lading/cvmfs_client.json
    settings: "{{ cvmfs_client_settings }}"
    clients: 500
"""

RETURN = r"""
contradictions:
  description: What is wrong, a sentence each.
  returned: always
  type: list
installed:
  description: Those of the packages that are installed.
  returned: always
  type: list
source_is_there:
  description: Whether the repository is there as it is wanted.
  returned: always
  type: bool
fstab_without:
  description: /etc/fstab without the role's own lines.
  returned: always
  type: str
fstab_has_own:
  description: Whether it has such lines.
  returned: always
  type: bool
own_mounts:
  description: The repositories in these lines.
  returned: always
  type: list
in_use:
  description: Processes that use something below /cvmfs.
  returned: always
  type: list
recorded:
  description: Whether the role has been here.
  returned: always
  type: bool
codename:
  description: The release's code name, by which apt repositories go.
  returned: always
  type: str
"""

BEGIN = "# BEGIN repositories, written by Ansible (role cvmfs_client)\n"
END = "# END repositories, written by Ansible (role cvmfs_client)\n"
AUTOFS_FILE = "/etc/auto.master.d/cvmfs.autofs"
SOURCES = ("/etc/apt/sources.list.d/lading-cvmfs.sources", "/etc/yum.repos.d/lading-cvmfs.repo")


def without_own(fstab: str) -> tuple[str, list[str]]:
    """Return fstab without the role's block, and the repositories in the block."""
    before, begin, rest = fstab.partition(BEGIN)
    own, end, after = rest.partition(END)
    if not begin or not end:
        return fstab if fstab.endswith("\n") or not fstab else fstab + "\n", []
    return before + after, [line.split()[0] for line in own.splitlines() if line.strip()]


def mounted_by(fstab: str) -> list[str]:
    """Return the repositories that an fstab mounts.

    >>> mounted_by("a.example /cvmfs/a.example cvmfs defaults 0 0\\n# b.example /cvmfs/b.example cvmfs defaults 0 0\\n")
    ['a.example']
    """
    rows = (line.split() for line in fstab.splitlines() if not line.lstrip().startswith("#"))
    return [row[0] for row in rows if len(row) > 2 and row[2] == "cvmfs"]


def automounted(texts: dict[str, str]) -> list[str]:
    """Return the master maps that give /cvmfs to automount, but for the one that the role and `cvmfs_config` write."""
    found = []
    for path, text in sorted(texts.items()):
        rows = [line.split() for line in text.splitlines()]
        if path != AUTOFS_FILE and any(row and row[0].rstrip("/") == "/cvmfs" for row in rows):
            found.append(path)
    return found


def file_system(mountinfo: str, path: str) -> str:
    """Return the type of the file system that a path is on, or would be."""
    best, kind = "", "unknown"
    for line in mountinfo.splitlines():
        words = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), words[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, words[words.index("-") + 1]
    return kind


def room_for(path: str) -> int:
    """Return the bytes that a cache in a folder could have: what is free, and what it holds already."""
    existing = path
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    told = os.statvfs(existing)
    held = 0
    for folder, _, names in os.walk(path):
        for name in names:
            held += _blocks(os.path.join(folder, name))
    return told.f_bavail * told.f_frsize + held


def _blocks(path: str) -> int:
    try:
        return os.lstat(path).st_blocks * 512
    except OSError:  # gone meanwhile
        return 0


def users_of(root: str) -> list[str]:
    """Return the processes with a working folder, a root or an open file below a folder, in whatever namespace."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        links = [f"/proc/{pid}/cwd", f"/proc/{pid}/root", f"/proc/{pid}/exe", *glob.glob(f"/proc/{pid}/fd/*")]
        if any(_target(link).startswith(root) for link in links):
            found.append(f"{read_text(f'/proc/{pid}/comm').strip()} ({pid})")
    return found


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def is_source(settings: dict[str, Any], suite: str, texts: dict[str, str]) -> bool:
    """Say whether a file of package sources is what the role would write now; of keys, their fingerprints count."""
    wanted = [settings["repository_url"] + "/", *settings["key_fingerprints"]]
    for path, text in texts.items():
        lines = [f"Suites: {suite}\n"] if path.endswith(".sources") else []
        if all(said in text for said in [*wanted, *lines]):
            return True
    return False


def codename() -> str:
    """Return the release's code name, by which apt's suites go; EL has none."""
    found = re.search(r"^VERSION_CODENAME=(\S+)$", read_text("/etc/os-release"), re.MULTILINE)
    return found[1] if found else ""


class Survey:
    """What a host answers."""

    def __init__(self, module: AnsibleModule) -> None:
        """Take what was asked."""
        self.module = module
        self.settings = module.params["settings"]
        self.fstab, self.own = without_own(read_text("/etc/fstab"))

    def host(self) -> dict[str, object]:
        """Return what settings can contradict."""
        maps = ["/etc/auto.master", *glob.glob("/etc/auto.master.d/*.autofs")]
        base = self.settings["cache_base"]
        # Where an image is built, the file system is that of the machine that builds.
        kind = file_system(read_text("/proc/self/mountinfo"), base) if booted() else "unknown"
        return {
            "installed": self.installed(),
            "lists": self.has_lists(),
            "offered": self.offered(),
            "foreign_fstab": mounted_by(self.fstab),
            "foreign_autofs": automounted({path: read_text(path) for path in maps}),
            "cache": {"kind": kind, "room": room_for(base)},
        }

    def installed(self) -> list[str]:
        """Return which of the packages are there."""
        names = self.settings["packages"]
        if shutil.which("dpkg-query"):
            told = self.module.run_command(["dpkg-query", "-W", "-f", r"${db:Status-Status} ${Package}\n", *names])[1]
            return [line.split()[1] for line in told.splitlines() if line.startswith("installed ")]
        told = self.module.run_command(["rpm", "-q", "--qf", "%{NAME}\n", *names])[1]
        return [name for name in names if name in told.splitlines()]

    def has_lists(self) -> bool:
        """Say whether apt has fetched its lists; with dnf nothing is known before it is asked to install."""
        return bool(glob.glob("/var/lib/apt/lists/*Packages*"))

    def offered(self) -> list[str]:
        """Return which of the packages apt finds in the host's repositories."""
        if not shutil.which("apt-cache"):
            return []
        told = self.module.run_command(["apt-cache", "policy", *self.settings["packages"]])[1]
        stanzas = re.findall(r"^(\S+):\n.*\n  Candidate: (.*)$", told, re.MULTILINE)
        return [name for name, candidate in stanzas if candidate != "(none)"]

    def source_is_there(self) -> bool:
        """Say whether the repository is the wanted one, with the wanted suite and keys."""
        suite = self.settings["repository_suite"] or f"{codename()}-prod"
        return is_source(self.settings, suite, {path: read_text(path) for path in SOURCES})


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "record": {"type": "path", "required": True},
            "settings": {"type": "dict", "required": True},
            "clients": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    survey = Survey(module)
    host = survey.host()
    module.exit_json(
        changed=False,
        contradictions=contradictions(module.params["settings"], host, module.params["clients"]),
        installed=host["installed"],
        source_is_there=survey.source_is_there(),
        fstab_without=survey.fstab,
        fstab_has_own=bool(survey.own),
        own_mounts=survey.own,
        in_use=users_of("/cvmfs/"),
        recorded=os.path.exists(module.params["record"]),
        codename=codename(),
    )


if __name__ == "__main__":
    main()
