"""What a playbook may not do on the machine of whoever runs it."""

from pathlib import Path

import pytest

from lading.project import Catalogue
from lading.recipe.trust import trust_problems


def refusals(root: Path, text: str, name: str = "playbooks/site.yml") -> list[str]:
    """Write one file and return `line field` of each refusal in it."""
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return [f"{problem.line} {problem.field}".strip() for problem in trust_problems(Catalogue(root))]


@pytest.mark.parametrize(
    "task",
    [
        "delegate_to: localhost",
        "delegate_to: 127.0.0.1",
        "delegate_to: '::1'",
        "delegate_to: \"{{ 'localhost' if here else worker }}\"",
        "local_action: ansible.builtin.command id",
        "connection: local",
        "vars: {ansible_connection: ansible.builtin.local}",
        "with_pipe: id",
    ],
)
def test_a_task_on_the_authors_machine_is_refused_with_its_line(tmp_path: Path, task: str) -> None:
    text = f"- hosts: workers\n  tasks:\n    - name: Look\n      block:\n        - name: Deep\n          {task}\n"

    (found,) = refusals(tmp_path, text)

    assert found.startswith("6 ")


def test_a_play_on_localhost_is_refused(tmp_path: Path) -> None:
    assert refusals(tmp_path, "- name: Play\n  hosts: localhost\n") == ["2 hosts"]


@pytest.mark.parametrize("call", ["lookup('pipe', 'id')", 'query("ansible.builtin.pipe", "id")', "q( 'pipe','id')"])
def test_a_pipe_lookup_is_refused_at_its_line_of_a_text(tmp_path: Path, call: str) -> None:
    text = f"- hosts: workers\n  vars:\n    who: |\n      first\n      {{{{ {call} }}}}\n"

    assert refusals(tmp_path, text) == ["5"]


def test_a_pipe_lookup_in_a_template_is_refused(tmp_path: Path) -> None:
    name = "playbooks/roles/apptainer/templates/apptainer.conf"

    assert refusals(tmp_path, "# top\nkey = {{ lookup('pipe', 'id') }}\n", name) == ["2"]


def test_an_alias_is_looked_at_once(tmp_path: Path) -> None:
    text = "- hosts: workers\n  tasks:\n    - &it {name: A, delegate_to: localhost}\n    - *it\n"

    assert refusals(tmp_path, text) == ["3 delegate_to"]


@pytest.mark.parametrize(
    "text",
    [
        "- hosts: workers\n  tasks: [{name: Look, delegate_to: '{{ groups.workers[0] }}'}]\n",
        "- hosts: workers\n  # never delegate_to: localhost, nor lookup('pipe', 'id')\n  tasks: []\n",
        "- hosts: workers\n  vars: {proxy: 'http://localhost:3128', kind: \"{{ lookup('file', 'pipe') }}\"}\n",
        "hosts: {worker1: {groups: [workers]}}\n",
    ],
)
def test_work_on_managed_hosts_passes(tmp_path: Path, text: str) -> None:
    assert refusals(tmp_path, text) == []


def test_a_file_that_is_not_yaml_is_told_too(tmp_path: Path) -> None:
    assert refusals(tmp_path, "- hosts: [workers\n", "recipes/a/recipe.yml") != []
