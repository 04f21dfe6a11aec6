"""Which words of the glossary stand where in a text, and which of their senses are meant there.

All forms of all terms are compiled into one automaton, so that a text is read once however many terms there are.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ahocorasick_rs import AhoCorasick

from lading.glossary.model import GENERAL, Ban, Glossary, Sense

Status = Literal["preferred", "admitted", "deprecated", "forbidden"]
USABLE: Final[frozenset[Status]] = frozenset({"preferred", "admitted"})


@dataclass(frozen=True)
class SenseRef:
    """A sense and where it stands."""

    concept: str
    context: str
    sense: Sense

    @property
    def id(self) -> str:
        """Its id for ever: `image/docker`."""
        return f"{self.concept}/{self.context}"

    @property
    def anchor(self) -> str:
        """Its anchor on the vocabulary's page."""
        return f"{self.concept}-{self.context}"


@dataclass(frozen=True)
class Entry:
    """One form of one term of a sense. `term` is the term, `form` the form, as the glossary writes them."""

    ref: SenseRef
    term: str
    form: str
    status: Status
    ban: Ban | None = None

    @property
    def usable(self) -> bool:
        return self.status in USABLE

    @property
    def is_local(self) -> bool:
        """Whether the term means this only where its context is declared."""
        return self.term in self.ref.sense.local

    def spelled_like(self, text: str) -> bool:
        """Say whether a text writes the form as it has to be: a first small letter may be large in a sentence."""
        if self.form == text:
            return True
        return self.form[1:] == text[1:] and self.form[:1].upper() == text[:1]

    @property
    def is_name(self) -> bool:
        """Whether the form has capitals, which then belong to it."""
        return self.form != self.form.lower()


@dataclass(frozen=True)
class Occurrence:
    """A word of the glossary in a text, at `text[start:end]`."""

    start: int
    end: int
    text: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Reading:
    """What a word can be in some contexts: the entries that are in question there."""

    usable: tuple[Entry, ...]
    banned: tuple[Entry, ...]

    @property
    def one(self) -> Entry | None:
        """The entry that is meant, if only one can be."""
        every = self.usable + self.banned
        return every[0] if len(every) == 1 else None


def resolve(entries: Iterable[Entry], contexts: Collection[str]) -> Reading:
    """Return what a word can be: its entries in these contexts, or else its general one, or else all it can mean.

    A ban holds in its own context alone; a general one holds wherever the word has no narrower meaning. A local term
    means nothing where its context is not declared.
    """
    known = tuple(entries)
    for chosen in (contexts, (GENERAL,)):
        if found := [entry for entry in known if entry.ref.context in chosen]:
            return _reading(found)
    return _reading([entry for entry in known if entry.usable and not entry.is_local])


def _reading(entries: list[Entry]) -> Reading:
    usable = tuple(entry for entry in entries if entry.usable)
    return Reading(usable, tuple(entry for entry in entries if not entry.usable))


def senses_of(glossary: Glossary) -> dict[str, SenseRef]:
    """Return every sense by its id."""
    return {
        f"{name}/{context}": SenseRef(name, context, sense)
        for name, concept in glossary.concepts.items()
        for context, sense in concept.senses.items()
    }


def entries_of(ref: SenseRef) -> Iterator[Entry]:
    """Yield every form of every term of a sense."""
    sense = ref.sense
    terms: list[tuple[str, Status, Ban | None]] = [(sense.preferred, "preferred", None)]
    terms += [(term, "admitted", None) for term in sense.admitted]
    terms += [(term, "deprecated", ban) for term, ban in sense.deprecated.items()]
    terms += [(term, "forbidden", ban) for term, ban in sense.forbidden.items()]
    for term, status, ban in terms:
        for form in (term, *sense.forms.get(term, [])):
            yield Entry(ref, term, form, status, ban)


def folded(text: str) -> str:
    """Return a text in small letters, letter for letter: positions stay what they are."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(_small(letter) for letter in text)


def _small(letter: str) -> str:
    small = letter.lower()
    return small if len(small) == 1 else letter


class Words:
    """All words of the glossary, compiled.

    A phrase in which a banned term is right (`unless`) counts as a word without a sense: it hides the term inside it.
    """

    def __init__(self, refs: Iterable[SenseRef]) -> None:
        words: dict[str, list[Entry]] = {}
        phrases: set[str] = set()
        for ref in refs:
            for entry in entries_of(ref):
                words.setdefault(folded(entry.form), []).append(entry)
                phrases.update(folded(phrase) for phrase in (entry.ban.unless if entry.ban else ()))
        for phrase in phrases:
            words.setdefault(phrase, [])
        self._entries: Mapping[str, tuple[Entry, ...]] = {word: tuple(entries) for word, entries in words.items()}
        self._patterns = tuple(self._entries)
        self._automaton = AhoCorasick(self._patterns) if self._patterns else None

    def find(self, word: str) -> tuple[Entry, ...]:
        """Return the entries of a word, whatever its case; none if the glossary does not have it."""
        return self._entries.get(folded(word), ())

    def __iter__(self) -> Iterator[str]:
        return (word for word, entries in self._entries.items() if entries)

    def occurrences(self, text: str) -> list[Occurrence]:
        """Return the words in a text in their order; of words that overlap, the first, and of these the longest."""
        if self._automaton is None:
            return []
        found = self._automaton.find_matches_as_indexes(folded(text), overlapping=True)
        spans = [(start, -end, index) for index, start, end in found if _stands_alone(text, start, end)]
        chosen: list[Occurrence] = []
        reached = 0
        for start, minus_end, index in sorted(spans):
            said = text[start:-minus_end]
            if start < reached or not self._is_meant(index, said):
                continue
            reached = -minus_end
            if entries := self._meant(index, said):
                chosen.append(Occurrence(start, reached, said, entries))
        return chosen

    def _is_meant(self, index: int, said: str) -> bool:
        return not self._entries[self._patterns[index]] or bool(self._meant(index, said))

    def _meant(self, index: int, said: str) -> tuple[Entry, ...]:
        entries = self._entries[self._patterns[index]]
        return tuple(entry for entry in entries if entry.form == said or entry.term not in entry.ref.sense.exact)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Say whether a match is no part of a longer word; what is joined by a hyphen is one word."""
    if start and (text[start - 1].isalnum() or text[start - 1] in "_-"):
        return False
    if end == len(text):
        return True
    if text[end] == "-":
        return not text[end + 1 : end + 2].isalnum()
    return not (text[end].isalnum() or text[end] == "_")
