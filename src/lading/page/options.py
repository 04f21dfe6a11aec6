"""The options of a run block: their names, what each may be, and what goes together."""

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from lading.page.model import Expect
from lading.recipe.durations import parse_duration
from lading.recipe.names import did_you_mean, listed

USERS: Final = ("alice", "bob", "pilot01")
"""The lab's ordinary users, of whom pages may speak."""
DEFAULT_USER: Final = "alice"


@dataclass(frozen=True)
class Known:
    """The names that a page may use; None where nobody knows them, and all go through."""

    hosts: Sequence[str] | None
    platforms: Sequence[str] | None


Convert = Callable[[str, Known], Any]
"""Returns what an option's text stands for, or raises ValueError with a sentence."""


def read_options(
    values: Mapping[str, str], converters: Mapping[str, Convert], known: Known, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Return the options that are right; the others are told, those that nobody knows too."""
    options: dict[str, Any] = {}
    for name, value in values.items():
        if name not in converters:
            tell(f"The attribute '{name}' is not known here{did_you_mean(name, converters)}")
            continue
        try:
            options[name] = converters[name](value, known)
        except ValueError as error:
            tell(str(error))
    host = "" if "host" in values else _only_host(known, tell)
    return {"host": host, "platform": None, **options}


def _only_host(known: Known, tell: Callable[[str], None]) -> str:
    if known.hosts is not None and len(known.hosts) > 1:
        tell(f"The block does not say on which host it is typed; add 'host=' with one of {listed(known.hosts)}.")
    return known.hosts[0] if known.hosts else ""


def _host(value: str, known: Known) -> str:
    return _among(value, known.hosts, "host")


def _platform(value: str, known: Known) -> str:
    return _among(value, known.platforms, "platform")


def _among(value: str, names: Sequence[str] | None, what: str) -> str:
    if not value:
        raise ValueError(f"'{what}' is empty; write '{what}=NAME'.")
    if names is not None and value not in names:
        raise ValueError(f"The recipe has no {what} '{value}'{did_you_mean(value, names)}")
    return value


def _user(value: str, _known: Known) -> str:
    if value == "root":
        raise ValueError("'user=root' is not said so: root's commands begin with '# '; leave the attribute out.")
    if value not in USERS:
        raise ValueError(f"The lab has no user '{value}'{did_you_mean(value, USERS)}")
    return value


def _exit(value: str, _known: Known) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 3 and int(value) < 256):
        raise ValueError(f"'exit={value}' is not an exit code; write a number from 0 to 255.")
    return int(value)


def _expect(value: str, _known: Known) -> str:
    if value not in get_args(Expect):
        raise ValueError(f"'expect={value}' is not known{did_you_mean(value, get_args(Expect))}")
    return value


def _duration(name: str) -> Convert:
    def convert(value: str, _known: Known) -> float:
        try:
            return parse_duration(value)
        except ValueError:
            raise ValueError(f"'{name}={value}' is no length of time; write it like '90s', '6m' or '1h30m'.") from None

    return convert


def _flag(value: str, _known: Known) -> bool:
    if value not in ("", "reboot"):
        raise ValueError(f"'reboot={value}' is not known; write 'reboot' alone.")
    return True


def _path(value: str, _known: Known) -> str:
    if not value.startswith("/"):
        raise ValueError(f"The path '{value}' is not absolute; begin it with '/'.")
    if value != posixpath.normpath(value) or value.startswith("//") or value == "/":
        raise ValueError(
            f"The path '{value}' is not in its shortest form; write it without '//', '.', '..' or a '/' at its end."
        )
    if not value.isprintable():
        raise ValueError(f"The path {value!a} has characters that nobody can see; take them out.")
    return value


def _mode(value: str, _known: Known) -> str:
    if len(value) not in (3, 4) or set(value) - set("01234567"):
        raise ValueError(f"'mode={value}' is no file mode; write it as 'mode=0644'.")
    return value.rjust(4, "0")


def _text(value: str, _known: Known) -> str:
    return value


CONSOLE: Final[Mapping[str, Convert]] = {
    "host": _host, "user": _user, "platform": _platform, "exit": _exit, "expect": _expect,
    "timeout": _duration("timeout"), "until": _duration("until"), "reboot": _flag,
}  # fmt: skip
FILE: Final[Mapping[str, Convert]] = {
    "path": _path, "host": _host, "platform": _platform, "mode": _mode, "include": _text,
}  # fmt: skip
