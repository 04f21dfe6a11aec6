"""Files that pages include are what the role installs, and `lading page render` notices when they are not."""

import os
from pathlib import Path

import pytest

from lading.page.render import RenderedFile, mend, rendered_files
from lading.recipe.load import load_recipe
from lading.recipe.problems import InputError
from tests.workshop import Workshop

TEMPLATE = "roles/demo/templates/demo.conf.j2"
PLACE = "recipes/demo/rendered/etc/demo.conf"


def rendered(workshop: Workshop) -> list[RenderedFile]:
    return rendered_files(workshop.catalogue, [load_recipe(workshop.catalogue, "demo")])


@pytest.fixture
def made(workshop: Workshop) -> Workshop:
    """Return a catalogue whose recipe renders one file."""
    workshop.path(rendered={"etc/demo.conf": {"template": TEMPLATE, "variables": {"sizes": {"b": 2, "a": 1}}}})
    return workshop


def test_a_file_is_what_ansible_makes_of_the_template_in_the_lab(made: Workshop) -> None:
    made.write(
        f"playbooks/{TEMPLATE}",
        "colour = {{ demo_colour }}\n"
        "{% for name, size in sizes | dictsort %}\n"
        "  {{ name }} = {{ size }}\n"
        "{% endfor %}\n"
        "    {% if 'no' | bool %}\n"
        "never\n"
        "    {% endif %}\n"
        "{# a comment #}\n"
        "ends with an empty line: ä\n\n",
    )
    (one,) = rendered(made)
    assert one.wanted == "colour = blue\n  a = 1\n  b = 2\n    ends with an empty line: ä\n\n"
    assert (one.shown, one.found, one.stale) == (PLACE, None, True)
    assert str(one) == f"{PLACE}: this file is missing, or is only a link."


def test_mending_makes_all_fresh_and_removes_what_nothing_renders(made: Workshop) -> None:
    made.write(PLACE, "colour=pink\n")
    stray = made.write("recipes/demo/rendered/etc/stray.conf", "x\n")
    (made.root / "recipes/demo/rendered/link").symlink_to("/etc/hostname")
    files = rendered(made)
    assert [str(one) for one in files] == [
        f"{PLACE}: this is not what the template comes to.",
        "recipes/demo/rendered/etc/stray.conf: nothing in recipe.yml renders this file.",
        "recipes/demo/rendered/link: nothing in recipe.yml renders this file.",
    ]
    mend(files)
    assert (made.root / PLACE).read_text() == "colour=blue\n"
    assert not stray.exists()
    assert [one.stale for one in rendered(made)] == [False]


def test_a_file_that_is_a_link_is_no_rendered_file(made: Workshop) -> None:
    made.write("elsewhere", "colour=blue\n")
    (made.root / PLACE).parent.mkdir(parents=True)
    (made.root / PLACE).symlink_to(os.path.relpath(made.root / "elsewhere", (made.root / PLACE).parent))
    (one,) = rendered(made)
    assert one.stale
    mend([one])
    assert (made.root / "elsewhere").read_text() == "colour=blue\n"
    assert not (made.root / PLACE).is_symlink()


def test_every_template_that_cannot_be_rendered_is_named_with_its_line(made: Workshop) -> None:
    made.path(rendered={
        "etc/a": {"template": TEMPLATE},
        "etc/b": {"template": "roles/demo/templates/b.j2"},
        "etc/c": {"template": "roles/demo/templates/c.j2"},
    })  # fmt: skip
    made.write("playbooks/roles/demo/templates/b.j2", "{{ nobody_says }}\n")
    made.write("playbooks/roles/demo/templates/c.j2", "{% if %}\n")
    with pytest.raises(InputError) as caught:
        rendered(made)
    first, second = caught.value.problems
    text = (made.root / "recipes/demo/recipe.yml").read_text()
    assert first.line == text[: text.index("etc/b:")].count("\n") + 1
    assert first.field == "rendered.etc/b"
    assert "'nobody_says' is undefined" in first.sentence
    assert second.field == "rendered.etc/c"
    assert "Expected an expression" in second.sentence


@pytest.mark.parametrize("name, sentence", [("none.j2", "does not exist"), ("link.j2", "leads out of 'playbooks/'")])
def test_a_template_stands_in_the_playbooks(made: Workshop, name: str, sentence: str) -> None:
    made.path(rendered={"etc/a": {"template": f"roles/demo/templates/{name}"}})
    (made.root / "playbooks/roles/demo/templates/link.j2").symlink_to(Path("/etc/hostname"))
    with pytest.raises(InputError, match=sentence):
        rendered(made)


def test_without_rendered_files_ansible_does_not_even_start(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lading.process.run", lambda *_, **__: pytest.fail("it was started"))
    assert rendered(workshop) == []
