"""What holds for every module and role: documents that say what the code says, examples that are true."""

import doctest
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.playbooks.modules import ROLES, load_module

MODULES = sorted((path.parents[1].name, path.stem) for path in ROLES.glob("*/library/*.py"))
SPECIFICATIONS = sorted(ROLES.glob("*/meta/argument_specs.yml"))


def options_of(specification: Path) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = yaml.safe_load(specification.read_text())["argument_specs"]["main"]["options"]
    return options


@pytest.mark.parametrize("role,name", MODULES)
def test_examples_in_docstrings_are_true(role: str, name: str) -> None:
    assert doctest.testmod(load_module(role, name)).failed == 0


@pytest.mark.parametrize("role,name", MODULES)
def test_documentation_names_the_parameters_that_the_module_takes(role: str, name: str) -> None:
    module = load_module(role, name)
    taken = set(re.findall(r'"(\w+)": \{"(?:type|choices)"', Path(str(module.__file__)).read_text()))
    documented = set(yaml.safe_load(module.DOCUMENTATION)["options"])
    assert documented == taken
    assert yaml.safe_load(module.EXAMPLES)
    assert yaml.safe_load(module.RETURN)


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda path: path.parents[1].name)
def test_defaults_are_those_of_the_argument_specification(specification: Path) -> None:
    defaults = yaml.safe_load((specification.parents[1] / "defaults" / "main.yml").read_text())
    assert defaults == {name: option["default"] for name, option in options_of(specification).items()}


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda path: path.parents[1].name)
def test_readme_lists_every_variable_with_its_default(specification: Path) -> None:
    readme = (specification.parents[1] / "README.md").read_text()
    for name, option in options_of(specification).items():
        description = re.sub(r"V\(([^)]*)\)", r"`\1`", option["description"]).strip()
        assert f"| `{name}` | `{yaml_inline(option['default'])}` | {description} |" in readme


def yaml_inline(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True).splitlines()[0]
    return text.replace("''", '""')
