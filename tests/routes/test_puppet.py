"""The Puppet route: what is run in a guest, and what is read from what Puppet leaves."""

import io
import json
import re
import shlex
import tarfile
from base64 import b64decode
from pathlib import Path
from typing import cast

import pytest
import yaml

from lading.errors import LabError, PathFailed
from lading.lab.guest import Guest
from lading.process import TimedOut
from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from lading.routes.puppet import FOLDER, PuppetRoute, applying, arguments, copying
from lading.routes.puppet_report import failed_before, read_report

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("golden")
MODULE = ROOT / "playbooks/puppet/apptainer_unprivileged"
REHEARSAL = GOLDEN / "puppet-rehearsal.report"
REPAIR = GOLDEN / "puppet-repair.report"
REFUSAL = GOLDEN / "puppet-refusal.report"


class ToldGuest:
    """A guest behind an ssh that ends and prints as a test says; what it was given to run is kept."""

    def __init__(self, name: str, folder: Path, command: str, report: Path | None = None) -> None:
        self.name = name
        self.ssh = self
        self.given = folder / f"{name}.given"
        self.command = command
        self.report = report

    def argv(self, *words: str) -> list[str]:
        if words[-1].startswith("cat "):
            return ["sh", "-c", f"cat {shlex.quote(str(self.report))}" if self.report else "exit 1"]
        return ["sh", "-c", f"cat >> {shlex.quote(str(self.given))}; {self.command}"]


def route(folder: Path, *guests: ToldGuest, module: Path = MODULE) -> PuppetRoute:
    named = {guest.name: cast(Guest, guest) for guest in guests}
    return PuppetRoute(module, named, {"apptainer_source": "host"}, folder)


def hiera_data(script: str) -> dict[str, object]:
    """Return what a script writes for Hiera to read."""
    found = re.search(r"cat > variables\.json <<'END'\n(.*?)\nEND\n", script, re.DOTALL)
    assert found
    data: dict[str, object] = json.loads(found[1])
    return data


def test_a_rehearsal_is_run_with_noop_and_a_run_is_not() -> None:
    assert "--noop" in arguments("demo", check=True)
    assert "--noop" not in arguments("demo", check=False)


def test_puppet_is_told_to_keep_everything_of_its_own_out_of_etc() -> None:
    options = dict(word.removeprefix("--").split("=", 1) for word in arguments("demo", check=False) if "=" in word)
    places = {option: value for option, value in options.items() if value.startswith("/")}

    assert {"confdir", "vardir", "ssldir", "hiera_config", "modulepath", "lastrunreport"} <= places.keys()
    assert all(place.startswith(FOLDER) for place in places.values())


def test_variables_are_handed_over_by_hiera_under_the_class_s_name() -> None:
    script = applying("demo", {"demo_colour": "it's blue", "demo_paths": ["/srv"]}, check=False)

    assert hiera_data(script) == {"demo::demo_colour": "it's blue", "demo::demo_paths": ["/srv"]}
    assert script.rstrip().endswith(shlex.join(arguments("demo", check=False)))


def test_variables_of_a_run_win_over_the_route_s(tmp_path: Path) -> None:
    guest = ToldGuest("worker1", tmp_path, "exit 0", REHEARSAL)

    route(tmp_path, guest).apply("undo", 30, variables={"apptainer_source": "url", "apptainer_state": "absent"})

    name = "apptainer_unprivileged"
    assert hiera_data(guest.given.read_text()) == {
        f"{name}::apptainer_source": "url",
        f"{name}::apptainer_state": "absent",
    }


def test_the_module_is_packed_as_root_s_and_without_what_python_left(tmp_path: Path) -> None:
    (tmp_path / "demo/manifests").mkdir(parents=True)
    (tmp_path / "demo/manifests/init.pp").write_text("class demo {}\n")
    (tmp_path / "demo/__pycache__").mkdir()
    (tmp_path / "demo/__pycache__/x.pyc").touch()
    script = copying(tmp_path / "demo")

    packed = b64decode(script.split("-xzf -\n")[1].split("END")[0])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert sorted(archive.getnames()) == ["demo", "demo/manifests", "demo/manifests/init.pp"]
        assert {(entry.uid, entry.uname) for entry in archive} == {(0, "root")}


def test_a_report_says_what_changed_and_where_it_is_declared() -> None:
    tasks = {task.task: task for task in read_report("worker1", REPAIR.read_text())}

    unchanged = [name for name, task in tasks.items() if not task.changed]
    assert unchanged == ["Apptainer_preflight[this host]", "Package[apptainer]"]
    limit = tasks["Recorded_sysctl[user.max_net_namespaces]"]
    assert re.fullmatch(r"apptainer_unprivileged/manifests/namespaces\.pp:\d+", limit.path)
    assert (limit.host, limit.action, limit.outcome) == ("worker1", "recorded_sysctl", "ok")
    assert limit.message == "value changed '500' to '0'"


def test_a_rehearsal_says_of_the_same_resources_that_they_would_change_refreshes_too() -> None:
    foretold, done = (
        [task.task for task in read_report("worker1", report.read_text()) if task.changed]
        for report in (REHEARSAL, REPAIR)
    )

    assert "Exec[systemctl daemon-reload]" in foretold
    assert foretold == done


def test_puppet_s_own_resources_are_no_tasks() -> None:
    assert "Schedule[puppet]" in REHEARSAL.read_text()
    assert not [task for task in read_report("worker1", REHEARSAL.read_text()) if task.task.startswith("Schedule")]


def test_a_refusal_is_one_failure_with_its_sentence_and_the_rest_is_skipped() -> None:
    tasks = read_report("worker1", REFUSAL.read_text())

    failed = [task for task in tasks if task.outcome == "failed"]
    assert [task.task for task in failed] == ["Namespaces_preflight[this host]"]
    assert "99-site.conf:1: user.max_net_namespaces = 9. Remove them" in failed[0].message
    assert {task.outcome for task in tasks if task.task.startswith(("Package", "Recorded"))} == {"skipped"}
    assert not any(task.changed for task in tasks)


def test_what_fails_before_there_is_a_catalogue_is_told_with_its_place() -> None:
    printed = (
        "Warning: something\n"
        "Error: Evaluation Error: Error while evaluating a Function Call, This host runs Debian 12. "
        "Nothing was changed. "
        f"(file: {FOLDER}/modules/demo/manifests/init.pp, line: 47, column: 5) on node worker1\n"
    )

    (task,) = failed_before("worker1", 1, printed)

    assert (task.path, task.outcome, task.changed) == ("demo/manifests/init.pp:47", "failed", False)
    assert task.message.endswith("This host runs Debian 12. Nothing was changed.")


@pytest.mark.parametrize("rc, result", [(0, 0), (2, 0), (1, 1), (4, 4), (6, 6), (137, 137)])
def test_changes_are_no_failure(tmp_path: Path, rc: int, result: int) -> None:
    guest = ToldGuest("worker1", tmp_path, f"exit {rc}", REHEARSAL)

    done = route(tmp_path, guest).apply("apply", 30)

    assert done.rc == result
    assert not done.unreachable


def test_a_lost_ssh_is_unreachable_and_not_a_failure_of_the_module(tmp_path: Path) -> None:
    done = route(tmp_path, ToldGuest("worker1", tmp_path, "exit 255")).apply("apply", 30)

    assert done.unreachable
    assert not done.failures
    assert done.rc == 255


def test_the_first_host_that_failed_gives_the_exit_code_and_all_are_told(tmp_path: Path) -> None:
    well = ToldGuest("worker1", tmp_path, "exit 2", REHEARSAL)
    sick = ToldGuest("worker2", tmp_path, "exit 4", REFUSAL)

    done = route(tmp_path, well, sick).apply("apply", 30)

    assert done.rc == 4
    assert {task.host for task in done.tasks} == {"worker1", "worker2"}
    assert [task.host for task in done.failures] == ["worker2"]


def test_what_puppet_printed_is_in_the_log_and_its_report_beside_it(tmp_path: Path) -> None:
    guest = ToldGuest("worker1", tmp_path, "echo Notice: applied", REHEARSAL)

    done = route(tmp_path, guest).apply("apply", 30)

    assert done.log.read_text() == "Notice: applied\n"
    assert (tmp_path / "puppet-apply-worker1.yaml").read_text() == REHEARSAL.read_text()


def test_a_run_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TimedOut):
        route(tmp_path, ToldGuest("worker1", tmp_path, "sleep 60")).apply("apply", 0.3)


def test_an_agent_that_cannot_be_installed_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="agent could not be installed on 'worker1': E: no such package") as raised:
        route(tmp_path, ToldGuest("worker1", tmp_path, "echo E: no such package; exit 100")).prepare(30)
    assert str(tmp_path) in str(raised.value.hint)


def test_a_module_that_puppet_cannot_read_is_a_verdict(tmp_path: Path) -> None:
    reading = f"grep -q 'parser validate' {tmp_path}/worker1.given && echo Syntax error && exit 1"

    with pytest.raises(PathFailed, match="cannot read the module 'apptainer_unprivileged': Syntax error"):
        route(tmp_path, ToldGuest("worker1", tmp_path, f"{reading}; true")).prepare(30)


# The module -------------------------------------------------------------------------------------------------------


def parameters() -> dict[str, str]:
    """Return the class's parameters with their defaults, as the manifest writes them."""
    text = (MODULE / "manifests/init.pp").read_text()
    return dict(re.findall(r"^  [A-Z].* \$(\w+) = (.*),$", text, re.MULTILINE))


def test_the_class_takes_every_variable_of_the_recipe_and_what_undoes_it() -> None:
    recipe = load_recipe(find_catalogue(start=ROOT), "apptainer-unprivileged").recipe

    assert {*recipe.variables, *recipe.undo} <= parameters().keys()


def test_the_parameters_defaults_are_the_roles_and_the_readme_names_them() -> None:
    roles = ("apptainer", "worker_namespaces")
    defaults = {
        name: value
        for role in roles
        for name, value in yaml.safe_load((ROOT / f"playbooks/roles/{role}/defaults/main.yml").read_text()).items()
    }
    given = {name: yaml.safe_load(value.replace("=>", ":")) for name, value in parameters().items()}
    table = re.findall(r"^\| `(\w+)` \| `", (MODULE / "README.md").read_text(), re.MULTILINE)

    assert given == {name: defaults[name] for name in given}
    assert sorted(table) == sorted(given)


def test_the_preferences_of_both_managers_are_the_same() -> None:
    theirs = ROOT / "playbooks/roles/apptainer/templates/etc/apt/preferences.d/lading-debian-unstable.j2"
    assert (MODULE / "files/lading-debian-unstable").read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (
            "lading-debian-unstable.sources.epp",
            "apptainer/templates/etc/apt/sources.list.d/lading-debian-unstable.sources.j2",
        ),
        ("lading-apptainer.sources.epp", "apptainer/templates/etc/apt/sources.list.d/lading-apptainer.sources.j2"),
        ("90-max_net_namespaces.conf.epp", "worker_namespaces/templates/etc/sysctl.d/90-max_net_namespaces.conf.j2"),
    ],
)
def test_templates_of_both_managers_say_the_same_but_for_their_language(ours: str, theirs: str) -> None:
    said = [re.sub(r"<%.*?%>", "", (MODULE / "templates" / ours).read_text()),
            re.sub(r"\{[{%].*?[}%]\}", "", (ROOT / "playbooks/roles" / theirs).read_text())]  # fmt: skip

    mine, other = ([line for line in text.splitlines() if line.strip(" =")] for text in said)
    assert mine == other
