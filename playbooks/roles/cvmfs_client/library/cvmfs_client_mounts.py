#!/usr/bin/python
"""Ansible module: make a host use the files that were written, and mount what is to be mounted for good."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.host_record import booted, read_text  # type: ignore[import-untyped]  # Ansible puts it there

DOCUMENTATION = r"""
module: cvmfs_client_mounts
short_description: Make a host use the client's files, and mount what is to be mounted for good
description:
  - Reloads autofs, systemd and the client where their files were written, and nothing else.
  - Before static mounts it waits until automount has let /cvmfs go, and fails if that is still in use.
  - Where systemd does not run, as when an image is built, nothing is done at all.
options:
  mount:
    description: Who mounts.
    type: str
    choices: [autofs, static, none]
    required: true
  repositories:
    description: The repositories that are mounted for good.
    type: list
    elements: str
    required: true
  former:
    description: Those that the role had mounted for good so far.
    type: list
    elements: str
    default: []
  written:
    description: The files that were written or removed just now.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Make the host use them
  cvmfs_client_mounts:
    mount: static
    repositories: [software.site.example]
    written: [/etc/fstab]
"""

RETURN = r"""
commands:
  description: What was done, or would be.
  returned: always
  type: list
"""

AUTOFS_FILE = "/etc/auto.master.d/cvmfs.autofs"
SETTINGS = "/etc/cvmfs/default.local"
RELOAD = ["systemctl", "reload", "autofs.service"]
# How long automount may take to unmount what is idle: the reload only signals it.
SECONDS = 30

Command = list[str]
Wanted = dict[str, list[str]]
Active = dict[str, bool]


def mounted(mountinfo: str) -> set[str]:
    """Return what is mounted below /cvmfs.

    >>> sorted(mounted("78 77 0:43 / /cvmfs/a.example ro - fuse cvmfs2 ro\\n77 63 0:42 / /cvmfs rw - autofs x rw\\n"))
    ['a.example']
    """
    points = (line.split(" ")[4] for line in mountinfo.splitlines())
    return {point[len("/cvmfs/") :] for point in points if point.startswith("/cvmfs/") and point.count("/") == 2}


def automounted(mountinfo: str) -> bool:
    """Say whether automount has /cvmfs.

    >>> automounted("77 63 0:42 / /cvmfs rw shared:9 - autofs /etc/auto.cvmfs rw\\n")
    True
    """
    return any(line.split(" ")[4] == "/cvmfs" and " - autofs " in line for line in mountinfo.splitlines())


def let_go(read: Callable[[], str], seconds: float) -> bool:
    """Wait until automount no longer has /cvmfs; say whether that came in time."""
    end = time.monotonic() + seconds
    while automounted(read()):
        if time.monotonic() >= end:
            return False
        time.sleep(0.5)
    return True


def commands(wanted: Wanted, mount: str, now: set[str], active: Active) -> list[Command]:
    """Return what has to be run, in order: what was written is read, and what is to be mounted is mounted."""
    written = wanted["written"]
    run: list[Command] = []
    gone = [name for name in reversed(wanted["former"]) if name not in wanted["repositories"] and name in now]
    run += [["umount", f"/cvmfs/{name}"] for name in gone]
    if "/etc/fstab" in written:
        run.append(["systemctl", "daemon-reload"])
    if AUTOFS_FILE in written and active["autofs"]:
        run.append(RELOAD)
    if mount == "autofs" and not (active["autofs"] and active["autofs at boot"]):
        run.append(["systemctl", "enable", "--now", "autofs.service"])
    if SETTINGS in written and now - set(gone) and active["client"]:
        run.append(["cvmfs_config", "reload"])
    for name in wanted["repositories"]:
        if name not in now:
            run += [["mkdir", "--parents", f"/cvmfs/{name}"], ["mount", f"/cvmfs/{name}"]]
    return run


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "mount": {"choices": ["autofs", "static", "none"], "required": True},
            "repositories": {"type": "list", "elements": "str", "required": True},
            "former": {"type": "list", "elements": "str", "default": []},
            "written": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    if not booted():
        module.exit_json(changed=False, commands=[])
    active = {
        "autofs": module.run_command(["systemctl", "is-active", "--quiet", "autofs.service"])[0] == 0,
        "autofs at boot": module.run_command(["systemctl", "is-enabled", "--quiet", "autofs.service"])[0] == 0,
        "client": shutil.which("cvmfs_config") is not None,
    }
    wanted = dict(module.params)
    first, now = (
        take_over(module, wanted, active) if module.params["mount"] == "static" else ([], mounted(mounts_now()))
    )
    run = commands(wanted, module.params["mount"], now, active)
    if not module.check_mode:
        execute(module, run)
    module.exit_json(changed=bool(first + run), commands=[" ".join(command) for command in first + run])


def take_over(module: AnsibleModule, wanted: Wanted, active: Active) -> tuple[list[Command], set[str]]:
    """Have automount give /cvmfs up if it has it; return what that took, and what is mounted then.

    What automount mounted goes with it, and must not count as mounted. It may also have kept /cvmfs after a former
    run, which wrote its file and failed here.
    """
    told = mounts_now()
    if not automounted(told):
        return [], mounted(told)
    wanted["written"] = [file for file in wanted["written"] if file != AUTOFS_FILE]
    run = [RELOAD] if active["autofs"] else []
    if module.check_mode:
        return run, set()
    execute(module, run)
    if not let_go(mounts_now, SECONDS):
        module.fail_json(
            msg=f"automount still has /cvmfs {SECONDS} s after it was to give it up, so it is still in use: drain the "
            "node, and run this again.",
            commands=run,
        )
    return run, mounted(mounts_now())


def mounts_now() -> str:
    """Return what the kernel says of mounts."""
    told: str = read_text("/proc/self/mountinfo")
    return told


def execute(module: AnsibleModule, run: list[Command]) -> None:
    """Run commands up to the first that fails, which is told."""
    for command in run:
        if command[0] == "mkdir" and os.path.isdir(command[-1]):
            continue
        code, out, err = module.run_command(command)
        if code != 0:
            module.fail_json(msg=f"'{' '.join(command)}' failed: {(err or out).strip()[-300:]}", commands=run)


if __name__ == "__main__":
    main()
