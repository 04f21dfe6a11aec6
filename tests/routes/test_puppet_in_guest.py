"""The Puppet module on a real host: what it refuses it leaves alone, and it knows what Ansible has set up."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lading.lab.lab import opened_lab
from lading.lab.workspace import opened_workspace
from lading.project import find_catalogue
from lading.proof.bench import Bench, lab_variables, opened_bench
from lading.proof.judge import changes
from lading.recipe.load import load_recipe
from lading.recipe.platforms import load_platforms
from lading.routes.playbook import PlaybookRoute
from lading.routes.puppet import PuppetRoute

pytestmark = pytest.mark.vm

ROOT = Path(__file__).parents[2]
SECONDS = 900.0


@dataclass
class Node:
    """A guest with Puppet's agent, and both routes to it."""

    bench: Bench
    puppet: PuppetRoute
    ansible: PlaybookRoute

    def run(self, script: str) -> None:
        self.bench.run_on([], script, "The test could not prepare its guest", "Mend the test.")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    catalogue = find_catalogue(start=ROOT)
    loaded = load_recipe(catalogue, "apptainer-unprivileged")
    assert loaded.puppet
    platform = load_platforms(catalogue)["debian13"]
    folder = tmp_path_factory.mktemp("node")
    with (
        opened_workspace() as workspace,
        opened_lab(workspace) as lab,
        opened_bench(lab, loaded, "debian13", platform, folder) as bench,
    ):
        puppet = PuppetRoute(loaded.puppet, bench.guests, lab_variables(bench.recipe), folder)
        puppet.prepare(SECONDS)
        yield Node(bench, puppet, PlaybookRoute(loaded.playbook, bench.inventory, bench.variables, folder))


@pytest.mark.parametrize(
    "label, made, mended, sentence",
    [
        (
            "conflict",
            "echo 'user.max_net_namespaces = 9' > /etc/sysctl.d/99-site.conf",
            "rm /etc/sysctl.d/99-site.conf",
            "would undo it at the next boot: /etc/sysctl.d/99-site.conf:1: user.max_net_namespaces = 9. Remove them",
        ),
        (
            "starter",
            "install -D -m 4755 /bin/true /usr/local/libexec/singularity/bin/starter-suid",
            "rm -r /usr/local/libexec/singularity",
            "a setuid starter: /usr/local/libexec/singularity/bin/starter-suid (package: none).",
        ),
        (
            "in-use",
            "unshare --net sleep 900 < /dev/null > /dev/null 2>&1 & echo $! > /run/test.pid",
            "kill $(cat /run/test.pid) && rm /run/test.pid",
            "these would break: network-namespaces: net:[",
        ),
        (
            "system",
            "cp /etc/os-release /etc/debian_version /run && sed -i s/13/12/ /etc/os-release /etc/debian_version",
            "cat /run/debian_version > /etc/debian_version; cat /run/os-release > /etc/os-release",
            "knows Debian 13 only. Nothing was changed.",
        ),
    ],
    ids=lambda value: value if value.isalpha() else "",
)
def test_a_host_that_is_refused_is_left_as_it_is(node: Node, label: str, made: str, mended: str, sentence: str) -> None:
    node.run(made)
    try:
        before = node.bench.states()
        done = node.puppet.apply(label, SECONDS)
        assert changes(before, node.bench.states()) == []
    finally:
        node.run(mended)

    assert done.rc != 0
    assert [failed.message for failed in done.failures if sentence in failed.message], done.failures
    assert not done.changed


def test_what_ansible_has_set_up_is_nothing_to_do_for_puppet_which_can_undo_it(node: Node) -> None:
    untouched = node.bench.states()
    assert node.ansible.apply("ansible", SECONDS).rc == 0
    deployed = node.bench.states()

    done = node.puppet.apply("after-ansible", SECONDS)
    assert (done.rc, done.changed) == (0, [])
    assert changes(deployed, node.bench.states()) == []

    undone = node.puppet.apply("undo", SECONDS, variables=node.bench.recipe.undo)
    assert undone.rc == 0
    assert changes(untouched, node.bench.states()) == []
