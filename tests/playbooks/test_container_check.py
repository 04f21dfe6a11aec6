"""The programs `container-check` and `container-job`, with an Apptainer and a Slurm that the tests play."""

import doctest
import getpass
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.playbooks.modules import ROLES, load

CHECK = ROLES / "slurm_container_check/files/container-check.py"
JOB = ROLES / "slurm_containers/files/container-job.py"
APPTAINER = '#!/bin/sh\n[ ! -e "$0.broken" ] || { echo "FATAL:   could not open image" >&2; exit 255; }\n'
# A Slurm of two nodes with accounting, so a node that is not drained has no reason for long: what is said of 'worker1'
# is kept in files, and worker2's comment in another.
SCONTROL = """#!/bin/sh
cd "$(dirname "$0")"
case "$*" in
*"show node"*)
    reason=$(cat reason) comment=$(cat comment)
    reason=${reason:+ Reason=$reason [root@2026-11-22T07:50:03]}
    echo "NodeName=worker1 State=$(cat state)$reason${comment:+ Comment=$comment}" ;;
update*)
    echo "$*" >>told
    for word; do
        case $word in
        Reason=*) echo "${word#Reason=}" >reason ;;
        Comment=*) echo "${word#Comment=}" >comment ;;
        State=DRAIN) echo IDLE+DRAIN >state ;;
        State=RESUME) echo IDLE >state ;;
        esac
    done
    case $(cat state) in *DRAIN* | *DOWN*) ;; *) : >reason ;; esac ;;
esac
"""
SINFO = '#!/bin/sh\ncd "$(dirname "$0")"; echo "worker1   $(cat comment)"; echo "worker2   $(cat other)"\n'


@pytest.fixture(scope="module")
def check() -> Iterator[ModuleType]:
    sys.dont_write_bytecode = True
    yield load(CHECK, "container_check")
    del sys.modules["container_check"]


@pytest.fixture(scope="module")
def job() -> Iterator[ModuleType]:
    sys.dont_write_bytecode = True
    yield load(JOB, "container_job")
    del sys.modules["container_job"]


class Farm:
    """A node and its Slurm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in {"apptainer": APPTAINER, "scontrol": SCONTROL, "sinfo": SINFO}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        for name, text in {"state": "IDLE", "reason": "", "comment": "rack 7", "other": "(null)", "told": ""}.items():
            (folder / name).write_text(text)
        (folder / "settings").write_text(
            f"[container-check]\nimage = /srv/images/tiny\naccount = {getpass.getuser()}\n"
            "seconds = 1\nshare = 10\nsettle = 0\n"
        )

    def look(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run the program as slurmd does."""
        line = [sys.executable, str(CHECK), "--settings", str(self.folder / "settings"), *words]
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}", "SLURMD_NODENAME": "worker1"}
        line += ["--run", str(self.folder / "run")]
        return subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=30)

    def broken(self) -> Path:
        return self.folder / "apptainer.broken"

    def read(self, name: str) -> str:
        return (self.folder / name).read_text().strip()


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


def test_examples_in_docstrings_are_true(check: ModuleType) -> None:
    assert doctest.testmod(check).failed == 0


def test_a_node_that_is_well_tells_the_head_nothing(farm: Farm) -> None:
    assert farm.look().returncode == 0
    assert farm.read("told") == ""
    (farm.folder / "scontrol").unlink()
    assert farm.look().stderr == ""


def test_a_node_that_fails_drains_itself_with_image_and_error_and_comes_back(farm: Farm) -> None:
    farm.broken().touch()
    assert farm.look().returncode == 0  # Slurm would drain it too, for good, if an Epilog failed
    assert farm.read("state") == "IDLE+DRAIN"
    reason = "container-check: failing: no container runs from /srv/images/tiny: FATAL: could not open image"
    assert farm.read("reason") == reason
    farm.broken().unlink()
    farm.look()
    assert farm.read("state") == "IDLE"
    assert farm.read("reason") == ""
    assert farm.read("comment") == "rack 7"


def test_without_accounting_slurm_keeps_a_reason_which_then_says_that_all_is_well(farm: Farm) -> None:
    (farm.folder / "reason").write_text("container-check: failing: x")
    farm.look()
    assert "Reason=container-check: well again" in farm.read("told")


def test_a_fault_of_many_drains_nobody_more_and_is_told(farm: Farm) -> None:
    (farm.folder / "other").write_text("container-check: failing: the same")
    farm.broken().touch()
    said = farm.look()
    assert farm.read("state") == "IDLE"
    # So that others can count it, and what the site has written stays.
    assert farm.read("comment").startswith("rack 7; container-check: failing: ")
    assert "2 of 2 nodes" in said.stderr


@pytest.mark.parametrize("state", ["IDLE+DRAIN", "DOWN", "DOWN*"])
def test_what_an_admin_has_taken_out_is_left_to_them(farm: Farm, state: str) -> None:
    (farm.folder / "state").write_text(state)
    (farm.folder / "reason").write_text("a disk")
    farm.broken().touch()
    farm.look()
    farm.broken().unlink()
    farm.look()
    assert farm.read("told") == ""


def test_a_node_that_slurm_has_down_besides_is_not_resumed_until_somebody_has_looked(farm: Farm) -> None:
    (farm.folder / "state").write_text("DOWN+DRAIN")
    (farm.folder / "reason").write_text("container-check: failing: x")
    assert "for an admin" in farm.look().stderr
    (farm.folder / "state").write_text("IDLE+DRAIN")
    farm.look()
    assert farm.read("state") == "IDLE"


def test_a_container_that_hangs_counts_as_one_that_fails(farm: Farm) -> None:
    (farm.folder / "apptainer").write_text("#!/bin/sh\nexec sleep 60\n")
    farm.look()
    assert farm.read("reason").endswith("the container did not end in 1 s")


def test_no_second_trial_starts_while_one_cannot_be_killed(farm: Farm, check: ModuleType) -> None:
    (farm.folder / "run").mkdir()
    mark = farm.folder / "run/hanging"
    mark.write_text(f"{os.getpid()} {check.started_at(os.getpid())}")
    farm.look()
    assert f"process {os.getpid()}, still waits" in farm.read("reason")
    mark.write_text(f"{os.getpid()} 1")  # another process of that number
    farm.look()
    assert farm.read("state") == "IDLE"


def test_a_head_that_does_not_answer_is_told_at_the_next_time(farm: Farm) -> None:
    (farm.folder / "scontrol").write_text("#!/bin/sh\necho 'slurm_update error: no contact' >&2; exit 1\n")
    said = farm.look()
    assert said.returncode == 0
    assert "not come to its end: 'scontrol --oneliner' failed: slurm_update error: no contact" in said.stderr


def test_a_disk_that_takes_nothing_fails_no_epilog(farm: Farm) -> None:
    (farm.folder / "run").write_text("a file where the folder should be")
    said = farm.look()
    assert said.returncode == 0
    assert "The next one tries again." in said.stderr


def test_of_many_jobs_that_end_at_once_one_trial_is_enough(check: ModuleType, tmp_path: Path) -> None:
    assert not check.told_since(tmp_path, 100)
    (tmp_path / "well").touch()
    os.utime(tmp_path / "well", (200, 200))
    assert [check.told_since(tmp_path, moment) for moment in (100, 300)] == [True, False]


def test_to_try_tells_and_changes_nothing(farm: Farm) -> None:
    assert farm.look("--try").stdout == "A container runs from /srv/images/tiny.\n"
    farm.broken().touch()
    said = farm.look("--try")
    assert (said.returncode, farm.read("told")) == (1, "")
    assert said.stdout == "No container runs from /srv/images/tiny: FATAL: could not open image\n"


def test_settings_that_cannot_be_read_drain_nobody(farm: Farm) -> None:
    (farm.folder / "settings").write_text("[container-check]\nimage = /x\n")
    said = farm.look()
    assert said.returncode == 0
    assert "'seconds'. Nothing was looked at" in said.stderr


def test_of_few_nodes_one_may_be_out_and_of_many_a_share(check: ModuleType) -> None:
    assert [check.limit(10, nodes) for nodes in (1, 2, 19, 20, 500)] == [1, 1, 1, 2, 50]


def elf(machine: int) -> bytes:
    return b"\x7fELF\2\1\1" + bytes(9) + b"\2\0" + machine.to_bytes(2, "little")


def test_the_machine_of_a_tree_is_that_of_its_shell_whatever_links_lead_there(job: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("/usr/bin")  # absolute: inside the tree, not of the host
    (tmp_path / "usr/bin/sh").symlink_to("dash")
    (tmp_path / "usr/bin/dash").write_bytes(elf(0xB7))
    assert job.machine(tmp_path) == "aarch64"
    assert job.complaint(str(tmp_path), "x86_64") == (65, "is for aarch64, and this node is x86_64")
    assert job.complaint(str(tmp_path), "aarch64") == (0, "")


def test_the_machine_of_a_sif_file_is_in_its_head(job: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "x.sif"
    file.write_bytes(b"#!/usr/bin/env run-singularity\n\0" + b"SIF_MAGIC\0" + b"01\0" + b"04\0")
    assert job.machine(file) == "aarch64"


def test_an_image_that_tells_nothing_is_left_to_apptainer(job: ModuleType, tmp_path: Path) -> None:
    assert job.complaint(str(tmp_path), "x86_64") == (0, "")


def test_a_missing_image_is_named_with_job_and_node() -> None:
    environment = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "7", "SLURMD_NODENAME": "worker1"}
    line = [sys.executable, str(JOB), "/no/such/image", "true"]
    said = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 66
    assert said.stderr == (
        "container-job: the container image '/no/such/image' cannot be found: No such file or directory. "
        "(job 7, node worker1)\n"
    )
