"""Measurements that pages show: figures as CSV, and beside them, as JSON, where and of what they were taken.

`make bench` writes both (`tools.bench_figures`), and nobody else: figures that were typed by hand would be nobody's.
"""

import csv
import io
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lading.errors import UsageError
from lading.recipe.complaints import complaints
from lading.recipe.names import did_you_mean
from lading.recipe.problems import Problem, refuse
from lading.recipe.yamlfile import read_text, read_yaml

FOLDER: Final = Path("assets/measured")
"""Where measurements lie, below the folder of pages: a builder copies them into the site."""

HEADER: Final = ("form", "run", "number", "seconds", "disk_mib")
TRAFFIC: Final = ("requests", "moved_mib")
"""What a table has besides if the starts read from a file server: of every start, or of none."""

AGAIN: Final = "Measure it again: 'make bench ARGS=--starts', or 'ARGS=--shared', writes both files whole."

Run = Literal["first", "next"]
RUNS: Final[tuple[Run, ...]] = get_args(Run)
Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Start:
    """One start: of which form, whether with nothing cached, how many seconds, and MiB of disk that it used up.

    The disk is told of first runs alone. `requests` went to a file server, and `moved_mib` came from it.
    """

    form: str
    run: Run
    number: int
    seconds: float
    disk_mib: float | None = None
    requests: int | None = None
    moved_mib: float | None = None


class Form(BaseModel):
    """What was started: its name, the command that did it, and the MiB that lie on disk before anybody does."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    title: Text
    command: Text
    published_mib: float = Field(ge=0)


class Conditions(BaseModel):
    """Where and when it was measured. `notes` are sentences that a reader of the figures has to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Text
    measured: date
    platform: Text
    accelerator: Literal["kvm", "tcg"]
    kernel: Text
    cpus: int = Field(ge=1)
    memory_mib: int = Field(ge=1)
    programs: dict[Text, Text]
    image: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    forms: Annotated[dict[str, Form], Field(min_length=1)]
    notes: list[Text] = []


@dataclass(frozen=True)
class Spread:
    """What equal runs took: seconds, requests or MiB."""

    amounts: tuple[float, ...]

    @property
    def median(self) -> float:
        """The one in the middle; of two in the middle their mean."""
        return statistics.median(self.amounts)

    @property
    def least(self) -> float:
        return min(self.amounts)

    @property
    def most(self) -> float:
        return max(self.amounts)


@dataclass(frozen=True)
class Measurement:
    """A whole measurement: of each form as many first and next runs as of each other one."""

    name: str
    conditions: Conditions
    starts: tuple[Start, ...]

    @property
    def has_traffic(self) -> bool:
        """Whether the starts tell of requests to a file server."""
        return any(start.requests is not None for start in self.starts)

    def times(self, form: str, run: Run) -> Spread:
        """Return the seconds of a form's runs."""
        return Spread(tuple(start.seconds for start in self._of(form, run)))

    def requests(self, form: str, run: Run) -> Spread:
        """Return how many requests each of a form's runs sent to the file server."""
        return Spread(tuple(start.requests or 0 for start in self._of(form, run)))

    def moved_mib(self, form: str, run: Run) -> Spread:
        """Return the MiB that came from the file server for each of a form's runs."""
        return Spread(tuple(start.moved_mib or 0 for start in self._of(form, run)))

    def disk_mib(self, form: str) -> float:
        """Return the disk that a first run of a form used up, beyond what is published; of several the median."""
        return statistics.median(start.disk_mib or 0 for start in self._of(form, "first"))

    def count(self, run: Run) -> int:
        """Return how often each form was run so."""
        return len(self._of(next(iter(self.conditions.forms)), run))

    def _of(self, form: str, run: Run) -> list[Start]:
        return [start for start in self.starts if (start.form, start.run) == (form, run)]


def files_of(docs: Path, name: str) -> tuple[Path, Path]:
    """Return the CSV and the JSON file of a measurement."""
    return docs / FOLDER / f"{name}.csv", docs / FOLDER / f"{name}.json"


def read_measurement(docs: Path, name: str) -> Measurement:
    """Return a measurement of that name.

    Raises:
        InputError: a file is missing, or says what it may not; the message tells file and line.
    """
    table, said = files_of(docs, name)
    _refuse_missing(docs, table, said)
    conditions = _read_conditions(said, _shown(docs, said))
    starts = parse_starts(read_text(table, _shown(docs, table)), _shown(docs, table), list(conditions.forms))
    return Measurement(name, conditions, starts)


def parse_starts(text: str, shown: str, forms: Sequence[str]) -> tuple[Start, ...]:
    """Return the starts that a CSV file tells of, which have to be whole: so many of each form as of each other.

    Raises:
        InputError: they are not; the message tells each line that is wrong.
    """
    lines = list(csv.reader(io.StringIO(text), strict=False))
    header = tuple(lines[0]) if lines else ()
    if header not in {HEADER, HEADER + TRAFFIC}:
        said = f"the first line has to be '{','.join(HEADER)}', with ',{','.join(TRAFFIC)}' behind it or nothing."
        refuse([Problem(shown, 1, "", said)], AGAIN)
    starts, problems, counted = [], [], dict.fromkeys(((form, run) for form in forms for run in RUNS), 0)
    for number, cells in enumerate(lines[1:], start=2):
        try:
            start = _start(cells, header, forms)
            counted[start.form, start.run] += 1
            if start.number != counted[start.form, start.run]:
                raise UsageError(f"this should be number {counted[start.form, start.run]} of its form and run.")
            starts.append(start)
        except UsageError as error:
            problems.append(Problem(shown, number, "", error.message))
    if problems := problems or list(_unlike(shown, counted)):
        refuse(problems, AGAIN)
    return tuple(starts)


def _start(cells: Sequence[str], header: Sequence[str], forms: Sequence[str]) -> Start:
    """Return the start that a line tells of.

    Raises:
        UsageError: it tells of none.
    """
    if len(cells) != len(header):
        raise UsageError(f"a line has {len(header)} cells, and this one {len(cells)}.")
    form, said, number, seconds, disk, *traffic = cells
    if form not in forms:
        raise UsageError(f"no form is called '{form}'{did_you_mean(form, forms)}")
    run = next((run for run in RUNS if run == said), None)
    if run is None:
        raise UsageError(f"a run is one of {' and '.join(RUNS)}, and not '{said}'.")
    if (run == "first") != bool(disk):
        raise UsageError("disk_mib belongs to each first run, and to no other.")
    if not _is_count(number):
        raise UsageError(f"'{number}' is no number of a run.")
    used = _amount("disk_mib", disk) if disk else None
    start = Start(form, run, int(number), _amount("seconds", seconds), used)
    if not traffic:
        return start
    requests, moved = traffic
    if not _is_count(requests):
        raise UsageError(f"'{requests}' is no number of requests.")
    return replace(start, requests=int(requests), moved_mib=_amount("moved_mib", moved))


def _is_count(said: str) -> bool:
    return said.isascii() and said.isdigit()


def _amount(name: str, said: str) -> float:
    try:
        amount = float(said)
    except ValueError:
        amount = math.nan
    if not math.isfinite(amount) or amount < 0:
        raise UsageError(f"{name} is '{said}', which is no amount.")
    return amount


def _unlike(shown: str, counted: Mapping[tuple[str, Run], int]) -> Iterator[Problem]:
    """Yield what is lacking: a measurement that broke off compares nothing."""
    for run in RUNS:
        most = max(count for (_, other), count in counted.items() if other == run)
        for (form, other), count in counted.items():
            if other == run and (count < most or not most):
                yield Problem(shown, 0, "", f"'{form}' has {count} {run} runs, and should have {max(most, 1)}.")


def _read_conditions(file: Path, shown: str) -> Conditions:
    document = read_yaml(file, shown)  # JSON is YAML, and so each value has its line
    data: Any = document.data
    try:
        return Conditions.model_validate(data)
    except ValidationError as error:
        refuse(complaints(document, error, Conditions), AGAIN)


def _refuse_missing(docs: Path, *files: Path) -> None:
    if missing := [Problem(_shown(docs, file), 0, "", "this file is missing.") for file in files if not file.is_file()]:
        refuse(missing, AGAIN)


def _shown(docs: Path, file: Path) -> str:
    return file.relative_to(docs.parent).as_posix()
