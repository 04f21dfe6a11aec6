"""The glossary's own sentences, tried on its rules: good ones pass, and each bad one is found."""

from collections.abc import Iterator
from dataclasses import replace

from lading.glossary.lint import Finding, check
from lading.glossary.loaded import LoadedGlossary
from lading.glossary.markdown import read_markdown
from lading.glossary.relations import place_of
from lading.glossary.words import SenseRef
from lading.recipe.problems import Problem


def example_problems(loaded: LoadedGlossary) -> Iterator[Problem]:
    """Yield the sentences that the rules judge otherwise than the glossary says."""
    for ref in loaded:
        for number, sentence in enumerate(ref.sense.good):
            for finding in _findings(loaded, ref, sentence):
                said = f"the good sentence of '{ref.id}' is refused by a rule: {finding.code}: {finding.sentence}"
                yield loaded.document.problem(place_of(ref, "good", number), said)
        for number, sentence in enumerate(ref.sense.bad):
            if not _findings(loaded, ref, sentence):
                said = f"the bad sentence of '{ref.id}' passes: no rule of this context finds a word in it."
                yield loaded.document.problem(place_of(ref, "bad", number), said)
        yield from _untried(loaded, ref)


def _findings(loaded: LoadedGlossary, ref: SenseRef, sentence: str) -> list[Finding]:
    prose = read_markdown(sentence, "")
    contexts = frozenset({ref.context})
    return check(loaded, replace(prose, parts=tuple(replace(part, contexts=contexts) for part in prose.parts)))


def _untried(loaded: LoadedGlossary, ref: SenseRef) -> Iterator[Problem]:
    """A rule that no sentence tries could be one that never fires."""
    said = [finding for sentence in ref.sense.bad for finding in _findings(loaded, ref, sentence)]
    found = {entry.term for finding in said for entry in loaded.find(finding.word) if entry.ref.id == ref.id}
    for key, bans in (("deprecated", ref.sense.deprecated), ("forbidden", ref.sense.forbidden)):
        for term in bans:
            if term not in found:
                sentence = f"no bad sentence of '{ref.id}' shows the rule for '{term}'; add one."
                yield loaded.document.problem(place_of(ref, key, term), sentence)
