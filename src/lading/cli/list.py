"""`lading list`: every path, and how well it is proven where."""

from collections.abc import Iterator
from typing import Any

import click
from rich.text import Text

from lading.cli.main import Settings
from lading.cli.render import console, examples, print_json, print_table, seconds_text, status_data, today, verdict_text
from lading.evidence.status import Status, status
from lading.evidence.tree import Tree
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe, load_all

COLUMNS = ("PATH", "KIND", "ADVICE", "PLATFORM", "VERDICT", "DATE", "TOOK", "REASON")


@click.command(
    "list",
    epilog=examples(
        "lading list", "lading list --json | jq -r '.[] | select(.platforms.debian13.verdict == \"proven\") | .id'"
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects instead of a table.")
@click.pass_obj
def list_paths(settings: Settings, as_json: bool) -> None:
    """List the paths and how well each is proven.

    A verdict is 'proven' (nothing changed since, and younger than 30 days), 'stale' (an input of the proof changed),
    'old', 'failed' or 'not-verified'.
    """
    catalogue = settings.catalogue
    tree = Tree(catalogue.root)
    found = [(loaded, statuses(catalogue, loaded, tree)) for loaded in load_all(catalogue).values()]
    if as_json:
        print_json([path_data(catalogue, loaded, known) for loaded, known in found])
        return
    print_table(console(), COLUMNS, (row for loaded, known in found for row in _rows(loaded, known)))


def statuses(catalogue: Catalogue, loaded: LoadedRecipe, tree: Tree) -> dict[str, Status]:
    """Return a path's status on each platform that its recipe names, in the recipe's order."""
    day = today()
    return {name: status(catalogue, loaded, name, today=day, tree=tree) for name in loaded.recipe.platforms}


def path_data(catalogue: Catalogue, loaded: LoadedRecipe, known: dict[str, Status]) -> dict[str, Any]:
    """Return a path as `--json` shows it; `page` is relative to the catalogue."""
    return {
        "id": loaded.id,
        "kind": loaded.recipe.kind,
        "advice": loaded.recipe.advice,
        "title": loaded.recipe.title,
        "page": str(loaded.page.relative_to(catalogue.root)),
        "platforms": {name: status_data(found) for name, found in known.items()},
    }


def _rows(loaded: LoadedRecipe, known: dict[str, Status]) -> Iterator[tuple[str | Text, ...]]:
    about: tuple[str, ...] = (loaded.id, loaded.recipe.kind, loaded.recipe.advice)
    for name, found in known.items():
        yield (*about, *platform_cells(name, found))


def platform_cells(name: str, found: Status) -> tuple[str | Text, ...]:
    """Return the cells of a table that tell a status: platform, verdict, date, length, reason."""
    day = found.date.isoformat() if found.date else "-"
    return name, verdict_text(found), day, seconds_text(found.seconds), found.reason or ""
