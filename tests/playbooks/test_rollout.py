"""How the playbook goes through a farm: one canary, then batches; a sick node stops it, and the same command resumes.

The nodes have an `apptainer` of their own that is recent enough, so this is about the rollout and not about packages.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from lading.lab.guest import Guest
from lading.lab.image import GuestImage
from lading.lab.lab import Lab
from lading.routes.playbook import PlaybookRoute, write_inventory
from lading.routes.result import PlayResult
from lading.state.collect import SCRIPT
from lading.state.compare import Change, compare
from lading.state.model import State
from tests.lab.conftest import debian13, image, lab
from tests.workshop import REPOSITORY

__all__ = ["debian13", "image", "lab"]

pytestmark = pytest.mark.vm

NAMES = ("worker1", "worker2", "worker3")
SECONDS = 600
LIMIT = "sysctl:user.max_net_namespaces"
OF_ITS_NAME = {"file:/etc/hostname", "file:/etc/hosts", "sysctl:kernel.hostname"}

INSTALL = """set -e
mkdir -p /tmp/apptainer/DEBIAN
printf 'Package: apptainer\\nVersion: 1.4.5-1\\nArchitecture: all\\nMaintainer: alice <alice@site.example>\\n' \
  > /tmp/apptainer/DEBIAN/control
printf 'Description: stands in for the real one\\n' >> /tmp/apptainer/DEBIAN/control
dpkg-deb --build /tmp/apptainer /tmp/apptainer.deb
dpkg --install /tmp/apptainer.deb
"""
# A failing disk leaves a file system that cannot be written any more: no preflight sees that.
SICKEN = "mount --bind /etc/sysctl.d /etc/sysctl.d && mount -o remount,bind,ro /etc/sysctl.d"
MEND = "umount /etc/sysctl.d"

HOOK = """- name: Tell the batch system
  ansible.builtin.shell:
    cmd: echo {word} {{{{ inventory_hostname }}}} >> {log}
  delegate_to: localhost
  become: false
  changed_when: false
"""


@pytest.fixture
def workers(lab: Lab, image: GuestImage, tmp_path: Path) -> Iterator[dict[str, Guest]]:
    """Three nodes, all with the package."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:

        def start(name: str) -> Guest:
            guest = stack.enter_context(lab.guest(name, image, tmp_path / name))
            guest.ask(INSTALL, 60)
            return guest

        yield dict(zip(NAMES, pool.map(start, NAMES), strict=True))


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[str]]:
    """What the batch system was told since it was last asked."""
    log = tmp_path / "calls"

    def told() -> list[str]:
        lines = log.read_text().splitlines()
        log.write_text("")
        return lines

    return told


@pytest.fixture
def roll_out(workers: dict[str, Guest], tmp_path: Path) -> Callable[[str], PlayResult]:
    """Run what an admin runs, the same each time."""
    for word in ("drain", "undrain"):
        (tmp_path / f"{word}.yml").write_text(HOOK.format(word=word, log=tmp_path / "calls"))
    hooks = {f"{word}_tasks": str(tmp_path / f"{word}.yml") for word in ("drain", "undrain")}
    (tmp_path / "variables.json").write_text(json.dumps(hooks))
    inventory = write_inventory(tmp_path / "inventory.json", workers, {name: ["workers"] for name in workers})
    playbook = REPOSITORY / "playbooks" / "apptainer_unprivileged.yml"
    route = PlaybookRoute(playbook, inventory, tmp_path / "variables.json", tmp_path)
    return lambda label: route.apply(label, SECONDS)


def states_of(guests: Iterable[Guest]) -> list[State]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda guest: State.from_json(guest.ask(SCRIPT, 60).output), guests))


def besides_its_name(changes: list[Change]) -> list[str]:
    return [str(change) for change in changes if change.item not in OF_ITS_NAME]


def test_a_sick_node_stops_the_rollout_and_the_same_command_resumes_it(
    workers: dict[str, Guest], roll_out: Callable[[str], PlayResult], calls: Callable[[], list[str]]
) -> None:
    canary, sick, third = workers.values()
    [untouched] = states_of([third])
    sick.ask(SICKEN)

    stopped = roll_out("stopped")

    assert [failure.host for failure in stopped.failures] == ["worker2"]
    assert calls() == ["drain worker1", "undrain worker1", "drain worker2"]
    assert [task.task for task in stopped.tasks if task.host == "worker3"] == []
    done, still_untouched = states_of([canary, third])
    assert done.items[LIMIT] == "0"
    assert list(map(str, compare(untouched, still_untouched))) == []

    sick.ask(MEND)
    resumed = roll_out("resumed")

    assert resumed.rc == 0, resumed.log.read_text()[-2000:]
    assert {task.partition(":")[0] for task in resumed.changed} == {"worker2", "worker3"}
    assert calls() == [f"{word} {name}" for name in NAMES for word in ("drain", "undrain")]
    first, *others = states_of(workers.values())
    assert list(map(str, compare(done, first))) == []
    for other in others:
        assert besides_its_name(compare(first, other)) == []
