"""The extension that writes the reference of a command line, `/// commands | MODULE:NAME`, from its own help.

What is shown is what the program says, so no copy of it can grow old.
"""

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

import click
from markdown import Markdown
from markdown.extensions import Extension

from lading.errors import UsageError
from lading.site.markers import ABOVE_PARAGRAPHS, MarkerProcessor, add, add_table

KEPT = "\b"
"""The line with which click's help marks a paragraph whose lines are kept as they are."""


class CommandsExtension(Extension):
    """Registers the marker."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name that Python-Markdown looks for
        """Add it to a parser."""
        processor = MarkerProcessor(md, "commands", _add_commands)
        md.parser.blockprocessors.register(processor, "lading-commands", ABOVE_PARAGRAPHS)


def _add_commands(parent: Element, argument: str) -> None:
    for context in walk(click.Context(_named(argument), info_name=re.split("[.:]", argument)[0])):
        _add_command(parent, context)


def _named(argument: str) -> click.Command:
    module, _, name = argument.partition(":")
    try:
        command = getattr(importlib.import_module(module), name, None)
    except (ImportError, ValueError):
        command = None
    if not isinstance(command, click.Command):
        raise UsageError(f"'{argument}' is no command of click's.", hint="Write it as '/// commands | MODULE:NAME'.")
    return command


def walk(context: click.Context) -> Iterator[click.Context]:
    """Yield a command and all below it, in the order of its help."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from walk(click.Context(command, info_name=name, parent=context))


def _add_command(parent: Element, context: click.Context) -> None:
    command = context.command
    add(parent, "h2", context.command_path)
    for paragraph in paragraphs(command.help or ""):
        _add_paragraph(parent, paragraph)
    add(add(parent, "pre"), "code", command.get_usage(context))
    records = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    if records:
        body = add_table(parent, "options", ("Option", "What it does"))
        for option, says in records:
            line = add(body, "tr")
            add(add(line, "td"), "code", option)
            add(line, "td", says)
    for paragraph in paragraphs(command.epilog or ""):
        _add_paragraph(parent, paragraph)


def _add_paragraph(parent: Element, paragraph: str) -> None:
    if "\n" in paragraph:
        add(add(parent, "pre"), "code", paragraph)
    else:
        add(parent, "p", paragraph)


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text: on one line each, but for those that keep their lines.

    Example:
        ```python
        from lading.site.commands import KEPT, paragraphs

        lines = ["One", "sentence.", "", KEPT, "kept:", "  as it is"]
        print([paragraph.splitlines() for paragraph in paragraphs(chr(10).join(lines))])
        #> [['One sentence.'], ['kept:', '  as it is']]
        ```
    """
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        first, _, rest = paragraph.partition("\n")
        kept = rest if first.strip() == KEPT else " ".join(paragraph.split())
        if kept:
            yield textwrap.dedent(kept)


def makeExtension(**options: Any) -> CommandsExtension:  # noqa: N802 - the name that Python-Markdown looks for
    """Return the extension; Python-Markdown calls it by this name."""
    return CommandsExtension(**options)
