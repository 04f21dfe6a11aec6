"""What the glossary lacks, counted anew whenever the site is built."""

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element

from lading.glossary.coverage import Place
from lading.site.concepts import anchor_of
from lading.site.markers import add, add_table
from lading.site.view import View

FEW: Final = 3
"""Places that are shown of a word."""


def add_lacks(parent: Element, view: View) -> None:
    """Add what nobody explains, uses or has a source for, and where contexts have to tell senses apart."""
    found, concepts = view.coverage, view.loaded.glossary.concepts
    used = len(concepts) - len(found.unused)
    add(parent, "p", f"Texts use {used} of the {len(concepts)} concepts, which have {len(view.loaded.senses)} senses.")
    add(parent, "h2", "Acronyms that nothing explains", id="acronyms")
    _add_acronyms(parent, found.acronyms)
    add(parent, "h2", "Concepts that no text uses", id="unused")
    _add_references(parent, view, found.unused)
    add(parent, "h2", "Senses without a source", id="unsourced")
    _add_references(parent, view, found.unsourced)
    add(parent, "h2", "Texts with ambiguous words", id="ambiguous")
    _add_ambiguous(parent, view, found.ambiguous)


def _add_acronyms(parent: Element, acronyms: Sequence[tuple[str, Sequence[Place]]]) -> None:
    if not acronyms:
        add(parent, "p", "None.")
        return
    body = add_table(parent, "lacks", ("Acronym", "Where"))
    for word, places in acronyms:
        line = add(body, "tr")
        add(line, "td", word)
        cell = add(line, "td")
        for number, (file, row, _) in enumerate(places[:FEW]):
            if number:
                add(cell, "span", ", ")
            add(cell, "code", f"{file}:{row}")
        if len(places) > FEW:
            add(cell, "span", f" and {len(places) - FEW} more")


def _add_references(parent: Element, view: View, references: Sequence[str]) -> None:
    if not references:
        add(parent, "p", "None.")
        return
    line = add(parent, "p")
    for number, reference in enumerate(references):
        if number:
            add(line, "span", ", ")
        add(line, "a", view.name(reference), href=f"index.md#{anchor_of(reference)}")


def _add_ambiguous(parent: Element, view: View, files: Sequence[tuple[str, int]]) -> None:
    if not files:
        add(parent, "p", "None.")
        return
    add(parent, "p", "Here the contexts that a text declares tell which sense a word has.")
    body = add_table(parent, "lacks", ("Text", "Words"))
    for file, count in sorted(files, key=lambda item: -item[1]):
        line = add(body, "tr")
        view.add_page_link(add(line, "td"), file)
        add(line, "td", str(count))
