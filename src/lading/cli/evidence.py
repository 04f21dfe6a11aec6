"""`lading evidence`: whether the committed evidence is whole and fresh, and what it says."""

from collections.abc import Iterator
from typing import Any, Final

import click

from lading.cli.list import statuses
from lading.cli.main import Settings
from lading.cli.render import clean, console, examples, print_json, print_table, seconds_text, status_data, today
from lading.errors import UsageError
from lading.evidence.check import CheckReport, Finding, check_evidence, malformed_error
from lading.evidence.model import Statement
from lading.evidence.status import Status
from lading.evidence.tree import Tree
from lading.recipe.load import LoadedRecipe, load_recipe
from lading.recipe.names import did_you_mean

PLACES: Final = {"workstation": "on a workstation", "ci": "in CI", "outside": "elsewhere"}


@click.group(epilog=examples("lading evidence check", "lading evidence show apptainer-unprivileged debian13"))
def evidence() -> None:
    """Look through the committed evidence."""


@evidence.command(epilog=examples("lading evidence check", "lading evidence check --strict"))
@click.option("--strict", is_flag=True, help="Count stale and old evidence as a failure, as a release does.")
@click.option("--json", "as_json", is_flag=True, help="Print an object instead of text.")
@click.pass_context
def check(ctx: click.Context, strict: bool, as_json: bool) -> None:
    """Check that all evidence is whole, and list what is stale, old or failed.

    Exit code 2: a file is malformed, was edited, or is about nothing that exists. 1: evidence of a failure, and with
    --strict of anything stale or old. 0: all else; stale and old evidence is listed.
    """
    settings: Settings = ctx.obj
    report = check_evidence(settings.catalogue, today=today())
    if as_json:
        print_json([_finding_data(finding) for finding in report.findings])
    else:
        _tell(report)
    if report.malformed:
        raise malformed_error(report)
    ctx.exit(report.exit_code(strict=strict))


def _finding_data(finding: Finding) -> dict[str, Any]:
    known = status_data(finding.status) if finding.status else {"verdict": None}
    return {"file": finding.file, **known, "malformed": finding.malformed}


def _tell(report: CheckReport) -> None:
    for finding in report.having("failed", "stale", "old"):
        assert finding.status is not None
        click.echo(clean(f"{finding.file}: {finding.status.verdict}: {finding.status.reason}"))
    counts = {name: len(report.having(name)) for name in ("proven", "stale", "old", "failed")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    malformed = f", {len(report.malformed)} malformed" if report.malformed else ""
    files = "evidence file" if len(report.findings) == 1 else "evidence files"
    click.echo(f"{len(report.findings)} {files}: {told or 'none to judge'}{malformed}.")


@evidence.command(
    epilog=examples(
        "lading evidence show apptainer-unprivileged", "lading evidence show apptainer-unprivileged debian13 --json"
    )
)
@click.argument("path")
@click.argument("platform", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the statements themselves, by platform.")
@click.pass_obj
def show(settings: Settings, path: str, platform: str | None, as_json: bool) -> None:
    """Show what was proven of a path: each stage with its outcome, its time and its date."""
    catalogue = settings.catalogue
    loaded = load_recipe(catalogue, path)
    known = _wanted(loaded, statuses(catalogue, loaded, Tree(catalogue.root)), platform)
    if as_json:
        print_json({name: found.evidence.to_data() if found.evidence else None for name, found in known.items()})
        return
    for index, (name, found) in enumerate(known.items()):
        if index:
            click.echo()
        _show(f"{path} on {name}", found)


def _wanted(loaded: LoadedRecipe, known: dict[str, Status], platform: str | None) -> dict[str, Status]:
    if platform is None:
        return known
    if platform not in known:
        raise UsageError(f"The path '{loaded.id}' has no platform '{platform}'{did_you_mean(platform, known)}")
    return {platform: known[platform]}


def _show(title: str, found: Status) -> None:
    click.echo(clean(f"{title}: {found.verdict}" + (f": {found.reason}" if found.reason else "")))
    if (statement := found.evidence) is None:
        return
    run, out = statement.run, console()
    by = f" by {run.producer.submitter} ({run.producer.url})" if run.producer.submitter else ""
    click.echo(clean(f"  grade {run.grade or 'none'}, {seconds_text(run.seconds)}, {PLACES[run.producer.kind]}{by}"))
    click.echo(f"  subject sha256:{statement.subject[0].digest.sha256}")
    for name, value in run.resolved.items():
        click.echo(clean(f"  {name}: {_value(value)}"))
    click.echo()
    print_table(out, ("STAGE", "OUTCOME", "TOOK", "FINISHED", "DETAIL"), _stages(statement))


def _value(value: Any) -> str:
    return ", ".join(f"{name} {version}" for name, version in value.items()) if isinstance(value, dict) else str(value)


def _stages(statement: Statement) -> Iterator[tuple[str, ...]]:
    for route, ran in statement.run.every.items():
        for stage in ran.stages:
            finished = stage.finished.strftime("%Y-%m-%d %H:%M:%SZ") if stage.finished else "-"
            yield f"{route}/{stage.name}", stage.outcome, seconds_text(stage.seconds), finished, stage.detail
