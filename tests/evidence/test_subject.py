"""The subject: what changes it, what does not, and that a clean clone has the same."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lading
from lading.errors import ExitCode, UsageError
from lading.evidence.subject import Subject, digest_of, subject_of
from lading.evidence.tree import Entry
from lading.project import Catalogue
from lading.recipe.load import load_recipe
from tests.workshop import REPOSITORY, Workshop


def subject(workshop: Workshop, path_id: str = "demo", platform: str = "debian13") -> Subject:
    return subject_of(workshop.catalogue, load_recipe(workshop.catalogue, path_id), platform)


@pytest.fixture
def rich(workshop: Workshop) -> Workshop:
    """Return a catalogue whose path has every sort of input."""
    workshop.path("base")
    workshop.path(builds_on=["base"])
    workshop.write("playbooks/demo.yml", "- hosts: workers\n  vars_files: [vars/site.yml]\n  roles: [demo]\n")
    workshop.write("playbooks/vars/site.yml", "a: 1\n")
    workshop.write("playbooks/group_vars/workers.yml", "b: 1\n")
    workshop.write("playbooks/roles/demo/meta/main.yml", "dependencies: [shared]\n")
    workshop.write("playbooks/roles/shared/tasks/main.yml", "[]\n")
    workshop.write("playbooks/roles/shared/files/deep/er/blob", b"\x00\xff")
    workshop.write("playbooks/puppet/demo/manifests/init.pp", "class demo {}\n")
    workshop.write("recipes/demo/rendered/demo.conf", "x\n")
    return workshop


def test_every_sort_of_input_is_in_it(rich: Workshop) -> None:
    names = [entry.name for entry in subject(rich).inputs if not entry.name.startswith("src/lading/checks/")]
    assert names == [
        "builds_on/base",
        "data/platforms.yml#debian13",
        "docs/paths/compute/demo.md#run-blocks",
        "lading/PROTOCOL",
        "playbooks/demo.yml",
        "playbooks/group_vars/workers.yml",
        "playbooks/puppet/demo/manifests/init.pp",
        "playbooks/roles/demo/meta/main.yml",
        "playbooks/roles/demo/tasks/main.yml",
        "playbooks/roles/demo/templates/demo.conf.j2",
        "playbooks/roles/shared/files/deep/er/blob",
        "playbooks/roles/shared/tasks/main.yml",
        "playbooks/vars/site.yml",
        "recipes/demo/recipe.yml",
        "recipes/demo/rendered/demo.conf",
        "recipes/demo/test_demo.py",
    ]


def test_the_shared_helpers_of_checks_are_in_it(workshop: Workshop) -> None:
    helpers = {f"src/lading/checks/{file.name}" for file in (REPOSITORY / "src/lading/checks").glob("*.py")}
    assert helpers <= {entry.name for entry in subject(workshop).inputs}


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_byte_changed_in_a_file_changes_it(data: st.DataObject, shared: Workshop) -> None:
    before = subject(shared)
    name = data.draw(st.sampled_from([entry.name for entry in before.inputs if entry.name.startswith("playbooks/")]))
    file = shared.root / name
    content = file.read_bytes()
    place = data.draw(st.integers(0, len(content)))
    # Anywhere in a file that nothing parses; elsewhere at the end, as a comment.
    text = b"# " + data.draw(st.text("abc é", max_size=3)).encode() + b"\n"
    changed = content[:place] + text + content[place:] if name.endswith((".j2", "blob")) else content + text
    file.write_bytes(changed)
    try:
        after = subject(shared)
    finally:
        file.write_bytes(content)
    assert after.digest != before.digest
    assert {entry.name for entry in set(after.inputs) ^ set(before.inputs)} == {name}
    assert subject(shared) == before


ENTRIES = st.lists(
    st.builds(Entry, st.text(min_size=1), st.sampled_from(["100644", "100755"]), st.text("0123456789abcdef")),
    max_size=6,
    unique_by=lambda entry: entry.name,
)


@given(entries=ENTRIES, data=st.data())
def test_the_order_of_inputs_does_not_matter_but_each_part_of_each_does(
    entries: list[Entry], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(entries))
    assert digest_of(tuple(shuffled)) == digest_of(tuple(entries))
    if entries:
        one = data.draw(st.sampled_from(entries))
        rest = tuple(entry for entry in entries if entry is not one)
        others = [
            Entry(one.name + "x", one.mode, one.sha256),
            Entry(one.name, one.mode + "x", one.sha256),
            Entry(one.name, one.mode, one.sha256 + "0"),
        ]
        assert digest_of(tuple(entries)) not in {digest_of(rest), *(digest_of((*rest, other)) for other in others)}


def test_a_clean_clone_has_the_same_subject(rich: Workshop, tmp_path: Path) -> None:
    (rich.root / "recipes/demo/rendered/demo.conf").chmod(0o775)
    uncommitted = subject(rich)
    rich.commit()
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", rich.root, clone], check=True, umask=0o077)
    catalogue = Catalogue(clone)
    cloned = subject_of(catalogue, load_recipe(catalogue, "demo"), "debian13")
    assert cloned == uncommitted == subject(rich)


def test_new_files_count_before_they_are_committed_and_ignored_ones_never_do(workshop: Workshop) -> None:
    workshop.commit()
    before = subject(workshop)
    workshop.write("recipes/demo/run.log", "x")
    workshop.write("recipes/demo/__pycache__/x.pyc", "x")
    assert subject(workshop) == before
    workshop.write("recipes/demo/new.txt", "x")
    after = subject(workshop)
    assert after.digest != before.digest
    workshop.commit()
    assert subject(workshop) == after


def test_a_file_that_is_tracked_and_deleted_does_not_count(workshop: Workshop) -> None:
    before = subject(workshop)
    file = workshop.write("recipes/demo/new.txt", "x")
    workshop.commit()
    file.unlink()
    assert subject(workshop) == before


def test_of_a_files_mode_only_the_executable_bit_counts(workshop: Workshop) -> None:
    file = workshop.root / "playbooks/roles/demo/templates/demo.conf.j2"
    file.chmod(0o644)
    before = subject(workshop)
    file.chmod(0o600)
    assert subject(workshop) == before
    file.chmod(0o755)
    assert subject(workshop).digest != before.digest


def test_a_link_counts_by_where_it_points_to(workshop: Workshop) -> None:
    link = workshop.root / "recipes/demo/link"
    link.symlink_to("recipe.yml")
    before = subject(workshop)
    link.unlink()
    link.symlink_to("nowhere")
    assert subject(workshop).digest != before.digest


def test_what_is_no_input_changes_nothing(workshop: Workshop) -> None:
    before = subject(workshop)
    workshop.path("other")
    for name in ("README.md", "docs/index.md", "playbooks/inventory.yml", "evidence/demo/debian13.json", "é ü.txt"):
        workshop.write(name, "x\n")
    said = '# Words, and no command\n\n/// proof | demo\n\n```{ .bash not-run="no" }\nls\n```\n'
    workshop.write("docs/paths/compute/demo.md", said)
    assert subject(workshop) == before


PAGE = """# A demonstration

/// proof | demo

## Install

```{ .console }
# echo hello
hello
```

```{ .file path=/etc/demo.conf include=recipes/demo/rendered/demo.conf }
```
"""


def test_it_follows_what_a_reader_types_and_not_the_words_around_it(rich: Workshop) -> None:
    rich.path(builds_on=["base"], rendered={"demo.conf": {"template": "roles/demo/templates/demo.conf.j2"}})
    file = rich.write("docs/paths/compute/demo.md", PAGE)
    before = subject(rich)
    file.write_text(PAGE.replace("## Install", "## Install\n\nMore words."))
    assert subject(rich) == before
    for old, new in (("# echo hello", "# echo  hello"), ("\nhello", "\nhullo"), (".console", ".console exit=1")):
        file.write_text(PAGE.replace(old, new))
        assert subject(rich).digest != before.digest
    file.write_text(PAGE)
    rich.write("recipes/demo/rendered/demo.conf", "y\n")
    inputs = {entry.name: entry for entry in subject(rich).inputs}
    assert inputs["docs/paths/compute/demo.md#run-blocks"] not in before.inputs


def test_it_follows_the_definition_of_its_own_platform_only(workshop: Workshop) -> None:
    before = subject(workshop)
    file = workshop.root / "data/platforms.yml"
    text = file.read_text()
    file.write_text(text.replace("title: Debian 12", "title: Another") + "# a comment\n")
    assert subject(workshop) == before
    file.write_text(text.replace("suite: trixie", "suite: forky"))
    assert subject(workshop).digest != before.digest
    assert before.digest != subject(workshop, platform="debian12").digest


def test_it_follows_the_subjects_of_what_it_builds_on(rich: Workshop) -> None:
    before = subject(rich)
    rich.write("playbooks/roles/base/templates/demo.conf.j2", "other\n")
    after = subject(rich)
    assert {entry.name for entry in set(after.inputs) ^ set(before.inputs)} == {"builds_on/base"}
    assert after.digest != before.digest


def test_it_follows_the_protocol(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = subject(workshop)
    monkeypatch.setattr(lading, "PROTOCOL", lading.PROTOCOL + 1)
    assert subject(workshop).digest != before.digest


def test_an_unknown_platform_is_refused_with_the_nearest_name(workshop: Workshop) -> None:
    with pytest.raises(UsageError, match=r"No platform is called 'debain13'; did you mean 'debian13'\?"):
        subject(workshop, platform="debain13")


def test_without_git_the_program_it_says_so(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match="The program 'git' is not installed") as caught:
        subject(workshop)
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_file_name_that_is_not_utf8_is_refused(workshop: Workshop) -> None:
    (workshop.root / os.fsdecode(b"caf\xe9")).write_text("x")
    with pytest.raises(UsageError, match="is not UTF-8"):
        subject(workshop)


def test_outside_a_checkout_it_says_so(workshop: Workshop) -> None:
    (workshop.root / ".git").rename(workshop.root / "git")
    with pytest.raises(UsageError, match="git can't list the files"):
        subject(workshop)


def test_a_hooks_variables_do_not_lead_git_astray(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = subject(workshop)
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert subject(workshop) == before


def test_it_takes_less_than_a_third_of_a_second_of_work(workshop: Workshop) -> None:
    tasks = "".join(f"- name: Task {number}\n  ansible.builtin.debug:\n    msg: x\n" for number in range(60))
    for number in range(8):
        workshop.write(f"playbooks/roles/demo/tasks/part{number}.yml", tasks)
    loaded = load_recipe(workshop.catalogue, "demo")
    before = time.process_time()
    subject_of(workshop.catalogue, loaded, "debian13")
    assert time.process_time() - before < 0.3


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = Workshop(tmp_path_factory.mktemp("catalogue") / "root")
    made.path()
    made.write("playbooks/roles/demo/files/blob", b"\x00\xff\n")
    made.write("playbooks/group_vars/all.yml", "a: 1\n")
    return made
