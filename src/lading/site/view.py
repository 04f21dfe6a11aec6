"""What the vocabulary's pages draw on: the glossary, where its words are used, and what its witnesses are worth."""

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from xml.etree.ElementTree import Element

from lading.errors import UsageError
from lading.evidence.status import Status, status
from lading.evidence.tree import Tree
from lading.glossary.coverage import Coverage, cover
from lading.glossary.files import files_of
from lading.glossary.ledger import way_of
from lading.glossary.load import FILE
from lading.glossary.loaded import LoadedGlossary
from lading.glossary.words import SenseRef
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe, load_recipe
from lading.recipe.platforms import load_platforms
from lading.site.dictionary import glossary_of
from lading.site.markers import add, plain
from lading.site.source import Pages, pages_of


@dataclass(frozen=True)
class View:
    """A glossary, seen from one of the pages in the vocabulary's folder."""

    catalogue: Catalogue
    loaded: LoadedGlossary
    today: date
    _recipes: dict[str, LoadedRecipe] = field(default_factory=dict)
    _statuses: dict[str, dict[str, Status]] = field(default_factory=dict)

    @cached_property
    def coverage(self) -> Coverage:
        """Where words are used, and what is lacking; a process counts the same texts once."""
        changed = tuple((file, file.stat().st_mtime_ns) for file in files_of(self.catalogue))
        return _count(self.catalogue, changed)

    @cached_property
    def pages(self) -> Pages:
        return pages_of(self.catalogue.docs)

    def label(self, context: str) -> str:
        return self.loaded.glossary.contexts[context].label

    def title(self, concept: str) -> str:
        """Return a concept's name: its one term, or the word that is its id."""
        refs = self.loaded.named(concept)
        if len(refs) == 1:
            return refs[0].sense.preferred
        name = concept.replace("-", " ")
        terms = [term for ref in refs for term in (ref.sense.preferred, *ref.sense.admitted)]
        return next((term for term in terms if term.lower() == name), name)

    def name(self, reference: str) -> str:
        """Return what a reader calls what a reference means: a concept, or a sense of it."""
        if "/" in reference and (refs := self.loaded.named(reference)):
            return refs[0].sense.preferred
        return self.title(reference)

    @cached_property
    def former(self) -> dict[str, list[str]]:
        """The ids that a reference had before, by what it is called now."""
        found: dict[str, list[str]] = {}
        for old in self.loaded.glossary.renamed:
            found.setdefault(way_of(self.loaded.glossary.renamed, old)[-1], []).append(old)
        return found

    @cached_property
    def kinds(self) -> dict[str, list[SenseRef]]:
        """The senses that are kinds of a reference, by it."""
        found: dict[str, list[SenseRef]] = {}
        for ref in self.loaded:
            if ref.sense.broader:
                found.setdefault(ref.sense.broader, []).append(ref)
        return found

    def add_page_link(self, parent: Element, file: str) -> None:
        """Add a link to a page by its title; another file's name."""
        name = file.removeprefix("docs/")
        if file.startswith("docs/") and name in self.pages:
            add(parent, "a", self.pages.title(name), href=f"../{name}")
        else:
            add(parent, "code", file)

    def recipe(self, path: str) -> LoadedRecipe:
        """Return a path's recipe.

        Raises:
            UsageError: there is no such path, or its files are wrong.
        """
        if path not in self._recipes:
            self._recipes[path] = load_recipe(self.catalogue, path)
        return self._recipes[path]

    def statuses(self, path: str) -> dict[str, Status]:
        """Return what a path's evidence is worth, by the platform's title."""
        if path not in self._statuses:
            loaded, titles = self.recipe(path), load_platforms(self.catalogue)
            tree = Tree(self.catalogue.root)
            self._statuses[path] = {
                titles[name].title: status(self.catalogue, loaded, name, today=self.today, tree=tree)
                for name in loaded.recipe.platforms
            }
        return self._statuses[path]


def view_of(catalogue: Catalogue, today: date) -> View:
    """Return a catalogue's glossary as the site shows it.

    Raises:
        UsageError: there is none, or it is wrong.
    """
    loaded = glossary_of(catalogue)
    if loaded is None:
        raise UsageError(f"This catalogue has no '{FILE}'.", hint="Write one, or take the vocabulary's pages out.")
    return View(catalogue, loaded, today)


def add_text(parent: Element, tag: str, text: str, css: str = "") -> Element:
    """Add an element with a text of the glossary on one line; what is in backticks is code, all else is as it is.

    Example:
        ```python
        from xml.etree.ElementTree import Element, tostring

        from lading.site.view import add_text

        print(tostring(add_text(Element("div"), "p", "Run `id`, **now**."), encoding="unicode"))
        #> <p>Run <code>id</code>, **now**.</p>
        ```
    """
    element, last = add(parent, tag, css=css), None
    line = " ".join(text.split())
    for number, part in enumerate([line] if line.count("`") % 2 else line.split("`")):
        shown = plain(part)
        if number % 2:
            last = add(element, "code", part)
        elif last is None:
            element.text = shown
        else:
            last.tail = shown
    return element


@lru_cache(maxsize=2)
def _count(catalogue: Catalogue, _changed: object) -> Coverage:
    loaded = glossary_of(catalogue)
    assert loaded is not None
    return cover(loaded, catalogue)
