"""What stands where on a page, whatever the page holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.page.outline import find_blocks, read_outline

LINES = st.lists(st.sampled_from([
    "", "a", "```", "````", "~~~", "```{ .bash not-run='x' }", "    ```", "  ~~~", "`` ` ``", "- ```", "> ```", "> a",
    "- a", "!!! note", "=== \"a\"", "[^1]: b", "## Undo", "---", "\r", "a\rb", "\x0c", "\u2028", "\0",
    "<div>", "<!--", "-->",
]))  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(LINES)
def test_blocks_come_in_order_and_never_overlap(lines: list[str]) -> None:
    last = 0
    for block in find_blocks("\n".join(lines)):
        assert last < block.first <= block.last <= len(lines)
        last = block.last


@settings(deadline=None, max_examples=300)
@given(LINES)
def test_a_closed_block_at_the_margin_has_the_lines_between_its_marks(lines: list[str]) -> None:
    seen = [line.replace("\r", " ").replace("\0", "\ufffd") for line in lines]
    for block in find_blocks("\n".join(lines)):
        if block.closed and not block.nested:
            assert block.text == "\n".join(seen[block.first : block.last - 1])
            assert seen[block.first - 1].startswith(seen[block.last - 1].strip())


@given(st.text())
def test_any_text_has_an_outline(text: str) -> None:
    outline = read_outline(text)
    lines = [*outline.hidden, *outline.indented, *outline.raw, *(line for line, _ in outline.markers)]
    assert all(0 < line <= text.count("\n") + 1 for line in lines)


@pytest.mark.parametrize(
    "text, first, last, said",
    [
        ("a\n```text\nb\n```\nc", 2, 4, "b"),
        ("a\n~~~~text\nb\n~~~\n~~~~\nc", 2, 5, "b\n~~~"),
        ("```\na\nb", 1, 3, "a\nb"),
        ("1. One\n\n    ```\n      ls\n    ```\n\n2. Two", 3, 5, "  ls"),
        ("> ```\n> ls\n> ```", 1, 3, "ls"),
        ("!!! note\n    ```\n    ls\n\n    x\n    ```\nAfter.", 2, 6, "ls\n\nx"),
    ],
)
def test_blocks_are_found_with_their_lines(text: str, first: int, last: int, said: str) -> None:
    (block,) = find_blocks(text)
    assert (block.first, block.last, block.text) == (first, last, said)


def test_a_block_shown_inside_a_block_is_text() -> None:
    (block,) = find_blocks("````text\n```{ .bash not-run='no' }\n```\n````\n")
    assert block.kind == "other"


def test_sections_are_headings_of_the_second_level_at_the_margin() -> None:
    text = "FENCE## Before You Start { #top }\nFENCE### Sub\nFENCEUndo\n----\nFENCE> ## No\n\nFENCE# Title\nFENCE"
    assert [block.section for block in find_blocks(text.replace("FENCE", "```\n```\n"))] == [
        "",
        *["before you start"] * 2,
        "undo",
        "undo",
        "",
    ]
