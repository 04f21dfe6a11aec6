"""The role for a site's own image: what it asks of a node, what it writes, and what recipe and checks hold."""

import inspect
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from jinja2 import Environment

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES
from tests.playbooks.test_image_checks import checks

ROLE = ROLES / "htcondor_site_image"
VARS = yaml.safe_load((ROLE / "vars/main.yml").read_text())
PREFLIGHT = yaml.safe_load((ROLE / "tasks/preflight.yml").read_text())
NAME = "htcondor-site-container"
LOADED = load_recipe(find_catalogue(start=Path(__file__)), NAME)
RECIPE = LOADED.recipe
JOBS = LOADED.folder / "jobs.sh"

# An image that holds a file 'broken' gives no container, one with 'bare' has nothing that could be tried.
APPTAINER = """#!/bin/sh
action=$2 image=$5
[ ! -e "$image/slowest" ] || exit 124
[ ! -e "$image/broken" ] || { echo "INFO: a word before"; echo "FATAL:   could not open image $image"; exit 255; } >&2
if [ "$action" = exec ]; then shift 5; exec "$@"; fi
[ ! -e "$image/slow" ] || exit 124
[ ! -e "$image/bare" ] || { echo "FATAL:   exec /.singularity.d/actions/test failed" >&2; exit 255; }
"""
PROGRAMS = {
    "apptainer": APPTAINER,
    "runuser": '#!/bin/sh\nshift 3\nexec "$@"\n',
    "condor_config_val": '#!/bin/sh\necho "$(dirname "$0")/apptainer"\n',
}


class Node:
    """A node that is asked, with an image."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "image"
        self.image.mkdir()
        self.left = folder / "tmp"
        self.left.mkdir()
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name, text in PROGRAMS.items():
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)

    def ask(self) -> str:
        environment = {"PATH": f"{self.programs}:{os.environ['PATH']}", "TMPDIR": str(self.left)}
        line = ["sh", "-c", VARS["htcondor_site_image_question"], "sh", str(self.image)]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        assert list(self.left.iterdir()) == []
        return done.stdout


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def config(**said: Any) -> str:
    template = ROLE / "templates/etc/condor/config.d/90-lading-site-image.config.j2"
    variables = {
        "htcondor_site_image_path": "/i",
        "htcondor_site_image_bind": ["/a", "/b"],
        "htcondor_site_image_target": "",
    }
    return Environment(trim_blocks=True).from_string(template.read_text()).render(variables | said)


def test_an_image_from_which_a_container_runs_and_that_can_be_tried_is_no_reason_for_a_word(node: Node) -> None:
    assert node.ask() == ""


def test_an_image_from_which_no_container_runs_is_told_with_the_last_words(node: Node) -> None:
    (node.image / "broken").touch()
    assert node.ask() == f"wrong FATAL:   could not open image {node.image}\n"


def test_an_image_that_htcondor_cannot_try_is_told_apart(node: Node) -> None:
    (node.image / "bare").touch()
    assert node.ask() == "untried FATAL:   exec /.singularity.d/actions/test failed\n"


@pytest.mark.parametrize("file, word", [("slowest", "wrong"), ("slow", "untried")])
def test_a_container_that_says_nothing_is_no_refusal_without_a_cause(node: Node, file: str, word: str) -> None:
    (node.image / file).touch()
    assert node.ask() == f"{word} it said nothing, or not within two minutes\n"


@pytest.mark.parametrize(
    "name, value, well",
    [
        ("htcondor_site_image_path", "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/library/debian:stable", True),
        ("htcondor_site_image_path", "", False),
        ("htcondor_site_image_path", "images/el9", False),
        ("htcondor_site_image_path", '/images/"el9"', False),
        ("htcondor_site_image_path", "/images/el 9", False),
        ("htcondor_site_image_path", "/images/$(el9)", False),
        ("htcondor_site_image_path", "/images/el9\n", False),
        ("htcondor_site_image_bind", ["/cvmfs", "/data:/mnt/data:ro"], True),
        ("htcondor_site_image_bind", "/cvmfs /dev/fuse", False),
        ("htcondor_site_image_bind", ["/cvmfs /dev/fuse"], False),
        ("htcondor_site_image_target", "/srv", True),
        ("htcondor_site_image_target", "srv", False),
        ("htcondor_site_image_target", "/", False),
    ],
)
def test_settings_that_would_spoil_the_file_are_refused(name: str, value: object, well: bool) -> None:
    task = next(task for task in PREFLIGHT if task["name"] == "Refuse settings that are not told in full")
    held = Environment()
    held.tests["match"] = lambda text, pattern: bool(re.match(pattern, text))
    good = {"htcondor_site_image_path": "/i", "htcondor_site_image_bind": [], "htcondor_site_image_target": ""}
    conditions = task["ansible.builtin.assert"]["that"]
    answers = [held.compile_expression(condition)(**good | {name: value}) for condition in conditions]
    assert all(answers) is well


def test_what_decides_before_a_change_knows_every_variable_of_the_role() -> None:
    told = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    assert told["preflight"]["options"] == told["main"]["options"]


@pytest.mark.parametrize("queue, ended", [("exit 1", False), ("echo 2", False), ("echo 5", True), ("true", True)])
def test_a_queue_that_does_not_answer_has_not_said_that_jobs_have_ended(
    tmp_path: Path, queue: str, ended: bool
) -> None:
    (tmp_path / "condor_q").write_text(f"#!/bin/sh\n{queue}\n")
    (tmp_path / "condor_q").chmod(0o755)
    line = ["sh", "-c", f". '{JOBS}'; ended 1"]
    done = subprocess.run(line, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=False, timeout=30)
    assert (done.returncode == 0) is ended


def test_a_node_without_apptainer_is_told_by_the_program_that_htcondor_would_run(node: Node) -> None:
    (node.programs / "apptainer").unlink()
    assert node.ask() == f"no {node.programs}/apptainer\n"


def test_the_settings_insist_on_what_keeps_jobs_and_pilots_from_harm() -> None:
    lines = config().splitlines()
    for line in (
        "SINGULARITY_JOB = True",
        'SINGULARITY_IMAGE_EXPR = "/i"',
        'SINGULARITY_BIND_EXPR = "/a /b"',
        "SINGULARITY_USE_PID_NAMESPACES = True",
        "SINGULARITY_RUN_TEST_BEFORE_JOB = True",
        "START = ($(START)) && HasSingularity =?= True",
        'SiteImage = "/i"',
        "STARTD_ATTRS = $(STARTD_ATTRS) SiteImage",
    ):
        assert line in lines


def test_the_place_of_the_jobs_folder_is_htcondors_unless_it_is_said() -> None:
    assert "SINGULARITY_TARGET_DIR" not in config()
    assert "SINGULARITY_TARGET_DIR = /srv\n" in config(htcondor_site_image_target="/srv")


def test_all_that_the_settings_say_is_asked_of_the_site_before() -> None:
    said = {line.split(" = ")[0] for line in config(htcondor_site_image_target="/srv").splitlines() if " = " in line}
    own = {"STARTD_ATTRS"}  # adds to what the site has
    assert {name for name in said if name.isupper()} - own == {*VARS["htcondor_site_image_macros"], "START"}


@pytest.mark.parametrize(
    "name", sorted(found_name for found_name in dir(checks(NAME, "test_head")) if found_name.startswith("test_"))
)
def test_without_htcondor_each_check_fails_and_does_not_crash(name: str) -> None:
    silent = SimpleNamespace(rc=69, stdout="", stderr="there is no HTCondor here")
    every = dict.fromkeys(("submitted", "plain", "pilot", "image", "ad", "says", "node", "binds", "broken"), silent)
    site = SimpleNamespace(variables={"htcondor_site_image_path": "/i", "htcondor_site_image_bind": ["/cvmfs"]})
    check = getattr(checks(NAME, "test_head"), name)
    with pytest.raises(AssertionError):
        check(**{word: site if word == "site" else every for word in inspect.signature(check).parameters})


def found(file: str) -> list[str]:
    return [name for name, _ in inspect.getmembers(checks(NAME, file), inspect.isfunction) if name.startswith("test_")]
