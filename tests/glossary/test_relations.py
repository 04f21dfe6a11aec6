"""What a glossary may not say: each refusal names its line and both sides."""

import pytest

from lading.glossary.relations import broader_of, relation_problems
from tests.glossary.small import SMALL, loaded_of


def problems(*changes: tuple[str, str]) -> list[str]:
    text = SMALL
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
        text = text.replace(old, new)
    return [str(problem) for problem in relation_problems(loaded_of(text))]


def line(needle: str, text: str = SMALL) -> int:
    return text[: text.index(needle)].count("\n") + 1


def test_a_sound_glossary_has_no_problem() -> None:
    assert problems() == []


def test_two_concepts_may_not_claim_one_preferred_term_in_one_context() -> None:
    said = problems(("preferred: SIF\n", "preferred: Apptainer image\n"), ("exact: [SIF]\n", "note: Its name.\n"))

    here, there = (
        line("      apptainer:\n        definition: The format"),
        line("      apptainer:\n        definition: A root"),
    )
    assert said[0] == (
        f"glossary.yml:{here}: concepts.sif.senses.apptainer: both 'sif/apptainer' (preferred) and 'image/apptainer' "
        f"(line {there}) (preferred) claim the preferred term 'Apptainer image' in the context 'apptainer'; "
        "qualify one of them."
    )


def test_two_senses_without_a_context_may_not_share_a_form() -> None:
    said = problems(("{registry: [registries]}", "{registry: [engines]}"))

    assert len(said) == 1
    assert "both 'engine/general' (admitted) and 'registry/general' (line " in said[0]
    assert "claim 'engines' without a context; qualify one of them." in said[0]


def test_a_word_cannot_be_right_and_wrong_in_one_sense() -> None:
    said = problems(("          Singularity:\n            say", "          Apptainer:\n            say"))

    assert "'apptainer/general' has 'Apptainer' twice: as preferred and as deprecated." in said[-1]


def test_a_preferred_term_says_which_sense_is_meant() -> None:
    said = problems(("admitted: [image, image file]", "admitted: [image, image file, VM image]"))

    assert len(said) == 1
    assert "the preferred term 'VM image' of 'image/vm' is admitted for 'image/apptainer' (line " in said[0]


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        (
            "related: [registry, engine]",
            "related: [registy]",
            "'image/docker' is related to 'registy', which is no concept or sense; did you mean 'registry'?",
        ),
        (
            "broader: container/general",
            "broader: container/vm",
            "'container/docker' is related to 'container/vm', which is no concept or sense",
        ),
        ("      vm:\n", "      vms:\n", "'contexts' has no 'vms'; did you mean 'vm'?"),
        (
            "source: renaming}",
            "source: aptainer-manual}",
            "'sources' has no 'aptainer-manual'; did you mean 'apptainer-manual'?",
        ),
        ("exact: [SIF]", "exact: [SIFF]", "'sif/apptainer' has no term 'SIFF'; did you mean 'SIF'?"),
        (
            "{SIF file: [SIF files]}",
            "{SIF folder: [SIF folders]}",
            "'sif/apptainer' has no term 'SIF folder'; did you mean 'SIF file'?",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(old: str, new: str, sentence: str) -> None:
    said = problems((old, new))

    assert any(sentence in problem for problem in said), said
    assert all(problem.startswith("glossary.yml:") for problem in said)


@pytest.mark.parametrize(
    "say, sentence",
    [
        ("Singularity", "'Singularity', but that is deprecated in 'apptainer/general' (line "),
        ("Aptainer", "'Aptainer', which is no term of the glossary; did you mean 'apptainer'?"),
        ("image", "'image', which can mean 'image/docker' (line 49) and 'image/apptainer' (line "),
    ],
)
def test_a_replacement_has_to_be_a_word_that_can_be_written(say: str, sentence: str) -> None:
    said = problems(("            say: Apptainer\n", f"            say: {say}\n"))

    assert len(said) == 1
    assert f"'Singularity' is to be replaced by {sentence}" in said[0]


def test_replacements_may_not_lead_in_a_circle() -> None:
    banned = "        admitted: [SIF file]\n        forbidden:\n"
    other = banned + "          one: {say: two, because: So.}\n          two: {say: one, because: So.}\n"
    said = problems(("        admitted: [SIF file]\n", other))

    assert len(said) == 2
    assert "'one' is to be replaced by 'two', but that is forbidden in 'sif/apptainer' (line " in said[0]
    assert "so the two lead in a circle." in said[0]


def test_broader_terms_may_not_lead_in_a_circle() -> None:
    loop = ("preferred: Apptainer image\n", "preferred: Apptainer image\n        broader: sif\n")

    said = problems(loop)

    assert len(said) == 1
    assert "the broader terms go in a circle: image/apptainer → sif/apptainer → image/apptainer." in said[0]


def test_a_concept_with_several_senses_is_no_broader_term_if_none_of_them_fits() -> None:
    said = problems(("preferred: registry\n", "preferred: registry\n        broader: image\n"))

    assert len(said) == 1
    assert said[0].endswith("'image' has several senses; name one of 'image/docker', 'image/apptainer', 'image/vm'.")


def test_a_concept_with_several_senses_stands_for_the_one_of_the_same_context_or_the_general_one() -> None:
    broader = broader_of(
        loaded_of(
            SMALL.replace("preferred: Apptainer image\n", "preferred: Apptainer image\n        broader: container\n")
        )
    )

    assert broader["sif/apptainer"] == "image/apptainer"
    assert broader["image/apptainer"] == "container/general"
