"""What the measurements that pages show have in common: starts in a guest, and the two files that tell of them."""

import csv
import io
import json
import re
import shlex
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from lading import process
from lading.errors import ExitCode, LabError, LadingError
from lading.lab.guest import Guest
from lading.lab.lab import opened_lab
from lading.lab.workspace import opened_workspace
from lading.process import ended_by_signals
from lading.project import Catalogue, find_catalogue
from lading.proof.bases import foundation_of
from lading.proof.bench import Bench, opened_bench
from lading.recipe.load import load_recipe
from lading.recipe.platforms import load_platforms
from lading.routes.playbook import PlaybookRoute
from lading.site.measurement import HEADER, TRAFFIC, Conditions, Measurement, Start, files_of, read_measurement

PLATFORM: Final = "debian13"
IN_GUEST: Final = Path(__file__).with_name("starts_in_guest.py")
SECONDS: Final = 1200
"""How long all starts may take, in an emulated guest on a busy machine."""

UNPACKS: Final = "temporary sandbox"
"""What Apptainer says when it unpacks a SIF file in order to start it."""

Forms = Mapping[str, tuple[str, str]]
"""The name of each form to its title, and to the command that starts it: as the page types it."""

Understand = Callable[[Mapping[str, str]], Mapping[str, Any]]
"""Makes conditions of a guest's answers. It may fail as parsing does."""


@contextmanager
def opened(catalogue: Catalogue, path_id: str) -> Iterator[Bench]:
    """Yield guests of a path's hosts, set up by its playbook and by those of what it builds on.

    Raises:
        LadingError: they could not be set up.
    """
    loaded, platform = load_recipe(catalogue, path_id), load_platforms(catalogue)[PLATFORM]
    with ended_by_signals(), opened_workspace() as workspace, opened_lab(workspace) as lab:
        folder = workspace.new_run_folder(f"bench-{path_id}")
        layers = foundation_of(catalogue, loaded, PLATFORM).layers(lab)
        with opened_bench(lab, loaded, PLATFORM, platform, folder, layers=layers) as bench:
            with workspace.narrator.step(f"Applying '{path_id}'"):
                bench.play(PlaybookRoute(loaded.playbook, bench.inventory, bench.variables, folder), "apply")
            yield bench


def plan(user: str, forms: Forms, questions: Mapping[str, str], first: int, later: int, **more: Any) -> str:
    """Return what the guest is told to do."""
    said = {
        "user": user,
        "commands": {name: shlex.split(command) for name, (_, command) in forms.items()},
        "questions": {name: shlex.split(question) for name, question in questions.items()},
        "first": first,
        "later": later,
    }
    return json.dumps({**said, **more})


def measure(guest: Guest, told: str) -> dict[str, Any]:
    """Do in a guest what a plan tells; return what it has found.

    Raises:
        LabError: something could not be started.
    """
    argv = guest.ssh.argv("--", f"python3 - {shlex.quote(told)}")
    done = process.run(argv, input=IN_GUEST.read_text(), timeout=SECONDS, check=False)
    guest.require_health()
    if done.rc != 0:
        raise LabError(f"The forms could not be started: {done.stderr.strip()[-600:]}", hint=guest.where())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def starts_from(found: Sequence[Sequence[Any]], forms: Forms) -> list[Start]:
    """Return what the guest has measured, form by form, first runs first."""
    order = list(forms)
    return sorted(
        (Start(*said) for said in found), key=lambda start: (order.index(start.form), start.run, start.number)
    )


def conditions_from(understand: Understand, answers: Mapping[str, str], place: Mapping[str, Any]) -> Conditions:
    """Return where it was measured, from what the guest has answered; `place` is what the lab knows by itself.

    Raises:
        LabError: an answer is not as it should be.
    """
    try:
        return Conditions.model_validate({**place, **understand(answers)})
    except (LookupError, TypeError, ValueError, ValidationError) as error:
        raise LabError(f"What the guest has answered cannot be understood: {error}") from error


def forms_said(forms: Forms, sizes: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Return the forms as conditions tell them; a size is in bytes."""
    return {
        name: {"title": title, "command": command, "published_mib": round(sizes[name] / 1024**2, 1)}
        for name, (title, command) in forms.items()
    }


def version(said: str) -> str:
    """Return the version in what a program says of itself.

    Raises:
        ValueError: there is none.
    """
    found = re.search(r"\d+(?:\.\d+)+", said)
    if found is None:
        raise ValueError(f"'{said}' tells no version")
    return found[0]


def place_of(bench: Bench, host: str) -> dict[str, Any]:
    """Return what the lab itself knows of where a host's starts are measured."""
    machine = bench.recipe.hosts[host]
    return {
        "measured": datetime.now(UTC).date(),
        "platform": bench.platform,
        "accelerator": bench.guests[host].spec.accelerator,
        "cpus": machine.cpus,
        "memory_mib": machine.memory_mib,
    }


def as_csv(starts: Sequence[Start]) -> str:
    """Return starts as the table that the page's builder reads."""
    has_traffic = any(start.requests is not None for start in starts)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER + TRAFFIC if has_traffic else HEADER)
    for start in starts:
        cells = [start.form, start.run, start.number, f"{start.seconds:.4f}", _amount(start.disk_mib)]
        writer.writerow([*cells, *([start.requests, _amount(start.moved_mib)] if has_traffic else [])])
    return text.getvalue()


def _amount(mib: float | None) -> str:
    return "" if mib is None else f"{mib:.2f}"


def as_json(conditions: Conditions) -> str:
    """Return conditions as the page's builder reads them."""
    return json.dumps(conditions.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def write(docs: Path, name: str, conditions: Conditions, starts: Sequence[Start]) -> Measurement:
    """Write both files, if they are whole, and return what a builder reads from them.

    Raises:
        InputError: they are not; then those that are there stay as they were.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / docs.name
        texts = (as_csv(starts), as_json(conditions))
        for file, text in zip(files_of(made, name), texts, strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        measurement = read_measurement(made, name)
        for source, target in zip(files_of(made, name), files_of(docs, name), strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return measurement


def summary(measurement: Measurement) -> str:
    """Return a table for whoever has measured."""
    forms = measurement.conditions.forms
    broad = max(30, *(len(form.title) for form in forms.values()))
    traffic = f" {'requests':>19} {'moved':>11}" if measurement.has_traffic else ""
    lines = [f"{'':{broad}} {'first run':>10} {'next runs':>10} {'fastest':>9} {'slowest':>9} {'stored':>11}{traffic}"]
    for name, form in forms.items():
        first, later = measurement.times(name, "first"), measurement.times(name, "next")
        line = (
            f"{form.title:{broad}} {first.median:8.2f} s {later.median:8.2f} s {later.least:7.2f} s "
            f"{later.most:7.2f} s {measurement.disk_mib(name):7.1f} MiB"
        )
        if measurement.has_traffic:
            asked, again = (measurement.requests(name, run).median for run in ("first", "next"))
            line += f" {asked:8.0f}, {again:4.0f} next {measurement.moved_mib(name, 'first').median:7.1f} MiB"
        lines.append(line)
    slowest = max(forms, key=lambda name: measurement.times(name, "next").median)
    spread = statistics.pstdev(measurement.times(slowest, "next").amounts)
    lines.append(f"Standard deviation of the slowest form's next runs: {spread:.2f} s")
    return "\n".join(lines)


def main(measure_all: Callable[[Catalogue], Measurement]) -> int:
    """Measure, write and print; what goes wrong is told in a sentence."""
    catalogue = find_catalogue()
    try:
        measurement = measure_all(catalogue)
    except LadingError as error:
        print(error.message, *filter(None, [error.hint]), sep="\n", file=sys.stderr)
        return error.exit_code
    written = (file.relative_to(catalogue.root).as_posix() for file in files_of(catalogue.docs, measurement.name))
    print("", summary(measurement), f"Written: {', '.join(written)}", sep="\n")
    return ExitCode.OK
