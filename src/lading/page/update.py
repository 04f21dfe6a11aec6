"""Outputs on a page replaced by what was seen, for `lading page update`."""

from collections.abc import Mapping

from lading.page.align import aligned_lines
from lading.page.match import mismatch, shown
from lading.page.model import Command, Page, Place, Transcript
from lading.page.transcript import escaped


def rewritten(text: str, page: Page, seen: Mapping[Place, str]) -> str:
    """Return a page's text with the outputs that it should promise, by the place of each command in `seen`.

    What fits already stays as it is, and `...` of the author's stays wherever it still fits. Blocks with another
    `expect` than `exact` stay too: what they ask for is for a person to say.
    """
    lines = text.split("\n")
    for block in reversed(page.run_blocks):
        if isinstance(block, Transcript) and block.expect == "exact":
            before = len(lines)
            typed = [command for command in reversed(block.commands) if command.place in seen]
            replaced = [_replace(lines, command, seen[command.place], block) for command in typed]
            if any(replaced):
                _widen(lines, block.place.line - 1, block.last - 1 + len(lines) - before)
    return "\n".join(lines)


def _replace(lines: list[str], command: Command, output: str, block: Transcript) -> bool:
    """Put the output in if it is not what the page promises; say whether."""
    if mismatch(command, output, block) is None:
        return False
    first = command.output_line - 1
    new = aligned_lines(command.expected, shown(output))
    lines[first : first + len(command.expected)] = map(escaped, new)
    return True


def _widen(lines: list[str], opening: int, closing: int) -> None:
    """Make a block's marks longer than any in it, of which the first would end it."""
    mark = lines[opening][0]
    inside = (line.strip() for line in lines[opening + 1 : closing])
    longest = max((len(line) for line in inside if not line.strip(mark)), default=0)
    size = len(lines[opening]) - len(lines[opening].lstrip(mark))
    if longest >= size:
        lines[opening] = mark * (longest + 1) + lines[opening][size:]
        lines[closing] = mark * (longest + 1)
