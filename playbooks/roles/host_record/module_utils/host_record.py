"""What a role remembers on the host, so that undo can put back what was there: one JSON file per role."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from typing import Any

Record = dict[str, Any]


def booted(root: str = "/") -> bool:
    """Say whether systemd runs this very tree, by the two signs that systemd's own programs go by.

    A tree in which an image is built, in a chroot or a container, is not run by systemd, and the kernel's settings
    that are seen in it are the build host's.
    """
    try:
        is_root = os.path.samefile(os.path.join(root, "proc/1/root"), root)
    except OSError:
        return False
    return is_root and os.path.isdir(os.path.join(root, "run/systemd/system"))


def read_record(path: str) -> Record:
    """Return what was remembered, or nothing when there is no record."""
    try:
        with open(path, encoding="utf-8") as handle:
            loaded: Record = json.load(handle)
    except FileNotFoundError:
        return {}
    return loaded


def write_record(path: str, record: Record) -> None:
    """Replace the record at once; an empty one goes, and its folder too when nothing else lies there.

    The record may hold the former content of an admin's file, so only root may read it.
    """
    folder = os.path.dirname(path)
    if not record:
        remove_record(path)
        return
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        json.dump(record, handle, indent=1, sort_keys=True)
        handle.write("\n")
        handle.flush()
        os.fsync(handle.fileno())
    os.rename(temporary, path)


def remove_record(path: str) -> None:
    """Forget everything; the folder stays while another role's record lies there."""
    if os.path.exists(path):
        os.unlink(path)
    try:
        os.rmdir(os.path.dirname(path))
    except OSError:
        pass


def digest(content: str) -> str:
    """Return the SHA-256 by which the undo knows a file that nobody has touched since."""
    return hashlib.sha256(content.encode()).hexdigest()


def read_text(path: str) -> str:
    """Return a file's text, empty when it cannot be read (a process that ended, a file that is not there)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def read_file(path: str) -> Record | None:
    """Return content, byte for byte, mode and owner of a file, or None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as handle:
            facts = os.fstat(handle.fileno())
            content = handle.read()
    except FileNotFoundError:
        return None
    mode = format(stat.S_IMODE(facts.st_mode), "04o")
    return {"content": content, "mode": mode, "uid": facts.st_uid, "gid": facts.st_gid}


def read_entry(path: str) -> Record | None:
    """Return what there is at a path: a symbolic link's target, or what `read_file` tells."""
    return {"link": os.readlink(path)} if os.path.islink(path) else read_file(path)


def file_diff(path: str, before: str | None, after: str | None) -> dict[str, str]:
    """Return one entry of an Ansible diff; None stands for a file that is not there."""
    return {
        "before_header": path if before is not None else f"{path} (not there)",
        "after_header": path if after is not None else f"{path} (not there)",
        "before": before or "",
        "after": after or "",
    }
