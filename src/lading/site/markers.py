"""Markers in a page's text, `/// name | argument`, which extensions replace by what they stand for.

Python-Markdown knows neither a page's file name nor its front matter, so a marker says itself what it is about.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element, SubElement

from click import ClickException
from markdown import Markdown
from markdown.blockprocessors import BlockProcessor
from markdown.util import AtomicString

from lading.errors import ExitCode, LadingError, UsageError

ABOVE_PARAGRAPHS = 175
"""A block processor's priority above everything that could take a marker for a paragraph."""

Fill = Callable[[Element, str], None]
"""Puts what a marker stands for below an element; gets the marker's argument."""


def plain(text: str) -> AtomicString:
    """Return text that the page shows letter by letter, whatever it holds.

    Evidence can come from strangers. An atomic string is left alone by Markdown's inline patterns; its serialiser
    escapes angle brackets, but takes `&lt;` for markup, so ampersands are escaped here; control characters, with which
    Markdown marks what it stashed away, are dropped.

    Example:
        ```python
        from lading.site.markers import plain

        print(plain("**bold** & <b>" + chr(2)))
        #> **bold** &amp; <b>
        ```
    """
    if not text.isprintable():  # most texts are, and looking at each letter takes time
        text = "".join(letter for letter in text if letter in "\n\t" or not _is_hidden(letter))
    return AtomicString(text.replace("&", "&amp;"))


def _is_hidden(letter: str) -> bool:
    """Say whether a letter is a control or a direction mark, which could make a text look like another."""
    return unicodedata.category(letter) in {"Cc", "Cf", "Cs"}


def add(parent: Element, tag: str, text: str = "", css: str = "", **attributes: str) -> Element:
    """Add an element with a text that is shown as it is; an underscore in an attribute's name is a hyphen."""
    child = SubElement(parent, tag)
    if css:
        child.set("class", css)
    for name, value in attributes.items():
        child.set(name.replace("_", "-"), plain(value))
    if text:
        child.text = plain(text)
    return child


def add_table(parent: Element, css: str, titles: Sequence[str], *, own_look: bool = False) -> Element:
    """Add a table with its headings in a box of that class; return its body.

    The theme gives its own look, and a box to scroll in, to tables without a class; `own_look` keeps it from that.
    """
    table = add(add(parent, "div", css=css), "table", css=f"{css}-table" if own_look else "")
    heading = add(add(table, "thead"), "tr")
    for title in titles:
        add(heading, "th", title, scope="col")
    return add(table, "tbody")


class MarkerError(ClickException):
    """A marker that cannot be filled in. As an error of click's, MkDocs shows its sentence and no traceback."""

    exit_code = ExitCode.USAGE

    def __init__(self, marker: str, error: LadingError) -> None:
        super().__init__(f"The marker '{marker}' cannot be filled in: {error.message}")
        self.hint = error.hint

    def format_message(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class MarkerProcessor(BlockProcessor):
    """Replaces a marker that stands alone, with an empty line before and after it."""

    def __init__(self, md: Markdown, name: str, fill: Fill) -> None:
        super().__init__(md.parser)
        self._pattern = re.compile(rf"^/// {re.escape(name)}(?: \|(?P<argument>.*))?$")
        self._fill = fill

    def test(self, parent: Element, block: str) -> bool:  # noqa: ARG002 - Python-Markdown calls it so
        """Say whether a block is this marker, and nothing but it."""
        return self._pattern.match(block.strip("\n")) is not None

    def run(self, parent: Element, blocks: list[str]) -> None:
        """Replace the marker.

        Raises:
            MarkerError: what went wrong, with the marker's own text in front.
        """
        marker = blocks.pop(0).strip()
        match = self._pattern.match(marker)
        assert match is not None
        try:
            self._fill(parent, (match["argument"] or "").strip())
        except LadingError as error:
            raise MarkerError(marker, error) from error


def needs_argument(argument: str) -> str:
    """Return the argument.

    Raises:
        UsageError: there is none.
    """
    if not argument:
        raise UsageError("It names no path.", hint="Write it as '/// proof | apptainer-unprivileged'.")
    return argument
