"""The host's sysctl files as systemd and procps read them, and what they say about namespaces."""

from __future__ import annotations

import fnmatch
import glob
import os

from ansible.module_utils.host_record import read_text  # type: ignore[import-untyped]  # Ansible puts it there

SYSCTL_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
# The keys that have to be other than zero for user namespaces, and what they are set to where they are not.
USER_NAMESPACE_KEYS = {"user.max_user_namespaces": "15000", "kernel.unprivileged_userns_clone": "1"}


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
    return {path: read_text(path) for path in [*by_name.values(), "/etc/sysctl.conf"]}


def running_values() -> dict[str, str]:
    """Return what the kernel has for the keys of user namespaces, without those that it does not know."""
    values = {key: read_text("/proc/sys/" + key.replace(".", "/")).strip() for key in USER_NAMESPACE_KEYS}
    return {key: value for key, value in values.items() if value}


def values_at_boot(texts: dict[str, str]) -> dict[str, str]:
    """Return what these files set for the keys of user namespaces; the last file in systemd's order wins.

    >>> values_at_boot({"/etc/sysctl.d/9.conf": "user.max_user_namespaces=7", "/run/sysctl.d/1.conf": "user.max_*=0"})
    {'user.max_user_namespaces': '7'}
    """
    values = {}
    for path in sorted(texts, key=lambda path: (path == "/etc/sysctl.conf", os.path.basename(path))):
        for _, pattern, value in parse_sysctl(texts[path]):
            values.update({key: value for key in USER_NAMESPACE_KEYS if fnmatch.fnmatch(key, pattern)})
    return values


def settings(own: dict[str, str], record: set[str], values: dict[str, str]) -> dict[str, str]:
    """Return the kernel settings this host needs: a key for user namespaces only where it was found to be zero."""
    needed = {key for key in values if values[key] == "0" or key in own or key in record}
    return {"user.max_net_namespaces": "0", **{k: v for k, v in USER_NAMESPACE_KEYS.items() if k in needed}}
