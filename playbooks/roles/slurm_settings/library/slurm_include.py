#!/usr/bin/python
"""Ansible module: one line in slurm.conf that includes a file, put in or taken out; the rest is left as it is."""

from __future__ import annotations

import os
import re
import tempfile

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints

DOCUMENTATION = r"""
module: slurm_include
short_description: One line in slurm.conf that includes a file
description:
  - Appends the line if no such line is there, or takes it out. All other lines stay, and so do owner and mode.
  - A host without a slurm.conf is left alone.
options:
  name:
    description: The file to be included, which lies beside slurm.conf.
    type: str
    required: true
  path:
    description: The file that includes it.
    type: path
    default: /etc/slurm/slurm.conf
  state:
    description: Whether the line is to be there.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: [lading]
"""

EXAMPLES = r"""
- name: Let slurm.conf include the settings for containers
  slurm_include:
    name: containers.conf
"""

RETURN = r"""
path:
  description: The file that includes.
  returned: always
  type: str
"""


def included(text: str, name: str, *, wanted: bool) -> str:
    """Return a text with the line, or without it.

    >>> included("ClusterName=a", "b.conf", wanted=True)
    'ClusterName=a\\nInclude b.conf\\n'
    >>> included("ClusterName=a\\ninclude  b.conf # ours\\n", "b.conf", wanted=False)
    'ClusterName=a\\n'
    """
    line = re.compile(rf"(?i)^\s*include\s+(\S*/)?{re.escape(name)}\s*(#.*)?$")
    lines = text.splitlines(keepends=True)
    there = [each for each in lines if line.match(each.rstrip("\n"))]
    if not wanted:
        return "".join(each for each in lines if each not in there)
    if there:
        return text
    return text + ("" if text.endswith("\n") or not text else "\n") + f"Include {name}\n"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "default": "/etc/slurm/slurm.conf"},
            "state": {"choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    path = module.params["path"]
    if not os.path.exists(path):
        module.exit_json(changed=False, path=path)
    with open(path, encoding="utf-8", errors="surrogateescape") as handle:
        former = handle.read()
    text = included(former, module.params["name"], wanted=module.params["state"] == "present")
    if text != former and not module.check_mode:
        facts = os.stat(path)
        descriptor, temporary = tempfile.mkstemp(dir=module.tmpdir)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as handle:
            handle.write(text)
        module.atomic_move(temporary, path)
        os.chown(path, facts.st_uid, facts.st_gid)
        os.chmod(path, facts.st_mode & 0o7777)
    diff = {"before": former, "after": text, "before_header": path, "after_header": path}
    module.exit_json(changed=text != former, path=path, diff=diff if text != former else {})


if __name__ == "__main__":
    main()
