"""Run blocks from their fences: transcripts, and files with their content."""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lading.page.model import Command, FileBlock, Place, RunBlock, Section, Transcript
from lading.page.options import CONSOLE, DEFAULT_USER, FILE, Known, read_options
from lading.page.outline import Fence
from lading.page.transcript import ROOT, Tell, read_commands, unescaped
from lading.recipe.problems import InputError
from lading.recipe.yamlfile import read_text

_ROLE_FILES: Final = re.compile(r"playbooks/roles/(?P<role>[^/]+)/files/")


@dataclass(frozen=True)
class Surroundings:
    """What a block's meaning depends on: its page's file and path, the repository, and the names of the recipe."""

    file: str
    path: str
    root: Path
    known: Known
    tell: Tell


def rendered_folder(path: str) -> str:
    """Return where a path's rendered files are, relative to the repository, with a slash at its end."""
    return f"recipes/{path}/rendered/"


def role_of(include: str) -> str | None:
    """Return the role whose own file an include names; None if it names no such file.

    Example:
        ```python
        from lading.page.runblocks import role_of

        print(role_of("playbooks/roles/demo/files/demo.py"), role_of("recipes/demo/rendered/etc/demo.conf"))
        #> demo None
        ```
    """
    found = _ROLE_FILES.match(include)
    return found["role"] if found else None


def read_run_block(fence: Fence, id: str, section: Section, around: Surroundings) -> RunBlock:
    """Return the block that a route types; what is wrong with it is told."""
    for number, line in enumerate(fence.text.split("\n"), fence.first + 1):
        _check_letters(line, number, around.tell)
    if len(fence.said.classes) > 1:
        around.tell(fence.first, f"A block that runs has the class '.{fence.kind}' alone; take the others out.")
    common: dict[str, Any] = {
        "id": id,
        "place": Place(around.file, fence.first),
        "last": fence.last,
        "section": section,
    }
    if fence.kind == "file":
        return _file_block(fence, common, around)
    return _transcript(fence, common, around)


def _check_letters(line: str, number: int, tell: Tell) -> None:
    """Tell letters that would be typed or written otherwise than a reader sees them."""
    if "\t" in line:
        tell(number, "This line has a tab, which the site turns into spaces; write spaces, or '...' in output.")
    elif hidden := next((letter for letter in line if not letter.isprintable()), ""):
        tell(number, f"This line has the character U+{ord(hidden):04X}, which nobody can see; take it out.")


def _transcript(fence: Fence, common: dict[str, Any], around: Surroundings) -> Transcript:
    def tell(sentence: str) -> None:
        around.tell(fence.first, sentence)

    options = read_options(fence.attributes, CONSOLE, around.known, tell)
    named, lines = options.pop("user", None), fence.text.split("\n")
    commands = read_commands(lines, around.file, fence.first + 1, named or DEFAULT_USER, around.tell)
    text = "\n".join(map(unescaped, lines))
    block = Transcript(**common, **options, text=text, commands=commands)
    if not commands:
        tell("The transcript has no command; write one behind '# ' or '$ '.")
    if named and commands and all(command.user == ROOT for command in commands):
        tell("The block names a user, but none of its commands begins with '$ '; leave 'user=' out.")
    for sentence in _contradictions(block, fence.attributes):
        tell(sentence)
    for command in commands:
        _check_expected(command, block, around.tell)
    return block


def _contradictions(block: Transcript, said: Mapping[str, str]) -> Iterator[str]:
    special = [f"exit={block.exit}"] if block.exit else []
    special += [f"expect={block.expect}"] if block.expect != "exact" else []
    special += [name for name in ("until", "reboot") if name in said]
    if special and len(block.commands) > 1:
        yield f"A block with '{special[0]}' holds one command, and this has {len(block.commands)}; split it."
    if block.reboot and len(special) > 1:
        yield f"'reboot' ends every shell of the host, so '{special[0]}' can't be seen; leave it out."


def _check_expected(command: Command, block: Transcript, tell: Tell) -> None:
    """Tell an expectation that nothing could meet, or everything."""
    expected = "\n".join(command.expected)
    line = command.output_line
    if block.expect != "exact" and not expected.strip():
        tell(
            command.place.line, f"'expect={block.expect}' expects nothing; write below the command what must be there."
        )
    elif block.expect == "regex":
        try:
            re.compile(expected, re.MULTILINE)
        except re.error as error:
            tell(line, f"This is no regular expression of Python: {error}; correct it.")
    elif block.expect == "json-subset":
        try:
            json.loads(expected)
        except ValueError as error:
            tell(line, f"This is not JSON: {error}; correct it.")


def _file_block(fence: Fence, common: dict[str, Any], around: Surroundings) -> FileBlock:
    def tell(sentence: str) -> None:
        around.tell(fence.first, sentence)

    options = read_options(fence.attributes, FILE, around.known, tell)
    if "path" not in fence.attributes:
        tell("A file block says where its file is; add 'path=/…'.")
    include = options.get("include")
    content = f"{fence.text}\n"
    if "include" in fence.attributes:
        content = _included(fence, include or "", around)
    elif not fence.text.strip():
        tell("The file block is empty; write the file's content, or name it with 'include='.")
    return FileBlock(**common, **{"path": "", **options}, text=content.removesuffix("\n"), content=content)


def _included(fence: Fence, include: str, around: Surroundings) -> str:
    """Return the content of a rendered file, or of a role's own."""
    of_role = _ROLE_FILES.match(include)
    folder = of_role[0] if of_role else rendered_folder(around.path)
    sentence, content = "", ""
    file = around.root / include
    if fence.text.strip():
        sentence = f"The block includes '{include}' and has content besides; delete the lines between its fences."
    elif include != posixpath.normpath(include) or not include.startswith(folder):
        sentence = (
            f"Only rendered files and a role's own are included, and '{include}' is neither in "
            f"'{rendered_folder(around.path)}' nor in 'playbooks/roles/ROLE/files/'; name one of those."
        )
    elif not file.is_file():
        mend = "correct its name" if of_role else "name it under 'rendered' in recipe.yml and run 'lading page render'"
        sentence = f"The file '{include}' does not exist; {mend}."
    elif not file.resolve().is_relative_to((around.root / folder).resolve()):
        sentence = f"The file '{include}' leads out of '{folder}'; put the file itself there."
    else:
        try:
            content = read_text(file, include)
        except InputError as error:
            sentence = f"The included file cannot be shown: {error.message} Correct it."
    if sentence:
        around.tell(fence.first, sentence)
    if any(not letter.isprintable() for letter in content.replace("\n", "")):
        where = "it" if of_role else "its template"
        around.tell(
            fence.first, f"The file '{include}' has tabs or letters that nobody can see; take them out of {where}."
        )
    return content
