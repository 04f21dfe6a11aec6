"""`lading doctor`: tell what this machine has and lacks."""

import click

from lading.cli.render import clean, examples, print_json
from lading.errors import ExitCode
from lading.lab.health import Finding, examine
from lading.lab.workspace import opened_workspace
from lading.narrator import quiet
from lading.process import ended_by_signals

MARKS = {"ok": "ok", "note": "note", "missing": "MISSING"}


@click.command(epilog=examples("lading doctor", "lading doctor --json"))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> ExitCode:
    """Tell whether proofs can be made here: programs, mirror, accelerator, disk. Ends with 3 if not."""
    with ended_by_signals(), opened_workspace(quiet()) as workspace:
        findings = list(examine(workspace))
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(clean(f"{MARKS[finding.state]:8} {finding.name:12} {finding.text}"))
        click.echo(_closing(findings))
    return ExitCode.LAB if any(finding.state == "missing" for finding in findings) else ExitCode.OK


def _closing(findings: list[Finding]) -> str:
    lacking = [finding.name for finding in findings if finding.state == "missing"]
    return f"\nProofs can't be made here: {', '.join(lacking)}." if lacking else "\nProofs can be made here."
