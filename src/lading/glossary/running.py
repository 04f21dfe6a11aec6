"""A running text while it is put together, and where each of its letters comes from."""

import html
import re
from dataclasses import dataclass, field
from typing import Final

from lading.glossary.masks import masked
from lading.glossary.prose import MASK, Lines, Places

FILLER: Final = "\0"
"""Stands in a text for letters of its file that no reader sees, so that all others keep their places."""

_RUN: Final = re.compile(rf"[^\s{FILLER}]+(?: [^\s{FILLER}]+)*|\s+")


@dataclass
class Running:
    """The running text of a block, whose source begins at `base` of the file.

    `links` are ranges of the running text; `hidden` are ranges of the file that are no prose.
    """

    source: str
    base: int
    links: list[range] = field(default_factory=list)
    hidden: list[range] = field(default_factory=list)
    chunks: list[str] = field(default_factory=list)
    _length: int = 0
    _begins: list[int] = field(default_factory=list)
    _origins: list[int] = field(default_factory=list)
    _next: int = -1
    _link: int = 0

    def finished(self, *, ansible: bool = False) -> str:
        """Return the text, with what is no prose masked."""
        return masked("".join(self.chunks).rstrip(" "), ansible=ansible)

    def places(self, lines: Lines) -> Places:
        """Return where the text's letters are in the file."""
        return Places(lines, tuple(self._begins), tuple(self._origins))

    def text(self, start: int, end: int) -> None:
        """Add letters of the source, with one blank for any run of blanks and line ends."""
        for run in _RUN.finditer(self.source, start, end):
            if not run[0][0].isspace():
                self._put(run[0], run.start())
            else:
                self._blank(run.start(), in_one_piece=run[0] == " ")

    def mask(self, start: int, end: int) -> None:
        """Add one letter for what is no prose."""
        self.hidden.append(range(self.base + start, self.base + end))
        self._put(MASK, start, in_one_piece=False)

    def entity(self, start: int, end: int) -> None:
        """Add what a character reference stands for."""
        said = html.unescape(self.source[start:end])
        if said.isspace():
            self._blank(start, in_one_piece=False)
        else:
            self._put(said, start, in_one_piece=False)

    def open_link(self, _start: int, _end: int) -> None:
        """Begin the text of a link."""
        self._link = self._length

    def close_link(self, _start: int, _end: int) -> None:
        """End the text of a link."""
        self.links.append(range(self._link, self._length))

    def _blank(self, start: int, *, in_one_piece: bool) -> None:
        if self.chunks and self.chunks[-1] != " ":
            self._put(" ", start, in_one_piece=in_one_piece)

    def _put(self, said: str, start: int, *, in_one_piece: bool = True) -> None:
        """Add letters; if they are not in one piece, no stretch goes on through them."""
        if start != self._next or not in_one_piece:
            self._begins.append(self._length)
            self._origins.append(self.base + start)
        self.chunks.append(said)
        self._length += len(said)
        self._next = start + len(said) if in_one_piece else -1
