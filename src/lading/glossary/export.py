"""The glossary for other programs: as JSON, and as SKOS in Turtle or JSON-LD.

What is written depends on the glossary alone: neither on the order of its file, nor on the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rdflib import Graph

    from lading.glossary.loaded import LoadedGlossary
    from lading.glossary.model import Ban, Sense
    from lading.glossary.words import SenseRef

FORMAT: Final = 1
"""What `version` says in the JSON: a change that readers have to know of raises it."""

PAGE: Final = "vocabulary/"
"""The vocabulary's page, from the site's top."""

BASE: Final = "urn:lading:glossary:"
"""What the names of things begin with in SKOS, unless told otherwise.

A name has to last longer than any address of a site, and the project owns no domain to promise one in. So the default
is a name that does not pretend to be an address; whoever publishes the vocabulary gives the address as the base.
"""


def as_json(loaded: LoadedGlossary) -> dict[str, Any]:
    """Return the glossary as an object of plain data; every key is always there, and `null` or empty if not said."""
    glossary = loaded.glossary
    concepts = [
        {
            "id": name,
            "group": glossary.concepts[name].group,
            "senses": [_sense(loaded, ref) for ref in _in_order(loaded) if ref.concept == name],
        }
        for name in sorted(glossary.concepts)
    ]
    return {
        "version": FORMAT,
        "contexts": _by_name(glossary.contexts),
        "sources": _by_name(glossary.sources),
        "acronyms": {word: said.strip() for word, said in sorted(glossary.acronyms.items())},
        "renamed": dict(sorted(glossary.renamed.items())),
        "concepts": concepts,
    }


def as_graph(loaded: LoadedGlossary, base: str = BASE) -> Graph:
    """Return the glossary as a SKOS concept scheme.

    Args:
        loaded: the glossary.
        base: what all names begin with. With one that ends with '#', such as `https://site.example/vocabulary/#`, the
            names are the addresses of the site's entries.

    Raises:
        UsageError: no absolute name can begin with `base`.
    """
    from lading.glossary import skos  # noqa: PLC0415 - rdflib takes longer to import than a whole lint of the texts

    return skos.graph_of(loaded, base)


def as_turtle(loaded: LoadedGlossary, base: str = BASE) -> str:
    """Return the SKOS concept scheme as Turtle.

    Raises:
        UsageError: no absolute name can begin with `base`.
    """
    return as_graph(loaded, base).serialize(format="turtle").rstrip("\n") + "\n"


def as_jsonld(loaded: LoadedGlossary, base: str = BASE) -> str:
    """Return the SKOS concept scheme as JSON-LD, with a context that lets it be read as plain JSON.

    Raises:
        UsageError: no absolute name can begin with `base`.
    """
    from lading.glossary import jsonld  # noqa: PLC0415 - as above

    return jsonld.jsonld_of(as_graph(loaded, base))


def _in_order(loaded: LoadedGlossary) -> list[SenseRef]:
    """Return all senses in the order of their ids, whatever the order of the file."""
    return sorted(loaded, key=lambda ref: (ref.concept, ref.context))


def _by_name(models: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(models[name]) for name in sorted(models)}


def _sense(loaded: LoadedGlossary, ref: SenseRef) -> dict[str, Any]:
    sense = ref.sense
    return {
        "id": ref.id,
        "context": ref.context,
        "preferred": sense.preferred,
        "admitted": sense.admitted,
        "deprecated": _bans(sense.deprecated),
        "forbidden": _bans(sense.forbidden),
        "forms": {term: sense.forms[term] for term in sorted(sense.forms)},
        "exact": sense.exact,
        "local": sense.local,
        "definition": sense.definition.strip(),
        "sources": [{"id": name, **_plain(loaded.glossary.sources[name])} for name in sense.sources],
        **_told(sense),
        "page": f"{PAGE}#{ref.anchor}",
    }


def _told(sense: Sense) -> dict[str, Any]:
    return {
        "broader": sense.broader,
        "related": sorted(sense.related),
        "note": sense.note and sense.note.strip(),
        "history": [_plain(former) for former in sense.history],
        "witnesses": [_plain(witness) for witness in sense.witnesses],
        "good": [sentence.strip() for sentence in sense.good],
        "bad": [sentence.strip() for sentence in sense.bad],
    }


def _bans(bans: Mapping[str, Ban]) -> list[dict[str, Any]]:
    return [{"term": term, **_plain(bans[term])} for term in sorted(bans)]


def _plain(model: Any) -> dict[str, Any]:
    """Return a model as JSON has it; folded texts of YAML end with a line break that is not theirs."""
    said = model.model_dump(mode="json")
    return {key: value.strip() if isinstance(value, str) else value for key, value in said.items()}
