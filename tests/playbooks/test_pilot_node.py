"""The role `pilot_node`: what it takes for missing, what it runs, and what its checks and its playbook hold on to."""

import getpass
import inspect
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES, load_module
from tests.playbooks.test_image_checks import checks
from tests.processes import assert_ends

survey = load_module("pilot_node", "pilot_node_survey")
trial = load_module("pilot_node", "pilot_node_try")
apptainer = load_module("apptainer", "apptainer_survey")
RECIPE = load_recipe(find_catalogue(start=Path(__file__)), "worker-for-pilots").recipe
CHECKS = checks("worker-for-pilots", "test_pilots")
ME = getpass.getuser()


def test_both_roles_look_for_setuid_starters_in_the_same_places() -> None:
    assert survey.STARTERS == apptainer.STARTERS


def test_a_starter_counts_only_with_the_setuid_bit(tmp_path: Path) -> None:
    for name, mode in (("old", 0o4755), ("disarmed", 0o755)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    (tmp_path / "dangling").symlink_to("nowhere")
    assert survey.setuid_starters([f"{tmp_path}/*"]) == [f"{tmp_path}/old"]


def test_of_a_bind_path_the_source_alone_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "certificates").mkdir()
    there = [f"{tmp_path}/certificates", f"{tmp_path}/certificates:/etc/grid-security:ro"]
    wanted = survey.sources([*there, f"{tmp_path}/gone:/srv"])
    assert survey.missing([ME], wanted, 20) == [f"{tmp_path}/gone (asked as {ME})"]


def test_an_apptainer_has_to_be_executable_and_an_image_there(tmp_path: Path) -> None:
    program = tmp_path / "apptainer"
    program.touch(mode=0o644)
    wanted = survey.tried(str(program), [str(tmp_path), f"{tmp_path}/gone"])
    assert survey.missing([ME], wanted, 20) == [f"{program} (asked as {ME})", f"{tmp_path}/gone (asked as {ME})"]
    program.chmod(0o755)
    assert survey.missing([ME], wanted[:2], 20) == []
    assert survey.tried("", ["/i"]) == []


def test_a_path_that_does_not_answer_is_asked_once_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run_as(account: str, *_: object) -> tuple[None, str]:
        asked.append(account)
        return None, ""

    monkeypatch.setitem(survey.looks.__globals__, "run_as", run_as)
    assert survey.missing(["a", "b"], [("-e", "/net/x")], 60) == ["/net/x (asked as a: no answer in 60 s)"]
    assert asked == ["a"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another")
def test_a_path_is_asked_for_with_the_rights_of_the_account(tmp_path: Path) -> None:
    """Root reaches it, and that says nothing about a pilot."""
    tmp_path.chmod(0o700)
    assert survey.missing(["root"], [("-e", str(tmp_path / "."))], 20) == []
    assert survey.missing(["root", "nobody"], [("-e", f"{tmp_path}/.")], 20) == [f"{tmp_path}/. (asked as nobody)"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the module makes its folders."""
    monkeypatch.setattr(trial, "FOLDERS", str(tmp_path))
    return tmp_path


def complaint(line: str, seconds: float = 20) -> str:
    said: str = trial.complaint(ME, ["/bin/sh", "-c", line], ["/srv/a:/b"], seconds)
    return said


def test_a_container_that_runs_leaves_no_complaint_and_nothing_else(folder: Path) -> None:
    assert complaint("touch of-mine ~/.hidden") == ""
    assert list(folder.iterdir()) == []


def test_what_is_wrong_is_told_in_the_last_words_of_apptainer(folder: Path) -> None:
    said = complaint("echo WARNING >&2; echo INFO >&2; echo ERROR: why >&2; echo FATAL: no image >&2; exit 255")
    assert said == "exit code 255: INFO / ERROR: why / FATAL: no image"
    assert complaint("exit 3") == "exit code 3: it said nothing"
    assert list(folder.iterdir()) == []


def test_an_apptainer_that_is_not_there_or_hangs_is_told_too(folder: Path) -> None:
    missing = trial.complaint(ME, ["/cvmfs/no.such/apptainer"], [], 5)
    assert missing.startswith("exit code 127: ")
    assert missing.endswith("/cvmfs/no.such/apptainer: not found")
    assert complaint("exec sleep 60", 0.2) == "it did not end in 0.2 s"
    assert list(folder.iterdir()) == []


def test_what_a_container_has_started_ends_with_it(folder: Path) -> None:
    """A pilot's Apptainer has helpers: they may not hold up the node when it has been killed."""
    started = folder / "started"
    assert complaint(f"sleep 60 & echo $! >{started}; wait", 1).startswith("it did not end")
    assert_ends(int(started.read_text()))


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_process_that_cannot_be_killed_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is with one that waits in the kernel for a file system."""
    spared: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _signal: spared.append(group))
    monkeypatch.setitem(trial.run_as.__globals__, "GONE_WITHIN", 0.1)
    begun = time.monotonic()
    assert complaint("exec sleep 20", 0.2) == "it did not end in 0.2 s"
    assert time.monotonic() - begun < 10
    (pid,) = spared
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("folder")
def test_nothing_of_ansibles_environment_gets_in_and_the_bind_paths_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADING_HOST", "leaked")
    wanted = 'test -z "$LADING_HOST" && test "$APPTAINER_BINDPATH" = /srv/a:/b && test "$HOME" = "$PWD"'
    assert complaint(wanted) == ""
    assert "APPTAINER_BINDPATH" not in trial.environment("/tmp", [])


def said_by(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: ModuleType = trial, **params: Any
) -> dict[str, Any]:
    """Run a module as Ansible does, and return what it says."""
    given = {"ANSIBLE_MODULE_ARGS": {"_ansible_remote_tmp": "/tmp", "_ansible_keep_remote_files": False, **params}}
    basic = sys.modules["ansible.module_utils.basic"]
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps(given).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit):
        module.main()
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_each_account_runs_each_image_and_the_first_failure_names_both(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = folder / "apptainer"
    program.write_text('#!/bin/sh\nfor word; do last=$image image=$word; done\n[ "$last" != /cvmfs/bad ] || exit 255\n')
    program.chmod(0o755)
    params: dict[str, Any] = {"accounts": [ME], "apptainer": str(program)}
    well = said_by(capsys, monkeypatch, images=["/cvmfs/a", "/cvmfs/b"], **params)
    assert (well["changed"], well["ran"]) == (False, [f"{ME}: /cvmfs/a", f"{ME}: /cvmfs/b"])
    ill = said_by(capsys, monkeypatch, images=["/cvmfs/a", "/cvmfs/bad"], **params)
    assert ill["failed"]
    assert ill["msg"].startswith(f"As '{ME}' no container runs from '/cvmfs/bad': exit code 255")
    assert ill["msg"].endswith(f" {program} exec --contain --ipc --pid --cleanenv --bind /cvmfs /cvmfs/bad true")


def test_the_command_in_the_message_is_the_run_that_failed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bind path that is missing fails it by the environment alone, so without that it would run."""
    program = folder / "apptainer"
    program.write_text('#!/bin/sh\n[ "$APPTAINER_BINDPATH" != "/srv/a b,/c:/d" ]\n')
    program.chmod(0o755)
    params: dict[str, Any] = {
        "accounts": [ME],
        "apptainer": str(program),
        "images": ["/cvmfs/i"],
        "bind_paths": ["/srv/a b", "/c:/d"],
    }
    ill = said_by(capsys, monkeypatch, **params)
    line = ill["msg"].partition("this is the same run: ")[2]
    assert line.startswith("APPTAINER_BINDPATH=")
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 1
    assert subprocess.run(["sh", "-c", shlex.join(shlex.split(line)[1:])], check=False).returncode == 0


def test_a_node_that_runs_is_asked_for_paths_and_an_image_build_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is told before anything changes, and whose accounts are missing does not hide it."""
    gone = f"{tmp_path}/gone"
    params: dict[str, Any] = {
        "accounts": ["no such account"],
        "bind_paths": [f"{gone}:/srv"],
        "apptainer": gone,
        "images": ["/"],
    }
    monkeypatch.setattr(survey, "booted", lambda: True)
    on_a_node = said_by(capsys, monkeypatch, survey, **params)
    assert on_a_node["missing_accounts"] == ["no such account"]
    assert on_a_node["missing_paths"] == on_a_node["missing_trial"] == [f"{gone} (asked as {ME})"]
    monkeypatch.setattr(survey, "booted", lambda: False)
    in_a_build = said_by(capsys, monkeypatch, survey, **params)
    assert in_a_build["missing_paths"] == in_a_build["missing_trial"] == []


def test_a_rehearsal_runs_no_container(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "complaint", lambda *_: pytest.fail("a container was run"))
    params: dict[str, Any] = {
        "accounts": [ME],
        "apptainer": "/cvmfs/x",
        "images": ["/cvmfs/i"],
        "_ansible_check_mode": True,
    }
    assert said_by(capsys, monkeypatch, **params)["changed"] is False


def test_a_node_is_undrained_only_after_containers_have_run() -> None:
    (play,) = yaml.safe_load((ROLES.parent / "worker_for_pilots.yml").read_text())
    assert [each["role"] for each in play["roles"]] == ["worker_namespaces", "pilot_node"]


def marks(check: object) -> set[str]:
    return {mark.name for mark in getattr(check, "pytestmark", [])}


def test_every_check_that_holds_before_is_turned_red_by_a_fault() -> None:
    """On Debian 13 most of this path holds before anything is done: it is the faults that show what checks can do."""
    red = {check for fault in RECIPE.sabotage for check in fault.red}
    names = {f"test_pilots.py::{name}" for name, _ in inspect.getmembers(CHECKS, inspect.isfunction)}
    mutates = {f"test_pilots.py::{name}" for name, check in vars(CHECKS).items() if marks(check) & {"mutates"}}
    assert red <= names
    # A fault that allows network namespaces again hides that units do not restart without.
    assert {name for name in names if "::test_" in name} - mutates <= red


def test_the_lab_serves_what_its_variables_name() -> None:
    assert RECIPE.stand_ins.cvmfs
    named = [RECIPE.variables["pilot_node_apptainer"].in_lab, *RECIPE.variables["pilot_node_images"].in_lab]
    served = RECIPE.stand_ins.cvmfs.repositories
    for path in named:
        _, _, repository, inside = path.split("/", 3)
        assert inside.split("/")[0] in " ".join(RECIPE.images[served[repository]].setup)
