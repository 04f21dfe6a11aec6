"""The lint of pages: every block of a path's page accounted for, and the share that runs held at its floor."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.page.model import NotRun, Page
from lading.page.read import page_of, read_page
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe
from lading.recipe.problems import InputError, Problem
from lading.recipe.yamlfile import read_text, read_yaml


@dataclass(frozen=True)
class Linted:
    """A path's page, and the coverage below which it must not fall. `page` is None if it cannot be read."""

    path: str
    file: str
    floor: int
    page: Page | None

    def __str__(self) -> str:
        if self.page is None:
            return f"{self.file}: wrong"
        runs, silent = len(self.page.run_blocks), sum(isinstance(block, NotRun) for block in self.page.blocks)
        blocks = "block runs" if runs == 1 else "blocks run"
        return f"{self.file}: {runs} {blocks}, {silent} not; coverage {self.page.coverage} %, floor {self.floor} %"


def lint(catalogue: Catalogue, paths: Sequence[LoadedRecipe]) -> tuple[list[Linted], list[Problem]]:
    """Return what the pages of paths hold, and all that is wrong with any of them."""
    linted, problems = [], []
    for loaded in paths:
        page = None
        try:
            page = page_of(catalogue, loaded)
        except InputError as error:
            problems += error.problems
        file = loaded.page.relative_to(catalogue.root).as_posix()
        linted.append(Linted(loaded.id, file, loaded.recipe.page_coverage, page))
        problems += _off_the_floor(catalogue, loaded, page) if page else ()
    return linted, problems


def _off_the_floor(catalogue: Catalogue, loaded: LoadedRecipe, page: Page) -> Iterator[Problem]:
    """Yield a problem if the coverage is not the recipe's floor: an unnoticed gain would hide the next loss."""
    floor = loaded.recipe.page_coverage
    if page.coverage == floor:
        return
    if page.coverage < floor:
        sentence = f"the coverage of the page fell from {floor} % to {page.coverage} %; make more of its blocks run."
    else:
        sentence = f"the coverage of the page is {page.coverage} % by now; raise this floor from {floor} to it."
    document = read_yaml(loaded.file, loaded.file.relative_to(catalogue.root).as_posix())
    yield document.problem(("page_coverage",), sentence)


def lint_others(catalogue: Catalogue, paths: Iterable[LoadedRecipe]) -> list[Problem]:
    """Return what is wrong with the pages that are no path's: they run nothing, so they may claim no evidence."""
    known = {loaded.page for loaded in paths}
    problems: list[Problem] = []
    for file in sorted(set(catalogue.docs.rglob("*.md")) - known):
        problems += _wrong_elsewhere(file, file.relative_to(catalogue.root).as_posix(), catalogue.root)
    return problems


def _wrong_elsewhere(file: Path, shown: str, root: Path) -> Sequence[Problem]:
    try:
        page = read_page(read_text(file, shown), shown, root=root)
    except InputError as error:
        return error.problems
    if page.path is None:
        return ()
    sentence = f"The marker for the evidence of '{page.path}' belongs to the page of that path; take it out here."
    return [Problem(shown, 0, "", sentence)]
