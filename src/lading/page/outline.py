"""What stands where on a page: its fences, headings and marker, as a Markdown parser sees them.

CommonMark's parser knows no admonitions, tabs, footnotes or definitions, whose content the site's Markdown indents by
four; a rule of our own keeps it from taking that content for indented code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

from lading.page.attributes import Info, Kind, parse_info

CONTENT_INDENT: Final = 4
MARKS: Final = ("```", "~~~")
PROOF: Final = "/// proof"


@dataclass(frozen=True)
class Fence:
    """A fenced block. Lines count from 1 and include the fence's own two; `text` has no newline at its end.

    `section` is the title of the heading of the second level above it, in lower case; `nested` says that it does not
    begin at column 0 or is inside a list, a quotation or an admonition.
    """

    first: int
    last: int
    info: str
    text: str
    section: str = ""
    nested: bool = False
    closed: bool = True

    @cached_property
    def said(self) -> Info:
        """Its attributes, and what is wrong with them."""
        return parse_info(self.info)

    @property
    def attributes(self) -> dict[str, str]:
        """What it says of itself; an attribute without a value is the empty string."""
        return self.said.values

    @property
    def kind(self) -> Kind:
        """What it claims to be: `not-run` before all else, `console` or `file` by its class, or `other`."""
        return self.said.kind


@dataclass(frozen=True)
class Outline:
    """A page's fences in their order, and lines of interest, from 1.

    `markers` are the arguments of all `/// proof` markers with their lines; `indented` are lines where indented code
    begins, `raw` where HTML shows preformatted text, and `hidden` where the site and CommonMark may disagree
    about a fence.
    """

    fences: tuple[Fence, ...]
    markers: tuple[tuple[int, str], ...]
    indented: tuple[int, ...]
    raw: tuple[int, ...]
    hidden: tuple[int, ...]


def find_blocks(text: str) -> tuple[Fence, ...]:
    """Return a page's fences in their order; one that is never closed reaches to the end of what it is in.

    Example:
        ```python
        from lading.page.outline import find_blocks

        page = ["## Install", "", "~~~ { .console host=worker1 }", "# systemctl daemon-reload", "~~~"]
        for fence in find_blocks(chr(10).join(page)):
            print(fence.first, fence.last, fence.kind, fence.section, fence.attributes)
            #> 3 5 console install {'host': 'worker1'}
        ```
    """
    return read_outline(text).fences


def read_outline(text: str) -> Outline:
    """Return what stands where on a page; its front matter, if it has any, is nothing."""
    lines = without_front_matter(text.replace("\r", " ").split("\n"))
    tokens = _parser().parse("\n".join(lines) + "\n")
    fences = tuple(_fences(lines, tokens))
    inside = {number for fence in fences for number in range(fence.first, fence.last + 1)}
    indented = [token for token in tokens if token.type == "code_block"]
    told = inside | {number for token in indented for number in _lines(token)}
    return Outline(
        fences,
        tuple(_markers(lines, inside)),
        tuple(_lines(token).start for token in indented),
        tuple(
            _lines(token).start for token in tokens if token.type == "html_block" and "<pre" in token.content.lower()
        ),
        tuple(_hidden(lines, fences, told)),
    )


def _fences(lines: list[str], tokens: list[Token]) -> Iterator[Fence]:
    section = ""
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0 and token.tag in ("h1", "h2"):
            title = tokens[index + 1].content.partition("{")[0].strip().lower()
            section = title if token.tag == "h2" else ""
        if token.type == "fence":
            place = _lines(token)
            nested = token.level > 0 or not lines[place.start - 1].startswith(token.markup)
            # CommonMark takes more marks than there were for an end, the site does not.
            ended = lines[place.stop - 2].strip(" >") == token.markup
            closed = ended and token.content.count("\n") == len(place) - 2
            text = token.content.removesuffix("\n")
            yield Fence(place.start, place.stop - 1, token.info.strip(), text, section, nested, closed)


def _lines(token: Token) -> range:
    """Return the lines that a token of the block level is made from, counted from 1."""
    assert token.map is not None
    return range(token.map[0] + 1, token.map[1] + 1)


def _markers(lines: list[str], inside: set[int]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        name, _, argument = line.partition("|")
        if number not in inside and name.rstrip() == PROOF:
            yield number, argument.strip()


def _hidden(lines: list[str], fences: tuple[Fence, ...], told: set[int]) -> Iterator[int]:
    """Yield the lines that only one of the two, the site or CommonMark, takes for the beginning of a fence.

    Backticks further on make it a code span for both.
    """
    openings = {fence.first for fence in fences}
    for number, line in enumerate(lines, 1):
        bare = line.lstrip(" \t>")
        opens = bare.startswith(MARKS) and "`" not in bare.lstrip(bare[0])
        is_one = number in openings
        if opens != is_one and (is_one or number not in told):
            yield number


def without_front_matter(lines: list[str]) -> list[str]:
    """Blank the YAML between `---` and `---` at the beginning, which Markdown would take for a heading."""
    if lines[0].rstrip() != "---":
        return lines
    for index, line in enumerate(lines[1:], 1):
        if line.rstrip() in ("---", "..."):
            return [""] * (index + 1) + lines[index + 1 :]
    return lines


@cache
def _parser() -> MarkdownIt:
    return block_parser()


def block_parser() -> MarkdownIt:
    """Return a new parser, of blocks alone, that finds the content of admonitions, tabs, footnotes and definitions."""
    parser = MarkdownIt("commonmark").enable("table")
    ends = ["paragraph", "reference", "blockquote", "list"]
    parser.block.ruler.before("fence", "lading_content", _content_rule, {"alt": ends})
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _content_rule(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """Parse what is indented below the line that opens an admonition, a tab, a footnote or a definition."""
    start = state.bMarks[first] + state.tShift[first]
    if state.is_code_block(first) or not _opens_content(state.src[start : state.eMarks[first]]):
        return False
    if silent:
        return True
    indent, line = state.blkIndent + CONTENT_INDENT, first + 1
    while line < end and (state.isEmpty(line) or state.sCount[line] >= indent):
        line += 1
    before = state.blkIndent, state.lineMax, state.parentType
    state.push("lading_content_open", "div", 1).map = [first, line]
    state.blkIndent, state.lineMax, state.parentType = indent, line, "lading_content"
    state.md.block.tokenize(state, first + 1, line)
    state.blkIndent, state.lineMax, state.parentType = before
    state.push("lading_content_close", "div", -1)
    state.line = line
    return True


def _opens_content(line: str) -> bool:
    if line.startswith(("!!!", "???")):
        return line[3:].lstrip("+ ")[:1].isalnum() or line[3:].lstrip("+ ").startswith('"')
    if line.startswith("==="):
        return line[3:].lstrip("!+ ").startswith('"')
    return line.startswith(":   ") or (line.startswith("[^") and "]:" in line)
