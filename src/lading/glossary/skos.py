"""The glossary as a SKOS concept scheme (https://www.w3.org/TR/skos-reference/).

A sense is a `skos:Concept`, since it has one definition. What the glossary calls a concept is a `skos:Collection` of
its senses, even of one: «image» is a word's meanings side by side, not a thing that a Docker image and a VM image are
kinds of; and its name means the same when it gets a second sense. Groups and contexts are collections too.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from rdflib import Graph, Literal, URIRef
from rdflib.namespace import DCTERMS, OWL, RDF, RDFS, SKOS
from rdflib.term import Node

from lading.errors import UsageError
from lading.glossary.ledger import way_of
from lading.glossary.loaded import LoadedGlossary
from lading.glossary.model import GENERAL, Ban, Sense
from lading.glossary.relations import broader_of
from lading.glossary.words import SenseRef

LANGUAGE: Final = "en"
LICENCE: Final = URIRef("https://creativecommons.org/licenses/by/4.0/")
ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]*[/#:]")
PREFIXES: Final = {"skos": SKOS, "dct": DCTERMS, "owl": OWL, "rdfs": RDFS}
Triple = tuple[URIRef, URIRef, Node]


@dataclass(frozen=True)
class Names:
    """The names of things: ids after a base, or anchors where the base ends with '#'."""

    base: str

    def __call__(self, id: str) -> URIRef:
        return URIRef(self.base + (id.replace("/", "-") if self.base.endswith("#") else id))

    @property
    def scheme(self) -> URIRef:
        """The name of the whole vocabulary."""
        return URIRef(self.base.rstrip("#:"))

    def group(self, group: str) -> URIRef:
        """The name of a group; no concept's id begins with '_'."""
        return self(f"_group/{group}")

    def context(self, context: str) -> URIRef:
        """The name of a context; no concept's id begins with '_'."""
        return self(f"_context/{context}")

    def source(self, source: str) -> URIRef:
        """The name of a source without an address of its own."""
        return self(f"_source/{source}")


def graph_of(loaded: LoadedGlossary, base: str) -> Graph:
    """Return the concept scheme; `base` is what all names begin with.

    Raises:
        UsageError: no absolute name can begin with `base`.
    """
    if not ABSOLUTE.fullmatch(base):
        raise UsageError(
            f"'{base}' cannot be what names begin with.",
            hint="Give an absolute address that ends with '/' or '#', such as 'https://site.example/vocabulary/#'.",
        )
    names = Names(base)
    graph = Graph(bind_namespaces="none")
    for prefix, namespace in PREFIXES.items():
        graph.bind(prefix, namespace)
    parts = (_scheme, _collections, _senses, _relations, _sources, _renamed)
    for part in parts:
        for triple in part(loaded, names):
            graph.add(triple)
    return graph


def _text(said: str) -> Literal:
    return Literal(" ".join(said.split()), lang=LANGUAGE)


def _scheme(_loaded: LoadedGlossary, names: Names) -> Iterator[Triple]:
    yield names.scheme, RDF.type, SKOS.ConceptScheme
    yield names.scheme, DCTERMS.title, _text("Vocabulary of containers at WLCG sites")
    yield names.scheme, DCTERMS.license, LICENCE


def _collections(loaded: LoadedGlossary, names: Names) -> Iterator[Triple]:
    """Yield contexts with their senses, groups with their concepts, and concepts with their senses."""
    for context, said in loaded.glossary.contexts.items():
        yield from _collection(names.context(context), said.label)
        yield names.context(context), SKOS.scopeNote, _text(said.help)
    for name, concept in loaded.glossary.concepts.items():
        yield from _collection(names.group(concept.group), concept.group)
        yield from _collection(names(name), name.replace("-", " "))
        yield names.group(concept.group), SKOS.member, names(name)
    for ref in loaded:
        yield names(ref.concept), SKOS.member, names(ref.id)
        yield names.context(ref.context), SKOS.member, names(ref.id)


def _collection(name: URIRef, label: str) -> Iterator[Triple]:
    """Yield a collection's own part. Its label is no `prefLabel`: those are for senses, each a different one."""
    yield name, RDF.type, SKOS.Collection
    yield name, RDFS.label, _text(label)


def _senses(loaded: LoadedGlossary, names: Names) -> Iterator[Triple]:
    shared = _shared_terms(loaded)
    for ref in loaded:
        name, sense = names(ref.id), ref.sense
        yield name, RDF.type, SKOS.Concept
        yield name, SKOS.inScheme, names.scheme
        yield name, SKOS.notation, Literal(ref.id)
        yield name, SKOS.definition, _text(sense.definition)
        for predicate, label in _labels(sense, _preferred(loaded, ref, shared)):
            yield name, predicate, _text(label)
        for predicate, note in _notes(loaded, ref):
            yield name, predicate, _text(note)


def _shared_terms(loaded: LoadedGlossary) -> frozenset[str]:
    terms = Counter(ref.sense.preferred.casefold() for ref in loaded)
    return frozenset(term for term, count in terms.items() if count > 1)


def _preferred(loaded: LoadedGlossary, ref: SenseRef, shared: Collection[str]) -> str:
    """Return a label that no other sense has.

    Only a general term may be preferred in a narrower context too; there it is qualified, as ISO 25964 has it.
    """
    term = ref.sense.preferred
    if ref.context == GENERAL or term.casefold() not in shared:
        return term
    return f"{term} ({loaded.glossary.contexts[ref.context].label})"


def _labels(sense: Sense, preferred: str) -> Iterator[tuple[URIRef, str]]:
    """Yield each label in one place (S13): usable terms and those that were, then what only a search should know."""
    usable = _with_forms(sense, [sense.preferred, *sense.admitted])
    alternative = usable.union(sense.deprecated) - {preferred}
    hidden = _with_forms(sense, [*sense.deprecated, *sense.forbidden]) - alternative - {preferred}
    yield SKOS.prefLabel, preferred
    yield from ((SKOS.altLabel, label) for label in alternative)
    yield from ((SKOS.hiddenLabel, label) for label in hidden)


def _with_forms(sense: Sense, terms: list[str]) -> set[str]:
    return {form for term in terms for form in (term, *sense.forms.get(term, []))}


def _notes(loaded: LoadedGlossary, ref: SenseRef) -> Iterator[tuple[URIRef, str]]:
    sense, context = ref.sense, loaded.glossary.contexts[ref.context]
    yield SKOS.scopeNote, f"Context: {context.label}. {context.help}"
    for status, bans in (("deprecated", sense.deprecated), ("forbidden", sense.forbidden)):
        yield from ((SKOS.scopeNote, _advice(status, term, ban)) for term, ban in bans.items())
    if sense.note:
        yield SKOS.note, sense.note
    for former in sense.history:
        yield SKOS.historyNote, f"Once called '{former.name}', {former.until}"
    for witness in sense.witnesses:
        yield SKOS.note, f"Tried in a guest by '{witness.check}' of the path '{witness.path}': {witness.shows}"


def _advice(status: str, term: str, ban: Ban) -> str:
    said = f"'{term}' is {status}; say '{ban.say}': {ban.because.strip()}"
    return f"{said} Right in: {', '.join(ban.unless)}." if ban.unless else said


def _relations(loaded: LoadedGlossary, names: Names) -> Iterator[Triple]:
    """Yield relations in both directions, for readers that do not reason, and the senses that are kinds of no other."""
    broader = broader_of(loaded)
    for ref in loaded:
        name = names(ref.id)
        if above := broader.get(ref.id):
            yield name, SKOS.broader, names(above)
            yield names(above), SKOS.narrower, name
        else:
            yield name, SKOS.topConceptOf, names.scheme
            yield names.scheme, SKOS.hasTopConcept, name
        for other in _related(loaded, ref):
            # S27: what is above another is not also beside it. 'broader' says more, so it stays.
            if other not in way_of(broader, ref.id) and ref.id not in way_of(broader, other):
                yield name, SKOS.related, names(other)
                yield names(other), SKOS.related, name


def _related(loaded: LoadedGlossary, ref: SenseRef) -> Iterator[str]:
    """Yield the senses that a sense is related to; of a concept named as a whole, all."""
    yield from (other.id for target in ref.sense.related for other in loaded.named(target))


def _sources(loaded: LoadedGlossary, names: Names) -> Iterator[Triple]:
    for ref in loaded:
        history = [former.source for former in ref.sense.history if former.source]
        for key in [*ref.sense.sources, *history]:
            source = loaded.glossary.sources[key]
            name = _address(source.url) if source.url else names.source(key)
            where = "" if source.url else f"'{source.page}' in the repository of this vocabulary. "
            yield names(ref.id), DCTERMS.source, name
            yield name, DCTERMS.title, _text(source.title)
            yield name, RDFS.comment, _text(f"{where}Read on {source.read.isoformat()}.")


def _address(url: str) -> URIRef:
    """Return a URL with what no RDF may hold in it (such as braces) written as %7B."""
    return URIRef(quote(url, safe="%/:?#[]@!$&'()*+,;=~"))


def _renamed(loaded: LoadedGlossary, names: Names) -> Iterator[Triple]:
    for old in loaded.glossary.renamed:
        yield names(old), OWL.deprecated, Literal(True)
        yield names(old), DCTERMS.isReplacedBy, names(way_of(loaded.glossary.renamed, old)[-1])
