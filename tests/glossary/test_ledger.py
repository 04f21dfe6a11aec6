"""Published ids: none vanishes, and a renamed one forwards."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.glossary.ledger import FILE, ids_of, missing, problems, publish, published, taken_away, vanished, way_of
from lading.project import Catalogue
from tests.glossary.small import LEDGER_TEXT, SMALL, document_of, loaded_of, write_small
from tests.workshop import REPOSITORY, Workshop

GLOSSARY = loaded_of().glossary


def said(glossary: str = SMALL, ledger: str = LEDGER_TEXT) -> list[str]:
    loaded = loaded_of(glossary)
    return [str(problem) for problem in problems(loaded.document, loaded.glossary, ledger, FILE)]


def line_of(text: str, part: str) -> int:
    """Return the line in which a part of a text begins."""
    return text[: text.index(part)].count("\n") + 1


def without(name: str) -> str:
    return LEDGER_TEXT.replace(f"{name}\n", "", 1)


def test_a_published_glossary_has_no_problem() -> None:
    assert said() == []


def test_a_concept_and_each_of_its_senses_have_an_id_even_if_there_is_one() -> None:
    assert {"image", "image/docker", "image/apptainer", "image/vm", "sif", "sif/apptainer"} <= ids_of(GLOSSARY)
    assert len(ids_of(GLOSSARY)) == 15


def test_a_new_sense_asks_to_be_published_where_it_stands() -> None:
    line = line_of(SMALL, "      vm:\n")

    assert missing(GLOSSARY, without("image/vm").split()) == ["image/vm"]
    assert said(ledger=without("image/vm")) == [
        (
            f"glossary.yml:{line}: concepts.image.senses.vm: 'image/vm' is not in '{FILE}'; "
            "'lading glossary publish' writes new ids there."
        )
    ]


def test_a_new_concept_and_its_senses_are_one_problem() -> None:
    line = line_of(SMALL, "  sif:\n")

    assert said(ledger=LEDGER_TEXT.replace("sif\nsif/apptainer\n", "")) == [
        (
            f"glossary.yml:{line}: concepts.sif: 'sif', 'sif/apptainer' are not in '{FILE}'; "
            "'lading glossary publish' writes new ids there."
        )
    ]


def test_a_published_id_that_is_gone_is_told_with_its_line_in_the_list() -> None:
    ledger = LEDGER_TEXT.replace("sif\n", "sandbox\nsif\n")

    assert vanished(GLOSSARY, ledger.split()) == ["sandbox"]
    assert said(ledger=ledger) == [
        (
            f"{FILE}:{line_of(ledger, 'sandbox')}: 'sandbox' was published and is gone: "
            "bring it back, or say under 'renamed' in 'glossary.yml' what it is called now."
        )
    ]


def test_a_renamed_id_may_be_gone() -> None:
    glossary = SMALL.replace("renamed:\n", "renamed:\n  sandbox: image/apptainer\n")

    assert said(glossary, LEDGER_TEXT.replace("sif\n", "sandbox\nsif\n")) == []


@pytest.mark.parametrize(
    "renamed, sentence",
    [
        ("hub: registri", "renamed.hub: 'hub' forwards to 'registri', which is no id of the glossary; did you mean "),
        ("hub: image/kernel", "'hub' forwards to 'image/kernel', which is no id of the glossary"),
        ("hub: store", "renamed.hub: the new names go in a circle: 'hub' → 'store' → 'hub'."),
        ("hub: hub", "renamed.hub: the new names go in a circle: 'hub' → 'hub'."),
        ("hub: registry\n  sif: hub", "renamed.sif: 'sif' is renamed to 'hub', and still an id of the glossary"),
        ("hub: registry\n  depot: hub", f"renamed.depot: 'depot' is not in '{FILE}': what was never published"),
    ],
)
def test_a_new_name_that_leads_nowhere_is_refused_with_both_sides(renamed: str, sentence: str) -> None:
    glossary = SMALL.replace("hub: registry", renamed)
    found = said(glossary)

    assert len(found) == 1
    assert sentence in found[0]
    assert found[0].startswith(f"glossary.yml:{line_of(glossary, renamed.splitlines()[-1])}: renamed.")


def test_a_circle_is_told_once_however_one_comes_into_it() -> None:
    glossary = SMALL.replace("  hub: registry\n  store: hub\n", "  depot: hub\n  hub: store\n  store: hub\n")
    found = said(glossary, LEDGER_TEXT.replace("engine\n", "depot\nengine\n"))

    assert len(found) == 1
    assert "'hub' → 'store' → 'hub'" in found[0]


def test_names_are_followed_to_the_end() -> None:
    assert way_of(GLOSSARY.renamed, "store") == ["store", "hub", "registry"]
    assert way_of(GLOSSARY.renamed, "image") == ["image"]


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdef")), st.sampled_from("abcdef"))
def test_following_names_ends_at_an_end_or_where_it_was(renamed: dict[str, str], start: str) -> None:
    way = way_of(renamed, start)

    assert way[0] == start
    assert all(renamed[old] == new for old, new in itertools.pairwise(way))
    assert len(set(way[:-1])) == len(way) - 1
    assert way[-1] not in renamed or way[-1] in way[:-1]


@pytest.mark.parametrize(
    "ledger, line, sentence",
    [
        ("Image\n" + LEDGER_TEXT, 1, "'Image' is no id; each line holds one, like 'image' or 'image/docker'."),
        ("\n" + LEDGER_TEXT, 1, "'' is no id;"),
        (LEDGER_TEXT + "image\n", 18, "'image' stands after 'store', but every id stands here once, sorted;"),
        (LEDGER_TEXT + "store\n", 18, "'store' stands after 'store', but every id stands here once, sorted;"),
    ],
)
def test_a_list_that_is_no_sorted_list_of_ids_is_refused_with_the_line(ledger: str, line: int, sentence: str) -> None:
    found = said(ledger=ledger)

    assert len(found) == 1
    assert found[0].startswith(f"{FILE}:{line}: {sentence}")


def test_ids_that_the_site_could_not_tell_apart_are_refused_with_both_named() -> None:
    glossary = SMALL.replace("  sif:\n", "  image-docker:\n").replace("[sif]", "[image-docker]")
    found = said(
        glossary, LEDGER_TEXT.replace("image/apptainer\n", "image-docker\nimage-docker/apptainer\nimage/apptainer\n")
    )

    assert any(
        "'image-docker', 'image/docker' would share the anchor '#image-docker' on the site" in one for one in found
    )


def test_publishing_adds_what_is_new_and_takes_nothing_away(workshop: Workshop) -> None:
    write_small(workshop)
    workshop.write(FILE, "hub\nsandbox\nimage\nsif\nsif/apptainer\nstore\n")

    assert publish(workshop.catalogue, GLOSSARY) == sorted(ids_of(GLOSSARY) - {"image", "sif", "sif/apptainer"})
    lines = (workshop.root / FILE).read_text().splitlines()
    assert lines == sorted([*LEDGER_TEXT.split(), "sandbox"])
    assert publish(workshop.catalogue, GLOSSARY) == []
    assert said(ledger=(workshop.root / FILE).read_text().replace("sandbox\n", "")) == []


def test_the_first_publishing_makes_the_list(workshop: Workshop) -> None:
    assert published(workshop.catalogue) == frozenset()
    assert publish(workshop.catalogue, GLOSSARY) == sorted(ids_of(GLOSSARY))
    assert published(workshop.catalogue) == ids_of(GLOSSARY)


def test_an_id_that_any_commit_had_cannot_be_taken_from_the_list(workshop: Workshop) -> None:
    assert taken_away(workshop.catalogue) == []
    write_small(workshop)
    assert taken_away(workshop.catalogue) == []
    workshop.commit()
    workshop.write(FILE, without("hub"))
    assert taken_away(workshop.catalogue) == ["hub"]
    workshop.commit()
    assert taken_away(workshop.catalogue) == ["hub"], "a commit makes it no better"
    workshop.write(FILE, LEDGER_TEXT)
    assert taken_away(workshop.catalogue) == []


def test_an_id_that_a_merge_lost_is_missed(workshop: Workshop) -> None:
    write_small(workshop)
    workshop.commit()
    workshop.git("checkout", "-q", "-b", "side")
    workshop.write(FILE, LEDGER_TEXT + "vm\n")
    workshop.commit()
    workshop.git("checkout", "-q", "main")
    workshop.write("README.md", "more\n")
    workshop.commit()
    workshop.git("merge", "-q", "--no-commit", "side")
    workshop.write(FILE, LEDGER_TEXT)
    workshop.commit()

    assert taken_away(workshop.catalogue) == ["vm"]


def test_no_id_was_taken_from_the_list_of_this_repository() -> None:
    assert taken_away(Catalogue(REPOSITORY)) == []


def test_a_list_outside_of_git_has_lost_nothing_that_can_be_told(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(workshop.root / "nowhere"))
    write_small(workshop)

    assert taken_away(workshop.catalogue) == []


def test_the_document_of_the_small_glossary_knows_its_lines() -> None:
    assert document_of(SMALL).line(("renamed", "hub")) == line_of(SMALL, "  hub:")
