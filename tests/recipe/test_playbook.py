"""What a playbook is made of, found without running it."""

from pathlib import Path

import pytest

from lading.errors import UsageError
from lading.recipe.playbook import playbook_closure
from tests.workshop import Workshop


def closure_of(workshop: Workshop, text: str) -> set[str]:
    """Return the names of the files and roles that a playbook with this text is made of."""
    file = workshop.write("playbooks/demo.yml", text)
    found = playbook_closure(workshop.catalogue, file)
    return {str(place.relative_to(workshop.root)) for place in found.files} | {f"role {name}" for name in found.roles}


def role(workshop: Workshop, name: str, tasks: str = "[]\n", **files: str) -> None:
    workshop.write(f"playbooks/roles/{name}/tasks/main.yml", tasks)
    for file, text in files.items():
        workshop.write(f"playbooks/roles/{name}/{file}/main.yml", text)


def refusal(workshop: Workshop, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        closure_of(workshop, text)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "- hosts: all\n  roles: [extra]\n",
        "- hosts: all\n  roles:\n    - role: extra\n      tags: x\n",
        "- hosts: all\n  roles:\n    - {name: extra}\n",
        "- hosts: all\n  tasks:\n    - ansible.builtin.include_role:\n        name: extra\n",
        "- hosts: all\n  tasks:\n    - import_role: name=extra tasks_from=undo\n",
        "- hosts: all\n  pre_tasks:\n    - action: include_role name=extra\n",
        "- hosts: all\n  handlers:\n    - block:\n        - rescue:\n            - include_role: {name: extra}\n",
        "- hosts: all\n  post_tasks:\n    - always:\n        - ansible.legacy.include_role: {name: extra}\n",
    ],
)  # fmt: skip
def test_a_role_is_found_however_it_is_named(workshop: Workshop, text: str) -> None:
    role(workshop, "extra")
    assert "role extra" in closure_of(workshop, text)


def test_roles_are_followed_through_dependencies_and_their_own_tasks(workshop: Workshop) -> None:
    role(workshop, "a", meta="dependencies:\n  - role: b\n")
    role(workshop, "b", tasks="- ansible.builtin.include_role:\n    name: c\n")
    role(workshop, "c", handlers="- name: x\n  include_role: {name: d}\n", meta="dependencies: [a]\n")
    role(workshop, "d")
    found = closure_of(workshop, "- hosts: all\n  roles: [a]\n")
    assert {"role a", "role b", "role c", "role d"} <= found


def test_files_beside_the_playbook_are_found(workshop: Workshop) -> None:
    for name in ("more.yml", "tasks/deep.yml"):
        workshop.write(f"playbooks/{name}", "[]\n")
    for name in ("vars/common.yml", "templates/t.j2", "files/tree/x", "more_vars.yml"):
        workshop.write(f"playbooks/{name}", "x: 1\n")
    workshop.write("playbooks/other.yml", "- hosts: all\n  tasks:\n    - include_tasks: tasks/deep.yml\n")
    found = closure_of(
        workshop,
        "- import_playbook: other.yml\n"
        "- hosts: all\n  vars_files: [vars/common.yml, [more_vars.yml]]\n  tasks:\n"
        "    - ansible.builtin.include_tasks: more.yml\n"
        "    - ansible.builtin.template: {src: t.j2, dest: /x}\n"
        "    - ansible.builtin.copy: {src: tree, dest: /x}\n"
        "    - ansible.builtin.copy: {src: /etc/hosts, dest: /x, remote_src: true}\n"
        "    - ansible.builtin.copy: {content: x, dest: /x}\n",
    )
    assert found == {
        f"playbooks/{name}"
        for name in ("demo.yml", "other.yml", "tasks/deep.yml", "more.yml", "vars/common.yml", "more_vars.yml",
                     "templates/t.j2", "files/tree")
    }  # fmt: skip


def test_a_role_that_takes_a_file_from_beside_the_playbook_brings_it_in(workshop: Workshop) -> None:
    role(workshop, "a", tasks="- template: {src: shared.j2, dest: /x}\n- include_tasks: ../../../hooks.yml\n")
    workshop.write("playbooks/templates/shared.j2", "x")
    workshop.write("playbooks/hooks.yml", "[]\n")
    found = closure_of(workshop, "- hosts: all\n  roles: [a]\n")
    assert {"playbooks/templates/shared.j2", "playbooks/hooks.yml"} <= found


def test_a_role_name_that_is_not_literal_is_refused_with_file_and_line(workshop: Workshop) -> None:
    said = refusal(workshop, "- hosts: all\n  roles:\n    - demo\n    - '{{ which }}'\n")
    assert said == "playbooks/demo.yml:4: [0].roles[1]: the role name '{{ which }}' is not literal; write it out."


def test_a_role_name_in_a_role_that_is_not_literal_is_refused_too(workshop: Workshop) -> None:
    role(
        workshop,
        "a",
        tasks="- name: x\n  include_role:\n    name: 'x_{{ item }}'\n",
        meta="dependencies: ['{{ y }}']\n",
    )
    said = refusal(workshop, "- hosts: all\n  roles: [a]\n")
    assert "playbooks/roles/a/tasks/main.yml:2: [0].include_role: the role name 'x_{{ item }}' is not literal" in said
    assert "playbooks/roles/a/meta/main.yml:1: dependencies[0]: the role name '{{ y }}' is not literal" in said


def test_a_role_may_compute_the_name_of_its_own_file_but_a_play_may_not(workshop: Workshop) -> None:
    task = "- include_tasks: '{{ family }}.yml'\n"
    role(workshop, "a", tasks=task)
    assert closure_of(workshop, "- hosts: all\n  roles: [a]\n")
    said = refusal(workshop, "- hosts: all\n  tasks:\n    " + task)
    assert "playbooks/demo.yml:3: [0].tasks[0].include_tasks: the file name '{{ family }}.yml' is not literal" in said


def test_a_hook_is_the_sites_own_file(workshop: Workshop) -> None:
    text = "- hosts: all\n  tasks:\n    - include_tasks: '{{ drain_tasks }}'\n      when: drain_tasks is defined\n"
    assert closure_of(workshop, text) == {"playbooks/demo.yml"}


def test_an_unknown_role_is_refused_with_the_nearest_name(workshop: Workshop) -> None:
    role(workshop, "apptainer")
    said = refusal(workshop, "- hosts: all\n  roles: [aptainer]\n")
    assert "no role 'aptainer' is in 'playbooks/roles'; did you mean 'apptainer'?" in said


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc", "..", "demo/tasks"])
def test_a_role_name_that_climbs_out_is_refused(workshop: Workshop, name: str) -> None:
    assert "is in 'playbooks/roles'" in refusal(workshop, f"- hosts: all\n  roles: ['{name}']\n")


def test_a_file_outside_the_repository_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("x: 1\n")
    said = refusal(workshop, f"- hosts: all\n  vars_files: ['{tmp_path}/x.yml']\n")
    assert "is outside the repository." in said


def test_a_file_that_does_not_exist_is_refused(workshop: Workshop) -> None:
    assert "the file 'gone.yml' does not exist." in refusal(workshop, "- hosts: all\n  vars_files: [gone.yml]\n")


def test_ansibles_own_tags_and_aliases_are_read(workshop: Workshop) -> None:
    text = "- hosts: all\n  vars: &v\n    secret: !vault |\n      $X\n    raw: !unsafe '{{ x }}'\n    list: !x [1]\n"
    assert closure_of(workshop, text + "    map: !y {a: 1}\n- hosts: all\n  vars: *v\n") == {"playbooks/demo.yml"}


@pytest.mark.parametrize("text", ["", "x: 1\n", "[]\n"])
def test_a_playbook_without_plays_is_refused(workshop: Workshop, text: str) -> None:
    assert "a playbook is a list of plays" in refusal(workshop, text)


def test_a_role_that_does_not_parse_is_refused_with_its_line(workshop: Workshop) -> None:
    role(workshop, "a", tasks="- name: x\n  y: [\n")
    assert "playbooks/roles/a/tasks/main.yml:3: This is not YAML" in refusal(workshop, "- hosts: all\n  roles: [a]\n")
