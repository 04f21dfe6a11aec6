"""The roles for Slurm: what they read in a site's settings, what they add, and what the recipe and the pages hold."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES, load_module

survey = load_module("slurm_settings", "slurm_survey")
include = load_module("slurm_settings", "slurm_include")
munge = load_module("slurm_cluster", "munge_key")
RECIPE = load_recipe(find_catalogue(start=Path(__file__)), "slurm-apptainer").recipe
WANTED: dict[str, dict[str, str]] = yaml.safe_load((ROLES / "slurm_settings/vars/main.yml").read_text())[
    "slurm_settings_wanted"
]


def judged(folder: Path, text: str) -> Any:
    return survey.judge(survey.settings("slurm.conf", text, str(folder)), WANTED["slurm.conf"])


def test_a_slurm_conf_that_says_nothing_lacks_all_that_has_no_default_that_does(tmp_path: Path) -> None:
    lacking, contrary = judged(tmp_path, "ClusterName=desk\nNodeName=n1 CPUs=1\n")
    assert set(lacking) == {"ProctrackType", "TaskPlugin", "JobContainerType", "PrologFlags", "CliFilterPlugins"}
    assert lacking["TaskPlugin"] == "task/cgroup"
    assert contrary == []


def test_what_the_site_has_set_in_its_own_words_is_not_added_again(tmp_path: Path) -> None:
    text = "proctracktype = proctrack/cgroup # since 2020\nTaskPlugin=affinity,cgroup\nPrologFlags=Alloc,contain,X11\n"
    lacking, contrary = judged(tmp_path, text)
    assert set(lacking) == {"JobContainerType", "CliFilterPlugins"}
    assert contrary == []


@pytest.mark.parametrize(
    "line",
    [
        "ProctrackType=proctrack/linuxproc",
        "SelectTypeParameters=CR_CPU",
        "TaskPlugin=task/affinity",
        "PrologFlags=Alloc",
        "HealthCheckProgram=/usr/sbin/nhc",
    ],
)
def test_what_contradicts_is_named_with_file_and_line(tmp_path: Path, line: str) -> None:
    _, contrary = judged(tmp_path, f"ClusterName=desk\n{line}\n")
    assert [said.split(" (")[0] for said in contrary] == [f"slurm.conf:2: {line}"]


def test_included_files_count_but_not_those_of_the_roles(tmp_path: Path) -> None:
    (tmp_path / "desk.conf").write_text("PrologFlags=X11\n")
    (tmp_path / "containers.conf").write_text(f"{survey.MARK[0]} slurm_containers\nPrologFlags=Contain\n")
    found = survey.settings("slurm.conf", "include desk.conf\nInclude containers.conf\n", str(tmp_path))
    assert found == [("prologflags", "X11", f"{tmp_path}/desk.conf:1")]


def test_every_file_of_the_roles_bears_the_mark_by_which_the_next_run_knows_it() -> None:
    names = yaml.safe_load((ROLES / "slurm_settings/vars/main.yml").read_text())["slurm_settings_files"]
    made = [file for role in ROLES.glob("slurm_*") for file in role.glob("*/etc/slurm/*")]
    assert {Path(name).name for name in names} == {file.name.removesuffix(".j2") for file in made}
    for file in made:
        assert file.read_text().startswith(survey.MARK), file


def test_a_line_is_put_in_once_and_taken_out_without_a_trace() -> None:
    former = "# ask bob\nClusterName=desk\n"
    once = include.included(former, "containers.conf", wanted=True)
    assert include.included(once, "containers.conf", wanted=True) == once
    assert include.included(once, "containers.conf", wanted=False) == former
    assert include.included("Include my-containers.conf\n", "containers.conf", wanted=False) != ""


def test_a_process_that_only_keeps_the_cgroup_is_no_job_step(tmp_path: Path) -> None:
    for number, line in enumerate(("slurmstepd: [12.batch]", "slurmstepd\0infinity\0", "bash\0")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cmdline").write_text(line)
    assert survey.steps(str(tmp_path)) == 1


def test_a_key_is_written_for_nobody_else_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "munge" / "munge.key"
    munge.write_key(str(path), b"x" * 96)
    assert path.stat().st_mode & 0o777 == 0o400
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        munge.write_key(str(path), b"y" * 96)


def test_a_key_that_others_can_read_is_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "munge" / "munge.key"
    munge.write_key(str(path), b"x" * 96)
    path.chmod(0o644)
    opened = munge.open_to_others(str(path))
    munge.close(opened, rehearsal=True)
    assert path.stat().st_mode & 0o777 == 0o644
    munge.close(opened, rehearsal=False)
    assert munge.open_to_others(str(path)) == []


def test_no_task_that_handles_the_key_is_logged() -> None:
    tasks = yaml.safe_load((ROLES / "slurm_cluster/tasks/present.yml").read_text())
    keys = [task for task in tasks if "munge_key" in task]
    assert len(keys) == len([task for task in keys if task["no_log"]]) == 2


def test_the_check_has_run_on_a_node_before_slurm_hears_of_it() -> None:
    names = [task["name"] for task in yaml.safe_load((ROLES / "slurm_container_check/tasks/present.yml").read_text())]
    assert names.index("Refuse to go on where no container runs") < names.index(
        "Let the site's slurm.conf include its settings"
    )
    plays = yaml.safe_load((ROLES.parent / "slurm_apptainer.yml").read_text())
    node = [task["ansible.builtin.include_role"]["name"] for task in plays[2]["tasks"]]
    assert node[:4] == ["slurm_container_check", "slurm_containers", "slurm_cluster", "slurm_settings"]
    assert [play["hosts"] for play in plays][-1] == "slurm_heads"


def test_the_start_of_a_site_sets_nothing_that_the_roles_refuse(tmp_path: Path) -> None:
    setup = RECIPE.starts["cluster-of-the-site"].setup
    text = "\n".join(word.strip("'") for word in setup.replace("\\\n", " ").split() if "=" in word)
    _, contrary = judged(tmp_path, text)
    assert contrary == []
