"""The extension that shows, below a block that no route runs, why it is not run.

The reason is the fence's own attribute, `{ .bash not-run="…" }`, which other tools ignore.
"""

import re
from typing import Any
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

from lading.page.fences import Fence, find_fences
from lading.site.markers import ABOVE_PARAGRAPHS, MarkerProcessor, add

BEFORE_FENCES = 40
"""A priority above that of SuperFences (25), which takes the fences out of the text."""


class NotRunPreprocessor(Preprocessor):
    """Moves the reason out of the fence into a marker below it."""

    def run(self, lines: list[str]) -> list[str]:
        """Return the page's lines with a marker after each block that says why it is not run."""
        result, taken = [], 0
        for fence in find_fences("\n".join(lines)):
            if fence.not_run and fence.info.startswith("{"):
                opening, *rest = lines[fence.first - 1 : fence.last]
                before = lines[taken : fence.first - 1]
                result += [*before, _without_reason(opening, fence), *rest, "", _marker(opening, fence), ""]
                taken = fence.last
        return result + lines[taken:]


def _without_reason(opening: str, fence: Fence) -> str:
    """Return the opening without the attribute, which highlighters would take for one of their own."""
    return re.sub(rf"""\s*not-run=(["']?){re.escape(fence.not_run or "")}\1""", "", opening)


def _marker(opening: str, fence: Fence) -> str:
    indent = opening[: len(opening) - len(opening.lstrip())]
    return f"{indent}/// not-run | {fence.not_run}"


def _fill(parent: Element, reason: str) -> None:
    note = add(parent, "p", css="not-run")
    add(note, "span", "Not run by any route:", "not-run-label")
    add(note, "span", f" {reason}")


class NotRunExtension(Extension):
    """Registers both halves."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name that Python-Markdown looks for
        """Add them to a parser."""
        md.preprocessors.register(NotRunPreprocessor(md), "lading-not-run", BEFORE_FENCES)
        md.parser.blockprocessors.register(MarkerProcessor(md, "not-run", _fill), "lading-not-run", ABOVE_PARAGRAPHS)


def makeExtension(**options: Any) -> NotRunExtension:  # noqa: N802 - the name that Python-Markdown looks for
    """Return the extension; Python-Markdown calls it by this name."""
    return NotRunExtension(**options)
