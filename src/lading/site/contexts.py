"""The marker `/// contexts | docker, batch`: in which contexts the words of a page, or of one of its sections, are.

It stands for nothing that readers see. Before the first heading of the second level it is about the page, below a
heading about that section, in place of the page's contexts.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from lading.errors import UsageError
from lading.recipe.names import did_you_mean

MARK: Final = "lading-contexts"
HEADING: Final = re.compile("h[1-6]")

Contexts = frozenset[str]


def names_in(argument: str, known: Collection[str] | None) -> list[str]:
    """Return the contexts that a marker names; `known` are all that there are, if that is known.

    Raises:
        UsageError: it names none, or one that there is not.
    """
    names = [name for part in argument.split(",") if (name := part.strip())]
    if not names:
        raise UsageError("It names no context.", hint="Write it as '/// contexts | apptainer, cvmfs'.")
    for name in names:
        if known is not None and name not in known:
            raise UsageError(f"There is no context '{name}'{did_you_mean(name, known)}")
    return names


def add_mark(parent: Element, names: list[str]) -> None:
    """Leave the contexts where the marker stood; `take_marks` takes them out again."""
    SubElement(parent, "div", {MARK: " ".join(names)})


def take_marks(root: Element) -> dict[Element | None, Contexts]:
    """Take all marks out of a tree; return their contexts by the heading they stand below, None for the page."""
    found: dict[Element | None, Contexts] = {}
    if root.find(f".//*[@{MARK}]") is None:
        return found
    heading, top, parents = None, set(root), {child: parent for parent in root.iter() for child in parent}
    for element in list(root.iter()):
        if element in top and is_heading(element) and (element.tag == "h2" or heading is not None):
            heading = element
        if (names := element.get(MARK)) is not None:
            found[heading] = Contexts(names.split())
            parents[element].remove(element)
    return found


def is_heading(element: Element) -> bool:
    """Say whether an element is a heading of any level."""
    return HEADING.fullmatch(str(element.tag)) is not None  # a comment has a function for a tag


class Scope:
    """The contexts at a place, for somebody who walks through a page; `page` are those of the page as a whole.

    As for the lint, a heading inside something else begins no section.
    """

    def __init__(self, declared: Mapping[Element | None, Contexts], page: Contexts) -> None:
        self._declared = declared
        self._open: list[tuple[str, Contexts | None]] = [("", declared.get(None, page))]

    def enter(self, heading: Element) -> None:
        """Begin the section of a heading, and with it end those of its level and below."""
        while self._open[-1][0] >= heading.tag:
            self._open.pop()
        self._open.append((heading.tag, self._declared.get(heading)))

    @property
    def contexts(self) -> Contexts:
        """The contexts here."""
        return next(contexts for _, contexts in reversed(self._open) if contexts is not None)
