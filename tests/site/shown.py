"""What a reader finds on a built page: its run blocks, with their ids, texts, captions and what their buttons copy."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import groupby

from lading.page.model import Transcript

EMPTY = {"br", "hr", "img", "input", "link", "meta", "source", "wbr"}


@dataclass
class Shown:
    """A run block on a page. `copies` are what its copy buttons give, where that is not the text itself."""

    id: str
    text: str = ""
    captions: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)


class ShownBlocks(HTMLParser):
    """Collects the run blocks of a page in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[Shown] = []
        self._open: list[tuple[str, set[str]]] = []

    @classmethod
    def of(cls, html: str) -> list[Shown]:
        """Return the run blocks of a page."""
        parser = cls()
        parser.feed(html)
        for block in parser.blocks:
            block.text = block.text.removesuffix("\n")
        return parser.blocks

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        classes = set(said.get("class", "").split())
        if "run" in classes:
            self.blocks.append(Shown(said["id"]))
        if tag not in EMPTY:
            self._open.append((tag, classes))
        if self._inside("run") and "data-copy" in said:
            self.blocks[-1].copies.append(said["data-copy"])
        if self._inside("run") and "filename" in classes:
            self.blocks[-1].captions.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self._inside("run"):
            return
        if any(tag == "code" for tag, _ in self._open):
            self.blocks[-1].text += data
        elif self._inside("filename"):
            self.blocks[-1].captions[-1] += data

    def _inside(self, css: str) -> bool:
        return any(css in classes for _, classes in self._open)


def shells(block: Transcript) -> list[str]:
    """Return what is typed into each shell of a transcript: the commands between two changes of the user."""
    return ["\n".join(one.text for one in group) for _, group in groupby(block.commands, lambda one: one.user)]
