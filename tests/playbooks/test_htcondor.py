"""The roles for HTCondor: what they read of a site, what their program decides, and what recipe and page hold."""

import doctest
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES, load, load_module

PROGRAM = ROLES / "htcondor_containers/files/htcondor-container-check.py"
RECIPE = load_recipe(find_catalogue(start=Path(__file__)), "htcondor-user-container").recipe
survey = load_module("htcondor_settings", "htcondor_survey")
key = load_module("htcondor_pool", "pool_key")

# An image that holds a file 'broken' gives no container, one with 'slow' is late; any other ends as it should.
APPTAINER = """#!/bin/sh
for image; do case $image in */images/*) break ;; esac; done
[ ! -e "$image/slow" ] || sleep 9
[ ! -e "$image/broken" ] || { echo "FATAL:   no space for \\"namespaces\\"" >&2; exit 255; }
exit 37
"""
CONDOR_STATUS = '#!/bin/sh\ncat "$(dirname "$0")/pool"\n'
CONDOR_CONFIG_VAL = "#!/bin/sh\necho w1\n"


@pytest.fixture(scope="module")
def check() -> Iterator[ModuleType]:
    sys.dont_write_bytecode = True
    yield load(PROGRAM, "htcondor_container_check")
    del sys.modules["htcondor_container_check"]


class Node:
    """An execution point and its pool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in {
            "apptainer": APPTAINER,
            "condor_status": CONDOR_STATUS,
            "condor_config_val": CONDOR_CONFIG_VAL,
        }.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        for name in ("known", "own"):
            (folder / "images" / name).mkdir(parents=True)
        (folder / "pool").write_text("w1 true\nw2 false\n")
        (folder / "settings").write_text(
            f"[container-check]\nimage = {folder}/images/known\nseconds = 2\ninterval = 0\nshare = 10\nsettle = 0\n"
        )
        # The program takes what a system has; the tests have it first.
        self.program = folder / "check.py"
        self.program.write_text(
            PROGRAM.read_text().replace('PATH = "', f'PATH = "{folder}:', 1).replace("HEARD = 30 ", "HEARD = 0 ")
        )

    def run(self, way: str, words: str = "") -> str:
        line = [sys.executable, str(self.program), f"--{way}", "--settings", str(self.folder / "settings")]
        environment = {"PATH": os.environ["PATH"], "_CONDOR_SCRATCH_DIR": str(self.folder)}
        # Where a hook's program is looked up, the tests' apptainer is found too.
        environment["PATH"] = f"{self.folder}:{environment['PATH']}"
        line += ["--run", str(self.folder / "run"), "--pause", "0"]
        done = subprocess.run(
            line, input=words, env=environment, capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def job(self, image: str) -> str:
        return self.run("job", f'WantContainer = true\nContainerImage = "{image}"\nCmd = "/bin/cat"\n')

    def breaks(self, name: str, how: str = "broken") -> None:
        (self.folder / "images" / name / how).touch()

    def asked(self) -> list[str]:
        return [path.name for path in (self.folder / "run" / "asked").glob("*")]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_the_examples_in_the_program_and_the_module_hold(check: ModuleType) -> None:
    assert doctest.testmod(check).failed == 0
    assert doctest.testmod(survey).failed == 0


def test_a_job_whose_image_starts_goes_on_whatever_the_known_good_one_does(node: Node) -> None:
    node.breaks("known")
    assert node.job(f"{node.folder}/images/own") == ""


def test_a_bad_image_is_held_by_its_name_where_another_starts(node: Node) -> None:
    node.breaks("own")
    said = node.job(f"{node.folder}/images/own")
    assert "HookStatusCode = 67\n" in said
    assert f"The container image '{node.folder}/images/own' gives no container: FATAL: no space for" in said
    assert '\\"namespaces\\"' in said


def test_an_image_that_is_missing_or_for_another_machine_says_so(node: Node) -> None:
    assert "HookStatusCode = 66\n" in (said := node.job("/no/such/image"))
    assert "'/no/such/image' cannot be found: No such file or directory" in said
    shell = node.folder / "images/own/bin/sh"
    shell.parent.mkdir()
    shell.write_bytes(b"\x7fELF\2\1\1" + b"\0" * 9 + b"\2\0\xb7\0")
    assert "HookStatusCode = 65\n" in (said := node.job("images/own"))
    assert "'images/own' is for aarch64" in said


def test_a_job_goes_back_where_nothing_starts_and_the_node_is_asked_to_look(node: Node) -> None:
    node.run("startd")
    node.breaks("own")
    node.breaks("known")
    said = node.job(f"{node.folder}/images/own")
    assert "HookStatusCode = 300\n" in said
    assert "is not to blame" in said
    assert len(node.asked()) == 1


def test_a_job_goes_back_when_the_node_has_decided_and_not_before(node: Node) -> None:
    """Else the next job takes the claim that it leaves, on a node where no container runs."""
    node.run("startd")
    decided, out = node.folder / "run/decided", node.folder / "run/out"
    assert decided.exists()
    for name in ("own", "known"):
        node.breaks(name)
    settings = node.folder / "settings"
    settings.write_text(settings.read_text().replace("seconds = 2", "seconds = 20"))
    with ThreadPoolExecutor() as pool:
        job = pool.submit(node.job, f"{node.folder}/images/own")
        while not node.asked():
            time.sleep(0.05)
        with pytest.raises(TimeoutError):
            job.result(1.5)
        assert not out.exists()
        node.run("startd")
        assert "HookStatusCode = 300\n" in job.result(10)
    assert out.exists()


def test_an_image_that_is_only_slow_is_nobodys_fault(node: Node) -> None:
    node.breaks("own", "slow")
    assert node.job(f"{node.folder}/images/own") == ""


def test_a_job_without_a_container_and_a_check_without_settings_let_all_pass(node: Node) -> None:
    node.breaks("known")
    assert node.run("job", 'Cmd = "/bin/cat"\n') == ""
    (node.folder / "settings").unlink()
    assert node.job("/no/such/image") == ""


def test_a_node_that_fails_speaks_first_leaves_then_and_comes_back_by_itself(node: Node) -> None:
    node.breaks("known")
    first, second, _ = node.run("startd").split("- update:true\n")
    assert first.startswith("ContainerCheckOut = false\nContainerCheckFailing = ")
    assert second.startswith("ContainerCheckOut = true\nContainerCheckFailing = ")
    assert node.run("startd").startswith("ContainerCheckOut = true\n")
    (node.folder / "images/known/broken").unlink()
    assert node.run("startd") == "ContainerCheckOut = false\n- update:true\n"


def test_a_node_stays_where_more_than_the_share_say_that_they_fail(node: Node) -> None:
    node.breaks("known")
    (node.folder / "pool").write_text("w1 true\nw2 true\n")
    said = node.run("startd")
    assert "ContainerCheckOut = true" not in said
    assert "2 of 2 nodes say that they fail, so it is not this node alone" in said


def test_a_node_that_the_pool_does_not_hear_stays_for_it_cannot_know_how_many_fail(node: Node) -> None:
    node.breaks("known")
    for pool in ("w1 false\nw2 false\n", ""):
        (node.folder / "pool").write_text(pool)
        said = node.run("startd")
        assert "ContainerCheckFailing = " in said
        assert "ContainerCheckOut = true" not in said


def test_a_check_that_is_broken_itself_says_so_and_the_node_stays(node: Node) -> None:
    (node.folder / "settings").write_text("[container-check]\n")
    said = node.run("startd")
    assert said.startswith('ContainerCheckOut = false\nContainerCheckFailing = "the check itself is broken, ')
    assert "/settings' or " in said


def test_what_jobs_have_asked_is_done_once_and_nobody_reads_who_asked(node: Node) -> None:
    node.run("startd")
    (node.folder / "run/asked/7").touch()
    node.run("startd")
    assert node.asked() == []
    assert (node.folder / "run/asked").stat().st_mode & 0o7777 == 0o1733


def test_lines_of_the_site_that_are_read_later_are_named_but_not_those_that_only_add(tmp_path: Path) -> None:
    ours, other = tmp_path / "90-lading-containers.config", tmp_path / "99-desk.config"
    other.write_text("# mine\nSTART = true\nSTARTD_CRON_JOBLIST = $(STARTD_CRON_JOBLIST) desk\n")
    (tmp_path / "10-desk.config").write_text("START = false\n")
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    found = survey.later(files, str(ours), ["START", "STARTD_CRON_JOBLIST"])
    assert found == [f"{other}:2: START = true"]


def test_a_key_is_written_for_nobody_else_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "passwords.d" / "POOL"
    key.write_key(str(path), "x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        key.write_key(str(path), "y")


def test_a_key_that_others_can_read_is_found_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "passwords.d" / "POOL"
    key.write_key(str(path), "x")
    assert key.opened(str(path)) == []
    path.chmod(0o644)
    path.parent.chmod(0o755)
    found = key.opened(str(path))
    assert [mode for _, mode in found] == [0o700, 0o600]
    key.close(found, rehearsal=True)
    assert key.opened(str(path)) == found
    key.close(found, rehearsal=False)
    assert key.opened(str(path)) == []


def test_no_task_that_handles_the_key_is_logged() -> None:
    tasks = yaml.safe_load((ROLES / "htcondor_pool/tasks/present.yml").read_text())
    keys = [task for task in tasks if "pool_key" in task]
    assert len(keys) == len([task for task in keys if task["no_log"]]) == 2


def test_every_file_of_the_roles_bears_the_mark_by_which_the_next_run_knows_it() -> None:
    for file in ROLES.glob("htcondor_*/templates/etc/condor/config.d/*"):
        assert file.read_text().startswith(survey.MARK), file
