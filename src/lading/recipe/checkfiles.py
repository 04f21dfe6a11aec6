"""The checks of a recipe, found by reading their files; nothing is imported or run."""

import ast
from pathlib import Path

from lading.recipe.names import did_you_mean
from lading.recipe.problems import Problem, refuse
from lading.recipe.yamlfile import Document, read_text


def check_names(file: Path, shown: str) -> list[str]:
    """Return the checks of a file as recipes write them: `test_worker.py::test_x`, methods with their class.

    Raises:
        UsageError: the file is not Python, or has no test.
    """
    try:
        tree = ast.parse(read_text(file, shown))
    except SyntaxError as error:
        refuse([Problem(shown, error.lineno or 0, "", f"This is not Python: {error.msg}.")])
    except (ValueError, RecursionError, MemoryError) as error:
        refuse([Problem(shown, 0, "", f"This is not Python: {error}.")])
    names = [f"{file.name}::{name}" for name in _tests(tree)]
    if not names:
        refuse([Problem(shown, 0, "", "This check file has no tests: no function in it is called 'test_…'.")])
    return names


def _tests(tree: ast.Module) -> list[str]:
    found = _test_functions(tree)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            found += [f"{node.name}::{name}" for name in _test_functions(node)]
    return found


def _test_functions(tree: ast.Module | ast.ClassDef) -> list[str]:
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def unknown_checks(document: Document, named: dict[tuple[str | int, ...], str], known: list[str]) -> list[Problem]:
    """Return a problem for each check that a recipe names (by its place) and no check file has."""
    return [
        document.problem(loc, f"no check is called '{check}'{did_you_mean(check, known)}")
        for loc, check in named.items()
        if check.partition("[")[0] not in known
    ]
