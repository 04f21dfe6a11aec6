"""The evidence strip as HTML: one row for each platform, told by words and signs, never by colour alone.

What it shows comes from evidence, which may be a stranger's: all of it goes through `lading.site.markers.plain`.
"""

from collections.abc import Iterator, Mapping
from typing import Final
from xml.etree.ElementTree import Element

from lading.evidence.model import Run, StageRun
from lading.evidence.status import Status
from lading.recipe.model import Recipe, Start
from lading.site.markers import add, add_table
from lading.site.matrix import OUTCOMES, ROUTES, add_matrix, add_starts
from lading.site.words import day, duration, sentence

STATES: Final = {
    "proven": ("✓", "Proven"),
    "stale": ("≠", "Stale"),
    "old": ("○", "Old"),
    "failed": ("✗", "Failed"),
    "not-verified": ("?", "Not verified"),
}
ACCELERATORS: Final = {"tcg": "tcg (software emulation: slow, so times are longer than yours)", "kvm": "kvm"}


def add_strip(parent: Element, recipe: Recipe, found: Mapping[str, Status], coverage: str) -> None:
    """Add the strip of a path: its status on each platform, by the platform's title, and what of its page is typed."""
    strip = add(parent, "div", css="proof", role="region", aria_label=f"Evidence: {recipe.title}")
    for platform, status in found.items():
        _add_row(strip, platform, status, recipe.starts)
    if coverage:
        add(strip, "p", coverage, "proof-coverage")


def add_badge(parent: Element, status: Status, platform: str = "") -> None:
    """Add a state as a sign and a word, with the platform's name behind it if one is given."""
    sign, word = STATES[status.verdict]
    badge = add(parent, "span", css=f"proof-badge proof-badge--{status.verdict}")
    add(badge, "span", sign, "proof-sign", aria_hidden="true")
    add(badge, "span", f"{platform}: {word.lower()}" if platform else word)


def _add_row(strip: Element, platform: str, status: Status, starts: Mapping[str, Start]) -> None:
    box = add(strip, "div", css=f"proof-row proof-row--{status.verdict}")
    head = add(box, "div", css="proof-head")
    add_badge(head, status)
    add(head, "strong", platform, "proof-platform")
    if status.evidence is None:
        add(box, "p", sentence(status), "proof-sentence")
        return
    run = status.evidence.run
    if installed := _in_one_line(status.evidence.subject[0].name, dict(_packages(run))):
        add(head, "span", installed, "proof-package")
    add(box, "p", sentence(status), "proof-sentence")
    add(box, "p", _in_short(run), "proof-short")
    if stand_ins := run.resolved.get("stand-ins"):
        add(box, "p", f"Not all of it is the real thing: {stand_ins}.", "proof-stand-ins")
    add_matrix(box, {str(name): route for name, route in run.routes.items()})
    add_starts(box, run.starts, starts)
    _add_details(box, run)


def _in_short(run: Run) -> str:
    accelerator = str(run.resolved.get("accelerator", "unknown"))
    return f"Grade: {run.grade or 'none'}. Took {duration(run.seconds)}, accelerator {accelerator}."


def _in_one_line(subject: str, packages: dict[str, str]) -> str:
    """Return the packages that the path is about and how many came with them.

    They are those whose name the path's id holds as a word. If there is none, it is the one of the shortest name that
    begins with a word of the id (`slurmd`) or is in one (`condor` of `htcondor`), else the first.
    """
    words = subject.partition("/")[0].split("-")
    named = [name for name in packages if name in words]
    if not named:
        long = [word for word in words if len(word) > 3]
        akin = [name for name in packages if any(name.startswith(word) or name in word for word in long)]
        named = [min(akin, key=len)] if akin else list(packages)[:1]
    shown = ", ".join(f"{name} {packages[name]}" for name in named)
    rest = len(packages) - len(named)
    return f"{shown} and {rest} more package{'s' if rest > 1 else ''}" if rest else shown


def _packages(run: Run) -> Iterator[tuple[str, str]]:
    packages = run.resolved.get("packages")
    if isinstance(packages, dict):
        yield from ((str(name), str(version)) for name, version in packages.items())


def _add_details(box: Element, run: Run) -> None:
    details = add(box, "details", css="proof-details")
    add(details, "summary", "What ran, and on what")
    for kind, route in run.routes.items():
        if any(stage.outcome != "not-run" for stage in route.stages):
            _add_stages(details, ROUTES.get(kind, kind), route.stages)
    facts = add(details, "dl", css="proof-facts")
    for name, value in _facts(run):
        add(facts, "dt", name)
        add(facts, "dd", value)


def _add_stages(details: Element, route: str, stages: list[StageRun]) -> None:
    body = add_table(details, "proof-table", (route, "Outcome", "What it saw"))
    for stage in stages:
        line = add(body, "tr")
        add(line, "th", stage.name, scope="row")
        timed = stage.outcome != "not-run" and stage.seconds is not None
        add(line, "td", OUTCOMES[stage.outcome][1] + (f" in {duration(stage.seconds or 0)}" if timed else ""))
        add(line, "td", stage.detail)


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    yield "grade", run.grade or "none: a stage failed, or too few were run"
    yield "finished", f"{day(run.finished)}, {run.finished:%H:%M %Z}"
    yield "whole proof", duration(run.seconds)
    for name, value in run.resolved.items():
        if name in ("owns", "stand-ins"):
            continue  # '/// owns' shows the one, a line above the other
        if name == "packages":
            yield "packages installed", ", ".join(f"{package} {version}" for package, version in _packages(run))
        else:
            yield name, ACCELERATORS.get(str(value), str(value)) if name == "accelerator" else str(value)
