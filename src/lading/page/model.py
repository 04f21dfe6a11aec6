"""What a page is made of: blocks that a route types, and blocks that say why none does.

`lading.page.read` makes these from a page's text; the runner, the lint and the site all work on them.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

Section = Literal["install", "configure", "validate", "operate", "undo"]
Expect = Literal["exact", "contains", "regex", "json-subset"]

SECTIONS: tuple[Section, ...] = get_args(Section)
"""The sections of a page that may hold run blocks, in the order in which they are typed."""

ANYTHING = "..."
"""A line of expected output that stands for any number of lines; within a line, for any characters."""


@dataclass(frozen=True)
class Place:
    """Where in the repository something stands; lines count from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a transcript, and the output that the page promises.

    `text` is what is typed, without prompts, lines joined by newlines. `expected` are the lines under it, unescaped;
    `output_line` is where they begin, or would.
    """

    place: Place
    user: str
    text: str
    expected: tuple[str, ...] = ()
    output_line: int = 0


@dataclass(frozen=True)
class Block:
    """What all fenced blocks have: an id that is unique on the page, and the lines of both fences."""

    id: str
    place: Place
    last: int
    text: str = field(repr=False)
    """What a reader sees in the block."""


@dataclass(frozen=True)
class RunBlock(Block):
    """A block that the route by hand types on a host; on any platform if none is named."""

    section: Section
    host: str
    platform: str | None


@dataclass(frozen=True)
class Transcript(RunBlock):
    """Commands with their output. `timeout` is for each command and `until` for all tries; both in seconds."""

    commands: tuple[Command, ...]
    exit: int = 0
    expect: Expect = "exact"
    timeout: float | None = None
    until: float | None = None
    reboot: bool = False


@dataclass(frozen=True)
class FileBlock(RunBlock):
    """A file with that content, owned by root; `include` is the file of the repository that the content is from."""

    path: str
    content: str
    mode: str = "0644"
    include: str | None = None


@dataclass(frozen=True)
class NotRun(Block):
    """A block that no route runs, and why."""

    reason: str
    info: str = ""


@dataclass(frozen=True)
class Page:
    """A page's blocks in their order. `path` is the id in its `/// proof | PATH` marker, if it has one."""

    file: str
    path: str | None
    blocks: tuple[Block, ...]

    @property
    def run_blocks(self) -> tuple[RunBlock, ...]:
        """The blocks that are typed, in their order."""
        return tuple(block for block in self.blocks if isinstance(block, RunBlock))

    @property
    def coverage(self) -> int:
        """How many of a hundred blocks are typed, rounded down; 100 on a page without blocks."""
        return len(self.run_blocks) * 100 // len(self.blocks) if self.blocks else 100
