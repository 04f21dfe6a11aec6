"""Which images are renewed: `renewal.ini`, beside the folders with their definitions."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

from definition import Definition, read_definition
from words import Refused

KEYS = {"budget": 1, "keep": 2}
"""Each key, and the least that it may be: without a former version there would be nothing to go back to."""
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Image:
    """A section of the file; `budget` is in bytes, `keep` counts versions."""

    definition: Definition
    budget: int
    keep: int

    @property
    def name(self) -> str:
        return self.definition.name


def read_images(file: Path, wanted: list[str]) -> list[Image]:
    """Return the images wanted, or all.

    Raises:
        Refused: the file or a definition cannot be right; the sentence names file and line.
    """
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(file.read_text(encoding="utf-8"), source=str(file))
    except FileNotFoundError:
        raise Refused(f"'{file}' is not there. It has a section for each image, with 'budget' and 'keep'.") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise Refused(f"'{file}' does not parse: {' '.join(str(error).split())}.") from None
    for name in wanted:
        if name not in parser.sections():
            raise Refused(f"'{file}' has no section '[{name}]'; it has {', '.join(parser.sections()) or 'none'}.")
    read = {name: _limits(file, name, dict(parser[name])) for name in parser.sections()}
    return [Image(read_definition(file.parent / name), **read[name]) for name in wanted or parser.sections()]


def _limits(file: Path, name: str, said: dict[str, str]) -> dict[str, int]:
    for key, value in said.items():
        where = f"{file}:{_line_of(file, name, key)}"
        if key not in KEYS:
            raise Refused(f"{where}: '{key}' is unknown; known are {', '.join(KEYS)}.")
        if not (value.isascii() and value.isdigit() and int(value) >= KEYS[key]):
            raise Refused(f"{where}: '{key}' is '{value}', and has to be a whole number, at least {KEYS[key]}.")
    for key in KEYS:
        if key not in said:
            raise Refused(f"{file}:{_line_of(file, name)}: '[{name}]' says no '{key}'.")
    return {"budget": int(said["budget"]) * MEGABYTE, "keep": int(said["keep"])}


def _line_of(file: Path, section: str, key: str | None = None) -> int:
    """Return the number of a section's line, or of a key's in it."""
    inside, head = False, 1
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("["):
            inside = line.startswith(f"[{section}]")
            head = number if inside else head
        elif inside and key and line.replace(":", "=").partition("=")[0].strip().lower() == key:
            return number
    return head
