"""The role `job_steps`: what it asks and refuses, and that the faults of the recipe bite."""

import getpass
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]  # it has no type hints
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]  # neither has this

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES
from tests.playbooks.test_job_steps import LIMIT, PROGRAM

RECIPE = load_recipe(find_catalogue(start=Path(__file__)), "job-step-containers").recipe
VARIABLES = yaml.safe_load((ROLES / "job_steps/vars/main.yml").read_text())


def asked(*words: str) -> list[str]:
    """Return what the role's question says."""
    script = VARIABLES["job_steps_question"].replace('runuser -u "$account" --', "env")
    script = script.replace("[ -d /run/systemd/system ]", "true")
    ran = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, text=True, check=False, timeout=LIMIT)
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def test_the_role_asks_for_what_is_missing_and_what_is_strange(tmp_path: Path) -> None:
    (tmp_path / "command").touch()
    record, command, site = (str(tmp_path / name) for name in ("record", "command", "site"))
    me = getpass.getuser()
    wanted = ["--", "-x", "/bin/sh", "-r", f"{tmp_path}/gone"]
    said = asked("20", record, command, site, me, "no such account", *wanted)
    assert said == [f"strange {command}", "no account no such account", f"missing {tmp_path}/gone (asked as {me})"]
    (tmp_path / "record").touch()
    assert asked("20", record, command, site, me, "--", "-x", "/bin/sh") == []


@pytest.mark.parametrize(
    "apptainer, paths, odd",
    [
        ("/cvmfs/a b/apptainer", ["/etc"], []),
        ("", [], [""]),
        ("apptainer", [], ["apptainer"]),
        ("/a", ["/b", "c", "/d\n[step x]"], ["c", "/d\n[step x]"]),
        ("/a", ["docker://x"], ["docker://x"]),
    ],
)
def test_the_role_refuses_what_is_no_path(apptainer: str, paths: list[str], odd: list[str]) -> None:
    given = {"job_steps_apptainer": apptainer, "job_steps_read": paths, "job_steps_images": []}
    templar = Templar(loader=DataLoader(), variables=given)
    assert templar.template(trust_as_template(VARIABLES["job_steps_odd"])) == odd


def test_faults_of_the_recipe_change_the_program_in_every_part(tmp_path: Path) -> None:
    """A fault that no longer fits the program would be made, and turn nothing red; and what it makes has to run."""
    copy = tmp_path / "job-steps"
    text = PROGRAM.read_text()
    for fault in RECIPE.sabotage[:-1]:
        words = shlex.split(fault.run)
        assert words[-1] == "/usr/local/bin/job-steps"
        for expression in (words[place + 1] for place, word in enumerate(words) if word == "-e"):
            copy.write_text(text)
            subprocess.run(["sed", "--in-place", "-e", expression, str(copy)], check=True)
            assert copy.read_text() != text, f"'{expression}' changes nothing."
            text = copy.read_text()
    compile(text, str(copy), "exec")


def test_the_role_ends_with_a_job() -> None:
    tasks: list[dict[str, Any]] = yaml.safe_load((ROLES / "job_steps/tasks/main.yml").read_text())
    assert tasks[-1]["name"] == "Run a job as each pilot account, with a step in each image"
