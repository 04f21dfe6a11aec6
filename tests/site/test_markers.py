"""Text from strangers, whatever it holds."""

import html
import unicodedata
from xml.etree.ElementTree import Element

from hypothesis import given
from hypothesis import strategies as st
from markdown import Markdown
from markdown.blockprocessors import BlockProcessor

from lading.site.markers import MarkerProcessor, add


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
