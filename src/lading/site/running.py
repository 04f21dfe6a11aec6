"""The running text of a tree's blocks, and links put into it.

A paragraph's words may stand in several elements: `**Docker** image` is one term. So words are looked for in the text
of a whole block, and those that lie in one piece of it can become links.
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.util import HTML_PLACEHOLDER_RE, STX, AtomicString

from lading.glossary.masks import masked
from lading.glossary.prose import MASK

INLINE: Final = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "br", "button", "cite", "code", "del", "dfn", "em", "i", "img", "input", "ins",
     "kbd", "label", "mark", "math", "q", "s", "samp", "script", "small", "span", "strong", "style", "sub", "sup",
     "svg", "u", "var"}
)  # fmt: skip
LINKS: Final = frozenset({"a", "abbr"})
"""Elements whose text is read with the rest, but gets no link inside."""

MASKED: Final = INLINE - LINKS - {"b", "br", "cite", "del", "dfn", "em", "i", "ins", "mark", "q", "s", "small", "span",
                                  "strong", "u"}  # fmt: skip
"""Inline elements whose text is no prose."""

CLOSED: Final = frozenset(
    {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "select", "summary", "textarea", "th", "title"}
)
"""Blocks that get no links."""

CLOSED_CLASS: Final = "admonition-title"

STASHED: Final = re.compile("\x02[^\x03]*\x03")
"""What Markdown marks as put aside: raw HTML, escaped letters."""

TAG: Final = re.compile(r"<(/?)([a-z]+)\b[^>]*(?<!/)>", re.IGNORECASE)


@dataclass
class Piece:
    """A text in the tree: what `parent` begins with, or what stands behind its child `after`.

    `read` is the text without what is no prose, letter for letter; a `free` one may get links.
    """

    parent: Element
    after: Element | None
    text: str
    read: str
    free: bool
    start: int = 0
    links: list[tuple[int, int, Element]] = field(default_factory=list)

    def write(self) -> None:
        """Put the links into the tree."""
        if not self.links:
            return
        ends = [0, *(end for _, end, _ in self.links)]
        begins = [*(begin for begin, _, _ in self.links), len(self.text)]
        between = [self.text[end:begin] for end, begin in zip(ends, begins, strict=True)]
        place = 0 if self.after is None else list(self.parent).index(self.after) + 1
        if self.after is None:
            self.parent.text = between[0]
        else:
            self.after.tail = between[0]
        for number, (begin, end, link) in enumerate(self.links):
            link.text, link.tail = self.text[begin:end], between[number + 1]
            self.parent.insert(place + number, link)


class Running:
    """The text of one block, with one blank wherever the source has several or a line's end."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces
        length = 0
        for piece in pieces:
            piece.start = length
            length += len(piece.read)
        self.text, self._places = _with_single_blanks("".join(piece.read for piece in pieces))

    @property
    def prose(self) -> str:
        """The text, letter for letter, without quotations, paths and whatever else the lint takes for no prose."""
        return masked(self.text)

    def link(self, start: int, end: int, link: Element) -> bool:
        """Make `text[start:end]` a link; say whether it could be one. Give them in their order."""
        if self._places is not None:
            start, end = self._places[start], self._places[end - 1] + 1
        for piece in self.pieces:
            begin = start - piece.start
            if piece.free and begin >= 0 and end - piece.start <= len(piece.text):
                piece.links.append((begin, end - piece.start, link))
                return True
        return False

    def write(self) -> None:
        """Put the links into the tree."""
        for piece in self.pieces:
            piece.write()


def _with_single_blanks(text: str) -> tuple[str, list[int] | None]:
    """Return a text with single blanks, and from where each of its letters comes, if that is not where it is."""
    plain = re.sub(r"\s", " ", text)
    if "  " not in plain:
        return plain, None
    places = [place for place, (before, here) in enumerate(pairwise(f"x{plain}")) if (before, here) != (" ", " ")]
    return re.sub(" +", " ", plain), places


class Blocks:
    """Finds the running texts of an element's blocks in their order."""

    def __init__(self, md: Markdown) -> None:
        self._raw = md.htmlStash.rawHtmlBlocks
        self._pieces: list[Piece] = []
        self._raw_open = 0

    def of(self, element: Element) -> list[Running]:
        """Return an element's running texts, and those of the blocks in it."""
        self._found: list[Running] = []
        self._block(element)
        return self._found

    def _block(self, element: Element) -> None:
        if element.tag in CLOSED or CLOSED_CLASS in element.get("class", ""):
            return
        self._add(element, None, element.text, free=True)
        self._children(element, free=True)
        self._flush()

    def _children(self, element: Element, *, free: bool) -> None:
        for child in element:
            if child.tag in INLINE:
                self._inline(child, free=free)
            else:
                self._flush()
                self._block(child)
            self._add(element, child, child.tail, free=free)

    def _inline(self, element: Element, *, free: bool) -> None:
        if element.tag in MASKED:
            self._pieces.append(Piece(element, None, "", MASK, free=False))
        elif element.tag == "br":
            self._pieces.append(Piece(element, None, "", " ", free=False))
        else:
            free = free and element.tag not in LINKS
            self._add(element, None, element.text, free=free)
            self._children(element, free=free)

    def _add(self, parent: Element, after: Element | None, text: str | None, *, free: bool) -> None:
        """Add a text; blanks between blocks are none."""
        if not text or (not self._pieces and text.isspace()):
            return
        if isinstance(text, AtomicString):
            self._pieces.append(Piece(parent, after, text, MASK, free=False))
        else:
            read = self._read(text) if self._raw_open or STX in text else text
            self._pieces.append(Piece(parent, after, text, read, free))

    def _read(self, text: str) -> str:
        """Mask what Markdown put aside, and what stands inside raw HTML of the kinds that get no links."""
        read, reached = [], 0
        for found in STASHED.finditer(text):
            read += [self._prose(text[reached : found.start()]), MASK * len(found[0])]
            reached = found.end()
            if raw := HTML_PLACEHOLDER_RE.fullmatch(found[0]):
                self._raw_open = max(0, self._raw_open + _opens(self._raw, int(raw[1])))
        return "".join([*read, self._prose(text[reached:])])

    def _prose(self, text: str) -> str:
        return MASK * len(text) if self._raw_open else text

    def _flush(self) -> None:
        if any(piece.free for piece in self._pieces):
            self._found.append(Running(self._pieces))
        self._pieces, self._raw_open = [], 0


def _opens(raw: list[str | Element], number: int) -> int:
    """Say with 1 or -1 whether a piece of raw HTML opens or closes an element that gets no links.

    In a paragraph each tag is a piece of its own; a longer piece is a block, which is whole.
    """
    html = raw[number] if number < len(raw) else ""
    tag = TAG.fullmatch(html) if isinstance(html, str) else None
    if tag is None or tag[2].lower() not in LINKS | MASKED | CLOSED:
        return 0
    return -1 if tag[1] else 1
