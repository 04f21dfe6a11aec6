"""What a run of checks found: one line of JSON for each test, and the object made from them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from lading.errors import LabError

Outcome = Literal["passed", "failed", "error", "skipped"]

WORST_FIRST: tuple[Outcome, ...] = ("error", "failed", "skipped", "passed")
"""An error outranks a failure: where a host was lost, what else it said counts for nothing."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check on all hosts of its group: the worst one, the time of all, and every message.

    `lost` tells that a connection broke while it asked, so that its error is no verdict.
    """

    check: str
    outcome: Outcome
    seconds: float
    message: str
    mutates: bool
    lost: bool = False


@dataclass(frozen=True)
class CheckReport:
    """The results in the order in which the checks ran.

    Example:
        ```python
        from lading.checks.report import CheckReport, CheckResult

        report = CheckReport((CheckResult("test_worker.py::test_x", "failed", 1.5, "it is not so", False),))
        print(report.summary(), report.failed[0].check)
        #> 1 failed in 1.5 s test_worker.py::test_x
        ```
    """

    results: tuple[CheckResult, ...]
    seconds: float = 0.0

    @property
    def passed(self) -> tuple[CheckResult, ...]:
        return self._with("passed")

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        return self._with("failed")

    @property
    def errors(self) -> tuple[CheckResult, ...]:
        return self._with("error")

    @property
    def skipped(self) -> tuple[CheckResult, ...]:
        return self._with("skipped")

    @property
    def all_passed(self) -> bool:
        """Whether every check passed: a skipped one has proven nothing."""
        return len(self.passed) == len(self.results)

    @property
    def durations(self) -> dict[str, float]:
        """Seconds by check, the slowest first."""
        return {found.check: found.seconds for found in sorted(self.results, key=lambda found: -found.seconds)}

    def outcome(self, check: str) -> Outcome | None:
        """Return what a check came to, or None if it did not run."""
        return next((found.outcome for found in self.results if found.check == check), None)

    def summary(self) -> str:
        """Return the counts as a few words."""
        counts = [f"{len(self._with(outcome))} {outcome}" for outcome in reversed(WORST_FIRST) if self._with(outcome)]
        return f"{', '.join(counts) or 'no checks'} in {self.seconds or sum(self.durations.values()):.1f} s"

    def _with(self, outcome: Outcome) -> tuple[CheckResult, ...]:
        return tuple(found for found in self.results if found.outcome == outcome)


def read_report(file: Path, seconds: float = 0.0) -> CheckReport:
    """Read the lines that the plugin wrote, and make one result of a check's lines for several hosts.

    Raises:
        LabError: the file is missing, or cut off.
    """
    try:
        found = [_from_line(line) for line in file.read_text().splitlines()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"The checks' report '{file}' cannot be read: {error!r}.") from error
    return CheckReport(tuple(_merge(found)), seconds)


def _from_line(line: str) -> CheckResult:
    fields = json.loads(line)
    if fields["outcome"] not in get_args(Outcome):
        raise ValueError(f"unknown outcome '{fields['outcome']}'")
    return CheckResult(
        fields["check"],
        fields["outcome"],
        float(fields["seconds"]),
        fields["message"],
        bool(fields["mutates"]),
        bool(fields.get("lost", False)),
    )


def _merge(found: Iterable[CheckResult]) -> Iterable[CheckResult]:
    merged: dict[str, CheckResult] = {}
    for one in found:
        merged[one.check] = _worse(merged[one.check], one) if one.check in merged else one
    return merged.values()


def _worse(first: CheckResult, second: CheckResult) -> CheckResult:
    outcome = min(first.outcome, second.outcome, key=WORST_FIRST.index)
    message = "\n".join(filter(None, (first.message, second.message)))
    lost = first.lost or second.lost
    return replace(first, outcome=outcome, seconds=first.seconds + second.seconds, message=message, lost=lost)
