"""What a long command says while it works: a spinner on a terminal, plain timed lines elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.markup import escape
from rich.status import Status


@dataclass
class Board:
    """The one line on a terminal that names every step that runs now, those of other threads too."""

    console: Console
    _running: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _status: Status | None = None

    @contextmanager
    def showing(self, title: str) -> Iterator[None]:
        """Show a step while it runs."""
        self._change(add=title)
        try:
            yield
        finally:
            self._change(remove=title)

    def _change(self, *, add: str | None = None, remove: str | None = None) -> None:
        with self._lock:
            if add is not None:
                self._running.append(add)
            if remove is not None:
                self._running.remove(remove)
            text = escape("; ".join(self._running))
            if not self._running and self._status is not None:
                self._status.stop()
                self._status = None
            elif self._status is not None:
                self._status.update(text)
            elif self._running:
                self._status = self.console.status(text)
                self._status.start()


@dataclass
class Narrator:
    """Tells steps to the user, each with the seconds it took. Standard error, so that `--json` stays clean.

    `label` is put before each line: whose it is, where several things run side by side.
    """

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))
    started: float = field(default_factory=time.monotonic)
    label: str = ""
    board: Board | None = None

    def __post_init__(self) -> None:
        self.board = self.board or Board(self.console)

    def named(self, label: str) -> "Narrator":
        """Return a narrator of the same story for one of several things that run side by side."""
        return replace(self, label=f"{label}: ")

    def say(self, message: str) -> None:
        """Print one line, with the time since the start."""
        self.console.print(f"[dim]{time.monotonic() - self.started:6.1f} s[/dim]  {escape(self.label + message)}")

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Tell that a step runs, and how long it took once it is over (also when it failed)."""
        assert self.board is not None
        before = time.monotonic()
        if not self.console.is_terminal:
            self.say(f"{title} …")
        outcome = "failed after"
        try:
            with self.board.showing(self.label + title):
                yield
            outcome = "done in"
        finally:
            self.say(f"{title}: {outcome} {time.monotonic() - before:.1f} s")


def quiet() -> Narrator:
    """Return a narrator that says nothing, for tests and benchmarks."""
    return Narrator(Console(quiet=True))
