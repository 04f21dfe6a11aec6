"""What a command printed, held against what its page promises."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.page.align import aligned_lines
from lading.page.match import LONGEST_DIFF, lacking, mismatch, shown
from lading.page.model import Expect
from lading.page.wildcards import contains_text, fits_lines, fits_text
from tests.page.pages import transcript

WORDS = st.lists(st.sampled_from(["a", "b", "...", " "]), max_size=4).map("".join)
EXPECTED = st.lists(st.one_of(st.sampled_from(["a", "b", "..."]), WORDS), max_size=5)
ACTUAL = st.lists(st.one_of(st.sampled_from("ab"), st.text("ab. ", max_size=4)), max_size=5)


def differs(expected: str, actual: str, expect: Expect = "exact") -> str | None:
    """Return how an output differs from lines of a page."""
    block = transcript("# command", *expected.split("\n"), options=f"expect={expect}")
    return mismatch(block.commands[0], actual, block)


def as_pattern(text: str, anything: str) -> str:
    return anything.join(map(re.escape, text.split("...")))


@settings(deadline=None, max_examples=300)
@given(EXPECTED, ACTUAL)
def test_dots_stand_for_what_a_pattern_would(expected: list[str], actual: list[str]) -> None:
    lines = ["(?:.*\n)*" if line.rstrip() == "..." else as_pattern(line.rstrip(), ".*") + "\n" for line in expected]
    text = "".join(f"{line.rstrip()}\n" for line in actual)
    assert fits_lines(expected, actual) == bool(re.fullmatch("".join(lines), text))


@settings(deadline=None, max_examples=300)
@given(WORDS, st.text("ab ", max_size=4))
def test_a_text_is_contained_where_a_pattern_would_find_it(expected: str, actual: str) -> None:
    assert contains_text(expected, actual) == bool(re.search(as_pattern(expected, ".*"), actual))


@given(st.lists(st.text().filter(lambda line: "\n" not in line)))
def test_every_output_fits_itself(lines: list[str]) -> None:
    assert fits_lines(lines, lines)
    assert fits_lines(["..."], lines)


@settings(deadline=None, max_examples=200)
@given(EXPECTED, ACTUAL, st.sampled_from(["a", "..."]))
def test_alignment_leaves_alone_what_fits_and_mends_what_does_not(
    expected: list[str], actual: list[str], more: str
) -> None:
    expected = [*expected, more]
    lines = aligned_lines(expected, actual)
    assert fits_lines(lines, actual)
    assert (lines == expected) == fits_lines(expected, actual)
    assert [line for line in lines if line == "..."].count("...") >= expected.count("...")


@pytest.mark.parametrize(
    "expected, actual",
    [
        ("one\ntwo", "one\ntwo\n"),
        ("one", "one"),
        ("one\n...", "one\n"),
        ("...\nlast", "1\n2\nlast\n"),
        ("first\n...\nmiddle\n...\nlast", "first\nmiddle\nx\nmiddle\nlast\n"),
        ("took ... s", "took 12.3 s\n"),
        ("a ...", "a \x1b[1m\n"),
        ("done", "10 %\r50 %\rdone\n"),
        ("one\ntwo", "one\r\ntwo\r\n"),
        ("name    value", "name\tvalue\n"),
        ("one", "one   \n"),
    ],
)
def test_what_fits_is_no_difference(expected: str, actual: str) -> None:
    assert differs(expected, actual) is None


@pytest.mark.parametrize(
    "expected, actual",
    [
        ("one", ""),
        ("one", "one\none\n"),
        ("one", "One\n"),
        ("one", " one\n"),
        ("one", "one\n\n"),
        ("one\n...\nlast", "last\n"),
        ("...\nlast", "last\nafter\n"),
        ("a...b", "ab\nc\n"),
        ("a\n...\na", "a\n"),
        ("x...a...ax", "xax\n"),
        ("x", "x...\n"),
    ],
)
def test_one_changed_word_is_a_difference(expected: str, actual: str) -> None:
    assert differs(expected, actual)


def test_no_expected_output_means_that_nothing_is_printed() -> None:
    block = transcript("# true")
    assert mismatch(block.commands[0], "", block) is None
    assert mismatch(block.commands[0], "warning\n", block) == "\n".join(
        ["--- the page", "+++ what was seen", "@@ -0,0 +1 @@", "+warning"]
    )
    assert mismatch(block.commands[0], "\n", block) is not None


def test_a_difference_shows_what_the_page_would_have_to_say() -> None:
    found = differs(
        "Reading lists...\n...\nversion 1.4 of ...\nDone", "Reading lists... 5 %\na\nb\nversion 1.5 of x\nReady\n"
    )
    assert found == "\n".join([
        "--- the page", "+++ what was seen", "@@ -1,4 +1,4 @@", " Reading lists...", " ...",
        "-version 1.4 of ...", "-Done", "+version 1.5 of ...", "+Ready",
    ])  # fmt: skip


def test_a_long_difference_is_cut() -> None:
    found = differs("x", "\n".join(map(str, range(1000))))
    assert found is not None
    assert len(found.split("\n")) == LONGEST_DIFF + 1
    assert found.endswith(f"… and {1001 + 3 - LONGEST_DIFF} more lines")


def test_terminal_codes_do_not_reach_the_reader_of_a_difference() -> None:
    found = differs("red", "\x1b[31mred\n")
    assert found is not None
    assert "\x1b" not in found


@pytest.mark.parametrize(
    "expect, expected, actual",
    [
        ("contains", "b c\ne", "a\na b c d\n-e-\n"),
        ("contains", "a...c", "xabcx"),
        ("regex", "^kernel: [0-9.]+$", "x\nkernel: 6.12\n"),
        ("regex", "one\ntwo", "zero\none\ntwo\n"),
        ("json-subset", '{"a": {"b": [2, "x..."]}}', '{"a": {"b": [1, 2, 3, "xyz"], "c": null}, "d": 1}'),
        ("json-subset", '[\n{"a": 1.0}]', '[{}, {"a": 1.0}]'),
    ],
)
def test_a_looser_expectation_is_met(expect: Expect, expected: str, actual: str) -> None:
    assert differs(expected, actual, expect) is None


@pytest.mark.parametrize(
    "expect, expected, actual, sentence",
    [
        ("contains", "e\nb", "b\ne\n", "in the order of the page, has 'b'"),
        ("contains", "b\nb", "b\n", "has 'b'"),
        ("contains", "a...a", "ba\n", "has 'a...a'"),
        ("regex", "^b", "ab\n", "The pattern '^b' is nowhere in the output"),
        ("json-subset", "{}", "none", "is not JSON"),
        ("json-subset", "{}", "[" * 200_000, "is not JSON"),
        ("json-subset", '{"a": {"b": 1}}', '{"a": {"b": 2}}', "lacks 'b' of 'a' of the value"),
        ("json-subset", '{"a": null}', "{}", "lacks 'a' of the value"),
        ("json-subset", "[2, 1]", "[1, 2]", "lacks the item 1 of the value"),
        ("json-subset", '{"a": 1}', '{"a": true}', "lacks 'a'"),
        ("json-subset", "{}", "[]", "lacks the value"),
    ],
)
def test_a_looser_expectation_that_is_not_met_is_told_with_the_output(
    expect: Expect, expected: str, actual: str, sentence: str
) -> None:
    found = differs(expected, actual, expect)
    assert found is not None
    assert sentence in found.partition("\n")[0]
    assert f"\n| {actual.partition(chr(10))[0]}" in found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON, st.data())
def test_a_value_contains_itself_with_anything_left_out(value: object, data: st.DataObject) -> None:
    def thinned(part: object) -> object:
        if isinstance(part, list):
            return [thinned(item) for item in part if data.draw(st.booleans())]
        if isinstance(part, dict):
            return {key: thinned(item) for key, item in part.items() if data.draw(st.booleans())}
        return part

    assert lacking(thinned(value), value) is None
    assert lacking(value, [value]) is not None or isinstance(value, list)


def test_output_is_compared_as_a_terminal_shows_it() -> None:
    assert shown("") == []
    assert shown("\n") == [""]
    assert shown("a\n\nb") == ["a", "", "b"]
    assert shown("a\tb \r\nx\ry\n") == ["a       b", "y"]


def test_dots_at_both_ends_do_not_overlap() -> None:
    assert not fits_text("ab...ba", "aba")
    assert fits_text("ab...ba", "abba")
