#!/usr/bin/python3
"""Asks whether containers run on this execution point: for HTCondor's startd, and before each job.

It is run in three ways:

--startd   by the startd, as a cron job of its own. It waits until it is time, or a job has asked, runs a container from
           the known-good image, and prints what it finds as attributes of the machine.
--job      by the starter as a prepare hook, with the job on stdin, as the job's own user. It tries the job's image. If
           that fails and the known-good one works, the job is held. If both fail, the job goes back to the queue, when
           the startd's check has looked too: the claim that the job leaves is taken by the next one at once.
--try      by anybody. It tries the known-good image, as an ordinary account, and says how it went.

A node says first that it fails, waits until the pool has heard it, and counts then how many say so. It leaves only if
they are few. As each counts when it has been heard, never more than that are out, whatever the order. A node that the
pool does not hear stays, and so does one whose check itself is broken.
"""

import argparse
import configparser
import contextlib
import os
import platform
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

SETTINGS = Path("/etc/htcondor-container-check.ini")
RUN = Path("/run/condor/container-check")
LAST = "last"  # its time is that of the last trial
DECIDED = "decided"  # it is there from the end of one trial until the next one begins
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LONGEST = 300  # characters of a reason
HEARD = 30  # seconds within which the pool has to have heard a node
PAUSE = 60  # seconds until the next look of a check that is broken itself
# HTCondor's own: a static program that ends with 37. An image need not have any program that we know.
PROGRAM = Path("/usr/libexec/condor/singularity_test_sandbox/exit_37")
INSIDE = "/tmp/exit_37"  # noqa: S108 - a folder of the container's own
ENDS = 37

# Of ELF's e_machine and of SIF's architecture the ones that a grid has.
ELF = {0x3E: "x86_64", 0xB7: "aarch64", 0x15: "ppc64le", 0xF3: "riscv64"}
SIF = {b"02": "x86_64", b"04": "aarch64", b"06": "ppc64le", b"12": "riscv64"}

# What a hook says: up to 299 the job is held, from 300 on it goes back to the queue.
WRONG_MACHINE = 65
NO_IMAGE = 66
NO_START = 67
NODE_FAILS = 300


@dataclass(frozen=True)
class Settings:
    """What the site says in /etc/htcondor-container-check.ini."""

    image: str
    seconds: float
    interval: float
    share: float
    settle: float

    @classmethod
    def read(cls, file: Path) -> "Settings":
        """Read the file; a missing key is told by its name."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(file.read_text(encoding="utf-8"))
        said = parser["container-check"]
        seconds, interval, share, settle = (float(said[name]) for name in ("seconds", "interval", "share", "settle"))
        return cls(said["image"], seconds, interval, share, settle)


# -- a trial ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How a trial went: what was wrong, and whether it only did not end in its time."""

    wrong: str = ""
    slow: bool = False


def command(image: str) -> "list[str]":
    """Return what is run: HTCondor's own options, and its own program, which is bound in from the host."""
    return ["apptainer", "exec", "--contain", "--ipc", "--cleanenv", "--no-home",
            "--bind", f"{PROGRAM}:{INSIDE}:ro", image, INSIDE]  # fmt: skip


def trial(image: str, seconds: float, folder: Path) -> Outcome:
    """Run a container from an image, as whoever runs this."""
    # Files and not pipes: a process that cannot be killed keeps a pipe open, and whoever reads it would wait as well.
    home = tempfile.mkdtemp(prefix="container-check-", dir=folder)
    try:
        with tempfile.TemporaryFile(dir=home) as said:
            environment = {"HOME": home, "APPTAINER_CONFIGDIR": home, "PATH": PATH, "LC_ALL": "C.UTF-8"}
            process = subprocess.Popen(
                command(image),
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                end(process)
                return Outcome(f"the container did not end in {seconds:g} s", slow=True)
            said.seek(0)
            return Outcome() if code == ENDS else Outcome(complaint(code, said.read().decode(errors="replace")))
    except FileNotFoundError:
        return Outcome("there is no program 'apptainer' on this node")
    except PermissionError:
        return Outcome("the program 'apptainer' of this node cannot be run")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the whole session of a process, and do not wait long: one on a dead file system cannot be killed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(3)


def complaint(code: int, output: str) -> str:
    """Return the last words of a container that failed, without colours and repeated blanks.

    >>> complaint(255, "INFO: x\\n\\x1b[31mFATAL:   could not open image\\x1b[0m\\n")
    'FATAL: could not open image'
    >>> complaint(3, "")
    'exit code 3, without a word'
    """
    lines = [" ".join(re.sub(r"\x1b\[[0-9;]*m", "", line).split()) for line in output.splitlines()]
    return next((line for line in reversed(lines) if line), f"exit code {code}, without a word")


# -- an image --------------------------------------------------------------------------------------------------------


def inside(tree: Path, path: str) -> Path:
    """Return where a path of a tree lies, its links read as whoever is inside reads them."""
    done, todo = tree, path.strip("/").split("/")
    for _ in range(100):
        if not todo:
            break
        part = todo.pop(0)
        here = done / part
        if not here.is_symlink():
            done = here
            continue
        target = str(here.readlink())
        if target.startswith("/"):
            done = tree
        todo = [word for word in target.split("/") if word not in ("", ".")] + todo
        while todo and todo[0] == "..":
            todo.pop(0)
            done = done.parent if done != tree else tree
    return done


def machine(image: Path) -> Optional[str]:
    """Return what machine an image is for, as `uname -m` calls it; None if that does not show."""
    try:
        if image.is_dir():
            head = inside(image, "bin/sh").read_bytes()[:20]
            number = int.from_bytes(head[18:20], "big" if head[5:6] == b"\2" else "little")
            return ELF.get(number) if head[:4] == b"\x7fELF" else None
        with image.open("rb") as handle:
            head = handle.read(48)
        return SIF.get(head[45:47]) if head[32:41] == b"SIF_MAGIC" else None
    except OSError:
        return None


def look(path: Path) -> "tuple[int, str]":
    """Return what keeps an image from being run here, with the code that tells it; nothing if all is well."""
    try:
        path.stat()
        readable = os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))
    except PermissionError:
        readable = False
    except OSError as error:
        return NO_IMAGE, f"cannot be found: {error.strerror}"
    if not readable:
        return NO_IMAGE, "cannot be read by this account"
    found = machine(path)
    if found and found != platform.machine():
        return WRONG_MACHINE, f"is for {found}, and this node is {platform.machine()}"
    return 0, ""


# -- for a job -------------------------------------------------------------------------------------------------------


def quoted(text: str) -> str:
    r"""Return a string as a ClassAd has it.

    >>> quoted('no "x" in C:\\y')
    '"no \\"x\\" in C:\\\\y"'
    """
    plain = re.sub(r"\s+", " ", text).strip()[: LONGEST * 2]
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def value(ad: str, name: str) -> str:
    r"""Return a string or a word of a ClassAd, nothing if it is not there.

    >>> value('WantContainer = true\nContainerImage = "/srv/images/a b"\n', "ContainerImage")
    '/srv/images/a b'
    >>> value('WantContainer = true\n', "wantcontainer")
    'true'
    """
    found = re.search(rf'(?im)^{re.escape(name)} *= *(?:"((?:\\.|[^"\\])*)"|(\S+)) *$', ad)
    if not found:
        return ""
    return re.sub(r"\\(.)", r"\1", found.group(1)) if found.group(1) is not None else found.group(2)


def judge(image: str, settings: Settings, scratch: Path) -> "tuple[int, str]":
    """Return a code and words for whoever owns the job; nothing if the job can start."""
    wrong, code = "", 0
    if "://" in image:
        tried = trial(settings.image, settings.seconds, scratch)
        return (0, "") if not tried.wrong else (NODE_FAILS, tried.wrong)
    path = scratch / image  # an absolute one stays, and one that came with the job lies there
    code, wrong = look(path)
    if not wrong:
        tried = trial(str(path), settings.seconds, scratch)
        # An image that is slow, as from a cold cache, is nobody's fault.
        if not tried.wrong or tried.slow:
            return 0, ""
        code, wrong = NO_START, f"gives no container: {tried.wrong}"
    good = trial(settings.image, settings.seconds, scratch)
    return (NODE_FAILS, good.wrong) if good.wrong else (code, wrong)


def call(run: Path, seconds: float) -> None:
    """Let the startd's check come at once, and wait until it has decided, though not for ever."""
    asked = run / "asked" / f"{os.getpid()}"
    try:
        os.close(os.open(asked, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError:
        return
    until = time.monotonic() + seconds
    # A trial that went on already has not seen what the job saw; the one after it takes away what was asked.
    while time.monotonic() < until and (asked.exists() or not (run / DECIDED).exists()):
        time.sleep(0.5)
    time.sleep(min(1, seconds))  # for the startd to read what the check has written


def for_job(settings: Settings, run: Path) -> None:
    """Look at the job that the starter tells, and say what is to be done with it, if it cannot run."""
    ad = sys.stdin.read()
    image = value(ad, "ContainerImage")
    if not image or value(ad, "WantContainer").lower() != "true":
        return
    code, wrong = judge(image, settings, Path(os.environ.get("_CONDOR_SCRATCH_DIR", ".")))
    if not wrong:
        return
    node = socket.gethostname().split(".")[0]
    if code == NODE_FAILS:
        call(run, settings.seconds + 2 * HEARD)
        text = (
            f"On node {node} no container runs, not from the known-good image '{settings.image}' either: {wrong}. "
            f"The job goes back to the queue, and its image '{image}' is not to blame."
        )
    else:
        text = f"The container image '{image}' {wrong}. Others run on node {node}, so it is the image, or its name."
    print(f"HookStatusCode = {code}")
    print(f"HookStatusMessage = {quoted(text)}")


# -- for the startd --------------------------------------------------------------------------------------------------


def limit(share: float, nodes: int) -> int:
    """Return how many nodes may be out at a time; one may in any case.

    >>> limit(10, 500), limit(10, 2)
    (50, 1)
    """
    return max(1, int(nodes * share / 100))


def heard(text: str) -> "dict[str, bool]":
    """Return of each node of the pool whether it says that it fails.

    >>> heard("w1 true\\nw1 true\\nw2 false\\nw3 undefined\\n")
    {'w1': True, 'w2': False, 'w3': False}
    """
    return {words[0]: words[1] == "true" for line in text.splitlines() if len(words := line.split()) == 2}


def ask(*argv: str) -> str:
    """Return what a program of HTCondor's says."""
    # The startd's account has no key of the pool; whoever may read need not say who he is.
    plain = {f"_CONDOR_SEC_CLIENT_{what}": "OPTIONAL" for what in ("AUTHENTICATION", "ENCRYPTION", "INTEGRITY")}
    environment = {"PATH": PATH, "LC_ALL": "C.UTF-8", **plain}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"'{argv[0]}' failed: {complaint(done.returncode, done.stderr)}")
    return done.stdout


def ask_pool(settle: float) -> "tuple[int, int]":
    """Return how many nodes of the pool say that they fail, and how many there are, when it has heard this one too.

    That is asked of the startds' own ads: those of slots are not renewed when a check has spoken.
    """
    question = ["-constraint", 'MyType == "StartD"', "-af", "Machine", "ContainerCheckFailing =!= undefined"]
    this = ask("condor_config_val", "FULL_HOSTNAME").strip()
    until = time.monotonic() + HEARD
    while True:
        time.sleep(settle)
        said = heard(ask("condor_status", "-any", *question))
        if said.get(this):
            return sum(said.values()), len(said)
        if time.monotonic() > until:
            raise RuntimeError(f"the pool has not heard of '{this}' in {HEARD} s that it fails")


def publish(out: bool, wrong: str) -> None:
    """Hand attributes of this machine to the startd, which hands them on at once."""
    print(f"ContainerCheckOut = {'true' if out else 'false'}")
    if wrong:
        print(f"ContainerCheckFailing = {quoted(wrong[:LONGEST])}")
    print("- update:true", flush=True)


def wait(run: Path, seconds: float) -> None:
    """Wait until a job has asked, or for some seconds since the last trial."""
    asked, last = run / "asked", run / LAST
    asked.mkdir(parents=True, exist_ok=True)
    asked.chmod(0o1733)  # whoever has a job here may ask, and nobody sees or removes what others have asked
    with contextlib.suppress(OSError):
        while 0 <= time.time() - last.stat().st_mtime < seconds:
            if any(entry.is_file(follow_symlinks=False) for entry in os.scandir(asked)):
                break
            time.sleep(1)
    (run / DECIDED).unlink(missing_ok=True)  # before what was asked: whoever asked looks for it then
    for entry in os.scandir(asked):
        with contextlib.suppress(OSError):
            Path(entry.path).unlink()


def for_startd(file: Path, run: Path) -> None:
    """Wait, try, tell the startd, and let the jobs go that wait for that."""
    wait(run, Settings.read(file).interval)
    decide(Settings.read(file), run)  # what is in it now
    (run / DECIDED).touch()


def decide(settings: Settings, run: Path) -> None:
    """Try, and tell the startd; a node that fails speaks first, and counts then."""
    out = run / "out"
    tried = trial(settings.image, settings.seconds, run)
    # Anew, as somebody else may have made it.
    (run / LAST).unlink(missing_ok=True)
    (run / LAST).touch()
    if not tried.wrong:
        out.unlink(missing_ok=True)
        publish(False, "")
        return
    wrong = f"no container runs from {settings.image}: {tried.wrong}"
    publish(out.exists(), wrong)
    if out.exists():
        return
    try:
        failing, nodes = ask_pool(settings.settle)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"container-check: {error}. Nothing was decided.", file=sys.stderr)
        return
    if failing > limit(settings.share, nodes):
        text = f"{wrong} ({failing} of {nodes} nodes say that they fail, so it is not this node alone)"
        publish(False, text)
        return
    out.touch()
    publish(True, wrong)


# -- by hand ---------------------------------------------------------------------------------------------------------


def become_ordinary() -> None:
    """Be HTCondor's account, or nobody, instead of root: what root can start tells nothing of jobs."""
    if os.geteuid():
        return
    entry = next((each for each in pwd.getpwall() if each.pw_name == "condor"), None) or pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


# -- the program -----------------------------------------------------------------------------------------------------


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(description="Asks whether containers run on this execution point of HTCondor.")
    way = parser.add_mutually_exclusive_group(required=True)
    for name in ("startd", "job", "try"):
        way.add_argument(f"--{name}", action="store_const", const=name, dest="way")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help=argparse.SUPPRESS)
    parser.add_argument("--pause", type=float, default=PAUSE, help=argparse.SUPPRESS)
    parser.add_argument("--run", type=Path, default=RUN, help=argparse.SUPPRESS)
    said = parser.parse_args()
    try:
        if said.way == "startd":
            said.run.mkdir(mode=0o755, parents=True, exist_ok=True)
            for_startd(said.settings, said.run)
        elif said.way == "job":
            for_job(Settings.read(said.settings), said.run)
        else:
            settings = Settings.read(said.settings)
            become_ordinary()
            wrong = trial(settings.image, settings.seconds, Path(tempfile.gettempdir())).wrong
            print(f"{'No' if wrong else 'A'} container runs from {settings.image}{f': {wrong}' if wrong else '.'}")
            return 1 if wrong else 0
    except (OSError, KeyError, ValueError, configparser.Error) as error:
        # A hook that ends otherwise than in 0 has the job held, which is not this program's own trouble to decide.
        told = f"the check itself is broken, '{said.settings}' or '{said.run}': {error}"
        print(f"container-check: {told}. Nothing was looked at.", file=sys.stderr)
        if said.way == "startd":
            publish(False, told)
            time.sleep(said.pause)
        return 1 if said.way == "try" else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
