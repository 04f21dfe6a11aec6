"""Blocks of the site's Markdown, with the place where each one's text begins.

The outline's parser knows admonitions and tabs; what stands behind the mark of a footnote or a definition it leaves
out. Here that is read too, and what no reader sees is skipped: markers, abbreviations, directives.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, heading, lheading, paragraph, table
from markdown_it.token import Token

from lading.page.outline import CONTENT_INDENT, block_parser

Rule = Callable[[StateBlock, int, int, bool], bool]

MARKER: Final = "lading_marker"
START: Final = "start"
"""Under this name a token's `meta` tells the offset at which the block's text begins."""

_ENDS: Final = ["paragraph", "reference", "blockquote", "list"]
_ITEM: Final = re.compile(r"(?:\[\^[^\]\s]+\]:|:(?= ))[ \t]*")
_SKIPPED: Final = re.compile(r"///|\*\[[^\]]*\] ?:")
_DIRECTIVE: Final = re.compile(r":::[ \t]")


def blocks_of(text: str) -> tuple[list[Token], dict[str, Any]]:
    """Return the tokens of a page's blocks, and the targets of links that it defines.

    The text has no carriage returns and no NULs: each letter is where it is in the file.
    """
    environment: dict[str, Any] = {}
    tokens = _parser().parse(text + "\n", environment)
    return tokens, environment.get("references", {})


@cache
def _parser() -> MarkdownIt:
    parser = block_parser()
    ruler = parser.block.ruler
    ruler.before("lading_content", "lading_item", _item, {"alt": _ENDS})
    ruler.before("lading_item", "lading_skipped", _skipped, {"alt": _ENDS})
    ruler.at("table", _placed(table), {"alt": ["paragraph", "reference"]})
    ruler.at("heading", _placed(heading), {"alt": ["paragraph", "reference", "blockquote"]})
    ruler.at("lheading", _placed(lheading))
    ruler.at("paragraph", _placed(paragraph))
    return parser


def _placed(rule: Rule) -> Rule:
    """Return a rule whose first token tells where the block's text begins: behind the marks of lists."""

    def placed(state: StateBlock, first: int, end: int, silent: bool) -> bool:
        start, before = state.bMarks[first] + state.tShift[first], len(state.tokens)
        found = rule(state, first, end, silent)
        if found and not silent:
            state.tokens[before].meta[START] = start
        return found

    return placed


def _item(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """Parse a footnote's or a definition's content, which begins behind its mark, like that of a list's item."""
    start = state.bMarks[first] + state.tShift[first]
    found = _ITEM.match(state.src, start, state.eMarks[first])
    if found is None or state.is_code_block(first):
        return False
    if silent:
        return True
    before = state.blkIndent, state.tShift[first], state.sCount[first]
    state.blkIndent += CONTENT_INDENT
    state.tShift[first], state.sCount[first] = found.end() - state.bMarks[first], state.blkIndent
    opening = state.push("lading_item_open", "div", 1)
    state.md.block.tokenize(state, first, end)
    opening.map = [first, state.line]
    state.push("lading_item_close", "div", -1)
    state.blkIndent, state.tShift[first], state.sCount[first] = before
    return True


def _skipped(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """Take a line that no reader sees; a directive, as for a Python module's reference, ends at an empty line."""
    start = state.bMarks[first] + state.tShift[first]
    is_directive = _DIRECTIVE.match(state.src, start) is not None
    if state.is_code_block(first) or not (is_directive or _SKIPPED.match(state.src, start, state.eMarks[first])):
        return False
    if silent:
        return True
    state.line = first + 1
    while is_directive and state.line < end and not state.isEmpty(state.line):
        state.line += 1
    state.push(MARKER, "", 0).map = [first, state.line]
    return True
