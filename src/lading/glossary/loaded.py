"""The glossary as it is used: its data, its senses by id, and its words compiled."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from lading.glossary.model import Glossary
from lading.glossary.words import Entry, SenseRef, Words, senses_of
from lading.recipe.yamlfile import Document


@dataclass(frozen=True)
class LoadedGlossary:
    """A glossary that was read, and where it says what."""

    glossary: Glossary
    document: Document

    @cached_property
    def senses(self) -> dict[str, SenseRef]:
        """Every sense by its id, `concept/context`."""
        return senses_of(self.glossary)

    @cached_property
    def words(self) -> Words:
        return Words(self.senses.values())

    def find(self, word: str) -> tuple[Entry, ...]:
        """Return the entries of a word, whatever its case."""
        return self.words.find(word)

    def contexts_of(self, file: str) -> frozenset[str]:
        """Return the contexts that a file, named from the repository's top, is in without saying so."""
        place = PurePosixPath(file)
        return frozenset(
            name
            for name, context in self.glossary.contexts.items()
            if any(_matches(place, pattern) for pattern in context.files)
        )

    def named(self, reference: str) -> tuple[SenseRef, ...]:
        """Return the senses that a reference names: one, or all of a concept; none if there is no such thing."""
        if "/" in reference:
            return (self.senses[reference],) if reference in self.senses else ()
        return tuple(ref for ref in self.senses.values() if ref.concept == reference)

    def __iter__(self) -> Iterator[SenseRef]:
        return iter(self.senses.values())


def _matches(place: PurePosixPath, pattern: str) -> bool:
    """Say whether a path is one of a pattern's; `folder/**` is everything below a folder."""
    if pattern.endswith("/**"):
        folder = PurePosixPath(pattern.removesuffix("/**"))
        return any(
            parent.match(folder.as_posix()) and len(parent.parts) == len(folder.parts) for parent in place.parents
        )
    return len(place.parts) == len(PurePosixPath(pattern).parts) and place.match(pattern)
