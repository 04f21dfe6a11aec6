"""A definition: the folder that an image is built from."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from words import Refused, sha256

KEYS = ("suite", "packages", "without")
NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
HEREDOC = re.compile(r"<<-?[\"']?(\w+)")
# https://docs.docker.com/reference/dockerfile/
INSTRUCTIONS = (
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
    *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
BELOW_ROOT = re.compile(r"(?!.*\.\.|(?:.*/)?\.\*)[\w.+*-][\w.+*/-]*")  # a shell takes '.*' for '..' too


@dataclass(frozen=True)
class Definition:
    """What `image.ini` says, and a digest of all that the folder holds."""

    folder: Path
    name: str
    suite: str
    packages: tuple[str, ...]
    without: tuple[str, ...]
    digest: str


def read_definition(folder: Path) -> Definition:
    """Read a definition; the folder's name is the image's.

    Raises:
        Refused: a file is missing or does not parse; the sentence names file and line.
    """
    folder = folder.resolve()
    ini = folder / "image.ini"
    for needed in (ini, folder / "Containerfile"):
        if not needed.is_file():
            raise Refused(f"'{needed}' is not there. A definition is a folder with a Containerfile and an image.ini.")
    _refuse_containerfile(folder / "Containerfile")
    said = _section(ini)
    packages, without = said["packages"].split(), said.get("without", "").split()
    for package in packages:
        if not PACKAGE.fullmatch(package):
            raise Refused(f"{ini}:{_line_of(ini, package)}: '{package}' cannot be the name of a Debian package.")
    for path in without:
        if not BELOW_ROOT.fullmatch(path):
            raise Refused(
                f"{ini}:{_line_of(ini, path)}: '{path}' is no path below the image's root, such as usr/share."
            )
    name = refuse_name(folder.name)
    return Definition(folder, name, said["suite"].strip(), tuple(packages), tuple(without), _digest(folder))


def _refuse_containerfile(file: Path) -> None:
    """Refuse words that are no instructions: buildah would find them too, but only after all packages were unpacked."""
    goes_on, end = False, None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        word = line.split(maxsplit=1)[0] if line.strip() else "#"
        if end is not None:
            end = None if line.strip() == end else end
        elif not word.startswith("#"):
            if not goes_on and word.upper() not in INSTRUCTIONS:
                raise Refused(f"{file}:{number}: '{word}' is no instruction of a Containerfile.")
            heredoc = HEREDOC.search(line)
            end, goes_on = heredoc and heredoc[1], line.rstrip().endswith("\\")


def refuse_name(name: str) -> str:
    """Return a name that can be an image's, in a registry too.

    Raises:
        Refused: it cannot.
    """
    if not NAME.fullmatch(name):
        raise Refused(
            f"'{name}' cannot be an image's name: small letters and digits, with one of '.', '_', '-' between."
        )
    return name


def _section(ini: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(ini.read_text(encoding="utf-8"), source=str(ini))
    except (configparser.Error, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise Refused(
            f"'{ini}' does not parse: {said}. Write '[image]', and below it lines of 'key = value'."
        ) from None
    if not parser.has_section("image"):
        raise Refused(f"{ini}:1: there is no section '[image]'.")
    said_keys = dict(parser["image"])
    for key in said_keys:
        if key not in KEYS:
            raise Refused(f"{ini}:{_line_of(ini, key)}: '{key}' is unknown; known are {', '.join(KEYS)}.")
    for key in ("suite", "packages"):
        if not said_keys.get(key, "").strip():
            raise Refused(f"{ini}: '{key}' is missing. Add a line such as '{key} = {_EXAMPLES[key]}'.")
    return said_keys


_EXAMPLES = {"suite": "trixie", "packages": "base-files bash coreutils"}


def _line_of(file: Path, word: str) -> int:
    alone = re.compile(rf"(?<![^\s=:]){re.escape(word)}(?![^\s=:])", re.IGNORECASE)
    lines = file.read_text(encoding="utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if line[:1] not in "#;" and alone.search(line)), 1)


def _digest(folder: Path) -> str:
    """Return one SHA-256 over the names, the executable bits and the contents of all files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Refused(f"'{path}' is neither a file nor a folder; a definition holds nothing else.")
        if path.is_file():
            executable = bool(path.stat().st_mode & 0o100)
            digest.update(os.fsencode(f"{path.relative_to(folder)}\0{executable}\0{sha256(path)}\0"))
    return f"sha256:{digest.hexdigest()}"
