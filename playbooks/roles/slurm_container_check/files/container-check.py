#!/usr/bin/python3
"""Runs a container from a known-good image, and takes this node out of Slurm where that fails, and back when it works.

Slurm runs it as HealthCheckProgram and as Epilog; it always ends in 0 then, as Slurm has a drain of its own for an
Epilog that fails, which nobody would take back. With --try it does nothing but the trial, and says how it went.

A node says first that it fails, in the comment that Slurm keeps of each node, and counts then how many say so. It
drains itself only if they are few. As each counts after it has spoken, never more than that are drained, whatever the
order.
The reason that Slurm keeps of a node would not do: with accounting, Slurm forgets that of a node that is not drained.
"""

import argparse
import configparser
import contextlib
import fcntl
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import syslog
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

SETTINGS = Path("/etc/container-check.ini")
RUN = Path("/run/container-check")
FAILING = "container-check: failing: "
WELL = "container-check: well again"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LONGEST = 200  # characters of a reason


@dataclass(frozen=True)
class Settings:
    """What the site says in /etc/container-check.ini."""

    image: str
    account: str
    seconds: float
    share: float
    settle: float

    @classmethod
    def read(cls, file: Path) -> "Settings":
        """Read the file; a missing key is told by its name."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(file.read_text(encoding="utf-8"))
        said = parser["container-check"]
        seconds, share, settle = (float(said[name]) for name in ("seconds", "share", "settle"))
        return cls(said["image"], said["account"], seconds, share, settle)


@dataclass(frozen=True)
class Node:
    """What Slurm says of a node."""

    state: str
    reason: str
    comment: str

    @property
    def flags(self) -> "set[str]":
        return set(re.split(r"[+*]", self.state))

    @property
    def drained(self) -> bool:
        return "DRAIN" in self.flags

    @property
    def ours(self) -> bool:
        return self.reason.startswith(FAILING)

    @property
    def others(self) -> bool:
        """Say whether somebody else has taken the node out; that it did not answer once is nobody's decision."""
        out = {"DRAIN", "DOWN", "FAIL"} & self.flags
        return bool(out) and not self.ours and not self.reason.startswith("Not responding")


def say(text: str) -> None:
    """Tell whoever looks on, and the system's log: slurmd throws away what its programs print."""
    print(f"container-check: {text}", file=sys.stderr, flush=True)
    syslog.syslog(syslog.LOG_WARNING, text)


# -- the trial -------------------------------------------------------------------------------------------------------


def command(image: str) -> "list[str]":
    """Return what is run: of the node's own settings as much as a job meets."""
    return ["apptainer", "exec", "--contain", "--cleanenv", image, "true"]


def hanging(file: Path) -> Optional[str]:
    """Return the process of an earlier trial that not even a kill has ended, if there is one.

    It waits for a file system whose server is away. A second would wait beside it, and so on until the node is full.
    """
    with contextlib.suppress(OSError, ValueError):
        pid, started = file.read_text(encoding="utf-8").split()
        if started_at(int(pid)) == started:
            return pid
    return None


def started_at(pid: int) -> str:
    """Return when a process has started, in clock ticks; that and its number name it."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]


def trial(settings: Settings, run: Path) -> str:
    """Run a container as the site's account; return what went wrong, nothing if all is well."""
    mark = run / "hanging"
    if pid := hanging(mark):
        return f"an earlier trial, process {pid}, still waits for its files"
    mark.unlink(missing_ok=True)
    try:
        entry = pwd.getpwnam(settings.account)
    except KeyError:
        return f"this node has no account '{settings.account}'"
    # Files and not pipes: a process that cannot be killed keeps a pipe open, and whoever reads it would wait as well.
    with tempfile.TemporaryDirectory(prefix="home-", dir=run) as home, tempfile.TemporaryFile(dir=run) as said:
        os.chown(home, entry.pw_uid, entry.pw_gid)
        process = start(settings, entry, home, said.fileno())
        if process is None:
            return "there is no program 'apptainer' on this node"
        try:
            code = process.wait(settings.seconds)
        except subprocess.TimeoutExpired:
            if not end(process):
                mark.write_text(f"{process.pid} {started_at(process.pid)}", encoding="utf-8")
            return f"the container did not end in {settings.seconds:g} s"
        said.seek(0)
        return "" if code == 0 else complaint(code, said.read().decode(errors="replace"))


def start(settings: Settings, entry: pwd.struct_passwd, home: str, output: int) -> "Optional[subprocess.Popen[bytes]]":
    """Start the container in a session of its own, without anything of the environment that Slurm gives."""
    me = os.getuid() == entry.pw_uid
    try:
        return subprocess.Popen(
            command(settings.image),
            user=None if me else entry.pw_uid,
            group=None if me else entry.pw_gid,
            extra_groups=None if me else os.getgrouplist(settings.account, entry.pw_gid),
            env={"HOME": home, "APPTAINER_CONFIGDIR": home, "PATH": os.environ.get("PATH", PATH), "LC_ALL": "C.UTF-8"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except FileNotFoundError:
        return None


def end(process: "subprocess.Popen[bytes]") -> bool:
    """Kill the whole session of a process; say whether it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        return False
    return True


def complaint(code: int, output: str) -> str:
    """Return the last words of a container that failed, without colours and repeated blanks.

    >>> complaint(255, "INFO: x\\n\\x1b[31mFATAL:   could not open image\\x1b[0m\\n")
    'FATAL: could not open image'
    >>> complaint(3, "")
    'exit code 3, without a word'
    """
    lines = [" ".join(re.sub(r"\x1b\[[0-9;]*m", "", line).split()) for line in output.splitlines()]
    return next((line for line in reversed(lines) if line), f"exit code {code}, without a word")


# -- what Slurm knows ------------------------------------------------------------------------------------------------


def scontrol(*words: str) -> str:
    """Ask or tell the head; what goes wrong is told with its last line."""
    done = subprocess.run(
        [*words], capture_output=True, text=True, timeout=20, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    if done.returncode:
        raise RuntimeError(f"'{' '.join(words[:2])}' failed: {complaint(done.returncode, done.stderr)}")
    return done.stdout


def parse_node(text: str) -> Node:
    """Return what one line of `scontrol --oneliner show node` says.

    >>> parse_node("NodeName=w1 State=IDLE+DRAIN ThreadsPerCore=1 Reason=a disk [root@2026-11-22T07:50:03]")
    Node(state='IDLE+DRAIN', reason='a disk', comment='')
    >>> parse_node("NodeName=w1 State=IDLE Reason=a [x] [root@2026-11-22T07:50:03] Comment=rack 7 Extra=b")
    Node(state='IDLE', reason='a [x]', comment='rack 7')
    """
    after = r"(?= (?:Comment|Extra|InstanceId|InstanceType)=|\s*$)"
    found = [
        re.search(pattern, text, re.DOTALL)
        for pattern in (r" State=([A-Z_+*]+)", rf" Reason=(.*?) \[[^][]*@[^][]*\]{after}", rf" Comment=(.*?){after}")
    ]
    return Node(*(match.group(1) if match else "" for match in found))


def count(text: str) -> "tuple[int, int]":
    """Return how many nodes say that they fail, and how many there are; one is listed for each of its partitions.

    >>> count("w1   rack 7; container-check: failing: x\\nw1   rack 7; container-check: failing: x\\nw2   (null)\\n")
    (1, 2)
    """
    said = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    return sum(FAILING in line for line in said.values()), len(said)


def limit(share: float, nodes: int) -> int:
    """Return how many nodes may be out at a time; one may in any case.

    >>> limit(10, 500), limit(10, 2)
    (50, 1)
    """
    return max(1, int(nodes * share / 100))


def without(comment: str) -> str:
    """Return what others have written into a comment.

    >>> without("rack 7; container-check: failing: x"), without("container-check: failing: x"), without("rack 7")
    ('rack 7', '', 'rack 7')
    """
    return re.sub(rf"(; )?{re.escape(FAILING)}.*", "", comment)


def update(name: str, *words: str) -> None:
    """Tell the head something of this node."""
    scontrol("scontrol", "update", f"NodeName={name}", *words)


def fails(name: str, node: Node, wrong: str, settings: Settings) -> None:
    """Say that this node fails; drain it if few do. What somebody else has taken out keeps their reason."""
    if node.others:
        say(f"{wrong}. '{name}' was taken out by somebody else, and stays as it is: {node.reason}")
        return
    reason = f"{FAILING}{wrong}"[:LONGEST]
    comment = "; ".join(filter(None, (without(node.comment), reason)))
    if node.comment != comment:
        update(name, f"Comment={comment}")
    if node.drained:
        say(f"{wrong}. '{name}' stays drained.")
        return
    time.sleep(settings.settle)
    failing, nodes = count(scontrol("sinfo", "--all", "--noheader", "--Node", "--Format=NodeHost:200,Comment:600"))
    if failing > limit(settings.share, nodes):
        say(
            f"{wrong}. {failing} of {nodes} nodes say that they fail, so it is not this node alone, and it is not "
            f"drained. Look at what they share: the image, and where it comes from."
        )
        return
    update(name, "State=DRAIN", f"Reason={reason}")
    say(f"{wrong}. '{name}' is drained, and comes back when a container runs again.")


def works(name: str, node: Node) -> bool:
    """Take back what this program has said and done, and nothing else; say whether that is all done."""
    if node.drained and node.ours and "DOWN" in node.flags:
        say(f"a container runs again, but Slurm has '{name}' down as well, and that is for an admin to look at.")
        return False
    if node.drained and node.ours:
        update(name, "State=RESUME")
        say(f"'{name}' is back: a container runs again.")
    words = []
    if without(node.comment) != node.comment:
        words.append(f"Comment={without(node.comment)}")
    if node.ours:
        # Without accounting Slurm keeps the reason of a node that comes back, and does not take an empty one instead.
        words.append(f"Reason={WELL}")
    if words:
        update(name, *words)
    return True


# -- the program -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def alone(run: Path, seconds: float) -> "Iterator[bool]":
    """Hold the lock, or give up after some time: the check of one job's end may wait for that of another's."""
    run.mkdir(mode=0o755, exist_ok=True)
    deadline = time.monotonic() + seconds
    with (run / "lock").open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(0.2)
        yield True


def told_since(run: Path, moment: float) -> bool:
    """Say whether a trial that began after this moment has gone well: of many jobs that end at once one is enough."""
    try:
        return (run / "well").stat().st_mtime > moment
    except FileNotFoundError:
        return False


def check(settings: Settings, name: str, run: Path) -> None:
    """Try, and tell Slurm if there is something to tell; a node that is well and was well asks the head nothing."""
    well, began = run / "well", time.time()
    wrong = trial(settings, run)
    if not wrong and well.exists():
        os.utime(well, (began, began))
        return
    node = parse_node(scontrol("scontrol", "--oneliner", "show", "node", name))
    if wrong:
        well.unlink(missing_ok=True)
        fails(name, node, f"no container runs from {settings.image}: {wrong}", settings)
    elif works(name, node):
        well.touch()
        os.utime(well, (began, began))


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(description="Runs a container from a known-good image, for Slurm.")
    parser.add_argument("--try", action="store_true", dest="only", help="only try, and say how it went")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help=argparse.SUPPRESS)
    parser.add_argument("--run", type=Path, default=RUN, help=argparse.SUPPRESS)
    said = parser.parse_args()
    os.environ.setdefault("PATH", PATH)  # slurmd gives none
    syslog.openlog("container-check")
    try:
        settings = Settings.read(said.settings)
    except (OSError, KeyError, ValueError, configparser.Error) as error:
        say(f"'{said.settings}' cannot be read: {error}. Nothing was looked at.")
        return 1 if said.only else 0
    try:
        return look(settings, said.run, only=said.only)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        say(f"the check did not come to its end: {error}. The next one tries again.")
        return 1 if said.only else 0


def look(settings: Settings, run: Path, *, only: bool) -> int:
    """Do what was asked, when no other check runs; return the exit code."""
    arrived = time.time()
    with alone(run, settings.seconds) as mine:
        if not mine:
            say("another check still runs; this one is left out.")
            return 1 if only else 0
        if only:
            wrong = trial(settings, run)
            print(f"{'No' if wrong else 'A'} container runs from {settings.image}{f': {wrong}' if wrong else '.'}")
            return 1 if wrong else 0
        if not told_since(run, arrived):
            check(settings, os.environ.get("SLURMD_NODENAME") or socket.gethostname().split(".")[0], run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
