"""The extension that shows the blocks of pages: those that a route types, and why others are not typed.

On the page of a path, which its `/// proof | PATH` marker names, the blocks are those that the runner reads, with their
ids. Adjacent blocks for different platforms become tabs. Elsewhere, blocks that say why they are not run show it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from click import ClickException
from markdown import Markdown
from markdown.preprocessors import Preprocessor

from lading.errors import ExitCode, LadingError
from lading.evidence.store import evidence_file
from lading.page.attributes import NOT_RUN as REASON
from lading.page.attributes import Info, parse_info
from lading.page.model import Block, NotRun, Page, RunBlock
from lading.page.outline import read_outline
from lading.page.read import read_page
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe, load_recipe
from lading.recipe.platforms import load_platforms
from lading.site.catalogue import CatalogueExtension
from lading.site.markers import ABOVE_PARAGRAPHS, MarkerError, MarkerProcessor, add, needs_argument
from lading.site.runblock import never_run_html, not_run_html, run_block_html

BEFORE_FENCES = 28
"""Above SuperFences (25), which takes the fences out of the text, and below what would drop our placeholders (30)."""

FENCE = re.compile(r"(.*?)(`{3,}|~{3,})")

Group = tuple[RunBlock, ...]
"""Blocks that stand together: one, or several that are for platforms."""


class PageError(ClickException):
    """A page that cannot be shown. As an error of click's, MkDocs shows its sentences and no traceback."""

    exit_code = ExitCode.USAGE


class BlocksPreprocessor(Preprocessor):
    """Replaces blocks by what readers see of them."""

    def __init__(self, md: Markdown, extension: "BlocksExtension") -> None:
        super().__init__(md)
        self._markdown, self._extension = md, extension

    def run(self, lines: list[str]) -> list[str]:
        """Return the page's lines with the blocks replaced.

        Raises:
            MarkerError: the page's marker names no path.
            PageError: the page holds what it may not.
        """
        text = "\n".join(lines)
        markers = read_outline(text).markers
        loaded = self._extension.load(markers[0][1]) if markers else None
        page = self._extension.read(text, loaded)
        shown, taken = [], 0
        for item in _grouped(page.blocks, lines):
            first, last = (item[0], item[-1]) if isinstance(item, tuple) else (item, item)
            shown += lines[taken : first.place.line - 1]
            shown += self._shown(item, loaded, lines, page.run_blocks[:1])
            taken = last.last
        return shown + lines[taken:]

    def _shown(
        self, item: Block | Group, loaded: LoadedRecipe | None, lines: list[str], first: Sequence[RunBlock]
    ) -> Iterator[str]:
        if isinstance(item, NotRun):
            return self._not_run(item, lines, named=loaded is not None)
        assert loaded is not None
        assert isinstance(item, tuple)
        return Shelf(self._markdown, loaded, self._extension.catalogue(), first).show(item)

    def _not_run(self, block: NotRun, lines: list[str], *, named: bool) -> Iterator[str]:
        """Yield a block that is not run, and below it the marker that says why."""
        prefix, marks = FENCE.match(lines[block.place.line - 1]).groups()  # type: ignore[union-attr] # it opens there
        indent = re.sub(r"[^\s>]", " ", prefix)
        said = parse_info(block.info)
        if "console" in said.classes and (html := not_run_html(block, said.values.get("title"))):
            yield from [indent.rstrip(), f"{indent}{self._markdown.htmlStash.store(html)}"]
        else:
            yield f"{prefix}{marks}{_info(block, said, named=named)}"
            yield from lines[block.place.line : block.last]
        yield from [indent.rstrip(), f"{indent}/// not-run | {block.reason}", indent.rstrip()]


@dataclass(frozen=True)
class Shelf:
    """Puts finished HTML aside, where no extension touches it, and says where it belongs.

    `first` is the page's first block that a route types, if there is one.
    """

    markdown: Markdown
    loaded: LoadedRecipe
    catalogue: Catalogue
    first: Sequence[RunBlock]

    def show(self, group: Group) -> Iterator[str]:
        """Yield the lines that stand for blocks; tabs where they are for several platforms."""
        by_platform = [(name, list(found)) for name, found in groupby(group, lambda block: block.platform)]
        tabs = len(by_platform) > 1
        for number, (name, blocks) in enumerate(by_platform):
            title = load_platforms(self.catalogue)[name].title if name else None
            if tabs:
                yield from ["", f'==={"" if number else "!"} "{title}"']
            for html in self._html(blocks, title, in_tab=tabs):
                yield from ["", f"{'    ' if tabs else ''}{self.markdown.htmlStash.store(html)}", ""]

    def _html(self, blocks: Sequence[RunBlock], title: str | None, *, in_tab: bool) -> Iterator[str]:
        """Yield blocks for the platform of that title, below a word on it if the path has never run there.

        The page's first block has one above it if the path has never run anywhere.
        """
        if title and (reason := self._never_run(blocks[0].platform or "")):
            yield never_run_html(title, reason)
        elif blocks[0] in self.first and (never := self._never_run_anywhere()):
            yield never_run_html(*never)
        for block in blocks:
            several = len(self.loaded.recipe.hosts) > 1
            yield run_block_html(block, name_host=several, platform=None if in_tab else title)

    def _never_run(self, platform: str) -> str | None:
        use = self.loaded.recipe.platforms[platform]
        if use.not_verified and not use.needs:
            return use.not_verified
        proven = evidence_file(self.catalogue, self.loaded.id, platform).exists()
        return None if proven else use.not_verified or "Nobody has proven this path there yet."

    def _never_run_anywhere(self) -> tuple[str, str] | None:
        """Return a platform's title, and why the path has never run there, if it has never run on any.

        It is the first platform that a proof can reach, or the first of all.
        """
        uses = self.loaded.recipe.platforms
        reasons = {name: self._never_run(name) for name in uses}
        if not all(reasons.values()):
            return None
        name = next((name for name, use in uses.items() if not use.not_verified or use.needs), next(iter(uses)))
        return load_platforms(self.catalogue)[name].title, reasons[name] or ""


def _grouped(blocks: Sequence[Block], lines: Sequence[str]) -> Iterator[Block | Group]:
    """Yield blocks in their order, those that stand together in one tuple.

    A platform that comes again after another begins a new group, so that the order stays.
    """
    group: list[RunBlock] = []
    for block in blocks:
        if group and not _joins(block, group, lines):
            yield tuple(group)
            group = []
        if isinstance(block, RunBlock):
            group.append(block)
        else:
            yield block
    if group:
        yield tuple(group)


def _joins(block: Block, group: Sequence[RunBlock], lines: Sequence[str]) -> bool:
    if not isinstance(block, RunBlock) or block.platform is None or group[0].platform is None:
        return False
    before = {other.platform for other in group if other.platform != group[-1].platform}
    return block.platform not in before and not any(map(str.strip, lines[group[-1].last : block.place.line - 1]))


def _info(block: NotRun, said: Info, *, named: bool) -> str:
    """Return a fence's attributes without the reason, which highlighters would take for one of their own."""
    values = {name: value for name, value in said.values.items() if name not in (REASON, "id")}
    id_ = block.id if named else said.values.get("id")
    words = [f".{name}" for name in said.classes or ("text",)]
    words += [f"{name}='{value}'" if '"' in value else f'{name}="{value}"' for name, value in values.items()]
    return f"{{ {' '.join([*words, *([f'#{id_}'] if id_ else [])])} }}"


def _add_reason(parent: Element, reason: str) -> None:
    note = add(parent, "p", css="not-run")
    add(note, "span", "Not run by any route:", "not-run-label")
    add(note, "span", f" {reason}")


class BlocksExtension(CatalogueExtension):
    """Registers both halves."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name that Python-Markdown looks for
        """Add them to a parser."""
        md.preprocessors.register(BlocksPreprocessor(md, self), "lading-blocks", BEFORE_FENCES)
        reason = MarkerProcessor(md, "not-run", _add_reason)
        md.parser.blockprocessors.register(reason, "lading-not-run", ABOVE_PARAGRAPHS)

    def load(self, path: str) -> LoadedRecipe:
        """Return the recipe that a page's marker names.

        Raises:
            MarkerError: there is none.
        """
        try:
            return load_recipe(self.catalogue(), needs_argument(path))
        except LadingError as error:
            raise MarkerError(f"/// proof | {path}" if path else "/// proof", error) from error

    def read(self, text: str, loaded: LoadedRecipe | None) -> Page:
        """Return a page's blocks.

        Raises:
            PageError: the page holds what it may not.
        """
        try:
            return _read(text, self.catalogue(), loaded) if loaded else read_page(text, "the page", root=Path())
        except LadingError as error:
            raise PageError(error.message) from error


def _read(text: str, catalogue: Catalogue, loaded: LoadedRecipe) -> Page:
    recipe, file = loaded.recipe, loaded.page.relative_to(catalogue.root).as_posix()
    return read_page(text, file, root=catalogue.root, hosts=list(recipe.hosts), platforms=list(recipe.platforms))


def makeExtension(**options: Any) -> BlocksExtension:  # noqa: N802 - the name that Python-Markdown looks for
    """Return the extension; Python-Markdown calls it by this name."""
    return BlocksExtension(**options)
