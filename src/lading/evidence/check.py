"""All evidence of a catalogue, looked through: is it whole, is it about something that exists, is it fresh."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from lading.errors import ExitCode, UsageError
from lading.evidence.status import Status, in_future, status
from lading.evidence.store import REMEDY
from lading.evidence.tree import Tree
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe, load_all
from lading.recipe.names import did_you_mean


@dataclass(frozen=True)
class Finding:
    """One evidence file: its status, or what makes it malformed."""

    file: str
    status: Status | None = None
    malformed: str | None = None


@dataclass(frozen=True)
class CheckReport:
    """What was found, by file name."""

    findings: tuple[Finding, ...]

    @property
    def malformed(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.malformed]

    def having(self, *verdicts: str) -> list[Finding]:
        """Return the findings with one of some verdicts."""
        return [finding for finding in self.findings if finding.status and finding.status.verdict in verdicts]

    def exit_code(self, *, strict: bool = False) -> ExitCode:
        """Return 2 for malformed evidence, 1 for a failure (with `strict`, for stale or old evidence too), else 0."""
        if self.malformed:
            return ExitCode.USAGE
        if self.having("failed") or (strict and self.having("stale", "old")):
            return ExitCode.FAILED
        return ExitCode.OK


def check_evidence(catalogue: Catalogue, *, today: date) -> CheckReport:
    """Return what there is to say of every file below `evidence/`.

    Raises:
        UsageError: recipes are wrong, so that nothing can be said.
    """
    paths, tree = load_all(catalogue), Tree(catalogue.root)
    return CheckReport(tuple(_finding(catalogue, file, paths, tree, today) for file in _files(catalogue)))


def _files(catalogue: Catalogue) -> Iterator[Path]:
    yield from sorted(file for file in catalogue.evidence.rglob("*.json") if not file.name.startswith("."))


def _finding(catalogue: Catalogue, file: Path, paths: dict[str, LoadedRecipe], tree: Tree, today: date) -> Finding:
    shown = str(file.relative_to(catalogue.root))
    try:
        loaded, platform = _about(file.relative_to(catalogue.evidence), paths)
        found = status(catalogue, loaded, platform, today=today, tree=tree)
        if found.evidence is None:
            raise UsageError(f"the recipe says that '{platform}' is not verified")
        if in_future(found.evidence, today):
            raise UsageError(f"it is dated {found.date}, which has not come yet")
    except UsageError as error:
        sentence = error.message if error.message.startswith(shown) else f"{shown}: {error.message.rstrip('.')}."
        return Finding(shown, malformed=sentence)
    return Finding(shown, found)


def _about(file: Path, paths: dict[str, LoadedRecipe]) -> tuple[LoadedRecipe, str]:
    if len(file.parts) != 2:
        raise UsageError("evidence is kept as 'evidence/<path>/<platform>.json'")
    path_id, platform = file.parts[0], file.stem
    if path_id not in paths:
        raise UsageError(f"no path is called '{path_id}'{did_you_mean(path_id, paths)}")
    if platform not in (known := paths[path_id].recipe.platforms):
        raise UsageError(f"the path '{path_id}' has no platform '{platform}'{did_you_mean(platform, known)}")
    return paths[path_id], platform


def malformed_error(report: CheckReport) -> UsageError:
    """Return the error that tells all malformed evidence."""
    return UsageError("\n".join(finding.malformed or "" for finding in report.malformed), hint=REMEDY)
