"""Routes that should end alike, and where a page is told that it does not."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from lading.errors import PathFailed
from lading.page.model import Command, FileBlock, Page, Place, Transcript
from lading.proof.agree import place_of, require_agreement
from lading.proof.judge import Delta
from lading.recipe.model import Recipe
from tests.proof.states import state_of

FILE = "docs/paths/compute/demo.md"
PAGE = Page(
    FILE,
    "demo",
    (
        Transcript(
            "install-1", Place(FILE, 10), 13, "", "install", "worker1", None,
            (Command(Place(FILE, 11), "root", "rm /etc/other"), Command(Place(FILE, 12), "root", "cat > /etc/more")),
        ),
        FileBlock("install-2", Place(FILE, 20), 23, "", "install", "worker1", None, "/etc/demo", "colour=blue\n"),
    ),
)  # fmt: skip


def recipe(*differences: str) -> Recipe:
    declared = [SimpleNamespace(stage="agree", item=item, because="so") for item in differences]
    return cast(Recipe, SimpleNamespace(differences=declared))


def delta(before: dict[str, Any], after: dict[str, Any]) -> Delta:
    return Delta({"worker1": state_of(before)}, {"worker1": state_of(after)})


def file(digest: str) -> dict[str, str]:
    return {"sha256": digest}


PLAYBOOK = delta({}, {"file:/etc/demo": file("1"), "package:demo": {"version": "1"}})


def test_routes_that_end_alike_agree() -> None:
    same = delta({}, {"file:/etc/demo": file("1"), "package:demo": {"version": "1"}})
    assert require_agreement(recipe(), PAGE, PLAYBOOK, same).startswith("equal to what the playbook leaves")


def test_what_a_route_found_there_does_not_count() -> None:
    agent = {"package:puppet-agent": {"version": "8"}}
    with_agent = delta(agent, {**agent, **PLAYBOOK.after["worker1"].items})
    assert require_agreement(recipe(), None, PLAYBOOK, with_agent)


@pytest.mark.parametrize(
    "after, item",
    [
        ({"file:/etc/demo": file("2"), "package:demo": {"version": "1"}}, "file:/etc/demo"),
        ({"package:demo": {"version": "1"}}, "file:/etc/demo"),
        ({**PLAYBOOK.after["worker1"].items, "file:/etc/more": file("3")}, "file:/etc/more"),
        ({"file:/etc/demo": file("1"), "package:demo": {"version": "2"}}, "package:demo"),
    ],
    ids=["another value", "missing", "too much", "another version"],
)
def test_routes_that_end_otherwise_are_told_item_by_item(after: dict[str, Any], item: str) -> None:
    with pytest.raises(PathFailed, match=item):
        require_agreement(recipe(), PAGE, PLAYBOOK, delta({}, after))


def test_the_page_is_told_where_it_says_otherwise() -> None:
    other = delta({}, {"file:/etc/demo": file("2"), "package:demo": {"version": "1"}})
    with pytest.raises(PathFailed) as caught:
        require_agreement(recipe(), PAGE, PLAYBOOK, other)
    assert caught.value.message.startswith(f"{FILE}:20: ")


def test_a_command_that_names_the_item_is_the_place_too() -> None:
    assert place_of(PAGE, "file:/etc/more") == Place(FILE, 12)
    assert place_of(PAGE, "file:/etc/nowhere") is None


def test_a_declared_difference_is_let_be() -> None:
    other = delta({}, {"file:/etc/demo": file("2"), "package:demo": {"version": "1"}})
    assert require_agreement(recipe("file:/etc/demo"), PAGE, PLAYBOOK, other)


def test_a_route_that_never_deployed_agrees_with_nothing() -> None:
    with pytest.raises(PathFailed, match="This route came to no end state"):
        require_agreement(recipe(), PAGE, PLAYBOOK, None)
