"""Commands run as a pilot's account, which may hang: a file system that does not answer must not hold up the node."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

PATH = "/usr/local/bin:/usr/bin:/bin"
# A killed process is gone at once, unless it waits in the kernel for a file system: that may take for ever.
GONE_WITHIN = 1.0


def identity(account: str) -> dict[str, Any]:
    """Return what makes a process the account's; nothing where it is that already, since only root may change it."""
    entry = pwd.getpwnam(account)
    if entry.pw_uid == os.geteuid():
        return {}
    groups = os.getgrouplist(account, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def run_as(
    account: str, argv: Sequence[str], seconds: float, environment: Mapping[str, str], folder: str = "/"
) -> tuple[int | None, str]:
    """Run a command as an account; return its exit code, none if it did not end in time, and what it complained of.

    A shell of the node's own starts it: the program itself may lie on a file system that does not answer, and whoever
    starts a program waits until it has been read.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@"', "sh", *argv],
        **identity(account),
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, complaint = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        abandon(process)
        return None, ""
    return process.returncode, complaint.decode(errors="replace")


def abandon(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started, and do not wait for what cannot be killed."""
    try:
        os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own, and so a group
    except ProcessLookupError:
        pass  # it ended this moment
    try:
        process.wait(GONE_WITHIN)
    except subprocess.TimeoutExpired:
        pass
    if process.stderr:
        process.stderr.close()


def looks(account: str, sign: str, path: str, seconds: float) -> str:
    """Return how a path fails a test of test(1) as an account, such as `-e`; nothing if it passes.

    Looking mounts what is automounted. Root is asked nothing: where it has no rights, as on many a network file system,
    it would see less than the account.
    """
    code, _ = run_as(account, ["test", sign, path], seconds, {"PATH": PATH})
    if code is None:
        return f"{path} (asked as {account}: no answer in {seconds} s)"
    return f"{path} (asked as {account})" if code else ""
