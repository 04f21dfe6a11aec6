"""What is different between two states, item by item."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from lading.state.ignored import RECKONED, RECKONED_SHARE
from lading.state.model import State

SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Change:
    """One item that differs; None stands for one that is not there. `host` is named where there are several."""

    item: str
    before: Any
    after: Any
    host: str = ""

    @property
    def kind(self) -> str:
        """`package`, `unit`, `socket`, `user`, `group`, `file`, `sysctl`, `mount` or `module`."""
        return self.item.partition(":")[0]

    @property
    def name(self) -> str:
        return self.item.partition(":")[2]

    @property
    def sign(self) -> str:
        """`+` for what came, `-` for what went, `~` for what is different."""
        return "+" if self.before is None else "-" if self.after is None else "~"

    @property
    def what(self) -> str:
        """The facts that differ, or all facts of an item that came or went."""
        if self.before is None or self.after is None:
            return facts(self.after if self.before is None else self.before)
        if not (isinstance(self.before, dict) and isinstance(self.after, dict)):
            return f"{value_text(self.before)} → {value_text(self.after)}"
        return ", ".join(_fact_changes(self.before, self.after))

    def __str__(self) -> str:
        word = {"+": "came", "-": "went", "~": "changed"}[self.sign]
        where = f" on '{self.host}'" if self.host else ""
        return f"{self.item} {word}{where}: {self.what}"


def compare(before: State, after: State, *, modules: bool = False) -> list[Change]:
    """Return what differs, by item; loaded modules and the settings that come with them only with `modules`.

    The kernel loads modules when something first uses them, and forgets them at a reboot: that is no change of a host.
    """
    names = sorted(before.items.keys() | after.items.keys())
    changes = [
        Change(name, before.items.get(name), after.items.get(name))
        for name in names
        if before.items.get(name) != after.items.get(name)
    ]
    changes = [change for change in changes if not _reckoned_anew(change)]
    if modules:
        return changes
    loads = any(change.kind == "module" for change in changes)
    return [change for change in changes if not _of_a_module(change, loads=loads)]


def _reckoned_anew(change: Change) -> bool:
    """Whether the kernel has only found a few pages more or fewer at its last boot."""
    if change.sign != "~" or not any(fnmatchcase(change.item, one.pattern) for one in RECKONED):
        return False
    sides = [str(side).split() for side in (change.before, change.after)]
    if len(sides[0]) != len(sides[1]) or not all(number.isdecimal() for side in sides for number in side):
        return False
    pairs = ((int(one), int(other)) for one, other in zip(*sides, strict=True))
    return all(abs(one - other) <= RECKONED_SHARE * max(one, other) for one, other in pairs)


def _of_a_module(change: Change, *, loads: bool) -> bool:
    return change.kind == "module" or (change.kind == "sysctl" and loads and change.sign != "~")


def left_by_packages(changes: Sequence[Change], during: State) -> list[Change]:
    """Return the changes that packages leave by custom when they are removed: their system users and groups.

    `during` is the state in which the package was there, for that tells which users and groups are a package's.
    A group that has only gained such users counts too.
    """
    came = {change.item for change in changes if change.sign == "+" and change.item in during.makers}
    users = {item.partition(":")[2] for item in came if item.startswith("user:")}
    return [change for change in changes if change.item in came or _only_gained(change, users)]


def _only_gained(change: Change, users: set[str]) -> bool:
    if change.kind != "group" or change.sign != "~":
        return False
    before, after = ({**side, "members": set(side.get("members", ()))} for side in (change.before, change.after))
    return {**after, "members": after["members"] - users} == before


def facts(item: Any) -> str:
    """Return the facts of an item in one line."""
    if not isinstance(item, dict):
        return value_text(item)
    return ", ".join(f"{key} {value_text(value)}" for key, value in item.items())


def _fact_changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield f"{key} {value_text(before.get(key))} → {value_text(after.get(key))}"


def value_text(value: Any) -> str:
    """Return a value as short as it can be told: a digest by its first digits, a dash for nothing.

    Example:
        ```python
        from lading.state.compare import value_text

        print(value_text("0644"), value_text(["alice", "bob"]), value_text(None), value_text(""))
        #> 0644 alice,bob - ''
        ```
    """
    if value is None:
        return "-"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "''"
    if not isinstance(value, str):
        return json.dumps(value)
    if len(value) == 64 and set(value) <= set("0123456789abcdef"):
        return value[:SHOWN_DIGITS]
    return value or "''"
