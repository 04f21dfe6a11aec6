"""Measure what a start of each form of a container image costs: `make bench ARGS=--starts`.

One guest is set up by the playbook of `image-build-once`, with what the lab sets, and starts the three forms of the
image in turn. The page of the path shows what is written here: `docs/assets/measured/image-starts.csv` and `.json`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from lading.project import Catalogue
from lading.site.measurement import Measurement
from tools import bench_figures
from tools.bench_figures import UNPACKS

NAME: Final = "image-starts"
PATH: Final = "image-build-once"
IMAGE: Final = "/srv/container-images/base/current"
FIRST: Final = 3
LATER: Final = 10

FORMS: Final = {
    "host": ("no container", "true"),
    "oci": ("OCI image, by Podman", f"podman run --rm --quiet --network=host oci:{IMAGE}/oci true"),
    "tree": ("unpacked image, by Apptainer", f"apptainer --silent exec --cleanenv {IMAGE}/tree true"),
    "sif": ("SIF file, by Apptainer", f"apptainer --silent exec --cleanenv {IMAGE}/base.sif true"),
}

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


def plan(user: str) -> str:
    """Return what the guest is told to do."""
    return bench_figures.plan(user, FORMS, QUESTIONS, FIRST, LATER)


def understand(answers: Mapping[str, str]) -> dict[str, Any]:
    """Return what the guest's answers say of where it was measured."""
    manifest = json.loads(answers["manifest"])
    if not re.fullmatch(r"[\w-]+", answers["storage"]):
        raise ValueError(f"'{answers['storage']}' names no storage driver")
    sizes = {"host": 0, **{form: manifest[form]["size"] for form in ("oci", "tree", "sif")}}
    return {
        "title": "What a start of each form takes",
        "kernel": answers["kernel"],
        "programs": {name: bench_figures.version(answers[name.lower()]) for name in ("Podman", "Apptainer")},
        "image": manifest["oci"]["digest"],
        "forms": bench_figures.forms_said(FORMS, sizes),
        "notes": [_note(UNPACKS in answers["sif"]), f"Podman's storage driver was {answers['storage']}."],
    }


def _note(unpacks: bool) -> str:
    if unpacks:
        return "This host has no squashfuse, so Apptainer unpacked the SIF file at every start."
    return "This host has squashfuse, with which Apptainer mounted the SIF file."


def measure_starts(catalogue: Catalogue) -> Measurement:
    """Measure in a guest of the path's one host, and write the files.

    Raises:
        LadingError: the guest could not be set up, or the forms not be started.
    """
    with bench_figures.opened(catalogue, PATH) as bench, bench.lab.workspace.narrator.step("Starting each form"):
        (name, guest), *_ = bench.guests.items()
        found = bench_figures.measure(guest, plan(str(bench.recipe.variables["image_builder_user"].in_lab)))
        place = bench_figures.place_of(bench, name)
    conditions = bench_figures.conditions_from(understand, found["answers"], place)
    return bench_figures.write(catalogue.docs, NAME, conditions, bench_figures.starts_from(found["starts"], FORMS))


def main() -> int:
    """Measure, write and print; what goes wrong is told in a sentence."""
    return bench_figures.main(measure_starts)
