"""What holds for the recipe and the playbook of every path."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES

CATALOGUE = find_catalogue(start=Path(__file__))
PATHS = sorted(path.parent.name for path in (CATALOGUE.root / "recipes").glob("*/recipe.yml"))
PLAYBOOKS = sorted(ROLES.parent.glob("*_*.yml"))
ROLE_WORDS = ("ansible.builtin.import_role", "ansible.builtin.include_role")

# What was proven before these rules; mending one makes its evidence stale, and belongs to its next change.
RED_AT_FIRST_ONLY = {
    "apptainer-unprivileged",
    "common-base-image",
    "cvmfs-client",
    "hpc-image-file",
    "image-build-once",
    "unpacked-area",
    "worker-for-pilots",
}
ASKED_AFTER_THE_DRAIN = {
    "apptainer_unprivileged",
    "cvmfs_client",
    "slurm_apptainer",
    "unpacked_area",
    "worker_for_pilots",
}


def checks_of(path: str) -> set[str]:
    """Return a path's checks as its faults name them."""
    return {
        f"{file.name}::{node.name}"
        for file in (CATALOGUE.root / "recipes" / path).glob("test_*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def preflights_of(playbook: Path) -> Iterator[dict[str, str]]:
    """Yield which role's look at a host a playbook includes, and how."""
    for task in tasks_of(playbook):
        for asked in (task[word] for word in ROLE_WORDS if word in task):
            if asked.get("tasks_from", "").startswith("preflight"):
                yield asked


def plays_of(playbook: Path) -> list[dict[str, Any]]:
    plays: list[dict[str, Any]] = yaml.safe_load(playbook.read_text())
    return plays


def tasks_of(playbook: Path) -> Iterator[dict[str, Any]]:
    """Yield the tasks of a playbook, as it writes them."""
    for play in plays_of(playbook):
        for part in ("pre_tasks", "tasks", "post_tasks"):
            yield from play.get(part, [])


def test_every_check_is_turned_red_by_a_fault() -> None:
    """The red stage alone proves of the others that they can fail; a path that comes new is not to be among them."""
    lacking = set()
    for path in PATHS:
        red = {check for fault in load_recipe(CATALOGUE, path).recipe.sabotage for check in fault.red}
        assert red <= checks_of(path)
        if red != checks_of(path):
            lacking.add(path)
    assert lacking == RED_AT_FIRST_ONLY


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_node_is_undrained_last_and_a_failure_stops_those_that_are_to_come(playbook: Path) -> None:
    """So whatever a role tries at its end stands between a broken node and its next job."""
    for play in plays_of(playbook):
        drains = [task for task in play.get("pre_tasks", []) if task["name"].startswith("Drain")]
        if drains:
            assert [task["name"] for task in play["post_tasks"]] == ["Undrain the node"]
            assert play["any_errors_fatal"] is True


def test_variables_are_held_against_their_specification_before_a_node_is_drained() -> None:
    """With 'preflight.yml' Ansible finds no specification of that name, and asks for nothing."""
    asking = set()
    for playbook in PLAYBOOKS:
        for asked in preflights_of(playbook):
            specified = yaml.safe_load((ROLES / asked["name"] / "meta/argument_specs.yml").read_text())[
                "argument_specs"
            ]
            if asked["tasks_from"] == "preflight" and specified["preflight"]["options"] == specified["main"]["options"]:
                continue
            asking.add(playbook.stem)
    assert asking == ASKED_AFTER_THE_DRAIN


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_no_task_asks_for_a_variable_that_it_sets_itself(playbook: Path) -> None:
    """Else it asks for its own value: a role would be undone by each run, where it and the playbook share a name."""
    for task in tasks_of(playbook):
        conditions = str(task.get("when", ""))
        assert not [name for name in task.get("vars", {}) if re.search(rf"\b{name}\b", conditions)], task["name"]
