"""A small catalogue with one path, whose evidence each test writes as it needs it."""

import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

import pytest
from markdown import Markdown

from lading.evidence.model import Outcome, Producer, RouteRun, StageRun, new_statement
from lading.evidence.store import write_evidence
from lading.evidence.subject import subject_of
from lading.project import Catalogue
from lading.recipe.load import load_recipe
from lading.recipe.model import STAGES, Stage

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
    "docs/paths/compute/kettle.md": "# Kettle\n\n/// proof | kettle\n\n/// checks | kettle\n",
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
    names = ["lading.site.proof", "lading.site.tables", "lading.site.notrun"]

    def convert(text: str) -> str:
        extensions = ["attr_list", "pymdownx.superfences", *names]
        md = Markdown(extensions=extensions, extension_configs=dict.fromkeys(names[:2], options))
        return md.convert(text)

    return convert


class Proof(Protocol):
    """Leaves the evidence that a run of the path would give today."""

    def __call__(
        self,
        *,
        failed: Stage | None = None,
        detail: str = "23 checks failed, as they should",
        producer: Producer | None = None,
        finished: datetime = YESTERDAY,
    ) -> None: ...


@pytest.fixture
def prove(catalogue: Catalogue) -> Proof:
    def write(
        *,
        failed: Stage | None = None,
        detail: str = "23 checks failed, as they should",
        producer: Producer | None = None,
        finished: datetime = YESTERDAY,
    ) -> None:
        statement = new_statement(
            subject_of(catalogue, load_recipe(catalogue, "kettle"), "debian13"),
            {"playbook": RouteRun(stages=playbook_stages(failed, detail)), "by-hand": RouteRun(stages=never(STAGES))},
            producer=producer or Producer(kind="workstation"),
            finished=finished,
            seconds=301.2,
            resolved={"accelerator": "tcg", "kernel": "6.12.1", "packages": {"kettle": "1.4.5-2"}},
        )
        write_evidence(catalogue, "kettle", "debian13", statement)

    return write


def playbook_stages(failed: Stage | None, detail: str) -> list[StageRun]:
    """Return stages up to the one that failed, or up to the reboot."""
    ran = STAGES[: STAGES.index(failed) + 1] if failed else STAGES[:6]
    stages = []
    for place, name in enumerate(ran, start=1):
        said = detail if name in (failed, "red") else ""
        outcome: Outcome = "failed" if name == failed else "passed"
        stages.append(StageRun(name=name, outcome=outcome, seconds=12.4 * place, finished=YESTERDAY, detail=said))
    return stages + never(STAGES[len(ran) :])


def never(names: Sequence[Stage]) -> list[StageRun]:
    """Return stages that were not run."""
    return [StageRun(name=name, outcome="not-run", detail="comes with the next protocol") for name in names]
