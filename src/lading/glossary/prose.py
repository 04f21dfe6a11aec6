"""Running text as the lint sees it: one block at a time, without what is no prose, and each letter with its place."""

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

MASK: Final = "\ufffc"
"""A letter that no word has. One or more of it stand for code, an address, a quotation, a path, raw HTML."""

Kind = Literal["text", "heading"]


@dataclass(frozen=True)
class Lines:
    """A file's text, to be asked in which line and column an offset is; nothing but a line feed ends a line."""

    text: str

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each line begins."""
        starts, place = [0], self.text.find("\n")
        while place >= 0:
            starts.append(place + 1)
            place = self.text.find("\n", place + 1)
        return tuple(starts)

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and the column of an offset, both from 1."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1


@dataclass(frozen=True)
class Places:
    """Where a running text's letters come from.

    The text is made of stretches that stand in the file letter by letter: stretch `i` begins at `begins[i]` of the text
    and at `origins[i]` of the file.
    """

    lines: Lines
    begins: tuple[int, ...]
    origins: tuple[int, ...]

    def origin(self, offset: int) -> int:
        """Return where in the file's text the letter at an offset of the running text is."""
        stretch = self.stretch(offset)
        return self.origins[stretch] + offset - self.begins[stretch]

    def stretch(self, offset: int) -> int:
        """Return the number of the stretch that an offset is in."""
        return bisect_right(self.begins, offset) - 1


@dataclass(frozen=True)
class Part:
    """The running text of one block: a paragraph, heading, cell, title or YAML scalar.

    A line's end and any run of blanks is one blank, and what is no prose is `MASK`. `links` are the texts of links.
    `contexts` are those that a marker declares, None if none does. `section` is the title of the heading of the second
    level above it, in lower case; in YAML it is the scalar's place in its document.

    Example:
        ```python
        from lading.glossary.markdown import read_markdown

        for part in read_markdown("Pull a **Docker\nimage** with `podman`.", "page.md").parts:
            print(part.text.replace("\ufffc", "…"), part.place(9), part.place(14))
            #> Pull a Docker image with …. (1, 12) (2, 1)
        ```
    """

    text: str
    places: Places
    contexts: frozenset[str] | None = None
    kind: Kind = "text"
    section: str = ""
    links: tuple[range, ...] = ()

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and column in the file, both from 1, of a letter of the text."""
        return self.places.lines.place(self.places.origin(offset))

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """Return where `text[start:end]` is in the file's text, counted in letters as the file was read.

        None if it is not there in one piece: a line ends in it, or markup stands between.
        """
        if not start < end or self.places.stretch(start) != self.places.stretch(end - 1):
            return None
        if MASK in self.text[start:end]:
            return None
        origin = self.places.origin(start)
        return origin, origin + end - start


@dataclass(frozen=True, order=True)
class Note:
    """An exception that a text asks for: `<!-- glossary ok: WORD | reason -->`, in YAML `# glossary ok: WORD | reason`.

    It is at a line and column from 1, and holds in the lines from `first` to `last`: those of the block that it stands
    in or right before. `reason` is empty if it gives none.
    """

    word: str
    reason: str
    line: int
    column: int
    first: int
    last: int


@dataclass(frozen=True)
class Marker:
    """A line `/// contexts | docker, batch`, and the names behind its bar, which nobody has checked."""

    line: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Prose:
    """What a file has of prose; `file` is its name in messages."""

    file: str
    parts: tuple[Part, ...]
    notes: tuple[Note, ...] = ()
    markers: tuple[Marker, ...] = ()


def note_of(lines: Lines, offset: int, said: tuple[str, str | None], block: Collection[int]) -> Note:
    """Return the note at an offset, of the words before and behind its bar, for a block's lines."""
    word, reason = (" ".join((words or "").split()) for words in said)
    line, column = lines.place(offset)
    return Note(word, reason, line, column, min(line, *block), max(line, *block))
