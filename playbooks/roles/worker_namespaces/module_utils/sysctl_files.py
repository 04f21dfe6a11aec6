"""The host's sysctl files as systemd and procps read them, and what they say about namespaces."""

from __future__ import annotations

import fnmatch
import glob
import os

SYSCTL_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
# The keys that have to be other than zero for user namespaces, and what they are set to where they are not.
USER_NAMESPACE_KEYS = {"user.max_user_namespaces": "15000", "kernel.unprivileged_userns_clone": "1"}


def read(path: str) -> str:
    """Return a file's text, empty when it cannot be read (a process that ended, a file that is not there)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def parse_sysctl(text: str) -> list[tuple[int, str, str]]:
    """Return line number, key pattern and value of each setting, in systemd's reading of a sysctl file.

    >>> parse_sysctl("# x\\n-user/max_net_namespaces = 5\\n")
    [(2, 'user.max_net_namespaces', '5')]
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        key, equals, value = line.strip().partition("=")
        if equals and key and key[0] not in "#;":
            found.append((number, key.strip().lstrip("-").replace("/", "."), value.strip()))
    return found


def wrong_value(key: str, value: str) -> bool:
    """Say whether a value defeats what the role is for."""
    return value != "0" if key == "user.max_net_namespaces" else value == "0"


def conflicts(own: str, texts: dict[str, str]) -> list[str]:
    """Return the lines that come after the role's file and undo it, as `file:line: text`."""
    found = []
    for path, text in texts.items():
        # /etc/sysctl.conf is read last by procps and, where it is linked as 99-sysctl.conf, by systemd.
        later = os.path.basename(path) > os.path.basename(own) or path == "/etc/sysctl.conf"
        for number, pattern, value in parse_sysctl(text) if later else []:
            keys = [k for k in ("user.max_net_namespaces", *USER_NAMESPACE_KEYS) if fnmatch.fnmatch(k, pattern)]
            if any(wrong_value(key, value) for key in keys):
                found.append(f"{path}:{number}: {pattern} = {value}")
    return found


def sysctl_texts() -> dict[str, str]:
    """Return the sysctl files in force: of two with one name the first folder's counts."""
    by_name: dict[str, str] = {}
    for folder in SYSCTL_FOLDERS:
        for path in sorted(glob.glob(folder + "/*.conf")):
            by_name.setdefault(os.path.basename(path), path)
    return {path: read(path) for path in [*by_name.values(), "/etc/sysctl.conf"]}


def settings(own: dict[str, str], record: set[str]) -> dict[str, str]:
    """Return the kernel settings this host needs: a key for user namespaces only where it was found to be zero."""
    wanted = {"user.max_net_namespaces": "0"}
    for key, value in USER_NAMESPACE_KEYS.items():
        current = read("/proc/sys/" + key.replace(".", "/")).strip()
        if current and (current == "0" or key in own or key in record):
            wanted[key] = value
    return wanted
