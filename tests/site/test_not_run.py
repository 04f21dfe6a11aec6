"""Blocks that no route runs say why."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lading.page.fences import Fence, find_fences

Render = Callable[[str], str]
PATH_PAGES = sorted((Path(__file__).parents[2] / "docs" / "paths").rglob("*.md"))


def test_the_reason_stands_below_the_block(render: Render) -> None:
    html = render('```{ .bash not-run="it <reboots> **you**" }\nsystemctl reboot\n```\nAfter.\n')
    assert html.index("systemctl") < html.index("Not run by any route:") < html.index("After.")
    assert "it &lt;reboots&gt; **you**" in html
    assert "not-run=" not in html


@pytest.mark.parametrize("said", ["not-run='no way'", 'not-run="no way"', "title=x not-run='no way'"])
def test_either_quote_will_do(render: Render, said: str) -> None:
    html = render(f"```{{ .bash {said} }}\nls\n```\n")
    assert "<span> no way</span>" in html
    assert "not-run=" not in html


def test_a_block_in_a_list_keeps_its_place(render: Render) -> None:
    html = render('1. One:\n\n    ```{ .bash not-run="no" }\n    ls\n    ```\n\n2. Two\n')
    assert html.index("<li>") < html.index("Not run by any route:") < html.index("Two")
    assert html.count("<ol>") == 1


def test_a_block_that_says_nothing_is_left_alone(render: Render) -> None:
    assert "Not run" not in render("```bash\nls\n```\n")


def test_a_block_shown_inside_a_block_is_text(render: Render) -> None:
    html = render('````text\n```{ .bash not-run="no" }\n```\n````\n')
    assert "Not run by any route:" not in html


@pytest.mark.parametrize("mark", ["```", "~~~~"])
def test_fences_are_found_with_their_lines(mark: str) -> None:
    assert list(find_fences(f"a\n{mark}text\nb\n{mark}\nc")) == [Fence(2, 4, "text", "b")]


def test_a_fence_that_is_never_closed_reaches_to_the_end() -> None:
    assert list(find_fences("```\na\nb")) == [Fence(1, 3, "", "a\nb")]


@pytest.mark.parametrize("page", PATH_PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_path_says_why_it_is_not_run(page: Path) -> None:
    """Holds until pages are run; then a block either runs or says why not."""
    silent = [f"{page.name}:{fence.first}" for fence in find_fences(page.read_text()) if not fence.not_run]
    assert silent == []
