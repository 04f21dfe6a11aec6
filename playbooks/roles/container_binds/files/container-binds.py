#!/usr/bin/python3
"""Tries in containers what is bound into them on this node, and says why something does not work."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SETTINGS = "/etc/container-binds.json"
TOO_MANY = "Too many levels of symbolic links"
# Nothing but a shell and coreutils is asked of the image. Each path gets one line, the mounts of the container many.
INSIDE = """
look() {
    for path; do
        if said=$(LC_ALL=C ls -d "$path/." 2>&1); then echo "answers $path"; else echo "silent $said"; fi
    done
}
mounts() { while read -r line; do echo "mount $line"; done </proc/self/mountinfo; }
mounted() { while read -r _ _ _ _ point _; do [ "$point" != "$1" ] || return 0; done </proc/self/mountinfo; return 1; }
seconds=$1; shift
mounts
look "$@"
[ "$seconds" -gt 0 ] || exit 0
for path; do if mounted "$path"; then set -- "$@" "$path"; fi; shift; done
while [ "$seconds" -gt 0 ]; do
    left=no
    for path; do if mounted "$path"; then left=yes; fi; done
    [ "$left" = yes ] || break
    sleep 1; seconds=$((seconds - 1))
done
for path; do if mounted "$path"; then echo "stays $path"; else echo "went $path"; fi; done
look "$@"
"""


class Unusable(Exception):
    """The settings cannot be used."""


@dataclass(frozen=True)
class Mount:
    """One line of a process's list of mounts."""

    point: str
    kind: str
    gets_later_mounts: bool


def mounts_of(lines: Iterable[str]) -> list[Mount]:
    """Read lines of `/proc/PID/mountinfo`.

    A mount in a peer group (`shared`) or below one (`master`) gets what is mounted there later.

    >>> mounts_of(["257 226 0:108 / /site rw master:44 - autofs /etc/auto.site rw"])
    [Mount(point='/site', kind='autofs', gets_later_mounts=True)]
    >>> mounts_of(["257 226 0:108 / /site rw - autofs /etc/auto.site rw"])[0].gets_later_mounts
    False
    """
    found = []
    for line in lines:
        words = line.split()
        if "-" not in words[6:]:
            continue
        mark = words.index("-", 6)
        propagates = any(word.startswith(("shared:", "master:")) for word in words[6:mark])
        found.append(Mount(words[4].replace("\\040", " "), words[mark + 1], propagates))
    return found


def split_bind(bind: str) -> tuple[str, str]:
    """Return source and destination of a bind path.

    >>> split_bind("/cvmfs"), split_bind("/srv/a:/b:ro")
    (('/cvmfs', '/cvmfs'), ('/srv/a', '/b'))
    """
    source, _, rest = bind.partition(":")
    return source, rest.partition(":")[0] or source


def inside(path: str, binds: Sequence[str]) -> str:
    """Return where in a container a path of the node is; nothing if no bind path brings it.

    >>> inside("/srv/a/x", ["/cvmfs", "/srv/a:/b"])
    '/b/x'
    """
    for source, destination in map(split_bind, binds):
        if path == source or path.startswith(source.rstrip("/") + "/"):
            return destination + path[len(source) :]
    return ""


def below(path: str, points: Iterable[Mount]) -> list[Mount]:
    """Return the automount points at a path or below it.

    >>> [mount.point for mount in below("/cvmfs", [Mount("/cvmfs", "autofs", True), Mount("/cvmfs2", "autofs", True)])]
    ['/cvmfs']
    """
    return [mount for mount in points if mount.kind == "autofs" and (mount.point + "/").startswith(path + "/")]


def reason(complaint: str) -> str:
    """Return what an Apptainer that started nothing means.

    >>> reason("FATAL: ... mount source /site/x doesn't exist")
    '/site/x is not on the node, or what mounts it does not answer: is autofs running, and does its map name it'
    """
    if found := re.search(r"mount source (\S+) doesn't exist", complaint):
        return (
            f"{found[1]} is not on the node, or what mounts it does not answer: is autofs running, and does its map "
            "name it"
        )
    if found := re.search(r"destination (\S+) doesn't exist in container", complaint):
        return (
            f"the image has no {found[1]}, and Apptainer may not make it: 'enable overlay' and 'enable underlay' are "
            "both 'no' in its settings, or it was started with --writable"
        )
    if TOO_MANY.lower() in complaint.lower():
        return f"this session gets no mounts that autofs makes: {SESSION}"
    if "not a directory" in complaint:
        return "a folder is bound onto a file, or a file onto a folder"
    return ""


SESSION = "its mount namespace is private; see how your batch system makes it"
SLAVE = "'mount slave' is 'no' in Apptainer's settings"
NODE = "the automount point is private on the node; 'mount --make-shared' mends it"


def cause(mount: Mount, origin: str, outside: Sequence[Mount]) -> str:
    """Return why an automount point in a container gets no later mounts; nothing if it does.

    What the session itself has tells more than the container: where the session's is private, the container's may be in
    a peer group that begins in the container.
    """
    ours = [one for one in outside if one.kind == "autofs" and one.point == origin]
    if ours and not ours[-1].gets_later_mounts:
        root = [one for one in outside if one.point == "/"]
        return SESSION if root and not root[-1].gets_later_mounts else NODE
    return "" if mount.gets_later_mounts else SLAVE


@dataclass
class Trial:
    """What is tried, and how."""

    apptainer: str
    images: list[str]
    paths: list[str]
    probes: list[str]
    seconds: int

    def missing_in(self, environment: Mapping[str, str]) -> list[str]:
        """Return what this session's variable does not name: jobs that start a container as it is would lack it."""
        named = environment.get("APPTAINER_BINDPATH", environment.get("APPTAINER_BIND", "")).split(",")
        return [path for path in self.paths if path not in named]

    def run(self, image: str, idle: int, environment: Mapping[str, str]) -> tuple[int, list[str], str]:
        """Run one container; return its exit code, what was said inside, and what Apptainer complained of."""
        probes = [found for probe in self.probes if (found := inside(probe, self.paths))]
        argv = [
            self.apptainer,
            "--silent",
            "exec",
            "--cleanenv",
            image,
            "/bin/sh",
            "-c",
            INSIDE,
            "sh",
            str(idle),
            *probes,
        ]
        try:
            ran = subprocess.run(
                argv,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.seconds + 2 * idle,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 124, [], f"it did not end in {self.seconds + 2 * idle} s: does a file system not answer?"
        except OSError as error:
            return 127, [], f"{self.apptainer}: {error.strerror}"
        return ran.returncode, ran.stdout.splitlines(), ran.stderr.strip()


def findings(trial: Trial, code: int, said: Sequence[str], complaint: str, outside: Sequence[Mount]) -> Iterator[str]:
    """Yield a line for each path of one container, `ok` or `trouble`."""
    if not any(line.startswith("mount ") for line in said):
        last = " / ".join(complaint.splitlines()[-3:]) or "it said nothing"
        hint = reason(complaint)
        yield f"trouble: no container started (exit code {code}): {last}" + (f". That is: {hint}." if hint else "")
        return
    mounts = mounts_of(line.removeprefix("mount ") for line in said if line.startswith("mount "))
    points = {mount.point for mount in mounts}
    for source, destination in map(split_bind, trial.paths):
        if destination not in points:
            yield f"trouble: {destination} is not in the container."
            continue
        yield f"ok: {destination} is in the container"
        for mount in below(destination, mounts):
            if why := cause(mount, source + mount.point[len(destination) :], outside):
                yield f"trouble: {mount.point} gets nothing that autofs mounts later: {why}."
            else:
                yield f"ok: {mount.point} gets what autofs mounts later"
    for line in said:
        word, _, rest = line.partition(" ")
        if word == "answers":
            yield f"ok: {rest} answers"
        elif word == "went":
            yield f"ok: {rest} was unmounted meanwhile"
        elif word == "stays":
            yield f"ok: {rest} stayed mounted"
        elif word == "silent":
            yield f"trouble: {rest.removeprefix('ls: ')}"


def read(path: str) -> Trial:
    """Read the settings."""
    try:
        said = json.loads(Path(path).read_text(encoding="utf-8"))
        return Trial(**{name: said[name] for name in ("apptainer", "images", "paths", "probes", "seconds")})
    except OSError as error:
        raise Unusable(f"The settings '{path}' cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise Unusable(f"'{path}' is not what the role writes: {error}.") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 if all is well, 1 if something is not, 2 for wrong usage or settings."""
    parser = argparse.ArgumentParser(prog="container-binds", description=__doc__)
    parser.add_argument(
        "--idle",
        type=int,
        default=0,
        metavar="SECONDS",
        help="wait in a container until autofs has unmounted, and look again",
    )
    parser.add_argument(
        "--image", action="append", help="an unpacked image or image file to try instead of those of the settings"
    )
    parser.add_argument("--settings", default=SETTINGS, help=argparse.SUPPRESS)
    told = parser.parse_args(arguments)
    try:
        trial = read(told.settings)
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2
    images = told.image or trial.images
    if not images or not trial.paths:
        print("There is nothing to try: the settings name no image, or no path.", file=sys.stderr)
        return 2
    trouble = False
    for path in trial.missing_in(os.environ):
        trouble = True
        print(f"trouble: APPTAINER_BINDPATH of this session does not name {path}.")
    outside = mounts_of(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines())
    # Whatever the session lacks has been told; the containers get all.
    environment = {**os.environ, "APPTAINER_BINDPATH": ",".join(trial.paths)}
    environment.pop("APPTAINER_BIND", None)
    for image in images:
        print(f"image {image}", flush=True)
        for line in findings(trial, *trial.run(image, told.idle, environment), outside):
            trouble = trouble or line.startswith("trouble")
            print(f"  {line}", flush=True)
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
