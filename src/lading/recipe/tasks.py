"""The names of other files in Ansible's plays and tasks."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from lading.recipe.problems import Loc

What = Literal["role", "playbook", "tasks", "vars", "template", "copy"]

_NAMED_BY: Final[dict[str, tuple[What, tuple[str, ...]]]] = {
    "include_role": ("role", ("name", "role")),
    "import_role": ("role", ("name", "role")),
    "include_tasks": ("tasks", ("file", "_raw_params")),
    "import_tasks": ("tasks", ("file", "_raw_params")),
    "include_vars": ("vars", ("file", "dir", "_raw_params")),
    "import_playbook": ("playbook", ("_raw_params",)),
    "template": ("template", ("src",)),
    "copy": ("copy", ("src",)),
    "script": ("copy", ("cmd", "_raw_params")),
    "unarchive": ("copy", ("src",)),
}
_BLOCKS: Final = ("block", "rescue", "always")
_TASK_LISTS: Final = ("pre_tasks", "tasks", "post_tasks", "handlers")


@dataclass(frozen=True)
class Reference:
    """A name in a playbook or a task file, and its place there."""

    what: What
    name: str
    loc: Loc


def play_references(play: dict[Any, Any], loc: Loc) -> Iterator[Reference]:
    """Yield what a play names: roles, imported playbooks, variable files, and what its tasks name."""
    yield from _task(play, loc)
    for index, role in enumerate(_list(play.get("roles"))):
        named = (role.get("role") or role.get("name")) if isinstance(role, dict) else role
        if named is not None:
            yield Reference("role", str(named), (*loc, "roles", index))
    for index, name in enumerate(_list(play.get("vars_files"))):
        for each in _list(name):
            yield Reference("vars", str(each), (*loc, "vars_files", index))
    for key in _TASK_LISTS:
        yield from references(play.get(key), (*loc, key))


def references(tasks: Any, loc: Loc) -> Iterator[Reference]:
    """Yield what a list of tasks names, blocks included."""
    for index, task in enumerate(_list(tasks)):
        if isinstance(task, dict):
            yield from _task(task, (*loc, index))
            for block in _BLOCKS:
                yield from references(task.get(block), (*loc, index, block))


def _task(task: dict[Any, Any], loc: Loc) -> Iterator[Reference]:
    for key, value in task.items():
        module, arguments = _action(value) if key in ("action", "local_action") else (str(key), value)
        module = module.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
        if module in _NAMED_BY:
            what, names = _NAMED_BY[module]
            given = _arguments(arguments)
            if given.get("remote_src") in (True, "true", "yes"):
                continue  # a file of the managed host
            yield from (Reference(what, str(given[name]), (*loc, key)) for name in names if given.get(name))


def _action(value: Any) -> tuple[str, Any]:
    if isinstance(value, dict):
        return str(value.get("module")), value
    module, _, rest = str(value).partition(" ")
    return module, rest


def _arguments(value: Any) -> dict[str, Any]:
    """Return a module's arguments, which may be a mapping, a name, or words like `name=x`."""
    if isinstance(value, dict):
        return value
    given: dict[str, Any] = {}
    for word in _words(str(value or "")):
        key, equals, rest = word.partition("=")
        if equals and key.isidentifier():
            given[key] = rest
        else:
            given.setdefault("_raw_params", word)
    return given


def _words(text: str) -> list[str]:
    if "{{" in text and "=" not in text.partition("{{")[0]:
        return [text]
    try:
        return shlex.split(text)
    except ValueError:
        return [text]


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
