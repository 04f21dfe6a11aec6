"""What a playbook may not do: run anything on the machine of whoever runs it.

Recipes are code, and this finds slips, not malice: a name that is put together at run time gets past it. SECURITY.md
says what remains.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from lading.project import Catalogue, find_catalogue
from lading.recipe.problems import InputError, Problem
from lading.recipe.yamlfile import Document, read_text, read_yaml

_HERE: Final = re.compile(r"\blocalhost\b|\b127\.\d+\.\d+\.\d+\b|(?<![\w:])::1\b")
_PIPE: Final = re.compile(r"\b(?:lookup|query|q)\s*\(\s*['\"](?:ansible\.builtin\.)?pipe['\"]")
_WHERE_IT_RUNS: Final = ("delegate_to", "hosts")
_HOW_IT_CONNECTS: Final = ("connection", "ansible_connection")
_INSTEAD: Final = "here that is the machine of whoever runs the playbook. Work on a managed host, or in the engine."
_YAML: Final = (".yml", ".yaml")


def trust_problems(catalogue: Catalogue) -> list[Problem]:
    """Return what playbooks, roles and recipes would run on the author's machine, with file and line.

    Refused are `delegate_to: localhost`, plays on localhost, local connections, `local_action` and pipe look-ups,
    these in templates too. A file that is not readable as YAML is a problem as well.
    """
    found: list[Problem] = []
    for file in _files(catalogue):
        shown = file.relative_to(catalogue.root).as_posix()
        try:
            found += _in_yaml(file, shown) if file.suffix in _YAML else _in_template(file, shown)
        except InputError as error:
            found += error.problems
    return sorted(set(found))


def _files(catalogue: Catalogue) -> Iterator[Path]:
    for folder in (catalogue.playbooks, catalogue.recipes):
        for file in sorted(folder.rglob("*")):
            if file.is_file() and (file.suffix in _YAML or "templates" in file.parts or file.suffix == ".j2"):
                yield file


def _in_template(file: Path, shown: str) -> Iterator[Problem]:
    text = read_text(file, shown)
    for match in _PIPE.finditer(text):
        yield _pipe(shown, text[: match.start()].count("\n") + 1)


def _in_yaml(file: Path, shown: str) -> Iterator[Problem]:
    document = read_yaml(file, shown, ansible=True)
    lines = read_text(file, shown).splitlines()
    for node in _nodes(document):
        if isinstance(node, yaml.ScalarNode) and _PIPE.search(node.value):
            yield _pipe(shown, _line_of_pipe(node, lines))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if sentence := _refused(key, value):
                    yield Problem(shown, key.start_mark.line + 1, key.value, sentence)


def _nodes(document: Document) -> Iterator[yaml.Node]:
    """Yield every node once; an alias leads to one that was met already."""
    queue = [document.node]
    visited: set[int] = set()
    while queue:
        node = queue.pop()
        if node is None or id(node) in visited:
            continue
        visited.add(id(node))
        yield node
        if isinstance(node, yaml.SequenceNode):
            queue += node.value
        elif isinstance(node, yaml.MappingNode):
            queue += [each for pair in node.value for each in pair]


def _refused(key: yaml.Node, value: yaml.Node) -> str | None:
    name = key.value if isinstance(key, yaml.ScalarNode) else ""
    says = value.value if isinstance(value, yaml.ScalarNode) else ""
    if name == "local_action":
        return f"a local action runs where the playbook is started; {_INSTEAD}"
    if name in ("with_pipe", "with_ansible.builtin.pipe"):
        return f"a pipe look-up runs a command; {_INSTEAD}"
    if name in _WHERE_IT_RUNS and _HERE.search(says):
        return f"'{says}' is not a managed host; {_INSTEAD}"
    if name in _HOW_IT_CONNECTS and says.removeprefix("ansible.builtin.") == "local":
        return f"a local connection leads nowhere else; {_INSTEAD}"
    return None


def _pipe(shown: str, line: int) -> Problem:
    return Problem(shown, line, "", f"a pipe look-up runs a command; {_INSTEAD}")


def _line_of_pipe(node: yaml.ScalarNode, lines: list[str]) -> int:
    """Return the line inside a text of several lines; its first one where the look-up itself is broken over two."""
    first = int(node.start_mark.line)
    for offset, line in enumerate(lines[first : node.end_mark.line + 1]):
        if _PIPE.search(line):
            return first + offset + 1
    return first + 1


def main() -> int:
    """Print what is refused, for `make check`."""
    problems = trust_problems(find_catalogue())
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
