"""The workbench of one track of a proof: guests of the recipe's hosts, and what is asked of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lading.checks.report import CheckReport
from lading.checks.run import run_checks
from lading.errors import LabError, PathFailed, UsageError
from lading.lab.guest import Guest
from lading.lab.image import TestImageDefinition, find_test_image
from lading.lab.lab import Lab
from lading.lab.layer import Layer
from lading.lab.segment import Segment, opened_segment
from lading.lab.stand_in import CvmfsStandIn
from lading.process import TimedOut, scrubbed_environment
from lading.recipe.load import LoadedRecipe
from lading.recipe.model import Host, Recipe
from lading.recipe.platforms import Platform
from lading.routes.playbook import write_inventory
from lading.routes.result import PlayResult
from lading.state.collect import SCRIPT
from lading.state.model import State

LAB_USERS = {"user": "alice", "other": "bob", "pilot": "pilot01"}
# ansible-playbook's exit code for an exception of its own (ansible.cli: "Unexpected Exception").
ANSIBLE_CRASHED = 250
# Seconds of wall clock on an emulated guest, where a recipe says nothing.
DEFAULT_TIMEOUTS = {"apply": 1200.0, "again": 1200.0, "green": 600.0, "undo": 600.0}
STATE_SECONDS = 30
SETUP_SECONDS = 60

States = dict[str, State]
"""The state of each host, by its name."""


class AutomatedRoute(Protocol):
    """A route that a program walks: Ansible or Puppet."""

    def apply(
        self, label: str, timeout: float, *, check: bool = False, variables: Mapping[str, Any] | None = None
    ) -> PlayResult:
        """Run it once on all hosts; with `check` it only says what it would change."""
        ...


@dataclass
class Bench:
    """What the stages of one track work on. `outages` is how many there had been when the stage began."""

    lab: Lab
    loaded: LoadedRecipe
    platform: str
    guests: dict[str, Guest]
    inventory: Path
    variables: Path
    site: Path
    folder: Path
    outages: int = field(default=0)
    segment: Segment | None = None

    @property
    def recipe(self) -> Recipe:
        return self.loaded.recipe

    def begin_stage(self) -> None:
        """Forget what the mirror did before."""
        self.outages = len(self.lab.traffic.outages)

    def timeout(self, stage: str) -> float:
        """Return the seconds that a stage's run may take."""
        return timeout_of(self.recipe, stage)

    def check(self, label: str, select: Sequence[str] | None = None, *, mutating: bool | None = None) -> CheckReport:
        """Run checks; whatever did not pass is a verdict only if every guest is well and none was lost meanwhile.

        `mutating` chooses those that do or don't change a host; by default both.
        """
        try:
            report = run_checks(
                self.loaded.check_files,
                self.inventory,
                self.site,
                self.folder / f"checks-{label}",
                select=select,
                mutating=mutating,
                timeout=self.timeout("green"),
                environment=scrubbed_environment(self.folder / "home"),
            )
        except TimedOut:
            self.require_health()
            raise PathFailed(f"The checks did not end within {self.timeout('green'):.0f} s.") from None
        if len(report.passed) < len(report.results):
            self.require_health()
        if lost := [found for found in report.results if found.lost]:
            raise LabError(
                f"The connection to a guest broke while '{lost[0].check}' ran; the guest is well again now.",
                hint=lost[0].message,
            )
        return report

    def play(
        self, route: AutomatedRoute, label: str, *, check: bool = False, variables: Mapping[str, Any] | None = None
    ) -> PlayResult:
        """Run a route to its good end.

        Raises:
            PathFailed: it failed on healthy guests with a healthy mirror.
            LabError: it failed since a guest or the mirror was lost.
        """
        result = self.try_to_play(route, label, check=check, variables=variables)
        if result.rc != 0:
            raise PathFailed(failure_of(result), hint=f"The whole output: {result.log}")
        return result

    def try_to_play(
        self, route: AutomatedRoute, label: str, *, check: bool = False, variables: Mapping[str, Any] | None = None
    ) -> PlayResult:
        """Run a route, which may refuse: a failure that comes back here is the route's own.

        Raises:
            PathFailed: it did not end in its time.
            LabError: a guest, the mirror or the program itself was lost.
        """
        try:
            result = route.apply(label, self.timeout("apply"), check=check, variables=variables)
        except TimedOut:
            self.require_health()
            raise PathFailed(f"It did not end within {self.timeout('apply'):.0f} s.") from None
        if result.rc != 0:
            self.require_health()
            if result.unreachable:
                raise LabError("The run lost a guest that is well again now.", hint=f"See '{result.log}'.")
            if result.rc < 0 or result.rc == ANSIBLE_CRASHED:
                raise LabError(f"The program was ended or crashed ({result.rc}).", hint=f"See '{result.log}'.")
        return result

    def require_health(self) -> None:
        """Raise a LabError if a guest was lost, or their private network, or the mirror was down."""
        for guest in self.guests.values():
            guest.require_health()
        if self.segment:
            self.segment.require_health()
        try:
            self.lab.require_mirror(self.outages)
        except LabError as error:
            raise LabError(error.message, f"{error.hint}\n{next(iter(self.guests.values())).where()}") from error

    def states(self) -> States:
        """Take the state of every host.

        Raises:
            LabError: a guest was lost, or its answer is no state.
        """
        # Side by side: a guest works on its state for seconds, on a processor of its own.
        with ThreadPoolExecutor(len(self.guests)) as pool:
            told = pool.map(lambda guest: guest.ask(SCRIPT, STATE_SECONDS).output, self.guests.values())
            answers = dict(zip(self.guests, told, strict=True))
        try:
            return {name: State.from_json(answer) for name, answer in answers.items()}
        except UsageError as error:
            raise LabError(f"A guest's state could not be taken. {error.message}", error.hint) from error

    def run_on(self, groups: Sequence[str], script: str, what: str, mend: str) -> None:
        """Run a shell script as root on every host of the groups, on all hosts if none is named.

        Raises:
            PathFailed: it failed on a healthy guest; `what` names it and `mend` says what to do.
        """
        for name, guest in self.guests.items():
            if groups and not set(groups) & set(self.recipe.hosts[name].groups):
                continue
            answer = guest.ask(script, SETUP_SECONDS, check=False)
            if answer.rc != 0:
                self.require_health()
                raise PathFailed(f"{what} (exit {answer.rc}): {answer.output.strip()[-400:]}", hint=mend)


def timeout_of(recipe: Recipe, stage: str) -> float:
    """Return the seconds that a run of a recipe's stage may take."""
    said = {str(name): seconds for name, seconds in recipe.timeouts.items()}
    return said.get(stage, DEFAULT_TIMEOUTS.get(stage, DEFAULT_TIMEOUTS["apply"]))


def failure_of(result: PlayResult) -> str:
    """Return what failed first, in a sentence."""
    if not result.failures:
        return f"It ended with {result.rc}."
    first = result.failures[0]
    return f"It failed on '{first.host}' in '{first.task}': {first.message}"


@contextmanager
def opened_bench(
    lab: Lab,
    loaded: LoadedRecipe,
    platform_name: str,
    platform: Platform,
    folder: Path,
    variables: Mapping[str, Any] | None = None,
    layers: Mapping[str, Layer] | None = None,
) -> Iterator[Bench]:
    """Start a guest for each host of the recipe, with its test images, and yield the bench.

    Several hosts are on a private network of their own, where they know each other by name. `variables` win over what
    the recipe says of the lab. `layers` are what hosts start with, by their names: `lading.proof.bases` makes them. The
    test images that layers count on come too.
    """
    recipe = loaded.recipe
    image = lab.image(platform_name, platform)
    layers = layers or {}
    defined = {name: of for layer in layers.values() for name, of in layer.images.items()} | mounted_images(recipe)
    images = {name: find_test_image(lab.workspace, name, of, lab.mirror) for name, of in defined.items()}
    with ExitStack() as stack:
        segment = stack.enter_context(opened_segment(lab.workspace, list(recipe.hosts))) if recipe.several else None
        guests: dict[str, Guest] = {}
        for name, host in recipe.hosts.items():
            place = segment.places[name] if segment else None
            shape = {"memory": host.memory_mib, "cpus": host.cpus}
            guests[name] = stack.enter_context(
                lab.guest(name, image, folder / name, **shape, images=images, place=place, layer=layers.get(name))
            )
        groups = {name: list(host.groups) for name, host in recipe.hosts.items()}
        inventory = write_inventory(folder / "inventory.json", guests, groups)
        said = folder / "variables.json"
        said.write_text(json.dumps(lab_variables(recipe) | dict(variables or {}), indent=1))
        site = _write_site(recipe, folder, variables or {})
        yield Bench(lab, loaded, platform_name, guests, inventory, said, site, folder, segment=segment)


def image_definitions(recipe: Recipe) -> dict[str, TestImageDefinition]:
    """Return the test images of a recipe as the lab makes them."""
    return {
        name: TestImageDefinition(said.suite, tuple(said.packages), said.variant, tuple(said.setup))
        for name, said in recipe.images.items()
    }


def mounted_images(recipe: Recipe) -> dict[str, TestImageDefinition]:
    """Return the test images that guests have below /srv/images: not those that a stand-in serves."""
    cvmfs = recipe.stand_ins.cvmfs
    served = set(cvmfs.repositories.values()) if cvmfs else set()
    return {name: of for name, of in image_definitions(recipe).items() if name not in served}


def stand_in_of(recipe: Recipe, host: Host) -> CvmfsStandIn | None:
    """Return the CVMFS stand-in that a recipe asks for on a host, if it does."""
    said = recipe.stand_ins.cvmfs
    if said is None or (said.groups and not set(said.groups) & set(host.groups)):
        return None
    defined = image_definitions(recipe)
    repositories = {name: defined[of] for name, of in said.repositories.items()}
    return CvmfsStandIn(repositories, said.idle, said.first_access)


def lab_variables(recipe: Recipe) -> dict[str, Any]:
    """Return what the lab sets; where it sets nothing, the role's own default is what is proven."""
    return {name: var.lab for name, var in recipe.variables.items() if "lab" in var.model_fields_set}


def _write_site(recipe: Recipe, folder: Path, variables: Mapping[str, Any]) -> Path:
    file = folder / "site.json"
    site = {
        "users": LAB_USERS,
        "images": {name: f"/srv/images/{name}" for name in mounted_images(recipe)},
        "variables": {name: variable.in_lab for name, variable in recipe.variables.items()} | dict(variables),
    }
    file.write_text(json.dumps(site, indent=1))
    return file
