"""The stages of the route by hand: what the page tells a person to type, and the same checks."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.proof.bench import Bench, States
from lading.proof.judge import Delta, require_all_pass, require_green, require_red, require_restored

if TYPE_CHECKING:
    from lading.routes.byhand import ByHandRoute


@dataclass
class TypedStages:
    """One walk by hand. `before` and `after` are filled by `apply`."""

    bench: Bench
    route: "ByHandRoute"
    before: States = field(default_factory=dict)
    after: States = field(default_factory=dict)

    @property
    def delta(self) -> Delta | None:
        """What typing made of the hosts; nothing before the page has deployed."""
        return Delta(self.before, self.after) if self.after else None

    def apply(self) -> str:
        """What 'Install' and 'Configure' say is typed, and prints what they promise."""
        self.before = self.bench.states()
        typed = [self.route.type("install"), self.route.type("configure")]
        self.after = self.bench.states()
        return f"Install: {typed[0]}; Configure: {typed[1]}"

    def green(self) -> str:
        """What 'Validate' says is typed; every check passes; then 'Operate' is typed."""
        validated = self.route.type("validate")
        judged = require_green(self.bench, "green")
        return f"Validate: {validated}; {judged}; Operate: {self.route.type('operate')}"

    def reboot(self) -> str:
        """After a reboot 'Validate' and every check hold again."""
        for guest in self.bench.guests.values():
            guest.reboot()
        self.route.close()  # a reader's shells do not outlive a reboot either
        return f"Validate: {self.route.type('validate')}; {require_all_pass(self.bench, 'reboot')}"

    def undo(self) -> str:
        """What 'Undo' says is typed: the host is as it was, and the checks are red again."""
        typed = self.route.type("undo")
        restored = require_restored(self.bench, self.before, self.after)
        return f"Undo: {typed}; {restored}; {require_red(self.bench, 'undone')}"
