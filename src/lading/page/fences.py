"""The fenced blocks of a page, found line by line.

A page's block either is run by a route, or says why not in its first line:
`{ .bash not-run="the route by hand comes later" }`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

OPENING = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")
ATTRIBUTE = re.compile(r"""(?P<key>[A-Za-z][\w-]*)=(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'}]+))""")


@dataclass(frozen=True)
class Fence:
    """A fenced block; lines count from 1 and include the fence's own two."""

    first: int
    last: int
    info: str
    text: str
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def not_run(self) -> str | None:
        """Why no route runs the block, or None if it does not say."""
        return self.attributes.get("not-run")


def find_fences(text: str) -> Iterator[Fence]:
    """Yield the blocks of a page in order; a block that is never closed reaches to the page's end.

    Example:
        ```python
        from lading.page.fences import find_fences

        page = ["Restart:", '~~~ { .bash not-run="it reboots you" }', "systemctl reboot", "~~~"]
        for fence in find_fences(chr(10).join(page)):
            print(fence.first, fence.last, fence.not_run)
            #> 2 4 it reboots you
        ```
    """
    lines = text.split("\n")  # as Markdown does: other separators are part of a line
    index = 0
    while index < len(lines):
        opening = OPENING.match(lines[index])
        if opening is None:
            index += 1
            continue
        last = _closing(lines, index, opening["mark"])
        body = "\n".join(lines[index + 1 : last])
        yield Fence(index + 1, min(last + 1, len(lines)), opening["info"].strip(), body, _attributes(opening["info"]))
        index = last + 1


def _closing(lines: list[str], opening: int, mark: str) -> int:
    """Return the index of the line that closes a block: the same sign, at least as often, and nothing else."""
    for index in range(opening + 1, len(lines)):
        line = lines[index].strip()
        if len(line) >= len(mark) and set(line) == {mark[0]}:
            return index
    return len(lines)


def _attributes(info: str) -> dict[str, str]:
    return {
        match["key"]: match["double"] or match["single"] or match["bare"] or "" for match in ATTRIBUTE.finditer(info)
    }
