"""The prose of a Markdown page, block by block, with what its markers and comments say about it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from markdown_it.token import Token

from lading.glossary.blocks import MARKER, START, blocks_of
from lading.glossary.inline import running_of
from lading.glossary.prose import Kind, Lines, Marker, Note, Part, Prose, note_of
from lading.glossary.running import FILLER
from lading.page.outline import without_front_matter

_NOTE: Final = re.compile(r"<!--\s*glossary ok:([^|]*?)(?:\\?\|(.*?))?-->", re.DOTALL)
_CONTEXTS: Final = re.compile(r"/// contexts(?: *\|(.*))?\s*")
_TITLE: Final = re.compile(r'[!?=]{3}[^"\n]*"(.*)"')
_BLANKS: Final = re.compile(r"\s*")
_BETWEEN_CELLS: Final = re.compile(r"[\s|]*")
_QUOTE: Final = ("blockquote_open", "blockquote_close")


def read_markdown(text: str, file: str) -> Prose:
    """Return the prose of a page; front matter, code, quotations and raw HTML are none.

    Example:
        ```python
        from lading.glossary.markdown import read_markdown

        page = read_markdown("# A\n\n/// contexts | docker\n\n## B\n\n- Pull an *image*.", "page.md")
        for part in page.parts:
            print(part.kind, part.text, *part.contexts, part.place(0))
            #> heading A docker (1, 3)
            #> heading B docker (5, 4)
            #> text Pull an image. docker (7, 3)
        ```
    """
    return _Page(text, file).prose()


@dataclass
class _Scope:
    """A section and the contexts it declares; the page is one too, of level 0."""

    level: int
    above: "_Scope | None" = None
    names: frozenset[str] = frozenset()

    @property
    def contexts(self) -> frozenset[str] | None:
        scope: _Scope | None = self
        while scope and not scope.names:
            scope = scope.above
        return scope.names if scope else None


@dataclass
class _Page:
    text: str
    file: str
    parts: list[tuple[Part, _Scope]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    markers: list[Marker] = field(default_factory=list)
    section: str = ""

    def __post_init__(self) -> None:
        self.lines = Lines(self.text)
        self.plain = _plain(self.text)
        self.page = self.scope = _Scope(0)
        self.sectioned = False

    def prose(self) -> Prose:
        self.tokens, self.references = blocks_of(self.plain)
        for index in _outside_quotations(self.tokens):
            self._read(index, self.tokens[index])
        # A marker holds for the whole of its section, so contexts are known when all has been read.
        parts = tuple(_in_contexts(part, scope.contexts) for part, scope in self.parts)
        return Prose(self.file, parts, tuple(self.notes), tuple(self.markers))

    def _read(self, index: int, token: Token) -> None:
        match token.type:
            case "heading_open":
                self._heading(token, self.tokens[index + 1])
            case "paragraph_open":
                self._block(token, token.meta[START], self._start(_map(token)[1]), "text")
            case "table_open":
                self._table(index, token)
            case "lading_content_open":
                self._title(token)
            case "html_block":
                if _NOTE.search(token.content):  # what is behind is looked for only if somebody asks
                    first, last = _map(token)
                    self._notes(self._start(first), self._start(last), self._behind(index))
            case _ if token.type == MARKER:
                self._marker(_map(token)[0])

    def _heading(self, token: Token, inline: Token) -> None:
        if token.level == 0:
            self._enter(int(token.tag[1:]), inline.content)
        start = token.meta[START]
        if token.markup.startswith("#"):
            start = self._behind_blanks(start + len(token.markup))
            self._block(token, start, start + len(inline.content.strip()), "heading")
        else:
            self._block(token, start, self._start(_map(inline)[1]), "heading")

    def _enter(self, level: int, title: str) -> None:
        """Begin a section, and with it end those of its level and below."""
        while self.scope.above and self.scope.level >= level:
            self.scope = self.scope.above
        self.scope = _Scope(level, self.scope)
        self.sectioned = self.sectioned or level == 2
        if level <= 2:
            self.section = title.partition("{")[0].strip().lower() if level == 2 else ""

    def _title(self, token: Token) -> None:
        """Read an admonition's or a tab's title; a line that only the outline takes for the like is text."""
        first = _map(token)[0]
        start, end = self._behind_blanks(self._start(first)), self._start(first + 1)
        if found := _TITLE.match(self.plain, start, end):
            self._block(token, found.start(1), found.end(1), "heading")
        elif not self.plain.startswith(("!!!", "???", "==="), start):
            self._block(token, start, end, "text")

    def _table(self, index: int, token: Token) -> None:
        """Read the cells of a table. A bar inside a cell is escaped in the file, and not in markdown-it's tokens."""
        line, cursor = -1, 0
        for cell in self.tokens[index + 1 :]:
            if cell.type == "table_close":
                return
            if cell.type != "inline":
                continue
            if (row := _map(cell)[0]) != line:
                line, cursor = row, token.meta[START] if row == _map(token)[0] else self._start(row)
            if said := cell.content.strip():
                between = _BETWEEN_CELLS.match(self.plain, cursor)
                assert between is not None
                start, cursor = between.end(), between.end() + len(said) + said.count("|")
                self._block(token, start, cursor, "text")

    def _block(self, token: Token, start: int, end: int, kind: Kind) -> None:
        running = running_of(self.plain[start:end].rstrip(), start, self.references)
        for hidden in running.hidden:
            if self.plain.startswith("<!--", hidden.start):
                self._notes(hidden.start, hidden.stop, _map(token))
        if said := running.finished():
            part = Part(said, running.places(self.lines), None, kind, self.section, tuple(running.links))
            self.parts.append((part, self.scope))

    def _notes(self, start: int, end: int, block: tuple[int, int]) -> None:
        for found in _NOTE.finditer(self.plain, start, end):
            lines = range(block[0] + 1, block[1] + 1)
            self.notes.append(note_of(self.lines, found.start(), (found[1], found[2]), lines))

    def _behind(self, index: int) -> tuple[int, int]:
        """Return the lines of the block behind a comment: of a list, of its first item."""
        for token in self.tokens[index + 1 :]:
            if token.nesting < 0:
                break
            if token.type not in ("html_block", "bullet_list_open", "ordered_list_open"):
                return _map(token)
        return _map(self.tokens[index])

    def _marker(self, line: int) -> None:
        found = _CONTEXTS.fullmatch(self.plain[self._start(line) : self._start(line + 1)].lstrip())
        if found is None:
            return
        names = tuple(name for said in (found[1] or "").split(",") if (name := said.strip()))
        self.markers.append(Marker(line + 1, names))
        (self.scope if self.sectioned else self.page).names = frozenset(names)

    def _behind_blanks(self, offset: int) -> int:
        found = _BLANKS.match(self.plain, offset)
        assert found is not None
        return found.end()

    def _start(self, line: int) -> int:
        starts = self.lines.starts
        return starts[line] if line < len(starts) else len(self.text)


def _plain(text: str) -> str:
    """Return the page as CommonMark is to see it, of the same length: its own ends of lines, no front matter."""
    lines = text.replace("\r", " ").replace(FILLER, "\ufffd").split("\n")
    kept = without_front_matter(lines)
    return "\n".join(line and (new or " " * len(line)) for new, line in zip(kept, lines, strict=True))


def _outside_quotations(tokens: Sequence[Token]) -> Iterator[int]:
    depth = 0
    for index, token in enumerate(tokens):
        if token.type in _QUOTE:
            depth += token.nesting
        elif not depth:
            yield index


def _in_contexts(part: Part, contexts: frozenset[str] | None) -> Part:
    return Part(part.text, part.places, contexts, part.kind, part.section, part.links)


def _map(token: Token) -> tuple[int, int]:
    """Return the lines that a token is made from, from 0, the last one not included."""
    assert token.map is not None
    return token.map[0], token.map[1]
