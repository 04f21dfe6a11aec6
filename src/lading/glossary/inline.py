"""What of a stretch of Markdown is text: markdown-it's rules find the code, links and emphasis in it.

Its tokens have no columns. So the walk is done here, and notes where each rule began and ended.
"""

import re
from collections.abc import Callable, MutableMapping
from functools import cache
from typing import Any, Final, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import (
    StateInline,
    autolink,
    backtick,
    emphasis,
    entity,
    html_inline,
    image,
    link,
    link_pairs,
)
from markdown_it.token import Token

from lading.glossary.running import Running

_SPECIAL: Final = re.compile(r"[\\`*_\[<&]|!\[")
_PUNCTUATION: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_PIECES: Final = "lading_pieces"


class _Piece(NamedTuple):
    """What one rule took, and how it goes into the running text. A star that becomes emphasis is no text."""

    take: Callable[[Running, int, int], None]
    start: int
    end: int
    star: Token | None = None


_Pieces = list[_Piece]


def running_of(source: str, base: int, references: MutableMapping[str, Any] | None = None) -> Running:
    """Return the running text of a block's source, which begins at `base` of its file.

    `references` are the link targets that its page defines, as markdown-it keeps them.
    """
    running = Running(source, base)
    if _SPECIAL.search(source) is None:
        running.text(0, len(source))
        return running
    pieces: _Pieces = []
    environment: dict[str, Any] = {_PIECES: pieces}
    if references:
        environment["references"] = references
    _walk(StateInline(source, _parser(), environment, []))
    for piece in pieces:
        if piece.star is None or (piece.star.type == "text" and piece.star.content):
            piece.take(running, piece.start, piece.end)
    return running


def _walk(state: StateInline) -> None:
    state.md.inline.tokenize(state)
    link_pairs(state)
    emphasis.postProcess(state)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark")
    parser.inline = _Walk()
    return parser


class _Walk(ParserInline):
    """Notes where everything stands instead of making tokens; a link's rule comes back to it for the link's text."""

    def tokenize(self, state: StateInline) -> None:
        """Note the pieces of a range of the source."""
        pieces, end = state.env[_PIECES], state.posMax
        while state.pos < end:
            found = _SPECIAL.search(state.src, state.pos, end)
            stop = found.start() if found else end
            if stop > state.pos:
                pieces.append(_Piece(Running.text, state.pos, stop))
                state.pos = stop
            if found and not _RULES[found[0][0]](state, pieces):
                pieces.append(_Piece(Running.text, stop, stop + 1))
                state.pos = stop + 1


def _escape(state: StateInline, pieces: _Pieces) -> bool:
    start = state.pos
    after = state.src[start + 1 : start + 2]
    if start + 1 < state.posMax and after in _PUNCTUATION:
        pieces.append(_Piece(Running.text, start + 1, start + 2))
        state.pos = start + 2
        return True
    if after == "\n":
        state.pos = start + 1
    return after == "\n"


def _code(state: StateInline, pieces: _Pieces) -> bool:
    start = state.pos
    backtick(state, True)
    is_code = bool(state.src[start : state.pos].strip("`"))
    pieces.append(_Piece(Running.mask if is_code else Running.text, start, state.pos))
    return True


def _star(state: StateInline, pieces: _Pieces) -> bool:
    start = state.pos
    state.push("text", "", 0)  # stars are one run if their tokens touch: keeps this run apart from the last one
    emphasis.tokenize(state, False)
    for offset, token in enumerate(state.tokens[start - state.pos :], start):
        pieces.append(_Piece(Running.text, offset, offset + 1, token))
    return True


def _link(state: StateInline, pieces: _Pieces) -> bool:
    start = state.pos
    pieces.append(_Piece(Running.open_link, start, start))
    if not link(state, False):
        pieces.pop()
        return False
    pieces.append(_Piece(Running.close_link, start, state.pos))
    return True


def _image(state: StateInline, pieces: _Pieces) -> bool:
    start = state.pos
    if not image(state, True):
        return False
    first, last = start + 2, state.md.helpers.parseLinkLabel(state, start + 1, False)
    inner: _Pieces = []
    label = StateInline(state.src[first:last], state.md, {**state.env, _PIECES: inner}, [])
    _walk(label)
    pieces.append(_Piece(Running.mask, start, first))
    pieces += [piece._replace(start=piece.start + first, end=piece.end + first) for piece in inner]
    pieces.append(_Piece(Running.mask, last, state.pos))
    return True


def _tag(state: StateInline, pieces: _Pieces) -> bool:
    start = state.pos
    if not (autolink(state, True) or html_inline(state, True)):
        return False
    pieces.append(_Piece(Running.mask, start, state.pos))
    return True


def _entity(state: StateInline, pieces: _Pieces) -> bool:
    start = state.pos
    if not entity(state, True):
        return False
    pieces.append(_Piece(Running.entity, start, state.pos))
    return True


_RULES: Final[dict[str, Callable[[StateInline, _Pieces], bool]]] = {
    "\\": _escape,
    "`": _code,
    "*": _star,
    "_": _star,
    "[": _link,
    "!": _image,
    "<": _tag,
    "&": _entity,
}
