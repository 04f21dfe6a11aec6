"""Which checks a file holds, read from its text without running any of it."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.errors import UsageError


@dataclass(frozen=True)
class Check:
    """One check: its id (`test_worker.py::test_x`), its sentence for the page and whether it changes the host."""

    id: str
    sentence: str
    mutates: bool
    line: int


def list_checks(file: Path) -> tuple[Check, ...]:
    """Return the checks of a file, in its order: functions called `test_…`, of the module or of a class `Test…`.

    Raises:
        UsageError: the file is missing, is not Python, or has no tests.
    """
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except OSError as error:
        raise UsageError(f"The check file '{file}' cannot be read: {error.strerror}.") from None
    except (SyntaxError, ValueError) as error:
        where = f"{file}:{getattr(error, 'lineno', None) or 1}"
        raise UsageError(f"{where}: the check file is not Python: {getattr(error, 'msg', error)}.") from None
    checks = tuple(_found(file.name, tree.body))
    if not checks:
        raise UsageError(
            f"The check file '{file}' has no tests.",
            hint="A check is a function whose name begins with 'test_'; it asserts one thing that must be true.",
        )
    return checks


def _found(prefix: str, body: Sequence[ast.stmt]) -> Iterator[Check]:
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield Check(f"{prefix}::{node.name}", _sentence(node), _mutates(node), node.lineno)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _found(f"{prefix}::{node.name}", node.body)


def _sentence(node: ast.FunctionDef) -> str:
    return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def _mutates(node: ast.FunctionDef) -> bool:
    marks = {ast.unparse(mark).partition("(")[0] for mark in node.decorator_list}
    return bool(marks & {"pytest.mark.mutates", "mark.mutates", "mutates"})
