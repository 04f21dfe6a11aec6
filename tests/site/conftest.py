"""A small catalogue with one path, whose evidence each test writes as it needs it."""

import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

import pytest
from markdown import Markdown

from lading.evidence.model import (
    STAGES_OF,
    START_STAGES,
    Outcome,
    Producer,
    Route,
    RouteRun,
    StageRun,
    new_statement,
)
from lading.evidence.store import write_evidence
from lading.evidence.subject import subject_of
from lading.project import Catalogue
from lading.recipe.load import load_recipe
from lading.recipe.model import Stage
from tests.site.builders import BUILDERS, build_well, copy_repository
from tests.site.glossary import GLOSSARY, VOCABULARY

TODAY = date(2026, 11, 22)
YESTERDAY = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)

FILES = {
    "data/platforms.yml": """\
debian13: {title: Debian 13 (trixie), family: debian, image: mmdebstrap, suite: trixie, cpu_level: x86-64}
almalinux9: {title: AlmaLinux 9, family: el, cpu_level: x86-64-v2}
""",
    "data/requirements.yml": "- {id: A1, section: Apptainer, asked_for: Run without setuid, seeds: [1]}\n",
    "recipes/kettle/recipe.yml": """\
title: A kettle on a worker node
summary: Tea for local users.
kind: compute
advice: recommended
advice_because: Users <drink> tea.
audience: [site-admin]
answers: [A1]
hosts: {worker1: {groups: [workers]}}
platforms:
  debian13: {}
  almalinux9: {not_verified: No kettle fits there.}
undo: {kettle_state: absent}
starts:
  old-kettle:
    help: A node with an <old> kettle of its own.
    setup: touch /etc/kettle.conf
    variables: {kettle_keep: true}
    stays: [test -e /etc/kettle.conf]
  tea-cosy:
    help: A node that wears a tea cosy.
    setup: touch /etc/cosy
    refused: Take the cosy off first.
""",
    "recipes/kettle/test_worker.py": '''\
import pytest


def test_water_boils():
    """Water boils within a minute,
    at sea level.

    Higher up it takes less.
    """


@pytest.mark.mutates
def test_cup_fills():
    """A cup fills."""


class TestTea:
    def test_is_hot(self):
        pass
''',
    "playbooks/kettle.yml": "- name: Put the kettle on\n  hosts: workers\n  tasks: []\n",
    "docs/index.md": "# Start\n\n/// paths\n",
    "docs/paths/compute/kettle.md": """\
# Kettle

/// proof | kettle

## Install

```{ .console }
# put-on kettle
```

```{ .bash not-run="tea is a matter of taste" }
drink
```

## Validate

``` { .console platform=almalinux9 }
$ sip
```

/// checks | kettle
""",
}


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return Catalogue(tmp_path)


@pytest.fixture
def render(catalogue: Catalogue) -> Callable[[str], str]:
    """Return what turns Markdown into HTML with all of the site's extensions."""
    options = {"root": str(catalogue.root), "today": TODAY.isoformat()}
    names = ["lading.site.proof", "lading.site.tables", "lading.site.blocks"]

    def convert(text: str) -> str:
        extensions = ["admonition", "attr_list", "pymdownx.superfences", "pymdownx.tabbed", *names]
        configured: dict[str, dict[str, object]] = {name: dict(options) for name in names}
        configured["pymdownx.tabbed"] = {"alternate_style": True}
        md = Markdown(extensions=extensions, extension_configs=configured)
        return md.convert(text)

    return convert


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return this repository's site as both builders make it."""
    built = {}
    for builder in BUILDERS:
        folder = tmp_path_factory.mktemp(builder)
        copy_repository(folder)
        built[builder] = build_well(builder, folder)
    return built


@pytest.fixture
def worded(catalogue: Catalogue) -> Catalogue:
    """Return the catalogue with a glossary and the pages that show it."""
    for name, text in {"glossary.yml": GLOSSARY, **VOCABULARY}.items():
        file = catalogue.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return catalogue


class Proof(Protocol):
    """Leaves the evidence that a run of the path would give today: of all stages, or up to one that failed."""

    def __call__(
        self,
        *,
        failed: Stage | None = None,
        detail: str = "23 checks failed, as they should",
        producer: Producer | None = None,
        finished: datetime = YESTERDAY,
        stand_ins: str = "",
    ) -> None: ...


@pytest.fixture
def prove(catalogue: Catalogue) -> Proof:
    def write(
        *,
        failed: Stage | None = None,
        detail: str = "23 checks failed, as they should",
        producer: Producer | None = None,
        finished: datetime = YESTERDAY,
        stand_ins: str = "",
    ) -> None:
        others = not failed
        statement = new_statement(
            subject_of(catalogue, load_recipe(catalogue, "kettle"), "debian13"),
            {
                "playbook": RouteRun(stages=stages("playbook", failed, detail)),
                "by-hand": RouteRun(stages=stages("by-hand") if others else never(STAGES_OF["by-hand"])),
                "puppet": RouteRun(stages=stages("puppet") if others else never(STAGES_OF["puppet"])),
            },
            starts={"old-kettle": start(START_STAGES), "tea-cosy": start(["apply"])} if others else {},
            producer=producer or Producer(kind="workstation"),
            finished=finished,
            seconds=301.2,
            resolved={
                "accelerator": "tcg",
                "kernel": "6.12.1",
                "packages": {"kettle": "1.4.5-2"},
                "owns": {"playbook": ["/etc/kettle.conf", "/etc/<cup>"], "puppet": ["/etc/kettle.conf"]},
                **({"stand-ins": stand_ins} if stand_ins else {}),
            },
        )
        write_evidence(catalogue, "kettle", "debian13", statement)

    return write


def stages(
    route: Route, failed: Stage | None = None, detail: str = "23 checks failed, as they should"
) -> list[StageRun]:
    """Return a route's stages; those after the one that failed were not run."""
    names = STAGES_OF[route]
    ran = names[: names.index(failed) + 1] if failed else names
    runs = []
    for place, name in enumerate(ran, start=1):
        said = detail if name in (failed, "red") else ""
        outcome: Outcome = "failed" if name == failed else "passed"
        runs.append(StageRun(name=name, outcome=outcome, seconds=12.4 * place, finished=YESTERDAY, detail=said))
    return runs + never(names[len(ran) :])


def start(names: Sequence[Stage]) -> RouteRun:
    """Return the stages of a host that was not clean, all passed."""
    return RouteRun(
        stages=[
            StageRun(name=name, outcome="passed", seconds=9, finished=YESTERDAY, detail="as told") for name in names
        ]
    )


def never(names: Sequence[Stage]) -> list[StageRun]:
    """Return stages that were not run."""
    return [StageRun(name=name, outcome="not-run", detail="an earlier stage failed") for name in names]
