"""The extension that shows the glossary.

On the page `vocabulary/index.md` the markers `/// words` (all words from A to Z), `/// all-contexts`, `/// acronyms`
and, once for each group, `/// concepts | GROUP`; on pages beside it `/// compare` (words with several senses) and
`/// vocabulary-coverage` (what the glossary lacks). All that they show goes through `lading.site.markers.plain`.
"""

from collections.abc import Callable, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from markdown import Markdown

from lading.errors import UsageError
from lading.glossary.model import GROUPS
from lading.recipe.names import did_you_mean
from lading.site.catalogue import CatalogueExtension
from lading.site.concepts import add_concept
from lading.site.dictionary import VOCABULARY
from lading.site.lacks import add_lacks
from lading.site.markers import ABOVE_PARAGRAPHS, MarkerProcessor, add, add_table
from lading.site.view import View, add_text, view_of
from lading.site.wordlist import add_comparisons, add_words


class VocabularyExtension(CatalogueExtension):
    """Registers the markers, which share one view of the glossary for the length of a page."""

    _view: View | None = None

    def reset(self) -> None:
        """Forget what the last page was made from; Python-Markdown calls this between pages."""
        self._view = None

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name that Python-Markdown looks for
        """Add them to a parser."""
        md.registerExtension(self)
        fills: dict[str, Callable[[Element, View, str], None]] = {
            "words": _add_words,
            "all-contexts": _add_contexts,
            "acronyms": _add_acronyms,
            "concepts": _add_concepts,
            "compare": _add_comparisons,
            "vocabulary-coverage": _add_lacks,
        }
        for name, fill in fills.items():
            processor = MarkerProcessor(md, name, self._with_view(fill))
            md.parser.blockprocessors.register(processor, f"lading-{name}", ABOVE_PARAGRAPHS)

    def _with_view(self, fill: Callable[[Element, View, str], None]) -> Callable[[Element, str], None]:
        """Return what fills a marker in, given the glossary; it is read when the marker is met."""

        def filled(parent: Element, argument: str) -> None:
            self._view = self._view or view_of(self.catalogue(), self.today())
            fill(parent, self._view, argument)

        return filled


def _add_words(parent: Element, view: View, _argument: str) -> None:
    add_words(parent, view.loaded, VOCABULARY)


def _add_contexts(parent: Element, view: View, _argument: str) -> None:
    contexts = view.loaded.glossary.contexts
    _add_list(parent, "vocabulary-contexts", [(name, f"{it.label}: {it.help}") for name, it in contexts.items()])


def _add_acronyms(parent: Element, view: View, _argument: str) -> None:
    _add_list(parent, "vocabulary-acronyms", sorted(view.loaded.glossary.acronyms.items()))


def _add_list(parent: Element, css: str, rows: Sequence[tuple[str, str]]) -> None:
    body = add_table(parent, css, ("Name", "What it is"))
    for name, text in rows:
        line = add(body, "tr")
        add(line, "td", name)
        add_text(line, "td", text)


def _add_concepts(parent: Element, view: View, argument: str) -> None:
    if argument not in GROUPS:
        raise UsageError(f"There is no group '{argument}'{did_you_mean(argument, GROUPS)}")
    found = [name for name, concept in view.loaded.glossary.concepts.items() if concept.group == argument]
    for name in sorted(found, key=lambda name: view.title(name).lower()):
        add_concept(parent, view, name)


def _add_comparisons(parent: Element, view: View, _argument: str) -> None:
    add_comparisons(parent, view)


def _add_lacks(parent: Element, view: View, _argument: str) -> None:
    add_lacks(parent, view)


def makeExtension(**options: Any) -> VocabularyExtension:  # noqa: N802 - the name that Python-Markdown looks for
    """Return the extension; Python-Markdown calls it by this name."""
    return VocabularyExtension(**options)
