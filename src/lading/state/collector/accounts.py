"""The users and groups of a host, line by line instead of as files."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Iterator

from lading.state.collector.asking import Items, read

LAST_SYSTEM_ID = 999
ACCOUNT_FILES = {"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"}
ACCOUNT_TOOL = re.compile(r"\b(adduser|useradd|addgroup|groupadd)\b")


def table(path: str) -> Iterator[list[str]]:
    """Yield the lines of an account file, split; twelve fields at least, so that a short line does no harm."""
    for line in read(path).splitlines():
        if line.strip() and not line.startswith("#"):
            yield [*line.split(":"), *[""] * 12]


def password_state(field: str) -> str:
    """Return what can be told of a password: a digest of its hash, so that a new one shows and none can be guessed."""
    if field == "x":
        return "elsewhere"
    if field.startswith(("!", "*")):
        return "locked"
    return f"set {hashlib.sha256(field.encode()).hexdigest()[:16]}" if field else "empty"


def users(folder: str = "/etc") -> Items:
    """Return the host's own users. The day of the last change of a password is left out: it tells when, not what."""
    items: Items = {}
    for name, _, uid, gid, gecos, home, shell, *_ in table(f"{folder}/passwd"):
        items[f"user:{name}"] = {"uid": uid, "gid": gid, "gecos": gecos, "home": home, "shell": shell}
    for name, password, _, *rest in table(f"{folder}/shadow"):
        entry = items.setdefault(f"user:{name}", {})
        entry.update(password=password_state(password), ageing=":".join(rest[:5]))
    for kind in ("subuid", "subgid"):
        for name, first, count, *_ in table(f"{folder}/{kind}"):
            items.setdefault(f"user:{name}", {}).setdefault(kind, []).append(f"{first}:{count}")
    return items


def groups(folder: str = "/etc") -> Items:
    """Return the host's own groups with their members."""
    items: Items = {}
    for name, _, gid, members, *_ in table(f"{folder}/group"):
        items[f"group:{name}"] = {"gid": gid, "members": sorted(filter(None, members.split(",")))}
    for name, password, administrators, *_ in table(f"{folder}/gshadow"):
        entry = items.setdefault(f"group:{name}", {})
        entry.update(password=password_state(password), administrators=sorted(filter(None, administrators.split(","))))
    return items


def makers(items: Items) -> dict[str, str]:
    """Return which file of a package makes a system user or group: one of sysusers.d, or an installation script."""
    said = {path: declared(read(path)) for path in glob.glob("/usr/lib/sysusers.d/*.conf")}
    said.update({path: created(read(path)) for path in glob.glob("/var/lib/dpkg/info/*.p*inst")})
    by_name = {name: path for path in sorted(said, reverse=True) for name in said[path]}
    return {
        item: by_name[name]
        for item in items
        for kind, _, name in [item.partition(":")]
        if kind in {"user", "group"} and name in by_name and system_id(items[item])
    }


def system_id(item: Items) -> bool:
    """Tell whether a user or group has a number that is kept for the system."""
    number = item.get("uid") or item.get("gid") or ""
    return number.isdigit() and 0 < int(number) <= LAST_SYSTEM_ID


def declared(text: str) -> set[str]:
    """Return the users and groups that a file of sysusers.d declares."""
    rows = [line.split() for line in text.splitlines()]
    return {row[1] for row in rows if len(row) > 1 and row[0].rstrip("!") in {"u", "g"}}


def created(script: str) -> set[str]:
    """Return the words by which an installation script may call users: beside the tool, or assigned before."""
    commands = [line for line in script.replace("\\\n", " ").splitlines() if ACCOUNT_TOOL.search(line)]
    assigned = re.findall(r"^\s*\w+=[\"']?([a-z_][\w.-]*)[\"']?\s*$", script, re.MULTILINE) if commands else []
    return {word for line in commands for word in re.findall(r"[\w.-]+", line)} | set(assigned)
