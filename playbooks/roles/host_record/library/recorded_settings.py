#!/usr/bin/python
"""Ansible module: write files and kernel settings in one go and remember what was there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.host_record import (  # type: ignore[import-untyped]  # Ansible puts it there
    Record,
    booted,
    digest,
    file_diff,
    read_file,
    read_record,
    remove_record,
    write_record,
)

DOCUMENTATION = r"""
module: recorded_settings
short_description: Write files and kernel settings in one go and remember what was there
description:
  - One call for many files and settings, because a task is what costs time on a large farm or a slow host.
  - The first change of a file or a setting stores in the record what the host had.
  - O(state=absent) puts exactly that back and removes the record.
  - What somebody else has changed since is left alone by O(state=absent), with a warning.
  - Where systemd does not run, as when an image is built, kernel settings are left alone; they are the build host's.
options:
  record:
    description: The JSON file on the host that remembers.
    type: path
    required: true
  files:
    description: Path to content of the files wanted, all of them owned by root with mode 0644.
    type: dict
    default: {}
  programs:
    description: Those of the O(files) that are to be run; they have mode 0755.
    type: list
    elements: path
    default: []
  sysctls:
    description: Key to value of the kernel settings wanted now. To make them survive a reboot is a file's job.
    type: dict
    default: {}
  watch:
    description:
      - Kernel settings that only a later run may have to set, if somebody changes them meanwhile.
      - What they are at the first change of anything is what the undo puts back then.
    type: list
    elements: str
    default: []
  state:
    description: V(present) writes, V(absent) undoes all that the record knows.
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
- name: Switch network namespaces off
  recorded_settings:
    record: /var/lib/lading/worker_namespaces.json
    files: {/etc/sysctl.d/90-max_net_namespaces.conf: "user.max_net_namespaces = 0\n"}
    sysctls: {user.max_net_namespaces: 0}
"""

RETURN = r"""
changed_files:
  description: Files written, restored or removed.
  returned: always
  type: list
booted:
  description: Whether systemd runs here; where it does not, no kernel setting was touched.
  returned: always
  type: bool
"""


def sysctl_path(key: str) -> str:
    """Return the file below /proc/sys of a key in sysctl's notation."""
    return "/proc/sys/" + key.replace(".", "/")


def read_sysctl(key: str) -> str:
    """Return a setting's value, its white space normalised."""
    with open(sysctl_path(key), encoding="utf-8") as handle:
        return " ".join(handle.read().split())


class Settings:
    """One run of the module: what it would change, what it changes, what it tells."""

    def __init__(self, module: AnsibleModule) -> None:
        """Read the record."""
        self.module = module
        self.path: str = module.params["record"]
        self.record: Record = read_record(self.path)
        self.booted: bool = booted()
        self.diffs: list[dict[str, str]] = []
        self.changed_files: list[str] = []
        self.programs: list[str] = module.params["programs"]

    def mode_of(self, path: str) -> str:
        """Return the mode that a file of this role has."""
        return "0755" if path in self.programs else "0644"

    def finish(self) -> None:
        """Tell Ansible what changed."""
        self.module.exit_json(
            changed=bool(self.diffs), diff=self.diffs, changed_files=self.changed_files, booted=self.booted
        )

    # -- present ---------------------------------------------------------------------------------------------------

    def apply(self, files: dict[str, str], sysctls: dict[str, str], watch: Sequence[str] = ()) -> None:
        """Make files and settings as wanted."""
        if self.booted and watch and "sysctls_before" not in self.record:
            self.record["sysctls_before"] = {key: read_sysctl(key) for key in watch if os.path.exists(sysctl_path(key))}
        outdated = {path: text for path, text in files.items() if self.remember_file(path, text)}
        settable = sysctls if self.booted else {}
        wrong = {key: value for key, value in settable.items() if self.remember_sysctl(key, value)}
        if self.module.check_mode or not self.diffs:
            return
        # The record goes first: killed between here and the end, undo still knows what the host had.
        write_record(self.path, self.record)
        for path, text in outdated.items():
            self.write_file(path, text, {"mode": self.mode_of(path), "uid": 0, "gid": 0})
        for key, value in wrong.items():
            self.write_sysctl(key, value)

    def remember_file(self, path: str, wanted: str) -> bool:
        """Record a file's former state; False when it already is as wanted."""
        if os.path.islink(path):
            self.module.fail_json(
                msg=f"'{path}' is a symbolic link. Replace it by a plain file or remove it, then try again."
            )
        former = read_file(path)
        if former and former["content"] == wanted and former["mode"] == self.mode_of(path):
            return False
        known = self.record.setdefault("files", {}).setdefault(path, {"former": former})
        known["written"] = digest(wanted)
        self.remember_folder(os.path.dirname(path))
        self.diffs.append(file_diff(path, former and former["content"], wanted))
        self.changed_files.append(path)
        return True

    def remember_folder(self, folder: str) -> None:
        """Record the folders that writing a file will make, outermost first."""
        made: list[str] = self.record.setdefault("folders", [])
        missing: list[str] = []
        while not os.path.isdir(folder):
            missing.insert(0, folder)
            folder = os.path.dirname(folder)
        made.extend(entry for entry in missing if entry not in made)

    def remember_sysctl(self, key: str, wanted: str) -> bool:
        """Record a setting's former value; False when it already is as wanted."""
        if not os.path.exists(sysctl_path(key)):
            self.module.fail_json(msg=f"This kernel has no setting '{key}', so it cannot be set to '{wanted}'.")
        former = read_sysctl(key)
        if former == wanted:
            return False
        # One that was well when all began, and was spoilt since, goes back to what it was then.
        first = self.record.get("sysctls_before", {}).get(key, former)
        known = self.record.setdefault("sysctls", {}).setdefault(key, {"former": first})
        known["written"] = wanted
        self.diffs.append(file_diff(key, former + "\n", wanted + "\n"))
        return True

    def write_file(self, path: str, content: str, facts: Record) -> None:
        """Put a file in place at once, with the security context of its place."""
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.module.tmpdir)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as handle:
            handle.write(content)
        os.chmod(temporary, int(facts["mode"], 8))
        self.module.atomic_move(temporary, path)
        os.chown(path, facts["uid"], facts["gid"])
        os.chmod(path, int(facts["mode"], 8))

    def write_sysctl(self, key: str, value: str) -> None:
        """Set a kernel setting of the running system."""
        with open(sysctl_path(key), "w", encoding="utf-8") as handle:
            handle.write(value)

    # -- absent ----------------------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Put back what the record knows, then forget it."""
        if self.booted:
            for key, known in self.record.get("sysctls", {}).items():
                self.restore_sysctl(key, known)
        for path, known in self.record.get("files", {}).items():
            self.restore_file(path, known)
        for path, entry in self.record.get("put_back", {}).items():
            self.put_back(path, entry)
        if self.record:
            self.diffs.append(file_diff(self.path, "what the host had before\n", None))
        if self.module.check_mode:
            return
        for folder in reversed(self.record.get("folders", [])):
            if os.path.isdir(folder) and not os.listdir(folder):
                os.rmdir(folder)
        if self.record:
            remove_record(self.path)

    def restore_sysctl(self, key: str, known: Record) -> None:
        """Give a setting its former value, unless somebody has set another one since."""
        current = read_sysctl(key) if os.path.exists(sysctl_path(key)) else known["former"]
        if current == known["former"]:
            return
        if current != known["written"]:
            self.module.warn(f"'{key}' is '{current}', which this role did not set; it stays.")
            return
        self.diffs.append(file_diff(key, current + "\n", known["former"] + "\n"))
        if not self.module.check_mode:
            self.write_sysctl(key, known["former"])

    def restore_file(self, path: str, known: Record) -> None:
        """Give a file its former content or remove it, unless somebody has edited it since."""
        current, former = read_file(path), known["former"]
        if current is None or current == former:
            return
        if known["written"] is not None and digest(current["content"]) != known["written"]:
            self.module.warn(f"'{path}' was edited after this role wrote it; it stays.")
            return
        self.diffs.append(file_diff(path, current["content"], former and former["content"]))
        self.changed_files.append(path)
        if self.module.check_mode:
            return
        if former:
            self.write_file(path, former["content"], former)
        else:
            os.unlink(path)

    def put_back(self, path: str, entry: Record) -> None:
        """Put back what was at a path and went with the packages; what is there stays."""
        if os.path.lexists(path):
            return
        link = entry.get("link")
        self.diffs.append(file_diff(path, None, f"-> {link}\n" if link else entry["content"]))
        self.changed_files.append(path)
        if self.module.check_mode:
            return
        if link:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            os.symlink(link, path)
        else:
            self.write_file(path, entry["content"], entry)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "record": {"type": "path", "required": True},
            "files": {"type": "dict", "default": {}},
            "programs": {"type": "list", "elements": "path", "default": []},
            "sysctls": {"type": "dict", "default": {}},
            "watch": {"type": "list", "elements": "str", "default": []},
            "state": {"choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    settings = Settings(module)
    if module.params["state"] == "present":
        sysctls = {key: str(value) for key, value in module.params["sysctls"].items()}
        settings.apply(module.params["files"], sysctls, module.params["watch"])
    else:
        settings.undo()
    settings.finish()


if __name__ == "__main__":
    main()
