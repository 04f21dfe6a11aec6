"""The extension that leads from words to the vocabulary.

The first use of each sense in a section, a heading of the second level and what is below it, becomes a link that tells
the definition in its attributes; `docs/assets/cards.js` makes a card of them. Headings, links and code get none, nor
does what markers fill in: its text is atomic. A catalogue without a glossary or a vocabulary has no cards.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.treeprocessors import Treeprocessor

from lading.errors import LadingError
from lading.glossary.loaded import LoadedGlossary
from lading.glossary.words import Occurrence, SenseRef, resolve
from lading.site.blocks import PageError
from lading.site.catalogue import CatalogueExtension
from lading.site.contexts import Scope, add_mark, is_heading, names_in, take_marks
from lading.site.dictionary import VOCABULARY, anchor_in, context_label, glossary_of, link_to
from lading.site.markers import ABOVE_PARAGRAPHS, MarkerProcessor, plain
from lading.site.running import Blocks, Running
from lading.site.source import Pages, SourcePreprocessor, pages_of

AFTER_ATTRIBUTES: Final = 6
"""A tree processor's priority below those that read attributes from texts (8, 7), above MkDocs' own for links (0)."""

NEW_SECTION: Final = ("h1", "h2")
FOOTNOTES: Final = "footnote"


class CardsTreeprocessor(Treeprocessor):
    """Links the words of a page."""

    def __init__(self, md: Markdown, extension: "CardsExtension") -> None:
        super().__init__(md)
        self._markdown, self._extension, self._source = md, extension, SourcePreprocessor.of(md)

    def run(self, root: Element) -> None:
        """Link the words of a page's tree; take out the marks of its contexts.

        Raises:
            PageError: the glossary is wrong.
        """
        declared, pages = take_marks(root), self._extension.pages
        page = pages.named(self._source.text)
        if page is None or VOCABULARY not in pages:
            return
        loaded = self._extension.glossary()
        if loaded is None:
            return
        scope = Scope(declared, loaded.contexts_of(f"docs/{page}"))
        linker = Linker(loaded, page, scope)
        for top in root:
            linker.begin(top)
            for running in Blocks(self._markdown).of(top):
                linker.link(running)


class Linker:
    """Goes through a page from block to block, and knows which senses it has linked in the section it is in."""

    def __init__(self, loaded: LoadedGlossary, page: str, scope: Scope) -> None:
        self._loaded, self._page, self._scope = loaded, page, scope
        self._linked: set[str] = set()
        self._attributes: dict[str, dict[str, str]] = {}

    def begin(self, block: Element) -> None:
        """Note that a block of the page's top level begins; it may begin a section."""
        if is_heading(block):
            self._scope.enter(block)
        if block.tag in NEW_SECTION or block.get("class") == FOOTNOTES:
            self._linked.clear()

    def link(self, running: Running) -> None:
        """Link the words of a running text; most have nothing new, and masking takes time, so that is seen first."""
        if next(self._new(running.text), None) is None:
            return
        for occurrence, ref in self._new(running.prose):
            if running.link(occurrence.start, occurrence.end, Element("a", self._told(ref))):
                self._linked.add(ref.id)
        running.write()

    def _new(self, text: str) -> Iterator[tuple[Occurrence, SenseRef]]:
        """Yield the words of a text that are in one sense, and in one that the section has no link to yet."""
        for occurrence in self._loaded.words.occurrences(text):
            entry = resolve(occurrence.entries, self._scope.contexts).one
            if entry is not None and entry.usable and entry.ref.id not in self._linked:
                yield occurrence, entry.ref

    def _told(self, ref: SenseRef) -> dict[str, str]:
        """Return the attributes of links to a sense."""
        if ref.id not in self._attributes:
            self._attributes[ref.id] = attributes(self._loaded, ref, self._page)
        return self._attributes[ref.id]


def attributes(loaded: LoadedGlossary, ref: SenseRef, page: str) -> dict[str, str]:
    """Return the attributes of a link from a page to a sense: where it leads, and what a card tells."""
    label, definition = context_label(loaded, ref.context), ref.sense.definition.replace("`", "")
    told = {"label": ref.sense.preferred, "context": label, "definition": " ".join(definition.split())}
    said = {f"data-term-{name}": plain(value) for name, value in told.items() if value}
    return {"class": "term", "href": link_to(anchor_in(loaded, ref), page), **said}


class CardsExtension(CatalogueExtension):
    """Registers the marker, and what links the words."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name that Python-Markdown looks for
        """Add them to a parser."""
        contexts = MarkerProcessor(md, "contexts", self._mark)
        md.parser.blockprocessors.register(contexts, "lading-contexts", ABOVE_PARAGRAPHS)
        md.treeprocessors.register(CardsTreeprocessor(md, self), "lading-cards", AFTER_ATTRIBUTES)

    @cached_property
    def pages(self) -> Pages:
        """The catalogue's pages. A builder takes a new extension for each page, so they are not looked for again."""
        return pages_of(self.catalogue().docs)

    def glossary(self) -> LoadedGlossary | None:
        """Return the glossary, None if there is none.

        Raises:
            PageError: it is wrong.
        """
        try:
            return glossary_of(self.catalogue())
        except LadingError as error:
            raise PageError(error.message) from error

    def _mark(self, parent: Element, argument: str) -> None:
        loaded = self.glossary()
        add_mark(parent, names_in(argument, loaded.glossary.contexts if loaded else None))


def makeExtension(**options: Any) -> CardsExtension:  # noqa: N802 - the name that Python-Markdown looks for
    """Return the extension; Python-Markdown calls it by this name."""
    return CardsExtension(**options)
