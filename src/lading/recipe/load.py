"""Recipes from the catalogue: read, checked against everything they name, and told all that is wrong at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lading.errors import UsageError
from lading.project import Catalogue
from lading.recipe.bases import base_problems
from lading.recipe.checkfiles import check_names, unknown_checks
from lading.recipe.complaints import complaints
from lading.recipe.model import Recipe
from lading.recipe.names import did_you_mean, is_slug
from lading.recipe.platforms import load_platforms
from lading.recipe.playbook import playbook_closure
from lading.recipe.problems import InputError, Loc, Problem, refuse
from lading.recipe.requirements import load_requirements
from lading.recipe.yamlfile import Document, read_yaml


@dataclass(frozen=True)
class LoadedRecipe:
    """A path: its recipe, and where its parts are. All files exist; the check files are sorted and have tests.

    `puppet` is the folder of its Puppet module, for a path that has one.
    """

    id: str
    folder: Path
    file: Path
    recipe: Recipe
    page: Path
    playbook: Path
    check_files: tuple[Path, ...]
    puppet: Path | None = None


def path_ids(catalogue: Catalogue) -> list[str]:
    """Return the ids of all paths: the folders of `recipes/`. One that holds nothing but caches is no path."""
    return sorted(folder.name for folder in _visible(catalogue.recipes) if folder.is_dir() and any(_visible(folder)))


def load_all(catalogue: Catalogue) -> dict[str, LoadedRecipe]:
    """Return every path by its id, sorted.

    Raises:
        InputError: recipes are wrong; the message tells every problem of every recipe.
    """
    loaded: dict[str, LoadedRecipe] = {}
    problems: list[Problem] = []
    for path_id in path_ids(catalogue):
        try:
            loaded[path_id] = load_recipe(catalogue, path_id)
        except InputError as error:
            problems += error.problems
    if problems:
        refuse(problems)
    return loaded


def load_recipe(catalogue: Catalogue, path_id: str) -> LoadedRecipe:
    """Return one path by its id, as typed by a user or named by another recipe.

    Raises:
        UsageError: there is no such path, or its id is not one.
        InputError: its files are wrong; the message tells every problem.
    """
    folder = _folder(catalogue, path_id)
    document = read_yaml(folder / "recipe.yml", f"recipes/{path_id}/recipe.yml")
    try:
        recipe, problems = Recipe.model_validate(document.data), []
    except ValidationError as error:
        recipe, problems = None, complaints(document, error, Recipe)
    parts = _Parts(catalogue, path_id, document)
    problems += parts.problems()
    if recipe is not None:
        problems += _unknown_names(catalogue, path_id, document, recipe, parts.checks)
    if problems or recipe is None:
        refuse(problems)
    return LoadedRecipe(
        path_id, folder, folder / "recipe.yml", recipe, parts.page, parts.playbook, tuple(parts.check_files),
        parts.puppet if parts.puppet.is_dir() else None,
    )  # fmt: skip


class _Parts:
    """The files that belong to a path; looked for even when its recipe is wrong, so that all is told at once."""

    def __init__(self, catalogue: Catalogue, path_id: str, document: Document) -> None:
        data = document.data if isinstance(document.data, dict) else {}
        kind = data.get("kind")
        self.catalogue, self.document = catalogue, document
        self.folder = catalogue.recipes / path_id
        self.playbook = catalogue.playbooks / f"{path_id.replace('-', '_')}.yml"
        self.puppet = catalogue.playbooks / "puppet" / path_id.replace("-", "_")
        self.kind = kind if isinstance(kind, str) and is_slug(kind) else None
        self.page = catalogue.docs / "paths" / (self.kind or "") / f"{path_id}.md"
        self.check_files = sorted(self.folder.glob("test_*.py"))
        self.checks: list[str] = []

    def problems(self) -> list[Problem]:
        return [*self._page(), *self._playbook(), *self._checks()]

    def _page(self) -> Iterator[Problem]:
        if self.kind:
            yield from self._missing(self.page, "page")

    def _playbook(self) -> Iterator[Problem]:
        yield from (missing := list(self._missing(self.playbook, "playbook")))
        if not missing:
            try:
                playbook_closure(self.catalogue, self.playbook)
            except InputError as error:
                yield from error.problems

    def _checks(self) -> Iterator[Problem]:
        if not self.check_files:
            yield self.document.problem((), "the path has no check file ('test_*.py' beside the recipe).")
        for file in self.check_files:
            try:
                self.checks += check_names(file, _shown(self.catalogue, file))
            except InputError as error:
                yield from error.problems

    def _missing(self, file: Path, what: str) -> Iterator[Problem]:
        if not file.is_file():
            yield self.document.problem((), f"the path's {what} '{_shown(self.catalogue, file)}' is missing.")
        elif not file.resolve().is_relative_to(self.catalogue.root.resolve()):
            yield self.document.problem((), f"the path's {what} '{_shown(self.catalogue, file)}' leads elsewhere.")


def _unknown_names(
    catalogue: Catalogue, path_id: str, document: Document, recipe: Recipe, checks: list[str]
) -> Iterator[Problem]:
    """Yield a problem for each name in a recipe that stands for something the catalogue does not have."""
    ids, platforms, requirements = path_ids(catalogue), load_platforms(catalogue), load_requirements(catalogue)
    yield from _each(document, "platforms", recipe.platforms, platforms, "platform")
    yield from _each(document, "answers", recipe.answers, requirements, "requirement")
    yield from _each(document, "builds_on", recipe.builds_on, ids, "path")
    yield from _each(document, "conflicts_with", recipe.conflicts_with, ids, "path")
    if path_id in recipe.conflicts_with:
        yield document.problem(("conflicts_with",), "a path can't conflict with itself.")
    yield from base_problems(catalogue, path_id, document, recipe)
    for slug, start in recipe.starts.items():
        if start.functions and not (catalogue.recipes / path_id / start.functions).is_file():
            loc: Loc = ("starts", slug, "functions")
            yield document.problem(loc, f"the file '{start.functions}' is not beside the recipe.")
    for name, start in recipe.starts.items():
        if start.functions and not (catalogue.recipes / path_id / start.functions).is_file():
            yield document.problem(("starts", name, "functions"), f"there is no '{start.functions}' beside the recipe.")
    named: dict[Loc, str] = {("true_before", i, "check"): said.check for i, said in enumerate(recipe.true_before)}
    for i, fault in enumerate(recipe.sabotage):
        named |= {("sabotage", i, "red", j): check for j, check in enumerate(fault.red)}
    yield from unknown_checks(document, named, checks)
    yield from _unknown_groups(document, recipe)
    if cvmfs := recipe.stand_ins.cvmfs:
        for name, image in cvmfs.repositories.items():
            if image not in recipe.images:
                sentence = f"no test image is called '{image}'{did_you_mean(image, recipe.images)}"
                yield document.problem(("stand_ins", "cvmfs", "repositories", name), sentence)


def _unknown_groups(document: Document, recipe: Recipe) -> Iterator[Problem]:
    """Yield a problem for each group that no host of the recipe is in."""
    known = {group for host in recipe.hosts.values() for group in host.groups}
    said: dict[Loc, list[str]] = {("starts", name): start.groups for name, start in recipe.starts.items()}
    said |= {("sabotage", number): fault.groups for number, fault in enumerate(recipe.sabotage)}
    if recipe.stand_ins.cvmfs:
        said["stand_ins", "cvmfs"] = recipe.stand_ins.cvmfs.groups
    for loc, groups in said.items():
        for index, group in enumerate(groups):
            if group not in known:
                sentence = f"no host is in the group '{group}'{did_you_mean(group, known)}"
                yield document.problem((*loc, "groups", index), sentence)


def _each(document: Document, key: str, said: Any, known: Any, what: str) -> Iterator[Problem]:
    for index, name in enumerate(said):
        if name not in known:
            loc: Loc = (key, name if isinstance(said, dict) else index)
            yield document.problem(loc, f"no {what} is called '{name}'{did_you_mean(name, known)}")


def _folder(catalogue: Catalogue, path_id: str) -> Path:
    if not is_slug(path_id):
        raise UsageError(
            f"'{path_id}' cannot be a path's id.", hint="Ids are lower-case words joined by '-'; see 'lading list'."
        )
    folder = catalogue.recipes / path_id
    if path_id not in (known := path_ids(catalogue)):
        raise UsageError(f"No path is called '{path_id}'{did_you_mean(path_id, known)}", hint="See 'lading list'.")
    for file in (folder, folder / "recipe.yml"):
        if not file.resolve().is_relative_to(catalogue.recipes.resolve()):
            refuse([Problem(_shown(catalogue, file), 0, "", "This leads out of 'recipes/'.")])
    return folder


def _visible(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (entry for entry in folder.iterdir() if not entry.name.startswith((".", "_")))


def _shown(catalogue: Catalogue, file: Path) -> str:
    return str(file.relative_to(catalogue.root))
