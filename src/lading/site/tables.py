"""The extension that shows lists which nobody copies by hand.

`/// checks | PATH` lists a path's checks from its test files, which are read, never imported: building a site runs no
recipe's code. `/// variables | PATH` lists what a site may set, and `/// starts | PATH` hosts that are not clean, both
from the recipe.
"""

import ast
import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from markdown import Markdown

from lading.recipe.load import load_recipe
from lading.recipe.model import Start
from lading.recipe.yamlfile import read_text
from lading.site.catalogue import CatalogueExtension
from lading.site.markers import ABOVE_PARAGRAPHS, MarkerProcessor, add, add_table, needs_argument


@dataclass(frozen=True)
class Check:
    """One check: its name as recipes write it, what it says must be true, and whether it changes the host."""

    name: str
    says: str
    mutates: bool


def read_checks(file: Path) -> list[Check]:
    """Return the checks of a test file in its order; one without a docstring says its name in words.

    Raises:
        UsageError: the file cannot be read.
    """
    return list(_checks(ast.parse(read_text(file, file.name)).body, file.name))


def _checks(body: list[ast.stmt], prefix: str) -> Iterator[Check]:
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield Check(f"{prefix}::{node.name}", _says(node), _mutates(node))
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _checks(node.body, f"{prefix}::{node.name}")


def _says(node: ast.FunctionDef) -> str:
    """Return the first paragraph of the docstring on one line."""
    text = inspect.cleandoc(ast.get_docstring(node) or "").partition("\n\n")[0]
    return " ".join(text.split()) or node.name.removeprefix("test_").replace("_", " ")


def _mutates(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator).rpartition(".")[2] == "mutates" for decorator in node.decorator_list)


class TablesExtension(CatalogueExtension):
    """Registers the markers."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name that Python-Markdown looks for
        """Add them to a parser."""
        fills = {"checks": self._add_checks, "variables": self._add_variables, "starts": self._add_starts}
        for name, fill in fills.items():
            md.parser.blockprocessors.register(MarkerProcessor(md, name, fill), f"lading-{name}", ABOVE_PARAGRAPHS)

    def _add_checks(self, parent: Element, argument: str) -> None:
        loaded = load_recipe(self.catalogue(), needs_argument(argument))
        checks = add(parent, "ul", css="checks")
        for file in loaded.check_files:
            for check in read_checks(file):
                _add_check(checks, check)

    def _add_variables(self, parent: Element, argument: str) -> None:
        loaded = load_recipe(self.catalogue(), needs_argument(argument))
        body = add_table(parent, "variables", ("Variable", "Default", "What it does"))
        for name, variable in loaded.recipe.variables.items():
            line = add(body, "tr")
            add(add(line, "td"), "code", name)
            add(add(line, "td"), "code", _json(variable.default))
            cell = add(line, "td", variable.help)
            if variable.in_lab != variable.default:
                add(cell, "span", f" The lab sets {_json(variable.in_lab)}.", "table-note")

    def _add_starts(self, parent: Element, argument: str) -> None:
        loaded = load_recipe(self.catalogue(), needs_argument(argument))
        body = add_table(parent, "starts", ("Host", "What the playbook does with it"))
        for start in loaded.recipe.starts.values():
            line = add(body, "tr")
            add(line, "td", start.help)
            _add_treatment(add(line, "td"), start)


def _add_treatment(cell: Element, start: Start) -> None:
    """Add what the playbook does with a host that is not clean, below the variables with which it does that."""
    if start.variables:
        add(cell, "code", ", ".join(f"{name}: {_json(value)}" for name, value in start.variables.items()))
        add(cell, "br")
    if start.refused:
        add(cell, "span", "Refuses it, changes nothing, and says: ")
        add(cell, "em", start.refused)
    else:
        add(cell, "span", "Deploys, and keeps what is the admin's." if start.stays else "Deploys.")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _add_check(checks: Element, check: Check) -> None:
    item = add(checks, "li", check.says)
    if check.mutates:
        add(item, "span", " Changes the host for a moment, so it runs in the lab alone.", "table-note")
    add(item, "code", check.name.partition("::")[2])


def makeExtension(**options: Any) -> TablesExtension:  # noqa: N802 - the name that Python-Markdown looks for
    """Return the extension; Python-Markdown calls it by this name."""
    return TablesExtension(**options)
