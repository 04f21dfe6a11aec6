#!/usr/bin/python
"""Ansible module: the key by which the hosts of a pool know each other, made on one and put on the others."""

from __future__ import annotations

import os
import secrets

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints

DOCUMENTATION = r"""
module: pool_key
short_description: Make HTCondor's signing key of a pool, or put the one of another host
description:
  - Without O(key) the host's own key is returned, and made if there is none. With it, that one is written.
  - A task that uses this module says C(no_log), for the key is what it returns and takes.
  - A host that has another key is refused. Whatever was signed with that key would no longer be known.
  - A key or a folder that others can read is closed again.
options:
  key:
    description: The key.
    type: str
  path:
    description: Where it lies.
    type: path
    default: /etc/condor/passwords.d/POOL
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
  pool_key:
  register: made
  no_log: true
"""

RETURN = r"""
key:
  description: The key. Without O(key) only.
  returned: success
  type: str
"""

REHEARSAL = "rehearsal"
BYTES = 48


def read_key(path: str) -> str | None:
    """Return the key that the host has."""
    try:
        with open(path, encoding="ascii") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def write_key(path: str, key: str) -> None:
    """Write it for root alone, in a folder for root alone: HTCondor refuses to use one that others can read."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as handle:
        handle.write(key)


def opened(path: str) -> list[tuple[str, int]]:
    """Return which of folder and key are not for root alone, each with the mode that it has to have."""
    wanted = [(os.path.dirname(path), 0o700), (path, 0o600)]
    return [(each, mode) for each, mode in wanted if os.path.exists(each) and os.stat(each).st_mode & 0o777 != mode]


def close(found: list[tuple[str, int]], rehearsal: bool) -> None:
    """Give folder and key their modes."""
    for path, mode in found:
        if not rehearsal:
            os.chmod(path, mode)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "key": {"type": "str", "no_log": True},
            "path": {"type": "path", "default": "/etc/condor/passwords.d/POOL"},
        },
        supports_check_mode=True,
    )
    path, said = module.params["path"], module.params["key"]
    try:
        there = read_key(path)
    except UnicodeDecodeError:
        there = ""
    loose = opened(path) if there is not None else []
    if said is None:
        if there is None and module.check_mode:
            module.exit_json(changed=True, key=REHEARSAL)
        if there is None:
            write_key(path, made := secrets.token_urlsafe(BYTES))
        close(loose, module.check_mode)
        module.exit_json(changed=there is None or bool(loose), key=there or made)
    if not said:
        module.fail_json(msg="The key of the head did not arrive. Run the playbook again.")
    if there is not None and said not in (REHEARSAL, there):
        module.fail_json(
            msg=f"'{path}' is another key than the head's. It was there before, and is left alone. If nothing uses it, "
            "remove it, and run the playbook again."
        )
    if there is None and not module.check_mode:
        write_key(path, said)
    close(loose, module.check_mode)
    module.exit_json(changed=there is None or bool(loose))


if __name__ == "__main__":
    main()
