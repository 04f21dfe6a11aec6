"""A whole small path in guests, by both routes: what its page says is what was proven, to the letter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lading.evidence.store import read_evidence
from tests.workshop import CHECKS_IN_GUESTS, Workshop

pytestmark = pytest.mark.vm

PAGE = """# A demonstration

/// proof | demo

## Install

```{ .file path=/etc/demo.conf }
colour=blue
```

## Configure

```{ .console user=alice }
$ echo "it is $(cut -d = -f 2 /etc/demo.conf)"
it is blue
```

## Validate

```{ .console }
$ cat /etc/demo.conf
colour=blue
```

## Operate

```{ .console exit=1 expect=contains }
$ cat /etc/nothing
No such file
```

## Undo

```{ .console }
# rm /etc/demo.conf
```
"""
TASKS = """\
- name: Say so
  ansible.builtin.template:
    src: demo.conf.j2
    dest: /etc/demo.conf
    mode: "0644"
  when: demo_state | default('present') == 'present'

- name: Say nothing
  ansible.builtin.file:
    path: /etc/demo.conf
    state: absent
  when: demo_state | default('present') == 'absent'
"""


@pytest.fixture
def demo(workshop: Workshop) -> Workshop:
    """A path that writes a file, and takes it back."""
    workshop.path(starts={"painted": {
        "help": "A host whose admin has a file of that name beside it.",
        "setup": "echo mine > /etc/demo.conf.d",
        "stays": ["grep -q mine /etc/demo.conf.d"],
    }})  # fmt: skip
    workshop.write("playbooks/roles/demo/tasks/main.yml", TASKS)
    workshop.write("recipes/demo/test_demo.py", CHECKS_IN_GUESTS)
    workshop.write("docs/paths/compute/demo.md", PAGE)
    return workshop


def verify(demo: Workshop) -> tuple[int, str]:
    """Prove the path in full; return the exit code and what was said."""
    code = "import sys; from lading.cli.main import main; sys.exit(main())"
    argv = [sys.executable, "-c", code, "--catalogue", str(demo.root), "verify", "demo", "--platform", "debian13"]
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False, env=environment)
    return done.returncode, done.stdout + done.stderr


def line_of(text: str) -> int:
    """Return the line on which a text stands in the page as it is now."""
    return PAGE[: PAGE.index(text)].count("\n") + 1


def test_one_changed_value_and_one_changed_word_are_named_with_their_lines(demo: Workshop) -> None:
    page = "docs/paths/compute/demo.md"
    # The value in the file block is another than the playbook's; 'Configure' goes along, 'Validate' promises the old.
    wrong = PAGE.replace("colour=blue\n```\n\n## Configure", "colour=grey\n```\n\n## Configure")
    demo.write(page, wrong.replace("it is blue", "it is grey"))
    code, said = verify(demo)
    assert code == 1, said
    assert f"by-hand/green: {page}:{line_of('$ cat /etc/demo.conf')}: " in said
    assert "-colour=blue" in said
    assert "+colour=grey" in said
    assert f"by-hand/agree: {page}:{line_of('```{ .file')}: " in said
    assert "file:/etc/demo.conf" in said
    logs = Path(next(line for line in said.splitlines() if "Logs: " in line).partition("Logs: ")[2])
    assert "load average" in (logs / "by-hand/worker1/signs.txt").read_text()
    assert not (logs / "playbook/worker1/signs.txt").exists(), said
    # All else is well, and is told so: the playbook's own way, and the host that was not clean.
    statement = read_evidence(demo.catalogue, "demo", "debian13")
    assert statement is not None
    run = statement.run
    assert (run.grade, statement.predicate.result) == (None, "FAILED")
    assert {stage.outcome for stage in run.routes["playbook"].stages} == {"passed"}
    assert {stage.outcome for stage in run.starts["painted"].stages} == {"passed"}
    assert run.resolved["owns"] == {"playbook": ["/etc/demo.conf"], "by-hand": ["/etc/demo.conf"]}
