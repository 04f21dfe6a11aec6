#!/usr/bin/python
"""Ansible module: what switching network namespaces off would break on this host. It reads and changes nothing."""

from __future__ import annotations

import glob
import json
import os
import re

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.host_record import (  # type: ignore[import-untyped]  # Ansible puts it there
    booted,
    read_text,
)
from ansible.module_utils.sysctl_files import (  # type: ignore[import-untyped]  # Ansible puts it there
    conflicts,
    parse_sysctl,
    running_values,
    settings,
    sysctl_texts,
    values_at_boot,
)
from ansible.module_utils.unit_files import (  # type: ignore[import-untyped]  # Ansible puts it there
    SECTIONS,
    Block,
    unit_blocks,
    units_on_disk,
)

DOCUMENTATION = r"""
module: worker_namespaces_survey
short_description: What switching network namespaces off would break on this host
description:
  - Asks systemd, /proc and the usual places of container engines, in one call. Changes nothing.
  - Where systemd does not run, as when an image is built, unit files and sysctl files are read instead. What runs
    there is the build host's and is not asked about; what would start at boot is.
options:
  file:
    description: The sysctl file of the role.
    type: path
    required: true
  drop_in:
    description: File name of the role's drop-ins.
    type: str
    required: true
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
- name: Ask the host what would break
  worker_namespaces_survey:
    file: /etc/sysctl.d/90-max_net_namespaces.conf
    drop_in: 90-lading-network.conf
    record: /var/lib/lading/worker_namespaces.json
  register: worker_namespaces_survey
"""

RETURN = r"""
units:
  description: Units that want a network namespace of their own, by the name of their file.
  returned: always
  type: list
drop_ins:
  description: Path to content of the drop-ins that are missing.
  returned: always
  type: dict
stubborn:
  description: Units that want a network namespace although the role's drop-in is loaded; a later drop-in sets it.
  returned: always
  type: list
in_use:
  description: What is in use and would break, by kind (network-namespaces, docker, podman, libvirt, kubelet, lxc).
  returned: always
  type: dict
sysctls:
  description: The kernel settings this host needs.
  returned: always
  type: dict
watched:
  description: The kernel settings that this host does not need set now, but may after somebody has changed them.
  returned: always
  type: list
conflicts:
  description: Lines of other sysctl files that would win over the role's file.
  returned: always
  type: list
in_force:
  description: Whether network namespaces are off already, now (where systemd runs) and after a reboot.
  returned: always
  type: bool
"""

ENGINES = {
    "docker": ("docker.service", "docker.socket", "containerd.service"),
    "libvirt": ("libvirtd.service", "libvirtd.socket", "virtqemud.service", "virtqemud.socket", "virtlxcd.socket"),
    "kubelet": ("kubelet.service", "crio.service", "k3s.service", "k3s-agent.service", "rke2-agent.service"),
    "lxc": ("lxc-net.service", "incus.service", "incus.socket", "lxd.service"),
}
ENGINE_OF_PROCESS = {
    "dockerd": "docker", "containerd": "docker", "conmon": "podman", "libvirtd": "libvirt", "virtqemud": "libvirt",
    "virtlxcd": "libvirt", "kubelet": "kubelet", "crio": "kubelet", "k3s-server": "kubelet", "lxc-start": "lxc",
}  # fmt: skip
PODMAN_FILES = (
    "/etc/containers/networks/*.json",
    "/etc/containers/systemd/*.*",
    "/usr/share/containers/systemd/*.*",
    "/var/lib/containers/storage/overlay-containers/*/userdata",
)
# A template has no state of its own: systemd is asked about an instance that nobody has.
INSTANCE = "lading"


def askable(name: str) -> str:
    """Return the name to ask systemd about: a template becomes an instance.

    >>> askable("getty@.service"), askable("cron.service")
    ('getty@lading.service', 'cron.service')
    """
    return name.replace("@.", f"@{INSTANCE}.")


def drop_in_name(unit: str) -> str:
    """Return the unit whose drop-in folder is meant: an instance's is its template's.

    >>> drop_in_name("postfix@lading.service"), drop_in_name("fstrim.service")
    ('postfix@.service', 'fstrim.service')
    """
    return unit.replace(f"@{INSTANCE}.", "@.")


def parse_show(text: str) -> list[Block]:
    """Return the blocks of `systemctl show` as dictionaries."""
    blocks = (block.splitlines() for block in text.split("\n\n"))
    return [dict(line.split("=", 1) for line in block if "=" in line) for block in blocks if block]


def private_units(blocks: list[Block]) -> dict[str, str]:
    """Return the units with a network namespace of their own, with the drop-ins that systemd has loaded for each."""
    wanted = [b for b in blocks if b.get("PrivateNetwork") == "yes" and b.get("LoadState") == "loaded"]
    return {drop_in_name(block["Id"]): block.get("DropInPaths", "") for block in wanted}


def drop_in_content(unit: str) -> str:
    """Return what the drop-in of a unit holds.

    >>> print(drop_in_content("fstrim.service").splitlines()[-1])
    PrivateNetwork=no
    """
    section = SECTIONS[unit.rpartition(".")[2]]
    reason = "# With user.max_net_namespaces = 0 this unit could not start in a network namespace of its own."
    return f"{reason}\n[{section}]\nPrivateNetwork=no\n"


def unit_of(cgroups: str) -> str:
    """Return the unit that a process belongs to, by the name of its file; empty outside units.

    >>> unit_of("0::/system.slice/system-postfix.slice/postfix@a.service")
    'postfix@.service'
    """
    for line in cgroups.splitlines():
        hierarchy, _, path = line.partition("::") if line.startswith("0::") else line.partition(":name=systemd:")
        units = [part for part in path.split("/") if part.endswith(".service")]
        if hierarchy and units:
            return re.sub(r"@[^.]*\.", "@.", units[0])
    return ""


def namespaces_of_processes(handled: set[str]) -> list[str]:
    """Return the network namespaces of processes, one line each, but for units that get a drop-in."""
    host = os.readlink("/proc/1/ns/net")
    found: dict[str, str] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/net")
        except OSError:
            continue
        if namespace == host or namespace in found:
            continue
        unit = unit_of(read_text(f"/proc/{pid}/cgroup"))
        if unit not in handled:
            where = f", unit '{unit}'" if unit else ""
            found[namespace] = f"{namespace} of '{read_text(f'/proc/{pid}/comm').strip()}' (process {pid}{where})"
    return sorted(found.values())


def named_namespaces(mountinfo: str) -> list[str]:
    """Return the paths at which network namespaces are kept without a process (`ip netns add`)."""
    rows = (line.split() for line in mountinfo.splitlines())
    return sorted({row[4] for row in rows if len(row) > 4 and row[3].startswith("net:[")})


def engines_in_use(active: set[str], processes: list[str]) -> dict[str, list[str]]:
    """Return the container engines and the like that run, start at boot or keep containers."""
    signs: dict[str, list[str]] = {}
    for engine, services in ENGINES.items():
        for service in services:
            if service in active:
                signs.setdefault(engine, []).append(f"{service} is active")
            elif glob.glob(f"/etc/systemd/system/*.[wr]*s/{service}"):
                signs.setdefault(engine, []).append(f"{service} starts at boot")
    for pid in processes:
        name = read_text(f"/proc/{pid}/comm").strip()
        if name in ENGINE_OF_PROCESS:
            signs.setdefault(ENGINE_OF_PROCESS[name], []).append(f"'{name}' runs (process {pid})")
    for path in sorted(hit for pattern in PODMAN_FILES for hit in glob.glob(pattern)):
        signs.setdefault("podman", []).append(f"'{path}' exists")
    return signs


def ask_systemd(module: AnsibleModule) -> list[Block]:
    """Return what systemd says of every unit on disk."""
    command = ["systemctl", "show", "-p", "Id,LoadState,ActiveState,PrivateNetwork,DropInPaths", "--"]
    # An alias may be listed whose unit is gone: systemctl then ends in 1 and still answers for the others.
    return parse_show(module.run_command([*command, *map(askable, units_on_disk())])[1])


def in_use(blocks: list[Block], handled: set[str], running: bool) -> dict[str, list[str]]:
    """Return what is in use and would break, by kind; of an image, only what would start at boot."""
    active = {block["Id"] for block in blocks if block.get("ActiveState") == "active"}
    found = engines_in_use(active, list(filter(str.isdigit, os.listdir("/proc"))) if running else [])
    if running:
        spaces = namespaces_of_processes(handled) + named_namespaces(read_text("/proc/1/mountinfo"))
        found.update({"network-namespaces": spaces} if spaces else {})
    return found


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "file": {"type": "path", "required": True},
            "drop_in": {"type": "str", "required": True},
            "record": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    own_file, drop_in, running = module.params["file"], module.params["drop_in"], booted()
    record = json.loads(read_text(module.params["record"]) or "{}")

    blocks = ask_systemd(module) if running else unit_blocks()
    private = private_units(blocks)
    ours = {p for p in record.get("files", {}) if os.path.basename(p) == drop_in}
    known = {os.path.basename(os.path.dirname(p))[: -len(".d")] for p in ours}
    on_disk = {drop_in_name(block["Id"]) for block in blocks if block.get("LoadState") == "loaded" and "Id" in block}
    units = sorted(set(private) | (known & on_disk))
    wanted = {f"/etc/systemd/system/{unit}.d/{drop_in}": drop_in_content(unit) for unit in units}

    own = {key: value for _, key, value in parse_sysctl(read_text(own_file))}
    others = {path: text for path, text in sysctl_texts().items() if path != own_file}
    values = running_values() if running else {**own, **values_at_boot(others)}
    off_now = not running or read_text("/proc/sys/user/max_net_namespaces").strip() == "0"
    module.exit_json(
        changed=False,
        units=units,
        drop_ins={path: content for path, content in wanted.items() if read_text(path) != content},
        stubborn=sorted(unit for unit, loaded in private.items() if f"/{drop_in}" in loaded),
        in_use=in_use(blocks, set(units), running),
        sysctls=settings(own, set(record.get("sysctls", {})), values),
        watched=sorted(values) if running else [],
        conflicts=conflicts(own_file, others),
        in_force=off_now and own.get("user.max_net_namespaces") == "0",
    )


if __name__ == "__main__":
    main()
