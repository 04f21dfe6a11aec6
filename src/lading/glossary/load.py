"""The glossary read from `glossary.yml`, with all that is wrong with it told at once."""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from lading.glossary.examples import example_problems
from lading.glossary.ledger import FILE as LEDGER
from lading.glossary.ledger import problems as ledger_problems
from lading.glossary.loaded import LoadedGlossary
from lading.glossary.model import Glossary, Witness
from lading.glossary.relations import place_of, relation_problems
from lading.project import Catalogue
from lading.recipe.checkfiles import check_names
from lading.recipe.complaints import complaints
from lading.recipe.load import path_ids
from lading.recipe.names import did_you_mean
from lading.recipe.problems import Problem, refuse
from lading.recipe.yamlfile import read_text, read_yaml

FILE = "glossary.yml"


def read_glossary(catalogue: Catalogue) -> LoadedGlossary:
    """Return the glossary, checked for its form and the relations between its parts alone.

    Raises:
        InputError: it is missing, does not parse, or is wrong; the message tells every problem.
    """
    document = read_yaml(catalogue.root / FILE, FILE)
    try:
        loaded = LoadedGlossary(Glossary.model_validate(document.data), document)
    except ValidationError as error:
        refuse(complaints(document, error, Glossary))
    if problems := list(relation_problems(loaded)):
        refuse(problems)
    return loaded


def load_glossary(catalogue: Catalogue) -> LoadedGlossary:
    """Return the glossary; its sentences, its ids and the checks that it names have been tried too.

    Raises:
        InputError: it is missing, does not parse, or is wrong; the message tells every problem.
    """
    loaded = read_glossary(catalogue)
    problems = [
        *example_problems(loaded),
        *_witness_problems(catalogue, loaded),
        *_page_problems(catalogue, loaded),
    ]
    ledger = catalogue.root / LEDGER
    text = read_text(ledger, LEDGER) if ledger.exists() else ""
    problems += ledger_problems(loaded.document, loaded.glossary, text, LEDGER)
    if problems:
        refuse(problems)
    return loaded


def _witness_problems(catalogue: Catalogue, loaded: LoadedGlossary) -> Iterator[Problem]:
    paths = path_ids(catalogue)
    checks = {path: _checks(catalogue, path) for path in {one.path for ref in loaded for one in ref.sense.witnesses}}
    for ref in loaded:
        for number, witness in enumerate(ref.sense.witnesses):
            if sentence := _unknown(witness, paths, checks[witness.path]):
                yield loaded.document.problem(place_of(ref, "witnesses", number), sentence)


def _checks(catalogue: Catalogue, path: str) -> list[str]:
    """Return a path's checks; its recipe may be wrong, of which others tell."""
    return [
        name for file in sorted((catalogue.recipes / path).glob("test_*.py")) for name in check_names(file, file.name)
    ]


def _page_problems(catalogue: Catalogue, loaded: LoadedGlossary) -> Iterator[Problem]:
    for name, source in loaded.glossary.sources.items():
        if source.page is not None and not (catalogue.root / source.page).is_file():
            yield loaded.document.problem(("sources", name, "page"), f"there is no file '{source.page}'.")


def _unknown(witness: Witness, paths: Sequence[str], checks: Sequence[str]) -> str | None:
    if witness.path not in paths:
        return f"no path is called '{witness.path}'{did_you_mean(witness.path, paths)}"
    if witness.check.partition("[")[0] in checks:
        return None
    return f"the path '{witness.path}' has no check '{witness.check}'{did_you_mean(witness.check, checks)}"
