"""What the recipes about images prove: without an image they are not well, and a rehearsal names the right ones."""

import importlib.util
import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]  # it has no type hints
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]  # neither has this

from tests.playbooks.modules import ROLES

RECIPES = ROLES.parents[1] / "recipes"


def checks(path: str, name: str) -> Any:
    """Return a recipe's checks as a module."""
    spec = importlib.util.spec_from_file_location(f"{name}_of_{path.replace('-', '_')}", RECIPES / path / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SITE = SimpleNamespace(
    variables={
        **{name: {} for name in ("image_builder_definitions", "developer_image_definitions", "image_renewal_images")},
        **dict.fromkeys(("image_builder_user", "developer_image_user", "image_renewal_user"), "alice"),
    },
    users=SimpleNamespace(other="bob"),
)
ALL = [
    (path, name, check)
    for path, name in (("image-build-once", "test_builder"), ("developer-and-user-image", "test_development"))
    for check, _ in inspect.getmembers(checks(path, name), inspect.isfunction)
    if check.startswith("test_")
]


@pytest.mark.parametrize("path, name, check", ALL, ids=[check for *_, check in ALL])
def test_a_check_that_looks_at_no_image_fails(path: str, name: str, check: str) -> None:
    function = getattr(checks(path, name), check)
    given = {"site": SITE}
    with pytest.raises(AssertionError, match="so nothing was looked at"):
        function(**{parameter: given.get(parameter, {}) for parameter in inspect.signature(function).parameters})


NOTHING = SimpleNamespace(rc=0, stdout="", stderr="")


@pytest.mark.parametrize(
    "check, found",
    [
        ("test_limits_are_the_sites", {"settings": NOTHING}),
        ("test_published_images_are_within_their_budgets", {"sizes": NOTHING, "settings": NOTHING}),
        ("test_nothing_is_outdated", {"outdated": SimpleNamespace(rc=0, stdout="[]", stderr="")}),
    ],
)
def test_a_renewal_of_no_image_is_not_well(check: str, found: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="so nothing was looked at"):
        getattr(checks("common-base-image", "test_renewal"), check)(found, SITE)


@pytest.mark.parametrize("role", ["image_builder", "developer_image"])
@pytest.mark.parametrize("rehearsal", [True, False])
def test_a_rehearsal_names_the_definition_of_a_file_in_a_folder(role: str, rehearsal: bool) -> None:
    said = yaml.safe_load((ROLES / role / "vars/main.yml").read_text())
    wanted = {key: trust_as_template(said[key]) for key in (f"{role}_to_build", f"{role}_settings")}
    changed = ["/etc/container-images/fit/src/lib/fit.c", "/etc/container-images/base/image.ini"]
    asked = {
        **wanted,
        f"{role}_account": {"stdout_lines": ["no key", "build tool: 'image.ini' is missing: no", "and more"]},
        f"{role}_written": {
            "changed_files": [*changed, *(["/usr/local/bin/container-image"] if role == "image_builder" else [])]
        },
        "ansible_check_mode": rehearsal,
    }
    names = Templar(loader=DataLoader(), variables=asked).template(trust_as_template(f"{{{{ {role}_to_build }}}}"))
    assert names == (["tool", "fit", "base"] if rehearsal else ["tool"])


def test_no_page_deletes_more_than_its_own_images() -> None:
    pages = (RECIPES.parent / "docs").rglob("*.md")
    lines = [line for page in pages for line in page.read_text().splitlines() if line.startswith(("$ ", "# ", "> "))]
    assert [line for line in lines if " image rm" in line]
    assert [line for line in lines if "prune" in line or (" rm" in line and "podman" in line and "--all" in line)] == []
