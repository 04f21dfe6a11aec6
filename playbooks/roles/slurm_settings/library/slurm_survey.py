#!/usr/bin/python
"""Ansible module: what a host has of Slurm, and what of its settings has to be otherwise. It changes nothing."""

from __future__ import annotations

import glob
import os
import re
import socket
import subprocess

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.host_record import read_text  # type: ignore[import-untyped]  # Ansible puts it there

DOCUMENTATION = r"""
module: slurm_survey
short_description: What a host has of Slurm, and what of its settings has to be otherwise
description:
  - Reads the files of Slurm, with what they include, and asks the kernel and systemd, in one call. Changes nothing.
  - Files that begin with the mark of these roles are theirs, and never count as the site's.
options:
  folder:
    description: Where Slurm's settings are.
    type: path
    default: /etc/slurm
  wanted:
    description:
      - File to setting to value. With a leading '+' the value has to be among those that a comma separates.
      - With a leading '/' it is an expression that has to match.
      - A setting that nobody makes is told under RV(lacking); one that somebody makes otherwise under RV(contrary).
    type: dict
    default: {}
  files:
    description: Files that the roles write, and that are told under RV(foreign) if they are there without the mark.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Ask what the host has of Slurm
  slurm_survey:
    wanted:
      slurm.conf: {PrologFlags: +Contain}
"""

RETURN = r"""
there:
  description: Whether the host has a slurm.conf.
  returned: always
  type: bool
lacking:
  description: File to settings that are wanted and not made.
  returned: always
  type: dict
contrary:
  description: Settings of the site that are otherwise than wanted, with file and line.
  returned: always
  type: list
foreign:
  description: Which of O(files) are the site's own.
  returned: always
  type: list
present:
  description: Which of O(files) are there.
  returned: always
  type: list
units:
  description: Slurm's and munge's units that the host has, with their state.
  returned: always
  type: dict
taken:
  description: Which of Slurm's ports something else than Slurm listens on, with its name.
  returned: always
  type: list
steps:
  description: How many job steps run here.
  returned: always
  type: int
cpus:
  description: Processors of the host.
  returned: always
  type: int
memory:
  description: Memory of the host, in MiB.
  returned: always
  type: int
name:
  description: The host's short name, which is what Slurm calls it.
  returned: always
  type: str
"""

MARK = ("# Written by lading's role", "-- Written by lading's role")
UNITS = ("slurmctld", "slurmd", "munge")
PORTS = {6817: "slurmctld", 6818: "slurmd"}
LISTENING = "0A"
# Lines that define something by name; what stands on them are no settings of the cluster.
DEFINITIONS = ("nodename", "partitionname", "nodeset", "downnodes", "basepath", "include")
Setting = tuple[str, str, str]  # name in small letters, value, file:line


def settings(path: str, text: str, folder: str, depth: int = 0) -> list[Setting]:
    """Return the settings of a file in their order, with those of the files that it includes.

    >>> settings("/s", "ClusterName=a # b\\nPrologFlags = Alloc,X11\\nNodeName=n1 CPUs=1\\n", "/nowhere")
    [('clustername', 'a', '/s:1'), ('prologflags', 'Alloc,X11', '/s:2')]
    """
    found: list[Setting] = []
    for number, line in enumerate(text.splitlines(), 1):
        plain = re.sub(r"(?<!\\)#.*", "", line).strip()
        included = re.match(r"(?i)include\s+(\S+)$", plain)
        if included and depth < 9:
            other = os.path.join(folder, included.group(1))
            if not read_text(other).startswith(MARK):
                found += settings(other, read_text(other), folder, depth + 1)
            continue
        pair = re.match(r"(\w+)\s*=\s*(.*)$", plain)
        if pair and pair.group(1).lower() not in DEFINITIONS:
            found.append((pair.group(1).lower(), pair.group(2).strip().strip('"'), f"{path}:{number}"))
    return found


def meets(value: str, wanted: str) -> bool:
    """Say whether a value is as wanted.

    >>> meets("Alloc,contain", "+Contain"), meets("X11", "+Contain"), meets("YES", "yes"), meets("CR_Core", "/.*memory")
    (True, False, True, False)
    """
    if wanted.startswith("+"):
        # Slurm takes the names of plugins with and without their kind.
        parts = {re.sub(r"^(task|cli_filter)/", "", part.strip()) for part in value.lower().split(",")}
        return re.sub(r"^(task|cli_filter)/", "", wanted[1:].lower()) in parts
    if wanted.startswith("/"):
        return re.fullmatch(wanted[1:], value.lower()) is not None
    return value.lower() == wanted.lower()


def judge(made: list[Setting], wanted: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return which settings nobody makes, and which are made otherwise; of two the later counts, as Slurm has it.

    >>> judge([("a", "1", "f:1"), ("a", "2", "f:2")], {"A": "1", "B": "+x"})
    ({'B': 'x'}, ['f:2: A=2 (wanted: 1)'])
    """
    last = {name: (value, where) for name, value, where in made}
    lacking = {name: value.lstrip("+") for name, value in wanted.items() if name.lower() not in last}
    contrary = [
        f"{where}: {name}={value}" + ("" if wanted[name].startswith("/") else f" (wanted: {wanted[name].lstrip('+')})")
        for name in wanted
        if name.lower() in last
        for value, where in [last[name.lower()]]
        if not meets(value, wanted[name])
    ]
    # What only has to match has a default that does.
    return {name: value for name, value in lacking.items() if not value.startswith("/")}, contrary


def listeners() -> list[str]:
    """Return Slurm's ports on which something listens, as 'number'."""
    found = set()
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read_text(file).splitlines()[1:]:
            words = line.split()
            if len(words) > 3 and words[3] == LISTENING:
                found.add(int(words[1].rpartition(":")[2], 16))
    return [str(port) for port in PORTS if port in found]


def unit_states() -> dict[str, str]:
    """Return the state of the units that the host has; none where systemd does not answer."""
    argv = ["systemctl", "show", "--property=Id,LoadState,ActiveState", *(f"{unit}.service" for unit in UNITS)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return {}
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in done.stdout.strip().split("\n\n")]
    loaded = (block for block in blocks if block.get("LoadState") == "loaded")
    return {block["Id"].replace(".service", ""): block["ActiveState"] for block in loaded}


def steps(root: str = "/proc") -> int:
    """Return how many job steps run here. One more 'slurmstepd infinity' only keeps the cgroup of all of them."""
    return sum(read_text(path).startswith("slurmstepd: [") for path in glob.glob(f"{root}/[0-9]*/cmdline"))


def memory() -> int:
    """Return the host's memory in MiB."""
    found = re.search(r"MemTotal:\s+(\d+)", read_text("/proc/meminfo"))
    return int(found.group(1)) // 1024 if found else 0


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "default": "/etc/slurm"},
            "wanted": {"type": "dict", "default": {}},
            "files": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    folder = module.params["folder"]
    lacking, contrary = {}, []
    for name, wanted in module.params["wanted"].items():
        path = os.path.join(folder, name)
        text = read_text(path)
        made = [] if text.startswith(MARK) else settings(path, text, folder)
        lacking[name], wrong = judge(made, wanted)
        contrary += wrong
    units = unit_states()
    module.exit_json(
        changed=False,
        there=os.path.exists(os.path.join(folder, "slurm.conf")),
        lacking=lacking,
        contrary=contrary,
        foreign=[p for p in module.params["files"] if os.path.lexists(p) and not read_text(p).startswith(MARK)],
        present=[p for p in module.params["files"] if os.path.lexists(p)],
        units=units,
        taken=[f"{port}/tcp ({PORTS[int(port)]}'s)" for port in listeners() if PORTS[int(port)] not in units],
        steps=steps(),
        cpus=os.cpu_count() or 1,
        memory=memory(),
        name=socket.gethostname().split(".")[0],
    )


if __name__ == "__main__":
    main()
