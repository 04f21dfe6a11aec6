#!/usr/bin/python
"""Ansible module: set single directives of apptainer.conf, each on its own line, and remember what stood there."""

from __future__ import annotations

import os
import re
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.host_record import (  # type: ignore[import-untyped]  # Ansible puts it there
    file_diff,
    read_file,
    read_record,
    write_record,
)

DOCUMENTATION = r"""
module: apptainer_conf
short_description: Set single directives of apptainer.conf, each on its own line, and remember what stood there
description:
  - Changes only the lines of the directives that are named, so that new defaults and an admin's edits stay.
  - A directive that is no longer named gets its former line back.
  - A directive that the file does not mention, and a value that its comments rule out, are refused.
options:
  path:
    description: The configuration file.
    type: path
    default: /etc/apptainer/apptainer.conf
  settings:
    description: Directive to value. A list adds one line for each value that is missing and leaves the other lines.
    type: dict
    default: {}
  record:
    description: The JSON file on the host that remembers.
    type: path
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: [lading]
"""

EXAMPLES = r"""
- name: Bind the site's data into every container
  apptainer_conf:
    record: /var/lib/lading/apptainer.json
    settings:
      bind path: [/srv/site-data]
      mount dev: minimal
"""

RETURN = r"""
directives:
  description: The directives whose lines this module keeps.
  returned: always
  type: list
"""

Settings = dict[str, "str | list[str]"]
YES_NO = ("yes", "no")


def find_lines(lines: list[str], name: str, commented: bool = False) -> list[int]:
    """Return the indices of a directive's lines, the active ones or the examples in comments."""
    mark = r"#\s*" if commented else r"\s*"
    pattern = re.compile(mark + re.escape(name) + r"\s*=")
    return [index for index, line in enumerate(lines) if pattern.match(line)]


def value_of(line: str) -> str:
    """Return what stands behind the equals sign."""
    return line.partition("=")[2].strip()


def choices_of(text: str, name: str) -> tuple[str, ...]:
    """Return the values that the file's own comments allow, or nothing when they do not say.

    >>> choices_of("# MOUNT DEV: [yes/no/minimal]\\n", "mount dev")
    ('yes', 'no', 'minimal')
    """
    match = re.search(rf"^# {re.escape(name.upper())}: \[([^\]}}]+)", text, re.MULTILINE)
    if match and match[1] == "BOOL":
        return YES_NO
    return tuple(match[1].split("/")) if match and "/" in match[1] else ()


def find_faults(text: str, settings: Settings) -> list[str]:
    """Return a sentence for each setting that Apptainer would ignore or refuse."""
    lines, faults = split(text), []
    for name, value in settings.items():
        values = value if isinstance(value, list) else [value]
        choices = choices_of(text, name)
        if not find_lines(lines, name) and not find_lines(lines, name, commented=True):
            faults.append(f"'{name}' is not a directive that this version's file mentions.")
        elif choices and not set(values) <= set(choices):
            faults.append(f"'{name}' takes {', '.join(choices)}, not '{', '.join(values)}'.")
        elif any("\n" in item for item in values):
            faults.append(f"'{name}' takes one line.")
    return faults


def insert_place(lines: list[str], name: str) -> int:
    """Return where a new line of a directive goes: behind its others, else behind its examples, else at the end."""
    place = find_lines(lines, name) or find_lines(lines, name, commented=True)
    return place[-1] + 1 if place else len(lines)


def put(text: str, settings: Settings) -> tuple[str, dict[str, Any]]:
    """Return the text with the settings in it, and for each directive what stood there and what was written."""
    lines = split(text)
    done: dict[str, Any] = {}
    for name, value in settings.items():
        active = find_lines(lines, name)
        if isinstance(value, list):
            have = {value_of(lines[index]) for index in active}
            added = [f"{name} = {item}" for item in value if item not in have]
            place = insert_place(lines, name)
            lines[place:place] = added
            done[name] = {"added": added}
        elif not active:
            lines.insert(insert_place(lines, name), f"{name} = {value}")
            done[name] = {"added": [f"{name} = {value}"]}
        elif value_of(lines[active[-1]]) != value:
            done[name] = {"former": lines[active[-1]], "written": f"{name} = {value}"}
            lines[active[-1]] = f"{name} = {value}"
    return join(lines, text), {name: facts for name, facts in done.items() if facts.get("added") != []}


def take_back(text: str, done: dict[str, Any]) -> str:
    """Return the text without what `put` did; a line that somebody has changed since stays."""
    lines = split(text)
    for facts in done.values():
        for line in facts.get("added", []):
            if line in lines:
                lines.remove(line)
        if facts.get("written") in lines:
            lines[lines.index(facts["written"])] = facts["former"]
    return join(lines, text)


def split(text: str) -> list[str]:
    """Return the lines of a text; what else Python takes for the end of a line stays in them."""
    return text.removesuffix("\n").split("\n") if text else []


def join(lines: list[str], like: str) -> str:
    """Return lines as a text that ends as another does: an admin's last line may lack its newline."""
    return "\n".join(lines) + ("\n" if lines and (like.endswith("\n") or not like) else "")


def as_text(value: Any) -> Any:
    """Return a variable's value as the file writes it: YAML's true is Apptainer's yes."""
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def write(module: AnsibleModule, path: str, text: str, mode: str) -> None:
    """Replace the file at once."""
    descriptor, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as handle:
        handle.write(text)
    os.chmod(temporary, int(mode, 8))
    module.atomic_move(temporary, path)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/apptainer/apptainer.conf"},
            "settings": {"type": "dict", "default": {}},
            "record": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    path: str = module.params["path"]
    settings: Settings = {name: as_text(value) for name, value in module.params["settings"].items()}
    record, now = read_record(module.params["record"]), read_file(path)
    if now is None:
        if settings and not module.check_mode:
            module.fail_json(msg=f"There is no '{path}' on this host, so its directives cannot be set.")
        # On a host where the package is still to come, all that can be told is which lines will be there.
        diff = file_diff(path, "", put("", settings)[0])
        module.exit_json(changed=bool(settings), diff=diff, directives=sorted(settings))

    before: str = now["content"]
    untouched = take_back(before, record.get("directives", {}))
    if faults := find_faults(untouched, settings):
        module.fail_json(msg=f"'{path}' was left as it is: " + " ".join(faults))
    after, done = put(untouched, settings)
    if not settings and not record.get("directives"):
        after = before
    changed = after != before
    if not module.check_mode and (changed or done != record.get("directives", {})):
        record["directives"] = done
        write_record(module.params["record"], {key: value for key, value in record.items() if value != {}})
        if changed:
            write(module, path, after, now["mode"])
    module.exit_json(changed=changed, diff=file_diff(path, before, after), directives=sorted(done))


if __name__ == "__main__":
    main()
