"""How results look: tables on a terminal, plain aligned columns in a pipe, and JSON."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lading.evidence.status import Status, Verdict

PIPE_WIDTH: Final = 100_000
"""In a pipe nothing is wrapped or cut: a program reads it."""

COLOURS: Final[dict[Verdict, str]] = {
    "proven": "green", "stale": "yellow", "old": "yellow", "failed": "red", "not-verified": "dim",
}  # fmt: skip


def console(stream: TextIO | None = None) -> Console:
    """Return a console for results: as wide as the terminal, or without width, colour and boxes."""
    stream = stream or sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PIPE_WIDTH, highlight=False, markup=False)


def print_table(out: Console, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under their headings; the first column, which holds names, is never cut."""
    table = Table(box=None, pad_edge=False, header_style="bold" if out.is_terminal else "")
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
    with out.capture() as captured:
        out.print(table)
    lines = captured.get().splitlines()
    click.echo("\n".join(line.rstrip() for line in lines) if not out.is_terminal else "\n".join(lines), file=out.file)


def print_json(data: Any) -> None:
    """Print data as indented JSON."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def examples(*lines: str) -> str:
    """Return the end of a command's help; click leaves a paragraph that begins with a backspace as it is."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def clean(text: str) -> str:
    r"""Return text without terminal codes: it may come from a file that anybody wrote.

    Example:
        ```python
        from lading.cli.render import clean

        print(clean("red \x1b[31malert"))
        #> red \x1b[31malert
        ```
    """
    return "".join(char if char in "\n\t" or char.isprintable() else ascii(char)[1:-1] for char in text)


def verdict_text(status: Status) -> Text:
    """Return the verdict with its grade, in its colour: `proven (full)`."""
    grade = f" ({status.grade})" if status.grade else ""
    return Text(f"{status.verdict}{grade}", style=COLOURS[status.verdict])


def status_data(status: Status) -> dict[str, Any]:
    """Return a status as `--json` shows it; `seconds` and `date` are null where nothing ran."""
    return {
        "verdict": status.verdict,
        "grade": status.grade,
        "routes": list(status.routes),
        "date": status.date.isoformat() if status.date else None,
        "seconds": status.seconds,
        "reason": status.reason,
    }


def seconds_text(seconds: float | None) -> str:
    """Return a length of time for people.

    Example:
        ```python
        from lading.cli.render import seconds_text

        print(seconds_text(4.21), seconds_text(301.2), seconds_text(None))
        #> 4.2 s 5 min 1 s -
        ```
    """
    if seconds is None:
        return "-"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def today() -> date:
    """Return the day in UTC, which is what evidence is dated in."""
    return datetime.now(UTC).date()
