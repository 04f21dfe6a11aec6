"""A small catalogue to do things to."""

import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from lading.project import Catalogue

REPOSITORY = Path(__file__).parents[1]

RECIPE: dict[str, Any] = {
    "title": "A demonstration",
    "summary": "Shows what a path is made of.",
    "kind": "compute",
    "advice": "recommended",
    "advice_because": "Everybody needs one.",
    "audience": ["site-admin"],
    "answers": ["A1", "X6"],
    "hosts": {"worker1": {"groups": ["workers"], "memory": "1G"}},
    "platforms": {"debian13": {}, "debian12": {"not_verified": "No package there."}},
    "variables": {"demo_colour": {"default": "red", "lab": "blue", "help": "What colour it has."}},
    "undo": {"demo_state": "absent"},
    "true_before": [{"check": "test_demo.py::test_it_is_quiet", "because": "Nothing is installed yet."}],
    "sabotage": [{"run": "rm -f /etc/demo.conf", "red": ["test_demo.py::test_it_is_there"]}],
    "timeouts": {"apply": "6m"},
    "sources": [{"url": "https://example.org/", "read": date(2026, 11, 21), "for": "the idea"}],
}
PLAYBOOK = "- name: Deploy\n  hosts: workers\n  roles:\n    - {role}\n"
TASKS = "- name: Say so\n  ansible.builtin.template:\n    src: demo.conf.j2\n    dest: /etc/demo.conf\n"
CHECKS = "def test_it_is_there() -> None: ...\n\n\ndef test_it_is_quiet() -> None: ...\n"
CHECKS_IN_GUESTS = """
from testinfra.host import Host

testinfra_hosts = ["ansible://workers"]


def test_it_is_there(host: Host) -> None:
    assert host.file("/etc/demo.conf").exists


def test_it_is_quiet(host: Host) -> None:
    assert host.run("true").rc == 0
"""


class Workshop:
    """A catalogue in a temporary git repository, whose files tests write as they need them."""

    def __init__(self, root: Path) -> None:
        self.catalogue = Catalogue(root)
        self.root = root
        (root / "data").mkdir(parents=True)
        for name in ("platforms.yml", "requirements.yml"):
            shutil.copy(REPOSITORY / "data" / name, root / "data" / name)
        self.write(".gitignore", "__pycache__/\n*.log\n")
        self.git("init", "-q", "-b", "main")

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file, and the folders above it."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def path(self, path_id: str = "demo", **changes: Any) -> Path:
        """Write a whole path; `changes` replace keys of its recipe, None removes one. Returns the recipe's file."""
        under = path_id.replace("-", "_")
        recipe = {key: value for key, value in {**RECIPE, **changes}.items() if value is not None}
        self.write(
            f"docs/paths/{recipe.get('kind', 'compute')}/{path_id}.md",
            f"# {recipe.get('title')}\n\n/// proof | {path_id}\n",
        )
        self.write(f"playbooks/{under}.yml", PLAYBOOK.format(role=under))
        self.write(f"playbooks/roles/{under}/tasks/main.yml", TASKS)
        self.write(f"playbooks/roles/{under}/templates/demo.conf.j2", "colour={{ demo_colour }}\n")
        self.write(f"recipes/{path_id}/test_demo.py", CHECKS)
        return self.write(f"recipes/{path_id}/recipe.yml", yaml.safe_dump(recipe, sort_keys=False))

    def git(self, *words: str) -> str:
        """Run git in the catalogue, as somebody whose configuration does not matter."""
        name = ["-c", "user.name=t", "-c", "user.email=t@site.example", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.root), *name, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def commit(self) -> None:
        """Commit all there is."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "all")
