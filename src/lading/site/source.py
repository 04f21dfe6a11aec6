"""Which of the pages a text is that Python-Markdown converts, since nobody tells it the file's name.

Both builders hand over a page's text without its front matter; the page with that text is the one. So texts that are
no page's, like the docstrings in a reference, are told apart as well.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Self

from markdown import Markdown
from markdown.preprocessors import Preprocessor

FRONT_MATTER: Final = re.compile(r"-{3}[ \t]*\n.*?\n?(?:-{3}|\.{3})[ \t]*\n", re.DOTALL)
TITLE: Final = re.compile(r"^# (?P<title>.*?)(?: *\{.*\})?$", re.MULTILINE)

NAME: Final = "lading-source"
BEFORE_ALL: Final = 1000
"""A preprocessor's priority above whatever changes the text."""


def body_of(text: str) -> str:
    """Return a page's text as builders hand it over, without empty lines around it.

    Example:
        ```python
        from lading.site.source import body_of

        print(body_of("---\nowner: alice\n---\n\n# Kettle\n"))
        #> # Kettle
        ```
    """
    front = FRONT_MATTER.match(text)
    return (text[front.end() :] if front else text).strip()


@dataclass
class Pages:
    """The pages below a folder by their texts, as they were when it was last read."""

    folder: Path
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    _bodies: dict[str, str] = field(default_factory=dict)
    _names: dict[str, list[str]] = field(default_factory=dict)

    def named(self, text: str) -> str | None:
        """Return the name of the page with a text, relative to the folder; None if no page has it, or several do."""
        names = self._names.get(text.strip(), [])
        return names[0] if len(names) == 1 else None

    def title(self, name: str) -> str:
        """Return a page's heading of the first level; its name if it has none."""
        found = TITLE.search(self._bodies.get(name, ""))
        return found["title"] if found else name

    def __contains__(self, name: str) -> bool:
        return name in self._bodies

    def read(self) -> None:
        """Read the pages that are new or changed."""
        seen = dict(_files(self.folder, ""))
        if seen == self._seen:
            return
        kept = {name: body for name, body in self._bodies.items() if seen.get(name) == self._seen.get(name)}
        self._bodies = {name: kept[name] if name in kept else _read(self.folder / name) for name in seen}
        self._seen, self._names = seen, {}
        for name, body in self._bodies.items():
            self._names.setdefault(body, []).append(name)


def pages_of(folder: Path) -> Pages:
    """Return the pages below a folder as they are now; a process reads each once, as long as it does not change."""
    pages = _pages(folder)
    pages.read()
    return pages


@cache
def _pages(folder: Path) -> Pages:
    return Pages(folder)


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, tuple[int, int]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(Path(entry.path), f"{prefix}{entry.name}/")
            elif entry.name.endswith(".md"):
                found = entry.stat()
                yield f"{prefix}{entry.name}", (found.st_mtime_ns, found.st_size)


def _read(file: Path) -> str:
    return body_of(file.read_text(encoding="utf-8-sig", errors="replace"))


class SourcePreprocessor(Preprocessor):
    """Keeps the text that is being converted, as it came."""

    def __init__(self, md: Markdown) -> None:
        super().__init__(md)
        self.text = ""
        md.preprocessors.register(self, NAME, BEFORE_ALL)

    @classmethod
    def of(cls, md: Markdown) -> Self:
        """Return the one of a parser. There can be but one: another of the same name would take its place unseen."""
        found = md.preprocessors[NAME] if NAME in md.preprocessors else cls(md)
        assert isinstance(found, cls)
        return found

    def run(self, lines: list[str]) -> list[str]:
        """Return the lines as they are."""
        self.text = "\n".join(lines)
        return lines
