"""What must be true of each execution point, beside what jobs show."""

from typing import TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch

testinfra_hosts = ["ansible://htcondor_workers"]

Facts: TypeAlias = dict[str, CommandResult]

NODE = {
    "units": "systemctl is-active condor; systemctl is-enabled condor",
    "key": "stat --format='%a %U' /etc/condor/passwords.d /etc/condor/passwords.d/POOL",
}


@pytest.fixture(scope="module")
def node(host: Host) -> Facts:
    return batch(host, NODE)


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip() or 'nothing'}"


def test_node_comes_back_at_boot(node: Facts) -> None:
    """HTCondor runs, and starts with the system."""
    assert node["units"].stdout.split() == ["active", "enabled"], said(node["units"])


def test_key_of_the_pool_is_roots_alone(node: Facts) -> None:
    """Who can read the key can be anybody in the pool, so root alone can."""
    assert node["key"].stdout.splitlines() == ["700 root", "600 root"], said(node["key"])
