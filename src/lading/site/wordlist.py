"""The vocabulary's list of all words, and words with several senses side by side."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element

from lading.glossary.loaded import LoadedGlossary
from lading.glossary.words import Entry, folded
from lading.site.concepts import add_ban
from lading.site.dictionary import anchor_in, link_to
from lading.site.markers import add
from lading.site.view import View, add_text

OTHER: Final = "0–9"
"""What words stand under that begin with no letter."""


@dataclass(frozen=True)
class Word:
    """A word as the glossary writes it, and its readings: one for each sense that has it as a term."""

    text: str
    readings: tuple[Entry, ...]

    @property
    def usable(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.readings if entry.usable)

    @property
    def letter(self) -> str:
        """What it stands under in a list from A to Z."""
        first = unicodedata.normalize("NFD", self.text)[0].upper()
        return first if first.isalpha() else OTHER

    @property
    def anchor(self) -> str:
        """Its anchor on the page that compares senses."""
        return "compare-" + re.sub(r"[^a-z0-9]+", "-", folded(self.text)).strip("-")


def words_of(loaded: LoadedGlossary) -> list[Word]:
    """Return all terms of a glossary, right or wrong, from A to Z; plurals and other forms are not among them."""
    found: dict[str, list[Entry]] = {}
    for word in loaded.words:
        for entry in loaded.find(word):
            if entry.form == entry.term:
                found.setdefault(folded(entry.term), []).append(entry)
    words = [Word(_written(entries), tuple(entries)) for entries in found.values()]
    return sorted(words, key=lambda word: (word.letter != OTHER, folded(word.text)))


def _written(entries: Sequence[Entry]) -> str:
    """Return how a word is written: as a sense in which it is right has it."""
    return next((entry.form for entry in entries if entry.usable), entries[0].form)


def add_words(parent: Element, loaded: LoadedGlossary, page: str) -> None:
    """Add the list of all words from A to Z, each with links to its senses from a page."""
    index = add(parent, "div", css="words")
    for letter, words in groupby(words_of(loaded), lambda word: word.letter):
        box = add(index, "div", css="words-letter")
        add(box, "p", letter, "words-title", aria_hidden="true")
        items = add(box, "ul")
        for word in words:
            _add_word(add(items, "li"), loaded, word, page)


def _add_word(item: Element, loaded: LoadedGlossary, word: Word, page: str) -> None:
    usable = word.usable
    if not usable:
        add(item, "s", word.text)
        for entry in word.readings:
            assert entry.ban is not None
            add(item, "span", " → ", aria_hidden="true")
            add(item, "span", " say ", "proof-hidden")
            add(item, "a", entry.ban.say, href=link_to(anchor_in(loaded, entry.ref), page))
        return
    if len(usable) == 1:
        add(item, "a", word.text, href=link_to(anchor_in(loaded, usable[0].ref), page))
        return
    add(item, "span", f"{word.text}: ")
    for number, entry in enumerate(usable):
        if number:
            add(item, "span", ", ")
        add(
            item,
            "a",
            loaded.glossary.contexts[entry.ref.context].label,
            href=link_to(anchor_in(loaded, entry.ref), page),
        )


def add_comparisons(parent: Element, view: View) -> None:
    """Add each word that is right in two senses or more, with a table of them; those with most senses first."""
    several = [word for word in words_of(view.loaded) if len(word.usable) > 1]
    line = add(parent, "p", css="compare-words")
    for word in several:
        add(line, "a", word.text, href=f"#{word.anchor}")
    for word in sorted(several, key=lambda word: -len(word.usable)):
        add(parent, "h2", word.text, id=word.anchor)
        _add_table(parent, view, word.usable)
        _add_wrong(parent, view, [entry for entry in word.readings if not entry.usable])


def _add_table(parent: Element, view: View, entries: Sequence[Entry]) -> None:
    """Add a table with a column for each sense; it has its own box to scroll in, which the keyboard can reach."""
    box = add(parent, "div", css="compare", tabindex="0", role="region", aria_label=f"Senses of {entries[0].term}")
    table = add(box, "table", css="compare-table")
    head = add(add(table, "thead"), "tr")
    add(add(head, "td"), "span", "Context", "proof-hidden")
    for entry in entries:
        add(head, "th", view.label(entry.ref.context), scope="col")
    body = add(table, "tbody")
    for title, cells in _rows(entries).items():
        line = add(body, "tr")
        add(line, "th", title, scope="row")
        for text in cells:
            add_text(line, "td", text)
    line = add(body, "tr")
    add(line, "th", "More", scope="row")
    for entry in entries:
        add(add(line, "td"), "a", entry.ref.sense.preferred, href=f"index.md#{anchor_in(view.loaded, entry.ref)}")


def _rows(entries: Sequence[Entry]) -> Mapping[str, list[str]]:
    senses = [entry.ref.sense for entry in entries]
    rows = {
        "In full": [sense.preferred for sense in senses],
        "Meaning": [sense.definition for sense in senses],
        "Also": [", ".join(sense.admitted) for sense in senses],
        "Not": [", ".join((*sense.deprecated, *sense.forbidden)) for sense in senses],
    }
    return {title: cells for title, cells in rows.items() if any(cells)}


def _add_wrong(parent: Element, view: View, entries: Sequence[Entry]) -> None:
    for context, entry in _by_context(view, entries):
        line = add(parent, "p", css="compare-wrong")
        add(line, "strong", f"{context}: ")
        assert entry.ban is not None
        add_ban(line, entry.form, entry.ban)


def _by_context(view: View, entries: Sequence[Entry]) -> Iterator[tuple[str, Entry]]:
    for entry in entries:
        yield view.label(entry.ref.context), entry
