"""The programs that lading needs on its host, and how apt gets those that are missing."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.aptsources import backports_of, offers

if TYPE_CHECKING:
    from tools.aptsources import Source

QEMU: Final = "qemu-system-x86_64"
OLDEST_QEMU: Final = 10
"""Snapshots of older ones do not restore under emulation, and EL 10 guests need CPU features that they lack."""

BACKPORTS_FILE: Final = "/etc/apt/sources.list.d/lading-backports.sources"
NO_QUESTIONS: Final = ("env", "DEBIAN_FRONTEND=noninteractive")


@dataclass(frozen=True)
class Program:
    """A program, the Debian package that has it, and what lading does with it."""

    name: str
    package: str
    purpose: str


PROGRAMS: Final = (
    Program(QEMU, "qemu-system-x86", f"runs the guests; QEMU {OLDEST_QEMU} or newer"),
    Program("qemu-img", "qemu-utils", "makes their disks"),
    Program("mmdebstrap", "mmdebstrap", "builds their images"),
    Program("mksquashfs", "squashfs-tools", "packs what the CVMFS stand-in serves"),
    Program("newuidmap", "uidmap", "lets it do that without root"),
    Program("mkfs.ext4", "e2fsprogs", "writes their file systems"),
    Program("ssh", "openssh-client", "reaches the guests"),
    Program("git", "git", "tells which files a proof stands on"),
)
FOR_TESTS: Final = (
    Program("chromium", "chromium", "reads the site as people do, in the tests"),
    Program("gpg", "gpg", "signs images, in the tests"),
    Program("gpg-agent", "gpg-agent", "keeps the keys for it"),
    Program("gpgv", "gpgv", "verifies these signatures"),
)
"""What tests alone need, and skip without; continuous integration has it."""

VENV: Final = Program("the Python module 'ensurepip'", "python3-venv", "makes the virtual environment")


def find_missing(*, needs_venv: bool, for_tests: bool = False) -> list[Program]:
    """Return what is not on this machine; a QEMU that is too old counts as missing, with its disk tool."""
    wanted = (*PROGRAMS, *(FOR_TESTS if for_tests else ()))
    missing = [program for program in wanted if not find_program(program.name)]
    if PROGRAMS[0] not in missing and qemu_version() < OLDEST_QEMU:
        missing = list(dict.fromkeys([*PROGRAMS[:2], *missing]))
    if needs_venv and importlib.util.find_spec("ensurepip") is None:
        missing.append(VENV)
    return missing


def find_program(name: str) -> str | None:
    """Find a program also where only root's PATH looks: mkfs works on a file for everybody."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def qemu_version() -> int:
    """Return the major version of this machine's QEMU; 0 if it does not say."""
    said = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False).stdout
    return parse_qemu_version(said)


def parse_qemu_version(said: str) -> int:
    """Return the major version from what `--version` prints.

    Example:
        ```python
        from tools.programs import parse_qemu_version

        print(parse_qemu_version("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"))
        #> 10
        ```
    """
    found = re.search(r"version (\d+)\.", said)
    return int(found.group(1)) if found else 0


def read_os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """Return what the system says of itself (os-release(5)); empty where it says nothing."""
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {key.strip(): "".join(shlex.split(value)) for key, equals, value in pairs if equals}


@dataclass(frozen=True)
class Plan:
    """What will be done to this machine: at most one file written, then commands run as root."""

    missing: tuple[Program, ...]
    source: str | None
    commands: tuple[tuple[str, ...], ...]

    def as_shell(self, rights: tuple[str, ...]) -> str:
        """Return the plan as lines to paste into a shell; `rights` is how they become root's, such as `sudo`."""
        prefix = shlex.join(rights) + " " if rights else ""
        lines = []
        if self.source is not None:
            lines = [f"{prefix}tee {BACKPORTS_FILE} >/dev/null <<'END'", self.source + "END"]
        return "\n".join([*lines, *(prefix + shlex.join(command) for command in self.commands)])


class CannotPlan(Exception):
    """This machine can't be made ready by this tool; the message says what it needs."""


def make_plan(missing: list[Program], system: dict[str, str], sources: list[Source]) -> Plan:
    """Decide what to install from where.

    On Debian 12 QEMU comes from backports, which are added where the host does not have them.

    Raises:
        CannotPlan: the system is not Debian 12 or newer, or its apt sources are not understood.
    """
    codename = system.get("VERSION_CODENAME", "")
    if system.get("ID") != "debian" or _release(system) < 12 or not codename:
        raise CannotPlan(needs_by_hand(missing, system))
    if VENV in missing and sys.base_prefix != "/usr":
        raise CannotPlan(f"'{sys.executable}' has no module 'ensurepip', so it can't make a virtual environment.")
    emulator = [p for p in missing if p in PROGRAMS[:2]] if codename == "bookworm" else []
    plain = [program.package for program in missing if program not in emulator]
    source = _source(sources, codename) if emulator else None
    commands: list[tuple[str, ...]] = [("apt-get", "update")]
    if plain:
        commands.append(_install(plain))
    if emulator:
        commands.append(_install([p.package for p in emulator], "--target-release", f"{codename}-backports"))
    return Plan(tuple(missing), source, tuple(commands))


def _release(system: dict[str, str]) -> int:
    """Return Debian's release; testing and unstable have none and are newer than any."""
    release = system.get("VERSION_ID", "").partition(".")[0]
    return int(release) if release.isdigit() else 99


def _install(packages: list[str], *options: str) -> tuple[str, ...]:
    return (*NO_QUESTIONS, "apt-get", "install", "--yes", "--no-install-recommends", *options, *packages)


def _source(sources: list[Source], codename: str) -> str | None:
    if offers(sources, f"{codename}-backports"):
        return None
    made = backports_of(sources, codename)
    if made is None:
        raise CannotPlan(
            f"QEMU {OLDEST_QEMU} is in {codename}-backports, and no apt source here names the suite '{codename}' "
            "to derive that from. Add backports to /etc/apt/sources.list.d and try again."
        )
    return made


def needs_by_hand(missing: list[Program], system: dict[str, str]) -> str:
    """Say what is missing on a system for which this tool knows no packages."""
    name = system.get("PRETTY_NAME", "This system")
    return "\n".join([
        f"{name} is not a Debian that this tool installs on (12 or newer). Install these yourself, then try again:",
        *(f"  {program.name}: {program.purpose} (on Debian: {program.package})" for program in missing),
    ])  # fmt: skip
