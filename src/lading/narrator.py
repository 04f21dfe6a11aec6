"""What a long command says while it works: a spinner on a terminal, plain timed lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape


@dataclass
class Narrator:
    """Tells steps to the user, each with the seconds it took. Standard error, so that `--json` stays clean."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))
    started: float = field(default_factory=time.monotonic)

    def say(self, message: str) -> None:
        """Print one line, with the time since the start."""
        self.console.print(f"[dim]{time.monotonic() - self.started:6.1f} s[/dim]  {escape(message)}")

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Tell that a step runs, and how long it took once it is over (also when it failed)."""
        before = time.monotonic()
        if not self.console.is_terminal:
            self.say(f"{title} …")
        outcome = "failed after"
        try:
            with self.console.status(escape(title)):
                yield
            outcome = "done in"
        finally:
            self.say(f"{title}: {outcome} {time.monotonic() - before:.1f} s")


def quiet() -> Narrator:
    """Return a narrator that says nothing, for tests and benchmarks."""
    return Narrator(Console(quiet=True))
