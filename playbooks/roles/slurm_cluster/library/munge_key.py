#!/usr/bin/python
"""Ansible module: the key by which the hosts of a cluster know each other, made on one and put on the others."""

from __future__ import annotations

import base64
import binascii
import os
import secrets

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints

DOCUMENTATION = r"""
module: munge_key
short_description: Make munge's key, or put the one of another host
description:
  - Without O(key) the host's own key is returned, and made if there is none. With it, that one is written.
  - A task that uses this module says C(no_log), for the key is what it returns and takes.
  - A host that has munge and another key is refused. Whatever uses that key there would no longer be known.
  - A key or a folder that others can read is closed again.
options:
  key:
    description: The key, in Base64.
    type: str
  path:
    description: Where it lies.
    type: path
    default: /etc/munge/munge.key
attributes:
  check_mode:
    support: full
    details: A rehearsal makes no key, and returns the word 'rehearsal' if there is none.
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Make the key
  munge_key:
  register: made
  no_log: true
"""

RETURN = r"""
key:
  description: The key, in Base64. Without O(key) only.
  returned: success
  type: str
"""

REHEARSAL = "rehearsal"
BYTES = 96


def read_key(path: str) -> bytes | None:
    """Return the key that the host has."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def write_key(path: str, key: bytes) -> None:
    """Write it for root alone; the package of munge gives folder and key to its own account."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    facts = os.stat(os.path.dirname(path))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(key)
    os.chown(path, facts.st_uid, facts.st_gid)


def open_to_others(path: str) -> list[tuple[str, int]]:
    """Return which of folder and key are not as munge wants them, each with the mode that it has to have."""
    wanted = [(os.path.dirname(path), 0o700), (path, 0o400)]
    return [(each, mode) for each, mode in wanted if os.path.exists(each) and os.stat(each).st_mode & 0o777 != mode]


def close(opened: list[tuple[str, int]], rehearsal: bool) -> None:
    """Give folder and key their modes."""
    for path, mode in opened:
        if not rehearsal:
            os.chmod(path, mode)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "key": {"type": "str", "no_log": True},
            "path": {"type": "path", "default": "/etc/munge/munge.key"},
        },
        supports_check_mode=True,
    )
    path, said = module.params["path"], module.params["key"]
    there = read_key(path)
    opened = open_to_others(path) if there is not None else []
    if said is None:
        if there is None and module.check_mode:
            module.exit_json(changed=True, key=REHEARSAL)
        if there is None:
            write_key(path, key := base64.b64encode(secrets.token_bytes(BYTES)))
            module.exit_json(changed=True, key=base64.b64encode(key).decode())
        close(opened, module.check_mode)
        module.exit_json(changed=bool(opened), key=base64.b64encode(there).decode())
    try:
        wanted = base64.b64decode(said, validate=True)
    except binascii.Error:
        wanted = b""
    if said != REHEARSAL and not wanted:
        module.fail_json(msg="The key of the head did not arrive. Run the playbook again.")
    if there is not None and said != REHEARSAL and there != wanted:
        module.fail_json(
            msg=f"'{path}' is another key than the head's. It was there before, and is left alone. If nothing uses it, "
            "remove it, restart munge, and run the playbook again."
        )
    if there is None and not module.check_mode:
        write_key(path, wanted)
    close(opened, module.check_mode)
    module.exit_json(changed=there is None or bool(opened))


if __name__ == "__main__":
    main()
