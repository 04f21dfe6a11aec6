"""`lading verify`: prove paths in throwaway virtual machines."""

import time
from collections.abc import Sequence
from typing import Any, get_args

import click

from lading.cli.main import Settings
from lading.cli.render import clean, examples, print_json, seconds_text, today
from lading.errors import ExitCode, LabError, UsageError
from lading.evidence.model import Grade, Statement
from lading.evidence.store import evidence_file
from lading.lab.deadline import Deadline
from lading.lab.lab import Asked
from lading.narrator import Narrator
from lading.process import ended_by_signals
from lading.project import Catalogue
from lading.proof.campaign import Manner, Result, exit_code, run_jobs
from lading.proof.plan import Skipped, ci_jobs, named_jobs
from lading.recipe.durations import parse_duration
from lading.site.build import build_site

EPILOG = examples(
    "lading verify                                        every path on every platform that can be had",
    "lading verify apptainer-unprivileged --grade quick   apply and check, while you write",
    "lading verify apptainer-unprivileged --keep          leave the guest up and say how to reach it",
    "lading verify --ci --deadline 40m                    what a merge changed, then a rotating sample",
)


class Duration(click.ParamType[float]):
    """A length of time such as '40m'."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--platform", help="Prove on this platform only.")
@click.option(
    "--grade", type=click.Choice(get_args(Grade)), default="full", show_default=True,
    help="quick: apply and green. full: every stage.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Prove again what this machine has proven already.")
@click.option("--keep", is_flag=True, help="Leave the guests up and print the ssh line; 'lading gc' ends them.")
@click.option(
    "--accel", type=click.Choice(get_args(Asked)), default="auto", show_default=True,
    help="How guests run; auto tries a guest under KVM first.",
)  # fmt: skip
@click.option("--ci", is_flag=True, help="Prove what the push changed and a sample; compare with committed evidence.")
@click.option("--base", help="With --ci: the commit before the push; HEAD's parent if not given.")
@click.option("--deadline", type=Duration(), help="Start no proof whose last one took longer than what is left.")
@click.option("--site", is_flag=True, help="Build the site afterwards and name the page to open.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_obj
def verify(  # noqa: PLR0913, PLR0917 (click hands each option over as an argument)
    settings: Settings,
    paths: tuple[str, ...],
    platform: str | None,
    grade: Grade,
    force: bool,
    keep: bool,
    accel: Asked,
    ci: bool,
    base: str | None,
    deadline: float | None,
    site: bool,
    as_json: bool,
) -> ExitCode:
    """Prove PATHs (all, if none is named) in throwaway virtual machines, and write the evidence.

    A proof that this machine has made of exactly the same inputs is not repeated; committed evidence does not count.
    Paths that others build on come first.
    """
    if ci and (paths or platform or force or keep):
        raise UsageError("--ci chooses the proofs itself.", hint="Leave out PATH, --platform, --force and --keep.")
    limit = Deadline.after(deadline) if deadline is not None else None
    catalogue, narrator = settings.catalogue, Narrator()
    jobs, skipped = ci_jobs(catalogue, base, today()) if ci else named_jobs(catalogue, paths, platform, grade, today())
    started = time.monotonic()
    with ended_by_signals():
        results = list(run_jobs(catalogue, jobs, Manner(accel, force, keep, ci, limit), narrator, today()))
        if as_json:
            print_json([_data(result) for result in results])
        else:
            _tell(catalogue, results, skipped, time.monotonic() - started)
        code = exit_code(results)
        if site:
            _build(catalogue, results, narrator, code)
    return code


def _build(catalogue: Catalogue, results: Sequence[Result], narrator: Narrator, code: ExitCode) -> None:
    """Build the site and name the page to open. What came of the proofs has been told, and outranks a broken page."""
    try:
        built = build_site(catalogue, narrator)
    except LabError as error:
        if code == ExitCode.OK:
            raise
        click.echo(clean(f"The site could not be built either: {error.message}"), err=True)
        return
    pages = [built / result.job.loaded.page.relative_to(catalogue.docs).with_suffix("") for result in results]
    click.echo(f"\nOpen {(pages[0] if pages else built) / 'index.html'}", err=True)


def _data(result: Result) -> dict[str, Any]:
    return {
        "path": result.job.loaded.id,
        "platform": result.job.platform,
        "outcome": result.kind,
        "message": result.message,
        "log": str(result.proof.folder) if result.proof else None,
        "statement": result.statement.to_data() if result.statement else None,
    }


def _tell(catalogue: Catalogue, results: Sequence[Result], skipped: Sequence[Skipped], seconds: float) -> None:
    for result in results:
        click.echo(f"\n{result.job.loaded.recipe.title}, on {result.job.platform}")
        if result.statement:
            _tell_stages(result.statement)
        for line in _verdict(catalogue, result).splitlines():
            click.echo(clean(f"  {line}"))
        for line in (result.hint or "").splitlines() if result.kind != "known" else ():
            click.echo(clean(f"    {line}"))
        if result.proof and result.proof.ssh:
            click.echo(f"  The guest is up: {result.proof.ssh}\n  'lading gc' ends it.")
        elif result.proof and not result.proof.passed:
            click.echo(f"  Logs: {result.proof.folder}")
    for one in skipped:
        click.echo(clean(f"\nNot verified: {one.name}. {one.reason}"))
    click.echo(f"\n{_closing(results)} in {seconds_text(seconds)}.")


def _tell_stages(statement: Statement) -> None:
    width = max(map(len, statement.run.every))
    for name, route in statement.run.every.items():
        ran = [stage for stage in route.stages if stage.outcome != "not-run"]
        for stage in ran:
            took = seconds_text(stage.seconds)
            click.echo(clean(f"  {name:{width}} {stage.name:9} {stage.outcome:7} {took:>12}  {stage.detail}"))
        left = [stage for stage in route.stages if stage.outcome == "not-run"]
        if left:
            names = ", ".join(stage.name for stage in left) if ran else "no stage ran"
            click.echo(clean(f"  {name:{width}} not run: {names} ({left[0].detail})"))


def _verdict(catalogue: Catalogue, result: Result) -> str:
    file = evidence_file(catalogue, result.job.loaded.id, result.job.platform).relative_to(catalogue.root)
    match result.kind:
        case "proven":
            return f"Proven. {result.message or f'The evidence is in {file}.'}"
        case "known":
            assert result.statement is not None
            when = f"{result.statement.run.finished:%Y-%m-%d %H:%M} UTC"
            return f"Proven on {when} by this machine; not repeated. --force does."
        case "failed":
            return f"FAILED: {result.message}"
        case "not-reproduced":
            return f"NOT REPRODUCED: {result.message}"
        case "not-reached":
            return f"Not reached: {result.message}."
        case "bad-input":
            return f"Not proven, the input is wrong: {result.message}"
        case "lab-error":
            return f"No verdict, the laboratory broke: {result.message}"


def _closing(results: Sequence[Result]) -> str:
    counts: dict[str, int] = {}
    for result in results:
        counts[result.kind] = counts.get(result.kind, 0) + 1
    words = {"known": "known already", "lab-error": "without a verdict", "bad-input": "with wrong input",
             "not-reached": "not reached", "not-reproduced": "not reproduced"}  # fmt: skip
    return ", ".join(f"{count} {words.get(kind, kind)}" for kind, count in counts.items()) or "Nothing to prove"
