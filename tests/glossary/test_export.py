"""The glossary for other programs: it says the same in each form, in every run, and keeps to the rules of SKOS."""

import json
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pyshacl
import pytest
import yaml
from rdflib import Graph, Literal, URIRef
from rdflib.compare import isomorphic
from rdflib.namespace import DCTERMS, OWL, RDF, RDFS, SKOS

from lading.errors import UsageError
from lading.glossary.export import BASE, as_graph, as_json, as_jsonld, as_turtle
from lading.glossary.relations import relation_problems
from lading.glossary.schema import glossary_schema, write_schema
from tests.glossary.small import SMALL, document_of, loaded_of
from tests.workshop import REPOSITORY, Workshop

SHAPES = Path(__file__).with_name("shapes.ttl")
SCHEME = URIRef("urn:lading:glossary")


def name(id: str) -> URIRef:
    return URIRef(BASE + id)


def english(text: str) -> Literal:
    return Literal(text, lang="en")


def complaints(graph: Graph) -> str:
    """Return what the shapes say about a graph; nothing if it conforms."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pyshacl uses what rdflib will give up
        conforms, _, text = pyshacl.validate(graph, shacl_graph=str(SHAPES))
    return "" if conforms else text


@pytest.fixture
def graph() -> Graph:
    return as_graph(loaded_of())


def labels(graph: Graph, id: str, predicate: URIRef) -> set[str]:
    return {str(label) for label in graph.objects(name(id), predicate)}


# As JSON


def test_json_tells_all_of_a_sense() -> None:
    concepts = {concept["id"]: concept for concept in as_json(loaded_of())["concepts"]}

    assert concepts["apptainer"] == {
        "id": "apptainer",
        "group": "containers",
        "senses": [
            {
                "id": "apptainer/general",
                "context": "general",
                "preferred": "Apptainer",
                "admitted": [],
                "deprecated": [
                    {
                        "term": "Singularity",
                        "say": "Apptainer",
                        "because": "The project was renamed in 2021.",
                        "unless": ["Singularity Community Edition", "SingularityCE"],
                        "fix": False,
                    }
                ],
                "forbidden": [],
                "forms": {},
                "exact": [],
                "local": [],
                "definition": "A program that runs containers for users, without a service.",
                "sources": [
                    {
                        "id": "apptainer-manual",
                        "title": "Apptainer's manual, «Introduction»",
                        "url": "https://site.example/apptainer",
                        "page": None,
                        "read": "2026-11-21",
                    }
                ],
                "broader": "engine",
                "related": ["sif"],
                "note": None,
                "history": [
                    {
                        "name": "Singularity",
                        "until": "until 2021, when it moved to the Linux Foundation.",
                        "source": "renaming",
                    }
                ],
                "witnesses": [],
                "good": ["Apptainer runs it.", "Singularity Community Edition went another way."],
                "bad": ["Singularity runs it."],
                "page": "vocabulary/#apptainer-general",
            }
        ],
    }


def test_json_has_what_senses_refer_to_and_where_former_ids_lead() -> None:
    said = as_json(loaded_of())

    assert list(said) == ["version", "contexts", "sources", "acronyms", "renamed", "concepts"]
    assert said["version"] == 1
    assert said["contexts"]["docker"] == {
        "label": "Docker, Podman and the OCI",
        "help": "Engines that keep images as layers.",
        "files": ["docs/docker/**"],
    }
    assert said["sources"]["oci-image"]["read"] == "2026-11-20"
    assert said["contexts"]["general"]["help"] == "What holds wherever no narrower context says otherwise."
    assert said["acronyms"]["WLCG"] == "Worldwide LHC Computing Grid"
    assert said["renamed"] == {"hub": "registry", "store": "hub"}


def test_json_has_the_senses_of_a_word_side_by_side_and_folded_text_without_its_line_break() -> None:
    concepts = {concept["id"]: concept for concept in as_json(loaded_of())["concepts"]}
    docker = concepts["image"]["senses"][1]

    assert [sense["id"] for sense in concepts["image"]["senses"]] == ["image/apptainer", "image/docker", "image/vm"]
    assert docker["definition"] == "Layers and a manifest that an engine makes containers from."


# The same in every run


def shuffled(text: str) -> str:
    """Return a glossary whose file has all its mappings in another order."""
    mix = random.Random(4)

    def mixed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: mixed(value[key]) for key in mix.sample(list(value), len(value))}
        return value

    return yaml.safe_dump(mixed(document_of(text).data), sort_keys=False)


@pytest.mark.parametrize("write", [lambda loaded: json.dumps(as_json(loaded)), as_turtle, as_jsonld])
def test_the_order_of_the_file_changes_nothing(write: Callable[[Any], str]) -> None:
    assert shuffled(SMALL) != SMALL
    assert write(loaded_of(shuffled(SMALL))) == write(loaded_of())


def test_every_run_writes_the_same_bytes() -> None:
    script = (
        "import json; from tests.glossary.small import loaded_of; from lading.glossary.export import *; "
        "loaded = loaded_of(); print(json.dumps(as_json(loaded)), as_turtle(loaded), as_jsonld(loaded))"
    )

    def written(seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        command = [sys.executable, "-c", script]
        return subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, stdout=subprocess.PIPE).stdout

    assert written("1") == written("2") == written("3")


def test_json_needs_no_rdflib() -> None:
    script = (
        "import sys; from tests.glossary.small import loaded_of; from lading.glossary.export import as_json; "
        "as_json(loaded_of()); sys.exit('rdflib' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=False).returncode == 0


# As SKOS


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # rdflib's own reader of JSON-LD uses it
def test_turtle_and_json_ld_say_what_the_graph_says(graph: Graph) -> None:
    loaded = loaded_of()

    assert isomorphic(Graph().parse(data=as_turtle(loaded), format="turtle"), graph)
    assert isomorphic(Graph().parse(data=as_jsonld(loaded), format="json-ld"), graph)


def test_json_ld_can_be_read_as_plain_json() -> None:
    things = {thing["id"]: thing for thing in json.loads(as_jsonld(loaded_of()))["@graph"]}
    sif = things["urn:lading:glossary:sif/apptainer"]

    assert sif == {
        "id": "urn:lading:glossary:sif/apptainer",
        "type": "skos:Concept",
        "inScheme": "urn:lading:glossary",
        "notation": "sif/apptainer",
        "prefLabel": "SIF",
        "altLabel": ["SIF file", "SIF files"],
        "definition": "The format of one file that holds an image, its recipe and its signatures.",
        "scopeNote": ["Context: Apptainer. Containers that are one file, run by a user."],
        "source": ["https://site.example/apptainer"],
        "broader": ["urn:lading:glossary:image/apptainer"],
        "related": ["urn:lading:glossary:apptainer/general"],
    }


def test_json_ld_says_which_keys_can_have_several_values() -> None:
    context = json.loads(as_jsonld(loaded_of()))["@context"]

    assert context["altLabel"] == {"@id": "skos:altLabel", "@language": "en", "@container": "@set"}
    assert context["prefLabel"] == {"@id": "skos:prefLabel", "@language": "en"}


def test_no_part_of_a_glossary_is_needed() -> None:
    empty = loaded_of("{contexts: {}, sources: {}, concepts: {}}")

    assert [thing["id"] for thing in json.loads(as_jsonld(empty))["@graph"]] == [str(SCHEME)]
    assert as_json(empty)["concepts"] == []


def test_every_thing_has_a_name_of_its_own(graph: Graph) -> None:
    assert all(isinstance(subject, URIRef) for subject in graph.subjects())


def test_terms_become_labels_by_what_they_are_worth(graph: Graph) -> None:
    assert labels(graph, "image/docker", SKOS.prefLabel) == {"Docker image"}
    assert labels(graph, "image/docker", SKOS.altLabel) == {
        "Docker images",
        "OCI image",
        "OCI images",
        "image",
        "images",
    }
    assert labels(graph, "image/docker", SKOS.hiddenLabel) == {"container template", "image file", "image files"}
    assert labels(graph, "apptainer/general", SKOS.altLabel) == {"Singularity"}


def test_notes_tell_the_context_what_not_to_say_former_names_and_what_was_tried(graph: Graph) -> None:
    assert labels(graph, "apptainer/general", SKOS.scopeNote) == {
        "Context: General. What holds wherever no narrower context says otherwise.",
        (
            "'Singularity' is deprecated; say 'Apptainer': The project was renamed in 2021. "
            "Right in: Singularity Community Edition, SingularityCE."
        ),
    }
    assert labels(graph, "apptainer/general", SKOS.historyNote) == {
        "Once called 'Singularity', until 2021, when it moved to the Linux Foundation."
    }
    assert labels(graph, "container/general", SKOS.note) == {
        "Tried in a guest by 'test_demo.py::test_it_is_there' of the path 'demo': The world is there."
    }


def test_a_preferred_term_of_several_contexts_is_qualified(graph: Graph) -> None:
    assert labels(graph, "container/general", SKOS.prefLabel) == {"container"}
    assert labels(graph, "container/docker", SKOS.prefLabel) == {"container (Docker, Podman and the OCI)"}
    assert "container" in labels(graph, "container/docker", SKOS.altLabel)


def test_a_concept_is_the_collection_of_its_senses_even_of_one(graph: Graph) -> None:
    for concept, senses in (("image", ("apptainer", "docker", "vm")), ("sif", ("apptainer",))):
        assert (name(concept), RDF.type, SKOS.Collection) in graph
        assert set(graph.objects(name(concept), SKOS.member)) == {name(f"{concept}/{sense}") for sense in senses}


def test_contexts_and_groups_are_collections_too(graph: Graph) -> None:
    assert set(graph.objects(name("_context/apptainer"), SKOS.member)) == {
        name("image/apptainer"),
        name("sif/apptainer"),
    }
    assert name("image") in graph.objects(name("_group/images"), SKOS.member)


def test_a_relation_to_a_whole_concept_means_its_sense_above_and_all_its_senses_beside(graph: Graph) -> None:
    assert set(graph.objects(name("sif/apptainer"), SKOS.broader)) == {name("image/apptainer")}
    assert {name("image/docker"), name("image/apptainer"), name("image/vm")} <= set(
        graph.objects(name("container/docker"), SKOS.related)
    )
    assert (name("engine/general"), SKOS.narrower, name("apptainer/general")) in graph
    assert (name("engine/general"), SKOS.topConceptOf, SCHEME) in graph
    assert (name("apptainer/general"), SKOS.topConceptOf, None) not in graph


@pytest.mark.parametrize(
    "sense, old, new",
    [
        ("its own kind", "related: [sif]", "related: [sif, engine]"),
        ("a kind of it", "related: [container]", "related: [container, apptainer]"),
        ("a word with itself among its senses", "related: [image/docker]", "related: [image]"),
    ],
)
def test_what_is_above_or_the_same_is_not_beside(sense: str, old: str, new: str) -> None:
    text = SMALL.replace(old, new)
    graph = as_graph(loaded_of(text))

    assert text != SMALL, sense
    assert complaints(graph) == ""
    assert (name("apptainer/general"), SKOS.related, name("engine/general")) not in graph
    assert not any(subject == other for subject, other in graph.subject_objects(SKOS.related))


def test_a_former_id_leads_to_the_end_of_its_way(graph: Graph) -> None:
    for former in ("hub", "store"):
        assert set(graph.predicate_objects(name(former))) == {
            (OWL.deprecated, Literal(True)),
            (DCTERMS.isReplacedBy, name("registry")),
        }


def test_a_source_whose_url_no_rdf_may_hold_is_written_so_that_it_may(graph: Graph) -> None:
    source = URIRef("https://site.example/oci/image?version=%7B1.1%7D")

    assert (name("image/docker"), DCTERMS.source, source) in graph
    assert set(graph.objects(source, RDFS.comment)) == {english("Read on 2026-11-20.")}


def test_a_page_of_this_repository_is_a_source_with_a_name(graph: Graph) -> None:
    source = name("_source/own-page")

    assert set(graph.objects(name("registry/general"), DCTERMS.source)) == {source}
    assert set(graph.objects(source, RDFS.comment)) == {
        english("'docs/paths/compute/demo.md' in the repository of this vocabulary. Read on 2026-11-21.")
    }


def test_who_tells_a_former_name_is_a_source_too(graph: Graph) -> None:
    assert set(graph.objects(name("apptainer/general"), DCTERMS.source)) == {
        URIRef("https://site.example/apptainer"),
        URIRef("https://site.example/renaming"),
    }


def test_names_can_be_the_addresses_of_a_site() -> None:
    anchors = as_graph(loaded_of(), "https://site.example/vocabulary/#")
    folders = as_graph(loaded_of(), "https://site.example/terms/")

    assert (URIRef("https://site.example/vocabulary/#image-docker"), RDF.type, SKOS.Concept) in anchors
    assert (URIRef("https://site.example/vocabulary/"), RDF.type, SKOS.ConceptScheme) in anchors
    assert (URIRef("https://site.example/terms/image/docker"), RDF.type, SKOS.Concept) in folders
    assert complaints(anchors) == complaints(folders) == ""


@pytest.mark.parametrize("base", ["", "vocabulary/", "https://site.example/terms", "https://site.example/a b/", "//x/"])
def test_a_base_that_makes_no_names_is_refused(base: str) -> None:
    with pytest.raises(UsageError, match="cannot be what names begin with"):
        as_turtle(loaded_of(), base)


# The shapes


def test_the_small_glossary_is_one_that_load_takes_and_conforms(graph: Graph) -> None:
    assert list(relation_problems(loaded_of())) == []
    assert complaints(graph) == ""


def test_the_glossary_of_this_repository_conforms() -> None:
    assert complaints(as_graph(loaded_of((REPOSITORY / "glossary.yml").read_text()))) == ""


DOCKER, VM, SIF, ENGINE = name("image/docker"), name("image/vm"), name("sif/apptainer"), name("engine/general")
Triple = tuple[Any, Any, Any]


@pytest.mark.parametrize(
    "gone, come, said",
    [
        ((DOCKER, SKOS.prefLabel, None), None, "a concept has one preferred label, in English"),
        (None, (DOCKER, SKOS.prefLabel, english("A second one")), "a concept has one preferred label, in English"),
        (
            (DOCKER, SKOS.prefLabel, None),
            (DOCKER, SKOS.prefLabel, Literal("Abbild", lang="de")),
            "a concept has one preferred label, in English",
        ),
        (None, (DOCKER, SKOS.altLabel, english("Docker image")), "a preferred label is no alternative label"),
        (None, (DOCKER, SKOS.hiddenLabel, english("Docker image")), "a preferred label is no hidden label"),
        (None, (DOCKER, SKOS.hiddenLabel, english("OCI image")), "an alternative label is no hidden label"),
        (
            (VM, SKOS.prefLabel, None),
            (VM, SKOS.prefLabel, english("Docker image")),
            "a preferred label belongs to one concept",
        ),
        ((DOCKER, SKOS.definition, None), None, "a concept has one definition"),
        ((DOCKER, SKOS.notation, None), None, "a concept has its id"),
        ((DOCKER, SKOS.inScheme, None), None, "a concept is in the scheme"),
        ((DOCKER, DCTERMS.source, None), None, "a concept has a source"),
        ((None, DCTERMS.title, english("OCI image specification")), None, "a source has a title"),
        ((DOCKER, SKOS.scopeNote, None), None, "a concept tells its context"),
        ((name("image"), SKOS.member, DOCKER), None, "a concept belongs to a word and to a context"),
        (None, (SIF, SKOS.broader, name("nothing")), "what is broader exists"),
        (None, (SIF, SKOS.narrower, name("nothing")), "what is narrower exists"),
        (None, (SIF, SKOS.related, name("nothing")), "what is related exists"),
        ((None, SKOS.narrower, SIF), None, "narrower is broader the other way"),
        ((DOCKER, SKOS.related, ENGINE), None, "related holds both ways"),
        (None, (SIF, SKOS.related, name("image/apptainer")), "what is above is not beside"),
        (None, (name("image/apptainer"), SKOS.related, SIF), "what is below is not beside"),
        ((SIF, SKOS.broader, None), None, "OrConstraintComponent"),
        (None, (name("image/apptainer"), SKOS.broader, SIF), "nothing is broader than itself"),
        (None, (DOCKER, RDF.type, SKOS.Collection), "NotConstraintComponent"),
        (None, (SCHEME, RDF.type, SKOS.Concept), "NotConstraintComponent"),
        ((SCHEME, DCTERMS.title, None), None, "the scheme has a title"),
        ((SCHEME, DCTERMS.license, None), None, "the scheme has a licence"),
        ((SCHEME, SKOS.hasTopConcept, None), None, "the scheme has top concepts"),
        ((name("image"), RDFS.label, None), None, "a collection has a label"),
        (None, (name("image"), SKOS.member, name("nothing")), "what is in a collection exists"),
        ((name("hub"), DCTERMS.isReplacedBy, None), None, "what was renamed leads to what it is now"),
        (None, (name("hub"), DCTERMS.isReplacedBy, name("nothing")), "what was renamed leads to what it is now"),
        ((name("hub"), OWL.deprecated, None), None, "what was renamed is deprecated"),
        (None, (name("hub"), RDF.type, SKOS.Concept), "NotConstraintComponent"),
    ],
)
def test_the_shapes_see_what_is_wrong(graph: Graph, gone: Triple | None, come: Triple | None, said: str) -> None:
    before = set(graph)
    if gone:
        graph.remove(gone)
    if come:
        graph.add(come)

    assert set(graph) != before
    assert said in complaints(graph)


# The schema


def test_the_published_schema_is_current() -> None:
    published = REPOSITORY / "data/schemas/glossary.schema.json"
    assert published.read_text() == glossary_schema(), "run: python -m lading.glossary.schema"


def test_the_schema_is_written_where_it_is_published(workshop: Workshop) -> None:
    write_schema(workshop.catalogue)
    assert (workshop.root / "data/schemas/glossary.schema.json").read_text() == glossary_schema()


def test_the_schema_accepts_what_the_loader_accepts() -> None:
    schema = json.loads(glossary_schema())
    plain = json.loads(json.dumps(document_of(SMALL).data, default=str))

    jsonschema.validate(plain, schema)
    plain["concepts"]["sif"]["senses"]["apptainer"]["prefers"] = "SIF"
    with pytest.raises(jsonschema.ValidationError, match="prefers"):
        jsonschema.validate(plain, schema)
