#!/usr/bin/python
"""Ansible module: what a host has of Apptainer and its forerunners, and what it is offered. It changes nothing."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.host_record import (  # type: ignore[import-untyped]  # Ansible puts it there
    booted,
    read_text,
)

DOCUMENTATION = r"""
module: apptainer_survey
short_description: What a host has of Apptainer and its forerunners, and what it is offered
description:
  - Asks the package system, the apt sources and the usual places, in one call. Changes nothing.
options:
  record:
    description: The role's record on the host.
    type: path
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Ask the host what it has
  apptainer_survey:
    record: /var/lib/lading/apptainer.json
  register: apptainer_survey
"""

RETURN = r"""
version:
  description: Upstream version of the installed package; 0 when it is not installed.
  returned: always
  type: str
offered:
  description: Upstream version of apt's candidate; 0 when there is none or when the host has no apt.
  returned: always
  type: str
lists:
  description: Whether apt has fetched its package lists, so that O(offered) means something.
  returned: always
  type: bool
setuid_packages:
  description: Installed packages that bring a setuid starter.
  returned: always
  type: list
setuid_starters:
  description: Setuid starters on the host, whether from a package or not.
  returned: always
  type: list
leftovers:
  description: Files and folders that an upgrade or a migration left to merge or delete.
  returned: always
  type: list
apt_source:
  description: URI and key of the apt source for the host's own release.
  returned: always
  type: dict
taken_over:
  description: Links of somebody's own, with where they lead, whose names the package takes over.
  returned: always
  type: list
userns_restricted:
  description: Whether AppArmor denies user namespaces to programs without a profile. Not asked in an image build.
  returned: always
  type: bool
recorded:
  description: What the role remembers of this host, by kind.
  returned: always
  type: list
"""

STARTERS = ("/usr/libexec/*/bin/starter-suid", "/usr/local/libexec/*/bin/starter-suid", "/usr/lib/*/*/bin/starter-suid",
            "/usr/lib/*/bin/starter-suid", "/opt/*/libexec/*/bin/starter-suid")  # fmt: skip
# The package's alternatives take these over from whoever else has made a link there.
FORMER_COMMANDS = ("/usr/bin/singularity", "/usr/bin/run-singularity")
APPARMOR_RESTRICTS = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
LEFTOVER_ENDINGS = (".rpmnew", ".rpmsave", ".rpmorig", ".dpkg-dist", ".dpkg-new", ".dpkg-old", ".ucf-dist")


def upstream_version(version: str) -> str:
    """Return the upstream part of a package version, 0 when there is none.

    >>> upstream_version("1:1.4.5-2+b1"), upstream_version("1.5.0~rc.1-1.el9"), upstream_version("(none)")
    ('1.4.5', '1.5.0', '0')
    """
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return match[1] if match else "0"


def one_line_sources(text: str) -> Iterator[dict[str, str]]:
    """Yield the entries of a sources.list.

    >>> list(one_line_sources("deb [signed-by=/k.gpg] http://mirror/debian trixie main"))
    [{'uri': 'http://mirror/debian', 'suites': 'trixie', 'signed_by': '/k.gpg'}]
    """
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)", line)
        if match:
            key = re.search(r"signed-by=(\S+)", match[1] or "")
            yield {"uri": match[2], "suites": match[3], "signed_by": key[1] if key else ""}


def deb822_sources(text: str) -> Iterator[dict[str, str]]:
    """Yield the enabled entries of a .sources file; a key inside the file keeps its continuation lines."""
    for stanza in re.split(r"\n\s*\n", text):
        plain = "\n".join(line for line in stanza.splitlines() if not line.startswith("#"))
        fields = {
            match[1].lower(): match[2].rstrip()
            for match in re.finditer(r"^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)", plain, re.MULTILINE)
        }
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in ("no", "false"):
            uri = (fields.get("uris", "").split() or [""])[0]
            yield {"uri": uri, "suites": fields.get("suites", ""), "signed_by": fields.get("signed-by", "")}


def release_source(sources: list[dict[str, str]], codename: str) -> dict[str, str]:
    """Return the first source of the host's own release, empty when it has none."""
    return next((source for source in sources if codename in source["suites"].split()), {})


def apt_sources() -> list[dict[str, str]]:
    """Return every apt source of the host."""
    lists = ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*.list"))]
    found = [entry for path in lists for entry in one_line_sources(read_text(path))]
    stanzas = sorted(glob.glob("/etc/apt/sources.list.d/*.sources"))
    return found + [entry for path in stanzas for entry in deb822_sources(read_text(path))]


def installed_version(module: AnsibleModule) -> str:
    """Return the version of the installed package, empty when it is not installed."""
    if shutil.which("dpkg-query"):
        command = ["dpkg-query", "-W", "-f", r"${db:Status-Abbrev}\t${Version}", "apptainer"]
    else:
        command = ["rpm", "-q", "--qf", r"ii \t%{VERSION}", "apptainer"]
    status, _, version = module.run_command(command)[1].partition("\t")
    return version if status[:2] in ("ii", "hi") else ""


def owners(module: AnsibleModule, paths: list[str]) -> list[str]:
    """Return the packages that files belong to; a file of no package has none."""
    if not paths:
        return []
    if shutil.which("dpkg-query"):
        answer = module.run_command(["dpkg-query", "-S", *paths])[1]
        return sorted({re.split(r"[:,]", line)[0] for line in answer.splitlines()})
    answer = module.run_command(["rpm", "-qf", "--qf", r"%{NAME}\n", *paths])[1]
    return sorted({line for line in answer.splitlines() if " " not in line})


def setuid_starters() -> list[str]:
    """Return the starters that carry the setuid bit."""
    found = sorted({os.path.realpath(path) for pattern in STARTERS for path in glob.glob(pattern)})
    return [path for path in found if os.stat(path).st_mode & stat.S_ISUID]


def leftovers() -> list[str]:
    """Return what an upgrade or a migration left behind."""
    found = ["/etc/singularity"] if os.path.isdir("/etc/singularity") else []
    for folder, _, names in (*os.walk("/etc/apptainer"), *os.walk("/etc/singularity")):
        found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(LEFTOVER_ENDINGS)]
    return found


def taken_over() -> list[str]:
    """Return the former commands that are somebody's own links, each with where it leads."""
    links = {path: os.readlink(path) for path in FORMER_COMMANDS if os.path.islink(path)}
    return [f"{path} -> {to}" for path, to in links.items() if not to.startswith(("/etc/alternatives/", "apptainer"))]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"record": {"type": "path", "required": True}}, supports_check_mode=True)
    starters, has_apt = setuid_starters(), bool(shutil.which("apt-cache"))
    candidate = ""
    if has_apt:
        answer = module.run_command(["apt-cache", "policy", "apptainer"], environ_update={"LC_ALL": "C"})[1]
        candidate = (re.findall(r"Candidate: (\S+)", answer) or [""])[0]
    codename = re.search(r"^VERSION_CODENAME=\"?(\w+)", read_text("/etc/os-release"), re.MULTILINE)
    module.exit_json(
        changed=False,
        version=upstream_version(installed_version(module)),
        offered=upstream_version(candidate),
        lists=bool(glob.glob("/var/lib/apt/lists/*Packages*")),
        setuid_packages=owners(module, starters),
        setuid_starters=starters,
        leftovers=leftovers(),
        apt_source=release_source(apt_sources(), codename[1]) if has_apt and codename else {},
        taken_over=taken_over(),
        userns_restricted=booted() and read_text(APPARMOR_RESTRICTS).strip() == "1",
        recorded=sorted(json.loads(read_text(module.params["record"]) or "{}")),
    )


if __name__ == "__main__":
    main()
