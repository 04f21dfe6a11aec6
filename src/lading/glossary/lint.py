"""What is wrong with the words of a text, judged by the contexts that it declares."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from lading.glossary.loaded import LoadedGlossary
from lading.glossary.prose import Note, Part, Prose
from lading.glossary.words import Entry, Occurrence, Reading, folded, resolve
from lading.recipe.names import did_you_mean, listed

Code = Literal["ambiguous", "forbidden", "deprecated", "spelling", "context", "no-reason", "unused"]

CODES: Final[dict[Code, str]] = {
    "ambiguous": "A word has more than one meaning in the contexts of its page.",
    "forbidden": "A word is wrong in this context, or misleads.",
    "deprecated": "A word was right once.",
    "spelling": "A name is written otherwise than the glossary writes it.",
    "context": "A marker names a context that there is not.",
    "no-reason": "An exception does not say why.",
    "unused": "An exception excepts nothing.",
}


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong, at a line and column (both from 1).

    `readings` are the meanings that a word can have here, `say` what to write instead, and `swap` is the text that can
    take its place unread, if there is one. `span` is where the word is in the file's text, if it is in one piece.
    """

    file: str
    line: int
    column: int
    code: Code
    word: str
    sentence: str
    readings: tuple[tuple[str, str, str], ...] = ()
    say: tuple[str, ...] = ()
    swap: str | None = field(default=None, compare=False)
    span: tuple[int, int] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        lines = [f"{self.file}:{self.line}:{self.column}: {self.code}: {self.sentence}"]
        lines += [f"    {context}: {term}: {definition}" for context, term, definition in self.readings]
        return "\n".join(lines)


@dataclass(frozen=True)
class Use:
    """A word that stands in a text in one sense; `apart` says that only the text's contexts tell it from others."""

    entry: Entry
    file: str
    line: int
    column: int
    apart: bool


@dataclass(frozen=True)
class Linted:
    """What a text's words came to. `excused` are the findings that an exception in the text takes away."""

    findings: tuple[Finding, ...]
    uses: tuple[Use, ...]
    excused: tuple[Finding, ...]


def lint(loaded: LoadedGlossary, prose: Prose) -> Linted:
    """Return what is wrong with a text's words, and which of them stand there in which sense."""
    found, uses = [], []
    own = loaded.contexts_of(prose.file)
    for part in prose.parts:
        contexts = own if part.contexts is None else part.contexts
        for occurrence in loaded.words.occurrences(part.text):
            match _judge(loaded, prose, part, occurrence, contexts):
                case Finding() as finding:
                    found.append(finding)
                case Use() as use:
                    uses.append(use)
    kept, excused, spent = _excused(found, prose.notes)
    findings = [*kept, *_bad_notes(prose, spent), *_bad_markers(loaded, prose)]
    return Linted(tuple(sorted(findings)), tuple(uses), tuple(excused))


def check(loaded: LoadedGlossary, prose: Prose) -> list[Finding]:
    """Return what is wrong with a text's words."""
    return list(lint(loaded, prose).findings)


def _judge(
    loaded: LoadedGlossary, prose: Prose, part: Part, occurrence: Occurrence, contexts: Collection[str]
) -> Finding | Use | None:
    reading = resolve(occurrence.entries, contexts)
    line, column = part.place(occurrence.start)
    span = part.span(occurrence.start, occurrence.end)
    entry = reading.one
    if entry is None:
        if not reading.usable and len({e.ban.say for e in reading.banned if e.ban}) == 1:
            entry = reading.banned[0]
        elif not reading.usable and not reading.banned:
            return None
        else:
            return _ambiguous(loaded, prose.file, line, column, occurrence, reading)
    if entry.ban is not None:
        return _banned(loaded, prose.file, line, column, occurrence, entry, span)
    if entry.is_name and not entry.spelled_like(occurrence.text):
        sentence = f"'{occurrence.text}' is written '{entry.form}'."
        return Finding(
            prose.file,
            line,
            column,
            "spelling",
            occurrence.text,
            sentence,
            say=(entry.form,),
            swap=entry.form,
            span=span,
        )
    return Use(entry, prose.file, line, column, apart=sum(e.usable for e in occurrence.entries) > 1)


def _ambiguous(
    loaded: LoadedGlossary, file: str, line: int, column: int, occurrence: Occurrence, reading: Reading
) -> Finding:
    entries = reading.usable + reading.banned
    readings = tuple(
        (loaded.glossary.contexts[entry.ref.context].label, _advice(entry), entry.ref.sense.definition.strip())
        for entry in entries
    )
    say = tuple(dict.fromkeys(_advice(entry) for entry in entries))
    words = " or ".join(f"'{term}'" for term in say)
    sentence = (
        f"'{occurrence.text}' can mean {len(entries)} things here; write {words}, or declare which context it is in."
    )
    return Finding(file, line, column, "ambiguous", occurrence.text, sentence, readings, say)


def _advice(entry: Entry) -> str:
    return entry.ban.say if entry.ban else entry.ref.sense.preferred


def _banned(
    loaded: LoadedGlossary, file: str, line: int, column: int, occurrence: Occurrence, entry: Entry,
    span: tuple[int, int] | None,
) -> Finding:  # fmt: skip
    assert entry.ban is not None
    assert entry.status in ("deprecated", "forbidden")
    code: Code = "deprecated" if entry.status == "deprecated" else "forbidden"
    because = entry.ban.because.strip().removesuffix(".")
    sentence = f"'{occurrence.text}': say '{entry.ban.say}'. {because[:1].upper()}{because[1:]}."
    swap = _swap(loaded, entry, occurrence.text) if entry.ban.fix else None
    return Finding(file, line, column, code, occurrence.text, sentence, say=(entry.ban.say,), swap=swap, span=span)


def _swap(loaded: LoadedGlossary, entry: Entry, said: str) -> str | None:
    """Return the same form of the term to say; None if the glossary does not list it."""
    assert entry.ban is not None
    if entry.form == entry.term:
        new = entry.ban.say
    else:
        position = entry.ref.sense.forms[entry.term].index(entry.form)
        forms = [
            forms
            for other in loaded.find(entry.ban.say)
            if other.usable and len(forms := other.ref.sense.forms.get(other.term, [])) > position
        ]
        if not forms:
            return None
        new = forms[0][position]
    starts_sentence = said[:1].isupper() and entry.form[:1].islower()
    return new[:1].upper() + new[1:] if starts_sentence else new


def _excused(found: list[Finding], notes: tuple[Note, ...]) -> tuple[list[Finding], list[Finding], set[Note]]:
    kept: list[Finding] = []
    excused: list[Finding] = []
    spent: set[Note] = set()
    for finding in found:
        fitting = [
            note
            for note in notes
            if note.first <= finding.line <= note.last and folded(note.word) == folded(finding.word)
        ]
        spent.update(fitting)
        (excused if fitting else kept).append(finding)
    return kept, excused, spent


def _bad_notes(prose: Prose, spent: set[Note]) -> Iterator[Finding]:
    for note in prose.notes:
        if note not in spent:
            sentence = f"the exception for '{note.word}' excepts nothing; take it out."
            yield Finding(prose.file, note.line, note.column, "unused", note.word, sentence)
        if not note.reason:
            sentence = f"the exception for '{note.word}' gives no reason; write it behind '|'."
            yield Finding(prose.file, note.line, note.column, "no-reason", note.word, sentence)


def _bad_markers(loaded: LoadedGlossary, prose: Prose) -> Iterator[Finding]:
    known = loaded.glossary.contexts
    for marker in prose.markers:
        if not marker.names:
            sentence = f"this marker names no context; known are {listed(known)}."
            yield Finding(prose.file, marker.line, 1, "context", "", sentence)
        for name in marker.names:
            if name not in known:
                sentence = f"there is no context '{name}'{did_you_mean(name, known)}"
                yield Finding(prose.file, marker.line, 1, "context", name, sentence)
