r"""Transcripts: commands behind prompts, and the output under each.

`# ` is a command of root and `$ ` one of the user, `> ` continues the line above; all else is output. An output line
that looks like one of these has a backslash in front.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lading.page.model import Command, Place

ROOT: Final = "root"
PROMPTS: Final = {"#": "root", "$": "user", ">": "continuation"}

Tell = Callable[[int, str], None]
"""Takes a line of the page and a sentence about what is wrong there."""


def is_prompt(line: str) -> bool:
    """Say whether a line begins with a prompt, or is nothing else."""
    return line[:1] in PROMPTS and line[1:2] in ("", " ") and line != ""


def escaped(line: str) -> str:
    r"""Return a line of output as a transcript has it.

    Example:
        ```python
        from lading.page.transcript import escaped, unescaped

        print(escaped("# a comment in a file"), unescaped(r"\# a comment in a file"))
        #> \# a comment in a file # a comment in a file
        ```
    """
    return f"\\{line}" if is_prompt(line.lstrip("\\")) else line


def unescaped(line: str) -> str:
    """Return a line of a transcript as a reader sees it; commands stay as they are."""
    return line[1:] if line.startswith("\\") and is_prompt(line.lstrip("\\")) else line


@dataclass
class _Draft:
    """A command while its lines are read."""

    line: int
    user: str
    typed: list[str]
    output: list[str] = field(default_factory=list)

    def command(self, file: str) -> Command:
        place = Place(file, self.line)
        return Command(place, self.user, "\n".join(self.typed), tuple(self.output), self.line + len(self.typed))


def read_commands(lines: Sequence[str], file: str, first: int, user: str, tell: Tell) -> tuple[Command, ...]:
    """Return the commands of a transcript whose first line is line `first` of its page; `$` is a prompt of `user`."""
    drafts: list[_Draft] = []
    strayed = False
    for number, line in enumerate(lines, first):
        if not is_prompt(line):
            if drafts:
                drafts[-1].output.append(unescaped(line))
            elif not strayed:
                strayed = True
                tell(
                    number,
                    "This is output before the first prompt; begin the transcript with '# ' or '$ ' and a command.",
                )
        elif line[0] == ">":
            _continue(drafts, number, line, tell)
        else:
            drafts.append(_Draft(number, ROOT if line[0] == "#" else user, [line[2:]]))
            if not line[2:].strip():
                tell(
                    number, f"'{line[0]}' is a prompt without a command; write one, or '\\{line[0]}' if this is output."
                )
    for draft in drafts:
        _check_end(draft, tell)
    return tuple(draft.command(file) for draft in drafts)


def _continue(drafts: list[_Draft], number: int, line: str, tell: Tell) -> None:
    if not drafts or drafts[-1].output:
        tell(number, "'> ' continues no command; put it right under one, or write '\\>' if this is output.")
    else:
        drafts[-1].typed.append(line[2:])


def _check_end(draft: _Draft, tell: Tell) -> None:
    last = draft.typed[-1]
    if (len(last) - len(last.rstrip("\\"))) % 2:
        line = draft.line + len(draft.typed) - 1
        tell(line, "The command ends in a backslash, so the shell waits for more; go on with '> ' in the next line.")
