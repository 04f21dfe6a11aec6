# ruff: noqa: SLF001 (the results that Ansible hands to callbacks keep what they hold in private names)
"""An Ansible callback that writes one JSON line for each task's result on each host, for the engine to read."""

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase  # type: ignore[import-untyped] # ansible-core ships no types

DOCUMENTATION = """
name: lading_events
type: notification
short_description: Writes task results as JSON lines
description: Writes task results as JSON lines to the file that the environment variable LADING_EVENTS names.
requirements: [enabled in configuration]
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # as above
    """Collects results; the human-readable output stays with Ansible's own callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "lading_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._started: dict[str, float] = {}

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002 (Ansible's name)
        """Note when a task began."""
        self._started[task._uuid] = time.monotonic()

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Note when a handler began."""
        self._started[task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        """Write a task that worked."""
        self._write(result, "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Write a task that failed, unless the playbook expects that."""
        self._write(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Write that a host was lost."""
        self._write(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Write a task that did not apply."""
        self._write(result, "skipped")

    def _write(self, result: Any, outcome: str) -> None:
        task, data = result._task, result._result
        began = self._started.get(task._uuid)
        event = {
            "host": result._host.get_name(),
            "task": task.get_name(),
            "path": task.get_path() or "",
            "action": task.action,
            "outcome": outcome,
            "changed": bool(data.get("changed")),
            "seconds": round(time.monotonic() - began, 2) if began is not None else None,
            "message": str(data.get("msg", ""))[:4000],
        }
        with Path(os.environ["LADING_EVENTS"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
