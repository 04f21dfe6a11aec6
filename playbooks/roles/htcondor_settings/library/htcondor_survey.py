#!/usr/bin/python
"""Ansible module: what a host has of HTCondor, and where it says what. It changes nothing."""

from __future__ import annotations

import os
import re
import subprocess

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.host_record import read_text  # type: ignore[import-untyped]  # Ansible puts it there

DOCUMENTATION = r"""
module: htcondor_survey
short_description: What a host has of HTCondor, and where it says what
description:
  - Asks HTCondor itself what macros are and which file says so, and looks at the files that are read after another one.
  - Files that begin with the mark of these roles are theirs, and never count as the site's.
options:
  macros:
    description: The macros to ask for.
    type: list
    elements: str
    default: []
  file:
    description: The file that the roles write. What is read after it has the last word.
    type: path
    default: /etc/condor/config.d/90-lading-containers.config
  last:
    description: Macros that nobody may set after O(file); what is there is told under RV(later).
    type: list
    elements: str
    default: []
  port:
    description: The port of HTCondor's daemons.
    type: int
    default: 9618
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Ask what the host has of HTCondor
  htcondor_survey:
    macros: [SINGULARITY_JOB]
    last: [START]
"""

RETURN = r"""
there:
  description: Whether the host has HTCondor.
  returned: always
  type: bool
own:
  description: Whether these roles have made the pool that is there.
  returned: always
  type: bool
said:
  description: Macro to value and file, of those that the site sets. A default is not listed.
  returned: always
  type: dict
later:
  description: Lines of the site's files that are read after O(file) and set one of O(last).
  returned: always
  type: list
taken:
  description: Whether something else than HTCondor listens on O(port).
  returned: always
  type: bool
"""

MARK = "# Written by lading's role"
LISTENING = "0A"


def defined(output: str) -> tuple[str, str]:
    """Return the value of a macro and where it is set, from `condor_config_val -verbose`; a default is set nowhere.

    >>> defined("START = true\\n # at: /etc/condor/config.d/50-site.config, line 3\\n # raw: START = true\\n")
    ('true', '/etc/condor/config.d/50-site.config:3')
    >>> defined("SINGULARITY_JOB = false\\n # at: <Default>\\n # raw: SINGULARITY_JOB = false\\n")
    ('false', '')
    """
    value = re.match(r"\S+ = (.*)", output)
    where = re.search(r"^ # at: ([^<\n,][^,\n]*), line (\d+)", output, re.MULTILINE)
    return (value.group(1).strip() if value else "", f"{where.group(1)}:{where.group(2)}" if where else "")


def later(files: list[str], ours: str, names: list[str]) -> list[str]:
    """Return the lines that set one of some macros in files that are read after ours."""
    after, found = False, []
    for path in files:
        if path == ours:
            after = True
            continue
        text = read_text(path)
        if not (after or (os.path.dirname(path) == os.path.dirname(ours) and path > ours)) or text.startswith(MARK):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            name = re.match(r"\s*(\w+)\s*=", line)
            # What a macro adds to itself has nothing to say against us.
            if name and name.group(1).upper() in names and f"$({name.group(1).upper()})" not in line.upper():
                found.append(f"{path}:{number}: {line.strip()}")
    return found


def config_val(*words: str) -> str:
    """Ask HTCondor for its configuration; nothing where there is none."""
    try:
        done = subprocess.run(["condor_config_val", *words], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def listens(port: int) -> bool:
    """Say whether something listens on a port."""
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read_text(file).splitlines()[1:]:
            words = line.split()
            if len(words) > 3 and words[3] == LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                return True
    return False


def running() -> bool:
    """Say whether systemd has HTCondor's unit up."""
    try:
        return subprocess.run(["systemctl", "is-active", "--quiet", "condor"], check=False).returncode == 0
    except OSError:
        return False


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "macros": {"type": "list", "elements": "str", "default": []},
            "file": {"type": "path", "default": "/etc/condor/config.d/90-lading-containers.config"},
            "last": {"type": "list", "elements": "str", "default": []},
            "port": {"type": "int", "default": 9618},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    files = [line.strip() for line in config_val("-config").splitlines() if line.strip().startswith("/")]
    said = {name: defined(config_val("-verbose", name)) for name in wanted["macros"]} if files else {}
    module.exit_json(
        changed=False,
        there=bool(files),
        own=read_text("/etc/condor/config.d/20-lading-pool.config").startswith(MARK),
        said={
            name: {"value": value, "at": at}
            for name, (value, at) in said.items()
            if at and not read_text(at.rpartition(":")[0]).startswith(MARK)
        },
        later=later(files, wanted["file"], [name.upper() for name in wanted["last"]]),
        taken=listens(wanted["port"]) and not running(),
    )


if __name__ == "__main__":
    main()
