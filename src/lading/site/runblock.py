"""A block that a route types, as HTML: what a reader sees, and what a copy button gives.

The theme's copy button takes the attribute `data-copy` of an element around the code, if there is one. So it gives the
commands exactly as the route types them, without prompts and outputs, and no script of ours is needed.
"""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Final

from lading.page.model import Command, Expect, FileBlock, NotRun, RunBlock, Transcript
from lading.page.transcript import read_commands, unescaped
from lading.site.colours import command_lines, file_lines
from lading.site.words import duration

PROMPT: Final = len("# ")

SOMEBODY: Final = "somebody"
"""Whose shell `$` is in a transcript that no route types."""

USERS: Final = {"root": "As root", SOMEBODY: "As an ordinary user", "pilot01": "As pilot01, the pilot account"}
EXPECTED: Final[dict[Expect, str]] = {
    "contains": "Its output has these lines, in this order, perhaps with others between them.",
    "regex": "Its output matches this regular expression.",
    "json-subset": "Its output is JSON that holds at least this.",
}
DEFAULT_MODE: Final = "0644"

TALLEST: Final = 40
"""Lines of an included file that a page shows at once; of a longer one it shows a box that scrolls."""


def run_block_html(block: RunBlock, *, name_host: bool, platform: str | None = None) -> str:
    """Return a block as an element with the block's id.

    The text of the `code` elements in it, put together, is the block's text. `name_host` is for paths with several
    hosts; `platform` is the title of the one platform that the block is for, if nothing else on the page says so.
    """
    where = [f"on {block.host}"] if name_host else []
    where += [f"{platform} only"] if platform else []
    notes: list[str] = []
    match block:
        case Transcript():
            kind, notes = "transcript", list(_notes(block))
            parts = list(_shells(block.id, block.text.split("\n"), block.commands, where))
        case FileBlock():
            kind, parts = "file", [_file(block, where)]
        case _:
            raise TypeError(f"'{type(block).__name__}' is no block that the site can show.")
    below = [f'<p class="run-note">{escape(" ".join(notes))}</p>'] if notes else []
    return "\n".join([f'<div class="run run--{kind}" id="{escape(block.id)}">', *parts, *below, "</div>"])


def never_run_html(platform: str, reason: str) -> str:
    """Return what stands above a block for a platform that the path has never run on."""
    return f'<p class="run-never"><strong>Never run on {escape(platform)}.</strong> {escape(reason)}</p>'


def not_run_html(block: NotRun, title: str | None = None) -> str | None:
    """Return a transcript that no route types, with buttons like the others'; None if it is no transcript."""
    wrong: list[str] = []
    lines = block.text.split("\n")
    commands = read_commands(lines, "", 1, SOMEBODY, lambda _line, sentence: wrong.append(sentence))
    if wrong or not commands:
        return None
    shells = _shells(block.id, [unescaped(line) for line in lines], commands, [title] if title else [])
    return "\n".join([f'<div class="unrun" id="{escape(block.id)}">', *shells, "</div>"])


def _shells(id: str, lines: Sequence[str], commands: Sequence[Command], where: Sequence[str]) -> Iterator[str]:
    """Yield the shells that commands are pasted into, one after the other; `lines` are what a reader sees of all.

    Each has an id, since the theme's buttons find their code by the nearest one.
    """
    seen = iter(lines)
    for number, (user, group) in enumerate(groupby(commands, lambda command: command.user), 1):
        pasted = list(group)
        title = ", ".join([USERS.get(user, f"As {user}, an ordinary user"), *where])
        typed = escape("\n".join(command.text for command in pasted)).replace("\n", "&#10;")
        code = "".join(line for command in pasted for line in _command_html(command, seen))
        yield _highlighted(escape(title), code, f' id="{escape(id)}-shell-{number}" data-copy="{typed}"')


def _command_html(command: Command, seen: Iterator[str]) -> Iterator[str]:
    """Yield lines: the command's behind the prompts that the page has, then its output.

    `seen` are the block's lines as a reader sees them, from this command on.
    """
    for typed in command_lines(command.text):
        yield f'<span class="gp">{escape(next(seen)[:PROMPT])}</span>{typed}\n'
    for _ in command.expected:
        yield f'<span class="go">{escape(next(seen))}</span>\n'


def _file(block: FileBlock, where: Sequence[str]) -> str:
    lines = file_lines(block.content, block.path)
    boxed = block.include is not None and len(lines) > TALLEST
    aside = [*where, *([f"mode {block.mode}"] if block.mode != DEFAULT_MODE else [])]
    aside += [f"{len(lines)} lines"] if boxed else []
    said = f' <span class="run-aside">{escape(", ".join(aside))}</span>' if aside else ""
    title = f'<span class="run-kind">File</span> {escape(block.path)}{said}'
    code = "\n".join([*lines, ""])
    if boxed:
        # Within the `code` element, whose own tabindex the theme's script takes away, and below the copy button.
        label = escape(f"The content of {block.path}")
        code = f'<span class="run-scroll" role="region" tabindex="0" aria-label="{label}">{code}</span>'
    return _highlighted(title, code)


def _highlighted(title: str, code: str, attributes: str = "") -> str:
    """Return a block of code as the theme's own extension writes it."""
    title = f'<span class="filename">{title}</span>'
    return f'<div class="highlight"{attributes}>{title}<pre><span></span><code>{code}</code></pre></div>'


def _notes(block: Transcript) -> Iterator[str]:
    """Yield what a reader has to know beside the commands."""
    if block.expect in EXPECTED:
        yield EXPECTED[block.expect]
    if block.exit:
        yield f"It ends with exit code {block.exit}."
    if block.until is not None:
        yield f"Repeat it until it says so, for {duration(block.until)} at most."
    if block.reboot:
        yield "It reboots the node."
