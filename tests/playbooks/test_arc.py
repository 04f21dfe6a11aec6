"""What puts grid jobs into containers: the runtime environment in each shell that reads it, the program on nodes."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES

RTE = ROLES / "arc_containers/files/rte/SITE/CONTAINER"
PROGRAM = ROLES / "arc_containers/files/arc-container.sh"
RECIPE = load_recipe(find_catalogue(start=Path(__file__)), "arc-ce-apptainer").recipe

CONF = """\
# a comment
vo astro.example /images/astro
vo monitoring none
choice /images/
keep X509_USER_PROXY
"""
# What A-REX has set up when it reads a runtime environment.
AREX = """
control_path() { echo "$1/$3"; }
joboption_controldir=$PWD joboption_gridid=0123 joboption_stderr=$PWD/err
joboption_arg_0=job.sh joboption_args=' "job.sh" "7"'
joboption_env_0='RUN=7 of 9' joboption_env_1='no-name=1' joboption_env_2=GRID_GLOBAL_JOBID=0123
read_in() { rte=$1; shift; . "$rte"; }
read_in ./CONTAINER "$@"
echo "code [$?]"
echo "args [$joboption_args]"
echo "executable [$joboption_arg_0]"
echo "accounted [$ACCOUNTING_WN_INSTANCE]"
"""


@pytest.fixture(params=["dash", "bash"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def read_by(shell: str, folder: Path, *words: str, vo: str = "astro.example", conf: str = CONF) -> str:
    """Let a shell read the runtime environment as A-REX does, and return what it has then."""
    (folder / "conf").write_text(conf)
    (folder / "CONTAINER").write_text(RTE.read_text().replace("/etc/arc-containers.conf", str(folder / "conf")))
    (folder / "local").write_text(f"globalid=0123\nvoms=/{vo}/Role=production\nvoms=/{vo}\nvoms=/other.example\n")
    argv = [shell, "-c", AREX, shell, *(words or ("0",))]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def errors(folder: Path) -> str:
    """Return what the job's owner would read."""
    return (folder / "err").read_text() if (folder / "err").exists() else ""


def test_a_job_gets_the_image_of_its_first_vo_and_its_own_variables(shell: str, tmp_path: Path) -> None:
    told = read_by(shell, tmp_path)
    command = "/usr/local/bin/arc-container /images/astro X509_USER_PROXY,RUN,GRID_GLOBAL_JOBID,"
    assert f'args [{command}  "job.sh" "7"]\n' in told
    assert "accounted [/images/astro]\n" in told
    assert "executable [/usr/local/bin/arc-container]\n" in told
    assert errors(tmp_path) == ""


@pytest.mark.parametrize("lines", ["vo * /images/any\n" + CONF, CONF + "vo * /images/any\n"], ids=["before", "after"])
def test_a_vo_without_a_line_gets_the_image_for_all_wherever_that_stands(
    shell: str, tmp_path: Path, lines: str
) -> None:
    assert "accounted [/images/any]" in read_by(shell, tmp_path, vo="bio.example", conf=lines)
    assert "accounted [/images/astro]" in read_by(shell, tmp_path, conf=lines)


def test_a_vo_for_which_there_is_no_image_is_refused_and_its_owner_told(shell: str, tmp_path: Path) -> None:
    assert "code [1]" in read_by(shell, tmp_path, vo="bio.example")
    assert "this site has no container image for the VO 'bio.example'. (job 0123)" in errors(tmp_path)


def test_a_job_without_a_vo_counts_as_one_of_a_vo_without_a_line(shell: str, tmp_path: Path) -> None:
    assert "code [1]" in read_by(shell, tmp_path, vo="")
    assert "accounted [/images/any]" in read_by(shell, tmp_path, vo="", conf=CONF + "vo * /images/any\n")


def test_a_vo_that_shares_its_beginning_with_another_is_another(shell: str, tmp_path: Path) -> None:
    assert "code [1]" in read_by(shell, tmp_path, vo="astro.example.org")
    assert "code [1]" in read_by(shell, tmp_path, vo="astro")


def test_a_vo_that_the_site_leaves_out_runs_as_if_there_were_nothing(shell: str, tmp_path: Path) -> None:
    told = read_by(shell, tmp_path, vo="monitoring")
    assert 'args [ "job.sh" "7"]\n' in told
    assert "executable [job.sh]\n" in told
    assert "accounted []\n" in told


def test_a_job_may_choose_what_the_site_has_named(shell: str, tmp_path: Path) -> None:
    assert "accounted [/images/of/a/job:2]" in read_by(shell, tmp_path, "0", '"/images/of/a/job:2"')


@pytest.mark.parametrize(
    "asked", ["NULL", "/root", "/images/../root", "/images/$(id)", "/images/a;b", "images/a", "none"]
)
def test_a_job_gets_nothing_else_and_is_not_run_without(shell: str, tmp_path: Path, asked: str) -> None:
    assert "code [1]" in read_by(shell, tmp_path, "0", f'"{asked}"')
    assert f"this site lets no job choose the container image '{asked}'. (job 0123)" in errors(tmp_path)


def test_without_a_choice_line_no_job_chooses(shell: str, tmp_path: Path) -> None:
    assert "code [1]" in read_by(shell, tmp_path, "0", '"/images/astro"', conf=CONF.replace("choice", "# choice"))


@pytest.mark.parametrize("stage", ["1", "2"])
def test_on_a_node_it_asks_for_nothing(shell: str, tmp_path: Path, stage: str) -> None:
    told = read_by(shell, tmp_path, stage, '"/root"')
    assert "code [0]" in told
    assert 'args [ "job.sh" "7"]' in told


def run(folder: Path, *words: str, apptainer: str = "exit 0", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program with an Apptainer that does what is asked here."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin/apptainer"
    program.write_text(f"#!/bin/sh\n{apptainer}\n")
    program.chmod(0o755)
    inherited = {"PATH": f"{folder}/bin:{os.environ['PATH']}", **environment}
    argv = ["sh", str(PROGRAM), *words]
    return subprocess.run(argv, cwd=folder, env=inherited, capture_output=True, text=True, check=False)


def test_variables_that_are_named_and_set_go_in_whatever_they_hold(tmp_path: Path) -> None:
    tell = 'for name in RUN UNSET OTHER; do eval "echo \\"[\\${APPTAINERENV_$name-none}]\\""; done; echo "$@"'
    done = run(tmp_path, str(tmp_path), "RUN,UNSET,", "job.sh", "a b", apptainer=tell, RUN='7, "$HOME" of 9', OTHER="1")
    assert done.stdout.splitlines()[:3] == ['[7, "$HOME" of 9]', "[none]", "[none]"]
    assert f"exec --cleanenv --home {tmp_path} --pwd {tmp_path} {tmp_path} job.sh a b" in done.stdout


def test_a_variable_of_the_job_may_have_any_name(tmp_path: Path) -> None:
    tell = 'for name in image names name code; do eval "echo \\"[\\$APPTAINERENV_$name]\\""; done'
    its_own = {"image": "1", "names": "2", "name": "3", "code": "4"}
    done = run(tmp_path, str(tmp_path), "image,names,name,code,", "job.sh", apptainer=tell, **its_own)
    assert done.stdout.splitlines() == ["[1]", "[2]", "[3]", "[4]"]


def test_the_code_of_the_job_is_its_own(tmp_path: Path) -> None:
    done = run(tmp_path, str(tmp_path), "", "job.sh", apptainer="exit 7")
    assert (done.returncode, done.stderr) == (7, "")


def test_an_image_that_is_not_there_is_named_with_job_and_node(tmp_path: Path) -> None:
    done = run(tmp_path, "/no/such/image", "", "job.sh", GRID_GLOBAL_JOBID="0123")
    assert done.returncode == 66
    assert "the container image '/no/such/image' cannot be found or reached. (job 0123, node " in done.stderr


def test_a_node_without_apptainer_is_told_from_a_bad_image(tmp_path: Path) -> None:
    argv = ["/bin/sh", str(PROGRAM), str(tmp_path), "", "job.sh"]
    environment = {"PATH": "/no/such/folder", "GRID_GLOBAL_JOBID": "0123"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 69
    complaint = f"the container image '{tmp_path}' cannot be run: this node has no Apptainer. (job 0123, node "
    assert complaint in done.stderr


def test_where_apptainer_gives_up_the_image_is_named_after_its_own_words(tmp_path: Path) -> None:
    done = run(tmp_path, str(tmp_path), "", "job.sh", apptainer="echo FATAL >&2; exit 255")
    assert done.returncode == 255
    assert done.stderr.startswith(f"FATAL\narc-container: the container image '{tmp_path}' could not be run")


def test_nodes_have_the_program_before_the_ce_gives_it_to_jobs_and_the_ce_goes_before_its_batch_system() -> None:
    plays = yaml.safe_load((ROLES.parent / "arc_ce_apptainer.yml").read_text())
    order = [play.get("hosts") or play["import_playbook"] for play in plays]
    assert order == ["arc_ces:slurm_workers", "arc_ces", "slurm_apptainer.yml", "slurm_workers", "arc_ces"]
    conditions = [task["when"] for number in (1, 4) for task in plays[number]["tasks"]]
    assert ["'absent'" in condition for condition in conditions] == [True, True, False, False]


@pytest.mark.parametrize("role", ["arc_ce", "arc_containers"])
def test_whatever_is_refused_is_refused_before_anything_changes(role: str) -> None:
    tasks = yaml.safe_load((ROLES / role / "tasks/present.yml").read_text())
    sentences = [task["ansible.builtin.assert"]["fail_msg"] for task in tasks if "ansible.builtin.assert" in task]
    assert not [sentence for sentence in sentences if "Nothing was changed" in sentence]


def test_the_undo_of_a_ce_puts_its_settings_back_before_its_packages_go() -> None:
    tasks = [task["name"] for task in yaml.safe_load((ROLES / "arc_ce/tasks/absent.yml").read_text())]
    assert tasks.index("Put the settings of the CE back") < tasks.index("Remove the packages")
