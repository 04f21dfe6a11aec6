"""Which files of a catalogue hold prose, and as what each is read."""

from pathlib import Path

import pytest

from lading.errors import UsageError
from lading.glossary.files import files_of, read
from lading.project import Catalogue
from lading.recipe.problems import InputError

TASKS = "- name: Take the image\n"


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    for name, text in {
        "README.md": "Read the image.",
        "NOTES.md": "No.",
        "docs/a/b.md": "A page.",
        "docs/a/b.txt": "No.",
        "docs/.drafts/c.md": "No.",
        "recipes/demo/recipe.yml": "title: Demo\n",
        "recipes/demo/other.yml": "title: No\n",
        "playbooks/demo.yml": TASKS,
        "playbooks/roles/demo/tasks/main.yml": TASKS,
        "playbooks/roles/demo/README.md": "A role.",
        "playbooks/roles/demo/files/x.md": "No.",
        "glossary.yml": "concepts: {image: {senses: {vm: {definition: A disk.}}}}\n",
        "mkdocs.yml": "site_name: No\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Catalogue(tmp_path)


def test_the_files_with_prose_are_found_in_their_order(catalogue: Catalogue) -> None:
    assert [file.relative_to(catalogue.root).as_posix() for file in files_of(catalogue)] == [
        "README.md",
        "docs/a/b.md",
        "glossary.yml",
        "playbooks/demo.yml",
        "playbooks/roles/demo/README.md",
        "playbooks/roles/demo/tasks/main.yml",
        "recipes/demo/recipe.yml",
    ]


def test_each_file_is_read_as_what_it_is(catalogue: Catalogue) -> None:
    texts = [read(catalogue, file) for file in files_of(catalogue)]
    assert {prose.file: prose.parts[0].text for prose in texts} == {
        "README.md": "Read the image.",
        "docs/a/b.md": "A page.",
        "glossary.yml": "A disk.",
        "playbooks/demo.yml": "Take the image",
        "playbooks/roles/demo/README.md": "A role.",
        "playbooks/roles/demo/tasks/main.yml": "Take the image",
        "recipes/demo/recipe.yml": "Demo",
    }


def test_a_file_from_elsewhere_is_named_in_full(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("elsewhere") / "tasks.yml"
    file.write_text(TASKS)
    prose = read(catalogue, file)
    assert prose.file == str(file)
    assert prose.parts[0].text == "Take the image"


def test_a_file_is_found_from_the_folder_that_one_is_in(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(catalogue.docs)
    assert read(catalogue, Path("a/b.md")).file == "docs/a/b.md"


@pytest.mark.parametrize("name", ["mkdocs.yml", "docs/a/b.txt", "recipes/demo/other.yml"])
def test_a_file_that_holds_no_prose_is_refused(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}'"):
        read(catalogue, catalogue.root / name)


def test_a_file_that_is_missing_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(InputError, match=r"docs/none\.md"):
        read(catalogue, catalogue.docs / "none.md")


def test_a_file_that_is_no_text_is_refused_with_its_line(catalogue: Catalogue) -> None:
    (catalogue.docs / "bad.md").write_bytes(b"One\nTwo \xff")
    with pytest.raises(InputError, match=r"docs/bad\.md:2"):
        read(catalogue, catalogue.docs / "bad.md")
