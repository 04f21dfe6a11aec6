"""Code with its syntax marked, line by line, as the theme colours it."""

from html import escape
from typing import Final

from pygments import highlight  # type: ignore[import-untyped] # Pygments ships no types
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped] # the same
from pygments.lexers import BashLexer, IniLexer, get_lexer_for_filename  # type: ignore[import-untyped] # the same
from pygments.util import ClassNotFound  # type: ignore[import-untyped] # the same

EVERY_LETTER: Final = {"stripnl": False, "ensurenl": False}
"""Options of a lexer that keep it from mending the text."""


def command_lines(text: str) -> list[str]:
    """Return the lines of a shell command as HTML; what reaches over several is closed and opened again.

    Example:
        ```python
        from lading.site.colours import command_lines

        print(command_lines("echo <b>"))
        #> ['<span class="nb">echo</span><span class="w"> </span>&lt;b&gt;']
        ```
    """
    return _lines(text, BashLexer(**EVERY_LETTER))


def file_lines(text: str, path: str) -> list[str]:
    """Return the lines of a file as HTML, in the syntax that its name tells."""
    try:
        return _lines(text, get_lexer_for_filename(path, text, **EVERY_LETTER))
    except ClassNotFound:
        if path.endswith(".conf"):
            return _lines(text, IniLexer(**EVERY_LETTER))
        return escape(text).removesuffix("\n").split("\n")


def _lines(text: str, lexer: object) -> list[str]:
    return str(highlight(text, lexer, HtmlFormatter(nowrap=True))).removesuffix("\n").split("\n")
