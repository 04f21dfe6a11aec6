"""Words found in texts, and the senses that contexts leave of them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.glossary.model import Ban, Sense
from lading.glossary.words import SenseRef, Words, folded, resolve


def sense(context: str, preferred: str, *admitted: str, concept: str = "image", **more: object) -> SenseRef:
    said = {"definition": f"What {preferred} is.", "preferred": preferred, "admitted": list(admitted), **more}
    return SenseRef(concept, context, Sense.model_validate(said))


DOCKER = sense("docker", "Docker image", "image", forms={"Docker image": ["Docker images"], "image": ["images"]})
APPTAINER = sense("apptainer", "SIF image", "image", "SIF", forms={"image": ["images"]}, exact=["SIF"])
GENERAL = sense("general", "container", concept="container")
INSIDE = sense("docker", "Docker container", "container", concept="container")
OLD = sense(
    "general",
    "Apptainer",
    concept="apptainer",
    deprecated={
        "Singularity": Ban(say="Apptainer", because="it was renamed", unless=["Singularity 3", "old Singularity"])
    },
)
WORDS = Words([DOCKER, APPTAINER, GENERAL, INSIDE, OLD])


def found(text: str) -> list[str]:
    return [occurrence.text for occurrence in WORDS.occurrences(text)]


def meant(word: str, *contexts: str) -> tuple[list[str], list[str]]:
    reading = resolve(WORDS.find(word), contexts)
    return [entry.ref.id for entry in reading.usable], [entry.ref.id for entry in reading.banned]


@pytest.mark.parametrize(
    "text, words",
    [
        ("An image, two images; IMAGE!", ["image", "images", "IMAGE"]),
        ("A Docker image is an image.", ["Docker image", "image"]),
        ("docker images", ["docker images"]),
        ("(image)", ["image"]),
        ("the image's layers", ["image"]),
        ("imagery, reimaged, image_name, image2", []),
        ("an image-based way, a non-image", []),
        ("image - or not", ["image"]),
        ("image-", ["image"]),
        ("a Docker imagery image", ["image"]),
        ("İstanbul's image", ["image"]),
        ("a SIF, not a sif", ["SIF"]),
        ("Singularity, Singularity 3 and an old Singularity", ["Singularity"]),
        ("", []),
    ],
)
def test_the_longest_word_is_found_where_it_stands_alone(text: str, words: Sequence[str]) -> None:
    assert found(text) == words


def test_a_glossary_without_words_finds_none() -> None:
    assert Words([]).occurrences("An image.") == []


@pytest.mark.parametrize(
    "contexts, usable",
    [
        (["docker"], ["image/docker"]),
        (["apptainer", "batch"], ["image/apptainer"]),
        (["docker", "apptainer"], ["image/docker", "image/apptainer"]),
        (["batch"], ["image/docker", "image/apptainer"]),
        ([], ["image/docker", "image/apptainer"]),
    ],
)
def test_contexts_leave_the_senses_that_are_theirs(contexts: Sequence[str], usable: Sequence[str]) -> None:
    assert meant("image", *contexts) == (usable, [])


def test_a_general_sense_holds_where_there_is_no_narrower_one() -> None:
    assert meant("container", "batch") == (["container/general"], [])
    assert meant("container", "docker") == (["container/docker"], [])


def test_a_ban_holds_in_its_own_context_and_a_general_one_everywhere() -> None:
    here = sense(
        "cvmfs", "image tree", concept="tree", forbidden={"chroot": Ban(say="image tree", because="it is none")}
    )
    words = Words([here, sense("kernel", "chroot", concept="chroot")])

    assert [entry.ref.id for entry in resolve(words.find("chroot"), ["cvmfs"]).banned] == ["tree/cvmfs"]
    assert [entry.ref.id for entry in resolve(words.find("chroot"), ["batch"]).usable] == ["chroot/kernel"]
    assert not resolve(words.find("chroot"), ["batch"]).banned
    assert meant("Singularity", "batch") == ([], ["apptainer/general"])


def test_a_local_term_means_nothing_where_its_context_is_not_declared() -> None:
    here = sense("lading", "stage of a proof", "stage", concept="stage", local=["stage"])
    words = Words([here])

    assert resolve(words.find("stage"), ["lading"]).usable
    assert not resolve(words.find("stage"), ["batch"]).usable
    assert not resolve(words.find("stage"), []).usable
    assert resolve(words.find("stage of a proof"), ["batch"]).usable


@given(st.text())
def test_folding_keeps_every_position(text: str) -> None:
    assert len(folded(text)) == len(text)


@given(st.lists(st.sampled_from(["image", "Docker image", "docker", "Container", "x", ", ", " ", "-", "\ufffc"])))
def test_words_never_overlap_and_say_what_stands_there(pieces: list[str]) -> None:
    text = "".join(pieces)
    reached = 0
    for occurrence in WORDS.occurrences(text):
        assert occurrence.start >= reached
        assert text[occurrence.start : occurrence.end] == occurrence.text
        reached = occurrence.end
