"""Where things are: the catalogue that a command works on, and this machine's cache."""

import os
from dataclasses import dataclass
from pathlib import Path

from lading.errors import UsageError

MARKER = Path("data/platforms.yml")


@dataclass(frozen=True)
class Catalogue:
    """A checkout of the knowledge base; every folder of it has one name here."""

    root: Path

    @property
    def recipes(self) -> Path:
        return self.root / "recipes"

    @property
    def playbooks(self) -> Path:
        return self.root / "playbooks"

    @property
    def docs(self) -> Path:
        return self.root / "docs"

    @property
    def evidence(self) -> Path:
        return self.root / "evidence"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def site(self) -> Path:
        return self.root / "site"


def find_catalogue(explicit: Path | None = None, start: Path | None = None) -> Catalogue:
    """Return the catalogue that `--catalogue` names, or else the first one upwards from `start`.

    Raises:
        UsageError: there is none.
    """
    if explicit is not None:
        if not (explicit / MARKER).is_file():
            raise UsageError(
                f"'{explicit}' is not a catalogue: it has no '{MARKER}'.",
                hint="Name the folder that holds 'recipes/' and 'playbooks/'.",
            )
        return Catalogue(explicit.resolve())
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / MARKER).is_file():
            return Catalogue(folder)
    raise UsageError(
        f"No catalogue was found in '{here}' or above it.",
        hint="Change into a checkout of the knowledge base, or name one with --catalogue.",
    )


def cache_root() -> Path:
    """Return this machine's cache: `$LADING_CACHE`, or `lading` in the user's cache folder."""
    if explicit := os.environ.get("LADING_CACHE"):
        return Path(explicit).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lading"
