"""`lading page`: pages that run, looked through, brought up to date and given what they include."""

from collections.abc import Sequence
from typing import Any

import click

from lading.cli.main import Settings
from lading.cli.render import clean, examples, print_json
from lading.errors import LabError, PathFailed, UsageError
from lading.lab.lab import opened_lab
from lading.lab.upstream import first_unreachable, upstreams_of
from lading.lab.workspace import opened_workspace
from lading.narrator import Narrator
from lading.page.lint import Linted, lint, lint_others
from lading.page.model import Block, FileBlock, NotRun
from lading.page.render import RenderedFile, mend, rendered_files
from lading.process import ended_by_signals
from lading.project import Catalogue
from lading.proof.plan import needs_of
from lading.proof.update import update_page
from lading.recipe.load import LoadedRecipe, load_all, load_recipe
from lading.recipe.names import did_you_mean
from lading.recipe.problems import refuse


@click.group(
    epilog=examples("lading page lint", "lading page render --check", "lading page update apptainer-unprivileged")
)
def page() -> None:
    """Look through the pages of paths, and bring them up to date."""


@page.command("lint", epilog=examples("lading page lint", "lading page lint --json | jq '.[].coverage'"))
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects instead of text.")
@click.pass_obj
def lint_pages(settings: Settings, paths: tuple[str, ...], as_json: bool) -> None:
    """Check that every block on the pages of PATHs (all, if none is named) runs or says why not.

    Exit code 2: a page is wrong, or its coverage is not the floor in its recipe; every problem is told with its line.
    """
    chosen = _chosen(settings.catalogue, paths)
    linted, problems = lint(settings.catalogue, chosen)
    if not paths:
        problems += lint_others(settings.catalogue, chosen)
    if as_json:
        print_json([_data(one) for one in linted])
    else:
        click.echo(clean("\n".join(map(str, linted))))
    if problems:
        refuse(problems)


def _chosen(catalogue: Catalogue, paths: Sequence[str]) -> list[LoadedRecipe]:
    if not paths:
        return list(load_all(catalogue).values())
    return [load_recipe(catalogue, path) for path in dict.fromkeys(paths)]


def _data(linted: Linted) -> dict[str, Any]:
    page = linted.page
    return {
        "path": linted.path,
        "page": linted.file,
        "coverage": page.coverage if page else None,
        "floor": linted.floor,
        "blocks": [_block_data(block) for block in page.blocks] if page else None,
    }


def _block_data(block: Block) -> dict[str, Any]:
    about = {"id": block.id, "line": block.place.line, "last": block.last}
    if isinstance(block, NotRun):
        return {**about, "kind": "not-run", "reason": block.reason}
    return {**about, "kind": "file" if isinstance(block, FileBlock) else "console", "reason": None}


@page.command(epilog=examples("lading page render", "lading page render --check"))
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if a file is not as it would be rendered.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects instead of text.")
@click.pass_obj
def render(settings: Settings, paths: tuple[str, ...], check: bool, as_json: bool) -> None:
    """Render the files that the pages of PATHs (all, if none is named) include, from the templates of roles.

    What a page shows is so what a role installs. Files below 'rendered/' that no recipe names are removed.
    """
    files = rendered_files(settings.catalogue, _chosen(settings.catalogue, paths))
    stale = [rendered for rendered in files if rendered.stale]
    if not check:
        mend(files)
    if as_json:
        print_json([{"file": rendered.shown, "stale": rendered.stale} for rendered in files])
    elif not check:
        _tell_mended(files, stale)
    else:
        click.echo(f"{_count(files)}, {len(stale)} stale.")
    if check and stale:
        raise PathFailed(
            "\n".join(map(str, stale)), hint="'lading page render' writes them anew; look at the difference."
        )


def _tell_mended(files: Sequence[RenderedFile], stale: Sequence[RenderedFile]) -> None:
    for rendered in stale:
        click.echo(clean(f"{rendered.shown}: {'removed' if rendered.wanted is None else 'written'}"))
    click.echo(f"{_count(files)}, {len(stale)} changed.")


def _count(files: Sequence[RenderedFile]) -> str:
    return f"{len(files)} rendered {'file' if len(files) == 1 else 'files'}"


@page.command(epilog=examples("lading page update apptainer-unprivileged"))
@click.argument("path")
@click.option("--platform", help="Run on this platform; the recipe's first that can be proven if not given.")
@click.option("--check", is_flag=True, help="Only print what would change.")
@click.pass_obj
def update(settings: Settings, path: str, platform: str | None, check: bool) -> None:
    """Type the page of PATH in a fresh guest, and put in the outputs that come.

    `...` of the author's stays where it still fits. Blocks that expect anything but the exact output stay as they are.
    """
    catalogue, narrator = settings.catalogue, Narrator()
    loaded = load_recipe(catalogue, path)
    name = _platform(loaded, platform)
    upstreams = _upstreams(catalogue, loaded, name)
    with (
        ended_by_signals(),
        opened_workspace(narrator) as workspace,
        opened_lab(workspace, upstreams=upstreams) as lab,
    ):
        made = update_page(lab, catalogue, loaded, name)
    click.echo(clean(made.diff) if made.diff else "The page says already what was seen.")
    if not check and made.diff:
        loaded.page.write_text(made.text)


def _upstreams(catalogue: Catalogue, loaded: LoadedRecipe, platform: str) -> dict[str, str]:
    """Return the hosts beside the mirror that guests are to reach there.

    Raises:
        LabError: one of the addresses cannot be had; nothing is known of the page.
    """
    needs = needs_of(catalogue, loaded, platform)
    if missing := first_unreachable(needs):
        raise LabError(f"'{loaded.id}' can't be run on '{platform}': it needs what is not to be had here. {missing}.")
    return upstreams_of(needs)


def _platform(loaded: LoadedRecipe, asked: str | None) -> str:
    known = [name for name, use in loaded.recipe.platforms.items() if use.not_verified is None or use.needs]
    if asked in known or (asked is None and known):
        return asked or known[0]
    if asked is None:
        raise UsageError(f"The path '{loaded.id}' can be run on no platform; its recipe says why.")
    raise UsageError(f"The path '{loaded.id}' can't be run on a platform '{asked}'{did_you_mean(asked, known)}")
