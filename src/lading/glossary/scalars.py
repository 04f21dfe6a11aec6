"""The running text of YAML's scalars, each letter with its place, whatever style they are written in."""

import re
from collections.abc import Iterator
from typing import Final

import yaml

from lading.glossary.inline import running_of
from lading.glossary.running import FILLER, Running

_PROPERTIES: Final = re.compile(r"(?:[&!]\S*\s+)*")
_PARAGRAPH: Final = re.compile(r"(?:[^\n]*\S[^\n]*\n?)+")
_ESCAPE: Final = re.compile(r"\\(?:x..|u.{4}|U.{8}|\r?\n[ \t]*|.)", re.DOTALL)
_ITSELF: Final = '"\\/ '


def running_texts(text: str, node: yaml.ScalarNode) -> Iterator[Running]:
    """Yield the running text of each paragraph of a scalar, read as Markdown."""
    first, last = written(text, node)
    body = text[first:last]
    if node.style == '"':
        body = _ESCAPE.sub(_meant, body)
    elif node.style == "'":
        body = body.replace("''", FILLER + "'")
    for paragraph in _PARAGRAPH.finditer(body.replace("\r", " ")):
        yield running_of(paragraph[0].rstrip(), first + paragraph.start())


def written(text: str, node: yaml.ScalarNode) -> tuple[int, int]:
    """Return where a scalar's own letters begin and end in its file: behind its tag, its quote, its block's header."""
    begun = _PROPERTIES.match(text, node.start_mark.index)
    assert begun is not None
    first, last = begun.end(), node.end_mark.index
    if node.style in ("|", ">"):
        header = text.find("\n", first)
        return (header + 1, last) if 0 <= header < last else (last, last)
    return (first + 1, last - 1) if node.style else (first, last)


def _meant(found: re.Match[str]) -> str:
    """Return what an escape in double quotes stands for, at the same length."""
    said = found[0]
    if said[1] in "xuU":
        code = said[2:]
        return FILLER + chr(int(code, 16)) + FILLER * len(code)
    if said[1] in "\r\n":
        return FILLER * len(said)
    return FILLER + (said[1] if said[1] in _ITSELF else " ")
