"""Pages read as running text: what is prose, where each letter of it is, and what markers and comments say about it."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lading.glossary.inline import running_of
from lading.glossary.markdown import read_markdown
from lading.glossary.prose import MASK, Marker
from tests.glossary.places import misplaced, words_of

INLINE = st.sampled_from([
    "a", "b c", " ", "  ", "\n", "\\", "*", "**", "***", "_", "__", "`", "``", "[", "]", "(", ")", "](x)",
    "](<x y> \"t\")", "![", "!", "<", "<b>", "</b>", "<!-- x -->", "<http://a.b/c>", "&amp;", "&eacute;", "&nbsp;", "&",
    "\\*", "\\\n", "é", "…", "|", "[r]", "[q][r]", '"', "«", "»",
])  # fmt: skip

LINES = st.lists(st.sampled_from([
    "", "a", "b c **d *e* f** _g_", "- a", "  b", "    c", "\tx", "1. z", "| a | b |", "| --- | --- |",
    "| \\| c | `x|y` |", "- | a | b |", "  | --- | --- |", "## h { #i }", "# t ##", "===", "---", "> q",
    "!!! note \"T *x*\"", "=== \"Tab\"", "??? tip", "[^1]: foot", "[^1]:", "[^a b]: c", ":   def", ": d",
    "/// contexts | a, b", "*[AB]: c", "::: m.n", "<div>", "<!-- glossary ok: a | b -->", "x <!-- glossary ok: a --> y",
    "```", "~~~", "a\rb", "a\\*b &amp; c", "[l](u \"t\") ![i](u) <http://x.y/z>", "é…«q» \"r s\" /etc/x", "\x0c",
    "\u2028 z", "\0", "[ref]: http://x", "[ref] t", "*", "***", "{ .x }", "\u00a0n", "𝄞 x",
]), max_size=14)  # fmt: skip

MARKDOWN = MarkdownIt("commonmark")


def shown(tokens: list[Token]) -> str:
    """Return the text of markdown-it's own tokens, with a mask for what is none."""
    text, link_of_its_own = "", False
    for token in tokens:
        if token.markup == "autolink":
            link_of_its_own = token.nesting > 0
            text += MASK if link_of_its_own else ""
        elif token.type == "image":
            text += MASK + shown(token.children or []) + MASK
        elif token.type in ("code_inline", "html_inline"):
            text += MASK
        elif token.type in ("softbreak", "hardbreak"):
            text += " "
        elif not link_of_its_own:
            text += token.content
    return text


@settings(deadline=None, max_examples=500)
@given(st.lists(INLINE, max_size=25).map(lambda pieces: "".join(pieces).strip()))
def test_the_text_of_a_block_is_what_markdown_makes_of_it(source: str) -> None:
    references = {"R": {"href": "x", "title": ""}}
    (block,) = MARKDOWN.parseInline(source, {"references": references})
    assert "".join(running_of(source, 0, references).chunks).strip() == " ".join(shown(block.children or []).split())


@settings(deadline=None, max_examples=500)
@given(LINES, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "---\ntitle: a\n---\n"]))
def test_every_letter_is_where_it_says(lines: list[str], ending: str, matter: str) -> None:
    text = matter.replace("\n", ending) + ending.join(lines)
    assert misplaced(read_markdown(text, ""), text) == []


@settings(deadline=None)
@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert misplaced(read_markdown(text, ""), text) == []


@settings(deadline=None, max_examples=300)
@given(LINES)
def test_an_exception_holds_in_lines_that_the_page_has(lines: list[str]) -> None:
    for note in read_markdown("\n".join(lines), "").notes:
        assert 1 <= note.first <= note.line <= note.last <= len(lines)


@pytest.mark.parametrize(
    "text, words",
    [
        ("One\nparagraph,  of\n two lines.\n\nAnother.", ["One paragraph, of two lines.", "Another."]),
        ("# Title #\n\nSetext\nheading\n---", ["Title", "Setext heading"]),
        ("- one\n  more\n    - two\n\n1. three", ["one more", "two", "three"]),
        ("| a | b |\n| --- | --- |\n| | c \\| `d\\|e` |\n| f |\n", ["a", "b", "c | ~", "f"]),
        ("- | a | b |\n  | - | - |\n  | c | d |", ["a", "b", "c", "d"]),
        ('!!! note "The **title**"\n\n    Text.\n\n??? tip\n    More.', ["The title", "Text.", "More."]),
        ('=== "Tab"\n\n    Text.\n\n===! "Other"\n\n    More.', ["Tab", "Text.", "Other", "More."]),
        ("A.[^1]\n\n[^1]: Foot\n    note.\n[^2]:\n    Other.", ["A.~", "Foot note.", "Other."]),
        ("Term\n:   What it\n    is.\n\n    More.", ["Term", "What it is.", "More."]),
        ("*[OCI]: Open Container Initiative\nOCI.", ["OCI."]),
        ("/// proof | demo\n\nText.\n\n///Footnotes Go Here///", ["Text."]),
        ("Text.\n/// proof | demo\n*[OCI]: Open\nMore.", ["Text.", "More."]),
        ("::: lading.page.read\n    options:\n      heading_level: 2\n\nText.", ["Text."]),
        ("---\ntitle: image\n---\nText.", ["Text."]),
        ("> Quoted image.\nlazily\n\nText.\n\n- > image\n- item", ["Text.", "item"]),
        ("```\nimage\n```\n\n    image\n\nText.", ["Text."]),
        ("<div>\nimage\n</div>\n\nText.", ["Text."]),
        ('<div class="options" markdown>\n\nText.\n\n</div>', ["Text."]),
        ("[a]: https://site.example/image\n\nSee [a].", ["See a."]),
    ],
)
def test_each_block_is_a_text_of_its_own(text: str, words: list[str]) -> None:
    assert words_of(read_markdown(text, "")) == words


@pytest.mark.parametrize(
    "text, words",
    [
        ("An **un*pack*ed** _image_ here", "An unpacked image here"),
        ("snake*case and 2 * 3 \\*no\\* __init", "snake*case and 2 * 3 *no* __init"),
        ("the `image` and ``a `b` c``, a lone ` too", "the ~ and ~, a lone ` too"),
        ("a [bound *image*](https://site.example/image 'image') b", "a bound image b"),
        ("![an image](image.png) <https://site.example/image> <b>image</b>", "~an image~ ~ ~image~"),
        ("A&nbsp;B &amp; caf&eacute; &copy", "A B & café &copy"),
        ("hard  \nbreak and\\\nother", "hard break and other"),
        ("a <!-- image --> b", "a ~ b"),
        ("{: .image } [text](x){ .image }", "~ text~"),
    ],
)
def test_markup_is_no_part_of_the_text(text: str, words: str) -> None:
    assert words_of(read_markdown(text, "")) == [words]


def test_a_term_in_one_piece_can_be_swapped() -> None:
    text = "Two  lines of\n- the `x` **docker image** here"
    prose = read_markdown(text, "")
    part = prose.parts[1]
    start = part.text.index("docker image")
    span = part.span(start, start + len("docker image"))
    assert span is not None
    assert text[slice(*span)] == "docker image"
    assert part.place(start) == (2, 13)


@pytest.mark.parametrize(
    "text",
    ["docker\nimage", "docker *image*", "docker  image", "docker&#32;image", "docker im&#97;ge", "docker\\\nimage"],
)
def test_a_term_in_several_pieces_has_no_span(text: str) -> None:
    (part,) = read_markdown(text, "").parts
    assert part.text == "docker image"
    assert part.span(0, len(part.text)) is None


def test_texts_of_links_and_headings_are_told_apart() -> None:
    heading, text = read_markdown("## An [image](x)\n\nOne [two *three*](x) four [five][].\n\n[five]: y", "").parts
    assert (heading.kind, text.kind) == ("heading", "text")
    assert [text.text[link.start : link.stop] for link in text.links] == ["two three", "five"]
    assert [heading.text[link.start : link.stop] for link in heading.links] == ["image"]


def test_sections_are_headings_of_the_second_level() -> None:
    text = "# T\n\na\n\n## One Two { #x }\n\nb\n\n### Deep\n\nc\n\n# Again\n\nd"
    parts = [part for part in read_markdown(text, "").parts if part.kind == "text"]
    assert [part.section for part in parts] == ["", "one two", "one two", ""]


def contexts(text: str) -> dict[str, str]:
    """Return the contexts of each part of a page, sorted, by its text."""
    return {part.text: " ".join(sorted(part.contexts or ["-"])) for part in read_markdown(text, "").parts}


def test_a_marker_before_the_first_section_is_the_whole_page_s() -> None:
    assert contexts("# T\n\na\n\n/// contexts | vm, docker\n\n## S\n\nb") == {
        "T": "docker vm",
        "a": "docker vm",
        "S": "docker vm",
        "b": "docker vm",
    }


def test_a_marker_below_a_heading_holds_until_the_next_of_its_level() -> None:
    text = (
        "/// contexts | docker\n\n## A\n\na\n\n### B\n\n/// contexts | vm\n\nb\n\n#### C\n\nc\n\n### D\n\nd\n\n"
        "## E\n\n/// contexts | cvmfs\n\n### F\n\nf\n\n## G\n\ng"
    )
    assert contexts(text) == {
        "A": "docker", "a": "docker", "B": "vm", "b": "vm", "C": "vm", "c": "vm", "D": "docker", "d": "docker",
        "E": "cvmfs", "F": "cvmfs", "f": "cvmfs", "G": "docker", "g": "docker",
    }  # fmt: skip


def test_a_marker_below_the_title_outlives_the_next_title() -> None:
    assert contexts("# T\n\n/// contexts | vm\n\n# U\n\nu") == {"T": "vm", "U": "vm", "u": "vm"}


def test_a_page_without_markers_declares_nothing() -> None:
    assert contexts("# T\n\na") == {"T": "-", "a": "-"}


def test_markers_are_told_with_their_lines_whatever_they_name() -> None:
    text = "/// contexts | nonsense,  vm\n\n```\n/// contexts | vm\n```\n\n## S\n\n/// contexts |\n\n/// contexts\n"
    assert read_markdown(text, "").markers == (Marker(1, ("nonsense", "vm")), Marker(9, ()), Marker(11, ()))


@pytest.mark.parametrize(
    "text, said, lines",
    [
        ("<!-- glossary ok: image | a quote -->\n\nThe\nimage.\n\nNo.", ("image", "a quote"), (1, 4)),
        ("<!-- glossary ok: image | why -->\nThe\nimage.", ("image", "why"), (1, 3)),
        ("The\nimage <!-- glossary ok: bare   image | why -->\nis.\n\nNo.", ("bare image", "why"), (1, 3)),
        ("- no\n- the image <!--glossary ok: image|why-->\n  and\n- no", ("image", "why"), (2, 3)),
        ("<!-- glossary ok: image | why -->\n\n- the\n  image\n- no", ("image", "why"), (1, 4)),
        ("| a |\n| - |\n| b <!-- glossary ok: image \\| why --> |\n| c |\n\nNo.", ("image", "why"), (1, 4)),
        ("<!-- glossary ok: image | why -->\n\n| a |\n| - |\n| b |\n\nNo.", ("image", "why"), (1, 5)),
        ("<!-- glossary ok: image -->\n<!-- glossary ok: tag | x -->\nText.", ("image", ""), (1, 3)),
        ("<!-- glossary ok: image | -->\n## Image\n\nNo.", ("image", ""), (1, 2)),
        ("Text.\n\n<!-- glossary ok: image | why -->", ("image", "why"), (3, 3)),
        ("- no\n\n    <!-- glossary ok: image | why -->\n\nNo.", ("image", "why"), (3, 3)),
    ],
)
def test_an_exception_holds_for_its_block(text: str, said: tuple[str, str], lines: tuple[int, int]) -> None:
    note = read_markdown(text, "").notes[0]
    assert (note.word, note.reason) == said
    assert (note.first, note.last) == lines
    assert text.split("\n")[note.line - 1][note.column - 1 :].startswith("<!--")


@pytest.mark.parametrize(
    "text", ["`<!-- glossary ok: a | b -->`", "```\n<!-- glossary ok: a | b -->\n```", "<!-- ok -->"]
)
def test_what_is_no_comment_excepts_nothing(text: str) -> None:
    assert read_markdown(text, "").notes == ()


def test_ten_times_the_text_takes_about_ten_times_as_long() -> None:
    page = (
        "## Head\n\nText of *some* length, a [link](https://site.example/a_b), `code` and «quoted»\nwords [ ( ** .\n\n"
    )

    def seconds(text: str) -> float:
        started = time.process_time()
        read_markdown(text, "")
        return time.process_time() - started

    assert min(seconds(page * 2000) for _ in range(3)) < 30 * min(seconds(page * 200) for _ in range(3))


def test_markup_that_nests_without_end_can_be_read() -> None:
    for opened, closed in (("![", "](x)"), ("[", "](x)"), ("- ", ""), ("**", "**"), ("[^a]: ", "")):
        assert read_markdown(opened * 2000 + "a" + closed * 2000, "") is not None


@pytest.mark.parametrize(
    "piece", ["[", "![", "*a ", "_", "`", "<", "{{ ", "{% ", "«", '"a ', "[[", "[^", "[a](", "<!--", "a/"]
)
def test_markup_that_never_ends_takes_no_longer_than_other_text(piece: str) -> None:
    started = time.process_time()
    read_markdown(piece * 10_000, "")
    assert time.process_time() - started < 5
