"""The extension that shows evidence.

`/// proof | PATH` is the strip of one path, `/// owns | PATH` the files that each of its routes owns, `/// paths` the
list of all paths.
"""

from typing import Any
from xml.etree.ElementTree import Element

from markdown import Markdown

from lading.evidence.status import Status, status
from lading.evidence.tree import Tree
from lading.page.read import page_of
from lading.recipe.load import LoadedRecipe, load_all, load_recipe
from lading.recipe.platforms import load_platforms
from lading.site.catalogue import CatalogueExtension
from lading.site.markers import ABOVE_PARAGRAPHS, MarkerProcessor, add, needs_argument
from lading.site.owns import add_ownership
from lading.site.strip import add_badge, add_strip
from lading.site.words import coverage


class ProofExtension(CatalogueExtension):
    """Registers the markers."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name that Python-Markdown looks for
        """Add them to a parser."""
        for name, fill in (("proof", self._add_proof), ("owns", self._add_owns), ("paths", self._add_paths)):
            md.parser.blockprocessors.register(MarkerProcessor(md, name, fill), f"lading-{name}", ABOVE_PARAGRAPHS)

    def _add_proof(self, parent: Element, argument: str) -> None:
        loaded = load_recipe(self.catalogue(), needs_argument(argument))
        found = self._statuses(loaded)
        typed = coverage(page_of(self.catalogue(), loaded), loaded.recipe, found.values())
        add_strip(parent, loaded.recipe, found, typed)

    def _add_owns(self, parent: Element, argument: str) -> None:
        add_ownership(parent, self._statuses(load_recipe(self.catalogue(), needs_argument(argument))))

    def _add_paths(self, parent: Element, _argument: str) -> None:
        cards = add(parent, "div", css="paths")
        for loaded in load_all(self.catalogue()).values():
            self._add_card(cards, loaded)

    def _add_card(self, cards: Element, loaded: LoadedRecipe) -> None:
        """Add a path's card. Its link is relative to the folder of pages: the marker belongs on the front page."""
        recipe = loaded.recipe
        card = add(cards, "div", css="path-card")
        page = loaded.page.relative_to(self.catalogue().docs)
        add(add(card, "p", css="path-title"), "a", recipe.title, href=page.as_posix())
        add(card, "p", recipe.summary, "path-summary")
        advice = add(card, "p", css="path-advice")
        add(advice, "strong", f"{recipe.advice.replace('-', ' ').capitalize()}. ")
        add(advice, "span", recipe.advice_because)
        badges = add(card, "p", css="path-badges")
        for platform, found in self._statuses(loaded).items():
            add_badge(badges, found, platform)

    def _statuses(self, loaded: LoadedRecipe) -> dict[str, Status]:
        """Return the status on each of the recipe's platforms, by the platform's title."""
        catalogue, titles = self.catalogue(), load_platforms(self.catalogue())
        tree = Tree(catalogue.root)
        return {
            titles[name].title: status(catalogue, loaded, name, today=self.today(), tree=tree)
            for name in loaded.recipe.platforms
        }


def makeExtension(**options: Any) -> ProofExtension:  # noqa: N802 - the name that Python-Markdown looks for
    """Return the extension; Python-Markdown calls it by this name."""
    return ProofExtension(**options)
