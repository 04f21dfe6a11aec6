"""What must be true of each node of a cluster, beside what its jobs show."""

from typing import TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch

testinfra_hosts = ["ansible://slurm_workers"]

Facts: TypeAlias = dict[str, CommandResult]

NODE = {
    "units": "systemctl is-active slurmd munge; systemctl is-enabled slurmd munge",
    "key": "stat --format='%a %U' /etc/munge /etc/munge/munge.key",
}


@pytest.fixture(scope="module")
def node(host: Host) -> Facts:
    return batch(host, NODE)


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip() or 'nothing'}"


def test_node_comes_back_at_boot(node: Facts) -> None:
    """Slurm's daemon and munge run, and start with the system."""
    assert node["units"].stdout.split() == ["active", "active", "enabled", "enabled"], said(node["units"])


def test_key_of_the_cluster_is_munges_alone(node: Facts) -> None:
    """Who can read the key can be anybody in the cluster, so munge alone can."""
    assert node["key"].stdout.splitlines() == ["700 munge", "400 munge"], said(node["key"])
