"""Words of the glossary that become links to it."""

import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown import Markdown

from lading.glossary.files import read
from lading.glossary.lint import lint
from lading.glossary.load import read_glossary
from lading.project import Catalogue
from lading.site.dictionary import anchor_in
from lading.site.markers import MarkerError
from lading.site.source import body_of, pages_of
from tests.site.builders import BUILDERS, ROOT, build, build_well, dress

KETTLE = "paths/compute/kettle.md"
PAGE = """\
# Kettle

A kettle on a worker node runs an image.

/// contexts | docker

## Images

Another kettle has an image, `image`, and
worker
nodes.
"""

Show = Callable[..., str]


class Terms(HTMLParser):
    """Collects the links to the vocabulary of a page: their texts and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []
        self._inside = False

    @classmethod
    def of(cls, html: str) -> list[dict[str, str]]:
        parser = cls()
        parser.feed(html)
        return parser.found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self._inside = tag == "a" and said.get("class") == "term"
        if self._inside:
            self.found.append({**said, "text": ""})

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - HTMLParser calls it so
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1]["text"] += data


def terms(html: str) -> list[tuple[str, str]]:
    """Return the linked words of a page with the anchors that they lead to."""
    return [(" ".join(term["text"].split()), term["href"].partition("#")[2]) for term in Terms.of(html)]


@pytest.fixture
def show(worded: Catalogue) -> Show:
    """Return what turns a text into HTML that is the text of a page."""

    def convert(text: str, name: str = KETTLE, *, written: bool = True) -> str:
        if written:
            (worded.docs / name).write_text(text)
        names = ["lading.site.proof", "lading.site.cards"]
        extensions = ["admonition", "abbr", "attr_list", "footnotes", "md_in_html", "tables", "toc", *names]
        extensions += ["pymdownx.details", "pymdownx.superfences", "pymdownx.tabbed"]
        options = {name: {"root": str(worded.root)} for name in names}
        return Markdown(extensions=extensions, extension_configs=options).convert(text)

    return convert


def test_the_first_use_in_each_section_is_linked(show: Show) -> None:
    html = show(
        "A kettle, a kettle.\n\nA kettle.\n\n## Two\n\nA kettle.\n\n### Three\n\nA kettle.\n\n## Four\n\nkettle"
    )
    assert terms(html) == [("kettle", "kettle")] * 3


def test_a_link_tells_the_term_the_context_and_the_definition(show: Show) -> None:
    text, kettle = Terms.of(show("/// contexts | docker\n\nThe images. Kettle"))
    assert text == {
        "class": "term",
        "href": "../../vocabulary/index.md#image-docker",
        "data-term-label": "Docker image",
        "data-term-context": "Docker",
        "data-term-definition": "Layers and a manifest, which docker pull fetches.",
        "text": "images",
    }
    assert "data-term-context" not in kettle


def test_what_the_glossary_says_stays_text(show: Show) -> None:
    html = show("A kettle.")
    assert 'data-term-definition="It &lt;boils&gt; &quot;water&quot; &amp; *more*, &amp;amp; so on."' in html
    assert Terms.of(html)[0]["data-term-definition"] == 'It <boils> "water" & *more*, &amp; so on.'


@pytest.mark.parametrize(
    "text",
    [
        "# The kettle",
        "Title\n-----",
        "### The kettle",
        "[a kettle](kettle.md)",
        "[**a kettle**](kettle.md)",
        "<https://site.example/kettle>",
        "`kettle`",
        "```\nkettle\n```",
        "    kettle",
        '<a href="x">a <b>kettle</b></a>',
        "<kbd>kettle</kbd>",
        "<button>kettle</button>",
        "a <code>kettle</code>",
        "<div>kettle</div>",
        "<!-- kettle -->",
        '<span title="kettle">x</span>',
        "| kettle | b |\n| --- | --- |\n| c | d |",
        '!!! note "The kettle"\n\n    x',
        '??? note "The kettle"\n\n    x',
        '=== "Kettle"\n\n    x',
        "![kettle](kettle.png)",
        "x\n{ .kettle #kettle }",
        "/// proof | kettle",
        "/// paths",
        "kettle's TLA\n\n*[kettle]: an abbreviation",
        "> a kettle",
        '«a kettle», “the kettle” or "kettle"',
        "see /docs/kettle and https://site.example/kettle",
        "a tea-kettle, kettledrums, kettle_state",
    ],
)
def test_some_places_get_no_links(show: Show, text: str) -> None:
    assert terms(show(f"{text}\n")) == []


@pytest.mark.parametrize(
    "text",
    [
        "**kettle**",
        "- a list\n    - of a kettle",
        "!!! note\n\n    A kettle",
        '=== "Tab"\n\n    A kettle',
        "| a |\n| --- |\n| kettle |",
        "<kbd>x</kbd> kettle",
        '<a href="x">y</a> kettle <b>z</b>',
        "kettle[^1]\n\n[^1]: x",
        "x[^1]\n\n[^1]: A kettle",
        '<div markdown="1">\nA kettle\n</div>',
        r"A \*kettle\*",
        "kettle { .x }",
        "## A kettle\n\nA kettle",
        "[A kettle](x) is a kettle",
    ],
)
def test_other_places_do(show: Show, text: str) -> None:
    assert [word.lower() for word, _ in terms(show(f"{text}\n"))] == ["kettle"]


def test_nothing_but_links_comes_into_a_text(show: Show) -> None:
    text = "A *kettle* & two  kettles <b>in</b> a\n  worker\n  node, `image` &amp; \\*a kettle\\*.\n"
    without = show(text, written=False)
    assert "term" not in without
    assert re.sub(r'<a class="term"[^>]*>([^<]*)</a>', r"\1", show(text)) == without


def test_a_term_may_run_over_lines_and_blanks(show: Show) -> None:
    assert terms(show("- A worker\n    node.")) == [("worker node", "worker-node")]


def test_the_longest_term_hides_what_is_inside_it(show: Show) -> None:
    assert terms(show("A Docker image.")) == [("Docker image", "image-docker")]
    assert terms(show("A **Docker** image.")) == []
    assert terms(show("A [Docker](x) image.")) == []


def test_a_word_to_be_avoided_gets_no_link(show: Show) -> None:
    assert terms(show("A slave.")) == []


def test_a_pages_contexts_tell_which_sense_is_meant(show: Show) -> None:
    assert terms(show("An image.")) == [("image", "image-apptainer")]
    assert terms(show("/// contexts | docker\n\nAn image.")) == [("image", "image-docker")]
    assert terms(show("# Kettle\n\n/// contexts | cvmfs\n\n## A\n\nAn image.")) == [("image", "image-cvmfs")]


def test_a_word_that_could_be_two_things_gets_no_link(show: Show) -> None:
    assert terms(show("/// contexts | docker, cvmfs\n\nAn image.")) == []
    assert terms(show("An image.", "index.md")) == []


def test_a_section_has_contexts_of_its_own_until_it_ends(show: Show) -> None:
    text = """\
/// contexts | docker

## One

### Inside

/// contexts | cvmfs

An image.

### Beside

An image.

## Two

/// contexts | apptainer

An image.

## Three

An image.
"""
    assert [anchor for _, anchor in terms(show(text))] == [
        "image-cvmfs",
        "image-docker",
        "image-apptainer",
        "image-docker",
    ]


def test_the_marker_of_contexts_leaves_nothing_behind(show: Show) -> None:
    html = show("# K\n\n/// contexts | docker\n\nx\n\n## Y\n\n/// contexts | docker, cvmfs\n")
    assert "contexts" not in html
    assert "docker" not in html
    assert "<div" not in html


@pytest.mark.parametrize("written", [True, False], ids=["page", "docstring"])
@pytest.mark.parametrize(
    "marker, said",
    [("dockers", "There is no context 'dockers'; did you mean 'docker'?"), (" , ", "It names no context.")],
)
def test_a_wrong_context_is_refused(show: Show, marker: str, said: str, written: bool) -> None:
    with pytest.raises(MarkerError, match=re.escape(said)):
        show(f"/// contexts | {marker}\n", written=written)


def test_a_text_that_is_no_page_gets_no_links(show: Show) -> None:
    assert terms(show("A kettle in a docstring.", written=False)) == []


def test_a_text_that_two_pages_have_gets_no_links(show: Show, worded: Catalogue) -> None:
    (worded.docs / "copy.md").write_text("A kettle.")
    assert terms(show("A kettle.")) == []


def test_links_lead_from_wherever_a_page_is(show: Show) -> None:
    assert 'href="vocabulary/index.md#kettle"' in show("A kettle.", "index.md")
    assert 'href="index.md#kettle"' in show("Another kettle.", "vocabulary/compare.md")
    assert 'href="#kettle"' in show("The kettle.", "vocabulary/index.md")


def test_front_matter_is_no_part_of_a_page() -> None:
    assert body_of("---\ntitle: x\n---\n\n# K\n\n---\n") == "# K\n\n---"
    assert body_of("---\n---\nx") == "x"
    assert body_of("# K\n\n---\nx\n---\n") == "# K\n\n---\nx\n---"


def test_a_page_that_changes_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One\n")
    pages = pages_of(tmp_path)
    assert (pages.named("# One"), pages.title("a.md")) == ("a.md", "One")
    (tmp_path / "a.md").write_text("# Two, longer { #x }\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/c.md").write_text("no title")
    pages_of(tmp_path)
    assert (pages.named("# One"), pages.title("a.md")) == (None, "Two, longer")
    assert (pages.named("no title\n"), pages.title("b/c.md")) == ("b/c.md", "b/c.md")


@pytest.mark.parametrize("missing", ["glossary.yml", "docs/vocabulary/index.md"])
def test_without_a_glossary_or_its_page_there_are_no_links(show: Show, worded: Catalogue, missing: str) -> None:
    (worded.root / missing).unlink()
    html = show("# K\n\n/// contexts | docker\n\nA kettle.")
    assert terms(html) == []
    assert "contexts" not in html


@pytest.mark.parametrize("builder", BUILDERS)
def test_both_builders_lead_to_the_vocabulary(worded: Catalogue, builder: str) -> None:
    (worded.docs / KETTLE).write_text(f"---\nowner: alice\n---\n\n{PAGE}")
    dress(worded.root)
    site = build_well(builder, worded.root)
    html = (site / "paths/compute/kettle/index.html").read_text()
    assert "owner" not in html
    found = [(" ".join(term["text"].split()), unescape(term["href"])) for term in Terms.of(html)]
    vocabulary = "../../../vocabulary/"
    assert found == [
        ("kettle", f"{vocabulary}#kettle"),
        ("worker node", f"{vocabulary}#worker-node"),
        ("image", f"{vocabulary}#image-docker"),
        ("kettle", f"{vocabulary}#kettle"),
        ("image", f"{vocabulary}#image-docker"),
        ("worker nodes", f"{vocabulary}#worker-node"),
    ]
    ids = set(re.findall(r'id="?([^" >]+)', (site / "vocabulary/index.html").read_text()))
    assert {href.partition("#")[2] for _, href in found} <= ids
    assert "contexts |" not in html


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_wrong_glossary_stops_the_build(worded: Catalogue, builder: str) -> None:
    glossary = worded.root / "glossary.yml"
    glossary.write_text(glossary.read_text().replace("broader: image/docker", "broader: imaeg/docker"))
    dress(worded.root)
    done = build(builder, worded.root)
    assert done.returncode != 0
    assert "imaeg/docker" in done.stdout + done.stderr


@pytest.mark.parametrize("builder", BUILDERS)
def test_this_repositorys_pages_lead_to_the_senses_that_the_lint_reads(sites: dict[str, Path], builder: str) -> None:
    catalogue = Catalogue(ROOT)
    loaded, count = read_glossary(catalogue), 0
    for file in catalogue.docs.rglob("*.md"):
        place = file.relative_to(catalogue.docs)
        page = sites[builder] / (place.parent if place.name == "index.md" else place.with_suffix("")) / "index.html"
        uses = {anchor_in(loaded, use.entry.ref) for use in lint(loaded, read(catalogue, file)).uses}
        linked = {anchor for _, anchor in terms(page.read_text())}
        assert linked <= uses, place
        count += len(linked)
    assert count > 50
