"""The stages on a host that is not clean: its admin's things are respected, or the playbook refuses clearly."""

from dataclasses import dataclass, field

from lading.errors import PathFailed
from lading.proof.bench import AutomatedRoute, Bench, States, failure_of
from lading.proof.judge import changes, refuse_changes, require_all_pass, require_restored
from lading.recipe.model import Start


@dataclass
class StartStages:
    """One walk of the playbook from a host that is not clean."""

    bench: Bench
    route: AutomatedRoute
    start: Start
    before: States = field(default_factory=dict)
    after: States = field(default_factory=dict)

    def apply(self) -> str:
        """The host is made as the recipe says; then the playbook ends well, or refuses and changes nothing."""
        mend = "Mend the recipe's 'starts'."
        shared = self.start.functions
        functions = (self.bench.loaded.folder / shared).read_text() if shared else ""
        script = f"set -e\n{functions}\n{self.start.setup}"
        self.bench.run_on(self.start.groups, script, "The start's setup failed", mend)
        self._require_stays("after the setup", mend)
        self.before = self.bench.states()
        if self.start.refused is not None:
            return self._refused(self.start.refused)
        result = self.bench.play(self.route, "apply")
        self.after = self.bench.states()
        stayed = self._require_stays("after apply")
        return f"{len(result.changed)} tasks changed something; {stayed}"

    def green(self) -> str:
        """Every check passes."""
        return require_all_pass(self.bench, "green")

    def undo(self) -> str:
        """The host is as it was before, what its admin had too."""
        self.bench.play(self.route, "undo", variables=self.bench.recipe.undo)
        restored = require_restored(self.bench, self.before, self.after)
        return f"{restored}; {self._require_stays('after undo')}"

    def _refused(self, sentence: str) -> str:
        result = self.bench.try_to_play(self.route, "apply")
        if result.rc == 0:
            raise PathFailed(f"This host should have been refused with '{sentence}', and was not.")
        said = failure_of(result)
        if sentence not in " ".join(said.split()):
            raise PathFailed(f"The refusal should say '{sentence}'. {said}", hint=f"The whole output: {result.log}")
        refuse_changes(
            changes(self.before, self.bench.states()), "The playbook refused this host, but changed it first"
        )
        return f"refused as it should be, with nothing changed; {self._require_stays('after the refusal')}"

    def _require_stays(self, when: str, mend: str = "The admin's things are not respected.") -> str:
        for line in self.start.stays:
            self.bench.run_on(self.start.groups, line, f"Not so {when}: '{line}'", mend)
        return f"{len(self.start.stays)} things of the admin's are as they were"
