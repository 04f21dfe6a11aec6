"""The playbook route: runs what admins run, with ansible-playbook, and reads its results as data."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading import process
from lading.lab.guest import Guest
from lading.process import Completed
from lading.routes.result import PlayResult, TaskResult

CALLBACKS = Path(__file__).with_name("callback")
# ssh_args is empty: the ssh configuration that the inventory names says everything, pinned host key included.
CONFIGURATION = f"""[defaults]
callback_plugins = {CALLBACKS}
callbacks_enabled = lading_events
interpreter_python = /usr/bin/python3
host_key_checking = True
retry_files_enabled = False
nocows = True
[ssh_connection]
pipelining = True
ssh_args =
"""


@dataclass(frozen=True)
class PlaybookRoute:
    """The playbook of one path against the guests of one inventory; logs go to `folder`."""

    playbook: Path
    inventory: Path
    variables: Path
    folder: Path

    def apply(
        self, label: str, timeout: float, *, check: bool = False, variables: Mapping[str, Any] | None = None
    ) -> PlayResult:
        """Run the playbook; with `check` it only says what it would change. `variables` win over the lab's.

        Raises:
            TimedOut: it did not end in `timeout` seconds.
        """
        events, log = self.folder / f"ansible-{label}.jsonl", self.folder / f"ansible-{label}.log"
        more = ["--extra-vars", json.dumps(dict(variables))] if variables else []
        argv: list[str | Path] = [Path(sys.executable).with_name("ansible-playbook"), "--inventory", self.inventory,
                "--extra-vars", f"@{self.variables}", *more, "--diff", *(["--check"] if check else []),
                self.playbook]  # fmt: skip
        done = process.run(argv, env=self._environment(events), timeout=timeout, log=log, check=False)
        return _result(done, events, log)

    def _environment(self, events: Path) -> dict[str, str]:
        configuration = self.folder / "ansible.cfg"
        configuration.write_text(CONFIGURATION)
        home = self.folder / "home"
        return {
            **process.scrubbed_environment(home),
            "ANSIBLE_CONFIG": str(configuration),
            "ANSIBLE_HOME": str(home / ".ansible"),
            "LADING_EVENTS": str(events),
        }


def _result(done: Completed, events: Path, log: Path) -> PlayResult:
    lines = events.read_text().splitlines() if events.exists() else []
    return PlayResult(done.rc, done.seconds, tuple(TaskResult(**json.loads(line)) for line in lines), log)


def write_inventory(file: Path, guests: Mapping[str, Guest], groups: Mapping[str, Sequence[str]]) -> Path:
    """Write an Ansible inventory of the guests; JSON is YAML, and so is an inventory in it."""
    children: dict[str, Any] = {}
    for host, names in groups.items():
        for group in names:
            children.setdefault(group, {"hosts": {}})["hosts"][host] = {
                "ansible_user": "root",
                "ansible_ssh_common_args": f"-F {guests[host].ssh.config}",
            }
    file.write_text(json.dumps({"all": {"children": children}}, indent=1))
    return file
