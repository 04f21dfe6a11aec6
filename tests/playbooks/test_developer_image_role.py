"""What the role of developers' images asks of a host and refuses, and that its lab's page says what its recipe says."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]  # it has no type hints
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]  # neither has this

from tests.playbooks.modules import ROLES

ROLE = ROLES / "developer_image"
ROOT = ROLES.parents[1]
RECIPE = yaml.safe_load((ROOT / "recipes/developer-and-user-image/recipe.yml").read_text())
FIT = RECIPE["variables"]["developer_image_definitions"]["lab"]["fit"]


def templates(value: Any) -> Any:
    """Return the same with every text in it as a template."""
    return trust_as_template(value) if isinstance(value, str) else value


def values(**others: Any) -> dict[str, Any]:
    said = {
        key: templates(value)
        for file in ("defaults", "vars")
        for key, value in yaml.safe_load((ROLE / file / "main.yml").read_text()).items()
    }
    facts = {"distribution": "Debian", "distribution_version": "13", "distribution_major_version": "13"}
    return {**said, "inventory_hostname": "builder1", "ansible_facts": facts, **others}


def refusals(definitions: dict[str, Any], lines: list[str]) -> list[str]:
    """Return the names of the tasks that refuse, of those that look before anything changes."""
    known = values(developer_image_definitions=definitions, developer_image_host={"stdout_lines": lines})
    items = [{"key": name, "value": files} for name, files in definitions.items()]
    found = []
    for task in yaml.safe_load((ROLE / "tasks/preflight.yml").read_text()):
        asked = task.get("ansible.builtin.assert")
        if not asked:
            continue
        conditions = asked["that"] if isinstance(asked["that"], list) else [asked["that"]]
        for item in items if "loop" in task else [None]:
            engine = Templar(loader=DataLoader(), variables={**known, "item": item})
            # As Ansible does, only as far as the first that does not hold: later ones may count on it.
            if not all(engine.template(trust_as_template(f"{{{{ {condition} }}}}")) for condition in conditions):
                found.append(task["name"])
                assert "Nothing was changed." in engine.template(templates(asked["fail_msg"]))
    return found


def test_the_labs_definition_and_host_are_taken() -> None:
    assert refusals({"fit": FIT}, ["ptrace 0"]) == []


WITHOUT_CODE = {name: text for name, text in FIT.items() if not name.startswith("src/")}


@pytest.mark.parametrize(
    "name, files",
    [
        ("Fit", FIT),
        ("fit", WITHOUT_CODE),
        ("fit", {**FIT, "image.ini": FIT["image.ini"].replace("[image.developer]", "[image.tools]")}),
        ("fit", {**FIT, "image.ini": FIT["image.ini"].replace("[image.runtime]", "# [image.runtime]")}),
        ("fit", {**FIT, "../base/image.ini": ""}),
        ("fit", {**FIT, "/etc/passwd": ""}),
        ("fit", ["Containerfile"]),
    ],
    ids=["name", "no code", "no image for developers", "only a remark", "up", "absolute", "no mapping"],
)
def test_definitions_that_are_not_whole_are_refused(name: str, files: Any) -> None:
    assert refusals({name: files}, ["ptrace 0"]) == ["Refuse definitions that are not whole"]


@pytest.mark.parametrize(
    "line, refusal",
    [
        ("builder none", "Refuse a host that builds no images"),
        ("account none", "Refuse another account than the one that publishes"),
        ("area another's", "Refuse another account than the one that publishes"),
        ("claimed fit", "Refuse a definition that another role has written"),
        ("taken fit-runtime", "Refuse names that other definitions have"),
    ],
)
def test_hosts_that_cannot_do_it_are_refused(line: str, refusal: str) -> None:
    assert refusals({"fit": FIT}, [line]) == [refusal]


def asked(settings: Path, area: Path, record: Path, scope: Path, *names: str) -> list[str]:
    """Return what the role's question says, asked of other places than the host's own."""
    script = Templar(loader=DataLoader(), variables=values()).template(
        templates(values()["developer_image_question_host"])
    )
    for there, here in (
        ("/etc/container-images", settings),
        ("/srv/container-images", area),
        ("/var/lib/lading/image_builder.json", record),
        ("/proc/sys/kernel/yama/ptrace_scope", scope),
    ):
        script = script.replace(there, str(here))
    user = area.parent.owner()
    ran = subprocess.run(["sh", "-c", script, "sh", user, *names], capture_output=True, encoding="utf-8", check=False)
    assert ran.stderr == ""
    return [line for line in ran.stdout.splitlines() if line != "builder none"]


def test_the_question_finds_what_is_in_the_way(tmp_path: Path) -> None:
    settings, area, record, scope = (tmp_path / name for name in ("settings", "area", "record", "scope"))
    assert asked(settings, area, record, scope, "fit") == ["area another's", "ptrace 0"]
    area.mkdir()
    scope.write_text("2\n")
    (settings / "fit").mkdir(parents=True)
    (settings / "unfit-runtime").mkdir()
    record.write_text(f'{{"files": {{"{settings}/fitter/image.ini": {{}}}}}}')
    assert asked(settings, area, record, scope, "fit") == ["ptrace 2"]
    (settings / "fit-developer").mkdir()
    record.write_text(f'{{"files": {{"{settings}/fit/image.ini": {{}}}}}}')
    assert asked(settings, area, record, scope, "fit", "tool") == ["ptrace 2", "claimed fit", "taken fit-developer"]


def test_the_page_shows_the_definition_that_the_lab_builds() -> None:
    page = (ROOT / "docs/paths/images/developer-and-user-image.md").read_text()
    block = r"(?ms)^```\{ \.file path=/etc/container-images/fit/(\S+) \}\n(.*?)^```$"
    shown = dict(re.findall(block, page))
    assert shown == FIT
