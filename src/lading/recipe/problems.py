"""What is wrong with files that people wrote: all of it at once, each with its file, line and field."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from lading.errors import UsageError

Loc = tuple[str | int, ...]
"""A place in a document: keys and list positions from its top."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong; `line` counts from 1, and 0 is the file as a whole."""

    file: str
    line: int
    field: str
    sentence: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.field}: {self.sentence}" if self.field else f"{place}: {self.sentence}"


def dotted(loc: Sequence[str | int]) -> str:
    """Return a place as authors write it.

    Example:
        ```python
        from lading.recipe.problems import dotted

        print(dotted(("sabotage", 0, "red", 1)))
        #> sabotage[0].red[1]
        ```
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


class InputError(UsageError):
    """Files that people wrote are wrong; the message tells every problem."""

    def __init__(self, problems: Iterable[Problem], hint: str | None = None) -> None:
        self.problems = sorted(set(problems))
        lines = "\n".join(map(str, self.problems))
        super().__init__(lines if len(self.problems) == 1 else f"{len(self.problems)} things are wrong:\n{lines}", hint)


def refuse(problems: Iterable[Problem], hint: str | None = None) -> NoReturn:
    """Raise one error that tells all the problems, in the order of the files.

    Raises:
        InputError: always.
    """
    raise InputError(problems, hint)
