"""Which files a playbook is made of, found without running it.

What is found: roles (their whole folders, and the roles these depend on or include), imported playbooks, and from the
plays themselves the included tasks, variables, templates and copied files. What is not: what a look-up reads at run
time, and a site's own file that a variable names (`include_tasks: "{{ drain_tasks }}"`).
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lading.project import Catalogue
from lading.recipe.names import did_you_mean
from lading.recipe.problems import InputError, Loc, Problem, refuse
from lading.recipe.tasks import Reference, play_references, references
from lading.recipe.yamlfile import Document, read_yaml

_HOOK: Final = re.compile(r"^\{\{\s*\w+\s*\}\}$")
_FOLDERS: Final = {"tasks": "tasks", "vars": "vars", "template": "templates", "copy": "files"}


@dataclass
class Closure:
    """What a playbook needs, and the problems met on the way.

    `files` holds folders too, where a task names one; roles are taken as whole folders.
    """

    files: set[Path] = field(default_factory=set)
    roles: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def playbook_closure(catalogue: Catalogue, playbook: Path) -> Closure:
    """Return the closure of a playbook.

    Raises:
        UsageError: a name is not literal, so that the closure can't be known without running the playbook; a role is
            missing; a file does not parse.
    """
    walk = _Walk(catalogue)
    walk.playbook(playbook)
    if walk.closure.problems:
        refuse(walk.closure.problems)
    return walk.closure


class _Walk:
    def __init__(self, catalogue: Catalogue) -> None:
        self.root = catalogue.root
        self.playbooks = catalogue.playbooks
        self.closure = Closure()

    def playbook(self, file: Path) -> None:
        if (document := self._open(file)) is None:
            return
        plays = document.data if isinstance(document.data, list) else []
        if not plays:
            self.closure.problems.append(document.problem((), "a playbook is a list of plays; this is none."))
        for index, play in enumerate(plays):
            if isinstance(play, dict):
                for reference in play_references(play, (index,)):
                    self._follow(document, reference, file.parent)

    def _tasks(self, file: Path, role: Path | None) -> None:
        if (document := self._open(file)) is None:
            return
        for reference in references(document.data, ()):
            self._follow(document, reference, role or file.parent, in_role=role is not None)

    def _role(self, document: Document, loc: Loc, name: str) -> None:
        folder = self.playbooks / "roles" / name
        known = [found.name for found in (self.playbooks / "roles").glob("*/") if found.is_dir()]
        if name in self.closure.roles:
            return
        if name not in known:
            self._complain(document, loc, f"no role '{name}' is in 'playbooks/roles'{did_you_mean(name, known)}")
            return
        self.closure.roles[name] = folder
        for file in _yaml_files(folder, "tasks", "handlers"):
            self._tasks(file, folder)
        for meta in _yaml_files(folder, "meta"):
            if meta.stem == "main":
                self._dependencies(meta)

    def _dependencies(self, meta: Path) -> None:
        document = self._open(meta)
        data = document.data if document else None
        if document and isinstance(data, dict):
            for reference in play_references({"roles": data.get("dependencies")}, ()):
                loc: Loc = ("dependencies", *reference.loc[1:])
                self._follow(document, Reference(reference.what, reference.name, loc), meta.parent)

    def _follow(self, document: Document, reference: Reference, base: Path, *, in_role: bool = False) -> None:
        name, what = reference.name, reference.what
        if "{{" in name or "{%" in name:
            # Inside a role a file's name may be computed: the whole role is taken anyway. A bare variable is a hook,
            # and its file the site's own. A role's name must be known.
            if what == "role" or not (in_role or _HOOK.match(name)):
                words = "role name" if what == "role" else "file name"
                self._complain(document, reference.loc, f"the {words} '{name}' is not literal; write it out.")
            return
        if what == "role":
            self._role(document, reference.loc, name)
        elif found := self._find(name, what, base):
            self._take(document, reference, found, base if in_role else None)
        elif not in_role:
            self._complain(document, reference.loc, f"the file '{name}' does not exist.")

    def _take(self, document: Document, reference: Reference, found: Path, role: Path | None) -> None:
        if not found.resolve().is_relative_to(self.root.resolve()):
            self._complain(document, reference.loc, f"'{reference.name}' is outside the repository.")
        elif reference.what == "playbook":
            self.playbook(found)
        elif role and found.is_relative_to(role):
            return  # the role's folder is taken as a whole
        elif reference.what == "tasks":
            self._tasks(found, role)
        else:
            self.closure.files.add(found)

    def _find(self, name: str, what: str, base: Path) -> Path | None:
        """Look where Ansible looks: in the role or beside the playbook, in the folder for this kind and outside it."""
        kind = _FOLDERS.get(what, "")
        for folder in (base / kind, base, self.playbooks / kind, self.playbooks):
            # Lexically, as Ansible does, so that 'tasks/../x' works where 'tasks' is missing.
            candidate = Path(os.path.normpath(folder / name))
            if candidate.exists():
                return candidate
        return None

    def _open(self, file: Path) -> Document | None:
        if file in self.closure.files:
            return None
        self.closure.files.add(file)
        try:
            return read_yaml(file, str(file.relative_to(self.root)), ansible=True)
        except InputError as error:
            self.closure.problems += error.problems
            return None

    def _complain(self, document: Document, loc: Loc, sentence: str) -> None:
        self.closure.problems.append(document.problem(loc, sentence))


def _yaml_files(folder: Path, *below: str) -> Iterator[Path]:
    for name in below:
        for pattern in ("*.yml", "*.yaml"):
            yield from sorted((folder / name).rglob(pattern))
