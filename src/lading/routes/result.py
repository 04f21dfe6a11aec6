"""What a run of an automated route did, in one shape for Ansible and Puppet."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TaskResult:
    """What one task, or one Puppet resource, did on one host; `path` is file:line, `seconds` from its start."""

    host: str
    task: str
    path: str
    action: str
    outcome: str
    changed: bool
    seconds: float | None
    message: str


@dataclass(frozen=True)
class PlayResult:
    """What a run did on all hosts; `rc` other than 0 means that it failed."""

    rc: int
    seconds: float
    tasks: tuple[TaskResult, ...]
    log: Path

    @property
    def changed(self) -> list[str]:
        """Names of the tasks that changed something, each with its host."""
        return [f"{task.host}: {task.task}" for task in self.tasks if task.changed and task.outcome == "ok"]

    @property
    def failures(self) -> list[TaskResult]:
        """Tasks that failed and were not expected to."""
        return [task for task in self.tasks if task.outcome == "failed"]

    @property
    def unreachable(self) -> bool:
        """Tell whether a host was lost."""
        return any(task.outcome == "unreachable" for task in self.tasks)
