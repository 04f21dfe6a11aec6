#!/usr/bin/python
"""Ansible module: runs a container as each pilot account, from each image, with their options. Leaves nothing."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import tempfile
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.pilot_account import PATH, run_as  # type: ignore[import-untyped]  # Ansible puts it there

DOCUMENTATION = r"""
module: pilot_node_try
short_description: Run a container as each pilot account, from each image
description:
  - Runs 'true' in a container, by the account, with the pilots' own Apptainer, and fails where that fails.
  - The session is root's, not the batch daemon's, so limits of the latter's unit do not show.
  - What Apptainer would leave in the account's home lies in a folder that is removed.
options:
  accounts:
    description: The accounts that pilots run as.
    type: list
    elements: str
    required: true
  apptainer:
    description: The pilots' Apptainer.
    type: path
    required: true
  images:
    description: Unpacked images.
    type: list
    elements: str
    required: true
  bind_paths:
    description: What is bound into the containers, as 'source[:destination[:options]]'.
    type: list
    elements: str
    default: []
  seconds:
    description: How long one container may take.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
    details: A rehearsal runs no container.
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Run a container as the pilots do
  pilot_node_try:
    accounts: [pilot01]
    apptainer: /cvmfs/software.site.example/apptainer/bin/apptainer
    images: [/cvmfs/unpacked.site.example/current]
"""

RETURN = r"""
ran:
  description: Account and image of each container that ran.
  returned: success
  type: list
"""

FOLDERS = "/tmp"  # noqa: S108  # whatever TMPDIR says of root's session: the account has to reach it
LAST_LINES = 3  # the last line alone often says no more than that there was an error before it
SEPARATION = ("--contain", "--ipc", "--pid", "--cleanenv", "--bind", "/cvmfs")


def command(apptainer: str, image: str) -> list[str]:
    """Return what a pilot types, so to speak.

    >>> " ".join(command("/a/bin/apptainer", "/cvmfs/r/i"))
    '/a/bin/apptainer exec --contain --ipc --pid --cleanenv --bind /cvmfs /cvmfs/r/i true'
    """
    return [apptainer, "exec", *SEPARATION, image, "true"]


def by_hand(argv: Sequence[str], bind_paths: Sequence[str]) -> str:
    """Return what to type for the same run.

    >>> by_hand(["/a/bin/apptainer", "exec"], ["/a", "/b:/c"])
    'APPTAINER_BINDPATH=/a,/b:/c /a/bin/apptainer exec'
    """
    binds = f"APPTAINER_BINDPATH={shlex.quote(','.join(bind_paths))} " if bind_paths else ""
    return binds + shlex.join(argv)


def environment(home: str, bind_paths: Sequence[str]) -> dict[str, str]:
    """Return the whole environment of the command: nothing of Ansible's own gets in.

    >>> environment("/tmp/x", ["/a", "/b:/c"])["APPTAINER_BINDPATH"]
    '/a,/b:/c'
    """
    said = {"HOME": home, "APPTAINER_CONFIGDIR": home, "PATH": PATH, "LC_ALL": "C.UTF-8"}
    return {**said, "APPTAINER_BINDPATH": ",".join(bind_paths)} if bind_paths else said


def complaint(account: str, argv: Sequence[str], bind_paths: Sequence[str], seconds: float) -> str:
    """Run a command as an account; return what went wrong, nothing if all is well."""
    entry = pwd.getpwnam(account)
    home = tempfile.mkdtemp(prefix="pilot-node-", dir=FOLDERS)
    try:
        os.chown(home, entry.pw_uid, entry.pw_gid)
        code, text = run_as(account, argv, seconds, environment(home, bind_paths), home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if code is None:
        return f"it did not end in {seconds} s"
    last = " / ".join(text.strip().splitlines()[-LAST_LINES:])
    return f"exit code {code}: {last or 'it said nothing'}" if code else ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "accounts": {"type": "list", "elements": "str", "required": True},
            "apptainer": {"type": "path", "required": True},
            "images": {"type": "list", "elements": "str", "required": True},
            "bind_paths": {"type": "list", "elements": "str", "default": []},
            "seconds": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, skipped=True, msg="A rehearsal runs no container.")
    said = module.params
    ran = []
    for account in said["accounts"]:
        for image in said["images"]:
            argv = command(said["apptainer"], image)
            if wrong := complaint(account, argv, said["bind_paths"], said["seconds"]):
                module.fail_json(
                    msg=f"As '{account}' no container runs from '{image}': {wrong}. The settings of the node are made. "
                    "Mend what is wrong and run the playbook again. As that account, this is the same run: "
                    f"{by_hand(argv, said['bind_paths'])}",
                )
            ran.append(f"{account}: {image}")
    module.exit_json(changed=False, ran=ran)


if __name__ == "__main__":
    main()
