"""`lading show`: one path, all that its recipe says and how well it is proven."""

import click
from rich.console import Console

from lading.cli.list import path_data, platform_cells, statuses
from lading.cli.main import Settings
from lading.cli.render import clean, console, examples, print_json, print_table
from lading.evidence.status import Status
from lading.evidence.tree import Tree
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe, load_recipe
from lading.recipe.requirements import load_requirements


@click.command(
    epilog=examples(
        "lading show apptainer-unprivileged", "lading show apptainer-unprivileged --json | jq .recipe.variables"
    )
)
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="Print an object instead of text.")
@click.pass_obj
def show(settings: Settings, path: str, as_json: bool) -> None:
    """Show one path: what it is for, where its parts are, and how well it is proven."""
    catalogue = settings.catalogue
    loaded = load_recipe(catalogue, path)
    known = statuses(catalogue, loaded, Tree(catalogue.root))
    if as_json:
        recipe = loaded.recipe.model_dump(mode="json", by_alias=True)
        print_json({**path_data(catalogue, loaded, known), "parts": _parts(catalogue, loaded), "recipe": recipe})
        return
    out = console()
    _describe(out, catalogue, loaded)
    _platforms(out, known)


def _parts(catalogue: Catalogue, loaded: LoadedRecipe) -> dict[str, list[str]]:
    parts = {
        "page": [loaded.page],
        "playbook": [loaded.playbook],
        "recipe": [loaded.file],
        "checks": loaded.check_files,
    }
    return {name: [str(file.relative_to(catalogue.root)) for file in files] for name, files in parts.items()}


def _describe(out: Console, catalogue: Catalogue, loaded: LoadedRecipe) -> None:
    recipe = loaded.recipe
    out.print(clean(recipe.title), style="bold")
    out.print(clean(recipe.summary))
    out.print()
    facts = {
        "Path": loaded.id,
        "Kind": recipe.kind,
        "Advice": f"{recipe.advice}: {recipe.advice_because}",
        "For": ", ".join(recipe.audience),
        "Builds on": ", ".join(recipe.builds_on),
        "Conflicts with": ", ".join(recipe.conflicts_with),
        "Hosts": ", ".join(f"{name} ({host.memory}, {', '.join(host.groups)})" for name, host in recipe.hosts.items()),
        **{name.capitalize(): ", ".join(files) for name, files in _parts(catalogue, loaded).items()},
    }
    for name, value in facts.items():
        if value:
            out.print(f"{name + ':':<16}{clean(value.strip())}")
    requirements = load_requirements(catalogue)
    for index, name in enumerate(recipe.answers):
        out.print(f"{'' if index else 'Answers:':<16}{name}  {clean(requirements[name].asked_for)}")


def _platforms(out: Console, known: dict[str, Status]) -> None:
    out.print()
    print_table(
        out, ("PLATFORM", "VERDICT", "DATE", "TOOK", "REASON"), (platform_cells(*each) for each in known.items())
    )
