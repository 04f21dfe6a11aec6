"""A concept of the vocabulary as HTML: its senses side by side, each with its terms, its facts and where it is used."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element

from lading.evidence.status import Status
from lading.glossary.model import Ban, FormerName, Sense, Source, Witness
from lading.glossary.words import SenseRef
from lading.site.markers import add
from lading.site.strip import STATES, add_badge
from lading.site.view import View, add_text
from lading.site.words import day

BANS: Final = {"deprecated": "no longer", "forbidden": "not"}


def anchor_of(reference: str) -> str:
    """Return the anchor of a concept, or of a sense of it."""
    return reference.replace("/", "-")


def add_concept(parent: Element, view: View, name: str) -> None:
    """Add a concept with all its senses."""
    for old in view.former.get(name, []):
        add_former(parent, old)
    add(parent, "h3", view.title(name), id=name)
    senses = add(parent, "div", css="senses")
    refs = view.loaded.named(name)
    for ref in refs:
        add_sense(senses, view, ref, named=len(refs) > 1)


def add_former(parent: Element, reference: str) -> None:
    """Add the anchors that an id had, or has in exports, so that links to them lead here."""
    for anchor in dict.fromkeys((reference, anchor_of(reference))):
        add(parent, "span", css="former", id=anchor)


def add_sense(parent: Element, view: View, ref: SenseRef, *, named: bool) -> None:
    """Add a sense; `named` if its term does not stand above it already."""
    sense = ref.sense
    box = add(parent, "div", css="sense", id=ref.anchor)
    add(box, "span", css="former", id=ref.id)
    for old in view.former.get(ref.id, []):
        add_former(box, old)
    add(box, "p", view.label(ref.context), "sense-context")
    if named:
        add(box, "p", sense.preferred, "sense-term")
    _add_also(box, sense)
    add_text(box, "p", sense.definition, "sense-definition")
    _add_bans(box, sense)
    if sense.note:
        add_text(box, "p", sense.note, "sense-note")
    facts = add(box, "dl", css="sense-facts")
    _add_history(facts, view, sense.history)
    _add_relations(facts, view, ref)
    _add_witnesses(facts, view, sense.witnesses)
    _add_sources(facts, view, sense.sources)
    if not len(facts):
        box.remove(facts)
    _add_uses(box, view, view.coverage.used.get(ref.id, {}))


def _add_also(box: Element, sense: Sense) -> None:
    if sense.admitted:
        line = add(box, "p", css="sense-also")
        add(line, "span", "also: ", "sense-label")
        add(line, "span", ", ".join(sense.admitted))


def _add_bans(box: Element, sense: Sense) -> None:
    if sense.deprecated or sense.forbidden:
        items = add(box, "ul", css="sense-bans")
        for kind, bans in (("deprecated", sense.deprecated), ("forbidden", sense.forbidden)):
            for term, ban in bans.items():
                add_ban(add(items, "li"), term, ban, BANS[kind])


def add_ban(item: Element, term: str, ban: Ban, word: str = "not") -> None:
    """Add what to say instead of a term, why, and where the term is right after all."""
    add(item, "span", "Say ")
    add(item, "strong", ban.say)
    add(item, "span", f", {word} ")
    add(item, "s", term)
    add(item, "span", ". ")
    add_text(item, "span", _sentence(ban.because))
    if ban.unless:
        add(item, "span", f" Right in: {', '.join(ban.unless)}.")


def _sentence(text: str) -> str:
    line = " ".join(text.split())
    return line[:1].upper() + line[1:].removesuffix(".") + "."


def _add_history(facts: Element, view: View, history: Sequence[FormerName]) -> None:
    if history:
        add(facts, "dt", "Former names")
    for former in history:
        line = add(facts, "dd")
        add(line, "em", former.name)
        add(line, "span", ": ")
        add_text(line, "span", former.until)
        if former.source:
            add(line, "span", " (")
            _add_source_link(line, view.loaded.glossary.sources[former.source], "source")
            add(line, "span", ")")


def _add_relations(facts: Element, view: View, ref: SenseRef) -> None:
    concept_kinds = view.kinds.get(ref.concept, [])
    kinds = [other.id for other in (*concept_kinds, *view.kinds.get(ref.id, [])) if other.id != ref.id]
    broader = [ref.sense.broader] if ref.sense.broader else []
    related = [other for other in ref.sense.related if not {other, *_senses(view, other)} & {*broader, *kinds}]
    told = {"A kind of": broader, "Kinds": kinds, "See": related}
    for label, references in told.items():
        if references:
            add(facts, "dt", label)
            _add_links(add(facts, "dd"), view, references)


def _senses(view: View, reference: str) -> list[str]:
    return [ref.id for ref in view.loaded.named(reference)]


def _add_links(line: Element, view: View, references: Sequence[str]) -> None:
    for number, reference in enumerate(dict.fromkeys(references)):
        if number:
            add(line, "span", ", ")
        add(line, "a", view.name(reference), href=f"#{anchor_of(reference)}")


def _add_witnesses(facts: Element, view: View, witnesses: Sequence[Witness]) -> None:
    if witnesses:
        add(facts, "dt", "Tried in a guest")
    for path, group in groupby(sorted(witnesses, key=lambda witness: witness.path), lambda witness: witness.path):
        for witness in group:
            line = add(facts, "dd")
            add_text(line, "span", witness.shows).tail = " "
            add(line, "code", witness.check.rpartition("::")[2])
        line = add(facts, "dd", css="sense-worth")
        view.add_page_link(line, view.recipe(path).page.relative_to(view.catalogue.root).as_posix())
        _add_worth(line, view.statuses(path))


def _add_worth(box: Element, found: Mapping[str, Status]) -> None:
    """Add what the evidence of a check's path is worth: where it ran, and when; if nowhere, that."""
    ran = {platform: status for platform, status in found.items() if status.evidence}
    for platform, status in ran.items():
        add(box, "span", " ")
        add_badge(box, status, platform)
        if status.date:
            add(box, "span", f" {day(status.date)} ", "sense-day")
    if not ran:
        add(box, "span", f" {STATES['not-verified'][0]} It has never run.", "sense-day")


def _add_sources(facts: Element, view: View, names: Sequence[str]) -> None:
    if names:
        add(facts, "dt", "Sources" if len(names) > 1 else "Source")
    for name in names:
        source = view.loaded.glossary.sources[name]
        line = add(facts, "dd")
        _add_source_link(line, source, source.title)
        add(line, "span", f", read on {day(source.read)}", "sense-day")


def _add_source_link(line: Element, source: Source, text: str) -> None:
    """Add a link to a source, which may be a page of this site."""
    if source.page and source.page.startswith("docs/"):
        add(line, "a", text, href=f"../{source.page.removeprefix('docs/')}")
    elif source.url:
        add(line, "a", text, href=source.url)
    else:
        add(line, "span", text)


def _add_uses(box: Element, view: View, files: Mapping[str, int]) -> None:
    if not files:
        add(box, "p", "Used nowhere yet.", "sense-uses")
        return
    details = add(box, "details", css="sense-uses")
    several = f" in {len(files)} texts" if len(files) > 1 else ""
    add(details, "summary", f"Used {_times(sum(files.values()))}{several}")
    items = add(details, "ul")
    for file, count in files.items():
        item = add(items, "li")
        view.add_page_link(item, file)
        add(item, "span", f" {_times(count)}", "sense-day")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
