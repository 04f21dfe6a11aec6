#!/usr/bin/python3 -I
"""Runs the steps of a job one after the other, each in a container of its own that shares one work folder."""

from __future__ import annotations

import argparse
import configparser
import contextlib
import ctypes
import functools
import json
import math
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

SITE = Path(os.environ.get("JOB_STEPS_SITE", "/etc/job-steps.ini"))
WORK, CREDENTIALS, CVMFS = "/srv", "/run/credentials", "/cvmfs"
APART = ("--userns", "--contain", "--ipc", "--pid", "--cleanenv", "--no-eval")
NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LENGTH = re.compile(r"([1-9]\d*)([smh]?)")
COMMON = {"apptainer", "read", "grace"}
KEYS = {"site": COMMON, "job": COMMON, "step": {"image", "command", "read", "environment", "credentials", "time"}}
FAILED, WRONG, NODE = 1, 2, 3
"""Exit codes: a step failed; the description is wrong; the node or an image is not fit. In the last two nothing ran."""

HEARD = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU}
GONE_WITHIN = 10  # seconds: a killed process is gone at once, unless it waits in the kernel for a file system
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
SHELLS = ("bin/sh", "bin/bash", "usr/bin/env", "bin/busybox", "lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1")
ELF_MACHINES = {3: "i386", 21: "ppc64le", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


class Refused(Exception):
    """Nothing was started; the message says why."""

    def __init__(self, message: str, code: int = WRONG) -> None:
        super().__init__(message)
        self.code = code


class Step(NamedTuple):
    """What the description says of one step; `seconds` is 0 where it has no limit."""

    name: str
    image: str
    command: list[str]
    read: list[str]
    environment: dict[str, str]
    credentials: dict[str, str]
    seconds: int


class Job(NamedTuple):
    """A whole description, with what the site adds."""

    apptainer: str
    grace: int
    steps: list[Step]


def parsed(file: Path, code: int = WRONG) -> configparser.ConfigParser:
    """Return the sections of a file; what is not known, or is there twice, is refused."""
    found = configparser.ConfigParser(interpolation=None, delimiters=("=",), default_section="\0")
    found.optionxform = str  # type: ignore[assignment,method-assign]  # the way that the module documents
    try:
        found.read_string(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"'{file}' cannot be read: {error.strerror}.", code) from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise Refused(f"'{file}' is no description: {' '.join(str(error).split())}", code) from None
    for title in found.sections():
        kind = title.split(" ")[0]
        if kind not in KEYS or (kind == "step") != (" " in title):
            raise Refused(f"'{file}': a section is [site], [job] or [step NAME], and not [{title}].", code)
        if unknown := sorted(set(found[title]) - KEYS[kind]):
            known = ", ".join(sorted(KEYS[kind]))
            raise Refused(f"'{file}', [{title}]: there is no '{unknown[0]}'; there are {known}.", code)
    return found


def job_of(file: Path, caller: dict[str, str]) -> Job:
    """Return the job that a file describes, with what the site's own file says."""
    said, site = parsed(file), parsed(SITE, NODE) if SITE.exists() else configparser.ConfigParser()
    if "site" in said or set(site.sections()) - {"site"}:
        raise Refused(f"[site] belongs into '{SITE}', alone, and nothing else does.")
    parts = [dict(found[title]) for found, title in ((site, "site"), (said, "job")) if title in found]
    common = {key: value for part in parts for key, value in part.items()}
    try:
        apptainer = one_path(common.get("apptainer", "/usr/bin/apptainer"), "apptainer")
        grace = length(common.get("grace", "10s"), "grace")
        read = [path for part in parts for path in lines(part.get("read", ""))]
        steps = [step_of(said[title], title[5:], read, caller) for title in said.sections() if title != "job"]
    except ValueError as error:
        raise Refused(f"'{file}': {error}") from None
    if not steps:
        raise Refused(f"'{file}' has no [step NAME].")
    return Job(apptainer, grace, steps)


def step_of(said: configparser.SectionProxy, name: str, read: list[str], caller: dict[str, str]) -> Step:
    """Return one step, or raise a ValueError whose sentence says what is wrong."""
    if not NAME.fullmatch(name):
        raise ValueError(f"[step {name}]: a name has small letters and digits, with one of '.', '_', '-' between.")
    try:
        if missing := [key for key in ("image", "command") if not said.get(key, "").strip()]:
            raise ValueError(f"'{missing[0]}' is missing.")
        command = shlex.split(said["command"])
        environment = dict(assignment(line) for line in lines(said.get("environment", "")))
        credentials = {key: credential(key, caller) for key in said.get("credentials", "").split()}
        limit = length(said["time"], "time") if "time" in said else 0
        paths = [one_path(path, "read") for path in [*read, *lines(said.get("read", ""))]]
        return Step(name, one_path(said["image"], "image"), command, paths, environment, credentials, limit)
    except ValueError as error:
        raise ValueError(f"[step {name}]: {error}") from None


def lines(text: str) -> list[str]:
    """Return the lines that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def one_path(text: str, key: str) -> str:
    """Return an absolute path; a node pulls no container image by itself."""
    if not text.startswith("/") or "\n" in text or ".." in PurePosixPath(text).parts:
        raise ValueError(f"{key}: '{text}' is no absolute path of the node.")
    return text


def length(text: str, key: str) -> int:
    """Return seconds."""
    if not (found := LENGTH.fullmatch(text.strip())):
        raise ValueError(f"{key}: '{text}' is no length of time, such as 90s, 10m or 2h.")
    return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def assignment(line: str) -> tuple[str, str]:
    """Return name and value of a variable."""
    name, sign, value = line.partition("=")
    if not sign or not VARIABLE.fullmatch(name):
        raise ValueError(f"environment: '{line}' is no NAME=value.")
    return name, value


def credential(variable: str, caller: dict[str, str]) -> str:
    """Return the file that a variable of the caller names."""
    if not VARIABLE.fullmatch(variable):
        raise ValueError(f"credentials: '{variable}' is no name of a variable.")
    # Its value is told to nobody: it may be the secret itself.
    if not caller.get(variable, "").startswith("/"):
        why = "holds no absolute path of a file" if variable in caller else "is not set"
        raise ValueError(f"credentials: {variable} {why} where job-steps was started.")
    return caller[variable]


def problems(job: Job) -> Iterator[str]:
    """Yield what of the node or of the images is not fit, for all steps before the first one starts."""
    if not Path(job.apptainer).is_file() or not os.access(job.apptainer, os.X_OK):
        yield f"Apptainer '{job.apptainer}' is not there, or cannot be executed."
    for step in job.steps:
        if why := unfit(Path(step.image)):
            yield f"Step '{step.name}': the container image '{step.image}' {why}"
        for path in step.read:
            if not os.access(path, os.R_OK):
                yield f"Step '{step.name}': '{path}', which it is to read, is not there or cannot be read."
        for variable, path in step.credentials.items():
            if not Path(path).is_file() or not os.access(path, os.R_OK):
                yield f"Step '{step.name}': the file that {variable} names is not there or cannot be read."


def unfit(image: Path) -> str:
    """Return why no container can start from a container image; nothing if none is known."""
    try:
        image.stat()
    except OSError as error:
        return f"cannot be reached: {error.strerror}."
    if not os.access(image, os.R_OK | (os.X_OK if image.is_dir() else 0)):
        return "cannot be read: Permission denied."
    try:
        if image.is_dir():
            return wrong_tree(image)
        # Apptainer itself looks for which machine a SIF file is. It starts with a line for the shell.
        with image.open("rb") as opened:
            return "" if opened.read(41)[32:] == b"SIF_MAGIC" else "is neither a folder nor a SIF file."
    except OSError as error:
        return f"cannot be read: {error.strerror}."


def wrong_tree(image: Path) -> str:
    """Return why a folder is no tree that this node can run."""
    programs = [found for name in SHELLS if (found := inside(image, name)).is_file()]
    if not programs:
        return f"holds no system: it has none of {', '.join(SHELLS[:4])}."
    with programs[0].open("rb") as opened, Path("/proc/self/exe").open("rb") as own:
        theirs, mine = opened.read(20), own.read(20)
    if theirs[:4] == b"\x7fELF" and theirs[4:6] + theirs[18:20] != mine[4:6] + mine[18:20]:
        machine = int.from_bytes(theirs[18:20], "little" if theirs[5] == 1 else "big")
        return f"is for {ELF_MACHINES.get(machine, f'machine {machine}')}, and this node is {platform.machine()}."
    return ""


def inside(tree: Path, name: str) -> Path:
    """Return where a path of a tree leads, its links read as a container would: '/' is the tree."""
    place, left = PurePosixPath("/"), list(PurePosixPath(name).parts)
    turns = 100
    while left and (turns := turns - 1):
        part = left.pop(0)
        there = tree / str(place / part)[1:]
        if part in {"/", ".."}:
            place = PurePosixPath("/") if part == "/" else place.parent
        elif there.is_symlink():
            left[:0] = there.readlink().parts
        else:
            place = place / part
    return tree / str(place)[1:]


def strays(work: Path, read: Iterable[str]) -> Iterator[str]:
    """Yield what lies in the work folder and leads elsewhere: a step with credentials might follow it to these."""
    left = [work]
    while left:
        for path in left.pop().iterdir():
            if path.is_symlink() and leads_elsewhere(path.readlink(), read):
                yield str(path.relative_to(work))
            elif path.is_dir() and not path.is_symlink():
                left.append(path)


def leads_elsewhere(target: Path, read: Iterable[str]) -> bool:
    """Return whether a link leads neither downwards nor to what a step reads anyway.

    As no link that stays goes upwards, no chain of them does. The links on the way count as well: below /cvmfs many an
    unpacked image has a /var/run that leads to /run, and so to the credentials.
    """
    if ".." in target.parts or not target.is_absolute() or target.is_relative_to(WORK):
        return ".." in target.parts
    real = Path(os.path.realpath(target))
    return not any(target.is_relative_to(each) and real.is_relative_to(os.path.realpath(each)) for each in read)


def argv_of(apptainer: str, step: Step, work: Path, scratch: Path) -> list[str]:
    """Return the command that starts a step's container."""
    binds = [
        mount(str(work), WORK),
        *(mount(path, path, "ro") for path in step.read),
        *(mount(path, f"{CREDENTIALS}/{name}", "ro") for name, path in step.credentials.items()),
    ]
    # Below it CVMFS repositories are mounted when they are asked for; each is read-only by itself.
    cvmfs = ["--bind", CVMFS] if Path(CVMFS).is_dir() else []
    mounts = [word for bind in binds for word in ("--mount", bind)]
    places = ["--workdir", str(scratch), "--pwd", WORK, *cvmfs, *mounts]
    return [apptainer, "--silent", "exec", *APART, *places, step.image, *step.command]


def mount(source: str, destination: str, *more: str) -> str:
    """Return the value of one --mount, which is a line of CSV: so a path may hold commas and colons."""
    words = ["type=bind", f"source={source}", f"destination={destination}", *more]
    return ",".join('"{}"'.format(word.replace('"', '""')) for word in words)


def surroundings(step: Step, scratch: Path) -> dict[str, str]:
    """Return the whole environment of Apptainer: nothing of the pilot's is in it, its binds neither."""
    handed = {**step.environment, **{name: f"{CREDENTIALS}/{name}" for name in step.credentials}}
    own = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(scratch)}
    own |= {"APPTAINER_CONFIGDIR": str(scratch / "settings"), "APPTAINER_TMPDIR": str(scratch)}
    return {**own, **{f"APPTAINERENV_{name}": value for name, value in handed.items()}}


def warden() -> int:
    """Start a process that kills the step whose number was written last, when this program ends; return where to write.

    Otherwise a step would go on if this program were killed. PR_SET_PDEATHSIG does not help: the kernel takes it back
    from Apptainer with the user namespace. The warden is nobody's child and in nobody's group, so it is not killed too.
    """
    reading, writing = os.pipe()
    if middle := os.fork():
        os.close(reading)
        os.waitpid(middle, 0)
        return writing
    os.setsid()
    if os.fork():
        os._exit(0)
    os.dup2(reading, 0)
    for opened in Path("/proc/self/fd").iterdir():  # os.closerange of Python 3.9 tries all that there might be
        with contextlib.suppress(OSError):
            os.close(int(opened.name) or reading)
    last = 0
    while told := os.read(0, 4):
        last = int.from_bytes(told, "little")
    if last:
        with contextlib.suppress(OSError):
            os.killpg(last, signal.SIGKILL)
    os._exit(0)


def announce(warden: int) -> None:
    """Before a step becomes Apptainer: let it hear signals, and tell the warden of it; its parent might be too late."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a step does without a warden that somebody has killed
    with contextlib.suppress(OSError):
        os.write(warden, os.getpid().to_bytes(4, "little"))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def run(argv: list[str], environment: dict[str, str], log: Path, step: Step, chain: Chain) -> tuple[int, int | None]:
    """Run a step; return its exit code, and which signal ended it: 0 if its time was over, None if it ended by itself.

    The signals of `HEARD` are blocked, so that each is waited for and none gets lost between two lines. A turn of the
    loop takes one of them or waits for the time that is left; once it is over the step is asked, once more killed.
    """
    with Path(f"{log}.out").open("xb") as out, Path(f"{log}.err").open("xb") as err:
        child = subprocess.Popen(
            argv, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
            preexec_fn=functools.partial(announce, chain.warden),  # noqa: PLW1509 - there is one thread
        )  # fmt: skip
    ended: int | None = None
    end = time.monotonic() + (step.seconds or math.inf)
    while (code := child.poll()) is None:
        heard = signal.sigtimedwait(HEARD, min(60.0, max(0.0, end - time.monotonic())))
        asked = heard.si_signo if heard and heard.si_signo != signal.SIGCHLD else 0
        over = time.monotonic() >= end
        if ended is None and (asked or over):
            ended = asked
            # Apptainer hands it on into the container. To the whole group it would come twice.
            os.kill(child.pid, asked or signal.SIGTERM)
            end = time.monotonic() + chain.job.grace
        elif over:
            child.returncode = -signal.SIGKILL  # what comes next kills it, and all that it has started
    return code if code >= 0 else 128 - code, ended


def clear_away(spared: set[int]) -> bool:
    """Kill what a step has left; return whether all went in time. What loses its parent becomes a child of ours."""
    end = time.monotonic() + GONE_WITHIN
    while time.monotonic() < end:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not (left := children() - spared):
            return True
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, 0.05)
    return False


def children() -> set[int]:
    """Return the children of this program, those that have ended but were not waited for too."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()}


def say(text: str, to: int = 1) -> None:
    """Tell whoever listens; that nobody does any more is no reason to end a chain."""
    with contextlib.suppress(OSError):
        os.write(to, f"{text}\n".encode(errors="backslashreplace"))


class Chain:
    """One run of a job: its folder, and what is known of its steps."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self.folder, self.warden = job, folder, -1
        self.spared: set[int] = set()
        self.told: list[dict[str, Any]] = [
            {"step": step.name, "image": step.image, "state": "not run"} for step in job.steps
        ]

    def prepare(self) -> None:
        """Make the folder ready; what another run has left there is not touched."""
        if there := [name for name in ("steps.json", "logs", "scratch") if os.path.lexists(self.folder / name)]:
            raise Refused(f"'{self.folder}' holds '{there[0]}' of another run. Take a new folder.")
        for place in (self.folder, self.folder / "work", self.folder / "logs", self.folder / "scratch"):
            place.mkdir(mode=0o700, exist_ok=True)
        self.tell()

    def tell(self) -> None:
        """Write what is known, at once. If it fails, as on a full disk, a result is still worth being taken away."""
        new = self.folder / "steps.json.new"
        try:
            new.write_text(json.dumps(self.told, indent=1) + "\n", encoding="utf-8")
            new.replace(self.folder / "steps.json")
        except OSError as error:
            say(f"job-steps: '{self.folder}/steps.json' cannot be written: {error.strerror}.", 2)

    def run(self) -> int:
        """Run the steps until one fails; return the exit code of all."""
        self.warden = warden()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.spared = children()  # of a shell that has become this program by 'exec'
        for number, step in enumerate(self.job.steps):
            told = self.told[number]
            code = self.step(number, step, told)
            self.tell()
            say(f"{step.name}: {told['state']}, {told['seconds']} s")
            if code:
                return code
        return 0

    def step(self, number: int, step: Step, told: dict[str, Any]) -> int:
        """Run one step; return 0, or the exit code with which the chain ends."""
        log = self.folder / "logs" / f"{number + 1}-{step.name}"
        told |= {"state": "running", "out": f"{log}.out", "err": f"{log}.err", "begun": int(time.time()), "seconds": 0}
        self.tell()
        work, scratch, begun = self.folder / "work", self.folder / "scratch" / str(number + 1), time.monotonic()
        try:
            scratch.mkdir(mode=0o700)
            if step.credentials and (found := sorted(strays(work, [CVMFS, *step.read]))):
                return self.failed(step, told, f"not started, since in the work folder {found[0]!r} leads elsewhere")
            argv = argv_of(self.job.apptainer, step, work, scratch)
            code, ended = run(argv, surroundings(step, scratch), log, step, self)
        except OSError as error:
            return self.failed(step, told, f"not started: {error.filename}: {error.strerror}")
        finally:
            gone = clear_away(self.spared)
            with contextlib.suppress(OSError):
                os.write(self.warden, bytes(4))
            remove(scratch)
        told |= {"exit": code, "seconds": round(time.monotonic() - begun, 1)}
        if not gone:
            return self.failed(step, told, f"exit code {code}, and what it started cannot be killed")
        if ended:
            return self.failed(step, told, f"ended by signal {ended}", log) and 128 + ended
        if ended == 0 or code:
            why = f"exit code {code}" if ended is None else f"ended since its {step.seconds} s were over"
            return self.failed(step, told, why, log)
        told["state"] = "done"
        return 0

    def failed(self, step: Step, told: dict[str, Any], state: str, log: Path | None = None) -> int:
        """Tell that a step has failed, with the container image and the end of its log."""
        told["state"] = state
        last = last_lines(Path(f"{log}.err")) if log else []
        say("\n  ".join([f"job-steps: step '{step.name}' in '{step.image}': {state}.", *last]), 2)
        return FAILED


def last_lines(file: Path, wanted: int = 3, most: int = 2000) -> list[str]:
    """Return the end of a log; what would steer a terminal is left out."""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - most))
        found = lines(opened.read().decode(errors="replace"))[-wanted:]
    return ["".join(filter(str.isprintable, line)) for line in found]


def remove(folder: Path) -> None:
    """Remove a folder, though a step may have taken the rights to look into parts of it away."""
    for command in ("/bin/chmod -R u+rwX", "/bin/rm -rf"):
        with contextlib.suppress(OSError):
            subprocess.run([*command.split(), "--", str(folder)], stderr=subprocess.DEVNULL, check=False)


def start(arguments: argparse.Namespace) -> int:
    """Run a job, once all of it has been looked at."""
    job = job_of(arguments.description, dict(os.environ))
    if wrong := list(problems(job)):
        raise Refused("\njob-steps: ".join(wrong), NODE)
    chain = Chain(job, arguments.folder.absolute())
    chain.prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever ignores it is told of no child's end
    # What the caller ignores, as nohup does, would be heard as well once it is blocked.
    HEARD.difference_update([each for each in HEARD if signal.getsignal(each) == signal.SIG_IGN])
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    try:
        return chain.run()
    finally:
        remove(chain.folder / "scratch")


def main() -> None:
    """Do what the command line asks; what is refused ends with a sentence."""
    while (last := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # a caller may have closed the first three, and what is opened next would be taken for them
    os.close(last)
    parser = argparse.ArgumentParser(prog="job-steps", description=__doc__)
    parser.add_argument("description", type=Path, help="an INI file with a section [step NAME] for each step")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="where work, logs and steps.json go")
    try:
        sys.exit(start(parser.parse_args()))
    except Refused as error:
        say(f"job-steps: {error}", 2)
        sys.exit(error.code)
    except OSError as error:
        said = f"'{error.filename}': {error.strerror}" if error.filename else error.strerror or str(error)
        say(f"job-steps: {said}.", 2)
        sys.exit(NODE)


if __name__ == "__main__":
    main()
