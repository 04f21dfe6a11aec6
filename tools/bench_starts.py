"""Measure what a start of each form of a container image costs: `make bench ARGS=--starts`.

One guest is set up by the playbook of `image-build-once`, with what the lab sets, and starts the three forms of the
image in turn. The page of the path shows what is written here: `docs/assets/measured/image-starts.csv` and `.json`.
"""

import csv
import io
import json
import re
import shlex
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
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
from lading.site.measurement import HEADER, Conditions, Measurement, Start, files_of, read_measurement

NAME: Final = "image-starts"
PATH: Final = "image-build-once"
PLATFORM: Final = "debian13"
IN_GUEST: Final = Path(__file__).with_name("starts_in_guest.py")
IMAGE: Final = "/srv/container-images/base/current"
FIRST: Final = 3
LATER: Final = 10
SECONDS: Final = 1200
"""How long all starts may take, in an emulated guest on a busy machine."""

FORMS: Final[dict[str, tuple[str, str]]] = {
    "host": ("no container", "true"),
    "oci": ("OCI image, by Podman", f"podman run --rm --quiet --network=host oci:{IMAGE}/oci true"),
    "tree": ("unpacked image, by Apptainer", f"apptainer --silent exec --cleanenv {IMAGE}/tree true"),
    "sif": ("SIF file, by Apptainer", f"apptainer --silent exec --cleanenv {IMAGE}/base.sif true"),
}
"""The name of each form, and how it is started: as the page types it."""

QUESTIONS: Final = {
    "kernel": "uname --kernel-release",
    "podman": "podman --version",
    "apptainer": "apptainer --version",
    # Podman warns at length where nobody is logged in.
    "storage": "podman --log-level=error info --format {{.Store.GraphDriverName}}",
    "manifest": f"cat {IMAGE}/manifest.json",
    # Not silent: it says what it has to do before it starts anything.
    "sif": f"apptainer exec --cleanenv {IMAGE}/base.sif true",
}
UNPACKS: Final = "temporary sandbox"
"""What Apptainer says when it unpacks a SIF file in order to start it."""


def plan(user: str) -> str:
    """Return what the guest is told to do."""
    said = {
        "user": user,
        "commands": {name: shlex.split(command) for name, (_, command) in FORMS.items()},
        "questions": {name: shlex.split(question) for name, question in QUESTIONS.items()},
        "first": FIRST,
        "later": LATER,
    }
    return json.dumps(said)


def starts_from(found: Sequence[Sequence[Any]]) -> list[Start]:
    """Return what the guest has measured, form by form, first runs first."""
    starts = [Start(form, run, number, seconds, disk) for form, run, number, seconds, disk in found]
    return sorted(starts, key=lambda start: (list(FORMS).index(start.form), start.run, start.number))


def conditions_from(answers: Mapping[str, str], place: Mapping[str, Any]) -> Conditions:
    """Return where it was measured, from what the guest has answered; `place` is what the lab knows by itself.

    Raises:
        LabError: an answer is not as it should be.
    """
    try:
        manifest = json.loads(answers["manifest"])
        sizes = {"host": 0, **{form: manifest[form]["size"] for form in ("oci", "tree", "sif")}}
        forms = {
            name: {"title": title, "command": command, "published_mib": round(sizes[name] / 1024**2, 1)}
            for name, (title, command) in FORMS.items()
        }
        if not re.fullmatch(r"[\w-]+", answers["storage"]):
            raise ValueError(f"'{answers['storage']}' names no storage driver")
        programs = {name: _version(answers[name.lower()]) for name in ("Podman", "Apptainer")}
        said = {
            "title": "What a start of each form takes",
            "kernel": answers["kernel"],
            "programs": programs,
            "image": manifest["oci"]["digest"],
            "forms": forms,
            "notes": [_note(UNPACKS in answers["sif"]), f"Podman's storage driver was {answers['storage']}."],
        }
        return Conditions.model_validate({**place, **said})
    except (LookupError, TypeError, ValueError, ValidationError) as error:
        raise LabError(f"What the guest has answered cannot be understood: {error}") from error


def _note(unpacks: bool) -> str:
    if unpacks:
        return "This host has no squashfuse, so Apptainer unpacked the SIF file at every start."
    return "This host has squashfuse, with which Apptainer mounted the SIF file."


def _version(said: str) -> str:
    found = re.search(r"\d+(?:\.\d+)+", said)
    if found is None:
        raise ValueError(f"'{said}' tells no version")
    return found[0]


def as_csv(starts: Sequence[Start]) -> str:
    """Return starts as the table that the page's builder reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for start in starts:
        disk = "" if start.disk_mib is None else f"{start.disk_mib:.2f}"
        writer.writerow([start.form, start.run, start.number, f"{start.seconds:.4f}", disk])
    return text.getvalue()


def as_json(conditions: Conditions) -> str:
    """Return conditions as the page's builder reads them."""
    return json.dumps(conditions.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def write(docs: Path, conditions: Conditions, starts: Sequence[Start]) -> Measurement:
    """Write both files, if they are whole, and return what a builder reads from them.

    Raises:
        InputError: they are not; then those that are there stay as they were.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / docs.name
        texts = (as_csv(starts), as_json(conditions))
        for file, text in zip(files_of(made, NAME), texts, strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        measurement = read_measurement(made, NAME)
        for source, target in zip(files_of(made, NAME), files_of(docs, NAME), strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return measurement


def summary(measurement: Measurement) -> str:
    """Return a table for whoever has measured."""
    lines = [f"{'':30} {'first run':>10} {'next runs':>10} {'fastest':>9} {'slowest':>9} {'stored':>11}"]
    for name, form in measurement.conditions.forms.items():
        first, later = measurement.times(name, "first"), measurement.times(name, "next")
        lines.append(
            f"{form.title:30} {first.median:8.2f} s {later.median:8.2f} s {later.fastest:7.2f} s "
            f"{later.slowest:7.2f} s {measurement.disk_mib(name):7.1f} MiB"
        )
    slowest = max(measurement.conditions.forms, key=lambda name: measurement.times(name, "next").median)
    spread = statistics.pstdev(measurement.times(slowest, "next").seconds)
    lines.append(f"Standard deviation of the slowest form's next runs: {spread:.2f} s")
    return "\n".join(lines)


def measure(guest: Guest, user: str) -> dict[str, Any]:
    """Start all forms in a guest; return what it has found.

    Raises:
        LabError: one of them could not be started.
    """
    argv = guest.ssh.argv("--", f"python3 - {shlex.quote(plan(user))}")
    done = process.run(argv, input=IN_GUEST.read_text(), timeout=SECONDS, check=False)
    guest.require_health()
    if done.rc != 0:
        raise LabError(f"The forms could not be started: {done.stderr.strip()[-600:]}", hint=guest.where())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def set_up(bench: Bench) -> None:
    """Let the playbook build the image.

    Raises:
        LadingError: it failed.
    """
    with bench.lab.workspace.narrator.step(f"Applying '{bench.loaded.id}'"):
        bench.play(PlaybookRoute(bench.loaded.playbook, bench.inventory, bench.variables, bench.folder), "apply")


def measure_starts(catalogue: Catalogue) -> Measurement:
    """Measure in a guest of the path's one host, and write the files.

    Raises:
        LadingError: the guest could not be set up, or the forms not be started.
    """
    loaded, platform = load_recipe(catalogue, PATH), load_platforms(catalogue)[PLATFORM]
    (name, host), *_ = loaded.recipe.hosts.items()
    with ended_by_signals(), opened_workspace() as workspace, opened_lab(workspace) as lab:
        folder = workspace.new_run_folder(f"starts-{PATH}")
        layers = foundation_of(catalogue, loaded, PLATFORM).layers(lab)
        with opened_bench(lab, loaded, PLATFORM, platform, folder, layers=layers) as bench:
            set_up(bench)
            with workspace.narrator.step("Starting each form"):
                found = measure(bench.guests[name], str(loaded.recipe.variables["image_builder_user"].in_lab))
        place = {
            "measured": datetime.now(UTC).date(),
            "platform": PLATFORM,
            "accelerator": lab.accelerator(lab.image(PLATFORM, platform)).accelerator,
            "cpus": host.cpus,
            "memory_mib": host.memory_mib,
        }
    return write(catalogue.docs, conditions_from(found["answers"], place), starts_from(found["starts"]))


def main() -> int:
    """Measure, write and print; what goes wrong is told in a sentence."""
    catalogue = find_catalogue()
    try:
        measurement = measure_starts(catalogue)
    except LadingError as error:
        print(error.message, *filter(None, [error.hint]), sep="\n", file=sys.stderr)
        return error.exit_code
    written = (file.relative_to(catalogue.root).as_posix() for file in files_of(catalogue.docs, NAME))
    print("", summary(measurement), f"Written: {', '.join(written)}", sep="\n")
    return ExitCode.OK
