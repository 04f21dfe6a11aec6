"""Which images are renewed: `renewal.ini`, beside the folders with their definitions."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from definition import Definition, read_definition
from words import Refused

KEYS = {"budget": 1, "keep": 2}
"""Each key, and the least that it may be: without a former version there would be nothing to go back to."""
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Image:
    """A section of the file; `budget` is in bytes, `keep` counts versions."""

    folder: Path
    budget: int
    keep: int

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def definition(self) -> Definition:
        """Its definition, read when it is asked for, so that one that cannot be right is in nobody else's way.

        Raises:
            Refused: it cannot be right, or gives several images.
        """
        found = read_definition(self.folder)
        if len(found.images) > 1:
            raise Refused(
                f"'{self.folder}' gives {len(found.images)} images, which are published together. They are not renewed "
                f"here; run 'container-image build {self.folder}', and take '[{self.name}]' out of the settings."
            )
        return found


def read_images(file: Path, wanted: list[str]) -> list[Image]:
    """Return the images wanted, or all.

    Raises:
        Refused: the file cannot be right; the sentence names file and line.
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
    return [Image(file.parent / name, **read[name]) for name in wanted or parser.sections()]


def bases_first(images: list[Image], area: Path) -> list[Image]:
    """Return images in the order to renew them: after those whose place in the area their Containerfile names."""
    ordered: dict[str, Image] = {}

    def add(image: Image, below: tuple[str, ...]) -> None:
        if image.name in ordered or image.name in below:  # two that name each other have no order
            return
        try:
            said = (image.folder / "Containerfile").read_text(encoding="utf-8", errors="replace")
        except OSError:
            said = ""  # whoever renews it says so
        for other in images:
            if re.search(rf"{re.escape(str(area / other.name))}(?=/)", said):
                add(other, (*below, image.name))
        ordered[image.name] = image

    for image in images:
        add(image, ())
    return list(ordered.values())


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
