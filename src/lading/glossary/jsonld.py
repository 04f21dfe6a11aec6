"""A SKOS graph as JSON-LD: plain JSON with short keys, and a context that says what they mean."""

import json
from typing import Any, Final

from rdflib import Graph

from lading.glossary.skos import LANGUAGE, PREFIXES

TEXT: Final = {"@language": LANGUAGE}
LINK: Final = {"@type": "@id"}
TERMS: Final[dict[str, Any]] = {
    "id": "@id",
    "type": "@type",
    **{prefix: str(namespace) for prefix, namespace in PREFIXES.items()},
    **{key: {"@id": f"skos:{key}", **TEXT} for key in ("prefLabel", "altLabel", "hiddenLabel", "definition")},
    **{key: {"@id": f"skos:{key}", **TEXT} for key in ("note", "scopeNote", "historyNote")},
    **{key: {"@id": f"skos:{key}", **LINK} for key in ("broader", "narrower", "related", "member")},
    **{key: {"@id": f"skos:{key}", **LINK} for key in ("inScheme", "topConceptOf", "hasTopConcept")},
    "notation": "skos:notation",
    "label": {"@id": "rdfs:label", **TEXT},
    "comment": {"@id": "rdfs:comment", **TEXT},
    "title": {"@id": "dct:title", **TEXT},
    "license": {"@id": "dct:license", **LINK},
    "source": {"@id": "dct:source", **LINK},
    "isReplacedBy": {"@id": "dct:isReplacedBy", **LINK},
    "deprecated": "owl:deprecated",
}
"""What the keys of the JSON-LD mean."""

SEVERAL: Final = (
    "altLabel", "broader", "comment", "hasTopConcept", "hiddenLabel", "historyNote", "member", "narrower", "note",
    "related", "scopeNote", "source", "title",
)  # fmt: skip
SETS: Final = {key: {**TERMS[key], "@container": "@set"} for key in SEVERAL}
"""Those that can have several values. rdflib writes texts out in full when it is told so, hence these are apart."""


def jsonld_of(graph: Graph) -> str:
    """Return a graph as JSON-LD. Its arrays are sets, which have no order of their own, so they are sorted."""
    said = json.loads(graph.serialize(format="json-ld", context=TERMS, use_native_types=True))
    things = said.get("@graph", [said])  # a single thing stands beside the context
    plain = sorted((_in_arrays(thing) for thing in things), key=lambda thing: str(thing["id"]))
    whole = {"@context": TERMS | SETS, "@graph": plain}
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _in_arrays(thing: dict[str, Any]) -> dict[str, Any]:
    """Return a thing with an array, even of one, for each key that can have several: a reader need not try both."""
    said = {key: value for key, value in thing.items() if key != "@context"}
    several = {key: value if isinstance(value, list) else [value] for key, value in said.items() if key in SETS}
    return said | {key: sorted(values) for key, values in several.items()}
