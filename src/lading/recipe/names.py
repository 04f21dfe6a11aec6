"""Names that people mistype: what they must look like, and which one was probably meant."""

import difflib
import re
from collections.abc import Iterable
from typing import Final

SLUG: Final = r"^[a-z0-9]+(-[a-z0-9]+)*$"
"""The form of a path's id, which is also the name of its folder, its page and its playbook."""


def is_slug(name: str) -> bool:
    """Say whether a name can be a path's id; one that passes cannot climb out of a folder."""
    return re.fullmatch(SLUG, name, re.ASCII) is not None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None if nothing is close.

    Example:
        ```python
        from lading.recipe.names import nearest

        print(nearest("debain13", ["debian12", "debian13", "almalinux9"]))
        #> debian13
        ```
    """
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence: the nearest known name, or all of them when they are few."""
    names = sorted(known)
    if near := nearest(name, names):
        return f"; did you mean '{near}'?"
    if 0 < len(names) <= 8:
        return f"; known are {listed(names)}."
    return "."


def listed(names: Iterable[str]) -> str:
    """Return names in quotes, separated by commas."""
    return ", ".join(f"'{name}'" for name in names)
