"""The files that hold prose, and each one read as what it is."""

from pathlib import Path
from typing import Final

from lading.errors import UsageError
from lading.glossary.markdown import read_markdown
from lading.glossary.prose import Prose
from lading.glossary.yamltext import read_ansible, read_glossary, read_recipe
from lading.project import Catalogue
from lading.recipe.yamlfile import read_text

GLOSSARY: Final = "glossary.yml"
PATTERNS: Final = (
    "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/**/*.md", "recipes/*/recipe.yml",
    "playbooks/**/*.yml", "playbooks/**/README.md", GLOSSARY,
)  # fmt: skip


def files_of(catalogue: Catalogue) -> list[Path]:
    """Return every file of a catalogue that holds prose, sorted; what is hidden is left out."""
    found = {file for pattern in PATTERNS for file in catalogue.root.glob(pattern) if file.is_file()}
    return sorted(file for file in found if not _is_hidden(file.relative_to(catalogue.root)))


def read(catalogue: Catalogue, file: Path) -> Prose:
    """Return the prose of a file, which is named from the catalogue's top if it is in it.

    Raises:
        UsageError: it is no file that can be read for prose.
        InputError: it cannot be read, or is not YAML where it should be.
    """
    place = _place(catalogue, file)
    text = read_text(file, place.as_posix())
    if place.suffix == ".md":
        return read_markdown(text, place.as_posix())
    if place.name == GLOSSARY:
        return read_glossary(text, place.as_posix())
    if place.name == "recipe.yml":
        return read_recipe(text, place.as_posix())
    if place.suffix in (".yml", ".yaml") and (place.is_absolute() or place.parts[0] == "playbooks"):
        return read_ansible(text, place.as_posix())
    raise UsageError(
        f"'{place.as_posix()}' is not read for words: it is no Markdown, recipe, playbook or glossary.",
        hint="Name a file below 'docs/' or 'playbooks/', a 'recipe.yml', 'glossary.yml' or any '.md' file.",
    )


def _place(catalogue: Catalogue, file: Path) -> Path:
    whole = file.resolve()
    return whole.relative_to(catalogue.root.resolve()) if whole.is_relative_to(catalogue.root.resolve()) else whole


def _is_hidden(place: Path) -> bool:
    return any(part.startswith(".") for part in place.parts)
