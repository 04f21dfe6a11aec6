"""Which configuration files each way to deploy a path owns, as the last proof saw it."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from lading.evidence.model import Run
from lading.evidence.status import Status
from lading.site.markers import add, add_table
from lading.site.matrix import ROUTES
from lading.site.words import day


def add_ownership(parent: Element, found: Mapping[str, Status]) -> None:
    """Add a table of files and routes for each platform, by the platform's title, whose evidence tells them."""
    seen = {title: status.evidence.run for title, status in found.items() if status.evidence}
    told = {title: (run, files) for title, run in seen.items() if (files := owned(run))}
    for title, (run, files) in told.items():
        _add_table(parent, files)
        add(parent, "p", f"Files that each made or changed on {title}, {day(run.finished)}.", "table-note owns-note")
    if not told:
        add(parent, "p", "No evidence tells yet which files are whose.", "table-note owns-note")


def owned(run: Run) -> dict[str, list[str]]:
    """Return the files that each route changed, as the evidence lists them; strangers may have written it.

    Example:
        ```python
        from datetime import UTC, datetime

        from lading.evidence.model import Producer, Run
        from lading.site.owns import owned

        run = Run(
            protocol=2, grade=None, producer=Producer(kind="ci"), finished=datetime.now(UTC), seconds=1, routes={},
            resolved={"owns": {"playbook": ["/etc/kettle.conf"], "puppet": "everything"}},
        )
        print(owned(run))
        #> {'playbook': ['/etc/kettle.conf']}
        ```
    """
    said = run.resolved.get("owns")
    if not isinstance(said, dict):
        return {}
    return {str(route): [str(file) for file in files] for route, files in said.items() if isinstance(files, list)}


def _add_table(parent: Element, files: Mapping[str, list[str]]) -> None:
    body = add_table(parent, "owns", ("File", *(ROUTES.get(route, route) for route in files)))
    for file in sorted({file for changed in files.values() for file in changed}):
        line = add(body, "tr")
        add(add(line, "td"), "code", file)
        for changed in files.values():
            cell = add(line, "td")
            add(cell, "span", "✓" if file in changed else "–", "proof-sign", aria_hidden="true")
            add(cell, "span", "made or changed" if file in changed else "left alone", "proof-hidden")
