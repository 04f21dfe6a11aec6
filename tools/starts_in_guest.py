"""Runs in a guest, as root, to time how long starts take: `tools/bench_figures.py` sends it there.

It gets a plan as JSON in its argument, and prints as JSON what it found. It uses the guest's own Python and nothing
else.
"""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

AREA: Final = Path("/var/lib/starts")
PARTS: Final = ("run", "data", "cache")
"""What the account has there for itself: its runtime folder, Podman's storage and Apptainer's cache."""

TMP: Final = Path("/tmp")  # noqa: S108 - where Apptainer unpacks, unless told otherwise
LIMIT: Final = 180
"""Seconds that one start may take."""

KEEPALIVE: Final = "SEQUENCE"
"""What an NFS client sends so that the server does not forget it, whether anything is read or not."""


def rounds(forms: Sequence[str], first: int, later: int) -> Iterator[tuple[str, int, list[str]]]:
    """Yield kind, number and order of each round.

    In each round another form begins, so that none always comes after the same one. After the first runs comes a round
    that does not count (`warm`), since the last of them has emptied the caches of those before it.
    """
    kinds = [("first", number + 1) for number in range(first)]
    kinds += [("warm", 1), *(("next", number + 1) for number in range(later))]
    for turn, (kind, number) in enumerate(kinds):
        shift = turn % len(forms)
        yield kind, number, [*forms[shift:], *forms[:shift]]


class Account:
    """Whoever starts containers, with a storage and caches that can be emptied."""

    def __init__(self, name: str) -> None:
        self._entry = pwd.getpwnam(name)
        self._environment = {
            "HOME": self._entry.pw_dir, "USER": name, "LOGNAME": name, "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": str(AREA / "run"), "XDG_DATA_HOME": str(AREA / "data"),
            "APPTAINER_CACHEDIR": str(AREA / "cache"),
        }  # fmt: skip

    def run(self, argv: Sequence[str]) -> tuple[float, str]:
        """Run a command; return the seconds that it took and all that it said.

        It talks to a file: a process that Podman leaves behind would hold a pipe open.
        """
        with tempfile.TemporaryFile(dir=AREA) as said:
            began = time.monotonic()
            code = subprocess.run(
                argv, user=self._entry.pw_uid, group=self._entry.pw_gid, extra_groups=[], env=self._environment,
                cwd=self._entry.pw_dir, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                timeout=LIMIT, check=False,
            ).returncode  # fmt: skip
            seconds = time.monotonic() - began
            said.seek(0)
            text = said.read().decode(errors="replace").strip()
        if code:
            sys.exit(f"{' '.join(argv)} ended with {code}: {text[-400:]}")
        return seconds, text

    def empty(self) -> None:
        """Give it an empty storage and empty caches."""
        pause = AREA / "run/libpod/tmp/pause.pid"
        if pause.exists():
            # It keeps the user namespace, and in that the storage mounted.
            os.kill(int(pause.read_text()), signal.SIGKILL)
            time.sleep(1)  # the mounts go soon after the process, and nothing tells when
        shutil.rmtree(AREA, ignore_errors=True)
        AREA.mkdir(mode=0o755)
        for part in PARTS:
            (AREA / part).mkdir(mode=0o700)
            os.chown(AREA / part, self._entry.pw_uid, self._entry.pw_gid)


def drop_caches() -> None:
    """Let the kernel forget the files that it has in memory."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def stored() -> int:
    """Return the KiB that lie in the account's folders and in the one for temporary files."""
    said = subprocess.run(["du", "-skc", AREA, TMP], check=False, capture_output=True, text=True).stdout
    return int(said.split()[-2])


def traffic(mountstats: str, point: str) -> tuple[int, int]:
    """Return how many requests an NFS mount has sent, and how many bytes of files it has got.

    Of `bytes:` the fifth number is what files were read from the server, and of each operation the first one counts
    requests: https://github.com/torvalds/linux/blob/v6.12/include/linux/nfs_iostat.h and net/sunrpc/stats.c.
    """
    _, _, section = mountstats.partition(f" mounted on {point} with fstype nfs")
    amounts, _, operations = section.partition("\ndevice ")[0].partition("per-op statistics")
    told = re.search(r"^\s+bytes:\s+(.*)$", amounts, re.MULTILINE)
    counts = re.findall(r"^\s+(\w+): (\d+)", operations, re.MULTILINE)
    if told is None or not counts:
        sys.exit(f"'{point}' is no NFS mount that tells what was read from it.")
    return sum(int(count) for name, count in counts if name != KEEPALIVE), int(told[1].split()[4])


class Share:
    """A folder of a file server that is mounted at `point`; whoever connects to `port` there empties its caches."""

    def __init__(self, server: str, folder: str, point: str, options: str, port: int) -> None:
        self._server, self._port, self._point = server, port, point
        self._mount = ["mount", "-t", "nfs4", "-o", options, f"{server}:{folder}", point]

    def mount_anew(self) -> None:
        """Mount it as if the server had never read anything of it, nor this host's client."""
        until = time.monotonic() + LIMIT
        while subprocess.run(["umount", self._point], check=False).returncode:
            if time.monotonic() > until:
                sys.exit(f"'{self._point}' is still in use.")
            time.sleep(1)  # what mounted a file of it with FUSE ends soon after the container, and nothing tells when
        with socket.create_connection((self._server, self._port), LIMIT) as connection:
            connection.recv(1)  # it says a word when it is done
        subprocess.run(self._mount, check=True)

    def traffic(self) -> tuple[int, int]:
        """Return requests and bytes since it was mounted, once no more come: a file may be closed after a start."""
        before = None
        while (now := traffic(Path("/proc/self/mountstats").read_text(), self._point)) != before:
            before = now
            time.sleep(0.3)
        return now


def measure(
    account: Account, commands: dict[str, list[str]], first: int, later: int, share: Share | None = None
) -> Iterator[list[Any]]:
    """Yield form, run, number, seconds, and for first runs the MiB that they stored.

    With a share also how many requests went to its server, and how many MiB came from there.
    """
    for kind, number, order in rounds(list(commands), first, later):
        if kind == "first":
            account.empty()
        for form in order:
            stored_before, sent, moved = 0, 0, 0
            if kind == "first":
                stored_before = stored()
                if share:
                    share.mount_anew()
                drop_caches()
            if share:
                sent, moved = share.traffic()
            seconds, _ = account.run(commands[form])
            if kind == "warm":
                continue
            used = max(0, stored() - stored_before) / 1024 if kind == "first" else None
            found = [form, kind, number, seconds, used]
            if share:
                sent_then, moved_then = share.traffic()
                found += [sent_then - sent, (moved_then - moved) / 1024**2]
            yield found


def main() -> None:
    """Do what the plan says."""
    plan = json.loads(sys.argv[1])
    account = Account(plan["user"])
    share = Share(**plan["share"]) if "share" in plan else None
    starts = list(measure(account, plan["commands"], plan["first"], plan["later"], share))
    answers = {name: account.run(argv)[1] for name, argv in plan["questions"].items()}
    print(json.dumps({"starts": starts, "answers": answers}))


if __name__ == "__main__":
    main()
