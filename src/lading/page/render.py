"""Files that pages include, made from the templates of roles: what a page shows is what a role installs.

Ansible itself renders them, with its own settings, filters and strictness, in one play on this machine.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from lading import process
from lading.page.runblocks import rendered_folder
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe
from lading.recipe.problems import Problem, refuse
from lading.recipe.yamlfile import read_yaml

LIMIT: Final = 180
"""Seconds for all templates; one takes a tenth of a second, the start of Ansible some."""

REPORT: Final = "report.json"


@dataclass(frozen=True)
class RenderedFile:
    """A file below `recipes/<path>/rendered/`: what it should hold, None if nothing renders it, and what it holds."""

    file: Path
    shown: str
    wanted: str | None
    found: str | None

    @property
    def stale(self) -> bool:
        """Whether the file is not what the template and its variables come to."""
        return self.wanted is None or self.wanted != self.found

    def __str__(self) -> str:
        if self.wanted is None:
            return f"{self.shown}: nothing in recipe.yml renders this file."
        if self.found is None:
            return f"{self.shown}: this file is missing, or is only a link."
        return f"{self.shown}: this is not what the template comes to." if self.stale else f"{self.shown}: as rendered."


def rendered_files(catalogue: Catalogue, paths: Sequence[LoadedRecipe]) -> list[RenderedFile]:
    """Return the rendered files of paths, with what each should hold; nothing is written.

    Raises:
        InputError: templates are missing or cannot be rendered; the message tells every problem.
        LabError: Ansible does not run.
    """
    wanted = _render(catalogue, paths)
    present = {file for loaded in paths for file in _present(catalogue, loaded)}
    return [
        RenderedFile(file, file.relative_to(catalogue.root).as_posix(), wanted.get(file), _content(file))
        for file in sorted(present | wanted.keys())
    ]


def mend(files: Sequence[RenderedFile]) -> None:
    """Write what is stale, and remove what nothing renders."""
    for rendered in files:
        if rendered.stale:
            rendered.file.unlink(missing_ok=True)  # through a link it would be another file that is written
        if rendered.stale and rendered.wanted is not None:
            rendered.file.parent.mkdir(parents=True, exist_ok=True)
            rendered.file.write_text(rendered.wanted, newline="")


def _present(catalogue: Catalogue, loaded: LoadedRecipe) -> Iterator[Path]:
    folder = catalogue.root / rendered_folder(loaded.id)
    yield from (file for file in folder.rglob("*") if file.is_file() or file.is_symlink())


def _content(file: Path) -> str | None:
    return file.read_bytes().decode(errors="replace") if file.is_file() and not file.is_symlink() else None


def _render(catalogue: Catalogue, paths: Sequence[LoadedRecipe]) -> dict[Path, str]:
    """Return the content of every file that recipes name, by its place."""
    jobs = [_Job(catalogue, loaded, name) for loaded in paths for name in loaded.recipe.rendered]
    if missing := [job.problem(job.missing) for job in jobs if job.missing]:
        refuse(missing)
    if not jobs:
        return {}
    with TemporaryDirectory(prefix="lading-render-") as name:
        folder = Path(name)
        _play(folder, [job.task(folder / f"{index}.out", f"rendered_{index}") for index, job in enumerate(jobs)])
        said = json.loads((folder / REPORT).read_text())
        if failed := [
            job.problem(f"Ansible can't render it: {why}") for job, why in zip(jobs, said, strict=True) if why
        ]:
            refuse(
                failed, hint="The template's variables are those of the recipe in the lab, and 'variables' beside it."
            )
        return {job.file: (folder / f"{index}.out").read_bytes().decode() for index, job in enumerate(jobs)}


@dataclass(frozen=True)
class _Job:
    """One file to render."""

    catalogue: Catalogue
    loaded: LoadedRecipe
    name: str

    @property
    def file(self) -> Path:
        return self.catalogue.root / rendered_folder(self.loaded.id) / self.name

    @property
    def template(self) -> Path:
        return self.catalogue.playbooks / self.loaded.recipe.rendered[self.name].template

    @property
    def missing(self) -> str:
        """Why there is nothing to render, if so."""
        if not self.template.is_file():
            return f"the template '{self.template.relative_to(self.catalogue.root)}' does not exist; correct its name."
        if not self.template.resolve().is_relative_to(self.catalogue.playbooks.resolve()):
            return "the template leads out of 'playbooks/'; put the file itself there."
        return ""

    def problem(self, sentence: str) -> Problem:
        file = self.loaded.file
        document = read_yaml(file, file.relative_to(self.catalogue.root).as_posix())
        return document.problem(("rendered", self.name), sentence)

    def task(self, out: Path, register: str) -> dict[str, Any]:
        recipe = self.loaded.recipe
        in_lab = {name: variable.in_lab for name, variable in recipe.variables.items()}
        return {
            "name": f"Render {self.name}",
            "ansible.builtin.template": {"src": str(self.template), "dest": str(out), "mode": "0600"},
            "vars": {**in_lab, **recipe.rendered[self.name].variables},
            "register": register,
            "ignore_errors": True,
        }


def _play(folder: Path, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Run tasks on this machine; a list of what was wrong with each, or nothing, is in the report."""
    registered = ", ".join(str(task["register"]) for task in tasks)
    content = f"{{{{ [{registered}] | map(attribute='msg', default='') | list | to_json }}}}"
    report = {
        "name": "Report",
        "ansible.builtin.copy": {"dest": str(folder / REPORT), "content": content, "mode": "0600"},
    }
    play = {"name": "Render", "hosts": "localhost", "gather_facts": False, "tasks": [*tasks, report]}
    playbook, configuration = folder / "render.yml", folder / "ansible.cfg"
    playbook.write_text(json.dumps([play]))
    configuration.write_text("[defaults]\nlocalhost_warning = False\n")
    home = folder / "home"
    places = {"ANSIBLE_CONFIG": str(configuration), "ANSIBLE_HOME": str(home / ".ansible")}
    argv = [Path(sys.executable).with_name("ansible-playbook"), playbook]
    process.run(argv, env={**process.scrubbed_environment(home), **places}, cwd=folder, timeout=LIMIT)
