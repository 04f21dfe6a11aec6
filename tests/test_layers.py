"""Imports between lading's packages run in one direction."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lading

LAYERS = [
    {"errors", "janitor", "narrator", "process", "project", "redact", "sizes"},
    {"recipe"},
    {"page"},
    {"lab"},
    {"checks"},
    {"routes"},
    {"state"},
    {"evidence"},
    {"glossary"},
    {"proof"},
    {"site"},
    {"cli"},
]
"""From the bottom up. A module imports from its own layer and from those before it."""

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
ROOT = Path(lading.__file__).parent


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and full name of every import, those inside functions and for type checkers too.

    `from lading import x` counts as `lading.x`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: relative imports hide where they lead"
            names = [f"lading.{alias.name}" for alias in node.names] if node.module == "lading" else [node.module or ""]
            yield from ((node.lineno, name) for name in names)


def upward(own: str, source: str) -> list[str]:
    """Return the imports that lead from a module of layer `own` to a higher one, with their lines."""
    inside = ((line, name.split(".")[1]) for line, name in imported(source) if name.startswith("lading."))
    return [
        f"line {line}: '{own}' imports '{target}'"
        for line, target in inside
        if target in LEVEL and LEVEL[target] > LEVEL[own]
    ]


def test_every_package_has_its_layer() -> None:
    names = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))}

    assert names - {"__init__"} <= LEVEL.keys()


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_module_imports_nothing_from_above(file: Path) -> None:
    place = file.relative_to(ROOT).with_suffix("").parts
    if place != ("__init__",):
        assert upward(place[0], file.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import lading.proof.run",
        "from lading import cli",
        "from lading.site.strip import Strip",
        "def late():\n    from lading.evidence import model",
    ],
)
def test_an_import_from_above_is_found_wherever_it_stands(source: str) -> None:
    assert upward("lab", source)


def test_imports_from_below_and_of_others_are_welcome() -> None:
    source = "import os\nfrom lading import __version__, lab\nfrom lading.recipe.load import load_all\n"

    assert upward("lab", source) == []
