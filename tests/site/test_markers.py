"""Text from strangers, and fences, whatever they hold."""

import html
import unicodedata
from xml.etree.ElementTree import Element

from hypothesis import given
from hypothesis import strategies as st
from markdown import Markdown
from markdown.blockprocessors import BlockProcessor

from lading.page.fences import find_fences
from lading.site.markers import MarkerProcessor, add

LINES = st.lists(st.sampled_from(["", "a", "```", "````", "~~~", "```{ .bash not-run='x' }", "    ```", "`` ` ``"]))


@given(st.text())
def test_any_text_reads_on_the_page_as_it_was_written(text: str) -> None:
    def fill(parent: Element, _argument: str) -> None:
        add(parent, "td", text)

    md = Markdown(extensions=["attr_list", "abbr", "footnotes"])
    processor: BlockProcessor = MarkerProcessor(md, "text", fill)
    md.parser.blockprocessors.register(processor, "text", 175)
    shown = md.convert("/// text").removeprefix("<td>").removesuffix("</td>")
    assert "<" not in shown
    visible = "".join(
        letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in {"Cc", "Cf", "Cs"}
    )
    assert html.unescape(shown) == visible


@given(LINES)
def test_fences_come_in_order_and_never_overlap(lines: list[str]) -> None:
    last = 0
    for fence in find_fences("\n".join(lines)):
        assert last < fence.first <= fence.last <= len(lines)
        assert fence.text == "\n".join(lines[fence.first : fence.last - 1]) or fence.last == len(lines)
        last = fence.last
