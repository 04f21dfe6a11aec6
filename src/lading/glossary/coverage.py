"""What the glossary covers: which senses are used where, and what it lacks."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lading.glossary.files import files_of, read
from lading.glossary.lint import Linted, lint
from lading.glossary.load import FILE
from lading.glossary.loaded import LoadedGlossary
from lading.glossary.prose import Part, Prose
from lading.project import Catalogue

ACRONYM: Final = re.compile(r"(?<![\w-])[A-Z][A-Z0-9]*[A-Z][A-Z0-9]*(?=s?(?![\w-]))")
"""Two capitals or more; a plural's `s` is no part of it."""

Place = tuple[str, int, int]
"""File, line and column."""


@dataclass(frozen=True)
class Coverage:
    """What the words of the repository come to.

    `acronyms` are those that neither a concept nor the list of acronyms explains, with their places; `unused` are
    concepts that no text uses, `unsourced` senses without a source; `ambiguous` are pages with words that only the
    page's contexts tell apart, and how many; `used` says how often each sense stands in which file.
    """

    acronyms: tuple[tuple[str, tuple[Place, ...]], ...]
    unused: tuple[str, ...]
    unsourced: tuple[str, ...]
    ambiguous: tuple[tuple[str, int], ...]
    used: Mapping[str, Mapping[str, int]]


def cover(loaded: LoadedGlossary, catalogue: Catalogue) -> Coverage:
    """Return what the glossary covers of all texts of a catalogue; the glossary's own text counts for nothing."""
    texts = [
        (prose, lint(loaded, prose)) for file in files_of(catalogue) if (prose := read(catalogue, file)).file != FILE
    ]
    used = _used(linted for _, linted in texts)
    concepts = {sense.partition("/")[0] for sense in used}
    return Coverage(
        acronyms=_acronyms(loaded, (prose for prose, _ in texts)),
        unused=tuple(sorted(set(loaded.glossary.concepts) - concepts)),
        unsourced=tuple(sorted(ref.id for ref in loaded if not ref.sense.sources)),
        ambiguous=tuple((prose.file, count) for prose, linted in texts if (count := _told_apart(linted))),
        used=used,
    )


def _used(texts: Iterable[Linted]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for linted in texts:
        for use in linted.uses:
            counts.setdefault(use.entry.ref.id, Counter())[use.file] += 1
    return {sense: dict(sorted(files.items())) for sense, files in sorted(counts.items())}


def _told_apart(linted: Linted) -> int:
    """Count the words that could mean something else, those that an exception lets stand among them."""
    others = (*linted.findings, *linted.excused)
    return sum(use.apart for use in linted.uses) + sum(finding.code == "ambiguous" for finding in others)


def _acronyms(loaded: LoadedGlossary, texts: Iterable[Prose]) -> tuple[tuple[str, tuple[Place, ...]], ...]:
    found: dict[str, list[Place]] = {}
    for prose in texts:
        for part in prose.parts:
            for word, offset in _unexplained(loaded, part):
                found.setdefault(word, []).append((prose.file, *part.place(offset)))
    return tuple((word, tuple(places)) for word, places in sorted(found.items()))


def _unexplained(loaded: LoadedGlossary, part: Part) -> Iterator[tuple[str, int]]:
    spans = [(occurrence.start, occurrence.end) for occurrence in loaded.words.occurrences(part.text)]
    for match in ACRONYM.finditer(part.text):
        word, start = match.group(), match.start()
        if word not in loaded.glossary.acronyms and not any(first <= start < last for first, last in spans):
            yield word, start
