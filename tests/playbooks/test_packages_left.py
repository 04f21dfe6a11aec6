"""The role `packages_left`: what an undo removes beside that which nobody asks for."""

from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]  # it has no type hints
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]  # neither has this

from tests.playbooks.modules import ROLES

ROLE = ROLES / "packages_left"
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text())

# What apt 3.0.3 says in a small Debian 13 to which wget was added, 22 November 2026.
APT = """\
Reading package lists...
The following packages will be REMOVED:
  libgnutls30t64* libidn2-0* libunistring5* wget*
0 upgraded, 0 newly installed, 4 to remove and 0 not upgraded.
Purg wget [1.25.0-2]
Purg libgnutls30t64 [3.8.9-3+deb13u4]
Purg libidn2-0 [2.3.8-2]
Purg libunistring5 [1.3-2]
Remv libffi8:i386 [3.4.8-2]
"""


def going(remove: list[str], kept: list[str], said: str) -> list[str]:
    """Return what the role's last task makes of an answer of apt's."""
    last = yaml.safe_load((ROLE / "tasks/main.yml").read_text())[-1]["ansible.builtin.set_fact"]["packages_left_going"]
    known: dict[str, Any] = {
        name: trust_as_template(value) for name, value in VARIABLES.items() if name.endswith("alone")
    }
    known |= {"packages_left_of": {"remove": remove, "kept": kept}, "packages_left_answer": {"stdout": said}}
    return list(Templar(DataLoader(), variables=known).template(trust_as_template(last)))


def test_what_others_merely_recommend_goes_and_nothing_that_did_not_come_with_the_installation() -> None:
    assert set(going(["wget"], ["libidn2-0", "libunistring5"], APT)) == {"wget", "libidn2-0", "libunistring5"}


@pytest.mark.parametrize("kept", ["libssl3t64", "libidn2"])
def test_what_apt_would_not_remove_stays(kept: str) -> None:
    assert going(["wget"], [kept], APT) == ["wget"]


def test_apt_only_simulates_and_nothing_recommended_counts() -> None:
    question = VARIABLES["packages_left_question"]
    assert question[:3] == ["apt-get", "--simulate", "--auto-remove"]
    assert question[-1] == "purge"
    assert [word for word in question if word.endswith("Important=false")] == question[3:5]
