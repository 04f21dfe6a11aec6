"""Findings in texts: which word, where, what it can mean, and what to write instead."""

import pytest

from lading.glossary.examples import example_problems
from lading.glossary.fix import mended
from lading.glossary.lint import Finding, check, lint
from lading.glossary.markdown import read_markdown
from tests.glossary.small import SMALL, loaded_of

LOADED = loaded_of()


def findings(text: str, *contexts: str) -> list[Finding]:
    marker = f"/// contexts | {', '.join(contexts)}\n\n" if contexts else ""
    return check(LOADED, read_markdown(marker + text, "docs/page.md"))


def codes(text: str, *contexts: str) -> list[tuple[str, str]]:
    return [(finding.code, finding.word) for finding in findings(text, *contexts)]


def test_a_bare_word_is_refused_where_the_page_leaves_two_readings() -> None:
    (finding,) = findings("Start it from the image.", "docker", "apptainer")

    assert (finding.code, finding.line, finding.column) == ("ambiguous", 3, 19)
    assert finding.say == ("Docker image", "Apptainer image")
    assert str(finding) == (
        "docs/page.md:3:19: ambiguous: 'image' can mean 2 things here; write 'Docker image' or 'Apptainer image', "
        "or declare which context it is in.\n"
        "    Docker, Podman and the OCI: Docker image: Layers and a manifest that an engine makes containers from.\n"
        "    Apptainer: Apptainer image: A root file system that is run as one file or one folder."
    )


def test_a_word_without_a_context_can_mean_all_that_it_means_anywhere() -> None:
    (finding,) = findings("Start it from the image.")

    assert [term for _, term, _ in finding.readings] == ["Docker image", "Apptainer image", "VM image"]


@pytest.mark.parametrize(
    "text, contexts",
    [
        ("Start it from the image.", ["docker"]),
        ("Start it from the Docker image, not from the VM image.", ["docker", "apptainer"]),
        ("Images are large.", ["vm"]),
        ("A container runs.", []),
        ("Say `image`, «image», https://site.example/image and /srv/image; an image-based way.", []),
        ("> Quoted: an image.", []),
        ("```\nimage\n```", []),
        ("A [Docker image](image.md).", []),
        ("Singularity Community Edition lives.", []),
    ],
)
def test_what_is_clear_or_no_prose_is_left_alone(text: str, contexts: list[str]) -> None:
    assert codes(text, *contexts) == []


@pytest.mark.parametrize(
    "text, contexts, found",
    [
        ("Singularity and apptainer.", [], [("deprecated", "Singularity"), ("spelling", "apptainer")]),
        ("Copy the image file.", ["docker"], [("forbidden", "image file")]),
        ("Copy the image file.", ["apptainer"], []),
        ("A LIGHTWEIGHT VM", ["docker"], [("deprecated", "LIGHTWEIGHT VM")]),
        ("docker image", ["docker"], [("spelling", "docker image")]),
        ("# The image\n\n- an [image](x.md) |\n", [], [("ambiguous", "image"), ("ambiguous", "image")]),
    ],
)
def test_what_is_wrong_is_found(text: str, contexts: list[str], found: list[tuple[str, str]]) -> None:
    assert codes(text, *contexts) == found


def test_a_section_narrows_the_contexts_of_its_page() -> None:
    text = "An image.\n\n## One\n\n/// contexts | vm\n\nAn image.\n\n### Deeper\n\nAn image.\n\n## Two\n\nAn image.\n"

    assert [finding.line for finding in findings(text, "docker", "vm")] == [3, 17]


def test_a_file_can_be_in_a_context_unasked() -> None:
    assert check(LOADED, read_markdown("An image.", "docs/docker/deep/page.md")) == []
    assert check(LOADED, read_markdown("An image.", "docs/docker.md")) != []
    assert check(LOADED, read_markdown("An image.", "docs/apptainer.md")) == []
    assert check(LOADED, read_markdown("An image.", "other/docs/apptainer.md")) != []


def test_an_unknown_context_is_refused() -> None:
    (finding,) = findings("Nothing.", "doker")

    assert str(finding) == "docs/page.md:1:1: context: there is no context 'doker'; did you mean 'docker'?"


def test_an_exception_excuses_its_word_in_its_block() -> None:
    prose = read_markdown("The image. <!-- glossary ok: image | all of them are meant -->\n\nThe image.\n", "docs/p.md")

    linted = lint(LOADED, prose)

    assert [finding.line for finding in linted.findings] == [3]
    assert [finding.line for finding in linted.excused] == [1]


@pytest.mark.parametrize(
    "comment, code",
    [
        ("glossary ok: image", "no-reason"),
        ("glossary ok: registry | because", "unused"),
        ("glossary ok: image | so", None),
    ],
)
def test_an_exception_gives_a_reason_and_excepts_something(comment: str, code: str | None) -> None:
    said = [found for found, _ in codes(f"The image. <!-- {comment} -->")]

    assert [one for one in said if one != "ambiguous"] == ([code] if code else [])


def test_swaps_are_made_where_nobody_needs_to_read_the_sentence() -> None:
    text = "A lightweight VM in docker; Lightweight VM, two lightweight VMs, an image file, singularity.\n"
    marker = "/// contexts | docker\n\n"

    after, count = mended(marker + text, findings(text, "docker"))

    assert after == marker + (
        "A Docker container in docker; Docker container, two lightweight VMs, an image file, singularity.\n"
    )
    assert count == 2


def test_a_word_that_markup_divides_is_left_to_its_author() -> None:
    text = "A lightweight\nVM.\n"

    assert mended(text, findings(text, "docker"))[1] == 0


def test_each_use_says_in_which_sense() -> None:
    prose = read_markdown("/// contexts | vm\n\nAn image in a registry.\n", "docs/page.md")

    uses = [(use.entry.ref.id, use.line, use.apart) for use in lint(LOADED, prose).uses]

    assert uses == [("image/vm", 3, True), ("registry/general", 3, False)]


def example(old: str, new: str) -> list[str]:
    assert SMALL.count(old) == 1
    return [str(problem) for problem in example_problems(loaded_of(SMALL.replace(old, new)))]


def test_the_glossary_s_own_sentences_are_tried() -> None:
    assert list(example_problems(LOADED)) == []
    (said,) = example('good: ["Two SIF files, each one a SIF."]', 'good: ["Singularity reads a SIF."]')
    assert ".good[0]: the good sentence of 'sif/apptainer' is refused by a rule" in said
    (said, _) = example('bad: ["Start the lightweight VM."]', 'bad: ["Start the container."]')
    assert ".bad[0]: the bad sentence of 'container/docker' passes" in said


def test_a_rule_that_no_sentence_shows_is_refused() -> None:
    (said,) = example('        bad: ["Start the lightweight VM."]\n', "")

    assert said.endswith("no bad sentence of 'container/docker' shows the rule for 'lightweight VM'; add one.")
