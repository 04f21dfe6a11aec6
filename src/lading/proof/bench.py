"""The workbench of one proof: the guests of a recipe's hosts, its route, and its checks."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lading.checks.report import CheckReport
from lading.checks.run import run_checks
from lading.errors import LabError, PathFailed
from lading.lab.guest import Guest
from lading.lab.image import TestImageDefinition, find_test_image
from lading.lab.lab import Lab
from lading.process import TimedOut, scrubbed_environment
from lading.recipe.load import LoadedRecipe
from lading.recipe.model import Recipe
from lading.recipe.platforms import Platform
from lading.routes.playbook import PlaybookRoute, PlayResult, write_inventory

LAB_USERS = {"user": "alice", "other": "bob", "pilot": "pilot01"}
# ansible-playbook's exit code for an exception of its own (ansible.cli: "Unexpected Exception").
ANSIBLE_CRASHED = 250
FINGERPRINT = (
    "dpkg-query --show; find /etc /usr/local -xdev -printf '%p %m %U %G %s %T@ %l\\n'; "
    "sysctl --all --pattern '^(user|kernel)[.].*(namespaces|userns)'"
)
# Seconds of wall clock on an emulated guest, where a recipe says nothing.
DEFAULT_TIMEOUTS = {"apply": 1200.0, "again": 1200.0, "green": 600.0}


@dataclass
class Bench:
    """What the stages of a proof work on."""

    lab: Lab
    loaded: LoadedRecipe
    guests: dict[str, Guest]
    route: PlaybookRoute
    site: Path
    folder: Path

    @property
    def recipe(self) -> Recipe:
        return self.loaded.recipe

    def timeout(self, stage: str) -> float:
        """Return the seconds that a stage's run may take."""
        said = {str(name): seconds for name, seconds in self.recipe.timeouts.items()}
        return said.get(stage, DEFAULT_TIMEOUTS.get(stage, DEFAULT_TIMEOUTS["apply"]))

    def check(self, label: str, select: Sequence[str] | None = None) -> CheckReport:
        """Run checks; whatever did not pass is a verdict only if every guest is well and none was lost meanwhile."""
        try:
            report = run_checks(
                self.loaded.check_files,
                self.route.inventory,
                self.site,
                self.folder / f"checks-{label}",
                select=select,
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

    def play(self, label: str, *, check: bool = False) -> PlayResult:
        """Run the route.

        Raises:
            PathFailed: the playbook failed on healthy guests with a healthy mirror.
            LabError: it failed since a guest or the mirror was lost.
        """
        try:
            result = self.route.apply(label, self.timeout("apply"), check=check)
        except TimedOut:
            self.require_health()
            raise PathFailed(f"The playbook did not end within {self.timeout('apply'):.0f} s.") from None
        if result.rc != 0:
            self.require_health()
            if result.unreachable:
                raise LabError("Ansible lost a guest that is well again now.", hint=f"See '{result.log}'.")
            if result.rc < 0 or result.rc == ANSIBLE_CRASHED:
                raise LabError(
                    f"ansible-playbook itself was ended or crashed ({result.rc}).", hint=f"See '{result.log}'."
                )
            raise PathFailed(_failure(result), hint=f"Ansible's output: {result.log}")
        return result

    def require_health(self) -> None:
        """Raise a LabError if a guest was lost or the mirror was down."""
        for guest in self.guests.values():
            guest.require_health()
        try:
            self.lab.require_mirror()
        except LabError as error:
            raise LabError(error.message, f"{error.hint}\n{next(iter(self.guests.values())).where()}") from error

    def fingerprint(self) -> str:
        """Return what a run in check mode must leave alone: packages, files in /etc (enabled units too), namespaces."""
        return "\n".join(guest.ask(FINGERPRINT, 30).output for guest in self.guests.values())

    def packages(self) -> dict[str, str]:
        """Return the installed packages of the first guest, with their versions."""
        guest = next(iter(self.guests.values()))
        listing = guest.ask("dpkg-query --show", 10).output
        return dict(line.split("\t") for line in listing.splitlines() if "\t" in line)


def _failure(result: PlayResult) -> str:
    if not result.failures:
        return f"The playbook ended with {result.rc}."
    first = result.failures[0]
    return f"The playbook failed on '{first.host}' in the task '{first.task}': {first.message}"


@contextmanager
def opened_bench(
    lab: Lab, loaded: LoadedRecipe, platform_name: str, platform: Platform, folder: Path
) -> Iterator[Bench]:
    """Start a guest for each host of the recipe, with its test images, and yield the bench."""
    image = lab.image(platform_name, platform)
    verdict = lab.accelerator(image)
    lab.workspace.narrator.say(f"Guests run under {verdict.accelerator.upper()}. {verdict.reason}")
    images = {name: _test_image(lab, loaded.recipe, name) for name in loaded.recipe.images}
    if len(loaded.recipe.hosts) > 1:
        raise LabError(f"'{loaded.id}' has several hosts; this version of the lab joins none.")
    with ExitStack() as stack:
        guests: dict[str, Guest] = {}
        for name, host in loaded.recipe.hosts.items():
            guests[name] = stack.enter_context(
                lab.guest(name, image, folder / name, memory=host.memory_mib, cpus=host.cpus, images=images)
            )
        groups = {name: list(host.groups) for name, host in loaded.recipe.hosts.items()}
        inventory = write_inventory(folder / "inventory.json", guests, groups)
        route = PlaybookRoute(loaded.playbook, inventory, _variables(loaded.recipe, folder), folder)
        yield Bench(lab, loaded, guests, route, _site(loaded.recipe, folder), folder)


def _test_image(lab: Lab, recipe: Recipe, name: str) -> Path:
    said = recipe.images[name]
    definition = TestImageDefinition(said.suite, tuple(said.packages), said.variant, tuple(said.setup))
    return find_test_image(lab.workspace, name, definition, lab.mirror)


def _variables(recipe: Recipe, folder: Path) -> Path:
    """Write what the lab sets; where it sets nothing, the role's own default is what is proven."""
    said = {name: var.lab for name, var in recipe.variables.items() if "lab" in var.model_fields_set}
    file = folder / "variables.json"
    file.write_text(json.dumps(said, indent=1))
    return file


def _site(recipe: Recipe, folder: Path) -> Path:
    file = folder / "site.json"
    site = {
        "users": LAB_USERS,
        "images": {name: f"/srv/images/{name}" for name in recipe.images},
        "variables": {name: variable.in_lab for name, variable in recipe.variables.items()},
    }
    file.write_text(json.dumps(site, indent=1))
    return file
