"""The playbook in an image build: natively, in a chroot, where no systemd runs and the kernel is the builder's."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lading.lab import image
from lading.lab.lab import opened_lab
from lading.lab.mirror import find_mirror
from lading.lab.workspace import opened_workspace
from lading.project import find_catalogue
from lading.proof.bench import lab_variables, opened_bench
from lading.recipe.load import load_recipe
from lading.recipe.platforms import load_platforms
from lading.routes import playbook
from lading.state.collect import SCRIPT
from lading.state.compare import Change, compare
from lading.state.model import State

ROOT = Path(__file__).parents[2]
CATALOGUE = find_catalogue(start=ROOT)
PATH = load_recipe(CATALOGUE, "apptainer-unprivileged")
SYSCTL_FILE = "etc/sysctl.d/90-max_net_namespaces.conf"
PACKAGES = (*image.PACKAGES, "ansible-core")  # what the lab's guests have

HOME = "/root"

# What the image's makers have there before the package comes: settings, their backup, and a link of their own.
OWN_CONF = "# The site's.\nmount dev = minimal\nbind path = /etc/hosts"
DRIVER = f"""
set -eu
export HOME=/root LC_ALL=C.UTF-8
export ANSIBLE_CONFIG=$HOME/ansible.cfg
cd /root
mkdir out /etc/apptainer
printf '%s' "{OWN_CONF}" >/etc/apptainer/apptainer.conf
cp /etc/apptainer/apptainer.conf /etc/apptainer/apptainer.conf.bak
ln -s /cvmfs/singularity.site.example/bin/singularity /usr/bin/singularity

# The builder's own setting may not be written from here; a file in its place may, so that it shows who would try.
cat /proc/sys/user/max_net_namespaces >limit
mount --bind limit /proc/sys/user/max_net_namespaces
trap 'umount /proc/sys/user/max_net_namespaces' EXIT

find /usr/lib/systemd/system -maxdepth 1 -type f -exec grep -l '^PrivateNetwork=yes$' {{}} + >out/private-units

look() {{
    sh state.sh >"out/$1.json"
    {{ cat /proc/sys/user/max_net_namespaces; readlink /usr/bin/singularity || echo gone; }} >"out/$1.seen"
}}
play() {{
    name=$1 && shift
    LADING_EVENTS=$HOME/out/$name.jsonl ansible-playbook --inventory inventory.json --extra-vars @variables.json "$@" \\
        playbooks/apptainer_unprivileged.yml >"out/$name.log" 2>&1 || echo "It ended with $?." >>"out/$name.log"
    look "$name"
}}
look before
play apply
cp /etc/apptainer/apptainer.conf /{SYSCTL_FILE} out
play again
play undo --extra-vars @undo.json
cat /etc/apptainer/apptainer.conf.bak >out/backup
"""


@dataclass(frozen=True)
class Build:
    """What was seen in the tree: after each step its state, its events and its log."""

    out: Path

    def state(self, step: str) -> State:
        return State.from_json((self.out / f"{step}.json").read_text())

    def events(self, step: str) -> list[dict[str, Any]]:
        log = (self.out / f"{step}.log").read_text()
        assert "It ended with" not in log, log
        return [json.loads(line) for line in (self.out / f"{step}.jsonl").read_text().splitlines()]

    def changes(self, before: str, after: str) -> list[Change]:
        """Return what differs, without what the tree shares with the machine that builds it."""
        return of_the_tree(compare(self.state(before), self.state(after)))

    def read(self, name: str) -> str:
        return (self.out / name).read_text()


def of_the_tree(changes: list[Change]) -> list[Change]:
    return [change for change in changes if change.kind in ("package", "file", "user", "group")]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The playbook applied, applied again and undone while the tree of an image is made."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "driver.sh").write_text(DRIVER)
    (folder / "state.sh").write_text(SCRIPT)
    (folder / "variables.json").write_text(json.dumps(lab_variables(PATH.recipe)))
    (folder / "undo.json").write_text(json.dumps(PATH.recipe.undo))
    (folder / "inventory.json").write_text('{"workers": {"hosts": {"image": {"ansible_connection": "local"}}}}')
    configuration = playbook.CONFIGURATION.replace(str(playbook.CALLBACKS), f"{HOME}/callback")
    (folder / "ansible.cfg").write_text(configuration)
    names = ("driver.sh", "state.sh", "variables.json", "undo.json", "inventory.json", "ansible.cfg")
    (out := folder / "out").mkdir()
    hooks = [
        f"copy-in {CATALOGUE.playbooks} {playbook.CALLBACKS} {' '.join(str(folder / name) for name in names)} /root",
        f'chroot "$1" sh {HOME}/driver.sh',
        f"sync-out {HOME}/out {out}",
    ]
    with opened_workspace() as workspace:
        sources = image._sources("trixie", find_mirror())
        image._mmdebstrap(workspace, folder, sources, PACKAGES, "minbase", hooks, {}, [])
    return Build(out)


def test_every_task_ends_well_and_systemd_is_not_asked(build: Build) -> None:
    outcomes = {event["task"]: event["outcome"] for event in build.events("apply")}
    assert set(outcomes.values()) == {"ok", "skipped"}
    assert outcomes["worker_namespaces : Reload systemd"] == "skipped"


def test_the_sysctl_file_is_the_one_that_the_page_shows(build: Build) -> None:
    assert build.read(Path(SYSCTL_FILE).name) == (PATH.folder / "rendered" / SYSCTL_FILE).read_text()


def test_each_unit_whose_file_asks_for_a_private_network_gets_a_drop_in(build: Build) -> None:
    asking = {Path(line).name for line in build.read("private-units").splitlines()}
    came = {change.name for change in build.changes("before", "apply") if change.kind == "file"}
    given = {name for name in came if name.endswith("/90-lading-network.conf")}
    assert "systemd-hostnamed.service" in asking
    assert given == {f"/etc/systemd/system/{unit}.d/90-lading-network.conf" for unit in asking}


def test_the_packages_came_as_they_do_on_a_host(build: Build) -> None:
    came = {change.name: change.after for change in build.changes("before", "apply") if change.kind == "package"}
    assert came["apptainer"]["mark"] == "manual"
    assert came["uidmap"]["mark"] == "automatic"
    assert "squashfuse" not in came


def test_settings_that_were_there_before_the_package_are_kept(build: Build) -> None:
    assert build.read("apptainer.conf") == OWN_CONF + "\nbind path = /srv/images"


def test_the_running_kernel_is_left_alone(build: Build) -> None:
    limit = build.read("before.seen").splitlines()[0]
    assert limit != "0"
    assert {build.read(f"{step}.seen").splitlines()[0] for step in ("apply", "again", "undo")} == {limit}


def test_a_second_run_changes_nothing(build: Build) -> None:
    assert [event["task"] for event in build.events("again") if event["changed"]] == []
    assert build.changes("apply", "again") == []


def test_undo_puts_back_the_tree_with_all_that_was_its_makers(build: Build) -> None:
    assert build.events("undo")
    assert build.changes("before", "undo") == []
    assert build.read("undo.seen") == build.read("before.seen")
    assert build.read("backup") == OWN_CONF


@pytest.fixture
def booted(tmp_path: Path) -> Iterator[list[Change]]:
    """What the playbook changes on a host that runs."""
    with opened_workspace() as workspace, opened_lab(workspace) as lab:
        platform = load_platforms(CATALOGUE)["debian13"]
        with opened_bench(lab, PATH, "debian13", platform, tmp_path) as bench:
            before = bench.states()["worker1"]
            bench.play(playbook.PlaybookRoute(PATH.playbook, bench.inventory, bench.variables, tmp_path), "apply")
            yield of_the_tree(compare(before, bench.states()["worker1"]))


@pytest.mark.vm
def test_an_image_gets_the_files_and_packages_that_a_host_gets(build: Build, booted: list[Change]) -> None:
    # The package's address and key are those of the host's own apt sources; the settings file was there in the image.
    apart = ("file:/etc/apt/sources.list.d/", "file:/etc/apptainer")
    here, there = (
        {change.item: change.after for change in changes if not change.item.startswith(apart)}
        for changes in (build.changes("before", "apply"), booted)
    )
    assert here == there
