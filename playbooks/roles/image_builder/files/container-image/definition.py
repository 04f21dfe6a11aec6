"""A definition: the folder that an image is built from, or several that belong together."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from words import Refused, sha256

KEYS = ("suite", "packages", "without", "stage")
STAGE_KEYS = ("packages",)
STAGE = "image."
"""So begins the name of a section about a further stage."""
NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
HEREDOC = re.compile(r"<<-?[\"']?(\w+)")
FROM = re.compile(r"\s*FROM\s+(?:--\S+\s+)*(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*", re.IGNORECASE)
# https://docs.docker.com/reference/dockerfile/
INSTRUCTIONS = (
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
    *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
BELOW_ROOT = re.compile(r"(?!.*\.\.|(?:.*/)?\.\*)[\w.+*-][\w.+*/-]*")  # a shell takes '.*' for '..' too


@dataclass(frozen=True)
class Image:
    """One image of a definition: the stage that makes it, with all its packages, and the archives that bring them."""

    name: str
    stage: str | None
    packages: tuple[str, ...]
    archive: str | None
    below: tuple[str, ...]
    """Archives of the stages that it builds on: what they bring is not packed again."""


@dataclass(frozen=True)
class Definition:
    """What `image.ini` says, and a digest of all that the folder holds."""

    folder: Path
    name: str
    suite: str
    without: tuple[str, ...]
    images: tuple[Image, ...]
    digest: str

    def of(self, image: Image) -> str:
        """Return which image is meant, for a title; nothing where there is but one."""
        return f" of '{image.name}'" if len(self.images) > 1 else ""


@dataclass(frozen=True)
class _Stage:
    base: str
    line: int


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
    stages = _stages(folder / "Containerfile")
    sections = _sections(ini)
    said = sections["image"]
    packages = {section: tuple(keys.get("packages", "").split()) for section, keys in sections.items()}
    for section, named in packages.items():
        for package in named:
            if not PACKAGE.fullmatch(package):
                where = f"{ini}:{_line_of(ini, package, section)}"
                raise Refused(f"{where}: '{package}' cannot be the name of a Debian package.")
    without = said.get("without", "").split()
    for path in without:
        if not BELOW_ROOT.fullmatch(path):
            raise Refused(
                f"{ini}:{_line_of(ini, path)}: '{path}' is no path below the image's root, such as usr/share."
            )
    name = refuse_name(folder.name)
    images = _images(folder, name, said.get("stage"), packages, stages)
    return Definition(folder, name, said["suite"].strip(), tuple(without), images, _digest(folder))


def _images(
    folder: Path, name: str, own: str | None, packages: dict[str, tuple[str, ...]], stages: dict[str, _Stage]
) -> tuple[Image, ...]:
    """Return the images of a definition in the order of their stages, so that none comes before what it builds on."""
    ini = folder / "image.ini"
    if own is None:
        if len(packages) > 1:
            raise Refused(f"{ini}:1: '[image]' has no 'stage', which says which stage of the Containerfile it is.")
        return (Image(name, None, packages["image"], "root.tar", ()),)
    section_of = {own: "image", **{section[len(STAGE) :]: section for section in packages if section != "image"}}
    for stage, section in section_of.items():
        if stage not in stages:
            where = f"{ini}:{_line_of(ini, own, section) if section == 'image' else _line_of(ini, f'[{section}]')}"
            raise Refused(f"{where}: '{stage}' is no stage of the Containerfile; it has {', '.join(stages) or 'none'}.")
    images = []
    for stage in sorted(section_of, key=lambda stage: stages[stage].line):
        section = section_of[stage]
        full = name if section == "image" else refuse_name(f"{name}-{stage}")
        if full != name and (folder.parent / full).is_dir():
            raise Refused(f"{ini}:{_line_of(ini, f'[{section}]')}: '{full}' is a definition of its own already.")
        built_on = [section_of[base] for base in _bases(folder / "Containerfile", stages, stage) if base in section_of]
        built_on.reverse()
        every = tuple(package for each in (*built_on, section) for package in packages[each])
        below = tuple(_archive(each) for each in built_on if packages[each])
        images.append(Image(full, stage, every, _archive(section) if packages[section] else None, below))
    return tuple(images)


def _archive(section: str) -> str:
    return "root.tar" if section == "image" else f"{section[len(STAGE) :]}.tar"


def _bases(file: Path, stages: dict[str, _Stage], stage: str) -> list[str]:
    """Return what a stage builds on, the nearest first; it ends in `scratch`, since all packages come from here."""
    found = [stage]
    while (base := stages[found[-1]].base) != "scratch":
        if base not in stages or stages[base].line >= stages[found[-1]].line:
            raise Refused(f"{file}:{stages[found[-1]].line}: '{base}' is neither 'scratch' nor a stage above.")
        found.append(base)
    return found[1:]


def _stages(file: Path) -> dict[str, _Stage]:
    """Return the stages that have a name.

    Words that are no instructions are refused: buildah would find them too, but only after all packages were unpacked.
    """
    stages: dict[str, _Stage] = {}
    goes_on, end = False, None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        word = line.split(maxsplit=1)[0] if line.strip() else "#"
        if end is not None:
            end = None if line.strip() == end else end
        elif not word.startswith("#"):
            if not goes_on and word.upper() not in INSTRUCTIONS:
                raise Refused(f"{file}:{number}: '{word}' is no instruction of a Containerfile.")
            begins = None if goes_on else FROM.fullmatch(line)
            if begins and begins["name"]:
                # The names of stages are the same in small and in large letters.
                stages[begins["name"].lower()] = _Stage(begins["base"].lower(), number)
            heredoc = HEREDOC.search(line)
            end, goes_on = heredoc and heredoc[1], line.rstrip().endswith("\\")
    return stages


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


def _sections(ini: Path) -> dict[str, dict[str, str]]:
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
    found = {section: dict(parser[section]) for section in parser.sections()}
    for section, said_keys in found.items():
        if section != "image" and not section.startswith(STAGE):
            raise Refused(
                f"{ini}:{_line_of(ini, f'[{section}]')}: '[{section}]' is unknown; write '[image]' or '[image.STAGE]'."
            )
        known = KEYS if section == "image" else STAGE_KEYS
        for key in said_keys:
            if key not in known:
                where = f"{ini}:{_line_of(ini, key, section)}"
                raise Refused(f"{where}: '{key}' is unknown; known are {', '.join(known)}.")
    for key in ("suite", "packages"):
        if not found["image"].get(key, "").strip():
            raise Refused(f"{ini}: '{key}' is missing. Add a line such as '{key} = {_EXAMPLES[key]}'.")
    return found


_EXAMPLES = {"suite": "trixie", "packages": "base-files bash coreutils"}


def _line_of(file: Path, word: str, section: str | None = None) -> int:
    """Return the first line that has a word, of a section if one is named."""
    alone = re.compile(rf"(?<![^\s=:]){re.escape(word)}(?![^\s=:])", re.IGNORECASE)
    lines = list(enumerate(file.read_text(encoding="utf-8").splitlines(), 1))
    begin = _line_of(file, f"[{section}]") if section else 0
    return next((number for number, line in lines[begin:] if line[:1] not in "#;" and alone.search(line)), 1)


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
