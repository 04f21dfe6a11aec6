"""Outputs rewritten from what was seen."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.page.match import mismatch
from lading.page.model import Page, Place, Transcript
from lading.page.update import rewritten
from tests.page.pages import FILE, LINE, TOP, Built, built_pages, read

ANY_OUTPUT = st.one_of(
    st.lists(LINE, max_size=4).map("\n".join),
    st.text(st.sampled_from("ab.`~#$> \\\t\r\n\x1b\x07"), max_size=20),
    st.text(st.characters(codec="utf-8"), max_size=20),
)


def updated(lines: str, output: str, options: str = "") -> str:
    """Return the lines under the one command of a page after it printed that."""
    text = f"{TOP}## Install\n\n```{{ .console {options} }}\n# command\n{lines}```\n\nAfter.\n"
    made = rewritten(text, read(text), {Place(FILE, 8): output})
    before, _, rest = made.partition("# command\n")
    assert before == text.partition("# command\n")[0]
    inside, _, after = rest.rpartition("```\n")
    assert after == "\nAfter.\n"
    return inside


@settings(deadline=None, max_examples=200)
@given(built_pages(), st.data())
def test_a_page_brought_up_to_date_promises_what_was_seen(built: Built, data: st.DataObject) -> None:
    before = read(built.text)
    seen = {
        command.place: data.draw(ANY_OUTPUT)
        for block in before.run_blocks if isinstance(block, Transcript)
        for command in block.commands if data.draw(st.booleans())
    }  # fmt: skip
    text = rewritten(built.text, before, seen)
    after = read(text)
    assert [block.id for block in after.blocks] == [block.id for block in before.blocks]
    for old_block, block in zip(before.run_blocks, after.run_blocks, strict=True):
        if not (isinstance(block, Transcript) and isinstance(old_block, Transcript)):
            assert block.text == old_block.text
            continue
        for old, command in zip(old_block.commands, block.commands, strict=True):
            assert (command.text, command.user) == (old.text, old.user)
            if old.place not in seen or mismatch(old, seen[old.place], old_block) is None:
                assert command.expected == old.expected
            else:
                assert mismatch(command, seen[old.place], block) is None
            assert command.expected.count("...") >= old.expected.count("...")
    assert rewritten(text, after, _moved(before, after, seen)) == text


def _moved(before: Page, after: Page, seen: dict[Place, str]) -> dict[Place, str]:
    """Return what was seen by the places that the commands have now."""
    old, new = (
        [command.place for block in page.run_blocks if isinstance(block, Transcript) for command in block.commands]
        for page in (before, after)
    )
    return {new_place: seen[place] for place, new_place in zip(old, new, strict=True) if place in seen}


@pytest.mark.parametrize(
    "before, seen, after",
    [
        ("", "one\ntwo\n", "one\ntwo\n"),
        ("one\n", "", ""),
        ("old\n", "new\n", "new\n"),
        ("took ... s\n", "took 5 s\n", "took ... s\n"),
        ("took ... s\n", "needed 5 s\n", "needed ... s\n"),
        ("version 1.4\n...\nDone\n", "version 1.5\na\nb\nDone\n", "version 1.5\n...\nDone\n"),
        ("a\n...\n", "b\nc\nd\n", "b\n...\n"),
        ("...\na 1 ...\nb 2 ...\n", "x\na 1 y\nb 3 z\n", "...\na 1 ...\nb 3 ...\n"),
        ("old\n", "# prompt\n\\$ two\n>\n", "\\# prompt\n\\\\$ two\n\\>\n"),
        ("old\n", "name\tvalue  \n", "name    value\n"),
        ("old\n", "red \x1b[31malert\x07\n", "red ...[31malert...\n"),
        ("old\n", ".\x07\n", "...\n"),
        ("x...\n", "\n", "\n"),
    ],
)
def test_only_what_has_to_change_does(before: str, seen: str, after: str) -> None:
    assert updated(before, seen) == after


@pytest.mark.parametrize("options", ["expect=contains", "expect=regex"])
def test_what_a_person_has_to_say_stays(options: str) -> None:
    assert updated("old\n", "new\n", options) == "old\n"


def test_every_output_lands_under_its_command() -> None:
    block = "```{ .console }\n# one\n1\n# two\n2\n```\n"
    text = f"{TOP}## Undo\n\n{block}\n{block}"
    seen = {Place(FILE, 8): "a\nb\n", Place(FILE, 10): "2\n", Place(FILE, 15): "c\n", Place(FILE, 17): "d\ne\n"}
    after = [
        "```{ .console }", "# one", "a", "b", "# two", "2", "```", "",
        "```{ .console }", "# one", "c", "# two", "d", "e", "```", "",
    ]  # fmt: skip
    assert rewritten(text, read(text), seen) == f"{TOP}## Undo\n\n" + "\n".join(after)


def test_output_that_would_end_its_fence_makes_the_fence_longer() -> None:
    text = f"{TOP}## Undo\n\n~~~{{ .console }}\n# cat x\n~~~\n\n```{{ .sh not-run=x }}\n```\n"
    made = rewritten(text, read(text), {Place(FILE, 8): "~~~~\ncode\n~~~~\n"})
    assert made == text.replace("~~~{", "~~~~~{").replace("# cat x\n~~~\n", "# cat x\n~~~~\ncode\n~~~~\n~~~~~\n")
    assert len(read(made).blocks) == 2


def test_the_same_output_changes_nothing_however_often_it_is_seen() -> None:
    text = f"{TOP}## Undo\n\n```{{ .console }}\n$ date\n... 2026\n# cat x\n    ```\n```\n"
    assert rewritten(text, read(text), {Place(FILE, 8): "21 November 2026\n", Place(FILE, 10): "    ```\n"}) == text


def test_a_long_output_is_aligned_in_good_time() -> None:
    output = "\n".join(f"Get:{number} a package" for number in range(5000))
    assert updated("Get:1 ...\n...\nThe end\n", output).startswith("Get:")
