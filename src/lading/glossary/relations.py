"""What a glossary's parts mean together: every name leads somewhere, and no word stands for two things at once."""

from collections.abc import Iterator, Mapping

from lading.glossary.loaded import LoadedGlossary
from lading.glossary.model import GENERAL, Ban
from lading.glossary.words import Entry, SenseRef, entries_of, folded, resolve
from lading.recipe.names import did_you_mean, listed
from lading.recipe.problems import Loc, Problem


def relation_problems(loaded: LoadedGlossary) -> Iterator[Problem]:
    """Yield all that is wrong between a glossary's parts; each problem names both sides."""
    for ref in loaded:
        yield from _unknown_names(loaded, ref)
        yield from _stray_forms(loaded, ref)
        yield from _circular_bans(loaded, ref)
    yield from _shared_words(loaded)
    yield from _unclear_terms(loaded)
    yield from _cycles(loaded)


def place_of(ref: SenseRef, *more: str | int) -> Loc:
    """Return where a sense stands in the file."""
    return ("concepts", ref.concept, "senses", ref.context, *more)


def _where(loaded: LoadedGlossary, ref: SenseRef, *more: str | int) -> str:
    """Name a sense with its line, as the other side of a problem."""
    return f"'{ref.id}' (line {loaded.document.line(place_of(ref, *more))})"


def _unknown_names(loaded: LoadedGlossary, ref: SenseRef) -> Iterator[Problem]:
    glossary, sense, say = loaded.glossary, ref.sense, loaded.document.problem
    if ref.context not in glossary.contexts:
        known = did_you_mean(ref.context, glossary.contexts)
        yield say(place_of(ref), f"'contexts' has no '{ref.context}'{known}")
    named = [*sense.sources, *(former.source for former in sense.history if former.source)]
    for source in named:
        if source not in glossary.sources:
            yield say(place_of(ref, "sources"), f"'sources' has no '{source}'{did_you_mean(source, glossary.sources)}")
    relations = [("broader", sense.broader)] if sense.broader else []
    for key, target in [*relations, *(("related", other) for other in sense.related)]:
        if not loaded.named(target):
            near = did_you_mean(target, [*glossary.concepts, *loaded.senses])
            yield say(place_of(ref, key), f"'{ref.id}' is related to '{target}', which is no concept or sense{near}")
    if sense.broader and not any(one.context in (ref.context, GENERAL) for one in loaded.named(sense.broader)):
        several = [one.id for one in loaded.named(sense.broader)]
        if len(several) > 1:
            yield say(place_of(ref, "broader"), f"'{sense.broader}' has several senses; name one of {listed(several)}.")


def _stray_forms(loaded: LoadedGlossary, ref: SenseRef) -> Iterator[Problem]:
    sense = ref.sense
    terms = {sense.preferred, *sense.admitted, *sense.deprecated, *sense.forbidden}
    for key, named in (("forms", sense.forms), ("exact", sense.exact), ("local", sense.local)):
        for term in named:
            if term not in terms:
                yield loaded.document.problem(
                    place_of(ref, key), f"'{ref.id}' has no term '{term}'{did_you_mean(term, terms)}"
                )


def _shared_words(loaded: LoadedGlossary) -> Iterator[Problem]:
    """Find words that two senses claim in one context, or one sense twice."""
    seen: dict[tuple[str, str], Entry] = {}
    for ref in loaded:
        for entry in entries_of(ref):
            first = seen.setdefault((ref.context, folded(entry.form)), entry)
            if first is entry:
                continue
            if first.ref is ref:
                yield loaded.document.problem(
                    place_of(ref), f"'{ref.id}' has '{entry.form}' twice: {_both(first, entry)}."
                )
            else:
                yield loaded.document.problem(place_of(ref), _claimed(loaded, entry, first))


def _both(first: Entry, second: Entry) -> str:
    return f"as {first.status} and as {second.status}" if first.status != second.status else f"as {first.status}"


def _claimed(loaded: LoadedGlossary, entry: Entry, first: Entry) -> str:
    world = "without a context" if entry.ref.context == GENERAL else f"in the context '{entry.ref.context}'"
    what = f"the preferred term '{entry.form}'" if entry.status == first.status == "preferred" else f"'{entry.form}'"
    other = _where(loaded, first.ref)
    sides = f"'{entry.ref.id}' ({entry.status}) and {other} ({first.status})"
    return f"both {sides} claim {what} {world}; qualify one of them."


def _unclear_terms(loaded: LoadedGlossary) -> Iterator[Problem]:
    """Find preferred terms that do not tell senses apart: advice to write them would help nobody."""
    for ref in loaded:
        for other in loaded.find(ref.sense.preferred):
            if GENERAL not in (ref.context, other.ref.context) and other.usable and other.ref.id != ref.id:
                sentence = (
                    f"the preferred term '{ref.sense.preferred}' of '{ref.id}' is {other.status} for "
                    f"{_where(loaded, other.ref)} too; make it one that says which is meant."
                )
                yield loaded.document.problem(place_of(ref, "preferred"), sentence)


def _circular_bans(loaded: LoadedGlossary, ref: SenseRef) -> Iterator[Problem]:
    """Find replacements that no sense has, and those that lead from one banned term to another."""
    for key, bans in (("deprecated", ref.sense.deprecated), ("forbidden", ref.sense.forbidden)):
        for term, ban in bans.items():
            if sentence := _forward(loaded, ref, term, ban):
                yield loaded.document.problem(place_of(ref, key, term, "say"), sentence)


def _forward(loaded: LoadedGlossary, ref: SenseRef, term: str, ban: Ban) -> str | None:
    advice = f"'{term}' is to be replaced by '{ban.say}'"
    reading = resolve(loaded.find(ban.say), (ref.context,))
    for entry in reading.banned:
        assert entry.ban is not None
        circle = folded(entry.ban.say) == folded(term)
        how = "so the two lead in a circle" if circle else f"which says '{entry.ban.say}'"
        return f"{advice}, but that is {entry.status} in {_where(loaded, entry.ref, entry.status, entry.term)}, {how}."
    if not reading.usable:
        return f"{advice}, which is no term of the glossary{did_you_mean(ban.say, loaded.words)}"
    if len(reading.usable) > 1:
        meanings = " and ".join(_where(loaded, entry.ref) for entry in reading.usable)
        return f"{advice}, which can mean {meanings} there; say one that means one thing."
    return None


def _cycles(loaded: LoadedGlossary) -> Iterator[Problem]:
    """Find concepts that are kinds of themselves."""
    above = broader_of(loaded)
    reported: set[str] = set()
    for start in above:
        way, here = [start], start
        while (here := above.get(here, "")) and here not in way:
            way.append(here)
        if here == start and not reported.intersection(way):
            reported.update(way)
            ref = loaded.senses[start]
            steps = " → ".join([*way, start])
            yield loaded.document.problem(place_of(ref, "broader"), f"the broader terms go in a circle: {steps}.")


def broader_of(loaded: LoadedGlossary) -> Mapping[str, str]:
    """Return the broader sense of each sense.

    Of a concept that is named as a whole it is the sense in the same context, else the general one, else its only one.
    """
    above = {}
    for ref in loaded:
        named = loaded.named(ref.sense.broader) if ref.sense.broader else ()
        if named:
            above[ref.id] = min(named, key=lambda one: (one.context != ref.context, one.context != GENERAL)).id
    return above
