#!/usr/bin/python3 -I
"""Tells what a payload in a container still sees of the pilot and of the node, for each rung of a ladder of options."""

from __future__ import annotations

import argparse
import configparser
import contextlib
import ctypes
import json
import os
import pwd
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SITE = Path("/etc/payload-isolation.ini")
SHELL = "/bin/sh"
GROUPS = Path("/sys/fs/cgroup")
SHARED = {"tmp": Path("/tmp"), "shm": Path("/dev/shm")}  # noqa: S108 - that others can look there is the question
WRONG, NODE = 2, 3
"""Exit codes: it was called wrongly; Apptainer or the container image cannot be used."""


class Rung(NamedTuple):
    """Options of 'apptainer exec' (none: no container at all), and whether the pilot closes its open files before."""

    options: str | None
    closes: bool = False

    @property
    def title(self) -> str:
        """What the table says of it."""
        title = "no container" if self.options is None else self.options or "no option"
        return f"{title}, open files closed" if self.closes else title


LADDER = (
    Rung(None),  # so that it shows that each of the attempts can succeed
    Rung(""),
    Rung("--cleanenv"),
    Rung("--no-home"),
    Rung("--no-mount tmp"),
    Rung("--ipc"),
    Rung("--pid"),
    Rung("--contain"),
    Rung("--contain --ipc"),
    Rung("--contain --ipc --pid"),
    Rung("--containall"),
    Rung("--containall", closes=True),
    Rung("--containall --no-mount sys", closes=True),
    Rung("--containall --no-mount sys --net --network none", closes=True),
)

SEES = {
    "process": "a process of the pilot in /proc",
    "environ": "its environment, or its files by way of /proc",
    "signal": "a signal of the payload reaches it",
    "others": "processes of other accounts in /proc",
    "variable": "a variable of the pilot",
    "folder": "a credential in the pilot's current folder",
    "home": "a file in the pilot's home",
    "homes": "the homes of other accounts",
    "tmp": "a file in /tmp",
    "shm": "a file in /dev/shm",
    "ipc": "a System V shared memory segment",
    "devices": "all devices of the node in /dev",
    "descriptor": "a file that the pilot has open",
    "socket": "a socket of the pilot in the abstract namespace",
    "group": "the control group that limits it, to leave it",
}

# What the payload does. It needs a shell and nothing else of the container image, so that any will do. The signal goes
# to a process that was started for it, and that blocks it.
PAYLOAD = r"""
says() { echo "$token $1"; }
for status in /proc/[0-9]*/status; do
    pid=${status#/proc/}; pid=${pid%/status}; name= uid=
    while read -r key value rest; do
        case $key in Name:) name=$value ;; Uid:) uid=$value; break ;; esac
    done 2>/dev/null <"$status" || continue
    [ -z "$uid" ] || [ "$uid" = "$own" ] || others=yes
    [ "$name" = "$comm" ] || continue
    says process
    { read -r line <"/proc/$pid/environ" || [ -e "/proc/$pid/cwd/." ]; } 2>/dev/null && says environ
done
[ -z "$others" ] || says others
kill -USR1 "$target" 2>/dev/null
[ -z "$PILOT_SECRET" ] || says variable
[ ! -r "$folder" ] || says folder
[ ! -r "$home" ] || says home
for path in "${homes%/}"/*; do [ ! -e "$path" ] || [ "$path" = "$HOME_OF_PILOT" ] || says homes; done
[ ! -r "$tmp" ] || says tmp
[ ! -r "$shm" ] || says shm
while read -r key rest; do [ "$key" != "$segment" ] || says ipc; done </proc/sysvipc/shm
[ ! -e /dev/kmsg ] || says devices
{ read -r line <"/proc/self/fd/$descriptor"; } 2>/dev/null && [ "$line" = "$token" ] && says descriptor
while read -r line; do case $line in *"@$token"*) says socket ;; esac; done </proc/net/unix
[ ! -w "$group/cgroup.procs" ] || says group
says done
"""
IPC_CREAT, IPC_RMID = 0o1000, 0


class Refused(Exception):
    """Nothing was found out; the message says why."""

    def __init__(self, message: str, code: int = NODE) -> None:
        super().__init__(message)
        self.code = code


@contextlib.contextmanager
def planted() -> Iterator[dict[str, str]]:
    """Lay out what a payload shall look for, all of it the caller's own; yield the variables that tell where it is."""
    token = f"payload-isolation-{secrets.token_hex(4)}"
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)  # as Apptainer does, whatever HOME says
    found = {"token": token, "own": str(os.getuid()), "HOME_OF_PILOT": str(home), "homes": str(home.parent)}
    with contextlib.ExitStack() as stack:
        for name, place in {"folder": Path.cwd(), "home": home, **SHARED}.items():
            try:
                descriptor, path = tempfile.mkstemp(prefix=f"{token}.", dir=place)
            except OSError as error:
                raise Refused(f"Nothing can be put into '{place}': {error.strerror}.") from None
            stack.callback(os.unlink, path)
            os.write(descriptor, f"{token}\n".encode())
            os.close(descriptor)
            found[name] = path
        found["segment"] = str(stack.enter_context(segment()))
        listener = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
        listener.bind(f"\0{token}")
        found["group"] = str(GROUPS / control_group().lstrip("/"))
        yield found


@contextlib.contextmanager
def segment() -> Iterator[int]:
    """Make a System V shared memory segment that only the caller can read; yield its key."""
    key, libc = secrets.randbelow(2**30) + 1, ctypes.CDLL(None, use_errno=True)
    number = libc.shmget(key, ctypes.c_size_t(1), IPC_CREAT | 0o600)
    if number < 0:
        raise Refused(f"No shared memory segment can be made: {os.strerror(ctypes.get_errno())}.")
    try:
        yield key
    finally:
        libc.shmctl(number, IPC_RMID, None)


@contextlib.contextmanager
def process() -> Iterator[tuple[int, str]]:
    """Start a process that does nothing and blocks SIGUSR1; yield its number, and its name in /proc."""
    name = f"pi-{secrets.token_hex(4)}"
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # what is started inherits it
    try:
        waiting = subprocess.Popen(
            [SHELL, "-c", 'printf %s "$1" >/proc/$$/comm && echo && read -r line', SHELL, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    try:
        waiting.stdout.readline()  # type: ignore[union-attr]  # it is a pipe: from here on the name is set
        yield waiting.pid, name
    finally:
        waiting.communicate()


def signalled(pid: int) -> bool:
    """Return whether SIGUSR1 has reached a process that blocks it."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return any(int(line[7:], 16) >> signal.SIGUSR1 - 1 & 1 for line in lines if line.startswith("ShdPnd:"))


def seen(apptainer: str, image: str, rung: Rung, where: dict[str, str], seconds: int) -> tuple[set[str], str]:
    """Return what a payload in a container with these options sees, or why no container was started."""
    words = [SHELL, "-c"]
    if rung.options is not None:
        words = [apptainer, "--silent", "--nocolor", "exec", *shlex.split(rung.options), image, *words]
    with contextlib.ExitStack() as stack:
        target, name = stack.enter_context(process())
        opened = os.open(where["folder"], os.O_RDONLY)
        stack.callback(os.close, opened)
        told = where | {"target": str(target), "comm": name, "descriptor": str(opened)}
        try:
            ran = subprocess.run(
                [*words, "".join(f"{key}={shlex.quote(value)}\n" for key, value in told.items()) + PAYLOAD],
                env={**os.environ, "PILOT_SECRET": where["token"]}, stdin=subprocess.DEVNULL, capture_output=True,
                text=True, errors="replace", check=False, timeout=seconds, pass_fds=() if rung.closes else (opened,),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return set(), f"it did not end within {seconds} s"
        said = {line.split(" ")[1] for line in ran.stdout.splitlines() if line.startswith(f"{where['token']} ")}
        if "done" not in said:
            # Its starter writes in colours whatever '--nocolor' and the terminal say.
            said_why = re.sub(r"\x1b\[[0-9;]*m", "", ran.stderr)
            return set(), " ".join(said_why.split())[-300:] or f"exit code {ran.returncode}"
        return said - {"done"} | ({"signal"} if signalled(target) else set()), ""


def control_group() -> str:
    """Return the control group of version 2 that this runs in; nothing if there is none."""
    lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), "")


def delegated() -> list[str]:
    """Return the controllers that this account may hand on to control groups of its own."""
    folder = GROUPS / control_group().lstrip("/")
    written = (folder, folder / "cgroup.procs", folder / "cgroup.subtree_control")
    if not all(os.access(path, os.W_OK) for path in written):
        return []
    return (folder / "cgroup.controllers").read_text(encoding="ascii").split()


def table(rungs: tuple[Rung, ...], found: list[tuple[set[str], str]]) -> Iterator[str]:
    """Yield the lines of the ladder: a column for each rung, a line for each thing that may be seen."""
    for number, (rung, (_, why)) in enumerate(zip(rungs, found), 1):
        yield f"{number:2} {rung.title}"
        if why:
            yield f"   does not start: {why}"
    yield ""
    width = max(map(len, SEES.values()))
    yield " ".join([" " * width, *(f"{number:2}" for number in range(1, len(rungs) + 1))])
    for name, text in SEES.items():
        yield " ".join([text.ljust(width), *(" ?" if why else " x" if name in sees else " ." for sees, why in found)])
    yield ""
    yield "x the payload sees it   . it does not   ? no container was started"


def start(arguments: argparse.Namespace) -> None:
    """Climb the ladder, and print what was found."""
    if os.getuid() == 0:
        raise Refused(
            "Root sees everything. Say: runuser -u ACCOUNT payload-isolation, with an account of pilots.", WRONG
        )
    site = configparser.ConfigParser(interpolation=None)
    site.read(SITE)
    apptainer = arguments.apptainer or site.get("site", "apptainer", fallback="apptainer")
    image = arguments.image or site.get("site", "image", fallback="")
    if not image:
        raise Refused(f"No container image: name one with --image, or as 'image' in '{SITE}'.", WRONG)
    if not shutil.which(apptainer):
        raise Refused(f"The Apptainer '{apptainer}' is not there, or cannot be run by this account.")
    if not os.access(image, os.R_OK):
        raise Refused(f"The container image '{image}' is not there, or cannot be reached by this account.")
    rungs = (Rung(" ".join(arguments.options)),) if arguments.options else LADDER
    with planted() as where:
        found = [seen(apptainer, image, rung, where, arguments.seconds) for rung in rungs]
    group, controllers = control_group(), delegated()
    if arguments.json:
        told = [{"rung": rung.title, "sees": sorted(sees), "why": why} for rung, (sees, why) in zip(rungs, found)]
        print(json.dumps({"ladder": told, "control_group": group, "delegated": controllers}, indent=1))
    else:
        print("\n".join(table(rungs, found)))
        print(f"\nThe control group of this job, {group or 'of no version 2'}, is ", end="")
        print(f"delegated: {' '.join(controllers)}." if controllers else "not delegated.")
    if arguments.options and found[0][1]:
        raise Refused(f"No container was started: {found[0][1]}")


def main() -> None:
    """Do what the command line asks; what is refused ends with a sentence."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was planted goes
    parser = argparse.ArgumentParser(prog="payload-isolation", description=__doc__)
    parser.add_argument("--apptainer", help=f"the Apptainer that starts the containers; otherwise as '{SITE}' says")
    parser.add_argument("--image", help=f"an unpacked image or a SIF file; otherwise as '{SITE}' says")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--seconds", type=int, default=120, help="how long one container may take (120)")
    parser.add_argument("options", nargs="*", help="after '--': options of 'apptainer exec', instead of the ladder")
    try:
        start(parser.parse_args())
    except Refused as error:
        print(f"payload-isolation: {error}", file=sys.stderr)
        sys.exit(error.code)


if __name__ == "__main__":
    main()
