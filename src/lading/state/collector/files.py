"""What lies below /etc, and where else an admin puts settings and scripts."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator

from lading.state.collector.accounts import ACCOUNT_FILES
from lading.state.collector.asking import Items, Skips, shown

FOLDERS = ("/etc", "/usr/local", "/var/spool/cron")
LARGEST_DIGESTED = 16 << 20


def files(skipped: Skips, items: Items) -> Items:
    """Return everything below these folders; owners by the names that the host itself has for them."""
    owners = {
        int(item["uid"]): name[5:] for name, item in items.items() if name.startswith("user:") and item.get("uid")
    }
    named = {
        int(item["gid"]): name[6:] for name, item in items.items() if name.startswith("group:") and item.get("gid")
    }
    found: Items = {}
    for folder in FOLDERS:
        for path, facts in walk(folder, skipped):
            found[f"file:{shown(path)}"] = {
                **content(path, facts),
                "owner": owners.get(facts.st_uid, str(facts.st_uid)),
                "group": named.get(facts.st_gid, str(facts.st_gid)),
            }
    return found


def walk(folder: str, skipped: Skips) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what is in a folder and below it, folders too; links are not followed, nor mounts of other disks."""
    try:
        device = os.lstat(folder).st_dev
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # not there, or gone meanwhile
        return
    for entry in entries:
        if skipped(f"file:{entry.path}"):
            continue
        try:
            facts = entry.stat(follow_symlinks=False)
        except OSError:  # gone meanwhile
            continue
        yield entry.path, facts
        if stat.S_ISDIR(facts.st_mode) and facts.st_dev == device:
            yield from walk(entry.path, skipped)


def content(path: str, facts: os.stat_result) -> Items:
    """Return what a file holds, by its type, and its mode; an access control list as a digest."""
    mode = facts.st_mode
    try:
        if stat.S_ISLNK(mode):
            return {"type": "link", "target": shown(os.readlink(path))}
        kind = "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "special"
        entry: Items = {"type": kind, "mode": format(stat.S_IMODE(mode), "04o")}
        if kind == "file" and facts.st_size > LARGEST_DIGESTED:
            entry["size"] = facts.st_size
        elif kind == "file" and path not in ACCOUNT_FILES:
            entry["sha256"] = file_digest(path)
        for name in os.listxattr(path, follow_symlinks=False):
            if name.startswith("system.posix_acl_"):
                entry[name[13:]] = hashlib.sha256(os.getxattr(path, name)).hexdigest()
        return entry
    except OSError as error:
        return {"type": f"unreadable ({error.strerror})"}


def file_digest(path: str) -> str:
    """Return a file's SHA-256."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()
